//! Chooses between KVM and emulation.
//!
//! A `/dev/kvm` that opens proves nothing: in some nested machines the guest then hangs. So `auto`
//! gives the first boot with KVM a short deadline, and remembers the answer in the cache.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::Duration;

/// How qemu runs the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// The host's processor.
    Kvm,
    /// Emulation.
    Tcg,
}

/// One way to try, and how long PID 1 may take to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// How qemu runs the guest.
    pub accel: Accel,
    /// Until the guest's first line.
    pub boot_deadline: Duration,
    /// Whether a missed deadline means "try the next one" and not "failed".
    pub probing: bool,
}

const PATIENT: Duration = Duration::from_secs(180);
const PROBE: Duration = Duration::from_secs(5);

impl Accel {
    /// The name in options and in the cache.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// What to try, in order. `wish` is `PROVOST_VM_ACCEL`, `remembered` what the cache says.
#[must_use]
pub fn attempts(wish: Option<&str>, remembered: Option<&str>, kvm_opens: bool) -> Vec<Attempt> {
    let patient = |accel| Attempt { accel, boot_deadline: PATIENT, probing: false };
    match (wish, remembered) {
        (Some("kvm"), _) => vec![patient(Accel::Kvm)],
        (Some("tcg"), _) | (_, Some("tcg")) => vec![patient(Accel::Tcg)],
        _ if !kvm_opens => vec![patient(Accel::Tcg)],
        (_, Some("kvm")) => vec![patient(Accel::Kvm)],
        _ => {
            let probe = Attempt { accel: Accel::Kvm, boot_deadline: PROBE, probing: true };
            vec![probe, patient(Accel::Tcg)]
        }
    }
}

/// The attempts on this machine.
#[must_use]
pub fn attempts_here(cache: &Path) -> Vec<Attempt> {
    let wish = std::env::var("PROVOST_VM_ACCEL").ok();
    let remembered = fs::read_to_string(cache.join("accel")).ok();
    let kvm = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    attempts(wish.as_deref(), remembered.as_deref().map(str::trim), kvm.is_ok())
}

/// Keeps the answer for the next boots. Failing to is no more than a slower next boot.
pub fn remember(cache: &Path, accel: Accel) {
    let _slower = fs::write(cache.join("accel"), accel.name());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wish: Option<&str>, remembered: Option<&str>, kvm_opens: bool) -> Vec<&'static str> {
        attempts(wish, remembered, kvm_opens).iter().map(|attempt| attempt.accel.name()).collect()
    }

    #[test]
    fn a_wish_wins() {
        assert_eq!(names(Some("kvm"), Some("tcg"), false), ["kvm"]);
        assert_eq!(names(Some("tcg"), Some("kvm"), true), ["tcg"]);
    }

    #[test]
    fn auto_probes_once_and_then_remembers() {
        assert_eq!(names(None, None, true), ["kvm", "tcg"]);
        assert_eq!(names(Some("auto"), None, true), ["kvm", "tcg"]);
        assert_eq!(names(None, Some("tcg"), true), ["tcg"]);
        assert_eq!(names(None, Some("kvm"), true), ["kvm"]);
        assert_eq!(names(None, Some("kvm"), false), ["tcg"]);
        assert_eq!(names(None, None, false), ["tcg"]);
        assert!(attempts(None, None, true)[0].probing);
    }
}
