//! What can happen: every kind of the catalogue in words, who is told of it by default, its sample, and how that looks in each
//! format. Nothing here is written by hand.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use sonnette_core::catalogue::Kind;
use sonnette_core::formats::{FORMATS, Format, Render, Rendering};
use sonnette_core::ids::{DeliveryId, DestinationId, HookId, OwnerId};
use sonnette_core::mail::{self, Reader};
use sonnette_core::message::{self, Message};
use sonnette_core::model::{Event, Hook, HookState, Recipient, Way};
use sonnette_core::ports;
use sonnette_core::secret::Secret;
use url::form_urlencoded::Serializer;

use super::describe;
use super::event::indented;
use super::frame::{Frame, Section, show};
use super::oops::Oops;
use super::preview::SOMEBODY;
use super::reader::Visitor;
use super::told;
use super::words::{Lang, Words};
use crate::http::{At, Place, Site};

/// Bytes of a request's body that are shown: what no event needs, so that every page stays small.
const BODY: usize = 4 << 10;
/// Where a format posts to, for show.
const NOWHERE: &str = "https://example.com/";

/// A kind of the index.
struct Listed {
    name: String,
    words: String,
    severity: &'static str,
    description: String,
}

/// The name of a kind, and its words.
type Named = (String, String);

#[derive(askama::Template)]
#[template(path = "console/reference.html")]
struct IndexPage {
    frame: Frame,
    /// Name, words, and the kinds it holds with theirs.
    families: Vec<(String, String, Vec<Named>)>,
    categories: Vec<(String, Vec<Listed>)>,
}

/// `GET /events`
pub(super) async fn index(State(site): At, visitor: Visitor) -> Response {
    let (lang, catalogue) = (visitor.lang(), &site.parts.catalogue);
    let words = |name: &str| describe::event(lang, catalogue, name);
    let listed = |kind: &Kind| Listed {
        name: kind.name.clone(),
        words: words(&kind.name),
        severity: told::severity(catalogue, &kind.name),
        description: kind.description.clone(),
    };
    let kinds_of = |numbers: &[u16]| {
        let kinds = numbers.iter().filter_map(|number| catalogue.kind_at(*number));
        kinds.filter(|kind| !kind.private).map(|kind| (kind.name.clone(), words(&kind.name))).collect()
    };
    let page = IndexPage {
        frame: Frame::of(&visitor.reader, lang.events(), None, Section::Events),
        families: catalogue
            .families()
            .iter()
            .map(|family| (family.name.clone(), words(&family.name), kinds_of(&family.kinds)))
            .collect(),
        categories: told::by_category(lang, catalogue)
            .into_iter()
            .map(|(category, kinds)| (category, kinds.into_iter().map(listed).collect()))
            .collect(),
    };
    show(StatusCode::OK, &page)
}

/// How a sample looks as a request.
struct Shown {
    title: &'static str,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(askama::Template)]
#[template(path = "console/kind.html")]
struct KindPage {
    frame: Frame,
    name: String,
    severity: &'static str,
    category: String,
    concerns: &'static str,
    description: String,
    families: Vec<(String, String)>,
    by_default: Vec<String>,
    locked: bool,
    data: String,
    json: String,
    subject: String,
    letter: String,
    text: String,
    /// The message of chats, as a card: a line for each of its parts.
    card: Card,
    shown: Vec<Shown>,
}

/// What every chat makes its message of.
struct Card {
    title: String,
    summary: String,
    details: Vec<(String, String)>,
    by: Option<String>,
}

/// `GET /events/{kind}`
pub(super) async fn kind(
    State(site): At,
    visitor: Visitor,
    Place(name): Place<String>,
) -> Result<Response, Oops> {
    let (lang, catalogue) = (visitor.lang(), &site.parts.catalogue);
    let (number, kind) = catalogue.find(&name).filter(|(_, kind)| !kind.private).ok_or(Oops::NotFound)?;
    let event = kind.sample_event();
    let names = names();
    let message = message::of(catalogue, &event, &names, &site.parts.links, Lang::En);
    let words = |name: &str| describe::event(lang, catalogue, name);
    let families = catalogue.families().iter().filter(|family| family.kinds.contains(&number));
    let letter =
        letter(&site, &event, &message::of(catalogue, &event, &names, &site.parts.links, lang), &names, lang);
    let query = Serializer::new(String::new())
        .append_pair("kind", &kind.name)
        .append_pair("hook", lang.suggested_email())
        .finish();
    let title = words(&kind.name);
    let page = KindPage {
        frame: Frame::of(&visitor.reader, title, None, Section::Events),
        severity: told::severity(catalogue, &kind.name),
        category: lang.named(&kind.category).unwrap_or(&kind.category).to_owned(),
        concerns: concerns(lang, kind),
        description: kind.description.clone(),
        families: families.map(|family| (family.name.clone(), words(&family.name))).collect(),
        by_default: by_default(lang, &site, number, kind),
        locked: kind.locked,
        data: indented(&kind.sample),
        json: super::event::pretty(&event.frame),
        subject: letter.subject,
        letter: format!("/o/{}/emails/letter?{query}", visitor.person.user.id),
        text: letter.text,
        shown: FORMATS.iter().map(|format| as_request(format, &event, &message)).collect(),
        card: Card {
            title: message.title.to_string(),
            summary: message.summary.to_string(),
            details: message
                .details
                .iter()
                .filter(|detail| !detail.value.is_empty())
                .map(|detail| (detail.label.clone(), detail.value.to_string()))
                .collect(),
            by: message.actor.as_ref().filter(|actor| !actor.is_empty()).map(|actor| lang.by(actor)),
        },
        name: kind.name.clone(),
    };
    Ok(show(StatusCode::OK, &page))
}

fn concerns(lang: Lang, kind: &Kind) -> &'static str {
    use sonnette_core::catalogue::Concern;
    match kind.concerns {
        Concern::Owner => lang.concerns_owner(),
        Concern::Application => lang.concerns_application(),
        Concern::Addon => lang.concerns_addon(),
    }
}

/// The names the sample is told with.
fn names() -> ports::Names {
    ports::Names {
        owner: Some("ACME".to_owned()),
        resource: Some("shop-api".to_owned()),
        author: Some(SOMEBODY.to_owned()),
    }
}

/// Who is told without having asked: the hooks every owner is born with, and the house's own letters.
fn by_default(lang: Lang, site: &Site, number: u16, kind: &Kind) -> Vec<String> {
    let catalogue = &site.parts.catalogue;
    let hooks = catalogue.default_hooks().iter().filter(|hook| catalogue.open(&hook.events).contains(number));
    let mut told: Vec<_> = hooks
        .map(|hook| {
            let roles: Vec<_> =
                hook.roles.iter().map(|role| lang.named(role.as_str()).unwrap_or(role.as_str())).collect();
            let who = match roles.as_slice() {
                [] => lang.whole_organisation().to_owned(),
                roles => lang.roles_of(roles.join(", ")),
            };
            lang.of_hook(&hook.name, who)
        })
        .collect();
    if kind.tells_admins {
        told.push(lang.admins_anyway().to_owned());
    }
    told
}

fn letter(site: &Site, event: &Event, message: &Message, names: &ports::Names, lang: Lang) -> ports::Letter {
    let hook = Hook {
        id: HookId(0),
        owner: event.owner,
        name: "ACME".to_owned(),
        events: None,
        scope: None,
        way: Way::Email { destination: DestinationId::HOUSE, targets: Vec::new() },
        schedule: None,
        state: HookState::Enabled,
        created_at: 0,
    };
    let recipient = Recipient { address: String::new(), user: None };
    let owner = matches!(event.owner, OwnerId::Organisation(_)).then_some(names.owner.as_deref()).flatten();
    let delivery = DeliveryId { event: event.id, n: 0 };
    let reader = Reader { recipient: &recipient, lang, stop: None };
    mail::letter(&site.parts.house, message, delivery, reader, Some(&hook), owner)
}

fn as_request(format: &'static Format, event: &Event, message: &Message) -> Shown {
    let (url, fields) = (Secret::new(NOWHERE), BTreeMap::new());
    let delivery = DeliveryId { event: event.id, n: 0 };
    let rendering = Rendering { url: &url, fields: &fields, event, delivery };
    let request = match format.render {
        Render::Frame(render) => render(&rendering),
        Render::Message(render) => render(&rendering, message),
    };
    let text = String::from_utf8_lossy(&request.body);
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
    // The raw frame is shown as it is: its bytes are what is signed.
    let mut body = if is_json && !format.signed { indented(&text) } else { text.into_owned() };
    if body.len() > BODY {
        body.truncate(body.floor_char_boundary(BODY));
        body.push('…');
    }
    let headers = request.headers.iter();
    Shown {
        title: format.title,
        headers: headers
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body,
    }
}
