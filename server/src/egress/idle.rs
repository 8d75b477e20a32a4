//! Connections at rest, to be used again: bounded for each place and in all, and closed after a while.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// Connections `T` at rest by place `K`.
pub(super) struct Idle<K, T> {
    shelves: Arc<Mutex<Shelves<K, T>>>,
    limits: IdleLimits,
}

/// How many connections rest, and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdleLimits {
    /// To one place.
    pub each: usize,
    /// To all places: each is an open file.
    pub all: usize,
    /// Closed after so long without use.
    pub rest: Duration,
}

struct Shelves<K, T> {
    /// The one used last at the end.
    resting: HashMap<K, Vec<(Instant, T)>>,
    count: usize,
    /// Whether a task looks after them.
    swept: bool,
}

impl<K, T> fmt::Debug for Idle<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Idle({} at rest)", lock(&self.shelves).count)
    }
}

impl<K: Hash + Eq + Clone + Send + 'static, T: Send + 'static> Idle<K, T> {
    pub(super) fn new(limits: IdleLimits) -> Self {
        let shelves = Shelves { resting: HashMap::new(), count: 0, swept: false };
        Self { shelves: Arc::new(Mutex::new(shelves)), limits }
    }

    /// The connection used last; it may have been closed by the other side since.
    pub(super) fn take(&self, place: &K) -> Option<T> {
        let mut shelves = lock(&self.shelves);
        let (since, connection) = shelves.resting.get_mut(place)?.pop()?;
        shelves.count -= 1;
        drop(shelves);
        (since.elapsed() < self.limits.rest).then_some(connection)
    }

    /// Lays a connection down, or closes it where there are enough.
    pub(super) fn put(&self, place: &K, connection: T) {
        let mut shelves = lock(&self.shelves);
        if shelves.count >= self.limits.all {
            return;
        }
        match shelves.resting.get_mut(place) {
            Some(shelf) if shelf.len() >= self.limits.each => return,
            Some(shelf) => shelf.push((Instant::now(), connection)),
            None => {
                shelves.resting.insert(place.clone(), vec![(Instant::now(), connection)]);
            }
        }
        shelves.count += 1;
        if !std::mem::replace(&mut shelves.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.shelves), self.limits.rest));
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        lock(&self.shelves).count
    }
}

/// Closes what rested too long, until nothing rests.
async fn sweep<K: Hash + Eq, T>(shelves: Weak<Mutex<Shelves<K, T>>>, rest: Duration) {
    loop {
        tokio::time::sleep(rest / 2).await;
        let Some(shelves) = shelves.upgrade() else { return };
        let mut closing = Vec::new();
        let mut held = lock(&shelves);
        held.resting.retain(|_, shelf| {
            let old = shelf.partition_point(|(since, _)| since.elapsed() >= rest);
            closing.extend(shelf.drain(..old));
            !shelf.is_empty()
        });
        held.count -= closing.len();
        held.swept = held.count > 0;
        let done = !held.swept;
        // Closing takes system calls, which nobody should wait for.
        drop(held);
        drop(closing);
        if done {
            return;
        }
    }
}

/// Nothing between locking and unlocking can leave the shelves in a state that makes no sense.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(each: usize, all: usize) -> Idle<&'static str, u8> {
        Idle::new(IdleLimits { each, all, rest: Duration::from_secs(20) })
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_used_last_is_taken_first() {
        let idle = idle(9, 9);
        idle.put(&"a", 1);
        idle.put(&"a", 2);
        assert_eq!((idle.take(&"a"), idle.take(&"a"), idle.take(&"a")), (Some(2), Some(1), None));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_rest_than_allowed_for_a_place_and_in_all() {
        let idle = idle(2, 3);
        for connection in 0..9 {
            idle.put(&"a", connection);
        }
        assert_eq!(idle.count(), 2);
        for connection in 0..9 {
            idle.put(&"b", connection);
        }
        assert_eq!(idle.count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_rested_too_long_is_neither_taken_nor_kept() {
        let idle = idle(9, 9);
        idle.put(&"a", 1);
        tokio::time::advance(Duration::from_secs(21)).await;
        assert_eq!(idle.take(&"a"), None);
        idle.put(&"a", 2);
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!(idle.count(), 0);
        idle.put(&"a", 3);
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!(idle.count(), 0, "a second sweep starts when the first has ended");
    }
}
