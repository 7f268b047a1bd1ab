//! R1, R2: what recording a cycle costs the loop and the writing thread, and how much room it takes.

use crate::counting::allocations;
use crate::measure::{Budget, Table, cost};
use crate::tree::policy;
use provost::config::PolicyText;
use provost::cycle::{State, rest, step};
use provost::kernel::host;
use provost::kernel::probe::Roots;
use provost::model::{
    Controller, GroupView, Home, HomeKind, IoCount, KnobKind, MemoryEvents, MemoryStat, Psi,
    PsiLine, Reading, Snapshot, Usage, Via,
};
use provost::record::{Batch, Encoder, Look, Packer, Press, Which};
use provost::units::{Bytes, CgroupId, CgroupPath, CgroupRef, CpuTime, DeviceId, Span, Tick};

/// So many quiet cycles are gathered before they are written.
const GATHERED: u64 = 30;
/// Ten minutes of looks.
const LOOKS: u64 = 600;
/// What the looks have of the budget of 10 MB.
const ROOM: f64 = 0.73 * 10.0 * 1024.0 * 1024.0;

/// Numbers that look like noise.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

pub(crate) fn run(table: &mut Table) {
    for (count, cost, room) in [
        (10, Budget::Shown, Budget::Shown),
        (100, Budget::Most(0.5), Budget::Most(1100.0)),
        (1000, Budget::Shown, Budget::Shown),
    ] {
        of(table, count, cost, room);
    }
}

fn of(table: &mut Table, count: u64, loop_budget: Budget, room_budget: Budget) {
    let mut seen = host_with(count);
    let mut noise = Noise(7);
    let (mut packer, mut encoder) = (Packer::default(), Which::Looks.encoder());
    let (mut batch, mut press) = (Batch::default(), Press::default());
    let mut bytes = 0;
    let mut asked = 0;
    for look in 0..LOOKS {
        goes_on(&mut seen, &mut noise, look);
        let more = allocations(|| record(&seen, look == 0, &mut packer, &mut encoder, &mut batch));
        asked += if look > 2 * GATHERED { more } else { 0 };
        if u64::from(batch.len()) == GATHERED {
            bytes += press.pack(&batch).len();
            batch.clear();
        }
    }
    let each = bytes as f64 / LOOKS as f64;
    let name = format!("bytes, a recorded look, {count} components");
    table.row("R2", &name, (0.0, each), room_budget);
    let name = format!("hours of looks in 10 MB, one a second, {count} components");
    table.row("", &name, (0.0, ROOM / each / 3600.0), Budget::Shown);
    let name = format!("allocations in {} looks, {count} components", LOOKS - 2 * GATHERED);
    table.row("", &name, (0.0, asked as f64), Budget::Shown);
    let packed = cost(|| {
        goes_on(&mut seen, &mut noise, 1);
        batch.clear();
        record(&seen, false, &mut packer, &mut encoder, &mut batch);
    });
    let changed = cost(|| goes_on(&mut seen, &mut noise, 1));
    let name = format!("ms, a look recorded, on the loop, {count} components");
    table.row("R1", &name, (0.0, (packed - changed).max(0.0) / 1e3), loop_budget);
    remembered(table, &seen, count);
    batch.clear();
    for _ in 0..GATHERED {
        goes_on(&mut seen, &mut noise, 1);
        record(&seen, false, &mut packer, &mut encoder, &mut batch);
    }
    let pressed = cost(|| {
        std::hint::black_box(press.pack(&batch).len());
    });
    let name = format!("ms, {GATHERED} looks compressed, on the thread, {count} components");
    table.row("", &name, (0.0, pressed / 1e3), Budget::Shown);
}

/// A look with what was remembered before it, as it is recorded every quarter of an hour.
fn remembered(table: &mut Table, seen: &Snapshot, count: u64) {
    let text: String = (0..count)
        .map(|number| {
            format!("[component.c{number:04}]\nmatch = {{ unit = \"c{number:04}.service\" }}\nmemory.ceiling = \"64M\"\n")
        })
        .collect();
    let policy = policy(&text);
    let mut seen = seen.clone();
    for component in policy.components.values() {
        let unit = format!("{}.service", component.name);
        let path = CgroupPath::new("system.slice").child(&unit);
        let id = seen.groups.get(&path).unwrap().id;
        let home = Home { at: CgroupRef { path, id }, kind: HomeKind::Unit { unit } };
        seen.homes.insert(component.name.clone(), vec![home]);
    }
    let mut state = step(&policy, State::default(), &seen).state;
    let mut noise = Noise(11);
    for look in 0..3600 {
        goes_on(&mut seen, &mut noise, look);
        let _rests = rest(&policy, &mut state, &seen);
    }
    let (mut packer, mut batch, mut press) =
        (Packer::default(), Batch::default(), Press::default());
    let mut base = || {
        let kept = state.clone();
        let text = PolicyText::of(&policy, &seen.host);
        let look = Look::<_, _, ()> {
            seen: &seen,
            is_anew: true,
            is_replanned: false,
            base: Some((&text, &kept)),
            lent: None,
            news: None,
        };
        look.pack(&mut packer).unwrap();
        batch.clear();
        batch.add(1_700_000_000, &mut Which::Looks.encoder(), &packer);
    };
    let took = cost(&mut base);
    let name = format!("ms, what is remembered (each 15 min), on the loop, {count} components");
    table.row("", &name, (0.0, took / 1e3), Budget::Shown);
    let kib = press.pack(&batch).len() as f64 / 1024.0;
    let name = format!("KiB, the same, {count} components");
    table.row("", &name, (0.0, kib), Budget::Shown);
}

pub(crate) fn record(
    seen: &Snapshot,
    is_anew: bool,
    packer: &mut Packer,
    encoder: &mut Encoder,
    batch: &mut Batch,
) {
    let look = Look::<(), (), ()> {
        seen,
        is_anew,
        is_replanned: false,
        base: None,
        lent: None,
        news: None,
    };
    look.pack(packer).unwrap();
    batch.add(1_700_000_000, encoder, packer);
}

/// A host with as many services, all of which do something.
pub(crate) fn host_with(count: u64) -> Snapshot {
    let mut seen = Snapshot::new(Tick(1_000_000_000), host::view(&Roots::host()));
    seen.generation = 1;
    let paths = (0..count).map(|number| format!("system.slice/c{number:04}.service"));
    for path in ["system.slice".to_owned()].into_iter().chain(paths) {
        add(&mut seen, CgroupPath::new(&path));
    }
    add(&mut seen, CgroupPath::root());
    seen
}

fn add(seen: &mut Snapshot, path: CgroupPath) {
    let id = CgroupId(1000 + u64::try_from(seen.groups.len()).unwrap());
    let line = PsiLine { total_usec: 1_000_000, avg10_centi: 0 };
    let psi = Some(Psi { some: line, full: line });
    let events = Some(MemoryEvents { high: 0, max: 0, oom_kill: 0 });
    let device = DeviceId { major: 8, minor: 0 };
    let io = IoCount { device, rbytes: 1 << 30, wbytes: 1 << 30, rios: 9000, wios: 9000 };
    let usage = Usage {
        cpu: Some(CpuTime(1_000_000_000)),
        throttled: Some(CpuTime(0)),
        memory: Some(Bytes::mebi(100)),
        swap: Some(Bytes(0)),
        pids: Some(12),
        forks_refused: Some(0),
        oom_kills: Some(0),
        memory_events: events,
        memory_stat: Some(MemoryStat { anon: Bytes::mebi(60), ..MemoryStat::default() }),
        io: Some(vec![io]),
        cpu_psi: psi,
        memory_psi: psi,
        io_psi: psi,
        ..Usage::default()
    };
    let via = Via::Unit(path.name().to_owned());
    let knobs = KnobKind::SINGLE.into_iter();
    let view = GroupView {
        id,
        via,
        controllers: Reading::Is(Controller::ALL.into_iter().collect()),
        populated: true,
        knobs: knobs.map(|kind| (kind, Reading::Is(kind.kernel_default()))).collect(),
        usage,
        unmanaged_weight: 0,
        holds_protected: false,
    };
    seen.groups.insert(path, view);
}

/// A second later: every group ran, a fifth took or gave memory and moved bytes, and a twentieth waited.
pub(crate) fn goes_on(seen: &mut Snapshot, noise: &mut Noise, look: u64) {
    seen.at = seen.at.plus(Span(1_000_000 + noise.below(300)));
    let at = seen.at;
    for (number, view) in (0..).zip(seen.groups.values_mut()) {
        let usage = &mut view.usage;
        usage.cpu = usage.cpu.map(|cpu| CpuTime(cpu.0 + 1000 + noise.below(9000)));
        let (is_fifth, is_sensed) = (noise.below(5) == 0, (number + look).is_multiple_of(2));
        if is_fifth {
            usage.memory = usage.memory.map(|memory| Bytes(memory.0 ^ (noise.below(64) << 12)));
        }
        if !is_sensed {
            continue;
        }
        usage.sensed_at = Some(at);
        if is_fifth {
            for io in usage.io.iter_mut().flatten() {
                io.wbytes += noise.below(64) << 12;
                io.wios += noise.below(64);
            }
            if let Some(stat) = &mut usage.memory_stat {
                stat.anon = Bytes(stat.anon.0 ^ (noise.below(64) << 12));
            }
        }
        if let Some(psi) = usage.cpu_psi.as_mut().filter(|_| noise.below(20) == 0) {
            psi.some.total_usec += noise.below(5000);
        }
    }
}
