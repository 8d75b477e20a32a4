//! Zulip's API: one message of a bot in a channel, one topic a resource.
//!
//! Its Markdown has no escapes, so what a user wrote stands in code spans. Sources: zulip.com/api, "Send a message", "REST
//! error handling", "Rate limits"; zulip.com/help, "Message formatting".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use url::{Url, form_urlencoded};

use super::cut::{Unit, cut, written};
use super::escape::{bare, code, tagless};
use super::page::{Markup, page};
use super::reply::{by_status, said};
use super::{
    Can, Field, Format, Limit, Outcome, Render, Rendering, Threads, anything, never, nothing, visible,
    with_credential,
};
use crate::message::Message;
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "zulip",
    title: "Zulip",
    render: Render::Message(render),
    classify,
    recognises,
    check,
    fields: &[
        Field {
            name: "email",
            title: "The bot's e-mail address",
            hint: "of a bot, from Personal settings > Bots, such as notify-bot@example.zulipchat.com",
            secret: false,
            required: true,
            check: email,
        },
        Field {
            name: "key",
            title: "The bot's API key",
            hint: "the bot's API key, 32 letters and digits",
            secret: true,
            required: true,
            check: key,
        },
        Field {
            name: "channel",
            title: "Channel",
            hint: "the name of the channel the bot writes to",
            secret: false,
            required: true,
            check: short,
        },
        Field {
            name: "topic",
            title: "Topic",
            hint: "one topic for everything; without it, one for each application or add-on",
            secret: false,
            required: false,
            check: short,
        },
    ],
    brings: nothing,
    secret_url: false,
    signed: false,
    hosts: &["zulipchat.com"],
    example: "https://organisation.example/api/v1/messages",
    limits: &[
        Limit::of("topic", SHORT, PAGE.unit, "/topic"),
        Limit::of("text", PAGE.max, PAGE.unit, "/content"),
    ],
    can: Can { threads: Threads::Resource, resolves: false, updates: false, once: false },
    thread_root: None,
    misread: never,
};

const PAGE: Markup = Markup {
    titled: true,
    max: 10_000,
    // Code points.
    unit: Unit::Chars,
    ours: tagless,
    theirs: code,
    line: "\n",
    strong: |title| format!("**{title}**"),
    link: |label, url| format!("[{label}]({url})"),
};
/// Code points of a topic, and of a channel's name.
const SHORT: usize = 60;
const PATH: &str = "/api/v1/messages";

fn recognises(url: &Url) -> bool {
    FORMAT.owns(url) && url.path().trim_end_matches('/') == PATH
}

fn check(url: &Url) -> Result<(), &'static str> {
    const RULE: &str = "Zulip is posted to at https://ORGANISATION/api/v1/messages";
    if url.path().trim_end_matches('/').ends_with(PATH) {
        super::whole(url, "zulip", RULE)
    } else {
        Err(RULE)
    }
}

fn email(value: &str) -> Result<(), &'static str> {
    visible(value)?;
    match value.split_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !value.contains(':') => Ok(()),
        _ => Err("a bot is named by its e-mail address"),
    }
}

fn key(value: &str) -> Result<(), &'static str> {
    match value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err("an API key of Zulip has 32 letters and digits"),
    }
}

fn short(value: &str) -> Result<(), &'static str> {
    match value.chars().count() <= SHORT {
        true => anything(value),
        false => Err("a channel or a topic has at most 60 characters"),
    }
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let topic = match it.field("topic") {
        "" => written(&message.about, SHORT, PAGE.unit, |text| text.write(str::to_owned, bare)),
        topic => topic.to_owned(),
    };
    let topic =
        if topic.trim().is_empty() { cut(&message.thread, SHORT, PAGE.unit).into_owned() } else { topic };
    let body = form_urlencoded::Serializer::new(String::new())
        // What older servers call a channel; newer ones know both words.
        .append_pair("type", "stream")
        .append_pair("to", it.field("channel"))
        .append_pair("topic", &topic)
        .append_pair("content", &page(message, &PAGE))
        .finish();
    let headers =
        vec![(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"))];
    let request = Outgoing { method: Method::POST, url: it.url.clone(), headers, body: body.into() };
    let credential = STANDARD.encode(format!("{}:{}", it.field("email"), it.field("key")));
    with_credential(request, AUTHORIZATION, &format!("Basic {credential}"))
}

/// It says `result` in every answer, and a `code` where something is wrong.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    let said = said(reply);
    let gone = [
        "STREAM_DOES_NOT_EXIST",
        "CHANNEL_DOES_NOT_EXIST",
        "UNAUTHORIZED",
        "UNAUTHENTICATED_USER",
        "USER_DEACTIVATED",
        "REALM_DEACTIVATED",
    ];
    match reply.status {
        200..=299 if said["result"] != "success" => Outcome::Refused,
        400..=403 if gone.iter().any(|code| said["code"] == *code) => Outcome::Gone,
        _ => by_status(reply, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{named, read, reply, request};
    use crate::secret::Secret;

    const URL: &str = "https://acme.zulipchat.com/api/v1/messages";

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        let error = |code: &str| format!(r#"{{"result":"error","msg":"x","code":"{code}"}}"#);
        for (status, text, expected) in [
            (200, r#"{"id":42,"msg":"","result":"success"}"#.to_owned(), Outcome::Delivered),
            (200, "<html>".to_owned(), Outcome::Refused),
            (302, String::new(), Outcome::Refused),
            (400, error("STREAM_DOES_NOT_EXIST"), Outcome::Gone),
            (400, error("BAD_REQUEST"), Outcome::Refused),
            (401, error("UNAUTHORIZED"), Outcome::Gone),
            (401, "<html>".to_owned(), Outcome::Refused),
            (403, error("USER_DEACTIVATED"), Outcome::Gone),
            (403, error("REALM_DEACTIVATED"), Outcome::Gone),
            (404, String::new(), Outcome::Refused),
            (429, error("RATE_LIMIT_HIT"), again),
            (500, String::new(), again),
            (503, String::new(), again),
        ] {
            assert_eq!(classify(&reply(status, &text), 0), expected, "{status} {text}");
        }
        let limited = Reply { retry_after: Some("28.7".into()), ..reply(429, "") };
        assert_eq!(classify(&limited, 0), Outcome::Again { not_before: Some(28_700) });
    }

    #[test]
    fn a_message_has_its_channel_its_topic_and_the_bots_credential() {
        let (_, message) = named().remove(0);
        let sent = request(&FORMAT, &Secret::new(URL), &message);
        let body = read(&sent);
        assert_eq!((body["type"].as_str(), body["topic"].as_str()), (Some("stream"), Some("shop-api")));
        assert!(body["content"].as_str().unwrap().starts_with("**Deployment of `shop-api` succeeded**\n"));
        let (name, value) = &sent.headers[1];
        assert!(
            name == AUTHORIZATION && value.is_sensitive() && value.to_str().unwrap().starts_with("Basic ")
        );
    }

    #[test]
    fn a_url_and_fields_of_another_shape_are_refused() {
        let url = |url: &str| Url::parse(url).unwrap();
        assert!(recognises(&url(URL)) && check(&url(URL)).is_ok());
        assert!(check(&url("https://chat.example/zulip/api/v1/messages")).is_ok());
        for wrong in
            ["https://acme.zulipchat.com/", "https://acme.zulipchat.com/api/v1/external/json?api_key=x"]
        {
            assert!(check(&url(wrong)).is_err(), "{wrong}");
        }
        assert!(key("short").is_err() && email("bot").is_err() && email("a:b@c").is_err());
        assert!(short(&"é".repeat(60)).is_ok() && short(&"é".repeat(61)).is_err());
    }
}
