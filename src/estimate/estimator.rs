//! The one entry to what the numbers mean: levels, and what each group and component uses, wants and waits for.

use crate::config::Policy;
use crate::model::{Bottleneck, Estimate, Levels, Need, Snapshot};
use crate::units::{CgroupPath, ComponentName, Tick};
use std::collections::BTreeMap;

/// What is remembered between two looks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Estimator {
    at: Tick,
    levels: Levels,
    alerts: Levels,
    groups: BTreeMap<CgroupPath, Need>,
    components: BTreeMap<ComponentName, ComponentState>,
}

/// What is known of one component.
#[derive(Debug, Clone, Default, PartialEq)]
struct ComponentState {
    need: Need,
    bottleneck: Bottleneck,
}

impl Estimator {
    /// Takes in one look. Allocates only for groups and components that were not there before. A second call with the same look
    /// changes nothing.
    pub fn update(&mut self, _policy: &Policy, seen: &Snapshot) {
        if seen.at == self.at {
            return;
        }
        self.at = seen.at;
    }

    /// How scarce each resource is for those who are protected.
    #[must_use]
    pub const fn levels(&self) -> Levels {
        self.levels
    }

    /// What the configured thresholds say of how much of the host is in use.
    #[must_use]
    pub const fn alerts(&self) -> Levels {
        self.alerts
    }

    /// What a component uses, wants and waits for, over all its homes; none while it has none.
    #[must_use]
    pub fn component(&self, name: &ComponentName) -> Option<&Need> {
        self.components.get(name).map(|state| &state.need)
    }

    /// What holds a component back most.
    #[must_use]
    pub fn bottleneck(&self, name: &ComponentName) -> Option<&Bottleneck> {
        self.components.get(name).map(|state| &state.bottleneck)
    }

    /// What one group uses, wants and waits for.
    #[must_use]
    pub fn group(&self, path: &CgroupPath) -> Option<&Need> {
        self.groups.get(path)
    }

    /// Everything, as it is recorded and shown.
    #[must_use]
    pub fn view(&self) -> Estimate {
        Estimate { at: self.at, ..Estimate::default() }
    }
}
