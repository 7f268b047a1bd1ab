//! The lines that the guest writes to the second serial port, and their meaning.
//!
//! Lines that begin with `@` are events, `|` output of a job, `\` output without a line end yet,
//! `#` the kernel log. Anything else is noise and kept as such.

use std::fmt::Write;

/// One line of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// PID 1 runs; guest uptime in milliseconds.
    Boot(u64),
    /// Jobs start now; guest uptime in milliseconds and the kernel release.
    Ready(u64, String),
    /// A test that will run.
    Plan(String),
    /// A test or command starts.
    Begin(String),
    /// A complete line of output.
    Output(Vec<u8>),
    /// Output that did not end its line yet.
    Partial(Vec<u8>),
    /// Something the harness found: a leaked cgroup, a kernel message.
    Note(String),
    /// The result of a test.
    Test(TestLine),
    /// A job is over.
    End(EndLine),
    /// A line of the kernel log.
    Dmesg(Vec<u8>),
    /// The guest is alive.
    Beat,
    /// All jobs are over; whether everything passed.
    Done(bool),
    /// Not of this protocol.
    Noise(Vec<u8>),
}

/// The result of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestLine {
    /// The test's path in its binary.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// Cgroups and processes it left behind.
    pub leaked: usize,
    /// Warnings of the kernel while it ran.
    pub kernel: usize,
    /// Why it failed: `exit=101`, `signal=9`, `timeout`, `not-run`, `leaked`, `kernel`; else `-`.
    pub reason: String,
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It passed, left nothing behind and the kernel stayed quiet.
    Ok,
    /// Anything else.
    Failed,
    /// Marked `#[ignore]` in the source.
    Ignored,
}

/// The end of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndLine {
    /// The job's name.
    pub name: String,
    /// Exit code of a command; 124 for a timeout, 128 and the number for a signal.
    pub code: i32,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Status {
    /// The word in results.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::Ignored => "ignored",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Ok, Self::Failed, Self::Ignored].into_iter().find(|status| status.word() == word)
    }
}

impl Event {
    /// The line without its line end.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut text = String::new();
        let written = match self {
            Self::Output(bytes) => return [b"|", bytes.as_slice()].concat(),
            Self::Partial(bytes) => return [b"\\", bytes.as_slice()].concat(),
            Self::Dmesg(bytes) => return [b"#", bytes.as_slice()].concat(),
            Self::Noise(bytes) => return bytes.clone(),
            Self::Boot(millis) => write!(text, "@boot {millis}"),
            Self::Ready(millis, release) => write!(text, "@ready {millis} {release}"),
            Self::Plan(name) => write!(text, "@plan {name}"),
            Self::Begin(name) => write!(text, "@begin {name}"),
            Self::Note(note) => write!(text, "@note {}", note.replace('\n', " ")),
            Self::Test(test) => write!(
                text,
                "@test {} {} {} {} {} {}",
                test.name,
                test.status.word(),
                test.millis,
                test.leaked,
                test.kernel,
                test.reason
            ),
            Self::End(end) => write!(text, "@end {} {} {}", end.name, end.code, end.millis),
            Self::Beat => write!(text, "@beat"),
            Self::Done(passed) => write!(text, "@done {}", if *passed { "pass" } else { "fail" }),
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
        text.into_bytes()
    }

    /// Reads a line; a line end of either kind is taken off.
    #[must_use]
    pub fn parse(line: &[u8]) -> Self {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let event = match line.split_first() {
            Some((b'|', rest)) => Some(Self::Output(rest.to_vec())),
            Some((b'\\', rest)) => Some(Self::Partial(rest.to_vec())),
            Some((b'#', rest)) => Some(Self::Dmesg(rest.to_vec())),
            Some((b'@', rest)) => std::str::from_utf8(rest).ok().and_then(parse_event),
            _ => None,
        };
        event.unwrap_or_else(|| Self::Noise(line.to_vec()))
    }
}

fn parse_event(text: &str) -> Option<Event> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "boot" => Some(Event::Boot(rest.parse().ok()?)),
        "ready" => {
            let (millis, release) = rest.split_once(' ')?;
            Some(Event::Ready(millis.parse().ok()?, release.to_owned()))
        }
        "plan" => Some(Event::Plan(rest.to_owned())),
        "begin" => Some(Event::Begin(rest.to_owned())),
        "note" => Some(Event::Note(rest.to_owned())),
        "test" => parse_test(rest),
        "end" => parse_end(rest),
        "beat" => Some(Event::Beat),
        "done" => match rest {
            "pass" => Some(Event::Done(true)),
            "fail" => Some(Event::Done(false)),
            _ => None,
        },
        _ => None,
    }
}

fn parse_test(text: &str) -> Option<Event> {
    let mut words = text.split(' ');
    let test = TestLine {
        name: words.next()?.to_owned(),
        status: Status::parse(words.next()?)?,
        millis: words.next()?.parse().ok()?,
        leaked: words.next()?.parse().ok()?,
        kernel: words.next()?.parse().ok()?,
        reason: words.next()?.to_owned(),
    };
    words.next().is_none().then_some(Event::Test(test))
}

fn parse_end(text: &str) -> Option<Event> {
    let mut words = text.split(' ');
    let end = EndLine {
        name: words.next()?.to_owned(),
        code: words.next()?.parse().ok()?,
        millis: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(Event::End(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_survives_the_wire() {
        let test = TestLine {
            name: "memory::high".into(),
            status: Status::Failed,
            millis: 12,
            leaked: 1,
            kernel: 0,
            reason: "exit=101".into(),
        };
        let events = [
            Event::Boot(1400),
            Event::Ready(1500, "6.1.0-1-cloud-amd64".into()),
            Event::Plan("a::b".into()),
            Event::Begin("a::b".into()),
            Event::Output(b"@done pass".to_vec()),
            Event::Output(vec![0xff, 0xfe]),
            Event::Partial(b"no end".to_vec()),
            Event::Note("leaked cgroup /x".into()),
            Event::Test(test),
            Event::End(EndLine { name: "kernel".into(), code: -1, millis: 3 }),
            Event::Dmesg(b"[1] x".to_vec()),
            Event::Beat,
            Event::Done(true),
            Event::Done(false),
        ];
        for event in events {
            assert_eq!(Event::parse(&event.line()), event);
            let with_end = [event.line().as_slice(), b"\r\n"].concat();
            assert_eq!(Event::parse(&with_end), event);
        }
    }

    #[test]
    fn damaged_lines_are_noise_and_never_a_pass() {
        for line in [
            "@done",
            "@done passed",
            "@don",
            "@test a ok",
            "@test a okay 1 0 0 -",
            "@end a b c",
            "SeaBIOS",
            "",
            "@test a ok 1 0 0 - more",
            "@boot soon",
        ] {
            assert_eq!(Event::parse(line.as_bytes()), Event::Noise(line.as_bytes().to_vec()));
        }
    }

    #[test]
    fn a_note_stays_on_its_line() {
        assert_eq!(Event::Note("a\n@done pass".into()).line(), b"@note a @done pass");
    }
}
