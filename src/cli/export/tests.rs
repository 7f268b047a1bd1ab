//! What is exported of a small recording, in the forms that it is asked for.
#![allow(clippy::disallowed_methods, reason = "test code: folders are made")]

use super::*;
use crate::model::{Each, Knob, Outcome, Reason, Verdict};
use crate::record::{Batch, ComponentUse, Packer, Store, Used, pack_events};
use crate::units::{Bytes, CgroupPath, Limit, Ppm, Span, Tick};
use clap::Parser as _;
use std::path::{Path, PathBuf};

const START: u64 = 1_700_000_000 / 3600 * 3600;

/// A state folder with an hour, a minute after it, and a limit that was changed; removed in the end.
struct Recorded(PathBuf);

impl Recorded {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("provost-export-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut store = Store::new(&folder, Bytes::mebi(1));
        let mut packer = Packer::default();
        for (which, from_secs) in [(Which::Hours, START), (Which::Minutes, START + 3600)] {
            period(from_secs).pack(&mut packer).unwrap();
            write(&mut store, which, &packer);
        }
        pack_events(&[change()], &mut packer).unwrap();
        write(&mut store, Which::Events, &packer);
        Self(folder)
    }

    fn say(&self, what: What, output: Form) -> Result<Printout, Failure> {
        let folder = self.0.to_str().unwrap();
        let words = ["provost", "--state-dir", folder, "export", "series"];
        let cli = Cli::try_parse_from(words).unwrap();
        export(&cli, &ExportArgs { what, output, since: None })
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn write(store: &mut Store, which: Which, packer: &Packer) {
    let mut batch = Batch::default();
    batch.add(START, &mut which.encoder(), packer);
    store.open(which, Tick(1)).unwrap();
    store.write(which, Tick(1), 0, &batch).unwrap();
}

fn period(from_secs: u64) -> Period {
    let used = |mean, most| Some(Used { mean, most });
    let used =
        Each { cpu: used(250, 900), memory: used(1 << 28, 1 << 29), io: None, pids: used(3, 4) };
    let waited = Each { cpu: Some(Ppm::percent(2)), ..Each::default() };
    let of = ComponentUse { used, waited, ..ComponentUse::default() };
    let components = [("web".parse().unwrap(), of)].into();
    Period { from_secs, seen_secs: 60, components, ..Period::default() }
}

fn change() -> Event {
    let new = Knob::MemoryMax(Limit::At(Bytes::mebi(512)));
    let knob = new.kind();
    let of = OutcomeOf::Knob { knob, asked: new, id: None, original: None, passing: false };
    let path = CgroupPath::new("system.slice/web.service");
    let component = Some("web".parse().unwrap());
    let (at, took, verdict) = (Tick(1), Span::millis(1), Verdict::Applied);
    let outcome = Box::new(Outcome { at, component, path, of, verdict, took });
    let reason = Some(Reason::Configured { key: "memory.ceiling".into() });
    let old = Some(knob.kernel_default());
    Event { at, wall_secs: START + 7, of: EventOf::Action { outcome, old, reason } }
}

#[test]
fn series_and_decisions_are_what_was_recorded() {
    let recorded = Recorded::new("rows");
    let texts = [
        (What::Series, Form::Csv),
        (What::Series, Form::Openmetrics),
        (What::Decisions, Form::Csv),
        (What::Decisions, Form::Sqlite),
        (What::Statistics, Form::Jsonl),
    ]
    .map(|(what, form)| recorded.say(what, form).unwrap().stdout);
    insta::assert_snapshot!(texts.join("----\n"));
}

#[test]
fn what_has_no_such_form_is_told() {
    let recorded = Recorded::new("forms");
    for (what, form) in [
        (What::Configuration, Form::Openmetrics),
        (What::Decisions, Form::Openmetrics),
        (What::Series, Form::Toml),
    ] {
        let told = recorded.say(what, form).unwrap_err().printout();
        assert_eq!(told.exit, 2);
        assert!(told.stderr.contains("try --output json"), "{told:?}");
    }
}

#[test]
fn where_nothing_was_recorded_that_is_told() {
    let nowhere = Recorded(Path::new("/proc/no-such-folder").to_owned());
    let told = nowhere.say(What::Decisions, Form::Json).unwrap_err().printout();
    let text = told.stderr.replace('\n', " ");
    assert!(text.contains("nothing was recorded in /proc/no-such-folder"), "{text}");
    let told = nowhere.say(What::Statistics, Form::Json).unwrap_err().printout();
    assert!(told.stderr.contains("no minute is recorded yet"), "{told:?}");
}
