//! Addresses that are not written to, and what comes back of letters.

use std::borrow::Cow;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use sonnette_core::address;
use sonnette_core::mail::bounce;
use sonnette_core::message::one_line;
use sonnette_core::permission::Action;
use sonnette_core::ports::Page;
use sonnette_core::stops::{Reason, Suppression, Why};

use super::super::access::Asker;
use super::super::asked::Asked;
use super::super::{Answer, At};
use crate::contract::problem::Problem;
use crate::contract::seen::{Listed, limit};
use crate::flow::stop::{self, Took};

/// Characters of a note.
const LONGEST_NOTE: usize = 300;

/// An address that is not written to, as shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    address: String,
    why: &'static str,
    note: Option<String>,
    first_at: i64,
    last_at: i64,
    delivery: Option<String>,
}

fn shown(one: Suppression) -> Shown {
    Shown {
        address: one.address,
        why: one.why.as_str(),
        note: one.note,
        first_at: one.first,
        last_at: one.last,
        delivery: one.delivery.map(|delivery| delivery.to_string()),
    }
}

/// `address`, `limit` and `after`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListAsked {
    address: Option<String>,
    limit: Option<usize>,
    after: Option<i64>,
}

/// `GET /suppressions`
pub(super) async fn list(
    State(site): At,
    asker: Asker,
    Asked(asked): Asked<ListAsked>,
) -> Answer<Json<Listed<Shown>>> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    if let Some(address) = asked.address {
        let found = site.parts.store.suppression(&checked(&address)?).await?;
        return Ok(Json(Listed::whole(found.into_iter().map(shown).collect())));
    }
    let limit = limit(asked.limit)?;
    let found = site.parts.store.suppressions(Page { after: asked.after, limit }).await?;
    Ok(Json(Listed::page(found, limit, |one| one.id.to_string(), shown)))
}

/// `{"address": …, "note": …}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    address: String,
    note: Option<String>,
}

/// `POST /suppressions`: 201 if it was written to until now, 200 if not.
pub(super) async fn add(
    State(site): At,
    asker: Asker,
    body: Body,
) -> Answer<(StatusCode, Json<Option<Shown>>)> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let given: Given = site.bodies.shape(body).await?;
    let address = checked(&given.address)?;
    let note = given.note.as_deref().map(one_line).filter(|note| !note.is_empty());
    if note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
        return Err(Problem::invalid("note", format!("a note has at most {LONGEST_NOTE} characters")));
    }
    let reason = Reason { address: address.clone(), why: Why::ByHand, note, delivery: None };
    let is_new = site.parts.store.suppress(reason, None, site.parts.clock.now()).await?;
    let found = site.parts.store.suppression(&address).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(found.map(shown))))
}

/// `address`, and nothing else.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LiftAsked {
    address: Option<String>,
}

/// `DELETE /suppressions?address=`
pub(super) async fn lift(
    State(site): At,
    asker: Asker,
    Asked(asked): Asked<LiftAsked>,
) -> Answer<StatusCode> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let address = asked.address.ok_or_else(|| Problem::invalid("address", "say which address"))?;
    let lifted = site.parts.store.lift(&checked(&address)?).await?;
    if lifted { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("suppressed address")) }
}

fn checked(address: &str) -> Answer<String> {
    address::check(address.trim()).map_err(|error| Problem::invalid("address", error.to_string()))
}

/// `recipient`: the address it came to.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BounceAsked {
    recipient: Option<String>,
}

/// What became of what came back.
#[derive(Debug, Serialize)]
pub(super) struct Taken {
    took: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<String>,
}

/// `POST /bounces?recipient=`: a message as it came (RFC 5322), or with the type `multipart/report` its body alone.
pub(super) async fn bounce(
    State(site): At,
    asker: Asker,
    Asked(asked): Asked<BounceAsked>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Json<Taken>> {
    site.allow(&asker.0, Action::HandInBounces).await?;
    let held = site.bodies.read(body, bounce::LARGEST).await?;
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mail = whole(kind, held.bytes());
    let (took, delivery) = match stop::take(&site.parts, &mail, asked.recipient.as_deref()).await? {
        Took::Suppressed(delivery) => ("suppressed", Some(delivery)),
        Took::Noted(delivery) => ("noted", Some(delivery)),
        Took::Nothing => ("nothing", None),
        Took::Unknown => ("unknown", None),
    };
    Ok(Json(Taken { took, delivery: delivery.map(|delivery| delivery.to_string()) }))
}

/// A message of a body of several parts: its type, which names the boundary, came beside it. What begins with a field is
/// a message already.
fn whole<'a>(kind: &str, body: &'a [u8]) -> Cow<'a, [u8]> {
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_field =
        name.len() < line.len() && !name.starts_with(b"--") && name.iter().all(u8::is_ascii_graphic);
    let several = kind.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    if !several || is_field || line.starts_with(b"From ") {
        return Cow::Borrowed(body);
    }
    let head = format!("MIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n");
    Cow::Owned([head.as_bytes(), body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_several_parts_gets_the_head_that_came_beside_it_and_a_message_keeps_its_own() {
        let kind = "multipart/report; boundary=\"a:b\"";
        for parts in
            ["--a:b\r\nContent-Type: text/plain\r\n", "This is MIME: see\r\n--a:b\r\n", "\r\n--a:b\r\n"]
        {
            let mail = String::from_utf8(whole(kind, parts.as_bytes()).into_owned()).unwrap();
            assert_eq!(mail, format!("MIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n{parts}"));
        }
        for message in ["Return-Path: <>\r\n", "From MAILER-DAEMON Fri Jan  2 10:00:00 2026\nTo: x\n"] {
            assert_eq!(whole(kind, message.as_bytes()), message.as_bytes());
            assert_eq!(whole("message/rfc822", message.as_bytes()), message.as_bytes());
        }
        assert_eq!(whole("message/rfc822", b"--a:b\r\n"), &b"--a:b\r\n"[..]);
    }
}
