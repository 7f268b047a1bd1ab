//! Runs one program to its end or its timeout and hands its output on, line by line.

use super::sys;
use crate::{Outcome, failed};
use std::io::{ErrorKind, PipeReader, Read};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest piece of output handed on at once.
const LINE_LIMIT: usize = 4096;
/// How often a sign of life is due.
const BEAT: Duration = Duration::from_secs(5);

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The exit code; 128 and the number for a signal.
    Code(i32),
    /// It was ended because its time was over.
    Timeout,
}

/// What the program does meanwhile.
#[derive(Debug)]
pub enum Sign<'a> {
    /// A complete line.
    Line(&'a [u8]),
    /// Output that did not end its line yet.
    Piece(&'a [u8]),
    /// It still runs.
    Alive,
}

/// The reading end of a program's output. While it lives, what the program left behind can still
/// write and does not end by a broken pipe before it is noticed.
#[derive(Debug)]
pub struct OpenPipe(#[expect(dead_code, reason = "kept open, not used")] PipeReader);

/// Runs the command in a session of its own, both outputs in one pipe.
///
/// # Errors
/// When the program cannot be started.
pub fn run(
    command: &mut Command,
    timeout: Duration,
    mut sink: impl FnMut(Sign<'_>),
) -> Outcome<(Ending, OpenPipe)> {
    let what = format!("start {}", command.get_program().to_string_lossy());
    let (reader, writer) = std::io::pipe().map_err(failed("make a pipe"))?;
    let second = writer.try_clone().map_err(failed("make a pipe"))?;
    command.stdin(Stdio::null()).stdout(writer).stderr(second);
    let child = sys::separate(command).spawn().map_err(failed(what))?;
    // The command holds the writing end until it is told otherwise.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let pid = i32::try_from(child.id()).map_err(failed("read a process id"))?;
    sys::set_nonblocking(reader.as_fd()).map_err(failed("set a pipe up"))?;
    let mut output = Lines { pipe: reader, pending: Vec::new(), open: true };
    let ending = wait(pid, timeout, &mut output, &mut sink)?;
    output.pump(&mut sink);
    output.flush(&mut sink);
    Ok((ending, OpenPipe(output.pipe)))
}

fn wait(
    pid: i32,
    timeout: Duration,
    output: &mut Lines,
    sink: &mut impl FnMut(Sign<'_>),
) -> Outcome<Ending> {
    let handle = sys::pidfd(pid).map_err(failed("watch a process"))?;
    let deadline = Instant::now() + timeout;
    let mut next_beat = Instant::now() + BEAT;
    let mut ending = None;
    loop {
        while let Some((ended, status)) = sys::reap() {
            if ended == pid {
                ending = ending.or(Some(Ending::Code(sys::exit_code(status))));
            }
        }
        if let Some(ending) = ending {
            return Ok(ending);
        }
        if Instant::now() >= deadline {
            sys::kill(-pid);
            sys::kill(pid);
            return Ok(Ending::Timeout);
        }
        if Instant::now() >= next_beat {
            sink(Sign::Alive);
            next_beat += BEAT;
        }
        let watched = [handle.as_fd(), output.pipe.as_fd()];
        let watched = if output.open { &watched[..] } else { &watched[..1] };
        let ready = sys::readable(watched, 100).map_err(failed("wait for a process"))?;
        if ready.get(1) == Some(&true) {
            output.pump(sink);
        } else if ready.first() == Some(&false) {
            output.flush(sink);
        }
    }
}

struct Lines {
    pipe: PipeReader,
    pending: Vec<u8>,
    open: bool,
}

impl Lines {
    /// Hands on the lines that are there now.
    fn pump(&mut self, sink: &mut impl FnMut(Sign<'_>)) {
        let mut buffer = [0; 8192];
        // One full buffer at a time, so that a flood does not hide the timeout.
        for _ in 0..8 {
            match self.pipe.read(&mut buffer) {
                Ok(0) => {
                    self.open = false;
                    return;
                }
                Ok(length) => {
                    self.pending.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    self.emit(sink);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn emit(&mut self, sink: &mut impl FnMut(Sign<'_>)) {
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let rest = self.pending.split_off(end + 1);
            self.pending.pop();
            sink(Sign::Line(&self.pending));
            self.pending = rest;
        }
        if self.pending.len() > LINE_LIMIT {
            self.flush(sink);
        }
    }

    /// Hands on what has not ended its line.
    fn flush(&mut self, sink: &mut impl FnMut(Sign<'_>)) {
        if !self.pending.is_empty() {
            sink(Sign::Piece(&self.pending));
            self.pending.clear();
        }
    }
}
