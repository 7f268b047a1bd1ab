//! `provost doctor`: can this host do what provost asks of it, and what would mend it.
//!
//! Renders a [`Probe`] and its checks; it judges nothing itself, needs no daemon and changes nothing.

use super::render::{COLUMNS, Column, Table, wrap};
use crate::kernel::probe::{Check, DiskProbe, KnobReach, Probe, Roots, Status, checks};
use crate::model::IoWeightBackend;
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;

/// The version of the JSON document.
const SCHEMA: &str = "provost/doctor/v1";

/// Checks what this host's kernel, cgroup tree and systemd can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Args)]
pub struct DoctorArgs {
    /// Print one JSON document instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Exit with 1 when there are warnings.
    #[arg(long)]
    pub strict: bool,
}

/// Probes the host below `roots`, writes the report to `out` and returns the exit code: 0, 1 for warnings with `--strict`,
/// 2 for failures.
///
/// # Errors
/// When `out` cannot be written.
pub fn run(args: DoctorArgs, roots: &Roots, out: &mut impl Write) -> anyhow::Result<u8> {
    let probe = Probe::take(roots);
    let checks = checks(&probe);
    if args.json {
        writeln!(out, "{:#}", document(&probe, &checks))?;
    } else {
        out.write_all(report(&probe, &checks, COLUMNS).as_bytes())?;
    }
    Ok(exit_code(&checks, args.strict))
}

/// 0; 1 for warnings where they count; 2 for failures.
#[must_use]
pub fn exit_code(checks: &[Check], strict: bool) -> u8 {
    match worst(checks) {
        Status::Fail => 2,
        Status::Warn if strict => 1,
        Status::Warn | Status::Ok => 0,
    }
}

fn worst(checks: &[Check]) -> Status {
    let statuses = checks.iter().map(|check| check.status);
    statuses.max().unwrap_or(Status::Ok)
}

fn count(checks: &[Check], status: Status) -> usize {
    checks.iter().filter(|check| check.status == status).count()
}

/// The report as text of at most `width` columns: the verdict, every check, then knobs and disks.
#[must_use]
pub fn report(probe: &Probe, checks: &[Check], width: usize) -> String {
    let verdict = match worst(checks) {
        Status::Fail => "something that provost needs is missing on this host",
        Status::Warn => "provost works on this host, with less than it could",
        Status::Ok => "this host has all that provost can use",
    };
    let counts = format!(
        "{verdict}: {} failed, {} warnings, {} fine",
        count(checks, Status::Fail),
        count(checks, Status::Warn),
        count(checks, Status::Ok)
    );
    let mut text = String::new();
    for line in wrap(&counts, width) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&check_table(checks).render(width));
    for table in [knob_table(probe), disk_table(probe, &probe.disks)] {
        if !table.is_empty() {
            text.push('\n');
            text.push_str(&table.render(width));
        }
    }
    text
}

/// What needs a person comes first; within a status the order of the checks stays.
fn check_table(checks: &[Check]) -> Table {
    let mut table =
        Table::new([Column::left("STATUS"), Column::left("CHECK"), Column::left("FOUND").wraps()]);
    for status in [Status::Fail, Status::Warn, Status::Ok] {
        for check in checks.iter().filter(|check| check.status == status) {
            table.row([status.word(), check.id, check.title.as_str()]);
            if !check.detail.is_empty() {
                table.row(["", "", check.detail.as_str()]);
            }
            if let Some(fix) = &check.fix {
                table.row(["", "", &format!("fix: {fix}")]);
            }
        }
    }
    table
}

fn knob_table(probe: &Probe) -> Table {
    let mut table = Table::new([
        Column::left("KNOB"),
        Column::left("CONTROLLER").rank(2),
        Column::right("SINCE").rank(1),
        Column::left("SEEN IN").wraps(),
    ]);
    for reach in &probe.groups.knobs {
        table.row([
            reach.knob.file,
            reach.knob.controller.map_or("-", |one| one.word()),
            &reach.knob.since.to_string(),
            &seen_in(reach, probe),
        ]);
    }
    table
}

fn seen_in(reach: &KnobReach, probe: &Probe) -> String {
    if reach.at.is_empty() {
        return match (reach.missing_in, reach.knob.controller) {
            (0, Some(one)) if !probe.groups.offered.contains(&one) => {
                format!("nowhere: no {} controller in cgroup v2", one.word())
            }
            (0, Some(_)) => "nowhere: no group has the controller".to_owned(),
            (0, None) => "nowhere: there is no group".to_owned(),
            _ => "nowhere: not in this kernel".to_owned(),
        };
    }
    let places: Vec<String> = reach
        .at
        .iter()
        .map(|(top, groups)| match groups {
            1 => top.clone(),
            groups => format!("{top} ({groups} groups)"),
        })
        .collect();
    places.join(", ")
}

fn disk_table(probe: &Probe, disks: &[DiskProbe]) -> Table {
    let mut table = Table::new([
        Column::left("DISK"),
        Column::left("NUMBER"),
        Column::left("SCHEDULER").rank(1),
        Column::left("IO.MAX"),
        Column::left("IO.WEIGHT"),
    ]);
    let has_io = probe.groups.offered.contains(&crate::model::Controller::Io);
    for disk in disks {
        table.row([
            disk.name.as_str(),
            &disk.device.to_string(),
            disk.scheduler.as_deref().unwrap_or("-"),
            if has_io { "works" } else { "no io controller" },
            if has_io { weights(disk.weights) } else { "no io controller" },
        ]);
    }
    table
}

const fn weights(backend: IoWeightBackend) -> &'static str {
    match backend {
        IoWeightBackend::None => "no effect",
        IoWeightBackend::Bfq => "works (bfq)",
        IoWeightBackend::IoCost => "works (io.cost)",
    }
}

/// The same as one JSON document.
#[must_use]
pub fn document(probe: &Probe, checks: &[Check]) -> Value {
    let words = |set: &std::collections::BTreeSet<crate::model::Controller>| -> Vec<&str> {
        set.iter().map(|one| one.word()).collect()
    };
    json!({
        "schema": SCHEMA,
        "verdict": worst(checks).word().to_lowercase(),
        "failed": count(checks, Status::Fail),
        "warnings": count(checks, Status::Warn),
        "fine": count(checks, Status::Ok),
        "checks": checks.iter().map(|check| json!({
            "id": check.id,
            "status": check.status.word().to_lowercase(),
            "title": check.title,
            "detail": check.detail,
            "fix": check.fix,
        })).collect::<Vec<_>>(),
        "host": {
            "kernel": probe.release,
            "hierarchy": probe.hierarchy.kind().word(),
            "controllers": words(&probe.groups.offered),
            "enabled": words(&probe.groups.granted),
            "systemd": probe.systemd.version,
            "swap_bytes": probe.swap.iter().map(|area| area.size.0).sum::<u64>(),
            "knobs": probe.groups.knobs.iter().map(|reach| json!({
                "file": reach.knob.file,
                "since": reach.knob.since.to_string(),
                "seen_in": reach.at.keys().collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "disks": probe.disks.iter().map(|disk| json!({
                "name": disk.name,
                "number": disk.device.to_string(),
                "scheduler": disk.scheduler,
                "io_weight": disk.weights,
            })).collect::<Vec<_>>(),
        },
    })
}

#[cfg(test)]
mod tests;
