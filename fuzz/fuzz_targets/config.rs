//! Any bytes as a configuration: no panic, no hang, no defect; what is accepted has a canonical form that means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provost::config::{Capacity, Code, Colour, Sources, canonical_toml, load, render};
use provost::units::{Bytes, CpuSet, DeviceId};

fuzz_target!(|text: &str| {
    let host = Capacity {
        online: CpuSet::of(0..4),
        memory: Bytes::mebi(8192),
        page: Bytes(4096),
        resolve_device: &|_| Ok(vec![DeviceId { major: 8, minor: 0 }]),
    };
    match load(&Sources::text("fuzz.toml", text), &host) {
        Ok(loaded) => {
            let canonical = canonical_toml(&loaded.policy);
            let again = load(&Sources::text("canonical.toml", &canonical), &host);
            let again = again.unwrap_or_else(|issues| panic!("{}", render(&issues, Colour::Never)));
            assert_eq!(canonical_toml(&again.policy), canonical);
        }
        Err(issues) => {
            assert!(issues.iter().all(|issue| issue.code != Code::Defect));
            assert!(!render(&issues, Colour::Never).is_empty());
        }
    }
});
