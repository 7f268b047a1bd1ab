//! Asks qemu what a machine does that has fallen silent, before it is ended: the guest itself cannot tell any more.
//!
//! Registers tell an idle guest (`HLT=1`) from a busy program (`CPL=3`) and a busy kernel; the same twice tells what stands still. Then an
//! NMI, of which a guest with `unknown_nmi_panic` dies with a backtrace on its console. No answer at all means that qemu itself hangs.

use crate::cells::Cell;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// The name of the monitor's socket: abstract, so that no file is left, and one of this process and cell alone.
fn socket_name(cell: &Cell) -> String {
    format!("provost-vm-{}-{}", std::process::id(), cell.name)
}

/// Gives a machine a monitor that can be asked.
pub fn can_be_asked(qemu: &mut Command, cell: &Cell) {
    let name = socket_name(cell);
    qemu.args(["-chardev", &format!("socket,id=ask,path={name},abstract=on,server=on,wait=off")]);
    qemu.args(["-mon", "chardev=ask,mode=control"]);
}

/// What qemu says that the machine does; in any case a text for the log.
#[must_use]
pub fn explain(cell: &Cell) -> String {
    let mut heard = Vec::new();
    let answered = ask(cell, &mut heard);
    let mut told = String::from_utf8_lossy(&heard).replace("\\r\\n", "\n");
    if let Err(error) = answered {
        told += &format!("qemu did not answer: {error}\n");
    }
    told
}

fn ask(cell: &Cell, heard: &mut Vec<u8>) -> io::Result<()> {
    let address = SocketAddr::from_abstract_name(socket_name(cell))?;
    let mut monitor = UnixStream::connect_addr(&address)?;
    monitor.write_all(b"{\"execute\": \"qmp_capabilities\"}\n")?;
    for question in ["info status", "info registers -a", "info registers -a", "nmi"] {
        writeln!(
            monitor,
            "{{\"execute\": \"human-monitor-command\", \"arguments\": {{\"command-line\": \"{question}\"}}}}"
        )?;
        listen(&mut monitor, Duration::from_secs(2), heard)?;
    }
    // A backtrace on an emulated serial line, and the end of the machine.
    listen(&mut monitor, Duration::from_secs(10), heard)
}

/// Everything that is said within a time: a monitor does not tell where an answer ends.
fn listen(monitor: &mut UnixStream, time: Duration, heard: &mut Vec<u8>) -> io::Result<()> {
    let end = Instant::now() + time;
    let mut piece = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        monitor.set_read_timeout(Some(left))?;
        match monitor.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => heard.extend_from_slice(piece.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
