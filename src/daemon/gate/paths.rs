//! Which executables the gate guards: those that rules name exactly.

use crate::config::{Catch, Pattern, Policy, Rule};
use crate::kernel::gate::GateIssue;
use crate::units::ComponentName;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Characters that make more of a glob than a path.
const GLOB_CHARACTERS: [char; 6] = ['*', '?', '[', '{', '\\', '!'];

/// What is to be gated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Gated {
    /// The executables.
    pub(super) paths: BTreeSet<PathBuf>,
    /// The components that name them, each of which needs an anchor.
    pub(super) components: BTreeSet<ComponentName>,
    /// Components that asked for the gate in vain with at least one rule, and why.
    pub(super) by_events: Vec<(ComponentName, String)>,
}

/// The executables of all components with `catch = "gate"`.
pub(super) fn gated(policy: &Policy) -> Gated {
    let mut gated = Gated::default();
    let components = policy.components.values().filter(|component| component.catch == Catch::Gate);
    for component in components {
        for rule in &component.rules {
            match of_rule(rule) {
                Ok(paths) => {
                    gated.paths.extend(paths);
                    gated.components.insert(component.name.clone());
                }
                Err(why) => gated.by_events.push((component.name.clone(), why)),
            }
        }
    }
    gated
}

/// The executables that a rule names, or why it cannot be gated.
fn of_rule(rule: &Rule) -> Result<Vec<PathBuf>, String> {
    let Some(exe) = &rule.exe else {
        return Err("the gate guards executables, and a rule names none".to_owned());
    };
    if rule.names_group() {
        return Err(
            "the gate moves loose processes, and a rule with unit, cgroup or container moves none"
                .to_owned(),
        );
    }
    if rule.cmdline.is_some() || rule.pidfile.is_some() {
        return Err(
            "a rule with cmdline or pidfile cannot be judged before the program runs; leave the condition out to gate it"
                .to_owned(),
        );
    }
    exact(exe)
}

/// The globs of a pattern as paths, if all of them are paths.
fn exact(pattern: &Pattern) -> Result<Vec<PathBuf>, String> {
    let path = |text: &str| {
        if text.starts_with('/') && !text.contains(GLOB_CHARACTERS) {
            return Ok(PathBuf::from(text));
        }
        Err(format!(
            "exe = \"{text}\" is a pattern and the gate guards files; name each executable"
        ))
    };
    pattern.globs.iter().map(|glob| path(glob.text())).collect()
}

/// Paths that lead to a file of another name: the kernel reports an exec by the file's own, and so do rules.
pub(super) fn links(paths: &[PathBuf]) -> Vec<GateIssue> {
    let issue = |path: &PathBuf| {
        let file = std::fs::canonicalize(path).ok().filter(|file| file != path)?;
        Some(GateIssue { path: path.clone(), what: leads_to(&file) })
    };
    paths.iter().filter_map(issue).collect()
}

fn leads_to(file: &Path) -> String {
    format!(
        "the path leads to {}, under which processes run: name that in the rule",
        file.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Component, Glob};
    use crate::model::Priority;
    use crate::testing::{component, policy};

    fn pattern(texts: &[&str]) -> Option<Pattern> {
        let glob = |text: &&str| Glob::new(text).unwrap();
        Some(Pattern { globs: texts.iter().map(glob).collect() })
    }

    fn exe(texts: &[&str]) -> Rule {
        Rule { exe: pattern(texts), specificity: 1, ..Rule::default() }
    }

    fn gate(name: &str, rules: Vec<Rule>) -> Component {
        Component { rules, catch: Catch::Gate, ..component(name, Priority::Low) }
    }

    fn names(gated: &Gated) -> Vec<&str> {
        gated.components.iter().map(ComponentName::as_str).collect()
    }

    #[test]
    fn exact_paths_of_gated_components_are_guarded() {
        let by_events = Component {
            rules: vec![exe(&["/usr/bin/ffmpeg"])],
            ..component("media", Priority::Low)
        };
        let backup = gate("backup", vec![exe(&["/usr/bin/rsync", "/usr/bin/borg"])]);
        let gated = gated(&policy([backup, by_events]));
        let paths: Vec<&str> = gated.paths.iter().filter_map(|path| path.to_str()).collect();
        assert_eq!(paths, ["/usr/bin/borg", "/usr/bin/rsync"]);
        assert_eq!(names(&gated), ["backup"]);
        assert_eq!(gated.by_events, []);
    }

    #[test]
    fn what_cannot_be_guarded_is_named_with_its_reason() {
        let rules = vec![
            exe(&["/usr/bin/rsync"]),
            exe(&["/opt/*/bin/job"]),
            exe(&["/opt/job[12]"]),
            exe(&["rsync"]),
            Rule { cmdline: Some(regex::Regex::new("full").unwrap()), ..exe(&["/usr/bin/tar"]) },
            Rule { unit: pattern(&["x.service"]), ..exe(&["/usr/bin/x"]) },
            Rule::default(),
        ];
        let gated = gated(&policy([gate("backup", rules)]));
        assert_eq!(gated.paths, BTreeSet::from([PathBuf::from("/usr/bin/rsync")]));
        let why: Vec<&str> = gated.by_events.iter().map(|(_, why)| why.as_str()).collect();
        assert_eq!(why.len(), 6, "{why:?}");
        assert!(why[0].contains("/opt/*/bin/job"), "{why:?}");
        assert!(why[3].contains("cmdline"), "{why:?}");
        assert!(why[4].contains("unit"), "{why:?}");
        assert!(why[5].contains("names none"), "{why:?}");
    }

    #[test]
    fn a_component_with_patterns_alone_needs_no_anchor() {
        let gated = gated(&policy([gate("backup", vec![exe(&["/usr/bin/*sync"])])]));
        assert_eq!((names(&gated), gated.paths.len()), (Vec::new(), 0));
    }

    #[test]
    fn a_link_is_said_to_be_one() {
        let folder = std::env::temp_dir().join(format!("provost-links-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let folder = folder.canonicalize().unwrap();
        let (file, link) = (folder.join("file"), folder.join("link"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let issues = links(&[file.clone(), link.clone(), folder.join("missing")]);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(issues.len(), 1);
        assert_eq!(issues[0].path, link);
        assert!(issues[0].what.contains(file.to_str().unwrap()), "{}", issues[0]);
    }
}
