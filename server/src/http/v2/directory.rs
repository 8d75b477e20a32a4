//! Who one is, and what one belongs to.

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use sonnette_core::ids::OwnerId;
use sonnette_core::model::{Member, Role};
use sonnette_core::permission::Action;
use sonnette_core::ports::Page;

use super::error::V2Error;
use super::{V2, V2Answer};
use crate::contract::problem::Id;
use crate::contract::v2::directory as wire;
use crate::http::access::V2Asker;
use crate::http::asked::{Asked, Place};
use crate::http::{At, Site};

/// Organisations a summary shows.
const MOST_ORGANISATIONS: usize = 1_000;

/// `GET /v2/self`
pub(super) async fn myself(State(site): At, V2Asker(caller): V2Asker) -> V2Answer<Json<Value>> {
    Ok(Json(wire::user(&site.person_asking(&caller).await?)))
}

/// `GET /v2/self/id`
pub(super) async fn my_id(State(site): At, V2Asker(caller): V2Asker) -> V2Answer<Json<String>> {
    Ok(Json(site.person_asking(&caller).await?.id.to_string()))
}

/// `GET /v2/self/tokens/current`
pub(super) async fn current_token(V2Asker(caller): V2Asker) -> Json<Value> {
    Json(wire::current_token(&caller))
}

/// What a command line that logs in gives.
#[derive(serde::Deserialize)]
pub(super) struct CliToken {
    cli_token: String,
}

/// `GET /v2/self/cli_tokens?cli_token=`: the pair somebody agreed to in their browser, once; 404 until then.
pub(super) async fn cli_token(
    State(site): At,
    V2(Asked(asked)): V2<Asked<CliToken>>,
) -> V2Answer<Json<Value>> {
    let waits = || V2Error::new(Id::NotFound, "nobody has agreed to this login");
    let now = site.parts.clock.now();
    let (token, secret) = site.console.handovers.take(&asked.cli_token, now).ok_or_else(waits)?;
    Ok(Json(wire::pair(&token, &secret)))
}

/// `GET /v2/summary`
pub(super) async fn summary(State(site): At, V2Asker(caller): V2Asker) -> V2Answer<Json<Value>> {
    let person = site.person_asking(&caller).await?;
    let store = &site.parts.store;
    let own = store.resources(person.id.into()).await?;
    let page = Page { after: None, limit: MOST_ORGANISATIONS };
    let mut organisations = Vec::new();
    for (organisation, role) in store.organisations(Some(person.id), page).await? {
        let resources = store.resources(organisation.id.into()).await?;
        organisations.push((organisation, role, resources));
    }
    Ok(Json(wire::summary(&person, own, organisations)))
}

/// `GET /v2/organisations/{owner}`
pub(super) async fn owner(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place(owner)): V2<Place<String>>,
) -> V2Answer<Json<Value>> {
    let owner = site.v2_owner(&caller, &owner, Action::Read).await?;
    let name = match owner {
        OwnerId::User(id) => site.parts.store.user(id).await?.map(|user| user.name),
        OwnerId::Organisation(id) => site.parts.store.organisation(id).await?.map(|one| one.name),
    };
    Ok(Json(wire::owner(owner, &name.ok_or_else(gone)?)))
}

/// `GET /v2/organisations/{owner}/members`
pub(super) async fn members(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place(owner)): V2<Place<String>>,
) -> V2Answer<Json<Vec<Value>>> {
    let owner = site.v2_owner(&caller, &owner, Action::Read).await?;
    Ok(Json(site.people_of(owner).await?.iter().map(wire::member).collect()))
}

impl Site {
    /// Members; somebody's own space has one.
    async fn people_of(&self, owner: OwnerId) -> V2Answer<Vec<Member>> {
        Ok(match owner {
            OwnerId::Organisation(id) => self.parts.store.members(id).await?,
            OwnerId::User(id) => {
                let user = self.parts.store.user(id).await?.ok_or_else(gone)?;
                vec![Member { user, role: Role::Admin }]
            }
        })
    }
}

/// Deleted since a moment ago.
fn gone() -> V2Error {
    V2Error::new(Id::NotFound, "it is gone")
}
