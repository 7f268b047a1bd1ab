//! P5, P6, P7, P13: the daemon when nothing happens, and how fast it starts and stops.

use crate::daemon::Daemon;
use crate::measure::{Budget, Table, median, once};
use crate::tree::{Held, Scratch};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(20);

pub(crate) fn run(table: &mut Table) {
    for (count, cpu, memory) in [(10, 0.06, 8.0), (100, 0.25, 12.0), (1000, 1.0, 24.0)] {
        let scratch = Scratch::new(count);
        let floor = floor(&mut Held::open(&scratch.fast_files()));
        let daemon = Daemon::start(&scratch.configuration());
        std::thread::sleep(Duration::from_secs(2));
        let (ran, slept) = daemon.work();
        let since = Instant::now();
        std::thread::sleep(WINDOW);
        let (ran_then, slept_then) = daemon.work();
        let seconds = since.elapsed().as_secs_f64();
        let used = (ran_then - ran).as_secs_f64() / seconds * 100.0;
        let name = format!("% of a core when idle, {count} components");
        table.row("P5", &name, (floor, used), Budget::Most(cpu));
        let woken = (slept_then - slept) / seconds * 60.0;
        let name = format!("wake-ups per minute, {count} components");
        table.row("P6", &name, (0.0, woken), Budget::Most(65.0));
        let name = format!("MB resident, {count} components");
        table.row("P7", &name, (0.0, daemon.status("VmRSS") / 1e3), Budget::Most(memory));
        let name = format!("MB resident at most, {count} components");
        table.row("P7", &name, (0.0, daemon.status("VmHWM") / 1e3), Budget::Shown);
        let ready = daemon.ready_after.as_secs_f64() * 1e3;
        let bounded = |most| if count == 1000 { Budget::Most(most) } else { Budget::Shown };
        let name = format!("ms from start to the first cycle's end, {count} components");
        table.row("P13", &name, (0.0, ready), bounded(300.0));
        let stopped = daemon.stop().as_secs_f64() * 1e3;
        let name = format!("ms from SIGTERM to the exit, {count} components");
        table.row("P13", &name, (0.0, stopped), bounded(1000.0));
    }
}

/// Percent of a core for reading the fast files once a second and nothing else.
fn floor(held: &mut Held) -> f64 {
    let pass = |_| {
        std::thread::sleep(Duration::from_secs(1));
        once(|| held.read())
    };
    median((0..5).map(pass).collect()) / 1e6 * 100.0
}
