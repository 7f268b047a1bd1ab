//! How often alerts are told, and to whom, as it is written.

use super::{Duration, HookLevel, UrlText};
use schemars::JsonSchema;
use serde::Deserialize;

/// Alerts: how often they are told, and to whom. They are always shown by `provost alerts`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Alerts {
    /// Of one alert, two firings are told no closer than this, unless the second is graver, "10s" to "1d". Default: "5m".
    pub(in crate::config) cooldown: Option<Duration>,
    /// Whether the journal is told. Default: true.
    pub(in crate::config) journal: Option<bool>,
    /// A program that is called for each. Default: none.
    pub(in crate::config) hook: Option<AlertHook>,
    /// A server that is told of each. Default: none.
    pub(in crate::config) webhook: Option<Webhook>,
}

/// A program that is called for each alert, with its name, severity, state and text in the environment.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct AlertHook {
    /// The program's absolute path and its arguments, as a list; no shell reads them.
    #[schemars(length(min = 1))]
    pub(in crate::config) command: Vec<String>,
    /// Whose rights it has: the name of an account in /etc/passwd, never one of root's.
    pub(in crate::config) user: String,
    /// After so long it is killed, "1s" to "60s". Default: "10s".
    pub(in crate::config) timeout: Option<Duration>,
    /// From which severity on it is called. Default: "warning".
    pub(in crate::config) from: Option<HookLevel>,
}

/// A server that each alert is sent to by HTTP POST, as JSON.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Webhook {
    /// Where: "http://" with an address of the loopback or of a private network, a port and a path.
    pub(in crate::config) url: UrlText,
    /// From which severity on it is told. Default: "warning".
    pub(in crate::config) from: Option<HookLevel>,
}
