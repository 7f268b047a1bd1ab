//! From TOML to a checked [`Policy`]: every problem at once, each with its place and its remedy.
//!
//! [`load`] reads the files (`load.rs`, the only file that touches the disk), merges them (`merged.rs`), checks their shape against
//! the schema of `raw.rs` (`shape.rs`), and checks what the values mean on this host (`check.rs`). Problems are values
//! ([`ConfigIssue`]) that `render.rs` draws. Nothing here writes anything, and nothing here knows the kernel.

mod accounts;
mod beside;
mod calendar;
mod canonical;
mod check;
mod defaults;
mod diff;
mod issue;
mod load;
mod merged;
mod policy;
mod policy_text;
mod protected;
mod quota;
mod raw;
mod render;
mod schedule;
mod schema;
mod shape;
mod suggest;

use std::ops::Range;
use std::sync::Arc;

pub use beside::Beside;
pub use calendar::{Calendar, CalendarError};
pub use canonical::{Entry, canonical_toml, entries};
pub use check::{Capacity, CheckProgram, MAX_COMPONENTS, ResolveDevice};
pub use defaults::{default_component, default_policy, default_reserve};
pub use diff::diff;
pub use issue::{Code, ConfigIssue, Mark, Place, SourceFile};
pub use load::{MAX_FILE_BYTES, MAX_FILES, Sources, Trust};
pub use merged::Merged;
pub use policy::{
    Affinity, AlertPolicy, Backend, Catch, Component, CpuPolicy, Division, Glob, IoDevice,
    IoPolicy, LastResort, Listen, MemoryPolicy, Mode, OnLeak, OnLeave, OomPolicy, Pattern, Policy,
    Probe, RealtimePolicy, Reserve, Rule, Scale, Steer, Steps, StoragePolicy, Strategy,
    THREAD_NAME_BYTES, Thresholds, Webhook, Writes,
};
pub use policy_text::PolicyText;
pub use protected::{PROTECTED_UNITS, is_protected_unit};
pub use quota::{Laid, quota_key};
pub use render::{Colour, render};
pub use schedule::Schedule;
pub use schema::{schema, schema_json};

/// The most problems that are told at once.
pub const MAX_ISSUES: usize = 1000;

/// A configuration that may be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the rest of provost works with.
    pub policy: Policy,
    /// Every value with its origin.
    pub merged: Merged,
    /// What a person should know, though it does not keep the configuration from being used.
    pub warnings: Vec<ConfigIssue>,
    accounts: accounts::Accounts,
}

/// Reads, merges and checks the configuration. No files at all are an empty configuration, which observes.
///
/// # Errors
/// All problems that were found, errors and warnings alike, in the order of the files and of the places in them; at least one is an
/// error.
pub fn load(sources: &Sources, host: &Capacity<'_>) -> Result<Loaded, Vec<ConfigIssue>> {
    let (files, issues) = sources.read();
    let (merged, syntax) = Merged::parse(files);
    Parsed { merged, issues, syntax, accounts: sources.accounts() }.check(host, Vec::new())
}

/// Files that were read and merged, with what was wrong so far.
#[derive(Debug)]
struct Parsed {
    merged: Merged,
    issues: Vec<ConfigIssue>,
    syntax: Vec<ConfigIssue>,
    accounts: accounts::Accounts,
}

impl Parsed {
    /// Checks shape and meaning. `beside` are problems of what stands in the same files and is no configuration.
    fn check(
        mut self,
        host: &Capacity<'_>,
        beside: Vec<ConfigIssue>,
    ) -> Result<Loaded, Vec<ConfigIssue>> {
        let complete = self.syntax.is_empty() && !self.issues.iter().any(ConfigIssue::is_error);
        self.issues.extend(beside);
        self.issues.extend(shape::check_shape(&schema(), &mut self.merged));
        let (policy, meaning) = check::check_policy(&self.merged, host, &self.accounts, complete);
        self.issues.extend(self.in_windows(&policy, &meaning, host, complete));
        self.issues.extend(meaning);
        finish(policy, self)
    }

    /// The problems that each window brings by itself.
    fn in_windows(
        &self,
        policy: &Policy,
        known: &[ConfigIssue],
        host: &Capacity<'_>,
        complete: bool,
    ) -> Vec<ConfigIssue> {
        let windows = policy.schedules.keys().flat_map(|name| {
            let with = self.merged.with_schedule(name.as_str());
            let (_, issues) = check::check_policy(&with, host, &self.accounts, complete);
            let new = issues.into_iter().filter(|issue| !known.contains(issue));
            new.map(move |issue| issue.during(name))
        });
        windows.collect()
    }
}

/// The configuration, unless one of the problems is an error.
fn finish(policy: Policy, parsed: Parsed) -> Result<Loaded, Vec<ConfigIssue>> {
    let Parsed { merged, mut issues, syntax, accounts } = parsed;
    // Where the TOML is broken, the parser goes on with a guess: what follows from the guess is not told.
    let broken: Vec<(Place, Range<usize>)> = syntax
        .iter()
        .flat_map(|error| error.marks.first())
        .map(|mark| (mark.place.clone(), misread(&mark.place)))
        .collect();
    issues.extend(syntax);
    bound(&mut issues);
    issues.retain(|issue| !is_echo(issue, &broken));
    if issues.iter().any(ConfigIssue::is_error) {
        sort(&mut issues, &merged);
        return Err(issues);
    }
    Ok(Loaded { policy, merged, warnings: issues, accounts })
}

/// Keeps the most problems that are told, and says that there are more.
fn bound(issues: &mut Vec<ConfigIssue>) {
    if issues.len() > MAX_ISSUES {
        issues.truncate(MAX_ISSUES);
        issues.push(ConfigIssue::error(
            Code::TooLarge,
            format!("more than {MAX_ISSUES} problems; the rest is not told"),
        ));
    }
}

/// The bytes that the parser may have misread because of a syntax error: its line, and below a broken `[header]` all up to the
/// next one, since their keys fall into another table.
fn misread(error: &Place) -> Range<usize> {
    let text = error.file.text.as_str();
    let at = text.floor_char_boundary(error.range.start);
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let is_header = |line: &str| line.trim_start().starts_with('[');
    let broken_header = is_header(text.get(start..).unwrap_or_default());
    let mut lines = after.split_inclusive('\n');
    let mut end = at + lines.next().map_or(0, str::len);
    if broken_header {
        end += lines.take_while(|line| !is_header(line)).map(str::len).sum::<usize>();
    }
    start..end.max(at + 1)
}

/// Whether the issue only follows from one of the syntax errors.
fn is_echo(issue: &ConfigIssue, syntax: &[(Place, Range<usize>)]) -> bool {
    let Some(place) = issue.marks.first().map(|mark| &mark.place) else {
        return false;
    };
    syntax.iter().any(|(error, bytes)| {
        // Of several syntax errors on a line the first is told: were each the echo of the other, a broken file would pass.
        let follows = issue.code != Code::Syntax || error.range.start < place.range.start;
        follows && Arc::ptr_eq(&error.file, &place.file) && bytes.contains(&place.range.start)
    })
}

/// Sorts by file, in the order in which they were merged, and place; what has no place comes first.
fn sort(issues: &mut [ConfigIssue], merged: &Merged) {
    let names: Vec<&str> = merged.files().map(|file| file.name.as_str()).collect();
    issues.sort_by_key(|issue| {
        issue.marks.first().map(|mark| {
            let file = names.iter().position(|name| *name == mark.place.file.name);
            (file, mark.place.range.start)
        })
    });
}

#[cfg(test)]
mod tests;
