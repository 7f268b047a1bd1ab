//! `provost explain COMPONENT`: why these limits, what they were before, whose they are, and what would change them.

use super::Printout;
use super::args::Cli;
use super::fail::Failure;
use super::forecast::named;
use super::render::{COLUMNS, Column, Table};
use super::status::{fetch, findings, limit};
use crate::model::{
    CeilingView, ComponentReport, Finding, HookReport, InstancesView, LadderView, Radius, Report,
    Resource, Wait,
};
use crate::units::{Bytes, ComponentName, Span, Tick};
use serde_json::json;
use std::fmt::Write as _;

pub(super) fn explain(cli: &Cli, name: &ComponentName) -> Result<Printout, Failure> {
    let report = fetch(cli)?;
    let component = named(&report, name)?;
    let concerning = concerning(&report, component);
    if cli.json {
        let document = json!({
            "schema": "provost/explain/v1", "component": component, "findings": concerning, "enforcing": report.enforcing,
            "estimate": report.estimate.components.get(&component.name),
        });
        return Ok(Printout::text(format!("{document:#}\n")));
    }
    Ok(Printout::text(text(&report, component, &concerning, COLUMNS)))
}

/// The same of a report that is there already, with tables of so many columns.
pub(super) fn explained(report: &Report, component: &ComponentReport, columns: usize) -> String {
    text(report, component, &concerning(report, component), columns)
}

/// What it waits for through no doing of its own, what holds it back, and whether it leaks.
fn waiting(out: &mut String, report: &Report, component: &ComponentReport) {
    let Some(estimate) = report.estimate.components.get(&component.name) else {
        return;
    };
    let waits = estimate.need.waits;
    let word = |name: &str, wait: Option<Wait>| {
        wait.map(|wait| format!("{name} {} of the last 10s", wait.p10))
    };
    let words = [word("cpu", waits.cpu), word("memory", waits.memory), word("disk", waits.io)];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if !words.is_empty() {
        // Writing to a String cannot fail.
        let _ok = writeln!(out, "  waits   {}", words.join(", "));
    }
    let _ok = writeln!(out, "  held back by: {}", estimate.bottleneck);
    if let Some(leak) = &estimate.leak {
        out.push_str(&super::leak::text(leak, report.at));
    }
}

/// What may be done to it when memory stays short, and where the ladder stands.
fn ladder(out: &mut String, report: &Report, component: &ComponentReport) {
    hook(out, report, component);
    if component.last_resort == "none" && report.ladder.is_none() {
        return;
    }
    let held = component.homes.iter().filter_map(|home| home.usage.memory);
    let held = held.fold(Bytes::ZERO, Bytes::plus);
    let tasks: Option<u64> = component.homes.iter().map(|home| home.usage.pids).sum();
    let radius = Radius { tasks, held };
    // Writing to a String cannot fail.
    let _ok = match component.last_resort.as_str() {
        "none" => writeln!(out, "  when memory stays short it is neither frozen nor killed"),
        "kill" => writeln!(
            out,
            "  when memory stays short it may stand still, and at the end be killed: {radius}"
        ),
        _ => writeln!(out, "  when memory stays short it may stand still: {radius}"),
    };
    if let Some(view) = &report.ladder {
        out.push_str(&ladder_text(view, report.at));
    }
}

/// What is called when memory is short, and what came of it last.
fn hook(out: &mut String, report: &Report, component: &ComponentReport) {
    let Some(HookReport { hook, last }) = &component.hook else { return };
    // Writing to a String cannot fail.
    let _ok = writeln!(
        out,
        "  when memory is short (level {}) its hook is called as {}, for {} at most:\n    {}",
        hook.from,
        hook.user,
        hook.timeout,
        hook.command.join(" ")
    );
    if let Some(last) = last {
        let ago = secs(report.at.since(last.at));
        let _ok = writeln!(out, "    {ago} ago: {}: {}", last.what, last.result);
    }
}

const fn secs(span: Span) -> Span {
    Span(span.0 / 1_000_000 * 1_000_000)
}

/// Where the ladder stands, what comes next and whom it hits, and why no more is done.
pub(super) fn ladder_text(view: &LadderView, now: Tick) -> String {
    let mut out = format!(
        "\nmemory is short: {}; rung \"{}\" for {}\n",
        view.because,
        view.rung,
        secs(now.since(view.since))
    );
    for (path, until) in &view.frozen {
        // Writing to a String cannot fail.
        let _ok =
            writeln!(out, "  {path} stands still for {} more at most", secs(until.since(now)));
    }
    if let Some((rung, at, hit)) = &view.next {
        let hit = hit.as_ref().map_or_else(String::new, |hit| {
            format!(": {} in {}, {}", hit.component, hit.at, hit.radius)
        });
        let _ok = writeln!(out, "  next, in {} if nothing helps: {rung}{hit}", secs(at.since(now)));
    }
    for (path, why) in &view.left {
        let _ok = writeln!(out, "  {path} does not stand still: {why}");
    }
    let _ok = writeln!(out, "  now: {}", view.holds);
    out
}

fn concerning(report: &Report, component: &ComponentReport) -> Vec<Finding> {
    let concerns = |finding: &&Finding| finding.component.as_ref() == Some(&component.name);
    report.findings.iter().filter(concerns).cloned().collect()
}

/// Who it is, and what it may count on of the CPUs.
fn entitled(out: &mut String, report: &Report, component: &ComponentReport) {
    // Writing to a String cannot fail.
    let strategy = component.strategy.as_ref();
    let strategy = strategy.map_or_else(String::new, |own| format!(", strategy {own}"));
    let class =
        component.cpu_class.map_or_else(String::new, |class| format!(", CPU class {class}"));
    let _ok = writeln!(out, "{}: priority {}{class}{strategy}", component.name, component.priority);
    let _ok = writeln!(
        out,
        "  cpu     guarantee {}, ceiling {}{}",
        component.cpu_guarantee,
        limit(component.cpu_ceiling),
        component.cpu_entitlement.map_or_else(String::new, |share| format!(
            ", entitled to {share} of {} cores when everybody wants everything",
            report.host.cpu.minus(report.host.cpu_reserve)
        ))
    );
    if let Some(cpus) = &component.own_cpus {
        let _ok = writeln!(out, "          CPUs of its own: {cpus}");
    }
    if let Some(told) = &component.auto_affinity {
        let _ok = writeln!(out, "          affinity auto: {told}");
    }
    if let Some(view) = &component.realtime {
        out.push_str(&super::realtime::lines(view, report.at));
    }
}

/// How many instances it has, and why.
fn instances(component: &ComponentReport) -> String {
    let Some(view) = &component.instances else { return String::new() };
    let InstancesView { template, least, most, run, .. } = view;
    let job = view.job.as_ref().map_or_else(String::new, |job| format!("; now: {job}"));
    let last = if view.because.is_empty() { String::new() } else { format!("; {}", view.because) };
    format!("  instances of {template}: {run} run, {least} to {most}{last}{job}\n")
}

/// The ceilings that follow the need: what they are now, and why.
fn ceilings(report: &Report, component: &ComponentReport) -> String {
    let line = |(resource, view): (&Resource, &CeilingView)| {
        let amount = |amount| resource.amount(amount);
        let since = view
            .changed
            .map_or_else(String::new, |at| format!(", moved {} ago", secs(report.at.since(at))));
        let (least, most) = (amount(view.least), amount(view.most));
        let (now, why) = (amount(view.now), &view.why);
        format!(
            "  the ceiling of {resource} follows the need, {least} to {most}: {now} now{since}; {why}\n"
        )
    };
    component.ceilings.iter().map(line).collect()
}

fn text(
    report: &Report,
    component: &ComponentReport,
    concerning: &[Finding],
    columns: usize,
) -> String {
    let mut out = String::new();
    entitled(&mut out, report, component);
    // Writing to a String cannot fail.
    let _ok = writeln!(
        out,
        "  memory  guarantee {}, ceiling {}\n  pids    ceiling {}",
        component.memory_guarantee,
        limit(component.memory_ceiling),
        limit(component.pids_ceiling)
    );
    out.push_str(&super::quota::lines(component, columns));
    out.push_str(&ceilings(report, component));
    out.push_str(&instances(component));
    out.push_str(&super::status::disks(report));
    waiting(&mut out, report, component);
    out.push_str(&super::probe::text(component.probe.as_ref()));
    out.push_str(&super::mend::text(component.mending.as_ref(), report.enforcing, report.at));
    out.push_str(&super::forecast::lines(component));
    out.push_str(&super::capacity::lines(component));
    ladder(&mut out, report, component);
    if component.homes.is_empty() {
        out.push_str("\nIt has no process and no unit now, so nothing is limited. Its limits take effect when it appears.\n");
    }
    for home in &component.homes {
        let _ok = writeln!(out, "\nlives in {}", home.path);
        let mut table = Table::new([
            Column::left("KNOB"),
            Column::right("BEFORE").rank(2),
            Column::right("NOW"),
            Column::right("WANTED"),
            Column::left("WHOSE").rank(1),
            Column::left("WHY").wraps(),
        ]);
        for knob in &home.knobs {
            let dash = |knob: Option<&crate::model::Knob>| {
                knob.map_or_else(|| "-".to_owned(), ToString::to_string)
            };
            let at = if knob.at == home.path {
                String::new()
            } else {
                format!(" of {}", knob.at.name())
            };
            table.row([
                format!("{}{at}", knob.kind),
                dash(knob.original.as_ref()),
                dash(knob.seen.as_ref()),
                knob.wanted.to_string(),
                knob.standing.clone(),
                knob.reason.clone(),
            ]);
        }
        out.push_str(&table.render(columns));
    }
    if !component.loose.is_empty() {
        let _ok = writeln!(out, "\nnot yet in place: {}", component.loose.join(", "));
    }
    findings(&mut out, concerning);
    out.push_str(
        "\nWhat would change this: its keys in the configuration (\"provost config show --merged\" names the\n\
         file), another component coming or going (weights), another forecast, or another writer (its\n\
         value then stands for a while).\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Hit, Knob, KnobReport, Reason, Rung};
    use crate::testing::sample_report;
    use crate::units::{CgroupPath, CpuMax, CpuTime, Limit};

    #[test]
    fn an_explanation_reads_well() {
        let report = sample_report();
        let explained = [0, 2].map(|place| {
            let component = &report.components[place];
            text(&report, component, &concerning(&report, component), COLUMNS)
        });
        insta::assert_snapshot!(explained.join("----\n"));
    }

    #[test]
    fn why_it_gives_way_ahead_of_time_reads_well() {
        let mut report = sample_report();
        let batch = report.components.first_mut().unwrap();
        let home = batch.homes.first_mut().unwrap();
        let knob = |(wanted, resource, left)| {
            let expected = crate::testing::expected(resource);
            KnobReport {
                at: home.path.clone(),
                kind: Knob::kind(&wanted),
                seen: Some(wanted.clone()),
                original: Some(wanted.kind().kernel_default()),
                wanted,
                reason: Reason::YieldsAhead { expected, left }.to_string(),
                standing: "provost".to_owned(),
            }
        };
        let high = Limit::At(Bytes::mebi(390));
        let quota = CpuMax { quota: Limit::At(CpuTime::millis(5)), period: CpuTime::millis(10) };
        home.knobs = [
            (Knob::CpuMax(quota), Resource::Cpu, 500),
            (Knob::MemoryHigh(high), Resource::Memory, 390 << 20),
        ]
        .map(knob)
        .into();
        insta::assert_snapshot!(text(&report, &report.components[0], &[], COLUMNS));
    }

    #[test]
    fn a_class_and_what_auto_chose_have_their_words() {
        let mut report = sample_report();
        let batch = report.components.first_mut().unwrap();
        batch.cpu_class = Some(crate::model::CpuClass::Idle);
        batch.auto_affinity = Some("shared: for this reason".to_owned());
        let component = &report.components[0];
        let explained = text(&report, component, &[], COLUMNS);
        let head: Vec<&str> = explained.lines().take(3).collect();
        assert!(head[0].contains("priority") && head[0].contains(", CPU class idle"), "{head:?}");
        assert_eq!(head[2], "          affinity auto: shared: for this reason");
    }

    #[test]
    fn a_hook_and_what_came_of_it_are_told() {
        let mut report = sample_report();
        let at = Tick(report.at.0 - 12_500_000);
        let (component, path) = ("batch".to_owned(), CgroupPath::new("batch.service"));
        let (what, took) = ("hook".to_owned(), Span::millis(30));
        let result = "ended with status 3".to_owned();
        let batch = report.components.first_mut().unwrap();
        batch.hook = Some(HookReport {
            hook: crate::model::Hook {
                command: vec!["/usr/local/bin/shed".to_owned(), "--now".to_owned()],
                user: "batch".to_owned(),
                timeout: Span::secs(10),
                from: crate::model::Level::Warning,
            },
            last: Some(crate::model::ActionLine {
                at,
                component,
                path,
                what,
                result,
                why: None,
                took,
            }),
        });
        let mut out = String::new();
        hook(&mut out, &report, &report.components[0]);
        insta::assert_snapshot!(out);
    }

    #[test]
    fn where_the_ladder_stands_reads_well() {
        let at = CgroupPath::new("system.slice/batch.service");
        let second = |count| Tick::default().plus(Span::secs(count));
        let radius = Radius { tasks: Some(12), held: Bytes::mebi(1536) };
        let hit = Hit { component: "batch".parse().unwrap(), at: at.clone(), radius };
        let view = LadderView {
            rung: Rung::Freeze,
            since: second(100),
            because: "web waits for memory: 34% of the time, 30% is too much".to_owned(),
            frozen: vec![(at.clone(), second(130))],
            left: vec![(at, "systemd would kill it".to_owned())],
            next: Some((Rung::Kill, second(110), Some(hit))),
            holds: "what was done has 10s to help".to_owned(),
        };
        let held = "three groups were killed within five minutes: a person has to look";
        let last =
            LadderView { next: None, frozen: Vec::new(), holds: held.to_owned(), ..view.clone() };
        let both = [view, last].map(|view| ladder_text(&view, second(104)));
        insta::assert_snapshot!(both.join("----"));
    }
}
