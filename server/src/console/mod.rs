//! The console: Organisation Manager > Notifications, as pages that work without JavaScript and become live with it.
//!
//! - `door`: what every page goes through. `reader`: who looks. `oops`: what can go wrong. `frame`: what is around every page.
//! - `words`: every word, in two languages. `time`: times for people. `form`: what is sent. `cookie`, `limits`: what they say.
//! - `sign_in`, …: the pages, one file for what people look at; their templates are in `server/templates/console`.
//!
//! A page is a handler that takes a `Visitor`, asks `Visitor::at` for the owner in its
//! path, and shows a template that extends `frame.html`. A form is read as `Checked`.

mod account;
mod assets;
mod choice;
mod cli_login;
mod cookie;
mod deliveries;
mod delivery;
mod describe;
mod door;
mod event;
mod filled;
mod form;
mod frame;
mod guides;
mod hook_form;
mod hooks;
mod letters;
mod limits;
mod live;
mod mail;
mod oops;
mod preview;
mod provider;
mod reader;
mod reference;
mod secret;
mod sign_in;
mod tested;
mod time;
mod told;
mod typed;
mod words;

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Extension, Router};
use tower_http::compression::{CompressionLayer, CompressionLevel};
use url::Url;

use crate::egress::provider::Provider;
use crate::http::Site;
use cli_login::Handovers;
pub(crate) use door::nowhere;
use hooks::Sort;
use limits::Limits;
use reader::Visitor;
use secret::Reveals;

/// What the console needs besides what the API needs.
pub struct Console {
    /// The address people know us by: links in letters begin with it.
    pub base: Url,
    /// The provider people may sign in at.
    pub(crate) provider: Option<Provider>,
    /// Whether sign-in links are printed too, for trying things on one's own machine.
    pub aloud: bool,
    asked: Limits,
    reveals: Reveals,
    /// Pairs the command line fetches.
    pub(crate) handovers: Handovers,
}

impl Console {
    /// A console at this address.
    pub fn new(base: Url, aloud: bool, provider: Option<Provider>) -> Self {
        Self {
            base,
            provider,
            aloud,
            asked: Limits::default(),
            reveals: Reveals::default(),
            handovers: Handovers::default(),
        }
    }

    fn secure(&self) -> bool {
        self.base.scheme() == "https"
    }
}

/// Every page.
pub(crate) fn routes(site: &Arc<Site>) -> Router<Arc<Site>> {
    let pages = Router::new()
        .route("/", get(home))
        .route("/sign-in", get(sign_in::ask).post(sign_in::send))
        .route("/sign-in/open", post(sign_in::open))
        .route("/sign-in/provider", get(provider::begin))
        .route("/sign-in/callback", get(provider::back))
        .route("/sign-in/{link}", get(sign_in::link))
        .route("/sign-out", post(sign_in::out))
        .route("/u/{token}", get(letters::ask_stop).post(letters::stop))
        .route("/c/{token}", get(letters::ask_confirm).post(letters::confirm))
        .route("/o/{owner}/emails/letter", get(preview::framed))
        .route("/o/{owner}/webhooks/{hook}/secret", get(secret::page).post(secret::rotate))
        .route("/cli-oauth", get(cli_login::ask).post(cli_login::agree))
        .merge(of(Sort::Emails))
        .merge(of(Sort::Webhooks))
        .route("/events", get(reference::index))
        .route("/events/{kind}", get(reference::kind))
        .route("/account", get(account::page))
        .route("/account/preferences", post(account::prefer))
        .route("/account/mail", post(mail::save))
        .route("/account/mail/hooks", post(mail::turn))
        .route("/account/mail/resources", post(mail::resources))
        .route("/account/tokens", post(account::add_token))
        .route("/account/tokens/{token}/revoke", post(account::revoke_token))
        .route("/account/sessions/{session}/end", post(account::end_session))
        .route("/o/{owner}/deliveries", get(deliveries::list))
        .route("/o/{owner}/deliveries/undelivered", get(deliveries::undelivered))
        .route("/o/{owner}/deliveries/{delivery}", get(delivery::page))
        .route("/o/{owner}/deliveries/{delivery}/resend", post(delivery::resend))
        .route("/o/{owner}/live", get(live::page))
        .route("/o/{owner}/live/stream", get(live::stream))
        .route("/o/{owner}/live/lines", get(live::lines))
        .route("/o/{owner}/events/{event}", get(event::page))
        .route("/o/{owner}/events/{event}/frame", get(event::frame))
        .layer(from_fn_with_state(Arc::clone(site), door::door));
    Router::new()
        .route("/assets/{name}", get(assets::get))
        .merge(pages)
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
}

/// The pages about hooks of one sort.
fn of(sort: Sort) -> Router<Arc<Site>> {
    let at = |rest: &str| format!("/o/{{owner}}/{}{rest}", sort.path());
    Router::new()
        .route(&at(""), get(hooks::list).post(hook_form::add))
        .route(&at("/new"), get(hook_form::new))
        .route(&at("/preview"), post(preview::fragment))
        .route(&at("/resources"), post(hook_form::resources))
        .route(&at("/{hook}"), get(hook_form::edit).post(hook_form::replace))
        .route(&at("/{hook}/test"), post(tested::saved))
        .route(&at("/{hook}/pause"), post(hooks::pause))
        .route(&at("/{hook}/resume"), get(hooks::ask_resume).post(hooks::resume))
        .route(&at("/{hook}/delete"), get(hooks::ask_delete).post(hooks::delete))
        .layer(Extension(sort))
}

/// `GET /`
async fn home(visitor: Visitor) -> Redirect {
    Redirect::to(&format!("/o/{}/emails", visitor.person.user.id))
}
