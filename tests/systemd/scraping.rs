//! Metrics and health of the service as it is shipped: over TCP and the socket, while its loop stands still, and beside scrapers that hang.

use crate::common::{until, within};
use crate::shipped::{Installed, journal, provost, systemctl};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
    mode = "enforce"
    [component.web]
    match = { unit = "test-web.service" }
    "#;
const ADDRESS: &str = "127.0.0.1:17768";
const SOCKET: &str = "/run/provost/http.sock";

/// The whole answer; none where nobody answers in time.
fn get(mut stream: impl Read + Write, path: &str, header: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn over_tcp(path: &str, header: &str) -> Option<String> {
    let stream = TcpStream::connect(ADDRESS).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    get(stream, path, header)
}

fn is_healthy() -> bool {
    over_tcp("/healthz", "").is_some_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

/// systemd does not end a daemon whose loop stands still.
struct NoWatchdog;

impl NoWatchdog {
    const FOLDER: &str = "/run/systemd/system/provost.service.d";

    fn new() -> Self {
        std::fs::create_dir_all(Self::FOLDER).unwrap();
        let text = "[Service]\nWatchdogSec=0\n";
        std::fs::write(format!("{}/scraping.conf", Self::FOLDER), text).unwrap();
        systemctl(&["daemon-reload"]).ok();
        Self
    }
}

impl Drop for NoWatchdog {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(Self::FOLDER);
        systemctl(&["daemon-reload"]);
    }
}

/// One thread that stands still while all others of its process run.
struct Stopped(Pid);

impl Stopped {
    fn new(thread: i32) -> Self {
        let thread = Pid::from_raw(thread);
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Self(thread)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        ptrace::detach(self.0, None).unwrap();
    }
}

#[test]
fn the_service_is_scraped_over_tcp_and_its_socket() {
    let installed = Installed::new(CONFIG);
    installed.start();
    until("it is healthy", || is_healthy().then_some(()));
    let older = over_tcp("/metrics", "").unwrap();
    assert!(older.contains("\r\ncontent-type: text/plain; version=0.0.4"), "{older}");
    assert!(older.contains("\nprovost_enforcing 1\n"), "{older}");
    let accept = "Accept: application/openmetrics-text\r\n";
    let newer = get(UnixStream::connect(SOCKET).unwrap(), "/metrics", accept).unwrap();
    assert!(newer.contains("\r\ncontent-type: application/openmetrics-text"), "{newer}");
    assert!(newer.ends_with("# EOF\n"), "{newer}");
    let health = provost(&["status", "--health"]);
    assert_eq!((health.code, health.stdout.as_str()), (0, "healthy\n"), "{}", journal());
    let text = systemctl(&["show", "-P", "StatusText", "provost.service"]).ok();
    assert!(text.trim_end().ends_with("; healthy"), "{text}");
}

#[test]
fn health_fails_while_the_loop_stands_still_and_comes_back() {
    let _no_watchdog = NoWatchdog::new();
    let installed = Installed::new(CONFIG);
    installed.start();
    until("it is healthy", || is_healthy().then_some(()));
    let main = systemctl(&["show", "-P", "MainPID", "provost.service"]).ok();
    let stopped = Stopped::new(main.trim().parse().unwrap());
    let answer = until("its health fails", || {
        over_tcp("/healthz", "").filter(|answer| answer.starts_with("HTTP/1.1 503 "))
    });
    assert!(answer.contains("the control loop has stood still for "), "{answer}");
    let health = provost(&["status", "--health"]);
    assert_eq!(health.code, 1, "{health:?}");
    assert!(health.stdout.starts_with("failed\n"), "{health:?}");
    let last = over_tcp("/metrics", "").unwrap();
    assert!(last.contains("\nprovost_last_success_timestamp_seconds "), "{last}");
    drop(stopped);
    until("it is healthy again", || is_healthy().then_some(()));
}

#[test]
fn scrapers_that_hang_harm_nobody() {
    let installed = Installed::new(CONFIG);
    installed.start();
    until("it is healthy", || is_healthy().then_some(()));
    let hanging: Vec<TcpStream> = (0..40)
        .map(|number| {
            let mut stream = TcpStream::connect(ADDRESS).unwrap();
            // Half of them never end their head, half never read the answer.
            let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
            let length = if number % 2 == 0 { 20 } else { request.len() };
            stream.write_all(&request.as_bytes()[..length]).unwrap();
            stream
        })
        .collect();
    let looks = || {
        let status = provost(&["status", "--json"]).json();
        let counts = status["own"]["looks"]["counts"].as_array().unwrap().clone();
        counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    let (before, began) = (looks(), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let looked = looks() - before;
    assert!(looked >= 4, "{looked} looks in {:?}", began.elapsed());
    assert!(within(Duration::from_secs(60), is_healthy), "{}", journal());
    let status = provost(&["status", "--json"]).json();
    assert!(status["own"]["http"]["dropped"].as_u64().unwrap() >= 20, "{:#}", status["own"]);
    drop(hanging);
}
