//! Any recorded look shows what the daemon knew then, whatever was shown before it.

use super::*;
use crate::config::{Policy, PolicyText};
use crate::cycle::{State, rest, step};
use crate::model::{Knob, Snapshot};
use crate::record::{Batch, CameTo, Encoder, Kept, Look, Packer, Press, Record, Which};
use crate::testing::recorded::sample_host;
use crate::testing::{carry_out, set};
use crate::units::{Bytes, CpuTime, Limit};
use proptest::prelude::*;
use serde::Serialize;
use std::sync::LazyLock;

/// A service that waits, and one that gives way.
const CONFIGURATION: &str = "mode = \"enforce\"\n\
    [component.web]\npriority = \"critical\"\nmatch = { unit = \"web.service\" }\nmemory.guarantee = \"256M\"\n\
    [component.batch]\npriority = \"low\"\nmatch = { unit = \"batch.service\" }\nmemory.ceiling = \"512M\"\n";
/// When the host of the tests was started: 2023-11-14 22:11:40.
const BOOTED: u64 = 1_699_999_900;

/// A loop like the daemon's on a made-up host, with what its recorder would write and its report would say.
pub(crate) struct Life {
    policy: Policy,
    state: State,
    seen: Snapshot,
    news: News,
    history: History,
    is_replanned: bool,
    /// The look with which another version of provost remembers something else.
    foreign: Option<usize>,
    encoder: Encoder,
    batch: Batch,
    press: Press,
    kept: Kept,
    events: Vec<Event>,
    reports: Vec<Report>,
}

impl Life {
    fn new() -> Self {
        let (policy, seen) = sample_host(CONFIGURATION);
        let nothing =
            News { decision: Decision::default(), plan: Plan::default(), findings: Vec::new() };
        Self {
            policy,
            state: State::default(),
            seen,
            news: nothing,
            history: History::default(),
            is_replanned: false,
            foreign: None,
            encoder: Which::Looks.encoder(),
            batch: Batch::default(),
            press: Press::default(),
            kept: Kept::default(),
            events: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// So many looks, with a place to begin each 150.
    fn of(looks: usize, with_reports: bool) -> Self {
        Self::new().live(looks, with_reports)
    }

    fn live(self, looks: usize, with_reports: bool) -> Self {
        let mut life = self;
        for number in 0..looks {
            life.turn(number);
            if with_reports {
                let report = life.report();
                life.reports.push(report);
            }
            life.carry_out();
        }
        life.flush();
        life
    }

    fn wall_secs(&self) -> u64 {
        BOOTED + self.seen.at.0 / 1_000_000
    }

    /// One turn, a second after the last, in which a busy neighbour makes the web wait every other minute.
    fn turn(&mut self, number: usize) {
        self.seen.at = self.seen.at.plus(Span::secs(1));
        let waits = if number / 60 % 2 == 1 { 300_000 } else { 3_000 };
        for (path, view) in &mut self.seen.groups {
            let is_web = path.name() == "web.service";
            let used = view.usage.cpu.map_or(0, |cpu| cpu.0);
            view.usage.cpu = Some(CpuTime(used + if is_web { 90_000 } else { 1_500_000 }));
            view.usage.sensed_at = Some(self.seen.at);
            view.usage.memory =
                Some(Bytes::mebi(if is_web { 64 } else { 100 + number as u64 % 7 }));
            let psi = view.usage.cpu_psi.get_or_insert_default();
            let waited = if is_web { waits } else { 0 };
            psi.some.total_usec += waited;
            psi.full.total_usec += waited;
        }
        if number == 200 {
            // As another writer would.
            let max = Knob::MemoryMax(Limit::At(Bytes::mebi(300)));
            set(&mut self.seen, "system.slice/batch.service", max);
        }
        let before = number.is_multiple_of(150).then(|| self.state.clone());
        let mut news = None;
        if !rest(&self.policy, &mut self.state, &self.seen) {
            let stepped = step(&self.policy, self.state.clone(), &self.seen);
            self.state = stepped.state;
            news = stepped.news;
        }
        let packer = if self.foreign == Some(number) {
            self.look(Some(&"something else"), news.as_ref())
        } else {
            self.look(before.as_ref(), news.as_ref())
        };
        self.record(&packer, news.is_some());
        if let Some(news) = news {
            self.news = news;
        } else {
            self.news.plan = Plan::default();
        }
        self.seen.outcomes.clear();
    }

    fn look<S: Serialize>(&self, before: Option<&S>, news: Option<&News>) -> Packer {
        let text = PolicyText::of(&self.policy, &self.seen.host);
        let look = Look {
            seen: &self.seen,
            is_anew: true,
            is_replanned: self.is_replanned,
            base: before.map(|before| (&text, before)),
            lent: before.map(|_| &self.state.prospects),
            news: news.map(|News { decision, plan, findings }| CameTo { decision, plan, findings }),
        };
        let mut packer = Packer::default();
        look.pack(&mut packer).unwrap();
        packer
    }

    fn record(&mut self, packer: &Packer, has_news: bool) {
        self.is_replanned = false;
        self.batch.add(self.wall_secs(), &mut self.encoder, packer);
        if self.batch.len() == 30 || has_news {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        self.kept.records.push(Record {
            sequence: u64::try_from(self.kept.records.len()).unwrap() + 1,
            wall_secs: self.batch.wall_secs(),
            tag: self.batch.tag(),
            payload: self.press.pack(&self.batch).to_vec(),
        });
        self.batch.clear();
    }

    /// Does what was planned, half a second after the look.
    fn carry_out(&mut self) {
        if self.news.plan.is_empty() {
            return;
        }
        let wall_secs = self.wall_secs();
        let mut after = carry_out(&self.seen, &self.news.plan.actions);
        for outcome in &mut after.outcomes {
            outcome.at = outcome.at.plus(Span::millis(500));
            let change = self.news.plan.change_of(outcome);
            let reason = change.map(|change| change.reason.clone());
            self.history.happened(outcome, reason.as_ref(), None);
            let old = change.and_then(|change| change.old.value().cloned());
            let of = EventOf::Action { outcome: Box::new(outcome.clone()), old, reason };
            self.events.push(Event { at: outcome.at, wall_secs, of });
        }
        self.seen = after;
        self.state.replan();
        self.is_replanned = true;
    }

    fn report(&self) -> Report {
        report(ReportInput {
            policy: &self.policy,
            state: &self.state,
            seen: &self.seen,
            news: &self.news,
            beside: &[],
            given: &Given::default(),
            foresight: &Foresight::default(),
            enforcing: true,
            instead_of: None,
            pid: 0,
            started: Tick::default(),
            history: &self.history,
            schedules: Vec::new(),
            peaks: &Peaks::default(),
            alerts: Vec::new(),
            sinks: BTreeMap::new(),
            own: Own::default(),
            health: Health::default(),
        })
    }

    /// What the daemon told at a look.
    pub(crate) fn report_of(&self, look: usize) -> Report {
        let mut report = self.reports[look].clone();
        report.own.wall_secs = self.at(look);
        report
    }

    /// When a look was.
    pub(crate) fn at(&self, look: usize) -> u64 {
        BOOTED + self.reports[look].at.0 / 1_000_000
    }

    pub(crate) fn recorded(&self, since: Option<u64>) -> Result<Recorded, String> {
        let recording = Recording::of(self.kept.clone());
        Recorded::open(recording, self.events.clone(), since, TimeZone::UTC)
    }
}

/// Six hundred looks, made once for all tests.
pub(crate) static LIFE: LazyLock<Life> = LazyLock::new(|| Life::of(600, true));

/// Shows what the daemon knew at that look.
#[track_caller]
fn shows(recorded: &Recorded, look: usize) {
    let (shown, told) = (recorded.shown().unwrap(), &LIFE.reports[look]);
    assert_eq!(shown.at, told.at, "look {look}");
    assert_eq!(shown.estimate, told.estimate, "look {look}");
    assert_eq!(shown.components, told.components, "look {look}");
    assert_eq!(shown.findings, told.findings, "look {look}");
    assert_eq!(shown.actions, told.actions, "look {look}");
    assert_eq!((shown.enforcing, &shown.strategy), (true, &told.strategy));
    assert_eq!(shown.own.wall_secs, LIFE.at(look));
}

#[test]
fn it_begins_with_the_newest_and_goes_back_look_by_look() {
    let mut recorded = LIFE.recorded(None).unwrap();
    assert_eq!((recorded.first(), recorded.last()), (0, 599));
    for look in (0..600).rev() {
        recorded.go(look).unwrap();
        shows(&recorded, look);
    }
    recorded.go(10_000).unwrap();
    shows(&recorded, 599);
    assert!(recorded.when().ends_with("(600 of 600)"), "{}", recorded.when());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// Looks and strips are the same in whatever order looks are shown.
    #[test]
    fn any_look_shows_what_the_daemon_knew(looks in prop::collection::vec(0_usize..600, 1..12)) {
        let mut recorded = LIFE.recorded(None).unwrap();
        for look in looks {
            recorded.go(look).unwrap();
            shows(&recorded, look);
            let strip = recorded.waited(Resource::Cpu, 70);
            prop_assert_eq!(strip.len(), 70.min(look + 1));
            let told = LIFE.reports[..=look].iter().rev().take(70);
            let told = told.map(|report| waits::of(waits::of_report(report), Resource::Cpu));
            prop_assert!(strip.into_iter().rev().eq(told), "at look {look}");
        }
    }
}

#[test]
fn a_time_is_where_it_begins() {
    let mut recorded = LIFE.recorded(Some(LIFE.at(250))).unwrap();
    shows(&recorded, 250);
    assert!(recorded.when().ends_with("(1 of 350)"), "{}", recorded.when());
    recorded.go(0).unwrap();
    shows(&recorded, 250);
    let told = LIFE.recorded(Some(LIFE.at(599) + 7)).err().unwrap();
    assert!(told.starts_with("nothing was recorded since 2023-11-14 2"), "{told}");
    assert_eq!(recorded.before(LIFE.at(300)), Some(299));
    assert_eq!(recorded.before(LIFE.at(250)), None);
}

#[test]
fn what_is_damaged_is_passed_over() {
    let mut kept = LIFE.kept.clone();
    let damaged = kept.records.len() / 2;
    kept.records.remove(damaged);
    kept.damaged = 1;
    let recording = Recording::of(kept);
    let mut recorded =
        Recorded::open(recording, Vec::new(), None, TimeZone::UTC).expect("the end is there");
    let told = recorded.lost().unwrap();
    assert!(told.contains("1 record is missing or damaged"), "{told}");
    let mut before = recorded.last() + 1;
    let mut looks = 0;
    while recorded.at() != before {
        before = recorded.at();
        let at = recorded.shown().unwrap().at;
        let look = LIFE.reports.iter().position(|report| report.at == at).unwrap();
        assert_eq!(recorded.shown().unwrap().estimate, LIFE.reports[look].estimate);
        looks += 1;
        recorded.go(before.saturating_sub(1)).unwrap();
    }
    assert!((300..600).contains(&looks), "{looks} of 600 looks were shown");
    assert_eq!(recorded.shown().unwrap().at, LIFE.reports[0].at);
}

#[test]
fn what_another_version_recorded_is_passed_over() {
    let mut life = Life::new();
    life.foreign = Some(150);
    let life = life.live(400, true);
    let mut recorded = life.recorded(None).unwrap();
    for (to, comes_to) in [(300, 300), (299, 149), (148, 148), (150, 300), (200, 149), (250, 300)] {
        recorded.go(to).unwrap();
        assert_eq!(recorded.at(), comes_to, "from there to {to}");
        assert_eq!(recorded.shown().unwrap().estimate, life.reports[comes_to].estimate);
    }
    let mut recorded = life.recorded(Some(life.at(160))).unwrap();
    assert_eq!(recorded.at(), 300);
    let told = recorded.go(170).unwrap_err();
    let why = "what was recorded there cannot be shown: what was recorded cannot be read by this version of provost: ";
    assert!(told.starts_with(why), "{told}");
    assert_eq!(recorded.at(), 300, "what is shown stays");
}

#[test]
fn what_cannot_be_read_is_told() {
    let told = Recorded::open(Recording::of(Kept::default()), Vec::new(), None, TimeZone::UTC);
    let told = told.err().unwrap();
    assert!(told.contains("no place where a replay may begin"), "{told}");
}

#[test]
fn marks_are_bounded() {
    let mut recorded = Life::of(4500, false).recorded(None).unwrap();
    let mut most = 0;
    for step in 0..90 {
        recorded.go(4500 - step * 50).unwrap();
        most = most.max(recorded.marks.len());
    }
    assert!((32..=MOST_MARKS).contains(&most), "{most}");
}

#[test]
fn what_was_done_in_another_boot_is_placed_by_the_wall_clock() {
    let mut recorded = LIFE.recorded(None).unwrap();
    // A daemon that ran for a day before the host was started anew, a minute before this life.
    for done in &mut recorded.done {
        done.outcome.at = done.outcome.at.plus(Span::secs(86_400));
        done.wall_secs -= 60;
    }
    recorded.shown = None;
    recorded.go(0).unwrap();
    let report = recorded.shown().unwrap();
    let ago = |at: Tick| report.at.since(at).0 / 1_000_000;
    let done: Vec<u64> = report.actions.iter().map(|line| ago(line.at)).collect();
    let are_right = !done.is_empty() && done.iter().all(|ago| *ago <= 60);
    assert!(are_right && done.is_sorted_by(|one, next| one >= next), "{done:?}");
    recorded.done.iter_mut().for_each(|done| done.wall_secs -= 86_400);
    recorded.go(0).unwrap();
    let none = &recorded.shown().unwrap().actions;
    assert!(none.is_empty(), "before this boot's clock began: {none:?}");
}
