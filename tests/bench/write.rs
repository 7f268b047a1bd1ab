//! P11: writing three knobs of each of 1000 groups, against the bare writes.

use crate::measure::{Budget, Table, duel};
use crate::tree::Scratch;
use provost::kernel::{Group, write};
use provost::model::Knob;
use provost::units::{Bytes, CpuMax, CpuTime, Limit};
use std::fs::File;
use std::os::unix::fs::FileExt as _;

const GROUPS: usize = 1000;

pub(crate) fn run(table: &mut Table) {
    let scratch = Scratch::new(GROUPS);
    let max = CpuMax { quota: Limit::At(CpuTime(50_000)), period: CpuMax::DEFAULT_PERIOD };
    let knobs = [
        Knob::CpuMax(max),
        Knob::MemoryMax(Limit::At(Bytes::mebi(64))),
        Knob::PidsMax(Limit::At(100)),
    ];
    let files = |group| {
        let folder = scratch.folder(group);
        knobs.iter().map(move |knob| (folder.join(knob.kind().file()), knob.render()))
    };
    let held: Vec<(File, String)> = (0..GROUPS)
        .flat_map(files)
        .filter_map(|(path, text)| Some((File::options().write(true).open(path).ok()?, text)))
        .collect();
    if held.len() < GROUPS * knobs.len() {
        table.say("write: this tree lacks the cpu, memory or pids controller; see --vm");
        return;
    }
    let groups: Vec<Group> = scratch.groups();
    let bare = || {
        for (file, text) in &held {
            file.write_at(text.as_bytes(), 0).unwrap();
        }
    };
    let own = || {
        for group in &groups {
            for knob in &knobs {
                write::knob(group, knob).unwrap();
            }
        }
    };
    let (floor, own) = duel(|| (), bare, own);
    let name = format!("ms, {} knobs written, against held files", held.len());
    table.row("P11", &name, (floor / 1e3, own / 1e3), Budget::Most(10.0));
}
