//! A terminal of a given size with a program in it: a tmux server of its own, which ends with the test.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Until then the terminal shows what it should, on however slow a machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

static TERMINALS: AtomicU32 = AtomicU32::new(0);

/// Runs a program and says in a file how it ended: tmux itself does not always notice.
const AND_TELL: &str = "\"$0\" \"$@\"; echo $? >\"$TOLD\"";

/// A terminal in which a program runs, or ran.
pub(crate) struct Terminal {
    /// The server's socket, which no other has.
    socket: PathBuf,
    /// Where the exit code is told.
    told: PathBuf,
}

impl Terminal {
    /// Runs a program in a terminal so wide and high. Times are shown in UTC.
    pub(crate) fn run(program: &str, words: &[&str], (width, height): (u16, u16)) -> Self {
        let number = TERMINALS.fetch_add(1, Ordering::Relaxed);
        let own = format!("provost-tmux-{}-{number}", std::process::id());
        let socket = std::env::temp_dir().join(own);
        let terminal = Self { told: socket.with_extension("exit"), socket };
        let _none = std::fs::remove_file(&terminal.told);
        let told = format!("TOLD={}", terminal.told.display());
        let (width, height) = (width.to_string(), height.to_string());
        let made = ["new-session", "-d", "-s", "monitor", "-x", &width, "-y", &height];
        // What was shown last stays when the program ends.
        let mut all = made.to_vec();
        all.extend(["--", "env", "TZ=UTC", &told, "sh", "-c", AND_TELL, program]);
        all.extend(words);
        all.extend([";", "set-option", "-g", "status", "off"]);
        all.extend([";", "set-option", "-g", "remain-on-exit", "on"]);
        terminal.tmux(&all);
        terminal
    }

    /// Presses keys by their names in tmux.
    pub(crate) fn press(&self, keys: &[&str]) {
        let mut all = vec!["send-keys", "-t", "monitor"];
        all.extend(keys);
        self.tmux(&all);
    }

    pub(crate) fn resize(&self, (width, height): (u16, u16)) {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-t", "monitor", "-x", &width, "-y", &height]);
    }

    /// What is shown now, without what is blank at the ends of lines.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "monitor"])
    }

    /// All that was printed, also what has gone out at the top.
    pub(crate) fn printed(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-S", "-", "-t", "monitor"])
    }

    /// What is shown as soon as that is in it.
    #[track_caller]
    pub(crate) fn until(&self, there: &str) -> String {
        self.wait(&format!("{there:?} is shown"), |screen| screen.contains(there))
    }

    /// What is shown as soon as that is not in it.
    #[track_caller]
    pub(crate) fn until_not(&self, gone: &str) -> String {
        self.wait(&format!("{gone:?} is gone"), |screen| !screen.contains(gone))
    }

    #[track_caller]
    fn wait(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_there(&screen) {
                return screen;
            }
            assert!(Instant::now() < until, "after {PATIENCE:?} not yet: {what}, but\n{screen}");
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until the program has ended. With which exit code.
    #[track_caller]
    pub(crate) fn exit(&self) -> i32 {
        let until = Instant::now() + PATIENCE;
        loop {
            let told = std::fs::read_to_string(&self.told).unwrap_or_default();
            if let Some(code) = told.strip_suffix('\n') {
                return code.parse().unwrap();
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.screen());
            std::thread::sleep(PAUSE);
        }
    }

    #[track_caller]
    fn tmux(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(words).unwrap_or_else(|error| {
            panic!("tmux cannot be run ({error}); it is in Debian's package tmux")
        });
        let told = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "tmux {words:?}: {told}");
        String::from_utf8(stdout).unwrap()
    }

    fn command(&self, words: &[&str]) -> std::io::Result<Output> {
        // As in UTF-8 whatever the locale; no configuration of whoever runs the tests.
        let mut command = Command::new("tmux");
        command.args(["-u", "-f", "/dev/null", "-S"]).arg(&self.socket).args(words);
        command.env_remove("TMUX").output()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _gone = self.command(&["kill-server"]);
        let _gone = std::fs::remove_file(&self.socket);
        let _gone = std::fs::remove_file(&self.told);
    }
}
