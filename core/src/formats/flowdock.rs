//! Flowdock's push API, in its three shapes. The service closed in 2023; relays still speak it.
//!
//! The URL's path says which shape: `…/team_inbox/TOKEN`, `…/chat/TOKEN` or `…/messages`; another path gets the inbox.
//! Source: github.com/flowdock/api-docs, "Team Inbox", "Chat", "Messages"; charsets and lengths as its Ruby gem has
//! them.

use serde_json::{Value, json};
use url::Url;

use super::cut::{Unit, cut, written};
use super::escape::{html, tagless, unlinked, unmentioned};
use super::page::{Markup, page};
use super::reply::by_status;
use super::{
    Can, EXAMPLE, Format, Limit, Outcome, Render, Rendering, Threads, actor, details, never, nothing,
    points_at, utc, web_link,
};
use crate::message::{Message, Severity, Text};
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "flowdock",
    title: "Flowdock",
    render: Render::Message(render),
    classify,
    recognises,
    check,
    fields: &[],
    brings: nothing,
    secret_url: true,
    signed: false,
    hosts: &["flowdock.com"],
    example: EXAMPLE,
    limits: &[
        Limit::of("subject", SUBJECT, UNIT, "/subject"),
        Limit::of("title", SUBJECT, UNIT, "/title"),
        Limit::of("chat", CONTENT, UNIT, "/content").anywhere(),
        Limit::many("facts", DETAILS, "/thread/fields"),
        Limit::of("each fact", VALUE, UNIT, "/thread/fields/*/value"),
    ],
    can: Can { threads: Threads::Resource, resolves: false, updates: true, once: false },
    thread_root: None,
    misread: never,
};

const NAME: &str = "Sonnette";
/// The inbox asks for a sender and shows it; nobody should ever answer it. `.invalid` is the domain that can never be
/// somebody's (RFC 2606, section 2), so no stranger gets an answer either.
const FROM: &str = "notifications@sonnette.invalid";
const UNIT: Unit = Unit::Utf16;
const CONTENT: usize = 8096;
const SUBJECT: usize = 250;
const VALUE: usize = 1000;
const LABEL: usize = 60;
const DETAILS: usize = 20;
const LINKS: usize = 5;
const URL: usize = 2000;

const CHAT: Markup = Markup {
    titled: true,
    max: CONTENT,
    unit: UNIT,
    ours: str::to_owned,
    theirs: bare,
    line: "\n",
    strong: str::to_owned,
    link: |label, url| format!("{label}: {url}"),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Inbox,
    Chat,
    Messages,
}

impl Shape {
    /// The last of the three words in the path: a relay may live below a path of its own.
    fn of(url: &str) -> Self {
        let Ok(url) = Url::parse(url) else { return Self::Inbox };
        let word = |segment: &str| match segment {
            "team_inbox" => Some(Self::Inbox),
            "chat" => Some(Self::Chat),
            "messages" => Some(Self::Messages),
            _ => None,
        };
        url.path().rsplit('/').find_map(word).unwrap_or(Self::Inbox)
    }
}

fn recognises(url: &Url) -> bool {
    points_at(url, &["api.flowdock.com"], "/")
}

fn check(url: &Url) -> Result<(), &'static str> {
    let token = || url.query_pairs().any(|(name, value)| name == "flow_token" && !value.is_empty());
    match Shape::of(url.as_str()) {
        Shape::Messages if !token() => {
            Err("…/messages is posted to with the flow's token: …/messages?flow_token=TOKEN")
        }
        _ => super::whole(url, "flowdock", "Flowdock was posted to at https://api.flowdock.com/…"),
    }
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let body = match Shape::of(it.url.expose()) {
        Shape::Inbox => inbox(message),
        Shape::Chat => chat(message),
        Shape::Messages => activity(message),
    };
    super::json(it.url, &body)
}

fn inbox(message: &Message) -> Value {
    let mut body = json!({
        "source": NAME,
        "from_address": FROM,
        "from_name": NAME,
        "project": project(&message.thread),
        "subject": in_text(&message.title, SUBJECT),
        "content": content(message),
        "format": "html",
        "tags": tags(message),
    });
    if let Some(link) = first_link(message) {
        body["link"] = link.into();
    }
    body
}

fn chat(message: &Message) -> Value {
    json!({ "content": page(message, &CHAT), "external_user_name": NAME, "tags": tags(message) })
}

fn activity(message: &Message) -> Value {
    let title = in_html(&message.title, SUBJECT);
    let author = actor(message).map_or_else(|| NAME.into(), |actor| in_text(actor, LABEL));
    let fields: Vec<Value> = details(message)
        .take(DETAILS)
        .map(|detail| {
            json!({ "label": cut(&detail.label, LABEL, UNIT), "value": in_html(&detail.value, VALUE) })
        })
        .collect();
    let (value, color) = match message.severity {
        Severity::Info => ("info", "blue"),
        Severity::Success => ("success", "green"),
        Severity::Warning => ("warning", "orange"),
        Severity::Error => ("error", "red"),
    };
    let mut thread = json!({
        "title": title,
        "body": in_html(&message.summary, VALUE),
        "status": { "value": value, "color": color },
        "fields": fields,
    });
    if let Some(link) = first_link(message) {
        thread["external_url"] = link.into();
    }
    json!({
        "event": "activity",
        "title": title,
        "author": { "name": author },
        // One thread a resource: the best this service had.
        "external_thread_id": cut(&message.thread, SUBJECT, UNIT),
        "thread": thread,
        "tags": tags(message),
    })
}

/// The inbox's HTML, from the elements it allows.
fn content(message: &Message) -> String {
    let mut out = String::new();
    if !message.summary.is_empty() {
        out += &format!("<p>{}</p>", in_html(&message.summary, VALUE));
    }
    let mut details = details(message).take(DETAILS).peekable();
    if details.peek().is_some() {
        out += "<table>";
        for detail in details {
            let label = html(&cut(&detail.label, LABEL, UNIT));
            out += &format!("<tr><th>{label}</th><td>{}</td></tr>", in_html(&detail.value, VALUE));
        }
        out += "</table>";
    }
    let at = utc(message.at);
    out += &match actor(message) {
        Some(actor) => format!("<p>By {}, {at}</p>", in_html(actor, VALUE)),
        None => format!("<p>{at}</p>"),
    };
    let links: Vec<String> = message
        .links
        .iter()
        .filter_map(|link| {
            let url = html(&web_link(&link.url, URL)?);
            Some(format!("<a href=\"{url}\">{}</a>", html(&cut(&link.label, LABEL, UNIT))))
        })
        .take(LINKS)
        .collect();
    if !links.is_empty() {
        out += &format!("<p>{}</p>", links.join(" · "));
    }
    out
}

fn in_html(text: &Text, max: usize) -> String {
    written(text, max, UNIT, |text| text.write(html, |theirs| html(&quiet(theirs))))
}

fn in_text(text: &Text, max: usize) -> String {
    written(text, max, UNIT, |text| text.write(str::to_owned, bare))
}

/// A user's words where nothing is markup; a relay may pass them on to where `<…>` is.
fn bare(text: &str) -> String {
    tagless(&quiet(text))
}

/// Tags are read out of the words themselves, and `@everyone` is one.
fn quiet(text: &str) -> String {
    unmentioned(&unlinked(text), &['@', '#'])
}

/// Letters, digits, `_` and space: all that `source` and `project` may hold.
fn project(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_ascii_alphanumeric() || c == ' ' { c } else { '_' }).collect()
}

fn tags(message: &Message) -> [String; 2] {
    let kind = project(&message.kind).replace(' ', "_").to_ascii_lowercase();
    [kind, message.severity.as_str().into()]
}

fn first_link(message: &Message) -> Option<String> {
    message.links.iter().find_map(|link| web_link(&link.url, URL))
}

/// 410 says the source was removed. The service also answers 404 and 401 with a `message` to a token it does not
/// know; without one the answer may come from a proxy in front of a relay that is just being deployed.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    let says_why = || {
        let said: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        said["message"].is_string()
    };
    match reply.status {
        401 | 404 if says_why() => Outcome::Gone,
        _ => by_status(reply, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{self, body, reply};
    use proptest::prelude::*;

    const INBOX: &str = "https://relay.example/v1/messages/team_inbox/0123456789abcdef";
    const CHAT: &str = "https://relay.example/v1/messages/chat/0123456789abcdef";
    const MESSAGES: &str = "https://relay.example/messages?flow_token=0123456789abcdef";

    #[test]
    fn the_samples_look_like_this() {
        for (shape, url) in [("inbox", INBOX), ("chat", CHAT), ("messages", MESSAGES)] {
            for (name, message) in samples::named() {
                insta::assert_snapshot!(
                    format!("flowdock_{shape}_{name}"),
                    samples::shown(&FORMAT, url, &message)
                );
            }
        }
    }

    #[test]
    fn the_path_chooses_the_shape() {
        for (url, shape) in [
            (INBOX, Shape::Inbox),
            (CHAT, Shape::Chat),
            (MESSAGES, Shape::Messages),
            ("https://api.flowdock.com/v1/messages", Shape::Messages),
            ("https://relay.example/chat/flowdock/team_inbox/x", Shape::Inbox),
            ("https://relay.example/chat/x", Shape::Chat),
            ("https://relay.example/", Shape::Inbox),
            ("https://relay.example/?x=/chat/y", Shape::Inbox),
            ("nonsense", Shape::Inbox),
        ] {
            assert_eq!(Shape::of(url), shape, "{url}");
        }
    }

    #[test]
    fn each_answer_means_this() {
        for (status, text, expected) in [
            (200, "{}", Outcome::Delivered),
            (201, "{}", Outcome::Delivered),
            (202, "", Outcome::Delivered),
            (
                400,
                r#"{"message":"Validation error","errors":{"content":["can't be blank"]}}"#,
                Outcome::Refused,
            ),
            (401, r#"{"message":"Unauthorized"}"#, Outcome::Gone),
            (401, "", Outcome::Refused),
            (404, r#"{"message":"not found"}"#, Outcome::Gone),
            (404, "<html>", Outcome::Refused),
            (410, "", Outcome::Gone),
            (429, "", Outcome::Again { not_before: None }),
            (500, "", Outcome::Again { not_before: None }),
        ] {
            assert_eq!(classify(&reply(status, text), 0), expected, "{status} {text}");
        }
        let limited = Reply { retry_after: Some("20".into()), ..reply(429, "") };
        assert_eq!(classify(&limited, 0), Outcome::Again { not_before: Some(20_000) });
    }

    #[test]
    fn a_url_without_its_token_is_refused() {
        let taken = |url: &str| check(&Url::parse(url).unwrap()).is_ok();
        assert!(
            taken(INBOX)
                && taken(CHAT)
                && taken(MESSAGES)
                && taken("https://api.flowdock.com/messages?flow_token=x")
        );
        for wrong in [
            "https://relay.example/messages",
            "https://relay.example/v1/messages?flow_token=",
            "https://www.flowdock.com/",
            "https://hooks.slack.com/services/T/B/x",
        ] {
            assert!(!taken(wrong), "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(samples::cases())]

        #[test]
        fn what_the_service_requires_is_there_and_fits(message in samples::any_message()) {
            let inbox = body(&FORMAT, INBOX, &message);
            for field in ["source", "from_address", "subject", "content"] {
                prop_assert!(inbox[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
            }
            for field in ["source", "project"] {
                let text = inbox[field].as_str().unwrap();
                prop_assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ' '), "{text}");
            }
            let content = inbox["content"].as_str().unwrap();
            let ours = ["<p>", "</p>", "<table>", "</table>", "<tr>", "</tr>", "<th>", "</th>", "<td>", "</td>",
                "</a>", "<a href=\"https://console.example/"];
            for (at, _) in content.match_indices('<') {
                prop_assert!(ours.iter().any(|tag| content[at..].starts_with(tag)), "{content}");
            }
            let chat = body(&FORMAT, CHAT, &message);
            let content = chat["content"].as_str().unwrap();
            prop_assert!(!content.is_empty() && UNIT.size(content) <= CONTENT);
            for call in ["@everyone", "@all", "@channel", "@here"] {
                prop_assert!(!content.contains(call), "{content}");
            }
            let name = chat["external_user_name"].as_str().unwrap();
            prop_assert!(name.len() <= 16 && !name.contains(' '));
            let activity = body(&FORMAT, MESSAGES, &message);
            prop_assert_eq!(activity["external_thread_id"].as_str().unwrap(), message.thread);
            for field in ["/title", "/thread/title", "/thread/body"] {
                prop_assert!(!activity.pointer(field).unwrap().as_str().unwrap().contains(['<', '>']));
            }
        }
    }
}
