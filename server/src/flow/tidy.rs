//! Keeping the house: retention, and the slow part of pausing, resuming and deleting. In slices, so that intake never
//! waits for more than one.

use std::sync::Arc;
use std::time::Duration;

use sonnette_core::model::Millis;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Parts;

/// How often to look without being told.
const EVERY: Duration = Duration::from_secs(60);
/// Between two slices, so that a long job leaves the disk to others.
const BREATH: Duration = Duration::from_millis(2);

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Keeping {
    /// Events and deliveries.
    pub events: Millis,
    /// Beginnings of replies.
    pub excerpts: Millis,
}

/// Runs until `stop`. `wake` says that a hook changed.
pub async fn run(parts: Parts, keeping: Keeping, wake: Arc<Notify>, stop: CancellationToken) {
    loop {
        slices(&parts, keeping, &stop).await;
        tokio::select! {
            () = wake.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Does all there is to do now.
pub async fn slices(parts: &Parts, keeping: Keeping, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let now = parts.clock.now();
        match parts.store.tidy(now, now - keeping.events, now - keeping.excerpts).await {
            Ok(tidied) if tidied.more => tokio::time::sleep(BREATH).await,
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "housekeeping waits");
                return;
            }
        }
    }
}
