//! `provost restore`: puts back what was there before, from the journal, with no daemon running.

use super::Printout;
use super::args::{Cli, RestoreArgs};
use super::fail::{EXIT_PARTLY, Failure};
use crate::daemon::{account_text, restorer};
use crate::enforce::{Giving, Journal, JournalError, Ledger, Raised, Returned};
use crate::model::{Knob, KnobKind};
use crate::units::{CgroupId, CgroupPath};
use serde_json::json;

pub(super) fn restore(cli: &Cli, args: &RestoreArgs) -> Result<Printout, Failure> {
    if args.dry_run {
        return dry_run(cli, args);
    }
    let account = give_back(cli, args)?;
    let failed = account.iter().any(|line| matches!(line.how, Giving::Failed { .. }));
    let exit = if failed { EXIT_PARTLY } else { 0 };
    let stdout = if cli.json { document(&account) } else { account_text(&account) + "\n" };
    Ok(Printout { stdout, stderr: String::new(), exit })
}

fn give_back(cli: &Cli, args: &RestoreArgs) -> Result<Vec<Returned>, Failure> {
    let failed = |error: JournalError| Failure::new(1, error.to_string());
    // As a rule there is none when a daemon ends, and its successor waits for this.
    if args.temporary && !Journal::peek(&cli.state_dir).map_err(failed)?.has_passing() {
        return Ok(Vec::new());
    }
    let (_instance, mut executor) = restorer(&cli.paths())?;
    if args.temporary { executor.lift_passing() } else { executor.give_back(args.all) }
        .map_err(failed)
}

fn document(account: &[Returned]) -> String {
    let lines: Vec<serde_json::Value> = account
        .iter()
        .map(|line| {
            let (result, from, to, why) = match &line.how {
                Giving::Done { from, to } => ("done", Some(from), Some(to), None),
                Giving::Nothing { why } => ("nothing", None, None, Some(why)),
                Giving::Left { why } => ("left", None, None, Some(why)),
                Giving::Failed { why } => ("failed", None, None, Some(why)),
            };
            json!({ "cgroup": line.path, "what": line.what, "result": result, "from": from, "to": to, "why": why })
        })
        .collect();
    format!("{:#}\n", json!({ "schema": "provost/restore/v1", "account": lines }))
}

fn dry_run(cli: &Cli, args: &RestoreArgs) -> Result<Printout, Failure> {
    let ledger =
        Journal::peek(&cli.state_dir).map_err(|error| Failure::new(1, error.to_string()))?;
    let mut lines = if args.temporary { passing(&ledger) } else { everything(&ledger) };
    if lines.is_empty() {
        lines.push("nothing to give back".to_owned());
    }
    if cli.json {
        let document = json!({ "schema": "provost/restore/v1", "dry_run": lines });
        return Ok(Printout::text(format!("{document:#}\n")));
    }
    Ok(Printout::text(lines.join("\n") + "\n"))
}

fn passing(ledger: &Ledger) -> Vec<String> {
    let line = |((path, kind), (_, value)): (&(CgroupPath, KnobKind), &(CgroupId, Knob))| {
        format!("{path} {kind}: {value} -> {}", ledger.beneath(path, *kind))
    };
    threads(ledger).chain(ledger.passing.iter().map(line)).collect()
}

/// Threads in real time, which are lowered whatever stays.
fn threads(ledger: &Ledger) -> impl Iterator<Item = String> {
    ledger.raised.values().map(|raised| {
        let Raised { thread, name, at, given, original, .. } = raised;
        format!("{} thread {thread} ({name}): {given} -> {original}", at.path)
    })
}

fn everything(ledger: &Ledger) -> Vec<String> {
    let mut lines: Vec<String> = threads(ledger).collect();
    for ((path, kind), original) in &ledger.originals {
        let written =
            ledger.written(path, *kind).map_or_else(|| "?".to_owned(), ToString::to_string);
        let before =
            original.value.as_ref().map_or_else(|| "unset".to_owned(), ToString::to_string);
        lines.push(format!("{path} {kind}: {written} -> {before}"));
    }
    lines.extend(
        ledger
            .moved
            .iter()
            .map(|moved| format!("process {}: {} -> {}", moved.process, moved.to, moved.from)),
    );
    lines.extend(
        ledger.made.iter().map(|made| format!("{}: made for {}", made.path, made.component)),
    );
    lines
}
