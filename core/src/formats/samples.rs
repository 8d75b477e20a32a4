//! Messages, replies and events for the tests of every format and letter.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;
use url::form_urlencoded;

use super::{Field, Format, Render, Rendering};
use crate::frame;
use crate::ids::{DeliveryId, EventId};
use crate::message::{Detail, Link, Message, Severity, Text};
use crate::model::{Event, Fields};
use crate::ports::{Outgoing, Reply};
use crate::secret::Secret;

const OWNER: &str = "orga_22222222-2222-4222-8222-222222222222";
const APP: &str = "app_33333333-3333-4333-8333-333333333333";

pub(crate) fn sentence(before: &str, theirs: &str, after: &str) -> Text {
    let mut text = Text::ours(before);
    text.push(Text::theirs(theirs));
    text.push(Text::ours(after));
    text
}

fn detail(label: &str, value: Text) -> Detail {
    Detail { label: label.into(), value }
}

/// A message of every shape, with a name each: all of it, hardly anything, and an attack.
pub(crate) fn named() -> Vec<(&'static str, Message)> {
    let link = |label: &str, path: &str| Link {
        label: label.into(),
        url: format!("https://console.example/{path}"),
    };
    vec![
        (
            "success",
            Message {
                kind: "DEPLOYMENT_SUCCESS".into(),
                severity: Severity::Success,
                title: sentence("Deployment of ", "shop-api", " succeeded"),
                about: Text::theirs("shop-api"),
                summary: sentence("Version ", "1.4.2", " is online after 2 minutes & 3 seconds."),
                details: vec![
                    detail("Application", Text::theirs("shop-api")),
                    detail("Commit", Text::theirs("9fceb02d0ae598e95dc970b74767f19372d61af8")),
                    detail("Duration", Text::ours("2 min 3 s")),
                ],
                links: vec![
                    link("Open the deployment", "deployments/1?a=1&b=2"),
                    link("Open the application", "app"),
                ],
                actor: Some(Text::theirs("Alice Liddell")),
                at: 1_767_348_000_000,
                thread: APP.into(),
                incident: None,
            },
        ),
        (
            "bare",
            Message {
                kind: "CREDITS_ADDED".into(),
                severity: Severity::Info,
                title: Text::ours("Credits were added"),
                about: Text::theirs("ACME"),
                summary: Text::default(),
                details: Vec::new(),
                links: Vec::new(),
                actor: None,
                at: 0,
                thread: OWNER.into(),
                incident: None,
            },
        ),
        (
            "hostile",
            Message {
                kind: "DEPLOYMENT_FAIL".into(),
                severity: Severity::Error,
                title: sentence("Deployment of ", "<!channel> *http://evil.example* `x", " failed"),
                about: Text::theirs("<!channel> *http://evil.example* `x"),
                summary: sentence("", "@everyone & <script>alert('x')</script>\r\nBcc: a@b.example", ""),
                details: vec![
                    detail("Branch", Text::theirs("[click](http://evil.example) \u{202E}gnp.exe")),
                    detail("Cause", Text::theirs("`@here` <https://evil.example|free> ```")),
                    detail("Empty", Text::theirs("")),
                ],
                links: vec![
                    Link { label: "Not a link".into(), url: "javascript:alert(1)".into() },
                    link("Open the application", "app?name=<!here>|x"),
                ],
                actor: Some(Text::theirs("👩‍👩‍👧 <@U0000>")),
                at: 1_767_348_000_999,
                thread: APP.into(),
                incident: None,
            },
        ),
    ]
}

pub(crate) fn messages() -> Vec<Message> {
    named().into_iter().map(|(_, message)| message).collect()
}

/// What somebody would put into a name or a commit message: `hostile.txt`, read.
pub(crate) fn hostile() -> Vec<String> {
    let line = |line: &str| {
        let (text, times) = match line.rsplit_once("\" x ") {
            Some((text, times)) => (format!("{text}\""), times.parse().unwrap()),
            None => (line.to_owned(), 1),
        };
        serde_json::from_str::<String>(&text).unwrap().repeat(times)
    };
    let lines = include_str!("hostile.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).map(line).collect()
}

/// The sender Flowdock's inbox is shown.
pub(crate) const FROM: &str = "notifications@sonnette.invalid";

/// URLs of every shape a format posts to, at a host that is nobody's.
pub(crate) fn urls(format: &Format) -> &'static [&'static str] {
    match format.name {
        "flowdock" => &[
            "https://relay.example/v1/messages/team_inbox/0123456789abcdef",
            "https://relay.example/v1/messages/chat/0123456789abcdef",
            "https://relay.example/messages?flow_token=0123456789abcdef",
        ],
        "teams" => &[
            "https://relay.example/workflows/0123456789abcdef/triggers/manual/paths/invoke?sig=a%2Fb",
            "https://relay.example/webhookb2/0123456789abcdef",
        ],
        "zulip" => &["https://relay.example/api/v1/messages"],
        "matrix" => &["https://relay.example/", "https://relay.example/webhook/0123456789abcdef"],
        "telegram" => &["https://relay.example/bot123456789:AAexample/sendMessage"],
        "ntfy" => &["https://relay.example/alerts"],
        "gotify" => &["https://relay.example/message"],
        "pagerduty" => &["https://relay.example/v2/enqueue"],
        _ => &["https://relay.example/hooks/0123456789abcdef"],
    }
}

/// Values one of which every field takes that a format cannot do without.
const VALUES: &[&str] = &[
    "x",
    "123456789",
    "!room:example.org",
    "bot@example.org",
    "0123456789abcdef0123456789abcdef",
    "123456789:AAexample",
];

/// Fields a format cannot do without.
pub(crate) fn fields(format: &Format) -> Fields {
    let taken = |field: &Field| VALUES.iter().find(|value| (field.check)(value).is_ok()).unwrap();
    let needed = format.fields.iter().filter(|field| field.required);
    needed.map(|field| (field.name.to_owned(), Secret::new(*taken(field)))).collect()
}

/// Whole messages are large: fewer of them are tried than of a text.
pub(crate) fn cases() -> ProptestConfig {
    ProptestConfig::with_cases(64)
}

/// Words with what somebody would try, in any order and any length.
fn words() -> impl Strategy<Value = String> {
    let attack = prop::sample::select(vec![
        "<!channel>",
        "<!here>",
        "<@U1>",
        "<http://evil.example|x>",
        "@everyone",
        "@all",
        "@channel",
        "@here",
        "[x](http://evil.example)",
        "![x](//evil)",
        "**",
        "__",
        "~~",
        "```",
        "`",
        "</td>",
        "<script>",
        "&amp",
        "&",
        "\\",
        "\"",
        "'",
        "\u{202E}",
        "\u{0}",
        "\r\n",
        "\u{2028}",
        "👩‍👩‍👧",
        "e\u{301}",
        "🇫🇷",
        "\u{200D}",
        "# ",
        "- ",
        "1. ",
        "|",
    ])
    .prop_map(str::to_owned);
    let part = prop_oneof![3 => attack, 2 => any::<String>(), 1 => ("[&<a`]", prop::sample::select(vec![1_usize, 5, 200, 3500])).prop_map(|(c, n)| c.repeat(n))];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

/// A text of ours and theirs.
fn text() -> impl Strategy<Value = Text> {
    (prop::bool::ANY, words()).prop_map(|(framed, words)| match framed {
        true => sentence("Deployment of ", &words, " failed"),
        false => Text::theirs(&words),
    })
}

/// A message of the most any user can make of one.
pub(crate) fn any_message() -> impl Strategy<Value = Message> {
    let details = prop::collection::vec(text().prop_map(|value| detail("Label & such", value)), 0..35);
    let links = prop::collection::vec("[a-z<>|)\"'`&]{0,20}", 0..8);
    let actor = prop::option::of(text());
    (0..4_usize, text(), text(), details, links, actor, any::<i64>()).prop_map(
        |(severity, title, summary, details, links, actor, at)| Message {
            kind: "DEPLOYMENT_FAIL".into(),
            severity: Severity::ALL[severity],
            title: sentence("Title: ", &title.to_string(), ""),
            about: Text::theirs(&title.to_string()),
            summary,
            details,
            links: links
                .into_iter()
                .map(|path| Link { label: "Open".into(), url: format!("https://console.example/{path}") })
                .collect(),
            actor,
            at,
            thread: APP.into(),
            incident: None,
        },
    )
}

/// The event a message stands for.
pub(crate) fn event(message: &Message) -> Event {
    let owner = OWNER.parse().unwrap();
    let mut bytes = frame::build(&message.kind, message.at, owner, None, Some("{}"));
    let id = EventId::first_at(1_767_348_000_000);
    frame::stamp(&mut bytes, id);
    Event { id, owner, kind: message.kind.clone(), resource: Some(APP.parse().unwrap()), frame: bytes.into() }
}

/// The request a format makes of a message.
pub(crate) fn request(format: &Format, url: &Secret, message: &Message) -> Outgoing {
    put(format, url, message, None, false)
}

/// The same, as text alone.
pub(crate) fn plainly(format: &Format, url: &Secret, message: &Message) -> Outgoing {
    put(format, url, message, Some("$root:example.org"), true)
}

/// The same, in a thread.
pub(crate) fn threaded(format: &Format, url: &Secret, message: &Message) -> Outgoing {
    put(format, url, message, Some("$root:example.org"), false)
}

fn put(format: &Format, url: &Secret, message: &Message, thread: Option<&str>, plainly: bool) -> Outgoing {
    let event = event(message);
    let fields = fields(format);
    let rendering = Rendering {
        url,
        fields: &fields,
        event: &event,
        delivery: DeliveryId { event: event.id, n: 0 },
        thread,
        plainly,
    };
    match format.render {
        Render::Frame(render) => render(&rendering),
        Render::Message(render) => render(&rendering, message),
    }
}

/// The body as JSON; a form becomes an object.
pub(crate) fn read(request: &Outgoing) -> Value {
    let form = request.headers.iter().any(|(name, value)| {
        name == "content-type" && value.as_bytes().starts_with(b"application/x-www-form-urlencoded")
    });
    if !form {
        return serde_json::from_slice(&request.body).unwrap();
    }
    let pairs: BTreeMap<String, Value> = form_urlencoded::parse(&request.body)
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect();
    serde_json::to_value(pairs).unwrap()
}

/// Its body.
pub(crate) fn body(format: &Format, url: &str, message: &Message) -> Value {
    serde_json::from_slice(&request(format, &Secret::new(url), message).body).unwrap()
}

/// Its body for people to read: invisible breaks are shown.
pub(crate) fn shown(format: &Format, url: &str, message: &Message) -> String {
    serde_json::to_string_pretty(&body(format, url, message)).unwrap().replace('\u{200B}', "<ZWSP>")
}

pub(crate) fn reply(status: u16, body: &str) -> Reply {
    Reply { status, retry_after: None, body: Bytes::copy_from_slice(body.as_bytes()), renewed: false }
}
