//! `provost set-quota` and `provost release`: what a component may have for a while, and its end before that; and how both are shown.

use super::Printout;
use super::args::Cli;
use super::ask::{done, said};
use super::fail::Failure;
use super::render::{COLUMNS, escape, paragraph, wrap};
use super::status::local;
use crate::model::{ComponentReport, Moment, QuotaView, Report};
use crate::serve::Request;
use crate::units::{ComponentName, Span};
use clap::Args;
use std::collections::BTreeMap;

#[derive(Debug, Args)]
pub(super) struct SetQuotaArgs {
    /// The component.
    component: ComponentName,
    /// What it may have: cpu.guarantee, cpu.ceiling, memory.guarantee, memory.high, memory.ceiling, pids.ceiling or io.limits, with a value
    /// as in the configuration, such as cpu.ceiling=1.5, memory.ceiling=2G or 'io.limits=[{ device = "/srv", write = "20M" }]'.
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = assignment)]
    keys: Vec<(String, String)>,
    /// For how long, such as "90s", "2h" or "1d"; 30 days at most. Then what is configured holds again.
    #[arg(long = "for", value_name = "SPAN", default_value = "30m")]
    span: Span,
    /// Only check it, and show what would change.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, such as cpu.ceiling=2")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

pub(super) fn set_quota(cli: &Cli, args: &SetQuotaArgs) -> Result<Printout, Failure> {
    let mut keys = BTreeMap::new();
    for (key, value) in &args.keys {
        if keys.insert(key.clone(), value.clone()).is_some() {
            return Err(Failure::new(2, format!("{key} is given twice")));
        }
    }
    let SetQuotaArgs { component, span, dry_run, .. } = args;
    let request =
        Request::SetQuota { component: component.clone(), keys, span: *span, dry_run: *dry_run };
    done(cli, &request).map(|text| said(cli, "set-quota", narrow(cli, text)))
}

pub(super) fn release(cli: &Cli, component: &ComponentName) -> Result<Printout, Failure> {
    let request = Request::Release { component: component.clone() };
    done(cli, &request).map(|text| said(cli, "release", narrow(cli, text)))
}

/// The text in lines for people.
fn narrow(cli: &Cli, text: String) -> String {
    if cli.json {
        return text;
    }
    text.lines().flat_map(|line| wrap(line, COLUMNS)).collect::<Vec<_>>().join("\n")
}

/// Who has something for a while; nothing where nobody has.
pub(super) fn line(report: &Report) -> String {
    let has = |component: &ComponentReport| {
        let mut ends: BTreeMap<(Moment, bool), Vec<String>> = BTreeMap::new();
        for view in &component.quotas {
            ends.entry((view.until, view.holds)).or_default().push(value(view));
        }
        let parts = ends.into_iter().map(|(end, keys)| keys.join(" and ") + &until(end));
        let parts: Vec<String> = parts.collect();
        (!parts.is_empty()).then(|| format!("{} has {}", component.name, parts.join(", ")))
    };
    let has: Vec<String> = report.components.iter().filter_map(has).collect();
    if has.is_empty() {
        return String::new();
    }
    let has = has.join("; ");
    paragraph(&format!("set-quota: {has} (provost release COMPONENT)"))
}

fn value(view: &QuotaView) -> String {
    format!("{} = {}", view.key, escape(&view.value))
}

fn until((until, holds): (Moment, bool)) -> String {
    let left_out = if holds { "" } else { " (left out: it does not fit now)" };
    format!(" until {}{left_out}", local(until.0))
}

/// What a component has for a while, and what then, in lines of so many columns.
pub(super) fn lines(component: &ComponentReport, columns: usize) -> String {
    let mut out = String::new();
    for view in &component.quotas {
        let then = escape(view.configured.as_deref().unwrap_or("no limit"));
        let end = if view.holds {
            format!(", then {then} again, or after \"provost release {}\"", component.name)
        } else {
            format!("; \"provost release {}\" takes it back", component.name)
        };
        let told = format!("set-quota: {}{}{end}", value(view), until((view.until, view.holds)));
        for line in wrap(&told, columns.saturating_sub(2)) {
            out.push_str(&format!("  {line}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::QuotaKey;
    use crate::testing::sample_report;

    const UNTIL: Moment = Moment(1_795_443_000);

    fn report() -> Report {
        let mut report = sample_report();
        let until = UNTIL;
        let view = |key, value: &str, configured: Option<&str>| QuotaView {
            key,
            value: value.to_owned(),
            until,
            configured: configured.map(str::to_owned),
            holds: true,
        };
        let web = report.components.iter_mut().find(|one| one.name.as_str() == "web").unwrap();
        web.quotas = vec![
            view(QuotaKey::CpuCeiling, "2", Some("\"1.5\"")),
            view(QuotaKey::IoLimits, "[{ device = \"/srv\", write = \"20M\" }]", None),
        ];
        let idle = report.components.iter_mut().find(|one| one.name.as_str() == "idle").unwrap();
        let left_out = view(QuotaKey::CpuGuarantee, "1.75", Some("\"0\""));
        idle.quotas = vec![QuotaView { holds: false, ..left_out }];
        report
    }

    #[test]
    fn what_holds_for_a_while_reads_well() {
        assert_eq!(line(&sample_report()), "");
        let report = report();
        let explained: Vec<String> =
            report.components.iter().map(|one| lines(one, COLUMNS)).collect();
        let text = line(&report) + "----\n" + &explained.concat();
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        // Whatever time zone this host has, and wherever lines are broken for that.
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        insta::assert_snapshot!(
            words.replace(&local(UNTIL.0), "[time]").replace(" set-quota:", "\nset-quota:")
        );
    }

    #[test]
    fn keys_and_values_are_told_apart() {
        let read = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(assignment("cpu.ceiling=2"), read("cpu.ceiling", "2"));
        assert_eq!(assignment("memory.high = 1G "), read("memory.high", "1G"));
        let limits = "[{device=\"all\"}]";
        assert_eq!(assignment(&format!("io.limits={limits}")), read("io.limits", limits));
        assert!(assignment("cpu.ceiling").is_err());
    }
}
