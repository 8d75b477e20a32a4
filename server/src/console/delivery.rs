//! One delivery: its event, where it went, every attempt, and whether it is tried again.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use sonnette_core::formats::shown;
use sonnette_core::ids::DeliveryId;
use sonnette_core::message;
use sonnette_core::model::{Attempt, Delivery, Destination, Event, Held, Millis, State as Stands, Way};
use sonnette_core::ports::Resent;

use super::describe;
use super::form::{Checked, Form};
use super::frame::{Frame, Section, show};
use super::oops::Oops;
use super::preview::wire;
use super::reader::{Here, Visitor};
use super::time::Moment;
use super::told;
use super::words::{Lang, Words};
use crate::flow::preview::{self, Told};
use crate::http::{At, Place, Site};

/// One attempt, in words.
struct Try {
    number: u32,
    at: Moment,
    took: String,
    status: Option<u16>,
    badge: (&'static str, &'static str),
    note: Option<String>,
    excerpt: Option<String>,
    then: &'static str,
    then_at: Option<Moment>,
}

#[derive(askama::Template)]
#[template(path = "console/delivery.html")]
struct DeliveryPage {
    frame: Frame,
    base: String,
    here: String,
    said: Option<(&'static str, &'static str)>,
    id: String,
    event: String,
    kind: String,
    accepted: Moment,
    hook: String,
    hook_link: Option<String>,
    format: String,
    place: String,
    badge: (&'static str, &'static str),
    why: Option<&'static str>,
    due: Option<Moment>,
    attempts: String,
    tries: Vec<Try>,
    sent: Option<String>,
    may_resend: bool,
    who_can: Option<String>,
}

/// A delivery of this owner, with its event.
async fn found(site: &Site, here: &Here, id: &str) -> Result<(Delivery, Vec<Attempt>, Event), Oops> {
    let id: DeliveryId = id.parse().map_err(|_| Oops::NotFound)?;
    let (owner, delivery, attempts) = site.parts.store.delivery(id).await?.ok_or(Oops::NotFound)?;
    if owner != here.owner || told::is_private(&site.parts.catalogue, &delivery.kind) {
        return Err(Oops::NotFound);
    }
    let event = site.parts.store.event(id.event).await?.ok_or(Oops::NotFound)?;
    Ok((delivery, attempts, event))
}

/// `GET /o/{owner}/deliveries/{delivery}`
pub(super) async fn page(
    State(site): At,
    visitor: Visitor,
    Place((owner, id)): Place<(String, String)>,
    request: Request,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    let lang = visitor.lang();
    let (delivery, attempts, event) = found(&site, &here, &id).await?;
    let view = match delivery.hook {
        Some(hook) => site.parts.store.hook(hook).await?.filter(|view| view.hook.owner == here.owner),
        None => None,
    };
    let told = Told::stored(&site.parts, event).await?;
    let event = &told.event;
    let message = message::of(&site.parts.catalogue, event, &told.names, &site.parts.links, lang);
    let destination = view.as_ref().and_then(|view| match &view.hook.way {
        Way::Webhook { destinations } => destinations.iter().find(|one| one.id == delivery.destination),
        Way::Email { .. } => None,
    });
    let place = match (&delivery.recipient, destination) {
        (Some(recipient), _) => recipient.address.clone(),
        (None, Some(destination)) => shown(&destination.format, &destination.url),
        (None, None) if delivery.format == "email" => lang.not_resolved().to_owned(),
        (None, None) => String::new(),
    };
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let said = match query.get("said") {
        "resent" => Some(("good", lang.said_resent())),
        "waiting" => Some(("warn", lang.said_waiting())),
        "nowhere" => Some(("bad", lang.said_nowhere())),
        _ => None,
    };
    let section = if delivery.format == "email" { "emails" } else { "webhooks" };
    let live = delivery.state.is_live();
    let page = DeliveryPage {
        frame: Frame::of(&visitor.reader, message.title.to_string(), Some(&here), Section::Deliveries),
        base: here.path("deliveries"),
        here: told::href(&here, delivery.id),
        said,
        id: delivery.id.to_string(),
        event: here.path(&format!("events/{}", event.id)),
        kind: describe::event(lang, &site.parts.catalogue, &event.kind),
        accepted: visitor.reader.moment(event.id.at()),
        hook: match (&view, delivery.hook) {
            (Some(view), _) => view.hook.name.clone(),
            (None, Some(_)) => lang.deleted_hook().to_owned(),
            (None, None) => lang.by_the_house().to_owned(),
        },
        hook_link: view
            .as_ref()
            .filter(|_| here.may_change)
            .map(|view| here.path(&format!("{section}/{}", view.hook.id))),
        format: told::format_name(lang, &delivery.format),
        place,
        badge: told::state(lang, delivery.state),
        why: told::why(lang, delivery.state),
        due: delivery.due.map(|at| visitor.reader.moment(at)),
        attempts: told::attempts(lang, delivery.attempts),
        tries: tries(&visitor, &delivery, &attempts),
        sent: destination.and_then(|destination| {
            let at = attempts.last().map_or(visitor.reader.now, |attempt| attempt.at);
            sent(&site, &told, &delivery, destination, at)
        }),
        may_resend: here.may_change && !live && !matches!(delivery.state, Stands::Held(_)),
        who_can: here.who_can.clone(),
    };
    Ok(show(StatusCode::OK, &page))
}

/// The request as the delivery's destination gets it, made again from the stored event, as of its last attempt. What is secret
/// is left out, and so is the signature.
fn sent(
    site: &Site,
    told: &Told,
    delivery: &Delivery,
    destination: &Destination,
    at: Millis,
) -> Option<String> {
    let seen = preview::request(site.parts.words(), told.telling(delivery.id.n), destination, at)?;
    Some(wire(&seen))
}

/// The attempts, the last first: what is looked for is mostly there.
fn tries(visitor: &Visitor, delivery: &Delivery, attempts: &[Attempt]) -> Vec<Try> {
    let lang = visitor.lang();
    let of = |(at, attempt): (usize, &Attempt)| {
        let following = attempts.get(at + 1);
        let (then, then_at) = match (attempt.succeeded, following) {
            (true, None) => ("", None),
            (_, Some(next)) => (lang.tried_again(), Some(visitor.reader.moment(next.at))),
            (false, None) => after_the_last(lang, visitor, delivery),
        };
        Try {
            number: attempt.number,
            at: visitor.reader.moment(attempt.at),
            took: took(lang, attempt.took),
            status: attempt.status,
            badge: if attempt.succeeded {
                ("good", lang.attempt_succeeded())
            } else {
                ("bad", lang.attempt_failed())
            },
            note: attempt.note.clone(),
            excerpt: attempt.excerpt.clone(),
            then,
            then_at,
        }
    };
    attempts.iter().enumerate().map(of).rev().collect()
}

/// What follows the last attempt, if it failed.
fn after_the_last(lang: Lang, visitor: &Visitor, delivery: &Delivery) -> (&'static str, Option<Moment>) {
    match delivery.state {
        Stands::Pending | Stands::Retrying => {
            (lang.will_be_tried(), delivery.due.map(|at| visitor.reader.moment(at)))
        }
        Stands::Delivered => ("", None),
        Stands::Held(Held::Paused | Held::Disabled | Held::Unconfirmed | Held::Ceiling) => {
            (lang.tried_when_released(), None)
        }
        Stands::Dead(_) | Stands::Cancelled(_) => (lang.not_tried_again(), None),
    }
}

/// How long something took.
fn took(lang: Lang, millis: u32) -> String {
    if millis < 10_000 {
        return format!("{}\u{a0}ms", lang.count(u64::from(millis)));
    }
    format!("{}\u{a0}s", lang.count(u64::from(millis / 1000)))
}

/// `POST /o/{owner}/deliveries/{delivery}/resend`
pub(super) async fn resend(
    State(site): At,
    visitor: Visitor,
    Place((owner, id)): Place<(String, String)>,
    _form: Checked,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let (delivery, ..) = found(&site, &here, &id).await?;
    let said = match site.parts.store.resend(delivery.id, visitor.reader.now).await? {
        Resent::Due => "resent",
        Resent::Waiting => "waiting",
        Resent::NoDestination => "nowhere",
        Resent::NoDelivery => return Err(Oops::NotFound),
    };
    Ok(Redirect::to(&format!("{}?said={said}", told::href(&here, delivery.id))).into_response())
}
