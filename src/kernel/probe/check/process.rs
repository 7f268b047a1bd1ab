//! Checks of the service manager, of provost's own rights, and of neighbours that steer the same resources.
//!
//! Pure, as its parent.

use super::super::{BusSocket, Capability, Probe};
use super::{Check, list};
use crate::kernel::hook::has_both;
use crate::units::Limit;

/// What a thousand components need: three kept files each, and some for everything else.
const FILES: u64 = 4096;

pub(super) fn systemd(probe: &Probe) -> Check {
    const ID: &str = "systemd";
    const LEAST: u32 = 247;
    if !probe.systemd.running {
        return Check::ok(ID, "not running").because(
            "provost keeps its components in a subtree of its own; units and slices cannot be named",
        );
    }
    match probe.systemd.version {
        Some(version) if version < LEAST => {
            Check::warn(ID, format!("systemd {version}"), format!("use systemd {LEAST} or later"))
                .because("older versions lack properties that provost sets")
        }
        Some(version) => Check::ok(ID, format!("systemd {version}")),
        None => Check::ok(ID, "running, version not readable"),
    }
}

pub(super) fn bus(probe: &Probe) -> Check {
    const ID: &str = "dbus";
    if !probe.systemd.running {
        return Check::ok(ID, "not needed without systemd");
    }
    let (title, fix) = match &probe.systemd.bus {
        BusSocket::Reachable => return Check::ok(ID, "the system bus accepts connections"),
        BusSocket::Absent => (
            "no socket at /run/dbus/system_bus_socket".to_owned(),
            "install dbus, then systemctl start dbus.socket",
        ),
        BusSocket::Refused { error } => (
            format!("the system bus does not accept connections: {error}"),
            "systemctl restart dbus.socket",
        ),
    };
    let detail = if probe.systemd.private_socket {
        "limits of units are set through systemd; its private socket is there, but serves systemctl only"
    } else {
        "limits of units are set through systemd; without the bus they cannot be set to last"
    };
    Check::fail(ID, title, fix).because(detail)
}

pub(super) fn capabilities(probe: &Probe) -> Check {
    const ID: &str = "capabilities";
    let Some(effective) = probe.process.capabilities else {
        return Check::warn(
            ID,
            "not known",
            "make /proc/self/status readable (hidepid, ProcSubset)",
        );
    };
    let (held, missing): (Vec<Capability>, Vec<Capability>) =
        Capability::ALL.into_iter().partition(|capability| capability.is_in(effective));
    let root = probe.process.user == Some(0);
    let who =
        probe.process.user.map_or_else(|| "unknown user".to_owned(), |user| format!("uid {user}"));
    let title = format!("{who} with {} of {} capabilities", held.len(), Capability::ALL.len());
    if missing.is_empty() && root {
        return Check::ok(ID, title);
    }
    let lost =
        missing.iter().map(|capability| format!("CAP_{} ({})", capability.name, capability.buys));
    let detail = if missing.is_empty() {
        "groups of root can be written by CAP_DAC_OVERRIDE; systemd asks for uid 0 or a polkit rule"
            .to_owned()
    } else {
        format!("missing: {}", list(lost))
    };
    Check::warn(
        ID,
        title,
        "run as root, or under the unit provost.service, whose CapabilityBoundingSet= has all of them",
    )
    .because(detail)
}

/// Hooks are off unless asked for, so a missing right is told and no defect.
pub(super) fn hooks(probe: &Probe) -> Check {
    const ID: &str = "hooks";
    const DROP_IN: &str = "the drop-in hooks.conf, which gives provost CAP_SETUID and CAP_SETGID";
    if probe.process.capabilities.is_some_and(has_both) {
        return Check::ok(ID, "hooks can be started with their users' rights")
            .because(format!("when started from here; the unit provost.service needs {DROP_IN}"));
    }
    Check::ok(ID, "no hooks: provost may not change its user here").because(format!(
        "a component with a hook needs root, and in the unit provost.service {DROP_IN}"
    ))
}

pub(super) fn open_files(probe: &Probe) -> Check {
    const ID: &str = "open-files";
    let Some(files) = probe.process.open_files else {
        return Check::warn(
            ID,
            "the limit of open files is not known",
            "make /proc/self/limits readable",
        );
    };
    let title = format!("{} open files, at most {}", files.soft, files.hard);
    if files.hard < Limit::At(FILES) {
        return Check::warn(
            ID,
            title,
            format!("LimitNOFILE={FILES} in the unit, or ulimit -H -n {FILES}"),
        )
        .because("three files of each component are kept open");
    }
    if files.soft < Limit::At(FILES) {
        return Check::ok(ID, title).because(
            "enough for some 300 components when started from here; a unit has limits of its own",
        );
    }
    Check::ok(ID, title)
}

pub(super) fn competitors(probe: &Probe) -> Check {
    const ID: &str = "competitors";
    if probe.competitors.is_empty() {
        return Check::ok(ID, "no other resource daemon is running");
    }
    let about: Vec<String> =
        probe.competitors.iter().map(|one| format!("{}: {}", one.name, one.about)).collect();
    let about = about.join("; ");
    let colliding: Vec<&str> =
        probe.competitors.iter().filter(|one| one.collides).map(|one| one.name).collect();
    let names = list(probe.competitors.iter().map(|one| one.name));
    if colliding.is_empty() {
        return Check::ok(ID, format!("beside {names}")).because(about);
    }
    Check::warn(
        ID,
        format!("beside {names}"),
        format!(
            "give one of the two the say: stop {}, or exclude your components there",
            list(colliding)
        ),
    )
    .because(about)
}

pub(super) fn sched_ext(probe: &Probe) -> Check {
    const ID: &str = "sched-ext";
    probe.sched_ext.as_ref().map_or_else(
        || Check::ok(ID, "the kernel's own scheduler runs"),
        |name| {
            Check::warn(
                ID,
                format!("a sched_ext scheduler is attached: {name}"),
                "stop the scheduler's service, or give components CPU ceilings and affinity instead of shares",
            )
            .because("such a scheduler may ignore cpu.weight and cpu.max")
        },
    )
}

pub(super) fn unreadable(probe: &Probe) -> Check {
    const ID: &str = "readable";
    const SHOWN: usize = 5;
    if probe.faults.is_empty() {
        return Check::ok(ID, "everything that was looked at could be read");
    }
    let some =
        probe.faults.iter().take(SHOWN).map(|fault| format!("{}: {}", fault.file, fault.what));
    Check::warn(
        ID,
        format!("{} files could not be read", probe.faults.len()),
        "run provost doctor as root",
    )
    .because(list(some))
}
