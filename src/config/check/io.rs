//! Limits on disks: which disks they are for, and whether they limit anything.

use super::Check;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::{Content, Key};
use crate::config::policy::{IoDevice, IoPolicy};
use crate::config::raw;
use crate::units::{ComponentName, Limit};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

impl Check<'_> {
    /// The limits that could be read; `key` is that of their list.
    pub(super) fn io_policies(&mut self, key: &Key, raw: &raw::Io) -> Vec<IoPolicy> {
        let mut policies: Vec<(Key, IoPolicy)> = Vec::new();
        for (number, raw) in raw.limits.iter().flatten().enumerate() {
            let key = self.item(key, number);
            let Some(policy) = self.io_policy(&key, raw) else {
                continue;
            };
            if let Some((earlier, _)) =
                policies.iter().find(|(_, other)| same_disk(&other.device, &policy.device))
            {
                let issue = ConfigIssue::error(
                    Code::DuplicateDevice,
                    "two limits of this component are for the same disk",
                )
                .help("write one table with all limits of the disk")
                .mark(self.merged.value_place(&key.then("device")), "again here")
                .mark(self.merged.value_place(&earlier.then("device")), "first here");
                self.issues.push(issue);
                continue;
            }
            policies.push((key, policy));
        }
        policies.into_iter().map(|(_, policy)| policy).collect()
    }

    /// What disks can do, of those that could be read.
    pub(super) fn disks(&mut self, raw: &raw::Config) -> BTreeMap<ComponentName, IoPolicy> {
        let mut disks: BTreeMap<ComponentName, IoPolicy> = BTreeMap::new();
        for (name, raw) in raw.disk.iter().flatten() {
            let key = Key::default().then("disk").then(name);
            let Some(name) = self.component_name(&key, name) else { continue };
            let device = key.then("device");
            if raw.device.0 == "all" {
                let issue =
                    ConfigIssue::error(Code::UnknownDevice, "disks differ in what they can do")
                        .help("write a table for each, with a device node such as \"/dev/sda\"");
                self.report(issue, &device, "not one disk");
                continue;
            }
            let raw = raw::IoLimit {
                device: raw.device.clone(),
                read: raw.read.clone(),
                write: raw.write.clone(),
                read_iops: raw.read_iops,
                write_iops: raw.write_iops,
            };
            let Some(disk) = self.io_policy(&key, &raw) else { continue };
            let earlier = disks.iter().find(|(_, other)| same_disk(&other.device, &disk.device));
            if let Some((earlier, _)) = earlier {
                let first = Key::default().then("disk").then(earlier.as_str()).then("device");
                let issue = ConfigIssue::error(
                    Code::DuplicateDevice,
                    "two tables say what the same disk can do",
                )
                .help("keep one of them")
                .mark(self.merged.value_place(&device), "again here")
                .mark(self.merged.value_place(&first), "first here");
                self.issues.push(issue);
                continue;
            }
            disks.insert(name, disk);
        }
        disks
    }

    fn io_policy(&mut self, key: &Key, raw: &raw::IoLimit) -> Option<IoPolicy> {
        let device = self.io_device(&key.then("device"), &raw.device.0);
        let count = |count: Option<u64>| count.map_or(Limit::Max, Limit::At);
        let read = self.rate(&key.then("read"), raw.read.as_ref());
        let write = self.rate(&key.then("write"), raw.write.as_ref());
        let node = self.merged.node(key).map(|node| &node.content);
        if matches!(node, Some(Content::Table(entries)) if entries.len() == 1) {
            let issue = ConfigIssue::error(Code::EmptyLimit, "this says nothing of the disk")
                .help("add `read`, `write`, `read-iops` or `write-iops`");
            self.report(issue, key, "only a device");
        }
        Some(IoPolicy {
            device: device?,
            read: read.unwrap_or(Limit::Max),
            write: write.unwrap_or(Limit::Max),
            read_iops: count(raw.read_iops),
            write_iops: count(raw.write_iops),
        })
    }

    fn io_device(&mut self, key: &Key, text: &str) -> Option<IoDevice> {
        if text == "all" {
            return Some(IoDevice::All);
        }
        let path = Path::new(text);
        if !path.is_absolute() {
            let issue = ConfigIssue::error(
                Code::RelativePath,
                format!("the device \"{text}\" is no absolute path"),
            )
            .help("write a device node such as \"/dev/sda\", a mount point, a file on the disk, or \"all\"");
            self.report(issue, key, "relative");
            return None;
        }
        let why = match (self.host.resolve_device)(path) {
            Ok(disks) if !disks.is_empty() => {
                return Some(IoDevice::Path { path: PathBuf::from(text), disks });
            }
            Ok(_) => "no disk is behind it".to_owned(),
            Err(why) => why,
        };
        let issue = ConfigIssue::error(Code::UnknownDevice, format!("no disk for {text}: {why}"))
            .help("`lsblk` lists the disks; a mount point or \"all\" will do as well");
        self.report(issue, key, "unknown");
        None
    }
}

/// Whether two limits are for the same disk. "all" is a default beside limits for single disks.
fn same_disk(one: &IoDevice, other: &IoDevice) -> bool {
    match (one, other) {
        (IoDevice::All, IoDevice::All) => true,
        (IoDevice::Path { disks: one, .. }, IoDevice::Path { disks: other, .. }) => {
            one.iter().any(|disk| other.contains(disk))
        }
        (IoDevice::All, IoDevice::Path { .. }) | (IoDevice::Path { .. }, IoDevice::All) => false,
    }
}
