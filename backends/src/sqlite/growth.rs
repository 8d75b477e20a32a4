//! Whose events grew: collected for whoever asked, and only while they go on asking.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use sonnette_core::ids::OwnerId;
use tokio::sync::Notify;

use super::lock;

/// Owners remembered between two questions; with more, it is said of everybody.
const MOST: usize = 16_384;

/// What was committed since the question before.
pub(super) struct Growth {
    /// Whether somebody goes on asking.
    asked: AtomicBool,
    /// `None` stands for everybody.
    owners: Mutex<Option<Vec<OwnerId>>>,
    wake: Notify,
}

impl Growth {
    pub(super) fn new() -> Self {
        Self { asked: AtomicBool::new(false), owners: Mutex::new(Some(Vec::new())), wake: Notify::new() }
    }

    /// Where a transaction puts whose events grew; `None` if nobody wants to know.
    pub(super) fn begin(&self) -> Option<Vec<OwnerId>> {
        self.asked.load(Ordering::Acquire).then(Vec::new)
    }

    /// What a transaction collected is on disk. One that began before anybody asked stands for everybody.
    pub(super) fn committed(&self, grown: Option<Vec<OwnerId>>) {
        if !self.asked.load(Ordering::Acquire) || grown.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        let mut owners = lock(&self.owners);
        *owners = match (owners.take(), grown) {
            (Some(mut known), Some(mut grown)) => {
                grown.sort_unstable();
                grown.dedup();
                known.append(&mut grown);
                (known.len() <= MOST).then_some(known)
            }
            _ => None,
        };
        if owners.is_none() {
            // Until the next question there is nothing to add.
            self.asked.store(false, Ordering::Release);
        }
        drop(owners);
        self.wake.notify_one();
    }

    /// Waits for something to tell.
    pub(super) async fn next(&self) -> Option<Vec<OwnerId>> {
        loop {
            {
                let mut owners = lock(&self.owners);
                self.asked.store(true, Ordering::Release);
                if owners.as_ref().is_none_or(|owners| !owners.is_empty()) {
                    return owners.replace(Vec::new());
                }
            }
            self.wake.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sonnette_core::ids::UserId;

    fn owner(n: usize) -> OwnerId {
        UserId(uuid::Uuid::from_u128(n as u128)).into()
    }

    #[tokio::test]
    async fn nothing_is_collected_until_somebody_asks_and_then_nothing_is_missed() {
        let growth = Growth::new();
        assert_eq!(growth.begin(), None);
        growth.committed(growth.begin());
        let early = growth.begin();
        let asked = async {
            assert_eq!(growth.next().await, None, "a transaction that began before may be anybody's");
            growth.next().await
        };
        let told = async {
            growth.committed(early);
            let mut grown = loop {
                match growth.begin() {
                    Some(grown) => break grown,
                    None => tokio::task::yield_now().await,
                }
            };
            grown.extend([owner(2), owner(1), owner(2)]);
            growth.committed(Some(grown));
        };
        assert_eq!(tokio::join!(asked, told).0, Some(vec![owner(1), owner(2)]));
    }

    #[tokio::test]
    async fn too_many_owners_are_everybody_and_then_nothing_more_is_collected() {
        let growth = Growth::new();
        growth.asked.store(true, Ordering::Release);
        growth.committed(Some((0..=MOST).map(owner).collect()));
        assert_eq!(growth.begin(), None);
        assert_eq!(growth.next().await, None);
        assert_eq!(growth.begin(), Some(Vec::new()));
    }
}
