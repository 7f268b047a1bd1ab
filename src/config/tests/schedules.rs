//! Windows of time: what holds in them, and what does not fit.

use super::{host, load_text};
use crate::config::{Loaded, Policy, Strategy};
use crate::model::Priority;
use crate::units::{ComponentName, Millicpu};
use jiff::Zoned;
use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn loaded() -> Loaded {
    let text = std::fs::read_to_string("tests/fixtures/config/valid/schedules.toml").unwrap();
    load_text("schedules.toml", &text).unwrap()
}

/// 2026-11-27 is a Friday.
fn at(day: i8, hour: i8, minute: i8) -> Zoned {
    date(2026, 11, day).at(hour, minute, 0, 0).to_zoned(TimeZone::UTC).unwrap()
}

fn during(loaded: &Loaded, at: &Zoned) -> (Policy, Vec<ComponentName>) {
    let open = loaded.policy.open_at(at);
    let (policy, left_out) = loaded.during(&open, &host());
    assert!(left_out.is_empty());
    (policy, open)
}

#[test]
fn what_a_window_says_holds_while_it_is_open() {
    let loaded = loaded();
    let cases = [
        (at(26, 21, 59), "1", "low", "balanced", 0),
        (at(26, 22, 0), "3", "normal", "aggressive", 500),
        (at(27, 5, 59), "3", "normal", "aggressive", 500),
        (at(27, 6, 0), "1", "low", "balanced", 0),
        (at(28, 20, 0), "3", "normal", "aggressive", 500),
    ];
    for (at, ceiling, priority, strategy, guarantee) in cases {
        let (policy, _) = during(&loaded, &at);
        let batch = &policy.components["batch"];
        let web = &policy.components["web"];
        assert_eq!(batch.cpu.ceiling.to_string(), ceiling, "{at}");
        assert_eq!((batch.priority.word(), policy.strategy.word()), (priority, strategy), "{at}");
        assert_eq!((web.priority, web.cpu.guarantee), (Priority::High, Millicpu(guarantee)));
    }
}

#[test]
fn windows_may_lie_over_each_other() {
    let loaded = loaded();
    // The last day of November is a Monday.
    let (policy, open) = during(&loaded, &at(30, 22, 30));
    assert_eq!(open, ["month-end".parse().unwrap(), "night".parse().unwrap()]);
    let batch = &policy.components["batch"];
    assert_eq!(
        (batch.memory.ceiling.to_string().as_str(), policy.strategy),
        ("4G", Strategy::Aggressive)
    );
}

#[test]
fn what_does_not_fit_beside_others_is_left_out_and_told() {
    let schedule = |name: &str, component: &str| {
        format!(
            "[schedule.{name}]\ncalendar = \"daily\"\nduration = \"1h\"\ncomponent.{component}.cpu.guarantee = \"3\"\n\
             [component.{component}]\nmatch = {{ unit = \"{component}.service\" }}\n"
        )
    };
    let text = schedule("one", "a") + &schedule("two", "b");
    let loaded = load_text("two.toml", &text).expect("each fits by itself");
    let open = loaded.policy.open_at(&at(27, 0, 30));
    let (policy, left_out) = loaded.during(&open, &host());
    let cpu = |name: &str| policy.components[name].cpu.guarantee;
    assert_eq!((cpu("a"), cpu("b")), (Millicpu::cores(3), Millicpu::ZERO));
    let [(name, issues)] = left_out.as_slice() else { panic!("{left_out:?}") };
    assert_eq!(name.as_str(), "two");
    assert!(issues[0].message.contains("CPU"), "{issues:?}");
}

proptest! {
    /// Between two changes that are told nothing changes, so that who looks at those alone misses nothing.
    #[test]
    fn nothing_opens_or_closes_untold(minutes in 0i64..400_000) {
        let policy = loaded().policy;
        let now = at(1, 0, 0).checked_add(jiff::SignedDuration::from_mins(minutes)).unwrap();
        let next = policy.next_change(&now).unwrap();
        prop_assert!(next > now);
        let before = next.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
        prop_assert_eq!(policy.open_at(&before), policy.open_at(&now));
    }
}
