//! `provost calibrate`: measures what a disk can do, for whoever asks; the daemon never does. Stops as soon as somebody would notice.

use super::Printout;
use super::args::{CalibrateArgs, Cli};
use super::fail::{EXIT_NOT_PERMITTED, Failure};
use super::render::{COLUMNS, Column, Table};
use crate::kernel::calibrate::{
    CalibrateError, Figure, PATTERNS, Pattern, Place, Scratch, place, put_file,
};
use crate::kernel::probe::Roots;
use crate::kernel::process::is_root;
use crate::model::{Level, Report};
use crate::serve::{ClientError, Reply, Request, ask};
use crate::units::{Bytes, Ppm, Span};
use serde_json::json;
use std::fmt::Write as _;

/// Six separate maxima are more than a disk can do at once.
const OF_HUNDRED: u64 = 75;
/// A protected component that waits for disks for longer than this is slowed down.
const WAITS: Ppm = Ppm::percent(5);

/// What was measured, with the part of it to be counted on.
type Figures = Vec<(Pattern, Figure)>;

pub(super) fn calibrate(cli: &Cli, args: &CalibrateArgs) -> Result<Printout, Failure> {
    if !is_root() {
        let text = "measuring a disk slows down whoever uses it, and needs root".to_owned();
        return Err(Failure::new(EXIT_NOT_PERMITTED, text));
    }
    if args.size < Bytes::mebi(16) || !args.size.0.is_multiple_of(Bytes::mebi(1).0) {
        let text = format!("--size is {}; give whole mebibytes, at least 16M", args.size);
        return Err(Failure::new(2, text));
    }
    let place = place(&Roots::host(), &args.path).map_err(failure)?;
    let watched = matches!(ask(&cli.paths().socket(), &Request::Status), Ok(Reply::Status { .. }));
    let mut watch = || disturbance(cli);
    if let Some(why) = watch() {
        return Err(failure(CalibrateError::Stopped { why }));
    }
    let scratch = Scratch::make(&place.folder, args.size, &mut watch).map_err(failure)?;
    let mut figures = Figures::new();
    for pattern in PATTERNS {
        let span = Span::secs(args.seconds);
        let figure = scratch.measure(pattern, span, &mut watch).map_err(failure)?;
        figures.push((pattern, figure));
    }
    drop(scratch);
    if let Some(file) = &args.write {
        put_file(file, &configuration(&place, &figures)).map_err(failure)?;
    }
    if cli.json {
        return Ok(Printout::text(format!("{:#}\n", document(&place, &figures))));
    }
    let mut out = table(&place, &figures);
    if !watched {
        out.push_str("No daemon runs, so nobody looked whether others had to wait.\n");
    }
    match &args.write {
        Some(file) => {
            let _ok =
                writeln!(out, "\nwritten to {}; \"provost reload\" takes it up", file.display());
        }
        None => {
            let _ok = write!(out, "\n{}", configuration(&place, &figures));
        }
    }
    Ok(Printout::text(out))
}

fn failure(error: CalibrateError) -> Failure {
    Failure::new(1, error.to_string())
}

/// Why to stop, as the running daemon sees it; without one there is no reason.
fn disturbance(cli: &Cli) -> Option<String> {
    match ask(&cli.paths().socket(), &Request::Status) {
        Ok(Reply::Status { report }) => disturbed(&report),
        Err(ClientError::NotRunning { .. }) => None,
        Ok(_) | Err(_) => Some("the daemon does not say how others fare".to_owned()),
    }
}

fn disturbed(report: &Report) -> Option<String> {
    let estimate = &report.estimate;
    let level = estimate.levels.iter().find(|(_, view)| view.level != Level::Normal);
    if let Some((resource, view)) = level {
        return Some(format!("{resource} is at level {}: {}", view.level, view.cause));
    }
    let protected = report.components.iter().filter(|one| one.priority.is_protected());
    protected.into_iter().find_map(|one| {
        let wait = estimate.components.get(&one.name)?.need.waits.io?.p10;
        (wait > WAITS).then(|| format!("{} waits for disks {wait} of the time", one.name))
    })
}

const fn counted_on(amount: u64) -> u64 {
    amount / 100 * OF_HUNDRED + amount % 100 * OF_HUNDRED / 100
}

/// The parameter of the model that a pattern gives: bytes for large requests, operations for small ones.
const fn parameter(pattern: Pattern, figure: Figure) -> u64 {
    counted_on(if pattern.is_large() { figure.bytes.0 } else { figure.operations })
}

fn model(figures: &Figures) -> String {
    let part = |(pattern, figure): &(Pattern, Figure)| {
        format!("{}={}", pattern.key, parameter(*pattern, *figure))
    };
    figures.iter().map(part).collect::<Vec<_>>().join(" ")
}

fn table(place: &Place, figures: &Figures) -> String {
    let mut table = Table::new([
        Column::left("PATTERN"),
        Column::right("PER SECOND"),
        Column::right("BYTES PER SECOND"),
    ]);
    for (pattern, figure) in figures {
        let bytes = Bytes(figure.bytes.0 >> 20 << 20);
        table.row([pattern.what.to_owned(), figure.operations.to_string(), bytes.to_string()]);
    }
    let head = format!(
        "{} ({}), through a file in {}\n\n",
        place.name,
        place.device,
        place.folder.display()
    );
    let model = format!("\nmodel of io.cost, {OF_HUNDRED} % of that:\n  {}\n", model(figures));
    head + &table.render(COLUMNS) + &model
}

/// What the daemon reads as the disk's capability.
fn configuration(place: &Place, figures: &Figures) -> String {
    let of = |key: &str| {
        let found = figures.iter().find(|(pattern, _)| pattern.key == key);
        found.map_or(0, |(pattern, figure)| parameter(*pattern, *figure))
    };
    format!(
        "# What \"provost calibrate\" measured, less a quarter.\n# io.cost: {}\n[disk.{}]\ndevice = \"/dev/{}\"\nread = \"{}M\"\nwrite = \"{}M\"\n\
         read-iops = {}\nwrite-iops = {}\n",
        model(figures),
        place.name,
        place.name,
        (of("rbps") >> 20).max(1),
        (of("wbps") >> 20).max(1),
        of("rrandiops").max(1),
        of("wrandiops").max(1),
    )
}

fn document(place: &Place, figures: &Figures) -> serde_json::Value {
    let figure = |(pattern, figure): &(Pattern, Figure)| {
        json!({
            "pattern": pattern.what,
            "operations_per_second": figure.operations,
            "bytes_per_second": figure.bytes.0,
            "key": pattern.key,
            "value": parameter(*pattern, *figure),
        })
    };
    json!({
        "schema": "provost/calibrate/v1",
        "device": place.device.to_string(),
        "name": place.name,
        "folder": place.folder.display().to_string(),
        "figures": figures.iter().map(figure).collect::<Vec<_>>(),
        "model": model(figures),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Capacity, Sources, load};
    use crate::units::{CpuSet, DeviceId};

    fn measured() -> (Place, Figures) {
        let place = Place {
            folder: "/srv".into(),
            device: DeviceId { major: 8, minor: 0 },
            name: "sda".to_owned(),
        };
        let figure = |(number, pattern): (u64, Pattern)| {
            let operations = 1000 * number;
            let block = if pattern.is_large() { 1 << 20 } else { 4096 };
            (pattern, Figure { operations, bytes: Bytes(operations * block) })
        };
        let figures = (1..).zip(PATTERNS).map(figure).collect();
        (place, figures)
    }

    #[test]
    fn the_figures_read_well() {
        let (place, figures) = measured();
        let text = table(&place, &figures) + "\n" + &configuration(&place, &figures);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_is_written_is_what_the_daemon_reads() {
        let (place, figures) = measured();
        let disk = place.device;
        let resolve = |_: &std::path::Path| Ok(vec![disk]);
        let capacity = Capacity {
            online: CpuSet::of(0..4),
            memory: Bytes::mebi(8192),
            page: Bytes(4096),
            resolve_device: &resolve,
            check_program: &|_| Ok(()),
        };
        let sources = Sources::text("disk.toml", &configuration(&place, &figures));
        let policy = load(&sources, &capacity).unwrap().policy;
        let able = policy.able(disk).unwrap();
        assert_eq!(able.read, Bytes::mebi(750));
        assert_eq!((able.read_iops, able.write_iops), (2250, 4500));
    }

    #[test]
    fn it_stops_while_somebody_waits() {
        let mut report = crate::testing::sample_report();
        assert_eq!(disturbed(&report), None);
        let name = report.components[0].name.clone();
        for component in &mut report.components {
            component.priority = crate::model::Priority::High;
        }
        let estimate = report.estimate.components.entry(name.clone()).or_default();
        estimate.need.waits.io = Some(crate::model::Wait { p10: Ppm::percent(6), p60: Ppm::ZERO });
        assert_eq!(disturbed(&report), Some(format!("{name} waits for disks 6% of the time")));
        report.estimate.levels.values_mut().for_each(|view| view.level = Level::Warning);
        assert!(disturbed(&report).unwrap().contains("level warning"));
    }
}
