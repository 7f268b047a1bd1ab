//! The talking thread: control socket, systemd's signals, metrics and health, on a tokio runtime of its own. What it hears it hands to the
//! control loop; how provost does it answers by itself, since a loop that stands still could not.

use super::http::serve_all;
use super::instance::Paths;
use super::start::StartError;
use crate::config::Listen;
use crate::kernel::poll::Waker;
use crate::kernel::systemd::{SystemdEvent, listen};
use crate::kernel::{clock, host};
use crate::publish::{Pages, Served, Shown};
use crate::serve::{Asked, Reply, Request, serve};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;

/// What the talking thread hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// A request on the control socket.
    Asked(Asked),
    /// A word from systemd.
    Systemd(SystemdEvent),
    /// What is wrong now with the places where metrics are served.
    Unserved(Vec<String>),
}

/// What the loop has of the thread.
pub(super) struct Talk {
    /// What it hears.
    pub(super) heard: Receiver<Heard>,
    /// Where metrics and health are to be served.
    pub(super) listen: watch::Sender<Vec<Listen>>,
}

/// Starts the thread.
pub(super) fn start(
    paths: &Paths,
    systemd: bool,
    waker: Waker,
    places: Vec<Listen>,
    shown: Shown,
) -> Result<Talk, StartError> {
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
    let (want, wanted) = watch::channel(places);
    let paths = paths.clone();
    let work = move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let Ok(listener) = tokio::net::UnixListener::from_std(listener) else { return };
            let asked = answer_or(shown.clone(), hand_over(&tell, &waker, Heard::Asked));
            let unserved = hand_over(&tell, &waker, Heard::Unserved);
            let pages = Pages::new(paths.state.clone(), host::name(), clock::zoned);
            let metrics = serve_all(paths, wanted, Served { shown, pages }, unserved);
            if systemd {
                let listening = listen(hand_over(&tell, &waker, Heard::Systemd));
                tokio::join!(serve(listener, asked), metrics, listening);
            } else {
                tokio::join!(serve(listener, asked), metrics);
            }
        });
    };
    std::thread::Builder::new()
        .name("talk".to_owned())
        .spawn(work)
        .map_err(failed("start a thread"))?;
    Ok(Talk { heard, listen: want })
}

/// Answers how provost does, and hands over everything else.
fn answer_or(
    shown: Shown,
    hand_over: impl Fn(Asked) + Clone + 'static,
) -> impl Fn(Asked) + Clone + 'static {
    move |asked| {
        if asked.request == Request::Health {
            // A client that hung up does not want the answer.
            let _heard = asked.answer.send(Reply::Health { health: shown.health() });
        } else {
            hand_over(asked);
        }
    }
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
