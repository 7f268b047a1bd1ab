//! Sends one text to a server by HTTP POST. Waits for the answer, and for no more of it than its status.

use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;

/// Why a text was not taken.
#[derive(Debug, Error)]
pub enum PostError {
    /// Nobody listens there, or it cannot be reached.
    #[error("{address} cannot be reached: {source}")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The conversation broke.
    #[error("{address} broke off: {source}")]
    Broken {
        /// Where.
        address: SocketAddr,
        /// What was wrong.
        source: hyper::Error,
    },
    /// The path is none that can be asked for.
    #[error("{path} cannot be asked for: {source}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        source: hyper::http::Error,
    },
    /// It answered that it does not take it.
    #[error("{address} answered with status {status}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// The answer.
        status: u16,
    },
    /// It took too long.
    #[error("{address} did not answer within {} s", limit.as_secs())]
    Slow {
        /// Where.
        address: SocketAddr,
        /// How long it had.
        limit: Duration,
    },
}

/// Posts JSON to `path` at `address`; an answer of 200 to 299 within `limit` counts as taken.
///
/// # Errors
/// [`PostError`].
pub async fn post(
    address: SocketAddr,
    path: &str,
    json: String,
    limit: Duration,
) -> Result<(), PostError> {
    let posted = tokio::time::timeout(limit, talk(address, path, json)).await;
    let status = posted.map_err(|_| PostError::Slow { address, limit })??;
    if (200..300).contains(&status) { Ok(()) } else { Err(PostError::Refused { address, status }) }
}

/// The status that comes back.
async fn talk(address: SocketAddr, path: &str, json: String) -> Result<u16, PostError> {
    let broken = |source| PostError::Broken { address, source };
    let request = Request::post(path)
        .header(HOST, address.to_string())
        .header(USER_AGENT, concat!("provost/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .body(json)
        .map_err(|source| PostError::Path { path: path.to_owned(), source })?;
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|source| PostError::Unreachable { address, source })?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut answer = pin!(sender.send_request(request));
    // Whoever hangs up after the answer ends the connection before the answer was looked at.
    let answered = tokio::select! {
        biased;
        answered = &mut answer => answered,
        _ended = connection => answer.await,
    };
    answered.map(|response| response.status().as_u16()).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(5);

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// What was posted, and what came of it, at a server that answers so and hangs up.
    async fn posted(answer: &str, limit: Duration) -> (String, Result<(), PostError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 4096];
            let length = stream.read(&mut bytes).await.unwrap();
            if answer.is_empty() {
                tokio::time::sleep(3 * limit).await;
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        tokio::join!(served, post(address, "/alerts?a=b", "{\"a\":1}".to_owned(), limit))
    }

    #[test]
    fn a_text_is_posted_as_json() {
        let answer = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        let (request, result) = block_on(posted(answer, LIMIT));
        result.unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /alerts?a=b HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        assert!(head.contains("content-length: 7"), "{head}");
        assert_eq!(body, "{\"a\":1}");
    }

    #[test]
    fn an_answer_that_is_no_success_is_told() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        let (_, result) = block_on(posted(answer, LIMIT));
        assert!(result.unwrap_err().to_string().ends_with("answered with status 503"));
        let (_, result) = block_on(posted("no HTTP at all", LIMIT));
        assert!(matches!(result, Err(PostError::Broken { .. })), "{result:?}");
    }

    #[test]
    fn who_never_answers_is_given_up() {
        let limit = Duration::from_millis(50);
        let (_, result) = block_on(posted("", limit));
        assert!(matches!(result, Err(PostError::Slow { .. })), "{result:?}");
    }

    #[test]
    fn nobody_there_is_told() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        drop(taken);
        let result = block_on(post(address, "/", String::new(), LIMIT));
        assert!(matches!(result, Err(PostError::Unreachable { .. })), "{result:?}");
    }
}
