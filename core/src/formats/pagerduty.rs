//! PagerDuty's Events API v2: trouble opens an incident and what ends it resolves it; anything else is a change.
//!
//! One key a resource pairs them. Sources: developer.pagerduty.com, "Send an alert event", "Send a change event", "Events API
//! v2 overview".

use jiff::Timestamp;
use serde_json::{Map, Value};
use url::Url;

use super::cut::{Unit, cut, written};
use super::reply::{by_status, said};
use super::{
    Can, Field, Format, Limit, Outcome, Render, Rendering, Threads, actor, details, never, nothing, object,
    web_link,
};
use crate::message::{Incident, Message, Severity, Text};
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};
use crate::secret::Secret;

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "pagerduty",
    title: "PagerDuty",
    render: Render::Message(render),
    classify,
    recognises,
    check,
    fields: &[Field {
        name: "routing_key",
        title: "Integration key",
        hint: "of an integration \"Events API v2\" of a service, 32 letters and digits",
        secret: true,
        required: true,
        check: routing_key,
    }],
    brings: nothing,
    secret_url: false,
    signed: false,
    hosts: &["pagerduty.com"],
    example: "https://events.pagerduty.com/v2/enqueue",
    limits: &[
        Limit::of("summary", SUMMARY, UNIT, "/payload/summary"),
        Limit::of("key", KEY, UNIT, "/payload/source"),
        Limit::many("facts", DETAILS, "/payload/custom_details").anywhere(),
        Limit::of("each fact", VALUE, UNIT, "/payload/custom_details/*"),
        Limit::of("all of it", ALL, Unit::Bytes, ""),
    ],
    can: Can { threads: Threads::None, resolves: true, updates: false, once: true },
    thread_root: None,
    misread: never,
};

/// Code points. An event has 512,000 bytes in all; what follows stays far below.
const UNIT: Unit = Unit::Chars;
const ALL: usize = 512_000;
const SUMMARY: usize = 1024;
const KEY: usize = 255;
const LABEL: usize = 60;
const VALUE: usize = 1000;
const DETAILS: usize = 30;
const LINKS: usize = 5;
const URL: usize = 1000;

const HOSTS: [&str; 2] = ["events.pagerduty.com", "events.eu.pagerduty.com"];
const ALARMS: &str = "/v2/enqueue";
const CHANGES: &str = "/v2/change/enqueue";

fn recognises(url: &Url) -> bool {
    super::points_at(url, &HOSTS, ALARMS)
}

fn check(url: &Url) -> Result<(), &'static str> {
    const RULE: &str = "PagerDuty is posted to at https://events.pagerduty.com/v2/enqueue";
    if url.path().ends_with(ALARMS) { super::whole(url, "pagerduty", RULE) } else { Err(RULE) }
}

fn routing_key(value: &str) -> Result<(), &'static str> {
    match value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err("an integration key has 32 letters and digits"),
    }
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let dedup = cut(&message.thread, KEY, UNIT).into_owned();
    let action = match message.incident {
        Some(Incident::Opens) => "trigger",
        Some(Incident::Closes) => "resolve",
        None => return super::json(&changes(it.url), &change(it, message)),
    };
    let mut payload = payload(message);
    let severity = match message.severity {
        Severity::Info | Severity::Success => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    payload["severity"] = severity.into();
    payload["component"] = plain(&message.about, VALUE).into();
    payload["class"] = message.kind.as_str().into();
    let body = object([
        ("routing_key", it.field("routing_key").into()),
        ("event_action", action.into()),
        ("dedup_key", dedup.into()),
        ("payload", payload),
        ("links", links(message)),
        ("client", "Sonnette".into()),
    ]);
    super::json(it.url, &body)
}

fn change(it: &Rendering<'_>, message: &Message) -> Value {
    object([
        ("routing_key", it.field("routing_key").into()),
        ("payload", payload(message)),
        ("links", links(message)),
    ])
}

fn changes(url: &Secret) -> Secret {
    match url.expose().rsplit_once(ALARMS) {
        Some((before, after)) => Secret::new(format!("{before}{CHANGES}{after}")),
        None => url.clone(),
    }
}

fn payload(message: &Message) -> Value {
    let mut facts = Map::new();
    if !message.summary.is_empty() {
        facts.insert("Summary".to_owned(), plain(&message.summary, VALUE).into());
    }
    for detail in details(message).take(DETAILS) {
        facts.insert(cut(&detail.label, LABEL, UNIT).into_owned(), plain(&detail.value, VALUE).into());
    }
    if let Some(actor) = actor(message) {
        facts.insert("By".to_owned(), plain(actor, VALUE).into());
    }
    let summary = plain(&message.title, SUMMARY);
    let mut payload = object([
        ("summary", if summary.trim().is_empty() { message.kind.as_str().into() } else { summary.into() }),
        ("source", cut(&message.thread, KEY, UNIT).into()),
        ("custom_details", facts.into()),
    ]);
    if let Ok(at) = Timestamp::from_millisecond(message.at) {
        payload["timestamp"] = at.to_string().into();
    }
    payload
}

/// Nothing is markup there.
fn plain(text: &Text, max: usize) -> String {
    written(text, max, UNIT, ToString::to_string)
}

fn links(message: &Message) -> Value {
    let link = |link: &crate::message::Link| {
        let label = cut(&link.label, LABEL, UNIT);
        Some(object([("href", web_link(&link.url, URL)?.into()), ("text", label.into())]))
    };
    message.links.iter().filter_map(link).take(LINKS).collect::<Vec<_>>().into()
}

/// Taken is a 202, or what says `success`. A key it does not know is a 400 that names it; any other 4xx but a 429 is final for
/// the event.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    let said = said(reply);
    let errors = said["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let of_the_key = |error: &Value| error.as_str().is_some_and(|error| error.contains("routing_key"));
    match reply.status {
        200 | 201 | 203..=299 if said["status"] != "success" => Outcome::Refused,
        400 if errors.iter().any(of_the_key) => Outcome::Gone,
        _ => by_status(reply, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{any_message, body, cases, named, reply, request};
    use proptest::prelude::*;

    const WHOLE: &str = "https://events.pagerduty.com/v2/enqueue";

    fn with(incident: Option<Incident>) -> Message {
        Message { incident, ..named().remove(0).1 }
    }

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        for (status, text, expected) in [
            (202, r#"{"status":"success","dedup_key":"x"}"#, Outcome::Delivered),
            (202, "", Outcome::Delivered),
            (200, r#"{"status":"success","dedup_key":"x"}"#, Outcome::Delivered),
            (200, "<html>Sign in</html>", Outcome::Refused),
            (200, "", Outcome::Refused),
            (400, r#"{"status":"invalid event","errors":["'routing_key' is invalid"]}"#, Outcome::Gone),
            (
                400,
                r#"{"status":"invalid event","errors":["'payload.severity' is invalid"]}"#,
                Outcome::Refused,
            ),
            (400, "", Outcome::Refused),
            (403, "", Outcome::Refused),
            (404, "", Outcome::Refused),
            (413, "", Outcome::Refused),
            (429, "", again),
            (500, "", again),
            (503, "", again),
        ] {
            assert_eq!(classify(&reply(status, text), 0), expected, "{status} {text}");
        }
        let limited = Reply { retry_after: Some("60".into()), ..reply(429, "") };
        assert_eq!(classify(&limited, 0), Outcome::Again { not_before: Some(60_000) });
    }

    #[test]
    fn trouble_opens_what_its_end_resolves_and_the_rest_is_a_change() {
        let (opens, closes) = (
            body(&FORMAT, WHOLE, &with(Some(Incident::Opens))),
            body(&FORMAT, WHOLE, &with(Some(Incident::Closes))),
        );
        assert_eq!(
            (opens["event_action"].as_str(), closes["event_action"].as_str()),
            (Some("trigger"), Some("resolve"))
        );
        assert!(opens["dedup_key"].is_string() && opens["dedup_key"] == closes["dedup_key"]);
        assert_eq!(opens["payload"]["component"], "shop-api");
        assert_eq!(opens["payload"]["timestamp"], "2026-01-02T10:00:00Z");
        let change = request(&FORMAT, &Secret::new(WHOLE), &with(None));
        assert_eq!(change.url.expose(), "https://events.pagerduty.com/v2/change/enqueue");
        let change = body(&FORMAT, WHOLE, &with(None));
        assert!(change.get("event_action").is_none() && change["payload"].get("severity").is_none());
        assert_eq!(change["payload"]["custom_details"]["Commit"], "9fceb02d0ae598e95dc970b74767f19372d61af8");
    }

    #[test]
    fn a_url_or_a_key_of_another_shape_is_refused() {
        let url = |url: &str| Url::parse(url).unwrap();
        assert!(recognises(&url(WHOLE)) && check(&url("https://events.eu.pagerduty.com/v2/enqueue")).is_ok());
        assert!(check(&url("https://events.pagerduty.com/generic/2010-04-15/create_event.json")).is_err());
        assert!(check(&url("https://acme.pagerduty.com/v2/enqueue")).is_err());
        assert!(routing_key("x").is_err() && routing_key(&"a".repeat(32)).is_ok());
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn an_event_is_never_too_large(message in any_message()) {
            let sent = request(&FORMAT, &Secret::new(WHOLE), &message);
            prop_assert!(sent.body.len() < 512_000);
            let body = body(&FORMAT, WHOLE, &message);
            prop_assert!(body["payload"]["summary"].as_str().unwrap().chars().count() <= SUMMARY);
        }
    }
}
