//! The verbs, and how their results look: the only room that prints.
//!
//! A verb takes its arguments and what it needs from the rooms below and returns what is to be printed with an exit code. Nothing here
//! decides about limits.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "room cli speaks to the terminal")]

mod alerts;
mod args;
mod ask;
mod backtest;
mod calibrate;
mod capacity;
mod chart;
pub mod check;
pub mod config;
pub mod doctor;
mod explain;
mod export;
mod fail;
mod forecast;
mod health;
mod history;
mod leak;
mod mend;
mod monitor;
mod past;
mod plan;
mod printout;
mod probe;
mod quota;
mod reach;
mod realtime;
pub mod render;
mod replay;
mod report;
mod restore;
mod run;
mod simulate;
mod start;
mod statistics;
mod status;
mod storage;
mod strategy;
mod svg;
mod sweep;

pub use args::Cli;
pub use printout::{EXIT_BAD_CONFIG, EXIT_OK, Printout};

use crate::kernel;
use args::{ConfigVerb, Verb};
use check::Form;
use clap::{CommandFactory as _, Parser as _};
use fail::Failure;
use std::process::ExitCode;

/// Reads the arguments, does the verb, prints, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let printout = match verb(&cli) {
        Ok(printout) => printout,
        Err(failure) => failure.printout(),
    };
    // Nowhere to print to: all that is left to say is the exit code.
    printout.print().unwrap_or(ExitCode::FAILURE)
}

fn verb(cli: &Cli) -> Result<Printout, Failure> {
    // First of all: its standard streams are sockets of the daemon, and nothing else may be open.
    if matches!(cli.verb, Verb::GateKeeper) {
        return served(kernel::gate_keeper::keep());
    }
    let form = if cli.json { Form::Json } else { Form::Text(args::colour()) };
    match &cli.verb {
        Verb::Start(args) => start::start(cli, args),
        Verb::Stop => ask::stop(cli),
        Verb::Status(args) if args.health => health::health(cli),
        Verb::Status(_) => status::status(cli),
        Verb::Alerts { verb } => alerts::alerts(cli, verb.as_ref()),
        Verb::Plan(args) => plan::plan(cli, args),
        Verb::Doctor(args) => ask::doctor(cli, *args),
        Verb::Check { file } => {
            let sources =
                file.as_deref().map_or_else(|| cli.sources(), crate::config::Sources::single);
            Ok(ask::with_capacity(|capacity| check::check(&sources, capacity, form)))
        }
        Verb::Config { verb: ConfigVerb::Show { merged } } => {
            let what = if *merged { config::What::Merged } else { config::What::Policy };
            Ok(ask::with_capacity(|capacity| config::show(&cli.sources(), capacity, what, form)))
        }
        Verb::Config { verb: ConfigVerb::Schema } => Ok(config::schema()),
        Verb::Run(args) => run::run(cli, args),
        Verb::Enforce { switch } => ask::enforce(cli, *switch),
        Verb::Strategy(args) => strategy::strategy(cli, args),
        Verb::SetQuota(args) => quota::set_quota(cli, args),
        Verb::Release { component } => quota::release(cli, component),
        Verb::Restore(args) => restore::restore(cli, args),
        Verb::Monitor(args) => monitor::monitor(cli, args),
        Verb::Explain { component } => explain::explain(cli, component),
        Verb::Forecast { component } => forecast::forecast(cli, component.as_ref()),
        Verb::Capacity => capacity::capacity(cli),
        Verb::History(args) => history::history(cli, args),
        Verb::Events(args) => history::tell(cli, args),
        Verb::Replay(args) => replay::replay(cli, args),
        Verb::Export(args) => export::export(cli, args),
        Verb::Report(args) => report::report(cli, args),
        Verb::Reload => ask::reload(cli),
        Verb::Calibrate(args) => calibrate::calibrate(cli, args),
        Verb::Simulate(args) => simulate::simulate(cli, args),
        Verb::Backtest(args) => backtest::backtest(cli, args),
        Verb::Storage(args) => storage::storage(cli, args),
        Verb::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "provost", &mut script);
            Ok(Printout::text(String::from_utf8_lossy(&script).into_owned()))
        }
        Verb::GateKeeper => served(kernel::gate_keeper::keep()),
        Verb::Anchor => served(kernel::anchor::stand()),
        Verb::Hook(args) => {
            served(kernel::hook::stand_in(&args.user, &args.command).map(|never| match never {}))
        }
        Verb::Sweep(args) => sweep::sweep(args),
        Verb::Man { folder } => args::man_pages(folder),
    }
}

/// How a verb ends that serves the daemon: nobody reads what it prints.
fn served<E: std::fmt::Display>(ended: Result<(), E>) -> Result<Printout, Failure> {
    ended
        .map(|()| Printout::text(String::new()))
        .map_err(|error| Failure::new(1, error.to_string()))
}
