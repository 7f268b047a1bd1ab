//! Checks of the cgroup tree: hierarchy, controllers, knobs, mount options.
//!
//! Pure, as its parent.

use super::super::{HierarchyKind, KernelVersion, KnobReach, Probe};
use super::{Check, list};
use crate::model::Controller;

const UNIFY: &str =
    "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all on the kernel command line";

const NO_V2: &str = "no cgroup v2 mount to look at";

/// Without a v2 mount a check of its contents says so and points to the one remedy.
fn without_v2(id: &'static str) -> Check {
    Check::warn(id, NO_V2, UNIFY)
}

/// Nothing to look at in the v2 tree: no mount, or a mount without any controller.
fn without_controllers(id: &'static str, probe: &Probe) -> Option<Check> {
    if probe.hierarchy.v2.is_none() {
        return Some(without_v2(id));
    }
    probe.groups.offered.is_empty().then(|| {
        Check::warn(id, "cgroup v2 has no controller here", "see the check \"controllers\"")
    })
}

pub(super) fn hierarchy(probe: &Probe) -> Check {
    const ID: &str = "cgroup-hierarchy";
    let at = probe.hierarchy.v2.as_ref().map_or("-", |mount| mount.at.as_str());
    match probe.hierarchy.kind() {
        HierarchyKind::Pure => Check::ok(ID, format!("pure cgroup v2 at {at}")),
        HierarchyKind::Hybrid if probe.groups.offered.is_empty() => {
            Check::fail(ID, format!("hybrid: v2 at {at} has none of the controllers"), UNIFY)
                .because(
                    "v1 hierarchies hold every controller that provost uses; no limit can be set",
                )
        }
        HierarchyKind::Hybrid => Check::warn(ID, format!("hybrid: v2 at {at} beside v1"), UNIFY)
            .because(format!("only what v2 has can be limited: {}", words(&probe.groups.offered))),
        HierarchyKind::Legacy => Check::fail(ID, "cgroup v1 only", UNIFY)
            .because("provost uses cgroup v2; no limit can be set"),
        HierarchyKind::None => Check::fail(
            ID,
            "no cgroup hierarchy is mounted",
            "mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup",
        ),
    }
}

pub(super) fn v1_mounts(probe: &Probe) -> Check {
    const ID: &str = "cgroup-v1";
    if probe.hierarchy.v1.is_empty() {
        return Check::ok(ID, "no v1 controller is mounted");
    }
    let held = probe.hierarchy.v1.iter().map(|(controller, at)| format!("{controller} ({at})"));
    Check::warn(ID, "v1 hierarchies hold controllers", UNIFY).because(format!(
        "a controller mounted as v1 is missing from v2, and release_agent of v1 runs as root: {}",
        list(held)
    ))
}

pub(super) fn writable(probe: &Probe) -> Check {
    const ID: &str = "cgroup-writable";
    match &probe.hierarchy.v2 {
        None => without_v2(ID),
        Some(mount) if mount.read_only => Check::fail(
            ID,
            format!("{} is mounted read-only", mount.at),
            "in a unit: ProtectControlGroups=no; in a container: give it a writable cgroup namespace",
        )
        .because("every write answers EROFS; provost can only observe"),
        Some(mount) => Check::ok(ID, format!("{} is mounted read-write", mount.at)),
    }
}

pub(super) fn namespace(probe: &Probe) -> Check {
    const ID: &str = "namespaces";
    let spaces = &probe.namespaces;
    let inside: Vec<&str> = [(spaces.cgroup, "cgroup"), (spaces.pid, "PID"), (spaces.user, "user")]
        .into_iter()
        .filter_map(|(inside, name)| inside.then_some(name))
        .collect();
    let part = probe
        .hierarchy
        .v2
        .as_ref()
        .filter(|mount| mount.root != "/")
        .map_or_else(String::new, |mount| {
            format!("; the mount shows only the group {}", mount.root)
        });
    if inside.is_empty() && spaces.container.is_none() && part.is_empty() {
        return Check::ok(ID, "in the host's own namespaces");
    }
    let manager = spaces
        .container
        .as_ref()
        .map_or_else(String::new, |name| format!(", container manager {name}"));
    Check::warn(
        ID,
        format!("inside a container: namespaces {}{manager}{part}", list(inside)),
        "run provost on the host to reach all of it",
    )
    .because("only groups and processes of this container can be found and limited")
}

pub(super) fn controllers(probe: &Probe) -> Check {
    const ID: &str = "controllers";
    if probe.hierarchy.v2.is_none() {
        return Check::fail(ID, NO_V2, UNIFY);
    }
    let missing: Vec<Controller> = Controller::ALL
        .into_iter()
        .filter(|controller| !probe.groups.offered.contains(controller))
        .collect();
    let title = format!("the root offers {}", words(&probe.groups.offered));
    if missing.is_empty() {
        return Check::ok(ID, title)
            .because(format!("top-level groups have {}", words(&probe.groups.granted)));
    }
    let detail = format!("not there, so not limited: {}", words(&missing));
    let fix = missing_controller_fix(probe, &missing);
    let essential = [Controller::Cpu, Controller::Memory];
    if essential.iter().any(|one| missing.contains(one)) {
        Check::fail(ID, title, fix).because(detail)
    } else {
        Check::warn(ID, title, fix).because(detail)
    }
}

/// Where a missing controller went: to a v1 mount, off by the command line, or never built in.
fn missing_controller_fix(probe: &Probe, missing: &[Controller]) -> String {
    let in_v1 =
        missing.iter().any(|controller| probe.hierarchy.v1.contains_key(v1_name(*controller)));
    if in_v1 {
        return UNIFY.to_owned();
    }
    let disabled = probe.command_line.iter().find(|word| word.starts_with("cgroup_disable="));
    if let Some(word) = disabled {
        return format!("remove {word} from the kernel command line and boot again");
    }
    if probe.namespaces.cgroup {
        return "have the container's manager delegate them to the container".to_owned();
    }
    "use a kernel with CONFIG_MEMCG, CONFIG_CFS_BANDWIDTH, CONFIG_BLK_CGROUP, CONFIG_CGROUP_PIDS and CONFIG_CPUSETS; on a \
     Raspberry Pi add cgroup_enable=memory"
        .to_owned()
}

const fn v1_name(controller: Controller) -> &'static str {
    match controller {
        Controller::Io => "blkio",
        Controller::Cpu | Controller::Cpuset | Controller::Memory | Controller::Pids => {
            controller.word()
        }
    }
}

pub(super) fn slices(probe: &Probe) -> Check {
    const ID: &str = "slices";
    if let Some(nothing) = without_controllers(ID, probe) {
        return nothing;
    }
    let slices =
        probe.groups.slices.iter().map(|(slice, granted)| format!("{slice} {}", words(granted)));
    let detail = format!("controllers of the units in each slice: {}", list(slices));
    let title = format!("top-level groups have {}", words(&probe.groups.granted));
    let complete = probe.groups.offered.is_subset(&probe.groups.granted);
    if complete || probe.systemd.running {
        let how = if complete {
            ""
        } else {
            "; systemd turns on the rest when provost sets a property of a unit"
        };
        return Check::ok(ID, title).because(format!("{detail}{how}"));
    }
    let off: Vec<Controller> =
        probe.groups.offered.difference(&probe.groups.granted).copied().collect();
    Check::ok(ID, title)
        .because(format!("{detail}; provost turns on {} for its own subtree", words(&off)))
}

pub(super) fn knobs(probe: &Probe) -> Check {
    const ID: &str = "knobs";
    if let Some(nothing) = without_controllers(ID, probe) {
        return nothing;
    }
    let reach = &probe.groups.knobs;
    let seen = reach.iter().filter(|knob| !knob.at.is_empty()).count();
    let title = format!("{seen} of {} knobs seen in {} groups", reach.len(), probe.groups.groups);
    let missing: Vec<&KnobReach> =
        reach.iter().filter(|knob| is_missing(knob, probe.kernel)).collect();
    let hidden: Vec<&str> = reach
        .iter()
        .filter(|knob| knob.at.is_empty() && !is_missing(knob, probe.kernel))
        .map(|knob| knob.knob.file)
        .collect();
    let unseen = if hidden.is_empty() {
        String::new()
    } else {
        format!("not visible while no group has the controller: {}", list(hidden))
    };
    if missing.is_empty() {
        return Check::ok(ID, title).because(unseen);
    }
    let lacking = missing.iter().map(|knob| format!("{} ({})", knob.knob.file, knob.knob.without));
    let newest = missing.iter().map(|knob| knob.knob.since).max();
    let fix = match newest {
        Some(newest) if probe.kernel.is_some_and(|kernel| kernel < newest) => {
            format!("Linux {newest} has all of them; without them provost leaves these out")
        }
        _ => "the kernel was built without them; use a distribution kernel".to_owned(),
    };
    Check::warn(ID, format!("{title}; absent: {}", list(lacking)), fix).because(unseen)
}

/// Absent where it should be, or from a kernel later than this one.
fn is_missing(reach: &KnobReach, kernel: Option<KernelVersion>) -> bool {
    reach.at.is_empty()
        && (reach.missing_in > 0 || kernel.is_some_and(|kernel| kernel < reach.knob.since))
}

pub(super) fn recursive_protection(probe: &Probe) -> Check {
    const ID: &str = "memory-recursiveprot";
    match &probe.hierarchy.v2 {
        None => without_v2(ID),
        Some(mount) if mount.recursive_protection => {
            Check::ok(ID, "memory protection reaches into subtrees")
        }
        Some(mount) => Check::warn(
            ID,
            "mounted without memory_recursiveprot",
            format!("mount -o remount,nsdelegate,memory_recursiveprot {}", mount.at),
        )
        .because("a guarantee of a unit does not protect groups inside the unit (Linux 5.7)"),
    }
}

pub(super) fn favor_dynmods(probe: &Probe) -> Check {
    const ID: &str = "favordynmods";
    match &probe.hierarchy.v2 {
        None => without_v2(ID),
        Some(mount) if mount.favor_dynmods => Check::ok(ID, "mounted with favordynmods")
            .because("moving a process does not wait; fork and exit are slower"),
        Some(_) => Check::ok(ID, "mounted without favordynmods").because(
            "moving one process takes some 8 ms in the kernel; provost moves in batches and leaves the mount alone",
        ),
    }
}

pub(super) fn cpuset_affinity(probe: &Probe) -> Check {
    const ID: &str = "cpuset-affinity";
    const KEEPS: KernelVersion = KernelVersion { major: 6, minor: 2 };
    let wipes = probe.kernel.is_some_and(|kernel| kernel < KEEPS);
    if !wipes {
        return Check::ok(ID, "a cpuset keeps the affinity that tasks set themselves");
    }
    if !probe.groups.offered.contains(&Controller::Cpuset) {
        return Check::ok(ID, "no cpuset controller in v2 that could wipe affinities");
    }
    Check::warn(
        ID,
        "moving a process into a group with a cpuset wipes its own affinity",
        "set cpu.affinity for no component whose threads pin themselves, or use Linux 6.2",
    )
    .because(
        "before Linux 6.2 turning the cpuset controller on does the same to everything below it",
    )
}

fn words<'a>(controllers: impl IntoIterator<Item = &'a Controller>) -> String {
    let words: Vec<&str> = controllers.into_iter().map(|controller| controller.word()).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}
