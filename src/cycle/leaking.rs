//! What a person should know of a component whose memory grows without end. Must not say how that is known: `provost explain` does.

use crate::model::{Finding, FindingKind, Leak, LeakLimit, LeakTier, Level, Severity};
use crate::units::{ComponentName, Span};

pub(super) fn finding((name, leak): (&ComponentName, Leak)) -> Finding {
    let severity = match leak.tier.alert() {
        Level::Normal => Severity::Info,
        Level::Warning => Severity::Warning,
        Level::Critical | Level::Emergency => Severity::Error,
    };
    let what = match leak.tier {
        LeakTier::Growth => "grows steadily",
        LeakTier::Slow | LeakTier::Suspected => "seems to leak",
        LeakTier::Confirmed => "leaks, as in the two runs before",
        LeakTier::Fast => "leaks fast",
    };
    Finding {
        severity,
        kind: FindingKind::Leak,
        component: Some(name.clone()),
        at: None,
        text: format!(
            "memory of {name} {what}: {} now and {} more each hour; {}{}",
            leak.held,
            leak.per_hour,
            end(&leak),
            mend(name, &leak)
        ),
    }
}

/// When it ends.
fn end(leak: &Leak) -> String {
    let limit = match leak.limit {
        LeakLimit::Own(limit) => format!("its limit of {limit}"),
        LeakLimit::Host(room) => format!("the {room} that the host has for components"),
    };
    let left = Span(leak.until_limit.0 / 60_000_000 * 60_000_000);
    if left == Span::ZERO {
        format!("it has reached {limit}")
    } else {
        format!("it reaches {limit} in {left}")
    }
}

/// What to do; nothing where nothing has to be done.
fn mend(name: &ComponentName, leak: &Leak) -> String {
    let more = match (leak.tier, leak.limit) {
        (LeakTier::Growth, _) => return String::new(),
        (_, LeakLimit::Own(_)) => "restart it before, or raise its limit",
        (_, LeakLimit::Host(_)) => "restart it before, or keep it small by memory.ceiling",
    };
    format!("; {more} (why: provost explain {name})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_leak;

    #[test]
    fn each_tier_has_its_words() {
        let tiers = [
            LeakTier::Growth,
            LeakTier::Slow,
            LeakTier::Suspected,
            LeakTier::Confirmed,
            LeakTier::Fast,
        ];
        let name = "batch".parse().unwrap();
        let mut lines: Vec<String> = Vec::new();
        for tier in tiers {
            let finding = finding((&name, Leak { tier, ..sample_leak() }));
            lines.push(format!("{} {}", finding.severity, finding.text));
        }
        let room = LeakLimit::Host(crate::units::Bytes::mebi(7168));
        let full = Leak { limit: room, until_limit: Span::secs(40), ..sample_leak() };
        lines.push(finding((&name, full)).text);
        insta::assert_snapshot!(lines.join("\n"));
    }
}
