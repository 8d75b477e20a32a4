//! Who listens, and the bounds all streams share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sonnette_core::catalogue::Catalogue;
use sonnette_core::ids::{EventId, OwnerId};
use sonnette_core::permission::Policy;
use sonnette_core::ports::{Ahead, Clock, Look, Store, Stored};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Streams at once.
const STREAMS: usize = 15_000;
/// Looks into the store at once: what they read is in memory meanwhile, and others read there too.
const LOOKS: usize = 2;
/// How long sockets may take to say goodbye when we stop.
const GOODBYE: Duration = Duration::from_secs(5);

/// See the module.
pub struct Hub {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) policy: Policy,
    /// How often the event socket says that it is there.
    pub(super) heartbeat: Duration,
    /// Ends every stream.
    pub(super) stop: CancellationToken,
    sockets: TaskTracker,
    places: Arc<Semaphore>,
    looks: Semaphore,
    ears: Mutex<BTreeMap<(OwnerId, u64), Arc<Ear>>>,
    numbers: AtomicU64,
    listening: Notify,
}

/// How a reader is woken. Waking it again before it looked adds nothing.
#[derive(Default)]
pub(super) struct Ear {
    woken: Mutex<Woken>,
    wake: Notify,
}

/// What there is to look at.
#[derive(Debug, Default)]
pub(super) struct Woken {
    /// These owners.
    pub(super) owners: BTreeSet<OwnerId>,
    /// Everything.
    pub(super) all: bool,
}

impl Ear {
    fn wake(&self, owner: Option<OwnerId>) {
        let mut woken = lock(&self.woken);
        match owner {
            Some(owner) => drop(woken.owners.insert(owner)),
            None => woken.all = true,
        }
        drop(woken);
        self.wake.notify_one();
    }

    /// Waits for something to look at.
    pub(super) async fn heard(&self) -> Woken {
        loop {
            {
                let mut woken = lock(&self.woken);
                if woken.all || !woken.owners.is_empty() {
                    return std::mem::take(&mut *woken);
                }
            }
            self.wake.notified().await;
        }
    }
}

/// A reader's place, and its ear at the owners it listens to. Dropping it gives both back.
pub(super) struct Seat {
    hub: Arc<Hub>,
    number: u64,
    pub(super) ear: Arc<Ear>,
    owners: BTreeSet<OwnerId>,
    _place: OwnedSemaphorePermit,
}

impl Seat {
    /// Makes readers look at different moments, although many came at the same one.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether this owner was not listened to before: then what came until now woke nobody.
    pub(super) fn listen(&mut self, owner: OwnerId) -> bool {
        let new = self.owners.insert(owner);
        if new {
            let first = {
                let mut ears = lock(&self.hub.ears);
                let first = ears.is_empty();
                ears.insert((owner, self.number), Arc::clone(&self.ear));
                first
            };
            if first {
                self.hub.listening.notify_one();
            }
        }
        new
    }

    pub(super) fn leave(&mut self, owner: OwnerId) {
        if self.owners.remove(&owner) {
            lock(&self.hub.ears).remove(&(owner, self.number));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut ears = lock(&self.hub.ears);
        for owner in &self.owners {
            ears.remove(&(*owner, self.number));
        }
    }
}

/// A panic while a lock is held leaves values that are still whole: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// A hub without readers.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        catalogue: Arc<Catalogue>,
        policy: Policy,
        heartbeat: Duration,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store,
            clock,
            catalogue,
            policy,
            heartbeat,
            stop,
            sockets: TaskTracker::new(),
            places: Arc::new(Semaphore::new(STREAMS)),
            looks: Semaphore::new(LOOKS),
            ears: Mutex::default(),
            numbers: AtomicU64::new(0),
            listening: Notify::new(),
        }
    }

    /// Wakes readers until the server stops, then waits a moment for sockets to close.
    pub async fn run(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            // While nobody listens the store is not asked, and collects nothing.
            let deaf = lock(&self.ears).is_empty();
            tokio::select! {
                grown = self.store.grown(), if !deaf => self.wake(grown),
                () = self.listening.notified(), if deaf => {}
                () = self.stop.cancelled() => {}
            }
        }
        self.sockets.close();
        if tokio::time::timeout(GOODBYE, self.sockets.wait()).await.is_err() {
            tracing::warn!(sockets = self.sockets.len(), "some sockets did not close in time");
        }
    }

    /// Where sockets run: they outlive the requests they began as, and are waited for when we stop.
    pub(crate) fn sockets(&self) -> &TaskTracker {
        &self.sockets
    }

    fn wake(&self, grown: Option<Vec<OwnerId>>) {
        let ears = lock(&self.ears);
        match grown {
            None => ears.values().for_each(|ear| ear.wake(None)),
            Some(owners) => {
                for owner in owners {
                    ears.range((owner, 0)..=(owner, u64::MAX)).for_each(|(_, ear)| ear.wake(Some(owner)));
                }
            }
        }
    }

    /// A place for one more reader, if there is one.
    pub(super) fn seat(self: &Arc<Self>) -> Option<Seat> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Seat {
            hub: Arc::clone(self),
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            ear: Arc::default(),
            owners: BTreeSet::new(),
            _place: place,
        })
    }

    /// Looks ahead, when it is this reader's turn.
    pub(super) async fn look(&self, look: Look) -> Stored<Ahead> {
        let _turn = self.looks.acquire().await;
        self.store.ahead(look).await
    }

    /// A piece of a frame, copied, so that the rest is not kept; `None` if the event is not there any more.
    pub(super) async fn piece(&self, event: EventId, from: usize, len: usize) -> Stored<Option<Bytes>> {
        let _turn = self.looks.acquire().await;
        let event = self.store.event(event).await?;
        Ok(event.and_then(|event| {
            let until = event.frame.len().min(from + len);
            event.frame.get(from..until).map(Bytes::copy_from_slice)
        }))
    }
}
