//! What a hook would send, before it is saved: for the latest event it matches, or a sample of one.

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Response};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};
use sonnette_core::formats::{Render, Rendering, shown};
use sonnette_core::ids::{DeliveryId, DestinationId, EventId, HookId};
use sonnette_core::mail::{self, Reader};
use sonnette_core::message::{self, Message, Severity};
use sonnette_core::model::{Event, Hook, HookState, Recipient, Way};
use sonnette_core::ports::{Letter, Names, Outgoing, Page};
use sonnette_core::secret::Secret;
use url::Url;
use url::form_urlencoded::Serializer;

use super::form::Form;
use super::frame::show;
use super::hooks::{self, Sort};
use super::oops::Oops;
use super::reader::{Here, Visitor};
use super::time::Moment;
use super::typed::Typed;
use super::words::{Lang, Words};
use crate::http::{At, Place, Site};

/// How far back an event is looked for.
const LATELY: usize = 100;
/// Who is behind the events of samples, which nobody made.
pub(super) const SOMEBODY: &str = "Alice Martin";
/// Of which kind a sample is, if it may be any.
const SAMPLE: &str = "DEPLOYMENT_SUCCESS";
/// Bytes of a request's body that are shown.
const BODY: usize = 16 << 10;

/// What a preview shows of one URL.
pub(super) struct ShownRequest {
    format: String,
    picture: Option<Picture>,
    /// Method and URL, without its credential.
    line: String,
    headers: Vec<(String, String)>,
    body: String,
    missing: Option<String>,
}

/// A message as a chat shows it, more or less.
pub(super) struct Picture {
    severity: &'static str,
    title: String,
    summary: String,
    details: Vec<(String, String)>,
    links: Vec<String>,
    by: Option<String>,
}

/// What a preview shows of a letter.
pub(super) struct ShownLetter {
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
    requests: Vec<ShownRequest>,
    /// Said of the URL while it is typed: which format it has. For the first URL whose format is left to us.
    recognised: Option<String>,
    /// The name it gets if none is typed.
    name: String,
    /// The format of each URL, for the script that shows its fields.
    formats: String,
}

impl Preview {
    /// What this form would send.
    pub(super) async fn of(
        site: &Site,
        visitor: &Visitor,
        here: &Here,
        sort: Sort,
        typed: &Typed,
        before: Option<&Hook>,
    ) -> Result<Self, Oops> {
        let lang = visitor.lang();
        let (event, latest) = matching(site, here, typed).await?;
        // Chats have many readers, and are spoken to in English.
        let spoken = if sort == Sort::Emails { lang } else { Lang::En };
        let message = says(site, here, &event, latest, spoken).await?;
        let mut preview = Self {
            w: lang,
            at: latest.then(|| visitor.reader.moment(event.id.at())),
            kind: super::describe::event(lang, &site.parts.catalogue, &event.kind),
            letter: None,
            requests: Vec::new(),
            recognised: None,
            name: super::hook_form::suggested(lang, sort, typed, before),
            formats: String::new(),
        };
        match sort {
            Sort::Emails => {
                let name =
                    if typed.name.trim().is_empty() { lang.suggested_email() } else { typed.name.trim() };
                let letter = written(site, here, &message, &event, name, lang);
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
                    let url = one
                        .whole_url(old)
                        .filter(|url| Url::parse(url.expose()).is_ok_and(|url| url.has_host()))
                        .unwrap_or_else(|| Secret::new("https://example.com/"));
                    let fields = one.whole_fields(format, old);
                    let missing = Url::parse(url.expose()).ok().and_then(|url| {
                        let wrong = (format.check)(&url).err().map(str::to_owned);
                        wrong.or_else(|| Some(format.check_fields(&url, &fields).err()?.to_string()))
                    });
                    if let Some(missing) = missing {
                        preview.requests.push(ShownRequest {
                            format: format.title.to_owned(),
                            picture: None,
                            line: String::new(),
                            headers: Vec::new(),
                            body: String::new(),
                            missing: Some(lang.preview_incomplete(missing)),
                        });
                        continue;
                    }
                    let rendering = Rendering {
                        url: &url,
                        fields: &fields,
                        event: &event,
                        delivery: DeliveryId { event: event.id, n: 0 },
                    };
                    let (request, picture) = match format.render {
                        Render::Frame(render) => (render(&rendering), None),
                        Render::Message(render) => {
                            (render(&rendering, &message), Some(Picture::of(lang, &message)))
                        }
                    };
                    let hidden: Vec<_> = format
                        .fields
                        .iter()
                        .filter(|field| field.secret)
                        .filter_map(|field| fields.get(field.name))
                        .collect();
                    preview.requests.push(ShownRequest::of(
                        format,
                        &request,
                        picture,
                        &hidden,
                        rendering.delivery,
                    ));
                }
                preview.formats = formats.join(" ");
            }
        }
        Ok(preview)
    }
}

impl ShownRequest {
    fn of(
        format: &sonnette_core::formats::Format,
        request: &Outgoing,
        picture: Option<Picture>,
        hidden: &[&Secret],
        delivery: DeliveryId,
    ) -> Self {
        let hide = |text: String| {
            hidden
                .iter()
                .fold(text, |text, secret| text.replace(secret.expose(), sonnette_core::formats::HIDDEN))
        };
        let mut headers: Vec<_> = request
            .headers
            .iter()
            .map(|(name, value)| {
                (name.to_string(), hide(String::from_utf8_lossy(value.as_bytes()).into_owned()))
            })
            .collect();
        if format.signed {
            headers.extend([
                ("webhook-id".to_owned(), delivery.to_string()),
                ("webhook-timestamp".to_owned(), "…".to_owned()),
                ("webhook-signature".to_owned(), "v1,…".to_owned()),
            ]);
        }
        let end = request.body.len().min(BODY);
        Self {
            format: format.title.to_owned(),
            picture,
            line: format!("{} {}", request.method, hide(shown(format.name, &request.url))),
            headers,
            body: hide(String::from_utf8_lossy(&request.body[..end]).into_owned()),
            missing: None,
        }
    }
}

impl Picture {
    fn of(lang: Lang, message: &Message) -> Self {
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
            by: message.actor.as_ref().filter(|actor| !actor.is_empty()).map(|actor| lang.by(actor)),
        }
    }
}

/// The latest event such a hook matches, or a sample of a kind it is told of; and which of the two it is.
async fn matching(site: &Site, here: &Here, typed: &Typed) -> Result<(Event, bool), Oops> {
    let catalogue = &site.parts.catalogue;
    let names: Vec<_> = typed.events.iter().cloned().collect();
    let kinds = (!names.is_empty()).then(|| catalogue.open(&names));
    let page = Page { after: None, limit: LATELY };
    let told = |event: &Event| {
        let of_kind = catalogue.find(&event.kind).is_some_and(|(number, kind)| {
            !kind.private && kinds.as_ref().is_none_or(|kinds| kinds.contains(number))
        });
        let in_scope = typed.scope.is_empty()
            || event.resource.as_ref().is_some_and(|id| typed.scope.iter().any(|one| one == id.as_str()));
        of_kind && in_scope
    };
    if let Some(event) = site.parts.store.events(here.owner, page).await?.into_iter().find(told) {
        return Ok((event, true));
    }
    let wanted = |name: &str| {
        catalogue
            .find(name)
            .is_some_and(|(number, _)| kinds.as_ref().is_none_or(|kinds| kinds.contains(number)))
    };
    let kind = catalogue.find(SAMPLE).map(|(_, kind)| kind).filter(|kind| wanted(&kind.name));
    let kind = kind.or_else(|| catalogue.kinds().iter().find(|kind| !kind.private && wanted(&kind.name)));
    let kind = kind.or_else(|| catalogue.find(SAMPLE).map(|(_, kind)| kind)).ok_or(Oops::NotFound)?;
    Ok((kind.sample_event(), false))
}

async fn says(site: &Site, here: &Here, event: &Event, latest: bool, lang: Lang) -> Result<Message, Oops> {
    let names = if latest {
        let author = message::author(event);
        site.parts.store.names(event.owner, event.resource.clone(), author).await?
    } else {
        Names { owner: Some(here.name.clone()), author: Some(SOMEBODY.to_owned()), ..Names::default() }
    };
    Ok(message::of(&site.parts.catalogue, event, &names, &site.parts.links, lang))
}

fn written(site: &Site, here: &Here, message: &Message, event: &Event, name: &str, lang: Lang) -> Letter {
    let hook = Hook {
        id: HookId(0),
        owner: here.owner,
        name: name.to_owned(),
        events: None,
        scope: None,
        way: Way::Email { destination: DestinationId::HOUSE, targets: Vec::new() },
        schedule: None,
        state: HookState::Enabled,
        created_at: 0,
    };
    let recipient = Recipient { address: String::new(), user: None };
    let owner = Some(here.name.as_str()).filter(|name| !name.is_empty());
    let delivery = DeliveryId { event: event.id, n: 0 };
    let reader = Reader { recipient: &recipient, lang, stop: None };
    mail::letter(&site.parts.house, message, delivery, reader, Some(&hook), owner)
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
    let preview = Preview::of(&site, &visitor, &here, sort, &Typed::sent(&form), before.as_ref()).await?;
    Ok(show(StatusCode::OK, &preview))
}

/// A letter is its own page in a frame that may do nothing: no script, no form, no link, nothing loaded. Its style stands in the
/// letter itself, as mail programs want it.
const LETTER: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none'; frame-ancestors 'self'";

/// `GET /o/{owner}/emails/letter?event=|kind=&hook=`: a letter's HTML, for the frame in a preview.
pub(super) async fn letter(
    State(site): At,
    visitor: Visitor,
    Place(owner): Place<String>,
    request: Request,
) -> Result<Response, Oops> {
    let (here, lang) = (visitor.at(&site, &owner).await?, visitor.lang());
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let (event, latest) = match query.get("event").parse::<EventId>() {
        Ok(id) => {
            let event = site.parts.store.event(id).await?.filter(|event| event.owner == here.owner);
            (event.ok_or(Oops::NotFound)?, true)
        }
        Err(_) => {
            let (_, kind) = site.parts.catalogue.find(query.get("kind")).ok_or(Oops::NotFound)?;
            (kind.sample_event(), false)
        }
    };
    let hidden = site.parts.catalogue.find(&event.kind).is_some_and(|(_, kind)| kind.private);
    if hidden {
        return Err(Oops::NotFound);
    }
    let message = says(&site, &here, &event, latest, lang).await?;
    let letter = written(&site, &here, &message, &event, query.get("hook"), lang);
    let policy = HeaderValue::from_static(LETTER);
    Ok(([(CONTENT_SECURITY_POLICY, policy)], Html(letter.html)).into_response())
}
