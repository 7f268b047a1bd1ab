//! A client of systemd on the system bus: few requests, each with a deadline, none retried here.
//!
//! Not over `/run/systemd/private`: there systemd signs its messages with the sender `org.freedesktop.systemd1`, which the
//! D-Bus specification allows for no sender and zbus refuses. Without a bus the callers write directly and say so.

use super::error::SystemdError;
use super::properties::{self, Property};
use super::proxy::{Auxiliary, ManagerProxy};
use crate::model::{Knob, KnobKind};
use crate::units::{CgroupPath, DeviceId, Span};
use futures_lite::StreamExt as _;
use std::collections::BTreeMap;
use std::time::Duration;
use zbus::Connection;
use zbus::fdo::PropertiesProxy;
use zbus::names::InterfaceName;
use zbus::proxy::CacheProperties;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

pub(super) const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";

/// How long systemd may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For the answer to one call, and for connecting; 2 s. libdbus's default of 25 s would stall whoever waits.
    pub call: Duration,
    /// For a job and for a reload, which runs all generators again; 30 s.
    pub job: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { call: Duration::from_secs(2), job: Duration::from_secs(30) }
    }
}

/// A scope to be made: a group of processes that systemd did not start, delegated to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeSpec {
    /// Its name, ending in `.scope`.
    pub unit: String,
    /// The slice to put it in, ending in `.slice`.
    pub slice: String,
    /// What `systemctl status` shows.
    pub description: String,
    /// The processes to move in; a scope without any ends at once.
    pub pids: Vec<u32>,
    /// Its first limits.
    pub knobs: Vec<Knob>,
    /// After so long systemd kills what is left in it, since version 244.
    pub lives_for: Option<Span>,
}

impl ScopeSpec {
    fn properties(&self) -> Vec<Property> {
        let mut all: Vec<Property> = vec![
            ("Description", self.description.clone().into()),
            ("Slice", self.slice.clone().into()),
            ("Delegate", true.into()),
            ("CollectMode", "inactive-or-failed".into()),
            ("PIDs", self.pids.clone().into()),
        ];
        all.extend(self.lives_for.map(|span| ("RuntimeMaxUSec", span.0.into())));
        all.extend(properties::properties(&self.knobs));
        all
    }
}

/// A connection to systemd. Must be used and dropped within the tokio runtime that it was made in: zbus spawns tasks there.
#[derive(Debug, Clone)]
pub struct Systemd {
    connection: Connection,
    pub(super) manager: ManagerProxy<'static>,
    deadlines: Deadlines,
}

impl Systemd {
    /// Connects to the system bus. systemd itself is first heard with the first request.
    ///
    /// Must be called within a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`SystemdError::NoBus`] and [`SystemdError::Timeout`].
    pub async fn connect(deadlines: Deadlines) -> Result<Self, SystemdError> {
        let opened = async {
            let connection = Connection::system().await?;
            let manager = ManagerProxy::builder(&connection)
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            Ok((connection, manager))
        };
        let (connection, manager) =
            within(deadlines.call, "connect to the system bus", opened).await?;
        Ok(Self { connection, manager, deadlines })
    }

    /// systemd's version as it names itself, for example `252.39-1~deb12u1`.
    ///
    /// # Errors
    /// [`SystemdError`] when systemd cannot be heard.
    pub async fn version(&self) -> Result<String, SystemdError> {
        self.call("ask systemd's version", self.manager.version()).await
    }

    /// Sets limits of a unit until the next boot, all in one call.
    ///
    /// Knobs without a property are left out ([`properties::names`]); nothing is sent if none is left. The call makes
    /// systemd write *all* attributes of the unit again, also those that others wrote directly.
    ///
    /// # Errors
    /// [`SystemdError`]; then nothing was set.
    pub async fn set_knobs(&self, unit: &str, knobs: &[Knob]) -> Result<(), SystemdError> {
        self.set(unit, properties::properties(knobs)).await
    }

    /// Makes systemd forget limits of a unit; see [`properties::unset`] for what that means.
    ///
    /// # Errors
    /// [`SystemdError`]; then nothing was changed.
    pub async fn unset(&self, unit: &str, kinds: &[KnobKind]) -> Result<(), SystemdError> {
        self.set(unit, properties::unset(kinds)).await
    }

    async fn set(&self, unit: &str, wanted: Vec<Property>) -> Result<(), SystemdError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
        let what = format!("set {} of {unit}", names.join(", "));
        let wanted: Vec<(&str, &Value<'_>)> =
            wanted.iter().map(|(name, value)| (*name, value)).collect();
        let call = self.manager.set_unit_properties(unit, true, &wanted);
        self.call(&what, call).await
    }

    /// What systemd holds for a unit; `None` where it holds no value, no entry where it has no property.
    ///
    /// `TasksMax` always has a value in services and scopes: the host's `DefaultTasksMax=`.
    ///
    /// # Errors
    /// [`SystemdError`]; [`SystemdError::NoSuchUnit`] also for a unit without a file.
    pub async fn believed(
        &self,
        unit: &str,
        kinds: &[KnobKind],
    ) -> Result<BTreeMap<KnobKind, Option<Knob>>, SystemdError> {
        let what = format!("read the properties of {unit}");
        let interface = interface_of(&what, unit)?;
        let path = self.call(&what, self.manager.load_unit(unit)).await?;
        let state: String = self.property(&what, &path, UNIT_INTERFACE, "LoadState").await?;
        if state == "not-found" {
            return Err(SystemdError::NoSuchUnit {
                what,
                message: format!("{unit} has no unit file"),
            });
        }
        let proxy = self.properties_of(&what, &path).await?;
        let name = InterfaceName::from_static_str_unchecked(interface);
        let all = async { Ok(proxy.get_all(name).await?) };
        let all: BTreeMap<String, OwnedValue> = self.call(&what, all).await?.into_iter().collect();
        Ok(properties::believed(kinds, &all, &device_of))
    }

    /// Where a unit's group is; `None` when the unit is not loaded or has no group now.
    ///
    /// # Errors
    /// [`SystemdError`] when systemd cannot be heard, or the kind of unit has no group.
    pub async fn control_group(&self, unit: &str) -> Result<Option<CgroupPath>, SystemdError> {
        let what = format!("ask for the control group of {unit}");
        let interface = interface_of(&what, unit)?;
        let path = match self.call(&what, self.manager.get_unit(unit)).await {
            Ok(path) => path,
            Err(SystemdError::NoSuchUnit { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let group: String = match self.property(&what, &path, interface, "ControlGroup").await {
            Ok(group) => group,
            Err(SystemdError::NoSuchUnit { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok((!group.is_empty()).then(|| CgroupPath::new(&group)))
    }

    /// How long a service may be silent before systemd kills it; `None` where that may be for ever.
    ///
    /// # Errors
    /// [`SystemdError`]; [`SystemdError::NoSuchUnit`] when it is not loaded.
    pub async fn watchdog(&self, unit: &str) -> Result<Option<Span>, SystemdError> {
        let what = format!("ask for the watchdog of {unit}");
        let interface = interface_of(&what, unit)?;
        let path = self.call(&what, self.manager.get_unit(unit)).await?;
        let usec: u64 = self.property(&what, &path, interface, "WatchdogUSec").await?;
        Ok((usec != 0 && usec != u64::MAX).then_some(Span(usec)))
    }

    /// Makes a delegated scope of running processes and waits until it runs.
    ///
    /// A scope of that name that runs already takes the processes and the limits instead.
    ///
    /// # Errors
    /// [`SystemdError`]; [`SystemdError::Timeout`] when the job did not end in time, in which case the scope may still come.
    pub async fn start_scope(&self, spec: &ScopeSpec) -> Result<(), SystemdError> {
        let unit = spec.unit.as_str();
        let what = format!("start {unit} in {} for {} processes", spec.slice, spec.pids.len());
        match self.start_transient(&what, spec).await {
            Err(SystemdError::UnitExists { .. }) => {
                self.attach(unit, &spec.pids).await?;
                self.set_knobs(unit, &spec.knobs).await
            }
            other => other,
        }
    }

    async fn start_transient(&self, what: &str, spec: &ScopeSpec) -> Result<(), SystemdError> {
        let no_others: [Auxiliary<'_>; 0] = [];
        let properties = spec.properties();
        let start = self.manager.start_transient_unit(&spec.unit, "fail", &properties, &no_others);
        self.run_job(what, &spec.unit, start).await
    }

    /// Starts a unit and waits until it runs; at once when it does already.
    ///
    /// # Errors
    /// [`SystemdError`]; [`SystemdError::NoSuchUnit`] when it has no file, [`SystemdError::Timeout`] when the job did not end in
    /// time: it goes on.
    pub async fn start_unit(&self, unit: &str) -> Result<(), SystemdError> {
        self.run_job(&format!("start {unit}"), unit, self.manager.start_unit(unit, "replace")).await
    }

    /// Stops a unit and waits until it does not run any more; at once when it does not.
    ///
    /// # Errors
    /// The same; [`SystemdError::NoSuchUnit`] when it is not loaded.
    pub async fn stop_unit(&self, unit: &str) -> Result<(), SystemdError> {
        self.run_job(&format!("stop {unit}"), unit, self.manager.stop_unit(unit, "replace")).await
    }

    /// Asks for a job of a unit, and waits for its end.
    pub(super) async fn run_job(
        &self,
        what: &str,
        unit: &str,
        asked: impl Future<Output = zbus::Result<OwnedObjectPath>>,
    ) -> Result<(), SystemdError> {
        // Before the call, as the job may be over before its answer has been read.
        self.subscribe(what).await?;
        let only_ours = [(2, unit)];
        let ends = self.manager.receive_job_removed_with_args(&only_ours);
        let mut ends = self.call(what, ends).await?;
        let job = self.call(what, asked).await?;
        let result = within(self.deadlines.job, what, async {
            while let Some(end) = ends.next().await {
                let end = end.args()?;
                if *end.job() == job {
                    return Ok(Some(end.result().clone()));
                }
            }
            Ok(None)
        });
        match result.await?.as_deref() {
            Some("done") => Ok(()),
            Some(result) => Err(SystemdError::Failed {
                what: what.to_owned(),
                message: format!("its job ended with \"{result}\""),
            }),
            None => Err(SystemdError::NoBus {
                what: what.to_owned(),
                message: "the connection ended before the job did".to_owned(),
            }),
        }
    }

    async fn subscribe(&self, what: &str) -> Result<(), SystemdError> {
        match self.call(what, self.manager.subscribe()).await {
            Err(SystemdError::Failed { message, .. })
                if message.contains("systemd1.AlreadySubscribed") =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Moves processes into a delegated unit that runs.
    ///
    /// # Errors
    /// [`SystemdError`]; some of the processes may have been moved.
    pub async fn attach(&self, unit: &str, pids: &[u32]) -> Result<(), SystemdError> {
        if pids.is_empty() {
            return Ok(());
        }
        let what = format!("move {} processes into {unit}", pids.len());
        let call = self.manager.attach_processes_to_unit(unit, "", pids);
        self.call(&what, call).await
    }

    /// Stops a slice; for slices in which nobody lives, since stopping kills whoever does.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn stop_slice(&self, unit: &str) -> Result<(), SystemdError> {
        let what = format!("stop {unit}");
        self.call(&what, self.manager.stop_unit(unit, "fail")).await.map(drop)
    }

    /// Makes systemd forget that a unit failed, so that its name is free again.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn reset_failed(&self, unit: &str) -> Result<(), SystemdError> {
        let what = format!("reset the failed state of {unit}");
        self.call(&what, self.manager.reset_failed_unit(unit)).await
    }

    /// Makes systemd read all unit files again. This resets what anybody wrote directly into its groups, on 257 delayed
    /// until the next operation on any unit; only for giving limits back.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn reload(&self) -> Result<(), SystemdError> {
        within(self.deadlines.job, "reload systemd's units", self.manager.reload()).await
    }

    async fn properties_of(
        &self,
        what: &str,
        path: &OwnedObjectPath,
    ) -> Result<PropertiesProxy<'static>, SystemdError> {
        let build = async {
            PropertiesProxy::builder(&self.connection)
                .destination("org.freedesktop.systemd1")?
                .path(path.clone())?
                .cache_properties(CacheProperties::No)
                .build()
                .await
        };
        self.call(what, build).await
    }

    /// One property.
    pub(super) async fn property<T>(
        &self,
        what: &str,
        path: &OwnedObjectPath,
        interface: &'static str,
        name: &str,
    ) -> Result<T, SystemdError>
    where
        T: TryFrom<OwnedValue, Error = zbus::zvariant::Error>,
    {
        let proxy = self.properties_of(what, path).await?;
        let interface = InterfaceName::from_static_str_unchecked(interface);
        let read = async {
            let value = proxy.get(interface, name).await?;
            Ok(T::try_from(value)?)
        };
        self.call(what, read).await
    }

    pub(super) async fn call<T>(
        &self,
        what: &str,
        asked: impl Future<Output = zbus::Result<T>>,
    ) -> Result<T, SystemdError> {
        within(self.deadlines.call, what, asked).await
    }
}

/// The answer, or the reason why there is none by the deadline.
pub(super) async fn within<T>(
    deadline: Duration,
    what: &str,
    asked: impl Future<Output = zbus::Result<T>>,
) -> Result<T, SystemdError> {
    match tokio::time::timeout(deadline, asked).await {
        Ok(answer) => answer.map_err(|error| SystemdError::of(what, &error)),
        Err(_) => Err(SystemdError::Timeout { what: what.to_owned(), waited: deadline }),
    }
}

/// The interface with the resource-control properties of a unit's kind.
fn interface_of(what: &str, unit: &str) -> Result<&'static str, SystemdError> {
    let (_, kind) = unit.rsplit_once('.').unwrap_or_default();
    match kind {
        "service" => Ok("org.freedesktop.systemd1.Service"),
        "scope" => Ok("org.freedesktop.systemd1.Scope"),
        "slice" => Ok("org.freedesktop.systemd1.Slice"),
        "socket" => Ok("org.freedesktop.systemd1.Socket"),
        "mount" => Ok("org.freedesktop.systemd1.Mount"),
        "swap" => Ok("org.freedesktop.systemd1.Swap"),
        _ => Err(SystemdError::Invalid {
            what: what.to_owned(),
            message: "only services, scopes, slices, sockets, mounts and swaps have control groups"
                .to_owned(),
        }),
    }
}

/// The device that a path in `IO…Max=` stands for: `/dev/block/MAJ:MIN` by its name, any other device file by its inode.
fn device_of(path: &str) -> Option<DeviceId> {
    if let Some(numbers) = path.strip_prefix("/dev/block/") {
        let (major, minor) = numbers.split_once(':')?;
        return Some(DeviceId { major: major.parse().ok()?, minor: minor.parse().ok()? });
    }
    let device = nix::sys::stat::stat(path).ok()?.st_rdev;
    Some(DeviceId {
        major: u32::try_from(nix::sys::stat::major(device)).ok()?,
        minor: u32::try_from(nix::sys::stat::minor(device)).ok()?,
    })
}
