//! The thread that writes the recording, and what the loop knows of it. The loop gives it full buffers and takes empty ones, and never waits.

use crate::model::Severity;
use crate::record::{Batch, Opened, Store, Which};
use crate::units::{Bytes, Tick};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// So many batches may be under way: more than one of each ring, while the disk is slow for a moment.
const UNDER_WAY: usize = 8;
/// How long the end of the daemon waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// A batch on its way.
#[derive(Debug)]
struct Order {
    which: Which,
    now: Tick,
    lost: u64,
    batch: Batch,
}

/// What the thread has to tell.
#[derive(Debug, Default)]
struct Told {
    /// Since something was lost, every batch that builds on it is of no use.
    is_broken: AtomicBool,
    /// Batches that were lost over the daemon's life.
    lost: AtomicU64,
    /// Batches that were handed over and are not written yet.
    under_way: AtomicU64,
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    /// What keeps each ring from being written now.
    troubles: Vec<(Which, String)>,
    /// What was set aside at the start.
    aside: Vec<String>,
}

impl Told {
    fn words(&self) -> std::sync::MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, which: Option<Which>, trouble: String) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.is_broken.store(true, Ordering::Relaxed);
        let Some(which) = which else { return };
        let mut words = self.words();
        if words.troubles.iter().all(|(of, _)| *of != which) {
            tracing::warn!("{trouble}; what happens is not recorded until that is mended");
            words.troubles.push((which, trouble));
        }
    }

    fn is_well(&self, which: Which) {
        let mut words = self.words();
        if words.troubles.iter().any(|(of, _)| *of == which) {
            words.troubles.retain(|(of, _)| *of != which);
            tracing::info!("what happens is recorded again");
        }
    }

    fn opened(&self, opened: Opened) {
        let Opened::SetAside { to, why } = opened else { return };
        let text = format!("an earlier recording was kept as {}: {why}", to.display());
        tracing::warn!("{text}");
        self.words().aside.push(text);
    }
}

/// The thread, as the loop sees it.
#[derive(Debug)]
pub(super) struct Writer {
    orders: SyncSender<Order>,
    empty: Receiver<Batch>,
    ended: Receiver<()>,
    told: Arc<Told>,
}

impl Writer {
    /// Starts the thread; none where it cannot be started, which is told.
    pub(super) fn start(state: &Path, budget: Bytes) -> Option<Self> {
        let (orders, taken) = sync_channel::<Order>(UNDER_WAY);
        let (give, empty) = sync_channel(UNDER_WAY);
        let (end, ended) = sync_channel(1);
        for _ in 0..UNDER_WAY {
            let _room = give.try_send(Batch::default());
        }
        let told = Arc::new(Told::default());
        let (store, tell) = (Store::new(state, budget), Arc::clone(&told));
        let thread = std::thread::Builder::new().name("recorder".to_owned());
        let started = thread.spawn(move || {
            write(store, &tell, &taken, &give);
            let _nobody_waits = end.try_send(());
        });
        started
            .inspect_err(|error| tracing::warn!(%error, "nothing is recorded"))
            .ok()
            .map(|_thread| Self { orders, empty, ended, told })
    }

    /// Takes over a batch and gives back an empty one. Whether there was room.
    pub(super) fn take(&self, which: Which, now: Tick, lost: u64, batch: &mut Batch) -> bool {
        let Ok(empty) = self.empty.try_recv() else {
            self.told.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let batch = std::mem::replace(batch, empty);
        self.told.under_way.fetch_add(1, Ordering::Relaxed);
        self.orders.try_send(Order { which, now, lost, batch }).is_ok()
    }

    /// Whether something was lost since this was asked last.
    pub(super) fn take_broken(&self) -> bool {
        self.told.is_broken.swap(false, Ordering::Relaxed)
    }

    /// Whether all that was handed over is written, or lost.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.told.under_way.load(Ordering::Relaxed) == 0
    }

    /// Something could not even be packed.
    pub(super) fn tell_unpacked(&self) {
        self.told.lose(None, String::new());
    }

    /// What a person should know.
    pub(super) fn told(&self) -> Vec<(Severity, String)> {
        let words = self.told.words();
        let lost = self.told.lost.load(Ordering::Relaxed);
        let trouble = |(_, trouble): &(Which, String)| {
            (Severity::Warning, format!("nothing is recorded: {trouble}; limits are not affected"))
        };
        let mut told: Vec<(Severity, String)> = words.troubles.iter().map(trouble).collect();
        if told.is_empty() && lost > 0 {
            let text = format!("{lost} parts of the recording were lost since the daemon started");
            told.push((Severity::Info, text));
        }
        told.extend(words.aside.iter().map(|text| (Severity::Info, text.clone())));
        told
    }

    /// Lets the thread end, and waits a moment for it.
    pub(super) fn end(self) {
        let Self { orders, ended, .. } = self;
        drop(orders);
        if ended.recv_timeout(PATIENCE).is_err() {
            tracing::warn!("the disk did not take the end of the recording in time");
        }
    }
}

/// Writes until nobody orders any more.
fn write(mut store: Store, told: &Told, orders: &Receiver<Order>, give: &SyncSender<Batch>) {
    for Order { which, now, lost, mut batch } in orders {
        let written = store
            .open(which, now)
            .map(|opened| opened.into_iter().for_each(|opened| told.opened(opened)))
            .and_then(|()| store.write(which, now, lost, &batch));
        match written {
            Ok(()) => told.is_well(which),
            Err(trouble) => told.lose(Some(which), trouble.what),
        }
        batch.clear();
        let _nobody_left = give.try_send(batch);
        told.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
