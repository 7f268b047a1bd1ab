//! What this very process costs, for its own account. Source: `clock_gettime(2)`, `proc_pid_statm(5)`.

use super::clock;
use crate::model::OwnUse;
use crate::units::Bytes;

/// What this process holds now. The memory and the descriptors take two looks into `/proc/self`.
#[must_use]
pub fn measured(page: Bytes) -> OwnUse {
    let statm = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = statm.as_deref().and_then(resident_pages);
    let resident = pages.map(|pages| Bytes(pages.saturating_mul(page.0)));
    // The folder itself is open while it is read.
    let descriptors = std::fs::read_dir("/proc/self/fd")
        .ok()
        .and_then(|entries| u64::try_from(entries.count().saturating_sub(1)).ok());
    OwnUse { cpu: clock::own_cpu(), resident, descriptors }
}

/// The second number of `statm`.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let used = measured(Bytes(4096));
        assert!(used.cpu.0 > 0);
        assert!(used.resident > Some(Bytes::mebi(1)), "{used:?}");
        assert!(used.descriptors >= Some(3), "{used:?}");
    }

    #[test]
    fn the_second_number_counts() {
        assert_eq!(resident_pages("700 250 90 1 0 80 0\n"), Some(250));
        assert_eq!(resident_pages("700"), None);
    }
}
