//! The checks on the seeds of `fuzz/seeds` and the fixtures, whole, cut and repeated, and on what proptest makes up.
#![allow(clippy::disallowed_methods, reason = "test code: seeds are read, and time is measured")]

use super::CHECKS;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

/// The files of the hosts in `tests/fixtures/hosts`.
fn host_files() -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for host in files("tests/fixtures/hosts") {
        for line in std::fs::read_to_string(host).unwrap().lines() {
            match (line.strip_prefix("  "), found.last_mut()) {
                (Some(line), Some(file)) => file.extend(format!("{line}\n").into_bytes()),
                _ if line.starts_with("= ") => found.push(Vec::new()),
                _ => {}
            }
        }
    }
    found
}

/// What the check starts from: the same that `scripts/fuzz` gives to its target.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folders = match name {
        "config" => vec!["tests/fixtures/config/valid", "tests/fixtures/config/invalid"],
        _ => vec![],
    };
    let own = format!("fuzz/seeds/{name}");
    let folders = if folders.is_empty() { vec![own.as_str()] } else { folders };
    let read = folders.into_iter().flat_map(files).map(|file| std::fs::read(file).unwrap());
    let hosts = if name == "kernel" { host_files() } else { Vec::new() };
    read.chain(hosts).collect()
}

#[test]
fn every_check_holds_on_its_seeds_and_on_their_beginnings() {
    for (name, check) in CHECKS {
        for seed in seeds(name) {
            check(&seed);
            let step = (seed.len() / 40).max(1);
            for cut in (0..seed.len()).step_by(step) {
                check(&seed[..cut]);
            }
        }
    }
}

#[test]
fn every_check_holds_on_the_seeds_of_the_others() {
    for (name, check) in CHECKS.into_iter().filter(|(name, _)| *name != "config") {
        for (other, _) in CHECKS.into_iter().filter(|(other, _)| *other != name) {
            seeds(other).iter().for_each(|seed| check(seed));
        }
    }
}

#[test]
fn every_check_has_a_target() {
    let targets: Vec<String> = files("fuzz/fuzz_targets")
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(targets, CHECKS.map(|(name, _)| name));
    let manifest = std::fs::read_to_string(Path::new(ROOT).join("fuzz/Cargo.toml")).unwrap();
    for (name, _) in CHECKS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in {manifest}");
    }
}

/// As much as is ever read of one file, full of one seed: work must grow with the text, not with its square.
#[test]
fn no_check_takes_long() {
    for (name, check) in CHECKS {
        let mut seeds = seeds(name);
        seeds.extend([b"0-8191,".to_vec(), b"1us".to_vec(), b"/a".to_vec(), b"\\040".to_vec()]);
        // Some configurations are slow by their many problems, for which config/tests has its own test.
        let most = if name == "config" { 1 << 13 } else { 1 << 16 };
        for seed in seeds.into_iter().filter(|seed| !seed.is_empty()) {
            let start = Instant::now();
            check(&seed.repeat(most / seed.len() + 1));
            let took = start.elapsed();
            let shown = String::from_utf8_lossy(&seed[..seed.len().min(40)]).into_owned();
            assert!(took < Duration::from_secs(5), "{name} took {took:?} for {shown:?}");
        }
    }
}

/// A seed of the check with some bytes replaced.
fn changed(name: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (prop::sample::select(seeds(name)), prop::collection::vec(change, 1..6)).prop_map(
        |(mut seed, changes)| {
            for (place, byte) in changes {
                if !seed.is_empty() {
                    let place = place.index(seed.len());
                    seed[place] = byte;
                }
            }
            seed
        },
    )
}

macro_rules! holds {
    ($($name:ident),+) => {
        proptest! {
            $(
                #[test]
                fn $name(
                    changed in changed(stringify!($name)),
                    text in "(?s)[a-z0-9 =:.,+\\-/()\\\\\\n\u{e9}]{0,80}",
                    bytes in prop::collection::vec(any::<u8>(), 0..120),
                ) {
                    super::$name(&changed);
                    super::$name(text.as_bytes());
                    super::$name(&bytes);
                }
            )+
        }
    };
}

holds!(config, frames, journal, kernel, knobs, properties, quantities, recording, requests, series);
