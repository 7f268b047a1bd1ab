//! Passes alerts on: to the journal, to a program, to a server. Each has a thread of its own behind a bounded queue, so that one that is slow or
//! dead holds up neither the loop nor the others; what does not fit is counted and told. Must not decide what is told.

use crate::config::{AlertPolicy, Webhook};
use crate::enforce::call_aside;
use crate::kernel::systemd::Journald;
use crate::model::{AlertState, AlertView, Hook, Level, SinkCounts, Verdict};
use crate::publish::post;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// So many wait for a sink; what comes after is lost.
const MOST_WAITING: usize = 64;
/// A sink that fails is tried again after these.
const AGAIN_AFTER: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
/// A server has to answer in this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What a sink is told, and when.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) view: AlertView,
    /// Seconds since 1970.
    pub(super) at: u64,
}

/// How a program is called: whether systemd makes its scope, and where the cgroup tree is.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) by_systemd: bool,
    pub(super) mount: PathBuf,
}

/// All sinks.
#[derive(Debug)]
pub(super) struct Sinks {
    policy: AlertPolicy,
    host: Host,
    each: BTreeMap<&'static str, Sink>,
}

#[derive(Debug)]
struct Sink {
    from: Level,
    queue: SyncSender<Arc<Told>>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    delivered: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
    /// Whether the last one was lost or given up.
    fails: AtomicBool,
}

impl Sinks {
    pub(super) fn new(policy: &AlertPolicy, host: Host) -> Self {
        let mut sinks = Self { policy: policy.clone(), host, each: BTreeMap::new() };
        sinks.open();
        sinks
    }

    /// Follows another configuration: what waits for the old sinks is still passed on.
    pub(super) fn configure(&mut self, policy: &AlertPolicy) {
        if self.policy != *policy {
            self.policy = policy.clone();
            self.open();
        }
    }

    fn open(&mut self) {
        let mut before = std::mem::take(&mut self.each);
        let mut add = |name, from, deliver: Deliver, again: &'static [Duration]| {
            let counters = before.remove(name).map(|sink: Sink| sink.counters).unwrap_or_default();
            let sink = Sink::start(name, from, deliver, (again, counters));
            let sink = sink
                .inspect_err(|error| tracing::warn!(%error, "no thread for alerts to the {name}"));
            self.each.extend(sink.ok().map(|sink| (name, sink)));
        };
        if self.policy.journal {
            add("journal", Level::Warning, to_journal(), &AGAIN_AFTER);
        }
        if let Some(hook) = self.policy.hook.clone() {
            // It may have done what it was to do before it failed.
            add("hook", hook.from, to_hook(hook, self.host.clone()), &[]);
        }
        if let Some(webhook) = self.policy.webhook.clone() {
            add("webhook", webhook.from, to_webhook(webhook), &AGAIN_AFTER);
        }
    }

    /// Tells all sinks that want to hear of it.
    pub(super) fn tell(&self, told: &Arc<Told>) {
        for sink in self.each.values().filter(|sink| told.view.severity >= sink.from) {
            sink.tell(told);
        }
    }

    /// What each did.
    pub(super) fn counts(&self) -> BTreeMap<String, SinkCounts> {
        let counts = |(name, sink): (&&'static str, &Sink)| ((*name).to_owned(), sink.counts());
        self.each.iter().map(counts).collect()
    }

    /// What is wrong with them, one clause each.
    pub(super) fn wrongs(&self) -> impl Iterator<Item = String> {
        let failing =
            self.each.iter().filter(|(_, sink)| sink.counters.fails.load(Ordering::Relaxed));
        failing.map(|(name, _)| {
            format!("alerts do not reach the {name} ([alerts] {name}); the log says why, \"provost alerts\" has them")
        })
    }
}

/// Passes one alert on, or says why not.
type Deliver = Box<dyn FnMut(&Told) -> Result<(), String> + Send>;

impl Sink {
    fn start(
        name: &'static str,
        from: Level,
        deliver: Deliver,
        (again, counters): (&'static [Duration], Arc<Counters>),
    ) -> std::io::Result<Self> {
        let (queue, waiting) = sync_channel(MOST_WAITING);
        let theirs = Arc::clone(&counters);
        let thread = std::thread::Builder::new().name(format!("to-{name}"));
        thread.spawn(move || pass_on(name, &waiting, deliver, (again, &theirs)))?;
        Ok(Self { from, queue, counters })
    }

    fn tell(&self, told: &Arc<Told>) {
        let Counters { lost, waiting, fails, .. } = &*self.counters;
        waiting.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(Arc::clone(told)).is_err() {
            waiting.fetch_sub(1, Ordering::Relaxed);
            lost.fetch_add(1, Ordering::Relaxed);
            fails.store(true, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> SinkCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counters { delivered, failed, lost, waiting, .. } = &*self.counters;
        SinkCounts {
            delivered: of(delivered),
            failed: of(failed),
            lost: of(lost),
            waiting: of(waiting),
        }
    }
}

/// The thread of a sink: one after the other, each until it is taken or given up. Ends when nobody tells it anything any more.
fn pass_on(
    name: &str,
    waiting: &Receiver<Arc<Told>>,
    mut deliver: Deliver,
    (again, counters): (&[Duration], &Counters),
) {
    while let Ok(told) = waiting.recv() {
        let mut result = deliver(&told);
        for pause in again {
            if result.is_ok() {
                break;
            }
            std::thread::sleep(*pause);
            result = deliver(&told);
        }
        counters.waiting.fetch_sub(1, Ordering::Relaxed);
        counters.fails.store(result.is_err(), Ordering::Relaxed);
        let count = if result.is_ok() { &counters.delivered } else { &counters.failed };
        count.fetch_add(1, Ordering::Relaxed);
        if let Err(why) = result {
            tracing::warn!(alert = told.view.id, "the {name} did not take an alert: {why}");
        }
    }
}

fn to_journal() -> Deliver {
    Box::new(|told| {
        let journald = Journald::open().map_err(|error| error.to_string())?;
        let view = &told.view;
        let message = format!("{} {}, {}: {}", view.id, view.severity, view.state, view.text);
        let sent = journald.send(&[
            ("MESSAGE", &message),
            ("MESSAGE_ID", view.kind.message_id()),
            ("PRIORITY", priority(view)),
            ("SYSLOG_IDENTIFIER", "provost"),
            ("PROVOST_ALERT", &view.id),
            ("PROVOST_KIND", view.kind.word()),
            ("PROVOST_SUBJECT", &view.subject),
            ("PROVOST_SEVERITY", view.severity.word()),
            ("PROVOST_STATE", view.state.word()),
        ]);
        if sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            // There is no journal on this host: its log is what the administrator reads.
            tracing::warn!(alert = view.id, "{message}");
            return Ok(());
        }
        sent.map_err(|error| error.to_string())
    })
}

/// The journal's levels: notice for what is over, else warning, error, critical.
const fn priority(view: &AlertView) -> &'static str {
    match (view.state, view.severity) {
        (AlertState::Resolved, _) | (_, Level::Normal) => "5",
        (_, Level::Warning) => "4",
        (_, Level::Critical) => "3",
        (_, Level::Emergency) => "2",
    }
}

fn to_hook(hook: Hook, host: Host) -> Deliver {
    Box::new(move |told| {
        let view = &told.view;
        let variables = vec![
            ("PROVOST_ALERT", view.id.clone()),
            ("PROVOST_KIND", view.kind.to_string()),
            ("PROVOST_SUBJECT", view.subject.clone()),
            ("PROVOST_SEVERITY", view.severity.to_string()),
            ("PROVOST_STATE", view.state.to_string()),
            ("PROVOST_TEXT", view.text.clone()),
        ];
        let (verdict, said) = call_aside(&hook, variables, (host.by_systemd, &host.mount));
        match verdict {
            Verdict::Refused { advice, .. } if said.is_empty() => Err(advice),
            Verdict::Refused { advice, .. } => Err(format!("{advice}: {said}")),
            Verdict::Applied | Verdict::Clipped { .. } | Verdict::Gone => Ok(()),
        }
    })
}

fn to_webhook(webhook: Webhook) -> Deliver {
    Box::new(move |told| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let posted = post(webhook.address, &webhook.path, document(told), ANSWER_WITHIN);
        runtime.block_on(posted).map_err(|error| error.to_string())
    })
}

/// What a server gets.
fn document(told: &Told) -> String {
    let view = &told.view;
    json!({
        "schema": "provost/alert/v1",
        "at": told.at,
        "id": view.id,
        "kind": view.kind,
        "subject": view.subject,
        "severity": view.severity,
        "state": view.state,
        "flapping": view.flapping,
        "text": view.text,
        "evidence": view.evidence,
    })
    .to_string()
}

#[cfg(test)]
mod tests;
