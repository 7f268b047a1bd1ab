//! The part of the interface org.freedesktop.systemd1.Manager that provost uses, with its exact D-Bus signatures.
//!
//! Source: org.freedesktop.systemd1(5).

use zbus::zvariant::{OwnedObjectPath, Value};

/// A unit that is made together with another: name and properties (`(sa(sv))`). provost makes none.
pub(super) type Auxiliary<'a> = (&'a str, Vec<(&'a str, Value<'a>)>);

/// systemd's manager object.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1",
    gen_blocking = false
)]
pub(super) trait Manager {
    /// Makes systemd send signals, until the connection ends.
    fn subscribe(&self) -> zbus::Result<()>;

    /// The unit that a process belongs to.
    #[zbus(name = "GetUnitByPID")]
    fn get_unit_by_pid(&self, pid: u32) -> zbus::Result<OwnedObjectPath>;

    /// A loaded unit's object.
    fn get_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;

    /// A unit's object; the unit is loaded first, and exists as "not-found" if it has no file.
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;

    /// Starts a unit; answers with the job.
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    /// Stops a unit; answers with the job.
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    /// Restarts a unit that runs, and leaves alone one that does not; answers with the job.
    fn try_restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    /// `sba(sv)`: sets properties of a unit, until the next boot if `runtime`.
    fn set_unit_properties(
        &self,
        name: &str,
        runtime: bool,
        properties: &[(&str, &Value<'_>)],
    ) -> zbus::Result<()>;

    /// `ssa(sv)a(sa(sv))`: makes a unit that ends with the boot, and starts it; answers with the job.
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Value<'_>)],
        aux: &[Auxiliary<'_>],
    ) -> zbus::Result<OwnedObjectPath>;

    /// `ssau`: moves processes into a group of a delegated unit; an empty `subcgroup` is the unit's own group.
    fn attach_processes_to_unit(
        &self,
        unit_name: &str,
        subcgroup: &str,
        pids: &[u32],
    ) -> zbus::Result<()>;

    /// Forgets that a unit failed.
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;

    /// Reads all unit files again; resets what others wrote into systemd's groups.
    fn reload(&self) -> zbus::Result<()>;

    /// systemd's version as it names itself, for example `252.39-1~deb12u1`.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> zbus::Result<String>;

    /// A reload begins (`true`) or ended.
    #[zbus(signal)]
    fn reloading(&self, active: bool) -> zbus::Result<()>;

    /// A unit was loaded.
    #[zbus(signal)]
    fn unit_new(&self, id: String, unit: OwnedObjectPath) -> zbus::Result<()>;

    /// A unit was forgotten.
    #[zbus(signal)]
    fn unit_removed(&self, id: String, unit: OwnedObjectPath) -> zbus::Result<()>;

    /// A job ended: `done`, `canceled`, `timeout`, `failed`, `dependency`, `skipped` …
    #[zbus(signal)]
    fn job_removed(
        &self,
        id: u32,
        job: OwnedObjectPath,
        unit: String,
        result: String,
    ) -> zbus::Result<()>;
}
