//! What is done when a component's memory grows without end, as `provost explain` tells it: what may be, what was, what comes next and whom
//! it hits. Must not repeat what findings say of times of the day.

use super::render::{COLUMNS, wrap};
use crate::model::{MendView, RestartEnd};
use crate::units::{Span, Tick};

/// What stands before the first line, and room of the same width.
const HEAD: &str = "  mending ";

/// The lines; none where nothing may be done, and nothing was.
pub(super) fn text(view: Option<&MendView>, enforcing: bool, now: Tick) -> String {
    let Some(view) = view else { return String::new() };
    let mut said = vec![allowed(view)];
    said.extend(done(view));
    said.extend(next(view, enforcing, now));
    said.extend(last(view, now));
    let mut out = String::new();
    let lines = said.iter().flat_map(|words| wrap(words, COLUMNS - HEAD.len()));
    for (number, line) in lines.enumerate() {
        let head = if number == 0 { HEAD } else { "" };
        out.push_str(&format!("{head:width$}{line}\n", width = HEAD.len()));
    }
    out
}

/// What the configuration allows.
fn allowed(view: &MendView) -> String {
    match (view.on_leak.as_str(), view.restart_every) {
        ("hook", _) => "a leak is told to its hook".to_owned(),
        ("reclaim", _) => {
            "a leak is told to its hook, and what it does not use goes to swap".to_owned()
        }
        ("restart", Some(every)) => format!(
            "a leak is told to its hook, what it does not use goes to swap, and its unit is restarted, once in {every} at most"
        ),
        _ => "a leak is told, and nothing is done".to_owned(),
    }
}

/// What was done about what is found now.
fn done(view: &MendView) -> Option<String> {
    let told = view.told.then(|| "its hook was called".to_owned());
    let reclaimed = (view.reclaimed.0 > 0).then(|| format!("{} were reclaimed", view.reclaimed));
    let done: Vec<String> = told.into_iter().chain(reclaimed).collect();
    (!done.is_empty()).then(|| done.join(", "))
}

/// What comes next, and why no more.
fn next(view: &MendView, enforcing: bool, now: Tick) -> Vec<String> {
    let mut said = Vec::new();
    said.extend(view.no_reclaim.as_ref().map(|why| format!("nothing is reclaimed now: {why}")));
    if let Some(next) = &view.next {
        let will = if enforcing { "will" } else { "would" };
        let left = whole(next.due.since(now));
        let unit = next.at.name();
        said.push(format!(
            "next, in {left} unless the leak ends before: {unit} {will} be restarted; {} end with it",
            next.radius
        ));
    }
    said.extend(view.no_restart.as_ref().map(|why| format!("no restart comes: {why}")));
    said
}

fn last(view: &MendView, now: Tick) -> Option<String> {
    let last = view.last.as_ref()?;
    let end = match &last.end {
        None => "under way".to_owned(),
        Some(RestartEnd::Done) => "done".to_owned(),
        Some(RestartEnd::Failed { why }) => why.clone(),
    };
    let ago = whole(now.since(last.at));
    let (unit, per_hour) = (last.path.name(), last.per_hour);
    Some(format!("{ago} ago: restart of {unit}, as it grew by {per_hour} an hour: {end}"))
}

/// To a second: nobody reads more.
const fn whole(span: Span) -> Span {
    Span(span.0 / 1_000_000 * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Radius, RestartPlan, Restarted};
    use crate::units::{Bytes, CgroupPath};

    #[test]
    fn what_is_done_about_a_leak_reads_well() {
        let at = CgroupPath::new("system.slice/web.service");
        let second = |count| Tick::default().plus(Span::secs(count));
        let radius = Radius { tasks: Some(12), held: Bytes::mebi(1536) };
        let due = second(9_000);
        let last =
            |end| Restarted { at: second(400), path: at.clone(), per_hour: Bytes::mebi(60), end };
        let quiet = MendView {
            on_leak: "restart".to_owned(),
            restart_every: Some(Span::secs(6 * 3600)),
            told: false,
            reclaimed: Bytes::ZERO,
            no_reclaim: None,
            next: None,
            no_restart: None,
            last: None,
        };
        let busy = MendView {
            told: true,
            reclaimed: Bytes::mebi(96),
            no_reclaim: Some("less than 20% of swap is free".to_owned()),
            next: Some(RestartPlan { at: at.clone(), due, radius }),
            last: Some(last(Some(RestartEnd::Done))),
            ..quiet.clone()
        };
        let why = "cannot restart web.service: shop.service would be restarted with it".to_owned();
        let held = MendView {
            no_restart: Some("only a confirmed or a fast leak is ended by a restart".to_owned()),
            last: Some(last(Some(RestartEnd::Failed { why }))),
            ..quiet.clone()
        };
        let under_way = MendView { last: Some(last(None)), ..quiet.clone() };
        let hook = MendView { on_leak: "hook".to_owned(), ..quiet.clone() };
        let reclaim = MendView { on_leak: "reclaim".to_owned(), ..quiet.clone() };
        let tell = MendView { on_leak: "tell".to_owned(), ..under_way.clone() };
        let views = [quiet, busy.clone(), held, under_way, hook, reclaim, tell];
        let mut said: Vec<String> =
            views.iter().map(|view| text(Some(view), true, second(8_100))).collect();
        said.push(text(Some(&busy), false, second(8_100)));
        insta::assert_snapshot!(said.join("----\n"));
        assert_eq!(text(None, true, second(1)), "");
    }
}
