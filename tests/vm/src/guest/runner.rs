//! Works the job list off: runs each command and each single test, and looks for what it left.

use super::cgroups::Scope;
use super::child::{self, Ending, Sign};
use super::kmsg::Kmsg;
use super::processes::Household;
use super::wire::{Wire, uptime_ms};
use crate::jobs::{self, Job, Kind};
use crate::protocol::{EndLine, Event, Status, TestLine};
use crate::{Outcome, failed};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// Output of one test beyond this is not sent: the serial line is slow.
const OUTPUT_LIMIT: usize = 256 << 10;
/// What a libtest binary says when exactly the one test asked for ran and passed.
const PROOF: &[u8] = b"test result: ok. 1 passed; 0 failed; 0 ignored;";

/// The circumstances of the jobs.
#[derive(Debug)]
pub struct Runner {
    wire: Wire,
    kmsg: Kmsg,
    base: String,
    environment: Vec<(String, String)>,
    scope: Scope,
    household: Household,
    patience: Duration,
    passed: bool,
}

/// What one program did.
struct Observed {
    ending: Ending,
    millis: u64,
    proven: bool,
    leaked: Vec<String>,
    complaints: Vec<String>,
}

impl Runner {
    /// A runner of the jobs below `base`. `patience` is how long leftovers may take to vanish.
    ///
    /// # Errors
    /// When the result port, the kernel log or the environment file cannot be read.
    pub fn new(
        base: &str,
        scope: Scope,
        household: Household,
        patience: Duration,
    ) -> Outcome<Self> {
        let environment = fs::read_to_string(format!("{base}/env"));
        let environment = environment.map_err(failed("read the environment file"))?;
        let pair = |line: &str| {
            line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()))
        };
        Ok(Self {
            wire: Wire::open()?,
            kmsg: Kmsg::from_now()?,
            base: base.to_owned(),
            environment: environment.lines().filter_map(pair).collect(),
            scope,
            household,
            patience,
            passed: true,
        })
    }

    /// Runs everything and ends the virtual machine.
    ///
    /// # Errors
    /// When the job list cannot be read or the machine cannot be ended.
    pub fn run(mut self) -> Outcome<()> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        self.wire.send(&Event::Ready(uptime_ms(), release.trim().to_owned()));
        let list = fs::read_to_string(format!("{}/jobs", self.base));
        for job in jobs::parse(&list.map_err(failed("read the job list"))?)? {
            let begun = Instant::now();
            let code = match job.kind {
                Kind::Command => self.command(&job),
                Kind::Tests => self.tests(&job),
            };
            let code = code.unwrap_or_else(|error| {
                self.wire.send(&Event::Note(error));
                127
            });
            self.passed &= code == 0;
            let end = EndLine { name: job.name, code, millis: millis_since(begun) };
            self.wire.send(&Event::End(end));
        }
        for line in Kmsg::from_start()?.lines() {
            self.wire.send(&Event::Dmesg(line));
        }
        self.wire.finish(self.passed)
    }

    fn command(&mut self, job: &Job) -> Outcome<i32> {
        let mut command = self.prepared(&job.program);
        command.args(&job.arguments);
        let seen = self.observe(&mut command, job.timeout_seconds, usize::MAX)?;
        for note in seen.leaked.into_iter().chain(seen.complaints) {
            self.wire.send(&Event::Note(note));
        }
        Ok(match seen.ending {
            Ending::Code(code) => code,
            Ending::Timeout => 124,
        })
    }

    fn tests(&mut self, job: &Job) -> Outcome<i32> {
        let all = job.arguments.iter().any(|argument| argument == "--include-ignored");
        let ignored = if all { Vec::new() } else { self.list(job, &["--ignored"])? };
        let names = self.list(job, &[])?;
        if names.is_empty() && job.arguments.is_empty() {
            return Err(format!("{} lists no tests", job.program));
        }
        for name in &names {
            self.wire.send(&Event::Plan(name.clone()));
        }
        let mut all_passed = true;
        for name in names {
            let line = if ignored.contains(&name) {
                ignored_line(name)
            } else {
                self.wire.send(&Event::Begin(name.clone()));
                self.single(job, name)
            };
            all_passed &= line.status != Status::Failed;
            self.wire.send(&Event::Test(line));
        }
        Ok(if all_passed { 0 } else { 101 })
    }

    /// The tests of the binary that fit the job's filters.
    fn list(&mut self, job: &Job, extra: &[&str]) -> Outcome<Vec<String>> {
        let mut command = self.prepared(&job.program);
        command.args(["--list", "--format", "terse"]).args(extra).args(&job.arguments);
        let mut names = Vec::new();
        let (ending, _pipe) = child::run(&mut command, Duration::from_secs(60), |sign| {
            if let Sign::Line(line) = sign {
                let line = String::from_utf8_lossy(line);
                names.extend(line.strip_suffix(": test").map(str::to_owned));
            }
        })?;
        if ending == Ending::Code(0) {
            Ok(names)
        } else {
            Err(format!("the tests of {} cannot be listed: {ending:?}", job.program))
        }
    }

    fn single(&mut self, job: &Job, name: String) -> TestLine {
        let mut command = self.prepared(&job.program);
        command.args(["--exact", &name, "--include-ignored", "--test-threads=1", "--nocapture"]);
        match self.observe(&mut command, job.timeout_seconds, OUTPUT_LIMIT) {
            Ok(seen) => {
                for note in seen.leaked.iter().chain(&seen.complaints) {
                    self.wire.send(&Event::Note(note.clone()));
                }
                judge(name, &seen)
            }
            Err(error) => {
                self.wire.send(&Event::Note(error));
                failed_line(name, "not-run".into())
            }
        }
    }

    /// Runs the program, then looks for processes, cgroups and kernel messages it left.
    fn observe(
        &mut self,
        command: &mut Command,
        timeout_seconds: u64,
        limit: usize,
    ) -> Outcome<Observed> {
        let before = self.scope.list();
        let _said_before = self.kmsg.complaints();
        let (mut sent, mut proven) = (0, false);
        let begun = Instant::now();
        let wire = &mut self.wire;
        let (ending, _pipe) = child::run(command, Duration::from_secs(timeout_seconds), |sign| {
            let event = match sign {
                Sign::Line(line) => {
                    proven |= line.starts_with(PROOF);
                    Event::Output(line.to_vec())
                }
                Sign::Piece(piece) => Event::Partial(piece.to_vec()),
                Sign::Alive => return wire.send(&Event::Beat),
            };
            let length = event.line().len();
            if sent <= limit && sent.saturating_add(length) > limit {
                wire.send(&Event::Note("the rest of the output is left out".into()));
            }
            sent = sent.saturating_add(length);
            if sent <= limit {
                wire.send(&event);
            }
        })?;
        let millis = millis_since(begun);
        let mut leaked = self.household.clear(self.patience);
        leaked.extend(self.scope.clear(&before, self.patience));
        Ok(Observed { ending, millis, proven, leaked, complaints: self.kmsg.complaints() })
    }

    /// A command that sees nothing of our own environment.
    fn prepared(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment.iter().map(|(key, value)| (key, value)));
        command.current_dir("/");
        command
    }
}

/// One way to pass; everything else fails, with the reasons.
fn judge(name: String, seen: &Observed) -> TestLine {
    let mut reasons = Vec::new();
    match seen.ending {
        Ending::Code(0) if !seen.proven => reasons.push("not-run".to_owned()),
        Ending::Code(0) => {}
        Ending::Code(code) if code > 128 => reasons.push(format!("signal={}", code - 128)),
        Ending::Code(code) => reasons.push(format!("exit={code}")),
        Ending::Timeout => reasons.push("timeout".to_owned()),
    }
    if !seen.leaked.is_empty() {
        reasons.push("leaked".to_owned());
    }
    if !seen.complaints.is_empty() {
        reasons.push("kernel".to_owned());
    }
    let mut line = failed_line(name, reasons.join(","));
    if reasons.is_empty() {
        line.status = Status::Ok;
        line.reason = "-".to_owned();
    }
    line.millis = seen.millis;
    line.leaked = seen.leaked.len();
    line.kernel = seen.complaints.len();
    line
}

fn failed_line(name: String, reason: String) -> TestLine {
    TestLine { name, status: Status::Failed, millis: 0, leaked: 0, kernel: 0, reason }
}

fn ignored_line(name: String) -> TestLine {
    TestLine { status: Status::Ignored, ..failed_line(name, "-".to_owned()) }
}

fn millis_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ending: Ending, proven: bool) -> Observed {
        Observed { ending, millis: 7, proven, leaked: vec![], complaints: vec![] }
    }

    #[test]
    fn only_a_proven_quiet_clean_test_passes() {
        let line = judge("a".into(), &seen(Ending::Code(0), true));
        assert_eq!((line.status, line.reason.as_str(), line.millis), (Status::Ok, "-", 7));
        for (case, reason) in [
            (seen(Ending::Code(0), false), "not-run"),
            (seen(Ending::Code(101), false), "exit=101"),
            (seen(Ending::Code(137), true), "signal=9"),
            (seen(Ending::Timeout, false), "timeout"),
            (Observed { leaked: vec!["x".into()], ..seen(Ending::Code(0), true) }, "leaked"),
            (
                Observed { complaints: vec!["x".into()], ..seen(Ending::Timeout, true) },
                "timeout,kernel",
            ),
        ] {
            let line = judge("a".into(), &case);
            assert_eq!((line.status, line.reason.as_str()), (Status::Failed, reason));
        }
    }
}
