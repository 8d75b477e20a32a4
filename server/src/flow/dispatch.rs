//! Handing out what is due: a bounded number of attempts under way, and the backlog stays in the store.

use std::sync::Arc;
use std::time::Duration;

use sonnette_core::model::Millis;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Parts, work};

/// How long to wait when the store does not answer.
const TROUBLE: Duration = Duration::from_secs(1);
/// The longest sleep: every signal may be lost, and then costs this much.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// Leased at once at most: what is leased holds its event in memory.
const HANDFUL: usize = 128;
/// KiB of events under way at once, besides one handful that waits.
const MEMORY: usize = 64 << 10;

/// Runs until `stop`; then waits for what is under way, which has limits of its own.
pub async fn run(parts: Parts, in_flight: usize, stop: CancellationToken) {
    let window = Arc::new(Semaphore::new(in_flight));
    let memory = Arc::new(Semaphore::new(MEMORY));
    let attempts = TaskTracker::new();
    while !stop.is_cancelled() {
        let Some(room) = room(&window, in_flight, &stop).await else { break };
        let now = parts.clock.now();
        let leased = match parts.store.lease(now, room.min(HANDFUL)).await {
            Ok(leased) => leased,
            Err(error) => {
                tracing::error!(%error, "nothing can be leased");
                pause(TROUBLE, &stop).await;
                continue;
            }
        };
        let idle = leased.work.is_empty();
        for one in leased.work {
            let size = u32::try_from(one.event.frame.len() >> 10).unwrap_or(u32::MAX).saturating_add(1);
            let Ok(share) = Arc::clone(&memory).acquire_many_owned(size).await else { break };
            // Leased no more than there was room for, so this never waits.
            let Ok(place) = Arc::clone(&window).acquire_owned().await else { break };
            let parts = parts.clone();
            attempts.spawn(async move {
                work::deliver(&parts, one).await;
                drop((place, share));
            });
        }
        if idle {
            let sleep = leased.next_due.map_or(LONGEST_SLEEP, |due| until(due, now));
            tokio::select! {
                () = parts.store.woken() => {}
                () = pause(sleep, &stop) => {}
            }
        }
    }
    attempts.close();
    attempts.wait().await;
}

/// How many more attempts fit, once a handful does: leasing one by one would cost more than it brings.
async fn room(window: &Semaphore, in_flight: usize, stop: &CancellationToken) -> Option<usize> {
    let handful = u32::try_from(in_flight / 16).unwrap_or(u32::MAX).max(1);
    tokio::select! {
        permits = window.acquire_many(handful) => drop(permits.ok()?),
        () = stop.cancelled() => return None,
    }
    Some(window.available_permits().max(1))
}

fn until(due: Millis, now: Millis) -> Duration {
    Duration::from_millis(u64::try_from(due - now).unwrap_or_default().max(1)).min(LONGEST_SLEEP)
}

async fn pause(time: Duration, stop: &CancellationToken) {
    drop(tokio::time::timeout(time, stop.cancelled()).await);
}
