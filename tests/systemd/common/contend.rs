//! A protected service and one that gives way, both on the second CPU; the test and the daemon keep to the first.

use super::{Unit, until};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Both as components; the job has a limit that is to stay, too.
pub(crate) const COMPONENTS: &str = r#"
    [component.web]
    priority = "high"
    match = { unit = "test-web.service" }
    [component.job]
    yields = true
    match = { unit = "test-job.service" }
    memory = { ceiling = "128M" }
    "#;
/// The job's limit that is to stay.
pub(crate) const STANDING: &str = "134217728";

/// Two services that both want all of the second CPU.
#[derive(Debug)]
pub(crate) struct Contenders {
    pub(crate) job: Unit,
    _web: Unit,
}

impl Contenders {
    /// Starts both. This thread and what it starts from now on stay off their CPU.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let mut first = CpuSet::new();
        first.set(0).unwrap();
        sched_setaffinity(Pid::from_raw(0), &first).unwrap();
        let spin = |name| {
            let command = ["sh", "-c", "while :; do :; done"];
            Unit::start(name, &["AllowedCPUs=1"], &command)
        };
        Self { job: spin("test-job.service"), _web: spin("test-web.service") }
    }

    /// The cap on the job, once there is one.
    #[track_caller]
    pub(crate) fn cap(&self) -> String {
        until("the job is capped", || {
            let quota = self.quota();
            (!quota.starts_with("max")).then_some(quota)
        })
    }

    pub(crate) fn quota(&self) -> String {
        self.job.knob("cpu.max").unwrap()
    }

    /// Whether systemd knows of no cap: neither as a property nor as a file.
    #[track_caller]
    pub(crate) fn systemd_was_not_told(&self) {
        assert_eq!(self.job.show("CPUQuotaPerSecUSec"), "infinity");
        let dropins = self.job.dropins();
        let told = |file: &std::path::PathBuf| file.to_string_lossy().contains("CPUQuota");
        assert!(!dropins.iter().any(told), "{dropins:?}");
    }
}
