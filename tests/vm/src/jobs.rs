//! The job list that the host leaves in the initramfs: one line per job, fields between tabs.

use crate::Outcome;

/// What a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A libtest binary: its tests are listed, then each runs as a process of its own.
    Tests,
    /// One command whose output and exit code are passed through.
    Command,
}

/// One job. For `Tests` the arguments are name filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What it is.
    pub kind: Kind,
    /// The name in results.
    pub name: String,
    /// Seconds for the command, or for each test.
    pub timeout_seconds: u64,
    /// The program's path in the guest.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// The file's text.
#[must_use]
pub fn format(jobs: &[Job]) -> String {
    jobs.iter().map(|job| line(job) + "\n").collect()
}

/// Reads the file.
///
/// # Errors
/// When a line is not one of [`format`].
pub fn parse(text: &str) -> Outcome<Vec<Job>> {
    let wrong = |line: &str| format!("not a job: {line:?}");
    text.lines().map(|line| parse_line(line).ok_or_else(|| wrong(line))).collect()
}

fn line(job: &Job) -> String {
    let kind = match job.kind {
        Kind::Tests => "tests",
        Kind::Command => "command",
    };
    let timeout = job.timeout_seconds.to_string();
    let mut fields = vec![kind.to_owned(), escape(&job.name), timeout, escape(&job.program)];
    fields.extend(job.arguments.iter().map(|argument| escape(argument)));
    fields.join("\t")
}

fn parse_line(line: &str) -> Option<Job> {
    let mut fields = line.split('\t');
    let kind = match fields.next()? {
        "tests" => Kind::Tests,
        "command" => Kind::Command,
        _ => return None,
    };
    Some(Job {
        kind,
        name: unescape(fields.next()?),
        timeout_seconds: fields.next()?.parse().ok()?,
        program: unescape(fields.next()?),
        arguments: fields.map(unescape).collect(),
    })
}

fn escape(field: &str) -> String {
    field.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescape(field: &str) -> String {
    let mut plain = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some(other) => plain.push(other),
            None => plain.push('\\'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_any_shape_survive() {
        let jobs = vec![
            Job {
                kind: Kind::Command,
                name: "run".into(),
                timeout_seconds: 600,
                program: "/bin/sh".into(),
                arguments: vec!["-c".into(), "a\tb\n\\n \r".into(), String::new()],
            },
            Job {
                kind: Kind::Tests,
                name: "kernel".into(),
                timeout_seconds: 120,
                program: "/t/kernel".into(),
                arguments: vec![],
            },
        ];
        assert_eq!(parse(&format(&jobs)).unwrap(), jobs);
    }

    #[test]
    fn damaged_lists_are_refused() {
        assert!(parse("tests\tname\tsoon\t/t/x\n").is_err());
        assert!(parse("dance\tname\t1\t/t/x\n").is_err());
        assert!(parse("tests\n").is_err());
    }
}
