//! E-mail hooks, webhooks, and what there is to choose from.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use sonnette_core::formats::FORMATS;
use sonnette_core::ids::{HookId, OwnerId, ResourceId};
use sonnette_core::model::{Caller, Hook, Way};
use sonnette_core::permission::Action;
use sonnette_core::ports::Changed;
use sonnette_core::signing;

use super::error::V2Error;
use super::{V2, V2Answer, user_of};
use crate::contract::hooks::Meant;
use crate::contract::problem::{Id, Problem};
use crate::contract::v2::hooks::{
    self as wire, GivenEmailHook, GivenWebhook, Judge, ShownEmailHook, ShownWebhook, not_yours,
};
use crate::http::access::V2Asker;
use crate::http::asked::Place;
use crate::http::{At, Site};

/// The owner of a path.
type Owner = V2<Place<String>>;
/// The owner and the hook of a path.
type OwnerAndHook = V2<Place<(String, String)>>;

// ------------------------------------------------------------------------------------------ what there is to choose

/// `GET /v2/notifications/info/events`: all names, families included.
pub(super) async fn events(State(site): At, _asker: V2Asker) -> Json<Value> {
    let catalogue = &site.parts.catalogue;
    let kinds = catalogue.kinds().iter().filter(|kind| !kind.private).map(|kind| kind.name.as_str());
    let names: Vec<_> = kinds.chain(catalogue.families().iter().map(|family| family.name.as_str())).collect();
    let families = catalogue.families().iter().map(|family| {
        let kinds: Vec<_> =
            family.kinds.iter().filter_map(|kind| Some(&catalogue.kind_at(*kind)?.name)).collect();
        json!({"key": family.name, "events": kinds})
    });
    // A list: later clients walk it, earlier ones look names up in it and live with finding none.
    Json(json!({"events": names, "meta_events": families.collect::<Vec<_>>()}))
}

/// `GET /v2/notifications/info/webhookformats`
pub(super) async fn formats(_asker: V2Asker) -> Json<Vec<&'static str>> {
    Json(FORMATS.iter().map(|format| format.name).collect())
}

// ------------------------------------------------------------------------------------------------------- webhooks

/// `GET /v2/notifications/webhooks/{owner}`
pub(super) async fn webhooks(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place(owner)): Owner,
) -> V2Answer<Json<Vec<ShownWebhook>>> {
    let owner = site.v2_owner(&caller, &owner, Action::Read).await?;
    let whole = match site.allow(&caller, Action::ChangeHooks(owner)).await {
        Ok(()) => true,
        Err(problem) if problem.id == Id::Forbidden => false,
        Err(problem) => return Err(problem.into()),
    };
    let hooks = site.v2_hooks(owner, is_webhook).await?;
    let mut failures = site.parts.store.failures(hooks.iter().map(|hook| hook.id).collect()).await?;
    let shown = hooks.into_iter().filter_map(|hook| {
        let failures = failures.remove(&hook.id).unwrap_or_default();
        wire::webhook(hook, failures, whole)
    });
    Ok(Json(shown.collect()))
}

/// `POST /v2/notifications/webhooks/{owner}`
pub(super) async fn add_webhook(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place(owner)): Owner,
    body: Body,
) -> V2Answer<(StatusCode, Json<ShownWebhook>)> {
    let owner = site.v2_owner(&caller, &owner, Action::ChangeHooks).await?;
    let given: GivenWebhook = site.bodies.shape(body).await?;
    let hook = site.v2_add(owner, given.meant(site.judge(&caller, None))?).await?;
    Ok((StatusCode::CREATED, Json(wire::webhook(hook, Vec::new(), true).ok_or_else(no_hook)?)))
}

/// `PUT /v2/notifications/webhooks/{owner}/{hook}`
pub(super) async fn replace_webhook(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place((owner, hook))): OwnerAndHook,
    body: Body,
) -> V2Answer<Json<ShownWebhook>> {
    let before = site.v2_found(&caller, &owner, &hook, is_webhook).await?;
    let given: GivenWebhook = site.bodies.shape(body).await?;
    let meant = given.meant(site.judge(&caller, Some(&before)))?;
    let hook = site.v2_replace(&before, meant).await?;
    let failures = site.parts.store.failures(vec![hook.id]).await?.remove(&hook.id).unwrap_or_default();
    Ok(Json(wire::webhook(hook, failures, true).ok_or_else(no_hook)?))
}

/// `DELETE /v2/notifications/webhooks/{owner}/{hook}`
pub(super) async fn remove_webhook(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place((owner, hook))): OwnerAndHook,
) -> V2Answer<StatusCode> {
    site.v2_remove(&caller, &owner, &hook, is_webhook).await
}

fn is_webhook(way: &Way) -> bool {
    matches!(way, Way::Webhook { .. })
}

// --------------------------------------------------------------------------------------------------- e-mail hooks

/// `GET /v2/notifications/emailhooks/{owner}`
pub(super) async fn email_hooks(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place(owner)): Owner,
) -> V2Answer<Json<Vec<ShownEmailHook>>> {
    let owner = site.v2_owner(&caller, &owner, Action::Read).await?;
    let hooks = site.v2_hooks(owner, is_email).await?;
    Ok(Json(hooks.into_iter().filter_map(wire::email_hook).collect()))
}

/// `POST /v2/notifications/emailhooks/{owner}`
pub(super) async fn add_email_hook(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place(owner)): Owner,
    body: Body,
) -> V2Answer<(StatusCode, Json<ShownEmailHook>)> {
    let owner = site.v2_owner(&caller, &owner, Action::ChangeHooks).await?;
    let given: GivenEmailHook = site.bodies.shape(body).await?;
    let hook = site.v2_add(owner, given.meant(site.judge(&caller, None))?).await?;
    Ok((StatusCode::CREATED, Json(wire::email_hook(hook).ok_or_else(no_hook)?)))
}

/// `PUT /v2/notifications/emailhooks/{owner}/{hook}`
pub(super) async fn replace_email_hook(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place((owner, hook))): OwnerAndHook,
    body: Body,
) -> V2Answer<Json<ShownEmailHook>> {
    let before = site.v2_found(&caller, &owner, &hook, is_email).await?;
    let given: GivenEmailHook = site.bodies.shape(body).await?;
    let meant = given.meant(site.judge(&caller, Some(&before)))?;
    let hook = site.v2_replace(&before, meant).await?;
    Ok(Json(wire::email_hook(hook).ok_or_else(no_hook)?))
}

/// `DELETE /v2/notifications/emailhooks/{owner}/{hook}`
pub(super) async fn remove_email_hook(
    State(site): At,
    V2Asker(caller): V2Asker,
    V2(Place((owner, hook))): OwnerAndHook,
) -> V2Answer<StatusCode> {
    site.v2_remove(&caller, &owner, &hook, is_email).await
}

fn is_email(way: &Way) -> bool {
    !is_webhook(way)
}

// ----------------------------------------------------------------------------------------------------------- both

fn no_hook() -> V2Error {
    V2Error::new(Id::NotFound, "hook not found")
}

impl Site {
    fn judge<'a>(&'a self, caller: &Caller, before: Option<&'a Hook>) -> Judge<'a> {
        Judge { catalogue: &self.parts.catalogue, guard: &self.guard, asker: user_of(caller), before }
    }

    /// An owner's hooks of one sort.
    async fn v2_hooks(&self, owner: OwnerId, is: fn(&Way) -> bool) -> V2Answer<Vec<Hook>> {
        let views = self.parts.store.hooks(owner).await?;
        Ok(views.into_iter().map(|view| view.hook).filter(|hook| is(&hook.way)).collect())
    }

    /// A hook the caller may change. One of another owner, or of the other sort, is not there.
    async fn v2_found(
        &self,
        caller: &Caller,
        owner: &str,
        hook: &str,
        is: fn(&Way) -> bool,
    ) -> V2Answer<Hook> {
        let owner = self.v2_owner(caller, owner, Action::ChangeHooks).await?;
        let id: HookId = hook.parse().map_err(|_| no_hook())?;
        let hook = self.parts.store.hook(id).await?.ok_or_else(no_hook)?.hook;
        if hook.owner == owner && is(&hook.way) { Ok(hook) } else { Err(no_hook()) }
    }

    async fn v2_add(&self, owner: OwnerId, meant: Meant) -> V2Answer<Hook> {
        self.check_scope(owner, &meant, None).await?;
        let hook = self.hook(HookId(self.parts.luck.id()), owner, meant, None).await.map_err(in_its_words)?;
        // Nobody is shown it here; rotating gives one that is.
        let secret = is_webhook(&hook.way).then(|| signing::secret(&self.parts.luck.bytes32()));
        done(self.parts.store.add_hook(hook.clone(), secret, self.parts.clock.now()).await?)?;
        Ok(hook)
    }

    async fn v2_replace(&self, before: &Hook, meant: Meant) -> V2Answer<Hook> {
        self.check_scope(before.owner, &meant, before.scope.as_deref()).await?;
        let hook = self.hook(before.id, before.owner, meant, Some(before)).await.map_err(in_its_words)?;
        done(self.parts.store.replace_hook(hook, self.parts.clock.now()).await?)?;
        self.hooks_changed.notify_one();
        Ok(self.parts.store.hook(before.id).await?.ok_or_else(no_hook)?.hook)
    }

    async fn v2_remove(
        &self,
        caller: &Caller,
        owner: &str,
        hook: &str,
        is: fn(&Way) -> bool,
    ) -> V2Answer<StatusCode> {
        let hook = self.v2_found(caller, owner, hook, is).await?;
        done(self.parts.store.delete_hook(hook.id).await?)?;
        self.hooks_changed.notify_one();
        Ok(StatusCode::NO_CONTENT)
    }

    /// A scope names what the owner has, or what the hook had before: ids stay on a hook when their resource goes.
    async fn check_scope(&self, owner: OwnerId, meant: &Meant, held: Option<&[ResourceId]>) -> V2Answer<()> {
        let Some(scope) = &meant.scope else { return Ok(()) };
        let resources = self.parts.store.resources(owner).await?;
        let own: BTreeSet<_> =
            resources.iter().flat_map(|one| [Some(&one.id), one.real_id.as_ref()]).flatten().collect();
        let held = held.unwrap_or_default();
        match scope.iter().find(|id| !own.contains(id) && !held.contains(id)) {
            Some(id) => Err(not_yours(id.as_str()).into()),
            None => Ok(()),
        }
    }
}

/// [`Site::hook`] speaks of our own fields.
fn in_its_words(problem: Problem) -> V2Error {
    let field =
        problem.field.map(|field| field.replace("targets[", "notified[").replace("].user", "].target"));
    Problem { field, ..problem }.into()
}

fn done(changed: Changed) -> V2Answer<()> {
    match changed {
        Changed::Done => Ok(()),
        Changed::NoHook => Err(no_hook()),
        Changed::ForeignResource(id) => Err(not_yours(id.as_str()).into()),
        Changed::UnknownOwner => Err(V2Error::new(Id::Forbidden, "the owner is gone")),
        Changed::TooMany => {
            Err(V2Error::new(Id::TooManyHooks, "this owner has as many hooks as it may; remove one first"))
        }
    }
}
