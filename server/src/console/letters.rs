//! What the links of letters lead to: a hook whose letters somebody wants no more of, and an address that is asked whether it
//! wants any.
//!
//! Nobody signs in here: the link says for what it is and for whom, and only our letters have it. Mail scanners follow links,
//! so asking for a page does nothing; a mail program's own button posts from wherever it is (RFC 8058), so no form of ours
//! is needed.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use sonnette_core::address;
use sonnette_core::ids::OwnerId;
use sonnette_core::model::HookView;
use sonnette_core::stops::{ConfirmLink, Question, StopLink};

use super::form::Form;
use super::frame::{Frame, Section, show};
use super::oops::Oops;
use super::reader::Reader;
use super::words::Words;
use crate::http::{At, Site};

/// What a form says that takes a stop back. Anything else that is posted stops.
const AGAIN: &str = "again";

/// Whether a path is a link of a letter, which whoever has it may post to.
pub(super) fn is_link(path: &str) -> bool {
    path.starts_with("/u/") || path.starts_with("/c/")
}

#[derive(askama::Template)]
#[template(path = "console/letter_link.html")]
struct LinkPage {
    frame: Frame,
    intro: String,
    locked: bool,
    /// Whether the reader has a page of their own where all their e-mails are.
    account: bool,
    /// What it sends, and what is on it.
    button: Option<(&'static str, &'static str)>,
}

fn page(reader: &Reader, status: StatusCode, title: &str, intro: impl Into<String>) -> Response {
    let frame = Frame::of(reader, title, None, Section::None);
    show(status, &LinkPage { frame, intro: intro.into(), locked: false, account: false, button: None })
}

fn unknown(reader: &Reader) -> Response {
    let lang = reader.lang;
    page(reader, StatusCode::NOT_FOUND, lang.letter_link_unknown(), lang.letter_link_unknown_intro())
}

/// Where somebody stands with a hook.
enum Standing {
    Told,
    Stopped,
    ToldAgain,
}

async fn stop_page(
    site: &Site,
    reader: &Reader,
    link: &StopLink,
    standing: Standing,
) -> Result<Response, Oops> {
    let lang = reader.lang;
    let Some(view) = site.parts.store.hook(link.hook).await? else {
        return Ok(page(reader, StatusCode::GONE, lang.letters_gone(), lang.letters_gone_intro()));
    };
    let owner = owner_name(site, reader, view.hook.owner).await?;
    let (address, hook) = (&link.address, &view.hook.name);
    let (title, intro, button) = match standing {
        Standing::Told => (
            lang.stop_letters(),
            lang.stop_letters_intro(address, hook, owner),
            ("stop", lang.stop_letters_do()),
        ),
        Standing::Stopped => (
            lang.letters_stopped(),
            lang.letters_stopped_intro(address, hook, owner),
            (AGAIN, lang.letters_again_do()),
        ),
        Standing::ToldAgain => (
            lang.letters_again(),
            lang.letters_again_intro(address, hook, owner),
            ("stop", lang.stop_letters_do()),
        ),
    };
    let locked = matches!(standing, Standing::Stopped);
    let account = !site.parts.store.users_at(link.address.clone()).await?.is_empty();
    let frame = Frame::of(reader, title, None, Section::None);
    Ok(show(StatusCode::OK, &LinkPage { frame, intro, locked, account, button: Some(button) }))
}

/// `GET /u/{token}`
pub(super) async fn ask_stop(
    State(site): At,
    reader: Reader,
    Path(token): Path<String>,
) -> Result<Response, Oops> {
    let Some(link) = StopLink::read(&site.parts.sealer, &token) else { return Ok(unknown(&reader)) };
    let view = site.parts.store.hook(link.hook).await?;
    let standing = match view.is_some_and(|view| has_stopped(&view, &link.address)) {
        true => Standing::Stopped,
        false => Standing::Told,
    };
    stop_page(&site, &reader, &link, standing).await
}

/// `POST /u/{token}`: stops, or, if the form says so, takes that back.
pub(super) async fn stop(
    State(site): At,
    reader: Reader,
    Path(token): Path<String>,
    form: Form,
) -> Result<Response, Oops> {
    let Some(link) = StopLink::read(&site.parts.sealer, &token) else { return Ok(unknown(&reader)) };
    let again = form.get("do") == AGAIN;
    // A hook that is gone is told of by the page.
    site.parts.store.stop_letters(link.clone(), !again, reader.now).await?;
    stop_page(&site, &reader, &link, if again { Standing::ToldAgain } else { Standing::Stopped }).await
}

/// `GET /c/{token}`
pub(super) async fn ask_confirm(
    State(site): At,
    reader: Reader,
    Path(token): Path<String>,
) -> Result<Response, Oops> {
    let Some(link) = ConfirmLink::read(&site.parts.sealer, &token) else { return Ok(unknown(&reader)) };
    let lang = reader.lang;
    Ok(match site.parts.store.question(link.clone(), reader.now).await? {
        Question::Open => {
            let owner = owner_name(&site, &reader, link.owner).await?;
            let frame = Frame::of(&reader, lang.confirm_address(), None, Section::None);
            let intro = lang.confirm_address_intro(owner, &link.address);
            let button = Some(("confirm", lang.confirm_address_do()));
            show(StatusCode::OK, &LinkPage { frame, intro, locked: false, account: false, button })
        }
        Question::Confirmed(_) => {
            let intro = lang.confirmed_before_intro(link.address);
            page(&reader, StatusCode::OK, lang.confirmed_before(), intro)
        }
        Question::Over => too_late(&reader),
    })
}

/// `POST /c/{token}`
pub(super) async fn confirm(
    State(site): At,
    reader: Reader,
    Path(token): Path<String>,
) -> Result<Response, Oops> {
    let Some(link) = ConfirmLink::read(&site.parts.sealer, &token) else { return Ok(unknown(&reader)) };
    let lang = reader.lang;
    let address = link.address.clone();
    if site.parts.store.confirm_address(link, reader.now).await? {
        // What waited is let go by whoever keeps the house.
        site.hooks_changed.notify_one();
        let intro = lang.address_confirmed_intro(address);
        return Ok(page(&reader, StatusCode::OK, lang.address_confirmed(), intro));
    }
    Ok(too_late(&reader))
}

fn too_late(reader: &Reader) -> Response {
    let lang = reader.lang;
    page(reader, StatusCode::GONE, lang.confirm_too_late(), lang.confirm_too_late_intro())
}

/// Addresses are stopped by any spelling of them.
fn has_stopped(view: &HookView, address: &str) -> bool {
    view.stopped.iter().any(|(one, _)| address::same(one, address))
}

async fn owner_name(site: &Site, reader: &Reader, owner: OwnerId) -> Result<String, Oops> {
    let names = site.parts.store.names(owner, None, None).await?;
    Ok(names.owner.filter(|name| !name.is_empty()).unwrap_or_else(|| reader.lang.somebody().to_owned()))
}
