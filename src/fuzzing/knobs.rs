//! What the kernel and systemd show of a knob.

use crate::model::{Knob, KnobKind};
use crate::units::{Bytes, DeviceId};

const DISK: DeviceId = DeviceId { major: 8, minor: 0 };

/// The kinds of knobs, in the order in which a seed's first letter (`a`, `b`, …) names them.
fn kinds() -> impl Iterator<Item = KnobKind> {
    KnobKind::SINGLE.into_iter().chain([KnobKind::IoMax(DISK)])
}

/// The first byte names the knob, the rest is its file: what is read renders to what the kernel takes, and reads as the same.
///
/// # Panics
/// When this does not hold.
pub fn knobs(data: &[u8]) {
    let Some((first, text)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    let place = usize::from(first.wrapping_sub(b'a'));
    let Some(kind) = kinds().nth(place % kinds().count()) else {
        return;
    };
    match Knob::parse(kind, &text) {
        Ok(knob) => is_sound(&knob),
        Err(error) => assert!(error.text.chars().count() <= 200),
    }
}

/// Any values of any types as what systemd shows of a unit: what is believed of them is a knob that the kernel takes.
///
/// # Panics
/// When this does not hold.
pub fn properties(data: &[u8]) {
    let kinds: Vec<KnobKind> = kinds().collect();
    for knob in crate::kernel::systemd::believed_of_bytes(&kinds, data) {
        is_sound(&knob);
    }
}

fn is_sound(knob: &Knob) {
    let text = knob.render();
    assert!(kernel_takes(knob.kind(), &text), "{} does not take {text:?}", knob.kind());
    assert_eq!(Knob::parse(knob.kind(), &text).as_ref(), Ok(knob), "rendered as {text:?}");
    assert!(!knob.to_string().is_empty());
    let kept = knob.as_kernel_keeps(Bytes(4096));
    assert_eq!(kept.as_kernel_keeps(Bytes(4096)), kept);
    assert_eq!(Knob::parse(kept.kind(), &kept.render()), Ok(kept));
}

/// The grammar of each file and its range of numbers, as `Documentation/admin-guide/cgroup-v2.rst` has them.
fn kernel_takes(kind: KnobKind, text: &str) -> bool {
    let weight = |text: &str| number(text).is_some_and(|weight| (1..=10_000).contains(&weight));
    let milliseconds = |range: std::ops::RangeInclusive<u64>| {
        move |text: &str| number(text).is_some_and(|micros| range.contains(&micros))
    };
    match kind {
        // 0 goes to `cpu.idle`.
        KnobKind::CpuWeight => text == "0" || weight(text),
        KnobKind::IoBfqWeight => {
            text.parse().is_ok_and(|weight: u64| (1..=10_000).contains(&weight))
        }
        KnobKind::IoWeight => text.strip_prefix("default ").is_some_and(weight),
        KnobKind::CpuMax => text.split_once(' ').is_some_and(|(quota, period)| {
            let quota = quota == "max" || milliseconds(1000..=u64::MAX)(quota);
            quota && milliseconds(1000..=1_000_000)(period)
        }),
        KnobKind::CpuMaxBurst => number(text).is_some(),
        KnobKind::CpusetPartition => matches!(text, "member" | "root" | "isolated"),
        KnobKind::CpusetExclusive | KnobKind::CpusetCpus => {
            text.is_empty() || text.split(',').all(is_range)
        }
        KnobKind::MemoryMin
        | KnobKind::MemoryLow
        | KnobKind::MemoryHigh
        | KnobKind::MemoryMax
        | KnobKind::MemorySwapMax
        | KnobKind::PidsMax => is_limit(text),
        KnobKind::MemoryOomGroup | KnobKind::CgroupFreeze => matches!(text, "0" | "1"),
        KnobKind::IoMax(device) => {
            let mut words = text.split(' ');
            words.next() == Some(device.to_string().as_str())
                && words.all(|word| {
                    word.split_once('=').is_some_and(|(key, value)| {
                        ["rbps", "wbps", "riops", "wiops"].contains(&key) && is_limit(value)
                    })
                })
        }
    }
}

/// Plain digits: the kernel takes neither a sign nor white space inside.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_limit(text: &str) -> bool {
    text == "max" || number(text).is_some()
}

fn is_range(text: &str) -> bool {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    number(first).zip(number(last)).is_some_and(|(first, last)| first <= last && last < 8192)
}
