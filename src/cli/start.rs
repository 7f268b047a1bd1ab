//! `provost start`: the daemon in the foreground.

use super::Printout;
use super::args::{Cli, StartArgs};
use super::fail::Failure;
use crate::daemon::{Options, run};
use tracing_subscriber::EnvFilter;

pub(super) fn start(cli: &Cli, args: &StartArgs) -> Result<Printout, Failure> {
    log();
    run(Options {
        sources: cli.sources(),
        paths: cli.paths(),
        strategy: args.strategy.map(Into::into),
        duration: args.duration,
    })?;
    Ok(Printout::text(String::new()))
}

/// Messages go to standard error, where systemd takes them up with their time; RUST_LOG chooses how many.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false);
    // Set already only in tests.
    let _set = subscriber.try_init();
}
