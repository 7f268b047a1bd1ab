//! Folders that are kept small: that none of them is the system's, and that each can be looked at by somebody who is not root.

use super::Check;
use super::hook::Whose;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::StoragePolicy;
use crate::config::raw;
use crate::config::suggest::shorten;
use crate::model::Retention;
use crate::units::{Bytes, ComponentName, Span};
use std::collections::BTreeMap;
use std::path::{Component as Part, Path, PathBuf};

const LEAST_SIZE: Bytes = Bytes::mebi(1);
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

const WHOSE: Whose = Whose {
    what: "a folder is never cleaned with",
    name: "name the account that writes the files",
    place: "the user must be in that file by name: accounts of a directory service are not seen",
};

/// Nothing of these is anybody's to remove by rule.
const SYSTEM: [&str; 11] =
    ["bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "sbin", "sys", "usr"];
/// These are, but not they themselves.
const TOO_WIDE: [&str; 9] = ["home", "media", "mnt", "opt", "root", "run", "srv", "var", "var/lib"];

impl Check<'_> {
    /// The folders that could be read.
    pub(super) fn storage(&mut self, raw: &raw::Config) -> BTreeMap<ComponentName, StoragePolicy> {
        let mut folders = BTreeMap::new();
        for (name, raw) in raw.storage.iter().flatten() {
            let key = Key::default().then("storage").then(name);
            let Some(name) = self.component_name(&key, name) else { continue };
            if let Some(folder) = self.folder(&key, raw) {
                folders.insert(name, folder);
            }
        }
        folders
    }

    fn folder(&mut self, key: &Key, raw: &raw::Storage) -> Option<StoragePolicy> {
        let path = self.folder_path(&key.then("path"), &raw.path.0);
        let user = self.unprivileged(&key.then("user"), &raw.user, &WHOSE);
        let files = match &raw.files {
            None => None,
            Some(glob) => Some(self.name_glob(&key.then("match"), &glob.0)?),
        };
        let age = Span::secs(HOUR)..=Span::secs(3650 * DAY);
        let older_than = self.duration(&key.then("older-than"), raw.older_than.as_ref(), age);
        let size = self.size(&key.then("keep-size"), raw.keep_size.as_ref());
        if let Some(small) = size.filter(|size| *size < LEAST_SIZE) {
            let issue = ConfigIssue::error(
                Code::BelowFloor,
                format!("`keep-size` must be {LEAST_SIZE} or more"),
            );
            self.report(issue, &key.then("keep-size"), format!("this is {small}"));
        }
        let retention = Retention { older_than, keep_size: size, keep_count: raw.keep_count };
        Some(StoragePolicy { path: path?, user: user?, files, retention })
    }

    fn name_glob(&mut self, key: &Key, text: &str) -> Option<crate::config::Glob> {
        if text.contains('/') {
            let message = format!("\"{}\" is more than the name of a file", shorten(text));
            let issue = ConfigIssue::error(Code::StoragePath, message).help(
                "write what names look like, such as \"*.log.*\": files of all folders below `path` are meant",
            );
            self.report(issue, key, "holds \"/\"");
            return None;
        }
        self.glob(key, text)
    }

    fn folder_path(&mut self, key: &Key, text: &str) -> Option<PathBuf> {
        let path = Path::new(text);
        if !path.is_absolute() {
            let message = format!("\"{}\" is not an absolute path", shorten(text));
            let issue = ConfigIssue::error(Code::RelativePath, message)
                .help("write the whole path, such as \"/var/log/app\"");
            self.report(issue, key, "starts without \"/\"");
            return None;
        }
        let plain: PathBuf = path.components().collect();
        let is_plain =
            path.components().all(|part| matches!(part, Part::RootDir | Part::Normal(_)));
        let below = plain.strip_prefix("/").unwrap_or(&plain);
        let is_system = SYSTEM.iter().any(|system| below.starts_with(system));
        let is_wide =
            below.as_os_str().is_empty() || TOO_WIDE.iter().any(|wide| below == Path::new(wide));
        if is_plain && !is_system && !is_wide {
            return Some(plain);
        }
        let message = format!("files below {} are not removed by a rule", shorten(text));
        let (help, label) = if is_system {
            (
                "the system is there: name a folder of an application's, such as \"/var/log/app\"",
                "the system's",
            )
        } else if is_wide {
            ("too much is there: name one folder in it", "too wide")
        } else {
            ("write the path without \"..\"", "leads elsewhere")
        };
        let issue = ConfigIssue::error(Code::StoragePath, message).help(help);
        self.report(issue, key, label);
        None
    }
}
