//! Gotify: one push notification, in Markdown.
//!
//! Sources: gotify.net/docs, "Push messages", "Message extras"; gotify.net/api-docs.

use http::HeaderName;
use serde_json::json;
use url::Url;

use super::cut::{Unit, written};
use super::escape::{bare, markdown, quiet};
use super::page::{Markup, page};
use super::reply::{by_status, said};
use super::{
    Can, Field, Format, Limit, Outcome, Render, Rendering, never, not_elsewhere, object, visible, web_link,
    with_credential,
};
use crate::message::{Message, Severity};
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "gotify",
    title: "Gotify",
    render: Render::Message(render),
    classify,
    recognises: |_| false,
    check,
    fields: &[Field {
        name: "token",
        title: "Application token",
        hint: "of an application, from Apps; not if the URL has it as `?token=`",
        secret: true,
        required: true,
        check: visible,
    }],
    brings: |url, _| token_of(url),
    secret_url: true,
    signed: false,
    hosts: &[],
    example: "https://push.example.org/message",
    limits: &[
        Limit::of("title", TITLE, PAGE.unit, "/title"),
        Limit::of("text", PAGE.max, PAGE.unit, "/message"),
    ],
    can: Can::POST,
    thread_root: None,
    misread: never,
};

/// Gotify says no limit; a phone has one.
const PAGE: Markup = Markup {
    titled: false,
    max: 4000,
    unit: Unit::Chars,
    ours: markdown,
    theirs: |text| markdown(&quiet(text)),
    // Two spaces at the end of a line break it (CommonMark, section 6.7).
    line: "  \n",
    strong: str::to_owned,
    link: |label, url| format!("[{label}]({url})"),
};
const TITLE: usize = 250;
const URL: usize = 1000;
const KEY: HeaderName = HeaderName::from_static("x-gotify-key");

/// The token, where a URL has it.
fn token_of(url: &Url) -> Option<String> {
    let token = url.query_pairs().find(|(name, value)| name == "token" && !value.is_empty());
    token.map(|(_, value)| value.into_owned())
}

fn check(url: &Url) -> Result<(), &'static str> {
    match url.path().trim_end_matches('/').ends_with("/message") {
        true => not_elsewhere(url, "gotify"),
        false => Err("Gotify is posted to at https://HOST/message"),
    }
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let priority = match message.severity {
        Severity::Info => 2,
        Severity::Success => 4,
        Severity::Warning => 6,
        Severity::Error => 8,
    };
    let title = written(&message.title, TITLE, PAGE.unit, |text| text.write(str::to_owned, bare));
    let text = page(message, &PAGE);
    let mut extras = json!({ "client::display": { "contentType": "text/markdown" } });
    if let Some(url) = message.links.iter().find_map(|link| web_link(&link.url, URL)) {
        extras["client::notification"] = json!({ "click": { "url": url } });
    }
    let request = super::json(
        it.url,
        &object([
            ("title", title.into()),
            ("message", if text.trim().is_empty() { "…".into() } else { text.into() }),
            ("priority", priority.into()),
            ("extras", extras),
        ]),
    );
    match it.field("token") {
        "" => request,
        token => with_credential(request, KEY, token),
    }
}

/// It answers with the message, by its number. A token it does not know is a 401, one that may not post a 403; both say so in
/// JSON.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    match reply.status {
        200..=299 if !said(reply)["id"].is_number() => Outcome::Refused,
        401 | 403 if said(reply)["errorCode"].is_number() => Outcome::Gone,
        _ => by_status(reply, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{body, named, reply, request};
    use crate::secret::Secret;

    const WHOLE: &str = "https://push.example/message";

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        let error = |status: u16| format!(r#"{{"error":"x","errorCode":{status},"errorDescription":"y"}}"#);
        for (status, text, expected) in [
            (200, r#"{"id":1,"appid":5}"#.to_owned(), Outcome::Delivered),
            (200, "<html>Sign in</html>".to_owned(), Outcome::Refused),
            (200, String::new(), Outcome::Refused),
            (400, error(400), Outcome::Refused),
            (401, error(401), Outcome::Gone),
            (401, "<html>".to_owned(), Outcome::Refused),
            (403, error(403), Outcome::Gone),
            (404, error(404), Outcome::Refused),
            (500, error(500), again),
            (502, String::new(), again),
        ] {
            assert_eq!(classify(&reply(status, &text), 0), expected, "{status} {text}");
        }
        let limited = Reply { retry_after: Some("4".into()), ..reply(503, "") };
        assert_eq!(classify(&limited, 0), Outcome::Again { not_before: Some(4_000) });
    }

    #[test]
    fn a_push_has_its_title_its_urgency_and_its_key_in_a_header() {
        let messages = named();
        let sent = request(&FORMAT, &Secret::new(WHOLE), &messages[0].1);
        assert!(sent.headers.iter().any(|(name, value)| name == KEY && value.is_sensitive()));
        let told = body(&FORMAT, WHOLE, &messages[0].1);
        assert_eq!(
            (told["title"].as_str(), told["priority"].as_u64()),
            (Some("Deployment of shop-api succeeded"), Some(4))
        );
        assert_eq!(
            told["extras"]["client::notification"]["click"]["url"],
            "https://console.example/deployments/1?a=1&b=2"
        );
        assert!(told["message"].as_str().unwrap().contains("  \n"), "{told}");
        assert_eq!(body(&FORMAT, WHOLE, &messages[2].1)["priority"], 8);
    }

    #[test]
    fn a_url_of_another_shape_is_refused_and_one_with_its_token_is_enough() {
        let url = |url: &str| Url::parse(url).unwrap();
        assert!(check(&url(WHOLE)).is_ok() && check(&url("https://push.example/gotify/message")).is_ok());
        assert!(check(&url("https://push.example/")).is_err());
        assert_eq!(FORMAT.needed(&url(WHOLE)).count(), 1);
        assert_eq!(FORMAT.needed(&url("https://push.example/message?token=Ax")).count(), 0);
    }
}
