//! Matrix: a notice in a room, by the client-server API or by a webhook of hookshot.
//!
//! The transaction is named by the delivery, so an attempt that was heard but not answered makes no second message; a
//! webhook of hookshot has nothing like it. A thread hangs on the id the server gave its first message, which is kept with the attempt
//! that made it.
//! Sources: spec.matrix.org v1.11, "Client-server API", 8.5, 11.2.1.7, 11.37 and 11.38; matrix-org.github.io/matrix-hookshot,
//! "Webhooks".

use http::Method;
use http::header::AUTHORIZATION;
use serde_json::json;
use url::Url;

use super::cut::Unit;
use super::escape::{bare, html, quiet};
use super::page::{Markup, page};
use super::reply::{by_status, said};
use super::{
    Can, Field, Format, Limit, Outcome, Render, Rendering, Threads, not_elsewhere, object, visible,
    with_credential,
};
use crate::message::Message;
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};
use crate::secret::Secret;

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "matrix",
    title: "Matrix",
    render: Render::Message(render),
    classify,
    recognises,
    check,
    fields: &[
        Field {
            name: "room",
            title: "Room",
            hint: "the room's internal id, from its advanced settings, such as !abc:example.org; not for a webhook of hookshot",
            secret: false,
            required: true,
            check: room,
        },
        Field {
            name: "token",
            title: "Access token",
            hint: "of an account that is in the room; not for a webhook of hookshot",
            secret: true,
            required: true,
            check: visible,
        },
    ],
    brings: |url, _| is_hookshot(url).then(String::new),
    secret_url: true,
    signed: false,
    hosts: &[],
    example: "https://matrix.example.org",
    limits: &[
        Limit::of("text", MAX, Unit::Bytes, "/body"),
        Limit::of("text in HTML", MAX, Unit::Bytes, "/formatted_body"),
        Limit::of("all of it", EVENT, Unit::Bytes, ""),
    ],
    can: Can { threads: Threads::Resource, resolves: false, updates: false, once: true },
    thread_root: Some(thread_root),
    misread,
};

/// An event has 65,536 bytes, both texts and JSON's quotes included: bytes of each text.
const MAX: usize = 12_000;
const EVENT: usize = 65_536;
const PLAIN: Markup = Markup {
    titled: true,
    max: MAX,
    unit: Unit::Bytes,
    ours: str::to_owned,
    theirs: bare,
    line: "\n",
    strong: str::to_owned,
    link: |label, url| format!("{label}: {url}"),
};
const HTML: Markup = Markup {
    titled: true,
    max: MAX,
    unit: Unit::Bytes,
    ours: html,
    theirs: |text| html(&quiet(text)),
    line: "<br>",
    strong: |title| format!("<b>{title}</b>"),
    link: |label, url| format!("<a href=\"{}\">{label}</a>", html(url)),
};

fn is_hookshot(url: &Url) -> bool {
    url.path().rsplit_once("/webhook/").is_some_and(|(_, id)| !id.is_empty() && !id.contains('/'))
}

fn recognises(url: &Url) -> bool {
    url.path().starts_with("/_matrix/")
}

/// The homeserver, or a webhook: what else there is of the client-server API is ours to add.
fn check(url: &Url) -> Result<(), &'static str> {
    if recognises(url) {
        return Err("give the homeserver alone, such as https://matrix.example.org");
    }
    not_elsewhere(url, "matrix")
}

fn room(value: &str) -> Result<(), &'static str> {
    visible(value)?;
    match value.strip_prefix('!') {
        Some(id) if !id.is_empty() && !value.contains('/') => Ok(()),
        _ => Err("a room is named by its internal id, which begins with `!`"),
    }
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let plain = page(message, &PLAIN);
    let html = page(message, &HTML);
    let parsed = Url::parse(it.url.expose()).ok();
    if parsed.as_ref().is_some_and(is_hookshot) {
        return super::json(it.url, &object([("text", plain.into()), ("html", html.into())]));
    }
    let mut body = object([
        ("msgtype", "m.notice".into()),
        ("body", plain.into()),
        ("format", "org.matrix.custom.html".into()),
        ("formatted_body", html.into()),
        // Nobody is called, whatever the text looks like (section 11.37).
        ("m.mentions", json!({})),
    ]);
    if let Some(root) = it.thread.filter(|_| !it.plainly) {
        body["m.relates_to"] = json!({
            "rel_type": "m.thread",
            "event_id": root,
            // For programs that know no threads it answers the first message.
            "is_falling_back": true,
            "m.in_reply_to": { "event_id": root },
        });
    }
    let mut request = super::json(&place(it, parsed), &body);
    request.method = Method::PUT;
    with_credential(request, AUTHORIZATION, &format!("Bearer {}", it.field("token")))
}

fn place(it: &Rendering<'_>, base: Option<Url>) -> Secret {
    let Some(mut url) = base else { return it.url.clone() };
    let transaction = it.delivery.to_string();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend([
            "_matrix",
            "client",
            "v3",
            "rooms",
            it.field("room"),
            "send",
            "m.room.message",
            &transaction,
        ]);
    }
    Secret::new(String::from(url))
}

/// The client-server API says `errcode`, and which event it made; hookshot says `ok`, and 202 if it does not wait for the room.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    let said = said(reply);
    let code = said["errcode"].as_str().unwrap_or_default();
    match (reply.status, code) {
        (401, "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN")
        | (403, "M_FORBIDDEN" | "M_USER_DEACTIVATED")
        | (404, "M_NOT_FOUND") => Outcome::Gone,
        (404, "") if said["ok"] == false => Outcome::Gone,
        (202, _) if said["ok"] != false => Outcome::Delivered,
        (200..=299, _) if !said["event_id"].is_string() && said["ok"] != true => Outcome::Refused,
        _ => by_status(reply, now),
    }
}

/// The event it made; an id has at most 255 bytes (appendices, "Common identifier format").
fn thread_root(reply: &Reply) -> Option<String> {
    let said = said(reply);
    let id = said["event_id"].as_str().filter(|id| id.starts_with('$') && id.len() <= 255)?;
    Some(id.to_owned())
}

/// A room that does not know the first message, or has it in a thread of somebody else's, takes no message of a thread; the
/// message itself it takes.
fn misread(reply: &Reply) -> bool {
    reply.status == 400 && matches!(said(reply)["errcode"].as_str(), Some("M_UNKNOWN" | "M_INVALID_PARAM"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{
        any_message, cases, fields, named, plainly, read, reply, request, threaded,
    };
    use proptest::prelude::*;

    const HOOKSHOT: &str = "https://hookshot.example/webhook/0123-4567";

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        let error = |code: &str| format!(r#"{{"errcode":"{code}","error":"x"}}"#);
        for (status, text, expected) in [
            (200, r#"{"event_id":"$x"}"#.to_owned(), Outcome::Delivered),
            (200, r#"{"ok":true}"#.to_owned(), Outcome::Delivered),
            (202, r#"{"ok":true}"#.to_owned(), Outcome::Delivered),
            (202, String::new(), Outcome::Delivered),
            (202, r#"{"ok":false}"#.to_owned(), Outcome::Refused),
            (200, r#"{"ok":false}"#.to_owned(), Outcome::Refused),
            (200, "<html>Sign in</html>".to_owned(), Outcome::Refused),
            (200, String::new(), Outcome::Refused),
            (200, "{}".to_owned(), Outcome::Refused),
            (200, error("M_UNKNOWN"), Outcome::Refused),
            (400, error("M_BAD_JSON"), Outcome::Refused),
            (401, error("M_UNKNOWN_TOKEN"), Outcome::Gone),
            (401, error("M_MISSING_TOKEN"), Outcome::Gone),
            (403, error("M_FORBIDDEN"), Outcome::Gone),
            (403, "<html>".to_owned(), Outcome::Refused),
            (404, error("M_UNRECOGNIZED"), Outcome::Refused),
            (404, error("M_NOT_FOUND"), Outcome::Gone),
            (404, "<html>".to_owned(), Outcome::Refused),
            (404, r#"{"ok":false,"error":"Webhook not found"}"#.to_owned(), Outcome::Gone),
            (413, error("M_TOO_LARGE"), Outcome::Refused),
            (500, error("M_UNKNOWN"), again),
            (502, String::new(), again),
        ] {
            assert_eq!(classify(&reply(status, &text), 0), expected, "{status} {text}");
        }
        let limited = r#"{"errcode":"M_LIMIT_EXCEEDED","error":"x","retry_after_ms":1500}"#;
        assert_eq!(classify(&reply(429, limited), 0), Outcome::Again { not_before: Some(1_500) });
    }

    #[test]
    fn a_message_is_put_under_the_deliverys_own_name() {
        let (_, message) = named().remove(0);
        let sent = request(&FORMAT, &Secret::new("https://matrix.example.org"), &message);
        let url = sent.url.expose();
        let start =
            "https://matrix.example.org/_matrix/client/v3/rooms/!room:example.org/send/m.room.message/dlv_";
        assert!(url.starts_with(start), "{url}");
        assert_eq!(sent.method, Method::PUT);
        assert!(sent.headers.iter().any(|(name, value)| name == AUTHORIZATION && value.is_sensitive()));
        let again = request(&FORMAT, &Secret::new("https://matrix.example.org/"), &message);
        assert_eq!((again.url.expose(), &again.body), (url, &sent.body));
        let below = request(&FORMAT, &Secret::new("https://example.org/matrix/"), &message);
        assert!(below.url.expose().starts_with("https://example.org/matrix/_matrix/client/"));
    }

    #[test]
    fn a_thread_hangs_on_the_event_its_first_message_became() {
        let root = |text: &str| thread_root(&reply(200, text));
        assert_eq!(root(r#"{"event_id":"$x:example.org"}"#).as_deref(), Some("$x:example.org"));
        let long = format!(r#"{{"event_id":"${}"}}"#, "x".repeat(255));
        for other in [r#"{"event_id":"x"}"#, r#"{"event_id":1}"#, r#"{"ok":true}"#, "", long.as_str()] {
            assert_eq!(root(other), None, "{other}");
        }
        let (_, message) = named().remove(0);
        let home = Secret::new("https://matrix.example.org");
        let first = read(&request(&FORMAT, &home, &message));
        let later = read(&threaded(&FORMAT, &home, &message));
        assert!(first.get("m.relates_to").is_none());
        let expected = json!({
            "rel_type": "m.thread", "event_id": "$root:example.org", "is_falling_back": true,
            "m.in_reply_to": { "event_id": "$root:example.org" },
        });
        assert_eq!(later["m.relates_to"], expected);
        // Where the room does not take that, it is told as if there were no thread.
        assert_eq!(read(&plainly(&FORMAT, &home, &message)), first);
        assert!(misread(&reply(
            400,
            r#"{"errcode":"M_UNKNOWN","error":"Can't send relation to unknown event"}"#
        )));
        assert!(
            !misread(&reply(400, r#"{"errcode":"M_BAD_JSON"}"#))
                && !misread(&reply(403, r#"{"errcode":"M_UNKNOWN"}"#))
        );
        let hookshot = Secret::new(HOOKSHOT);
        assert_eq!(
            read(&threaded(&FORMAT, &hookshot, &message)),
            read(&request(&FORMAT, &hookshot, &message))
        );
    }

    #[test]
    fn a_webhook_of_hookshot_needs_no_more_than_its_url() {
        let url = Url::parse(HOOKSHOT).unwrap();
        assert_eq!(FORMAT.needed(&url).count(), 0);
        assert_eq!(FORMAT.needed(&Url::parse("https://matrix.example.org/").unwrap()).count(), 2);
        let (_, message) = named().remove(0);
        let sent = request(&FORMAT, &Secret::new(HOOKSHOT), &message);
        assert_eq!((sent.method.clone(), sent.url.expose()), (Method::POST, HOOKSHOT));
        assert!(sent.headers.iter().all(|(name, _)| name != AUTHORIZATION));
        assert!(read(&sent)["text"].as_str().unwrap().starts_with("Deployment of shop-api succeeded\n"));
    }

    #[test]
    fn a_url_or_a_room_of_another_shape_is_refused() {
        let url = |url: &str| Url::parse(url).unwrap();
        assert!(check(&url("https://matrix.example.org/_matrix/client/v3/rooms/x/send")).is_err());
        assert!(check(&url("https://hooks.slack.com/services/T/B/x")).is_err());
        assert!(check(&url("https://matrix.example.org")).is_ok() && check(&url(HOOKSHOT)).is_ok());
        for (value, fits) in
            [("!a:b.example", true), ("!a", true), ("#a:b.example", false), ("!", false), ("!a/b", false)]
        {
            assert_eq!(room(value).is_ok(), fits, "{value}");
        }
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn an_event_is_never_too_large(message in any_message()) {
            for url in ["https://matrix.example.org", HOOKSHOT] {
                let sent = request(&FORMAT, &Secret::new(url), &message);
                // The server adds who, where and when.
                prop_assert!(sent.body.len() < 60_000, "{}", sent.body.len());
            }
            prop_assert!(!fields(&FORMAT).is_empty());
        }
    }
}
