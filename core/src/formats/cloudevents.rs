//! CloudEvents 1.0 over HTTP, structured or binary, signed as `raw` is.
//!
//! The event's own id, not the delivery's: with `source` it makes an event one and the same wherever it is read. What this
//! house reads as CloudEvents it also writes, so one Sonnette can be told by another. Sources: CloudEvents 1.0.2, sections 3.1
//! and 3.2; its HTTP Protocol Binding, sections 3.1 and 3.2; its HTTP 1.1 Web Hooks, sections 2 and 2.1.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::raw;
use super::{Can, EXAMPLE, Field, Format, Render, Rendering, Threads, anything, never, nothing};
use crate::model::Millis;
use crate::ports::Outgoing;

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "cloudevents",
    title: "CloudEvents",
    render: Render::Frame(render),
    // Its receivers are applications, which answer anything while they are deployed again: a 415 too (Web Hooks, section 2.2).
    classify: raw::classify,
    recognises: |_| false,
    check: anything,
    fields: &[
        Field {
            name: "mode",
            title: "Content mode",
            hint: "structured (all of it in the body; so if nothing is said) or binary (attributes in headers)",
            secret: false,
            required: false,
            check: mode,
        },
        Field {
            name: "source",
            title: "Source",
            hint: "the `source` of every event, such as https://paas.example; without it /owners/ and the owner's id",
            secret: false,
            required: false,
            check: source,
        },
        Field {
            name: "prefix",
            title: "Prefix of types",
            hint: "stands before the kind in every `type`, such as com.example.paas.",
            secret: false,
            required: false,
            check: prefix,
        },
    ],
    brings: nothing,
    secret_url: false,
    signed: true,
    hosts: &[],
    example: EXAMPLE,
    limits: &[],
    can: Can { threads: Threads::None, resolves: false, updates: false, once: true },
    thread_root: None,
    misread: never,
};

fn mode(value: &str) -> Result<(), &'static str> {
    if matches!(value, "structured" | "binary") { Ok(()) } else { Err("a mode is `structured` or `binary`") }
}

fn source(value: &str) -> Result<(), &'static str> {
    let base = url::Url::parse("https://base.example/").map_err(|_| "there is no base")?;
    match base.join(value) {
        Ok(_) if value.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(()),
        _ => Err("a source is a URI, or the end of one"),
    }
}

fn prefix(value: &str) -> Result<(), &'static str> {
    match value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')) {
        true => Ok(()),
        false => Err("a prefix is made of letters, digits, dots, - and _"),
    }
}

/// What is read of a frame: see [`crate::frame`].
#[derive(Default, Deserialize)]
struct Frame<'a> {
    #[serde(default)]
    date: Millis,
    #[serde(borrow, default, rename = "authorId")]
    author: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<Cow<'a, str>>,
}

/// Attributes, in the order they are written.
#[derive(Serialize)]
struct Attributes<'a> {
    specversion: &'static str,
    id: String,
    source: Cow<'a, str>,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    time: String,
    ownerid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorid: Option<&'a str>,
}

#[derive(Serialize)]
struct Structured<'a> {
    #[serde(flatten)]
    attributes: Attributes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

fn render(it: &Rendering<'_>) -> Outgoing {
    let event = it.event;
    // What is stored was checked when it was accepted; should it be damaged all the same, the event says less.
    let frame: Frame<'_> = serde_json::from_slice(&event.frame).unwrap_or_default();
    let at = if frame.date == 0 { event.id.at() } else { frame.date };
    let attributes = Attributes {
        specversion: "1.0",
        id: event.id.to_string(),
        source: match it.field("source") {
            "" => format!("/owners/{}", event.owner).into(),
            source => source.into(),
        },
        r#type: format!("{}{}", it.field("prefix"), event.kind),
        subject: event.resource.as_ref().map(|resource| resource.as_str()),
        time: Timestamp::from_millisecond(at).unwrap_or_default().to_string(),
        ownerid: event.owner.to_string(),
        authorid: frame.author.as_deref(),
    };
    let data = frame.data.as_deref().and_then(|data| serde_json::from_str::<&RawValue>(data).ok());
    if it.field("mode") == "binary" {
        return binary(it, &attributes, data);
    }
    let whole = Structured { attributes, datacontenttype: data.map(|_| "application/json"), data };
    // Strings and JSON that was read before: there is nothing in it that fails.
    let body = serde_json::to_vec(&whole).unwrap_or_default();
    let headers =
        vec![(CONTENT_TYPE, HeaderValue::from_static("application/cloudevents+json; charset=utf-8"))];
    Outgoing { method: Method::POST, url: it.url.clone(), headers, body: body.into() }
}

fn binary(it: &Rendering<'_>, attributes: &Attributes<'_>, data: Option<&RawValue>) -> Outgoing {
    let mut headers = Vec::new();
    let mut attribute = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(header_text(value))) {
            headers.push((HeaderName::from_static(name), value));
        }
    };
    attribute("ce-specversion", attributes.specversion);
    attribute("ce-id", &attributes.id);
    attribute("ce-source", &attributes.source);
    attribute("ce-type", &attributes.r#type);
    attribute("ce-time", &attributes.time);
    attribute("ce-ownerid", &attributes.ownerid);
    if let Some(subject) = attributes.subject {
        attribute("ce-subject", subject);
    }
    if let Some(author) = attributes.authorid {
        attribute("ce-authorid", author);
    }
    let mut body = Bytes::new();
    if let Some(data) = data {
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        body = Bytes::copy_from_slice(data.get().as_bytes());
    }
    Outgoing { method: Method::POST, url: it.url.clone(), headers, body }
}

/// A value as headers carry it: what is not visible ASCII, and `"` and `%`, percent-encoded (HTTP Protocol Binding, section
/// 3.1.3.2).
fn header_text(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'"' | b'%' => _ = write!(out, "%{byte:02X}"),
            0x21..=0x7E => out.push(char::from(byte)),
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::formats::Outcome;
    use crate::formats::samples::reply;
    use crate::ids::DeliveryId;
    use crate::model::{Event, Fields};
    use crate::ports::Reply;
    use crate::secret::Secret;
    use serde_json::Value;

    fn event() -> Event {
        Catalogue::builtin().unwrap().find("DEPLOYMENT_FAIL").unwrap().1.sample_event()
    }

    fn sent(event: &Event, fields: &[(&str, &str)]) -> Outgoing {
        let fields: Fields =
            fields.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        let url = Secret::new("https://example.com/");
        FORMAT
            .request(
                &Rendering {
                    url: &url,
                    fields: &fields,
                    event,
                    delivery: DeliveryId { event: event.id, n: 0 },
                    thread: None,
                    plainly: false,
                },
                || unreachable!("it is made of the event"),
            )
            .sent()
            .unwrap()
    }

    #[test]
    fn both_modes_carry_the_same_attributes_and_the_events_own_data() {
        let event = event();
        let structured = sent(&event, &[]);
        let body: Value = serde_json::from_slice(&structured.body).unwrap();
        assert_eq!(structured.headers[0].1, "application/cloudevents+json; charset=utf-8");
        assert_eq!(body["specversion"], "1.0");
        assert_eq!(body["id"], event.id.to_string());
        assert_eq!(body["type"], "DEPLOYMENT_FAIL");
        assert_eq!(body["source"], format!("/owners/{}", event.owner));
        assert_eq!(body["subject"], event.resource.as_ref().unwrap().to_string());
        assert_eq!(body["data"]["branch"], "main");

        let binary = sent(&event, &[("mode", "binary")]);
        let data: Value = serde_json::from_slice(&binary.body).unwrap();
        assert_eq!(data, body["data"]);
        for (name, value) in &binary.headers {
            let value = value.to_str().unwrap();
            match name.as_str().strip_prefix("ce-") {
                Some(attribute) => assert_eq!(body[attribute], value, "{attribute}"),
                None => assert_eq!((name.as_str(), value), ("content-type", "application/json")),
            }
        }
        assert!(binary.headers.iter().all(|(name, _)| name != "ce-datacontenttype"));
    }

    #[test]
    fn an_operator_names_source_and_types() {
        let fields = [("source", "https://paas.example/"), ("prefix", "com.example.paas.")];
        let body: Value = serde_json::from_slice(&sent(&event(), &fields).body).unwrap();
        assert_eq!(body["source"], "https://paas.example/");
        assert_eq!(body["type"], "com.example.paas.DEPLOYMENT_FAIL");
        assert!(mode("both").is_err() && prefix("a b").is_err() && source("a b").is_err());
        assert!(source("/x").is_ok() && source("urn:x:y").is_ok());
    }

    #[test]
    fn a_header_holds_visible_ascii_and_nothing_else() {
        assert_eq!(header_text("a b\"é%\r\n"), "a%20b%22%C3%A9%25%0D%0A");
    }

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        for (status, expected) in [
            (200, Outcome::Delivered),
            (204, Outcome::Delivered),
            (302, again),
            (404, again),
            (410, Outcome::Gone),
            (415, again),
            (429, again),
            (500, again),
        ] {
            assert_eq!((FORMAT.classify)(&reply(status, ""), 0), expected, "{status}");
        }
        let limited = Reply { retry_after: Some("5".into()), ..reply(429, "") };
        assert_eq!((FORMAT.classify)(&limited, 0), Outcome::Again { not_before: Some(5_000) });
    }
}
