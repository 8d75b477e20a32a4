//! Users, organisations, members, applications and add-ons: the platform keeps them, people read what is theirs.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use sonnette_core::facts;
use sonnette_core::ids::{OrganisationId, OwnerId, ResourceId, UserId};
use sonnette_core::model::{Caller, Fact, Hook, Role};
use sonnette_core::permission::Action;
use sonnette_core::ports::Page;

use super::super::access::Asker;
use super::super::asked::{Asked, Place};
use super::super::body::{LARGE, lines_of, shape, text_of};
use super::super::{Answer, At, Site};
use super::id;
use crate::contract::directory::{
    self as wire, GivenMember, GivenOrganisation, GivenResource, GivenUser, Line, ShownMember,
    ShownOrganisation, ShownResource, ShownUser,
};
use crate::contract::problem::{Id, Problem};
use crate::contract::seen::{Listed, Paging, limit};
use crate::world;

/// Lines of one import request.
const MOST_LINES: usize = 10_000;

impl Site {
    /// The default hooks of an owner, in case it is new.
    fn born(&self, owner: OwnerId) -> Vec<Hook> {
        let now = self.parts.clock.now();
        facts::default_hooks(&self.parts.catalogue, owner, now, &mut || self.parts.luck.id())
    }

    pub(in crate::http) async fn learn(&self, fact: Fact) -> Answer<()> {
        let learnt = self.parts.store.learn(vec![fact], self.parts.clock.now()).await?;
        self.known.forget();
        self.hooks_changed.notify_one();
        learnt.map_err(|(_, no)| Problem::of(Id::Contradiction, no.field, no.why))
    }

    async fn shown_user(&self, id: UserId) -> Answer<Json<ShownUser>> {
        let user = self.parts.store.user(id).await?.ok_or_else(|| Problem::not_found("user"))?;
        Ok(Json(wire::user(user)))
    }

    async fn shown_organisation(
        &self,
        id: OrganisationId,
        role: Option<Role>,
    ) -> Answer<Json<ShownOrganisation>> {
        let found =
            self.parts.store.organisation(id).await?.ok_or_else(|| Problem::not_found("organisation"))?;
        Ok(Json(wire::organisation(found, role)))
    }
}

/// `GET /users`
pub(super) async fn users(
    State(site): At,
    asker: Asker,
    Asked(paging): Asked<Paging>,
) -> Answer<Json<Listed<ShownUser>>> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let limit = limit(paging.limit)?;
    let after = paging.after.map(|after| id(&after)).transpose()?;
    let found = site.parts.store.users(Page { after, limit }).await?;
    Ok(Json(Listed::page(found, limit, |user| user.id.to_string(), wire::user)))
}

/// `POST /users`
pub(super) async fn add_user(
    State(site): At,
    asker: Asker,
    body: Body,
) -> Answer<(StatusCode, Json<ShownUser>)> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let mut given: GivenUser = site.bodies.shape(body).await?;
    let new = match given.id.take() {
        Some(id) => id.parse().map_err(|error| Problem::invalid("id", format!("{error}")))?,
        None => UserId(world::uuid(site.parts.luck.as_ref())),
    };
    if given.email.is_none() {
        return Err(Problem::invalid("email", "`email` is needed"));
    }
    if site.parts.store.user(new).await?.is_some() {
        return Err(Problem::of(Id::Conflict, "id", format!("{new} is there already; change it with PUT")));
    }
    site.learn(given.fact(new, &mut |owner| site.born(owner))?).await?;
    Ok((StatusCode::CREATED, site.shown_user(new).await?))
}

/// `GET /users/{user}`
pub(super) async fn user(
    State(site): At,
    asker: Asker,
    Place(user): Place<String>,
) -> Answer<Json<ShownUser>> {
    let user: UserId = id(&user)?;
    site.allow(&asker.0, Action::Read(user.into())).await?;
    site.shown_user(user).await
}

/// `PUT /users/{user}`
pub(super) async fn put_user(
    State(site): At,
    asker: Asker,
    Place(user): Place<String>,
    body: Body,
) -> Answer<Json<ShownUser>> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let user: UserId = id(&user)?;
    let given: GivenUser = site.bodies.shape(body).await?;
    if given.id.is_some() {
        return Err(Problem::invalid("id", "`id` is said by the path here"));
    }
    site.learn(given.fact(user, &mut |owner| site.born(owner))?).await?;
    site.shown_user(user).await
}

/// `DELETE /users/{user}`
pub(super) async fn remove_user(
    State(site): At,
    asker: Asker,
    Place(user): Place<String>,
) -> Answer<StatusCode> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let user: UserId = id(&user)?;
    drop(site.shown_user(user).await?);
    site.learn(Fact::UserGone(user)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /organisations`
pub(super) async fn organisations(
    State(site): At,
    asker: Asker,
    Asked(paging): Asked<Paging>,
) -> Answer<Json<Listed<ShownOrganisation>>> {
    let limit = limit(paging.limit)?;
    let after = paging.after.map(|after| id(&after)).transpose()?;
    let member = match asker.0 {
        Caller::Operator | Caller::Person { operator: true, .. } => None,
        Caller::Person { user, .. } => Some(user),
    };
    let found = site.parts.store.organisations(member, Page { after, limit }).await?;
    let key = |(organisation, _): &(sonnette_core::model::Organisation, _)| organisation.id.to_string();
    Ok(Json(Listed::page(found, limit, key, |(organisation, role)| wire::organisation(organisation, role))))
}

/// `POST /organisations`
pub(super) async fn add_organisation(
    State(site): At,
    asker: Asker,
    body: Body,
) -> Answer<(StatusCode, Json<ShownOrganisation>)> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let mut given: GivenOrganisation = site.bodies.shape(body).await?;
    let new = match given.id.take() {
        Some(id) => id.parse().map_err(|error| Problem::invalid("id", format!("{error}")))?,
        None => OrganisationId(world::uuid(site.parts.luck.as_ref())),
    };
    if given.name.is_none() {
        return Err(Problem::invalid("name", "`name` is needed"));
    }
    if site.parts.store.organisation(new).await?.is_some() {
        return Err(Problem::of(Id::Conflict, "id", format!("{new} is there already; change it with PUT")));
    }
    site.learn(given.fact(new, &mut |owner| site.born(owner))?).await?;
    Ok((StatusCode::CREATED, site.shown_organisation(new, None).await?))
}

/// `GET /organisations/{organisation}`
pub(super) async fn organisation(
    State(site): At,
    asker: Asker,
    Place(organisation): Place<String>,
) -> Answer<Json<ShownOrganisation>> {
    let organisation: OrganisationId = id(&organisation)?;
    site.allow(&asker.0, Action::Read(organisation.into())).await?;
    let role = match asker.0 {
        Caller::Operator => None,
        Caller::Person { user, .. } => site.parts.store.role(organisation.into(), user).await?,
    };
    site.shown_organisation(organisation, role).await
}

/// `PUT /organisations/{organisation}`
pub(super) async fn put_organisation(
    State(site): At,
    asker: Asker,
    Place(organisation): Place<String>,
    body: Body,
) -> Answer<Json<ShownOrganisation>> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let organisation: OrganisationId = id(&organisation)?;
    let given: GivenOrganisation = site.bodies.shape(body).await?;
    if given.id.is_some() {
        return Err(Problem::invalid("id", "`id` is said by the path here"));
    }
    site.learn(given.fact(organisation, &mut |owner| site.born(owner))?).await?;
    site.shown_organisation(organisation, None).await
}

/// `DELETE /organisations/{organisation}`
pub(super) async fn remove_organisation(
    State(site): At,
    asker: Asker,
    Place(organisation): Place<String>,
) -> Answer<StatusCode> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let organisation: OrganisationId = id(&organisation)?;
    drop(site.shown_organisation(organisation, None).await?);
    site.learn(Fact::OrganisationGone(organisation)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /organisations/{organisation}/members`
pub(super) async fn members(
    State(site): At,
    asker: Asker,
    Place(organisation): Place<String>,
) -> Answer<Json<Listed<ShownMember>>> {
    let organisation: OrganisationId = id(&organisation)?;
    site.allow(&asker.0, Action::Read(organisation.into())).await?;
    let found = site.parts.store.members(organisation).await?;
    Ok(Json(Listed::whole(found.into_iter().map(wire::member).collect())))
}

/// `PUT /organisations/{organisation}/members/{user}`
pub(super) async fn put_member(
    State(site): At,
    asker: Asker,
    Place((organisation, user)): Place<(String, String)>,
    body: Body,
) -> Answer<Json<serde_json::Value>> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let (organisation, user) = (id(&organisation)?, id(&user)?);
    let given: GivenMember = site.bodies.shape(body).await?;
    let role = given.role.clone();
    site.learn(given.fact(organisation, user)?).await?;
    Ok(Json(json!({"organisation": organisation.to_string(), "user": user.to_string(), "role": role})))
}

/// `DELETE /organisations/{organisation}/members/{user}`
pub(super) async fn remove_member(
    State(site): At,
    asker: Asker,
    Place((organisation, user)): Place<(String, String)>,
) -> Answer<StatusCode> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let (organisation, user): (OrganisationId, UserId) = (id(&organisation)?, id(&user)?);
    if site.parts.store.role(organisation.into(), user).await?.is_none() {
        return Err(Problem::not_found("member"));
    }
    site.learn(Fact::MemberGone { organisation, user }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /owners/{owner}/resources`
pub(super) async fn resources(
    State(site): At,
    asker: Asker,
    Place(owner): Place<String>,
) -> Answer<Json<Listed<ShownResource>>> {
    let owner: OwnerId = id(&owner)?;
    site.allow(&asker.0, Action::Read(owner)).await?;
    let found = site.parts.store.resources(owner).await?;
    Ok(Json(Listed::whole(found.into_iter().map(wire::resource).collect())))
}

impl Site {
    async fn shown_resource(&self, owner: OwnerId, id: &ResourceId) -> Answer<Json<ShownResource>> {
        let mut all = self.parts.store.resources(owner).await?.into_iter();
        let found = all.find(|one| one.id == *id || one.real_id.as_ref() == Some(id));
        found.map(|one| Json(wire::resource(one))).ok_or_else(|| Problem::not_found("application or add-on"))
    }
}

/// `POST /owners/{owner}/resources`
pub(super) async fn add_resource(
    State(site): At,
    asker: Asker,
    Place(owner): Place<String>,
    body: Body,
) -> Answer<(StatusCode, Json<ShownResource>)> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let owner: OwnerId = id(&owner)?;
    let mut given: GivenResource = site.bodies.shape(body).await?;
    let prefix = match given.kind.take().as_deref() {
        Some("application") => "app",
        Some("addon") => "addon",
        _ => return Err(Problem::invalid("kind", "`kind` is `application` or `addon`")),
    };
    let new: ResourceId = id(&format!("{prefix}_{}", world::uuid(site.parts.luck.as_ref())))?;
    site.learn(given.fact(new.clone(), owner)?).await?;
    Ok((StatusCode::CREATED, site.shown_resource(owner, &new).await?))
}

/// `PUT /owners/{owner}/resources/{resource}`
pub(super) async fn put_resource(
    State(site): At,
    asker: Asker,
    Place((owner, resource)): Place<(String, String)>,
    body: Body,
) -> Answer<Json<ShownResource>> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let (owner, resource): (OwnerId, ResourceId) = (id(&owner)?, id(&resource)?);
    let given: GivenResource = site.bodies.shape(body).await?;
    site.learn(given.fact(resource.clone(), owner)?).await?;
    site.shown_resource(owner, &resource).await
}

/// `DELETE /owners/{owner}/resources/{resource}`
pub(super) async fn remove_resource(
    State(site): At,
    asker: Asker,
    Place((owner, resource)): Place<(String, String)>,
) -> Answer<StatusCode> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let (owner, resource): (OwnerId, ResourceId) = (id(&owner)?, id(&resource)?);
    drop(site.shown_resource(owner, &resource).await?);
    site.learn(Fact::ResourceGone { id: resource, owner }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /import`
pub(super) async fn import(
    State(site): At,
    asker: Asker,
    headers: HeaderMap,
    body: Body,
) -> Answer<Json<serde_json::Value>> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.starts_with("application/x-ndjson") {
        return Err(Problem::new(Id::UnsupportedType, "send application/x-ndjson"));
    }
    let held = site.bodies.read(body, LARGE).await?;
    let (mut facts, mut numbers) = (Vec::new(), Vec::new());
    for (number, line) in lines_of(held.bytes()) {
        if facts.len() >= MOST_LINES {
            return Err(Problem::new(
                Id::TooLarge,
                format!("one request imports at most {MOST_LINES} lines"),
            ));
        }
        let place = |problem: Problem| {
            let problem = problem.of_one_line();
            let field = problem.field.map(|field| format!(": {field}")).unwrap_or_default();
            Problem { field: Some(format!("line {number}{field}")), ..problem }
        };
        let line: Line = text_of(line).and_then(shape).map_err(place)?;
        facts.push(line.fact(&mut |owner| site.born(owner)).map_err(place)?);
        numbers.push(number);
    }
    let lines = facts.len();
    let learnt = site.parts.store.learn(facts, site.parts.clock.now()).await?;
    site.known.forget();
    site.hooks_changed.notify_one();
    learnt.map_err(|(at, no)| {
        let line = numbers.get(at).copied().unwrap_or_default();
        Problem::of(Id::Contradiction, format!("line {line}: {}", no.field), no.why)
    })?;
    Ok(Json(json!({"imported": lines})))
}
