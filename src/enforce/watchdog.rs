//! Whether a group may stand still: a service that feeds systemd's watchdog must not, as systemd kills what does not feed it.
//!
//! It is asked of systemd right before the write, by the one thread that may wait for an answer. Where there is none, nobody stands
//! still: what is not known tightens nothing.

use super::carry::Executor;
use crate::kernel::CgroupFs;
use crate::kernel::systemd::SystemdError;
use crate::model::Verdict;
use crate::units::{CgroupPath, Span};

/// Whoever stands still does so for half a minute at most (`decide::ladder`); a watchdog must leave time beyond it.
const LEAST: Span = Span::secs(40);

impl Executor {
    /// Why the processes of a group may not stand still; none where they may.
    pub(super) fn may_not_stand_still(&mut self, path: &CgroupPath) -> Option<Verdict> {
        self.systemd.as_ref()?;
        let refused = |advice| Some(Verdict::Refused { errno: 0, advice });
        for unit in services(&self.fs, path) {
            match self.systemd().and_then(|systemd| systemd.watchdog(&unit)) {
                Ok(Some(watchdog)) if watchdog < LEAST => {
                    return refused(format!(
                        "{unit} has WatchdogSec={watchdog}, and systemd kills it when it stands still for as long: write WatchdogSec={LEAST} or \
                         more into the unit, or last-resort = \"none\""
                    ));
                }
                // One that is gone does not stand still either.
                Ok(_) | Err(SystemdError::NoSuchUnit { .. }) => {}
                Err(error) => {
                    return refused(format!("whether {unit} has a watchdog is not known: {error}"));
                }
            }
        }
        None
    }
}

/// The services whose processes live in a group or below: the one that it belongs to, or all that lie below it.
fn services(fs: &CgroupFs, path: &CgroupPath) -> Vec<String> {
    // systemd knows its own units alone: a scope may hold another manager's.
    let is_whole = |part: &&str| is_service(part) || part.ends_with(".scope");
    if let Some(unit) = path.components().find(is_whole) {
        return if is_service(unit) { vec![unit.to_owned()] } else { Vec::new() };
    }
    let mut found = Vec::new();
    for child in fs.children(path).unwrap_or_default() {
        if is_service(&child) || child.ends_with(".slice") {
            found.extend(services(fs, &path.child(&child)));
        }
    }
    found
}

fn is_service(name: &str) -> bool {
    name.ends_with(".service")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_a_service_is_judged_by_that_service() {
        let dir = std::env::temp_dir().join(format!("provost-watchdog-{}", std::process::id()));
        let folders = [
            "system.slice/a.service/inner",
            "system.slice/b.scope/c.service",
            "system.slice/x.slice/d.service",
            "user.slice/user-7.slice/user@7.service/app.slice/e.service",
        ];
        folders.iter().for_each(|one| std::fs::create_dir_all(dir.join(one)).unwrap());
        let fs = CgroupFs::open_unchecked(&dir).unwrap();
        let of = |path: &str| services(&fs, &CgroupPath::new(path));
        assert_eq!(of("system.slice/a.service"), ["a.service"]);
        assert_eq!(of("system.slice/a.service/inner"), ["a.service"]);
        assert_eq!(of("system.slice/b.scope"), [""; 0]);
        assert_eq!(of("system.slice"), ["a.service", "d.service"]);
        assert_eq!(of(folders[3]), ["user@7.service"]);
        assert_eq!(of("user.slice"), ["user@7.service"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
