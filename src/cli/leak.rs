//! Memory that grows without end, as `provost explain` tells it: how fast, until when, and why that is believed.

use super::render::{COLUMNS, wrap};
use crate::model::{Leak, LeakLimit, LeakTier};
use crate::units::{Span, Tick};

/// What stands before the first line, and room of the same width.
const HEAD: &str = "  leak    ";

pub(super) fn text(leak: &Leak, now: Tick) -> String {
    let mut out = String::new();
    let both = [told(leak, now), believed(leak)];
    let lines = both.iter().flat_map(|words| wrap(words, COLUMNS - HEAD.len()));
    for (number, line) in lines.enumerate() {
        let head = if number == 0 { HEAD } else { "" };
        out.push_str(&format!("{head:width$}{line}\n", width = HEAD.len()));
    }
    out
}

fn told(leak: &Leak, now: Tick) -> String {
    let (limit, whose) = match leak.limit {
        LeakLimit::Own(limit) => (limit, "its limit"),
        LeakLimit::Host(room) => (room, "what the host has for components"),
    };
    let alike = match leak.tier {
        LeakTier::Confirmed => "; the two runs before it grew alike",
        LeakTier::Growth => "; no alert, since it may well end before that",
        LeakTier::Slow | LeakTier::Suspected | LeakTier::Fast => "",
    };
    format!(
        "{} for {}: {} now, {} more each hour; {limit} ({whose}) is reached in {}{alike}",
        leak.tier,
        minutes(now.since(leak.since)),
        leak.held,
        leak.per_hour,
        minutes(leak.until_limit)
    )
}

fn believed(leak: &Leak) -> String {
    let evidence = &leak.evidence;
    let needed = if leak.tier == LeakTier::Fast { 5 } else { 4 };
    format!(
        "The least that it held in each of the last {} times {} grows, with what its CPU use explains taken out, by {} standard errors \
         ({needed} are needed); the order of these values says so by {} deviations (3.09 are needed); {} of it an hour are certain to 99% \
         (1% is needed); it does not level off ({}, less than -2 would be a warm-up).",
        evidence.parts,
        evidence.part,
        tenths(evidence.slope_t_centi),
        tenths(evidence.order_z_centi),
        evidence.least_per_hour,
        tenths(evidence.curve_t_centi)
    )
}

/// To a minute: nobody reads more.
fn minutes(span: Span) -> Span {
    Span(span.0 / 60_000_000 * 60_000_000)
}

/// Hundredths with one decimal; of what is beyond all doubt, that it is.
fn tenths(centi: i64) -> String {
    let sign = if centi < 0 { "-" } else { "" };
    match centi.unsigned_abs() / 10 {
        tenths @ 0..10_000 => format!("{sign}{}.{}", tenths / 10, tenths % 10),
        _ => format!("{sign}1000 or more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_leak;
    use crate::units::Bytes;

    #[test]
    fn a_leak_and_its_evidence_read_well() {
        let now = Tick::default().plus(Span::secs(12 * 3600 + 400));
        let leak = sample_leak();
        let mut fast =
            Leak { tier: LeakTier::Fast, limit: LeakLimit::Host(Bytes::mebi(7168)), ..leak };
        fast.evidence.slope_t_centi = i64::MAX;
        let confirmed = Leak { tier: LeakTier::Confirmed, ..leak };
        let growth = Leak { tier: LeakTier::Growth, ..leak };
        let all = [leak, confirmed, fast, growth].map(|leak| text(&leak, now));
        insta::assert_snapshot!(all.join("----\n"));
    }
}
