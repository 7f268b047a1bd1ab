//! The connector's messages as bytes: requests, events, and the socket filter that picks among them. Pure.
//!
//! Layout (`include/uapi/linux/netlink.h`, `connector.h`, `cn_proc.h`), in the machine's byte order: `nlmsghdr` of 16 bytes,
//! `cn_msg` of 20, then a request or a `proc_event`: what, cpu, nanoseconds, and what belongs to the kind of event.

use crate::units::{Span, Tick};

/// The protocol among the netlink sockets.
pub(super) const NETLINK_CONNECTOR: i32 = 11;
/// The multicast group of process events: `CN_IDX_PROC` as a bit mask.
pub(super) const PROC_GROUP: u32 = 1;
/// More than any message of the connector.
pub(super) const LONGEST: usize = 256;

const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const PROC_CN_MCAST_LISTEN: u32 = 1;
const PROC_EVENT_NONE: u32 = 0;
const PROC_EVENT_EXEC: u32 = 0x2;
const PROC_EVENT_EXIT: u32 = 0x8000_0000;
const NLMSG_DONE: u16 = 3;

const HEADER: usize = 16;
const CONNECTOR: usize = HEADER + 20;
/// Offsets in a message.
const IDX: usize = HEADER;
const VAL: usize = HEADER + 4;
const ACK: usize = HEADER + 12;
const WHAT: usize = CONNECTOR;
const NANOS: usize = CONNECTOR + 8;
const FIRST: usize = CONNECTOR + 16;
const SECOND: usize = CONNECTOR + 20;

/// Something happened to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcEvent {
    /// It runs another program now.
    Exec {
        /// The process (thread group).
        pid: i32,
        /// When the kernel reported it.
        at: Tick,
    },
    /// Its first thread ended; other threads may live on for a while.
    Exit {
        /// The process (thread group).
        pid: i32,
    },
    /// The socket's buffer was full: events are missing.
    Lost,
}

/// What is asked of the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Every event; answered.
    Listen,
    /// From now on what is wanted alone. Since Linux 6.6; before, and then without an answer too, ignored.
    Narrow(Wanted),
}

/// Which events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Execs.
    Execs,
    /// Execs, and the exits of whole processes. Every fork of the host then wakes the listener once, when it ends.
    ExecsAndExits,
}

/// The request `operation`, which the answer will name by `number`.
pub(super) fn request(operation: Operation, number: u32) -> Vec<u8> {
    // `struct proc_input { mcast_op, event_type }`, of which the first field alone means every event.
    let (payload, wanted): (u16, &[u32]) = match operation {
        Operation::Listen => (4, &[PROC_CN_MCAST_LISTEN]),
        Operation::Narrow(Wanted::Execs) => (8, &[PROC_CN_MCAST_LISTEN, PROC_EVENT_EXEC]),
        Operation::Narrow(Wanted::ExecsAndExits) => {
            (8, &[PROC_CN_MCAST_LISTEN, PROC_EVENT_EXEC | PROC_EVENT_EXIT])
        }
    };
    let mut bytes = Vec::with_capacity(CONNECTOR + 8);
    let word = |bytes: &mut Vec<u8>, value: u32| bytes.extend(value.to_ne_bytes());
    // nlmsghdr: length, type and flags, sequence, sender (0: the kernel fills it in)
    word(&mut bytes, 36 + u32::from(payload));
    bytes.extend(NLMSG_DONE.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    word(&mut bytes, 0);
    word(&mut bytes, 0);
    // cn_msg: idx, val, sequence, acknowledgement, length, flags
    word(&mut bytes, CN_IDX_PROC);
    word(&mut bytes, CN_VAL_PROC);
    word(&mut bytes, 0);
    word(&mut bytes, number);
    bytes.extend(payload.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    for value in wanted {
        word(&mut bytes, *value);
    }
    bytes
}

/// A message of the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    /// The answer to a request.
    Answer {
        /// The request's number.
        to: u32,
        /// Zero when granted.
        errno: i32,
    },
    /// A process runs another program.
    Exec {
        /// The thread group.
        pid: i32,
        /// `CLOCK_MONOTONIC`.
        nanos: u64,
    },
    /// A process's first thread ended.
    Exit {
        /// The thread group.
        pid: i32,
    },
    /// Nothing of interest.
    Other,
}

impl Message {
    /// Reads one datagram. Bytes that are no message of the connector are [`Message::Other`].
    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self::read(bytes).unwrap_or(Self::Other)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        if word(bytes, IDX)? != CN_IDX_PROC || word(bytes, VAL)? != CN_VAL_PROC {
            return None;
        }
        // An answer ends before that field: whatever lies there is no reason to miss it.
        let pid = word(bytes, SECOND).and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        let message = match word(bytes, WHAT)? {
            PROC_EVENT_NONE => Self::Answer {
                // The kernel adds one; the sequence number is its own.
                to: word(bytes, ACK)?.wrapping_sub(1),
                errno: i32::from_ne_bytes(word(bytes, FIRST)?.to_ne_bytes()).saturating_abs(),
            },
            PROC_EVENT_EXEC if pid > 0 => Self::Exec { pid, nanos: long(bytes, NANOS)? },
            PROC_EVENT_EXIT if pid > 0 && word(bytes, FIRST)? == word(bytes, SECOND)? => {
                Self::Exit { pid }
            }
            _ => return None,
        };
        Some(message)
    }

    /// The event, with its time moved from the monotonic to the boot clock, which is `ahead` of it.
    pub(super) fn event(self, ahead: Span) -> Option<ProcEvent> {
        match self {
            Self::Exec { pid, nanos } => {
                Some(ProcEvent::Exec { pid, at: Tick(nanos / 1000).plus(ahead) })
            }
            Self::Exit { pid } => Some(ProcEvent::Exit { pid }),
            Self::Answer { .. } | Self::Other => None,
        }
    }
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

fn long(bytes: &[u8], offset: usize) -> Option<u64> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u64::from_ne_bytes(*bytes))
}

/// The socket filter: answers, execs, and exits of a process's first thread pass.
///
/// The kernel runs it before it queues a message, so what it drops wakes nobody. Classic BPF loads words as big-endian.
pub(super) fn filter(wanted: Wanted) -> [libc::sock_filter; 10] {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const EQUAL_X: u16 = 0x1d; // BPF_JMP | BPF_JEQ | BPF_X
    const TO_X: u16 = 0x07; // BPF_MISC | BPF_TAX
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let load = |offset: usize| step(LOAD, u32::try_from(offset).unwrap_or(u32::MAX), 0, 0);
    let exit_goes_on = if wanted == Wanted::ExecsAndExits { 0 } else { 5 };
    [
        load(WHAT),
        step(EQUAL, PROC_EVENT_NONE.to_be(), 6, 0),
        step(EQUAL, PROC_EVENT_EXEC.to_be(), 5, 0),
        step(EQUAL, PROC_EVENT_EXIT.to_be(), exit_goes_on, 5),
        load(FIRST),
        step(TO_X, 0, 0, 0),
        load(SECOND),
        step(EQUAL_X, 0, 0, 1),
        step(RETURN, u32::MAX, 0, 0), // passes whole
        step(RETURN, 0, 0, 0),        // is dropped
    ]
}

/// Any bytes as a message: a process has a number, and a message that was cut is the same one or none.
#[cfg(any(test, fuzzing))]
pub(crate) fn check(bytes: &[u8]) {
    let whole = Message::parse(bytes);
    let event = whole.event(Span(u64::MAX));
    match (whole, event) {
        (Message::Exec { pid, .. }, Some(ProcEvent::Exec { pid: told, .. }))
        | (Message::Exit { pid }, Some(ProcEvent::Exit { pid: told })) => {
            assert!(pid > 0 && pid == told);
        }
        (Message::Answer { errno, .. }, None) => assert!(errno >= 0),
        (Message::Other, None) => {}
        (message, event) => assert_eq!(None, event, "{message:?}"),
    }
    let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
    let cut = Message::parse(half);
    assert!(cut == whole || cut == Message::Other, "{whole:?} was cut to {cut:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message as the kernel builds it.
    fn message(what: u32, nanos: u64, fields: [u32; 2]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        for value in [CN_IDX_PROC, CN_VAL_PROC, 8000, 78] {
            bytes.extend(value.to_ne_bytes());
        }
        bytes.extend(40_u16.to_ne_bytes());
        bytes.extend([0; 2]);
        for value in [what, 3] {
            bytes.extend(value.to_ne_bytes());
        }
        bytes.extend(nanos.to_ne_bytes());
        for value in fields {
            bytes.extend(value.to_ne_bytes());
        }
        bytes.resize(76, 0);
        bytes
    }

    #[test]
    fn an_exec_carries_its_process_and_time() {
        let exec = Message::parse(&message(PROC_EVENT_EXEC, 7_000_500, [41, 42]));
        assert_eq!(exec, Message::Exec { pid: 42, nanos: 7_000_500 });
        let at = Tick(7_000 + 2_000_000);
        assert_eq!(exec.event(Span::secs(2)), Some(ProcEvent::Exec { pid: 42, at }));
    }

    #[test]
    fn only_the_exit_of_the_first_thread_is_one_of_the_process() {
        assert_eq!(
            Message::parse(&message(PROC_EVENT_EXIT, 1, [42, 42])),
            Message::Exit { pid: 42 }
        );
        assert_eq!(Message::parse(&message(PROC_EVENT_EXIT, 1, [43, 42])), Message::Other);
    }

    #[test]
    fn answers_name_the_request_and_the_refusal() {
        for given in [1_i32, -1] {
            let answer = message(PROC_EVENT_NONE, 1, [u32::from_ne_bytes(given.to_ne_bytes()), 0]);
            assert_eq!(Message::parse(&answer), Message::Answer { to: 77, errno: 1 });
        }
    }

    #[test]
    fn an_answer_is_one_whatever_follows_it() {
        let answer = message(PROC_EVENT_NONE, 1, [1, u32::MAX]);
        assert_eq!(Message::parse(&answer), Message::Answer { to: 77, errno: 1 });
        assert_eq!(Message::parse(&answer[..SECOND]), Message::Answer { to: 77, errno: 1 });
    }

    #[test]
    fn other_events_and_connectors_are_nothing() {
        assert_eq!(Message::parse(&message(1, 1, [42, 42])), Message::Other);
        let mut stranger = message(PROC_EVENT_EXEC, 1, [42, 42]);
        stranger[IDX] ^= 0xff;
        assert_eq!(Message::parse(&stranger), Message::Other);
    }

    #[test]
    fn requests_say_their_own_length() {
        let narrow = [Wanted::Execs, Wanted::ExecsAndExits].map(Operation::Narrow);
        for operation in narrow.into_iter().chain([Operation::Listen]) {
            let bytes = request(operation, 9);
            assert_eq!(word(&bytes, 0), u32::try_from(bytes.len()).ok());
            let payload = u16::from_ne_bytes([bytes[32], bytes[33]]);
            assert_eq!(usize::from(payload), bytes.len() - CONNECTOR);
        }
    }

    /// What the kernel does with the filter, as far as this one goes.
    fn passes(bytes: &[u8]) -> bool {
        passes_for(Wanted::ExecsAndExits, bytes)
    }

    fn passes_for(wanted: Wanted, bytes: &[u8]) -> bool {
        let program = filter(wanted);
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0_usize);
        loop {
            let step = program[at];
            at += 1;
            let jump = |taken| usize::from(if taken { step.jt } else { step.jf });
            match step.code {
                0x20 => {
                    let start = usize::try_from(step.k).unwrap();
                    let Some(four) = bytes.get(start..).and_then(|rest| rest.first_chunk()) else {
                        return false;
                    };
                    a = u32::from_be_bytes(*four);
                }
                0x15 => at += jump(a == step.k),
                0x1d => at += jump(a == x),
                0x07 => x = a,
                0x06 => return step.k != 0,
                code => unreachable!("{code:#x}"),
            }
        }
    }

    #[test]
    fn the_filter_passes_what_is_parsed_and_drops_forks() {
        assert!(!passes(&message(1, 1, [42, 42])));
        assert!(!passes(&message(PROC_EVENT_EXIT, 1, [43, 42])));
        assert!(!passes(&message(PROC_EVENT_EXIT, 1, [42, 42])[..CONNECTOR + 18]));
        assert!(passes(&message(PROC_EVENT_EXIT, 1, [42, 42])));
        assert!(passes(&message(PROC_EVENT_EXEC, 1, [42, 42])));
        assert!(passes(&message(PROC_EVENT_NONE, 1, [1, 0])));
        let execs_alone = |what| passes_for(Wanted::Execs, &message(what, 1, [42, 42]));
        assert!(!execs_alone(PROC_EVENT_EXIT));
        assert!(execs_alone(PROC_EVENT_EXEC) && execs_alone(PROC_EVENT_NONE));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..LONGEST)) {
            let _event = Message::parse(&bytes).event(Span(u64::MAX));
        }

        #[test]
        fn a_cut_or_changed_message_never_panics(
            what in prop_oneof![Just(PROC_EVENT_EXEC), Just(PROC_EVENT_EXIT), Just(PROC_EVENT_NONE), any::<u32>()],
            nanos: u64,
            fields: [u32; 2],
            length in 0_usize..76,
        ) {
            let whole = message(what, nanos, fields);
            let _event = Message::parse(&whole).event(Span(u64::MAX));
            prop_assert!(Message::parse(&whole) == Message::Other || passes(&whole));
            let _cut = Message::parse(&whole[..length]).event(Span::ZERO);
        }
    }
}
