//! `provost forecast [COMPONENT]`: what components are expected to need in the next minutes, how sure that is, and what it rests on.

use super::Printout;
use super::args::Cli;
use super::fail::{EXIT_NO_COMPONENT, Failure};
use super::render::{COLUMNS, Column, Table, paragraph};
use super::status::fetch;
use crate::model::{
    ComponentReport, Forecast, ForecastModel, ForecastStage, ForecastView, Report, Resource,
    UnknownComponent,
};
use crate::units::{ComponentName, Ppm};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// From nothing to the most that was seen.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn forecast(cli: &Cli, name: Option<&ComponentName>) -> Result<Printout, Failure> {
    let report = fetch(cli)?;
    let components: Vec<&ComponentReport> = match name {
        None => report.components.iter().collect(),
        Some(name) => vec![named(&report, name)?],
    };
    Ok(Printout::text(if cli.json { document(&components) } else { text(&components) }))
}

/// One component of the report.
pub(super) fn named<'a>(
    report: &'a Report,
    name: &ComponentName,
) -> Result<&'a ComponentReport, Failure> {
    let found = report.components.iter().find(|component| component.name == *name);
    found.ok_or_else(|| {
        let known = report.components.iter().map(|component| &component.name);
        Failure::new(EXIT_NO_COMPONENT, UnknownComponent::new(name, known).to_string())
    })
}

fn document(components: &[&ComponentReport]) -> String {
    let all: BTreeMap<&str, &BTreeMap<Resource, ForecastView>> =
        components.iter().map(|one| (one.name.as_str(), &one.forecasts)).collect();
    let document = json!({ "schema": "provost/forecast/v1", "units": units(), "components": all });
    format!("{document:#}\n")
}

/// What the amounts of a document are in.
pub(super) fn units() -> Value {
    json!({
        "cpu": "thousandths of a core", "memory": "bytes", "io": "bytes per second", "pids": "tasks",
    })
}

fn text(components: &[&ComponentReport]) -> String {
    let mut table = Table::new([
        Column::left("COMPONENT"),
        Column::left("OF"),
        Column::right("LIKELY"),
        Column::right("BOUND"),
        Column::right("CONFIDENCE"),
        Column::right("HELD").rank(2),
        Column::left("MODEL").rank(3),
        Column::left("LAST HOUR").rank(1),
    ]);
    let mut without = Vec::new();
    for component in components {
        if component.forecasts.is_empty() {
            without.push(component.name.as_str());
        }
        for (resource, view) in &component.forecasts {
            table.row(row(component, *resource, view));
        }
    }
    let mut out = String::new();
    let first = components.iter().find_map(|one| one.forecasts.values().next());
    if let Some(view) = first {
        out.push_str(&paragraph(&format!(
            "The most that each is expected to need within {}: the likely amount, and a bound. CONFIDENCE says how far both can be trusted \
             (with ! not at all), HELD how often bounds held so far, of how often they are to hold. CPU is in cores.",
            view.horizon
        )));
        out.push('\n');
        out.push_str(&table.render(COLUMNS));
    }
    for component in components {
        for line in unusual(component) {
            out.push_str(&paragraph(&format!("{}: {line}.", component.name)));
        }
    }
    if !without.is_empty() {
        let gap = if out.is_empty() { "" } else { "\n" };
        out.push_str(gap);
        out.push_str(&paragraph(&format!(
            "No forecast of {}: the first comes when a component was seen for five full minutes.",
            without.join(", ")
        )));
    }
    out
}

/// What a component uses out of the ordinary.
fn unusual(component: &ComponentReport) -> impl Iterator<Item = String> {
    component.forecasts.iter().filter_map(|(resource, view)| {
        let unusual = view.unusual?;
        Some(format!("{resource} is {}", unusual.told(*resource, view.said.as_of)))
    })
}

fn row(component: &ComponentReport, resource: Resource, view: &ForecastView) -> [String; 8] {
    let said = &view.said;
    let held = said.coverage.map_or_else(|| "-".to_owned(), percent);
    [
        component.name.to_string(),
        resource.to_string(),
        resource.amount(said.point),
        resource.amount(said.upper),
        confidence(said),
        format!("{held}/{}", percent(view.quantile)),
        said.model.map_or("-", ForecastModel::word).to_owned(),
        sparkline(&view.recent),
    ]
}

/// How far a forecast can be trusted, or that this is not known yet.
fn confidence(said: &Forecast) -> String {
    match (said.stage, said.is_unreliable) {
        (ForecastStage::Learning, _) => said.stage.word().to_owned(),
        (ForecastStage::Ready, true) => format!("{}!", percent(said.confidence)),
        (ForecastStage::Ready, false) => percent(said.confidence),
    }
}

/// To a percent.
fn percent(share: Ppm) -> String {
    format!("{}%", share.get() / 10_000)
}

/// One bar for each number, as high as its part of the greatest.
fn sparkline(numbers: &[u64]) -> String {
    let most = numbers.iter().copied().max().unwrap_or(0).max(1);
    let bar = |number: &u64| {
        let step = u128::from(*number) * 7 / u128::from(most);
        usize::try_from(step).ok().and_then(|step| BARS.get(step)).copied().unwrap_or(' ')
    };
    numbers.iter().map(bar).collect()
}

/// What is expected of one component, and what it does unexpectedly, for `provost explain`.
pub(super) fn lines(component: &ComponentReport) -> String {
    let line = |(resource, view): (&Resource, &ForecastView)| {
        let said = &view.said;
        let known = match (said.stage, said.is_unreliable) {
            (ForecastStage::Learning, _) => "still learning".to_owned(),
            (ForecastStage::Ready, true) => "not to be trusted".to_owned(),
            (ForecastStage::Ready, false) => format!("confidence {}", percent(said.confidence)),
        };
        format!(
            "  expects {resource} {} within {}, at most {} ({known})\n",
            resource.amount(said.point),
            view.horizon,
            resource.amount(said.upper),
        )
    };
    let expected: String = component.forecasts.iter().map(line).collect();
    unusual(component).fold(expected, |lines, unusual| lines + &format!("  {unusual}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Reply;
    use crate::testing::{sample_forecasts, sample_report};
    use proptest::prelude::*;

    fn sample() -> Report {
        let mut report = sample_report();
        for (component, forecasts) in report.components.iter_mut().zip(sample_forecasts()) {
            component.forecasts = forecasts;
        }
        report
    }

    #[test]
    fn forecasts_read_well() {
        let report = sample();
        let all: Vec<&ComponentReport> = report.components.iter().collect();
        let parts = [text(&all), text(&all[..1]), text(&all[1..2]), lines(all[0])];
        insta::assert_snapshot!(parts.join("----\n"));
    }

    #[test]
    fn forecasts_as_a_document() {
        let report = sample();
        insta::assert_snapshot!(document(&[&report.components[0], &report.components[1]]));
    }

    #[test]
    fn the_socket_brings_forecasts_as_they_are() {
        let reply = Reply::Status { report: Box::new(sample()) };
        let text = serde_json::to_string(&reply).unwrap();
        assert_eq!(serde_json::from_str::<Reply>(&text).unwrap(), reply);
    }

    #[test]
    fn an_unknown_component_is_exit_code_4() {
        let report = sample();
        let failure = named(&report, &"nobody".parse().unwrap()).unwrap_err().printout();
        assert_eq!(failure.exit, 4);
        assert!(failure.stderr.contains("the configuration has: batch, idle, web"), "{failure:?}");
        assert_eq!(named(&report, &"web".parse().unwrap()).unwrap().name.as_str(), "web");
    }

    proptest! {
        #[test]
        fn a_bar_for_each_number_and_the_greatest_is_full(
            numbers in prop::collection::vec(any::<u64>(), 1..30)
        ) {
            let bars: Vec<char> = sparkline(&numbers).chars().collect();
            prop_assert_eq!(bars.len(), numbers.len());
            let most = numbers.iter().enumerate().max_by_key(|(_, number)| **number).unwrap().0;
            prop_assert!(bars[most] == '█' || numbers[most] == 0);
            prop_assert!(bars.iter().all(|bar| BARS.contains(bar)));
        }
    }
}
