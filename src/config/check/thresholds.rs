//! From which use of the host on an alert is raised: three shares for each resource, each above the one before.

use super::Check;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::{Steps, Thresholds};
use crate::config::raw;
use crate::units::Ppm;

/// A host in which nothing runs uses about this much: a lower threshold would always be reached.
const LEAST: Ppm = Ppm::percent(10);

impl Check<'_> {
    pub(super) fn thresholds(
        &mut self,
        raw: Option<&raw::Thresholds>,
        default: Thresholds,
    ) -> Thresholds {
        let Some(raw) = raw else { return default };
        let key = Key::default().then("thresholds");
        Thresholds {
            cpu: self.steps(&key.then("cpu"), raw.cpu.as_ref(), default.cpu),
            memory: self.steps(&key.then("memory"), raw.memory.as_ref(), default.memory),
            disk: self.steps(&key.then("disk"), raw.disk.as_ref(), default.disk),
        }
    }

    fn steps(&mut self, key: &Key, raw: Option<&raw::Steps>, default: Steps) -> Steps {
        let Some(raw) = raw else { return default };
        let mut all_read = true;
        let mut read = |name: &str, raw: Option<&raw::Percent>, default: Ppm| match raw {
            None => default,
            Some(_) => self.threshold(&key.then(name), raw).unwrap_or_else(|| {
                all_read = false;
                default
            }),
        };
        let steps = Steps {
            warning: read("warning", raw.warning.as_ref(), default.warning),
            critical: read("critical", raw.critical.as_ref(), default.critical),
            emergency: read("emergency", raw.emergency.as_ref(), default.emergency),
        };
        if all_read {
            self.rising(key, steps);
        }
        steps
    }

    fn threshold(&mut self, key: &Key, raw: Option<&raw::Percent>) -> Option<Ppm> {
        let share = self.percent(key, raw)?;
        if share >= LEAST {
            return Some(share);
        }
        let name = key.0.last().map_or("", String::as_str);
        let message = format!("`{name}` must be {LEAST} to 100%");
        let issue = ConfigIssue::error(Code::OutOfRange, message)
            .help("a host uses about that much when nothing runs on it");
        self.report(issue, key, format!("this is {share}"));
        None
    }

    /// Reports a threshold that is not above the one before.
    fn rising(&mut self, key: &Key, steps: Steps) {
        let named = [
            ("warning", steps.warning),
            ("critical", steps.critical),
            ("emergency", steps.emergency),
        ];
        for pair in named.windows(2) {
            let [(below, lower), (above, upper)] = pair else { continue };
            if lower < upper {
                continue;
            }
            let resource = key.0.last().map_or("", String::as_str);
            let message = format!(
                "the {resource} threshold `{below}` of {lower} is not below `{above}` of {upper}"
            );
            let place = |name: &str| self.merged.value_place(&key.then(name));
            let issue = ConfigIssue::error(Code::ThresholdOrder, message)
                .help("a key that is left out keeps its default; write all three, each above the one before")
                .mark(place(above), upper.to_string())
                .mark(place(below), lower.to_string());
            self.issues.push(issue);
        }
    }
}
