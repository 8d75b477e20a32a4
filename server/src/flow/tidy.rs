//! Keeping the house: retention, what waits or is held for too long, and the slow part of pausing, resuming and deleting.
//! In slices, so that intake never waits for more than one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sonnette_core::model::{DAY, Draft, Millis};
use sonnette_core::ports::{Holding, Page, StoreError};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Parts, ingest};

/// How often to look without being told.
const EVERY: Duration = Duration::from_secs(60);
/// Between two slices, so that a long job leaves the disk to others.
const BREATH: Duration = Duration::from_millis(2);
/// Destinations that hold something old, read at once.
const LOOK: usize = 200;
/// The kind of the event that tells of what is held.
const TOLD: &str = "HELD_EXPIRING";
/// How long before it is given up an owner is told of what is held.
const NOTICE: Millis = 3 * DAY;
/// How long what was held can still be seen, and sent again, after it was given up.
const SEEN: Millis = DAY;

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Keeping {
    /// Events and deliveries.
    pub events: Millis,
    /// Beginnings of replies.
    pub excerpts: Millis,
}

impl Keeping {
    /// How long after its event what still waits, or a hook holds, is given up: a day before it is erased. (At three
    /// quarters of retention, should that be shorter than four days.)
    pub fn held(self) -> Millis {
        self.events - SEEN.min(self.events / 4)
    }

    /// How long after the event of the oldest delivery the owner is told: three days before that. (Halfway, should it be
    /// within six days.)
    pub fn told(self) -> Millis {
        self.held() - NOTICE.min(self.held() / 2)
    }
}

/// Runs until `stop`. `wake` says that a hook changed.
pub async fn run(parts: Parts, keeping: Keeping, wake: Arc<Notify>, stop: CancellationToken) {
    let mut minute = tokio::time::interval(EVERY);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = wake.notified() => slices(&parts, keeping, &stop).await,
            _ = minute.tick() => {
                slices(&parts, keeping, &stop).await;
                held(&parts, keeping, &stop).await;
            }
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

/// Looks once at what has waited for too long, which is given up, and at what is held: owners are told of what will be given
/// up, once while a hook holds, and what was held for too long is given up. Telling comes first, so that whoever could not
/// be told in time learns at least how much it was.
pub async fn held(parts: &Parts, keeping: Keeping, stop: &CancellationToken) {
    if let Err(error) = look(parts, keeping, stop).await {
        tracing::warn!(%error, "what is held waits to be looked at");
    }
}

async fn look(parts: &Parts, keeping: Keeping, stop: &CancellationToken) -> Result<(), StoreError> {
    let now = parts.clock.now();
    let given_up = now - keeping.held();
    while parts.store.give_up_waiting(given_up).await?.more && !stop.is_cancelled() {
        tokio::time::sleep(BREATH).await;
    }
    let mut after = None;
    loop {
        let found = parts.store.holding(now - keeping.told(), Page { after, limit: LOOK }).await?;
        for one in &found {
            if !one.told
                && let Some(draft) = told(parts, keeping, one, now)
            {
                parts.store.tell_held(one.hook, draft, now).await?;
            }
            while one.oldest.at() < given_up && !stop.is_cancelled() {
                if !parts.store.give_up_held(one.destination, given_up).await?.more {
                    break;
                }
                tokio::time::sleep(BREATH).await;
            }
            if stop.is_cancelled() {
                return Ok(());
            }
        }
        if found.len() < LOOK {
            return Ok(());
        }
        after = found.last().map(|last| last.destination);
    }
}

/// The event that tells of it.
fn told(parts: &Parts, keeping: Keeping, holding: &Holding, now: Millis) -> Option<Draft> {
    let oldest = holding.oldest.at();
    let data = json!({
        "ownerId": holding.owner.to_string(),
        "hookId": holding.hook.to_string(),
        "name": holding.name,
        "held": holding.held,
        "oldest": ingest::time_said(oldest),
        "until": ingest::time_said(now.max(oldest + keeping.held())),
    });
    ingest::ours(parts, TOLD, holding.owner, &data, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_has_three_days_before_and_a_day_after_or_fair_parts_of_less() {
        let of = |days: Millis| Keeping { events: days * DAY, excerpts: DAY };
        for (days, held, told) in [(3_650, 3_649, 3_646), (30, 29, 26), (7, 6, 3)] {
            assert_eq!((of(days).held(), of(days).told()), (held * DAY, told * DAY), "{days} days");
        }
        let short = of(1);
        assert_eq!((short.held(), short.told()), (DAY * 3 / 4, DAY * 3 / 8));
    }
}
