//! What the facts of a [`Probe`] mean for provost: one check per thing that can be mended, each with its remedy.
//!
//! Pure: everything is decided from the probe. What is fine is said too, so that the list is the same on every host.

mod cgroup;
mod host;
mod process;

use super::Probe;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should be.
    Ok,
    /// provost works, with less than it could.
    Warn,
    /// Something that provost needs is missing.
    Fail,
}

impl Status {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name in tables and JSON; stable.
    pub id: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was found, in a few words.
    pub title: String,
    /// What follows from it for provost; may be empty.
    pub detail: String,
    /// What to do about it; present unless all is well.
    pub fix: Option<String>,
}

impl Check {
    fn ok(id: &'static str, title: impl Into<String>) -> Self {
        Self { id, status: Status::Ok, title: title.into(), detail: String::new(), fix: None }
    }

    fn warn(id: &'static str, title: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Warn, fix: Some(fix.into()), ..Self::ok(id, title) }
    }

    fn fail(id: &'static str, title: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::warn(id, title, fix) }
    }

    fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

/// Every check, in the order in which a person mends things: kernel, cgroup tree, host, own process, neighbours.
#[must_use]
pub fn checks(probe: &Probe) -> Vec<Check> {
    vec![
        host::kernel(probe),
        cgroup::hierarchy(probe),
        cgroup::v1_mounts(probe),
        cgroup::writable(probe),
        cgroup::namespace(probe),
        cgroup::controllers(probe),
        cgroup::slices(probe),
        cgroup::knobs(probe),
        cgroup::recursive_protection(probe),
        cgroup::favor_dynmods(probe),
        cgroup::cpuset_affinity(probe),
        host::topology(probe),
        host::rt_group_sched(probe),
        host::realtime(probe),
        host::pressure(probe),
        host::swap(probe),
        host::io_weight(probe),
        host::io_max(probe),
        host::clock(probe),
        process::systemd(probe),
        process::bus(probe),
        process::capabilities(probe),
        process::hooks(probe),
        process::open_files(probe),
        process::competitors(probe),
        process::sched_ext(probe),
        process::unreadable(probe),
    ]
}

/// Words in a row, or a dash where there is none.
fn list<I>(words: I) -> String
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let words: Vec<String> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}
