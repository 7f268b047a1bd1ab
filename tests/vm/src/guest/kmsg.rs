//! Reads the kernel log and finds the messages that fail a test.

use super::sys;
use crate::{Outcome, failed};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::AsFd;

/// What no test may cause.
const COMPLAINTS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "kernel BUG at",
    "Oops",
    "general protection fault",
    "blocked for more than",
    "self-detected stall",
    "detected stalls",
    "refcount_t:",
    "possible recursive locking",
];

/// A reader at some place of the log.
#[derive(Debug)]
pub struct Kmsg {
    log: File,
}

impl Kmsg {
    /// A reader of what the kernel says from now on.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub fn from_now() -> Outcome<Self> {
        let mut kmsg = Self::from_start()?;
        kmsg.log.seek(SeekFrom::End(0)).map_err(failed("go to the end of the kernel log"))?;
        Ok(kmsg)
    }

    /// A reader of everything the kernel still remembers.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub fn from_start() -> Outcome<Self> {
        let log = File::open("/dev/kmsg").map_err(failed("open the kernel log"))?;
        sys::set_nonblocking(log.as_fd()).map_err(failed("set the kernel log up"))?;
        Ok(Self { log })
    }

    /// The next record.
    fn next(&mut self) -> Option<Vec<u8>> {
        let mut record = vec![0; 8192];
        loop {
            match self.log.read(&mut record) {
                Ok(length) => {
                    record.truncate(length);
                    return Some(record);
                }
                // EPIPE: the ring has overwritten our place, the next read goes on after the gap.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(_) => return None,
            }
        }
    }

    /// The remaining records as `[seconds] text`.
    pub fn lines(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.next()).filter_map(|record| readable(&record)).collect()
    }

    /// The remaining records that fail a test.
    pub fn complaints(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next())
            .filter(|record| is_complaint(record))
            .filter_map(|record| readable(&record))
            .map(|line| String::from_utf8_lossy(&line).into_owned())
            .collect()
    }
}

/// `priority,sequence,microseconds,flags;text` and continuation lines: header fields and text.
fn split(record: &[u8]) -> Option<(u32, u64, &[u8])> {
    let semicolon = record.iter().position(|byte| *byte == b';')?;
    let header = std::str::from_utf8(record.get(..semicolon)?).ok()?;
    let mut fields = header.split(',');
    let priority = fields.next()?.parse().ok()?;
    let microseconds = fields.nth(1)?.parse().ok()?;
    let text = record.get(semicolon + 1..)?.split(|byte| *byte == b'\n').next()?;
    Some((priority, microseconds, text))
}

fn readable(record: &[u8]) -> Option<Vec<u8>> {
    let (_, microseconds, text) = split(record)?;
    let time = format!("[{:5}.{:06}] ", microseconds / 1_000_000, microseconds % 1_000_000);
    Some([time.as_bytes(), text].concat())
}

/// Only the kernel's own words count (facility 0): everyone may write to the log.
fn is_complaint(record: &[u8]) -> bool {
    split(record).is_some_and(|(priority, _, text)| {
        let text = String::from_utf8_lossy(text);
        priority >> 3 == 0 && COMPLAINTS.iter().any(|words| text.contains(words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_the_kernel_count() {
        for text in [
            "WARNING: CPU: 1 PID: 9 at kernel/cgroup/cpuset.c:1 f+0x1/0x2",
            "BUG: kernel NULL pointer dereference, address: 0",
            "watchdog: BUG: soft lockup - CPU#0 stuck for 22s!",
            "Oops: 0000 [#1] PREEMPT SMP",
            "INFO: task dd:99 blocked for more than 1 seconds.",
        ] {
            assert!(is_complaint(format!("4,10,2000000,-;{text}\n").as_bytes()), "{text}");
        }
    }

    #[test]
    fn words_of_others_and_plain_messages_do_not() {
        assert!(!is_complaint(b"12,10,2000000,-;WARNING: from a program\n"));
        assert!(!is_complaint(b"6,10,2000000,-;Memory cgroup out of memory: Killed process 7\n"));
        assert!(!is_complaint(b"6,1,1,-;fine\n SUBSYSTEM=WARNING:\n"));
        assert!(!is_complaint(b"garbage WARNING:"));
    }

    #[test]
    fn a_record_becomes_a_line() {
        let line = readable(b"6,339,5140900,-;NET: protocol 10\n SUBSYSTEM=net\n").unwrap();
        assert_eq!(line, b"[    5.140900] NET: protocol 10");
    }
}
