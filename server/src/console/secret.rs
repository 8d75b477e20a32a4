//! The secret a webhook signs with: shown once, rotated, and how to verify with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use sonnette_core::formats;
use sonnette_core::ids::{HookId, SessionId};
use sonnette_core::model::{HOUR, Hook, MINUTE, Millis, Way};
use sonnette_core::secret::Secret;
use sonnette_core::signing;

use super::form::{Checked, Form};
use super::frame::{Frame, Section, show};
use super::hooks::{self, Sort};
use super::oops::Oops;
use super::reader::Visitor;
use super::time::Moment;
use super::words::Words;
use crate::http::{At, Place};

/// How long a secret is shown after it was made.
const SHOWN_FOR: Millis = 10 * MINUTE;
/// Secrets to be shown at once; beyond, the oldest are not shown any more.
const MOST: usize = 10_000;

/// How to verify a signature, by language. Each is a program a test runs.
const CODE: [(&str, &str); 4] = [
    ("curl, openssl", include_str!("../../templates/console/verify/verify.sh")),
    ("Node", include_str!("../../templates/console/verify/verify.mjs")),
    ("Python", include_str!("../../templates/console/verify/verify.py")),
    ("Rust", include_str!("../../templates/console/verify/verify.rs")),
];

/// New secrets, for the sessions that made them. In memory only: what is lost with it is rotated.
#[derive(Default)]
pub(super) struct Reveals(Mutex<HashMap<(SessionId, HookId), (Millis, Secret)>>);

impl Reveals {
    /// Keeps a secret to be shown.
    pub(super) fn put(&self, session: SessionId, hook: HookId, secret: Secret, now: Millis) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (at, _)| now - *at < SHOWN_FOR);
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert((session, hook), (now, secret));
    }

    fn get(&self, session: SessionId, hook: HookId, now: Millis) -> Option<Secret> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&(session, hook)).filter(|(at, _)| now - *at < SHOWN_FOR).map(|(_, secret)| secret.clone())
    }
}

#[derive(askama::Template)]
#[template(path = "console/secret.html")]
struct SecretPage {
    frame: Frame,
    base: String,
    secret: Option<String>,
    rotating: Option<Moment>,
    code: Vec<(usize, &'static str, &'static str)>,
}

/// Whether requests of a hook are signed, so that its receivers can make use of the secret.
pub(super) fn signs(hook: &Hook) -> bool {
    match &hook.way {
        Way::Webhook { destinations } => {
            destinations.iter().any(|one| formats::find(&one.format).is_some_and(|format| format.signed))
        }
        Way::Email { .. } => false,
    }
}

/// `GET /o/{owner}/webhooks/{hook}/secret`
pub(super) async fn page(
    State(site): At,
    visitor: Visitor,
    Place((owner, hook)): Place<(String, String)>,
    request: Request,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let view = hooks::found(&site, &here, Sort::Webhooks, &hook).await?;
    let lang = visitor.lang();
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let secret = site.console.reveals.get(visitor.person.session.id, view.hook.id, visitor.reader.now);
    if query.get("said") == "added" && !signs(&view.hook) {
        // A chat's URL is its credential: there is nothing to verify.
        return Ok(hooks::back(&here, Sort::Webhooks, "added"));
    }
    let said = (query.get("said") == "added").then(|| lang.said_added().to_owned());
    let title = lang.secret_of(&view.hook.name);
    let page = SecretPage {
        frame: Frame::of(&visitor.reader, title, Some(&here), Section::Webhooks).with_notice(said),
        base: here.path(Sort::Webhooks.path()),
        secret: secret.map(|secret| secret.expose().to_owned()),
        rotating: view
            .rotating_until
            .filter(|until| *until > visitor.reader.now)
            .map(|until| visitor.reader.moment(until)),
        code: CODE.iter().enumerate().map(|(at, (language, code))| (at, *language, *code)).collect(),
    };
    Ok(show(StatusCode::OK, &page))
}

/// `POST /o/{owner}/webhooks/{hook}/secret`: a new one, with `hours` in which the old one signs too.
pub(super) async fn rotate(
    State(site): At,
    visitor: Visitor,
    Place((owner, hook)): Place<(String, String)>,
    Checked(form): Checked,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let view = hooks::found(&site, &here, Sort::Webhooks, &hook).await?;
    let hours = match form.get("hours") {
        "0" => 0,
        "1" => 1,
        "168" => 168,
        _ => 24,
    };
    let (id, now, secret) = (view.hook.id, visitor.reader.now, signing::secret(&site.parts.luck.bytes32()));
    site.changed(site.parts.store.rotate_secret(id, secret.clone(), now + hours * HOUR).await?)?;
    site.console.reveals.put(visitor.person.session.id, id, secret, now);
    Ok(Redirect::to(&format!("{}/{id}/secret", here.path(Sort::Webhooks.path()))).into_response())
}
