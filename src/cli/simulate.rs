//! `provost simulate`: what each strategy would have done, side by side. Touches nothing but the scenario's files.

use super::args::{Cli, SimulateArgs, colour};
use super::fail::Failure;
use super::render::{COLUMNS, Column, Table, escape, paragraph};
use super::{EXIT_BAD_CONFIG, Printout, chart};
use crate::config::{Code, Colour, ConfigIssue, Division, render};
use crate::sim::{Arm, BUILT_IN, LONGEST, Played, Scenario, Score, Told};
use crate::units::Span;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What stands below the tables.
const LEGEND: &str = "SERVED, the waits and FIRST (from the first pressure to the first write after it) concern protected components, \
                      those of high and critical priority; FLOOR is time below a guarantee. Times are sums over components. WORK is CPU used \
                      of what could have been used; /MIN are writes a minute in the last quarter; SAVED are kills that happen only without provost.";

/// One scenario, played by everybody.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) scenario: Scenario,
    pub(super) runs: Vec<Played>,
}

pub(super) fn simulate(cli: &Cli, args: &SimulateArgs) -> Result<Printout, Failure> {
    if args.scenarios.is_empty() && !args.all {
        return Ok(list(cli.json));
    }
    if let Some(duration) = args.duration.filter(|duration| *duration > LONGEST) {
        return Err(Failure::new(
            2,
            format!("a run of {duration} is too long; the most is {LONGEST}"),
        ));
    }
    let (scenarios, warnings) = match load(args) {
        Ok(loaded) => loaded,
        Err(issues) => return Ok(refused(&issues, cli.json)),
    };
    let trials: Vec<Trial> = scenarios
        .into_iter()
        .map(|scenario| {
            let arms = arms(args, &scenario);
            let runs = arms.into_iter().map(|arm| scenario.play(arm)).collect();
            Trial { scenario, runs }
        })
        .collect();
    if let Some(file) = &args.svg {
        write_chart(file, &chart::svg(&trials))?;
    }
    let stdout = if cli.json { document(&trials) } else { text(&trials) };
    let stderr = if cli.json { String::new() } else { render(&warnings, colour()) };
    Ok(Printout { stdout, stderr, exit: 0 })
}

/// Who plays: the host without provost always, since kills are compared with it.
fn arms(args: &SimulateArgs, scenario: &Scenario) -> Vec<Arm> {
    let wanted = |arm: &Arm| match arm {
        Arm::Absent | Arm::Static => true,
        Arm::With(strategy) | Arm::Reactive(strategy) => {
            args.strategy.is_empty() || args.strategy.iter().any(|word| *strategy == (*word).into())
        }
    };
    scenario.arms().into_iter().filter(wanted).collect()
}

/// What the command line names; a folder stands for the scenarios in it.
fn named(args: &SimulateArgs) -> Vec<PathBuf> {
    if args.all {
        return BUILT_IN.iter().map(|built_in| PathBuf::from(built_in.name)).collect();
    }
    args.scenarios.iter().flat_map(|path| in_folder(path)).collect()
}

/// The scenarios in a folder, by name; the path itself if it is none, or none that can be read: whoever opens it then says why.
#[expect(clippy::disallowed_methods, reason = "the command line says where the scenarios are")]
fn in_folder(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let is_scenario = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "toml");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_scenario).collect();
    files.sort();
    if files.is_empty() { vec![path.to_owned()] } else { files }
}

type Loaded = (Vec<Scenario>, Vec<ConfigIssue>);

/// Reads all scenarios, and tells the problems of all.
fn load(args: &SimulateArgs) -> Result<Loaded, Vec<ConfigIssue>> {
    let (mut scenarios, mut warnings, mut issues) = (Vec::new(), Vec::new(), Vec::new());
    for named in &named(args) {
        let name = named.to_string_lossy();
        let read = match BUILT_IN.iter().find(|built_in| built_in.name == name) {
            Some(built_in) => Scenario::built_in(built_in),
            None => Scenario::load(named),
        };
        match read {
            Ok(mut scenario) => {
                scenario.duration = args.duration.unwrap_or(scenario.duration);
                scenario.seed = args.seed.unwrap_or(scenario.seed);
                let division = args.division.map_or(scenario.policy.division, Into::into);
                scenario.policy.division = division;
                warnings.append(&mut scenario.warnings);
                scenarios.push(scenario);
            }
            Err(problems) => issues.extend(problems.into_iter().map(with_place)),
        }
    }
    if issues.is_empty() { Ok((scenarios, warnings)) } else { Err(issues) }
}

/// Adds where else a scenario could have been.
fn with_place(issue: ConfigIssue) -> ConfigIssue {
    if issue.code != Code::Unreadable {
        return issue;
    }
    issue.help("name a file, or one of the scenarios that \"provost simulate\" lists")
}

fn refused(issues: &[ConfigIssue], is_json: bool) -> Printout {
    let problems: Vec<Value> = issues.iter().map(ConfigIssue::json).collect();
    let document = json!({ "schema": "provost/simulate/v1", "problems": problems });
    Printout {
        stdout: if is_json { format!("{document:#}\n") } else { String::new() },
        stderr: render(issues, if is_json { Colour::Never } else { colour() }),
        exit: EXIT_BAD_CONFIG,
    }
}

#[expect(clippy::disallowed_methods, reason = "the chart goes where the command line says")]
fn write_chart(file: &Path, svg: &str) -> Result<(), Failure> {
    std::fs::write(file, svg)
        .map_err(|error| Failure::new(1, format!("failed to write {}: {error}", file.display())))
}

/// The scenarios that can be named without a file.
fn list(is_json: bool) -> Printout {
    if is_json {
        let known: Vec<Value> = BUILT_IN
            .iter()
            .map(|built_in| json!({ "name": built_in.name, "about": about(built_in.text) }))
            .collect();
        let document = json!({ "schema": "provost/simulate/v1", "built_in": known });
        return Printout::text(format!("{document:#}\n"));
    }
    let mut table = Table::new([Column::left("SCENARIO"), Column::left("WHAT HAPPENS").wraps()]);
    for built_in in BUILT_IN {
        table.row([built_in.name, &about(built_in.text)]);
    }
    let mut out = table.render(COLUMNS);
    out.push_str(
        "\nprovost simulate SCENARIO…  plays these, files, or folders of them; --all plays all\n",
    );
    Printout::text(out)
}

/// The `about` of a built-in scenario.
fn about(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("about = "));
    line.unwrap_or_default().trim_matches('"').to_owned()
}

/// Kills of the run without provost that did not happen in this one.
fn avoided(trial: &Trial, score: &Score) -> Option<u64> {
    let absent = trial.runs.iter().find(|run| run.arm == Arm::Absent)?;
    Some(absent.score.kills.saturating_sub(score.kills))
}

pub(super) fn text(trials: &[Trial]) -> String {
    let mut out = String::new();
    for trial in trials {
        let scenario = &trial.scenario;
        let division = scenario.policy.division;
        let is_default = division == Division::Weighted;
        let division =
            if is_default { String::new() } else { format!(", division {}", division.word()) };
        let title = format!(
            "{}: {} ({}, seed {}{division})",
            scenario.name, scenario.about, scenario.duration, scenario.seed
        );
        out.push_str(&paragraph(&escape(&title)));
        let mut table = Table::new([
            Column::left("STRATEGY"),
            Column::right("SERVED"),
            Column::right("CPU WAIT"),
            Column::right("MEM WAIT"),
            Column::right("IO WAIT"),
            Column::right("WORK"),
            Column::right("WRITES"),
            Column::right("/MIN").rank(1),
            Column::right("KILLS"),
            Column::right("SAVED").rank(2),
            Column::right("FIRST"),
            Column::right("FLOOR"),
        ]);
        for run in &trial.runs {
            table.row(cells(trial, run));
        }
        out.push_str(&table.render(COLUMNS));
        told(&mut out, trial);
        out.push('\n');
    }
    out.push_str(&paragraph(LEGEND));
    out
}

/// What was told of memory that grows without end, by the first strategy that told anything; what is told follows no strategy.
fn told(out: &mut String, trial: &Trial) {
    let Some(run) = trial.runs.iter().find(|run| !run.told.is_empty()) else { return };
    for Told { at, finding } in &run.told {
        let after = Span::secs(at.0 / 1_000_000);
        let words = format!("told after {after}: {} {}", finding.severity, finding.text);
        out.push_str(&paragraph(&escape(&words)));
    }
}

fn cells(trial: &Trial, run: &Played) -> [String; 12] {
    let score = &run.score;
    let is_absent = run.arm == Arm::Absent;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let avoided = avoided(trial, score).filter(|_| !is_absent);
    [
        run.arm.word().to_owned(),
        or_none(score.served.map(percent)),
        seconds(score.cpu_pressure),
        seconds(score.memory_stall),
        seconds(score.io_stall),
        or_none(score.work.map(percent)),
        score.writes.to_string(),
        hundredths(score.writes_per_minute()),
        score.kills.to_string(),
        or_none(avoided.map(|count| count.to_string())),
        or_none(score.first_action.map(seconds)),
        seconds(score.below_floor),
    ]
}

/// Hundredths of a percent as a person reads them; never 100 % where something is missing.
fn percent(part: u64) -> String {
    format!("{}.{}%", part / 100, part % 100 / 10)
}

fn hundredths(amount: u64) -> String {
    if amount == 0 { "0".to_owned() } else { format!("{}.{:02}", amount / 100, amount % 100) }
}

/// Seconds with one decimal, without where there are many.
fn seconds(span: Span) -> String {
    let tenths = span.0 / 100_000;
    match tenths {
        0 if span == Span::ZERO => "0s".to_owned(),
        0 => "<0.1s".to_owned(),
        1..10_000 => format!("{}.{}s", tenths / 10, tenths % 10),
        _ => format!("{}s", tenths / 10),
    }
}

fn document(trials: &[Trial]) -> String {
    let scenarios: Vec<Value> = trials.iter().map(one).collect();
    let document = json!({ "schema": "provost/simulate/v1", "scenarios": scenarios });
    format!("{document:#}\n")
}

fn one(trial: &Trial) -> Value {
    let scenario = &trial.scenario;
    let runs: Vec<Value> = trial
        .runs
        .iter()
        .map(|run| {
            let score = &run.score;
            let told = |told: &Told| json!({ "at_usec": told.at, "finding": told.finding });
            let told: Vec<Value> = run.told.iter().map(told).collect();
            json!({
                "strategy": run.arm.word(),
                "served_basis_points": score.served,
                "cpu_pressure_usec": score.cpu_pressure,
                "memory_stall_usec": score.memory_stall,
                "io_stall_usec": score.io_stall,
                "work_conserved_basis_points": score.work,
                "disk_busy_usec": score.disk_busy,
                "writes": score.writes,
                "writes_refused": score.refused,
                "writes_last_quarter": score.writes_last_quarter,
                "writes_by_file": run.written,
                "kills": score.kills,
                "kills_of_protected": score.kills_of_protected,
                "kills_avoided": avoided(trial, score),
                "first_action_usec": score.first_action,
                "below_floor_usec": score.below_floor,
                "told": told,
            })
        })
        .collect();
    json!({
        "name": scenario.name, "about": scenario.about,
        "duration_usec": scenario.duration, "seed": scenario.seed, "runs": runs,
        "division": scenario.policy.division.word(),
    })
}

#[cfg(test)]
mod tests;
