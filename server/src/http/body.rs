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
pub(super) const SMALL: usize = 256 << 10;
/// Bytes of bodies in flight over all connections.
const BUDGET: usize = 64 << 20;
/// The budget is counted in these.
const UNIT: usize = 1 << 10;
/// How long a body may take.
const TIME: Duration = Duration::from_secs(30);

/// What all bodies in flight share.
pub(super) struct Budget(Arc<Semaphore>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET / UNIT)))
    }
}

/// A body that was read, and its share of the budget until it is dropped.
pub(super) struct Held {
    bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// The body as text.
    pub(super) fn text(&self) -> Result<&str, Problem> {
        std::str::from_utf8(&self.bytes)
            .map_err(|error| Problem::new(Id::Malformed, format!("invalid UTF-8 after byte {}", error.valid_up_to())))
    }
}

impl Budget {
    /// Reads a body of at most `limit` bytes.
    pub(super) async fn read(&self, body: Body, limit: usize) -> Result<Held, Problem> {
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
                return Err(Problem::new(Id::TooLarge, format!("a body has at most {} KiB here", limit >> 10)));
            }
            let units = u32::try_from(chunk.len().div_ceil(UNIT)).unwrap_or(u32::MAX);
            let more = Arc::clone(&self.0)
                .try_acquire_many_owned(units)
                .map_err(|_| Problem::new(Id::Busy, "too many bodies are being read; try again in a moment"))?;
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

/// Reads JSON into its shape; errors name the field by its path.
pub(super) fn shape<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    sonnette_core::json::scan(text).map_err(|error| Problem::new(Id::Malformed, error.to_string()))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let id = match inner.classify() {
            serde_json::error::Category::Data => Id::Invalid,
            _ => Id::Malformed,
        };
        Problem { id, detail: inner.to_string(), field: Some(path).filter(|path| path != ".") }
    })?;
    reader.end().map_err(|error| Problem::new(Id::Malformed, error.to_string()))?;
    Ok(value)
}
