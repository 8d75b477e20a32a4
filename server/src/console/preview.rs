//! What a hook would send, before it is saved: for the latest event it matches, or a sample of one.

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Response};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};
use sonnette_core::formats::{Format, Render};
use sonnette_core::ids::EventId;
use sonnette_core::message::{self, Severity};
use sonnette_core::model::{Destination, Fields, Recipient};
use sonnette_core::ports::Page;
use sonnette_core::secret::Secret;
use url::Url;
use url::form_urlencoded::Serializer;

use super::filled::Filled;
use super::form::Form;
use super::frame::show;
use super::hooks::{self, Sort};
use super::oops::Oops;
use super::reader::{Here, Visitor};
use super::time::Moment;
use super::typed::Typed;
use super::words::{Lang, Words};
use crate::flow::preview::{self, SeenLetter, SeenRequest, Told};
use crate::http::{At, Place, Site};

/// How far back an event is looked for.
const LATELY: usize = 100;
/// Bytes of a request's body, or of a letter, that are shown.
const BODY: usize = 16 << 10;

/// What a preview shows of one URL.
struct Shown {
    format: &'static str,
    picture: Option<Picture>,
    /// As it goes over the wire.
    wire: String,
    missing: Option<String>,
}

/// A message as a chat shows it, more or less. Chats have many readers, and are spoken to in English.
pub(super) struct Picture {
    pub(super) severity: &'static str,
    pub(super) title: String,
    pub(super) summary: String,
    pub(super) details: Vec<(String, String)>,
    pub(super) links: Vec<String>,
    pub(super) by: Option<String>,
}

/// What a preview shows of a letter.
struct ShownLetter {
    subject: String,
    text: String,
    frame: String,
}

/// The preview beside a form.
#[derive(Template)]
#[template(path = "console/preview.html")]
pub(super) struct Preview {
    w: Lang,
    /// When the event was; `None` for a sample.
    at: Option<Moment>,
    kind: String,
    letter: Option<ShownLetter>,
    requests: Vec<Shown>,
    /// Said of the URL while it is typed: which format it has. For the first URL whose format is left to us.
    recognised: Option<String>,
    /// The name it gets if none is typed.
    name: String,
    /// The format of each URL, for the script that shows its fields.
    formats: String,
}

impl Preview {
    /// What this form would send.
    pub(super) async fn of(filled: &Filled<'_>) -> Result<Self, Oops> {
        let Filled { site, visitor, here, sort, typed, before } = *filled;
        let lang = visitor.lang();
        let (told, latest) = matching(site, here, &typed.events(), &typed.scope).await?;
        let event = &told.event;
        let mut preview = Self {
            w: lang,
            at: latest.then(|| visitor.reader.moment(event.id.at())),
            kind: super::describe::event(lang, &site.parts.catalogue, &event.kind),
            letter: None,
            requests: Vec::new(),
            recognised: None,
            name: filled.suggested(),
            formats: String::new(),
        };
        match sort {
            Sort::Emails => {
                let name = Some(typed.name.trim()).filter(|name| !name.is_empty()).unwrap_or(&preview.name);
                let letter = letter(site, visitor, &told, Some(name))?;
                let mut frame = Serializer::new(format!("{}?", here.path("emails/letter")));
                if latest {
                    frame.append_pair("event", &event.id.to_string());
                } else {
                    frame.append_pair("kind", &event.kind);
                }
                let frame = frame.append_pair("hook", name).finish();
                preview.letter = Some(ShownLetter { subject: letter.subject, text: letter.text, frame });
            }
            Sort::Webhooks => {
                let (mut formats, first) = (Vec::new(), typed.wanted(before).next().map(|(at, _, _)| at));
                for (at, one, old) in typed.wanted(before) {
                    let Some(format) = one.format(old) else { continue };
                    formats.push(format!("{at}:{}", format.name));
                    if one.format.is_empty() && Some(at) == first {
                        preview.recognised = Some(match format.name {
                            "raw" => lang.not_recognised().to_owned(),
                            _ => lang.recognised(format.title),
                        });
                    }
                    let url =
                        one.whole_url(old).filter(has_host).unwrap_or_else(|| Secret::new(format.example));
                    preview.requests.push(Shown::of(
                        site,
                        lang,
                        &told,
                        format,
                        url,
                        one.whole_fields(format, old),
                    ));
                }
                preview.formats = formats.join(" ");
            }
        }
        Ok(preview)
    }
}

fn has_host(url: &Secret) -> bool {
    Url::parse(url.expose()).is_ok_and(|url| url.has_host())
}

impl Shown {
    fn of(site: &Site, lang: Lang, told: &Told, format: &Format, url: Secret, fields: Fields) -> Self {
        let mut shown = Self { format: format.title, picture: None, wire: String::new(), missing: None };
        let missing = Url::parse(url.expose()).ok().and_then(|url| {
            let wrong = (format.check)(&url).err().map(str::to_owned);
            wrong.or_else(|| Some(format.check_fields(&url, &fields).err()?.to_string()))
        });
        if let Some(missing) = missing {
            shown.missing = Some(lang.preview_incomplete(missing));
            return shown;
        }
        let destination = preview::destination(format, url, fields);
        if let Some(seen) = request(site, told, &destination) {
            shown.wire = wire(&seen);
        }
        shown.picture = matches!(format.render, Render::Message(_)).then(|| Picture::of(site, told));
        shown
    }
}

/// What a destination would be sent.
pub(super) fn request(site: &Site, told: &Told, destination: &Destination) -> Option<SeenRequest> {
    preview::request(site.parts.words(), told.telling(0), destination, site.parts.clock.now())
}

/// A request as it goes over the wire, as far as it is shown.
pub(super) fn wire(seen: &SeenRequest) -> String {
    let headers: String = seen.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{} {}\n{headers}\n{}", seen.method, seen.url, cut(&seen.body))
}

/// The beginning of a text.
pub(super) fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(BODY);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

/// The letter of a hook of this name, or of the hook an owner is born with, to whoever looks, in their language.
///
/// # Errors
/// If there is no such letter.
pub(super) fn letter(
    site: &Site,
    visitor: &Visitor,
    told: &Told,
    name: Option<&str>,
) -> Result<SeenLetter, Oops> {
    let user = &visitor.person.user;
    let reader = Recipient { address: user.email.clone(), user: Some(user.id) };
    let hook = match name {
        Some(name) => Some(preview::hook_named(told.event.owner, name)),
        None => preview::letter_hook(&site.parts.catalogue, &told.event),
    };
    let (desk, now) = (site.parts.desk(Some(visitor.lang())), site.parts.clock.now());
    preview::letter(desk, told, &reader, hook.as_ref(), now).map_err(|why| {
        // Nothing anybody types makes a letter that cannot be written.
        tracing::error!(why, "a letter could not be shown");
        Oops::NotFound
    })
}

impl Picture {
    pub(super) fn of(site: &Site, told: &Told) -> Self {
        let words = site.parts.words();
        let message = message::of(words.catalogue, &told.event, &told.names, words.links, Lang::En);
        Self {
            severity: match message.severity {
                Severity::Info => "none",
                Severity::Success => "good",
                Severity::Warning => "wait",
                Severity::Error => "bad",
            },
            title: message.title.to_string(),
            summary: message.summary.to_string(),
            details: message
                .details
                .iter()
                .filter(|detail| !detail.value.is_empty())
                .map(|detail| (detail.label.clone(), detail.value.to_string()))
                .collect(),
            links: message.links.iter().map(|link| link.label.clone()).collect(),
            by: message.actor.as_ref().filter(|actor| !actor.is_empty()).map(|actor| Lang::En.by(actor)),
        }
    }
}

/// The latest event a hook for these kinds and families and these resources matches, or a sample; and which of the two it is.
/// Nothing in a list means all.
pub(super) async fn matching(
    site: &Site,
    here: &Here,
    events: &[String],
    scope: &[String],
) -> Result<(Told, bool), Oops> {
    let catalogue = &site.parts.catalogue;
    let kinds = (!events.is_empty()).then(|| catalogue.open(events));
    let page = Page { after: None, limit: LATELY };
    let meant = |event: &sonnette_core::model::Event| {
        let of_kind = catalogue.find(&event.kind).is_some_and(|(number, kind)| {
            !kind.private && kinds.as_ref().is_none_or(|kinds| kinds.contains(number))
        });
        let in_scope = scope.is_empty()
            || event.resource.as_ref().is_some_and(|id| scope.iter().any(|one| one == id.as_str()));
        of_kind && in_scope
    };
    if let Some(event) = site.parts.store.events(here.owner, page).await?.into_iter().find(meant) {
        return Ok((Told::stored(&site.parts, event).await?, true));
    }
    let kind = preview::kind_for(catalogue, Some(events)).ok_or(Oops::NotFound)?;
    Ok((Told::sample(kind, Some(here.name.clone()).filter(|name| !name.is_empty())), false))
}

/// `POST /o/{owner}/{sort}/preview`: the preview alone, for a form that is being filled in.
pub(super) async fn fragment(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place(owner): Place<String>,
    form: Form,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let before = match form.get("hook") {
        "" => None,
        id => hooks::found(&site, &here, sort, id).await.ok().map(|view| view.hook),
    };
    let typed = Typed::sent(&form);
    let filled =
        Filled { site: &site, visitor: &visitor, here: &here, sort, typed: &typed, before: before.as_ref() };
    Ok(show(StatusCode::OK, &Preview::of(&filled).await?))
}

/// A letter is its own page in a frame that may do nothing: no script, no form, no link, nothing loaded. Its style stands in the
/// letter itself, as mail programs want it.
const LETTER: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none'; frame-ancestors 'self'";

/// `GET /o/{owner}/emails/letter?event=|kind=&hook=`: a letter's HTML, for the frame in a preview. Without a name of a hook it is
/// the one the events reference shows.
pub(super) async fn framed(
    State(site): At,
    visitor: Visitor,
    Place(owner): Place<String>,
    request: Request,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let name = query.has("hook").then(|| query.get("hook"));
    let catalogue = &site.parts.catalogue;
    let public = |kind: &str| catalogue.find(kind).is_none_or(|(_, kind)| !kind.private);
    let told = match query.get("event").parse::<EventId>() {
        Ok(id) => {
            let event = site.parts.store.event(id).await?;
            let event = event.filter(|event| event.owner == here.owner && public(&event.kind));
            Told::stored(&site.parts, event.ok_or(Oops::NotFound)?).await?
        }
        Err(_) => {
            let kind = catalogue.find(query.get("kind")).map(|(_, kind)| kind);
            let kind = kind.filter(|kind| !kind.private).ok_or(Oops::NotFound)?;
            let owner = name.and(Some(here.name.clone())).filter(|name| !name.is_empty());
            Told::sample(kind, owner)
        }
    };
    let letter = letter(&site, &visitor, &told, name)?;
    Ok(([(CONTENT_SECURITY_POLICY, HeaderValue::from_static(LETTER))], Html(letter.html)).into_response())
}
