//! Calls a hook: a program with an account's rights, a time limit, and nothing of the agent's.
//!
//! The agent starts its own program anew, which waits for leave ([`stand_in`]) so that it can be put elsewhere first, gives up every
//! right, and becomes the hook. So nothing happens between fork and exec in a process with many threads, and whatever takes long or
//! fails does so there. Leave and the answer go over its standard input, which is closed when the hook's program begins.
//!
//! A hook dies with the thread that called it: by the parent's death signal, and before that by the end of its standard input.
//!
//! Must not: decide whom to call; run in the agent's group; run as root.
//!
//! Source: `prctl(2)`, PR_SET_PDEATHSIG and PR_SET_NO_NEW_PRIVS; `credentials(7)`; `proc_pid_oom_score_adj(5)`.

use crate::model::Hook;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Gid, Pid, Uid, getppid, setgid, setgroups, setsid, setuid};
use std::convert::Infallible;
use std::io::{PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// This very executable, also after an upgrade has replaced its file.
const PROGRAM: &str = "/proc/self/exe";
const LEAVE: [u8; 2] = *b"go";
/// Giving up rights and starting the program takes milliseconds; under pressure, more.
const START_WITHIN: Duration = Duration::from_secs(10);
/// The longest reason why a hook was not started.
const LONGEST_WHY: u64 = 1024;
/// What is kept of a hook's output; the rest is read and dropped.
const MOST_OUTPUT: usize = 4096;
const LOOK_EVERY: u16 = 50;
const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;

/// How a hook's program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// Its time was over: it was killed with its process group.
    TimedOut,
}

/// A called hook. Dropping it kills what is left of its process group.
#[derive(Debug)]
pub struct Called {
    child: Child,
    control: UnixStream,
    output: PipeReader,
}

impl Called {
    /// Starts the process that is to become the hook. It waits for [`Called::go`] and has root's rights until then.
    ///
    /// # Errors
    /// The kernel's answer when no process can be started.
    pub fn prepare(hook: &Hook, variables: &[(&str, String)]) -> std::io::Result<Self> {
        let (control, theirs) = UnixStream::pair()?;
        let (output, written) = std::io::pipe()?;
        let child = Command::new(PROGRAM)
            .args(["hook", &hook.user, "--"])
            .args(&hook.command)
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(written.try_clone()?)
            .stderr(written)
            .spawn()?;
        Ok(Self { child, control, output })
    }

    /// Its number; the process is not reaped before this value is dropped.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it become the hook.
    ///
    /// # Errors
    /// Why its program was not started, as a clause.
    pub fn go(&mut self) -> Result<(), String> {
        let why = self.leave().map_err(|error| format!("it did not answer: {error}"))?;
        if why.is_empty() { Ok(()) } else { Err(why) }
    }

    fn leave(&mut self) -> std::io::Result<String> {
        self.control.set_read_timeout(Some(START_WITHIN))?;
        self.control.write_all(&LEAVE)?;
        // The other end is closed by the exec.
        let mut why = Vec::new();
        (&self.control).take(LONGEST_WHY).read_to_end(&mut why)?;
        Ok(String::from_utf8_lossy(&why).into_owned())
    }

    /// Waits for its end, for `limit` at most, and gives the beginning of what it wrote.
    ///
    /// # Errors
    /// The kernel's answer when it cannot be waited for.
    pub fn finish(mut self, limit: Duration) -> std::io::Result<(End, Vec<u8>)> {
        let began = Instant::now();
        let (mut said, mut open) = (Vec::new(), true);
        let end = loop {
            if let Some(end) = self.ended()? {
                break end;
            }
            if began.elapsed() >= limit {
                break End::TimedOut;
            }
            if open {
                open = self.listen(&mut said, LOOK_EVERY)?.is_none_or(|bytes| bytes > 0);
            } else {
                poll(&mut [], PollTimeout::from(LOOK_EVERY))?;
            }
        };
        // What was written last; whoever still holds the other end is not waited for.
        while said.len() < MOST_OUTPUT && self.listen(&mut said, 0)?.is_some_and(|bytes| bytes > 0)
        {
        }
        Ok((end, said))
    }

    /// Whether it ended. It is not reaped, so that its number stays its own until its group was killed.
    fn ended(&self) -> Result<Option<End>, Errno> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        Ok(match waitid(Id::Pid(self.group()), flags)? {
            WaitStatus::Exited(_, status) => Some(End::Exited(status)),
            WaitStatus::Signaled(_, signal, _) => Some(End::Signalled(signal as i32)),
            WaitStatus::StillAlive
            | WaitStatus::Stopped(..)
            | WaitStatus::Continued(_)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_) => None,
        })
    }

    /// Waits for output and keeps the beginning of it. How much came; none when nothing did in time.
    fn listen(&mut self, said: &mut Vec<u8>, millis: u16) -> std::io::Result<Option<usize>> {
        let mut ready = [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::from(millis))? == 0 {
            return Ok(None);
        }
        let mut bytes = [0; 1024];
        let count = self.output.read(&mut bytes)?;
        let room = MOST_OUTPUT.saturating_sub(said.len()).min(count);
        said.extend(bytes.iter().take(room));
        Ok(Some(count))
    }

    fn group(&self) -> Pid {
        // Every process number fits.
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        // Not reaped yet, so both numbers are still its own. Whoever ended by itself is as good.
        let _gone = killpg(self.group(), Signal::SIGKILL);
        self.child.kill().unwrap_or_default();
        let _status = self.child.wait();
    }
}

/// Waits for leave, gives up every right, and becomes the hook. For `provost hook`, which only the agent starts.
///
/// # Errors
/// Why not, as a clause; the agent was told.
pub fn stand_in(user: &str, command: &[String]) -> Result<Infallible, String> {
    let control =
        std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
    let mut control = UnixStream::from(control);
    let Err(why) = become_hook(&mut control, user, command);
    // Nobody listens any more only when the agent ended.
    let _heard = control.write_all(why.as_bytes());
    Err(why)
}

fn become_hook(
    control: &mut UnixStream,
    user: &str,
    command: &[String],
) -> Result<Infallible, String> {
    let agent = getppid();
    tried("arrange to end with the agent", prctl::set_pdeathsig(Signal::SIGKILL))?;
    let mut leave = [0; LEAVE.len()];
    control.read_exact(&mut leave).map_err(|_| "the agent ended".to_owned())?;
    tried("leave the agent's session", setsid())?;
    // The agent is the last to be killed for lack of memory; a hook is not.
    std::fs::write("/proc/self/oom_score_adj", "0")
        .map_err(|error| format!("failed to set its oom_score_adj: {error}"))?;
    give_up_rights(user)?;
    // The change of user took the signal back.
    tried("arrange to end with the agent", prctl::set_pdeathsig(Signal::SIGKILL))?;
    if getppid() != agent {
        return Err("the agent ended".to_owned());
    }
    let (program, arguments) = command.split_first().ok_or("there is no command")?;
    let error = Command::new(program).args(arguments).stdin(Stdio::null()).exec();
    Err(format!("cannot execute {program} as {user}: {error}"))
}

/// Goes on with the rights of `user` and its groups, and can never have more.
fn give_up_rights(user: &str) -> Result<(), String> {
    let text = |file| {
        std::fs::read_to_string(file).map_err(|error| format!("failed to read {file}: {error}"))
    };
    let Account { uid, groups } = account(&text("/etc/passwd")?, &text("/etc/group")?, user)?;
    let own = groups.first().copied().ok_or("the account has no group")?;
    permitted(setgroups(&groups))?;
    permitted(setgid(own))?;
    permitted(setuid(uid))?;
    umask(Mode::from_bits_truncate(0o022));
    tried("give up gaining rights", prctl::set_no_new_privs())
}

/// Whose rights a hook has.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    uid: Uid,
    /// Its own group, then those that it is a member of.
    groups: Vec<Gid>,
}

/// The account of this name, out of the text of the account files: a static executable cannot load what the C library asks others by.
fn account(passwd: &str, group: &str, name: &str) -> Result<Account, String> {
    let missing = || format!("there is no user {name} in /etc/passwd");
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let ids = fields.filter_map(|fields| match fields.as_slice() {
        [one, _, uid, gid, ..] if *one == name => Some((uid.parse().ok()?, gid.parse().ok()?)),
        _ => None,
    });
    let (uid, gid): (u32, u32) = ids.into_iter().next().ok_or_else(missing)?;
    if uid == 0 {
        return Err(format!("{name} is root, and a hook never has root's rights"));
    }
    let mut groups = vec![Gid::from_raw(gid)];
    for line in group.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members] = fields.as_slice() else { continue };
        let Ok(gid) = gid.parse().map(Gid::from_raw) else { continue };
        if members.split(',').any(|member| member == name) && !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    Ok(Account { uid: Uid::from_raw(uid), groups })
}

/// What mends a daemon that may not change its user.
pub const REMEDY: &str =
    "install the drop-in hooks.conf, which gives provost CAP_SETUID and CAP_SETGID, and restart it";

fn permitted(done: nix::Result<()>) -> Result<(), String> {
    done.map_err(|errno| {
        if errno == Errno::EPERM {
            return format!("provost may not change its user: {REMEDY}");
        }
        format!("failed to change its user: {}", errno.desc())
    })
}

fn tried<T>(what: &str, done: nix::Result<T>) -> Result<(), String> {
    done.map(drop).map_err(|errno| format!("failed to {what}: {}", errno.desc()))
}

/// Whether this process may start hooks: it has CAP_SETUID and CAP_SETGID.
#[must_use]
pub fn may_change_user() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    held.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(has_both)
}

/// Whether a set of capabilities, as `CapEff` in `/proc/PID/status` has it, is enough for hooks.
#[must_use]
pub const fn has_both(effective: u64) -> bool {
    effective >> CAP_SETGID & 1 == 1 && effective >> CAP_SETUID & 1 == 1
}

/// Whether there is a program that can be executed at a path.
///
/// # Errors
/// Why not, as a clause.
pub fn check_program(path: &Path) -> Result<(), String> {
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if found.permissions().mode() & 0o111 == 0 {
        return Err("nobody may execute it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_capabilities_are_needed() {
        assert!(has_both(0xc0) && has_both(u64::MAX));
        assert!(!has_both(0x40) && !has_both(0x80) && !has_both(0));
    }

    #[test]
    fn a_program_is_a_file_that_may_be_executed() {
        assert_eq!(check_program(Path::new("/proc/self/exe")), Ok(()));
        assert!(check_program(Path::new("/proc/self")).unwrap_err().contains("no regular file"));
        let missing = check_program(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
        let plain = check_program(Path::new("Cargo.toml")).unwrap_err();
        assert!(plain.contains("nobody may execute"), "{plain}");
    }

    #[test]
    fn an_account_is_never_root_s_and_has_its_groups() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\nbroken:x\napp:x:33:34::/:\n";
        let group = "root:x:0:\nweb:x:7:app,other\napp:x:34:app\nno:x:8:apple\nbroken:x\n";
        let of = |name| account(passwd, group, name);
        assert!(of("root").unwrap_err().contains("root's rights"));
        assert!(of("toor").unwrap_err().contains("root's rights"));
        assert!(of("broken").unwrap_err().contains("no user"));
        let groups = vec![Gid::from_raw(34), Gid::from_raw(7)];
        assert_eq!(of("app"), Ok(Account { uid: Uid::from_raw(33), groups }));
    }
}
