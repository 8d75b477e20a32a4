//! What became of events: deliveries, their attempts, and sending one again.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use sonnette_core::ids::{DeliveryId, EventId, HookId, OwnerId};
use sonnette_core::permission::Action;
use sonnette_core::ports::{DeliveryFilter, Page, Resent};

use super::super::access::Asker;
use super::super::asked::{Asked, Place};
use super::super::{Answer, At};
use super::id;
use crate::contract::problem::{Id, Problem};
use crate::contract::seen::{self, DeliveriesAsked, Listed, ShownDelivery, limit};

/// `GET /deliveries`
pub(super) async fn list(
    State(site): At,
    asker: Asker,
    Asked(asked): Asked<DeliveriesAsked>,
) -> Answer<Json<Listed<ShownDelivery>>> {
    let limit = limit(asked.limit)?;
    let owner: Option<OwnerId> = asked.owner.as_deref().map(|text| field(text, "owner")).transpose()?;
    let hook: Option<HookId> = asked.hook.as_deref().map(|text| field(text, "hook")).transpose()?;
    let event: Option<EventId> = asked.event.as_deref().map(|text| field(text, "event")).transpose()?;
    let state = asked.state.as_deref().map(seen::state).transpose()?;
    let after: Option<DeliveryId> = asked.after.as_deref().map(|text| field(text, "after")).transpose()?;
    if let Some(owner) = owner {
        site.allow(&asker.0, Action::Read(owner)).await?;
    }
    let mut filter = DeliveryFilter { owner, hook, event, state, ..DeliveryFilter::default() };
    if let Some(hook) = hook {
        let found = site.parts.store.hook(hook).await?.ok_or_else(|| Problem::not_found("hook"))?;
        site.allow_found(&asker.0, found.hook.owner, false, "hook").await?;
        if owner.is_some_and(|owner| owner != found.hook.owner) {
            return Ok(Json(Listed::whole(Vec::new())));
        }
        filter.owner = None;
    }
    if let Some(event) = event {
        let found = site.parts.store.event(event).await?.ok_or_else(|| Problem::not_found("event"))?;
        site.allow_found(&asker.0, found.owner, false, "event").await?;
        if owner.is_some_and(|owner| owner != found.owner) {
            return Ok(Json(Listed::whole(Vec::new())));
        }
        filter.owner = None;
    }
    if filter.owner.is_none() && hook.is_none() && event.is_none() {
        return Err(Problem::invalid("owner", "one of `owner`, `hook` and `event` is needed"));
    }
    let found = site.parts.store.deliveries(filter, Page { after, limit }).await?;
    Ok(Json(Listed::page(
        found,
        limit,
        |delivery| delivery.id.to_string(),
        |delivery| seen::delivery(delivery, None),
    )))
}

/// `GET /deliveries/{delivery}`
pub(super) async fn one(
    State(site): At,
    asker: Asker,
    Place(delivery): Place<String>,
) -> Answer<Json<ShownDelivery>> {
    let found = site.parts.store.delivery(id(&delivery)?).await?;
    let (owner, delivery, attempts) = found.ok_or_else(|| Problem::not_found("delivery"))?;
    site.allow_found(&asker.0, owner, false, "delivery").await?;
    Ok(Json(seen::delivery(delivery, Some(attempts))))
}

/// `POST /deliveries/{delivery}/resend`
pub(super) async fn resend(
    State(site): At,
    asker: Asker,
    Place(delivery): Place<String>,
) -> Answer<(StatusCode, Json<ShownDelivery>)> {
    let delivery: DeliveryId = id(&delivery)?;
    let (owner, ..) =
        site.parts.store.delivery(delivery).await?.ok_or_else(|| Problem::not_found("delivery"))?;
    site.allow_found(&asker.0, owner, true, "delivery").await?;
    match site.parts.store.resend(delivery, site.parts.clock.now()).await? {
        Resent::Due => {}
        Resent::NoDelivery => return Err(Problem::not_found("delivery")),
        Resent::Waiting => return Err(Problem::new(Id::WrongState, "it is waiting to be tried already")),
        Resent::NoDestination => {
            return Err(Problem::new(
                Id::WrongState,
                "its hook or destination is gone, or holds: resume the hook instead",
            ));
        }
    }
    let (_, shown, _) =
        site.parts.store.delivery(delivery).await?.ok_or_else(|| Problem::not_found("delivery"))?;
    Ok((StatusCode::ACCEPTED, Json(seen::delivery(shown, None))))
}

fn field<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str, name: &str) -> Answer<T> {
    text.parse().map_err(|error: T::Err| Problem::invalid(name, error.to_string()))
}
