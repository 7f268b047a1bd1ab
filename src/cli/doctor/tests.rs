//! What doctor says about the hosts in tests/fixtures/hosts, word for word.
#![allow(clippy::disallowed_methods, reason = "test code unpacks fixture trees")]

use super::*;
use crate::cli::render::cells;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hosts");

const ALL: [&str; 12] = [
    "debian12",
    "debian12-no-psi",
    "debian12-no-swap",
    "debian12-no-memory",
    "openrc",
    "bullseye-crowded",
    "hybrid",
    "debian12-guest",
    "debian13-guest",
    "linux61-hybrid",
    "linux61-no-psi",
    "linux61-no-memory",
];

/// A host unpacked from its text file; removed when dropped.
struct Host {
    root: PathBuf,
    sockets: Vec<UnixListener>,
}

impl Host {
    fn unpack(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique = format!(
            "provost-doctor-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let mut host = Self { root: std::env::temp_dir().join(unique), sockets: Vec::new() };
        host.apply(name);
        host
    }

    fn apply(&mut self, name: &str) {
        let text = fs::read_to_string(Path::new(HOSTS).join(name)).unwrap();
        let mut file: Option<PathBuf> = None;
        for line in text.lines() {
            if let (Some(content), Some(path)) = (line.strip_prefix("  "), &file) {
                let before = fs::read_to_string(path).unwrap();
                fs::write(path, format!("{before}{content}\n")).unwrap();
                continue;
            }
            file = self.directive(line);
        }
    }

    /// Carries out one line; returns the file whose content follows.
    fn directive(&mut self, line: &str) -> Option<PathBuf> {
        let (kind, rest) = line.split_once(' ').unwrap();
        let place = |path: &str| {
            let path = self.root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        match kind {
            "#" => {}
            "<" => self.apply(rest),
            "=" => {
                let path = place(rest);
                fs::write(&path, "").unwrap();
                return Some(path);
            }
            "~" => {
                let (folder, names) = rest.split_once(':').unwrap();
                fs::create_dir_all(self.root.join(folder)).unwrap();
                for name in names.split_whitespace() {
                    fs::write(place(&format!("{folder}/{name}")), "").unwrap();
                }
            }
            "@" => {
                let (path, target) = rest.split_once(" -> ").unwrap();
                let path = place(path);
                let _replaced = fs::remove_file(&path);
                symlink(target, path).unwrap();
            }
            "!" => {
                let socket = UnixListener::bind(place(rest)).unwrap();
                self.sockets.push(socket);
            }
            "-" => {
                let path = self.root.join(rest);
                if path.is_dir() {
                    fs::remove_dir_all(path).unwrap();
                } else {
                    fs::remove_file(path).unwrap();
                }
            }
            other => panic!("unknown directive {other:?} in {line:?}"),
        }
        None
    }

    fn roots(&self) -> Roots {
        Roots {
            proc: self.root.join("proc"),
            sys: self.root.join("sys"),
            cgroup: self.root.join("cgroup"),
            run: self.root.join("run"),
            boot: self.root.join("boot"),
        }
    }

    fn doctor(&self, json: bool) -> (String, u8) {
        let mut out = Vec::new();
        let args = DoctorArgs { json, strict: false };
        let code = run(args, &self.roots(), &mut out).unwrap();
        (String::from_utf8(out).unwrap(), code)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.root);
    }
}

#[test]
fn reports_read_as_they_should() {
    for name in ALL {
        let (report, code) = Host::unpack(name).doctor(false);
        for line in report.lines() {
            assert!(cells(line) <= COLUMNS, "{name}: wider than {COLUMNS}: {line}");
        }
        assert!(!report.contains('\u{1b}'), "{name}: raw escape in {report}");
        insta::assert_snapshot!(name, format!("{report}\nexit code {code}\n"));
    }
}

#[test]
fn the_document_says_the_same() {
    let (document, code) = Host::unpack("debian12").doctor(true);
    assert_eq!(code, 0);
    insta::assert_snapshot!("debian12-json", document);
}

#[test]
fn every_width_from_forty_on_is_kept() {
    let host = Host::unpack("bullseye-crowded");
    let probe = Probe::take(&host.roots());
    let checks = checks(&probe);
    for width in 40..=120 {
        for line in report(&probe, &checks, width).lines() {
            assert!(cells(line) <= width, "{} > {width}: {line}", cells(line));
        }
    }
}

#[test]
fn exit_codes_tell_warnings_only_when_asked() {
    let of = |name: &str, strict: bool| {
        let host = Host::unpack(name);
        exit_code(&checks(&Probe::take(&host.roots())), strict)
    };
    assert_eq!(of("debian12", false), 0);
    assert_eq!(of("debian12", true), 1, "no bfq is a warning");
    assert_eq!(of("debian12-no-memory", false), 2);
    assert_eq!(of("hybrid", true), 2);
}

#[test]
fn every_host_gets_the_same_checks_and_every_problem_a_remedy() {
    let ids = |name: &str| -> Vec<&str> {
        let host = Host::unpack(name);
        let found = checks(&Probe::take(&host.roots()));
        for check in &found {
            let mended = check.fix.as_ref().is_some_and(|fix| !fix.is_empty());
            assert_eq!(mended, check.status != Status::Ok, "{name}: {check:?}");
        }
        found.iter().map(|check| check.id).collect()
    };
    let first = ids("debian12");
    for name in ALL {
        assert_eq!(ids(name), first, "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let host = Host::unpack("debian12");
    let swaps = host.root.join("proc/swaps");
    fs::remove_file(&swaps).unwrap();
    fs::create_dir(&swaps).unwrap();
    let probe = Probe::take(&host.roots());
    assert_eq!(probe.faults.len(), 1, "{:?}", probe.faults);
    let checks = checks(&probe);
    let readable = checks.iter().find(|check| check.id == "readable").unwrap();
    assert_eq!(readable.status, Status::Warn);
    assert!(readable.detail.contains("proc/swaps"), "{}", readable.detail);
}

#[test]
fn a_bus_that_nobody_serves_is_told_from_none() {
    let mut host = Host::unpack("debian12");
    host.sockets.clear();
    let checks = checks(&Probe::take(&host.roots()));
    let bus = checks.iter().find(|check| check.id == "dbus").unwrap();
    assert_eq!(bus.status, Status::Fail);
    assert!(bus.title.contains("does not accept connections"), "{}", bus.title);
}
