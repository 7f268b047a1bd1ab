//! Exec and exit of every process, from the kernel's process connector (netlink, `Documentation/driver-api/connector.rst`).
//!
//! One socket that a poll loop waits on. Forks must not wake it: since Linux 6.6 the connector itself sends what was asked for;
//! a socket filter does the same on older kernels, and everywhere drops the exits of single threads. Events can be lost, which is
//! an event too; whoever listens must be able to look at /proc instead. What an event means is not decided here.
#![expect(
    unsafe_code,
    reason = "nix has neither the connector's protocol number nor SO_ATTACH_FILTER"
)]

mod message;

#[cfg(any(test, fuzzing))]
pub(crate) use message::check as check_message;
pub use message::{ProcEvent, Wanted};

use super::clock;
use message::{Message, Operation};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, MsgFlags, NetlinkAddr, SockFlag, sockopt};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use thiserror::Error;

/// Bytes of events that may wait: some 9000 of them on a 64-bit kernel, which charges each with its bookkeeping.
const BUFFER_BYTES: usize = 1 << 20;
/// Events taken by one [`ProcEvents::read`]; the socket stays readable when there are more.
const MOST_PER_READ: usize = 512;
/// The connector answers within the request itself; the wait is for a host so busy that even this takes time.
const ANSWER_MILLIS: u16 = 100;
/// Other listeners' answers and events arrive on the same socket; more than these before ours means that ours does not come.
const MOST_BEFORE_ANSWER: usize = 4096;

/// Why there are no process events.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProcEventsError {
    /// No CAP_NET_ADMIN, or not in the host's own user namespace.
    #[error(
        "cannot listen to process events: not permitted; provost needs CAP_NET_ADMIN in the host's own user namespace \
         (CapabilityBoundingSet= in provost.service)"
    )]
    NotPermitted,
    /// The kernel did not answer: it is silent towards containers.
    #[error(
        "cannot listen to process events: the kernel does not answer; it answers only in the host's own process and user \
         namespaces, so run provost on the host and not in a container"
    )]
    NoAnswer,
    /// The kernel has no connector.
    #[error(
        "cannot listen to process events: this kernel has no process connector (CONFIG_CONNECTOR, CONFIG_PROC_EVENTS), or \
         RestrictAddressFamilies= in provost.service lacks AF_NETLINK"
    )]
    Missing,
    /// A call failed.
    #[error("cannot {op} for process events: {}; see \"provost doctor\"", errno.desc())]
    Refused {
        /// What was tried.
        op: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
}

impl ProcEventsError {
    fn refused(op: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| {
            if matches!(errno, Errno::EPERM | Errno::EACCES) {
                Self::NotPermitted
            } else if matches!(errno, Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT) {
                Self::Missing
            } else {
                Self::Refused { op, errno }
            }
        }
    }
}

/// A listener to exec and exit. Dropping it ends the subscription.
#[derive(Debug)]
pub struct ProcEvents {
    socket: OwnedFd,
}

impl ProcEvents {
    /// Subscribes to the execs, and if wanted the exits, of all processes of the host.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, outside the initial namespaces, and on kernels built without `CONFIG_PROC_EVENTS`.
    pub fn open(wanted: Wanted) -> Result<Self, ProcEventsError> {
        let socket = connector().map_err(ProcEventsError::refused("open a netlink socket"))?;
        attach_filter(&socket, wanted)
            .map_err(ProcEventsError::refused("filter a netlink socket"))?;
        grow_buffer(&socket);
        socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(0, message::PROC_GROUP))
            .map_err(ProcEventsError::refused("bind a netlink socket"))?;
        let events = Self { socket };
        events.subscribe()?;
        // Last, because a connector that sends these alone withholds its answers too.
        events.send(Operation::Narrow(wanted))?;
        Ok(events)
    }

    /// Takes the events that wait, at most 512, and adds them to `events`. Never blocks.
    ///
    /// After [`ProcEvent::Lost`] the listener has missed any number of events and must look for itself.
    ///
    /// # Errors
    /// A broken socket, which is to be dropped; what was read before stays in `events`.
    pub fn read(&mut self, events: &mut Vec<ProcEvent>) -> Result<(), ProcEventsError> {
        let ahead = clock::boot_ahead_of_monotonic();
        for _ in 0..MOST_PER_READ {
            match self.receive() {
                Ok(message) => events.extend(message.event(ahead)),
                Err(Errno::EAGAIN) => break,
                Err(Errno::ENOBUFS) => events.push(ProcEvent::Lost),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(ProcEventsError::refused("read a netlink socket")(errno)),
            }
        }
        Ok(())
    }

    /// Asks for events and waits for the answer; what comes before it is dropped, for nobody listened yet.
    fn subscribe(&self) -> Result<(), ProcEventsError> {
        self.send(Operation::Listen)?;
        for _ in 0..MOST_BEFORE_ANSWER {
            match self.receive() {
                Ok(Message::Answer { to, errno: 0 }) if to == std::process::id() => return Ok(()),
                Ok(Message::Answer { to, errno }) if to == std::process::id() => {
                    let refused = ProcEventsError::refused("subscribe");
                    return Err(refused(Errno::from_raw(errno)));
                }
                Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(Errno::EAGAIN) if self.becomes_readable() => {}
                Err(Errno::EAGAIN) => return Err(ProcEventsError::NoAnswer),
                Err(errno) => return Err(ProcEventsError::refused("read a netlink socket")(errno)),
            }
        }
        Err(ProcEventsError::NoAnswer)
    }

    fn send(&self, operation: Operation) -> Result<(), ProcEventsError> {
        let kernel = NetlinkAddr::new(0, 0);
        let request = message::request(operation, std::process::id());
        let flags = MsgFlags::MSG_DONTWAIT;
        socket::sendto(self.socket.as_raw_fd(), &request, &kernel, flags)
            .map(drop)
            .map_err(ProcEventsError::refused("subscribe"))
    }

    /// One message; anything that the kernel did not send itself is nothing.
    fn receive(&self) -> Result<Message, Errno> {
        let mut buffer = [0_u8; message::LONGEST];
        let (length, sender) =
            socket::recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut buffer)?;
        let from_kernel = sender.is_some_and(|sender| sender.pid() == 0);
        let bytes = buffer.get(..length).unwrap_or_default();
        Ok(if from_kernel { Message::parse(bytes) } else { Message::Other })
    }

    fn becomes_readable(&self) -> bool {
        let mut sources = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut sources, PollTimeout::from(ANSWER_MILLIS)), Ok(1..))
    }
}

impl AsFd for ProcEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn connector() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    // SAFETY: the call takes three numbers and no memory.
    let descriptor = unsafe {
        libc::socket(libc::AF_NETLINK, libc::SOCK_DGRAM | flags.bits(), message::NETLINK_CONNECTOR)
    };
    Errno::result(descriptor)?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn attach_filter(socket: &OwnedFd, wanted: Wanted) -> Result<(), Errno> {
    let mut program = message::filter(wanted);
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?,
        filter: program.as_mut_ptr(),
    };
    let size =
        libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `filter` and the program that it points to live until the call ends; the kernel copies them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size,
        )
    };
    Errno::result(result).map(drop)
}

/// A smaller buffer only loses events earlier, and says so.
fn grow_buffer(socket: &OwnedFd) {
    if socket::setsockopt(socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
        let _smaller = socket::setsockopt(socket, sockopt::RcvBuf, &BUFFER_BYTES);
    }
}

#[cfg(test)]
mod tests;
