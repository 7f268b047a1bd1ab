//! The talking thread: control socket and systemd's signals, on a tokio runtime of its own. What it hears it hands to the control loop.

use super::instance::Paths;
use super::start::StartError;
use crate::kernel::poll::Waker;
use crate::kernel::systemd::{SystemdEvent, listen};
use crate::serve::{Asked, serve};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What the talking thread hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// A request on the control socket.
    Asked(Asked),
    /// A word from systemd.
    Systemd(SystemdEvent),
}

/// Starts the thread.
pub(super) fn start(
    paths: &Paths,
    systemd: bool,
    waker: Waker,
) -> Result<Receiver<Heard>, StartError> {
    let failed =
        |what| move |error: std::io::Error| StartError::System { what, why: error.to_string() };
    let path = paths.socket();
    // A socket left by a killed daemon; the lock says that nobody serves it.
    let _stale = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(failed("bind the control socket"))?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, private).map_err(failed("protect the control socket"))?;
    listener.set_nonblocking(true).map_err(failed("prepare the control socket"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("start a runtime"))?;
    let (tell, heard) = channel();
    let work = move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let Ok(listener) = tokio::net::UnixListener::from_std(listener) else { return };
            let serving = serve(listener, hand_over(&tell, &waker, Heard::Asked));
            if systemd {
                let listening = listen(hand_over(&tell, &waker, Heard::Systemd));
                tokio::join!(serving, listening);
            } else {
                serving.await;
            }
        });
    };
    std::thread::Builder::new()
        .name("talk".to_owned())
        .spawn(work)
        .map_err(failed("start a thread"))?;
    Ok(heard)
}

fn hand_over<T, W: Fn(T) -> Heard + Clone>(
    tell: &Sender<Heard>,
    waker: &Waker,
    wrap: W,
) -> impl Fn(T) + Clone + use<T, W> {
    let (tell, waker) = (tell.clone(), waker.clone());
    move |heard| {
        // The loop is gone only while the process ends.
        let _heard = tell.send(wrap(heard));
        waker.wake();
    }
}
