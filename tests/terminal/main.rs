//! `provost monitor` in a real terminal: the executable is driven by keys in tmux, and what the terminal shows is read back.
#![allow(clippy::disallowed_methods, clippy::panic, clippy::unwrap_used, reason = "test code")]

mod recorded;
mod tmux;

use recorded::{LOOKS, Recorded};
use tmux::Terminal;

/// The row of a component.
#[track_caller]
fn row<'a>(screen: &'a str, component: &str) -> &'a str {
    let found = screen.lines().find(|line| line.starts_with(&format!("{component} ")));
    found.unwrap_or_else(|| panic!("no row of {component} in\n{screen}"))
}

fn monitor(recorded: &Recorded, size: (u16, u16), more: &[&str]) -> Terminal {
    let state = recorded.folder.to_str().unwrap();
    let mut words = vec!["--state-dir", state, "--run-dir", state, "monitor", "--recording"];
    words.extend(more);
    Terminal::run(env!("CARGO_BIN_EXE_provost"), &words, size)
}

#[test]
fn a_recording_is_gone_through_by_keys() {
    let recorded = Recorded::new("keys");
    let terminal = monitor(&recorded, (80, 24), &[]);
    let newest = terminal.until(&format!("({LOOKS} of {LOOKS})"));
    assert!(newest.contains("recording, 2023-11-14 22:"), "{newest}");
    assert!(newest.lines().count() <= 24, "{newest}");
    // Components with bars of use against limits, and the marks of memory.low and memory.high.
    assert!(row(&newest, "web").contains('█') && row(&newest, "web").contains('l'), "{newest}");
    assert!(row(&newest, "batch").contains("100M/512M"), "{newest}");
    let strip = newest.lines().find(|line| line.starts_with("cpu ")).unwrap();
    assert!(strip.contains(['▃', '▄', '▅', '▆']), "{newest}");
    for line in ["host    2 cores", "last    ", "told    ", "alert   "] {
        assert!(newest.contains(&format!("\n{line}")), "{line} is not in\n{newest}");
    }
    assert!(newest.contains("(gives way: "), "why is told of what was done last:\n{newest}");

    // Back by one look, by thirty, to the oldest, and forth again.
    terminal.press(&["Left"]);
    let before = terminal.until(&format!("({} of {LOOKS})", LOOKS - 1));
    assert_ne!(moment(&before), moment(&newest));
    terminal.press(&["PageUp"]);
    terminal.until(&format!("({} of {LOOKS})", LOOKS - 31));
    terminal.press(&["Home"]);
    terminal.until(&format!("(1 of {LOOKS})"));
    terminal.press(&["Right"]);
    terminal.until(&format!("(2 of {LOOKS})"));
    terminal.press(&["End"]);
    assert_eq!(terminal.until(&format!("({LOOKS} of {LOOKS})")), newest);

    // A filter, and why what is left has its limits.
    terminal.press(&["/", "b", "a", "t", "Enter"]);
    let filtered = terminal.until_not("\nweb ");
    row(&filtered, "batch");
    terminal.press(&["e"]);
    let why = terminal.until("batch: priority low");
    assert!(why.contains("lives in system.slice/batch.service"), "{why}");
    terminal.press(&["Escape"]);
    terminal.until_not("batch: priority low");
    terminal.press(&["s"]);
    terminal.until("s sort: cpu");

    terminal.press(&["q"]);
    assert_eq!(terminal.exit(), 0);
}

/// When that was which a screen shows.
fn moment(screen: &str) -> &str {
    screen.lines().next().unwrap().split(" (").next().unwrap()
}

#[test]
fn a_recording_is_played_from_a_time_on() {
    let recorded = Recorded::new("played");
    let terminal =
        monitor(&recorded, (120, 30), &["--since", "2023-11-14T22:15:00Z", "--interval", "200ms"]);
    let first = terminal.until("recording, 2023-11-14 22:15:00 (1 of ");
    assert!(first.contains("Space play"), "{first}");
    terminal.press(&["Space"]);
    // How far it has come by then depends on the machine.
    terminal.until_not("(1 of ");
    terminal.press(&["Space"]);
    terminal.until("Space play");
    terminal.press(&["C-c"]);
    assert_eq!(terminal.exit(), 0);
}

#[test]
fn a_terminal_that_is_too_small_says_so_until_it_is_larger() {
    let recorded = Recorded::new("small");
    let terminal = monitor(&recorded, (20, 10), &[]);
    let small = terminal.until("monitor needs 80");
    assert!(small.contains("and 10. q leaves"), "{small}");
    terminal.resize((80, 24));
    terminal.until(&format!("({LOOKS} of {LOOKS})"));
    terminal.resize((1, 1));
    terminal.resize((20, 10));
    terminal.until("monitor needs 80");
    terminal.press(&["q"]);
    assert_eq!(terminal.exit(), 0);
}

#[test]
fn without_a_daemon_the_way_to_the_recording_is_told() {
    let recorded = Recorded::new("way");
    let state = recorded.folder.to_str().unwrap();
    let words = ["--state-dir", state, "--run-dir", state, "monitor"];
    let terminal = Terminal::run(env!("CARGO_BIN_EXE_provost"), &words, (120, 24));
    assert_eq!(terminal.exit(), 3);
    let told = terminal.printed().replace('\n', " ");
    assert!(told.contains("no daemon listens on"), "{told}");
    assert!(told.contains("\"provost monitor --recording\""), "{told}");
    let nothing = Recorded::nothing("nothing");
    let terminal = monitor(&nothing, (120, 24), &[]);
    assert_eq!(terminal.exit(), 1);
    let told = terminal.printed().replace('\n', " ");
    assert!(told.contains("nothing was recorded in"), "{told}");
}
