//! Not writing to an address any more: because a relay said so, or because of what came back.

use serde_json::json;
use sonnette_core::ids::{DeliveryId, OwnerId};
use sonnette_core::mail::bounce::{self, Said};
use sonnette_core::mail::verp;
use sonnette_core::message::one_line;
use sonnette_core::model::Draft;
use sonnette_core::ports::StoreError;
use sonnette_core::stops::{Reason, Why};

use super::{Parts, ingest};

/// The kind of the event that tells of it.
const TOLD: &str = "ADDRESS_SUPPRESSED";
/// Characters of a reason that are kept.
const LONGEST_NOTE: usize = 300;

/// What became of what came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Took {
    /// The address is not written to any more.
    Suppressed(DeliveryId),
    /// It is written down with the delivery.
    Noted(DeliveryId),
    /// It says nothing that matters here.
    Nothing,
    /// It is about no letter of ours, or about one that is forgotten.
    Unknown,
}

/// Takes what came back: a report of non-delivery or a complaint, as it arrived. Only about a delivery whose tag it brings
/// is it believed.
///
/// # Errors
/// If the store cannot do it now.
pub async fn take(parts: &Parts, raw: &[u8], recipient: Option<&str>) -> Result<Took, StoreError> {
    let report = bounce::read(raw, recipient, &parts.sealer.key(verp::PURPOSE));
    let Some(delivery) = report.delivery else { return Ok(Took::Unknown) };
    let Some((owner, to)) = parts.store.addressee(delivery).await? else { return Ok(Took::Unknown) };
    let (why, words) = match report.said {
        Said::Nothing => return Ok(Took::Nothing),
        Said::Failed(words) => {
            let noted = parts.store.came_back(delivery, format!("came back: {words}")).await?;
            return Ok(if noted { Took::Noted(delivery) } else { Took::Unknown });
        }
        Said::NoSuchAddress(words) => (Why::Bounced, words),
        Said::Complaint => (Why::Complained, "its reader complained".to_owned()),
    };
    parts.store.came_back(delivery, format!("came back: {words}")).await?;
    suppress(parts, owner, Reason { address: to.address, why, note: Some(words), delivery: Some(delivery) })
        .await?;
    Ok(Took::Suppressed(delivery))
}

/// Writes to an address no more, and tells the owner's admins if that is new.
///
/// # Errors
/// If the store cannot do it now.
pub async fn suppress(parts: &Parts, owner: OwnerId, mut reason: Reason) -> Result<bool, StoreError> {
    let note = reason.note.as_deref().map(one_line);
    reason.note = note.map(|note| note.chars().take(LONGEST_NOTE).collect());
    let told = told(parts, owner, &reason);
    parts.store.suppress(reason, told, parts.clock.now()).await
}

/// The event that tells of it.
fn told(parts: &Parts, owner: OwnerId, reason: &Reason) -> Option<Draft> {
    let now = parts.clock.now();
    let data = json!({
        "ownerId": owner.to_string(),
        "address": reason.address,
        "reason": reason.note.as_deref().unwrap_or(reason.why.as_str()),
        "since": ingest::time_said(now),
    });
    ingest::ours(parts, TOLD, owner, &data, now)
}
