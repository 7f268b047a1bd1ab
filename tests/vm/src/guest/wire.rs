//! The result channel: the second serial port.

use super::sys;
use crate::protocol::Event;
use crate::{Outcome, failed};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;

/// Where events go.
#[derive(Debug)]
pub struct Wire {
    port: File,
}

impl Wire {
    /// Opens the port.
    ///
    /// # Errors
    /// When there is no second serial port.
    pub fn open() -> Outcome<Self> {
        let port = OpenOptions::new().read(true).write(true).open("/dev/ttyS1");
        let port = port.map_err(failed("open the result port"))?;
        sys::make_raw(port.as_fd()).map_err(failed("set the result port up"))?;
        Ok(Self { port })
    }

    /// Sends one event. An error cannot be told to anyone; the host sees the silence.
    pub fn send(&mut self, event: &Event) {
        let mut line = event.line();
        line.push(b'\n');
        let _unsent = self.port.write_all(&line);
    }

    /// Waits until all is sent, then ends the virtual machine.
    ///
    /// # Errors
    /// When the machine cannot be ended.
    pub fn finish(mut self, passed: bool) -> Outcome<()> {
        self.send(&Event::Done(passed));
        sys::drain(self.port.as_fd());
        sys::leave(if passed { 16 } else { 17 }).map_err(failed("use the exit port"))
    }
}

/// How long the guest has been up, in milliseconds.
#[must_use]
pub fn uptime_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split(' ').next().unwrap_or_default();
    let (whole, hundredths) = seconds.split_once('.').unwrap_or((seconds, "0"));
    whole.parse::<u64>().unwrap_or(0) * 1000 + hundredths.parse::<u64>().unwrap_or(0) * 10
}
