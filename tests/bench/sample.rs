//! P1: what one sampled cgroup costs, against reading the same files and doing nothing with them.

use crate::measure::{Budget, Sweep, Table, cost, duel};
use crate::tree::{Held, Scratch};
use cgroups_rs::fs::Controller as _;
use cgroups_rs::fs::cpu::CpuController;
use provost::model::Usage;
use std::io::Read as _;

pub(crate) fn run(table: &mut Table) {
    for (count, most) in [(10usize, 1.35), (100, 1.35), (1000, 1.2)] {
        let scratch = Scratch::new(count);
        let samplers = scratch.samplers();
        let paths = scratch.fast_files();
        let mut held = Held::open(&paths);
        let mut buffer = Box::new([0; 16 << 10]);
        let mut usage = Usage::default();
        let each = f64::from(u32::try_from(count).unwrap());
        let rounds = 2000 / count;
        let mut sample = || {
            for sampler in &samplers {
                sampler.fast(&mut buffer, &mut usage).unwrap();
            }
        };
        let (floor, own) = duel(
            || (),
            || (0..rounds).for_each(|_| held.read()),
            || (0..rounds).for_each(|_| sample()),
        );
        let per = each * f64::from(u32::try_from(rounds).unwrap());
        let files = paths.len() / count;
        let name = format!("us per cgroup, {count} cgroups, {files} file(s), hot");
        table.row("P1", &name, (floor / per, own / per), Budget::Times(most));
        let mut page = [0; 4096];
        let opened = cost(|| {
            for path in &paths {
                let mut file = std::fs::File::open(path).unwrap();
                std::hint::black_box(file.read(&mut page).unwrap());
            }
        });
        let name = format!("  the same by open, read, close, {count} cgroups");
        table.row("", &name, (floor / per, opened / each), Budget::Shown);
        let peer: Vec<CpuController> = (0..count)
            .map(|group| CpuController::new(scratch.folder(group), scratch.folder(group), true))
            .collect();
        let theirs = cost(|| {
            for controller in &peer {
                std::hint::black_box((controller.cpu(), controller.procs()));
            }
        });
        let name = format!("us per cgroup against cgroups-rs cpu() + procs(), {count}");
        table.row("P1", &name, (theirs / each, own / per), Budget::Times(0.3));
        if count == 1000 {
            cold(table, &mut held, &mut sample);
        }
    }
}

fn cold(table: &mut Table, held: &mut Held, mut sample: impl FnMut()) {
    let mut sweep = Sweep::new();
    let (floor, own) = duel(|| sweep.sweep(), || held.read(), &mut sample);
    let costs = (floor / 1000.0, own / 1000.0);
    table.row("P1", "us per cgroup, 1000 cgroups, caches swept", costs, Budget::Times(1.2));
}
