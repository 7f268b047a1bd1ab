//! What is kept of the hour over a restart of the daemon: whole minutes, and what was chosen by them.
//!
//! The time between is unseen, and unseen minutes are none: so the hour goes on after a short absence and begins anew after a long one, as
//! if the daemon had been there and blind.

use super::{Auto, Autos, Choice, Hour, Minute, Why};
use crate::model::{LearntChoice, LearntDemand, LearntMinute};
use crate::units::{ComponentName, Millicpu, Tick};
use std::collections::BTreeMap;

impl Autos {
    /// When the last minute of any component ended of which there is something to keep; none where there is nothing.
    pub(in crate::decide) fn learnt_until(&self) -> Option<Tick> {
        let worth = self.components.values().filter(|auto| auto.is_worth_keeping());
        worth.map(|auto| auto.last_minute).max()
    }

    /// What is to be kept.
    pub(in crate::decide) fn learnt(&self) -> BTreeMap<ComponentName, LearntDemand> {
        let worth = self.components.iter().filter(|(_, auto)| auto.is_worth_keeping());
        worth.map(|(name, auto)| (name.clone(), auto.learnt())).collect()
    }

    /// Takes up what was kept, of components of which nothing is known yet.
    pub(in crate::decide) fn recall(&mut self, learnt: &BTreeMap<ComponentName, LearntDemand>) {
        for (name, demand) in learnt {
            self.components.entry(name.clone()).or_insert_with(|| Auto::recalled(demand));
        }
    }
}

impl Auto {
    pub(super) const fn is_worth_keeping(&self) -> bool {
        let is_chosen = self.choice.is_some() && !matches!(self.why, Why::Unprotected);
        self.at.is_some() && (self.hour.count > 0 || is_chosen)
    }

    pub(super) fn learnt(&self) -> LearntDemand {
        let minute = |minute: &Minute| LearntMinute {
            demand: Millicpu(minute.demand),
            usage: Millicpu(minute.usage),
            others: Millicpu(minute.others),
        };
        let mut minutes: Vec<LearntMinute> = self.hour.last(self.hour.count).map(minute).collect();
        minutes.reverse();
        LearntDemand {
            minutes,
            until: self.last_minute,
            judged_at: self.judged_at.map(|at| at.min(self.last_minute)),
            changed_at: self.changed_at.map(|at| at.min(self.last_minute)),
            minutes_of_size: u32::try_from(self.minutes_of_size).unwrap_or(u32::MAX),
            choice: self.choice.map(LearntChoice::from),
        }
    }

    pub(super) fn recalled(learnt: &LearntDemand) -> Self {
        let mut hour = Hour::default();
        for minute in &learnt.minutes {
            let (demand, usage, others) = (minute.demand.0, minute.usage.0, minute.others.0);
            hour.push(Minute { demand, usage, others });
        }
        let choice = learnt.choice.map(Choice::from);
        Self {
            hour,
            at: Some(learnt.until),
            minute_began: learnt.until,
            last_minute: learnt.until,
            judged_at: learnt.judged_at,
            changed_at: learnt.changed_at,
            minutes_of_size: usize::try_from(learnt.minutes_of_size).unwrap_or(usize::MAX),
            choice,
            why: if choice.is_some() { Why::Recalled } else { Why::Learning },
            ..Self::default()
        }
    }
}

impl From<Choice> for LearntChoice {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Shared => Self::Shared,
            Choice::Own { cpus, balanced } => {
                Self::Own { cpus: u32::try_from(cpus).unwrap_or(u32::MAX), balanced }
            }
        }
    }
}

impl From<LearntChoice> for Choice {
    fn from(choice: LearntChoice) -> Self {
        match choice {
            LearntChoice::Shared => Self::Shared,
            LearntChoice::Own { cpus, balanced } => {
                Self::Own { cpus: usize::try_from(cpus).unwrap_or(usize::MAX), balanced }
            }
        }
    }
}
