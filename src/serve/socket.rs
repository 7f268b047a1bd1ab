//! The answering side: accepts, reads one bounded line, hands it to the control loop, and writes its answer.
//!
//! Runs on the talking thread; the loop is never waited on by more than one request a connection, and a client that sends nothing or
//! too much is dropped.

use super::protocol::{Reply, Request};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};

/// A request is a few words.
const LONGEST_REQUEST: u64 = 16 * 1024;
/// A client that is slower than this is dropped.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections at once; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 16;

/// A request on its way to the control loop.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Reply>,
}

/// Serves `listener` for ever; `hand_over` passes a request to the control loop. Runs inside a `LocalSet`.
pub async fn serve(listener: UnixListener, hand_over: impl Fn(Asked) + Clone + 'static) {
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let hand_over = hand_over.clone();
                tokio::task::spawn_local(async move {
                    converse(stream, hand_over).await;
                    drop(slot);
                });
            }
            // Out of descriptors: let the others finish.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn converse(mut stream: UnixStream, hand_over: impl Fn(Asked)) {
    let reply = match tokio::time::timeout(PATIENCE, request(&mut stream)).await {
        Ok(Ok(request)) => {
            let (answer, answered) = oneshot::channel();
            hand_over(Asked { request, answer });
            answered.await.unwrap_or_else(|_| failed("the daemon is stopping".to_owned()))
        }
        Ok(Err(text)) => failed(text),
        Err(_) => return,
    };
    let Ok(mut line) = serde_json::to_vec(&reply) else {
        return;
    };
    line.push(b'\n');
    // A client that hung up does not want the answer any more.
    let _sent = tokio::time::timeout(PATIENCE, stream.write_all(&line)).await;
}

async fn request(stream: &mut UnixStream) -> Result<Request, String> {
    let peer = stream.peer_cred().map_err(|error| format!("the caller is unknown: {error}"))?;
    if peer.uid() != 0 {
        return Err("only root may ask this daemon".to_owned());
    }
    let mut line = String::new();
    let mut bounded = BufReader::new(stream.take(LONGEST_REQUEST));
    let read = bounded.read_line(&mut line).await.map_err(|error| error.to_string())?;
    if read == 0 {
        return Err("no request came".to_owned());
    }
    serde_json::from_str(&line).map_err(|error| format!("the request cannot be read: {error}"))
}

const fn failed(text: String) -> Reply {
    Reply::Failed { text, exit: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves on a socket pair and answers every request with its own text.
    async fn exchange(sent: &[u8]) -> String {
        let (mut client, server) = UnixStream::pair().unwrap();
        let echo = |asked: Asked| {
            let text = format!("{:?}", asked.request);
            asked.answer.send(Reply::Done { text }).unwrap();
        };
        client.write_all(sent).await.unwrap();
        client.shutdown().await.unwrap();
        converse(server, echo).await;
        let mut answer = String::new();
        // What a dropped client sent and nobody read resets the connection.
        let _reset = client.read_to_string(&mut answer).await;
        answer
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_request_is_answered() {
        // The peer of a socket pair is this process: root in the tests' usual home, refused elsewhere.
        let answer = block_on(exchange(b"{\"ask\":\"enforce\",\"on\":true}\n"));
        let as_root = nix::unistd::geteuid().is_root();
        let expected = if as_root { "Enforce { on: true }" } else { "only root" };
        assert!(answer.contains(expected), "{answer}");
    }

    #[test]
    fn nonsense_and_excess_are_refused_with_a_word() {
        for sent in [&b""[..], b"hello\n", b"{\"ask\":\"enforce\",\"path\":\"/\"}\n"] {
            let answer = block_on(exchange(sent));
            assert!(answer.contains("\"reply\":\"failed\""), "{answer}");
        }
    }

    #[test]
    fn a_client_that_sends_too_much_is_dropped() {
        let answer = block_on(exchange(&[b'['; 40_000]));
        assert!(!answer.contains("\"reply\":\"done\""), "{answer}");
    }
}
