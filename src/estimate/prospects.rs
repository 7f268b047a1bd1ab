//! What is expected of components, as decisions read it: small copies of forecasts that still hold. Must not judge them, nor outlive them.
//!
//! **Problem.** Decisions belong to [`crate::cycle::State`], which is copied each step; the forecasters do not ([`super::Foresight`]).
//!
//! **Approach.** Before a look is decided on, whoever owns the forecasters lends what they say to this. What has no bound yet, and what looks
//! ahead to a time that is over, is not lent: then there is nothing here, and nothing is decided by it.
//!
//! **Properties**, each a test below: a forecast that is over or still learning is not here; the same forecasts lent again ask for no memory
//! (`tests/steady`).

use crate::model::{Each, Forecast, ForecastStage, Resource};
use crate::units::{ComponentName, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The forecasts that decisions may rest on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prospects {
    within: Span,
    components: BTreeMap<ComponentName, Each<Option<Forecast>>>,
}

impl Prospects {
    /// What is expected of a component; none where nothing is promised.
    #[must_use]
    pub fn of(&self, name: &ComponentName, resource: Resource) -> Option<&Forecast> {
        self.components.get(name)?.of(resource).as_ref()
    }

    /// What a component will need at most of each resource; none where nothing is promised.
    #[must_use]
    pub fn bounds(&self, name: &ComponentName) -> Each<Option<u64>> {
        let bound = |said: Option<Forecast>| said.map(|said| said.upper);
        self.components.get(name).map_or_else(Each::default, |said| Each {
            cpu: bound(said.cpu),
            memory: bound(said.memory),
            io: bound(said.io),
            pids: bound(said.pids),
        })
    }

    /// How far all of them look ahead.
    #[must_use]
    pub const fn within(&self) -> Span {
        self.within
    }

    /// Says from now on how far is looked ahead.
    pub const fn look_ahead(&mut self, within: Span) {
        self.within = within;
    }

    /// Takes in what is said of one component: what has no bound is left out.
    pub fn lend(&mut self, name: &ComponentName, said: Each<Option<Forecast>>) {
        let ready = |said: Option<Forecast>| said.filter(|said| said.stage == ForecastStage::Ready);
        let Each { cpu, memory, io, pids } = said;
        let said =
            Each { cpu: ready(cpu), memory: ready(memory), io: ready(io), pids: ready(pids) };
        if said == Each::default() {
            self.components.remove(name);
        } else if let Some(place) = self.components.get_mut(name) {
            *place = said;
        } else {
            self.components.insert(name.clone(), said);
        }
    }

    /// Forgets all that `keep` does not name.
    pub fn retain(&mut self, keep: impl Fn(&ComponentName) -> bool) {
        self.components.retain(|name, _| keep(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::forecast;

    #[test]
    fn what_is_still_learning_or_was_taken_back_is_not_here() {
        let name: ComponentName = "web".parse().unwrap();
        let ready = forecast((1, 2, 3), 90);
        let learning = Forecast { stage: ForecastStage::Learning, ..ready };
        let said = |cpu, memory| Each { cpu, memory, io: None, pids: None };
        let mut prospects = Prospects::default();
        prospects.lend(&name, said(Some(ready), Some(learning)));
        assert_eq!(prospects.of(&name, Resource::Cpu), Some(&ready));
        assert_eq!(prospects.of(&name, Resource::Memory), None);
        prospects.lend(&name, said(Some(learning), None));
        assert_eq!(prospects, Prospects::default());
        prospects.lend(&name, said(None, Some(ready)));
        prospects.retain(|_| false);
        assert_eq!(prospects, Prospects::default());
    }
}
