//! How webhooks look: one file a format, one list, everything else derived from it.
//!
//! A format is a pure function from an event to a request, with the receiver's vocabulary of failure beside it.

mod attachment;
mod closed;
mod cloudevents;
pub mod cut;
mod discord;
pub(crate) mod escape;
mod flowdock;
mod gitter;
#[cfg(test)]
mod golden;
mod google_chat;
mod gotify;
#[cfg(test)]
pub(crate) mod hostile;
mod limits;
mod matrix;
mod mattermost;
mod ntfy;
mod page;
mod pagerduty;
mod raw;
mod reply;
mod rocketchat;
#[cfg(test)]
pub(crate) mod samples;
mod shown;
mod slack;
mod teams;
mod telegram;
mod zulip;

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use serde_json::Value;
use url::Url;

pub use self::closed::{closed, closed_services, warning};
pub use self::limits::{Can, Limit, Threads};
pub use self::reply::retry_after;
pub use self::shown::{HIDDEN, is_masked, mask, shown};
use crate::ids::DeliveryId;
use crate::message::{Detail, Message, Severity, Text};
use crate::model::{Event, Fields, Millis};
use crate::ports::{Outgoing, Reply};
use crate::secret::Secret;

/// Every format, in the order they are listed. The first four are those the platform's clients know.
pub const FORMATS: &[Format] = &[
    raw::FORMAT,
    slack::FORMAT,
    flowdock::FORMAT,
    gitter::FORMAT,
    mattermost::FORMAT,
    rocketchat::FORMAT,
    discord::FORMAT,
    teams::FORMAT,
    google_chat::FORMAT,
    zulip::FORMAT,
    matrix::FORMAT,
    telegram::FORMAT,
    ntfy::FORMAT,
    gotify::FORMAT,
    pagerduty::FORMAT,
    cloudevents::FORMAT,
];

/// What a format is.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The name on the wire.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// Makes the request.
    pub render: Render,
    /// Says what a reply means; `now` is when it came.
    pub classify: fn(&Reply, now: Millis) -> Outcome,
    /// Whether a URL is this service's own.
    pub recognises: fn(&Url) -> bool,
    /// Whether it can be posted to in this format: the rule it breaks, in words that never repeat it. Asked when a hook is
    /// saved, after the rules for every URL.
    pub check: fn(&Url) -> Result<(), &'static str>,
    /// What it takes besides the URL.
    pub fields: &'static [Field],
    /// What a URL brings of a field, so that a required one is not missed; empty where such a URL needs none.
    pub brings: fn(&Url, &str) -> Option<String>,
    /// Whether the URL is a credential, and is shown masked.
    pub secret_url: bool,
    /// Whether requests carry Standard Webhooks headers.
    pub signed: bool,
    /// Hosts that are the service's own, with all below them; none where it lives where its users want.
    pub hosts: &'static [&'static str],
    /// A URL to show requests by: nobody's, or one that is the same for everybody.
    pub example: &'static str,
    /// What it takes at most.
    pub limits: &'static [Limit],
    /// What can be done there.
    pub can: Can,
    /// Reads out of a reply by which name later messages of a thread are hung on the one just taken
    /// ([`Rendering::thread`]), where a service has threads and gives no other way.
    pub thread_root: Option<fn(&Reply) -> Option<String>>,
    /// Whether a reply refuses how the message is put rather than what it says: it is posted once more, plainly
    /// ([`Rendering::plainly`]).
    pub misread: fn(&Reply) -> bool,
}

/// Something a format takes besides the URL: a room, a topic, a token.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The name on the wire, such as `token`.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// One line for people: what it looks like, where to find it.
    pub hint: &'static str,
    /// Whether it is a credential, and is never shown again.
    pub secret: bool,
    /// Whether nothing can be sent without it, unless the URL brings it ([`Format::brings`]).
    pub required: bool,
    /// The rule it breaks, in words that never repeat it.
    pub check: fn(&str) -> Result<(), &'static str>,
}

/// `.example` is nobody's (RFC 2606, section 2).
const EXAMPLE: &str = "https://receiver.example/hook";

/// The longest value of a field, in bytes.
pub const MAX_FIELD: usize = 512;

/// Why a destination's fields do not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct FieldError {
    /// Which.
    pub name: String,
    /// The rule it breaks.
    pub rule: String,
}

impl Format {
    /// Whether these are the fields the format takes, each by its own rule.
    ///
    /// # Errors
    /// The first that is not known or breaks its rule; else all that are missing, by the name of the first.
    pub fn check_fields(&self, url: &Url, fields: &Fields) -> Result<(), FieldError> {
        self.check_given_fields(fields)?;
        let missing: Vec<_> = self.needed(url).filter(|field| !fields.contains_key(field.name)).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        let each: Vec<_> = missing.iter().map(|field| format!("`{}` ({})", field.name, field.hint)).collect();
        let word = if each.len() == 1 { "field" } else { "fields" };
        Err(FieldError {
            name: first.name.to_owned(),
            rule: format!(
                "{} needs the {word} {}; the console, our own API and `sonnette hooks` take such",
                self.title,
                each.join(", ")
            ),
        })
    }

    /// Whether a URL points at the service's own hosts, at whatever there.
    pub fn owns(&self, url: &Url) -> bool {
        let below = |own: &str| {
            host(url).strip_suffix(own).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        self.hosts.iter().any(|own| below(own))
    }

    /// The fields nothing can be sent to this URL without.
    pub fn needed(&self, url: &Url) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().filter(|field| field.required && (self.brings)(url, field.name).is_none())
    }

    /// [`Format::check_fields`] for a preview, which does without what is not given.
    ///
    /// # Errors
    /// The first that is not known, or breaks its rule.
    pub fn check_given_fields(&self, fields: &Fields) -> Result<(), FieldError> {
        let error = |name: &str, rule: String| Err(FieldError { name: name.to_owned(), rule });
        if let Some(name) = fields.keys().find(|name| self.fields.iter().all(|field| field.name != *name)) {
            let known: Vec<_> = self.fields.iter().map(|field| field.name).collect();
            return error(
                name,
                match known.as_slice() {
                    [] => format!("{} takes no fields besides the URL", self.title),
                    known => format!("{} takes the fields {}", self.title, known.join(", ")),
                },
            );
        }
        for field in self.fields {
            let Some(value) = fields.get(field.name).map(Secret::expose) else { continue };
            if value.is_empty() || value.len() > MAX_FIELD || value.chars().any(char::is_control) {
                return error(field.name, format!("`{}` has 1 to {MAX_FIELD} bytes on one line", field.name));
            }
            if value.contains(HIDDEN) {
                return error(
                    field.name,
                    format!("`{}` is masked: give it whole, or leave it out", field.name),
                );
            }
            if let Err(rule) = (field.check)(value) {
                return error(field.name, rule.to_owned());
            }
        }
        Ok(())
    }
}

/// What came of rendering a request, or a letter.
#[derive(Debug)]
pub enum Rendered<T = Outgoing> {
    /// It.
    Whole(T),
    /// The message could not be rendered: one with no more than what happened, and to what.
    Plain(T),
    /// Not even that. Another version of this program may know how.
    Failed,
}

impl<T> Rendered<T> {
    /// Renders, and what is plain if that fails.
    ///
    /// A fault in a template, in a message or in a format costs the words it is about, never the delivery: this is where
    /// a panic in any of them ends.
    pub(crate) fn of(whole: impl FnOnce() -> T, plain: Option<impl FnOnce() -> T>) -> Self {
        // Nothing outlives a panic in here but the inputs, which nobody changes.
        if let Ok(whole) = catch_unwind(AssertUnwindSafe(whole)) {
            return Self::Whole(whole);
        }
        let plain = plain.and_then(|plain| catch_unwind(AssertUnwindSafe(plain)).ok());
        plain.map_or(Self::Failed, Self::Plain)
    }

    /// What is sent, if anything is.
    pub fn sent(self) -> Option<T> {
        match self {
            Self::Whole(sent) | Self::Plain(sent) => Some(sent),
            Self::Failed => None,
        }
    }
}

impl Format {
    /// Makes the request. `message` says what the event says to people, where the format asks for it.
    pub fn request(&self, it: &Rendering<'_>, message: impl FnOnce() -> Message) -> Rendered {
        match self.render {
            Render::Frame(render) => Rendered::of(|| render(it), None::<fn() -> Outgoing>),
            Render::Message(render) => {
                Rendered::of(|| render(it, &message()), Some(|| render(it, &Message::plain(it.event))))
            }
        }
    }
}

/// For fields and URLs without a rule of their own.
fn anything<T: ?Sized>(_: &T) -> Result<(), &'static str> {
    Ok(())
}

/// For services that take a message as it is put, or not at all.
fn never(_: &Reply) -> bool {
    false
}

/// For URLs that bring no field.
fn nothing(_: &Url, _: &str) -> Option<String> {
    None
}

/// For credentials that go into a header.
fn visible(value: &str) -> Result<(), &'static str> {
    match value.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("a token is made of visible ASCII characters"),
    }
}

/// From what a request is made.
#[derive(Debug, Clone, Copy)]
pub enum Render {
    /// From the event's own bytes.
    Frame(fn(&Rendering<'_>) -> Outgoing),
    /// From what it says to people.
    Message(fn(&Rendering<'_>, &Message) -> Outgoing),
}

/// One delivery to be rendered.
#[derive(Debug, Clone, Copy)]
pub struct Rendering<'a> {
    /// Where to.
    pub url: &'a Secret,
    /// What the format takes besides, checked by [`Format::check_fields`] when it was saved.
    pub fields: &'a Fields,
    /// What happened.
    pub event: &'a Event,
    /// The delivery, the same on every attempt.
    pub delivery: DeliveryId,
    /// What [`Format::thread_root`] read of the first message of its thread, if there was one.
    pub thread: Option<&'a str>,
    /// As text alone, bound to nothing: for a receiver that did not take it otherwise.
    pub plainly: bool,
}

impl Rendering<'_> {
    /// The value of a field; empty if there is none.
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", Secret::expose)
    }
}

/// What a reply means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is there.
    Delivered,
    /// Again, by the schedule and not before the time the receiver asked for.
    Again {
        /// When the receiver allows it, if it said.
        not_before: Option<Millis>,
    },
    /// Never for this delivery.
    Refused,
    /// Never for this destination.
    Gone,
}

/// The format of a name.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// The format whose service a URL belongs to.
pub fn recognise(url: &Url) -> Option<&'static Format> {
    FORMATS.iter().find(|format| (format.recognises)(url))
}

/// The host of a URL. A name may be written with the root's dot at its end (RFC 1034, section 3.1).
fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_end_matches('.')
}

/// Whether a URL points at one of these hosts, and at a path that begins so.
fn points_at(url: &Url, hosts: &[&str], path: &str) -> bool {
    hosts.contains(&host(url)) && url.path().starts_with(path)
}

/// The service at a URL: whose host it is, else whose shape it has.
fn service(url: &Url) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.owns(url)).or_else(|| recognise(url))
}

/// For formats of services that live where their users want: any host, but none of another service, nor a URL shaped like
/// another's.
fn not_elsewhere(url: &Url, own: &str) -> Result<(), &'static str> {
    match service(url) {
        Some(service) if service.name != own => {
            Err("this URL belongs to another service: choose that service's format")
        }
        _ => Ok(()),
    }
}

/// The same, and at the service's own hosts nothing but a webhook: `rule` says what that looks like.
fn whole(url: &Url, own: &str, rule: &'static str) -> Result<(), &'static str> {
    match find(own) {
        Some(format) if format.owns(url) && !(format.recognises)(url) => Err(rule),
        _ => not_elsewhere(url, own),
    }
}

/// The URL with more in its query: `asked` where it has no pair of that name, `ours` in place of any it has. The rest stays
/// byte for byte: some services sign it.
fn with_query(url: &Secret, asked: &[(&str, &str)], ours: &[(&str, &str)]) -> Secret {
    let named = |pair: &str, name: &str| pair.split('=').next() == Some(name);
    let (base, query) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
    let mut pairs: Vec<String> =
        query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
    for (name, value) in asked.iter().filter(|(name, _)| !query.split('&').any(|pair| named(pair, name))) {
        pairs.push(format!("{name}={value}"));
    }
    for (name, value) in ours {
        let pair = format!("{name}={value}");
        if !pairs.contains(&pair) || pairs.iter().filter(|pair| named(pair, name)).count() > 1 {
            pairs.retain(|pair| !named(pair, name));
            pairs.push(pair);
        }
    }
    Secret::new(format!("{base}?{}", pairs.join("&")))
}

/// A JSON object of these. `json!` would make a copy of each value, and of all that is in it.
fn object<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    pairs.into_iter().collect()
}

/// A request with a JSON body.
fn json(url: &Secret, body: &Value) -> Outgoing {
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))];
    // A value always becomes bytes; only its `Display`, which is slower, says so in its type.
    let body = serde_json::to_vec(body).unwrap_or_else(|_| body.to_string().into_bytes());
    Outgoing { method: Method::POST, url: url.clone(), headers, body: body.into() }
}

/// The same, with a credential in a header.
fn with_credential(mut request: Outgoing, name: HeaderName, value: &str) -> Outgoing {
    // Fields that go into headers are visible ASCII.
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        request.headers.push((name, value));
    }
    request
}

/// A link fit for any service: absolute http(s), normalised, without a sign that ends one in a chat's markup, and at
/// most `max` bytes. Longer or other ones are `None`: a link cut in half is worse than none.
pub(crate) fn web_link(url: &str, max: usize) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    if url.as_str().len() > max {
        return None;
    }
    if !url.as_str().contains(|c| "|<>()'\"`\\".contains(c)) {
        return Some(url.into());
    }
    let mut out = String::with_capacity(url.as_str().len() + 12);
    for c in url.as_str().chars() {
        match c {
            '|' => out.push_str("%7C"),
            '<' => out.push_str("%3C"),
            '>' => out.push_str("%3E"),
            '(' => out.push_str("%28"),
            ')' => out.push_str("%29"),
            '\'' => out.push_str("%27"),
            '"' => out.push_str("%22"),
            '`' => out.push_str("%60"),
            '\\' => out.push_str("%5C"),
            c => out.push(c),
        }
    }
    (out.len() <= max).then_some(out)
}

/// The details that say something.
pub(crate) fn details(message: &Message) -> impl Iterator<Item = &Detail> {
    message.details.iter().filter(|detail| !detail.value.is_empty())
}

/// Who did it, if that says something.
pub(crate) fn actor(message: &Message) -> Option<&Text> {
    message.actor.as_ref().filter(|actor| !actor.is_empty())
}

/// A severity as red, green and blue, the same in every format that shows one.
pub(crate) fn rgb(severity: Severity) -> u32 {
    match severity {
        Severity::Info => 0x3b_74c4,
        Severity::Success => 0x2a_9d5c,
        Severity::Warning => 0xd9_931e,
        Severity::Error => 0xcc_3340,
    }
}

/// The same as the web writes it, such as `#2a9d5c`.
pub(crate) fn color(severity: Severity) -> String {
    format!("#{:06x}", rgb(severity))
}

/// A time for people, such as `2026-01-02 10:00:00 UTC`.
pub fn utc(at: Millis) -> String {
    Timestamp::from_millisecond(at)
        .map_or_else(|_| at.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_four_formats_clients_know_come_first() {
        let names: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
        assert_eq!(names[..4], ["raw", "slack", "flowdock", "gitter"]);
        for format in FORMATS {
            assert_eq!(find(format.name).unwrap().title, format.title);
        }
        assert!(find("fax").is_none());
    }

    #[test]
    fn a_services_own_url_is_recognised_and_a_strangers_is_not() {
        for (url, name) in [
            ("https://hooks.slack.com/services/T0/B0/x", Some("slack")),
            ("https://HOOKS.slack.com./services/T0/B0/x", Some("slack")),
            ("https://hooks.slack-gov.com/services/T0/B0/x", Some("slack")),
            ("https://hooks.slack.com/triggers/T0/1/x", None),
            ("https://hooks.slack.com.evil.example/services/T0/B0/x", None),
            ("https://evil.example/hooks.slack.com/services/x", None),
            ("https://api.flowdock.com/v1/messages/chat/abc", Some("flowdock")),
            ("https://webhooks.gitter.im/e/abc", Some("gitter")),
            ("https://chat.example/hooks/abcdefghijklmnopqrstuvwxyz", Some("mattermost")),
            (
                "https://chat.example/hooks/aaaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                Some("rocketchat"),
            ),
            ("https://discord.com/api/webhooks/1/x", Some("discord")),
            ("https://contoso.webhook.office.com/webhookb2/x", Some("teams")),
            ("https://a.environment.api.powerplatform.com/x/workflows/y?sig=z", Some("teams")),
            ("https://chat.googleapis.com/v1/spaces/A/messages?key=k&token=t", Some("google-chat")),
            ("https://chat.example/hooks/mine", None),
            ("https://example.com/", None),
        ] {
            assert_eq!(recognise(&Url::parse(url).unwrap()).map(|format| format.name), name, "{url}");
        }
    }

    #[test]
    fn a_page_of_another_service_is_refused_though_it_is_no_webhook_of_it() {
        for (format, url) in [
            ("mattermost", "https://hooks.slack.com/triggers/T/1/x"),
            ("gitter", "https://hooks.slack.com/triggers/T/1/x"),
            ("mattermost", "https://discord.com/channels/1/2"),
            ("slack", "https://discord.com/channels/1/2"),
            ("rocketchat", "https://teams.microsoft.com/l/x"),
            ("slack", "https://outlook.office.com/x"),
            ("mattermost", "https://acme.zulipchat.com/"),
            ("zulip", "https://discord.com/api/v1/messages"),
            ("slack", "https://hooks.slack.com./triggers/T/1/x"),
            ("ntfy", "https://t.me/acme"),
        ] {
            let url = Url::parse(url).unwrap();
            assert!((find(format).unwrap().check)(&url).is_err(), "{format} {url}");
        }
        for format in FORMATS {
            let elsewhere = Url::parse("https://hooks.slack.com.evil.example/services/x").unwrap();
            assert!(!format.owns(&elsewhere), "{}", format.name);
            let example = Url::parse(format.example).unwrap();
            assert_eq!((format.check)(&example), Ok(()), "{}", format.name);
        }
    }

    #[test]
    fn only_a_web_address_without_markup_becomes_a_link() {
        for (given, expected) in [
            ("https://a.example/x?y=1|2", Some("https://a.example/x?y=1%7C2")),
            ("https://a.example/(x)", Some("https://a.example/%28x%29")),
            ("javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("/relative", None),
            ("", None),
        ] {
            assert_eq!(web_link(given, 100).as_deref(), expected, "{given}");
        }
        assert_eq!(web_link("https://a.example/long", 10), None);
    }

    #[test]
    fn a_time_is_written_in_utc_whatever_it_is() {
        assert_eq!(utc(1_767_348_000_000), "2026-01-02 10:00:00 UTC");
        assert_eq!(utc(i64::MAX), i64::MAX.to_string());
    }

    /// What a format takes, as the documentation says it.
    fn takes(format: &Format) -> String {
        let number = |n: usize| match n {
            ..1000 => n.to_string(),
            _ => format!("{},{:03}", n / 1000, n % 1000),
        };
        let each = format.limits.iter().map(|limit| match limit.unit {
            Some(unit) => format!("{} {} {}", limit.what, number(limit.max), unit.name()),
            None => format!("{} {}", number(limit.max), limit.what),
        });
        each.collect::<Vec<_>>().join("; ")
    }

    /// What can be done in it, as the documentation says it.
    fn able(format: &Format) -> String {
        let can = format.can;
        let threads = match can.threads {
            Threads::None => None,
            Threads::Resource => Some("a thread for each resource"),
            Threads::Chosen => Some("the thread you choose"),
        };
        let more = [(can.resolves, "resolves"), (can.updates, "updates"), (can.once, "knows repeats")];
        let more = more.into_iter().filter_map(|(can, word)| can.then_some(word));
        threads.into_iter().chain(more).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_documentation_lists_every_format_in_order() {
        let page = include_str!("../../../docs/formats.md");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), FORMATS.len());
        for (row, format) in rows.iter().zip(FORMATS) {
            assert!(row.starts_with(&format!("| `{}` | {} |", format.name, format.title)), "{row}");
            for cell in [takes(format), able(format)] {
                assert!(row.contains(&format!("| {cell} |")), "{}: {cell}", format.name);
            }
            for field in format.fields {
                assert!(row.contains(&format!("`{}`", field.name)), "{} lacks `{}`", format.name, field.name);
            }
            let readme = include_str!("../../../README.md");
            assert!(readme.contains(&format!("`{}`", format.name)), "README.md lacks {}", format.name);
        }
    }

    #[test]
    fn what_cannot_be_rendered_is_said_plainly() {
        const FRAGILE: Format = Format {
            render: Render::Message(|it, message| {
                assert!(message.summary.is_empty(), "fails by design");
                json(it.url, &Value::String(message.title.to_string()))
            }),
            ..slack::FORMAT
        };
        const BROKEN: Format =
            Format { render: Render::Message(|_, _| panic!("by design")), ..slack::FORMAT };
        const BROKEN_FRAME: Format = Format { render: Render::Frame(|_| panic!("by design")), ..raw::FORMAT };
        let message = samples::messages().remove(0);
        let (event, url, fields) =
            (samples::event(&message), Secret::new("https://x.example/"), Fields::new());
        let delivery = DeliveryId { event: event.id, n: 0 };
        let it =
            Rendering { url: &url, fields: &fields, event: &event, delivery, thread: None, plainly: false };
        let whole = |rendered: Rendered| matches!(rendered, Rendered::Whole(_));
        let said = format!("\"DEPLOYMENT_SUCCESS: {}\"", event.resource.as_ref().unwrap());
        let plain = |rendered: Rendered| matches!(rendered, Rendered::Plain(request) if request.body == said.as_bytes());
        assert!(whole(slack::FORMAT.request(&it, || message.clone())));
        assert!(plain(FRAGILE.request(&it, || message.clone())));
        assert!(plain(FRAGILE.request(&it, || panic!("a template, by design"))));
        assert!(matches!(BROKEN.request(&it, || message.clone()), Rendered::Failed));
        assert!(matches!(BROKEN_FRAME.request(&it, || message.clone()), Rendered::Failed));
        assert!(whole(raw::FORMAT.request(&it, || panic!("never asked"))));
        for format in FORMATS {
            let fields = samples::fields(format);
            let it = Rendering { fields: &fields, ..it };
            assert!(whole(format.request(&it, || Message::plain(&event))), "{}", format.name);
        }
    }

    #[test]
    fn no_request_carries_authorization_but_by_a_field() {
        let url = Secret::new("https://user:pass@example.com/v1/messages/chat/x");
        for format in FORMATS.iter().filter(|format| format.fields.iter().all(|field| !field.secret)) {
            for message in samples::messages() {
                let request = samples::request(format, &url, &message);
                assert!(
                    request
                        .headers
                        .iter()
                        .all(|(name, _)| name == "content-type" || name.as_str().starts_with("ce-")),
                    "{}",
                    format.name
                );
            }
        }
    }

    proptest! {
        #![proptest_config(samples::cases())]

        #[test]
        fn whatever_users_write_every_format_makes_json_a_service_takes(message in samples::any_message()) {
            let shapes = ["team_inbox/x", "chat/x", ""];
            for format in FORMATS {
                for shape in shapes {
                    let url = Secret::new(format!("https://relay.example/v1/messages/{shape}"));
                    let request = samples::request(format, &url, &message);
                    let _ = samples::read(&request);
                    prop_assert!(request.body.len() < 128 * 1024, "{} {}", format.name, request.body.len());
                }
            }
        }

        #[test]
        fn a_page_fits_whatever_it_is_made_of(message in samples::any_message(), max in 10_usize..3000) {
            let markup = page::Markup {
                titled: true,
                max,
                unit: cut::Unit::Utf16,
                ours: escape::html,
                theirs: escape::html,
                line: "\n",
                strong: str::to_owned,
                link: |label, url| format!("<{url}|{label}>"),
            };
            let page = page::page(&message, &markup);
            prop_assert!(cut::Unit::Utf16.size(&page) <= max);
        }
    }

    #[test]
    fn a_long_message_keeps_its_title_and_its_links() {
        let mut message = samples::messages().remove(0);
        message.summary = Text::theirs(&"&".repeat(100_000));
        for detail in &mut message.details {
            detail.value = Text::theirs(&"x".repeat(100_000));
        }
        message.details = message.details.iter().cycle().take(200).cloned().collect();
        let markup = page::Markup {
            titled: true,
            max: 4000,
            unit: cut::Unit::Utf16,
            ours: escape::mrkdwn,
            theirs: escape::mrkdwn,
            line: "\n",
            strong: str::to_owned,
            link: |label, url| format!("<{url}|{label}>"),
        };
        let page = page::page(&message, &markup);
        assert!(page.starts_with("Deployment of shop-api succeeded\n"), "{page}");
        assert!(page.contains("\n…\nBy "), "{page}");
        assert!(page.ends_with("|Open the application>"), "{page}");
    }
}
