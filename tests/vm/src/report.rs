//! Turns the events of a cell into results: prints them as libtest does and keeps the logs.

use crate::failed;
use crate::protocol::{Event, Status, TestLine};
use crate::qemu::Fate;
use crate::{Outcome, cells::Cell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Results of one cell.
#[derive(Debug)]
pub struct Report {
    cell: &'static str,
    logs: PathBuf,
    begun: Instant,
    output: Option<File>,
    dmesg: Vec<u8>,
    planned: Vec<String>,
    running: Option<Running>,
    results: Vec<TestLine>,
    /// Output of failed tests, for the end.
    failures: BTreeMap<String, Vec<u8>>,
    /// What went wrong outside of any test.
    troubles: Vec<String>,
    /// Tests whose measurement missed once.
    again: BTreeSet<String>,
    quiet: bool,
}

/// What a test prints before a number that it measured.
const FIGURE: &[u8] = b"FIGURE ";

/// So many missed measurements may be the machine's fault.
const MOST_AGAIN: usize = 3;

#[derive(Debug)]
struct Running {
    name: String,
    output: Vec<u8>,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Passed tests.
    pub passed: usize,
    /// Failed tests, and troubles outside of tests.
    pub failed: usize,
    /// Tests that the source ignores.
    pub ignored: usize,
    /// Tests whose measurement was taken twice.
    pub measured_again: usize,
}

impl Count {
    /// The line that scripts read.
    #[must_use]
    pub fn line(self) -> String {
        let again = match self.measured_again {
            0 => String::new(),
            number => format!(", {number} measured again"),
        };
        format!("{} passed, {} failed{again}", self.passed, self.failed)
    }

    /// Adds another cell's.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.measured_again += other.measured_again;
    }
}

impl Report {
    /// An empty report; the old logs of the cell are removed.
    ///
    /// # Errors
    /// When the log directory cannot be made.
    pub fn new(cell: &Cell, logs: &Path) -> Outcome<Self> {
        let _absent = fs::remove_dir_all(logs);
        fs::create_dir_all(logs).map_err(failed(format!("make {}", logs.display())))?;
        Ok(Self {
            cell: cell.name,
            logs: logs.to_path_buf(),
            begun: Instant::now(),
            output: None,
            dmesg: Vec::new(),
            planned: Vec::new(),
            running: None,
            results: Vec::new(),
            failures: BTreeMap::new(),
            troubles: Vec::new(),
            again: BTreeSet::new(),
            quiet: false,
        })
    }

    /// The same, but nothing is printed.
    #[must_use]
    pub fn quietly(mut self) -> Self {
        self.quiet = true;
        self
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            println!("{text}");
        }
    }

    /// Starts the log of a job; events belong to it until the next call.
    ///
    /// # Errors
    /// When the log cannot be made.
    pub fn open_job_log(&mut self, name: &str) -> Outcome<()> {
        let log = File::create(self.logs.join(format!("{name}.log")));
        self.output = Some(log.map_err(failed("make a job log"))?);
        Ok(())
    }

    /// Takes one event in and prints what there is to print.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Ready(uptime_ms, release) => self.say(&format!(
                "cell {}: Linux {release}, first job after {:.1} s ({:.1} s of guest time)",
                self.cell,
                self.begun.elapsed().as_secs_f64(),
                std::time::Duration::from_millis(*uptime_ms).as_secs_f64(),
            )),
            Event::Plan(name) => self.planned.push(name.clone()),
            Event::Begin(name) => {
                self.log(format!("---- {name}\n").as_bytes());
                self.running = Some(Running { name: name.clone(), output: Vec::new() });
            }
            Event::Output(line) => self.keep(&[line.as_slice(), b"\n"].concat()),
            Event::Partial(piece) => self.keep(piece),
            Event::Note(note) if self.running.is_some() => {
                self.keep(format!("vm: {note}\n").as_bytes());
            }
            Event::Note(note) => self.trouble(note.clone()),
            Event::Test(test) => self.result(test.clone()),
            Event::End(end) => {
                self.log(format!("---- {} ended with {}\n", end.name, end.code).as_bytes());
                self.running = None;
            }
            Event::Dmesg(line) => self.dmesg.extend_from_slice(&[line.as_slice(), b"\n"].concat()),
            Event::Noise(line) => self.log(&[b"noise: ", line.as_slice(), b"\n"].concat()),
            Event::Boot(_) | Event::Beat | Event::Done(_) => {}
        }
    }

    /// Whether the machine died of its emulated processor, and of nothing that ran on it: Linux patches its own instructions while other
    /// processors run, by a breakpoint; qemu 7.2 has let one run into a breakpoint that was gone already.
    #[must_use]
    pub fn is_emulators_fault(&self, fate: &Fate) -> bool {
        let console = fs::read(self.logs.join("console.log")).unwrap_or_default();
        matches!(fate, Fate::Lost(_)) && String::from_utf8_lossy(&console).contains("Oops: int3")
    }

    /// What another machine has to run: the test that was running, and those that were still to come.
    pub fn begin_again(&mut self) -> Vec<String> {
        self.running = None;
        let _kept = fs::rename(self.logs.join("console.log"), self.logs.join("console-lost.log"));
        let mut left = std::mem::take(&mut self.planned);
        left.retain(|name| self.results.iter().all(|test| test.name != *name));
        self.say(&format!(
            "cell {}: the emulated processor ran into a breakpoint of the kernel's own that was gone; another machine runs the {} tests that are left",
            self.cell,
            left.len()
        ));
        left
    }

    /// The failed tests that measured something: others use this machine too, so another guest measures once more before a number is
    /// believed. None where more missed than that explains, or where the machine itself went.
    pub fn begin_measuring_again(&mut self, fate: &Fate) -> Vec<String> {
        let measured = |output: &[u8]| output.windows(FIGURE.len()).any(|part| part == FIGURE);
        let missed = self.failures.iter().filter(|(_, output)| measured(output));
        let missed: Vec<String> = missed.map(|(name, _)| name.clone()).collect();
        if !matches!(fate, Fate::Done(_)) || missed.len() > MOST_AGAIN {
            return Vec::new();
        }
        for name in &missed {
            let output = self.failures.remove(name).unwrap_or_default();
            let output = String::from_utf8_lossy(&output);
            self.say(&format!("\n---- {name}, measured again because of this:\n{output}"));
        }
        self.results.retain(|test| !missed.contains(&test.name));
        self.planned.clear();
        self.again.extend(missed.iter().cloned());
        missed
    }

    /// Something that went wrong outside of any test; it counts as a failure.
    pub fn trouble(&mut self, text: String) {
        self.say(&format!("cell {}: {text}", self.cell));
        self.troubles.push(text);
    }

    /// Closes the report with the machine's fate, prints the failures and the count.
    pub fn finish(&mut self, fate: &Fate) -> Count {
        if let Fate::NoBoot(why) | Fate::Lost(why) = fate {
            self.lost(why);
        }
        let _no_log = fs::write(self.logs.join("dmesg.log"), &self.dmesg);
        let seen_failure = self.results.iter().any(|test| test.status == Status::Failed);
        if *fate == Fate::Done(false) && !seen_failure && self.troubles.is_empty() {
            self.trouble("the guest reports a failure, but no test failed".into());
        }
        if !self.failures.is_empty() {
            self.say(&format!("\nfailures in {} (all logs: {}):", self.cell, self.logs.display()));
            for (name, output) in &self.failures {
                let output = String::from_utf8_lossy(output);
                self.say(&format!("\n---- {name}\n{}", output.trim_end()));
            }
            self.say("");
        }
        let count = self.count();
        self.say(&count.line());
        count
    }

    /// The machine is gone: the running test and all that were still to come have failed.
    fn lost(&mut self, why: &str) {
        let console = self.console_tail();
        if let Some(running) = self.running.take() {
            let mut output = running.output;
            output.extend_from_slice(format!("vm: {why}\n").as_bytes());
            self.failures.insert(running.name.clone(), output);
            self.result(lost_line(running.name, "machine-lost"));
        }
        let done: Vec<&str> = self.results.iter().map(|test| test.name.as_str()).collect();
        let missing: Vec<String> =
            self.planned.iter().filter(|name| !done.contains(&name.as_str())).cloned().collect();
        for name in missing {
            self.result(lost_line(name, "not-run"));
        }
        self.trouble(format!("{why}; the console says:\n{console}"));
    }

    fn result(&mut self, test: TestLine) {
        let mut line = format!("test {} ... {}", test.name, test.status.word());
        if test.status != Status::Ignored {
            line += &format!(" ({} ms)", test.millis);
        }
        if test.status == Status::Failed {
            line += &format!(": {}", test.reason);
            let output = self.running.take().map(|running| running.output).unwrap_or_default();
            self.failures.entry(test.name.clone()).or_insert(output);
        }
        self.say(&line);
        self.log(format!("{line}\n").as_bytes());
        self.running = None;
        self.results.push(test);
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.log(bytes);
        if let Some(running) = &mut self.running {
            running.output.extend_from_slice(bytes);
        }
    }

    fn log(&mut self, bytes: &[u8]) {
        if let Some(log) = &mut self.output {
            let _full_disk = log.write_all(bytes);
        }
    }

    fn console_tail(&self) -> String {
        let console = fs::read(self.logs.join("console.log")).unwrap_or_default();
        let messages = fs::read(self.logs.join("qemu.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&[console, messages].concat()).into_owned();
        let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
        telling(&lines).iter().map(|line| format!("    {}\n", line.trim_end())).collect()
    }

    /// How many of each so far.
    #[must_use]
    pub fn count(&self) -> Count {
        let of = |status| self.results.iter().filter(|test| test.status == status).count();
        Count {
            passed: of(Status::Ok),
            failed: of(Status::Failed) + self.troubles.len(),
            ignored: of(Status::Ignored),
            measured_again: self.again.len(),
        }
    }

    /// The results so far.
    #[must_use]
    pub fn results(&self) -> &[TestLine] {
        &self.results
    }
}

/// The lines from the kernel's last words on, or the last ones.
fn telling<'a>(lines: &'a [&'a str]) -> &'a [&'a str] {
    const LONG_ENOUGH: usize = 25;
    let panic = lines.iter().position(|line| line.contains("Kernel panic"));
    let start = panic.unwrap_or(lines.len().saturating_sub(LONG_ENOUGH));
    let end = lines.len().min(start + LONG_ENOUGH);
    lines.get(start..end).unwrap_or_default()
}

fn lost_line(name: String, reason: &str) -> TestLine {
    let reason = reason.to_owned();
    TestLine { name, status: Status::Failed, millis: 0, leaked: 0, kernel: 0, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells;

    fn report(name: &str) -> Report {
        let logs =
            std::env::temp_dir().join(format!("provost-vm-report-{}-{name}", std::process::id()));
        Report::new(cells::select("k61").unwrap()[0], &logs).unwrap()
    }

    fn take(report: &mut Report, lines: &[&str]) {
        lines.iter().for_each(|line| report.take(&Event::parse(line.as_bytes())));
    }

    fn finish(mut report: Report, fate: &Fate) -> Count {
        let count = report.finish(fate);
        fs::remove_dir_all(&report.logs).unwrap();
        count
    }

    #[test]
    fn passes_and_failures_are_counted() {
        let mut report = report("count");
        take(&mut report, &["@plan a", "@plan b", "@begin a", "|fine", "@test a ok 3 0 0 -"]);
        take(&mut report, &["@begin b", "|broken", "@note leaked cgroup /x"]);
        take(
            &mut report,
            &["@test b FAILED 4 1 0 leaked", "@test c ignored 0 0 0 -", "@end kernel 101 9"],
        );
        let kept = String::from_utf8(report.failures["b"].clone()).unwrap();
        assert_eq!(kept, "broken\nvm: leaked cgroup /x\n");
        let count = finish(report, &Fate::Done(false));
        assert_eq!(count, Count { passed: 1, failed: 1, ignored: 1, measured_again: 0 });
        assert_eq!(count.line(), "1 passed, 1 failed");
    }

    #[test]
    fn what_the_emulator_broke_off_another_machine_runs() {
        let mut report = report("again");
        let lost = Fate::Lost("it went silent".into());
        take(&mut report, &["@plan a", "@plan b", "@plan c", "@begin a", "@test a ok 3 0 0 -"]);
        take(&mut report, &["@begin b", "|last words"]);
        assert!(!report.is_emulators_fault(&lost), "any other loss is a failure");
        fs::write(report.logs.join("console.log"), "Oops: int3: 0000 [#1]").unwrap();
        assert!(report.is_emulators_fault(&lost));
        assert!(!report.is_emulators_fault(&Fate::Done(false)));
        assert_eq!(report.begin_again(), ["b", "c"]);
        assert!(!report.is_emulators_fault(&lost), "the next machine has a console of its own");
        take(&mut report, &["@plan b", "@plan c", "@begin b", "@test b ok 3 0 0 -"]);
        take(&mut report, &["@begin c", "@test c ok 3 0 0 -", "@end kernel 0 2"]);
        let count = finish(report, &Fate::Done(true));
        assert_eq!(count, Count { passed: 3, failed: 0, ignored: 0, measured_again: 0 });
    }

    #[test]
    fn a_missed_measurement_is_taken_once_more() {
        let mut report = report("figure");
        let done = Fate::Done(false);
        take(&mut report, &["@plan a", "@plan b", "@begin a", "|test a ... FIGURE 7 of 9"]);
        take(&mut report, &["@test a FAILED 4 0 0 exit=101", "@begin b", "|broken"]);
        take(&mut report, &["@test b FAILED 4 0 0 exit=101", "@end kernel 101 9"]);
        assert!(report.begin_measuring_again(&Fate::Lost("gone".into())).is_empty());
        assert_eq!(report.begin_measuring_again(&done), ["a"], "b measured nothing");
        take(&mut report, &["@plan a", "@begin a", "|FIGURE 9 of 9", "@test a ok 4 0 0 -"]);
        assert!(report.begin_measuring_again(&done).is_empty());
        let count = finish(report, &done);
        assert_eq!(count, Count { passed: 1, failed: 1, ignored: 0, measured_again: 1 });
        assert_eq!(count.line(), "1 passed, 1 failed, 1 measured again");
    }

    #[test]
    fn many_missed_measurements_are_nobody_elses_fault() {
        let mut report = report("figures");
        for name in ["a", "b", "c", "d"] {
            let [begin, end] = [format!("@begin {name}"), format!("@test {name} FAILED 4 0 0 x")];
            take(&mut report, &[&begin, "|FIGURE 7 of 9", &end]);
        }
        assert!(report.begin_measuring_again(&Fate::Done(false)).is_empty());
        assert_eq!(finish(report, &Fate::Done(false)).failed, 4);
    }

    #[test]
    fn a_lost_machine_fails_the_running_test_and_the_rest() {
        let mut report = report("lost");
        take(&mut report, &["@plan a", "@plan b", "@plan c", "@begin a", "@test a ok 3 0 0 -"]);
        take(&mut report, &["@begin b", "|last words"]);
        let count = finish(report, &Fate::Lost("gone".into()));
        // b, c and the loss itself.
        assert_eq!(count, Count { passed: 1, failed: 3, ignored: 0, measured_again: 0 });
    }

    #[test]
    fn the_console_is_shown_from_the_panic_on() {
        let numbers: Vec<String> = (0..60).map(|n| n.to_string()).collect();
        let mut lines: Vec<&str> = numbers.iter().map(String::as_str).collect();
        assert_eq!(telling(&lines), &lines[35..]);
        lines[3] = "[ 1.0] Kernel panic - not syncing: why";
        assert_eq!(telling(&lines), &lines[3..28]);
        assert!(telling(&[]).is_empty());
    }

    #[test]
    fn no_boot_is_a_failure() {
        let count = finish(report("boot"), &Fate::NoBoot("nothing".into()));
        assert_eq!(count.failed, 1);
    }

    #[test]
    fn trouble_outside_of_tests_is_a_failure() {
        let mut noted = report("note");
        take(&mut noted, &["@note the tests of /t/kernel cannot be listed", "@end kernel 127 1"]);
        assert_eq!(finish(noted, &Fate::Done(false)).failed, 1);
        assert_eq!(finish(report("unexplained"), &Fate::Done(false)).failed, 1);
    }
}
