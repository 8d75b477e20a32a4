//! An owner's hooks.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use sonnette_core::destinations::{self, Unfit};
use sonnette_core::formats;
use sonnette_core::ids::{DestinationId, HookId, OwnerId, ResourceId};
use sonnette_core::model::{Destination, HOUR, Hook, HookState, HookView, Target, Way};
use sonnette_core::permission::Action;
use sonnette_core::ports::{Changed, HookFilter, Page, Turn};
use sonnette_core::signing;

use url::Url;

use super::super::access::Asker;
use super::super::asked::{Asked, Place};
use super::super::{Answer, At, Site};
use super::id;
use crate::contract::hooks::{Given, Meant, MeantWay, Resume, Rotate, Shown, shown};
use crate::contract::problem::{Id, Problem};
use crate::contract::seen::{Listed, Paging, limit};

/// `GET /owners/{owner}/hooks`
pub(super) async fn list(
    State(site): At,
    asker: Asker,
    Place(owner): Place<String>,
    Asked(asked): Asked<Paging>,
) -> Answer<Json<Listed<Shown>>> {
    let owner: OwnerId = id(&owner)?;
    let limit = limit(asked.limit)?;
    let after = asked.after.as_deref().map(|text| {
        text.parse::<HookId>()
            .map_err(|_| Problem::invalid("after", "`after` is the last hook of the page before"))
    });
    let page = Page { after: after.transpose()?, limit };
    site.allow(&asker.0, Action::Read(owner)).await?;
    let views = site.parts.store.hooks_of(owner, HookFilter::default(), page).await?;
    Ok(Json(Listed::page(views, limit, |view| view.hook.id.to_string(), |view| shown(view, None))))
}

/// `POST /owners/{owner}/hooks`
pub(super) async fn add(
    State(site): At,
    asker: Asker,
    Place(owner): Place<String>,
    body: Body,
) -> Answer<Response> {
    let owner: OwnerId = id(&owner)?;
    site.allow(&asker.0, Action::ChangeHooks(owner)).await?;
    let given: Given = site.bodies.shape(body).await?;
    if given.kind.is_none() {
        return Err(Problem::invalid("kind", "`kind` is needed: `webhook` or `email`"));
    }
    let meant = given.meant(&site.parts.catalogue, &site.guard)?;
    let new = HookId(site.parts.luck.id());
    let (hook, secret) = match &meant.way {
        MeantWay::Webhook(_) => {
            (site.hook(new, owner, meant, None).await?, Some(signing::secret(&site.parts.luck.bytes32())))
        }
        MeantWay::Email(_) => (site.hook(new, owner, meant, None).await?, None),
    };
    let scope = hook.scope.clone().unwrap_or_default();
    saved(site.parts.store.add_hook(hook, secret.clone(), site.parts.clock.now()).await?, &scope)?;
    let view = site.parts.store.hook(new).await?.ok_or_else(|| Problem::not_found("hook"))?;
    Ok((StatusCode::CREATED, Json(shown(view, secret.as_ref()))).into_response())
}

/// `GET /hooks/{hook}`
pub(super) async fn one(State(site): At, asker: Asker, Place(hook): Place<String>) -> Answer<Json<Shown>> {
    Ok(Json(shown(site.found(&asker, &hook, false).await?, None)))
}

/// `PUT /hooks/{hook}`
pub(super) async fn replace(
    State(site): At,
    asker: Asker,
    Place(hook): Place<String>,
    body: Body,
) -> Answer<Json<Shown>> {
    let view = site.found(&asker, &hook, true).await?;
    let given: Given = site.bodies.shape(body).await?;
    let meant = given.meant(&site.parts.catalogue, &site.guard)?;
    let hook = site.hook(view.hook.id, view.hook.owner, meant, Some(&view.hook)).await?;
    let scope = hook.scope.clone().unwrap_or_default();
    saved(site.parts.store.replace_hook(hook, site.parts.clock.now()).await?, &scope)?;
    site.told(view.hook.id).await
}

/// `DELETE /hooks/{hook}`
pub(super) async fn remove(State(site): At, asker: Asker, Place(hook): Place<String>) -> Answer<StatusCode> {
    let view = site.found(&asker, &hook, true).await?;
    done(site.parts.store.delete_hook(view.hook.id).await?)?;
    site.hooks_changed.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /hooks/{hook}/pause`
pub(super) async fn pause(State(site): At, asker: Asker, Place(hook): Place<String>) -> Answer<Json<Shown>> {
    site.turn(&asker, &hook, Turn::Pause).await
}

/// `POST /hooks/{hook}/resume`
pub(super) async fn resume(
    State(site): At,
    asker: Asker,
    Place(hook): Place<String>,
    body: Body,
) -> Answer<Json<Shown>> {
    let given: Resume = site.bodies.shape(body).await?;
    let turn = match given.held.as_str() {
        "deliver" => Turn::CatchUp,
        "skip" => Turn::Skip,
        _ => return Err(Problem::invalid("held", "what is held is to `deliver` or to `skip`")),
    };
    site.turn(&asker, &hook, turn).await
}

/// `POST /hooks/{hook}/rotate`
pub(super) async fn rotate(
    State(site): At,
    asker: Asker,
    Place(hook): Place<String>,
    body: Body,
) -> Answer<Json<serde_json::Value>> {
    const LONGEST: u32 = 7 * 24;
    let view = site.found(&asker, &hook, true).await?;
    if matches!(view.hook.way, Way::Email { .. }) {
        return Err(Problem::new(Id::WrongState, "an e-mail hook has no signing secret"));
    }
    let held = site.bodies.read(body, super::super::body::SMALL).await?;
    let given = match held.text()?.trim() {
        "" => Rotate { overlap_hours: None },
        text => super::super::body::shape(text)?,
    };
    let hours = given.overlap_hours.unwrap_or(24);
    if hours > LONGEST {
        return Err(Problem::invalid("overlapHours", format!("`overlapHours` is 0 to {LONGEST}")));
    }
    let until = site.parts.clock.now() + i64::from(hours) * HOUR;
    let secret = signing::secret(&site.parts.luck.bytes32());
    done(site.parts.store.rotate_secret(view.hook.id, secret.clone(), until).await?)?;
    Ok(Json(json!({"secret": secret.expose(), "previousValidUntil": until})))
}

impl Site {
    /// The hook of an id, if the caller may read it, and change it where that is asked.
    async fn found(&self, asker: &Asker, hook: &str, change: bool) -> Answer<HookView> {
        let view = self.parts.store.hook(id(hook)?).await?.ok_or_else(|| Problem::not_found("hook"))?;
        self.allow_found(&asker.0, view.hook.owner, change, "hook").await?;
        Ok(view)
    }

    async fn turn(&self, asker: &Asker, hook: &str, turn: Turn) -> Answer<Json<Shown>> {
        let view = self.found(asker, hook, true).await?;
        done(self.parts.store.turn_hook(view.hook.id, turn, self.parts.clock.now()).await?)?;
        self.told(view.hook.id).await
    }

    /// Tells the house that a hook changed, and shows it as it is now.
    async fn told(&self, hook: HookId) -> Answer<Json<Shown>> {
        self.hooks_changed.notify_one();
        let view = self.parts.store.hook(hook).await?.ok_or_else(|| Problem::not_found("hook"))?;
        Ok(Json(shown(view, None)))
    }

    /// A whole hook from what is meant and, if it is there already, from what it was.
    pub(crate) async fn hook(
        &self,
        hook: HookId,
        owner: OwnerId,
        meant: Meant,
        before: Option<&Hook>,
    ) -> Answer<Hook> {
        let fresh = || DestinationId(self.parts.luck.id());
        let way = match (meant.way, before.map(|before| &before.way)) {
            (MeantWay::Webhook(_), Some(Way::Email { .. })) => {
                return Err(Problem::invalid("urls", "an e-mail hook stays one: it has `targets`"));
            }
            (MeantWay::Email(_), Some(Way::Webhook { .. })) => {
                return Err(Problem::invalid("targets", "a webhook stays one: it has `urls`"));
            }
            (MeantWay::Webhook(wanted), before) => {
                let old: &[Destination] = match before {
                    Some(Way::Webhook { destinations }) => destinations,
                    _ => &[],
                };
                let destinations = destinations::edited(old, wanted, fresh).map_err(|unfit| {
                    let field = match &unfit {
                        Unfit::NoSuchDestination { at } => format!("urls[{at}].id"),
                        Unfit::Elsewhere { at, fields } => {
                            format!("urls[{at}].fields.{}", fields.first().map_or("", String::as_str))
                        }
                    };
                    Problem::invalid(field, unfit.to_string())
                })?;
                for (at, one) in destinations.iter().enumerate() {
                    fits(one).map_err(|problem| problem.within(&format!("urls[{at}]")))?;
                }
                Way::Webhook { destinations }
            }
            (MeantWay::Email(targets), before) => {
                self.check_people(owner, &targets).await?;
                let destination = match before {
                    Some(Way::Email { destination, .. }) => *destination,
                    _ => fresh(),
                };
                Way::Email { destination, targets }
            }
        };
        Ok(Hook {
            id: hook,
            owner,
            name: meant.name,
            events: meant.events,
            scope: meant.scope,
            way,
            schedule: meant.schedule,
            state: before.map_or(HookState::Enabled, |before| before.state),
            created_at: before.map_or_else(|| self.parts.clock.now(), |before| before.created_at),
        })
    }

    /// A user an e-mail hook names is one of the owner's people: others have no say in its mail.
    async fn check_people(&self, owner: OwnerId, targets: &[Target]) -> Answer<()> {
        for (at, target) in targets.iter().enumerate() {
            if let Target::User(user) | Target::Maker(user) = target
                && self.parts.store.role(owner, *user).await?.is_none()
            {
                return Err(Problem::invalid(
                    format!("targets[{at}].user"),
                    format!("{user} is not a member of {owner}"),
                ));
            }
        }
        Ok(())
    }
}

fn done(changed: Changed) -> Answer<()> {
    saved(changed, &[])
}

/// What came of saving a hook of this scope.
fn saved(changed: Changed, scope: &[ResourceId]) -> Answer<()> {
    match changed {
        Changed::Done => Ok(()),
        Changed::NoHook => Err(Problem::not_found("hook")),
        Changed::ForeignResource(id) => {
            let at = scope.iter().position(|one| *one == id).map(|at| format!("[{at}]")).unwrap_or_default();
            Err(Problem::of(
                Id::ForeignResource,
                format!("scope{at}"),
                format!("{id} belongs to another owner"),
            ))
        }
        Changed::UnknownOwner => {
            Err(Problem { field: Some("owner".to_owned()), ..Problem::not_found("owner") })
        }
        Changed::TooMany => {
            Err(Problem::new(Id::TooManyHooks, "the owner has as many hooks as it may; delete one first"))
        }
    }
}

/// Whether URL and fields are what the format takes. Asked of the whole destination: a kept part may not fit a new one.
fn fits(destination: &Destination) -> Answer<()> {
    let Some(format) = formats::find(&destination.format) else { return Ok(()) };
    // What was saved is a URL.
    let Ok(url) = Url::parse(destination.url.expose()) else { return Ok(()) };
    (format.check)(&url).map_err(|rule| Problem::invalid("url", rule))?;
    format
        .check_fields(&url, &destination.fields)
        .map_err(|error| Problem::invalid(format!("fields.{}", error.name), error.rule))
}
