//! `provost report`: one page of what was recorded and of what the daemon says now, as a file of its own.

use super::Printout;
use super::args::Cli;
use super::fail::{EXIT_NOT_PERMITTED, Failure};
use super::past::Past;
use super::status::fetch;
use crate::kernel::process::is_root;
use crate::kernel::{clock, host};
use crate::publish::{Page, Recorded, Styled, recorded};
use crate::units::Span;
use clap::Args;
use std::path::{Path, PathBuf};

const USUAL: Past = Past::Ago(Span::secs(24 * 3600));

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// From then on: how long ago ("2h"), a time of the day ("14:00"), or a date and time ("2026-01-31 14:00"); otherwise the last 24 hours.
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<Past>,
    /// Where to write the page; otherwise it is printed.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

pub(super) fn report(cli: &Cli, args: &ReportArgs) -> Result<Printout, Failure> {
    let now = clock::zoned();
    let to = clock::wall_secs();
    let from = args.since.unwrap_or(USUAL).wall_secs(&now);
    if from >= to {
        let text = "--since lies in the future: write a time that is over".to_owned();
        return Err(Failure::new(2, text));
    }
    let recorded = recorded(&cli.state_dir);
    // Without a daemon the page says that it lacks what only that knows.
    let report = fetch(cli).ok();
    if report.is_none() && recorded.is_empty() {
        return Err(nothing(&recorded));
    }
    let html = Page {
        host: &host::name(),
        from,
        to,
        zone: now.time_zone(),
        recorded: &recorded,
        now: report.as_ref(),
        styled: Styled::Within,
    }
    .html();
    match &args.output {
        None => Ok(Printout::text(html)),
        Some(file) => write(file, &html).map(|()| {
            let text = format!("{}: {} KiB\n", file.display(), html.len().div_ceil(1024));
            Printout::text(text)
        }),
    }
}

fn nothing(recorded: &Recorded) -> Failure {
    let exit = if is_root() { 1 } else { EXIT_NOT_PERMITTED };
    let hint = if is_root() { "" } else { "\na recording is for root alone" };
    let lacks = recorded.lost.join("\n");
    Failure::new(exit, format!("no daemon answers, and there is no recording:\n{lacks}{hint}"))
}

#[expect(clippy::disallowed_methods, reason = "the page goes where the command line says")]
fn write(file: &Path, html: &str) -> Result<(), Failure> {
    std::fs::write(file, html)
        .map_err(|error| Failure::new(1, format!("failed to write {}: {error}", file.display())))
}
