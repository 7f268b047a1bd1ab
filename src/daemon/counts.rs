//! How often what was done, to whom and with what result, since the daemon started: the counters behind `provost_actions_total`.

use crate::model::{
    ActionCount, Controller, KnobKind, Means, Outcome, OutcomeOf, Resource, Verdict,
};
use crate::units::ComponentName;
use std::collections::BTreeMap;

/// So many counters are kept: components come and go with reloads, and a counter stays. What is beyond is not counted.
const MOST: usize = 16_384;

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counts {
    of: BTreeMap<Key, u64>,
}

/// What is counted by itself.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    component: Option<ComponentName>,
    action: &'static str,
    result: &'static str,
    resource: Option<Resource>,
}

impl Counts {
    /// Counts one outcome.
    pub(super) fn add(&mut self, outcome: &Outcome) {
        // What began well is counted when it ends.
        if has_only_begun(&outcome.of) && outcome.verdict == Verdict::Applied {
            return;
        }
        let (action, resource) = action(&outcome.of);
        let component = outcome.component.clone();
        let key = Key { component, action, result: result(&outcome.verdict), resource };
        if let Some(count) = self.of.get_mut(&key) {
            *count = count.saturating_add(1);
        } else if self.of.len() < MOST {
            self.of.insert(key, 1);
        }
    }

    /// All of them, as they are shown.
    pub(super) fn all(&self) -> Vec<ActionCount> {
        let shown = |(key, count): (&Key, &u64)| ActionCount {
            component: key.component.as_ref().map(ToString::to_string).unwrap_or_default(),
            resource: key.resource,
            action: key.action.to_owned(),
            result: key.result.to_owned(),
            count: *count,
        };
        self.of.iter().map(shown).collect()
    }
}

const fn has_only_begun(of: &OutcomeOf) -> bool {
    matches!(
        of,
        OutcomeOf::Unit { ended: false, .. }
            | OutcomeOf::Relief {
                means: Means::Tell { .. } | Means::TellOfLeak { .. } | Means::Restart { .. },
            }
    )
}

/// The word for what was done, and the resource that it is about.
const fn action(of: &OutcomeOf) -> (&'static str, Option<Resource>) {
    match of {
        OutcomeOf::Knob { knob, .. } => (knob.file(), Some(resource(*knob))),
        OutcomeOf::Process { .. } => ("move", None),
        OutcomeOf::Thread { .. } => ("schedule", Some(Resource::Cpu)),
        OutcomeOf::Group => ("prepare", None),
        OutcomeOf::Relief { means: Means::Reclaim { .. } } => ("reclaim", Some(Resource::Memory)),
        OutcomeOf::Relief { means: Means::Probe { .. } } => ("probe", Some(Resource::Memory)),
        OutcomeOf::Relief { means: Means::Kill { .. } } => ("kill", Some(Resource::Memory)),
        OutcomeOf::Hook { .. }
        | OutcomeOf::Relief { means: Means::Tell { .. } | Means::TellOfLeak { .. } } => {
            ("hook", Some(Resource::Memory))
        }
        OutcomeOf::Restart { .. } | OutcomeOf::Relief { means: Means::Restart { .. } } => {
            ("restart", Some(Resource::Memory))
        }
        OutcomeOf::Unit { job, .. } => (job.word(), Some(Resource::Cpu)),
    }
}

const fn resource(knob: KnobKind) -> Resource {
    match knob.controller() {
        Some(Controller::Cpu | Controller::Cpuset) => Resource::Cpu,
        Some(Controller::Io) => Resource::Io,
        Some(Controller::Pids) => Resource::Pids,
        // Standing still is the last but one rung for memory.
        Some(Controller::Memory) | None => Resource::Memory,
    }
}

const fn result(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Applied => "applied",
        Verdict::Clipped { .. } => "clipped",
        Verdict::Refused { .. } => "refused",
        Verdict::Gone => "gone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cycle::{State, step};
    use crate::model::Priority;
    use crate::testing::{add_home, carry_out, component, host, policy};
    use crate::units::{Bytes, Limit};

    #[test]
    fn each_outcome_is_counted_under_its_component_and_result() {
        let mut web = component("web", Priority::Normal);
        web.memory.ceiling = Limit::At(Bytes::mebi(256));
        let mut seen = host();
        add_home(&mut seen, &web, "system.slice/web.service");
        let first = step(&policy([web]), State::default(), &seen);
        let after = carry_out(&seen, &first.news.unwrap().plan.actions);
        let mut counts = Counts::default();
        for outcome in after.outcomes.iter().chain(&after.outcomes) {
            counts.add(outcome);
        }
        let ceiling = ActionCount {
            component: "web".to_owned(),
            resource: Some(Resource::Memory),
            action: "memory.max".to_owned(),
            result: "applied".to_owned(),
            count: 2,
        };
        assert!(counts.all().contains(&ceiling), "{:?}", counts.all());
        let refused = Verdict::Refused { errno: 13, advice: String::new() };
        counts.add(&Outcome { verdict: refused, ..after.outcomes[0].clone() });
        assert!(counts.all().iter().any(|one| (&*one.result, one.count) == ("refused", 1)));
    }
}
