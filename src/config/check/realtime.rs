//! Threads in real time: only where CPUs of its own keep the harm within the component, and only by names that can be meant.

use super::Check;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::{Affinity, Component, Pattern, RealtimePolicy, THREAD_NAME_BYTES};
use crate::config::raw;
use crate::config::suggest::shorten;
use crate::model::CpuClass;
use crate::units::Limit;

/// Below it come the kernel's own threads that handle interrupts, at 50, and its watchdogs, at 99.
const DEFAULT_PRIORITY: u8 = 1;

impl Check<'_> {
    /// Which threads are to run in real time; none unless the component `at` has the class for it and all else that it takes.
    pub(super) fn realtime(
        &mut self,
        at: &Key,
        raw: &raw::Cpu,
        component: &Component,
    ) -> Option<RealtimePolicy> {
        let key = at.then("cpu").then("realtime");
        let is_realtime = component.cpu.class == Some(CpuClass::Realtime);
        if is_realtime {
            self.bounds_of_realtime(at, component);
        }
        let Some(raw) = &raw.realtime else {
            if is_realtime && self.merged.node(&key).is_none() {
                self.nobody_named(at);
            }
            return None;
        };
        let threads = self.thread_names(&key.then("threads"), &raw.threads);
        if !is_realtime {
            let issue = ConfigIssue::error(Code::Realtime, "`realtime` needs the CPU class for it")
                .help("write class = \"realtime\", or remove `realtime`");
            self.report(issue, &key, "has no effect");
            return None;
        }
        let priority = raw.priority.and_then(|priority| u8::try_from(priority).ok());
        Some(RealtimePolicy { threads, priority: priority.unwrap_or(DEFAULT_PRIORITY) })
    }

    fn nobody_named(&mut self, at: &Key) {
        let message = "class \"realtime\" does not say which threads are meant";
        let issue = ConfigIssue::error(Code::Realtime, message).help(
            "add realtime = { threads = [\"engine-*\"] }, with names from /proc/PID/task/*/comm",
        );
        self.report(issue, &at.then("cpu").then("class"), "no `realtime`");
    }

    /// What would let a thread in real time harm others, or not be bound by what the configuration says.
    fn bounds_of_realtime(&mut self, at: &Key, component: &Component) {
        let class = self.merged.value_place(&at.then("cpu").then("class"));
        match component.cpu.affinity {
            Affinity::Dedicated(_) | Affinity::Balanced(_) => {}
            Affinity::Shared | Affinity::Cpus(_) | Affinity::Auto => {
                let message = "class \"realtime\" needs CPUs of the component's own, by number";
                let place = self.merged.value_place(&at.then("cpu").then("affinity"));
                let issue = ConfigIssue::error(Code::Realtime, message)
                    .help("write affinity = { mode = \"dedicated\", cpus = 1 }: on CPUs that others share, a thread in real time stops whoever else runs there")
                    .mark(class, "this class")
                    .mark(place, "not its own");
                self.issues.push(issue);
            }
        }
        if component.cpu.ceiling != Limit::Max {
            let why = "a CPU ceiling does not bind threads in real time, so it would not hold";
            self.contradicted(at, why.to_owned(), (&["cpu", "ceiling"], "does not hold"));
        }
    }

    fn thread_names(&mut self, key: &Key, raw: &[raw::Glob]) -> Pattern {
        if raw.is_empty() {
            let issue = ConfigIssue::error(Code::EmptyMatch, "`threads` names no thread")
                .help("write names of threads, such as [\"engine-*\"]");
            self.report(issue, key, "empty");
        }
        let mut pattern = Pattern::default();
        for (number, glob) in raw.iter().enumerate() {
            let key = self.item(key, number);
            if let Some((message, help)) = objection(&glob.0) {
                let issue = ConfigIssue::error(Code::Realtime, message).help(help);
                self.report(issue, &key, "");
                continue;
            }
            pattern.globs.extend(self.glob(&key, &glob.0));
        }
        pattern
    }
}

/// Why a glob cannot be meant as a thread's name, and what to write.
fn objection(glob: &str) -> Option<(String, String)> {
    let shown = shorten(glob);
    let is_wild = |c: char| matches!(c, '*' | '?');
    if !glob.is_empty() && glob.chars().all(is_wild) {
        let message = format!("\"{shown}\" names every thread, those that only help as well");
        let help = "name the threads that must not wait: [\"engine-*\"]; one that collects garbage or writes the log may run for long, \
                    and would keep them from their CPUs";
        return Some((message, help.to_owned()));
    }
    let is_plain = !glob.contains(['[', '{']);
    let least = glob.chars().filter(|c| *c != '*').map(char::len_utf8).sum::<usize>();
    (is_plain && least > THREAD_NAME_BYTES).then(|| {
        let message = format!(
            "\"{shown}\" is longer than the name of a thread can be: {THREAD_NAME_BYTES} bytes"
        );
        (
            message,
            "the kernel cuts names off: write the first 15 bytes, or fewer and a \"*\"".to_owned(),
        )
    })
}
