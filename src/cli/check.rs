//! `provost check [FILE]`: whether a configuration can be used on this host, and what it comes to.

use super::render::{COLUMNS, wrap};
use super::{EXIT_BAD_CONFIG, EXIT_OK, Printout};
use crate::config::{
    Capacity, Colour, Component, ConfigIssue, Loaded, Policy, Sources, entries, load, render,
};
use crate::units::{Bytes, Limit, Millicpu};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// In which form a verb answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text(Colour),
    /// For programs.
    Json,
}

/// Checks a configuration. Exit code 78 on any error; warnings alone are none.
#[must_use]
pub fn check(sources: &Sources, host: &Capacity<'_>, form: Form) -> Printout {
    let result = load(sources, host);
    match form {
        Form::Json => {
            let document = json_document(&result, host);
            Printout {
                stdout: format!("{document:#}\n"),
                stderr: String::new(),
                exit: exit_code(&result),
            }
        }
        Form::Text(colour) => Printout {
            stdout: result
                .as_ref()
                .map_or_else(|_| String::new(), |loaded| summary(&loaded.policy, host)),
            stderr: render(issues(&result), colour),
            exit: exit_code(&result),
        },
    }
}

fn issues(result: &Result<Loaded, Vec<ConfigIssue>>) -> &[ConfigIssue] {
    match result {
        Ok(loaded) => &loaded.warnings,
        Err(issues) => issues,
    }
}

fn exit_code(result: &Result<Loaded, Vec<ConfigIssue>>) -> u8 {
    match result {
        Ok(_) => EXIT_OK,
        Err(_) => EXIT_BAD_CONFIG,
    }
}

fn json_document(result: &Result<Loaded, Vec<ConfigIssue>>, host: &Capacity<'_>) -> Value {
    let problems: Vec<Value> = issues(result).iter().map(ConfigIssue::json).collect();
    let policy = result.as_ref().ok().map(|loaded| &loaded.policy);
    json!({
        "schema": "provost/check/v1",
        "ok": result.is_ok(),
        "problems": problems,
        "summary": policy.map(|policy| sums(policy, host)),
        "policy": policy.map(canonical),
    })
}

fn sums(policy: &Policy, host: &Capacity<'_>) -> Value {
    let (cpu, memory) = guarantees(policy);
    json!({
        "components": policy.components.len(),
        "cpu_guaranteed_millicores": cpu.0, "memory_guaranteed_bytes": memory.0,
        "cpu_reserve_millicores": policy.reserve.cpu.0,
        "memory_reserve_bytes": policy.reserve.memory.0,
        "cpu_millicores": host.cpu().0, "memory_bytes": host.memory.0,
    })
}

/// The policy's canonical keys as a flat list.
fn canonical(policy: &Policy) -> Value {
    entries(policy)
        .into_iter()
        .map(
            |entry| json!({ "component": entry.component, "key": entry.key, "value": entry.value }),
        )
        .collect()
}

/// The sums of what is guaranteed.
fn guarantees(policy: &Policy) -> (Millicpu, Bytes) {
    policy.components.values().fold((Millicpu::ZERO, Bytes::ZERO), |(cpu, memory), component| {
        (cpu.plus(component.cpu.guarantee), memory.plus(component.memory.guarantee))
    })
}

fn summary(policy: &Policy, host: &Capacity<'_>) -> String {
    let (cpu, memory) = guarantees(policy);
    let count = policy.components.len();
    let plural = if count == 1 { "" } else { "s" };
    let verdict = format!(
        "OK: {count} component{plural}, guarantees {cpu} of {} cores and {memory} of {} of memory, reserve {} cores and {}",
        host.cpu(),
        host.memory,
        policy.reserve.cpu,
        policy.reserve.memory,
    );
    let mut out = wrap(&verdict, COLUMNS).join("\n") + "\n";
    if count > 0 {
        table(&mut out, policy);
    }
    out
}

/// One row for each component, in columns as wide as their widest cell.
fn table(out: &mut String, policy: &Policy) {
    let header = ["COMPONENT", "PRIORITY", "CPU", "MEMORY", "PIDS"].map(str::to_owned);
    let rows: Vec<[String; 5]> =
        std::iter::once(header).chain(policy.components.values().map(row)).collect();
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _infallible = writeln!(out, "  {}", cells.join("  ").trim_end());
    }
}

fn row(component: &Component) -> [String; 5] {
    let (cpu, memory) = (&component.cpu, &component.memory);
    let pids = match component.pids {
        Limit::At(pids) => pids.to_string(),
        Limit::Max => "max".to_owned(),
    };
    [
        component.name.to_string(),
        component.priority.to_string(),
        format!("{}..{}", cpu.guarantee, cpu.ceiling),
        format!("{}..{}", memory.guarantee, memory.ceiling),
        pids,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::CpuSet;
    use std::path::Path;

    fn run(text: &str, form: Form) -> Printout {
        let host = Capacity {
            online: CpuSet::of(0..4),
            memory: Bytes::mebi(8192),
            page: Bytes(4096),
            resolve_device: &|_| Err("no disks here".to_owned()),
            check_program: &|_| Ok(()),
        };
        check(&Sources::text("mine.toml", text), &host, form)
    }

    const GOOD: &str = "[component.web]\npriority = 9\nmatch = { unit = \"nginx.service\" }\ncpu = { guarantee = \"25%\", ceiling = \"1500m\" }\nmemory = { guarantee = \"0.5G\", ceiling = \"20G\" }\n[component.batch]\nmatch = { unit = \"batch-*.service\" }\npids.ceiling = 512\n";

    #[test]
    fn a_good_file_is_summed_up() {
        let printout = run(GOOD, Form::Text(Colour::Never));
        assert_eq!(printout.exit, 0);
        insta::assert_snapshot!(
            "check-good",
            format!("{}--- stderr\n{}", printout.stdout, printout.stderr)
        );
        assert_eq!(run("", Form::Text(Colour::Never)).stdout.lines().count(), 1);
    }

    #[test]
    fn a_bad_file_is_told_on_stderr_with_78() {
        let printout = run("mode = \"on\"\n", Form::Text(Colour::Never));
        assert_eq!(printout.exit, 78);
        assert_eq!(printout.stdout, "");
        assert!(printout.stderr.contains("error[unknown-word]"));
    }

    #[test]
    fn programs_get_json_either_way() {
        let good = run(GOOD, Form::Json);
        let bad = run("mode = \"on\"\n", Form::Json);
        assert_eq!((good.exit, bad.exit), (0, 78));
        insta::assert_snapshot!("check-json", format!("{}--- bad\n{}", good.stdout, bad.stdout));
    }

    #[test]
    fn a_missing_file_is_a_bad_configuration() {
        let host = Capacity {
            online: CpuSet::of(0..1),
            memory: Bytes::mebi(1024),
            page: Bytes(4096),
            resolve_device: &|_| Ok(Vec::new()),
            check_program: &|_| Ok(()),
        };
        let sources = Sources::single(Path::new("/nowhere/x.toml"));
        let printout = check(&sources, &host, Form::Text(Colour::Never));
        assert_eq!(printout.exit, 78);
        assert!(printout.stderr.contains("/nowhere/x.toml"));
    }
}
