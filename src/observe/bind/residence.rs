//! Where a process lives, and whether it may be moved from there.
//!
//! A process of a service is never taken out of it: systemd would lose its children at the next stop and start a second copy beside
//! them at the next restart. A process of a container belongs to its runtime. A login session's leader and shells stay, so that nobody
//! is locked out; what is started inside a session is loose.

use super::{ProcessFacts, World};
use crate::config::Policy;
use crate::model::Home;
use crate::units::{CgroupPath, ComponentName};
use std::collections::BTreeMap;

/// Programs that hold a login session together.
const SESSION_PROGRAMS: [&str; 10] = [
    "sshd",
    "sshd-session",
    "login",
    "systemd",
    "(sd-pam)",
    "su",
    "sudo",
    "agetty",
    "getty",
    "gdm-session-wor",
];
const SHELLS: [&str; 9] = ["bash", "sh", "dash", "zsh", "fish", "ksh", "tcsh", "csh", "busybox"];

/// Where a process lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Residence {
    /// In a home of this component.
    Home(ComponentName),
    /// Nowhere in particular: it may be moved.
    Loose,
    /// Never to be touched, and not worth a word: process 1, the agent, a session's leader.
    Untouchable,
    /// In somebody else's keeping, with the reason and the way out.
    Owned(String),
}

/// Judges where `process` lives.
pub(super) fn residence(
    policy: &Policy,
    world: &World<'_>,
    homes: &BTreeMap<ComponentName, Vec<Home>>,
    process: &ProcessFacts,
) -> Residence {
    if process.kernel_thread
        || process.id.pid <= 1
        || process.id.pid == world.agent
        || world.anchors.contains(&process.id.pid)
        || holds_session(process)
    {
        return Residence::Untouchable;
    }
    let home = homes
        .iter()
        .find(|(_, homes)| homes.iter().any(|home| home.path().contains(&process.cgroup)));
    if let Some((component, _)) = home {
        return Residence::Home(component.clone());
    }
    match keeper(policy, &process.cgroup) {
        Some(why) => Residence::Owned(why),
        None => Residence::Loose,
    }
}

/// In whose keeping the processes of a group are, with the way out; none when they are loose and may be moved.
fn keeper(policy: &Policy, cgroup: &CgroupPath) -> Option<String> {
    let parts: Vec<&str> = cgroup.components().collect();
    let sealed = |unit: &&&str| !unit.starts_with("session-") && policy.seals(unit);
    if let Some(unit) = parts.iter().find(|unit| sealed(unit)) {
        return Some(format!("{unit} is protected"));
    }
    if let Some(container) = parts.iter().find_map(|part| super::groups::container_id(part)) {
        let short: String = container.chars().take(12).collect();
        return Some(format!(
            "it runs in container {short}; match the container with match = {{ container = \"{short}\" }}"
        ));
    }
    // user@1000.service holds a whole user's session: what counts is the innermost unit.
    let unit = parts.iter().rev().find(|part| is_unit(part))?;
    unit.ends_with(".service").then(|| {
        format!(
            "it belongs to {unit}, and systemd would lose track of it; match the unit with match = {{ unit = \"{unit}\" }}"
        )
    })
}

fn is_unit(part: &str) -> bool {
    part.ends_with(".service") || part.ends_with(".scope") || part.ends_with(".slice")
}

/// Whether the process keeps a login session alive: its leader, or a shell that leads a terminal's session.
fn holds_session(process: &ProcessFacts) -> bool {
    let in_session = in_session_scope(&process.cgroup);
    let leads = process.session == process.id.pid;
    let comm = process.comm.trim_start_matches('-');
    in_session && (SESSION_PROGRAMS.contains(&comm) || leads && SHELLS.contains(&comm))
}

fn in_session_scope(cgroup: &CgroupPath) -> bool {
    let name = cgroup.name();
    name.starts_with("session-") && name.ends_with(".scope") || name == "init.scope"
}
