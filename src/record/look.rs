//! What one cycle saw, decided and was told, as sections. Must not judge it.
//!
//! **Approach.** Of a steady look only what moves is packed: the moment and what each group uses. All else is packed when the look's
//! generation says that it differs, when the cycle had news, or when it is needed to begin from: a *base* holds the policy and what the
//! cycle remembered before the look, so that a replay may begin there. How they are read again is in `record/recording.rs`.

use super::delta::ONCE;
use super::pack::{PackError, Packer};
use crate::model::{
    Controller, Decision, FileSystem, Finding, Held, HostLoad, Knob, KnobKind, LadderView,
    Placement, Plan, Reading, RealtimeView, Relief, Resource, Snapshot, ThreadTarget, UnitJob, Via,
};
use crate::units::{CgroupId, CgroupPath, ComponentName, Millicpu, Tick};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What a section is of. The numbers are in the files: none is used for something else, ever.
pub(super) mod kind {
    pub(crate) const MOMENT: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const HOST: u8 = 3;
    pub(crate) const GROUP: u8 = 4;
    pub(crate) const BOUND: u8 = 5;
    pub(crate) const PENDING: u8 = 6;
    pub(crate) const REALTIME: u8 = 7;
    pub(crate) const LENT: u8 = 8;
    pub(crate) const DECISION: u8 = 9;
    pub(crate) const TARGET: u8 = 10;
    pub(crate) const PLAN: u8 = 11;
    pub(crate) const FINDING: u8 = 12;
    pub(crate) const POLICY: u8 = super::ONCE;
    pub(crate) const STATE: u8 = super::ONCE + 1;
    pub(crate) const OUTCOME: u8 = super::ONCE + 2;
}

/// What a cycle came to, to be recorded.
#[derive(Debug, Clone, Copy)]
pub struct CameTo<'a> {
    /// What was wanted and why.
    pub decision: &'a Decision,
    /// What was to be done.
    pub plan: &'a Plan,
    /// What a person should know.
    pub findings: &'a [Finding],
}

/// What a cycle saw and came to, to be recorded. `P` is the policy, `S` what was remembered, `L` what was lent.
#[derive(Debug)]
pub struct Look<'a, P, S, L> {
    /// What was seen.
    pub seen: &'a Snapshot,
    /// Whether anything but usage may differ from the look that was recorded before.
    pub is_anew: bool,
    /// Whether it was made to plan though nothing changed.
    pub is_replanned: bool,
    /// The policy and what was remembered before, where a replay may begin.
    pub base: Option<(&'a P, &'a S)>,
    /// What was lent, where it differs from what was lent before.
    pub lent: Option<&'a L>,
    /// What came of it, if anything.
    pub news: Option<CameTo<'a>>,
}

/// What differs at every look.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Moment<'a> {
    pub(super) at: Tick,
    pub(super) generation: u64,
    pub(super) load: HostLoad,
    pub(super) filesystems: Cow<'a, [FileSystem]>,
    pub(super) alarms: Cow<'a, BTreeSet<Resource>>,
    pub(super) waiting: Cow<'a, BTreeSet<Resource>>,
    pub(super) is_replanned: bool,
    pub(super) has_news: bool,
}

/// A group without what it uses.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Group<'a> {
    pub(super) path: Cow<'a, CgroupPath>,
    pub(super) id: CgroupId,
    pub(super) via: Cow<'a, Via>,
    pub(super) controllers: Cow<'a, Reading<BTreeSet<Controller>>>,
    pub(super) populated: bool,
    pub(super) knobs: Cow<'a, BTreeMap<KnobKind, Reading<Knob>>>,
    pub(super) unmanaged_weight: u64,
    pub(super) holds_protected: bool,
}

/// A decision without its targets, of which each is a section of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Decided<'a> {
    pub(super) placements: Cow<'a, [Placement]>,
    pub(super) held: Cow<'a, [Held]>,
    pub(super) entitlement: Cow<'a, BTreeMap<ComponentName, Millicpu>>,
    pub(super) reliefs: Cow<'a, [Relief]>,
    pub(super) jobs: Cow<'a, [UnitJob]>,
    pub(super) ladder: Cow<'a, Option<LadderView>>,
    pub(super) sharing: Cow<'a, BTreeMap<ComponentName, String>>,
    pub(super) unparted: Cow<'a, BTreeMap<ComponentName, String>>,
    pub(super) threads: Cow<'a, [ThreadTarget]>,
    pub(super) realtime: Cow<'a, BTreeMap<ComponentName, RealtimeView>>,
}

impl<P: Serialize, S: Serialize, L: Serialize> Look<'_, P, S, L> {
    /// Packs it. Asks for no memory where nothing differs but usage, once the packer has grown.
    ///
    /// # Errors
    /// [`PackError`] for what no section can hold.
    pub fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.clear();
        self.moment(packer)?;
        for group in self.seen.groups.values() {
            packer.section(kind::USAGE, &group.usage)?;
        }
        packer.section(kind::REALTIME, &self.seen.realtime)?;
        if self.is_anew || self.base.is_some() {
            self.rest(packer)?;
        }
        if let Some(lent) = self.lent {
            packer.section(kind::LENT, lent)?;
        }
        if let Some((policy, state)) = self.base {
            packer.section(kind::POLICY, policy)?;
            packer.section(kind::STATE, state)?;
        }
        self.news.map_or(Ok(()), |news| news.pack(packer))
    }

    fn moment(&self, packer: &mut Packer) -> Result<(), PackError> {
        let seen = self.seen;
        let moment = Moment {
            at: seen.at,
            generation: seen.generation,
            load: seen.load,
            filesystems: Cow::Borrowed(&seen.filesystems),
            alarms: Cow::Borrowed(&seen.alarms),
            waiting: Cow::Borrowed(&seen.waiting),
            is_replanned: self.is_replanned,
            has_news: self.news.is_some(),
        };
        packer.section(kind::MOMENT, &moment)
    }

    fn rest(&self, packer: &mut Packer) -> Result<(), PackError> {
        let seen = self.seen;
        packer.section(kind::HOST, &seen.host)?;
        for (path, view) in &seen.groups {
            let group = Group {
                path: Cow::Borrowed(path),
                id: view.id,
                via: Cow::Borrowed(&view.via),
                controllers: Cow::Borrowed(&view.controllers),
                populated: view.populated,
                knobs: Cow::Borrowed(&view.knobs),
                unmanaged_weight: view.unmanaged_weight,
                holds_protected: view.holds_protected,
            };
            packer.section(kind::GROUP, &group)?;
        }
        packer.section(kind::BOUND, &(&seen.homes, &seen.strays, &seen.refused))?;
        packer.section(kind::PENDING, &(&seen.pending, seen.reloaded_at))?;
        seen.outcomes.iter().try_for_each(|outcome| packer.section(kind::OUTCOME, outcome))
    }
}

impl CameTo<'_> {
    fn pack(self, packer: &mut Packer) -> Result<(), PackError> {
        let Decision {
            placements,
            targets,
            held,
            entitlement,
            reliefs,
            jobs,
            ladder,
            sharing,
            unparted,
            threads,
            realtime,
        } = self.decision;
        let decided = Decided {
            placements: Cow::Borrowed(placements),
            held: Cow::Borrowed(held),
            entitlement: Cow::Borrowed(entitlement),
            reliefs: Cow::Borrowed(reliefs),
            jobs: Cow::Borrowed(jobs),
            ladder: Cow::Borrowed(ladder),
            sharing: Cow::Borrowed(sharing),
            unparted: Cow::Borrowed(unparted),
            threads: Cow::Borrowed(threads),
            realtime: Cow::Borrowed(realtime),
        };
        packer.section(kind::DECISION, &decided)?;
        each(packer, kind::TARGET, targets)?;
        packer.section(kind::PLAN, self.plan)?;
        each(packer, kind::FINDING, self.findings)
    }
}

/// A section for each; an empty one where there is none, so that those before are not taken for them.
pub(super) fn each<T: Serialize>(
    packer: &mut Packer,
    kind: u8,
    values: &[T],
) -> Result<(), PackError> {
    if values.is_empty() {
        return packer.section(kind, &());
    }
    values.iter().try_for_each(|value| packer.section(kind, value))
}
