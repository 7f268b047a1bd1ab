//! Any text as a configuration, and the globs and expressions in it as matchers.

use crate::config::{Capacity, Code, Colour, Policy, Sources, canonical_toml, load, render};
use crate::units::{Bytes, CpuSet, DeviceId};

/// No defect is told; what is accepted has a canonical form that means the same; its matchers take any text.
///
/// # Panics
/// When one of these does not hold.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let host = Capacity {
        online: CpuSet::of(0..4),
        memory: Bytes::mebi(8192),
        page: Bytes(4096),
        resolve_device: &|_| Ok(vec![DeviceId { major: 8, minor: 0 }]),
        check_program: &|_| Ok(()),
    };
    match load(&Sources::text("fuzz.toml", &text), &host) {
        Ok(loaded) => {
            let canonical = canonical_toml(&loaded.policy);
            let again = load(&Sources::text("canonical.toml", &canonical), &host);
            let refused = again.as_ref().err().map(|issues| render(issues, Colour::Never));
            assert_eq!(refused, None, "the canonical form is refused:\n{canonical}");
            let again = again.ok().map(|again| canonical_toml(&again.policy));
            assert_eq!(again, Some(canonical));
            matchers(&loaded.policy, &text);
        }
        Err(issues) => {
            assert!(issues.iter().all(|issue| issue.code != Code::Defect), "a defect is told");
            assert!(!render(&issues, Colour::Never).is_empty());
        }
    }
}

/// A glob without special characters matches itself; every matcher answers, and answers the same when it is asked again.
fn matchers(policy: &Policy, text: &str) {
    for rule in policy.components.values().flat_map(|component| &component.rules) {
        let patterns = [&rule.unit, &rule.cgroup, &rule.container, &rule.exe, &rule.parent];
        for pattern in patterns.into_iter().flatten() {
            assert_eq!(pattern.matches(text), pattern.matches(text));
            for glob in &pattern.globs {
                let glob = glob.text();
                if !glob.contains(['*', '?', '[', ']', '{', '}', ',', '\\']) {
                    assert!(pattern.matches(glob), "{glob:?} does not match itself");
                }
            }
        }
        if let Some(cmdline) = &rule.cmdline {
            assert_eq!(cmdline.is_match(text), cmdline.find(text).is_some());
        }
    }
}
