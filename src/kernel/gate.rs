//! The exec gate, the agent's side: hears of a registered program's exec before its first instruction, so that the process can
//! be moved first.
//!
//! Only the files themselves are marked, never a mount, so that nothing but registered programs ever waits. The fanotify
//! descriptor belongs to a keeper process ([`super::gate_keeper`]) that allows every exec after 50 ms whatever happens here:
//!
//! | what fails | what a gated exec waits |
//! |---|---|
//! | nothing | until `decide` returns |
//! | `decide` hangs, the agent is stopped or starved | 50 ms; after three of those in a row, nothing |
//! | the agent dies | nothing: the keeper sees the sockets close and ends |
//! | the keeper dies | nothing: the kernel lets everybody go |
//! | the keeper is stopped | 250 ms, then [`GateWatch::run`] kills it |
//! | both are stopped (the service's cgroup is frozen) | until one of them runs |
//!
//! Needs CAP_SYS_ADMIN and Linux 5.0; off until its drop-in grants that. Must not deny an exec, nor mark what is not registered.

use super::gate_keeper::{ADD, LONGEST, PATIENCE, QUESTION, REMOVE};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::fs::MetadataExt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use thiserror::Error;

/// How long `decide` should take at most: the keeper's patience less what the way there and back may cost.
pub const DECIDE_WITHIN: Duration = Duration::from_millis(40);
/// How often the keeper is looked at.
const LOOK_EVERY_MILLIS: u16 = 250;
/// How long the keeper may take to answer about a mark; opening a file on a slow disk takes longest.
const REQUEST_WITHIN: Duration = Duration::from_secs(1);
/// The most files that are marked: each is looked at again at every [`Gate::set_paths`].
const MOST_PATHS: usize = 1024;

/// Why there is no gate. The message fits "failed to …".
#[derive(Debug, Error)]
pub enum GateError {
    /// No capability.
    #[error(
        "open the exec gate: not permitted; install the drop-in gate.conf, which gives provost CAP_SYS_ADMIN, and restart it"
    )]
    NotPermitted,
    /// The kernel has no permission events for executables.
    #[error(
        "open the exec gate: this kernel cannot ({errno}); it needs Linux 5.0 with CONFIG_FANOTIFY_ACCESS_PERMISSIONS"
    )]
    Unsupported {
        /// What the kernel said.
        errno: Errno,
    },
    /// The keeper could not be started or does not answer.
    #[error(
        "{op} the exec gate's keeper: {detail}; execs go on ungated, events and scans catch them later"
    )]
    Keeper {
        /// What was tried.
        op: &'static str,
        /// What went wrong.
        detail: String,
    },
}

/// A program that cannot be gated, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("gate {}: {what}", path.display())]
pub struct GateIssue {
    /// The program.
    pub path: PathBuf,
    /// Why, with what to do where something can be done.
    pub what: String,
}

/// A program that waits to be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecAsk {
    /// The process that executes it. For a short while yet it runs the old program.
    pub pid: i32,
    /// The program's path in the agent's mount namespace.
    pub path: PathBuf,
    /// Until when a reply counts; the exec goes on shortly after, in any case.
    pub until: Instant,
}

impl ExecAsk {
    /// How long ago the exec went on without a reply; zero while it still waits.
    #[must_use]
    pub fn overdue(&self) -> Duration {
        Instant::now().saturating_duration_since(self.until)
    }
}

/// The gate: which programs are marked. Dropping it ends the keeper and opens the gate for good.
#[derive(Debug)]
pub struct Gate {
    marks: OwnedFd,
    keeper: Child,
    sequence: u32,
    marked: BTreeMap<PathBuf, (u64, u64)>,
}

/// The questions: to be run on a thread of its own.
#[derive(Debug)]
pub struct GateWatch {
    asks: OwnedFd,
    keeper: Pid,
}

impl Gate {
    /// Starts the keeper: `program` with `arguments`, which must call [`super::gate_keeper::keep`] before anything else.
    ///
    /// # Errors
    /// [`GateError`], by what would mend it.
    pub fn open(program: &Path, arguments: &[&str]) -> Result<(Self, GateWatch), GateError> {
        let (marks, keeper_marks) = pair()?;
        let (asks, keeper_asks) = pair()?;
        let keeper = Command::new(program)
            .args(arguments)
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::from(keeper_marks))
            .stdout(Stdio::from(keeper_asks))
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| keeper("start", error.to_string()))?;
        let pid = i32::try_from(keeper.id()).map_or(Pid::from_raw(0), Pid::from_raw);
        let gate = Self { marks, keeper, sequence: 0, marked: BTreeMap::new() };
        match gate.answer(0) {
            Ok(Ok(_)) => Ok((gate, GateWatch { asks, keeper: pid })),
            Ok(Err(Errno::EPERM)) => Err(GateError::NotPermitted),
            Ok(Err(errno)) => Err(GateError::Unsupported { errno }),
            Err(error) => Err(error),
        }
    }

    /// The programs whose execs are asked about from now on, instead of the earlier ones. Call it again now and then with the
    /// same paths: where another file has taken a path (an upgrade), the new one is marked.
    ///
    /// Gives back what could not be gated, one issue per program; their execs go on without a question.
    pub fn set_paths(&mut self, paths: &[PathBuf]) -> Vec<GateIssue> {
        let mut issues = Vec::new();
        let surplus: Vec<PathBuf> =
            self.marked.keys().filter(|path| !paths.contains(path)).cloned().collect();
        for path in surplus {
            // What has changed its file lost its mark with it; nothing else can fail that matters.
            if let Some(identity) = self.marked.remove(&path)
                && identity_of(&path) == Ok(identity)
                && let Err(error) = self.change(REMOVE, &path)
            {
                issues.push(error.issue(path));
            }
        }
        for path in paths.iter().take(MOST_PATHS) {
            let current = identity_of(path);
            if current.is_ok() && current.ok() == self.marked.get(path).copied() {
                continue;
            }
            match self.change(ADD, path) {
                Ok(identity) => {
                    let _earlier = self.marked.insert(path.clone(), identity);
                }
                Err(error) => {
                    let _earlier = self.marked.remove(path);
                    issues.push(error.issue(path.clone()));
                }
            }
        }
        issues.extend(paths.iter().skip(MOST_PATHS).map(|path| GateIssue {
            path: path.clone(),
            what: format!("more than {MOST_PATHS} programs; catch this one by events instead"),
        }));
        issues
    }

    fn change(&mut self, kind: u32, path: &Path) -> Result<(u64, u64), Refusal> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let mut request = Vec::with_capacity(LONGEST);
        request.extend(self.sequence.to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend(path.as_os_str().as_bytes());
        if request.len() > LONGEST {
            return Err(Refusal::File(Errno::ENAMETOOLONG));
        }
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        send(self.marks.as_raw_fd(), &request, flags)
            .map_err(|errno| Refusal::Keeper(errno.to_string()))?;
        match self.answer(self.sequence) {
            Ok(answer) => answer.map_err(Refusal::File),
            Err(error) => Err(Refusal::Keeper(error.to_string())),
        }
    }

    /// Waits for the keeper's answer to one request; late answers to earlier ones, and whatever is no answer, are dropped.
    fn answer(&self, sequence: u32) -> Result<Result<(u64, u64), Errno>, GateError> {
        let until = Instant::now() + REQUEST_WITHIN;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let millis = u16::try_from(left.as_millis()).unwrap_or(u16::MAX);
            let mut ready = [PollFd::new(self.marks.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, PollTimeout::from(millis)) {
                Ok(0) => return Err(keeper("ask", "it does not answer".to_owned())),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(keeper("ask", errno.to_string())),
            }
            let mut message = [0u8; LONGEST];
            match recv(self.marks.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Err(keeper("ask", "it has ended".to_owned())),
                Ok(length) => {
                    if let Some(answer) = answer_in(message.get(..length), sequence) {
                        return Ok(answer);
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(keeper("ask", errno.to_string())),
            }
        }
    }
}

impl Drop for Gate {
    /// Nobody may go on waiting for a gate that is not there any more: the keeper is killed, not asked.
    fn drop(&mut self) {
        // It may have ended by itself, which is as good; either way it is reaped.
        self.keeper.kill().unwrap_or_default();
        let _status = self.keeper.wait();
    }
}

impl GateWatch {
    /// Hands each exec to `decide` and lets it go on when that returns. Ends well when the [`Gate`] is dropped.
    ///
    /// `decide` should be back by [`ExecAsk::until`]; it may take longer, but then the exec has gone on without it, and further
    /// ones wait their turn.
    ///
    /// # Errors
    /// [`GateError::Keeper`] when the keeper was stopped, and so was killed to let the waiting go; open the gate anew.
    pub fn run(self, mut decide: impl FnMut(&ExecAsk)) -> Result<(), GateError> {
        let mut question = [0u8; LONGEST];
        loop {
            let mut ready = [PollFd::new(self.asks.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, PollTimeout::from(LOOK_EVERY_MILLIS)) {
                Ok(0) => {
                    self.free_from_stopped_keeper()?;
                    continue;
                }
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(keeper("hear", errno.to_string())),
            }
            match recv(self.asks.as_raw_fd(), &mut question, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    let Some((number, ask)) = ask_in(question.get(..length)) else {
                        continue;
                    };
                    decide(&ask);
                    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
                    match send(self.asks.as_raw_fd(), &number.to_ne_bytes(), flags) {
                        // A full queue means that the keeper does not read; it will allow by itself.
                        Ok(_) | Err(Errno::EAGAIN | Errno::EPIPE) => {}
                        Err(errno) => return Err(keeper("answer", errno.to_string())),
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(Errno::ECONNRESET) => return Ok(()),
                Err(errno) => return Err(keeper("hear", errno.to_string())),
            }
        }
    }

    /// A stopped keeper holds back every gated exec. Killing it closes the descriptor, which lets them go.
    fn free_from_stopped_keeper(&self) -> Result<(), GateError> {
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.keeper), flags) {
            Ok(WaitStatus::Stopped(..)) => {
                // Our child and not reaped, since the gate does that: the number is still its own.
                let killed = nix::sys::signal::kill(self.keeper, nix::sys::signal::Signal::SIGKILL);
                let how = killed.map_or_else(|errno| errno.to_string(), |()| "killed".to_owned());
                Err(keeper("keep up", format!("it was stopped, and so {how}")))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Why a mark was not changed.
#[derive(Debug)]
enum Refusal {
    /// The file, or the kernel for that file, is at fault.
    File(Errno),
    /// The keeper is at fault.
    Keeper(String),
}

impl Refusal {
    fn issue(self, path: PathBuf) -> GateIssue {
        let what = match self {
            Self::File(Errno::ENOENT | Errno::ENOTDIR) => {
                "there is no such file (yet); its execs are caught by events until it is there"
                    .to_owned()
            }
            Self::File(Errno::EISDIR) => {
                "not a regular file; name the executable itself".to_owned()
            }
            Self::File(Errno::ENOSPC) => {
                "no more marks; raise fs.fanotify.max_user_marks".to_owned()
            }
            Self::File(errno) => {
                format!("the kernel refuses ({errno}); catch it by events instead")
            }
            Self::Keeper(detail) => detail,
        };
        GateIssue { path, what }
    }
}

fn pair() -> Result<(OwnedFd, OwnedFd), GateError> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| keeper("make sockets for", errno.to_string()))
}

fn keeper(op: &'static str, detail: String) -> GateError {
    GateError::Keeper { op, detail }
}

fn identity_of(path: &Path) -> Result<(u64, u64), Errno> {
    std::fs::metadata(path)
        .map(|metadata| (metadata.st_dev(), metadata.st_ino()))
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}

/// The answer in a message of the keeper, if it is one to the request `sequence`.
fn answer_in(message: Option<&[u8]>, sequence: u32) -> Option<Result<(u64, u64), Errno>> {
    let message: &[u8; 24] = message?.try_into().ok()?;
    let (number, rest) = message.split_first_chunk::<4>()?;
    let (errno, rest) = rest.split_first_chunk::<4>()?;
    let (device, inode) = rest.split_first_chunk::<8>()?;
    if u32::from_ne_bytes(*number) != sequence {
        return None;
    }
    let inode = u64::from_ne_bytes(inode.try_into().ok()?);
    Some(match i32::from_ne_bytes(*errno) {
        0 => Ok((u64::from_ne_bytes(*device), inode)),
        errno => Err(Errno::from_raw(errno)),
    })
}

/// The question in a message of the keeper, with its number.
fn ask_in(message: Option<&[u8]>) -> Option<(u64, ExecAsk)> {
    let (number, rest) = message?.strip_prefix(&QUESTION)?.split_first_chunk::<8>()?;
    let (pid, path) = rest.split_first_chunk::<4>()?;
    let ask = ExecAsk {
        pid: i32::from_ne_bytes(*pid),
        path: PathBuf::from(OsStr::from_bytes(path)),
        until: Instant::now() + DECIDE_WITHIN.min(PATIENCE),
    };
    Some((u64::from_ne_bytes(*number), ask))
}

/// Any bytes as a question or an answer of the keeper: what is taken for one holds exactly the bytes that came.
#[cfg(any(test, fuzzing))]
pub(crate) fn check_frames(bytes: &[u8]) {
    if let Some((number, ask)) = ask_in(Some(bytes)) {
        let path = ask.path.as_os_str().as_bytes();
        let again = [&QUESTION[..], &number.to_ne_bytes(), &ask.pid.to_ne_bytes(), path].concat();
        assert_eq!(again, bytes);
    }
    let sequence = bytes.first_chunk().map(|first| u32::from_ne_bytes(*first)).unwrap_or_default();
    let answer = answer_in(Some(bytes), sequence);
    assert_eq!(answer.is_some(), bytes.len() == 24);
    assert_eq!(answer_in(Some(bytes), sequence.wrapping_add(1)), None);
}

#[cfg(test)]
mod tests;
