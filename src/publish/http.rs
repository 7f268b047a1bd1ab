//! Metrics, health and a page for people over HTTP, for this host alone: `GET /metrics`, `GET /healthz` and `GET /`.
//!
//! Runs on the talking thread. One request a connection, and nothing of it is read but its first line and three headers. Whoever is slow is
//! dropped and counted; connections at once are bounded, and more wait in the kernel's queue. Must not ask the control loop for more than
//! the next report.

use super::metrics::{Format, text};
use super::page::{STYLE, STYLE_PATH};
use super::pages::{MOST_HOURS, Pages, USUAL_HOURS};
use super::shown::Shown;
use crate::model::Condition;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue, REFERRER_POLICY, REFRESH, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at once.
const MOST_CONNECTIONS: usize = 16;
/// The longest head, and what is sent at once.
const BUFFER: usize = 16 * 1024;
const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
/// A browser runs nothing, loads nothing but the style, sends nothing anywhere, and shows the page in no other.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const OLDER: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where others connect.
#[derive(Debug)]
pub enum Listener {
    /// Whoever may open the socket.
    Unix(UnixListener),
    /// Whoever runs on this host.
    Tcp(TcpListener),
}

/// Whether the request has to say that it is meant for this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// Nobody gets there by mistake.
    Unix,
    /// A web page of elsewhere could have made a browser of this host ask.
    Tcp,
}

/// How patient a server is with those who ask.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For a request's head.
    head: Duration,
    /// For the whole connection.
    whole: Duration,
}

/// As long as a Prometheus server waits unless told otherwise.
const PATIENCE: Patience =
    Patience { head: Duration::from_secs(2), whole: Duration::from_secs(10) };

/// What is served.
#[derive(Debug, Clone)]
pub struct Served {
    /// What the control loop shows.
    pub shown: Shown,
    /// Pages for people.
    pub pages: Pages,
}

/// Serves `listener` for ever. Runs inside a `LocalSet`.
pub async fn serve(listener: Listener, served: Served) {
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let served = served.clone();
        let accepted = match &listener {
            Listener::Unix(unix) => unix.accept().await.map(|(stream, _)| {
                let conversation = converse(stream, Door::Unix, served, PATIENCE);
                tokio::task::spawn_local(holding(slot, conversation));
            }),
            Listener::Tcp(tcp) => tcp.accept().await.map(|(stream, _)| {
                let conversation = converse(stream, Door::Tcp, served, PATIENCE);
                tokio::task::spawn_local(holding(slot, conversation));
            }),
        };
        if accepted.is_err() {
            // Out of descriptors: let the others finish.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Gives the slot back when the conversation is over.
async fn holding(slot: OwnedSemaphorePermit, conversation: impl Future<Output = ()>) {
    conversation.await;
    drop(slot);
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    door: Door,
    served: Served,
    patience: Patience,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let served = served.clone();
        async move { Ok::<_, Infallible>(respond(&request, door, &served).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    if !matches!(tokio::time::timeout(patience.whole, connection).await, Ok(Ok(()))) {
        served.shown.count_dropped();
    }
}

async fn respond<B>(request: &Request<B>, door: Door, served: &Served) -> Response<String> {
    let shown = &served.shown;
    let answer = match refusal(request, door) {
        Some(refusal) => Err(refusal),
        None => match request.uri().path() {
            "/metrics" => metrics(request.headers(), shown).await,
            "/healthz" => Ok(health(shown)),
            "/" => page(request.uri().query(), served).await,
            STYLE_PATH => Ok(with(Response::new(STYLE.to_owned()), CONTENT_TYPE, CSS)),
            path => Err(words(
                StatusCode::NOT_FOUND,
                format!("there is no {path}; ask for /, /metrics or /healthz\n"),
            )),
        },
    };
    match answer {
        Ok(answer) => {
            shown.count_answered();
            answer
        }
        Err(refusal) => {
            shown.count_refused();
            refusal
        }
    }
}

/// The answer to a request that is none for this server.
fn refusal<B>(request: &Request<B>, door: Door) -> Option<Response<String>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let text = "nothing can be changed here: only GET and HEAD are answered\n".to_owned();
        let refusal = words(StatusCode::METHOD_NOT_ALLOWED, text);
        return Some(with(refusal, ALLOW, "GET, HEAD"));
    }
    if door == Door::Tcp && !is_meant(request.headers()) {
        let text = "the Host header names another host: ask for localhost, or for an address of the loopback\n";
        return Some(words(StatusCode::MISDIRECTED_REQUEST, text.to_owned()));
    }
    None
}

/// Whether the `Host` header, where there is one, names this host and no name that somebody made lead here.
fn is_meant(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

async fn metrics(headers: &HeaderMap, shown: &Shown) -> Result<Response<String>, Response<String>> {
    let Some(view) = shown.report().await else {
        let text = "the host was not looked at yet\n".to_owned();
        return Err(words(StatusCode::SERVICE_UNAVAILABLE, text));
    };
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accepted: Vec<&str> = accepted.collect();
    let format = format_of(&accepted.join(","));
    let kind = match format {
        Format::Text => OLDER,
        Format::OpenMetrics => OPENMETRICS,
    };
    Ok(with(Response::new(text(&view.report, format)), CONTENT_TYPE, kind))
}

/// The page of the last hours: `/`, or `/?hours=` and how many.
async fn page(query: Option<&str>, served: &Served) -> Result<Response<String>, Response<String>> {
    let asked = query.map_or(Some(USUAL_HOURS), |query| query.strip_prefix("hours=")?.parse().ok());
    let Some(hours) = asked.filter(|hours| (1..=MOST_HOURS).contains(hours)) else {
        let text = format!("ask for / or for /?hours=N, where N is 1 to {MOST_HOURS}\n");
        return Err(words(StatusCode::BAD_REQUEST, text));
    };
    let Some(html) = served.pages.html(hours, served.shown.report().await).await else {
        let text = "the page could not be drawn; see the log\n".to_owned();
        return Err(words(StatusCode::INTERNAL_SERVER_ERROR, text));
    };
    let headers = [
        (CONTENT_TYPE, HTML),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (REFRESH, "30"),
    ];
    let response = Response::new(html.to_string());
    Ok(headers.into_iter().fold(response, |response, (name, value)| with(response, name, value)))
}

/// What an `Accept` header asks for: OpenMetrics where it is named and nothing is liked better, else the older format.
fn format_of(accept: &str) -> Format {
    let liking = |wanted: &[&str]| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_wanted = parts.next().is_some_and(|name| wanted.contains(&name));
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            is_wanted.then(|| weight.map_or(1000, thousandths))
        });
        ranges.max()
    };
    let (openmetrics, plain) =
        (liking(&["application/openmetrics-text"]), liking(&["text/plain", "text/*"]));
    if openmetrics > Some(0) && openmetrics >= plain { Format::OpenMetrics } else { Format::Text }
}

/// A weight of `0` to `1` with at most three decimals; nothing where it is none.
fn thousandths(weight: &str) -> u32 {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let decimals = decimals.get(..3).unwrap_or(decimals);
    format!("{whole}{decimals:0<3}").parse().unwrap_or(0).min(1000)
}

fn health(shown: &Shown) -> Response<String> {
    let health = shown.health();
    let status = match health.condition {
        Condition::Healthy | Condition::Degraded => StatusCode::OK,
        Condition::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    words(status, health.to_string())
}

/// Words for a person.
fn words(status: StatusCode, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    with(response, CONTENT_TYPE, PLAIN)
}

fn with(mut response: Response<String>, name: HeaderName, value: &'static str) -> Response<String> {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

#[cfg(test)]
mod tests;
