//! What `provost strategy` chose: remembered over restarts, and laid over the configuration.

use super::instance::{Paths, replace};
use crate::config::{Policy, Strategy};
use crate::model::UnknownComponent;
use crate::units::ComponentName;
use std::collections::BTreeMap;
use std::path::PathBuf;
use thiserror::Error;

/// Strategies that win over the configured ones, with what they took the place of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// What the daemon was started with; it is not remembered.
    started: Option<Strategy>,
    whole: Option<Strategy>,
    components: BTreeMap<ComponentName, Strategy>,
    /// What is configured, where something else is laid over it.
    beneath: Beneath,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Beneath {
    whole: Option<Strategy>,
    components: BTreeMap<ComponentName, Option<Strategy>>,
}

/// Why a component has no strategy to choose.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CannotChoose {
    /// Nobody knows it.
    #[error(transparent)]
    Unknown(UnknownComponent),
    /// Nobody makes room for it.
    #[error(
        "nobody makes room for \"{name}\", so its strategy would have no effect: its priority is below \"high\""
    )]
    Unheard {
        /// The name.
        name: ComponentName,
    },
}

impl Chosen {
    /// What was chosen before, and what the daemon is started with.
    #[must_use]
    pub fn read(paths: &Paths, started: Option<Strategy>) -> Self {
        // Without the file nothing was chosen; a line that makes no sense is as if it were not there.
        let text = std::fs::read_to_string(file(paths)).unwrap_or_default();
        let mut chosen = Self { started, ..Self::default() };
        for line in text.lines() {
            match line.split_once(' ') {
                None => chosen.whole = Strategy::of_word(line).or(chosen.whole),
                Some((name, word)) => {
                    if let (Ok(name), Some(strategy)) = (name.parse(), Strategy::of_word(word)) {
                        chosen.components.insert(name, strategy);
                    }
                }
            }
        }
        chosen
    }

    /// Remembers it for the next start.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn write(&self, paths: &Paths) -> std::io::Result<()> {
        std::fs::create_dir_all(&paths.state)?;
        let whole = self.whole.map(|strategy| format!("{}\n", strategy.word()));
        let components =
            self.components.iter().map(|(name, strategy)| format!("{name} {}\n", strategy.word()));
        let text: String = whole.into_iter().chain(components).collect();
        replace(&file(paths), &text)
    }

    /// Chooses for all that have no other; none goes back to what is configured.
    pub const fn choose(&mut self, strategy: Option<Strategy>) {
        self.started = None;
        self.whole = strategy;
    }

    /// Chooses for one component; none goes back to what is configured.
    ///
    /// # Errors
    /// [`CannotChoose`] when the policy has no such component, or nobody makes room for it.
    pub fn choose_for(
        &mut self,
        policy: &Policy,
        name: &ComponentName,
        strategy: Option<Strategy>,
    ) -> Result<(), CannotChoose> {
        let Some(strategy) = strategy else {
            self.components.remove(name);
            return Ok(());
        };
        let Some(found) = policy.components.get(name) else {
            let unknown = UnknownComponent::new(name, policy.components.keys());
            return Err(CannotChoose::Unknown(unknown));
        };
        if !found.priority.is_protected() {
            return Err(CannotChoose::Unheard { name: name.clone() });
        }
        self.components.insert(name.clone(), strategy);
        Ok(())
    }

    /// Puts what was chosen into a policy as it is configured.
    pub fn lay_over(&mut self, policy: &mut Policy) {
        self.beneath = Beneath::default();
        if let Some(strategy) = self.started.or(self.whole) {
            self.beneath.whole = Some(std::mem::replace(&mut policy.strategy, strategy));
        }
        for (name, strategy) in &self.components {
            if let Some(component) = policy.components.get_mut(name) {
                let before = component.strategy.replace(*strategy);
                self.beneath.components.insert(name.clone(), before);
            }
        }
    }

    /// Takes what was laid over it off the policy.
    pub fn lift(&mut self, policy: &mut Policy) {
        let beneath = std::mem::take(&mut self.beneath);
        policy.strategy = beneath.whole.unwrap_or(policy.strategy);
        for (name, strategy) in beneath.components {
            if let Some(component) = policy.components.get_mut(&name) {
                component.strategy = strategy;
            }
        }
    }

    /// What is configured for all, where another strategy was chosen.
    #[must_use]
    pub const fn instead_of(&self) -> Option<Strategy> {
        self.beneath.whole
    }
}

fn file(paths: &Paths) -> PathBuf {
    paths.state.join("strategy")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Priority;
    use crate::testing::{component, policy};

    fn name(name: &str) -> ComponentName {
        name.parse().unwrap()
    }

    #[test]
    fn what_was_chosen_is_laid_over_and_lifted() {
        let mut plain = policy([component("web", Priority::High), component("job", Priority::Low)]);
        let mut chosen = Chosen::default();
        chosen.choose(Some(Strategy::Aggressive));
        chosen.choose_for(&plain, &name("web"), Some(Strategy::Conservative)).unwrap();
        chosen.lay_over(&mut plain);
        assert_eq!(plain.strategy, Strategy::Aggressive);
        assert_eq!(plain.components["web"].strategy, Some(Strategy::Conservative));
        assert_eq!(chosen.instead_of(), Some(Strategy::Balanced));
        chosen.lift(&mut plain);
        assert_eq!(plain.strategy, Strategy::Balanced);
        assert_eq!(plain.components["web"].strategy, None);
        chosen.choose(None);
        chosen.choose_for(&plain, &name("web"), None).unwrap();
        chosen.lay_over(&mut plain);
        assert_eq!((plain.strategy, chosen.instead_of()), (Strategy::Balanced, None));
        assert_eq!(plain.components["web"].strategy, None);
    }

    #[test]
    fn only_for_whom_others_make_room() {
        let policy = policy([component("web", Priority::High), component("job", Priority::Low)]);
        let mut chosen = Chosen::default();
        let mut told = |component| {
            let strategy = Some(Strategy::Adaptive);
            chosen.choose_for(&policy, &name(component), strategy).unwrap_err().to_string()
        };
        assert_eq!(told("db"), "no component \"db\"; the configuration has: job, web");
        assert!(told("job").contains("below \"high\""));
        assert_eq!(chosen, Chosen::default());
    }

    #[test]
    fn it_is_remembered_but_for_what_the_daemon_was_started_with() {
        let state = std::env::temp_dir().join(format!("provost-chosen-{}", std::process::id()));
        let paths = Paths { run: state.clone(), state };
        let mut plain = policy([component("web", Priority::High)]);
        let mut chosen = Chosen::read(&paths, Some(Strategy::Adaptive));
        chosen.choose_for(&plain, &name("web"), Some(Strategy::Aggressive)).unwrap();
        chosen.write(&paths).unwrap();
        chosen.lay_over(&mut plain);
        assert_eq!(plain.strategy, Strategy::Adaptive);
        chosen.lift(&mut plain);
        Chosen::read(&paths, None).lay_over(&mut plain);
        assert_eq!(plain.strategy, Strategy::Balanced);
        assert_eq!(plain.components["web"].strategy, Some(Strategy::Aggressive));
        std::fs::write(paths.state.join("strategy"), "fast\nconservative\nweb fast\nx y z\n")
            .unwrap();
        let mut read = Chosen::read(&paths, None);
        read.lay_over(&mut plain);
        assert_eq!(plain.strategy, Strategy::Conservative);
        assert!(read.components.is_empty());
        std::fs::remove_dir_all(&paths.state).unwrap();
    }
}
