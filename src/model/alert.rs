//! Alerts: what is wrong, since when, how grave it is, what was done about it, and the words for a person.

use super::{Leak, Level, Resource};
use crate::units::{Ppm, Span, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// Protected components wait for a resource.
    Pressure,
    /// So much of a resource of the host is in use that a threshold was passed.
    Use,
    /// A file system fills up.
    DiskSpace,
    /// More than a twentieth of what was written for a component was refused.
    Refused,
    /// A component does not follow its limit.
    Unresponsive,
    /// A component's forecast cannot be trusted.
    Forecast,
    /// Memory grows without end.
    Leak,
    /// Another writer keeps changing what provost sets.
    Drift,
    /// A process was killed for want of memory.
    OomKill,
    /// A component is stopped by a CPU limit, other than one by which it gives way, more than a twentieth of the time.
    Throttled,
}

impl AlertKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Pressure,
        Self::Use,
        Self::DiskSpace,
        Self::Refused,
        Self::Unresponsive,
        Self::Forecast,
        Self::Leak,
        Self::Drift,
        Self::OomKill,
        Self::Throttled,
    ];

    /// The word for it, with which its alerts' names begin.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pressure => "pressure",
            Self::Use => "use",
            Self::DiskSpace => "disk-space",
            Self::Refused => "refused",
            Self::Unresponsive => "unresponsive",
            Self::Forecast => "forecast",
            Self::Leak => "leak",
            Self::Drift => "drift",
            Self::OomKill => "oom-kill",
            Self::Throttled => "throttled",
        }
    }

    /// The journal's name for messages of this kind (`MESSAGE_ID=`): always the same, so that they can be looked for.
    #[must_use]
    pub const fn message_id(self) -> &'static str {
        match self {
            Self::Pressure => "bafe31ff102848d5b5f7e3b7cf8c6a25",
            Self::Use => "e57410d6acba49fc8cb70abc719ae071",
            Self::DiskSpace => "be70664af9194ac08868339183495a43",
            Self::Refused => "cac97e20a0f04d4f9f3dc37fc0eabc97",
            Self::Unresponsive => "fde653e706dc482088c37667aff2d592",
            Self::Forecast => "892eed6f2f0744c68b0e05eb431f8d80",
            Self::Leak => "30d63b47dc1740988f1436bdad390f0f",
            Self::Drift => "3939a650e55b4f768119ad9dccac8b8f",
            Self::OomKill => "915bef9bba3b42c7bd5239f538f5cdad",
            Self::Throttled => "8b922fbb7c9d41ac960d1746b5969d17",
        }
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Whose the CPU limit is that stops a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitOf {
    /// The component's `cpu.ceiling`.
    #[default]
    Ceiling,
    /// Somebody else's: its unit's, that of a group above it, or what another writer set.
    Others,
}

/// The numbers that speak for an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "of")]
pub enum Evidence {
    /// Somebody waits.
    Waits {
        /// For what.
        resource: Resource,
    },
    /// So much is in use.
    Used {
        /// Of the whole; none where it does not say.
        share: Option<Ppm>,
    },
    /// So many were refused.
    Refused {
        /// Of these.
        attempts: u64,
        /// That many.
        refused: u64,
    },
    /// Its memory stays above its ceiling.
    AboveCeiling,
    /// It was slowed down for half a minute and gave nothing back.
    GivesNothingBack,
    /// A forecast's bounds hold too seldom, or leave most of what they allow unused.
    Doubt {
        /// Of what.
        resource: Resource,
        /// How far it can be trusted.
        confidence: Ppm,
    },
    /// Memory grows.
    Growth {
        /// How fast, and until when.
        leak: Leak,
    },
    /// A value is written again and again by somebody else.
    Contested,
    /// Processes were killed.
    Killed {
        /// So many.
        count: u64,
    },
    /// It is stopped.
    Throttled {
        /// In so many of the periods of its limit.
        share: Ppm,
        /// Whose that is.
        #[serde(default)]
        by: LimitOf,
    },
}

impl Evidence {
    /// What is wrong with `of`, and what to do about it, in one sentence without a full stop.
    #[must_use]
    pub fn text(&self, of: &str) -> String {
        match self {
            Self::Waits { resource } => format!(
                "protected components wait for {resource}; \"provost status\" says who, and what gives way"
            ),
            Self::Used { share: Some(share) } => {
                format!("{share} of {of} is in use; free some, or change [thresholds]")
            }
            Self::Used { share: None } => {
                format!("{of} fills up; free some, or change [thresholds]")
            }
            Self::Refused { attempts, refused } => format!(
                "{refused} of {attempts} writes for {of} were refused within ten minutes; \"provost status\" has the reasons"
            ),
            Self::AboveCeiling => format!(
                "{of} stays above its memory.ceiling, which follows its use down; set memory.high to press it down, or raise the ceiling"
            ),
            Self::GivesNothingBack => format!(
                "{of} was slowed down and gave no memory back; give the host swap, or give {of} a hook that makes it smaller"
            ),
            Self::Doubt { resource, confidence } => format!(
                "the forecast of {resource} of {of} cannot be trusted ({confidence}); nothing is decided by it meanwhile"
            ),
            Self::Growth { leak } => {
                let left = Span(leak.until_limit.0 / 60_000_000 * 60_000_000);
                format!(
                    "memory of {of} grows without end: {} more each hour, at the limit in {left}; restart it before (why: provost explain {of})",
                    leak.per_hour
                )
            }
            Self::Contested => format!(
                "somebody else keeps changing what provost sets for {of}, which stepped aside; \"provost status\" names the value"
            ),
            Self::Killed { count: 1 } => {
                format!(
                    "a process of {of} was killed for want of memory; raise its memory.ceiling, or see what it holds"
                )
            }
            Self::Killed { count } => format!(
                "{count} processes of {of} were killed for want of memory; raise its memory.ceiling, or see what it holds"
            ),
            Self::Throttled { share, by: LimitOf::Ceiling } => format!(
                "{of} was stopped by its cpu.ceiling in {share} of the periods; raise that, or give it cpu.burst"
            ),
            Self::Throttled { share, by: LimitOf::Others } => format!(
                "{of} was stopped in {share} of the periods by a CPU limit that is not provost's; see CPUQuota= of its unit and of the slices above"
            ),
        }
    }
}

/// Where an alert stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It holds, not for long enough to tell anybody.
    Pending,
    /// It holds.
    Firing,
    /// It holds, and somebody said that they know.
    Acknowledged,
    /// Nobody wants to hear of it for a while.
    Silenced,
    /// It held, and does no longer.
    Resolved,
}

impl AlertState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Firing, Self::Acknowledged, Self::Silenced, Self::Resolved];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Acknowledged => "acknowledged",
            Self::Silenced => "silenced",
            Self::Resolved => "resolved",
        }
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One alert, as it is shown and told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertView {
    /// Its name: the kind and what it is about, such as `leak/web`.
    pub id: String,
    /// What it is about.
    pub kind: AlertKind,
    /// The component, the resource or the mount point.
    pub subject: String,
    /// How grave it is; never `normal`.
    pub severity: Level,
    /// Where it stands.
    pub state: AlertState,
    /// Since when it holds, or held.
    pub since: Tick,
    /// When that ended.
    pub ended: Option<Tick>,
    /// Until when nobody wants to hear of it.
    pub silenced_until: Option<Tick>,
    /// Whether it comes and goes: then it takes longer until it counts as resolved.
    pub flapping: bool,
    /// The numbers.
    pub evidence: Evidence,
    /// What is wrong and how to mend it.
    pub text: String,
}

/// What one sink did with what it was told, since the daemon started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SinkCounts {
    /// Passed on.
    pub delivered: u64,
    /// Given up after several attempts.
    pub failed: u64,
    /// Never tried, because too many others waited.
    pub lost: u64,
    /// Waiting now.
    pub waiting: u64,
}

/// What is kept of alerts while no daemon runs, in one boot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlertBook {
    /// The format's version, 1.
    pub version: u32,
    /// The boot to whose clock the times belong.
    pub boot: String,
    /// By name.
    pub alerts: BTreeMap<String, AlertMemory>,
}

impl AlertBook {
    /// What is written now, and the only version that is read.
    pub const VERSION: u32 = 1;
}

/// What is kept of one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlertMemory {
    /// The severity up to which somebody knows.
    pub acknowledged: Option<Level>,
    /// Until when nobody wants to hear of it.
    pub silenced_until: Option<Tick>,
    /// When it was told last, and how grave it was.
    pub told: Option<(Tick, Level)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_leak;

    #[test]
    fn every_text_reads_well() {
        let all = [
            Evidence::Waits { resource: Resource::Memory },
            Evidence::Used { share: Some(Ppm::percent(92)) },
            Evidence::Used { share: None },
            Evidence::Refused { attempts: 20, refused: 3 },
            Evidence::AboveCeiling,
            Evidence::GivesNothingBack,
            Evidence::Doubt { resource: Resource::Cpu, confidence: Ppm::percent(14) },
            Evidence::Growth { leak: sample_leak() },
            Evidence::Contested,
            Evidence::Killed { count: 1 },
            Evidence::Killed { count: 4 },
            Evidence::Throttled { share: Ppm::percent(31), by: LimitOf::Ceiling },
            Evidence::Throttled { share: Ppm::percent(31), by: LimitOf::Others },
        ];
        insta::assert_snapshot!(all.map(|evidence| evidence.text("web")).join("\n"));
    }

    #[test]
    fn what_was_recorded_before_it_said_whose_limit_it_was_can_be_read() {
        let evidence: Evidence =
            serde_json::from_str(r#"{"of":"throttled","share":310000}"#).unwrap();
        let expected = Evidence::Throttled { share: Ppm::percent(31), by: LimitOf::Ceiling };
        assert_eq!(evidence, expected);
    }

    #[test]
    fn message_ids_are_128_bits_and_no_two_alike() {
        let mut ids = AlertKind::ALL.map(AlertKind::message_id);
        let is_hex = |c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase();
        assert!(ids.iter().all(|id| id.len() == 32 && id.chars().all(is_hex)), "{ids:?}");
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
