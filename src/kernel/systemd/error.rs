//! What can go wrong between provost and systemd, and what to do about it.

use thiserror::Error;

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SystemdError {
    /// No bus to be reached.
    #[error("cannot reach systemd over D-Bus: {message}; check \"systemctl status dbus\"")]
    NoBus {
        /// What the bus library says.
        message: String,
    },
    /// No answer in time.
    #[error("systemd did not answer {call} within {seconds} s; it is asked again later")]
    Timeout {
        /// The call.
        call: &'static str,
        /// The deadline.
        seconds: u64,
    },
    /// The unit is not loaded.
    #[error("systemd does not know {unit}: {message}")]
    NoSuchUnit {
        /// The unit.
        unit: String,
        /// What systemd says.
        message: String,
    },
    /// The caller may not do that.
    #[error("systemd refuses {call}: {message}; run provost as root")]
    Denied {
        /// The call.
        call: &'static str,
        /// What systemd says.
        message: String,
    },
    /// A unit of that name is there already.
    #[error("{unit} exists already")]
    UnitExists {
        /// The unit.
        unit: String,
    },
    /// Too many failures in a row.
    #[error(
        "systemd failed {failures} times in a row and is left alone for some seconds; the last time: {last}"
    )]
    Resting {
        /// How often.
        failures: u32,
        /// The last failure.
        last: String,
    },
    /// Anything else.
    #[error("systemd failed: {message}")]
    Failed {
        /// What systemd says.
        message: String,
    },
}

impl SystemdError {
    /// Sorts a bus library's error.
    pub(super) fn of(call: &'static str, unit: &str, error: &zbus::Error) -> Self {
        let zbus::Error::MethodError(name, message, _) = error else {
            return Self::NoBus { message: error.to_string() };
        };
        let message = message.clone().unwrap_or_default();
        let unit = unit.to_owned();
        match name.as_str() {
            "org.freedesktop.systemd1.NoSuchUnit" | "org.freedesktop.systemd1.LoadFailed" => {
                Self::NoSuchUnit { unit, message }
            }
            "org.freedesktop.systemd1.UnitExists" => Self::UnitExists { unit },
            "org.freedesktop.DBus.Error.AccessDenied"
            | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => {
                Self::Denied { call, message }
            }
            "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.Disconnected" => Self::NoBus { message },
            other => Self::Failed { message: format!("{call} {unit}: {message} ({other})") },
        }
    }

    /// Whether the connection, rather than the request, is at fault.
    #[must_use]
    pub const fn is_connection(&self) -> bool {
        matches!(self, Self::NoBus { .. } | Self::Timeout { .. })
    }
}
