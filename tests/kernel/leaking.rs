//! What a program holds is seen whole, and what was seen of it outlives the daemon.

use crate::common::{Agent, World, eventually, keyed, text};
use crate::daemon::by_cgroup;
use nix::sys::signal::Signal;
use provost::model::{Controller, MemoryStat};
use provost::units::Bytes;

/// Writes a file of so many MiB to memory.
const SHARED: u64 = 24;

fn seen(agent: &Agent) -> Option<MemoryStat> {
    agent.status().components[0].homes[0].usage.memory_stat
}

#[test]
fn what_a_program_holds_is_seen_whole_and_remembered() {
    let Some(mut world) = World::new("leaking", &[Controller::Memory]) else { return };
    let group = world.group("app");
    let held = world.dir.join("held");
    let mount = format!("mkdir -p {0} && mount -t tmpfs none {0}", held.display());
    let fill = format!("dd if=/dev/zero of={}/file bs=1M count={SHARED}", held.display());
    let _busy = world.sh(&group, &format!("{mount} && {fill} && sleep 1000; :"));
    let mut agent = Agent::new(&world, "observe", &by_cgroup(&group));
    agent.start();
    let shared = Bytes::mebi(SHARED);
    eventually("shared memory is seen", || {
        seen(&agent).and_then(|stat| stat.shmem).is_some_and(|shmem| shmem >= shared)
    });
    let stat = seen(&agent).unwrap();
    let file = world.file(&group, "memory.stat");
    let kernels = [keyed(&file, "anon"), keyed(&file, "shmem"), keyed(&file, "slab_unreclaimable")];
    let ours = [Some(stat.anon), stat.shmem, stat.slab_unreclaimable];
    for (kernels, ours) in kernels.into_iter().zip(ours) {
        // The process may have used a little more or less since.
        assert!(ours.unwrap().0.abs_diff(kernels) < 1 << 20, "{stat:?}, {}", text(&file));
    }
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    let book = agent.state_file("leaks.json");
    let kept = text(&book);
    assert!(kept.contains("\"app\"") && kept.contains(&group.at().id.0.to_string()), "{kept}");
    std::fs::write(&book, "{").unwrap();
    agent.start();
    assert!(agent.log().contains("leaks are looked for anew"), "{}", agent.log());
    assert_eq!(text(&agent.state_file("leaks.broken")), "{");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
    assert!(text(&book).contains("\"app\""), "a new one was begun");
}
