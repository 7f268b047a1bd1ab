//! `provost storage`: how large the configured folders are, which files their rules remove, and with `--clean` that removal.
//!
//! Each folder is looked at by a process of its own with the rights of the folder's user, so that a rule can never remove what that user could not.

use super::Printout;
use super::args::{Cli, StorageArgs};
use super::ask::with_capacity;
use super::fail::{EXIT_NOT_PERMITTED, EXIT_PARTLY, Failure};
use super::render::paragraph;
use crate::config::{Colour, Policy, StoragePolicy, load, render};
use crate::kernel::hook::{Called, End};
use crate::kernel::process::is_root;
use crate::model::{Hook, Level, Swept};
use crate::units::{ComponentName, Span};
use serde_json::{Value, json};

/// Removing takes the file system some microseconds a file.
const LIMIT: Span = Span::secs(600);

/// What came of one folder.
struct Look<'a> {
    name: &'a ComponentName,
    folder: &'a StoragePolicy,
    came: Result<Swept, String>,
}

pub(super) fn storage(cli: &Cli, args: &StorageArgs) -> Result<Printout, Failure> {
    if !is_root() {
        let text = "each folder is looked at with the rights of its user, and to become another user takes root".to_owned();
        return Err(Failure::new(EXIT_NOT_PERMITTED, text));
    }
    let policy = policy(cli)?;
    let folders = match &args.name {
        None => policy.storage.iter().collect(),
        Some(name) => {
            vec![policy.storage.get_key_value(name).ok_or_else(|| unknown(name, &policy))?]
        }
    };
    let looks: Vec<Look<'_>> = folders
        .into_iter()
        .map(|(name, folder)| Look { name, folder, came: look(folder, args.clean) })
        .collect();
    let failed = looks.iter().any(|look| look.came.as_ref().map_or(true, |swept| swept.failed > 0));
    let stdout = if cli.json { document(&looks, args.clean) } else { text(&looks, args.clean) };
    Ok(Printout { stdout, stderr: String::new(), exit: if failed { EXIT_PARTLY } else { 0 } })
}

fn policy(cli: &Cli) -> Result<Policy, Failure> {
    let told =
        |issues: Vec<_>| Failure::new(super::EXIT_BAD_CONFIG, render(&issues, Colour::Never));
    with_capacity(|capacity| load(&cli.sources(), capacity))
        .map(|loaded| loaded.policy)
        .map_err(told)
}

fn unknown(name: &ComponentName, policy: &Policy) -> Failure {
    let names: Vec<&str> = policy.storage.keys().map(ComponentName::as_str).collect();
    let known = if names.is_empty() {
        "there is none".to_owned()
    } else {
        format!("there are {}", names.join(", "))
    };
    Failure::new(2, format!("no folder {name} is configured as [storage.{name}]: {known}"))
}

/// Has a folder looked at, and cleaned, by its user.
fn look(folder: &StoragePolicy, clean: bool) -> Result<Swept, String> {
    let hook = Hook {
        command: command(folder, clean),
        user: folder.user.clone(),
        timeout: LIMIT,
        from: Level::Normal,
    };
    let mut called = Called::prepare(&hook, &[]).map_err(|error| error.to_string())?;
    called.go()?;
    let (end, said) = called.finish(LIMIT.duration()).map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&said);
    match end {
        End::Exited(0) => serde_json::from_str(&said).map_err(|error| error.to_string()),
        End::Exited(_) => Err(said.trim().trim_start_matches("provost: ").to_owned()),
        End::Signalled(signal) => Err(format!("it was ended by signal {signal}")),
        End::TimedOut => {
            Err(format!("it took longer than {LIMIT}; what was removed by then is gone"))
        }
    }
}

/// This very program again, with nothing but the rule.
fn command(folder: &StoragePolicy, clean: bool) -> Vec<String> {
    let rule = &folder.retention;
    let options = [
        ("--match", folder.files.as_ref().map(|files| files.text().to_owned())),
        ("--older-than", rule.older_than.map(|age| age.to_string())),
        ("--keep-size", rule.keep_size.map(|size| size.0.to_string())),
        ("--keep-count", rule.keep_count.map(|count| count.to_string())),
    ];
    let program = ["/proc/self/exe", "sweep", "--path"].map(str::to_owned);
    let mut command: Vec<String> = program.into_iter().collect();
    command.push(folder.path.display().to_string());
    for (option, value) in options {
        command.extend(value.map(|value| format!("{option}={value}")));
    }
    command.extend((!clean).then(|| "--dry-run".to_owned()));
    command
}

fn document(looks: &[Look<'_>], clean: bool) -> String {
    let folder = |look: &Look<'_>| -> Value {
        json!({
            "name": look.name, "path": look.folder.path, "user": look.folder.user,
            "found": look.came.as_ref().ok(), "failure": look.came.as_ref().err(),
        })
    };
    let folders: Vec<Value> = looks.iter().map(folder).collect();
    format!(
        "{:#}\n",
        json!({ "schema": "provost/storage/v1", "removed": clean, "folders": folders })
    )
}

fn text(looks: &[Look<'_>], clean: bool) -> String {
    if looks.is_empty() {
        return paragraph(
            "No folder is configured: [storage.NAME] with path, user, and one of older-than, keep-size and keep-count.",
        );
    }
    looks.iter().map(|look| told(look, clean)).collect()
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// What came lately, and for how long there is room for as much.
fn growth(swept: &Swept) -> String {
    let left = match (swept.left, swept.lasts()) {
        (Some(left), Some(0)) => format!("; {left} are left, less than another day takes"),
        (Some(left), Some(1)) => format!("; {left} are left, enough for another day"),
        (Some(left), Some(days)) => format!("; {left} are left, enough for {days} days of that"),
        (Some(left), None) => format!("; {left} are left"),
        (None, _) => String::new(),
    };
    format!("changed within a day: {}, within a week: {}{left}", swept.day, swept.week)
}

fn told(look: &Look<'_>, clean: bool) -> String {
    let (name, path, user) = (look.name, look.folder.path.display(), &look.folder.user);
    let swept = match &look.came {
        Ok(swept) => swept,
        Err(why) => {
            return paragraph(&format!("{name}: {path} could not be looked at as {user}: {why}"));
        }
    };
    let verb = if clean { "removed" } else { "to go" };
    let mut out = paragraph(&format!(
        "{name}: {} in {path}, {}; {} {verb}, {}",
        files(swept.files),
        swept.size,
        files(swept.removed),
        swept.freed
    ));
    out.push_str(&paragraph(&growth(swept)));
    for file in &swept.first {
        out.push_str(&format!("  {file}\n"));
    }
    let more = swept.removed.saturating_sub(u64::try_from(swept.first.len()).unwrap_or(u64::MAX));
    if more > 0 {
        out.push_str(&format!("  and {more} more\n"));
    }
    if let Some(failure) = &swept.failure {
        let count = swept.failed;
        out.push_str(&paragraph(&format!(
            "{count} could not be looked at or removed as {user}; the first: {failure}"
        )));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Glob;
    use crate::model::Retention;
    use crate::units::Bytes;

    fn folder() -> StoragePolicy {
        StoragePolicy {
            path: "/var/log/app".into(),
            user: "app".to_owned(),
            files: Some(Glob::new("*.log.*").unwrap()),
            retention: Retention { keep_size: Some(Bytes::mebi(100)), ..Retention::default() },
        }
    }

    #[test]
    fn what_goes_reads_well() {
        let name: ComponentName = "app-logs".parse().unwrap();
        let folder = folder();
        let swept = Swept {
            files: 40,
            size: Bytes::mebi(2600),
            day: Bytes::mebi(120),
            week: Bytes::mebi(700),
            left: Some(Bytes::mebi(20_480)),
            removed: 9,
            freed: Bytes::mebi(2510),
            first: (1..=8).map(|day| format!("2026-01/{day}.log.gz")).collect(),
            failed: 1,
            failure: Some("2026-01/9.log.gz: Permission denied".to_owned()),
        };
        let look = |came| Look { name: &name, folder: &folder, came };
        let looks = [
            look(Ok(swept)),
            look(Ok(Swept { files: 1, size: Bytes::mebi(3), ..Swept::default() })),
            look(Err("cannot open /var/log/app: Permission denied".to_owned())),
        ];
        insta::assert_snapshot!(
            text(&looks, false) + "--\n" + &text(&looks[..1], true) + "--\n" + &text(&[], true)
        );
    }

    #[test]
    fn the_rule_is_all_that_the_other_process_is_told() {
        let words = command(&folder(), false);
        assert_eq!(
            words[1..],
            [
                "sweep",
                "--path",
                "/var/log/app",
                "--match=*.log.*",
                "--keep-size=104857600",
                "--dry-run"
            ]
        );
        assert!(!command(&folder(), true).contains(&"--dry-run".to_owned()));
    }
}
