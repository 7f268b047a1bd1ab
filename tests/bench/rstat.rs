//! P2: reading many siblings that all ran, against one flush of their parent and reading them when they are idle.

use crate::measure::{Budget, Table, median, once};
use crate::tree::Scratch;
use provost::kernel::Sampler;
use provost::model::Usage;

const SIBLINGS: usize = 5000;
const ROUNDS: usize = 5;

pub(crate) fn run(table: &mut Table) {
    let scratch = Scratch::new(SIBLINGS);
    let (parent, children) = (scratch.parent_sampler(), scratch.samplers());
    let mut buffer = [0; size_of::<provost::kernel::sampler::Buffer>()];
    let mut usage = Usage::default();
    let mut read = |sampler: &Sampler| sampler.fast(&mut buffer, &mut usage).unwrap();
    let (mut floors, mut owns, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        scratch.run_in_each();
        let flush = once(|| read(&parent));
        floors.push(flush + once(|| children.iter().for_each(&mut read)));
        scratch.run_in_each();
        owns.push(once(|| std::iter::once(&parent).chain(&children).for_each(&mut read)));
        scratch.run_in_each();
        alone.push(once(|| children.iter().for_each(&mut read)));
    }
    let (floor, own, alone) = (median(floors) / 1e3, median(owns) / 1e3, median(alone) / 1e3);
    let name = format!("ms, {SIBLINGS} active siblings, parent first");
    table.row("P2", &name, (floor, own), Budget::Times(1.3));
    table.row("", "  the same without the parent", (floor, alone), Budget::Shown);
}
