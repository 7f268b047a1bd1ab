//! The guest side: PID 1 of the initramfs, or the program of the test service (`--runner`).
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::exit,
    reason = "nobody else can be told"
)]

use provost_vm::guest::{boot, sys, systemd};

fn main() {
    let as_service = std::env::args().nth(1).is_some_and(|argument| argument == "--runner");
    let result = match (as_service, std::process::id()) {
        (true, _) => systemd::run_as_service(),
        (false, 1) => boot::boot(),
        (false, _) => Err("this program is PID 1 of a test machine".to_owned()),
    };
    // Only failures come here: success ends the machine. Without `@done` the host reports a failure
    // and shows this message from the console.
    if let Err(error) = result {
        eprintln!("vminit: {error}");
        let _still_up = sys::leave(18);
    }
    std::process::exit(1);
}
