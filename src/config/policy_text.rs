//! A policy as text that means the same on any host: its canonical form, and what it was checked against. Must not read anything.

use super::accounts::Accounts;
use super::canonical::canonical_toml;
use super::check::Capacity;
use super::issue::{ConfigIssue, SourceFile};
use super::merged::Merged;
use super::policy::{IoDevice, IoPolicy, Policy};
use super::{Loaded, Parsed};
use crate::model::HostView;
use crate::units::{Bytes, CpuSet, DeviceId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A policy as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyText {
    /// The policy as configuration.
    pub toml: String,
    /// The disks behind each path that it names.
    disks: BTreeMap<PathBuf, Vec<DeviceId>>,
    /// The accounts that it names.
    accounts: BTreeSet<String>,
    online: CpuSet,
    memory: Bytes,
    page: Bytes,
}

impl PolicyText {
    /// The text of a policy that was checked against this host.
    #[must_use]
    pub fn of(policy: &Policy, host: &HostView) -> Self {
        Self {
            toml: canonical_toml(policy),
            disks: disks_of(policy),
            accounts: accounts_of(policy),
            online: host.online.clone(),
            memory: host.memory,
            page: host.page,
        }
    }

    /// The policy again, whatever host this is.
    ///
    /// # Errors
    /// What another version of provost does not take any more.
    pub fn policy(&self) -> Result<Policy, Vec<ConfigIssue>> {
        let text = SourceFile { name: "the recorded policy".to_owned(), text: self.toml.clone() };
        let (merged, syntax) = Merged::parse(vec![Arc::new(text)]);
        let accounts = known(&self.accounts);
        let resolve = |path: &Path| {
            let unknown = || format!("{} was not recorded", path.display());
            self.disks.get(path).cloned().ok_or_else(unknown)
        };
        let program = |_: &Path| Ok(());
        let host = Capacity {
            online: self.online.clone(),
            memory: self.memory,
            page: self.page,
            resolve_device: &resolve,
            check_program: &program,
        };
        let parsed = Parsed { merged, issues: Vec::new(), syntax, accounts };
        parsed.check(&host, Vec::new()).map(|Loaded { policy, .. }| policy)
    }
}

/// The disks behind each path that a policy names.
pub(super) fn disks_of(policy: &Policy) -> BTreeMap<PathBuf, Vec<DeviceId>> {
    let components = policy.components.values();
    let limits = policy.disks.values().chain(components.flat_map(|one| &one.io));
    let disks = limits.filter_map(|limit: &IoPolicy| match &limit.device {
        IoDevice::All => None,
        IoDevice::Path { path, disks } => Some((path.clone(), disks.clone())),
    });
    disks.collect()
}

/// The accounts that a policy names; conditions of rules have numbers by then.
pub(super) fn accounts_of(policy: &Policy) -> BTreeSet<String> {
    let components = policy.components.values();
    let hooks = components.clone().filter_map(|one| one.hook.as_ref());
    let drains = components.filter_map(|one| one.instances.as_ref()?.drain.as_ref());
    let hooks = hooks.chain(drains).chain(&policy.alerts.hook);
    let folders = policy.storage.values().map(|folder| folder.user.clone());
    hooks.map(|hook| hook.user.clone()).chain(folders).collect()
}

/// Accounts of these names. They were looked for when the policy was checked; any number but root's does.
pub(super) fn known(names: &BTreeSet<String>) -> Accounts {
    let users = names.iter().map(|name| (name.clone(), 1)).collect();
    Accounts { users, ..Accounts::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::load_text;
    use crate::config::{Colour, diff, render};
    use crate::testing::host;

    #[test]
    fn every_key_comes_back_without_the_host() {
        let text = include_str!("../../tests/fixtures/config/valid/everything.toml");
        let policy = load_text("everything.toml", text).unwrap().policy;
        let mut host = host().host;
        host.online = CpuSet::of(0..4);
        host.memory = Bytes::mebi(8192);
        let kept = PolicyText::of(&policy, &host);
        let again = match kept.policy() {
            Ok(again) => again,
            Err(issues) => panic!("{}", render(&issues, Colour::Never)),
        };
        assert_eq!(diff(&policy, &again), Vec::<String>::new());
        assert_eq!(PolicyText::of(&again, &host), kept);
        let written = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<PolicyText>(&written).unwrap(), kept);
    }

    #[test]
    fn accounts_come_back_wherever_they_are_named() {
        let hook = "{ command = [\"/usr/bin/true\"], user = \"www-data\" }";
        let match_web = "match = { unit = \"web@*.service\" }";
        for text in [
            format!("[component.web]\n{match_web}\nhook = {hook}\n"),
            format!(
                "[component.web]\n{match_web}\ninstances = {{ unit = \"web@.service\", max = 2, drain = {hook} }}\n"
            ),
            format!("[alerts]\nhook = {hook}\n"),
            "[storage.logs]\npath = \"/var/log/web\"\nuser = \"www-data\"\nkeep-count = 3\n"
                .to_owned(),
        ] {
            let policy = match load_text("x.toml", &text) {
                Ok(loaded) => loaded.policy,
                Err(issues) => panic!("{}", render(&issues, Colour::Never)),
            };
            let again = PolicyText::of(&policy, &host().host).policy();
            assert!(again.is_ok_and(|again| diff(&policy, &again).is_empty()), "{text}");
        }
    }
}
