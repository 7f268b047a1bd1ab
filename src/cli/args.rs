//! The command line: verbs, options, help.

use super::Printout;
use super::doctor::DoctorArgs;
use super::export::ExportArgs;
use super::fail::Failure;
use super::history::{EventsArgs, HistoryArgs};
use super::past::Past;
use super::quota::SetQuotaArgs;
use super::replay::ReplayArgs;
use super::report::ReportArgs;
use crate::config::Calendar;
use crate::config::{Colour, Division, Sources, Strategy, Trust};
use crate::daemon::Paths;
use crate::estimate::forecast::whole;
use crate::units::{Bytes, ComponentName, Ppm, Span};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// Puts CPU, memory, I/O and process limits on the components of this host, by priority, and gives them back.
///
/// Exit codes: 0 done; 1 failed; 2 wrong use; 3 no daemon runs; 4 no such component; 6 partly done; 77 not permitted; 78 bad
/// configuration.
#[derive(Debug, Parser)]
#[command(
    name = "provost",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Read the configuration below this folder instead of the host's (etc/provost, usr/lib/provost, run/provost).
    #[arg(long, global = true, value_name = "DIR", hide = true)]
    pub config_root: Option<PathBuf>,
    /// Keep the lock and the socket in this folder.
    #[arg(long, global = true, value_name = "DIR", hide = true, default_value = "/run/provost")]
    pub run_dir: PathBuf,
    /// Keep the journal in this folder.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        hide = true,
        default_value = "/var/lib/provost"
    )]
    pub state_dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the daemon in the foreground.
    Start(StartArgs),
    /// Stop the daemon; limits are given back or kept as the configuration says.
    Stop,
    /// What is limited now, what it uses, and what needs a person.
    Status(StatusArgs),
    /// What is wrong now and was within the last hour; and who knows of it.
    Alerts {
        /// What to do about one.
        #[command(subcommand)]
        verb: Option<AlertsVerb>,
    },
    /// What would be changed: old -> new -> effective for every file or property, with the reason. Changes nothing.
    Plan(PlanArgs),
    /// What this host's kernel, cgroup tree and systemd can do, and what would mend what they cannot.
    #[command(disable_help_flag = false)]
    Doctor(DoctorArgs),
    /// Check a configuration file, or the whole configuration; exit code 78 on any error.
    Check {
        /// The file; without it, everything that the daemon would read.
        file: Option<PathBuf>,
    },
    /// Show the configuration, or what may be in it.
    Config {
        /// Which.
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Start a command inside a component, from its first instruction.
    Run(RunArgs),
    /// Put limits on processes, or give all of them back.
    Enforce {
        /// Which.
        switch: Switch,
    },
    /// Show which strategy is followed, or follow another from now on: limits follow demand more or less eagerly.
    Strategy(StrategyArgs),
    /// Change what a component may have until a time is over, without touching its configuration.
    SetQuota(SetQuotaArgs),
    /// Take back what set-quota gave a component, before its time is over.
    Release {
        /// The component.
        component: ComponentName,
    },
    /// Put back what was there before provost, with no daemon running.
    Restore(RestoreArgs),
    /// What the host and its components do now, each second, in a terminal, and what they did before; or what was recorded.
    ///
    /// Keys: q leaves, e explains the selected component, g gives it something for a while (as set-quota does, once confirmed), / filters, s sorts, Space holds, Left and Right go back and forth by a look, PageUp and
    /// PageDown by 30, [ and ] by 600, Home to the oldest, End to now.
    Monitor(MonitorArgs),
    /// Why a component has the limits that it has.
    Explain {
        /// The component.
        component: ComponentName,
    },
    /// What components are expected to need in the next minutes, and how sure that is.
    Forecast {
        /// The component; without it, all.
        component: Option<ComponentName>,
    },
    /// Where the busiest hours of the host and its components go over weeks, and when they need all there is.
    Capacity,
    /// Which limits were changed, when, by how much, why, and what came of it. Reads the recording: no daemon is needed.
    History(HistoryArgs),
    /// What happened: actions, findings that came and went, levels that moved. Reads the recording: no daemon is needed.
    Events(EventsArgs),
    /// Run recorded cycles again and show what differs: nothing, unless this provost, the configuration or the strategy is another one.
    /// Touches no host.
    Replay(ReplayArgs),
    /// Write the configuration, statistics, series or decisions for other programs.
    Export(ExportArgs),
    /// Draw one page of what was used, limited and waited for, to read in a browser, to print or to send.
    Report(ReportArgs),
    /// Make the daemon read its configuration again; on an error the old one stays in force.
    Reload,
    /// Measure what a disk can do, through a private file on one of its file systems. Slows down whoever uses it meanwhile; stops when
    /// somebody protected waits.
    Calibrate(CalibrateArgs),
    /// What each strategy would have done in a scenario, side by side, on a model of a host. Touches no real one.
    Simulate(SimulateArgs),
    /// What the forecasts would have been worth on recorded series, beside simple rules. Reads CSV files and touches nothing else.
    Backtest(BacktestArgs),
    /// How large the configured folders are and which files their rules would remove; with --clean, remove them, as the user of each.
    Storage(StorageArgs),
    /// Print a completion script.
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Hold the exec gate for the daemon that started this.
    #[command(hide = true)]
    GateKeeper,
    /// Keep a component's home in being for the daemon that started this.
    #[command(hide = true)]
    Anchor,
    /// Become a component's hook, for the daemon that started this.
    #[command(hide = true)]
    Hook(HookArgs),
    /// Look below a folder and remove what a rule says, for `provost storage` and with the rights of the folder's user.
    #[command(hide = true)]
    Sweep(SweepArgs),
    /// Write the manual pages into a folder.
    #[command(hide = true)]
    Man {
        /// The folder.
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AlertsVerb {
    /// Say that you know of an alert: nobody is told of it again until it is resolved or gets graver.
    Ack {
        /// Its name, such as leak/web.
        id: String,
    },
    /// Hear nothing of an alert for a while, whatever it does.
    Silence {
        /// Its name, such as leak/web.
        id: String,
        /// For how long, such as "30m"; 30 days at most. "0s" ends a silence.
        #[arg(long = "for", default_value = "1h")]
        span: Span,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    /// Every key in canonical form, defaults included.
    Show {
        /// What the files say, with the file and line of each value.
        #[arg(long)]
        merged: bool,
    },
    /// The JSON schema of the configuration.
    Schema,
}

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// Stop by itself after this long, such as "90s" or "1h".
    #[arg(long)]
    pub(super) duration: Option<Span>,
    /// Instead of the configured strategy.
    #[arg(long)]
    pub(super) strategy: Option<StrategyWord>,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Only whether provost itself does all that it is asked for, and why not: exit code 1 when it does not.
    #[arg(long)]
    pub(super) health: bool,
}

#[derive(Debug, Args)]
pub(super) struct HookArgs {
    /// Whose rights it has.
    pub(super) user: String,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct StorageArgs {
    /// The folder, by its name in the configuration; without it, all.
    pub(super) name: Option<ComponentName>,
    /// Remove the files.
    #[arg(long)]
    pub(super) clean: bool,
}

#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// Below which folder.
    #[arg(long)]
    pub(super) path: PathBuf,
    /// Which names are meant, as a glob.
    #[arg(long = "match")]
    pub(super) files: Option<String>,
    #[arg(long)]
    pub(super) older_than: Option<Span>,
    #[arg(long)]
    pub(super) keep_size: Option<Bytes>,
    #[arg(long)]
    pub(super) keep_count: Option<u64>,
    /// Remove nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Exit with 0 when there is nothing to change and with 2 when there is.
    #[arg(long)]
    pub(super) exit_code: bool,
    /// As the schedules have it at the next time that fits, such as "Mon 09:00"; the host is seen as it is now.
    #[arg(long, value_name = "CALENDAR")]
    pub(super) at: Option<Calendar>,
    /// What this configuration would have wanted otherwise on what was recorded from then on, such as "24h", instead of on the host now.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["at", "exit_code"])]
    pub(super) against_history: Option<Past>,
}

#[derive(Debug, Args)]
pub(super) struct MonitorArgs {
    /// How often the daemon is asked, or the next look of a recording is shown while it is played: "200ms" to "1m".
    #[arg(long, default_value = "1s", value_parser = interval)]
    pub(super) interval: Span,
    /// What was recorded, instead of what is now: begins with the newest. Needs no daemon.
    #[arg(long)]
    pub(super) recording: bool,
    /// Of the recording from then on, and begin there: how long ago ("2h"), a time of the day ("14:00"), or a date and time
    /// ("2026-01-31 14:00").
    #[arg(long, value_name = "TIME", requires = "recording")]
    pub(super) since: Option<Past>,
}

fn interval(text: &str) -> Result<Span, String> {
    let span = text.parse::<Span>().map_err(|error| error.to_string())?;
    let range = Span::millis(200)..=Span::secs(60);
    if range.contains(&span) { Ok(span) } else { Err("write a time from 200ms to 1m".to_owned()) }
}

#[derive(Debug, Args)]
pub(super) struct CalibrateArgs {
    /// A device with a mounted file system, or a folder on the disk.
    #[arg(value_name = "DEVICE|PATH")]
    pub(super) path: PathBuf,
    /// How large the file is, such as "1G": larger than the disk's own cache.
    #[arg(long, default_value = "1G")]
    pub(super) size: Bytes,
    /// How long each of the six patterns takes, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(super) seconds: u64,
    /// Write what was measured into this file, such as /etc/provost/conf.d/disk.toml.
    #[arg(long, value_name = "FILE")]
    pub(super) write: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The component.
    pub(super) component: ComponentName,
    /// The command and its arguments, after "--".
    #[arg(last = true, required = true)]
    pub(super) command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Give back the limits of components with on-exit = "keep" too.
    #[arg(long)]
    pub(super) all: bool,
    /// Lift only what follows the load, such as the caps on what gives way; limits that are to stay, stay.
    #[arg(long, conflicts_with = "all")]
    pub(super) temporary: bool,
    /// Show what the journal holds, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct StrategyArgs {
    /// Which; without one, show what is followed now.
    pub(super) name: Option<StrategyChoice>,
    /// For this component alone, which must be of high or critical priority.
    #[arg(long, value_name = "COMPONENT", requires = "name")]
    pub(super) component: Option<ComponentName>,
}

#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// Scenario files, folders of them, or names of scenarios that are built in; without any, these are listed.
    #[arg(value_name = "SCENARIO")]
    pub(super) scenarios: Vec<PathBuf>,
    /// Play every scenario that is built in.
    #[arg(long, conflicts_with = "scenarios")]
    pub(super) all: bool,
    /// Play only this strategy, beside the host without provost and the one with static limits; may be repeated,
    /// or list several with commas.
    #[arg(long, value_name = "STRATEGY", value_delimiter = ',')]
    pub(super) strategy: Vec<StrategyWord>,
    /// Divide what is short in this way instead of as the scenario says.
    #[arg(long, value_name = "DIVISION")]
    pub(super) division: Option<DivisionWord>,
    /// Play for this long instead of what the scenario says, such as "90s" or "1h".
    #[arg(long)]
    pub(super) duration: Option<Span>,
    /// Another run of everything random.
    #[arg(long, value_name = "NUMBER")]
    pub(super) seed: Option<u64>,
    /// Draw the course of every run into this file.
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct BacktestArgs {
    /// CSV files of TIME,VALUE lines, or folders of them. A time is in seconds since 1970, or YYYY-MM-DD HH:MM:SS; more than one line in five
    /// minutes gives their mean, and an empty value a gap.
    #[arg(value_name = "DIR|FILE", required = true)]
    pub(super) series: Vec<PathBuf>,
    /// How far the forecasts look ahead: "5m" to "1h".
    #[arg(long, default_value = "15m")]
    pub(super) horizon: Span,
    /// How often the upper bound is to hold: 0.5 to 0.995.
    #[arg(long, default_value = "0.95", value_parser = share)]
    pub(super) quantile: Ppm,
    /// Draw every series and its bound into this file.
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

/// A part of one, such as "0.95".
fn share(text: &str) -> Result<Ppm, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    let millionths = share.and_then(|share| u32::try_from(whole((share * 1e6).round())).ok());
    millionths.map(Ppm::new).ok_or_else(|| "write a part of one, such as 0.95".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    /// Put limits on processes.
    On,
    /// Give all limits back and only look from now on.
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StrategyWord {
    /// Slow and roomy.
    Conservative,
    /// The default.
    Balanced,
    /// Fast.
    Aggressive,
    /// Chosen by pressure.
    Adaptive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StrategyChoice {
    /// Slow and roomy.
    Conservative,
    /// Between the two.
    Balanced,
    /// Fast.
    Aggressive,
    /// Chosen by pressure.
    Adaptive,
    /// What the configuration says.
    Configured,
}

impl StrategyChoice {
    /// None for what the configuration says.
    pub(super) const fn strategy(self) -> Option<Strategy> {
        match self {
            Self::Conservative => Some(Strategy::Conservative),
            Self::Balanced => Some(Strategy::Balanced),
            Self::Aggressive => Some(Strategy::Aggressive),
            Self::Adaptive => Some(Strategy::Adaptive),
            Self::Configured => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DivisionWord {
    /// By priority and share.
    Weighted,
    /// Nothing for a priority before the one above it has all it wants.
    Priority,
    /// By share alone.
    Fair,
    /// By fixed shares, guarantees counted in.
    Quota,
}

impl From<DivisionWord> for Division {
    fn from(word: DivisionWord) -> Self {
        match word {
            DivisionWord::Weighted => Self::Weighted,
            DivisionWord::Priority => Self::Priority,
            DivisionWord::Fair => Self::Fair,
            DivisionWord::Quota => Self::Quota,
        }
    }
}

impl From<StrategyWord> for Strategy {
    fn from(word: StrategyWord) -> Self {
        match word {
            StrategyWord::Conservative => Self::Conservative,
            StrategyWord::Balanced => Self::Balanced,
            StrategyWord::Aggressive => Self::Aggressive,
            StrategyWord::Adaptive => Self::Adaptive,
        }
    }
}

impl Cli {
    /// Where the configuration is.
    #[must_use]
    pub fn sources(&self) -> Sources {
        self.config_root
            .as_deref()
            .map_or_else(Sources::host, |root| Sources::below(root, Trust::Anyone))
    }

    /// Where state is kept.
    #[must_use]
    pub fn paths(&self) -> Paths {
        Paths { run: self.run_dir.clone(), state: self.state_dir.clone() }
    }
}

/// Colour only for a terminal, and never where NO_COLOR is set.
pub(super) fn colour() -> Colour {
    let wanted = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if wanted { Colour::Always } else { Colour::Never }
}

/// Writes `provost.8` and a page for every verb.
pub(super) fn man_pages(folder: &Path) -> Result<Printout, Failure> {
    let command = Cli::command();
    clap_mangen::generate_to(command, folder).map_err(|error| {
        Failure::new(1, format!("cannot write manual pages to {}: {error}", folder.display()))
    })?;
    Ok(Printout::text(String::new()))
}
