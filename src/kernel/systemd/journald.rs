//! The journal's own protocol: one datagram of fields, so that messages can be found by what they are about.
//!
//! Source: `systemd.io/JOURNAL_NATIVE_PROTOCOL`, systemd.journal-fields(7).

use std::io::{Error, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// A way to the journal.
#[derive(Debug)]
pub struct Journald {
    socket: UnixDatagram,
    to: PathBuf,
}

impl Journald {
    /// The host's journal. Whether there is one shows with the first message.
    ///
    /// # Errors
    /// The kernel's answer when there is no socket to be had.
    pub fn open() -> std::io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    fn at(to: &Path) -> std::io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // A journal that does not read must not hold up whoever writes.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, to: to.to_owned() })
    }

    /// Sends one message. Names of fields are of `A-Z`, `0-9` and `_`.
    ///
    /// # Errors
    /// The kernel's answer: nobody listens, or the journal's queue is full.
    pub fn send(&self, fields: &[(&str, &str)]) -> std::io::Result<()> {
        let message = encoded(fields);
        let sent = self.socket.send_to(&message, &self.to)?;
        if sent == message.len() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::WriteZero, "the journal took a part of a message"))
    }
}

/// `NAME=value` lines; a value with a line break stands behind its length.
fn encoded(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut message = Vec::new();
    for (name, value) in fields {
        message.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            message.push(b'\n');
            let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
            message.extend_from_slice(&length.to_le_bytes());
        } else {
            message.push(b'=');
        }
        message.extend_from_slice(value.as_bytes());
        message.push(b'\n');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_line_break_stands_behind_its_length() {
        let message = encoded(&[("MESSAGE", "one"), ("TEXT", "a\nb"), ("PRIORITY", "4")]);
        assert_eq!(message, b"MESSAGE=one\nTEXT\n\x03\0\0\0\0\0\0\0a\nb\nPRIORITY=4\n");
    }

    #[test]
    fn a_message_arrives_whole_and_a_journal_that_is_not_there_is_an_error() {
        let path = std::env::temp_dir().join(format!("provost-journald-{}", std::process::id()));
        let journald = Journald::at(&path).unwrap();
        assert!(journald.send(&[("MESSAGE", "nobody listens")]).is_err());
        let there = UnixDatagram::bind(&path).unwrap();
        journald.send(&[("MESSAGE", "hello")]).unwrap();
        let mut bytes = [0; 64];
        let length = there.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"MESSAGE=hello\n");
        std::fs::remove_file(&path).unwrap();
    }
}
