//! Previews: exactly what would be sent, without sending it, and without what nobody is to see. Pure, but for the names
//! the store knows.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use sonnette_core::catalogue::{Catalogue, Kind};
use sonnette_core::formats::{self, Format, HIDDEN};
use sonnette_core::ids::{DeliveryId, DestinationId, HookId, OwnerId};
use sonnette_core::lang::Lang;
use sonnette_core::message;
use sonnette_core::model::{
    Destination, Event, Fields, Hook, HookState, Millis, Recipient, SigningSecrets, Target, Way,
};
use sonnette_core::ports::{Letter, Names, Outgoing, StoreError};
use sonnette_core::secret::Secret;
use sonnette_core::signing;
use sonnette_core::stops;
use url::{Position, Url, form_urlencoded};

use super::Parts;
use super::render::{self, Seal, Telling, Words};
use crate::egress::{Letterhead, heading};

/// What letters are called where formats are named.
pub const EMAIL: &str = "email";
/// Whom a preview is written to if nobody is known; `example.com` is nobody's (RFC 2606, section 3).
pub const READER: &str = "reader@example.com";
/// What stands where a link would let its holder act for the reader.
const NO_TOKEN: &str = "hidden";

/// Of a letter that cannot be rendered, not even plainly.
pub(super) const UNSAID: &str = "the letter could not be rendered";

/// From where letters are written.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a> {
    /// What they say.
    pub words: Words<'a>,
    /// How they are written.
    pub letterhead: &'a Letterhead,
    /// The address people know us by, which links that stop letters are under.
    pub public_url: Option<&'a str>,
}

impl Parts {
    /// The installation's, for a reader of this language, or of none that is known.
    pub fn desk(&self, lang: Option<Lang>) -> Desk<'_> {
        Desk {
            words: self.words_in(lang),
            letterhead: &self.letterhead,
            public_url: self.public_url.as_deref(),
        }
    }
}

/// What would be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preview {
    /// By a webhook.
    Request(SeenRequest),
    /// By an e-mail hook.
    Letter(SeenLetter),
}

/// A request as it goes out, its credentials hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRequest {
    /// Name of the format.
    pub format: &'static str,
    /// The destination.
    pub destination: DestinationId,
    /// `POST`, but where the service wants another.
    pub method: http::Method,
    /// The URL, masked where it is a credential.
    pub url: String,
    /// All headers, in the order they are written.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// A letter as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLetter {
    /// To whom.
    pub to: String,
    /// For people: not as the header spells it.
    pub subject: String,
    /// All headers, each on one line, as the letter spells them.
    pub headers: Vec<(String, String)>,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// All of it (RFC 5322): ASCII, its lines ended by CRLF.
    pub eml: String,
}

/// What is told: an event, and what its people and things are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What happened.
    pub event: Event,
    /// Names people use.
    pub names: Names,
}

impl Told {
    /// A kind's sample; `owner` is a real owner's name, if it is told to one.
    pub fn sample(kind: &Kind, owner: Option<String>) -> Self {
        let names = kind.sample_names();
        Self { event: kind.sample_event(), names: Names { owner: owner.or(names.owner), ..names } }
    }

    /// An event that happened.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn stored(parts: &Parts, event: Event) -> Result<Self, StoreError> {
        let author = message::author(&event);
        let names = parts.store.names(event.owner, event.resource.clone(), author).await?;
        Ok(Self { event, names })
    }

    /// It, as the delivery of this number.
    pub fn telling(&self, n: u32) -> Telling<'_> {
        let delivery = DeliveryId { event: self.event.id, n };
        Telling { event: &self.event, delivery, names: &self.names, thread: None, plainly: false }
    }
}

/// What people hope to be told.
const USUAL: &str = "DEPLOYMENT_SUCCESS";

/// What a hook is shown to tell when nobody says: a deployment that succeeded if it may be that, else the first kind it lists.
pub fn kind_for<'a>(catalogue: &'a Catalogue, events: Option<&[String]>) -> Option<&'a Kind> {
    let public = |kind: &&Kind| !kind.private;
    let usual = catalogue.find(USUAL);
    let events = events.unwrap_or_default();
    if usual.is_some_and(|(number, _)| !events.is_empty() && catalogue.open(events).contains(number)) {
        return usual.map(|(_, kind)| kind);
    }
    let named = |name: &String| match catalogue.family(name) {
        Some(family) => family.kinds.first().and_then(|number| catalogue.kind_at(*number)),
        None => catalogue.find(name).map(|(_, kind)| kind),
    };
    events
        .iter()
        .filter_map(named)
        .find(public)
        .or_else(|| usual.map(|(_, kind)| kind))
        .or_else(|| catalogue.kinds().iter().find(public))
}

/// A destination nobody has, to show a format by: what the format needs and is not given stands there by its name.
pub fn destination(format: &Format, url: Secret, mut fields: Fields) -> Destination {
    for field in format.fields.iter().filter(|field| field.required) {
        fields.entry(field.name.to_owned()).or_insert_with(|| Secret::new(field.name.to_uppercase()));
    }
    Destination { id: DestinationId(0), format: format.name.to_owned(), url, fields }
}

/// A hook nobody has, to show a letter by; `None` for letters that come without any hook.
pub fn letter_hook(catalogue: &Catalogue, event: &Event) -> Option<Hook> {
    let kind = catalogue.find(&event.kind).map(|(_, kind)| kind);
    if kind.is_some_and(|kind| kind.tells_admins || kind.private) {
        return None;
    }
    let number = catalogue.find(&event.kind).map(|(number, _)| number);
    let born_with = catalogue
        .default_hooks()
        .iter()
        .find(|hook| number.is_some_and(|number| catalogue.open(&hook.events).contains(number)));
    Some(hook_named(event.owner, born_with.map_or("E-mails", |hook| &hook.name)))
}

/// An e-mail hook of this name, to show a letter by before it is saved.
pub fn hook_named(owner: OwnerId, name: &str) -> Hook {
    Hook {
        id: HookId(0),
        owner,
        name: name.to_owned(),
        events: None,
        scope: None,
        way: Way::Email {
            destination: DestinationId(0),
            targets: vec![Target::Organisation { roles: Default::default() }],
        },
        schedule: None,
        state: HookState::Enabled,
        created_at: 0,
    }
}

/// What a destination would be sent now. Its signature is hidden: whoever may read a hook may not sign for it.
///
/// `None` if this version cannot: it does not know the format.
pub fn request(
    words: Words<'_>,
    telling: Telling<'_>,
    destination: &Destination,
    now: Millis,
) -> Option<SeenRequest> {
    let format = formats::find(&destination.format)?;
    let secrets = SigningSecrets { current: signing::secret(&[0; 32]), previous: None };
    let seal = Seal { secrets: &secrets, id: &telling.delivery.to_string(), now };
    let request = render::request(words, telling, format, destination, seal).sent()?;
    let mut seen = seen(&request, format, destination);
    for (_, value) in seen.headers.iter_mut().filter(|(name, _)| name == "webhook-signature") {
        *value = format!("v1,{HIDDEN}");
    }
    Some(seen)
}

/// What somebody would be written now.
///
/// # Errors
/// In words, if there is no such letter.
pub fn letter(
    desk: Desk<'_>,
    told: &Told,
    recipient: &Recipient,
    hook: Option<&Hook>,
    now: Millis,
) -> Result<SeenLetter, String> {
    seen_letter(desk.letterhead, &shown_letter(desk, told.telling(0), recipient, hook)?, now)
}

/// The letter an attempt writes, but that its link to stop such letters stops nothing.
///
/// # Errors
/// In words, if it cannot be rendered.
pub(super) fn shown_letter(
    desk: Desk<'_>,
    telling: Telling<'_>,
    recipient: &Recipient,
    hook: Option<&Hook>,
) -> Result<Letter, String> {
    let stop =
        hook.zip(desk.public_url).map(|(_, public_url)| Secret::new(stops::page(public_url, "u", NO_TOKEN)));
    let letter = render::letter(desk.words, telling, recipient, hook, stop.as_ref());
    letter.sent().ok_or_else(|| UNSAID.to_owned())
}

/// What a hook would send now: a request for each destination, or its letter to `reader`.
///
/// # Errors
/// In words, if there is no such letter.
pub fn hook(
    desk: Desk<'_>,
    told: &Told,
    hook: &Hook,
    reader: &Recipient,
    now: Millis,
) -> Result<Vec<Preview>, String> {
    let asked = |one| request(desk.words, told.telling(0), one, now).map(Preview::Request);
    Ok(match &hook.way {
        Way::Webhook { destinations } => destinations.iter().filter_map(asked).collect(),
        Way::Email { .. } => vec![Preview::Letter(letter(desk, told, reader, Some(hook), now)?)],
    })
}

/// A request as people see it.
pub(super) fn seen(request: &Outgoing, format: &Format, destination: &Destination) -> SeenRequest {
    let conceal = Conceal::of(format, destination);
    SeenRequest {
        format: format.name,
        destination: destination.id,
        method: request.method.clone(),
        url: conceal.text(&formats::shown(format.name, &request.url)),
        headers: heading(request).iter().map(|(name, value)| conceal.header(name, value)).collect(),
        body: conceal.text(&String::from_utf8_lossy(&request.body)),
    }
}

/// A letter as people see it.
///
/// # Errors
/// In words, if it cannot be written.
pub(super) fn seen_letter(
    letterhead: &Letterhead,
    letter: &Letter,
    now: Millis,
) -> Result<SeenLetter, String> {
    let eml = String::from_utf8_lossy(&letterhead.eml(letter, now)?).into_owned();
    let head = eml.split_once("\r\n\r\n").map_or(eml.as_str(), |(head, _)| head);
    // A line that begins with a space goes on with the one before (RFC 5322, section 2.2.3).
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let headers = unfolded.split("\r\n").filter_map(|line| line.split_once(": "));
    Ok(SeenLetter {
        to: letter.to.clone(),
        subject: letter.subject.clone(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        text: letter.text.clone(),
        html: letter.html.clone(),
        eml,
    })
}

/// What must not be shown of a destination, wherever a format puts it or a receiver sends it back.
pub(super) struct Conceal(Vec<String>);

/// Characters from which on a part of a URL that is shown masked is taken for a credential, and a credential is hidden within
/// words: shorter ones stand in many texts.
const TELLTALE: usize = 8;

/// A text with [`HIDDEN`] wherever a credential stands in it; a short one only where it stands by itself.
fn without(text: &str, secret: &str) -> String {
    if secret.len() >= TELLTALE {
        return text.replace(secret, HIDDEN);
    }
    let of_a_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(secret) {
        let (before, after) = (&text[..at], &text[at + secret.len()..]);
        if !before.ends_with(of_a_word) && !after.starts_with(of_a_word) {
            out.push_str(&text[from..at]);
            out.push_str(HIDDEN);
            from = at + secret.len();
        }
    }
    out.push_str(&text[from..]);
    out
}

/// A URL that is a credential, and those parts of it which are one by themselves: a receiver may say which path it missed.
fn parts_of(format: &Format, url: &Secret) -> Vec<String> {
    let Ok(parsed) = Url::parse(url.expose()) else { return vec![url.expose().to_owned()] };
    let (mut parts, shown) = (Vec::new(), formats::shown(format.name, url));
    let mut add = |part: &str| {
        if part.len() >= TELLTALE && !shown.contains(part) {
            parts.push(part.to_owned());
        }
    };
    // A host alone is no credential, and is shown.
    add(url.expose());
    add(&parsed[Position::BeforePath..]);
    add(parsed.path());
    parsed.path().split('/').for_each(&mut add);
    parsed.query().unwrap_or_default().split(['&', '=']).for_each(&mut add);
    parts
}

impl Conceal {
    /// Its secret fields, its URL where that is a credential, and what of such fields the URL brings: a format may put that
    /// where the URL does not stand.
    pub(super) fn of(format: &Format, destination: &Destination) -> Self {
        let secret_field = |name: &str| format.fields.iter().all(|field| field.name != name || field.secret);
        let fields = destination.fields.iter().filter(|(name, _)| secret_field(name));
        let parsed = Url::parse(destination.url.expose()).ok();
        let hidden = format.fields.iter().filter(|field| field.secret);
        let brought = hidden.filter_map(|field| (format.brings)(parsed.as_ref()?, field.name));
        let url = format.secret_url.then(|| parts_of(format, &destination.url)).into_iter().flatten();
        let mut spelt = Vec::new();
        for secret in fields.map(|(_, value)| value.expose().to_owned()).chain(brought).chain(url) {
            let secret = secret.as_str();
            let json = serde_json::Value::from(secret).to_string();
            let encoded = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            spelt.extend([secret.to_owned(), json.trim_matches('"').to_owned(), encoded]);
        }
        // Where one holds another, the whole of it goes first.
        spelt.retain(|text| !text.is_empty());
        spelt.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
        spelt.dedup();
        Self(spelt)
    }

    /// The text without any of it.
    pub(super) fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| without(&text, secret))
    }

    /// A header without any of it; credentials may be spelt in ways of their own (base 64).
    fn header(&self, name: &HeaderName, value: &HeaderValue) -> (String, String) {
        let credential = value.is_sensitive() || [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name);
        let text = String::from_utf8_lossy(value.as_bytes());
        (name.as_str().to_owned(), if credential { HIDDEN.to_owned() } else { self.text(&text) })
    }

    /// Some headers without any of it, each cut to `most` characters.
    pub(super) fn headers(&self, headers: &HeaderMap, names: &[&str], most: usize) -> Vec<(String, String)> {
        let wanted = names.iter().filter_map(|name| headers.get(*name).map(|value| (*name, value)));
        let shown = wanted.map(|(name, value)| {
            let text = self.text(&String::from_utf8_lossy(value.as_bytes()));
            (name.to_owned(), text.chars().take(most).collect())
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sonnette_core::lang::Lang;
    use sonnette_core::mail::House;
    use sonnette_core::message::LinkTemplates;

    use super::*;
    use crate::egress::mailer::MailSettings;

    const NOW: Millis = 1_767_348_000_000;

    fn with_words<T>(look: impl FnOnce(Words<'_>) -> T) -> T {
        let (catalogue, links) = (Catalogue::builtin().unwrap(), LinkTemplates::default());
        let house =
            House { name: "Sonnette".into(), domain: "paas.example".into(), bounces: None, lang: Lang::En };
        look(Words { catalogue: &catalogue, links: &links, house: &house, lang: Lang::En })
    }

    fn letterhead() -> Letterhead {
        Letterhead::new(&MailSettings {
            reply_to: None,
            bounces: None,
            lang: Lang::En,
            dkim: Vec::new(),
            relay: None,
            from_name: "Sonnette".into(),
            from_address: "notifications@paas.example".into(),
            domain: "paas.example".into(),
            maildir: "nowhere".into(),
        })
        .unwrap()
    }

    #[test]
    fn every_kind_has_a_preview_in_every_format_and_as_a_letter() {
        let reader = Recipient { address: "alice@example.com".into(), user: None };
        with_words(|words| {
            for kind in words.catalogue.kinds() {
                let told = Told::sample(kind, None);
                for format in formats::FORMATS {
                    let destination = destination(format, Secret::new(format.example), Fields::new());
                    let Some(seen) = request(words, told.telling(0), &destination, NOW) else {
                        panic!("{} {}", kind.name, format.name)
                    };
                    let header =
                        |name: &str| seen.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value);
                    let is_form = header("content-type").unwrap().contains("urlencoded");
                    let is_json = serde_json::from_str::<serde_json::Value>(&seen.body).is_ok();
                    assert!(is_json || is_form, "{seen:?}");
                    // What is hidden in a body changes its length.
                    if !seen.body.contains(HIDDEN) {
                        assert_eq!(*header("content-length").unwrap(), seen.body.len().to_string());
                    }
                }
                let hook = letter_hook(words.catalogue, &told.event);
                let letterhead = letterhead();
                let public_url = Some("https://notifications.paas.example/");
                let desk = Desk { words, letterhead: &letterhead, public_url };
                let seen = letter(desk, &told, &reader, hook.as_ref(), NOW).unwrap();
                assert!(seen.eml.is_ascii() && seen.html.ends_with("</html>"), "{}", kind.name);
                let names: Vec<_> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
                for name in ["From", "To", "Subject", "Date", "Message-ID", "List-Id"] {
                    assert_eq!(names.iter().filter(|one| **one == name).count(), 1, "{name}: {names:?}");
                }
                let stops = seen.headers.iter().find(|(name, _)| name == "List-Unsubscribe");
                let stops = stops.map(|(_, value)| value.as_str());
                let link = "<https://notifications.paas.example/u/hidden>";
                assert_eq!(stops, (hook.is_some() && !kind.locked).then_some(link), "{}", kind.name);
            }
        });
    }

    #[test]
    fn a_preview_is_whole_but_for_its_signature_and_the_key_in_its_url() {
        with_words(|words| {
            let (_, kind) = words.catalogue.find("GIT_PUSH").unwrap();
            let told = Told::sample(kind, None);
            let shown = |format: &str, url: &str| {
                let format = formats::find(format).unwrap();
                let destination = destination(format, Secret::new(url), Fields::new());
                request(words, told.telling(0), &destination, NOW).unwrap()
            };
            let raw = shown("raw", "https://receiver.example:8443/a?b=c");
            assert_eq!(raw.body.as_bytes(), &told.event.frame[..]);
            assert_eq!(
                (raw.method.as_str(), raw.url.as_str()),
                ("POST", "https://receiver.example:8443/a?b=c")
            );
            let names: Vec<_> = raw.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(
                names,
                [
                    "host",
                    "content-type",
                    "webhook-id",
                    "webhook-timestamp",
                    "webhook-signature",
                    "user-agent",
                    "content-length"
                ]
            );
            let headers: BTreeMap<_, _> = raw.headers.into_iter().collect();
            assert_eq!(headers["host"], "receiver.example:8443");
            assert_eq!(headers["webhook-signature"], "v1,…");
            let slack = shown("slack", "https://hooks.slack.com/services/T0/B0/abcdefghijklmnop");
            assert_eq!(slack.url, "https://hooks.slack.com/services/…mnop");
            assert!(!format!("{slack:?}").contains("abcdefgh"));
        });
    }

    #[test]
    fn a_preview_keeps_the_host_of_a_url_that_has_nothing_else() {
        with_words(|words| {
            let (_, kind) = words.catalogue.find("GIT_PUSH").unwrap();
            let told = Told::sample(kind, None);
            for (format, url) in [
                ("matrix", "https://matrix.example.org"),
                ("matrix", "https://matrix.example.org/"),
                ("telegram", "https://api.telegram.org"),
                ("ntfy", "https://ntfy.example.org"),
            ] {
                let destination =
                    destination(formats::find(format).unwrap(), Secret::new(url), Fields::new());
                let seen = request(words, told.telling(0), &destination, NOW).unwrap();
                assert!(seen.url.starts_with(&format!("{}/", url.trim_end_matches('/'))), "{}", seen.url);
            }
        });
    }

    #[test]
    fn a_topic_that_the_url_brings_is_hidden_in_the_body_too_however_short_and_no_other_word() {
        with_words(|words| {
            let (_, kind) = words.catalogue.find("GIT_PUSH").unwrap();
            let told = Told::sample(kind, None);
            let ntfy = formats::find("ntfy").unwrap();
            let shown = |url: &str, fields: Fields| {
                let destination = destination(ntfy, Secret::new(url), fields);
                let seen = request(words, told.telling(0), &destination, NOW).unwrap();
                assert!(seen.url.ends_with(HIDDEN), "{}", seen.url);
                seen.body
            };
            let field = |topic: &str| Fields::from([("topic".to_owned(), Secret::new(topic))]);
            let open = shown("https://ntfy.sh/zzzzzzzzzzzzzzzz", Fields::new());
            for topic in ["t", "ops", "acme-ops", "a-topic-that-is-long-enough"] {
                let body = shown(&format!("https://ntfy.sh/{topic}"), Fields::new());
                // The rest is what it is under any other name.
                assert_eq!(body, open, "{topic}");
                assert!(body.contains(r#""topic":"…""#), "{body}");
                let body = shown("https://ntfy.sh/", field(topic));
                assert_eq!(body, open, "{topic}");
            }
        });
    }

    fn token_in_header_and_body(_: &formats::Rendering<'_>) -> Outgoing {
        unreachable!("only its fields are looked at")
    }

    #[test]
    fn a_secret_field_is_hidden_however_it_is_spelt() {
        const FIELD: formats::Field = formats::Field {
            name: "token",
            title: "",
            hint: "",
            secret: true,
            required: true,
            check: |_| Ok(()),
        };
        const FIELDS: &[formats::Field] = &[FIELD, formats::Field { name: "room", secret: false, ..FIELD }];
        let raw = formats::find("raw").unwrap();
        let format =
            Format { fields: FIELDS, render: formats::Render::Frame(token_in_header_and_body), ..*raw };
        let fields = Fields::from([
            ("token".to_owned(), Secret::new("s\"cret/1")),
            ("room".to_owned(), Secret::new("general")),
        ]);
        let destination = destination(&format, Secret::new(format.example), fields);
        let mut sensitive = HeaderValue::from_static("c3MvMQ==");
        sensitive.set_sensitive(true);
        let request = Outgoing {
            method: http::Method::PUT,
            url: Secret::new("https://receiver.example/s%22cret%2F1/general"),
            headers: vec![
                (AUTHORIZATION, HeaderValue::from_static("Basic czpzIlxjcmV0")),
                (HeaderName::from_static("x-key"), HeaderValue::from_static("s\"cret/1")),
                (HeaderName::from_static("x-other"), sensitive),
            ],
            body: r#"{"token":"s\"cret/1","room":"general"}"#.into(),
        };
        let seen = seen(&request, &format, &destination);
        assert_eq!(seen.url, "https://receiver.example/…/general");
        assert_eq!(seen.body, r#"{"token":"…","room":"general"}"#);
        let hidden = ["authorization", "x-key", "x-other"];
        for (name, value) in &seen.headers {
            assert_eq!(value == HIDDEN, hidden.contains(&name.as_str()), "{name}: {value}");
        }
    }

    #[test]
    fn a_hook_is_shown_by_what_people_hope_for_or_by_the_first_kind_it_lists() {
        let catalogue = Catalogue::builtin().unwrap();
        let of = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            kind_for(&catalogue, Some(&names)).unwrap().name.clone()
        };
        assert_eq!(of(&["GONE", "GIT_PUSH", "META_CREDITS"]), "GIT_PUSH");
        let first = catalogue.kind_at(catalogue.family("META_CREDITS").unwrap().kinds[0]).unwrap();
        assert_eq!(of(&["META_CREDITS"]), first.name);
        assert_eq!(of(&["GIT_PUSH", "META_DEPLOYMENT_RESULT"]), "DEPLOYMENT_SUCCESS");
        assert_eq!(of(&[]), "DEPLOYMENT_SUCCESS");
        assert_eq!(kind_for(&catalogue, None).unwrap().name, "DEPLOYMENT_SUCCESS");
    }
}
