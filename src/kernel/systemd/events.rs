//! What systemd does to cgroups, as it says so: reads its configuration again, starts and removes units.

use super::client::Systemd;
use super::error::SystemdError;
use std::time::Duration;
use zbus::export::ordered_stream::OrderedStreamExt as _;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Something that concerns cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemdEvent {
    /// It begins (true) or ends (false) to read its configuration again, and resets what it finds different.
    Reloading(bool),
    /// A unit was loaded.
    UnitNew(String),
    /// A unit was unloaded.
    UnitRemoved(String),
    /// A unit was started, stopped or restarted. Since version 255 this is when values set before a reload are reset.
    JobRemoved(String),
    /// The connection was made, or made again: what happened before was not seen.
    Connected,
}

/// Listens for ever, connecting again whenever the bus goes away.
pub async fn listen(mut on_event: impl FnMut(SystemdEvent)) {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Ok(systemd) = Systemd::connect().await {
            pause = FIRST_PAUSE;
            // However it ends, it is begun again.
            let _ended = follow(&systemd, &mut on_event).await;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn follow(
    systemd: &Systemd,
    on_event: &mut impl FnMut(SystemdEvent),
) -> Result<(), SystemdError> {
    let manager = systemd.manager();
    let failed = |error: zbus::Error| SystemdError::of("Subscribe", "", &error);
    let mut reloading = manager.receive_reloading().await.map_err(failed)?;
    let mut new = manager.receive_unit_new().await.map_err(failed)?;
    let mut removed = manager.receive_unit_removed().await.map_err(failed)?;
    let mut jobs = manager.receive_job_removed().await.map_err(failed)?;
    manager.subscribe().await.map_err(failed)?;
    on_event(SystemdEvent::Connected);
    loop {
        let event = tokio::select! {
            signal = next(&mut reloading) => signal?.args().map(|args| SystemdEvent::Reloading(args.active)),
            signal = next(&mut new) => signal?.args().map(|args| SystemdEvent::UnitNew(args.id)),
            signal = next(&mut removed) => signal?.args().map(|args| SystemdEvent::UnitRemoved(args.id)),
            signal = next(&mut jobs) => signal?.args().map(|args| SystemdEvent::JobRemoved(args.unit)),
        };
        // A signal that cannot be read is no reason to stop listening.
        if let Ok(event) = event {
            on_event(event);
        }
    }
}

async fn next<S>(stream: &mut S) -> Result<S::Data, SystemdError>
where
    S: zbus::export::ordered_stream::OrderedStream + Unpin,
{
    let ended = || SystemdError::NoBus { message: "the connection ended".to_owned() };
    stream.next().await.ok_or_else(ended)
}
