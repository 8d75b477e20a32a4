//! Reading bodies within bounds: each has its own limit and time, and all together share one budget.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::contract::problem::{Id, Problem};

/// The largest body of events or of an import.
pub(super) const LARGE: usize = 16 << 20;
/// The largest body of anything else.
pub(crate) const SMALL: usize = 256 << 10;
/// The most that is read of a body after it is refused as too large.
const DRAINED: usize = 16 << 20;
/// Bytes of bodies in flight over all connections.
const BUDGET: usize = 64 << 20;
/// The budget is counted in these.
const UNIT: usize = 1 << 10;
/// How long a body may take.
const TIME: Duration = Duration::from_secs(30);

/// What all bodies in flight share.
pub(crate) struct Budget(Arc<Semaphore>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET / UNIT)))
    }
}

/// A body that was read, and its share of the budget until it is dropped.
pub(crate) struct Held {
    bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// The body.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The body as text.
    pub(crate) fn text(&self) -> Result<&str, Problem> {
        text_of(&self.bytes)
    }
}

/// Bytes as text.
pub(super) fn text_of(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        Problem::new(Id::Malformed, format!("invalid UTF-8 after byte {}", error.valid_up_to()))
    })
}

/// The lines of a body that are not blank, without the space around them, each with its number, from 1.
pub(super) fn lines_of(body: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    (1..).zip(lines).filter(|(_, line)| !line.is_empty())
}

impl Budget {
    /// Reads a body of at most `limit` bytes.
    pub(crate) async fn read(&self, body: Body, limit: usize) -> Result<Held, Problem> {
        match tokio::time::timeout(TIME, self.collect(body, limit)).await {
            Ok(read) => read,
            Err(_) => Err(Problem::new(Id::TooSlow, format!("a body arrives within {} s", TIME.as_secs()))),
        }
    }

    async fn collect(&self, mut body: Body, limit: usize) -> Result<Held, Problem> {
        let mut whole: Vec<Bytes> = Vec::new();
        let mut len = 0;
        let mut share: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::new(Id::Malformed, "the body broke off"))?;
            let Ok(chunk) = frame.into_data() else { continue };
            len += chunk.len();
            if len > limit {
                drop((whole, share));
                drain(body).await;
                return Err(Problem::new(
                    Id::TooLarge,
                    format!("a body has at most {} KiB here", limit >> 10),
                ));
            }
            let units = u32::try_from(chunk.len().div_ceil(UNIT)).unwrap_or(u32::MAX);
            let more = Arc::clone(&self.0).try_acquire_many_owned(units).map_err(|_| {
                Problem::new(Id::Busy, "too many bodies are being read; try again in a moment")
            })?;
            match &mut share {
                None => share = Some(more),
                Some(share) => share.merge(more),
            }
            whole.push(chunk);
        }
        let bytes = match whole.len() {
            1 => whole.swap_remove(0),
            _ => {
                let mut joined = BytesMut::with_capacity(len);
                whole.iter().for_each(|chunk| joined.extend_from_slice(chunk));
                joined.freeze()
            }
        };
        Ok(Held { bytes, _share: share })
    }

    /// Reads a small JSON body into its shape.
    pub(super) async fn shape<T: DeserializeOwned>(&self, body: Body) -> Result<T, Problem> {
        let held = self.read(body, SMALL).await?;
        shape(held.text()?)
    }
}

/// Lets go of the rest of a body that is refused, up to a bound: whoever is still sending when we close never reads why.
async fn drain(mut body: Body) {
    let mut left = DRAINED;
    while let Some(Ok(frame)) = body.frame().await {
        let len = frame.data_ref().map_or(0, Bytes::len);
        if len > left {
            return;
        }
        left -= len;
    }
}

/// Reads JSON into its shape; errors name the field by its path.
pub(super) fn shape<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    sonnette_core::json::scan(text).map_err(|error| Problem::new(Id::Malformed, error.to_string()))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let detail = inner.to_string();
        // What is missing has no place of its own: the words alone name it.
        let missing = detail.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let names = [Some(path.as_str()).filter(|path| *path != "."), missing];
        let field = names.into_iter().flatten().collect::<Vec<_>>().join(".");
        let id = match inner.classify() {
            serde_json::error::Category::Data => Id::Invalid,
            _ => Id::Malformed,
        };
        Problem { id, detail, field: Some(field).filter(|field| !field.is_empty()), again: None }
    })?;
    reader.end().map_err(|error| Problem::new(Id::Malformed, error.to_string()))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_in_flight_share_one_budget_and_give_it_back() {
        let budget = Budget::default();
        let body = || Body::from(vec![b' '; LARGE]);
        let mut held = Vec::new();
        for _ in 0..BUDGET / LARGE {
            held.push(budget.read(body(), LARGE).await.map_err(|problem| problem.id).unwrap());
        }
        let full = budget.read(Body::from("x"), SMALL).await.map(|_| ()).map_err(|problem| problem.id);
        assert_eq!(full, Err(Id::Busy));
        held.pop();
        assert!(budget.read(body(), LARGE).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_beyond_its_limit_is_refused_and_costs_nothing_afterwards() {
        let budget = Budget::default();
        let large = budget
            .read(Body::from(vec![0; SMALL + 1]), SMALL)
            .await
            .map(|_| ())
            .map_err(|problem| problem.id);
        assert_eq!((large, budget.0.available_permits()), (Err(Id::TooLarge), BUDGET / UNIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_given_up() {
        let endless = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let slow = Budget::default()
            .read(Body::from_stream(endless), SMALL)
            .await
            .map(|_| ())
            .map_err(|problem| problem.id);
        assert_eq!(slow, Err(Id::TooSlow));
    }

    #[test]
    fn a_wrong_field_is_named_by_its_path() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Shape {
            #[expect(dead_code, reason = "only its reading matters")]
            urls: Vec<Vec<u8>>,
        }
        let problem = shape::<Shape>(r#"{"urls":[[1],["x"]]}"#).unwrap_err();
        assert_eq!((problem.id, problem.field.as_deref()), (Id::Invalid, Some("urls[1][0]")));
        assert_eq!(shape::<Shape>(r#"{"urls":[]} x"#).unwrap_err().id, Id::Malformed);
        let unknown = shape::<Shape>(r#"{"urls":[],"colour":1}"#).unwrap_err();
        assert!(unknown.detail.contains("colour"), "{unknown:?}");
    }
}
