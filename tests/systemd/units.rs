//! Components that are units: every limit through systemd, protection up the tree, units that come and go.

use crate::common::unit::{KNOBS, cgroup_of, reaches};
use crate::common::unit::{bytes, knob};
use crate::common::world::{component, findings};
use crate::common::{Unit, World, disk, figure, run, until};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn device_number(node: &str) -> String {
    let name = node.trim_start_matches("/dev/");
    std::fs::read_to_string(format!("/sys/class/block/{name}/dev")).unwrap().trim().to_owned()
}

/// The words of a line of `io.max`, which kernels put in one order or another.
fn io_words(unit: &Unit, node: &str) -> Vec<String> {
    let number = device_number(node);
    let text = unit.knob("io.max").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{number} ")));
    let mut words: Vec<String> =
        line.unwrap_or_default().split(' ').map(ToOwned::to_owned).collect();
    words.sort();
    words
}

/// A slice that is stopped when the test is over.
struct Slice(&'static str);

impl Drop for Slice {
    fn drop(&mut self) {
        run("systemctl", &["stop", "--quiet", self.0]);
    }
}

const SLEEP: [&str; 2] = ["sleep", "infinity"];

#[test]
fn controllers_appear_with_a_property() {
    // A slice as systemd makes it; the one of this test delegates everything.
    let slice = Slice("testbare.slice");
    let unit = Unit::start("test-web.service", &["Slice=testbare.slice"], &SLEEP);
    let before = knob(slice.0, "cgroup.subtree_control").unwrap();
    assert_eq!(before, "memory pids");
    assert_eq!(unit.knob("cpu.max"), None);
    let disk = disk();
    let world = World::enforce(&format!(
        r#"
        [component.web]
        priority = "critical"
        match = {{ unit = "test-web.service" }}
        cpu = {{ guarantee = "0.2", ceiling = "500m", burst = "20ms", affinity = "0" }}
        memory = {{ guarantee = "32M", high = "96M", ceiling = "128M", swap = "8M", oom = "group" }}
        pids = {{ ceiling = 64 }}
        [[component.web.io.limits]]
        device = "{disk}"
        read = "2M"
        write = "1M"
        read-iops = 100
        write-iops = 50
        "#
    ));
    let status = world.settled(&["web"]);
    for (name, value) in [
        ("cpu.max", "50000 100000"),
        ("cpu.max.burst", "20000"),
        ("cpuset.cpus", "0"),
        ("memory.min", "33554432"),
        ("memory.low", "33554432"),
        ("memory.high", "100663296"),
        ("memory.max", "134217728"),
        ("memory.swap.max", "8388608"),
        ("memory.oom.group", "1"),
        ("pids.max", "64"),
    ] {
        assert_eq!(unit.knob(name).as_deref(), Some(value), "{name}\n{status:#}");
    }
    let words = io_words(&unit, &disk);
    assert_eq!(words, ["rbps=2097152", "riops=100", "wbps=1048576", "wiops=50"]);
    let weight: u64 = unit.knob("cpu.weight").unwrap().parse().unwrap();
    assert!((1..=10_000).contains(&weight) && weight != 100, "{weight}");
    assert_eq!(unit.show("CPUWeight"), weight.to_string());
    assert_eq!(unit.show("MemoryHigh"), "100663296");
    assert_eq!(unit.show("TasksMax"), "64");
    assert_eq!(component(&status, "web")["homes"].as_array().unwrap().len(), 1);
}

#[test]
fn a_disk_is_found_by_a_path_on_it() {
    let mount = "/run/test-mount";
    std::fs::create_dir_all(mount).unwrap();
    let partition = format!("{}1", disk());
    run("mount", &[&partition, mount]).ok();
    let unit = Unit::start("test-disk.service", &[], &SLEEP);
    let world = World::enforce(&format!(
        r#"
        [component.disk]
        match = {{ unit = "test-disk.service" }}
        [[component.disk.io.limits]]
        device = "{mount}"
        write = "3M"
        "#
    ));
    world.settled(&["disk"]);
    let words = io_words(&unit, &disk());
    drop(world);
    run("umount", &[mount]).ok();
    assert_eq!(words, ["rbps=max", "riops=max", "wbps=3145728", "wiops=max"]);
    assert_eq!(unit.knob("io.max").as_deref(), Some(""), "given back");
}

/// A logical volume on the free end of the scratch disk.
struct Volume;

impl Volume {
    const NODE: &str = "/dev/mapper/test-volume";

    /// 32 MiB behind the partition.
    fn new() -> Self {
        let table = format!("0 65536 linear {} 300000", disk());
        run("dmsetup", &["create", "test-volume", "--noudevsync", "--table", &table]).ok();
        run("dmsetup", &["mknodes"]).ok();
        Self
    }

    /// How long 8 MiB take that a process of the group writes.
    fn written_from(group: &str) -> Duration {
        let script = format!(
            "echo $$ >/sys/fs/cgroup/{group}/cgroup.procs && \
             exec dd if=/dev/zero of={} bs=64k count=128 oflag=direct status=none",
            Self::NODE
        );
        let began = Instant::now();
        run("sh", &["-c", &script]).ok();
        began.elapsed()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        run("dmsetup", &["remove", "--noudevsync", "test-volume"]);
    }
}

#[test]
fn a_limit_on_a_logical_volume_holds_on_the_disk_below() {
    let _volume = Volume::new();
    let unit = Unit::start("test-volume.service", &["IOAccounting=yes"], &SLEEP);
    let before = Volume::written_from(&unit.cgroup());
    let world = World::enforce(&format!(
        r#"
        [component.volume]
        match = {{ unit = "test-volume.service" }}
        [[component.volume.io.limits]]
        device = "{}"
        write = "2M"
        "#,
        Volume::NODE
    ));
    world.settled(&["volume"]);
    assert_eq!(io_words(&unit, &disk()), ["rbps=max", "riops=max", "wbps=2097152", "wiops=max"]);
    let limited = Volume::written_from(&unit.cgroup());
    figure("volume_8mib_seconds_before", before.as_secs_f64());
    figure("volume_8mib_seconds_at_2mib_per_second", limited.as_secs_f64());
    assert!(before < Duration::from_secs(2), "{before:?}");
    assert!(limited > Duration::from_millis(3400), "{limited:?}");
}

/// Fills the page cache with 48 MiB that need no writing back.
fn cache(name: &str) -> Unit {
    let fill = format!(
        "dd if=/dev/zero of=/var/tmp/{name} bs=1M count=48 conv=fsync status=none; exec sleep infinity"
    );
    let unit = Unit::start(&format!("{name}.service"), &[], &["sh", "-c", &fill]);
    until(&format!("{name} has filled its cache"), || {
        let full = bytes(&unit.cgroup(), "memory.current") > 45 << 20;
        let sleeps = procs_are(&unit.cgroup(), "sleep");
        (full && sleeps).then_some(())
    });
    unit
}

fn procs_are(cgroup: &str, comm: &str) -> bool {
    let pids = crate::common::unit::procs(cgroup);
    let name = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
    !pids.is_empty() && pids.iter().all(|pid| name(pid).is_ok_and(|name| name.trim() == comm))
}

/// With the multi-generational LRU (on in Debian 13) protection counts in kswapd's rounds only, and not when the root is told to
/// reclaim, as this test does; until the test is over the older LRU takes its place.
struct OlderLru(Option<String>);

impl OlderLru {
    const SWITCH: &str = "/sys/kernel/mm/lru_gen/enabled";

    fn new() -> Self {
        let before = std::fs::read_to_string(Self::SWITCH).ok();
        if before.is_some() {
            std::fs::write(Self::SWITCH, "n").unwrap();
        }
        Self(before)
    }
}

impl Drop for OlderLru {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _back = std::fs::write(Self::SWITCH, before.trim());
        }
    }
}

#[test]
fn protection_reaches_a_service_through_its_slice() {
    let _lru = OlderLru::new();
    let (guarded, other) = (cache("test-guarded"), cache("test-other"));
    // Less than the cache: what a group does not claim of its slice's protection goes to its neighbours (memory_recursiveprot).
    let world = World::enforce(
        r#"
        [component.guarded]
        priority = "critical"
        match = { unit = "test-guarded.service" }
        memory = { guarantee = "44M" }
        "#,
    );
    world.settled(&["guarded"]);
    for protection in ["memory.low", "memory.min"] {
        guarded.reaches(protection, "46137344");
        reaches("system.slice", protection, "46137344");
    }
    let left = |unit: &Unit| bytes(&unit.cgroup(), "memory.current") >> 20;
    until("the other's cache is reclaimed", || {
        // In small steps: when nothing else is left, the kernel takes from groups with memory.low too.
        let _taken = std::fs::write("/sys/fs/cgroup/memory.reclaim", "4M");
        (left(&other) <= 20).then_some(())
    });
    assert!(left(&guarded) >= 42, "{} MiB, {} MiB", left(&guarded), left(&other));
    drop(world);
    for protection in ["memory.low", "memory.min"] {
        assert_eq!(knob("system.slice", protection).as_deref(), Some("0"), "given back");
    }
}

#[test]
fn a_unit_is_limited_when_it_starts() {
    let world = World::enforce(
        r#"
        [component.later]
        match = { unit = "test-later.service" }
        pids = { ceiling = 32 }
        memory = { ceiling = "64M" }
        "#,
    );
    let status = world.status();
    assert_eq!(component(&status, "later")["homes"].as_array().unwrap().len(), 0);
    let unit = Unit::start("test-later.service", &[], &SLEEP);
    unit.reaches("pids.max", "32");
    unit.reaches("memory.max", "67108864");
}

#[test]
fn template_instances_divide_the_ceiling() {
    let text = "[Service]\nExecStart=sleep infinity\n";
    let _template = Unit::install("test-worker@.service", text);
    let _slice = Slice("system-test\\x2dworker.slice");
    let one = Unit::launch("test-worker@1.service");
    let world = World::enforce(
        r#"
        [component.worker]
        match = { unit = "test-worker@*.service" }
        cpu = { ceiling = "1" }
        memory = { ceiling = "128M" }
        "#,
    );
    one.reaches("cpu.max", "100000 100000");
    let two = Unit::launch("test-worker@2.service");
    for unit in [&one, &two] {
        unit.reaches("cpu.max", "50000 100000");
        unit.reaches("memory.max", "67108864");
    }
    let status = world.settled(&["worker"]);
    assert_eq!(component(&status, "worker")["homes"].as_array().unwrap().len(), 2);
    drop(two);
    one.reaches("cpu.max", "100000 100000");
    one.reaches("memory.max", "134217728");
    drop(world);
    assert_eq!(one.knob("memory.max").as_deref(), Some("max"), "given back");
}

#[test]
fn a_stopped_unit_keeps_its_limits_for_the_next_start() {
    let text = "[Service]\nExecStart=sleep infinity\nMemoryMax=256M\n";
    let unit = Unit::install("test-stopped.service", text);
    run("systemctl", &["start", "test-stopped.service"]).ok();
    let mut world = World::enforce(
        r#"
        [component.stopped]
        match = { unit = "test-stopped.service" }
        memory = { ceiling = "64M" }
        "#,
    );
    unit.reaches("memory.max", "67108864");
    run("systemctl", &["stop", "test-stopped.service"]).ok();
    world.until("the component has no home", |status| {
        component(status, "stopped")["homes"].as_array().unwrap().is_empty()
    });
    run("systemctl", &["start", "test-stopped.service"]).ok();
    // Before the daemon could have looked: the property is the unit's.
    assert_eq!(unit.knob("memory.max").as_deref(), Some("67108864"));
    run("systemctl", &["stop", "test-stopped.service"]).ok();
    world.stop();
    assert_eq!(unit.dropins(), Vec::<std::path::PathBuf>::new());
    run("systemctl", &["start", "test-stopped.service"]).ok();
    assert_eq!(unit.knob("memory.max").as_deref(), Some("268435456"), "the unit file's value");
}

#[test]
fn a_unit_in_a_slice_of_the_administrator() {
    let (_above, _slice) = (Slice("test.slice"), Slice("test-tier.slice"));
    let unit = Unit::start("test-tiered.service", &["Slice=test-tier.slice"], &SLEEP);
    let world = World::enforce(
        r#"
        [component.tiered]
        priority = "high"
        match = { unit = "test-tiered.service" }
        cpu = { ceiling = "250m" }
        memory = { guarantee = "32M" }
        "#,
    );
    world.settled(&["tiered"]);
    assert_eq!(unit.cgroup(), "test.slice/test-tier.slice/test-tiered.service");
    unit.reaches("cpu.max", "25000 100000");
    for group in ["test.slice", "test.slice/test-tier.slice", &unit.cgroup()] {
        reaches(group, "memory.low", "33554432");
    }
}

/// Where protected services live, with every limit of theirs.
fn of_protected() -> BTreeMap<String, Vec<Option<String>>> {
    let mut all = BTreeMap::new();
    for name in ["ssh", "dbus", "systemd-journald", "systemd-logind"] {
        let unit = format!("{name}.service");
        let group = run("systemctl", &["show", "-P", "ControlGroup", &unit]).ok();
        let group = group.trim().trim_start_matches('/').to_owned();
        if !group.is_empty() {
            let values = KNOBS.iter().map(|name| knob(&group, name)).collect();
            all.insert(group, values);
        }
    }
    all
}

#[test]
fn protected_units_are_never_touched() {
    // So that all of their files exist before, too.
    let unit = Unit::start("test-glob.service", &["CPUWeight=90", "AllowedCPUs=0-1"], &SLEEP);
    let before = of_protected();
    assert!(before.len() >= 3, "{before:?}");
    let world = World::enforce(
        r#"
        [component.everything]
        match = { unit = "*.service" }
        memory = { high = "200M", ceiling = "220M" }
        pids = { ceiling = 4000 }
        "#,
    );
    unit.reaches("pids.max", pids_share(&world).as_str());
    assert_eq!(of_protected(), before);
    let agent = cgroup_of(world.pid()).unwrap();
    let status = world.status();
    let homes = component(&status, "everything")["homes"].as_array().unwrap().clone();
    for group in before.keys() {
        assert!(homes.iter().all(|home| home["path"] != **group), "{group}");
    }
    let told = findings(&status);
    assert!(told.iter().any(|text| text.contains("dbus.service is protected")), "{told:?}");
    assert!(told.iter().any(|text| text.contains("provost itself lives in it")), "{told:?}");
    assert!(homes.iter().all(|home| home["path"] != *agent), "the agent is nobody's home: {agent}");
    drop(world);
    assert_eq!(of_protected(), before);
}

/// What each home of the component is given.
fn pids_share(world: &World) -> String {
    let status = world.settled(&["everything"]);
    let homes = component(&status, "everything")["homes"].as_array().unwrap().len();
    (4000 / homes).to_string()
}
