//! `clever login` in a browser: the command line opens a page here with a token it drew, and asks until somebody who is signed in
//! has agreed. What it is given is an ordinary pair, handed over once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use sonnette_core::formats::cut::{Unit, cut};
use sonnette_core::message::one_line;
use sonnette_core::model::{MINUTE, Millis};
use sonnette_core::secret::Secret;

use super::cookie::digest;
use super::form::{Checked, Form};
use super::frame::{Frame, Section, show};
use super::oops::Oops;
use super::reader::Visitor;
use super::words::Words;
use crate::http::At;

/// How long a pair waits to be fetched: the command line asks for two minutes.
const WAITS: Millis = 3 * MINUTE;
/// Pairs that wait at once.
const MOST: usize = 1_000;
/// Characters of the command line's token that people compare.
const END: usize = 6;

/// Pairs to be fetched, by the digest of the token they are for. In memory only: what is lost with it is asked for again.
#[derive(Default)]
pub(crate) struct Handovers(Mutex<HashMap<[u8; 32], (Millis, String, Secret)>>);

impl Handovers {
    /// Keeps a pair for whoever drew this token. `false` if there are too many.
    fn put(&self, cli_token: &str, public: String, secret: Secret, now: Millis) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (at, ..)| now - *at < WAITS);
        let fits = kept.len() < MOST;
        if fits {
            kept.insert(digest(cli_token), (now, public, secret));
        }
        fits
    }

    /// Hands a pair over, once: its two halves.
    pub(crate) fn take(&self, cli_token: &str, now: Millis) -> Option<(String, Secret)> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, public, secret) = kept.remove(&digest(cli_token))?;
        (now - at < WAITS).then_some((public, secret))
    }
}

/// A token the command line could have drawn: 20 bytes in base 64, however it spells them.
fn fits(cli_token: &str) -> bool {
    (20..=64).contains(&cli_token.len())
        && cli_token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[derive(askama::Template)]
#[template(path = "console/cli_login.html")]
struct LoginPage {
    frame: Frame,
    who: String,
    cli_token: String,
    end: String,
    version: String,
    done: bool,
}

fn page(visitor: &Visitor, form: &Form, done: bool) -> Result<Response, Oops> {
    let cli_token = form.get("cli_token");
    if !fits(cli_token) {
        return Err(Oops::NotFound);
    }
    let (lang, user) = (visitor.lang(), &visitor.person.user);
    let title = if done { lang.cli_done() } else { lang.cli_title() };
    let page = LoginPage {
        frame: Frame::of(&visitor.reader, title, None, Section::None),
        who: if user.name.is_empty() {
            user.email.clone()
        } else {
            format!("{} ({})", user.name, user.email)
        },
        end: cli_token[cli_token.len() - END..].to_owned(),
        cli_token: cli_token.to_owned(),
        version: cut(&one_line(form.get("cli_version")), 20, Unit::Chars).into_owned(),
        done,
    };
    Ok(show(StatusCode::OK, &page))
}

/// `GET /cli-oauth?cli_version=&cli_token=`
pub(super) async fn ask(visitor: Visitor, request: Request) -> Result<Response, Oops> {
    page(&visitor, &Form::parse(request.uri().query().unwrap_or_default()), false)
}

/// `POST /cli-oauth`
pub(super) async fn agree(
    State(site): At,
    visitor: Visitor,
    Checked(form): Checked,
) -> Result<Response, Oops> {
    let cli_token = form.get("cli_token");
    if !fits(cli_token) {
        return Err(Oops::NotFound);
    }
    let name = visitor.lang().cli_name(visitor.reader.moment(visitor.reader.now).exact());
    let made = site.new_pair(visitor.person.user.id, name).await?;
    let (id, public, secret) = made.ok_or(Oops::NotFound)?;
    if !site.console.handovers.put(cli_token, public, secret, visitor.reader.now) {
        site.parts.store.revoke_token(id).await?;
        return Err(crate::contract::problem::Problem::new(
            crate::contract::problem::Id::Busy,
            "too many logins are under way; try again in a moment",
        )
        .into());
    }
    page(&visitor, &form, true)
}
