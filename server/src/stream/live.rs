//! Our own streams of one owner: Server-Sent Events (HTML Living Standard, §9.2) and WebSocket.
//!
//! A client that comes again says how far it had come, and gets everything after it, once, in order. So that it can say so
//! although nothing of its own happened, it is told its place at the beginning and now and then.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use hyper::upgrade::OnUpgrade;
use sonnette_core::ids::EventId;
use tokio::time::{Instant, MissedTickBehavior};

use super::feed::{Ended, Feed, Next};
use super::hub::Hub;
use super::line::{Line, PIECE, Said};

/// How often to say something when nothing happens.
const ALIVE: Duration = Duration::from_secs(15);
/// Pings a WebSocket may leave unanswered.
const MISSED: u32 = 4;
/// What is handed on at once: the connection keeps at most sixteen of these for a client that does not read.
const CHUNK: usize = 2 << 10;
/// When clients come again, in milliseconds.
const RETRY: u32 = 2_000;

/// Answers with Server-Sent Events.
pub(crate) fn events(feed: Feed) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies that collect answers before they pass them on.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    let told = feed.place();
    let begin = format!("retry: {RETRY}\nid: {told}\n\n").into();
    let sse = Sse { feed, ready: begin, large: None, told, silent: Instant::now() + ALIVE };
    let body = futures_util::stream::unfold(sse, |mut sse| async {
        let chunk = sse.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), sse))
    });
    (headers, Body::from_stream(body)).into_response()
}

/// A stream of Server-Sent Events.
struct Sse {
    feed: Feed,
    /// To be handed on.
    ready: Bytes,
    /// A large event under way: which, how much of it was read, how much there is.
    large: Option<(EventId, usize, usize)>,
    /// The place the client was told.
    told: EventId,
    /// When to say something although nothing happens.
    silent: Instant,
}

impl Sse {
    /// The next bytes; `None` at the end.
    async fn chunk(&mut self) -> Option<Bytes> {
        let hub = Arc::clone(self.feed.hub());
        while self.ready.is_empty() {
            self.ready = tokio::select! {
                ready = self.more() => ready?,
                () = hub.stop.cancelled() => return None,
            };
        }
        let len = self.ready.len().min(CHUNK);
        Some(self.ready.split_to(len))
    }

    async fn more(&mut self) -> Option<Bytes> {
        if let Some((event, from, len)) = self.large {
            return self.piece(event, from, len).await;
        }
        let next = match tokio::time::timeout_at(self.silent, self.feed.next()).await {
            Ok(Ok(next)) => Some(next),
            Ok(Err(Ended)) => return None,
            Err(_) => None,
        };
        self.silent = Instant::now() + ALIVE;
        let place = self.feed.place();
        Some(match next {
            None if place == self.told => Bytes::from_static(b":\n\n"),
            None => {
                self.told = place;
                format!("id: {place}\n\n").into()
            }
            Some(Next::Events(events)) => {
                let mut text = BytesMut::new();
                for event in events {
                    self.told = event.id;
                    text.extend_from_slice(format!("id: {}\ndata: ", event.id).as_bytes());
                    text.extend_from_slice(&event.frame);
                    text.extend_from_slice(b"\n\n");
                }
                text.freeze()
            }
            Some(Next::Large { event, len }) => {
                self.told = event;
                self.large = Some((event, 0, len));
                format!("id: {event}\ndata: ").into()
            }
            Some(Next::Gap { first_held }) => {
                self.told = place;
                format!("event: gap\nid: {place}\ndata: {{\"firstHeld\":\"{first_held}\"}}\n\n").into()
            }
        })
    }

    /// The next piece of a large event. If it cannot be had, the client comes again: it was not told that it has it, because
    /// that takes an empty line.
    async fn piece(&mut self, event: EventId, from: usize, len: usize) -> Option<Bytes> {
        let piece = self.feed.hub().piece(event, from, PIECE).await.ok().flatten()?;
        let until = from + piece.len();
        if piece.is_empty() {
            return None;
        }
        if until < len {
            self.large = Some((event, until, len));
            return Some(piece);
        }
        self.large = None;
        let mut last = BytesMut::from(piece);
        last.extend_from_slice(b"\n\n");
        Some(last.freeze())
    }
}

/// Serves one WebSocket to its end: frames as they are stored, and besides `{"type":"position","id":…}` and
/// `{"type":"gap","firstHeld":…}`.
pub(crate) async fn serve(mut feed: Feed, upgrade: OnUpgrade) {
    let hub = Arc::clone(feed.hub());
    let Some(mut line) = Line::open(upgrade, hub.stop.clone()).await else { return };
    if let Some((code, reason)) = tell(&hub, &mut line, &mut feed).await {
        // Its place is free again before it has heard goodbye.
        drop(feed);
        line.close(code, reason).await;
    }
}

/// `None` if the other side is gone.
async fn tell(hub: &Hub, line: &mut Line, feed: &mut Feed) -> Option<(u16, &'static str)> {
    let mut told = feed.place();
    line.say(position(told)).await.ok()?;
    let mut beat = tokio::time::interval_at(Instant::now() + ALIVE, ALIVE);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        tokio::select! {
            () = hub.stop.cancelled() => return Some((1012, "the server stops")),
            _ = beat.tick() => {
                // Counted, not timed: while we write to a slow reader we do not hear it.
                if unanswered >= MISSED {
                    return Some((1008, "pings were not answered"));
                }
                if feed.place() != told {
                    told = feed.place();
                    line.say(position(told)).await.ok()?;
                }
                unanswered += 1;
                line.ping().await.ok()?;
            }
            said = line.read() => match said.ok()? {
                Said::Text(_) | Said::Alive => unanswered = 0,
                Said::Wrong(code, why) => return Some((code, why)),
            },
            next = feed.next() => match next {
                Ok(next) => line.send(feed, next).await.ok()?,
                Err(Ended) => return Some((4403, "you may not read this any more")),
            },
        }
    }
}

fn position(place: EventId) -> String {
    format!(r#"{{"type":"position","id":"{place}"}}"#)
}
