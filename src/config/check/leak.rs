//! What is to be done about a component's leak: whether it has what that needs.

use super::Check;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::{Component, OnLeak, Rule};
use crate::config::raw;
use crate::units::Span;

impl Check<'_> {
    /// Takes up what is to be done, as far as it can be.
    pub(super) fn on_leak(&mut self, key: &Key, raw: &raw::Component, component: &mut Component) {
        let Some(table) = &raw.memory else { return };
        let memory = key.then("memory");
        let (level_key, every_key) = (memory.then("on-leak"), memory.then("restart-every"));
        let wanted = table.on_leak.map_or(component.memory.on_leak, on_leak);
        let range = Span::secs(3600)..=Span::secs(30 * 86_400);
        if let Some(every) = self.duration(&every_key, table.restart_every.as_ref(), range) {
            component.memory.restart_every = every;
            if wanted != OnLeak::Restart {
                let issue = ConfigIssue::warning(
                    Code::OnLeak,
                    "`restart-every` has no effect: the component is not restarted for a leak",
                )
                .help("write on-leak = \"restart\", or remove `restart-every`");
                self.report(issue, &every_key, "never used");
            }
        }
        let lacks_hook = wanted == OnLeak::Hook && raw.hook.is_none();
        if lacks_hook {
            let name = &component.name;
            let issue = ConfigIssue::error(
                Code::OnLeak,
                "a leak is to be told to a hook, and the component has none",
            )
            .help(format!(
                "add [component.{name}.hook] with `command` and `user`, or write on-leak = \"tell\""
            ));
            self.report(issue, &level_key, "calls nothing");
        }
        // Rules that could not be read were reported, and none is left.
        let rules = &component.rules;
        let lacks_unit =
            wanted == OnLeak::Restart && !rules.is_empty() && !rules.iter().any(names_service);
        if lacks_unit {
            let issue = ConfigIssue::error(
                Code::OnLeak,
                "only a service of systemd can be restarted, and no rule of this component names one",
            )
            .help(
                "add a rule such as match = { unit = \"app.service\" }, or write on-leak = \"reclaim\"",
            );
            let issue = issue
                .mark(self.merged.value_place(&level_key), "restarts a service")
                .mark(self.merged.value_place(&key.then("match")), "no service here");
            self.issues.push(issue);
        }
        component.memory.on_leak = if lacks_hook || lacks_unit { OnLeak::Tell } else { wanted };
    }
}

fn names_service(rule: &Rule) -> bool {
    let mut globs = rule.unit.iter().flat_map(|pattern| &pattern.globs);
    globs.any(|glob| glob.text().ends_with(".service"))
}

const fn on_leak(raw: raw::OnLeak) -> OnLeak {
    match raw {
        raw::OnLeak::Tell => OnLeak::Tell,
        raw::OnLeak::Hook => OnLeak::Hook,
        raw::OnLeak::Reclaim => OnLeak::Reclaim,
        raw::OnLeak::Restart => OnLeak::Restart,
    }
}
