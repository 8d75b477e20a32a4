//! Signing in by a link that opens once, and signing out.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{SET_COOKIE, USER_AGENT};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::Map;
use sonnette_core::address;
use sonnette_core::formats::cut::{Unit, cut};
use sonnette_core::ids::{SessionId, UserId};
use sonnette_core::message::one_line;
use sonnette_core::model::Recipient;
use sonnette_core::ports::{LINK_LIFE, NewSession, SignedIn, StoreError, Which};
use sonnette_core::private::{Private, PrivateLetter};
use sonnette_core::secret::Secret;
use url::form_urlencoded::byte_serialize;

use super::cookie::{self, Cookie};
use super::form::{Checked, Form, local};
use super::frame::{Frame, Section, show};
use super::oops::Oops;
use super::reader::{Reader, Visitor};
use super::words::Words;
use crate::egress::provider::Provider;
use crate::http::{Arrived, At, Site};

/// Links asked for in ten minutes, of one address and by one peer.
const OF_ONE_ADDRESS: u32 = 3;
const BY_ONE_PEER: u32 = 30;
/// Bytes kept of what a browser says it is.
const AGENT: usize = 300;

/// The page that asks for an address.
#[derive(askama::Template)]
#[template(path = "console/sign_in.html")]
pub(super) struct AskPage {
    frame: Frame,
    intro: &'static str,
    email: String,
    error: Option<&'static str>,
    next: String,
    /// What the provider is called, and where a sign-in there begins.
    provider: Option<(String, String)>,
    /// What went wrong, if anything did.
    pub(super) trouble: Option<String>,
}

impl AskPage {
    pub(super) fn new(site: &Site, reader: &Reader, title: &str, next: &str) -> Self {
        let button = |provider: &Provider| {
            (provider.name().to_owned(), format!("/sign-in/provider?next={}", query_of(next)))
        };
        Self {
            frame: Frame::of(reader, title, None, Section::None),
            intro: reader.lang.sign_in_intro(),
            email: String::new(),
            error: None,
            next: next.to_owned(),
            provider: site.console.provider.as_ref().map(button),
            trouble: None,
        }
    }

    pub(super) fn show(&self, status: StatusCode) -> Response {
        show(status, self)
    }
}

#[derive(askama::Template)]
#[template(path = "console/link_sent.html")]
struct SentPage {
    frame: Frame,
    intro: String,
    printed: bool,
    next: String,
}

#[derive(askama::Template)]
#[template(path = "console/open_link.html")]
struct OpenPage {
    frame: Frame,
    link: String,
    next: String,
}

/// What to give as `next`, escaped for a query.
fn query_of(next: &str) -> String {
    byte_serialize(next.as_bytes()).collect()
}

/// `GET /sign-in?next=`
pub(super) async fn ask(State(site): At, reader: Reader, request: Request) -> Response {
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let next = local(query.get("next"));
    if reader.person.is_some() {
        return Redirect::to(next).into_response();
    }
    let mut page = AskPage::new(&site, &reader, reader.lang.sign_in(), next);
    if next != "/" {
        page.intro = reader.lang.session_over();
    }
    page.frame.notice = (query.get("said") == "out").then(|| reader.lang.signed_out().to_owned());
    page.show(StatusCode::OK)
}

/// `POST /sign-in`: the same answer whoever is asked for, given before anybody is looked up.
pub(super) async fn send(State(site): At, reader: Reader, request: Request) -> Result<Response, Oops> {
    let peer = request.extensions().get::<Arrived>().map(|arrived| arrived.peer.to_canonical().to_string());
    let Checked(form) = Checked::from_request(request, &site).await?;
    let (lang, now) = (reader.lang, reader.now);
    let next = local(form.get("next")).to_owned();
    let again = |status, error| {
        let mut page = AskPage::new(&site, &reader, lang.sign_in(), &next);
        (page.email, page.error) = (form.get("email").to_owned(), Some(error));
        page.show(status)
    };
    let Ok(given) = address::check(form.get("email").trim()) else {
        return Ok(again(StatusCode::BAD_REQUEST, lang.not_an_address()));
    };
    let limits = &site.console.asked;
    let peer_fits = limits.allow(&format!("peer {}", peer.unwrap_or_default()), BY_ONE_PEER, now);
    if !peer_fits || !limits.allow(&format!("address {}", given.to_lowercase()), OF_ONE_ADDRESS, now) {
        return Ok(again(StatusCode::TOO_MANY_REQUESTS, lang.too_many_links()));
    }
    let (at, address, on) = (Arc::clone(&site), given.clone(), next.clone());
    // Apart, so that the answer takes as long for somebody as for nobody. Bounded by the limits above.
    tokio::spawn(async move {
        if let Err(error) = at.write_link(address, &on).await {
            tracing::error!(%error, "a sign-in link could not be written");
        }
    });
    let frame = Frame::of(&reader, lang.link_sent(), None, Section::None);
    let page = SentPage {
        frame,
        intro: lang.link_sent_to(given),
        printed: site.console.aloud,
        next: query_of(&next),
    };
    Ok(show(StatusCode::OK, &page))
}

/// `GET /sign-in/{link}?next=`: shows a button. Mail scanners follow links, and must not use them up.
pub(super) async fn link(reader: Reader, request: Request) -> Response {
    let link = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let frame = Frame::of(&reader, reader.lang.open_link(), None, Section::None);
    show(StatusCode::OK, &OpenPage { frame, link, next: local(query.get("next")).to_owned() })
}

/// `POST /sign-in/open`: uses the link up.
pub(super) async fn open(
    State(site): At,
    reader: Reader,
    headers: HeaderMap,
    Checked(form): Checked,
) -> Result<Response, Oops> {
    let (value, session) = session(&site, &headers);
    let next = local(form.get("next"));
    let lang = reader.lang;
    let (title, intro) =
        match site.parts.store.sign_in(cookie::digest(form.get("link")), session, reader.now).await? {
            SignedIn::Done(_) => return Ok(signed_in(&site, &value, next)),
            SignedIn::Used => (lang.link_used(), lang.link_used_intro()),
            SignedIn::Expired => (lang.link_expired(), lang.link_expired_intro()),
        };
    let mut page = AskPage::new(&site, &reader, title, next);
    page.intro = intro;
    Ok(page.show(StatusCode::GONE))
}

/// A session to begin, in the place of one this browser may have, and what the browser keeps of it.
pub(super) fn session(site: &Site, headers: &HeaderMap) -> (String, NewSession) {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let value = cookie::fresh(site.parts.luck.as_ref());
    let session = NewSession {
        id: SessionId(site.parts.luck.id()),
        digest: cookie::digest(&value),
        agent: cut(&one_line(agent), AGENT, Unit::Bytes).into_owned(),
        instead_of: Cookie::Session.read(headers, site.console.secure()).map(cookie::digest),
    };
    (value, session)
}

/// The session has begun: on to the page that was asked for.
pub(super) fn signed_in(site: &Site, value: &str, next: &str) -> Response {
    let secure = site.console.secure();
    let mut response = Redirect::to(next).into_response();
    let headers = response.headers_mut();
    headers.append(SET_COOKIE, Cookie::Session.set(Some(value), secure));
    headers.append(SET_COOKIE, Cookie::Form.set(None, secure));
    response
}

/// `POST /sign-out`; with `everywhere` on every device.
pub(super) async fn out(State(site): At, visitor: Visitor, Checked(form): Checked) -> Result<Response, Oops> {
    let person = &visitor.person;
    let which = if form.has("everywhere") { Which::All } else { Which::One(person.session.id) };
    site.parts.store.end_sessions(person.user.id, which).await?;
    let mut response = Redirect::to("/sign-in?said=out").into_response();
    response.headers_mut().append(SET_COOKIE, Cookie::Session.set(None, site.console.secure()));
    Ok(response)
}

impl Site {
    /// Makes a link that signs somebody in and then leads on to a path; `None` if there is no such user.
    pub(crate) async fn sign_in_link(&self, user: UserId, next: &str) -> Result<Option<Secret>, StoreError> {
        let token = cookie::fresh(self.parts.luck.as_ref());
        let now = self.parts.clock.now();
        if !self.parts.store.add_link(cookie::digest(&token), user, now).await? {
            return Ok(None);
        }
        let base = self.console.base.as_str().trim_end_matches('/');
        let on = if next == "/" { String::new() } else { format!("?next={}", query_of(next)) };
        Ok(Some(Secret::new(format!("{base}/sign-in/{token}{on}"))))
    }

    /// Writes a link to whoever has an address, if anybody has.
    async fn write_link(&self, address: String, next: &str) -> Result<(), StoreError> {
        let Some(user) = self.parts.store.users_at(address).await?.into_iter().next() else { return Ok(()) };
        let Some(link) = self.sign_in_link(user.id, next).await? else { return Ok(()) };
        let now = self.parts.clock.now();
        let until = now + LINK_LIFE;
        let mut data = Map::new();
        data.insert("url".to_owned(), link.expose().into());
        let said =
            Timestamp::from_millisecond(until).map(|until| until.strftime("%Y-%m-%d %H:%M UTC").to_string());
        data.insert("until".to_owned(), said.unwrap_or_default().into());
        let recipient = Recipient { address: user.email.clone(), user: Some(user.id) };
        let letter = PrivateLetter::new(user.id.into(), Private::SignIn, &data, recipient, until, now);
        self.parts.store.write_privately(letter, now).await?;
        if self.console.aloud {
            // For trying things on one's own machine, where no letter leaves; a log would keep it.
            println!("sign-in link for {}: {}", user.email, link.expose());
        }
        Ok(())
    }
}
