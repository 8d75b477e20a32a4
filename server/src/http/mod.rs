//! The door: our own API under `/api/v1`, the Clever Cloud surface under `/v2`, `/healthz`, and the console everywhere else.

mod access;
mod api;
mod asked;
mod body;
mod event_socket;
pub mod listen;
mod pace;
mod patience;
mod signed;
pub mod tls;
mod trying;
mod v2;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use sonnette_core::permission::Policy;
use tokio::sync::{Notify, Semaphore};
use tower_http::catch_panic::CatchPanicLayer;

use crate::console::{self, Console};
use crate::contract::problem::{Id, Problem};
use crate::egress::guard::Guard;
use crate::flow::Parts;
use crate::stream::Hub;

pub use access::operator_token;
pub(crate) use access::{Credential, alphanumeric};
pub(crate) use api::{last_event, token_name};
pub(crate) use asked::Place;
pub(crate) use body::SMALL;
pub(crate) use signed::Arrived;
pub use signed::{Consumer, Terms};
pub(crate) use trying::Part;

/// How long `/healthz` waits for the store.
const PING: Duration = Duration::from_secs(5);

/// What handlers need.
pub struct Site {
    /// Store, clock, chance, catalogue.
    pub parts: Parts,
    /// Which addresses hooks may name.
    pub guard: Guard,
    /// What roles may do.
    pub policy: Policy,
    /// Tells the house that a hook changed.
    pub hooks_changed: Arc<Notify>,
    /// What signed requests are checked against.
    pub terms: Terms,
    /// Whether people may create applications under `/v2`.
    pub applications: bool,
    /// Who listens to what happens.
    pub streams: Arc<Hub>,
    /// What pages need besides.
    pub console: Console,
    known: access::Known,
    nonces: signed::Nonces,
    pub(crate) bodies: body::Budget,
    /// How often hooks are tried.
    pace: pace::Pace,
    /// What trying them may send at once.
    trying: Semaphore,
}

impl Site {
    /// A site with nobody known yet.
    pub fn new(
        parts: Parts,
        guard: Guard,
        policy: Policy,
        terms: Terms,
        hooks_changed: Arc<Notify>,
        streams: Arc<Hub>,
        console: Console,
    ) -> Self {
        let (known, bodies) = (access::Known::default(), body::Budget::default());
        let nonces = signed::Nonces::new(parts.clock.now());
        Self {
            parts,
            guard,
            policy,
            hooks_changed,
            terms,
            applications: false,
            streams,
            console,
            known,
            nonces,
            bodies,
            pace: pace::Pace::default(),
            trying: Semaphore::new(trying::UNDER_WAY),
        }
    }
}

/// State of every handler.
pub(crate) type At = axum::extract::State<Arc<Site>>;
/// What a handler answers.
type Answer<T> = Result<T, Problem>;

/// Every route.
pub fn router(site: Arc<Site>) -> Router {
    Router::new()
        .nest("/api/v1", api::routes())
        .nest("/v2", v2::routes())
        // Clients put paths behind their `API_HOST` as it is; with a slash at its end there are two.
        .nest("//v2", v2::routes())
        .route("/v2/events/event-socket", get(event_socket::open))
        .route("//v2/events/event-socket", get(event_socket::open))
        .route("/healthz", get(healthz))
        .merge(console::routes(&site))
        .fallback(console::nowhere)
        .method_not_allowed_fallback(|| async {
            Problem::new(Id::MethodNotAllowed, "this path knows other methods")
        })
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            // A defect of ours; what was accepted is in the store, and the next request starts anew.
            tracing::error!("a handler panicked");
            axum::response::IntoResponse::into_response(Problem::new(
                Id::Unavailable,
                "this request met a defect",
            ))
        }))
        .with_state(site)
}

async fn healthz(axum::extract::State(site): At) -> Answer<&'static str> {
    match tokio::time::timeout(PING, site.parts.store.ping()).await {
        Ok(Ok(())) => Ok("ok\n"),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Problem::new(Id::Unavailable, "the store does not answer")),
    }
}

impl From<sonnette_core::ports::StoreError> for Problem {
    fn from(error: sonnette_core::ports::StoreError) -> Self {
        tracing::error!(%error, "the store could not serve a request");
        Self::new(Id::Unavailable, "the store cannot do it now; nothing accepted before is lost")
    }
}
