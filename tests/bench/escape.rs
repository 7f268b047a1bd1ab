//! P9: from the start of a registered program to the moment at which it lives in its component's home.

use crate::daemon::Daemon;
use crate::measure::{Budget, Table, median};
use provost::kernel::Hierarchy;
use std::process::Command;
use std::time::{Duration, Instant};

const PROGRAMS: usize = 40;
/// Apart, so that each move waits for the kernel by itself.
const GAP: Duration = Duration::from_millis(150);
const LONGEST: Duration = Duration::from_secs(5);

pub(crate) fn run(table: &mut Table) {
    if !matches!(Hierarchy::of_this_host(), Hierarchy::Unified(_)) {
        table.say("escape: groups can only be made where cgroup v2 alone is mounted; see --vm");
        return;
    }
    // A folder of its own and not a name: where one program is all of them, the name says which it is.
    let folder = std::env::temp_dir().join(format!("provost-bench-bin-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let program = folder.join("sleep");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let rule = format!(
        "mode = \"enforce\"\nbackend = \"subtree\"\n[component.bench]\nmatch = {{ exe = \"{}\" }}\n",
        program.display()
    );
    let daemon = Daemon::start(&rule);
    let mut times = Vec::new();
    let mut late = 0;
    for _ in 0..PROGRAMS {
        std::thread::sleep(GAP);
        let started = Instant::now();
        let mut child = Command::new(&program).arg("60").spawn().unwrap();
        let group = format!("/proc/{}/cgroup", child.id());
        let lives_there =
            || std::fs::read_to_string(&group).is_ok_and(|text| text.contains("0::/provost/"));
        while !lives_there() && started.elapsed() < LONGEST {
            std::thread::sleep(Duration::from_micros(100));
        }
        late += usize::from(started.elapsed() >= LONGEST);
        times.push(started.elapsed().as_secs_f64() * 1e3);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    daemon.stop();
    let _gone = std::fs::remove_dir_all(&folder);
    times.sort_by(f64::total_cmp);
    let largest = times.last().copied().unwrap_or_default();
    table.row("P9", "ms from exec to governed, median", (0.0, median(times)), Budget::Most(10.0));
    table.row("P9", "ms from exec to governed, largest of 40", (0.0, largest), Budget::Most(40.0));
    if late > 0 {
        table.say(&format!("{late} of {PROGRAMS} were not governed within {LONGEST:?}"));
    }
}
