//! A policy as text that means the same on any host: its canonical form, and what it was checked against. Must not read anything.

use super::accounts::Accounts;
use super::canonical::canonical_toml;
use super::check::{Capacity, ResolveDevice};
use super::issue::{ConfigIssue, SourceFile};
use super::merged::Merged;
use super::policy::{IoDevice, IoPolicy, Policy};
use super::{Loaded, Parsed, Sources};
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
        let parsed = Parsed { merged, issues: Vec::new(), syntax, accounts };
        let unknown = |path: &Path| Err(format!("{} was not recorded", path.display()));
        self.capacity(&unknown, |host| parsed.check(host, Vec::new()))
            .map(|Loaded { policy, .. }| policy)
    }

    /// The host that the policy was checked against, to check another one against it. A disk that the policy does not name is looked for by
    /// `elsewhere`; programs are not looked for.
    pub fn capacity<T>(
        &self,
        elsewhere: &ResolveDevice<'_>,
        with: impl FnOnce(&Capacity<'_>) -> T,
    ) -> T {
        let resolve = |path: &Path| match self.disks.get(path) {
            Some(disks) => Ok(disks.clone()),
            None => elsewhere(path),
        };
        let program = |_: &Path| Ok(());
        with(&Capacity {
            online: self.online.clone(),
            memory: self.memory,
            page: self.page,
            resolve_device: &resolve,
            check_program: &program,
        })
    }

    /// Reads another configuration for the host of this policy. An account that the policy names is there, whether or not it is on this host.
    ///
    /// # Errors
    /// All problems; at least one is an error.
    pub fn load(&self, sources: &Sources, host: &Capacity<'_>) -> Result<Loaded, Vec<ConfigIssue>> {
        let (files, issues) = sources.read();
        let (merged, syntax) = Merged::parse(files);
        let mut accounts = known(&self.accounts);
        let here = sources.accounts();
        accounts.users.extend(here.users);
        accounts.groups.extend(here.groups);
        Parsed { merged, issues, syntax, accounts }.check(host, Vec::new())
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
    use crate::testing::{DISK, host};
    use crate::units::Limit;

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
    fn another_configuration_is_read_for_the_recorded_host() {
        let kept = PolicyText {
            toml: String::new(),
            disks: [(PathBuf::from("/srv/far-away"), vec![DISK])].into(),
            accounts: ["far-away".to_owned()].into(),
            online: CpuSet::of(0..64),
            memory: Bytes::mebi(1 << 20),
            page: Bytes(4096),
        };
        let nowhere = |path: &Path| Err(format!("no {}", path.display()));
        let text = "[component.web]\nmatch = { unit = \"web.service\" }\ncpu.guarantee = \"40\"\nmemory.ceiling = \"50%\"\n\
            hook = { command = [\"/usr/bin/far-away\"], user = \"far-away\" }\n\
            io.limits = [{ device = \"/srv/far-away\", read = \"10M\" }]\n";
        let load = |text: &str| {
            let sources = Sources::text("x.toml", text);
            kept.capacity(&nowhere, |host| kept.load(&sources, host))
        };
        let policy = match load(text) {
            Ok(loaded) => loaded.policy,
            Err(issues) => panic!("{}", render(&issues, Colour::Never)),
        };
        let web = policy.components.values().next().unwrap();
        assert_eq!(web.memory.ceiling, Limit::At(Bytes::mebi(1 << 19)));
        let issues = load(&text.replace("far-away", "farther")).unwrap_err();
        let errors = issues.iter().filter(|issue| issue.is_error()).count();
        assert_eq!(errors, 2, "the disk and the account: {}", render(&issues, Colour::Never));
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
