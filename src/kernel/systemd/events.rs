//! What systemd tells of its own accord: reloads, units and jobs. Forwards only; what to verify then is for others to decide.

use super::client::{Deadlines, within};
use super::error::SystemdError;
use super::proxy::{JobRemoved, ManagerProxy, Reloading, UnitNew, UnitRemoved};
use futures_lite::{StreamExt as _, stream};
use std::collections::BTreeSet;
use std::time::Duration;
use zbus::fdo::PropertiesChanged;
use zbus::message::Type as MessageType;
use zbus::proxy::CacheProperties;
use zbus::{Connection, MatchRule, Message, MessageStream};

/// Below this are the objects of all units.
const UNITS: &str = "/org/freedesktop/systemd1/unit";

const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Something that may have changed limits or groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemdEvent {
    /// The connection was made, for the first time or again: events before it are lost, so everything is to be verified.
    Connected,
    /// A daemon-reload begins (`true`) or ended: direct writes are reset, on 257 delayed.
    Reloading(bool),
    /// A unit was loaded.
    UnitNew(String),
    /// A unit was forgotten.
    UnitRemoved(String),
    /// A job of a unit ended: the unit started or stopped, or failed to.
    JobRemoved {
        /// The unit.
        unit: String,
        /// `done`, `canceled`, `timeout`, `failed`, `dependency`, `skipped` …
        result: String,
    },
    /// A service ended because a process of it was killed for want of memory.
    OutOfMemory(String),
}

impl SystemdEvent {
    /// The event in a signal of the manager; `None` for signals that do not matter here.
    fn of(message: &Message) -> Option<Self> {
        if let Some(signal) = JobRemoved::from_message(message.clone()) {
            let args = signal.args().ok()?;
            return Some(Self::JobRemoved {
                unit: args.unit().clone(),
                result: args.result().clone(),
            });
        }
        if let Some(signal) = UnitNew::from_message(message.clone()) {
            return Some(Self::UnitNew(signal.args().ok()?.id().clone()));
        }
        if let Some(signal) = UnitRemoved::from_message(message.clone()) {
            return Some(Self::UnitRemoved(signal.args().ok()?.id().clone()));
        }
        let signal = Reloading::from_message(message.clone())?;
        Some(Self::Reloading(*signal.args().ok()?.active()))
    }
}

/// Services of which systemd says that they ended for want of memory. It says so again with whatever else changes of them, until the
/// service is started again or its failure is forgotten.
#[derive(Debug, Default)]
struct Starved(BTreeSet<String>);

impl Starved {
    /// What is new in a change of a service's properties.
    fn of(&mut self, message: &Message) -> Option<SystemdEvent> {
        let signal = PropertiesChanged::from_message(message.clone())?;
        let args = signal.args().ok()?;
        let result: &str = args.changed_properties().get("Result")?.try_into().ok()?;
        let unit = unit_at(message.header().path()?.as_str())?;
        if result != "oom-kill" {
            self.0.remove(&unit);
            return None;
        }
        self.0.insert(unit.clone()).then_some(SystemdEvent::OutOfMemory(unit))
    }
}

/// The unit whose object this is: `_2e` and the like stand for characters that have no place in a path.
fn unit_at(path: &str) -> Option<String> {
    let mut name = Vec::new();
    let mut bytes = path.strip_prefix(UNITS)?.strip_prefix('/')?.bytes();
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'_' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(name).ok()
}

/// Changes of services' own properties, and of no other kind of unit.
fn changes_of_services() -> zbus::Result<MatchRule<'static>> {
    Ok(MatchRule::builder()
        .msg_type(MessageType::Signal)
        .sender("org.freedesktop.systemd1")?
        .path_namespace(UNITS)?
        .interface("org.freedesktop.DBus.Properties")?
        .member("PropertiesChanged")?
        .arg(0, "org.freedesktop.systemd1.Service")?
        .build())
}

/// Hands every event to `on_event`, for ever; connects again after 1 to 30 seconds when the bus goes away.
///
/// `on_event` must return at once, or the bus's messages pile up. Must run within a tokio runtime with I/O and time.
pub async fn listen(mut on_event: impl FnMut(SystemdEvent)) {
    let mut wait = SHORTEST_WAIT;
    loop {
        let mut connected = false;
        let mut forward = |event| {
            connected = true;
            on_event(event);
        };
        match hear(&mut forward).await {
            Ok(()) => tracing::warn!("the connection to systemd ended"),
            Err(error) => tracing::warn!(err = %error, "systemd's events are not heard"),
        }
        if connected {
            wait = SHORTEST_WAIT;
        }
        tokio::time::sleep(wait).await;
        wait = longer(wait);
    }
}

fn longer(wait: Duration) -> Duration {
    wait.saturating_mul(2).min(LONGEST_WAIT)
}

/// Forwards events until the connection ends.
async fn hear(on_event: &mut impl FnMut(SystemdEvent)) -> Result<(), SystemdError> {
    let subscribed = async {
        let connection = Connection::system().await?;
        let manager = ManagerProxy::builder(&connection)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        let signals = manager.inner().receive_all_signals().await?;
        let rule = changes_of_services()?;
        let changes = MessageStream::for_match_rule(rule, &connection, None).await?;
        manager.subscribe().await?;
        Ok((connection, signals, changes))
    };
    let deadline = Deadlines::default().call;
    let (_connection, signals, changes) =
        within(deadline, "subscribe to systemd's events", subscribed).await?;
    on_event(SystemdEvent::Connected);
    let mut starved = Starved::default();
    let signals = signals.map(|message| SystemdEvent::of(&message));
    let changes = changes.map(|message| starved.of(&message.ok()?));
    // Both end with the connection.
    let mut all = stream::or(signals, changes);
    while let Some(event) = all.next().await {
        if let Some(event) = event {
            on_event(event);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use zbus::zvariant::{DynamicType, ObjectPath, Value};

    fn signal(name: &str, body: &(impl serde::Serialize + DynamicType)) -> Message {
        Message::signal("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", name)
            .unwrap()
            .build(body)
            .unwrap()
    }

    #[test]
    fn signals_become_events() {
        let path = ObjectPath::from_static_str("/org/freedesktop/systemd1/job/7").unwrap();
        let job = signal("JobRemoved", &(7u32, &path, "web.service", "done"));
        let expected =
            SystemdEvent::JobRemoved { unit: "web.service".to_owned(), result: "done".to_owned() };
        assert_eq!(SystemdEvent::of(&job), Some(expected));
        let new = signal("UnitNew", &("web.service", &path));
        assert_eq!(SystemdEvent::of(&new), Some(SystemdEvent::UnitNew("web.service".to_owned())));
        let removed = signal("UnitRemoved", &("web.service", &path));
        assert_eq!(
            SystemdEvent::of(&removed),
            Some(SystemdEvent::UnitRemoved("web.service".to_owned()))
        );
        let reloading = signal("Reloading", &(true,));
        assert_eq!(SystemdEvent::of(&reloading), Some(SystemdEvent::Reloading(true)));
    }

    fn changed(object: &str, result: &str) -> Message {
        let body = (
            "org.freedesktop.systemd1.Service",
            BTreeMap::from([("Result", Value::from(result)), ("MainPID", Value::from(0_u32))]),
            Vec::<&str>::new(),
        );
        let path = format!("{UNITS}/{object}");
        Message::signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged")
            .unwrap()
            .build(&body)
            .unwrap()
    }

    #[test]
    fn a_service_starves_once_until_it_is_started_again() {
        let mut starved = Starved::default();
        let mut hear = |object, result| starved.of(&changed(object, result));
        let web = Some(SystemdEvent::OutOfMemory("web-1.service".to_owned()));
        assert_eq!(hear("web_2d1_2eservice", "success"), None);
        assert_eq!(hear("web_2d1_2eservice", "oom-kill"), web);
        assert_eq!(hear("web_2d1_2eservice", "oom-kill"), None, "it is still the same");
        assert_eq!(hear("web_2d1_2eservice", "success"), None);
        assert_eq!(hear("web_2d1_2eservice", "oom-kill"), web);
        assert_eq!(hear("web_2", "oom-kill"), None, "no name that systemd makes");
    }

    #[test]
    fn other_and_malformed_signals_are_no_events() {
        assert_eq!(SystemdEvent::of(&signal("UnitFilesChanged", &())), None);
        assert_eq!(SystemdEvent::of(&signal("Reloading", &("yes",))), None);
    }

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let waits: Vec<u64> =
            std::iter::successors(Some(SHORTEST_WAIT), |wait| Some(longer(*wait)))
                .take(7)
                .map(|wait| wait.as_secs())
                .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    }
}
