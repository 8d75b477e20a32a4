//! Applications, and their deployments as the events tell of them.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use sonnette_core::ids::{OwnerId, ResourceId, ResourceShape};
use sonnette_core::model::{Fact, Resource};
use sonnette_core::permission::Action;
use sonnette_core::ports::Page;

use super::error::V2Error;
use super::{V2, V2Answer};
use crate::contract::directory::GivenResource;
use crate::contract::problem::Id;
use crate::contract::v2::deployments::{Deployment, Deployments};
use crate::contract::v2::directory::{self as wire, GivenApplication};
use crate::http::access::V2Asker;
use crate::http::asked::{Asked, Place};
use crate::http::{At, Site};
use crate::world;

/// Deployments at most.
const MOST: usize = 1_000;
/// Events looked through at once, any of which may be a deployment's and as large as an event may.
const PAGE: usize = 200;
/// Events of the owner looked through for deployments: further back nobody looks, and somebody waits.
const SCANNED: usize = 100_000;

fn no_app() -> V2Error {
    V2Error::new(Id::NotFound, "application not found")
}

fn app_id(text: &str) -> V2Answer<ResourceId> {
    let id = text.parse::<ResourceId>().ok().filter(|id| id.shape() == ResourceShape::Application);
    id.ok_or_else(no_app)
}

impl Site {
    async fn app_of(&self, owner: OwnerId, id: &ResourceId) -> V2Answer<Option<Resource>> {
        Ok(self.parts.store.resources(owner).await?.into_iter().find(|one| one.id == *id))
    }
}

/// `GET /v2/self/applications/{app}`: one's own, or of an organisation one belongs to; its owner stands in the answer.
pub(super) async fn mine(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place(app)): V2<Place<String>>,
) -> V2Answer<Json<Value>> {
    let person = site.person_asking(&caller).await?;
    let id = app_id(&app)?;
    let page = Page { after: None, limit: 1_000 };
    let organisations = site.parts.store.organisations(Some(person.id), page).await?;
    let owners =
        [person.id.into()].into_iter().chain(organisations.into_iter().map(|(one, _)| one.id.into()));
    for owner in owners {
        if let Some(app) = site.app_of(owner, &id).await? {
            return Ok(Json(wire::application(&app)));
        }
    }
    Err(no_app())
}

/// `GET /v2/organisations/{owner}/applications/{app}`
pub(super) async fn one(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place((owner, app))): V2<Place<(String, String)>>,
) -> V2Answer<Json<Value>> {
    let owner = site.v2_owner(&caller, &owner, Action::Read).await?;
    let app = site.app_of(owner, &app_id(&app)?).await?.ok_or_else(no_app)?;
    Ok(Json(wire::application(&app)))
}

/// What a list of deployments may be asked; clients ask for more than we know of.
#[derive(Debug, Deserialize)]
pub(super) struct DeploymentsAsked {
    limit: Option<usize>,
    offset: Option<usize>,
}

/// `GET /v2/organisations/{owner}/applications/{app}/deployments?limit=10&offset=0`
pub(super) async fn deployments(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place((owner, app))): V2<Place<(String, String)>>,
    V2(Asked(asked)): V2<Asked<DeploymentsAsked>>,
) -> V2Answer<Json<Vec<Deployment>>> {
    let owner = site.v2_owner(&caller, &owner, Action::Read).await?;
    let id = app_id(&app)?;
    let mut found = Deployments::new(asked.offset.unwrap_or(0), asked.limit.unwrap_or(MOST).clamp(1, MOST));
    let (mut after, mut looked) = (None, 0);
    'pages: while looked < SCANNED {
        let page = Page { after, limit: PAGE };
        let (events, last) =
            site.parts.store.events_about(owner, id.clone(), Deployments::KINDS, page).await?;
        for event in &events {
            if !found.add(event) {
                break 'pages;
            }
        }
        let Some(last) = last else { break };
        (after, looked) = (Some(last), looked + PAGE);
    }
    Ok(Json(found.shown()))
}

// --------------------------------------------------------------------------------------------- only where it is on

/// Whether applications may be created here.
fn switched_on(site: &Site) -> V2Answer<()> {
    let off = || {
        V2Error::new(Id::Forbidden, "applications are not created here (clever_cloud.applications is off)")
    };
    if site.applications { Ok(()) } else { Err(off()) }
}

/// `GET /v2/products/instances`
pub(super) async fn runtimes(State(site): At, _asker: V2Asker) -> V2Answer<Json<Value>> {
    switched_on(&site)?;
    Ok(Json(json!([wire::runtime()])))
}

/// `POST /v2/organisations/{owner}/applications`
pub(super) async fn create(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place(owner)): V2<Place<String>>,
    body: Body,
) -> V2Answer<(StatusCode, Json<Value>)> {
    let owner = site.v2_owner(&caller, &owner, Action::ChangeHooks).await?;
    switched_on(&site)?;
    let given: GivenApplication = site.bodies.shape(body).await?;
    let id = app_id(&format!("app_{}", world::uuid(site.parts.luck.as_ref())))?;
    let fact =
        GivenResource { name: Some(given.name), ..GivenResource::default() }.fact(id.clone(), owner)?;
    site.learn(fact).await?;
    let app = site.app_of(owner, &id).await?.ok_or_else(no_app)?;
    Ok((StatusCode::CREATED, Json(wire::application(&app))))
}

/// `DELETE /v2/organisations/{owner}/applications/{app}`
pub(super) async fn remove(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place((owner, app))): V2<Place<(String, String)>>,
) -> V2Answer<Json<Value>> {
    let owner = site.v2_owner(&caller, &owner, Action::ChangeHooks).await?;
    switched_on(&site)?;
    let app = site.app_of(owner, &app_id(&app)?).await?.ok_or_else(no_app)?;
    site.learn(Fact::ResourceGone { id: app.id, owner }).await?;
    Ok(Json(json!({"id": 0, "message": "the application is deleted", "type": "success"})))
}
