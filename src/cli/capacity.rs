//! `provost capacity`: where the busiest hours of the host and its components go over weeks, and when they need all there is.

use super::Printout;
use super::args::Cli;
use super::fail::Failure;
use super::forecast::units;
use super::render::{COLUMNS, Column, Table, paragraph};
use super::status::fetch;
use crate::model::{ComponentReport, GrowthView, Report, Resource};
use serde_json::json;
use std::collections::BTreeMap;

type Lines = BTreeMap<Resource, GrowthView>;

pub(super) fn capacity(cli: &Cli) -> Result<Printout, Failure> {
    let report = fetch(cli)?;
    Ok(Printout::text(if cli.json { document(&report) } else { text(&report) }))
}

fn document(report: &Report) -> String {
    let components: BTreeMap<&str, &Lines> =
        report.components.iter().map(|one| (one.name.as_str(), &one.growth)).collect();
    let document = json!({
        "schema": "provost/capacity/v1", "units": units(), "host": report.host.growth, "components": components,
    });
    format!("{document:#}\n")
}

fn text(report: &Report) -> String {
    let mut table = Table::new([
        Column::left("COMPONENT"),
        Column::left("OF"),
        Column::right("BUSIEST"),
        Column::right("A WEEK"),
        Column::right("FROM"),
        Column::right("TO"),
        Column::right("DAYS").rank(1),
        Column::right("CEILING"),
        Column::left("REACHED"),
    ]);
    let mut rows = 0;
    let mut without = Vec::new();
    let components = report.components.iter().map(|one| (one.name.as_str(), &one.growth));
    for (name, lines) in std::iter::once(("(host)", &report.host.growth)).chain(components) {
        if lines.is_empty() {
            without.push(name);
        }
        for (resource, view) in lines {
            table.row(row(name, *resource, view));
            rows += 1;
        }
    }
    let mut out = String::new();
    if rows > 0 {
        out.push_str(&paragraph(
            "The busiest hour of a usual day, what it grows by in a week (with 95% confidence FROM so much TO so much), and when it needs all of \
             its ceiling. The host's ceiling is what it has for components. CPU is in cores.",
        ));
        out.push('\n');
        out.push_str(&table.render(COLUMNS));
    }
    if !without.is_empty() {
        let gap = if rows > 0 { "\n" } else { "" };
        out.push_str(gap);
        out.push_str(&paragraph(&format!(
            "Nothing is known yet of {}: growth can be told after two whole weeks.",
            without.join(", ")
        )));
    }
    out
}

fn row(name: &str, resource: Resource, view: &GrowthView) -> [String; 9] {
    let line = &view.line;
    let dash = || "-".to_owned();
    [
        name.to_owned(),
        resource.to_string(),
        resource.amount(line.busiest),
        change(resource, line.per_week),
        change(resource, line.least_per_week),
        change(resource, line.most_per_week),
        line.days.to_string(),
        view.ceiling.map_or_else(dash, |ceiling| resource.amount(ceiling)),
        view.reached.map_or_else(dash, |reached| reached.told()),
    ]
}

/// Which ceilings one component's busiest hour meets, for `provost explain`.
pub(super) fn lines(component: &ComponentReport) -> String {
    let line = |(resource, view): (&Resource, &GrowthView)| {
        let (ceiling, reached) = view.ceiling.zip(view.reached)?;
        let (ceiling, when) = (resource.amount(ceiling), reached.told());
        Some(format!("  its busiest hour needs the {resource} ceiling of {ceiling} {when}\n"))
    };
    component.growth.iter().filter_map(line).collect()
}

/// A change with its sign; one without a bound is unknown.
fn change(resource: Resource, by: i64) -> String {
    let sign = match by {
        i64::MIN | i64::MAX => return "?".to_owned(),
        ..0 => "-",
        0 => "",
        1.. => "+",
    };
    format!("{sign}{}", resource.amount(by.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Growth;
    use crate::testing::sample_report;
    use crate::units::Bytes;

    fn view(line: Growth, ceiling: Option<u64>) -> GrowthView {
        GrowthView { line, ceiling, reached: ceiling.and_then(|ceiling| line.reaches(ceiling)) }
    }

    fn sample() -> Report {
        let mut report = sample_report();
        let line = |busiest, [least, per_week, most]: [i64; 3]| Growth {
            days: 28,
            busiest,
            per_week,
            least_per_week: least,
            most_per_week: most,
        };
        let mebi = |count| Bytes::mebi(count).0;
        report.host.growth = BTreeMap::from([
            (Resource::Cpu, view(line(1_620, [20, 50, 90]), Some(1_750))),
            (Resource::Memory, view(line(mebi(600), [0, 0, 0]), Some(mebi(730)))),
        ]);
        let unsure = Growth { days: 14, ..line(40, [i64::MIN, -3, i64::MAX]) };
        report.components[2].growth = BTreeMap::from([
            (
                Resource::Memory,
                view(line(mebi(400), [4 << 20, 9 << 20, 12 << 20]), Some(mebi(512))),
            ),
            (Resource::Io, view(line(mebi(30), [-2 << 20, 1 << 20, 3 << 20]), None)),
            (Resource::Pids, view(unsure, Some(64))),
        ]);
        report
    }

    #[test]
    fn lines_over_weeks_read_well() {
        let report = sample();
        let parts = [text(&report), text(&sample_report()), lines(&report.components[2])];
        insta::assert_snapshot!(parts.join("----\n"));
    }

    #[test]
    fn lines_over_weeks_as_a_document() {
        insta::assert_snapshot!(document(&sample()));
    }
}
