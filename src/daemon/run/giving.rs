//! What somebody has `provost set-quota` give a component for a while, and what takes it back: a word, or the end of its time.

use super::super::given::Wish;
use super::Daemon;
use crate::config::{ConfigIssue, Laid, Policy, diff};
use crate::kernel::clock;
use crate::model::Moment;
use crate::serve::Reply;
use crate::units::ComponentName;
use jiff::Timestamp;
use jiff::tz::TimeZone;

impl Daemon {
    /// Gives a component something for a while, or only says what that would change.
    pub(super) fn set_quota(&mut self, wish: Wish<'_>, is_dry: bool) -> Reply {
        let plain = self.without_quotas();
        let with = self.given.with(wish, plain, &self.collector.last().host);
        let (given, Laid { policy, warnings }) = match with {
            Ok(with) => with,
            Err(error) => return Reply::Failed { text: error.to_string(), exit: error.exit() },
        };
        let told = Told {
            name: wish.component,
            until: local(wish.until()),
            warnings: &warnings,
            enforcing: self.enforcing,
        };
        if is_dry {
            let changes = diff(&self.as_configured(), &policy);
            return Reply::Done { text: told.dry(&changes) };
        }
        if let Err(error) = given.write(&self.options.paths) {
            return Reply::Failed { text: format!("cannot remember it: {error}"), exit: 1 };
        }
        self.given = given;
        let changes = self.take_over(policy);
        self.say(&format!("set-quota, until {}", told.until), &said(told.name, &changes));
        Reply::Done { text: told.done(&changes) }
    }

    /// Takes back what a component was given.
    pub(super) fn release(&mut self, name: &ComponentName) -> Reply {
        let plain = self.without_quotas();
        let mut given = match self.given.without(name, &plain) {
            Ok(given) => given,
            Err(error) => return Reply::Failed { text: error.to_string(), exit: error.exit() },
        };
        if let Err(error) = given.write(&self.options.paths) {
            return Reply::Failed { text: format!("cannot forget it: {error}"), exit: 1 };
        }
        let policy = given.lay_over(plain, &self.collector.last().host);
        self.given = given;
        let changes = self.take_over(policy);
        self.say("release", &said(name, &changes));
        let head = format!("{name} has nothing from set-quota any more");
        Reply::Done { text: lines(head, &changes) }
    }

    /// Takes up what holds from now on, when a window of time has opened or closed, or the time of something that was given is over.
    pub(super) fn turn_over(&mut self) {
        let turned = self.timetable.turned(&self.collector.last().host);
        let over = self.given.end(Moment(clock::wall_secs()));
        if turned.is_none() && over.is_empty() {
            return;
        }
        if !over.is_empty()
            && let Err(error) = self.given.write(&self.options.paths)
        {
            tracing::warn!("what set-quota gave cannot be written: {error}");
        }
        let said = if turned.is_some() { "schedule" } else { "set-quota is over" };
        let Some(plain) = turned.or_else(|| self.given.take_beneath()) else { return };
        let policy = self.given.lay_over(plain, &self.collector.last().host);
        let changes = self.take_over(policy);
        self.say(said, &changes);
    }

    /// Writes down what has changed, and why.
    fn say(&mut self, why: &str, changes: &[String]) {
        for change in changes {
            tracing::info!("{why}: {change}");
            self.recorder.said(format!("{why}: {change}"));
        }
    }

    /// What holds without anything that was given.
    fn without_quotas(&self) -> Policy {
        let beneath = self.given.beneath().cloned();
        let mut plain = beneath.unwrap_or_else(|| self.as_configured());
        // `provost enforce` may have spoken since.
        plain.mode = self.policy.mode;
        plain
    }

    /// What holds but for strategies that were chosen, and the pace that provost keeps.
    fn as_configured(&self) -> Policy {
        let mut policy = self.policy.clone();
        self.chosen.clone().lift(&mut policy);
        policy.interval = self.voice.pace.configured();
        policy
    }
}

/// What whoever asked is told.
struct Told<'a> {
    name: &'a ComponentName,
    until: String,
    warnings: &'a [ConfigIssue],
    enforcing: bool,
}

impl Told<'_> {
    /// When it was done.
    fn done(&self, changes: &[String]) -> String {
        let Self { name, until, .. } = self;
        let head = if changes.is_empty() {
            format!("nothing changes for {name}; it stays so until {until}")
        } else {
            format!("until {until}, or until \"provost release {name}\":")
        };
        self.with_notes(lines(head, changes))
    }

    /// When it was only asked what would change.
    fn dry(&self, changes: &[String]) -> String {
        let Self { name, until, .. } = self;
        let head = if changes.is_empty() {
            format!("nothing would change for {name}")
        } else {
            format!("this would change until {until}; nothing was done:")
        };
        self.with_notes(lines(head, changes))
    }

    fn with_notes(&self, mut text: String) -> String {
        for warning in self.warnings {
            let help = warning.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
            text.push_str(&format!("\nwarning: {}{help}", warning.message));
        }
        if !self.enforcing {
            text.push_str(
                "\nprovost only observes now: nothing is written until \"provost enforce on\"",
            );
        }
        text
    }
}

/// What is written down, also where nothing has changed for now.
fn said(name: &ComponentName, changes: &[String]) -> Vec<String> {
    if changes.is_empty() {
        return vec![format!("component {name} keeps what it has")];
    }
    changes.to_vec()
}

fn lines(head: String, changes: &[String]) -> String {
    std::iter::once(head).chain(changes.iter().cloned()).collect::<Vec<_>>().join("\n")
}

/// A moment in the host's time.
fn local(at: Moment) -> String {
    let at = i64::try_from(at.0).ok().and_then(|at| Timestamp::from_second(at).ok());
    let text = |at: Timestamp| {
        at.to_zoned(TimeZone::system()).strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string()
    };
    at.map_or_else(String::new, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Code;

    #[test]
    fn what_whoever_asks_is_told_reads_well() {
        let name: ComponentName = "web".parse().unwrap();
        let warnings = [ConfigIssue::warning(
            Code::CeilingAboveHost,
            "a ceiling of 9 is above the host's 4 cores",
        )
        .help("it will never be reached; leave it out, or write a percentage of the host")];
        let until = "Mon 2026-11-23 14:30:00 UTC".to_owned();
        let told = Told { name: &name, until, warnings: &warnings, enforcing: false };
        let changes = ["component web: cpu.ceiling: \"1\" -> \"9\"".to_owned()];
        let plain = Told { until: told.until.clone(), warnings: &[], enforcing: true, ..told };
        let texts = [
            plain.done(&changes),
            plain.done(&[]),
            plain.dry(&changes),
            plain.dry(&[]),
            told.done(&changes),
        ];
        insta::assert_snapshot!(texts.join("\n----\n"));
    }
}
