//! Verbs that ask the running daemon, and small ones that need nothing but the host.

use super::Printout;
use super::args::{Cli, Switch};
use super::doctor::{self, DoctorArgs};
use super::fail::{EXIT_NOT_PERMITTED, Failure};
use crate::config::Capacity;
use crate::daemon::capacity;
use crate::kernel::probe::Roots;
use crate::kernel::process::is_root;
use crate::kernel::{clock, host};
use crate::serve::{ClientError, Reply, Request, ask};
use crate::units::Span;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Giving back may wait for systemd to read its configuration again.
const STOP_PATIENCE: Span = Span::secs(60);

/// Works on this host's capacity.
pub(super) fn with_capacity<T>(work: impl FnOnce(&Capacity<'_>) -> T) -> T {
    capacity(&host::view(&Roots::host()), work)
}

/// The daemon's answer to a request that does something.
pub(super) fn done(cli: &Cli, request: &Request) -> Result<String, Failure> {
    done_at(&cli.paths().socket(), request)
}

/// The same of the daemon that listens there.
pub(super) fn done_at(socket: &Path, request: &Request) -> Result<String, Failure> {
    match ask(socket, request)? {
        Reply::Done { text } => Ok(text),
        Reply::Failed { text, exit } => Err(Failure::new(exit, text)),
        Reply::Status { .. } | Reply::Health { .. } => {
            Err(Failure::new(1, "the daemon answered another question".to_owned()))
        }
    }
}

pub(super) fn said(cli: &Cli, verb: &str, text: String) -> Printout {
    if cli.json {
        let document = json!({ "schema": format!("provost/{verb}/v1"), "text": text });
        return Printout::text(format!("{document:#}\n"));
    }
    Printout::text(format!("{text}\n"))
}

pub(super) fn reload(cli: &Cli) -> Result<Printout, Failure> {
    done(cli, &Request::Reload).map(|text| said(cli, "reload", text))
}

/// Asks the daemon to stop and waits until it has.
#[expect(
    clippy::disallowed_methods,
    reason = "a command that waits for another process has nothing else to do"
)]
pub(super) fn stop(cli: &Cli) -> Result<Printout, Failure> {
    done(cli, &Request::Stop)?;
    let socket = cli.paths().socket();
    let began = clock::now();
    while clock::now().since(began) < STOP_PATIENCE {
        if let Err(ClientError::NotRunning { .. }) = ask(&socket, &Request::Status) {
            return Ok(said(cli, "stop", "stopped".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Failure::new(1, format!("the daemon still runs after {STOP_PATIENCE}")))
}

/// Tells the daemon, or without one remembers for the next.
pub(super) fn enforce(cli: &Cli, switch: Switch) -> Result<Printout, Failure> {
    let on = switch == Switch::On;
    match ask(&cli.paths().socket(), &Request::Enforce { on }) {
        Ok(Reply::Done { text }) => Ok(said(cli, "enforce", text)),
        Ok(Reply::Failed { text, exit }) => Err(Failure::new(exit, text)),
        Ok(Reply::Status { .. } | Reply::Health { .. }) => {
            Err(Failure::new(1, "the daemon answered another question".to_owned()))
        }
        Err(ClientError::NotRunning { .. }) => {
            let cannot = |error: std::io::Error| {
                let exit = if is_root() { 1 } else { EXIT_NOT_PERMITTED };
                Failure::new(
                    exit,
                    format!("cannot remember the switch in {}: {error}", cli.state_dir.display()),
                )
            };
            cli.paths().set_enforce_switch(on).map_err(cannot)?;
            let text = if on {
                "no daemon runs; the next one enforces"
            } else {
                "no daemon runs; the next one only looks. To give back what is in force now: \"provost restore\""
            };
            Ok(said(cli, "enforce", text.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn doctor(cli: &Cli, args: DoctorArgs) -> Result<Printout, Failure> {
    let mut out = Vec::new();
    let args = DoctorArgs { json: args.json || cli.json, ..args };
    let exit = doctor::run(args, &Roots::host(), &mut out)
        .map_err(|error| Failure::new(1, format!("{error:#}")))?;
    let stdout = String::from_utf8_lossy(&out).into_owned();
    Ok(Printout { stdout, stderr: String::new(), exit })
}
