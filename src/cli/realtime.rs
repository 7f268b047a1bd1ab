//! How threads in real time look: one line for `provost status`, and all of them for `provost explain`.

use super::render::escape;
use crate::model::{ComponentReport, RealtimeView, Report, ThreadOwner};
use crate::units::{Span, Tick};
use std::fmt::Write as _;

/// So many threads are shown; the report has all that were looked at.
const MOST_SHOWN: usize = 16;

/// Who has threads in real time, as one line; none where nobody is to.
pub(super) fn line(report: &Report) -> Option<String> {
    let of_component = |component: &ComponentReport| {
        let view = component.realtime.as_ref()?;
        let raised = raised(view);
        let named = view.threads.len() + view.more;
        Some(format!("{} {raised} of {named} named", component.name))
    };
    let parts: Vec<String> = report.components.iter().filter_map(of_component).collect();
    (!parts.is_empty()).then(|| format!("threads in real time: {}", parts.join(", ")))
}

/// How many threads provost put into real time.
fn raised(view: &RealtimeView) -> usize {
    view.threads.iter().filter(|thread| thread.whose == ThreadOwner::Provost).count()
}

/// The named threads of a component, and why none is in real time if so.
pub(super) fn lines(view: &RealtimeView, now: Tick) -> String {
    let mut out = format!(
        "          in real time (SCHED_RR {}): {} of {} named threads\n",
        view.priority,
        raised(view),
        view.threads.len() + view.more
    );
    if let Some(why) = &view.held {
        let left = view.until.map_or_else(String::new, |until| {
            format!(" ({} left)", Span::secs(until.since(now).0.div_ceil(1_000_000)))
        });
        // Writing to a String cannot fail.
        let _ok = writeln!(out, "            none is raised: {why}{left}");
    }
    for thread in view.threads.iter().take(MOST_SHOWN) {
        let name = escape(&thread.name);
        let (number, sched, whose) = (thread.thread.pid, thread.sched, thread.whose.words());
        let _ok = writeln!(out, "            {name} ({number}): {sched}, {whose}");
    }
    let rest = (view.threads.len() + view.more).saturating_sub(MOST_SHOWN);
    if rest > 0 {
        let _ok = writeln!(out, "            and {rest} more");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Sched, SchedPolicy, ThreadLine};
    use crate::testing::sample_report;
    use crate::units::ProcId;

    fn thread(pid: i32, sched: Sched, whose: ThreadOwner) -> ThreadLine {
        ThreadLine { thread: ProcId { pid, start: 7 }, name: format!("engine-{pid}"), sched, whose }
    }

    fn view() -> RealtimeView {
        let fifo = Sched { policy: SchedPolicy::Fifo, priority: 40 };
        let threads = vec![
            thread(41, Sched::rr(2), ThreadOwner::Provost),
            thread(42, Sched::OTHER, ThreadOwner::Nobody),
            thread(43, fifo, ThreadOwner::Foreign),
            thread(44, Sched::OTHER, ThreadOwner::TakenBack),
        ];
        RealtimeView { priority: 2, held: None, until: None, threads, more: 0 }
    }

    #[test]
    fn threads_and_why_none_is_raised_read_well() {
        let now = Tick(5_000_000);
        let mut held = view();
        held.held = Some("the thread engine-41 had more than 90% of a CPU".to_owned());
        held.until = Some(Tick(47_500_000));
        held.threads = (1..19).map(|pid| thread(pid, Sched::OTHER, ThreadOwner::Nobody)).collect();
        held.more = 3;
        let mut report = sample_report();
        report.components[0].realtime = Some(held.clone());
        report.components[2].realtime = Some(view());
        let said = [line(&report).unwrap() + "\n", lines(&view(), now), lines(&held, now)];
        insta::assert_snapshot!(said.join("----\n"));
        assert_eq!(line(&sample_report()), None);
    }
}
