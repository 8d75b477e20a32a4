//! Signing in at a provider (OpenID Connect). What must come back is kept by the browser, sealed, in a cookie of ten minutes:
//! nothing is kept here of a sign-in that is only begun, and only the browser that began one can end it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use sonnette_core::model::Millis;
use sonnette_core::ports::{SignedIn, StoreError};
use sonnette_core::secret::{Sealer, Secret};

use super::cookie::{self, Cookie};
use super::form::{Form, local};
use super::oops::Oops;
use super::reader::Reader;
use super::sign_in::{self, AskPage};
use super::words::Words;
use crate::egress::provider::{Asked, Provider, Trouble};
use crate::http::{Arrived, At, Site};

/// What a sign-in that is begun is sealed for.
const PLACE: &str = "sign-in";
/// How long it may take.
pub(super) const LIFE: Millis = 10 * sonnette_core::model::MINUTE;
/// Answers of the provider one peer may bring in ten minutes. Each has us ask it; a proxy brings those of many.
const BY_ONE_PEER: u32 = 300;
/// Bytes of a code. RFC 6749 names no limit; those of providers have a few hundred.
const LONGEST_CODE: usize = 4096;

/// A sign-in that is begun.
struct Pending {
    asked: Asked,
    until: Millis,
    next: String,
}

impl Pending {
    fn seal(&self, sealer: &Sealer) -> String {
        let Self { asked: Asked { state, nonce, verifier }, until, next } = self;
        // Only the path, which comes last, is not ours; and it holds no control characters.
        let text = format!("{until}\n{state}\n{nonce}\n{verifier}\n{next}");
        sealer.token(PLACE, &Secret::new(text))
    }

    /// `None` for what we did not seal, or too long ago.
    fn open(sealer: &Sealer, token: &str, now: Millis) -> Option<Self> {
        let text = sealer.read_token(PLACE, token)?;
        let mut parts = text.expose().splitn(5, '\n').map(str::to_owned);
        let until = parts.next()?.parse().ok()?;
        let asked = Asked { state: parts.next()?, nonce: parts.next()?, verifier: parts.next()? };
        (now <= until).then_some(Self { asked, until, next: parts.next()? })
    }
}

/// `GET /sign-in/provider?next=`: sends the browser there.
pub(super) async fn begin(State(site): At, reader: Reader, request: Request) -> Result<Response, Oops> {
    let provider = site.console.provider.as_ref().ok_or(Oops::NotFound)?;
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let fresh = || cookie::fresh(site.parts.luck.as_ref());
    let pending = Pending {
        asked: Asked { state: fresh(), nonce: fresh(), verifier: fresh() },
        until: reader.now + LIFE,
        next: local(query.get("next")).to_owned(),
    };
    let there = match provider.authorize(&pending.asked, reader.now).await {
        Ok(there) => there,
        Err(trouble) => return Ok(told(&site, &reader, provider, &trouble, &pending.next)),
    };
    let mut response = Redirect::to(there.as_str()).into_response();
    let kept = Cookie::Provider.set(Some(&pending.seal(&site.parts.sealer)), site.console.secure());
    response.headers_mut().append(SET_COOKIE, kept);
    Ok(response)
}

/// `GET /sign-in/callback?code=&state=`: the browser comes back.
pub(super) async fn back(State(site): At, reader: Reader, request: Request) -> Result<Response, Oops> {
    let provider = site.console.provider.as_ref().ok_or(Oops::NotFound)?;
    let peer = request.extensions().get::<Arrived>().map(|arrived| arrived.peer.to_canonical().to_string());
    let (head, _) = request.into_parts();
    let (query, headers) = (Form::parse(head.uri.query().unwrap_or_default()), head.headers);
    let (lang, now, secure) = (reader.lang, reader.now, site.console.secure());
    let kept = Cookie::Provider.read(&headers, secure);
    let pending = kept.and_then(|kept| Pending::open(&site.parts.sealer, kept, now));
    let limits = &site.console.asked;
    let Some(pending) = pending
        .filter(|pending| cookie::same(&pending.asked.state, query.get("state")))
        // Once, for as long as it could be brought again.
        .filter(|pending| limits.allow(&format!("sign-in {}", pending.asked.state), 1, now))
    else {
        let words = lang.provider_stale(provider.name());
        return Ok(page(&site, &reader, StatusCode::BAD_REQUEST, lang.provider_stale_title(), words, "/"));
    };
    let next = &pending.next;
    let mut response = if !limits.allow(&format!("provider {}", peer.unwrap_or_default()), BY_ONE_PEER, now) {
        let words = lang.too_many_sign_ins().to_owned();
        page(&site, &reader, StatusCode::TOO_MANY_REQUESTS, lang.sign_in(), words, next)
    } else if query.has("error") {
        // Theirs to say why, and the provider has said it to them.
        let words = lang.provider_declined_intro(provider.name());
        page(&site, &reader, StatusCode::FORBIDDEN, lang.provider_declined(), words, next)
    } else {
        match address(provider, &query, &pending.asked, now).await {
            Err(trouble) => told(&site, &reader, provider, &trouble, next),
            Ok(address) => enter(&site, &reader, &headers, address, next).await?,
        }
    };
    response.headers_mut().append(SET_COOKIE, Cookie::Provider.set(None, secure));
    Ok(response)
}

async fn address(provider: &Provider, query: &Form, asked: &Asked, now: Millis) -> Result<String, Trouble> {
    if query.has("iss") && !provider.is_issuer(query.get("iss")) {
        return Err(Trouble::Refused("the answer is another issuer's".to_owned()));
    }
    let code = query.get("code");
    if code.is_empty() || code.len() > LONGEST_CODE {
        return Err(Trouble::Refused("the answer brings no code".to_owned()));
    }
    provider.address(code, asked, now).await
}

/// Signs in whoever has the address, if anybody has. Nobody is made who is not there.
async fn enter(
    site: &Arc<Site>,
    reader: &Reader,
    headers: &HeaderMap,
    address: String,
    next: &str,
) -> Result<Response, StoreError> {
    let store = &site.parts.store;
    if let Some(user) = store.users_at(address.clone()).await?.into_iter().next() {
        // A link nobody has seen, used at once: there is one way to begin a session.
        let link = cookie::digest(&cookie::fresh(site.parts.luck.as_ref()));
        if store.add_link(link, user.id, reader.now).await? {
            let (value, session) = sign_in::session(site, headers);
            if let SignedIn::Done(_) = store.sign_in(link, session, reader.now).await? {
                return Ok(sign_in::signed_in(site, &value, next));
            }
        }
    }
    let lang = reader.lang;
    let words = lang.provider_unknown_intro(&address);
    Ok(page(site, reader, StatusCode::FORBIDDEN, lang.provider_unknown(), words, next))
}

/// What went wrong, above the other way in.
fn told(site: &Site, reader: &Reader, provider: &Provider, trouble: &Trouble, next: &str) -> Response {
    let (lang, name) = (reader.lang, provider.name());
    match trouble {
        Trouble::Away(_) | Trouble::Refused(_) => tracing::warn!(%trouble, "nobody was signed in"),
        Trouble::NoAddress | Trouble::Unverified(_) => tracing::info!(%trouble, "nobody was signed in"),
    }
    let (status, title, words) = match trouble {
        Trouble::Away(_) => (StatusCode::BAD_GATEWAY, lang.provider_away(), lang.provider_away_intro(name)),
        Trouble::Refused(_) => {
            (StatusCode::BAD_REQUEST, lang.provider_refused(), lang.provider_refused_intro(name))
        }
        Trouble::NoAddress => {
            (StatusCode::FORBIDDEN, lang.provider_refused(), lang.provider_no_address(name))
        }
        Trouble::Unverified(address) => {
            (StatusCode::FORBIDDEN, lang.provider_refused(), lang.provider_unverified(name, address))
        }
    };
    page(site, reader, status, title, words, next)
}

fn page(
    site: &Site,
    reader: &Reader,
    status: StatusCode,
    title: &str,
    words: String,
    next: &str,
) -> Response {
    let mut page = AskPage::new(site, reader, title, next);
    page.trouble = Some(words);
    page.show(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_keeps_of_a_sign_in_says_nothing_ends_in_time_and_fits_a_cookie() {
        let sealer = Sealer::new(&[7; 32]);
        let one = |letter: &str| letter.repeat(43);
        let asked = Asked { state: one("s"), nonce: one("n"), verifier: one("v") };
        let next = format!("/{}", "é\"".repeat(682));
        assert_eq!(local(&next), next, "the longest");
        let kept = Pending { asked: asked.clone(), until: 10, next: next.clone() }.seal(&sealer);
        assert!(kept.len() <= cookie::LONGEST, "{}", kept.len());
        let read = Pending::open(&sealer, &kept, 10).unwrap();
        assert_eq!((read.asked, read.next), (asked, next));
        assert!(Pending::open(&sealer, &kept, 11).is_none());
        assert!(Pending::open(&Sealer::new(&[8; 32]), &kept, 10).is_none());
    }
}
