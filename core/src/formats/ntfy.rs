//! ntfy: one push notification, as JSON to the server's root.
//!
//! Headers could carry the same, but no more than ASCII of it. A message of more than 4096 bytes would become a file.
//! Sources: docs.ntfy.sh, "Publishing", "Publish as JSON", "Limitations"; the error codes of the server's `errors.go`.

use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use url::Url;

use super::cut::{Unit, cut, written};
use super::escape::bare;
use super::page::{Markup, page};
use super::reply::{again, by_status, said};
use super::{
    Can, EXAMPLE, Field, Format, Limit, Outcome, Render, Rendering, never, not_elsewhere, object, visible,
    web_link, with_credential,
};
use crate::message::{Message, Severity};
use crate::model::{DAY, Millis};
use crate::ports::{Outgoing, Reply};
use crate::secret::Secret;

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "ntfy",
    title: "ntfy",
    render: Render::Message(render),
    classify,
    recognises,
    check,
    fields: &[
        Field {
            name: "topic",
            title: "Topic",
            hint: "letters, digits, - and _; not if the URL ends with it",
            secret: true,
            required: true,
            check: topic,
        },
        Field {
            name: "token",
            title: "Access token",
            hint: "where the topic is protected, such as tk_…",
            secret: true,
            required: false,
            check: visible,
        },
    ],
    brings: |url, field| topic_of(url).filter(|_| field == "topic").map(str::to_owned),
    // Whoever knows the topic may read and write it.
    secret_url: true,
    signed: false,
    hosts: &["ntfy.sh"],
    example: EXAMPLE,
    limits: &[
        Limit::of("title", TITLE, PAGE.unit, "/title"),
        Limit::of("text", PAGE.max, PAGE.unit, "/message"),
        Limit::many("buttons", BUTTONS, "/actions"),
    ],
    can: Can::POST,
    thread_root: None,
    misread: never,
};

const PAGE: Markup = Markup {
    titled: false,
    max: 3500,
    unit: Unit::Bytes,
    ours: str::to_owned,
    theirs: bare,
    line: "\n",
    strong: str::to_owned,
    link: |label, url| format!("{label}: {url}"),
};
const TITLE: usize = 250;
const LABEL: usize = 60;
const URL: usize = 700;
/// Of what ntfy calls actions.
const BUTTONS: usize = 3;

fn recognises(url: &Url) -> bool {
    super::points_at(url, &["ntfy.sh"], "/")
}

/// The topic, where the URL ends with one.
fn topic_of(url: &Url) -> Option<&str> {
    let name = url.path().trim_matches('/');
    topic(name).is_ok().then_some(name)
}

fn check(url: &Url) -> Result<(), &'static str> {
    match url.path().trim_matches('/').is_empty() || topic_of(url).is_some() {
        true => not_elsewhere(url, "ntfy"),
        false => Err("ntfy is posted to at https://HOST/TOPIC"),
    }
}

fn topic(value: &str) -> Result<(), &'static str> {
    let fits = (1..=64).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if fits { Ok(()) } else { Err("a topic has 1 to 64 letters, digits, - and _") }
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let parsed = Url::parse(it.url.expose()).ok();
    let topic = match it.field("topic") {
        "" => parsed.as_ref().and_then(topic_of).unwrap_or_default(),
        topic => topic,
    };
    let (tag, priority) = match message.severity {
        Severity::Info => ("information_source", 3),
        Severity::Success => ("white_check_mark", 3),
        Severity::Warning => ("warning", 4),
        Severity::Error => ("rotating_light", 4),
    };
    let title = written(&message.title, TITLE, PAGE.unit, |text| text.write(str::to_owned, bare));
    let links: Vec<(String, String)> = message
        .links
        .iter()
        .filter_map(|link| Some((cut(&link.label, LABEL, PAGE.unit).into_owned(), web_link(&link.url, URL)?)))
        .take(BUTTONS)
        .collect();
    let mut body = object([
        ("topic", topic.into()),
        ("title", title.into()),
        ("message", page(message, &PAGE).into()),
        ("tags", json!([tag])),
        ("priority", priority.into()),
    ]);
    if let Some((_, url)) = links.first() {
        body["click"] = url.as_str().into();
        let button =
            |(label, url): &(String, String)| json!({ "action": "view", "label": label, "url": url });
        body["actions"] = links.iter().map(button).collect::<Vec<Value>>().into();
    }
    let root = parsed.map(|mut url| {
        url.set_path("/");
        Secret::new(String::from(url))
    });
    let request = super::json(root.as_ref().unwrap_or(it.url), &body);
    match it.field("token") {
        "" => request,
        token => with_credential(request, AUTHORIZATION, &format!("Bearer {token}")),
    }
}

/// It answers with the message, by its id, or with a `code` of five digits, the first three of them the status. The quota of a
/// day is free again at midnight, UTC.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    let said = said(reply);
    match (reply.status, said["code"].as_u64()) {
        (200..=299, _) if !said["id"].is_string() => Outcome::Refused,
        (401, Some(40101)) | (403, Some(40301)) => Outcome::Gone,
        (429, Some(42908)) => Outcome::Again { not_before: Some((now.div_euclid(DAY) + 1) * DAY) },
        (429 | 507, _) => again(reply, now),
        _ => by_status(reply, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{any_message, body, cases, named, reply, request};
    use proptest::prelude::*;

    const WHOLE: &str = "https://ntfy.sh/acme-ops";

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        let error = |code: u32| format!(r#"{{"code":{code},"http":{},"error":"x"}}"#, code / 100);
        for (status, text, expected) in [
            (200, r#"{"id":"x","event":"message"}"#.to_owned(), Outcome::Delivered),
            (200, "<html>Sign in</html>".to_owned(), Outcome::Refused),
            (200, String::new(), Outcome::Refused),
            (400, error(40009), Outcome::Refused),
            (400, error(40017), Outcome::Refused),
            (401, error(40101), Outcome::Gone),
            (401, "<html>".to_owned(), Outcome::Refused),
            (403, error(40301), Outcome::Gone),
            (404, error(40401), Outcome::Refused),
            (413, error(41301), Outcome::Refused),
            (429, error(42901), again),
            (429, error(42908), Outcome::Again { not_before: Some(2 * DAY) }),
            (500, error(50001), again),
            (507, error(50701), again),
        ] {
            assert_eq!(classify(&reply(status, &text), DAY + 5), expected, "{status} {text}");
        }
    }

    #[test]
    fn a_push_goes_to_the_root_with_its_topic_title_and_buttons() {
        let (_, message) = named().remove(0);
        let sent = request(&FORMAT, &Secret::new(WHOLE), &message);
        assert_eq!(sent.url.expose(), "https://ntfy.sh/");
        let body = body(&FORMAT, WHOLE, &message);
        assert_eq!(
            (body["title"].as_str(), body["priority"].as_u64()),
            (Some("Deployment of shop-api succeeded"), Some(3))
        );
        assert_eq!(body["actions"][1]["label"], "Open the application");
        assert!(!body["message"].as_str().unwrap().contains("Deployment of shop-api"), "{body}");
        let url = |url: &str| Url::parse(url).unwrap();
        assert_eq!(FORMAT.needed(&url(WHOLE)).count(), 0);
        assert_eq!(
            FORMAT.needed(&url("https://ntfy.sh")).map(|field| field.name).collect::<Vec<_>>(),
            ["topic"]
        );
    }

    #[test]
    fn a_url_or_a_topic_of_another_shape_is_refused() {
        let url = |url: &str| Url::parse(url).unwrap();
        assert!(check(&url(WHOLE)).is_ok() && check(&url("https://push.example")).is_ok());
        assert!(check(&url("https://ntfy.sh/a/b")).is_err() && check(&url("https://ntfy.sh/a%20b")).is_err());
        assert!(topic(&"a".repeat(64)).is_ok() && topic(&"a".repeat(65)).is_err() && topic("a b").is_err());
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn a_push_is_never_a_file(message in any_message()) {
            let body = body(&FORMAT, WHOLE, &message);
            prop_assert!(body["message"].as_str().unwrap().len() <= 4096);
            prop_assert!(body["actions"].as_array().is_none_or(|all| all.len() <= BUTTONS));
        }
    }
}
