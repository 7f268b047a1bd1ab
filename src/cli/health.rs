//! `provost status --health`: whether provost itself does what it is there for. Asks the daemon's talking thread, so that there is an answer
//! also while the control loop stands still.

use super::Printout;
use super::args::Cli;
use super::fail::Failure;
use super::render::{COLUMNS, escape, wrap};
use crate::model::{Condition, Health};
use crate::serve::{Reply, Request, ask};
use serde_json::json;

pub(super) fn health(cli: &Cli) -> Result<Printout, Failure> {
    let health = match ask(&cli.paths().socket(), &Request::Health)? {
        Reply::Health { health } => health,
        Reply::Failed { text, exit } => return Err(Failure::new(exit, text)),
        Reply::Status { .. } | Reply::Done { .. } => {
            return Err(Failure::new(1, "the daemon answered another question".to_owned()));
        }
    };
    let stdout = if cli.json { document(&health) } else { text(&health) };
    let exit = u8::from(health.condition != Condition::Healthy);
    Ok(Printout { stdout, stderr: String::new(), exit })
}

/// The word, and below it each reason, at most 100 columns wide.
pub(super) fn text(health: &Health) -> String {
    let mut out = format!("{}\n", health.condition);
    for reason in &health.reasons {
        for line in wrap(&escape(reason), COLUMNS - 2) {
            out.push_str(&format!("  {line}\n"));
        }
    }
    out
}

fn document(health: &Health) -> String {
    let document = json!({
        "schema": "provost/health/v1",
        "condition": health.condition,
        "reasons": health.reasons,
    });
    format!("{document:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_reads_well() {
        let wrongs = [
            "nobody is served on 127.0.0.1:17768 ([http] listen): Address already in use (os error 98)",
            "the last reload failed, so the configuration from before it is in force; run \"provost check\" to see why",
        ];
        let degraded = Health::of(wrongs.map(|why| (Condition::Degraded, why.to_owned())));
        let all = [text(&Health::default()), text(&degraded), document(&degraded)];
        insta::assert_snapshot!(all.join("----\n"));
    }
}
