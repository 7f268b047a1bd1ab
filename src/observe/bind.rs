//! Which cgroups and which processes belong to which component.
//!
//! **Problem.** Components are described by units, paths, containers, executables, users; on the host there are cgroups and processes,
//! some of which must never be touched, and several rules may claim the same one.
//!
//! **Approach.** Group rules bind cgroups as they are. Process rules find loose processes, which are to move to the component's own home,
//! with their descendants. The most specific rule wins: the one with more conditions, then the higher priority, then the name.
//!
//! **Terms.** *loose*: living in no service and no container, so that it may be moved. *stray*: loose, belongs to a component, and is
//! not in its home. *specificity*: the number of conditions of a rule.
//!
//! **Algorithm.** Bind groups; find for each process its best process rule; let descendants follow their nearest matched
//! ancestor unless a rule at least as specific takes them; then judge where each one lives (see [`residence`]).
//!
//! **Properties.** Kernel threads, process 1, the agent, a login session's leader and shells, and everything in a service or a container
//! are never strays, whatever the rules say. A child stays in its parent's component unless a more specific rule takes it. The
//! result does not depend on the order of rules, groups or processes.

mod groups;
mod residence;

use crate::config::{Component, Policy, Rule};
use crate::model::{Home, Refusal, Stray};
use crate::units::{CgroupId, CgroupPath, ComponentName, ProcId, Tick};
use residence::{Residence, residence};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// More generations than any real process tree has; bounds the walk to the root against a torn reading.
const MOST_GENERATIONS: usize = 64;

/// What is known of one cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFacts {
    /// Its place.
    pub path: CgroupPath,
    /// Its identity.
    pub id: CgroupId,
}

/// What is known of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Which process.
    pub id: ProcId,
    /// Its parent's number.
    pub parent: i32,
    /// Its session's number.
    pub session: i32,
    /// Its command name.
    pub comm: String,
    /// The path of its executable; none when it may not be read.
    pub exe: Option<String>,
    /// Its arguments joined by single spaces.
    pub cmdline: String,
    /// Effective user.
    pub user: u32,
    /// Effective group.
    pub group: u32,
    /// The cgroup it lives in.
    pub cgroup: CgroupPath,
    /// Whether it is a kernel thread.
    pub kernel_thread: bool,
    /// When its program was started, if the exec was seen.
    pub exec_at: Option<Tick>,
}

/// Everything that binding looks at.
#[derive(Debug)]
pub struct World<'a> {
    /// The cgroups.
    pub groups: &'a [GroupFacts],
    /// The processes, by number.
    pub processes: &'a BTreeMap<i32, ProcessFacts>,
    /// The numbers found in the configured pid files.
    pub pidfiles: &'a BTreeMap<PathBuf, i32>,
    /// The agent's own process number.
    pub agent: i32,
    /// The numbers of the agent's anchors: rules do not concern them.
    pub anchors: &'a BTreeSet<i32>,
    /// Where the agent lives.
    pub agent_at: &'a CgroupPath,
    /// Whether systemd manages the tree.
    pub systemd: bool,
}

/// Who belongs where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bindings {
    /// Where each component lives.
    pub homes: BTreeMap<ComponentName, Vec<Home>>,
    /// Who is to be moved.
    pub strays: Vec<Stray>,
    /// What is left alone though a rule matched.
    pub refused: Vec<Refusal>,
}

/// Binds the world's groups and processes to the policy's components.
#[must_use]
pub fn bind(policy: &Policy, world: &World<'_>) -> Bindings {
    let mut bindings = Bindings::default();
    groups::bind(policy, world, &mut bindings);
    let claims = claims(policy, world);
    for (pid, claim) in &claims {
        let Some(process) = world.processes.get(pid) else {
            continue;
        };
        match residence(policy, world, &bindings.homes, process) {
            Residence::Home(component) if component == claim.component.name => {}
            Residence::Home(component) => {
                if claim.outranks_home(policy, world, process, &component) {
                    bindings.strays.push(stray(process, claim));
                }
            }
            Residence::Loose => bindings.strays.push(stray(process, claim)),
            Residence::Untouchable => {}
            Residence::Owned(why) if claim.inherited => drop(why),
            Residence::Owned(why) => bindings.refused.push(Refusal {
                component: claim.component.name.clone(),
                what: format!("process {} ({})", process.id, process.comm),
                why,
            }),
        }
    }
    bindings
}

/// The component to whose home a process is to be moved; none where no rule claims it, it lives in a home already, or it may not
/// be moved. `world` needs to hold only the process and its ancestors.
#[must_use]
pub fn belongs(
    policy: &Policy,
    world: &World<'_>,
    homes: &BTreeMap<ComponentName, Vec<Home>>,
    pid: i32,
) -> Option<ComponentName> {
    let process = world.processes.get(&pid)?;
    let claims = claims(policy, world);
    let claim = claims.get(&pid)?;
    let loose = residence(policy, world, homes, process) == Residence::Loose;
    loose.then(|| claim.component.name.clone())
}

fn stray(process: &ProcessFacts, claim: &Claim<'_>) -> Stray {
    Stray {
        process: process.id,
        comm: process.comm.clone(),
        component: claim.component.name.clone(),
        from: process.cgroup.clone(),
        exec_at: process.exec_at,
    }
}

/// A component's claim on a process.
#[derive(Debug, Clone, Copy)]
struct Claim<'a> {
    component: &'a Component,
    specificity: u32,
    /// Whether the process follows an ancestor rather than matching by itself.
    inherited: bool,
}

impl Claim<'_> {
    fn rank(&self) -> (u32, u8, Reverse<&ComponentName>) {
        let priority = match self.component.priority {
            crate::model::Priority::Low => 0,
            crate::model::Priority::Normal => 1,
            crate::model::Priority::High => 2,
            crate::model::Priority::Critical => 3,
        };
        (self.specificity, priority, Reverse(&self.component.name))
    }

    /// Whether the process may leave the home of `holder`, in which it was born: only for a rule more specific than the one that
    /// holds its parent there.
    fn outranks_home(
        &self,
        policy: &Policy,
        world: &World<'_>,
        process: &ProcessFacts,
        holder: &ComponentName,
    ) -> bool {
        let Some(holder) = policy.components.get(holder) else {
            return true;
        };
        let own = best_rule(holder, world, process);
        let inherited = ancestors(world, process).find_map(|above| best_rule(holder, world, above));
        let held_by = own.max(inherited).unwrap_or(u32::MAX);
        !self.inherited && self.specificity > held_by
    }
}

/// The best claim on each process: by a rule of its own, or through its nearest claimed ancestor.
fn claims<'a>(policy: &'a Policy, world: &World<'_>) -> BTreeMap<i32, Claim<'a>> {
    let mut own: BTreeMap<i32, Claim<'a>> = BTreeMap::new();
    let seeks = |rule: &Rule| !rule.names_group() && rule.names_processes();
    let seeking: Vec<&Component> =
        policy.components.values().filter(|component| component.rules.iter().any(seeks)).collect();
    for process in world.processes.values() {
        let claims = seeking.iter().filter_map(|component| {
            let specificity = best_rule(component, world, process)?;
            Some(Claim { component, specificity, inherited: false })
        });
        if let Some(claim) = claims.max_by(|a, b| a.rank().cmp(&b.rank())) {
            own.insert(process.id.pid, claim);
        }
    }
    let mut all = own.clone();
    for process in world.processes.values() {
        let above = ancestors(world, process).find_map(|above| own.get(&above.id.pid));
        let Some(above) = above else { continue };
        let keeps_its_own = own.get(&process.id.pid).is_some_and(|claim| {
            claim.specificity > above.specificity || claim.component.name == above.component.name
        });
        if !keeps_its_own {
            all.insert(process.id.pid, Claim { inherited: true, ..*above });
        }
    }
    all
}

fn ancestors<'a>(
    world: &'a World<'_>,
    process: &ProcessFacts,
) -> impl Iterator<Item = &'a ProcessFacts> {
    let parent = |process: &ProcessFacts| world.processes.get(&process.parent);
    std::iter::successors(parent(process), move |above| parent(above)).take(MOST_GENERATIONS)
}

/// The specificity of the component's most specific process rule that matches.
fn best_rule(component: &Component, world: &World<'_>, process: &ProcessFacts) -> Option<u32> {
    component
        .rules
        .iter()
        .filter(|rule| {
            !rule.names_group() && rule.names_processes() && matches(rule, world, process)
        })
        .map(|rule| rule.specificity)
        .max()
}

/// Whether all process conditions of the rule hold.
fn matches(rule: &Rule, world: &World<'_>, process: &ProcessFacts) -> bool {
    let exe_is = |pattern: &crate::config::Pattern, of: &ProcessFacts| {
        of.exe.as_deref().is_some_and(|exe| pattern.matches(exe))
    };
    !process.kernel_thread
        && rule.exe.as_ref().is_none_or(|pattern| exe_is(pattern, process))
        && rule.cmdline.as_ref().is_none_or(|regex| regex.is_match(&process.cmdline))
        && rule.users.as_ref().is_none_or(|users| users.contains(&process.user))
        && rule.groups.as_ref().is_none_or(|groups| groups.contains(&process.group))
        && rule
            .pidfile
            .as_ref()
            .is_none_or(|file| world.pidfiles.get(file) == Some(&process.id.pid))
        && rule
            .parent
            .as_ref()
            .is_none_or(|pattern| ancestors(world, process).any(|above| exe_is(pattern, above)))
}

#[cfg(test)]
mod tests;
