//! The Clever Cloud surface: what its command line and client libraries ask of notifications, under `/v2`.
//!
//! Who is not known is 401, and nobody else: the command line shows every 401 as *not logged in*. An owner that is not
//! theirs, or not there, is 403.

mod applications;
mod directory;
pub(super) mod error;
mod notifications;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::routing::{delete, get};
use http::request::Parts;
use sonnette_core::ids::{OwnerId, UserId};
use sonnette_core::model::{Caller, User};
use sonnette_core::permission::{Action, Denied};

use self::error::V2Error;
use super::Site;
use crate::contract::problem::{Id, Problem};

/// What a handler answers.
type V2Answer<T> = Result<T, V2Error>;

/// Every route under `/v2` but the event socket's.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/notifications/info/events", get(notifications::events))
        .route("/notifications/info/webhookformats", get(notifications::formats))
        .route(
            "/notifications/emailhooks/{owner}",
            get(notifications::email_hooks).post(notifications::add_email_hook),
        )
        .route(
            "/notifications/emailhooks/{owner}/{hook}",
            delete(notifications::remove_email_hook).put(notifications::replace_email_hook),
        )
        .route(
            "/notifications/webhooks/{owner}",
            get(notifications::webhooks).post(notifications::add_webhook),
        )
        .route(
            "/notifications/webhooks/{owner}/{hook}",
            delete(notifications::remove_webhook).put(notifications::replace_webhook),
        )
        .route("/self", get(directory::myself))
        .route("/self/id", get(directory::my_id))
        .route("/self/tokens/current", get(directory::current_token))
        .route("/self/cli_tokens", get(directory::cli_token))
        .route("/self/applications/{app}", get(applications::mine))
        .route("/summary", get(directory::summary))
        .route("/organisations/{owner}", get(directory::owner))
        .route("/organisations/{owner}/members", get(directory::members))
        .route("/organisations/{owner}/applications", axum::routing::post(applications::create))
        .route(
            "/organisations/{owner}/applications/{app}",
            get(applications::one).delete(applications::remove),
        )
        .route("/organisations/{owner}/applications/{app}/deployments", get(applications::deployments))
        .route("/products/instances", get(applications::runtimes))
        .fallback(|| async { V2Error::new(Id::NotFound, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            V2Error::new(Id::MethodNotAllowed, "this path knows other methods")
        })
}

/// Something read from a request, with errors in this surface's shape.
struct V2<E>(E);

impl<E, S: Send + Sync> FromRequestParts<S> for V2<E>
where
    E: FromRequestParts<S, Rejection = Problem>,
{
    type Rejection = V2Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, V2Error> {
        Ok(Self(E::from_request_parts(parts, state).await?))
    }
}

impl Site {
    /// The owner a path names, if the caller may do it there.
    async fn v2_owner(
        &self,
        caller: &Caller,
        owner: &str,
        action: fn(OwnerId) -> Action,
    ) -> V2Answer<OwnerId> {
        // Not said: whether there is such an owner.
        let foreign = || V2Error::new(Id::Forbidden, Denied::NotAMember.to_string());
        let owner: OwnerId = owner.parse().map_err(|_| foreign())?;
        self.allow(caller, action(owner)).await?;
        // Operators may see everything, but not what is not there.
        if self.parts.store.knows(owner).await? { Ok(owner) } else { Err(foreign()) }
    }

    /// The person who asks.
    async fn person_asking(&self, caller: &Caller) -> V2Answer<User> {
        let nobody = || {
            V2Error::new(Id::Forbidden, "an operator token is nobody: ask with a person's token and secret")
        };
        let id = user_of(caller).ok_or_else(nobody)?;
        self.parts.store.user(id).await?.ok_or_else(nobody)
    }
}

fn user_of(caller: &Caller) -> Option<UserId> {
    match caller {
        Caller::Operator => None,
        Caller::Person { user, .. } => Some(*user),
    }
}
