//! Posting events and reading them back.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use sonnette_core::ids::{EventId, OwnerId};
use sonnette_core::model::Event;
use sonnette_core::permission::Action;
use sonnette_core::ports::Page;

use super::super::access::Asker;
use super::super::asked::{Asked, Place};
use super::super::body::{LARGE, lines_of, text_of};
use super::super::{Answer, At};
use super::id;
use crate::contract::posted::Posted;
use crate::contract::problem::{Id, Problem};
use crate::contract::seen::{Listed, Paging, limit};
use crate::contract::{cloudevents, posted};
use crate::flow::ingest::{self, Accepted};

/// What a body holds, by its content type.
enum Sort {
    /// One event, or an array of them.
    Json,
    Lines,
    CloudEvent,
    CloudEvents,
    /// One event, its attributes in headers.
    Binary,
}

/// `POST /events`
pub(super) async fn post(State(site): At, asker: Asker, request: Request) -> Answer<Response> {
    site.allow(&asker.0, Action::Publish).await?;
    // Taken apart, not cloned: this is the one handler whose speed is promised.
    let (http::request::Parts { headers, .. }, body) = request.into_parts();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let sort = sort(&headers, content_type)?;
    let held = site.bodies.read(body, LARGE).await?;
    let (posted, batch) = match sort {
        Sort::Lines => (lines(held.bytes()), true),
        Sort::Binary => (vec![cloudevents::binary(&headers, content_type, held.text()?)], false),
        Sort::CloudEvent => (vec![cloudevents::structured(held.text()?)], false),
        Sort::CloudEvents => (array(held.text()?, cloudevents::structured)?, true),
        Sort::Json if held.bytes().trim_ascii_start().starts_with(b"[") => {
            (array(held.text()?, posted::event)?, true)
        }
        Sort::Json => (vec![posted::event(held.text()?)], false),
    };
    if posted.is_empty() {
        return Err(empty());
    }
    let results = ingest::accept(&site.parts, posted).await?;
    if batch {
        Ok(many(results))
    } else {
        results.into_iter().next().map_or_else(|| Err(empty()), one_result)
    }
}

fn empty() -> Problem {
    Problem::new(Id::Malformed, "the body holds no event")
}

fn sort(headers: &HeaderMap, content_type: Option<&str>) -> Result<Sort, Problem> {
    let essence =
        content_type.and_then(|of| of.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    Ok(match essence.as_str() {
        "application/cloudevents+json" => Sort::CloudEvent,
        "application/cloudevents-batch+json" => Sort::CloudEvents,
        _ if cloudevents::is_binary(headers) => Sort::Binary,
        "application/x-ndjson" | "application/jsonl" | "application/ndjson" => Sort::Lines,
        "application/json" => Sort::Json,
        _ => {
            return Err(Problem::new(
                Id::UnsupportedType,
                "send application/json, application/x-ndjson, application/cloudevents+json, \
                 application/cloudevents-batch+json, or CloudEvents in binary mode",
            ));
        }
    })
}

/// An array parses as a whole; its items stand alone.
fn array<'a>(
    text: &'a str,
    read: fn(&'a str) -> Result<Posted<'a>, Problem>,
) -> Result<Vec<Result<Posted<'a>, Problem>>, Problem> {
    let items: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| Problem::new(Id::Malformed, error.to_string()))?;
    Ok(items.into_iter().map(|item| read(item.get())).collect())
}

/// A bad line fails that line only, one that is no text too.
fn lines(body: &[u8]) -> Vec<Result<Posted<'_>, Problem>> {
    lines_of(body)
        .map(|(number, line)| {
            text_of(line).and_then(posted::event).map_err(|problem| {
                let problem = problem.of_one_line();
                Problem { detail: format!("line {number}: {}", problem.detail), ..problem }
            })
        })
        .collect()
}

fn one_result(result: Result<Accepted, Problem>) -> Answer<Response> {
    let (status, id) = match result? {
        Accepted::New(id) => (StatusCode::ACCEPTED, id),
        Accepted::Already(id) => (StatusCode::OK, id),
    };
    let body = format!("{{\"id\":\"{id}\"}}");
    Ok((status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

#[derive(Serialize)]
struct ItemResult {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

#[derive(Serialize)]
struct Results {
    results: Vec<ItemResult>,
}

fn many(results: Vec<Result<Accepted, Problem>>) -> Response {
    let status =
        if results.iter().all(Result::is_ok) { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
    let item = |result: Result<Accepted, Problem>| match result {
        Ok(Accepted::New(id)) => (StatusCode::ACCEPTED, Some(id), None),
        Ok(Accepted::Already(id)) => (StatusCode::OK, Some(id), None),
        Err(problem) => (problem.id.status(), None, Some(problem)),
    };
    let results =
        results.into_iter().map(item).map(|(status, id, problem): (StatusCode, Option<EventId>, _)| {
            ItemResult { status: status.as_u16(), id: id.map(|id| id.to_string()), problem }
        });
    (status, Json(Results { results: results.collect() })).into_response()
}

/// `GET /events/{event}`
pub(super) async fn one(State(site): At, asker: Asker, Place(event): Place<String>) -> Answer<Response> {
    let found = site.parts.store.event(id(&event)?).await?.filter(|event| is_public(&site, event));
    let event = found.ok_or_else(|| Problem::not_found("event"))?;
    site.allow_found(&asker.0, event.owner, false, "event").await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], event.frame).into_response())
}

/// `GET /owners/{owner}/events`
pub(super) async fn list(
    State(site): At,
    asker: Asker,
    Place(owner): Place<String>,
    Asked(paging): Asked<Paging>,
) -> Answer<Response> {
    let owner: OwnerId = id(&owner)?;
    site.allow(&asker.0, Action::Read(owner)).await?;
    let limit = limit(paging.limit)?;
    let after = paging.after.map(|after| posted_id(&after)).transpose()?;
    let found = site.parts.store.events(owner, Page { after, limit }).await?;
    let next = found.last().filter(|_| found.len() >= limit).map(|event| event.id.to_string());
    let shown = found.iter().filter(|event| is_public(&site, event));
    let items = shown
        .map(|event| serde_json::from_slice::<Box<RawValue>>(&event.frame))
        .collect::<Result<Vec<_>, _>>();
    let items = items.map_err(|error| sonnette_core::ports::StoreError::Corrupt(error.to_string()))?;
    Ok(Json(Listed { items, next }).into_response())
}

fn is_public(site: &super::super::Site, event: &Event) -> bool {
    site.parts.catalogue.find(&event.kind).is_none_or(|(_, kind)| !kind.private)
}

fn posted_id(after: &str) -> Answer<EventId> {
    after.parse().map_err(|error| Problem::invalid("after", format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"{"event":"GIT_PUSH","ownerId":"orga_22222222-2222-4222-8222-222222222222"}"#;

    proptest! {
        #[test]
        fn a_bad_line_fails_by_its_number_and_no_other(sorts in prop::collection::vec(0..5_u8, 0..20), ends in prop::bool::ANY) {
            let line = |sort: &u8| match sort {
                0 => GOOD.as_bytes(),
                1 => b" \r",
                2 => b"",
                3 => b"\xff",
                _ => b"nonsense",
            };
            let mut body = sorts.iter().map(line).collect::<Vec<_>>().join(&b'\n');
            body.extend_from_slice(if ends { b"\n" } else { b"" });
            let read = lines(&body);
            let expected: Vec<_> = (1..).zip(&sorts).filter(|(_, sort)| matches!(sort, 0 | 3 | 4)).collect();
            prop_assert_eq!(read.len(), expected.len());
            for (read, (number, sort)) in read.iter().zip(expected) {
                match read {
                    Ok(_) => prop_assert_eq!(*sort, 0),
                    Err(problem) => {
                        prop_assert!(*sort > 2);
                        prop_assert!(!problem.detail.contains("line 1 column"), "{}", problem.detail);
                        prop_assert!(problem.detail.starts_with(&format!("line {number}: ")), "{}", problem.detail);
                    }
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = lines(&bytes);
        }
    }
}
