//! Knobs parse what the kernel prints, and render what it accepts.

use super::*;
use proptest::prelude::*;

const DISK: DeviceId = DeviceId { major: 8, minor: 0 };

#[test]
fn reads_what_the_kernel_prints() {
    let cases = [
        (KnobKind::CpuWeight, "100\n", Knob::CpuWeight(Weight::DEFAULT)),
        (KnobKind::CpuMax, "max 100000\n", Knob::CpuMax(CpuMax::UNLIMITED)),
        (KnobKind::IoWeight, "default 100\n8:0 300\n", Knob::IoWeight(Weight::DEFAULT)),
        (KnobKind::MemoryHigh, "max\n", Knob::MemoryHigh(Limit::Max)),
        (KnobKind::MemoryLow, "4096\n", Knob::MemoryLow(Limit::At(Bytes(4096)))),
        (KnobKind::CpusetCpus, "\n", Knob::CpusetCpus(CpuSet::default())),
        (KnobKind::IoMax(DISK), "", Knob::IoMax(DISK, IoMax::UNLIMITED.into())),
        (
            KnobKind::IoMax(DISK),
            "254:0 rbps=1 wbps=2 riops=3 wiops=4\n8:0 rbps=max wbps=1048576 riops=max wiops=120\n",
            Knob::IoMax(
                DISK,
                IoMax {
                    wbps: Limit::At(Bytes::mebi(1)),
                    wiops: Limit::At(120),
                    ..IoMax::UNLIMITED
                }
                .into(),
            ),
        ),
    ];
    for (kind, text, knob) in cases {
        assert_eq!(Knob::parse(kind, text), Ok(knob), "{text}");
    }
}

#[test]
fn a_newer_kernel_s_words_in_io_max_change_nothing() {
    let plain = Knob::parse(KnobKind::IoMax(DISK), "8:0 rbps=1 wbps=max riops=max wiops=max");
    for newer in ["burst=on", "burst=1,2", "burst"] {
        let text = format!("8:0 rbps=1 {newer} wbps=max riops=max wiops=max\n");
        assert_eq!(Knob::parse(KnobKind::IoMax(DISK), &text), plain, "{text}");
    }
    assert!(Knob::parse(KnobKind::IoMax(DISK), "8:0 rbps wbps=max").is_err());
}

#[test]
fn a_quota_that_the_kernel_would_not_take_back_is_not_read() {
    for text in ["max 0", "0 100000", "999 100000", "50000 999", "50000 1000001"] {
        assert!(Knob::parse(KnobKind::CpuMax, text).is_err(), "{text}");
    }
    for text in ["1000 1000", "max 1000000", "150000", "max"] {
        assert!(Knob::parse(KnobKind::CpuMax, text).is_ok(), "{text}");
    }
}

#[test]
fn an_unreadable_text_names_the_knob() {
    let error = Knob::parse(KnobKind::MemoryMax, "lots").unwrap_err();
    assert_eq!(error.to_string(), "cannot read \"lots\" as memory.max");
}

#[test]
fn io_limits_are_rendered_without_suffixes() {
    let max = IoMax { rbps: Limit::At(Bytes::mebi(1)), ..IoMax::UNLIMITED };
    let knob = Knob::IoMax(DISK, max.into());
    assert_eq!(knob.render(), "8:0 rbps=1048576 wbps=max riops=max wiops=max");
}

#[test]
fn a_reading_is_small() {
    assert_eq!(size_of::<crate::model::Reading<Knob>>(), 32, "there are sixteen of each group");
}

fn any_limit() -> impl Strategy<Value = Limit<u64>> {
    prop_oneof![any::<u64>().prop_map(Limit::At), Just(Limit::Max)]
}

fn any_knob() -> impl Strategy<Value = Knob> {
    let bytes = || any_limit().prop_map(|limit| limit.map(Bytes));
    prop_oneof![
        (0u64..=10_000).prop_map(|weight| Knob::CpuWeight(Weight::of_cpu(weight))),
        (1u64..=10_000).prop_map(|weight| Knob::IoWeight(Weight::clamped(weight))),
        (1u64..=1000).prop_map(|weight| Knob::IoBfqWeight(Weight::clamped(weight))),
        (any_limit(), 1000u64..=1_000_000).prop_map(|(quota, period)| {
            let quota = quota.map(|quota| CpuTime(quota.max(1000)));
            Knob::CpuMax(CpuMax { quota, period: CpuTime(period) })
        }),
        any::<u64>().prop_map(|burst| Knob::CpuMaxBurst(CpuTime(burst))),
        proptest::collection::vec(0u32..128, 0..20)
            .prop_map(|cpus| Knob::CpusetCpus(CpuSet::of(cpus))),
        bytes().prop_map(Knob::MemoryMin),
        proptest::sample::select(&Partition::ALL[..])
            .prop_map(|partition| Knob::CpusetPartition(partition, Validity::Valid)),
        proptest::collection::vec(0u32..128, 0..20)
            .prop_map(|cpus| Knob::CpusetExclusive(CpuSet::of(cpus))),
        bytes().prop_map(Knob::MemoryMax),
        bytes().prop_map(Knob::MemorySwapMax),
        any::<bool>().prop_map(Knob::MemoryOomGroup),
        any::<bool>().prop_map(Knob::CgroupFreeze),
        (bytes(), bytes(), any_limit(), any_limit()).prop_map(|(rbps, wbps, riops, wiops)| {
            Knob::IoMax(DISK, IoMax { rbps, wbps, riops, wiops }.into())
        }),
        any_limit().prop_map(Knob::PidsMax),
    ]
}

proptest! {
    #[test]
    fn every_rendered_knob_parses_back(knob in any_knob()) {
        prop_assert_eq!(Knob::parse(knob.kind(), &knob.render()), Ok(knob));
    }

    #[test]
    fn a_rendered_knob_is_plain_text(knob in any_knob()) {
        let text = knob.render();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || " =:,-".contains(c);
        prop_assert!(text.chars().all(plain), "{}", text);
    }

    #[test]
    fn parsing_never_panics(text in "(?s).{0,80}") {
        for kind in KnobKind::SINGLE.into_iter().chain([KnobKind::IoMax(DISK)]) {
            let _parsed = Knob::parse(kind, &text);
        }
    }
}
