//! The receiver at the other end: it verifies signatures as any receiver should, and answers as Slack does.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sonnette_core::model::SECOND;
use sonnette_core::secret::Secret;
use sonnette_core::signing;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

/// The largest body taken.
const MOST: usize = 1 << 20;

#[derive(Default)]
struct Seen {
    secret: OnceLock<Secret>,
    /// Kinds of verified events by `webhook-id`.
    verified: Mutex<HashMap<String, String>>,
    /// The last message.
    message: Mutex<String>,
}

/// A receiver that runs.
pub(super) struct Receiver {
    address: SocketAddr,
    seen: Arc<Seen>,
}

impl Receiver {
    /// Listens on the loopback.
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the receiver cannot listen")?;
        let receiver = Self { address: listener.local_addr()?, seen: Arc::default() };
        let seen = Arc::clone(&receiver.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                let service = service_fn(move |request| {
                    let seen = Arc::clone(&seen);
                    async move { Ok::<_, Infallible>(answer(&seen, request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(receiver)
    }

    /// The URL of one of its doors.
    pub(super) fn url(&self, door: &str) -> String {
        format!("http://{}/{door}", self.address)
    }

    /// What signatures are verified with.
    pub(super) fn verify_with(&self, secret: Secret) {
        // Set once, before the first event.
        drop(self.seen.secret.set(secret));
    }

    /// What a delivery was, as it looks from this end.
    pub(super) fn describe(&self, delivery: &Value) -> Result<(String, String)> {
        let id = delivery["id"].as_str().unwrap_or_default();
        match delivery["format"].as_str() {
            Some("email") => {
                let to = delivery["recipient"]["address"].as_str().unwrap_or_default();
                let note = delivery["attempts"][0]["note"].as_str().unwrap_or_default();
                Ok((to.to_owned(), note.to_owned()))
            }
            Some("raw") => {
                let verified = self.seen.verified.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(kind) = verified.get(id) else {
                    bail!("{id} did not arrive with a signature that verifies")
                };
                Ok(("raw".to_owned(), format!("{kind}, signature verified, webhook-id {id}")))
            }
            _ => {
                let message = self.seen.message.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(("slack".to_owned(), message.clone()))
            }
        }
    }
}

async fn answer(seen: &Seen, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MOST).collect().await.map(http_body_util::Collected::to_bytes);
    let (status, words) = match (head.uri.path(), body) {
        (_, Err(_)) => (StatusCode::BAD_REQUEST, "no body"),
        ("/raw", Ok(body)) if verified(seen, &head.headers, &body) => (StatusCode::NO_CONTENT, ""),
        ("/slack", Ok(body)) => match serde_json::from_slice::<Value>(&body) {
            Ok(message) if message["text"].is_string() => {
                let text = message["text"]
                    .as_str()
                    .unwrap_or_default()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                *seen.message.lock().unwrap_or_else(PoisonError::into_inner) = text;
                (StatusCode::OK, "ok")
            }
            _ => (StatusCode::BAD_REQUEST, "invalid_payload"),
        },
        _ => (StatusCode::UNAUTHORIZED, "the signature does not verify"),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(words.as_bytes())));
    *response.status_mut() = status;
    response
}

/// Standard Webhooks 1.0.0, "Verifying webhook authenticity".
fn verified(seen: &Seen, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(secret), Some(id), Some(at), Some(given)) =
        (seen.secret.get(), text("webhook-id"), text("webhook-timestamp"), text("webhook-signature"))
    else {
        return false;
    };
    let Ok(seconds) = at.parse::<i64>() else { return false };
    let expected = signing::sign([secret], id, seconds.saturating_mul(SECOND), body);
    let fits = given.split(' ').any(|one| bool::from(one.as_bytes().ct_eq(expected.as_bytes())));
    if fits {
        let kind = serde_json::from_slice::<Value>(body)
            .ok()
            .and_then(|event| event["event"].as_str().map(str::to_owned));
        seen.verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), kind.unwrap_or_default());
    }
    fits
}
