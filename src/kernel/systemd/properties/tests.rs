//! Properties and back again, and the exact D-Bus types that systemd expects.

use super::*;
use proptest::prelude::*;

const DISK: DeviceId = DeviceId { major: 8, minor: 0 };
const OTHER_DISK: DeviceId = DeviceId { major: 259, minor: 3 };

fn value<'a>(properties: &'a [Property], name: &str) -> &'a Value<'static> {
    let found = properties.iter().find(|(have, _)| *have == name);
    &found.unwrap_or_else(|| panic!("no {name}")).1
}

fn by_name(path: &str) -> Option<DeviceId> {
    let (major, minor) = path.strip_prefix("/dev/block/")?.split_once(':')?;
    Some(DeviceId { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// What systemd shows after it was sent `properties`.
fn shown(properties: Vec<Property>) -> BTreeMap<String, OwnedValue> {
    properties
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.try_into().unwrap()))
        .collect()
}

fn reads_back(knobs: &[Knob]) -> BTreeMap<KnobKind, Option<Knob>> {
    let kinds: Vec<KnobKind> = knobs.iter().map(Knob::kind).collect();
    believed(&kinds, &shown(properties(knobs)), &by_name)
}

fn reads_on(device: DeviceId, rbps: u64) -> Knob {
    let rbps = Limit::At(Bytes(rbps));
    Knob::IoMax(device, IoMax { rbps, ..IoMax::UNLIMITED }.into())
}

fn cpu_max(quota: u64, period: u64) -> Knob {
    Knob::CpuMax(CpuMax { quota: Limit::At(CpuTime(quota)), period: CpuTime(period) })
}

#[test]
fn values_have_the_types_that_systemd_expects() {
    let io = KnobKind::IoMax(DISK);
    let knobs: Vec<Knob> =
        KnobKind::SINGLE.into_iter().chain([io]).map(KnobKind::kernel_default).collect();
    let all = properties(&knobs);
    assert_eq!(all.len(), 15);
    for (name, value) in &all {
        let expected = match *name {
            "AllowedCPUs" => "ay",
            "IOReadBandwidthMax" | "IOWriteBandwidthMax" | "IOReadIOPSMax" | "IOWriteIOPSMax" => {
                "a(st)"
            }
            _ => "t",
        };
        assert_eq!(value.value_signature().to_string(), expected, "{name}");
    }
}

#[test]
fn cpus_are_bits_with_the_lowest_first() {
    let masks = [(vec![8], vec![0, 1]), (vec![0, 1, 3], vec![0b1011]), (vec![], vec![])];
    for (set, expected) in masks {
        let set = CpuSet::of(set);
        assert_eq!(mask(&set), expected);
        assert_eq!(cpus(&expected), set);
    }
    assert_eq!(cpus(&[0, 1, 0, 0]), CpuSet::of([8]), "trailing zeros mean nothing");
}

#[test]
fn a_quota_is_a_rate_and_a_period() {
    let sent = properties(&[cpu_max(50_000, 100_000)]);
    assert_eq!(value(&sent, "CPUQuotaPerSecUSec"), &Value::from(500_000u64));
    assert_eq!(value(&sent, "CPUQuotaPeriodUSec"), &Value::from(100_000u64));
    let free = properties(&[Knob::CpuMax(CpuMax::UNLIMITED)]);
    assert_eq!(value(&free, "CPUQuotaPerSecUSec"), &Value::from(u64::MAX));
}

#[test]
fn systemd_lengthens_the_period_of_a_tiny_quota() {
    // A hundredth of a CPU in 10 ms would be 100 us, below the kernel's 1 ms.
    assert_eq!(as_systemd_keeps(&cpu_max(100, 10_000)), cpu_max(1000, 100_000));
    let odd = Knob::CpuMax(CpuMax { quota: Limit::Max, period: CpuTime(50_000) });
    assert_eq!(as_systemd_keeps(&odd), Knob::CpuMax(CpuMax::UNLIMITED));
}

#[test]
fn devices_share_each_list() {
    let sent = properties(&[reads_on(DISK, 1_000_000), reads_on(OTHER_DISK, 7), reads_on(DISK, 5)]);
    assert_eq!(sent.len(), 4);
    let expected = vec![("/dev/block/259:3".to_owned(), 7u64), ("/dev/block/8:0".to_owned(), 5)];
    assert_eq!(value(&sent, "IOReadBandwidthMax"), &Value::from(expected));
    let none =
        vec![("/dev/block/259:3".to_owned(), u64::MAX), ("/dev/block/8:0".to_owned(), u64::MAX)];
    assert_eq!(value(&sent, "IOWriteIOPSMax"), &Value::from(none));
}

#[test]
fn the_last_of_two_values_counts() {
    let sent = properties(&[Knob::PidsMax(Limit::At(5)), Knob::PidsMax(Limit::At(6))]);
    assert_eq!(sent, [("TasksMax", Value::from(6u64))]);
}

#[test]
fn knobs_without_a_property_are_left_out() {
    assert!(properties(&[Knob::MemoryOomGroup(true), Knob::CpuMaxBurst(CpuTime(5))]).is_empty());
    let kinds = [KnobKind::MemoryOomGroup, KnobKind::CpuMaxBurst];
    assert!(unset(&kinds).is_empty());
    assert!(believed(&kinds, &BTreeMap::new(), &by_name).is_empty());
}

#[test]
fn what_is_unset_reads_as_not_set() {
    let kinds: Vec<KnobKind> = KnobKind::SINGLE
        .into_iter()
        .chain([KnobKind::IoMax(DISK)])
        .filter(|kind| !names(*kind).is_empty())
        .collect();
    let seen = believed(&kinds, &shown(unset(&kinds)), &by_name);
    assert_eq!(seen.len(), kinds.len());
    assert!(seen.values().all(Option::is_none), "{seen:?}");
}

#[test]
fn what_systemd_does_not_show_is_unknown() {
    let seen = believed(&[KnobKind::MemoryHigh, KnobKind::CpuMax], &BTreeMap::new(), &by_name);
    assert!(seen.is_empty());
}

#[test]
fn nought_is_an_idle_group() {
    let idle = Knob::CpuWeight(Weight::IDLE);
    assert_eq!(shown(properties(std::slice::from_ref(&idle)))["CPUWeight"], 0u64.into());
    assert_eq!(reads_back(std::slice::from_ref(&idle))[&KnobKind::CpuWeight], Some(idle));
}

#[test]
fn idle_weights_are_known_since_252() {
    for version in ["252.22-1~deb12u1", "252", "257.8-1", "261~rc1"] {
        assert!(knows_idle(version), "{version}");
    }
    for version in ["249.11-0ubuntu3", "251.4", "247", "", "v252"] {
        assert!(!knows_idle(version), "{version}");
    }
}

#[test]
fn devices_are_found_under_other_paths() {
    let present = shown(
        names(KnobKind::IoMax(DISK))
            .iter()
            .map(|name| (*name, vec![("/dev/sda".to_owned(), 4096u64)].into()))
            .collect(),
    );
    let device_of = |path: &str| (path == "/dev/sda").then_some(DISK);
    let seen = believed(&[KnobKind::IoMax(DISK)], &present, &device_of);
    let expected = IoMax {
        rbps: Limit::At(Bytes(4096)),
        wbps: Limit::At(Bytes(4096)),
        riops: Limit::At(4096),
        wiops: Limit::At(4096),
    };
    assert_eq!(seen[&KnobKind::IoMax(DISK)], Some(Knob::IoMax(DISK, expected.into())));
}

proptest! {
    /// The kernel's whole range: 1 ms up to a thousand CPUs, periods of 1 ms to 1 s.
    #[test]
    fn every_quota_survives_systemds_arithmetic(quota in 1000u64..1_000_000_000, period in 1000u64..=1_000_000) {
        let knob = cpu_max(quota, period);
        prop_assert_eq!(as_systemd_keeps(&knob), knob.clone());
        prop_assert_eq!(&reads_back(std::slice::from_ref(&knob))[&KnobKind::CpuMax], &Some(knob));
    }

    #[test]
    fn whatever_systemd_keeps_it_keeps_again(quota in 0u64.., period in 0u64..) {
        let once = as_systemd_keeps(&cpu_max(quota, period));
        prop_assert_eq!(as_systemd_keeps(&once), once);
    }

    #[test]
    fn masks_read_back(set in proptest::collection::btree_set(0u32..8192, 0..40)) {
        let set = CpuSet::of(set);
        prop_assert_eq!(cpus(&mask(&set)), set);
    }

    #[test]
    fn finite_limits_read_back(bytes in 1..u64::MAX, count in 1..u64::MAX, weight in 1u64..=10_000) {
        let limit = Limit::At(Bytes(bytes));
        let max = IoMax { rbps: limit, wbps: Limit::Max, riops: Limit::At(count), wiops: Limit::Max };
        let knobs = [
            Knob::CpuWeight(Weight::clamped(weight)),
            Knob::MemoryMin(limit),
            Knob::MemoryLow(limit),
            Knob::MemoryHigh(limit),
            Knob::MemoryMax(limit),
            Knob::MemorySwapMax(limit),
            Knob::IoMax(DISK, max.into()),
            Knob::IoMax(OTHER_DISK, max.into()),
            Knob::IoWeight(Weight::clamped(weight)),
            Knob::PidsMax(Limit::At(count)),
        ];
        let seen = reads_back(&knobs);
        prop_assert_eq!(seen.len(), knobs.len());
        for knob in knobs {
            prop_assert_eq!(&seen[&knob.kind()], &Some(knob));
        }
    }
}
