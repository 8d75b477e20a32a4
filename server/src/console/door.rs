//! What every page goes through: who asks is read, what another site sent is refused, what went wrong becomes a page, and
//! the headers that keep a browser from doing more than we meant are set.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};

use super::cookie::Cookie;
use super::letters;
use super::oops::Oops;
use super::reader::Reader;
use crate::contract::problem::{Id, Problem};
use crate::http::{At, Site};

/// Nothing from anywhere else, nothing inline, nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// See the module.
pub(super) async fn door(State(site): At, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    let is_get = matches!(head.method, Method::GET | Method::HEAD);
    let reader = Reader::of(&site, &head).await;
    let response = match reader {
        Err(oops) => unreadable(oops),
        Ok(reader) if !is_get && !letters::is_link(head.uri.path()) && !ours(&site, &head) => {
            Oops::Forged.page(&reader, is_get)
        }
        Ok(reader) => {
            head.extensions.insert(reader.clone());
            let mut response = next.run(Request::from_parts(head, body)).await;
            if let Some(oops) = response.extensions_mut().remove::<Oops>() {
                response = oops.page(&reader, is_get);
            }
            if let Some(value) = &reader.fresh {
                let cookie = Cookie::Form.set(Some(value), site.console.secure());
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            response
        }
    };
    guarded(response)
}

/// The answer where there is nothing: a page for people, a problem for programs.
pub(crate) async fn nowhere(State(site): At, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let for_programs = ["/api/", "/v2/", "//"].iter().any(|prefix| head.uri.path().starts_with(prefix));
    let accept = head.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if for_programs || !accept.contains("text/html") {
        return Problem::new(Id::NotFound, "there is nothing at this path").into_response();
    }
    match Reader::of(&site, &head).await {
        Ok(reader) => guarded(Oops::NotFound.page(&reader, true)),
        Err(oops) => unreadable(oops),
    }
}

/// Without a store there is nobody to know, and no frame.
fn unreadable(oops: Oops) -> Response {
    match oops {
        Oops::Problem(problem) => problem.into_response(),
        _ => Problem::not_found("page").into_response(),
    }
}

/// Sets the headers; a page that has its own keeps them.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether a request that changes something was sent by a page of ours. Browsers say so by `Sec-Fetch-Site` (Fetch Metadata),
/// or, where they do not trust the connection, by `Origin` (RFC 6454), which is `null` under our referrer policy. Who says
/// nothing still needs the form's token.
fn ours(site: &Site, request: &Parts) -> bool {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(from) = header("sec-fetch-site") {
        return from == "same-origin";
    }
    match header(ORIGIN.as_str()) {
        None | Some("null") => true,
        Some(origin) => {
            let host = request.uri.authority().map(|host| host.as_str()).or_else(|| header(HOST.as_str()));
            origin == site.console.base.origin().ascii_serialization()
                || origin.split_once("://").map(|(_, rest)| rest) == host
        }
    }
}
