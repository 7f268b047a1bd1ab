//! Stories of yielding, second by second: somebody protected waits, others give way, get back, and nothing is left behind.

use super::play::Play;
use crate::cycle::State;
use crate::estimate::Ownership;
use crate::model::{Action, Knob, KnobKind, Priority, Reading, Resource};
use crate::testing::{add_home, component, host, policy, set};
use crate::units::{CgroupPath, CpuTime, Limit, Millicpu};

const WEB: &str = "system.slice/web.service";
const JOB: &str = "system.slice/job.service";

struct Story {
    play: Play,
}

impl Story {
    fn new(ceiling: Limit<Millicpu>) -> Self {
        let web = component("web", Priority::Critical);
        let mut job = component("job", Priority::Low);
        job.cpu.ceiling = ceiling;
        let mut seen = host();
        add_home(&mut seen, &web, WEB);
        add_home(&mut seen, &job, JOB);
        for group in seen.groups.values_mut() {
            group.usage.cpu = Some(CpuTime(0));
        }
        let mut story = Self { play: Play::new(policy([web, job]), seen) };
        // Whatever does not depend on the load is written before the story begins.
        (0..3).for_each(|_| story.second(300));
        story.play.writes = 0;
        story
    }

    /// A second in which web uses so much, and the job whatever it may.
    fn second(&mut self, web: u64) {
        let job = match self.quota() {
            Limit::At(rate) => rate.0,
            Limit::Max => 2000 - web,
        };
        for (path, used) in [(WEB, web), (JOB, job), ("", web + job)] {
            let group = self.play.seen.groups.get_mut(&CgroupPath::new(path)).unwrap();
            group.usage.cpu.as_mut().unwrap().0 += used * 1000;
        }
        self.play.step();
        self.play.seen.waiting.clear();
    }

    fn quota(&self) -> Limit<Millicpu> {
        let reading = self.play.seen.groups[&CgroupPath::new(JOB)].knob(KnobKind::CpuMax);
        let Reading::Is(Knob::CpuMax(max)) = reading else { panic!("{reading:?}") };
        max.rate()
    }

    fn waits(&mut self) {
        self.play.seen.waiting.insert(Resource::Cpu);
    }

    fn until_released(&mut self) -> usize {
        let capped = self.quota();
        let mut seconds = 0;
        while self.quota() == capped {
            self.second(500);
            seconds += 1;
            assert!(seconds < 120);
        }
        seconds
    }
}

#[test]
fn the_job_gives_way_at_the_first_look_and_gets_everything_back() {
    let mut story = Story::new(Limit::Max);
    assert_eq!(story.quota(), Limit::Max);
    story.waits();
    story.second(500);
    // 2000 less a fifth and what web uses.
    assert_eq!(story.quota(), Limit::At(Millicpu(1100)));
    assert!(
        matches!(story.play.actions.as_slice(), [Action::Write { .. }]),
        "{:?}",
        story.play.actions
    );
    let quiet = story.until_released();
    assert!((55..=65).contains(&quiet), "{quiet}");
    while story.quota() != Limit::Max {
        story.second(300);
        let direct = |action: &Action| matches!(action, Action::Write { .. });
        assert!(
            story.play.actions.iter().all(direct),
            "systemd is told nothing: {:?}",
            story.play.actions
        );
    }
    story.play.writes = 0;
    (0..60).for_each(|_| story.second(300));
    assert_eq!(story.play.writes, 0);
}

#[test]
fn a_steady_load_under_a_cap_writes_nothing() {
    let mut story = Story::new(Limit::Max);
    story.waits();
    for second in 0..40 {
        story.second(500);
        if second == 10 {
            story.play.writes = 0;
        }
    }
    assert_eq!(story.play.writes, 0);
    assert_eq!(story.quota(), Limit::At(Millicpu(1100)));
}

#[test]
fn a_ceiling_comes_back_as_systemd_holds_it() {
    let mut story = Story::new(Limit::At(Millicpu(1500)));
    assert_eq!(story.quota(), Limit::At(Millicpu(1500)));
    story.waits();
    story.second(500);
    assert_eq!(story.quota(), Limit::At(Millicpu(1100)));
    // A daemon-reload writes what systemd holds: that is nobody's override.
    let held = crate::units::CpuMax {
        quota: Limit::At(CpuTime(150_000)),
        period: crate::units::CpuMax::DEFAULT_PERIOD,
    };
    set(&mut story.play.seen, JOB, Knob::CpuMax(held));
    story.second(500);
    story.second(500);
    assert_eq!(story.quota(), Limit::At(Millicpu(1100)), "written again");
    story.until_released();
    while story.quota() != Limit::At(Millicpu(1500)) {
        story.second(300);
        assert!(!story.play.state.ownership.records().any(|(_, _, record)| record.fights > 0));
    }
}

/// A daemon was killed and another started, with nothing but the journal.
fn adopted(story: &Story, standing: Option<&Knob>) -> State {
    let path = CgroupPath::new(JOB);
    let group = &story.play.seen.groups[&path];
    let capped = group.knob(KnobKind::CpuMax).value().unwrap();
    let original = Some(KnobKind::CpuMax.kernel_default());
    let mut ownership = Ownership::default();
    if let Some(standing) = standing {
        ownership.adopt(&path, group.id, original.clone(), (standing, false));
    }
    ownership.adopt(&path, group.id, original, (capped, true));
    State { ownership, ..State::default() }
}

#[test]
fn an_adopted_cap_still_covers_what_systemd_holds() {
    let mut story = Story::new(Limit::At(Millicpu(1500)));
    let held =
        story.play.seen.groups[&CgroupPath::new(JOB)].knob(KnobKind::CpuMax).value().cloned();
    story.waits();
    story.second(500);
    story.play.state = adopted(&story, held.as_ref());
    set(&mut story.play.seen, JOB, held.unwrap());
    story.waits();
    story.second(500);
    let fights = |story: &Story| {
        story.play.state.ownership.records().map(|(.., record)| record.fights).sum::<u32>()
    };
    assert_eq!(fights(&story), 0, "a reload is nobody's override");
}

#[test]
fn an_adopted_cap_is_given_back_by_the_file() {
    let mut story = Story::new(Limit::Max);
    story.waits();
    story.second(500);
    assert_eq!(story.quota(), Limit::At(Millicpu(1100)));
    story.play.state = adopted(&story, None);
    story.second(500);
    let quota = |action: &Action| {
        action.changes().iter().any(|change| change.new.kind() == KnobKind::CpuMax)
    };
    let wrote: Vec<&Action> = story.play.actions.iter().filter(|action| quota(action)).collect();
    assert!(matches!(wrote.as_slice(), [Action::Write { .. }]), "{:?}", story.play.actions);
    assert_eq!(story.quota(), Limit::Max);
}

#[test]
fn who_does_not_yield_is_left_alone() {
    let mut story = Story::new(Limit::Max);
    story.play.rules.components.values_mut().for_each(|component| component.yields = false);
    story.waits();
    story.second(500);
    assert_eq!((story.quota(), story.play.writes), (Limit::Max, 0));
}
