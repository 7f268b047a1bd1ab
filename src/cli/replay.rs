//! `provost replay` and `provost plan --against-history`: recorded cycles, run again. Touches nothing but the recording.

use super::Printout;
use super::args::{Cli, StrategyWord};
use super::fail::Failure;
use super::past::{Past, missing, moment, since, unreadable};
use super::plan::scheduled;
use super::render::{COLUMNS, Column, Table, escape, paragraph};
use crate::config::{Policy, PolicyText};
use crate::daemon::{StartError, recorded_capacity};
use crate::kernel::clock;
use crate::model::Knob;
use crate::record::{Lost, Recording, Which};
use crate::sim::{Difference, Instead, Replay, ReplayError, Replayed, hush};
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Something differs.
const EXIT_DIFFERS: u8 = 1;
/// More lines help nobody.
const MOST_SHOWN: usize = 100;
/// So many cycles that failed are named.
const MOST_FAILED: usize = 10;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A recording, such as a copy of looks.ring of another host; without it, this host's.
    pub(super) file: Option<PathBuf>,
    /// From then on: how long ago ("2h"), a time of the day ("14:00"), or a date and time ("2026-01-31 14:00").
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<Past>,
    /// Instead of the recorded strategy.
    #[arg(long, value_name = "STRATEGY")]
    pub(super) strategy: Option<StrategyWord>,
}

/// What came of a replay.
#[derive(Debug, Default)]
struct Outcome {
    from_secs: u64,
    to_secs: u64,
    played: u64,
    passed_over: u64,
    /// Cycles that came to something else, and how many of those to other wanted values.
    differing: u64,
    otherwise: u64,
    /// The first differences, of the first cycle in which each knob differs.
    shown: Vec<(u64, Difference)>,
    more: usize,
    /// Cycles in which deciding failed: how many, and of the first ones when and why.
    failures: u64,
    failed: Vec<(u64, String)>,
    /// Places in the recording where no replay could begin, with why.
    refused: Option<String>,
    lost: Lost,
}

pub(super) fn replay(cli: &Cli, args: &ReplayArgs) -> Result<Printout, Failure> {
    let instead = Instead { policy: None, strategy: args.strategy.map(Into::into) };
    let is_same = instead.is_nothing();
    let file = args.file.clone().unwrap_or_else(|| Which::Looks.file(&cli.state_dir));
    let recording = Recording::open(&file).map_err(|error| unreadable(cli, &error))?;
    let outcome = run(recording, since(args.since), instead)?;
    let is_well = outcome.differing == 0 && outcome.failures == 0;
    let exit = if is_same && !is_well { EXIT_DIFFERS } else { 0 };
    let stdout = if cli.json {
        document("replay", &outcome)
    } else {
        text(&outcome, "what was recorded", &TimeZone::system())
    };
    Ok(Printout { stdout, stderr: String::new(), exit })
}

/// What the configuration that is there now would have wanted on what was recorded. Looks at no host: the recording may be another's.
pub(super) fn against(cli: &Cli, past: Past) -> Result<Printout, Failure> {
    let file = Which::Looks.file(&cli.state_dir);
    let recording = Recording::open(&file).map_err(|error| unreadable(cli, &error))?;
    let since = since(Some(past));
    let instead = Instead { policy: Some(present(cli, &recording, since)?), strategy: None };
    let outcome = run(recording, since, instead)?;
    Ok(Printout::text(if cli.json {
        document("plan-against-history", &outcome)
    } else {
        text(&outcome, "the configuration that was in force", &TimeZone::system())
    }))
}

/// The configuration that is there now, for the host of the recording, with the windows of time that are open now.
fn present(cli: &Cli, recording: &Recording, since: u64) -> Result<Policy, Failure> {
    let mut played = recording.clone().skip(before(recording.clone(), since));
    let text = played.find_map(|cycle| cycle.base?.policy::<PolicyText>().ok());
    let text = text.ok_or_else(|| nothing(None))?;
    recorded_capacity(&text, |host| {
        let loaded = text.load(&cli.sources(), host);
        let loaded = loaded.map_err(|issues| StartError::Config { issues })?;
        scheduled(&loaded, &clock::zoned(), host).map(|(policy, _)| policy)
    })
}

/// Plays what was recorded from `since` on: from the last place before it where a replay may begin.
fn run(mut recording: Recording, since: u64, instead: Instead) -> Result<Outcome, Failure> {
    hush();
    let mut outcome = Outcome::default();
    let mut replay = Replay::new(instead);
    let before = before(recording.clone(), since);
    for cycle in recording.by_ref().skip(before) {
        let is_wanted = cycle.wall_secs >= since;
        match replay.play(&cycle) {
            Ok(Some(replayed)) if is_wanted => outcome.add(replayed),
            Ok(_) => {}
            Err(error) => outcome.refuse(&error, is_wanted.then_some(cycle.wall_secs)),
        }
    }
    (outcome.played, outcome.passed_over) = (replay.played, replay.passed_over);
    outcome.lost = recording.lost();
    if outcome.played == 0 {
        return Err(nothing(outcome.refused));
    }
    Ok(outcome)
}

fn nothing(why: Option<String>) -> Failure {
    let why = why.unwrap_or_else(|| {
        "it holds no place where a replay may begin; the daemon makes one every 15 minutes"
            .to_owned()
    });
    Failure::new(1, format!("nothing of the recording can be run again: {why}"))
}

/// How many cycles lie before the last place at or before a time where a replay may begin.
fn before(recording: Recording, since: u64) -> usize {
    let cycles = recording.enumerate().take_while(|(_, cycle)| cycle.wall_secs < since);
    cycles.filter(|(_, cycle)| cycle.base.is_some()).last().map_or(0, |(number, _)| number)
}

impl Outcome {
    fn add(&mut self, replayed: Replayed) {
        let Replayed { wall_secs, differences, is_otherwise_different } = replayed;
        if self.from_secs == 0 {
            self.from_secs = wall_secs;
        }
        self.to_secs = wall_secs;
        self.differing += u64::from(!differences.is_empty() || is_otherwise_different);
        self.otherwise += u64::from(is_otherwise_different);
        for difference in differences {
            let is_known = self
                .shown
                .iter()
                .any(|(_, one)| (&one.at, one.kind) == (&difference.at, difference.kind));
            if is_known {
                continue;
            }
            if self.shown.len() < MOST_SHOWN {
                self.shown.push((wall_secs, difference));
            } else {
                self.more += 1;
            }
        }
    }

    /// Takes in why a cycle cannot be played, and when it was if that was asked for.
    fn refuse(&mut self, error: &ReplayError, wanted: Option<u64>) {
        match (error, wanted) {
            (ReplayError::Panicked { .. }, Some(wall_secs)) => {
                self.failures += 1;
                if self.failed.len() < MOST_FAILED {
                    self.failed.push((wall_secs, error.to_string()));
                }
            }
            (ReplayError::Panicked { .. }, None)
            | (ReplayError::Policy { .. } | ReplayError::Form(_), _) => {}
        }
        self.refused.get_or_insert(error.to_string());
    }
}

fn document(verb: &str, outcome: &Outcome) -> String {
    let value = |wanted: &Option<(Knob, String)>| {
        wanted.as_ref().map(|(knob, why)| json!({ "value": knob.to_string(), "reason": why }))
    };
    let differences: Vec<Value> = outcome
        .shown
        .iter()
        .map(|(wall_secs, one)| {
            json!({
                "at": wall_secs, "component": one.component, "cgroup": one.at, "knob": one.kind.to_string(),
                "recorded": value(&one.recorded), "replayed": value(&one.replayed),
            })
        })
        .collect();
    let failed =
        outcome.failed.iter().map(|(wall_secs, why)| json!({ "at": wall_secs, "why": why }));
    let failed: Vec<Value> = failed.collect();
    let document = json!({
        "schema": format!("provost/{verb}/v1"), "from": outcome.from_secs, "to": outcome.to_secs,
        "cycles": outcome.played, "passed_over": outcome.passed_over, "differing": outcome.differing,
        "differences": differences, "failures": outcome.failures, "failed": failed, "lost": outcome.lost.words(),
    });
    format!("{document:#}\n")
}

fn text(outcome: &Outcome, than: &str, zone: &TimeZone) -> String {
    let counted =
        |count: u64| if count == 1 { "1 cycle".to_owned() } else { format!("{count} cycles") };
    let mut head = format!(
        "{} from {} to {} run again",
        counted(outcome.played),
        moment(outcome.from_secs, zone),
        moment(outcome.to_secs, zone)
    );
    if outcome.passed_over > 0 {
        head.push_str(&format!(
            ", {} passed over for lack of a place to begin",
            outcome.passed_over
        ));
    }
    let mut out = paragraph(&head) + &failures(outcome, zone);
    if outcome.differing == 0 {
        let nothing = if outcome.failures == 0 { "nothing" } else { "nothing else" };
        return out + &format!("{nothing} differs from {than}\n") + &missing(outcome.lost);
    }
    out.push_str(&format!("{} came to something else than {than}\n", counted(outcome.differing)));
    if !outcome.shown.is_empty() {
        out.push_str(&format!("\n{}", table(outcome, zone)));
    }
    if outcome.more > 0 {
        out.push_str(&format!("{} more knobs differ\n", outcome.more));
    }
    if outcome.otherwise > 0 {
        out.push_str(&paragraph(&format!(
            "\nin {} only reasons, the order of writes or findings differ",
            counted(outcome.otherwise)
        )));
    }
    out + &missing(outcome.lost)
}

/// Cycles in which deciding failed.
fn failures(outcome: &Outcome, zone: &TimeZone) -> String {
    let line = |(wall_secs, why): &(u64, String)| {
        let at = moment(*wall_secs, zone);
        paragraph(&format!(
            "at {at} {}; the replay goes on at the next place to begin",
            escape(why)
        ))
    };
    let mut lines: String = outcome.failed.iter().map(line).collect();
    let named = u64::try_from(outcome.failed.len()).unwrap_or(u64::MAX);
    let more = outcome.failures.saturating_sub(named);
    if more > 0 {
        lines.push_str(&format!("deciding failed {more} times more\n"));
    }
    lines
}

/// Each knob when it differs first.
fn table(outcome: &Outcome, zone: &TimeZone) -> String {
    let mut table = Table::new([
        Column::left("FIRST"),
        Column::left("COMPONENT"),
        Column::left("WHERE").rank(1),
        Column::left("KNOB"),
        Column::right("RECORDED"),
        Column::left(""),
        Column::right("REPLAYED"),
        Column::left("WHY NOW").wraps(),
    ]);
    for (wall_secs, one) in &outcome.shown {
        let value = |wanted: &Option<(Knob, String)>| {
            wanted.as_ref().map_or_else(|| "-".to_owned(), |(knob, _)| knob.to_string())
        };
        let why = one.replayed.as_ref().map_or("nothing asks for it", |(_, why)| why.as_str());
        table.row([
            moment(*wall_secs, zone),
            one.component.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            one.at.name().to_owned(),
            one.kind.to_string(),
            value(&one.recorded),
            "->".to_owned(),
            value(&one.replayed),
            why.to_owned(),
        ]);
    }
    table.render(COLUMNS)
}

#[cfg(test)]
mod tests;
