//! Our own API: one file for what people ask about, one line a route.

mod about;
mod deliveries;
mod directory;
mod events;
mod hooks;
mod mail;
mod previews;
mod streams;
mod suppressions;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};

use super::Site;
pub(crate) use streams::last_event;
pub(crate) use tokens::token_name;

/// Every route under `/api/v1`.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/events", post(events::post))
        .route("/events/{event}", get(events::one))
        .route("/owners/{owner}/events", get(events::list))
        .route("/owners/{owner}/stream", get(streams::events))
        .route("/owners/{owner}/socket", get(streams::socket))
        .route("/owners/{owner}/hooks", get(hooks::list).post(hooks::add))
        .route("/hooks/test", post(previews::test_new))
        .route("/hooks/{hook}", get(hooks::one).put(hooks::replace).delete(hooks::remove))
        .route("/hooks/{hook}/pause", post(hooks::pause))
        .route("/hooks/{hook}/resume", post(hooks::resume))
        .route("/hooks/{hook}/rotate", post(hooks::rotate))
        .route("/hooks/{hook}/test", post(previews::test))
        .route("/preview", post(previews::preview))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{delivery}", get(deliveries::one))
        .route("/deliveries/{delivery}/resend", post(deliveries::resend))
        .route("/users", get(directory::users).post(directory::add_user))
        .route("/users/{user}", get(directory::user).put(directory::put_user).delete(directory::remove_user))
        .route("/users/{user}/mail", get(mail::of_user).put(mail::put_of_user))
        .route("/account/mail", get(mail::own).put(mail::put_own))
        .route("/organisations", get(directory::organisations).post(directory::add_organisation))
        .route(
            "/organisations/{organisation}",
            get(directory::organisation)
                .put(directory::put_organisation)
                .delete(directory::remove_organisation),
        )
        .route("/organisations/{organisation}/members", get(directory::members))
        .route(
            "/organisations/{organisation}/members/{user}",
            put(directory::put_member).delete(directory::remove_member),
        )
        .route("/owners/{owner}/resources", get(directory::resources).post(directory::add_resource))
        .route(
            "/owners/{owner}/resources/{resource}",
            put(directory::put_resource).delete(directory::remove_resource),
        )
        .route("/import", post(directory::import))
        .route("/tokens", get(tokens::list).post(tokens::add))
        .route("/tokens/{token}", axum::routing::delete(tokens::revoke))
        .route("/suppressions", get(suppressions::list).post(suppressions::add).delete(suppressions::lift))
        .route("/bounces", post(suppressions::bounce))
        .route("/sign-in-links", post(tokens::sign_in_link))
        .route("/me", get(about::me))
        .route("/catalogue", get(about::catalogue))
        .route("/formats", get(about::formats))
}

/// Reads an id out of a path; what is no id is not there.
fn id<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> super::Answer<T> {
    use crate::contract::problem::{Id, Problem};
    text.parse().map_err(|error: T::Err| Problem::new(Id::NotFound, error.to_string()))
}
