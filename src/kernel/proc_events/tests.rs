//! The connector of the kernel that runs the tests. Needs root in the initial namespaces, as the agent does.

use super::*;
use crate::units::Span;
use std::process::{Command, Stdio};

/// Reads until `enough` holds; no longer than two seconds.
fn read_until(events: &mut ProcEvents, enough: impl Fn(&[ProcEvent]) -> bool) -> Vec<ProcEvent> {
    let mut seen = Vec::new();
    for _ in 0..20 {
        events.read(&mut seen).unwrap();
        if enough(&seen) {
            break;
        }
        events.becomes_readable();
    }
    seen
}

fn pid_of(child: &std::process::Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

#[test]
fn an_exec_and_an_exit_are_seen() {
    let mut events = ProcEvents::open(Wanted::ExecsAndExits).unwrap();
    let before = clock::now();
    let mut child = Command::new("/bin/true").stdout(Stdio::null()).spawn().unwrap();
    let pid = pid_of(&child);
    assert!(child.wait().unwrap().success());
    let exit = ProcEvent::Exit { pid };
    let seen = read_until(&mut events, |seen| seen.contains(&exit));
    assert!(seen.contains(&exit), "no exit of {pid} in {seen:?}");
    let execs: Vec<_> = seen
        .iter()
        .filter_map(|event| match event {
            ProcEvent::Exec { pid: of, at } if *of == pid => Some(*at),
            ProcEvent::Exec { .. } | ProcEvent::Exit { .. } | ProcEvent::Lost => None,
        })
        .collect();
    let [at] = execs[..] else {
        panic!("not one exec of {pid} in {seen:?}");
    };
    // Two clocks are read one after the other, so the boundary is known to a few microseconds.
    assert!(at.plus(Span::millis(1)) >= before, "{at:?} {before:?}");
    assert!(at <= clock::now().plus(Span::millis(1)), "{at:?}");
}

/// Every message that reaches the socket while threads begin, change their names and end.
fn messages_during_threads(events: &ProcEvents) -> Vec<Message> {
    for number in 0..16 {
        let thread = std::thread::Builder::new().name(format!("thread-{number}"));
        thread.spawn(|| {}).unwrap().join().unwrap();
    }
    std::iter::from_fn(|| events.receive().ok()).collect()
}

#[test]
fn what_nobody_asked_for_does_not_wake_the_listener() {
    let events = ProcEvents::open(Wanted::ExecsAndExits).unwrap();
    let seen = messages_during_threads(&events);
    assert!(!seen.contains(&Message::Other), "{seen:?}");
    // As before Linux 6.6, where the connector sends everything: the socket's filter holds alone.
    events.subscribe().unwrap();
    let seen = messages_during_threads(&events);
    assert!(!seen.contains(&Message::Other), "{seen:?}");
    // And without the filter there are such events, so the above is its doing.
    let socket = connector().unwrap();
    let group = NetlinkAddr::new(0, message::PROC_GROUP);
    socket::bind(socket.as_raw_fd(), &group).unwrap();
    let unfiltered = ProcEvents { socket };
    unfiltered.subscribe().unwrap();
    assert!(messages_during_threads(&unfiltered).contains(&Message::Other));
}

#[test]
fn a_full_buffer_says_that_events_are_missing() {
    let mut events = ProcEvents::open(Wanted::ExecsAndExits).unwrap();
    // The smallest that the kernel gives: room for a handful of events.
    socket::setsockopt(&events.socket, sockopt::RcvBuf, &1).unwrap();
    for _ in 0..32 {
        assert!(Command::new("/bin/true").status().unwrap().success());
    }
    let seen = read_until(&mut events, |seen| seen.contains(&ProcEvent::Lost));
    assert!(seen.contains(&ProcEvent::Lost), "{seen:?}");
}

#[test]
fn errors_say_what_to_do() {
    let refused = ProcEventsError::refused("subscribe");
    let text: Vec<String> = [
        refused(Errno::EPERM),
        refused(Errno::EPROTONOSUPPORT),
        refused(Errno::ENOMEM),
        ProcEventsError::NoAnswer,
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    insta::assert_snapshot!(text.join("\n"));
}
