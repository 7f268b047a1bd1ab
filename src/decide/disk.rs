//! What yields leaves room on a disk: while protected components wait for one, `io.max` of the pool's homes follows what is left.
//!
//! **Problem.** On a disk without a scheduler that heeds weights, a writer of large blocks fills the queue, and who reads a little waits
//! behind it. `io.max` holds on every disk, but in bytes and operations per second, and what the disk can do is not known beforehand.
//!
//! **Approach.** Somebody waits, so the disk is busy: what all move over it now, or what it could do at such moments before, is what
//! there is to divide. The members get what the others and the headroom leave of it.
//!
//! **Terms.** *member*: a component that yields. *lane*: bytes read, bytes written, reads, or writes per second. *able*: what the
//! disk can do in a lane. *gain*: the wait fell by a fifth, or the protected do an eighth more operations, since the limits were lowered.
//!
//! **Algorithm.** A lane in which the members move a trifle is left alone. In the others `room = able - headroom - others`, by [`Cap`].
//! While somebody waits they fall by another fifth each [`TRIAL`], as long as that is a gain: who does nothing but read waits for the
//! disk all the time, however well it is served, and only what it gets tells. After [`FRUITLESS`] without a gain they fall no further, and
//! where there never was one they are lifted for [`GIVEN_UP_FOR`]. That must be: a limit on a writer can hold up the journal of a file
//! system that others wait for.
//!
//! On a disk that heeds weights they are to protect, which costs nobody what is free: there it takes level critical before anything is limited.
//!
//! **Properties.** Parts sum to at most the cap, but for the least that each gets; who never used the disk is no member; a disk that no
//! protected component uses is left alone.

use super::cap::{Cap, Recent, floor, room};
use super::fair::{Claim, divide_all};
use super::{homes, yielding};
use crate::config::{Component, Division, Policy};
use crate::estimate::Estimator;
use crate::model::{IoMax, IoRate, IoWeightBackend, Snapshot};
use crate::units::{Bytes, CgroupPath, DeviceId, Limit, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Somebody waits for a disk when all its tasks do for so many millionths of the time: where level warning ends.
const WAITS: u64 = 20_000;
/// So long a change is given to show itself: a full queue takes a while to drain.
const TRIAL: Span = Span::secs(3);
const FRUITLESS: u32 = 3;
const GIVEN_UP_FOR: Span = Span::secs(300);
/// Nobody is limited for the sake of less than this part of what the disk can do.
const TRIFLE_PERCENT: u64 = 5;
/// The least that a home gets in a lane: 1 MiB, or so many operations, a second.
const LEAST: [u64; LANES] = [1 << 20, 1 << 20, 16, 16];
const LANES: usize = 4;

type Lanes = [u64; LANES];

const UNLIMITED: Lanes = [u64::MAX; LANES];

/// The disks between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Disks(BTreeMap<DeviceId, Disk>);

/// One disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Disk {
    lanes: [Lane; LANES],
    /// There while any lane is limited.
    trial: Option<Trial>,
    given_up: Option<Tick>,
    /// What each member's home may move.
    parts: BTreeMap<CgroupPath, Lanes>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lane {
    all: Recent,
    others: Recent,
    /// What the disk could do when the limits began; what goes over it since says what the limits are.
    able: u64,
    cap: Option<Cap>,
}

/// What lowering the limits brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Trial {
    began: Tick,
    before: Plight,
    /// The sum over the looks since it began, and their number.
    sum: Plight,
    looks: u64,
    /// How many before it, in a row, were no gain.
    fruitless: u32,
    /// Whether any was.
    gained: bool,
}

/// How those fare who are protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Plight {
    /// How long the one waits that waits most, in millionths of the time.
    wait: u64,
    /// Operations on the disk per second.
    operations: u64,
}

/// What moves the limits in one look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Press {
    /// Whether protected components wait for a disk, or did a while ago.
    pub(super) pressed: bool,
    /// Whether they wait so long, or did a while ago, that weights do not help them.
    pub(super) badly: bool,
    /// The part of a disk that stays free, in percent.
    pub(super) headroom_percent: u64,
}

/// A home of a member with what it moves over one disk.
struct Member<'a> {
    component: &'a Component,
    home: &'a CgroupPath,
    moved: Lanes,
}

/// One look at one disk.
struct Moved {
    all: Lanes,
    members: Lanes,
    /// By protected components; none where none of them uses it.
    protected: Option<u64>,
}

impl Disks {
    /// Takes in one look. Whether a part changed. Allocates only when it does.
    pub(super) fn update(
        &mut self,
        policy: &Policy,
        estimator: &Estimator,
        seen: &Snapshot,
        press: Press,
    ) -> bool {
        let wait = wait(policy, estimator);
        let count = self.0.len();
        self.0.retain(|device, _| seen.host.disks.iter().any(|disk| disk.device == *device));
        let mut changed = self.0.len() != count;
        for disk in &seen.host.disks {
            let device = disk.device;
            let pressed = match disk.weights {
                IoWeightBackend::None => press.pressed,
                IoWeightBackend::Bfq | IoWeightBackend::IoCost => press.badly,
            };
            let press = Press { pressed, ..press };
            if !press.pressed && !self.0.contains_key(&device) {
                continue;
            }
            let Some(moved) = moved(policy, estimator, seen, device) else { continue };
            let disk = self.0.entry(device).or_default();
            disk.remember(&moved);
            let plight = Plight { wait, operations: moved.protected.unwrap_or_default() };
            let press = Press { pressed: press.pressed && moved.protected.is_some(), ..press };
            disk.learn(able(policy, estimator, device));
            if disk.step(press, plight, seen.at) {
                let members: Vec<Member<'_>> = members(policy, estimator, seen, device).collect();
                changed |= disk.divide(&members, policy.division);
            }
        }
        changed
    }

    /// What a home may move over a disk; none where it is not limited.
    #[must_use]
    pub(super) fn part(&self, home: &CgroupPath, device: DeviceId) -> Option<IoMax> {
        self.0.get(&device)?.parts.get(home).map(|lanes| io_max(*lanes))
    }
}

impl Disk {
    fn remember(&mut self, moved: &Moved) {
        for (lane, (all, members)) in
            self.lanes.iter_mut().zip(moved.all.into_iter().zip(moved.members))
        {
            lane.all.add(all);
            lane.others.add(all.saturating_sub(members));
        }
    }

    /// Takes in what the disk could do, as long as nothing is limited.
    fn learn(&mut self, able: Lanes) {
        if self.trial.is_none() {
            for (lane, able) in self.lanes.iter_mut().zip(able) {
                lane.able = able.max(lane.all.worst());
            }
        }
    }

    /// Moves the limits. Whether they are to be divided anew.
    fn step(&mut self, press: Press, plight: Plight, now: Tick) -> bool {
        let rests = self.given_up.is_some_and(|at| now.since(at) < GIVEN_UP_FOR);
        let press = Press { pressed: press.pressed && !rests, ..press };
        let Some(mut trial) = self.trial.or_else(|| press.pressed.then(|| Trial::new(plight, now)))
        else {
            return false;
        };
        let mut lower = false;
        if press.pressed {
            trial.add(plight);
            if now.since(trial.began) >= TRIAL {
                let (next, waits) = trial.next(now);
                lower = waits && next.fruitless < FRUITLESS;
                trial = next;
            }
        }
        if trial.fruitless >= FRUITLESS && !trial.gained {
            self.given_up = Some(now);
            return self.lift();
        }
        let mut moved = false;
        for lane in &mut self.lanes {
            moved |= lane.step(press, lower, now);
        }
        let limited = self.lanes.iter().any(|lane| lane.cap.is_some());
        self.trial = limited.then_some(trial);
        moved
    }

    /// Takes all limits off. Whether there were any.
    fn lift(&mut self) -> bool {
        self.trial = None;
        self.lanes.iter_mut().for_each(|lane| lane.cap = None);
        !self.parts.is_empty()
    }

    /// Divides what the lanes allow among the members. Whether anything changed.
    fn divide(&mut self, members: &[Member<'_>], division: Division) -> bool {
        let mut parts: Vec<Lanes> = vec![UNLIMITED; members.len()];
        for (lane, cap) in self.lanes.iter().map(|lane| lane.cap).enumerate() {
            let Some(cap) = cap else { continue };
            let claim = |member: &Member<'_>| {
                let part = self.parts.get(member.home).unwrap_or(&UNLIMITED);
                member.claim(lane, of(part, lane), cap.given)
            };
            let claims: Vec<Claim> = members.iter().map(claim).collect();
            for (part, given) in parts.iter_mut().zip(divide_all(cap.given, &claims, division)) {
                if let Some(part) = part.get_mut(lane) {
                    *part = given.max(of(&LEAST, lane));
                }
            }
        }
        let homes = members.iter().map(|member| member.home.clone());
        let fresh = homes.zip(parts).filter(|(_, lanes)| *lanes != UNLIMITED).collect();
        let had = std::mem::replace(&mut self.parts, fresh);
        had != self.parts
    }
}

impl Lane {
    /// Moves the cap. Whether it is to be divided anew.
    fn step(&mut self, press: Press, lower: bool, now: Tick) -> bool {
        let others = self.others.worst();
        let trifle = self.able / 100 * TRIFLE_PERCENT;
        let is_used = self.all.worst().saturating_sub(others) > trifle;
        if self.cap.is_none() && !(press.pressed && is_used) {
            return false;
        }
        let had = self.cap.unwrap_or(Cap::none(self.able, now));
        let room = press.pressed.then(|| room(self.able, press.headroom_percent, others));
        let lower_to = lower.then(|| floor(self.able));
        let cap = had.step(room, lower_to, self.able, now);
        self.cap = (press.pressed || cap.is_lower(self.able)).then_some(cap);
        cap.given != had.given || self.cap.is_none()
    }
}

impl Trial {
    const fn new(before: Plight, now: Tick) -> Self {
        let sum = Plight { wait: 0, operations: 0 };
        Self { began: now, before, sum, looks: 0, fruitless: 0, gained: false }
    }

    const fn add(&mut self, plight: Plight) {
        self.sum.wait = self.sum.wait.saturating_add(plight.wait);
        self.sum.operations = self.sum.operations.saturating_add(plight.operations);
        self.looks += 1;
    }

    /// The one after it, and whether somebody still waits.
    fn next(self, now: Tick) -> (Self, bool) {
        let looks = self.looks.max(1);
        let mean = Plight { wait: self.sum.wait / looks, operations: self.sum.operations / looks };
        let (gains, waits) = (mean.is_better_than(self.before), mean.wait >= WAITS);
        let fruitless = if gains || !waits { 0 } else { FRUITLESS.min(self.fruitless + 1) };
        let gained = self.gained || gains;
        (Self { fruitless, gained, ..Self::new(mean, now) }, waits)
    }
}

impl Plight {
    const fn is_better_than(self, before: Self) -> bool {
        self.wait.saturating_mul(5) <= before.wait.saturating_mul(4)
            || self.operations > before.operations.saturating_add(before.operations / 8)
    }
}

impl Member<'_> {
    /// Who moves less than nine tenths of its part wants a quarter more than it moves.
    fn claim(&self, lane: usize, part: u64, cap: u64) -> Claim {
        let moved = of(&self.moved, lane);
        let is_held = u128::from(moved) * 10 >= u128::from(part) * 9;
        let want = if is_held || part == u64::MAX { cap } else { moved.saturating_mul(5) / 4 };
        Claim {
            priority: self.component.priority,
            share_percent: self.component.share_percent,
            floor: of(&LEAST, lane),
            want,
            max: cap,
        }
    }
}

fn of(lanes: &Lanes, lane: usize) -> u64 {
    lanes.get(lane).copied().unwrap_or_default()
}

const fn lanes(rate: IoRate) -> Lanes {
    [rate.read.0, rate.write.0, rate.read_iops, rate.write_iops]
}

fn io_max([rbps, wbps, riops, wiops]: Lanes) -> IoMax {
    let limit = |rate| if rate == u64::MAX { Limit::Max } else { Limit::At(rate) };
    IoMax {
        rbps: limit(rbps).map(Bytes),
        wbps: limit(wbps).map(Bytes),
        riops: limit(riops),
        wiops: limit(wiops),
    }
}

/// What the disk can do: what was measured, else what was learned.
fn able(policy: &Policy, estimator: &Estimator, device: DeviceId) -> Lanes {
    let learned = lanes(estimator.able(device).unwrap_or_default());
    let measured = policy.able(device).map(lanes).unwrap_or_default();
    let mut able = learned;
    for (able, measured) in able.iter_mut().zip(measured).filter(|(_, measured)| *measured > 0) {
        *able = measured;
    }
    able
}

/// How long the protected component waits that waits most, of now: an average would still tell of it when it is over, and the limits
/// would fall on.
fn wait(policy: &Policy, estimator: &Estimator) -> u64 {
    let waits = policy.protected().filter_map(|one| estimator.disk_wait(&one.name));
    waits.max().map_or(0, |wait| u64::from(wait.get()))
}

/// What goes over a disk; none where what all move over it is not known.
fn moved(
    policy: &Policy,
    estimator: &Estimator,
    seen: &Snapshot,
    device: DeviceId,
) -> Option<Moved> {
    let all = over(estimator, &CgroupPath::root(), device)?;
    let mut sum = [0_u64; LANES];
    for member in members(policy, estimator, seen, device) {
        for (sum, moved) in sum.iter_mut().zip(member.moved) {
            *sum = sum.saturating_add(moved);
        }
    }
    let protected = homes(policy, seen).filter(|(one, ..)| one.priority.is_protected());
    let operations = protected.filter_map(|(_, home, _)| {
        let [_, _, reads, writes] = over(estimator, home.path(), device)?;
        Some(reads.saturating_add(writes))
    });
    let protected = operations.reduce(u64::saturating_add);
    Some(Moved { all, members: sum, protected })
}

fn over(estimator: &Estimator, group: &CgroupPath, device: DeviceId) -> Option<Lanes> {
    let disk = estimator.disks(group).iter().find(|disk| disk.device == device)?;
    Some(lanes(disk.rate))
}

/// Every home that yields and ever used the disk.
fn members<'a>(
    policy: &'a Policy,
    estimator: &'a Estimator,
    seen: &'a Snapshot,
    device: DeviceId,
) -> impl Iterator<Item = Member<'a>> {
    yielding(policy, seen).filter_map(move |(component, home, _)| {
        let home = home.path();
        let moved = over(estimator, home, device)?;
        Some(Member { component, home, moved })
    })
}

#[cfg(test)]
mod tests;
