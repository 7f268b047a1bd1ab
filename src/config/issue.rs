//! What is wrong with a configuration, where, and how to mend it: values, so that all problems are told at once.
//!
//! This file holds the nouns only: `render.rs` draws them, the other files of this room make them.

use crate::model::Severity;
use crate::units::ComponentName;
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Arc;

/// One file of the configuration as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path, as it is shown to a person.
    pub name: String,
    /// The whole text, valid UTF-8, at most 1 MiB.
    pub text: String,
}

impl SourceFile {
    /// The line and column (both from 1, columns in characters) of a byte offset; an offset past the end counts as the end.
    #[must_use]
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let end = self.text.floor_char_boundary(offset);
        let before = self.text.get(..end).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

/// A range of bytes in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Byte offsets in its text.
    pub range: Range<usize>,
}

impl Place {
    /// The line on which the range starts, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.file.line_column(self.range.start).0
    }

    /// `FILE:LINE`.
    #[must_use]
    pub fn file_line(&self) -> String {
        format!("{}:{}", self.file.name, self.line())
    }
}

/// A place that takes part in a problem, and what it has to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The place.
    pub place: Place,
    /// What is to be said there; may be empty.
    pub label: String,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// The kind of a problem. The word is stable: scripts may match on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $variant,)+ }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for it, as output and JSON use it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

codes! {
    /// A file is no TOML.
    Syntax = "syntax",
    /// A file is not UTF-8.
    NotText = "not-text",
    /// A file or folder could not be read, or is no regular file.
    Unreadable = "unreadable",
    /// No file is there at all.
    NoFile = "no-file",
    /// A file, the number of files or the number of components is beyond its bound.
    TooLarge = "too-large",
    /// A file that others than root may change.
    Untrusted = "untrusted-file",
    /// A file that is not read because of its name.
    IgnoredFile = "ignored-file",
    /// A key that provost does not know.
    UnknownKey = "unknown-key",
    /// A key that must be there and is not.
    MissingKey = "missing-key",
    /// A value of the wrong TOML type.
    WrongType = "wrong-type",
    /// A word that is none of the accepted ones.
    UnknownWord = "unknown-word",
    /// A number or duration outside of its range.
    OutOfRange = "out-of-range",
    /// A size, an amount of CPU, a duration or a CPU list that cannot be read.
    Malformed = "malformed-quantity",
    /// A percentage that is none of the host.
    Percentage = "percentage",
    /// A text that is no calendar expression.
    Calendar = "calendar",
    /// A key that does not depend on the time.
    NotByTime = "not-by-time",
    /// A threshold that is not above the one before.
    ThresholdOrder = "threshold-order",
    /// A component's name.
    ComponentName = "component-name",
    /// A guarantee above its ceiling.
    GuaranteeAboveCeiling = "guarantee-above-ceiling",
    /// A guarantee above `memory.high`.
    GuaranteeAboveHigh = "guarantee-above-high",
    /// `memory.high` above `memory.max`.
    HighAboveCeiling = "high-above-ceiling",
    /// `memory.high` so near to `memory.max` that the kernel kills before it has slowed down.
    HighNearCeiling = "high-near-ceiling",
    /// A ceiling whose lower end is above the upper one.
    RangeOrder = "range-order",
    /// A ceiling that follows the need and has an end that is no limit.
    RangeWithoutEnd = "range-without-end",
    /// Instances of a unit that is no template, or protected.
    InstancesUnit = "instances-unit",
    /// Instances that no rule of their component matches.
    InstancesUnmatched = "instances-unmatched",
    /// A ceiling above what the host has.
    CeilingAboveHost = "ceiling-above-host",
    /// A guarantee of more CPUs than the affinity leaves.
    GuaranteeAboveAffinity = "guarantee-above-affinity",
    /// More CPUs of its own than the host gives away.
    OwnCpusAboveHost = "own-cpus-above-host",
    /// CPUs that nobody will be given.
    UnheardAffinity = "unheard-affinity",
    /// A partition of CPUs that the component does not have to itself.
    PartitionWithoutCpus = "partition-without-cpus",
    /// A CPU class that something else of the component contradicts.
    ClassContradicted = "class-contradicted",
    /// Real time for a component that cannot have it, or for no thread that could be meant.
    Realtime = "realtime",
    /// A limit so low that programs misbehave.
    BelowFloor = "below-floor",
    /// A quota below what the kernel takes.
    QuotaTooSmall = "quota-too-small",
    /// A burst that the kernel would refuse.
    Burst = "burst",
    /// A CPU that is not online.
    CpuOffline = "cpu-offline",
    /// A disk that is not there.
    UnknownDevice = "unknown-device",
    /// A limit that limits nothing, or the same disk twice.
    EmptyLimit = "empty-limit",
    /// The same disk twice.
    DuplicateDevice = "duplicate-device",
    /// A rule without conditions, or an empty condition.
    EmptyMatch = "empty-match",
    /// A glob that cannot be read.
    BadGlob = "bad-glob",
    /// A regular expression that cannot be read.
    BadRegex = "bad-regex",
    /// A path that must be absolute and is not.
    RelativePath = "relative-path",
    /// A unit's name that no unit can have.
    UnitName = "unit-name",
    /// A path below the cgroup root that cannot be meant.
    CgroupPath = "cgroup-path",
    /// A container that is not named by its id.
    ContainerId = "container-id",
    /// A user or group that is not in the account files.
    UnknownAccount = "unknown-account",
    /// A unit that is never touched.
    ProtectedUnit = "protected-unit",
    /// Two components that claim the same thing.
    DuplicateClaim = "duplicate-claim",
    /// The permission gate without an executable to guard.
    GateWithoutExe = "gate-without-exe",
    /// A protected component that is to give way.
    ProtectedYields = "protected-yields",
    /// Something would be done to a component that gives way to nobody.
    LastResort = "last-resort",
    /// What would be done about a leak cannot be done to this component.
    OnLeak = "on-leak",
    /// A hook's command that cannot be executed.
    HookCommand = "hook-command",
    /// A hook's program that is not there now, or is no program.
    HookProgram = "hook-program",
    /// A hook with root's rights.
    HookUser = "hook-user",
    /// A folder of which nothing is removed by rule, or more than a file's name.
    StoragePath = "storage-path",
    /// A strategy for a component for which nobody makes room.
    UnheardStrategy = "unheard-strategy",
    /// A server for alerts that is no address near by.
    Webhook = "webhook",
    /// A place to listen that is none, or that other hosts could reach.
    ListenAddress = "listen-address",
    /// A reserve that leaves nothing.
    ReserveTooLarge = "reserve-too-large",
    /// CPU guarantees that do not fit into the host.
    CpuOvercommitted = "cpu-overcommitted",
    /// Memory guarantees that do not fit into the host.
    MemoryOvercommitted = "memory-overcommitted",
    /// A file passed the check of its shape and was still refused: a defect in provost.
    Defect = "defect",
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigIssue {
    /// What kind it is.
    pub code: Code,
    /// An error keeps the configuration from being used, a warning does not.
    pub severity: Severity,
    /// What is wrong, in one clause.
    pub message: String,
    /// How to mend it, where that is known.
    pub help: Option<String>,
    /// Where; the first is the place itself, the others take part in it. Empty for what has no place in a text.
    pub marks: Vec<Mark>,
}

impl ConfigIssue {
    /// An error of the given kind.
    #[must_use]
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            help: None,
            marks: Vec::new(),
        }
    }

    /// A warning of the given kind.
    #[must_use]
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same with a way to mend it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with a place, if there is one.
    #[must_use]
    pub fn mark(mut self, place: Option<Place>, label: impl Into<String>) -> Self {
        let label = label.into();
        self.marks.extend(place.map(|place| Mark { place, label }));
        self
    }

    /// The same of a window of time.
    #[must_use]
    pub fn during(mut self, schedule: &ComponentName) -> Self {
        self.message = format!("while schedule \"{schedule}\" is open: {}", self.message);
        self
    }

    /// Whether it keeps the configuration from being used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// One line without a drawing, for logs: `FILE:LINE:COLUMN: message (help)`.
    #[must_use]
    pub fn line(&self) -> String {
        let place = self.marks.first().map_or_else(String::new, |mark| {
            let (line, column) = mark.place.file.line_column(mark.place.range.start);
            format!("{}:{line}:{column}: ", mark.place.file.name)
        });
        let help = self.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        format!("{place}{}{help}", self.message)
    }

    /// The problem for a program: code, severity, message, help, and places with lines and columns from 1.
    #[must_use]
    pub fn json(&self) -> Value {
        let places: Vec<Value> = self
            .marks
            .iter()
            .map(|mark| {
                let file = &mark.place.file;
                let (line, column) = file.line_column(mark.place.range.start);
                let (end_line, end_column) = file.line_column(mark.place.range.end);
                json!({
                    "file": file.name, "label": mark.label,
                    "line": line, "column": column, "end_line": end_line, "end_column": end_column,
                })
            })
            .collect();
        json!({
            "code": self.code.word(), "severity": self.severity, "message": self.message,
            "help": self.help, "places": places,
        })
    }
}
