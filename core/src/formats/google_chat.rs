//! Google Chat's incoming webhooks: the title as text, the rest as a card, one thread a resource.
//!
//! The thread is found by a key of ours, or begun; `requestId` is the delivery's, so an attempt that was heard but not
//! answered makes no second message. Sources: developers.google.com, "Build a Google Chat app as a webhook",
//! "spaces.messages.create", "Cards", "Format messages", "Usage limits".

use serde_json::Value;
use url::Url;

use super::cut::{Unit, cut, written};
use super::escape::{code, html, quiet, tagless};
use super::reply::{again, by_status, said};
use super::{
    Can, EXAMPLE, Format, Limit, Outcome, Render, Rendering, Threads, actor, color, details, never, nothing,
    object, utc, web_link, with_query,
};
use crate::message::{Message, Severity, Text};
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "google-chat",
    title: "Google Chat",
    render: Render::Message(render),
    classify,
    recognises,
    check,
    fields: &[],
    brings: nothing,
    secret_url: true,
    signed: false,
    hosts: &["chat.googleapis.com", "chat.google.com", "mail.google.com"],
    example: EXAMPLE,
    limits: &[
        Limit::of("title", TITLE, UNIT, "/text"),
        Limit::of("each fact", VALUE, UNIT, "/cardsV2/0/card/sections/0/widgets/*/decoratedText/text"),
        Limit::of("thread key", KEY, UNIT, "/thread/threadKey"),
        Limit::of("all of it", ALL, UNIT, ""),
    ],
    can: Can { threads: Threads::Resource, resolves: false, updates: false, once: true },
    thread_root: None,
    misread: never,
};

/// A message has 32,000 bytes, so bytes are what is counted here. The sum of what follows, each quote and backslash of
/// JSON counted double, stays below.
const UNIT: Unit = Unit::Bytes;
const ALL: usize = 32_000;
const TITLE: usize = 600;
const SUMMARY: usize = 1500;
const LABEL: usize = 60;
const VALUE: usize = 450;
const DETAILS: usize = 20;
const LINKS: usize = 5;
const URL: usize = 700;
/// Of 4000.
const KEY: usize = 500;

const HOST: &str = "chat.googleapis.com";

fn recognises(url: &Url) -> bool {
    let named = |name: &str| url.query_pairs().any(|(key, value)| key == name && !value.is_empty());
    super::points_at(url, &[HOST], "/v1/spaces/")
        && url.path().ends_with("/messages")
        && named("key")
        && named("token")
}

fn check(url: &Url) -> Result<(), &'static str> {
    super::whole(
        url,
        "google-chat",
        "a webhook of Google Chat is https://chat.googleapis.com/v1/spaces/…/messages?key=…&token=…",
    )
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let delivery = it.delivery.to_string();
    let url = with_query(
        it.url,
        &[("messageReplyOption", "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD")],
        &[("requestId", &delivery)],
    );
    // `text` has no escape: a code span for what a user wrote, and no `<users/all>` in it.
    let text = written(&message.title, TITLE, UNIT, |text| {
        text.write(str::to_owned, |theirs| code(&tagless(theirs)))
    });
    let section = object([("widgets", widgets(message).into())]);
    let card = object([("sections", vec![section].into())]);
    let body = object([
        ("text", if text.trim().is_empty() { "…".into() } else { text.into() }),
        ("cardsV2", vec![object([("cardId", "message".into()), ("card", card)])].into()),
        ("thread", object([("threadKey", cut(&message.thread, KEY, UNIT).into())])),
    ]);
    super::json(&url, &body)
}

fn widgets(message: &Message) -> Vec<Value> {
    let word = match message.severity {
        Severity::Info => "Info",
        Severity::Success => "Success",
        Severity::Warning => "Warning",
        Severity::Error => "Error",
    };
    let mut head = format!("<font color=\"{}\"><b>{word}</b></font>", color(message.severity));
    if !message.summary.is_empty() {
        head += "<br>";
        head += &in_html(&message.summary, SUMMARY);
    }
    let mut widgets = vec![paragraph(head)];
    widgets.extend(details(message).take(DETAILS).map(|detail| {
        let label = tagless(&cut(&detail.label, LABEL, UNIT));
        let text = in_html(&detail.value, VALUE);
        let text = [("topLabel", label.into()), ("text", text.into()), ("wrapText", true.into())];
        object([("decoratedText", object(text))])
    }));
    let at = utc(message.at);
    let by = match actor(message) {
        Some(actor) => format!("By {}, {at}", in_html(actor, VALUE)),
        None => at,
    };
    widgets.push(paragraph(by));
    let buttons: Vec<Value> = message
        .links
        .iter()
        .filter_map(|link| {
            let label = tagless(&cut(&link.label, LABEL, UNIT));
            let url = object([("url", web_link(&link.url, URL)?.into())]);
            Some(object([("text", label.into()), ("onClick", object([("openLink", url)]))]))
        })
        .take(LINKS)
        .collect();
    if !buttons.is_empty() {
        widgets.push(object([("buttonList", object([("buttons", buttons.into())]))]));
    }
    widgets
}

fn paragraph(text: String) -> Value {
    object([("textParagraph", object([("text", text.into())]))])
}

fn in_html(text: &Text, max: usize) -> String {
    written(text, max, UNIT, |text| text.write(html, |theirs| html(&quiet(theirs))))
}

/// 403 and 404 are a webhook or a space that is no more, 401 and a 400 about the key a URL that is none; a 403 can also
/// be a limit.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    let said = said(reply);
    let error = &said["error"];
    let reason = |word: &str| {
        let details = error["details"].as_array().map_or(&[][..], Vec::as_slice);
        details.iter().any(|detail| detail["reason"] == word)
    };
    match reply.status {
        403 if error["status"] == "RESOURCE_EXHAUSTED" || reason("RATE_LIMIT_EXCEEDED") => again(reply, now),
        // The message it made, by its name: all else is said by somebody before it.
        200..=299 if !said["name"].is_string() => Outcome::Refused,
        400 if reason("API_KEY_INVALID") => Outcome::Gone,
        401 | 403 | 404 if error.is_object() => Outcome::Gone,
        _ => by_status(reply, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{any_message, body, cases, named, reply, request};
    use crate::secret::Secret;
    use proptest::prelude::*;
    use serde_json::json;

    const URL: &str = "https://chat.googleapis.com/v1/spaces/AAAA/messages?key=abc&token=d%3De";

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        let error = |status: &str, reason: &str| {
            json!({ "error": { "code": 1, "status": status, "details": [{ "reason": reason }] } }).to_string()
        };
        for (status, text, expected) in [
            (200, r#"{"name":"spaces/A/messages/B"}"#.to_owned(), Outcome::Delivered),
            (200, "<html>Sign in</html>".into(), Outcome::Refused),
            (200, String::new(), Outcome::Refused),
            (200, error("INTERNAL", "x"), Outcome::Refused),
            (302, String::new(), Outcome::Refused),
            (400, error("INVALID_ARGUMENT", "x"), Outcome::Refused),
            (400, error("INVALID_ARGUMENT", "API_KEY_INVALID"), Outcome::Gone),
            (401, error("UNAUTHENTICATED", "x"), Outcome::Gone),
            (403, error("PERMISSION_DENIED", "x"), Outcome::Gone),
            (403, error("PERMISSION_DENIED", "RATE_LIMIT_EXCEEDED"), again),
            (403, error("RESOURCE_EXHAUSTED", "x"), again),
            (403, "<html>".into(), Outcome::Refused),
            (404, error("NOT_FOUND", "x"), Outcome::Gone),
            (404, "<html>".into(), Outcome::Refused),
            (410, String::new(), Outcome::Gone),
            (413, String::new(), Outcome::Refused),
            (429, error("RESOURCE_EXHAUSTED", "x"), again),
            (500, error("INTERNAL", "x"), again),
            (503, error("UNAVAILABLE", "x"), again),
        ] {
            assert_eq!(classify(&reply(status, &text), 0), expected, "{status} {text}");
        }
        let limited = Reply { retry_after: Some("60".into()), ..reply(429, "") };
        assert_eq!(classify(&limited, 0), Outcome::Again { not_before: Some(60_000) });
    }

    #[test]
    fn the_request_names_its_thread_and_itself_and_keeps_the_credential_byte_for_byte() {
        let message = named().remove(0).1;
        let sent = request(&FORMAT, &Secret::new(URL), &message);
        let (before, id) = sent.url.expose().split_once("&requestId=").unwrap();
        assert_eq!(before, format!("{URL}&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"));
        assert!(id.starts_with("dlv_"), "{id}");
        assert_eq!(body(&FORMAT, URL, &message)["thread"]["threadKey"], message.thread);
        let own = format!("{URL}&messageReplyOption=REPLY_MESSAGE_OR_FAIL");
        let sent = request(&FORMAT, &Secret::new(own.clone()), &message);
        assert!(sent.url.expose().starts_with(&format!("{own}&requestId=")));
    }

    #[test]
    fn a_webhook_of_google_chat_is_recognised_and_others_are_refused() {
        let url = |url: &str| Url::parse(url).unwrap();
        assert!(recognises(&url(URL)) && check(&url(URL)).is_ok());
        for wrong in [
            "https://chat.googleapis.com/v1/spaces/AAAA/messages",
            "https://chat.googleapis.com/v1/spaces/AAAA/messages?key=&token=",
            "https://chat.google.com/room/AAAA",
            "https://hooks.slack.com/services/T/B/x",
        ] {
            assert!(check(&url(wrong)).is_err(), "{wrong}");
        }
        assert!(check(&url("https://relay.example/chat")).is_ok());
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn only_tags_of_ours_are_in_a_card_and_no_limit_is_broken(message in any_message()) {
            let sent = request(&FORMAT, &Secret::new(URL), &message);
            prop_assert!(sent.body.len() <= 32_000, "{}", sent.body.len());
            let body = body(&FORMAT, URL, &message);
            prop_assert!(!body["text"].as_str().unwrap().contains('<'));
            prop_assert!(body["text"].as_str().unwrap().matches('`').count().is_multiple_of(2));
            let widgets = body["cardsV2"][0]["card"]["sections"][0]["widgets"].as_array().unwrap();
            prop_assert!(widgets.len() <= 100);
            for text in widgets.iter().filter_map(|widget| widget.pointer("/decoratedText/text")) {
                let text = text.as_str().unwrap();
                prop_assert!(text.len() <= VALUE && !text.contains(['<', '>', '"']), "{text}");
                for (at, _) in text.match_indices('&') {
                    let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
                    prop_assert!(entities.iter().any(|entity| text[at..].starts_with(entity)), "{text}");
                }
            }
        }
    }
}
