//! The exec gate's keeper: a process of its own that holds the fanotify descriptor and answers every permission event.
//!
//! Whoever executes a gated program waits in the kernel until the holder of the descriptor answers, or closes it. Were that the
//! agent, an agent that is stopped or hangs would stop every gated program on the host. So the agent never has the
//! descriptor: this process opens it, asks the agent over a socket, and answers *allow* when the agent has replied or 50 ms
//! have passed, whichever comes first. When the agent dies the sockets close, the keeper ends, and the kernel lets everybody
//! go. Only a stopped keeper can block, and the agent watches for that ([`super::gate`]).
//!
//! Must not: deny anything, ever; decide anything; read more than the paths it is handed; live longer than the agent.
//!
//! Source: `fanotify(7)`, `fanotify_mark(2)`.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::fanotify::{
    EventFFlags, Fanotify, FanotifyEvent, FanotifyResponse, InitFlags, MarkFlags, MaskFlags,
    Response,
};
use nix::sys::socket::{MsgFlags, recv, send};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::fs::MetadataExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an exec waits for the agent at most.
pub const PATIENCE: Duration = Duration::from_millis(50);
/// After so many questions in a row without a reply the agent counts as stopped, and nobody waits until it speaks again.
const UNANSWERED: u32 = 3;
/// The most execs that wait at the same time; a further one is allowed at once.
const MOST_WAITING: usize = 64;
/// The longest message: a header and a path.
pub(super) const LONGEST: usize = 24 + 4096;
/// The first bytes of a question; whatever else may get into a child's standard output does not begin with them.
pub(super) const QUESTION: [u8; 4] = *b"exec";
/// Requests about marks.
pub(super) const ADD: u32 = 1;
/// As [`ADD`], for taking a mark away.
pub(super) const REMOVE: u32 = 2;

/// Keeps the gate until the agent closes its ends of the sockets: standard input carries requests about marks, standard
/// output questions about execs. For `provost gate-keeper`, which only the agent starts.
///
/// # Errors
/// When a socket or the fanotify descriptor fails; ending then releases everybody.
pub fn keep() -> Result<(), Errno> {
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    let marks = std::io::stdin().as_fd().try_clone_to_owned().map_err(errno)?;
    let asks = std::io::stdout().as_fd().try_clone_to_owned().map_err(errno)?;
    // Away from the agent's terminal and its signals; already leading a session is as good.
    nix::unistd::setsid()
        .map(drop)
        .or_else(|error| if error == Errno::EPERM { Ok(()) } else { Err(error) })?;
    let opened = Fanotify::init(
        InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK,
        EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC | EventFFlags::O_LARGEFILE,
    );
    reply(&marks, 0, opened.as_ref().map(|_| (0, 0)).map_err(|error| *error))?;
    Keeper { fanotify: opened?, marks, asks, waiting: BTreeMap::new(), next: 1, unanswered: 0 }
        .run()
}

#[derive(Debug)]
struct Keeper {
    fanotify: Fanotify,
    marks: OwnedFd,
    asks: OwnedFd,
    /// By the question's number, which rises with the deadline.
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
    unanswered: u32,
}

/// An exec that waits for the agent.
#[derive(Debug)]
struct Waiting {
    event: FanotifyEvent,
    until: Instant,
}

impl Keeper {
    fn run(mut self) -> Result<(), Errno> {
        loop {
            let [execs, marks, asks] = self.wait()?;
            if execs.contains(PollFlags::POLLIN) {
                self.take_execs()?;
            }
            if asks.contains(PollFlags::POLLIN) {
                self.take_replies()?;
            }
            if marks.contains(PollFlags::POLLIN) {
                self.take_request()?;
            }
            self.allow_overdue()?;
            let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
            if (marks | asks).intersects(gone) {
                return Ok(());
            }
        }
    }

    /// Waits until something is to be read or the next exec has waited long enough.
    fn wait(&self) -> Result<[PollFlags; 3], Errno> {
        let timeout = self.waiting.values().next().map_or(PollTimeout::NONE, |first| {
            let left = first.until.saturating_duration_since(Instant::now());
            // Rounded up, so as not to spin through the last millisecond; at most 50.
            let millis = u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
            PollTimeout::from(millis)
        });
        let mut ready = [
            PollFd::new(self.fanotify.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.marks.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.asks.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, timeout) {
            Ok(_) => Ok(ready.map(|fd| fd.revents().unwrap_or(PollFlags::empty()))),
            Err(Errno::EINTR) => Ok([PollFlags::empty(); 3]),
            Err(error) => Err(error),
        }
    }

    fn take_execs(&mut self) -> Result<(), Errno> {
        let events = match self.fanotify.read_events() {
            Ok(events) => events,
            // Nothing there, or the kernel could not open the file for us and has settled that one event by itself. At most
            // 64 waiting and 170 just read: far from the limit on open files, the usual reason.
            Err(_) => return Ok(()),
        };
        for event in events {
            if !event.check_version() {
                return Err(Errno::EPROTO);
            }
            let Some(path) = path_of(&event) else {
                self.allow(&event)?;
                continue;
            };
            let ask = self.unanswered < UNANSWERED
                && self.waiting.len() < MOST_WAITING
                && self.ask(event.pid(), &path);
            if ask {
                let until = Instant::now() + PATIENCE;
                let _none = self.waiting.insert(self.next, Waiting { event, until });
                self.next += 1;
            } else {
                self.allow(&event)?;
            }
        }
        Ok(())
    }

    /// Sends a question; `false` when the agent's queue is full.
    fn ask(&self, pid: i32, path: &OsStr) -> bool {
        let mut question = Vec::with_capacity(16 + path.len());
        question.extend(QUESTION);
        question.extend(self.next.to_ne_bytes());
        question.extend(pid.to_ne_bytes());
        question.extend(path.as_bytes());
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        send(self.asks.as_raw_fd(), &question, flags).is_ok()
    }

    /// Takes what the agent has replied: the question's number, whatever it decided.
    fn take_replies(&mut self) -> Result<(), Errno> {
        let mut number = [0u8; 8];
        loop {
            match recv(self.asks.as_raw_fd(), &mut number, MsgFlags::MSG_DONTWAIT) {
                Ok(8) => {
                    self.unanswered = 0;
                    if let Some(waiting) = self.waiting.remove(&u64::from_ne_bytes(number)) {
                        self.allow(&waiting.event)?;
                    }
                }
                Ok(_) | Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn allow_overdue(&mut self) -> Result<(), Errno> {
        let now = Instant::now();
        while let Some(first) = self.waiting.first_entry() {
            if first.get().until > now {
                return Ok(());
            }
            let waiting = first.remove();
            self.unanswered = self.unanswered.saturating_add(1);
            self.allow(&waiting.event)?;
        }
        Ok(())
    }

    /// The only answer there is.
    fn allow(&self, event: &FanotifyEvent) -> Result<(), Errno> {
        let Some(file) = event.fd() else {
            return Ok(()); // the kernel's queue ran over: it has allowed those itself
        };
        let response = FanotifyResponse::new(file, Response::FAN_ALLOW);
        match self.fanotify.write_response(response) {
            // The one who asked was killed meanwhile.
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn take_request(&self) -> Result<(), Errno> {
        let mut request = [0u8; LONGEST];
        let length = match recv(self.marks.as_raw_fd(), &mut request, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => length,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some((head, path)) = request.get(..length).and_then(|all| all.split_first_chunk::<8>())
        else {
            return Ok(());
        };
        let [s0, s1, s2, s3, k0, k1, k2, k3] = *head;
        let sequence = u32::from_ne_bytes([s0, s1, s2, s3]);
        let kind = u32::from_ne_bytes([k0, k1, k2, k3]);
        let path = Path::new(OsStr::from_bytes(path));
        reply(&self.marks, sequence, self.change_mark(kind, path))
    }

    /// Marks the file behind a path, or takes its mark away; gives the file's identity.
    fn change_mark(&self, kind: u32, path: &Path) -> Result<(u64, u64), Errno> {
        let flags = match kind {
            ADD => MarkFlags::FAN_MARK_ADD,
            REMOVE => MarkFlags::FAN_MARK_REMOVE,
            _ => return Err(Errno::EINVAL),
        };
        let (file, identity) = open_regular(path)?;
        self.fanotify.mark(flags, MaskFlags::FAN_OPEN_EXEC_PERM, &file, None::<&Path>)?;
        Ok(identity)
    }
}

/// Opens a regular file without waiting for what may hide behind a fifo's or device's path.
fn open_regular(path: &Path) -> Result<(File, (u64, u64)), Errno> {
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
        .map_err(errno)?;
    let metadata = file.metadata().map_err(errno)?;
    if !metadata.is_file() {
        return Err(Errno::EISDIR);
    }
    Ok((file, (metadata.st_dev(), metadata.st_ino())))
}

/// The path of an event's file as this process sees it; `None` for the report of an overrun.
fn path_of(event: &FanotifyEvent) -> Option<std::ffi::OsString> {
    let link = format!("/proc/self/fd/{}", event.fd()?.as_raw_fd());
    std::fs::read_link(link)
        .ok()
        .map(std::path::PathBuf::into_os_string)
        .filter(|path| path.len() <= 4096)
}

/// Answers a request: its number, an errno or zero, and the file's device and inode.
fn reply(socket: &OwnedFd, sequence: u32, answer: Result<(u64, u64), Errno>) -> Result<(), Errno> {
    let (errno, (device, inode)) = match answer {
        Ok(identity) => (0, identity),
        Err(errno) => (errno as i32, (0, 0)),
    };
    let mut message = Vec::with_capacity(24);
    message.extend(sequence.to_ne_bytes());
    message.extend(errno.to_ne_bytes());
    message.extend(device.to_ne_bytes());
    message.extend(inode.to_ne_bytes());
    send(socket.as_raw_fd(), &message, MsgFlags::MSG_NOSIGNAL).map(drop)
}
