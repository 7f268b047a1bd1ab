//! Opens the places where metrics and health are served, as the configuration says, and others after a reload.

use super::instance::Paths;
use crate::config::Listen;
use crate::publish::{Listener, Served, serve};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A place that cannot be had is tried again so often.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// Root, and the group of those who may read the agent's files.
const MODE: u32 = 0o660;

/// Serves wherever `wanted` says; `tell` hears what is wrong whenever that changes. Runs inside a `LocalSet`, for ever.
pub(super) async fn serve_all(
    paths: Paths,
    mut wanted: watch::Receiver<Vec<Listen>>,
    served: Served,
    tell: impl Fn(Vec<String>),
) {
    let mut told = Vec::new();
    loop {
        let mut missing = wanted.borrow_and_update().clone();
        let mut serving = JoinSet::new();
        loop {
            let mut wrongs = Vec::new();
            missing.retain(|place| match open(*place, &paths) {
                Ok(listener) => {
                    serving.spawn_local(serve(listener, served.clone()));
                    false
                }
                Err(error) => {
                    wrongs.push(format!("nobody is served on {place} ([http] listen): {error}"));
                    true
                }
            });
            if told != wrongs {
                told.clone_from(&wrongs);
                tell(wrongs);
            }
            if changed(&mut wanted, missing.is_empty()).await {
                break;
            }
        }
        serving.shutdown().await;
    }
}

/// Whether other places are wanted; where one is missing it is not waited for that for long.
async fn changed(wanted: &mut watch::Receiver<Vec<Listen>>, is_complete: bool) -> bool {
    let changed = async {
        // The other side is gone only while the process ends.
        if wanted.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    if is_complete {
        changed.await;
        return true;
    }
    tokio::time::timeout(TRY_AGAIN, changed).await.is_ok()
}

fn open(place: Listen, paths: &Paths) -> std::io::Result<Listener> {
    match place {
        Listen::Unix => open_unix(&paths.http()).map(Listener::Unix),
        Listen::Tcp(address) => {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener).map(Listener::Tcp)
        }
    }
}

fn open_unix(path: &Path) -> std::io::Result<UnixListener> {
    // A socket left by an earlier daemon, or from before a reload; the lock says that nobody else serves it.
    let _stale = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::clock;
    use crate::publish::{Pages, Showing, Shown, window};
    use crate::testing::sample_report;
    use crate::units::{Span, Tick};
    use std::cell::RefCell;
    use std::rc::Rc;
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
    use tokio::net::{TcpStream, UnixStream};

    fn no_time() -> Tick {
        Tick(1)
    }

    fn shown() -> (Showing, Shown) {
        let (showing, shown) = window(no_time);
        showing.looked(no_time(), Span::secs(1));
        showing.show(no_time(), sample_report());
        (showing, shown)
    }

    async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Lets the others run until it is so.
    async fn until(is_so: impl Fn() -> bool) {
        for _ in 0..1000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it never came to be so");
    }

    #[test]
    fn a_reload_opens_other_places_and_a_place_that_is_taken_is_told() {
        let run = std::env::temp_dir().join(format!("provost-http-{}", std::process::id()));
        std::fs::create_dir_all(&run).unwrap();
        let paths = Paths { run: run.clone(), state: run.clone() };
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let story = async {
            let (_showing, shown) = shown();
            let pages = Pages::new(run.clone(), "host".to_owned(), clock::zoned);
            let served = Served { shown, pages };
            let (want, wanted) = watch::channel(vec![Listen::Unix]);
            let told = Rc::new(RefCell::new(Vec::new()));
            let hear = Rc::clone(&told);
            let tell = move |wrongs| *hear.borrow_mut() = wrongs;
            tokio::task::spawn_local(serve_all(paths.clone(), wanted, served, tell));
            until(|| paths.http().exists()).await;
            let answer = ask(UnixStream::connect(paths.http()).await.unwrap()).await;
            assert!(answer.ends_with("healthy\n"), "{answer}");
            let mode = std::fs::metadata(paths.http()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, MODE);

            want.send_replace(vec![Listen::Tcp(address)]);
            until(|| !told.borrow().is_empty()).await;
            let wrong = told.borrow().join("");
            assert!(wrong.starts_with(&format!("nobody is served on {address}")), "{wrong}");
            assert!(UnixStream::connect(paths.http()).await.is_err(), "it is closed");

            drop(taken);
            want.send_replace(vec![Listen::Unix, Listen::Tcp(address)]);
            until(|| told.borrow().is_empty()).await;
            let answer = ask(TcpStream::connect(address).await.unwrap()).await;
            assert!(answer.ends_with("healthy\n"), "{answer}");
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, story);
        std::fs::remove_dir_all(&run).unwrap();
    }
}
