//! `provost run COMPONENT -- CMD`: this process enters the component's home, makes sure that it is there, and becomes the command. So
//! the command's first instruction runs inside, and whoever waits for it waits for the same process number.

use super::Printout;
use super::args::{Cli, RunArgs};
use super::fail::{EXIT_NO_COMPONENT, EXIT_NOT_PERMITTED, Failure};
use crate::daemon::{Entered, enter};
use crate::kernel::process::is_root;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Where a program may poll for its own memory pressure, and what it writes there first, in base64: the protocol of systemd.io/MEMORY_PRESSURE.
const WATCH: &str = "MEMORY_PRESSURE_WATCH";
const WRITE: &str = "MEMORY_PRESSURE_WRITE";
/// `some 200000 2000000` and a zero byte, as systemd writes it: 200 ms of waiting within 2 s.
const SOME_200_MS: &str = "c29tZSAyMDAwMDAgMjAwMDAwMAA=";

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that starts what it was asked to start"
)]
pub(super) fn run(cli: &Cli, args: &RunArgs) -> Result<Printout, Failure> {
    if !is_root() {
        return Err(Failure::new(EXIT_NOT_PERMITTED, "entering a component needs root".to_owned()));
    }
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::new(2, "no command was given after \"--\"".to_owned()));
    };
    let pressure = match enter(&cli.sources(), &cli.paths(), &args.component)? {
        Entered::Inside { pressure } => pressure,
        Entered::NoComponent(unknown) => {
            return Err(Failure::new(EXIT_NO_COMPONENT, unknown.to_string()));
        }
        Entered::Refused { why } => {
            return Err(Failure::new(1, format!("cannot enter {}: {why}", args.component)));
        }
    };
    // Comes back only when the program cannot be started.
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(pressure) = pressure.filter(|_| std::env::var_os(WATCH).is_none()) {
        command.env(WATCH, pressure).env(WRITE, SOME_200_MS);
    }
    let error = command.exec();
    Err(Failure::new(1, format!("cannot start {}: {error}", program.display())))
}
