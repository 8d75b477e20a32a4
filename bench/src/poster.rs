//! One connection's side of a load: builds posts, sends them, and keeps count.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Uri};
use serde_json::Value;

use crate::clock;
use crate::generator::{Load, Outcome};
use crate::line::{Answer, Line};
use crate::payload::{Payload, uuid_of};

/// Connections that may break in a row before we give up.
const MOST_BROKEN: u32 = 10;
/// The wait after a refusal: a run is about what the server takes.
const AFTER_REFUSAL: Duration = Duration::from_millis(10);

/// One connection's side of a load.
pub(crate) struct Poster {
    load: Load,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
    payload: Payload,
    line: Line,
    pub(crate) outcome: Outcome,
    broken_in_a_row: u32,
}

impl Poster {
    pub(crate) async fn new(load: Load) -> anyhow::Result<Self> {
        let bearer = |token: &Arc<str>| HeaderValue::from_str(&format!("Bearer {token}"));
        Ok(Self {
            host: HeaderValue::from_str(&load.address.to_string())?,
            authorization: load.token.as_ref().map(bearer).transpose()?,
            payload: Payload::new(load.size, load.ids)?,
            line: Line::open(load.address).await?,
            outcome: Outcome::default(),
            broken_in_a_row: 0,
            load,
        })
    }

    /// Posts the events from `first` on; they carry `time`, and that is where their time counts from.
    pub(crate) async fn post(&mut self, first: u64, time: u64) -> anyhow::Result<u64> {
        let request = self.request(first, time);
        match self.line.exchange(request).await {
            Ok(answer) => {
                self.broken_in_a_row = 0;
                self.outcome.took.push(clock::micros_since(time));
                let accepted = accepted(&answer, self.load.batch as u64);
                self.outcome.accepted += accepted;
                if accepted < self.load.batch as u64 {
                    *self.outcome.refused.entry(answer.status).or_default() += 1;
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
                Ok(accepted)
            }
            Err(error) => {
                self.outcome.broken += 1;
                self.broken_in_a_row += 1;
                if self.broken_in_a_row >= MOST_BROKEN {
                    return Err(error.context("connections break one after the other"));
                }
                self.line = Line::open(self.load.address).await?;
                Ok(0)
            }
        }
    }

    fn request(&mut self, first: u64, time: u64) -> Request<Full<Bytes>> {
        let body = if self.load.batch == 1 {
            Bytes::copy_from_slice(self.event(first, time))
        } else {
            let mut body = Vec::with_capacity(self.load.batch * (self.load.size + 1) + 1);
            for number in first..first + self.load.batch as u64 {
                body.push(if number == first { b'[' } else { b',' });
                body.extend_from_slice(self.event(number, time));
            }
            body.push(b']');
            Bytes::from(body)
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/api/v1/events");
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }

    fn event(&mut self, number: u64, time: u64) -> &[u8] {
        let owners = &self.load.owners;
        let owner = &owners[usize::try_from(number).unwrap_or_default() % owners.len()];
        let id = if self.load.ids { uuid_of(self.load.seed, number) } else { uuid::Uuid::nil() };
        self.payload.stamp(owner, number, time, id)
    }
}

/// How many of `posted` events an answer accepts.
fn accepted(answer: &Answer, posted: u64) -> u64 {
    match answer.status {
        207 => {
            let read = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
            let results = read["results"].as_array().map_or(&[][..], Vec::as_slice);
            results.iter().filter(|result| matches!(result["status"].as_u64(), Some(200 | 202))).count()
                as u64
        }
        200..300 => posted,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    #[test]
    fn a_mixed_answer_counts_what_it_accepts() {
        let body = Bytes::from_static(
            br#"{"results":[{"status":202,"id":"a"},{"status":400},{"status":200,"id":"b"}]}"#,
        );
        assert_eq!(accepted(&Answer { status: 207, headers: HeaderMap::default(), body }, 3), 2);
    }
}
