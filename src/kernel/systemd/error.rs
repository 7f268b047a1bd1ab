//! Why systemd did not do what it was asked: what was asked, what it answered, and what helps.

use std::time::Duration;
use thiserror::Error;
use zbus::DBusError as _;

/// A request to systemd that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SystemdError {
    /// No connection to the system bus, or systemd is not on it.
    #[error(
        "cannot {what}: systemd is not reachable over the system bus: {message}; check \"systemctl status dbus.socket\""
    )]
    NoBus {
        /// What was tried.
        what: String,
        /// What the bus or the connection said.
        message: String,
    },
    /// No answer in time.
    #[error("cannot {what}: systemd did not answer within {:.1} s; check \"systemctl list-jobs\" and the host's load", waited.as_secs_f32())]
    Timeout {
        /// What was tried.
        what: String,
        /// How long the answer was waited for.
        waited: Duration,
    },
    /// systemd was silent several times in a row and is left alone for a while.
    #[error("cannot {what}: systemd failed to answer {failures} times in a row and is not asked again for {:.1} s", rest.as_secs_f32())]
    Resting {
        /// What was tried.
        what: String,
        /// Calls without an answer, one after the other.
        failures: u32,
        /// How long it is still left alone.
        rest: Duration,
    },
    /// systemd knows no such unit, or it is not loaded.
    #[error(
        "cannot {what}: systemd has no such unit loaded ({message}); check its name with \"systemctl list-units --all\""
    )]
    NoSuchUnit {
        /// What was tried.
        what: String,
        /// systemd's words.
        message: String,
    },
    /// Not permitted.
    #[error(
        "cannot {what}: {message}; provost must run as root, and no policy of the bus may stand against it"
    )]
    Denied {
        /// What was tried.
        what: String,
        /// systemd's or the bus's words.
        message: String,
    },
    /// systemd does not take the value, or not for this kind of unit.
    #[error(
        "cannot {what}: {message}; this systemd will not take it later either, see systemd.resource-control(5)"
    )]
    Invalid {
        /// What was tried.
        what: String,
        /// systemd's words.
        message: String,
    },
    /// A unit of that name is there already.
    #[error(
        "cannot {what}: a unit of that name exists ({message}); see \"systemctl status\" for it, or stop it"
    )]
    UnitExists {
        /// What was tried.
        what: String,
        /// systemd's words.
        message: String,
    },
    /// Other units would be restarted with it.
    #[error(
        "cannot {what}: {units} would be restarted with it; restart them together by hand, or loosen their Requires=, BindsTo= or PartOf="
    )]
    Bound {
        /// What was tried.
        what: String,
        /// Their names.
        units: String,
    },
    /// Any other refusal.
    #[error("cannot {what}: {message}; \"journalctl -b _PID=1\" may tell more")]
    Failed {
        /// What was tried.
        what: String,
        /// systemd's words.
        message: String,
    },
}

impl SystemdError {
    /// Whether systemd was not heard at all, so that its state is unknown and another try may succeed.
    #[must_use]
    pub const fn is_silence(&self) -> bool {
        matches!(self, Self::NoBus { .. } | Self::Timeout { .. } | Self::Resting { .. })
    }

    /// The error behind `zbus`'s, for a request described by `what`.
    pub(super) fn of(what: &str, error: &zbus::Error) -> Self {
        use zbus::Error as Z;
        let what = what.to_owned();
        if let Some((name, message)) = reply_of(error) {
            return Self::named(what, &name, message);
        }
        let message = error.to_string();
        if matches!(error, Z::InputOutput(_) | Z::Connection(..) | Z::Handshake(_) | Z::Address(_))
        {
            Self::NoBus { what, message }
        } else {
            Self::Failed { what, message }
        }
    }

    /// The error that a reply's D-Bus error name stands for.
    fn named(what: String, name: &str, message: String) -> Self {
        match name {
            "org.freedesktop.systemd1.NoSuchUnit"
            | "org.freedesktop.systemd1.NoUnitForPID"
            | "org.freedesktop.DBus.Error.UnknownObject" => Self::NoSuchUnit { what, message },
            "org.freedesktop.systemd1.UnitExists" => Self::UnitExists { what, message },
            "org.freedesktop.DBus.Error.AccessDenied"
            | "org.freedesktop.DBus.Error.AuthFailed"
            | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => {
                Self::Denied { what, message }
            }
            "org.freedesktop.DBus.Error.InvalidArgs"
            | "org.freedesktop.DBus.Error.InvalidSignature"
            | "org.freedesktop.DBus.Error.NotSupported"
            | "org.freedesktop.DBus.Error.PropertyReadOnly"
            | "org.freedesktop.DBus.Error.UnknownInterface"
            | "org.freedesktop.DBus.Error.UnknownMethod"
            | "org.freedesktop.DBus.Error.UnknownProperty"
            | "org.freedesktop.systemd1.BadUnitSetting" => Self::Invalid { what, message },
            "org.freedesktop.DBus.Error.Disconnected"
            | "org.freedesktop.DBus.Error.NameHasNoOwner"
            | "org.freedesktop.DBus.Error.NoServer"
            | "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NoReply" => Self::NoBus { what, message },
            _ => Self::Failed { what, message: format!("{message} ({name})") },
        }
    }
}

/// Name and text of an error reply; `None` when there was no reply.
fn reply_of(error: &zbus::Error) -> Option<(String, String)> {
    if let zbus::Error::MethodError(name, text, _) = error {
        return Some((name.to_string(), text.clone().unwrap_or_default()));
    }
    let zbus::Error::FDO(reply) = error else {
        return None;
    };
    if let zbus::fdo::Error::ZBus(inner) = reply.as_ref() {
        return reply_of(inner);
    }
    let text = reply.description().unwrap_or_default().to_owned();
    Some((reply.name().to_string(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> SystemdError {
        SystemdError::named("ask".to_owned(), name, "said so".to_owned())
    }

    #[test]
    fn error_names_have_their_meaning() {
        let cases = [
            ("org.freedesktop.systemd1.NoSuchUnit", "no such unit"),
            ("org.freedesktop.systemd1.UnitExists", "exists"),
            ("org.freedesktop.DBus.Error.AccessDenied", "root"),
            ("org.freedesktop.DBus.Error.InvalidArgs", "resource-control"),
            ("org.freedesktop.DBus.Error.ServiceUnknown", "dbus.socket"),
            ("org.freedesktop.systemd1.JobFailed", "journalctl"),
        ];
        for (name, word) in cases {
            let text = named(name).to_string();
            assert!(text.starts_with("cannot ask: "), "{text}");
            assert!(text.contains(word) && text.contains("said so"), "{text}");
        }
    }

    #[test]
    fn only_silence_may_be_tried_again() {
        assert!(named("org.freedesktop.DBus.Error.NoReply").is_silence());
        assert!(!named("org.freedesktop.DBus.Error.InvalidArgs").is_silence());
        let broken = zbus::Error::InputOutput(std::io::Error::other("gone").into());
        assert!(SystemdError::of("ask", &broken).is_silence());
    }

    #[test]
    fn replies_to_standard_interfaces_keep_their_name() {
        let reply = zbus::fdo::Error::AccessDenied("no".to_owned());
        let error = SystemdError::of("ask", &zbus::Error::FDO(Box::new(reply)));
        assert!(matches!(error, SystemdError::Denied { .. }), "{error}");
    }
}
