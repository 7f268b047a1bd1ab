//! Alerts on their way: to servers that are slow, dead or choosy, and through queues that are full.

use super::*;
use crate::model::{AlertKind, Evidence, Resource};
use crate::units::Tick;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::channel;
use std::time::Instant;

fn told(severity: Level) -> Arc<Told> {
    let evidence = Evidence::Waits { resource: Resource::Memory };
    let view = AlertView {
        id: "pressure/memory".to_owned(),
        kind: AlertKind::Pressure,
        subject: "memory".to_owned(),
        severity,
        state: AlertState::Firing,
        since: Tick(7),
        ended: None,
        silenced_until: None,
        flapping: false,
        evidence,
        text: evidence.text("memory"),
    };
    Arc::new(Told { view, at: 1_700_000_000 })
}

fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never came to be so");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn sink(deliver: Deliver, again: &'static [Duration]) -> Sink {
    Sink::start("test", Level::Warning, deliver, (again, Arc::default())).unwrap()
}

const SOON: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(1)];

#[test]
fn what_fails_is_tried_again_and_then_given_up() {
    let mut attempts = 0;
    let (tell, heard) = channel();
    let deliver = move |told: &Told| {
        attempts += 1;
        tell.send(attempts).unwrap();
        // The first alert is taken at the third attempt, the second never.
        if attempts == 3 { Ok(()) } else { Err(format!("no {}", told.view.id)) }
    };
    let sink = sink(Box::new(deliver), &SOON);
    sink.tell(&told(Level::Warning));
    until(|| sink.counts().delivered == 1);
    assert!(!sink.counters.fails.load(Ordering::Relaxed));
    sink.tell(&told(Level::Warning));
    until(|| sink.counts().failed == 1);
    assert!(sink.counters.fails.load(Ordering::Relaxed));
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(sink.counts(), SinkCounts { delivered: 1, failed: 1, lost: 0, waiting: 0 });
}

#[test]
fn a_sink_that_hangs_holds_nobody_up_and_what_is_lost_is_counted() {
    let (go, wait) = channel::<()>();
    let deliver = move |_: &Told| {
        let _gone = wait.recv();
        Ok(())
    };
    let sink = sink(Box::new(deliver), &[]);
    sink.tell(&told(Level::Warning));
    let began = Instant::now();
    // One may be with the thread, and a queue of them waits.
    for _ in 0..MOST_WAITING + 5 {
        sink.tell(&told(Level::Warning));
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let counts = sink.counts();
    assert!((5..=6).contains(&counts.lost), "{counts:?}");
    assert!(sink.counters.fails.load(Ordering::Relaxed));
    drop(go);
    until(|| sink.counts().waiting == 0);
    let counts = sink.counts();
    let all = u64::try_from(MOST_WAITING + 6).unwrap();
    assert_eq!(counts.delivered + counts.lost, all, "{counts:?}");
}

/// A server on a port of its own that gives each request to `answer`, and hangs up.
fn server(answer: impl Fn(&str) -> Option<&'static str> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).unwrap();
            if let Some(answer) = answer(&String::from_utf8_lossy(&bytes[..length])) {
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    address
}

fn webhook(address: SocketAddr, from: Level) -> AlertPolicy {
    let webhook = Some(Webhook { address, path: "/alerts".to_owned(), from });
    AlertPolicy { journal: false, webhook, ..AlertPolicy::default() }
}

fn host() -> Host {
    Host { by_systemd: false, mount: PathBuf::from("/nowhere") }
}

#[test]
fn a_server_gets_what_is_grave_enough_as_json() {
    let (tell, heard) = channel();
    let address = server(move |request| {
        tell.send(request.to_owned()).unwrap();
        Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let sinks = Sinks::new(&webhook(address, Level::Critical), host());
    sinks.tell(&told(Level::Warning));
    sinks.tell(&told(Level::Emergency));
    let request = heard.recv_timeout(Duration::from_secs(30)).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /alerts HTTP/1.1\r\n"), "{head}");
    insta::assert_snapshot!(body);
    until(|| sinks.counts()["webhook"].delivered == 1);
    assert_eq!(sinks.wrongs().count(), 0);
    assert!(heard.try_recv().is_err(), "one was not grave enough");
}

#[test]
fn another_configuration_keeps_the_counts_and_closes_what_is_gone() {
    let address = server(|_| Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let mut sinks = Sinks::new(&webhook(address, Level::Warning), host());
    sinks.tell(&told(Level::Warning));
    until(|| sinks.counts()["webhook"].delivered == 1);
    let mut policy = webhook(address, Level::Critical);
    sinks.configure(&policy);
    assert_eq!(sinks.counts()["webhook"].delivered, 1);
    policy.webhook = None;
    sinks.configure(&policy);
    assert!(sinks.counts().is_empty());
}

#[test]
fn a_dead_server_is_told_as_a_wrong() {
    let sinks = Sinks::new(&webhook("127.0.0.1:1".parse().unwrap(), Level::Warning), host());
    let sink = &sinks.each["webhook"];
    // As after the last attempt, which takes a quarter of a minute to come.
    sink.counters.fails.store(true, Ordering::Relaxed);
    let wrongs: Vec<String> = sinks.wrongs().collect();
    assert_eq!(
        wrongs,
        [
            "alerts do not reach the webhook ([alerts] webhook); the log says why, \"provost alerts\" has them"
        ]
    );
    let told = told(Level::Warning);
    let result = to_webhook(sinks.policy.webhook.clone().unwrap())(&told);
    assert!(result.unwrap_err().starts_with("127.0.0.1:1 cannot be reached: "));
}

#[test]
fn the_journal_s_priority_follows_the_severity() {
    let of = |severity| priority(&told(severity).view);
    assert_eq!([Level::Warning, Level::Critical, Level::Emergency].map(of), ["4", "3", "2"]);
    let mut over = told(Level::Emergency).view.clone();
    over.state = AlertState::Resolved;
    assert_eq!(priority(&over), "5");
}
