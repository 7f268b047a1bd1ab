//! `provost plan`: what the daemon would change now. Opens nothing for writing.

use super::Printout;
use super::args::{Cli, PlanArgs};
use super::explain::ladder_text;
use super::fail::Failure;
use super::render::{COLUMNS, Column, Table};
use super::status::{WHEN, findings};
use crate::config::{Capacity, Colour, Loaded, Policy, Writes, render};
use crate::cycle::{News, State, step};
use crate::daemon::{Given, adopted, capacity, instance_findings, load_policy, open_tree};
use crate::kernel::probe::Roots;
use crate::kernel::{clock, host};
use crate::model::{Finding, Moment, Snapshot};
use crate::observe::{Collector, Happened};
use crate::plan::show::{Line, lines};
use crate::units::ComponentName;
use jiff::Zoned;
use serde_json::json;

/// `plan --exit-code`: there is something to change.
const EXIT_CHANGES: u8 = 2;

pub(super) fn plan(cli: &Cli, args: &PlanArgs) -> Result<Printout, Failure> {
    if let Some(past) = args.against_history {
        return super::replay::against(cli, past);
    }
    let (fs, roots) = open_tree()?;
    let Holding { mut policy, when, findings } = holding(cli, args, &roots)?;
    // All of it is shown, however long it would take to write.
    policy.writes = Writes::UNLIMITED;
    let mut state = State::default();
    // What a running or killed daemon wrote is its own, not another writer's.
    state.ownership = adopted(&cli.paths(), &roots)?;
    let mut collector = Collector::new(fs, &roots);
    let seen = collector.look(&policy, clock::now(), Happened::default());
    let news = step(&policy, state, seen).news;
    let Some(mut news) = news else {
        return Err(Failure::new(1, "a first look came to nothing; please report this".to_owned()));
    };
    news.findings.extend(instance_findings(&policy, seen.host.systemd));
    news.findings.extend(findings);
    let exit = if args.exit_code && !news.plan.is_empty() { EXIT_CHANGES } else { 0 };
    let shown = lines(&news.plan, seen.host.page);
    let stdout = if cli.json { document(&news, &shown) } else { when + &text(&news, &shown, seen) };
    Ok(Printout { stdout, stderr: String::new(), exit })
}

/// What holds at some time.
struct Holding {
    policy: Policy,
    /// A line that says so.
    when: String,
    findings: Vec<Finding>,
}

/// What holds at the time that was asked for.
fn holding(cli: &Cli, args: &PlanArgs, roots: &Roots) -> Result<Holding, Failure> {
    let host = host::view(roots);
    let loaded = load_policy(&cli.sources(), &host)?;
    let now = clock::zoned();
    let at = match &args.at {
        None => now,
        Some(calendar) => calendar.next(&now).ok_or_else(|| {
            Failure::new(2, format!("--at {calendar}: no such time comes any more"))
        })?,
    };
    let (policy, open) = capacity(&host, |capacity| scheduled(&loaded, &at, capacity))?;
    let names: Vec<&str> = open.iter().map(|name| name.as_str()).collect();
    let when = match (&args.at, names.as_slice()) {
        (None, []) => String::new(),
        (_, []) => format!("at {}: no schedule is open\n\n", at.strftime(WHEN)),
        (_, open) => format!("at {}: open is {}\n\n", at.strftime(WHEN), open.join(", ")),
    };
    let seconds = u64::try_from(at.timestamp().as_second()).unwrap_or_default();
    let mut given = Given::peek(&cli.paths(), Moment(seconds));
    let policy = given.lay_over(policy, &host);
    Ok(Holding { policy, when, findings: given.findings() })
}

/// The policy with the windows that are open at some time, and their names.
pub(super) fn scheduled(
    loaded: &Loaded,
    at: &Zoned,
    host: &Capacity<'_>,
) -> Result<(Policy, Vec<ComponentName>), Failure> {
    let open = loaded.policy.open_at(at);
    let (policy, left_out) = loaded.during(&open, host);
    if let Some((name, issues)) = left_out.first() {
        return Err(Failure::new(
            78,
            format!("the schedule \"{name}\" does not fit:\n{}", render(issues, Colour::Never)),
        ));
    }
    Ok((policy, open))
}

fn document(news: &News, shown: &[Line]) -> String {
    let lines: Vec<serde_json::Value> = shown
        .iter()
        .map(|line| {
            json!({
                "component": line.component, "cgroup": line.at, "what": line.what, "old": line.old, "new": line.new,
                "effective": line.effective, "via": line.via, "reason": line.reason,
            })
        })
        .collect();
    let document = json!({
        "schema": "provost/plan/v1", "changes": lines, "plan": news.plan, "findings": news.findings,
    });
    format!("{document:#}\n")
}

fn text(news: &News, shown: &[Line], seen: &Snapshot) -> String {
    let mut out = String::new();
    let mut last = None;
    let mut table = None;
    for line in shown {
        let group = (&line.component, &line.at);
        if last != Some(group) {
            flush(&mut out, table.take());
            let whose = if line.component == "-" {
                "for what lies below".to_owned()
            } else {
                line.component.clone()
            };
            out.push_str(&super::render::escape(&format!("{} ({whose})", line.at)));
            out.push('\n');
            last = Some(group);
        }
        table.get_or_insert_with(new_table).row([
            &format!("  {}", line.what),
            &line.old,
            "->",
            &line.new,
            "->",
            &line.effective,
            &line.via,
            &line.reason,
        ]);
    }
    flush(&mut out, table);
    let count = shown.len();
    let homes: usize = seen.homes.values().map(Vec::len).sum();
    out.push_str(&match count {
        0 if homes == 0 => "nothing to change: no component has a cgroup or a process\n".to_owned(),
        0 => format!("nothing to change in {homes} places\n"),
        1 => "1 change\n".to_owned(),
        _ => format!("{count} changes\n"),
    });
    if let Some(view) = &news.decision.ladder {
        out.push_str(&ladder_text(view, seen.at));
    }
    findings(&mut out, &news.findings);
    out
}

fn new_table() -> Table {
    Table::new([
        Column::left("  WHAT"),
        Column::right("OLD"),
        Column::left(""),
        Column::right("NEW"),
        Column::left(""),
        Column::right("EFFECTIVE"),
        Column::left("BY").rank(1),
        Column::left("WHY").wraps(),
    ])
}

fn flush(out: &mut String, table: Option<Table>) {
    if let Some(table) = table {
        out.push_str(&table.render(COLUMNS));
        out.push('\n');
    }
}
