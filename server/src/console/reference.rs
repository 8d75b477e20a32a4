//! What can happen: every kind of the catalogue in words, who is told of it by default, its sample, and how that looks in each
//! format. Nothing here is written by hand.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use sonnette_core::catalogue::Kind;
use sonnette_core::formats::{FORMATS, Format};
use sonnette_core::model::Fields;
use sonnette_core::secret::Secret;
use url::form_urlencoded::Serializer;

use super::describe;
use super::event::indented;
use super::frame::{Frame, Section, show};
use super::oops::Oops;
use super::preview::{self, Picture};
use super::reader::Visitor;
use super::told;
use super::words::{Lang, Words};
use crate::flow::preview::{self as flow, Told};
use crate::http::{At, Place, Site};

/// Bytes of a request's body that are shown: what no event needs, so that every page stays small.
const BODY: usize = 4 << 10;

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
    wire: String,
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
    card: Picture,
    shown: Vec<Shown>,
}

/// `GET /events/{kind}`
pub(super) async fn kind(
    State(site): At,
    visitor: Visitor,
    Place(name): Place<String>,
) -> Result<Response, Oops> {
    let (lang, catalogue) = (visitor.lang(), &site.parts.catalogue);
    let (number, kind) = catalogue.find(&name).filter(|(_, kind)| !kind.private).ok_or(Oops::NotFound)?;
    let told = Told::sample(kind, None);
    let words = |name: &str| describe::event(lang, catalogue, name);
    let families = catalogue.families().iter().filter(|family| family.kinds.contains(&number));
    let letter = preview::letter(&site, &visitor, &told, None)?;
    let query = Serializer::new(String::new()).append_pair("kind", &kind.name).finish();
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
        json: super::event::pretty(&told.event.frame),
        subject: letter.subject,
        letter: format!("/o/{}/emails/letter?{query}", visitor.person.user.id),
        text: letter.text,
        shown: FORMATS.iter().filter_map(|format| as_request(&site, &told, format)).collect(),
        card: Picture::of(&site, &told),
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

fn as_request(site: &Site, told: &Told, format: &'static Format) -> Option<Shown> {
    let destination = flow::destination(format, Secret::new(format.example), Fields::new());
    let mut seen = preview::request(site, told, &destination)?;
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&seen.body).is_ok();
    // The raw frame is shown as it is: its bytes are what is signed.
    if is_json && !format.signed {
        seen.body = indented(&seen.body);
    }
    if seen.body.len() > BODY {
        seen.body.truncate(seen.body.floor_char_boundary(BODY));
        seen.body.push('…');
    }
    Some(Shown { title: format.title, wire: preview::wire(&seen) })
}
