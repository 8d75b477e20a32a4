//! One event: what happened, its JSON, and what became of it for each hook of its owner.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use sonnette_core::ids::EventId;
use sonnette_core::message;
use sonnette_core::model::Event;
use sonnette_core::ports::{DeliveryFilter, Page};

use super::describe;
use super::frame::{Frame, Section, show};
use super::oops::Oops;
use super::reader::{Here, Visitor};
use super::time::Moment;
use super::told::{self, Lines, Names};
use super::words::Words;
use crate::http::{At, Place, Site};

/// Deliveries of one event that are shown.
const MOST: usize = 500;
/// Hooks that owe nothing and are named.
const NAMED: usize = 100;
/// Bytes of JSON that are shown; the rest is in the frame itself.
const SHOWN: usize = 24 << 10;

/// What a hook owed.
struct Owed {
    name: String,
    link: Option<String>,
    lines: Lines,
}

#[derive(askama::Template)]
#[template(path = "console/event.html")]
struct EventPage {
    frame: Frame,
    here: String,
    live: String,
    id: String,
    kind: String,
    name: String,
    severity: &'static str,
    summary: String,
    accepted: Moment,
    resource: String,
    author: Option<String>,
    json: String,
    cut: bool,
    owed: Vec<Owed>,
    /// Hooks that owed nothing. Why is not told yet.
    nothing: Vec<String>,
    nothing_more: Option<String>,
}

/// An event of this owner that may be shown.
async fn found(site: &Site, here: &Here, id: &str) -> Result<Event, Oops> {
    let id: EventId = id.parse().map_err(|_| Oops::NotFound)?;
    let event = site.parts.store.event(id).await?.filter(|event| event.owner == here.owner);
    event.filter(|event| !told::is_private(&site.parts.catalogue, &event.kind)).ok_or(Oops::NotFound)
}

/// `GET /o/{owner}/events/{event}`
pub(super) async fn page(
    State(site): At,
    visitor: Visitor,
    Place((owner, id)): Place<(String, String)>,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    let lang = visitor.lang();
    let event = found(&site, &here, &id).await?;
    let names = Names::of(&site, here.owner).await?;
    let author = message::author(&event);
    let words = site.parts.store.names(event.owner, event.resource.clone(), author).await?;
    let message = message::of(&site.parts.catalogue, &event, &words, &site.parts.links, lang);
    let filter = DeliveryFilter { event: Some(event.id), ..DeliveryFilter::default() };
    let mut deliveries = site.parts.store.deliveries(filter, Page { after: None, limit: MOST }).await?;
    deliveries.reverse();

    let mut owed = Vec::new();
    let mut told_of = Vec::new();
    for delivery in &deliveries {
        if told_of.contains(&delivery.hook) {
            continue;
        }
        told_of.push(delivery.hook);
        let of_it: Vec<_> = deliveries.iter().filter(|one| one.hook == delivery.hook).cloned().collect();
        let hook = delivery.hook.and_then(|id| names.hook(id)).filter(|_| here.may_change);
        let section = if delivery.format == "email" { "emails" } else { "webhooks" };
        owed.push(Owed {
            name: names.hook_name(lang, delivery),
            link: hook.map(|hook| here.path(&format!("{section}/{}", hook.id))),
            lines: Lines::of(&site, &visitor, &here, &names, &of_it, false).await?,
        });
    }
    let others = names.hooks.iter().filter(|view| !told_of.contains(&Some(view.hook.id)));
    let more = others.clone().count().saturating_sub(NAMED);
    let nothing = others.take(NAMED).map(|view| view.hook.name.clone()).collect();
    let mut json = pretty(&event.frame);
    let cut = json.len() > SHOWN;
    json.truncate(json.floor_char_boundary(SHOWN));
    let page = EventPage {
        frame: Frame::of(&visitor.reader, message.title.to_string(), Some(&here), Section::Live),
        here: here.path(&format!("events/{}", event.id)),
        live: here.path("live"),
        id: event.id.to_string(),
        kind: describe::event(lang, &site.parts.catalogue, &event.kind),
        severity: told::severity(&site.parts.catalogue, &event.kind),
        summary: message.summary.to_string(),
        accepted: visitor.reader.moment(event.id.at()),
        resource: names.resource(event.resource.as_ref()),
        author: author.map(|id| words.author.clone().unwrap_or_else(|| id.to_string())),
        json,
        cut,
        owed,
        nothing,
        nothing_more: (more > 0).then(|| lang.and_more("…", lang.count(more.try_into().unwrap_or(u64::MAX)))),
        name: event.kind,
    };
    Ok(show(StatusCode::OK, &page))
}

/// `GET /o/{owner}/events/{event}/frame`: the bytes every reader gets.
pub(super) async fn frame(
    State(site): At,
    visitor: Visitor,
    Place((owner, id)): Place<(String, String)>,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    let event = found(&site, &here, &id).await?;
    let media = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, media)], event.frame).into_response())
}

/// The frame for people: a line for each value, and what stands as text in `data` opened. Keys keep their order, numbers
/// their digits.
pub(super) fn pretty(frame: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Parts<'a> {
        #[serde(borrow)]
        data: Option<&'a serde_json::value::RawValue>,
    }
    let text = String::from_utf8_lossy(frame);
    let quoted =
        serde_json::from_str::<Parts<'_>>(&text).ok().and_then(|parts| parts.data.map(|raw| raw.get()));
    let opened = quoted.and_then(|quoted| Some((quoted, serde_json::from_str::<String>(quoted).ok()?)));
    match opened {
        // `data` is the last key of a frame.
        Some((quoted, data)) => match text.rfind(quoted) {
            Some(at) => indented(&format!("{}{data}{}", &text[..at], &text[at + quoted.len()..])),
            None => indented(&text),
        },
        None => indented(&text),
    }
}

/// JSON with a line for each value. What is no JSON stays as it is, more or less.
pub(super) fn indented(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(64)));
    };
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            (in_string, escaped) = match c {
                '"' if !escaped => (false, false),
                '\\' if !escaped => (true, true),
                _ => (true, false),
            };
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_opened_with_its_order_and_its_digits() {
        let frame = br#"{"id":"evt_1","event":"X","data":"{\"b\":1.50,\"a\":[],\"c\":{\"d\":\"x\\\"{,\"}}"}"#;
        assert_eq!(
            pretty(frame),
            "{\n  \"id\": \"evt_1\",\n  \"event\": \"X\",\n  \"data\": {\n    \"b\": 1.50,\n    \"a\": [],\n    \"c\": {\n      \"d\": \"x\\\"{,\"\n    }\n  }\n}"
        );
        assert_eq!(pretty(br#"{"id":"evt_1"}"#), "{\n  \"id\": \"evt_1\"\n}");
    }
}
