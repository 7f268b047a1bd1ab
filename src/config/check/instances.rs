//! Instances of a template unit: how many, and by what that is decided.

use super::Check;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::Component;
use crate::config::protected::is_protected_unit;
use crate::config::raw;
use crate::config::suggest::shorten;
use crate::model::{Hook, Instances, Level, Template};
use crate::units::{Millicpu, Span};

/// One thread that is busy most of the time is what an instance can do.
const UP: Millicpu = Millicpu(800);
/// How long the others must do without it before an instance is stopped.
const COOLDOWN: Span = Span::secs(300);
/// How long a drain may take unless configured.
const DRAIN: Span = Span::secs(10);

impl Check<'_> {
    /// The instances; none when what they are instances of cannot be read.
    pub(super) fn instances(
        &mut self,
        key: &Key,
        raw: &raw::Instances,
        component: &Component,
    ) -> Option<Instances> {
        let template = self.template(&key.then("unit"), &raw.unit.0, component);
        let (least, most) = (raw.min.unwrap_or(1), raw.max);
        self.in_order(
            Code::RangeOrder,
            ("min", &key.then("min"), Some(least)),
            ("max", &key.then("max"), Some(most)),
        );
        let up = self.cpu(&key.then("up"), raw.up.as_ref());
        let down = self.cpu(&key.then("down"), raw.down.as_ref());
        let is_known = (raw.up.is_none() || up.is_some()) && (raw.down.is_none() || down.is_some());
        let up = up.unwrap_or(UP);
        let down = down.unwrap_or(Millicpu(up.0 / 2));
        if down >= up && is_known {
            let message = format!("`down` {down} is not below `up` {up}");
            let issue = ConfigIssue::error(Code::RangeOrder, message)
                .help("an instance that is stopped as soon as another was started helps nobody: leave `down` out for half of `up`")
                .mark(self.merged.value_place(&key.then("down")), "stops one")
                .mark(self.merged.value_place(&key.then("up")), "starts one");
            self.issues.push(issue);
        }
        let range = Span::secs(5)..=Span::secs(86_400);
        let cooldown = self.duration(&key.then("cooldown"), raw.cooldown.as_ref(), range);
        let drain = raw.drain.as_ref().and_then(|raw| self.drain(&key.then("drain"), raw));
        let cooldown = cooldown.unwrap_or(COOLDOWN);
        Some(Instances { template: template?, least, most, up, down, cooldown, drain })
    }

    fn template(&mut self, key: &Key, text: &str, component: &Component) -> Option<Template> {
        let Some(template) = Template::parse(text) else {
            let message = format!("\"{}\" is no template of services", shorten(text));
            let issue = ConfigIssue::error(Code::InstancesUnit, message).help(
                "write the unit without an instance: \"worker@.service\", of which worker@1.service, worker@2.service and so on are started",
            );
            self.report(issue, key, "not NAME@.service");
            return None;
        };
        let first = template.unit(1);
        if is_protected_unit(&first) {
            let message = format!("{text} is protected: provost neither starts nor stops it");
            let issue = ConfigIssue::error(Code::InstancesUnit, message)
                .help("leave it to systemd, or name another unit");
            self.report(issue, key, "never touched");
            return None;
        }
        let owns = component.rules.iter().any(|rule| {
            rule.unit
                .as_ref()
                .is_some_and(|unit| unit.globs.iter().any(|glob| glob.is_match(&first)))
        });
        if !owns && !component.rules.is_empty() {
            let message = format!("no rule of this component matches {first}");
            let issue = ConfigIssue::error(Code::InstancesUnmatched, message).help(format!(
                "an instance that belongs to nobody is never seen: write match = {{ unit = \"{}\" }}",
                text.replace('@', "@*")
            ));
            self.report(issue, key, "not among its units");
            return None;
        }
        Some(template)
    }

    fn drain(&mut self, key: &Key, raw: &raw::Drain) -> Option<Hook> {
        let range = Span::secs(1)..=Span::secs(60);
        let timeout = self.duration(&key.then("timeout"), raw.timeout.as_ref(), range);
        let command = self.hook_command(&key.then("command"), &raw.command);
        let user = self.hook_user(&key.then("user"), &raw.user);
        let timeout = timeout.unwrap_or(DRAIN);
        Some(Hook { command: command?, user: user?, timeout, from: Level::Normal })
    }
}
