//! What is answered over HTTP, and to whom nothing is.

use super::super::shown::{Showing, window};
use super::*;
use crate::model::Health;
use crate::testing::sample_report;
use crate::units::{Span, Tick};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The clock of these tests: always ten seconds.
fn ten_seconds() -> Tick {
    Tick(10_000_000)
}

/// A window in which a report of now is shown.
fn shown() -> (Showing, Shown) {
    let (showing, shown) = window(ten_seconds);
    showing.looked(ten_seconds(), Span::secs(3));
    showing.show(ten_seconds(), sample_report());
    (showing, shown)
}

fn served(shown: &Shown) -> Served {
    let nowhere = std::env::temp_dir().join("provost-http-of-nothing");
    let pages =
        Pages::new(nowhere, "host".to_owned(), || Zoned::new(Timestamp::UNIX_EPOCH, TimeZone::UTC));
    Served { shown: shown.clone(), pages }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What comes back for what was sent.
fn exchange(sent: &str, door: Door, shown: &Shown) -> String {
    block_on(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        client.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let conversation = converse(server, door, served(shown), PATIENCE);
        let (_ended, read) = tokio::join!(conversation, client.read_to_string(&mut answer));
        read.unwrap();
        answer
    })
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost:17768\r\n{headers}\r\n")
}

/// The first line, the headers, and what follows.
fn parts(answer: &str) -> (&str, &str, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    (status, headers, body)
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let (showing, shown) = shown();
    let prometheus = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n";
    let answer = exchange(&get("/metrics", prometheus), Door::Tcp, &shown);
    let (status, headers, body) = parts(&answer);
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(headers.contains(OPENMETRICS), "{headers}");
    assert!(body.ends_with("# EOF\n"), "{body}");
    let answer = exchange(&get("/metrics", ""), Door::Tcp, &shown);
    let (_, headers, body) = parts(&answer);
    assert!(headers.contains(OLDER), "{headers}");
    assert_eq!(body, text(&sample_report(), Format::Text));
    assert_eq!(showing.counts().answered, 2);
}

#[test]
fn the_page_may_run_and_load_nothing_but_its_style() {
    let (_showing, shown) = shown();
    let answer = exchange(&get("/", ""), Door::Tcp, &shown);
    let (status, headers, body) = parts(&answer);
    assert_eq!(status, "HTTP/1.1 200 OK");
    for header in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; style-src 'self';",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "refresh: 30",
    ] {
        assert!(headers.to_lowercase().contains(header), "{header}: {headers}");
    }
    assert!(body.contains("<link rel=\"stylesheet\" href=\"/page.css\"/>"), "{body}");
    assert!(!body.contains("<style") && !body.contains("style=") && !body.contains("<script"));
    let answer = exchange(&get("/page.css", ""), Door::Tcp, &shown);
    let (_, headers, body) = parts(&answer);
    assert!(headers.contains(CSS) && body == STYLE, "{headers}");
    let answer = exchange(&get("/?hours=2", ""), Door::Tcp, &shown);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn formats_are_chosen_by_what_is_liked_best() {
    for (accept, format) in [
        ("", Format::Text),
        ("*/*", Format::Text),
        ("text/html, */*;q=0.1", Format::Text),
        ("application/openmetrics-text", Format::OpenMetrics),
        ("application/openmetrics-text;q=0", Format::Text),
        ("application/openmetrics-text; version=1.0.0; q=0.3, text/plain;q=0.4", Format::Text),
        ("text/plain;q=0.3,application/openmetrics-text;q=0.31", Format::OpenMetrics),
        ("text/plain;q=1.0,application/openmetrics-text", Format::OpenMetrics),
        ("application/openmetrics-text;q=nonsense", Format::Text),
    ] {
        assert_eq!(format_of(accept), format, "{accept}");
    }
}

#[test]
fn health_is_a_status_and_reasons() {
    let (showing, shown) = shown();
    let ask = || exchange(&get("/healthz", ""), Door::Unix, &shown);
    let answer = ask();
    let (status, _, body) = parts(&answer);
    assert_eq!((status, body), ("HTTP/1.1 200 OK", "healthy\n"));
    let mut report = sample_report();
    report.health = Health::of([(Condition::Degraded, "the last reload failed".to_owned())]);
    showing.show(ten_seconds(), report);
    let answer = ask();
    let (status, _, body) = parts(&answer);
    assert_eq!((status, body), ("HTTP/1.1 200 OK", "degraded\nthe last reload failed\n"));
    showing.looked(Tick(1), Span::secs(3));
    let answer = ask();
    let (status, _, body) = parts(&answer);
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(body.starts_with("failed\nthe last reload failed\nthe control loop has stood still"));
}

#[test]
fn what_is_no_request_for_this_server_is_refused_with_a_word() {
    let (showing, shown) = shown();
    for (request, status, word) in [
        (get("/x", ""), "404 Not Found", "ask for /, /metrics or /healthz"),
        (get("/?hours=0", ""), "400 Bad Request", "1 to 720"),
        (get("/?days=1", ""), "400 Bad Request", "1 to 720"),
        (get("/metrics/../x", ""), "404 Not Found", "ask for"),
        (get("/metrics", "").replace("GET", "POST"), "405 Method Not Allowed", "only GET"),
        (
            get("/metrics", "").replace("localhost", "evil.example.com"),
            "421 Misdirected Request",
            "localhost",
        ),
    ] {
        let answer = exchange(&request, Door::Tcp, &shown);
        let (line, headers, body) = parts(&answer);
        assert_eq!(line, format!("HTTP/1.1 {status}"), "{request}");
        assert!(body.contains(word), "{answer}");
        assert_eq!(headers.contains("allow: GET, HEAD"), status.starts_with("405"), "{headers}");
    }
    assert_eq!(showing.counts().refused, 6);
    let by_proxy = get("/healthz", "").replace("localhost", "metrics.example.com");
    assert!(exchange(&by_proxy, Door::Unix, &shown).starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn a_request_for_another_host_is_told_from_one_for_this() {
    for (host, meant) in [
        ("localhost", true),
        ("localhost:17768", true),
        ("127.0.0.1:17768", true),
        ("127.8.9.1", true),
        ("[::1]:17768", true),
        ("[::1]", true),
        ("192.0.2.1:17768", false),
        ("localhost.example.com", false),
        ("example.com:17768", false),
        ("", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        assert_eq!(is_meant(&headers), meant, "{host}");
    }
    assert!(is_meant(&HeaderMap::new()), "HTTP/1.0 has none");
}

#[test]
fn a_head_alone_is_answered_without_a_body() {
    let (_showing, shown) = shown();
    let answer = exchange(&get("/metrics", "").replace("GET", "HEAD"), Door::Tcp, &shown);
    let (status, _, body) = parts(&answer);
    assert_eq!((status, body), ("HTTP/1.1 200 OK", ""));
}

/// Who says half a sentence, who never listens, and who hangs up: each is dropped, and the next one is served.
#[test]
fn who_hangs_is_dropped_and_counted() {
    let (showing, shown) = shown();
    let short = Patience { head: Duration::from_millis(50), whole: Duration::from_millis(200) };
    block_on(async {
        let (mut client, server) = tokio::io::duplex(1024);
        client.write_all(b"GET /metrics HT").await.unwrap();
        converse(server, Door::Tcp, served(&shown), short).await;
        assert_eq!(showing.counts().dropped, 1, "half a head");
        let (mut client, server) = tokio::io::duplex(128);
        let request = get("/metrics", "");
        let sent = client.write_all(request.as_bytes());
        let (_ended, sent) = tokio::join!(converse(server, Door::Tcp, served(&shown), short), sent);
        sent.unwrap();
        assert_eq!(showing.counts().dropped, 2, "nobody reads the answer");
    });
    let answer = exchange(&get("/healthz", ""), Door::Tcp, &shown);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn too_long_a_head_is_refused() {
    let (_showing, shown) = shown();
    let long = format!("X: {}\r\n", "x".repeat(40_000));
    let answer = exchange(&get("/metrics", &long), Door::Tcp, &shown);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn before_the_first_look_there_is_nothing_to_show() {
    let (showing, shown) = window(ten_seconds);
    drop(showing);
    let answer = exchange(&get("/metrics", ""), Door::Unix, &shown);
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable"), "{answer}");
    assert!(answer.ends_with("the host was not looked at yet\n"), "{answer}");
}

#[test]
fn connections_over_a_socket_are_served_one_after_another() {
    let (_showing, shown) = shown();
    let local = tokio::task::LocalSet::new();
    let answers = local.run_until(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::task::spawn_local(serve(Listener::Tcp(listener), served(&shown)));
        let mut answers = Vec::new();
        // More than have a slot at once: the slots of those that are done are given back.
        for _ in 0..2 * MOST_CONNECTIONS {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(get("/healthz", "").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answers.push(answer);
        }
        answers
    });
    let answers = block_on(answers);
    assert!(answers.iter().all(|answer| answer.ends_with("healthy\n")), "{answers:?}");
}
