//! What parsing a kernel file costs, against looking at each of its bytes once.

use crate::measure::{Budget, Table, duel};
use provost::kernel::parse::{flat_keyed, psi};
use std::hint::black_box;

const CPU_STAT: &[u8] = b"usage_usec 123456789\nuser_usec 100000000\nsystem_usec 23456789\nnice_usec 0\n\
core_sched.force_idle_usec 0\nnr_periods 1000\nnr_throttled 12\nthrottled_usec 34567\nnr_bursts 0\nburst_usec 0\n";
const PRESSURE: &[u8] = b"some avg10=1.53 avg60=0.87 avg300=0.22 total=123456789\n\
full avg10=0.10 avg60=0.05 avg300=0.01 total=2345678\n";

const ROUNDS: u32 = 10_000;

pub(crate) fn run(table: &mut Table) {
    let both = |text: &[u8]| (flat_keyed(text, "usage_usec"), flat_keyed(text, "throttled_usec"));
    row(table, "ns per cpu.stat, two keys", CPU_STAT, |text| {
        black_box(both(text));
    });
    row(table, "ns per pressure file", PRESSURE, |text| {
        black_box(psi(text));
    });
}

fn row(table: &mut Table, name: &str, text: &[u8], parse: impl Fn(&[u8])) {
    let lines = || {
        black_box(black_box(text).iter().filter(|byte| **byte == b'\n').count());
    };
    let (floor, own) = duel(
        || (),
        || (0..ROUNDS).for_each(|_| lines()),
        || (0..ROUNDS).for_each(|_| parse(black_box(text))),
    );
    let each = f64::from(ROUNDS) / 1e3;
    table.row("", name, (floor / each, own / each), Budget::Shown);
}
