//! Telegram's Bot API: one message in HTML.
//!
//! A topic of a forum is chosen by whoever makes the hook. Sources: core.telegram.org/bots/api, "sendMessage", "Formatting
//! options", "Making requests", "ResponseParameters"; "Bots FAQ".

use serde_json::{Value, json};
use url::Url;

use super::cut::Unit;
use super::escape::{html, quiet};
use super::page::{Markup, page};
use super::reply::{by_status, said};
use super::{Can, Field, Format, Limit, Outcome, Render, Rendering, Threads, object};
use crate::message::Message;
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};
use crate::secret::Secret;

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "telegram",
    title: "Telegram",
    render: Render::Message(render),
    classify,
    recognises,
    check,
    fields: &[
        Field {
            name: "token",
            title: "The bot's token",
            hint: "from @BotFather, such as 123456789:AAE…; not if the URL has it",
            secret: true,
            required: true,
            check: token,
        },
        Field {
            name: "chat",
            title: "Chat",
            hint: "the chat's id, such as -1001234567890, or a public channel's @name",
            secret: false,
            required: true,
            check: chat,
        },
        Field {
            name: "topic",
            title: "Topic",
            hint: "the number of a topic, in a group that has topics",
            secret: false,
            required: false,
            check: topic,
        },
    ],
    brings: |url, field| token_of(url).filter(|_| field == "token").map(str::to_owned),
    secret_url: true,
    signed: false,
    hosts: &["telegram.org", "t.me"],
    example: "https://api.telegram.org",
    limits: &[Limit::of("text", PAGE.max, PAGE.unit, "/text")],
    can: Can { threads: Threads::Chosen, resolves: false, updates: false, once: false },
    thread_root: None,
    misread,
};

const PAGE: Markup = Markup {
    titled: true,
    // Counted after the tags are read, so what is counted here is never less.
    max: 4096,
    unit: Unit::Utf16,
    ours: html,
    theirs: |text| html(&quiet(text)),
    line: "\n",
    strong: |title| format!("<b>{title}</b>"),
    link: |label, url| format!("<a href=\"{}\">{label}</a>", html(url)),
};

const PLAIN: Markup = Markup {
    ours: str::to_owned,
    theirs: quiet,
    strong: str::to_owned,
    link: |label, url| format!("{label}: {url}"),
    ..PAGE
};

fn recognises(url: &Url) -> bool {
    super::points_at(url, &["api.telegram.org"], "/")
}

/// The token, where a URL is whole: `/bot<TOKEN>/sendMessage`.
fn token_of(url: &Url) -> Option<&str> {
    let token = url.path().rsplit_once("/bot").and_then(|(_, rest)| rest.strip_suffix("/sendMessage"));
    token.filter(|token| token_shaped(token))
}

fn check(url: &Url) -> Result<(), &'static str> {
    const RULE: &str = "Telegram is posted to at https://api.telegram.org, or at https://api.telegram.org/bot<TOKEN>/sendMessage";
    let bare = url.path().trim_end_matches('/').is_empty();
    if bare || token_of(url).is_some() { super::whole(url, "telegram", RULE) } else { Err(RULE) }
}

fn token_shaped(text: &str) -> bool {
    text.split_once(':').is_some_and(|(id, key)| {
        !id.is_empty()
            && id.bytes().all(|byte| byte.is_ascii_digit())
            && !key.is_empty()
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    })
}

fn token(value: &str) -> Result<(), &'static str> {
    if token_shaped(value) {
        Ok(())
    } else {
        Err("a bot's token is a number, a colon, and letters and digits")
    }
}

fn chat(value: &str) -> Result<(), &'static str> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let number = !digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let name = value.strip_prefix('@').is_some_and(|name| {
        name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    if number || name { Ok(()) } else { Err("a chat is a number, or a public channel's @name") }
}

fn topic(value: &str) -> Result<(), &'static str> {
    let number = value.len() <= 18 && value.bytes().all(|byte| byte.is_ascii_digit());
    if number { Ok(()) } else { Err("a topic is a number") }
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let text = page(message, if it.plainly { &PLAIN } else { &PAGE });
    let mut body = object([
        ("chat_id", it.field("chat").into()),
        ("text", text.into()),
        ("link_preview_options", json!({ "is_disabled": true })),
    ]);
    if !it.plainly {
        body["parse_mode"] = "HTML".into();
    }
    if let Ok(topic) = it.field("topic").parse::<u64>() {
        body["message_thread_id"] = Value::from(topic);
    }
    super::json(&place(it), &body)
}

fn place(it: &Rendering<'_>) -> Secret {
    match Url::parse(it.url.expose()) {
        Ok(mut url) if token_of(&url).is_none() => {
            url.set_path(&format!("/bot{}/sendMessage", it.field("token")));
            Secret::new(String::from(url))
        }
        _ => it.url.clone(),
    }
}

/// It says `ok` in every answer, and otherwise a `description` in words. A token that is none is a 404, or a 401; a group
/// that moved says its new number, which only a person can put into the hook.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    let said = said(reply);
    let words = said["description"].as_str().unwrap_or_default();
    let moved = said["parameters"]["migrate_to_chat_id"].is_number();
    match reply.status {
        200..=299 if said["ok"] != true => Outcome::Refused,
        400 if moved || words.contains("chat not found") || words.contains("thread not found") => {
            Outcome::Gone
        }
        401 | 403 | 404 if said["ok"] == false => Outcome::Gone,
        _ => by_status(reply, now),
    }
}

/// The HTML that it does not read, it takes as text.
fn misread(reply: &Reply) -> bool {
    let said = said(reply);
    reply.status == 400
        && said["description"].as_str().is_some_and(|words| words.contains("can't parse entities"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{any_message, body, cases, named, plainly, read, reply, request};
    use proptest::prelude::*;

    const WHOLE: &str = "https://api.telegram.org/bot123456789:AAE-x_y/sendMessage";

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        let error = |words: &str| format!(r#"{{"ok":false,"error_code":1,"description":"{words}"}}"#);
        for (status, text, expected) in [
            (200, r#"{"ok":true,"result":{}}"#.to_owned(), Outcome::Delivered),
            (200, "<html>".to_owned(), Outcome::Refused),
            (200, String::new(), Outcome::Refused),
            (200, error("x"), Outcome::Refused),
            (400, error("Bad Request: chat not found"), Outcome::Gone),
            (400, error("Bad Request: message thread not found"), Outcome::Gone),
            (
                400,
                r#"{"ok":false,"description":"upgraded","parameters":{"migrate_to_chat_id":-1}}"#.to_owned(),
                Outcome::Gone,
            ),
            (400, error("Bad Request: can't parse entities"), Outcome::Refused),
            (401, error("Unauthorized"), Outcome::Gone),
            (403, error("Forbidden: bot was blocked by the user"), Outcome::Gone),
            (403, error("Forbidden: bot was kicked from the group chat"), Outcome::Gone),
            (404, error("Not Found"), Outcome::Gone),
            (404, "<html>".to_owned(), Outcome::Refused),
            (500, error("Internal Server Error"), again),
            (502, String::new(), again),
        ] {
            assert_eq!(classify(&reply(status, &text), 0), expected, "{status} {text}");
        }
        let limited = r#"{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":7}}"#;
        assert_eq!(classify(&reply(429, limited), 0), Outcome::Again { not_before: Some(7_000) });
    }

    #[test]
    fn a_message_goes_to_its_chat_and_the_token_stands_in_the_url_alone() {
        let (_, message) = named().remove(0);
        let sent = body(&FORMAT, WHOLE, &message);
        assert_eq!(sent["parse_mode"], "HTML");
        assert!(
            sent["text"].as_str().unwrap().starts_with("<b>Deployment of shop-api succeeded</b>\n"),
            "{sent}"
        );
        assert_eq!(request(&FORMAT, &Secret::new(WHOLE), &message).url.expose(), WHOLE);
        let url = |url: &str| Url::parse(url).unwrap();
        assert_eq!(FORMAT.needed(&url(WHOLE)).map(|field| field.name).collect::<Vec<_>>(), ["chat"]);
        assert_eq!(FORMAT.needed(&url("https://api.telegram.org")).count(), 2);
    }

    #[test]
    fn what_is_not_read_as_html_is_put_as_text() {
        let words = r#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: unsupported start tag"}"#;
        assert!(misread(&reply(400, words)));
        assert!(!misread(&reply(400, r#"{"ok":false,"description":"Bad Request: chat not found"}"#)));
        assert!(!misread(&reply(200, words)) && !misread(&reply(400, "<html>")));
        let (_, message) = named().remove(2);
        let sent = plainly(&FORMAT, &Secret::new(WHOLE), &message);
        let body = read(&sent);
        assert!(body.get("parse_mode").is_none());
        let text = body["text"].as_str().unwrap();
        assert!(text.starts_with("Deployment of <!channel> *http:\u{200B}//"), "{text}");
        assert!(!text.contains("&lt;") && !text.contains("@everyone"), "{text}");
    }

    #[test]
    fn a_url_or_a_field_of_another_shape_is_refused() {
        let url = |url: &str| Url::parse(url).unwrap();
        assert!(check(&url(WHOLE)).is_ok() && check(&url("https://api.telegram.org/")).is_ok());
        for wrong in [
            "https://api.telegram.org/botx/sendMessage",
            "https://api.telegram.org/bot1:A/getUpdates",
            "https://t.me/x/y",
            "https://t.me/",
        ] {
            assert!(check(&url(wrong)).is_err(), "{wrong}");
        }
        for (value, fits) in [
            ("-1001234567890", true),
            ("42", true),
            ("@acme_ops", true),
            ("acme", false),
            ("@a", false),
            ("-", false),
        ] {
            assert_eq!(chat(value).is_ok(), fits, "{value}");
        }
        assert!(topic("12").is_ok() && topic("x").is_err() && token("1:").is_err());
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn only_tags_of_ours_are_in_a_message_and_it_fits(message in any_message()) {
            let sent = body(&FORMAT, WHOLE, &message);
            let text = sent["text"].as_str().unwrap();
            prop_assert!(Unit::Utf16.size(text) <= 4096);
            for (at, _) in text.match_indices('<') {
                let tags = ["<b>", "</b>", "<a href=\"https://console.example/", "</a>"];
                prop_assert!(tags.iter().any(|tag| text[at..].starts_with(tag)), "{}", &text[at..]);
            }
            prop_assert_eq!(text.matches("<b>").count(), text.matches("</b>").count());
            prop_assert_eq!(text.matches("<a ").count(), text.matches("</a>").count());
        }
    }
}
