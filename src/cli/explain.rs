//! `provost explain COMPONENT`: why these limits, what they were before, whose they are, and what would change them.

use super::Printout;
use super::args::Cli;
use super::fail::{EXIT_NO_COMPONENT, Failure};
use super::render::{COLUMNS, Column, Table};
use super::status::{fetch, findings, limit};
use crate::model::{ComponentReport, Finding, Report, Wait};
use crate::units::ComponentName;
use serde_json::json;
use std::fmt::Write as _;

pub(super) fn explain(cli: &Cli, name: &ComponentName) -> Result<Printout, Failure> {
    let report = fetch(cli)?;
    let Some(component) = report.components.iter().find(|component| component.name == *name) else {
        let known: Vec<&str> =
            report.components.iter().map(|component| component.name.as_str()).collect();
        let text = format!("no component \"{name}\"; the configuration has: {}", known.join(", "));
        return Err(Failure::new(EXIT_NO_COMPONENT, text));
    };
    let concerning = concerning(&report, component);
    if cli.json {
        let document = json!({
            "schema": "provost/explain/v1", "component": component, "findings": concerning, "enforcing": report.enforcing,
        });
        return Ok(Printout::text(format!("{document:#}\n")));
    }
    Ok(Printout::text(text(&report, component, &concerning)))
}

/// What it waits for through no doing of its own, and what holds it back.
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
}

fn concerning(report: &Report, component: &ComponentReport) -> Vec<Finding> {
    let concerns = |finding: &&Finding| finding.component.as_ref() == Some(&component.name);
    report.findings.iter().filter(concerns).cloned().collect()
}

fn text(report: &Report, component: &ComponentReport, concerning: &[Finding]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let strategy = component.strategy.as_ref();
    let strategy = strategy.map_or_else(String::new, |own| format!(", strategy {own}"));
    let _ok = writeln!(out, "{}: priority {}{strategy}", component.name, component.priority);
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
    let _ok = writeln!(
        out,
        "  memory  guarantee {}, ceiling {}\n  pids    ceiling {}",
        component.memory_guarantee,
        limit(component.memory_ceiling),
        limit(component.pids_ceiling)
    );
    out.push_str(&super::status::disks(report));
    waiting(&mut out, report, component);
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
        out.push_str(&table.render(COLUMNS));
    }
    if !component.loose.is_empty() {
        let _ok = writeln!(out, "\nnot yet in place: {}", component.loose.join(", "));
    }
    findings(&mut out, concerning);
    out.push_str(
        "\nWhat would change this: its keys in the configuration (\"provost config show --merged\" names the\n\
         file), another component coming or going (weights), or another writer (its value then stands\n\
         for a while).\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_report;

    #[test]
    fn an_explanation_reads_well() {
        let report = sample_report();
        let explained = [0, 2].map(|place| {
            let component = &report.components[place];
            text(&report, component, &concerning(&report, component))
        });
        insta::assert_snapshot!(explained.join("----\n"));
    }
}
