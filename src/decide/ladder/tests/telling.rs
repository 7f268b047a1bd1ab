//! Who is told by a hook, when, and what waits for it.

use super::*;
use crate::model::Hook;

fn hook(from: Level) -> Hook {
    let command = vec!["/usr/bin/shed".to_owned()];
    Hook { command, user: "www-data".to_owned(), timeout: Span::secs(10), from }
}

impl Stage {
    fn has_hook(&mut self, name: &str, from: Level) {
        let one = self.policy.components.values_mut().find(|one| one.name.as_str() == name);
        one.unwrap().hook = Some(hook(from));
    }

    fn tellings(&self) -> Vec<(u64, &str)> {
        self.told.iter().map(|(at, who, _)| (at.0 / 1_000_000, who.as_str())).collect()
    }
}

#[test]
fn a_component_is_told_before_it_stands_still_and_has_time() {
    for (available, time) in [(LITTLE, 10), (NOTHING, 2)] {
        let mut stage = Stage::new(&[("job", LastResort::Freeze)]);
        stage.has_hook("job", Level::Warning);
        stage.until(available, |stage| !stage.told.is_empty());
        assert_eq!(stage.rung(), Some(Rung::Tell));
        assert!(!stage.stands("job"));
        let waited = stage.until(available, |stage| stage.stands("job"));
        assert_eq!(waited, time, "{available} MiB available");
    }
}

#[test]
fn who_is_told_from_critical_on_has_time_though_the_ladder_stands_higher() {
    let mut stage = Stage::new(&[("job", LastResort::Freeze)]);
    stage.has_hook("job", Level::Emergency);
    stage.holds("job", 500, 300);
    stage.until(LITTLE, |stage| stage.rung() == Some(Rung::Reclaim));
    assert_eq!(stage.tellings(), []);
    stage.until(NOTHING, |stage| !stage.told.is_empty());
    assert!(!stage.stands("job"), "not in the same look");
    stage.second(NOTHING);
    assert!(!stage.stands("job"));
    stage.until(NOTHING, |stage| stage.stands("job"));
    assert_eq!(stage.told[0].2, Level::Emergency);
}

#[test]
fn everybody_who_asked_is_told_and_nobody_else_and_once_a_minute() {
    let mut stage = Stage::new(&[("job", LastResort::Nothing), ("other", LastResort::Freeze)]);
    stage.has_hook("web", Level::Warning);
    stage.has_hook("job", Level::Critical);
    (0..185).for_each(|_| stage.second(LITTLE));
    let (web, job): (Vec<_>, Vec<_>) =
        stage.told.iter().partition(|(_, who, _)| who.as_str() == "web");
    assert!(job.iter().all(|(_, who, _)| who == "job"), "{:?}", stage.told);
    for told in [web, job] {
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told.windows(2).all(|pair| pair[1].0.since(pair[0].0) == Span::secs(60)));
    }
    assert!(stage.rung() == Some(Rung::Freeze), "{:?}", stage.rung());
}

#[test]
fn the_ladder_goes_on_whether_or_not_a_call_is_answered() {
    let mut course = Vec::new();
    for answers in [true, false] {
        let mut stage = Stage::new(&[("job", LastResort::Freeze)]);
        stage.has_hook("job", Level::Warning);
        stage.answers = answers;
        let until = stage.until(NOTHING, |stage| stage.stands("job"));
        course.push(until);
        stage.until(NOTHING, |stage| stage.ladder.reliefs().next().is_none());
    }
    assert_eq!(course[0], course[1]);
}

#[test]
fn a_call_is_given_up_when_memory_is_not_short_any_more() {
    let mut stage = Stage::new(&[("job", LastResort::Freeze)]);
    stage.has_hook("job", Level::Warning);
    stage.answers = false;
    stage.until(NOTHING, |stage| stage.ladder.reliefs().next().is_some());
    let waited = stage.until(PLENTY, |stage| stage.ladder.reliefs().next().is_none());
    assert!(waited <= 10, "{waited}");
    (0..300).for_each(|_| stage.second(PLENTY));
    assert_eq!(stage.rung(), None);
}

#[test]
fn nobody_is_told_who_does_not_run() {
    let mut stage = Stage::new(&[("job", LastResort::Freeze)]);
    stage.has_hook("job", Level::Warning);
    stage.seen.groups.get_mut(&path("job")).unwrap().populated = false;
    (0..60).for_each(|_| stage.second(NOTHING));
    assert_eq!(stage.tellings(), []);
    assert_eq!(stage.rung(), Some(Rung::Limits));
}

#[test]
fn who_may_not_stand_still_is_left_and_the_reason_is_told() {
    let mut stage = Stage::new(&[("job", LastResort::Freeze), ("other", LastResort::Freeze)]);
    stage.until(NOTHING, |stage| stage.stands("job"));
    let (knob, asked) = (crate::model::KnobKind::CgroupFreeze, Knob::CgroupFreeze(true));
    let of = OutcomeOf::Knob { knob, asked, id: None, original: None, passing: true };
    let verdict = Verdict::Refused { errno: 0, advice: "it has a watchdog".to_owned() };
    let (at, component) = (stage.seen.at, Some("job".parse().unwrap()));
    let outcome = Outcome { at, component, path: path("job"), of, verdict, took: Span::ZERO };
    stage.seen.outcomes.push(outcome);
    stage.ladder.hear(&stage.seen);
    assert!(!stage.stands("job"));
    stage.until(NOTHING, |stage| stage.stands("other"));
    let view = stage.ladder.view().unwrap();
    assert_eq!(view.left, [(path("job"), "it has a watchdog".to_owned())]);
    (0..200).for_each(|_| stage.second(NOTHING));
    assert!(!stage.stands("job"), "asked again only when memory was not short in between");
    (0..400).for_each(|_| stage.second(PLENTY));
    stage.until(NOTHING, |stage| stage.stands("job"));
}
