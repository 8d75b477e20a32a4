//! Streams as their readers meet them: the event socket, Server-Sent Events and WebSocket, over real connections to the real
//! server in this process.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sonnette_core::model::DAY;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::api::Api;
use crate::v2::signed;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

// --------------------------------------------------------------------------------------------------- WebSocket

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn open(api: &Api, path: &str, token: &str) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{}{path}", api.address).into_client_request().unwrap();
        if !token.is_empty() {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let stream = TcpStream::connect(api.address).await.unwrap();
        soon("a handshake", tokio_tungstenite::client_async(request, stream))
            .await
            .map(|(socket, _)| Self(socket))
    }

    /// The event socket of somebody.
    async fn of(api: &Api, authorization: &str) -> Self {
        let mut socket = Self::open(api, "/v2/events/event-socket", "").await.unwrap();
        socket.say(&json!({"message_type": "oauth", "authorization": authorization}).to_string()).await;
        assert_eq!(socket.text().await, r#"{"message_type":"socket_ready"}"#);
        let ping: Value = serde_json::from_str(&socket.text().await).unwrap();
        assert_eq!(ping, json!({"type": "heartbeat", "heartbeat_msg": "ping", "heartbeat_delay_ms": 20_000}));
        socket
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next text, or the code it was closed with.
    async fn next(&mut self) -> Result<String, u16> {
        loop {
            match soon("a message", self.0.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(Some(close)))) => return Err(close.code.into()),
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("not a text: {other:?}"),
            }
        }
    }

    async fn text(&mut self) -> String {
        self.next().await.unwrap_or_else(|code| panic!("closed with {code}"))
    }

    /// The next frame, heartbeats and places passed over.
    async fn frame(&mut self) -> String {
        loop {
            let text = self.text().await;
            if !text.contains(r#""type":"#) {
                return text;
            }
        }
    }

    /// How it ends, whatever comes before.
    async fn end(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

// ------------------------------------------------------------------------------------------- Server-Sent Events

#[derive(Debug, Default, PartialEq, Eq)]
struct Sent {
    event: String,
    id: String,
    data: String,
}

struct Sse {
    body: Incoming,
    read: Vec<u8>,
    /// Where no end of a block was found.
    searched: usize,
}

impl Sse {
    async fn open(api: &Api, path: &str, token: &str, last: Option<&str>) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let mut request = http::Request::builder()
            .uri(format!("http://{}{path}", api.address))
            .header("authorization", format!("Bearer {token}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = soon("an answer", client.request(request.body(Empty::new()).unwrap())).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), read: Vec::new(), searched: 0 }
    }

    /// The next block; `None` at the end.
    async fn block(&mut self) -> Option<Sent> {
        loop {
            let rest = &self.read[self.searched..];
            if let Some(end) = rest.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.read.drain(..self.searched + end + 2).collect();
                self.searched = 0;
                let mut sent = Sent::default();
                for line in String::from_utf8(block).unwrap().lines() {
                    match line.split_once(": ") {
                        Some(("event", value)) => value.clone_into(&mut sent.event),
                        Some(("id", value)) => value.clone_into(&mut sent.id),
                        Some(("data", value)) => value.clone_into(&mut sent.data),
                        Some(("retry", _)) | None => {}
                        Some(other) => panic!("{other:?}"),
                    }
                }
                return Some(sent);
            }
            self.searched = self.read.len().saturating_sub(1);
            match soon("a part of the stream", self.body.frame()).await {
                None => {
                    assert!(self.read.is_empty(), "it ends between two events");
                    return None;
                }
                Some(frame) => self.read.extend_from_slice(&frame.unwrap().into_data().unwrap()),
            }
        }
    }

    /// The next event that has data.
    async fn event(&mut self) -> Sent {
        loop {
            let sent = self.block().await.expect("the stream goes on");
            if !sent.data.is_empty() {
                return sent;
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------------- events

async fn post(api: &Api, owner: &str, kind: &str, data: Value) -> String {
    let got = api.op("POST", "/events", json!({"event": kind, "ownerId": owner, "data": data})).await;
    assert_eq!(got.status, 202, "{}", got.text);
    got.id()
}

async fn joins(api: &Api, organisation: &str, user: &str) {
    let path = format!("/organisations/{organisation}/members/{user}");
    assert!(api.op("PUT", &path, json!({"role": "DEVELOPER"})).await.status < 300);
}

async fn leaves(api: &Api, organisation: &str, user: &str) {
    let path = format!("/organisations/{organisation}/members/{user}");
    assert_eq!(api.op("DELETE", &path, Value::Null).await.status, 204);
}

fn id_of(frame: &str) -> String {
    serde_json::from_str::<Value>(frame).unwrap()["id"].as_str().unwrap().to_owned()
}

/// As the command line of version 4 writes it.
fn plaintext(pair: &str) -> String {
    let (token, secret) = pair.split_once('.').unwrap();
    let consumer = r#"oauth_consumer_key="T5nFjKeHH4AIlEveuGhB5S3xg8T19e""#;
    format!(
        r#"OAuth {consumer}, oauth_token="{token}", oauth_signature="MgVMqTr6fWlf2M0tkC2MXOnhfqBWDT%26{secret}""#
    )
}

/// Takes one webhook, and gives its body.
async fn one_webhook(listener: TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    loop {
        stream.read_buf(&mut read).await.unwrap();
        let Some(head) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8(read[..head].to_vec()).unwrap().to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
        let body = &read[head + 4..];
        if body.len() == length.trim().parse::<usize>().unwrap() {
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
            return body.to_vec();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_socket_gives_the_bytes_that_raw_webhooks_get() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let (alice, pair) = api.user("alice@example.com").await;
    joins(&api, &acme, &alice).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let hook = json!({"kind": "webhook", "name": "raw", "urls": [{"format": "raw", "url": url}]});
    assert_eq!(api.op("POST", &format!("/owners/{acme}/hooks"), hook).await.status, 201);

    let mut socket = Socket::of(&api, &plaintext(&pair)).await;
    socket.say(r#"{"type":"heartbeat","heartbeat_msg":"pong"}"#).await;
    let (body, id) = tokio::join!(
        soon("a webhook", one_webhook(listener)),
        post(&api, &acme, "GIT_PUSH", json!({"commit": "é\"b"}))
    );
    let frame = socket.text().await;
    assert_eq!(frame.as_bytes(), body);
    assert_eq!(frame, api.op("GET", &format!("/events/{id}"), Value::Null).await.text);
    let value: Value = serde_json::from_str(&frame).unwrap();
    assert!(value["date"].is_i64() && value["data"].is_string(), "{frame}");
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_say_who_they_are_gets_error_2001_and_is_closed() {
    let api = Api::start().await;
    let (_, pair) = api.user("alice@example.com").await;
    let first =
        |authorization: &str| json!({"message_type": "oauth", "authorization": authorization}).to_string();
    let wrong = format!("{}x", plaintext(&pair).trim_end_matches('"')) + "\"";
    let deep = format!(
        r#"{{"message_type":"oauth","authorization":{}1{}}}"#,
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    for message in [
        Message::text("nonsense"),
        Message::text("{}"),
        Message::text(r#"{"type":"heartbeat","heartbeat_msg":"pong"}"#),
        Message::text(r#"{"message_type":"oauth"}"#),
        Message::text(r#"{"message_type":"oauth","authorization":5}"#),
        Message::text(first("")),
        Message::text(first("Bearer nonsense")),
        Message::text(first(&wrong)),
        Message::text(first("OAuth \u{1f514}")),
        Message::text(first(&format!("Bearer {}", api.operator))),
        Message::text(deep),
        Message::text("[".repeat(100_000)),
        Message::text(first(&"x".repeat(300_000))),
        Message::binary(vec![0xff; 10]),
        Message::Ping(Bytes::new()),
    ] {
        let shown = format!("{message:?}").chars().take(120).collect::<String>();
        let mut socket = Socket::open(&api, "/v2/events/event-socket", "").await.unwrap();
        // A message that is too large may be cut off while it is sent.
        drop(socket.0.send(message).await);
        let mut error = String::new();
        let code = loop {
            match soon("a refusal", socket.0.next()).await {
                Some(Ok(Message::Text(text))) => error = text.as_str().to_owned(),
                Some(Ok(Message::Close(close))) => break close.map(|close| u16::from(close.code)),
                Some(Ok(Message::Pong(_))) => {}
                other => panic!("{other:?} after {shown}"),
            }
        };
        let error: Value = serde_json::from_str(&error).unwrap();
        assert_eq!(
            (&error["type"], &error["id"], code),
            (&json!("error"), &json!(2001), Some(4001)),
            "{shown} → {error}"
        );
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 5), "{error}");
    }
    let plain = api.send("", "GET", "/v2/events/event-socket", &[], "").await;
    assert_eq!(plain.status, 426, "{}", plain.text);
    let mut socket = Socket::of(&api, &format!("Bearer {pair}")).await;
    drop(socket.0.send(Message::text("x".repeat(70_000))).await);
    assert_eq!(socket.end().await, 1009, "also later, messages are small");
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_only_what_is_theirs_from_joining_until_leaving() {
    let api = Api::start().await;
    let (acme, other) = (api.organisation("Acme").await, api.organisation("Other").await);
    let (alice, alices) = api.user("alice@example.com").await;
    let (bob, bobs) = api.user("bob@example.com").await;
    joins(&api, &acme, &alice).await;
    joins(&api, &other, &bob).await;
    let mut alices = Socket::of(&api, &format!("Bearer {alices}")).await;
    let mut bobs = Socket::of(&api, &format!("Bearer {bobs}")).await;

    let first = post(&api, &acme, "GIT_PUSH", json!({})).await;
    let own = post(&api, &bob, "CREDITS_ADDED", json!({})).await;
    assert_eq!((id_of(&alices.frame().await), id_of(&bobs.frame().await)), (first, own));
    joins(&api, &acme, &bob).await;
    let both = post(&api, &acme, "GIT_PUSH", json!({})).await;
    assert_eq!((id_of(&alices.frame().await), id_of(&bobs.frame().await)), (both.clone(), both));
    leaves(&api, &acme, &bob).await;
    let alone = post(&api, &acme, "GIT_PUSH", json!({})).await;
    let marker = post(&api, &other, "GIT_PUSH", json!({})).await;
    assert_eq!((id_of(&alices.frame().await), id_of(&bobs.frame().await)), (alone, marker));

    assert_eq!(api.op("DELETE", &format!("/users/{bob}"), Value::Null).await.status, 204);
    let error: Value = serde_json::from_str(&bobs.text().await).unwrap();
    assert_eq!((&error["id"], bobs.end().await), (&json!(2001), 4001), "who is gone hears nothing any more");
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_reader_leaves_or_the_token_is_revoked() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let (bob, pair) = api.user("bob@example.com").await;
    joins(&api, &acme, &bob).await;
    let (stream, socket) = (format!("/api/v1/owners/{acme}/stream"), format!("/api/v1/owners/{acme}/socket"));
    let mut events = Sse::open(&api, &stream, &pair, None).await;
    let mut frames = Socket::open(&api, &socket, &pair).await.unwrap();
    leaves(&api, &acme, &bob).await;
    post(&api, &acme, "GIT_PUSH", json!({})).await;
    let mut told = Vec::new();
    while let Some(sent) = events.block().await {
        told.push(sent.data);
    }
    assert!(told.iter().all(String::is_empty), "nothing of after: {told:?}");
    assert_eq!(frames.end().await, 4403);

    joins(&api, &acme, &bob).await;
    let mut all = Socket::of(&api, &format!("Bearer {pair}")).await;
    let mut events = Sse::open(&api, &stream, &pair, None).await;
    let tokens = api.op("GET", "/tokens", Value::Null).await;
    let token = tokens.body["items"].as_array().unwrap().iter().find(|token| token["user"] == bob).unwrap();
    let path = format!("/tokens/{}", token["id"].as_str().unwrap());
    assert_eq!(api.op("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(all.end().await, 4001);
    while events.block().await.is_some() {}
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_lets_through_what_it_names_and_the_place_is_told_whatever_happens() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let resources = format!("/owners/{acme}/resources");
    let app = api.op("POST", &resources, json!({"kind": "application", "name": "web"})).await.id();
    let real = "postgresql_66666666-6666-4666-8666-666666666666";
    let addon = api.op("POST", &resources, json!({"kind": "addon", "name": "db", "realId": real})).await.id();
    let stream = format!("/api/v1/owners/{acme}/stream");
    let query = format!("{stream}?kind=GIT_PUSH&family=META_DEPLOYMENT_RESULT&resource={app},{real}");
    let mut events = Sse::open(&api, &query, &api.operator, None).await;
    let place = events.block().await.unwrap();
    assert_eq!(
        (place.id.get(..4), place.data.as_str()),
        (Some("evt_"), ""),
        "its place, before anything happened"
    );

    post(&api, &acme, "GIT_PUSH", json!({})).await;
    post(&api, &acme, "APPLICATION_STOP", json!({"appId": app})).await;
    let first = post(&api, &acme, "GIT_PUSH", json!({"appId": app})).await;
    let second = post(&api, &acme, "DEPLOYMENT_FAIL", json!({"addonId": addon})).await;
    assert_eq!((events.event().await.id, events.event().await.id), (first.clone(), second));
    let mut again = Sse::open(&api, &format!("{stream}?since={first}"), &api.operator, Some(&place.id)).await;
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(serde_json::from_str::<Value>(&again.event().await.data).unwrap()["event"].clone());
    }
    assert_eq!(
        kinds,
        ["GIT_PUSH", "APPLICATION_STOP", "GIT_PUSH", "DEPLOYMENT_FAIL"],
        "the header, not the query"
    );

    let (_, stranger) = api.user("stranger@example.com").await;
    let nobodys = "/api/v1/owners/orga_99999999-9999-4999-8999-999999999999/stream";
    let future = format!("{stream}?since=evt_7ZZZZZZZZZZZZ");
    for (token, path, status, field) in [
        (api.operator.as_str(), format!("{stream}?kind=DEPLOYED"), 400, "kind"),
        (&api.operator, format!("{stream}?since=yesterday"), 400, "since"),
        (&api.operator, future.clone(), 400, "since"),
        (&api.operator, format!("{stream}?colour=red"), 400, "colour"),
        (&api.operator, nobodys.to_owned(), 404, ""),
        (&api.operator, future.replace("/stream?", "/socket?"), 400, "since"),
        (&api.operator, stream.replace("/stream", "/socket"), 426, ""),
        (&stranger, stream.clone(), 403, ""),
        ("", stream.clone(), 401, ""),
    ] {
        let got = api.send(token, "GET", &path, &[], "").await;
        assert_eq!(
            (got.status, got.body["field"].as_str().unwrap_or_default()),
            (status, field),
            "{path}: {}",
            got.text
        );
    }
    let last = api.send(&api.operator, "GET", &stream, &[("last-event-id", "5")], "").await;
    assert_eq!((last.status, last.body["field"].as_str()), (400, Some("Last-Event-ID")));
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_older_than_what_is_kept_is_answered_with_the_gap() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let old = post(&api, &acme, "GIT_PUSH", json!({})).await;
    let newest = post(&api, &acme, "GIT_PUSH", json!({})).await;
    let now = api.running.parts.clock.now();
    while api.running.parts.store.tidy(now, now + DAY, 0).await.unwrap().more {}
    let new = post(&api, &acme, "GIT_PUSH", json!({})).await;

    let stream = format!("/api/v1/owners/{acme}/stream?since={old}");
    let mut events = Sse::open(&api, &stream, &api.operator, None).await;
    let gap = events.event().await;
    let held = serde_json::from_str::<Value>(&gap.data).unwrap()["firstHeld"].as_str().unwrap().to_owned();
    assert!(gap.event == "gap" && newest < held && held <= new, "{gap:?}");
    assert_eq!(events.event().await.id, new);
    let mut after = Sse::open(&api, &stream, &api.operator, Some(&gap.id)).await;
    assert_eq!(after.event().await.id, new, "the gap is told once");

    let mut frames = Socket::open(&api, &stream.replace("/stream", "/socket"), &api.operator).await.unwrap();
    let gap = loop {
        let value: Value = serde_json::from_str(&frames.text().await).unwrap();
        if value["type"] != "position" {
            break value;
        }
    };
    assert_eq!(gap, json!({"type": "gap", "firstHeld": held}));
    assert_eq!(id_of(&frames.frame().await), new);
    api.running.stop().await;
}

/// Numbers that look like chance and are the same every time (Vigna's splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A reader that is cut off again and again.
struct Reader {
    place: String,
    read: Vec<String>,
    dice: Dice,
}

impl Reader {
    /// Comes once, reads some events, and breaks off without a word.
    async fn comes(&mut self, api: &Api, owner: &str, most: u64) {
        let count = self.dice.below(most + 1);
        let by_socket = self.dice.below(2) == 0;
        if by_socket {
            let path = format!("/api/v1/owners/{owner}/socket?since={}", self.place);
            let mut socket = Socket::open(api, &path, &api.operator).await.unwrap();
            for _ in 0..count {
                self.note(id_of(&socket.frame().await));
            }
        } else {
            let path = format!("/api/v1/owners/{owner}/stream");
            let mut events = Sse::open(api, &path, &api.operator, Some(&self.place)).await;
            for _ in 0..count {
                self.note(events.event().await.id);
            }
        }
    }

    fn note(&mut self, id: String) {
        self.place.clone_from(&id);
        self.read.push(id);
    }
}

/// Posts to the owner and to somebody else, on and on.
async fn writes(api: &Api, owner: &str, other: &str) {
    for n in 0.. {
        let events: Vec<_> = (0..=n % 5)
            .flat_map(|k| {
                [owner, other]
                    .map(|owner| json!({"event": "GIT_PUSH", "ownerId": owner, "data": {"n": n, "k": k}}))
            })
            .collect();
        assert_eq!(api.op("POST", "/events", events.into()).await.status, 202);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_cut_off_a_hundred_times_gets_each_event_once_in_order() {
    let mut api = Api::start().await;
    let (acme, other) = (api.organisation("Acme").await, api.organisation("Other").await);
    let begin = post(&api, &acme, "GIT_PUSH", json!({})).await;
    let mut reader = Reader { place: begin.clone(), read: Vec::new(), dice: Dice(4) };
    for _ in 0..2 {
        let reads = async {
            for _ in 0..50 {
                reader.comes(&api, &acme, 12).await;
            }
        };
        tokio::select! {
            () = reads => {}
            () = writes(&api, &acme, &other) => {}
        }
        api = api.restart().await;
    }
    let mut expected = Vec::new();
    let mut after = String::new();
    loop {
        let page = api.op("GET", &format!("/owners/{acme}/events?limit=200{after}"), Value::Null).await.body;
        expected.extend(
            page["items"].as_array().unwrap().iter().map(|frame| frame["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    expected.reverse();
    assert_eq!(expected.remove(0), begin);
    while reader.read.len() < expected.len() {
        let left = (expected.len() - reader.read.len()) as u64;
        reader.comes(&api, &acme, left.min(50)).await;
    }
    assert!(expected.len() > 300, "there was something to read: {}", expected.len());
    assert_eq!(reader.read, expected);
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stands_still_blocks_nobody_and_reads_on_later() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let (stream, socket) = (format!("/api/v1/owners/{acme}/stream"), format!("/api/v1/owners/{acme}/socket"));
    let mut still_frames = Socket::open(&api, &socket, &api.operator).await.unwrap();
    let mut still_events = Sse::open(&api, &stream, &api.operator, None).await;
    let mut frames = Socket::open(&api, &socket, &api.operator).await.unwrap();
    let mut events = Sse::open(&api, &stream, &api.operator, None).await;

    // More than the connections hold, in events larger than what is kept for a reader; characters of three bytes, so
    // that the pieces they are sent in do not end between two.
    let large = |n: usize| json!({"event": "GIT_PUSH", "ownerId": acme, "data": {"n": n, "text": "\u{266a}".repeat(80_000)}});
    let mut ids = Vec::new();
    for round in 0..2 {
        let batch: Vec<_> = (0..20).map(|n| large(20 * round + n)).collect();
        let got = soon("intake", api.op("POST", "/events", batch.into())).await;
        assert_eq!(got.status, 202);
        ids.extend(
            got.body["results"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()),
        );
    }
    let small = post(&api, &acme, "GIT_PUSH", json!({})).await;
    ids.push(small);
    for id in &ids {
        assert_eq!((&id_of(&frames.frame().await), &events.event().await.id), (id, id), "the others go on");
    }
    for id in &ids {
        let (frame, sent) = (still_frames.frame().await, still_events.event().await);
        assert_eq!((&id_of(&frame), &sent.id), (id, id));
        assert!(frame == sent.data, "the same bytes");
    }
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_at_once_when_the_server_stops() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let (_, pair) = api.user("alice@example.com").await;
    let mut all = Socket::of(&api, &format!("Bearer {pair}")).await;
    let mut frames =
        Socket::open(&api, &format!("/api/v1/owners/{acme}/socket"), &api.operator).await.unwrap();
    let mut events = Sse::open(&api, &format!("/api/v1/owners/{acme}/stream"), &api.operator, None).await;
    let mut waiting = Socket::open(&api, "/v2/events/event-socket", "").await.unwrap();
    let ends = async {
        while events.block().await.is_some() {}
        (all.end().await, frames.end().await, waiting.end().await)
    };
    let stopped = timeout(Duration::from_secs(5), async { tokio::join!(api.running.stop(), ends) }).await;
    assert_eq!(stopped.map(|((), ends)| ends), Ok((1012, 1012, 1012)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_answers_no_heartbeat_is_let_go_and_one_that_does_stays() {
    let api = Api::with("[streams]\nheartbeat_seconds = 1\n").await;
    let (alice, pair) = api.user("alice@example.com").await;
    let first = json!({"message_type": "oauth", "authorization": format!("Bearer {pair}")}).to_string();
    let ping = r#"{"type":"heartbeat","heartbeat_msg":"ping","heartbeat_delay_ms":1000}"#;
    let mut silent = Socket::open(&api, "/v2/events/event-socket", "").await.unwrap();
    let mut lively = Socket::open(&api, "/v2/events/event-socket", "").await.unwrap();
    for socket in [&mut silent, &mut lively] {
        socket.say(&first).await;
        assert_eq!(socket.text().await, r#"{"message_type":"socket_ready"}"#);
    }
    let answers = async {
        for _ in 0..4 {
            assert_eq!(lively.text().await, ping);
            lively.say(r#"{"type":"heartbeat","heartbeat_msg":"pong"}"#).await;
        }
    };
    assert_eq!(tokio::join!(silent.end(), answers).0, 1008);
    let event = post(&api, &alice, "CREDITS_ADDED", json!({})).await;
    assert_eq!(id_of(&lively.frame().await), event);
    api.running.stop().await;
}

/// What a request for a stream is answered with, before anything of it is read.
async fn status(api: &Api, path: &str, token: &str) -> u16 {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let request = http::Request::builder()
        .uri(format!("http://{}{path}", api.address))
        .header("authorization", format!("Bearer {token}"));
    let response = soon("an answer", client.request(request.body(Empty::new()).unwrap())).await.unwrap();
    response.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_listen_is_one_table() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let app = json!({"kind": "application", "name": "web"});
    let app = api.op("POST", &format!("/owners/{acme}/resources"), app).await.id();
    // Role; the application asked for as one's own, the owner's streams, and whether the event socket opens and tells.
    for (role, own, streams, opens, tells) in [
        ("ADMIN", 200, 200, true, true),
        ("MANAGER", 200, 200, true, true),
        ("DEVELOPER", 200, 200, true, true),
        ("ACCOUNTING", 200, 200, true, true),
        ("stranger", 404, 403, true, false),
        ("operator", 403, 200, false, false),
        ("nobody", 401, 401, false, false),
    ] {
        let (user, token) = match role {
            "operator" => (acme.clone(), api.operator.clone()),
            "nobody" => (acme.clone(), "wrong.credentials".to_owned()),
            _ => api.user(&format!("{}@example.com", role.to_lowercase())).await,
        };
        if tells {
            let path = format!("/organisations/{acme}/members/{user}");
            assert_eq!(api.op("PUT", &path, json!({"role": role})).await.status, 200);
        }
        let got = api.send(&token, "GET", &format!("/v2/self/applications/{app}"), &[], "").await;
        assert_eq!(got.status, own, "{role} {}", got.text);
        assert_eq!(status(&api, &format!("/api/v1/owners/{acme}/stream"), &token).await, streams, "{role}");
        let socket = Socket::open(&api, &format!("/api/v1/owners/{acme}/socket"), &token).await;
        let answered = match socket {
            Ok(_) => 200,
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            Err(other) => panic!("{role}: {other}"),
        };
        assert_eq!(answered, streams, "{role}");

        if !opens {
            let mut socket = Socket::open(&api, "/v2/events/event-socket", "").await.unwrap();
            let first = json!({"message_type": "oauth", "authorization": format!("Bearer {token}")});
            socket.say(&first.to_string()).await;
            assert!(socket.text().await.contains("2001"), "{role}");
            assert_eq!(socket.end().await, 4001, "{role}");
            continue;
        }
        let mut socket = Socket::of(&api, &format!("Bearer {token}")).await;
        let theirs = post(&api, &acme, "GIT_PUSH", json!({"appId": app})).await;
        let own = post(&api, &user, "CREDITS_ADDED", json!({})).await;
        let first = id_of(&socket.frame().await);
        assert_eq!(first, if tells { theirs } else { own }, "{role}");
    }
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opened_the_event_socket_once_does_not_open_it_again() {
    let api = Api::start().await;
    let (_, pair) = api.user("alice@example.com").await;
    let once = format!(r#"{}, oauth_nonce="n""#, plaintext(&pair));
    drop(Socket::of(&api, &once).await);
    let mut again = Socket::open(&api, "//v2/events/event-socket", "").await.unwrap();
    again.say(&json!({"message_type": "oauth", "authorization": once}).to_string()).await;
    let error: Value = serde_json::from_str(&again.text().await).unwrap();
    assert_eq!((&error["id"], again.end().await), (&json!(2001), 4001), "{error}");
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_host_with_a_slash_at_its_end_reaches_the_event_socket_too() {
    let api = Api::start().await;
    let (alice, pair) = api.user("alice@example.com").await;
    let mut socket = Socket::open(&api, "//v2/events/event-socket", "").await.unwrap();
    let url = format!("http://{}//v2/events/", api.address);
    let signed = signed(&url, &pair, "n");
    socket.say(&json!({"message_type": "oauth", "authorization": signed}).to_string()).await;
    assert_eq!(socket.text().await, r#"{"message_type":"socket_ready"}"#);
    let event = post(&api, &alice, "CREDITS_ADDED", json!({})).await;
    assert_eq!(id_of(&socket.frame().await), event);
    api.running.stop().await;
}
