//! What systemd tells of its own accord: reloads, units and jobs. Forwards only; what to verify then is for others to decide.

use super::client::{Deadlines, within};
use super::error::SystemdError;
use super::proxy::{JobRemoved, ManagerProxy, Reloading, UnitNew, UnitRemoved};
use futures_lite::StreamExt as _;
use std::time::Duration;
use zbus::proxy::CacheProperties;
use zbus::{Connection, Message};

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
        manager.subscribe().await?;
        Ok((connection, signals))
    };
    let deadline = Deadlines::default().call;
    let (_connection, mut signals) =
        within(deadline, "subscribe to systemd's events", subscribed).await?;
    on_event(SystemdEvent::Connected);
    while let Some(message) = signals.next().await {
        if let Some(event) = SystemdEvent::of(&message) {
            on_event(event);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::zvariant::{DynamicType, ObjectPath};

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
