//! An owner's events as they come: the latest in the page, those after them over our own stream.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use sonnette_core::ids::EventId;
use sonnette_core::ports::{Look, Page};
use url::form_urlencoded::Serializer;

use super::cookie::{self, Cookie};
use super::deliveries::{find_resource, named};
use super::form::Form;
use super::frame::{Frame, Section, show};
use super::oops::Oops;
use super::reader::Visitor;
use super::told::{self, EventLines, Names, Options};
use super::words::Words;
use crate::contract::problem::Problem;
use crate::http::{At, Credential, Place, Site, last_event};
use crate::stream::live;

/// Events shown at first.
const LATEST: usize = 50;
/// Events looked through for them.
const LOOKED: usize = 1_000;
/// Events read at once.
const READ: usize = 200;
/// Lines made at once for a page that is live.
const LINES: usize = 50;
/// Names offered while one is typed.
const OFFERED: usize = 100;

#[derive(askama::Template)]
#[template(path = "console/live.html")]
struct LivePage {
    frame: Frame,
    base: String,
    again: String,
    events: Options,
    resource: String,
    wrong_resource: bool,
    resources: Vec<String>,
    narrowed: bool,
    stream: String,
    since: EventId,
    lines: EventLines,
}

/// What our stream is asked for `event` and `resource` of a query.
fn stream_query(site: &Site, event: &str, resource: &str) -> String {
    let mut query = Serializer::new(String::new());
    if site.parts.catalogue.family(event).is_some() {
        query.append_pair("family", event);
    } else if site.parts.catalogue.knows(event) {
        query.append_pair("kind", event);
    }
    if !resource.is_empty() {
        query.append_pair("resource", resource);
    }
    query.finish()
}

/// The query of this page, with what is asked by its own name.
fn canonical(event: &str, resource: &str) -> String {
    let asked = [("event", event), ("resource", resource)];
    let asked = asked.into_iter().filter(|(_, value)| !value.is_empty());
    Serializer::new(String::new()).extend_pairs(asked).finish()
}

/// `GET /o/{owner}/live`
pub(super) async fn page(
    State(site): At,
    visitor: Visitor,
    Place(owner): Place<String>,
    request: Request,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    let given = request.uri().query().unwrap_or_default();
    let query = Form::parse(given);
    let names = Names::of(&site, here.owner).await?;
    let base = here.path("live");
    let event = Some(query.get("event")).filter(|name| site.parts.catalogue.knows(name)).unwrap_or_default();
    let typed = query.get("resource").trim();
    let found = if typed.is_empty() { None } else { find_resource(&names, typed) };
    let wrong_resource = found.is_none() && !typed.is_empty();
    let (id, shown) =
        found.map_or_else(|| (String::new(), typed.to_owned()), |(id, name)| (id.to_string(), name));
    let canonical = canonical(event, &id);
    let link = |query: &str| if query.is_empty() { base.clone() } else { format!("{base}?{query}") };
    if canonical != given && !wrong_resource {
        return Ok(Redirect::to(&link(&canonical)).into_response());
    }
    // Before the events are read: what comes in between is in the page and in the stream, and shown once.
    let nothing = Look { reader: None, places: Vec::new(), others: None, events: 0, bytes: 0 };
    let since = site.parts.store.ahead(nothing).await?.newest;
    let wanted = site.wanted(&visitor.caller(), here.owner, &stream_query(&site, event, &id)).await?;
    let mut latest = Vec::new();
    let (mut after, mut looked) = (None, 0);
    while !wrong_resource && latest.len() < LATEST && looked < LOOKED {
        let read = site.parts.store.events(here.owner, Page { after, limit: READ }).await?;
        looked += READ;
        let whole = read.len() == READ;
        after = read.last().map(|event| event.id);
        latest.extend(read.into_iter().filter(|event| wanted.filter.passes(&site.parts.catalogue, event)));
        if !whole {
            break;
        }
    }
    latest.truncate(LATEST);
    let mut resources: Vec<_> = named(&names).map(|(_, name)| name.to_owned()).collect();
    resources.sort_unstable();
    resources.truncate(OFFERED);
    let lang = visitor.lang();
    let page = LivePage {
        frame: Frame::of(&visitor.reader, lang.live(), Some(&here), Section::Live),
        again: link(&canonical),
        events: Options::events(lang, &site.parts.catalogue, event),
        resource: shown,
        wrong_resource,
        resources,
        narrowed: !canonical.is_empty() || wrong_resource,
        stream: format!("{base}/stream?{canonical}"),
        base,
        since,
        lines: EventLines::of(&site, &visitor, &here, &names.resources, &latest),
    };
    Ok(show(StatusCode::OK, &page))
}

/// `GET /o/{owner}/live/stream?event=&resource=&since=`: Server-Sent Events, for whoever is signed in. It ends when they are not
/// any more, or may not read the owner any more.
pub(super) async fn stream(
    State(site): At,
    visitor: Visitor,
    Place(owner): Place<String>,
    request: Request,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    let headers = request.headers();
    let session = Cookie::Session.read(headers, site.console.secure()).ok_or(Oops::SignIn)?;
    let credential = Credential::Session(cookie::digest(session));
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let mut wanted = stream_query(&site, query.get("event"), query.get("resource"));
    if query.has("since") {
        let since = Serializer::new(String::new()).append_pair("since", query.get("since")).finish();
        wanted = format!("{wanted}&{since}");
    }
    let last = last_event(headers);
    let feed = site.feed(visitor.caller(), credential, here.owner, &wanted, last).await?;
    Ok(live::events(feed))
}

/// `GET /o/{owner}/live/lines?ids=`: lines for events that came, the newest first.
pub(super) async fn lines(
    State(site): At,
    visitor: Visitor,
    Place(owner): Place<String>,
    request: Request,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let ids: Result<Vec<EventId>, _> = query.get("ids").split(',').take(LINES).map(str::parse).collect();
    let mut ids = ids.map_err(|error| Problem::invalid("ids", format!("{error}")))?;
    ids.sort_unstable();
    ids.dedup();
    let read =
        futures_util::future::try_join_all(ids.iter().rev().map(|id| site.parts.store.event(*id))).await?;
    let mut events: Vec<_> = read.into_iter().flatten().collect();
    events.retain(|event| event.owner == here.owner && !told::is_private(&site.parts.catalogue, &event.kind));
    let resources = super::hooks::resources(&site, here.owner).await?;
    Ok(show(StatusCode::OK, &EventLines::of(&site, &visitor, &here, &resources, &events)))
}
