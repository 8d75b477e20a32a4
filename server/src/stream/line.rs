//! A WebSocket with bounds: what comes in is small, what goes out waits here in one piece at most, and who does not read is
//! let go.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sonnette_core::model::Event;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, error::ProtocolError};
use tokio_util::sync::CancellationToken;

use super::feed::{BYTES, Feed, Next};
use crate::contract::problem::{Id, Problem};

/// The largest message a client may send.
const LARGEST: usize = 64 << 10;
/// What a large event is cut into: RFC 6455 §5.4 lets one message be sent in several frames.
pub(super) const PIECE: usize = 16 << 10;
/// How long one write may take.
const STALLED: Duration = Duration::from_secs(60);
/// How long the protocol may take to change once we agreed.
const UPGRADED: Duration = Duration::from_secs(10);
/// How long a goodbye may take, and how long the other side has to hear it.
const GOODBYE: Duration = Duration::from_secs(2);
/// What is read and thrown away meanwhile: closing with something unread would take back what was said last.
const DRAINED: usize = 1 << 20;

/// See the module.
pub(super) struct Line {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    stop: CancellationToken,
}

/// The other side is gone, or does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

/// What the other side says.
#[derive(Debug)]
pub(super) enum Said {
    /// A message of text.
    Text(String),
    /// A sign of life.
    Alive,
    /// Something that may not be sent: why, and the code to close with.
    Wrong(u16, &'static str),
}

/// Agrees to speak WebSocket (RFC 6455 §4.2). Without compression: it would take memory for each reader.
///
/// # Errors
/// A response that says how to ask.
pub(crate) fn agree(request: &mut Parts) -> Result<(OnUpgrade, Response), Box<Response>> {
    let headers = &request.headers;
    let asks = lists(headers, &CONNECTION, "upgrade") && lists(headers, &UPGRADE, "websocket");
    let accept = headers.get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let version = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let accept = accept.and_then(|accept| HeaderValue::from_str(&accept).ok()).filter(|_| asks && version);
    // HTTP/2 has no such change of protocol (RFC 9113 §8.6).
    let upgrade = request.extensions.remove::<OnUpgrade>();
    let (Some(upgrade), Some(accept)) = (upgrade, accept) else {
        let problem =
            Problem::new(Id::UpgradeRequired, "ask for an upgrade to WebSocket, version 13, over HTTP/1.1");
        let headers = [
            (UPGRADE, HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        ];
        return Err(Box::new((headers, problem).into_response()));
    };
    let headers = [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((upgrade, (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()))
}

/// Whether a header that is a list of words has one.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}

impl Line {
    /// The line, once the protocol has changed.
    pub(super) async fn open(upgrade: OnUpgrade, stop: CancellationToken) -> Option<Self> {
        let upgraded = tokio::time::timeout(UPGRADED, upgrade).await.ok()?.ok()?;
        let config = WebSocketConfig::default()
            .read_buffer_size(2 << 10)
            .write_buffer_size(BYTES)
            .max_write_buffer_size(4 * PIECE)
            .max_message_size(Some(LARGEST))
            .max_frame_size(Some(LARGEST));
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        Some(Self { socket, stop })
    }

    /// Waits for the other side to say something. Nothing is lost if it is given up.
    pub(super) async fn read(&mut self) -> Result<Said, Gone> {
        loop {
            return match self.socket.next().await {
                // Reading on answers it.
                Some(Ok(Message::Close(_))) => continue,
                Some(Ok(Message::Text(text))) => Ok(Said::Text(text.as_str().to_owned())),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Said::Alive),
                Some(Ok(Message::Binary(_))) => Ok(Said::Wrong(1003, "only text is read here")),
                Some(Err(Error::Capacity(_))) => Ok(Said::Wrong(1009, "a message has at most 64 KiB")),
                Some(Err(Error::Utf8(_))) => Ok(Said::Wrong(1007, "text is UTF-8")),
                Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => Err(Gone),
                Some(Err(Error::Protocol(_))) => Ok(Said::Wrong(1002, "that is not WebSocket")),
                Some(Err(_)) | None => Err(Gone),
            };
        }
    }

    async fn write(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<(), Gone> {
        let write = async {
            for message in messages {
                self.socket.feed(message).await?;
            }
            self.socket.flush().await
        };
        let patience = async {
            let stopped = tokio::time::timeout(STALLED, self.stop.cancelled()).await.is_ok();
            if stopped {
                tokio::time::sleep(GOODBYE).await;
            }
        };
        tokio::select! {
            written = write => written.map_err(|_| Gone),
            () = patience => Err(Gone),
        }
    }

    /// Says something of our own.
    pub(super) async fn say(&mut self, text: impl Into<String>) -> Result<(), Gone> {
        self.write([Message::text(text.into())]).await
    }

    /// A ping of the protocol's own.
    pub(super) async fn ping(&mut self) -> Result<(), Gone> {
        self.write([Message::Ping(Bytes::new())]).await
    }

    /// Sends what comes next: frames as they are stored.
    pub(super) async fn send(&mut self, feed: &Feed, next: Next) -> Result<(), Gone> {
        match next {
            Next::Events(events) => self.write(events.into_iter().map(whole)).await,
            Next::Large { event, len } => {
                let mut from = 0;
                while from < len {
                    let piece = feed.hub().piece(event, from, PIECE).await;
                    // Erased meanwhile, or the store does not answer: whoever comes again finds out.
                    let piece = piece.ok().flatten().filter(|piece| !piece.is_empty()).ok_or(Gone)?;
                    let kind = if from == 0 { Data::Text } else { Data::Continue };
                    from += piece.len();
                    let frame = Frame::message(piece, OpCode::Data(kind), from >= len);
                    self.write([Message::Frame(frame)]).await?;
                }
                Ok(())
            }
            Next::Gap { first_held } => {
                self.say(format!(r#"{{"type":"gap","firstHeld":"{first_held}"}}"#)).await
            }
        }
    }

    /// Says goodbye, and gives the other side a moment to hear it.
    pub(super) async fn close(mut self, code: u16, reason: &'static str) {
        let close = Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() }));
        let goodbye = async {
            if self.socket.send(close).await.is_err() {
                return;
            }
            // The other side answers, and then the connection ends from here (RFC 6455 §7.1.1).
            while let Some(Ok(_)) = self.socket.next().await {}
            let (mut buffer, mut left) = ([0; 1024], DRAINED);
            let stream = self.socket.get_mut();
            if stream.shutdown().await.is_err() {
                return;
            }
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                match left.checked_sub(read) {
                    Some(less) => left = less,
                    None => return,
                }
            }
        };
        // Whoever does not hear it finds the connection closed.
        drop(tokio::time::timeout(GOODBYE, goodbye).await);
    }
}

/// An event as a message: its frame, byte for byte.
fn whole(event: Event) -> Message {
    Message::Frame(Frame::message(event.frame, OpCode::Data(Data::Text), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(&str, &str)]) -> u16 {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        match agree(&mut parts) {
            Ok((_, response)) => response.status().as_u16(),
            Err(response) => response.status().as_u16(),
        }
    }

    #[test]
    fn whoever_does_not_ask_for_websocket_is_told_to() {
        for headers in [
            &[][..],
            &[
                ("connection", "keep-alive"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "x"),
            ],
            &[
                ("connection", "Upgrade"),
                ("upgrade", "h2c"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "x"),
            ],
            &[
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "8"),
                ("sec-websocket-key", "x"),
            ],
            &[("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")],
            // Rightly asked, but on a connection that cannot change, as those of HTTP/2.
            &[
                ("connection", "x, Upgrade"),
                ("upgrade", "WebSocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "x"),
            ],
        ] {
            assert_eq!(asked(headers), 426, "{headers:?}");
        }
    }
}
