//! Tests of the whole room: golden diagnostics, precedence and merging, canonical forms, and that no bytes can hurt.
#![allow(clippy::disallowed_methods, reason = "test code: fixtures are read and folders are made")]

mod golden;
mod precedence;
mod property;
mod quotas;
mod reference;
mod schedules;

use super::*;
use crate::units::{Bytes, CpuSet, DeviceId};
use std::path::{Path, PathBuf};

/// Two disks; `/var/lib` is on the first.
fn resolve(path: &Path) -> Result<Vec<DeviceId>, String> {
    match path.to_str() {
        Some("/dev/sda" | "/var/lib") => Ok(vec![DeviceId { major: 8, minor: 0 }]),
        Some("/dev/nvme0n1") => Ok(vec![DeviceId { major: 259, minor: 0 }]),
        Some("/proc") => Ok(Vec::new()),
        Some(_) | None => Err("no such file or directory".to_owned()),
    }
}

/// One program is missing.
fn program(path: &Path) -> Result<(), String> {
    if path == Path::new("/usr/bin/missing") {
        return Err("no such file or directory".to_owned());
    }
    Ok(())
}

/// A host of four CPUs and 8 GiB.
fn host() -> Capacity<'static> {
    Capacity {
        online: CpuSet::of(0..4),
        memory: Bytes::mebi(8192),
        page: Bytes(4096),
        resolve_device: &resolve,
        check_program: &program,
    }
}

pub(super) fn load_text(name: &str, text: &str) -> Result<Loaded, Vec<ConfigIssue>> {
    let accounts = Path::new("tests/fixtures/config/root");
    load(&Sources::text(name, text).with_accounts_below(accounts), &host())
}

/// The `.toml` files of a folder, by name.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} holds no fixture");
    files
}
