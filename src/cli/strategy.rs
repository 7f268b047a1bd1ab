//! `provost strategy`: which strategy is followed, and following another.

use super::Printout;
use super::args::{Cli, StrategyArgs};
use super::ask::{said, with_capacity};
use super::fail::{EXIT_NO_COMPONENT, EXIT_NOT_PERMITTED, Failure};
use super::status::{fetch, strategies};
use crate::config::{Policy, Strategy, load};
use crate::daemon::{CannotChoose, Chosen, StartError};
use crate::kernel::process::is_root;
use crate::model::Report;
use crate::serve::{ClientError, Reply, Request, ask};
use serde_json::json;

pub(super) fn strategy(cli: &Cli, args: &StrategyArgs) -> Result<Printout, Failure> {
    let Some(choice) = args.name else {
        let report = fetch(cli)?;
        return Ok(Printout::text(if cli.json { document(&report) } else { text(&report) }));
    };
    let strategy = choice.strategy();
    let word = strategy.map(|strategy| strategy.word().to_owned());
    let request = Request::Strategy { word, component: args.component.clone() };
    match ask(&cli.paths().socket(), &request) {
        Ok(Reply::Done { text }) => Ok(said(cli, "strategy", text)),
        Ok(Reply::Failed { text, exit }) => Err(Failure::new(exit, text)),
        Ok(Reply::Status { .. } | Reply::Health { .. }) => {
            Err(Failure::new(1, "the daemon answered another question".to_owned()))
        }
        Err(ClientError::NotRunning { .. }) => remember(cli, args, strategy),
        Err(error) => Err(error.into()),
    }
}

/// Without a daemon: for the next one.
fn remember(
    cli: &Cli,
    args: &StrategyArgs,
    strategy: Option<Strategy>,
) -> Result<Printout, Failure> {
    let mut chosen = Chosen::read(&cli.paths(), None);
    match &args.component {
        Some(name) => {
            chosen.choose_for(&configured(cli)?, name, strategy).map_err(|error| {
                let is_unknown = matches!(error, CannotChoose::Unknown(_));
                let exit = if is_unknown { EXIT_NO_COMPONENT } else { 1 };
                Failure::new(exit, error.to_string())
            })?;
        }
        None => chosen.choose(strategy),
    }
    chosen.write(&cli.paths()).map_err(|error| {
        let exit = if is_root() { 1 } else { EXIT_NOT_PERMITTED };
        let place = cli.state_dir.display();
        Failure::new(exit, format!("cannot remember the strategy in {place}: {error}"))
    })?;
    let word = strategy.map_or("what is configured", Strategy::word);
    Ok(said(cli, "strategy", format!("no daemon runs; the next one follows {word}")))
}

fn configured(cli: &Cli) -> Result<Policy, Failure> {
    let loaded = with_capacity(|capacity| load(&cli.sources(), capacity));
    loaded.map(|loaded| loaded.policy).map_err(|issues| StartError::Config { issues }.into())
}

fn text(report: &Report) -> String {
    let more = strategies(report).map(|more| format!("{more}\n"));
    format!("{}\n{}", report.strategy, more.unwrap_or_default())
}

fn document(report: &Report) -> String {
    let own: serde_json::Map<String, serde_json::Value> = report
        .components
        .iter()
        .filter_map(|component| {
            Some((component.name.to_string(), component.strategy.clone()?.into()))
        })
        .collect();
    let document = json!({
        "schema": "provost/strategy/v1",
        "strategy": report.strategy,
        "configured": report.strategy_configured.as_ref().unwrap_or(&report.strategy),
        "adaptive": report.adaptive,
        "components": own,
    });
    format!("{document:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_report;

    #[test]
    fn what_is_followed_reads_well() {
        let report = sample_report();
        insta::assert_snapshot!(text(&report) + &document(&report));
    }
}
