//! Starts one virtual machine, hands its events on, and tells how it ended.

use crate::accel::{Accel, Attempt};
use crate::cells::Cell;
use crate::guest::sys;
use crate::protocol::Event;
use crate::silence;
use crate::{Outcome, failed};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// For every guest. Most words shorten an emulated boot; `oops=panic panic=-1` make a broken kernel
/// end the machine instead of going on.
const CMDLINE: &str = "console=ttyS0 panic=-1 oops=panic rdinit=/init psi=1 quiet nokaslr \
    mitigations=off cryptomgr.notests random.trust_cpu=on no_timer_check";
/// With emulation on a busy host, lockup detectors see the host's load, not the guest's faults.
/// `unknown_nmi_panic`: a guest that fell silent is asked where it stands (`silence`).
const CMDLINE_TCG: &str =
    "unknown_nmi_panic tsc=reliable nosoftlockup rcupdate.rcu_cpu_stall_suppress=1";
const CMDLINE_SYSTEMD: &str = "vm.root=/dev/vda systemd.unit=vmtest.target \
    systemd.show_status=error systemd.gpt_auto=0";

/// How patient the host is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the first line to the first job; systemd starts in between.
    pub ready: Duration,
    /// Without any line while jobs run. The guest gives a sign of life every few seconds.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { ready: Duration::from_secs(300), silence: Duration::from_secs(120) }
    }
}

/// Everything one boot needs.
#[derive(Debug)]
pub struct Machine<'a> {
    /// The row of the table.
    pub cell: &'a Cell,
    /// The kernels, images and disks.
    pub cache: &'a Path,
    /// The initramfs.
    pub initramfs: &'a Path,
    /// Where the console and qemu's own messages go.
    pub logs: &'a Path,
    /// Appended to the kernel command line, after the cell's words.
    pub extra_cmdline: &'a str,
    /// How patient the host is.
    pub patience: Patience,
}

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// All jobs ran and the machine ended as it should; whether everything passed.
    Done(bool),
    /// PID 1 did not answer in time or at all.
    NoBoot(String),
    /// It went away or fell silent before the jobs were over.
    Lost(String),
}

/// A running qemu that does not outlive its owner.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _collected = self.0.wait();
    }
}

/// The kernel command line of a machine.
#[must_use]
pub fn command_line(cell: &Cell, accel: Accel, extra: &str) -> String {
    let mut words = vec![CMDLINE.to_owned()];
    if accel == Accel::Tcg {
        words.push(CMDLINE_TCG.to_owned());
    }
    if cell.image.is_some() {
        words.push(CMDLINE_SYSTEMD.to_owned());
    }
    words.extend(
        [cell.cmdline, extra].into_iter().filter(|text| !text.is_empty()).map(str::to_owned),
    );
    words.join(" ")
}

impl Machine<'_> {
    fn disks(&self) -> Vec<(PathBuf, &'static str)> {
        let disks = self.cache.join("disks");
        let image = self.cell.image.map(|suite| self.cache.join(format!("images/{suite}.raw")));
        let mut list: Vec<(PathBuf, &'static str)> =
            image.into_iter().map(|path| (path, "root")).collect();
        list.push((disks.join("scratch.raw"), "scratch"));
        list.push((disks.join("swap.raw"), "swap"));
        list
    }

    fn command(&self, accel: Accel) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        match accel {
            Accel::Kvm => qemu.args(["-accel", "kvm", "-cpu", "host"]),
            // cx16=off: emulated cmpxchg16b has returned corrupt flags, and 6.12 died of it.
            Accel::Tcg => qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max,cx16=off"]),
        };
        qemu.args(["-smp", &self.cell.cpus.to_string(), "-m", &self.cell.memory_mib.to_string()]);
        qemu.args(["-display", "none", "-nodefaults", "-no-user-config", "-no-reboot"]);
        qemu.arg("-kernel").arg(self.cache.join("kernels").join(self.cell.kernel).join("vmlinux"));
        qemu.arg("-initrd").arg(self.initramfs);
        qemu.args(["-append", &command_line(self.cell, accel, self.extra_cmdline)]);
        qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
        qemu.arg("-serial").arg(format!("file:{}", self.logs.join("console.log").display()));
        qemu.args(["-serial", "stdio"]);
        silence::can_be_asked(&mut qemu, self.cell);
        for (path, name) in self.disks() {
            let file = path.display();
            qemu.arg("-drive")
                .arg(format!("if=none,id={name},file={file},format=raw,snapshot=on,cache=unsafe"));
            qemu.args(["-device", &format!("virtio-blk-pci,drive={name},serial={name}")]);
        }
        qemu
    }

    /// Boots and hands every event on until the machine has ended.
    ///
    /// # Errors
    /// When qemu cannot be started; what happens inside is the fate.
    pub fn boot(&self, attempt: Attempt, mut sink: impl FnMut(&Event)) -> Outcome<Fate> {
        fs::create_dir_all(self.logs).map_err(failed("make the log directory"))?;
        let messages = File::create(self.logs.join("qemu.log"));
        let messages = messages.map_err(failed("make the log of qemu"))?;
        let mut command = self.command(attempt.accel);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(messages);
        sys::die_with_parent(&mut command);
        let mut qemu = Qemu(command.spawn().map_err(failed("start qemu-system-x86_64"))?);
        let output = qemu.0.stdout.take().ok_or("no pipe from qemu")?;
        let events = read_in_background(output);
        let watched = self.watch(attempt, &events, &mut sink);
        Ok(match watched {
            Ok(done) => confirm(done, exit_code(&mut qemu.0)),
            Err(fate) => fate,
        })
    }

    /// Follows the machine to the end of its output: what `@done` said, if it came.
    fn watch(
        &self,
        attempt: Attempt,
        events: &Receiver<Event>,
        sink: &mut impl FnMut(&Event),
    ) -> Result<Option<bool>, Fate> {
        let (mut booted, mut ready, mut done) = (false, false, None);
        let mut deadline = Instant::now() + attempt.boot_deadline;
        loop {
            let event =
                match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                    Ok(event) => event,
                    Err(RecvTimeoutError::Disconnected) if booted => return Ok(done),
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(Fate::NoBoot("the machine ended before PID 1 ran".into()));
                    }
                    Err(RecvTimeoutError::Timeout) if !booted => {
                        return Err(Fate::NoBoot(format!(
                            "PID 1 did not run within {} s",
                            attempt.boot_deadline.as_secs()
                        )));
                    }
                    Err(RecvTimeoutError::Timeout) if !ready => {
                        return Err(Fate::Lost(format!(
                            "no job started within {} s",
                            self.patience.ready.as_secs()
                        )));
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        let told = silence::explain(self.cell);
                        let _unknown = fs::write(self.logs.join("silence.log"), told);
                        return Err(Fate::Lost(format!(
                            "the machine was silent for {} s (what qemu knows of it: silence.log)",
                            self.patience.silence.as_secs()
                        )));
                    }
                };
            booted |= matches!(event, Event::Boot(_));
            ready |= matches!(event, Event::Ready(..));
            if let Event::Done(passed) = event {
                done = Some(passed);
            }
            if ready {
                deadline = Instant::now() + self.patience.silence;
            } else if matches!(event, Event::Boot(_)) {
                deadline = Instant::now() + self.patience.ready;
            }
            sink(&event);
        }
    }
}

fn read_in_background(output: ChildStdout) -> Receiver<Event> {
    let (sender, events) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if sender.send(Event::parse(&line)).is_err() {
                return;
            }
            line.clear();
        }
    });
    events
}

/// The exit code once the output has ended; `None` if qemu does not go or was killed.
fn exit_code(qemu: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if let Ok(Some(status)) = qemu.try_wait() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Believes `@done` only together with the exit code that goes with it.
fn confirm(done: Option<bool>, code: Option<i32>) -> Fate {
    match (done, code) {
        (Some(true), Some(33)) => Fate::Done(true),
        (Some(false), Some(35)) => Fate::Done(false),
        (None, Some(code)) => {
            Fate::Lost(format!("the machine ended early (qemu exit code {code})"))
        }
        (_, code) => {
            Fate::Lost(format!("the machine ended in an unexpected way: {done:?}, {code:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells;

    #[test]
    fn the_words_of_the_tiers() {
        let cells = cells::select("k61-nopsi,d12").unwrap();
        let tier1 = command_line(cells[0], Accel::Tcg, "extra");
        assert!(tier1.ends_with("rcu_cpu_stall_suppress=1 psi=0 extra"));
        assert!(!tier1.contains("systemd"));
        let tier2 = command_line(cells[1], Accel::Kvm, "");
        assert!(tier2.contains("vm.root=/dev/vda") && !tier2.contains("tsc=reliable"));
        // The x86 limit of the command line.
        assert!(tier2.len() < 2048, "{}", tier2.len());
    }

    #[test]
    fn a_pass_needs_both_the_word_and_the_code() {
        assert_eq!(confirm(Some(true), Some(33)), Fate::Done(true));
        assert_eq!(confirm(Some(false), Some(35)), Fate::Done(false));
        for (done, code) in [
            (None, Some(33)),
            (Some(true), Some(35)),
            (Some(true), Some(0)),
            (Some(true), None),
            (Some(false), Some(33)),
            (None, Some(0)),
        ] {
            assert!(matches!(confirm(done, code), Fate::Lost(_)), "{done:?} {code:?}");
        }
    }
}
