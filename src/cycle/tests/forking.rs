//! A job forks without end beside somebody protected: it is held at what it usually needs, and gets back what was there before.

use super::play::Play;
use crate::model::{Knob, KnobKind, Priority, Reading, Reason};
use crate::testing::{add_home, component, host, policy};
use crate::units::{CgroupPath, Limit};

const WEB: &str = "system.slice/web.service";
const JOB: &str = "system.slice/job.service";

struct Story(Play);

impl Story {
    fn new() -> Self {
        let (web, job) = (component("web", Priority::Critical), component("job", Priority::Low));
        let mut seen = host();
        add_home(&mut seen, &web, WEB);
        add_home(&mut seen, &job, JOB);
        let systemds = Knob::PidsMax(Limit::At(4915));
        crate::testing::set(&mut seen, JOB, systemds);
        let mut story = Self(Play::new(policy([web, job]), seen));
        (0..200).for_each(|_| story.second(20));
        story.0.writes = 0;
        story
    }

    /// A second in which the job has so many tasks, and everybody else 300.
    fn second(&mut self, job: u64) {
        for (path, tasks) in [(WEB, 40), (JOB, job)] {
            let group = self.0.seen.groups.get_mut(&CgroupPath::new(path)).unwrap();
            group.usage.pids = Some(tasks);
        }
        self.0.seen.load.tasks = Some(300 + job);
        self.0.step();
    }

    fn limit(&self, path: &str) -> Limit<u64> {
        let reading = self.0.seen.groups[&CgroupPath::new(path)].knob(KnobKind::PidsMax);
        let Reading::Is(Knob::PidsMax(limit)) = reading else { panic!("{reading:?}") };
        *limit
    }
}

#[test]
fn a_job_that_forks_is_held_before_the_numbers_are_gone_and_let_go_a_minute_after() {
    let mut story = Story::new();
    let mut tasks = 20;
    let seconds = (1..20).find(|_| {
        tasks += 2000;
        story.second(tasks);
        story.limit(JOB) != Limit::At(4915)
    });
    assert_eq!(story.limit(JOB), Limit::At(80), "four times 20");
    assert!(seconds <= Some(9), "after {seconds:?} seconds of two thousand forks");
    let reasons = story.0.actions.iter().flat_map(|action| action.changes());
    let reasons: Vec<&Reason> = reasons.map(|change| &change.reason).collect();
    assert_eq!(reasons, [&Reason::YieldsPids { usual: Some(20) }]);
    assert_eq!(story.limit(WEB), Limit::Max);
    let (mut seconds, writes) = (0, story.0.writes);
    while story.limit(JOB) == Limit::At(80) {
        tasks = (tasks / 2).max(20);
        story.second(tasks);
        seconds += 1;
        assert!(seconds < 400);
    }
    assert!(seconds >= 60, "{seconds}");
    assert_eq!(story.limit(JOB), Limit::At(4915), "what systemd had set");
    assert_eq!(story.0.writes, writes + 1);
}
