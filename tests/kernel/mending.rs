//! What is done about a leak on a kernel: its hook is called, and what it does not use goes to swap.
//!
//! A leak takes hours to be found. So what was found is put where a daemon of before would have kept it.

use crate::common::{Agent, World, eventually, keyed, swap_disk, text, within};
use nix::sys::signal::Signal;
use provost::kernel::{Group, clock};
use provost::model::{
    Controller, Leak, LeakBook, LeakEvidence, LeakLimit, LeakMemory, LeakPart, LeakTier,
    LeakTierMemory,
};
use provost::units::{Bytes, Ppm, Span};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

/// What the program holds and does not look at again, in MiB.
const HELD: u64 = 160;
const PART: Span = Span::secs(600);
const WITHIN: Duration = Duration::from_secs(120);

/// The swap disk switched on, as long as this lives.
pub(crate) struct Swap;

impl Swap {
    pub(crate) fn on() -> Self {
        let done = Command::new("swapon").arg(swap_disk()).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        Self
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _off = Command::new("swapoff").arg(swap_disk()).output();
    }
}

/// Leaves the finding that the component `app` seems to leak.
fn found(agent: &Agent, group: &Group) {
    let now = clock::now();
    let said = Leak {
        tier: LeakTier::Suspected,
        since: now,
        at: now,
        held: Bytes::mebi(HELD),
        per_hour: Bytes::mebi(100),
        limit: LeakLimit::Own(Bytes::mebi(1024)),
        until_limit: Span::secs(30_000),
        evidence: LeakEvidence {
            parts: 36,
            part: PART,
            slope_t_centi: 900,
            order_z_centi: 700,
            least_per_hour: Ppm::percent(5),
            curve_t_centi: 0,
        },
    };
    let tier = LeakTierMemory {
        next: now.0 / PART.0,
        parts: vec![LeakPart { held_kib: 60 << 10, load_millicpu: 1 }],
        examined: 9,
        against: 0,
        said: Some(said),
    };
    let tiers = vec![LeakTierMemory::default(), tier];
    let memory = LeakMemory { homes: vec![group.at().id], tiers, slopes: Vec::new() };
    let boot = text(std::path::Path::new("/proc/sys/kernel/random/boot_id"));
    let components = [("app".parse().unwrap(), memory)].into();
    let book = LeakBook { version: LeakBook::VERSION, boot, components };
    let file = agent.state_file("leaks.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, serde_json::to_string(&book).unwrap()).unwrap();
}

#[test]
fn a_leak_is_told_to_its_hook_and_what_it_does_not_use_goes_to_swap() {
    let Some(mut world) = World::new("mending", &[Controller::Memory]) else { return };
    let group = world.group("app");
    if !world.file(&group, "memory.reclaim").exists() {
        panic!("every cell has Linux 5.19 or newer");
    }
    let _swap = Swap::on();
    // A file of tmpfs that nobody looks at again.
    let held = world.dir.join("held");
    let mount = format!("mkdir -p {0} && mount -t tmpfs none {0}", held.display());
    let fill = format!("dd if=/dev/zero of={}/file bs=1M count={HELD}", held.display());
    world.sh(&group, &format!("{mount} && {fill} && sleep 1000; :"));
    eventually("it is held", || keyed(&world.file(&group, "memory.stat"), "shmem") >= HELD << 20);
    let out = world.dir.join("out");
    std::fs::create_dir_all(&out).unwrap();
    std::fs::set_permissions(&out, PermissionsExt::from_mode(0o777)).unwrap();
    let path = &group.at().path;
    let components = format!(
        "[component.app]\nmatch = {{ cgroup = \"/{path}\" }}\nmemory = {{ on-leak = \"reclaim\" }}\n[component.app.hook]\nuser = \"alice\"\n\
         command = [\"/bin/sh\", \"-c\", \"cat /proc/$$/environ >{0}/new; echo call >>{0}/calls; mv {0}/new {0}/said\"]\n",
        out.display()
    );
    let mut agent = Agent::new(&world, "enforce", &components);
    std::fs::copy("/etc/passwd", world.dir.join("agent/root/etc/passwd")).unwrap();
    found(&agent, &group);
    agent.start();
    let said = out.join("said");
    assert!(within(WITHIN, || said.exists()), "{}", agent.log());
    let said = text(&said);
    let variables: Vec<&str> = said.split('\0').collect();
    assert!(variables.contains(&"PROVOST_LEAK=suspected"), "{variables:?}");
    assert!(variables.contains(&"PROVOST_LEAK_BYTES_PER_HOUR=104857600"), "{variables:?}");
    let swapped = || keyed_alone(&world, &group, "memory.swap.current") >> 20;
    assert!(
        within(WITHIN, || swapped() >= 30),
        "{} {}",
        swapped(),
        agent.say(&["explain", "app"]).out
    );
    assert!(within(WITHIN, || agent.say(&["explain", "app"]).out.contains("were reclaimed")));
    println!("FIGURE mending: {} MiB of a leak of {HELD} MiB in swap", swapped());
    assert_eq!(agent.end(Signal::SIGKILL), None);
    agent.start();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(text(&out.join("calls")), "call", "{}", agent.log());
    assert_eq!(agent.end(Signal::SIGTERM), Some(0), "{}", agent.log());
}

fn keyed_alone(world: &World, group: &Group, name: &str) -> u64 {
    text(&world.file(group, name)).parse().unwrap()
}
