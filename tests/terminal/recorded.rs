//! A folder with a recording, made as the daemon makes one: of a host with a service that waits now and then, and of a batch job that gives
//! way to it.

use provost::config::{Policy, PolicyText, Sources, load};
use provost::cycle::{News, State, rest, step};
use provost::daemon::capacity;
use provost::model::{
    Controller, Event, EventOf, GroupView, Home, HomeKind, HostView, KnobKind, Outcome, OutcomeOf,
    Reading, Snapshot, Topology, Usage, Verdict, Via,
};
use provost::record::{Batch, CameTo, Encoder, Look, Packer, Store, Which, pack_events};
use provost::units::{Bytes, CgroupId, CgroupPath, CgroupRef, CpuSet, CpuTime, Span, Tick};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// So many looks, a second apart.
pub(crate) const LOOKS: u64 = 200;
/// 2023-11-14 22:13:20.
const BEGAN: u64 = 1_700_000_000;
/// What the host's memory and its parts are multiples of.
const PAGE: Bytes = Bytes(4096);

const CONFIGURATION: &str = "mode = \"enforce\"\n\
    [component.web]\npriority = \"critical\"\nmatch = { unit = \"web.service\" }\nmemory.guarantee = \"256M\"\n\
    [component.batch]\npriority = \"low\"\nmatch = { unit = \"batch.service\" }\nmemory.ceiling = \"512M\"\n";

/// A folder that is removed in the end.
pub(crate) struct Recorded {
    pub(crate) folder: PathBuf,
}

impl Recorded {
    pub(crate) fn new(name: &str) -> Self {
        let recorded = Self::nothing(name);
        let mut life = Life::new(&recorded);
        (0..LOOKS).for_each(|look| life.turn(look));
        life.flush();
        recorded
    }

    /// A folder without a recording.
    pub(crate) fn nothing(name: &str) -> Self {
        let own = format!("provost-terminal-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(own);
        let _none = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// A ring that is being written.
struct Lane {
    which: Which,
    encoder: Encoder,
    batch: Batch,
}

struct Life {
    policy: Policy,
    state: State,
    seen: Snapshot,
    is_replanned: bool,
    store: Store,
    looks: Lane,
    events: Lane,
}

impl Life {
    fn new(recorded: &Recorded) -> Self {
        let mut seen = Snapshot::new(Tick::default().plus(Span::secs(100)), host());
        let sources = Sources::text("recorded", CONFIGURATION);
        let loaded = capacity(&seen.host, |capacity| load(&sources, capacity));
        let policy = loaded.unwrap().policy;
        for path in ["", "system.slice"] {
            add_group(&mut seen, &CgroupPath::new(path));
        }
        for name in policy.components.keys() {
            let path = CgroupPath::new(&format!("system.slice/{name}.service"));
            let id = add_group(&mut seen, &path);
            let kind = HomeKind::Unit { unit: path.name().to_owned() };
            let home = Home { at: CgroupRef { path, id }, kind };
            seen.homes.insert(name.clone(), vec![home]);
        }
        let lane = |which: Which| Lane { which, encoder: which.encoder(), batch: Batch::default() };
        Self {
            policy,
            state: State::default(),
            seen,
            is_replanned: false,
            store: Store::new(&recorded.folder, Bytes::mebi(10)),
            looks: lane(Which::Looks),
            events: lane(Which::Events),
        }
    }

    /// A second in which the service waits, every other half minute.
    fn turn(&mut self, look: u64) {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        let waits = if (look / 30).is_multiple_of(2) { 300_000 } else { 1_000 };
        for (path, view) in &mut self.seen.groups {
            let is_web = path.name() == "web.service";
            let usage = &mut view.usage;
            let used = usage.cpu.map_or(0, |cpu| cpu.0);
            usage.cpu = Some(CpuTime(used + if is_web { 90_000 } else { 1_500_000 }));
            usage.sensed_at = Some(self.seen.at);
            usage.memory = Some(Bytes::mebi(if is_web { 64 } else { 100 }));
            let psi = usage.cpu_psi.get_or_insert_default();
            let waited = if is_web { waits } else { 0 };
            psi.some.total_usec += waited;
            psi.full.total_usec += waited;
        }
        let before = look.is_multiple_of(90).then(|| self.state.clone());
        let mut news = None;
        if !rest(&self.policy, &mut self.state, &self.seen) {
            let stepped = step(&self.policy, std::mem::take(&mut self.state), &self.seen);
            (self.state, news) = (stepped.state, stepped.news);
        }
        self.record(BEGAN + look, before.as_ref(), news.as_ref());
        self.seen.outcomes.clear();
        if let Some(news) = news.filter(|news| !news.plan.is_empty()) {
            self.carry_out(BEGAN + look, &news);
        }
    }

    fn record(&mut self, wall_secs: u64, before: Option<&State>, news: Option<&News>) {
        let text = PolicyText::of(&self.policy, &self.seen.host);
        let look = Look {
            seen: &self.seen,
            is_anew: true,
            is_replanned: std::mem::take(&mut self.is_replanned),
            base: before.map(|before| (&text, before)),
            lent: before.map(|_| &self.state.prospects),
            news: news.map(|News { decision, plan, findings }| CameTo { decision, plan, findings }),
        };
        let mut packer = Packer::default();
        look.pack(&mut packer).unwrap();
        self.looks.batch.add(wall_secs, &mut self.looks.encoder, &packer);
        if self.looks.batch.len() == 30 {
            self.flush();
        }
    }

    /// The kernel takes everything as it is asked.
    fn carry_out(&mut self, wall_secs: u64, news: &News) {
        let mut happened = Vec::new();
        for action in &news.plan.actions {
            let view = self.seen.groups.get_mut(action.path()).unwrap();
            for change in action.changes() {
                let knob = change.new.kind();
                let held = change.new.as_kernel_keeps(PAGE);
                let original = view.knobs.insert(knob, Reading::Is(held));
                let of = OutcomeOf::Knob {
                    knob,
                    asked: change.new.clone(),
                    id: Some(view.id),
                    original: original.and_then(|original| original.value().cloned()),
                    passing: change.reason.is_passing(),
                };
                let outcome = Outcome {
                    at: self.seen.at.plus(Span::millis(500)),
                    component: change.component.clone(),
                    path: action.path().clone(),
                    of,
                    verdict: Verdict::Applied,
                    took: Span::millis(1),
                };
                let of = EventOf::Action {
                    outcome: Box::new(outcome.clone()),
                    old: change.old.value().cloned(),
                    reason: Some(change.reason.clone()),
                };
                happened.push(Event { at: outcome.at, wall_secs, of });
                self.seen.outcomes.push(outcome);
            }
        }
        self.seen.generation += 1;
        self.state.replan();
        self.is_replanned = true;
        let mut packer = Packer::default();
        pack_events(&happened, &mut packer).unwrap();
        self.events.batch.add(wall_secs, &mut self.events.encoder, &packer);
    }

    fn flush(&mut self) {
        let now = self.seen.at;
        for Lane { which, batch, .. } in [&mut self.looks, &mut self.events] {
            self.store.open(*which, now).unwrap();
            if !batch.is_empty() {
                self.store.write(*which, now, 0, batch).unwrap();
                batch.clear();
            }
        }
    }
}

fn host() -> HostView {
    let online = CpuSet::of([0, 1]);
    HostView {
        topology: Topology::flat(&online),
        online,
        memory: Bytes::mebi(2048),
        swap: Bytes::ZERO,
        page: PAGE,
        pid_max: 32_768,
        disks: Vec::new(),
        systemd: true,
        sched_ext: None,
        oomd: false,
        reclaim: true,
        rt_bounded: true,
        swap_rotates: false,
    }
}

/// A populated group with all that the kernel has for it when it is made.
fn add_group(seen: &mut Snapshot, path: &CgroupPath) -> CgroupId {
    let id = CgroupId(1000 + u64::try_from(seen.groups.len()).unwrap());
    let knobs: BTreeMap<KnobKind, Reading<_>> =
        KnobKind::SINGLE.map(|kind| (kind, Reading::Is(kind.kernel_default()))).into();
    let via = if path.is_unit() { Via::Unit(path.name().to_owned()) } else { Via::File };
    let view = GroupView {
        id,
        via,
        controllers: Reading::Is(Controller::ALL.into_iter().collect()),
        populated: true,
        knobs,
        usage: Usage::default(),
        unmanaged_weight: 0,
        holds_protected: false,
    };
    seen.groups.insert(path.clone(), view);
    id
}
