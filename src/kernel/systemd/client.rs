//! The calls that provost makes, each with a deadline.

use super::error::SystemdError;
use super::properties::{Property, properties, unset};
use crate::model::{Knob, KnobKind};
use crate::units::CgroupPath;
use std::time::Duration;
use tokio::time::timeout;
use zbus::Connection;
use zbus::export::ordered_stream::OrderedStreamExt as _;
use zbus::zvariant::{OwnedObjectPath, Value};

/// Longer than any healthy answer; PID 1 answers in milliseconds.
const DEADLINE: Duration = Duration::from_secs(2);
/// A job, or reading the whole configuration again, takes as long as there are units.
const JOB_DEADLINE: Duration = Duration::from_secs(30);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1",
    gen_blocking = false
)]
pub(super) trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn reload(&self) -> zbus::Result<()>;
    fn get_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    fn set_unit_properties(
        &self,
        name: &str,
        runtime: bool,
        properties: &[(&str, Value<'_>)],
    ) -> zbus::Result<()>;
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Value<'_>)],
        aux: &[(&str, Vec<(&str, Value<'_>)>)],
    ) -> zbus::Result<OwnedObjectPath>;
    fn attach_processes_to_unit(
        &self,
        name: &str,
        subcgroup: &str,
        pids: &[u32],
    ) -> zbus::Result<()>;

    #[zbus(property)]
    fn version(&self) -> zbus::Result<String>;

    #[zbus(signal)]
    fn reloading(&self, active: bool) -> zbus::Result<()>;
    #[zbus(signal)]
    fn unit_new(&self, id: String, unit: OwnedObjectPath) -> zbus::Result<()>;
    #[zbus(signal)]
    fn unit_removed(&self, id: String, unit: OwnedObjectPath) -> zbus::Result<()>;
    #[zbus(signal)]
    fn job_removed(
        &self,
        id: u32,
        job: OwnedObjectPath,
        unit: String,
        result: String,
    ) -> zbus::Result<()>;
}

/// A transient scope to be started with running processes in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeSpec {
    /// The unit's name, ending in `.scope`.
    pub unit: String,
    /// The slice it lives in.
    pub slice: String,
    /// For people.
    pub description: String,
    /// The processes; at least one.
    pub pids: Vec<u32>,
    /// Its knobs from the first moment; those without a property are left out.
    pub knobs: Vec<Knob>,
}

/// A connection to systemd.
#[derive(Debug, Clone)]
pub struct Systemd {
    connection: Connection,
    manager: ManagerProxy<'static>,
}

impl Systemd {
    /// Connects to the system bus.
    ///
    /// # Errors
    /// [`SystemdError::NoBus`] when the bus or systemd on it cannot be reached.
    pub async fn connect() -> Result<Self, SystemdError> {
        let no_bus = |error: zbus::Error| SystemdError::NoBus { message: error.to_string() };
        let connecting = async {
            let connection = Connection::system().await.map_err(no_bus)?;
            let manager = ManagerProxy::new(&connection).await.map_err(no_bus)?;
            Ok(Self { connection, manager })
        };
        within(DEADLINE, "connect", connecting).await
    }

    pub(super) const fn manager(&self) -> &ManagerProxy<'static> {
        &self.manager
    }

    /// systemd's version, as it says itself: `252.39-1~deb12u1`.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn version(&self) -> Result<String, SystemdError> {
        self.call("Version", "", self.manager.version()).await
    }

    /// Sets runtime properties of a unit for all `knobs` in one call. systemd writes them to the kernel after it has answered.
    ///
    /// # Errors
    /// [`SystemdError`]; nothing is set then.
    pub async fn set_knobs(&self, unit: &str, knobs: &[Knob]) -> Result<(), SystemdError> {
        self.set_properties(unit, &properties(knobs)).await
    }

    /// Sets runtime properties of a unit back to "not set".
    ///
    /// # Errors
    /// [`SystemdError`]; nothing is set then.
    pub async fn unset(&self, unit: &str, kinds: &[KnobKind]) -> Result<(), SystemdError> {
        self.set_properties(unit, &unset(kinds)).await
    }

    async fn set_properties(
        &self,
        unit: &str,
        properties: &[Property],
    ) -> Result<(), SystemdError> {
        if properties.is_empty() {
            return Ok(());
        }
        let call = self.manager.set_unit_properties(unit, true, properties);
        self.call("SetUnitProperties", unit, call).await
    }

    /// Starts a delegated scope around running processes, and waits until it runs. If it runs already, the processes join it.
    ///
    /// # Errors
    /// [`SystemdError`]; the processes are then where they were.
    pub async fn start_scope(&self, spec: &ScopeSpec) -> Result<(), SystemdError> {
        let unit = spec.unit.as_str();
        self.call("Subscribe", unit, self.manager.subscribe()).await.or_else(already)?;
        let mut removed = self.call("JobRemoved", unit, self.manager.receive_job_removed()).await?;
        let mut all: Vec<(&str, Value<'_>)> = vec![
            ("Description", Value::from(spec.description.as_str())),
            ("Slice", Value::from(spec.slice.as_str())),
            ("PIDs", Value::from(spec.pids.clone())),
            ("Delegate", Value::Bool(true)),
            ("CollectMode", Value::from("inactive-or-failed")),
        ];
        all.extend(properties(&spec.knobs));
        let start = self.manager.start_transient_unit(unit, "fail", &all, &[]);
        let job = match self.call("StartTransientUnit", unit, start).await {
            Ok(job) => job,
            Err(SystemdError::UnitExists { .. }) => return self.join_scope(spec).await,
            Err(error) => return Err(error),
        };
        let finished = async {
            while let Some(signal) = removed.next().await {
                let Ok(args) = signal.args() else { continue };
                if args.job == job {
                    return match args.result.as_str() {
                        "done" => Ok(()),
                        other => Err(SystemdError::Failed {
                            message: format!("the start of {unit} ended as {other}"),
                        }),
                    };
                }
            }
            Err(SystemdError::NoBus { message: "the connection ended".to_owned() })
        };
        within(JOB_DEADLINE, "StartTransientUnit", finished).await
    }

    async fn join_scope(&self, spec: &ScopeSpec) -> Result<(), SystemdError> {
        self.attach(&spec.unit, &spec.pids).await?;
        self.set_knobs(&spec.unit, &spec.knobs).await
    }

    /// Moves processes into a running unit.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn attach(&self, unit: &str, pids: &[u32]) -> Result<(), SystemdError> {
        let call = self.manager.attach_processes_to_unit(unit, "", pids);
        self.call("AttachProcessesToUnit", unit, call).await
    }

    /// The group of a loaded unit; none while it does not run.
    ///
    /// # Errors
    /// [`SystemdError`]; [`SystemdError::NoSuchUnit`] for a unit that is not loaded.
    pub async fn control_group(&self, unit: &str) -> Result<Option<CgroupPath>, SystemdError> {
        let path = self.call("GetUnit", unit, self.manager.get_unit(unit)).await?;
        let interface = match unit.rsplit('.').next() {
            Some("slice") => "org.freedesktop.systemd1.Slice",
            Some("scope") => "org.freedesktop.systemd1.Scope",
            Some(_) | None => "org.freedesktop.systemd1.Service",
        };
        let read = async {
            let reply = self
                .connection
                .call_method(
                    Some("org.freedesktop.systemd1"),
                    &path,
                    Some("org.freedesktop.DBus.Properties"),
                    "Get",
                    &(interface, "ControlGroup"),
                )
                .await?;
            let value: zbus::zvariant::OwnedValue = reply.body().deserialize()?;
            String::try_from(value).map_err(zbus::Error::from)
        };
        let group = self.call("ControlGroup", unit, read).await?;
        Ok((!group.is_empty()).then(|| CgroupPath::new(&group)))
    }

    /// Makes systemd read its configuration again. Everybody's direct writes are lost by that, so it is done only when provost leaves.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn reload(&self) -> Result<(), SystemdError> {
        let reload = async {
            self.manager.reload().await.map_err(|error| SystemdError::of("Reload", "", &error))
        };
        within(JOB_DEADLINE, "Reload", reload).await
    }

    async fn call<T>(
        &self,
        name: &'static str,
        unit: &str,
        call: impl Future<Output = zbus::Result<T>>,
    ) -> Result<T, SystemdError> {
        let call = async { call.await.map_err(|error| SystemdError::of(name, unit, &error)) };
        within(DEADLINE, name, call).await
    }
}

/// A second Subscribe on one connection is an error that means "done already".
fn already(error: SystemdError) -> Result<(), SystemdError> {
    let is_done =
        matches!(&error, SystemdError::Failed { message } if message.contains("AlreadySubscribed"));
    if is_done { Ok(()) } else { Err(error) }
}

async fn within<T>(
    deadline: Duration,
    call: &'static str,
    work: impl Future<Output = Result<T, SystemdError>>,
) -> Result<T, SystemdError> {
    let late = || SystemdError::Timeout { call, seconds: deadline.as_secs() };
    timeout(deadline, work).await.unwrap_or_else(|_| Err(late()))
}
