//! Readers of streams: Server-Sent Events, our WebSocket, and the platform's event socket. Bare connections, so that ten
//! thousand of them cost this side next to nothing.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a stream may take to begin.
const BEGIN: Duration = Duration::from_secs(30);
/// The largest head of an answer, and the largest message.
const LARGEST: usize = 1 << 20;

/// Which stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `GET /api/v1/owners/{owner}/stream`.
    Events,
    /// `GET /api/v1/owners/{owner}/socket`.
    Socket,
    /// `GET /v2/events/event-socket`: everything of a person.
    Person,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Events, Self::Socket, Self::Person];
}

/// Whose stream, and as whom.
#[derive(Debug, Clone)]
pub struct Door {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Whose.
    pub owner: String,
    /// A pair, `token.secret`, of a member.
    pub pair: String,
    /// Bytes the system may keep for a reader that does not read; as it likes if none are given.
    pub window: Option<u32>,
}

/// A reader of one stream.
#[derive(Debug)]
pub struct Reader {
    stream: TcpStream,
    way: Way,
    read: Vec<u8>,
    /// Read, without the marks of chunks.
    text: Vec<u8>,
}

impl Door {
    /// Opens a stream, from an event on or from now, and waits until it has begun.
    ///
    /// # Errors
    /// If it is refused or does not begin.
    pub async fn open(&self, way: Way, since: Option<&str>) -> anyhow::Result<Reader> {
        timeout(BEGIN, self.begin(way, since)).await.context("a stream did not begin in time")?
    }

    async fn begin(&self, way: Way, since: Option<&str>) -> anyhow::Result<Reader> {
        let socket = TcpSocket::new_v4()?;
        if let Some(window) = self.window {
            socket.set_recv_buffer_size(window)?;
        }
        let mut stream = socket.connect(self.address).await?;
        let since = since.map(|since| format!("?since={since}")).unwrap_or_default();
        let path = match way {
            Way::Events => format!("/api/v1/owners/{}/stream{since}", self.owner),
            Way::Socket => format!("/api/v1/owners/{}/socket{since}", self.owner),
            Way::Person => "/v2/events/event-socket".to_owned(),
        };
        let mut head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if way != Way::Person {
            head.push_str(&format!("authorization: Bearer {}\r\n", self.pair));
        }
        if way != Way::Events {
            head.push_str("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n");
            head.push_str("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut reader = Reader { stream, way, read: Vec::new(), text: Vec::new() };
        let answer = reader.until(b"\r\n\r\n").await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let expected = if way == Way::Events { " 200 " } else { " 101 " };
        ensure!(answer.lines().next().is_some_and(|line| line.contains(expected)), "refused: {answer}");
        match way {
            // Its place.
            Way::Events => drop(reader.block().await?),
            Way::Socket => drop(reader.message().await?),
            Way::Person => {
                reader
                    .say(&format!(r#"{{"message_type":"oauth","authorization":"Bearer {}"}}"#, self.pair))
                    .await?;
                let ready = reader.message().await?;
                ensure!(ready.windows(12).any(|word| word == b"socket_ready"), "not ready");
            }
        }
        Ok(reader)
    }
}

impl Reader {
    /// Sends a short text, masked with zeros (RFC 6455 §5.3 asks for a mask, and for chance only in browsers' sake).
    async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        let len = u16::try_from(text.len())?;
        let mut frame = vec![0x81];
        if len < 126 {
            frame.push(0x80 | len.to_be_bytes()[1]);
        } else {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&len.to_be_bytes());
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        Ok(self.stream.write_all(&frame).await?)
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        ensure!(self.read.len() < LARGEST, "more than {LARGEST} bytes without an end");
        ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the stream has ended");
        Ok(())
    }

    async fn until(&mut self, end: &[u8]) -> anyhow::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|some| some == end) {
                return Ok(self.read.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        while self.read.len() < count {
            self.more().await?;
        }
        Ok(self.read.drain(..count).collect())
    }

    /// The next block of Server-Sent Events, which come in chunks (RFC 9112 §7.1).
    async fn block(&mut self) -> anyhow::Result<String> {
        loop {
            if let Some(at) = self.text.windows(2).position(|two| two == b"\n\n") {
                return Ok(String::from_utf8(self.text.drain(..at + 2).collect())?);
            }
            let size = self.until(b"\r\n").await?;
            let size = usize::from_str_radix(std::str::from_utf8(&size)?.trim_end(), 16)?;
            ensure!((1..LARGEST).contains(&size), "a chunk of {size} bytes");
            let chunk = self.take(size + 2).await?;
            self.text.extend_from_slice(&chunk[..size]);
        }
    }

    /// The next message of a WebSocket.
    async fn message(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut whole = Vec::new();
        loop {
            let head = self.take(2).await?;
            let len = match head[1] {
                126 => {
                    let len = self.take(2).await?;
                    usize::from(u16::from_be_bytes([len[0], len[1]]))
                }
                len @ 0..126 => usize::from(len),
                len => bail!("a frame whose length begins with {len}"),
            };
            let payload = self.take(len).await?;
            match head[0] & 0x0F {
                0..=2 => whole.extend_from_slice(&payload),
                8 => bail!("closed: {}", String::from_utf8_lossy(payload.get(2..).unwrap_or_default())),
                _ => continue,
            }
            if head[0] & 0x80 != 0 {
                return Ok(whole);
            }
        }
    }

    /// The id of the next event.
    ///
    /// # Errors
    /// If the stream ends or is not as expected.
    pub async fn event(&mut self) -> anyhow::Result<String> {
        loop {
            let begin: &[u8] = br#"{"id":""#;
            let frame = match self.way {
                Way::Events => {
                    let block = self.block().await?;
                    block
                        .split_once("data: ")
                        .map(|(_, data)| data.to_owned())
                        .unwrap_or_default()
                        .into_bytes()
                }
                Way::Socket | Way::Person => self.message().await?,
            };
            if let Some(rest) = frame.strip_prefix(begin) {
                return Ok(String::from_utf8(rest.get(..17).context("a short frame")?.to_vec())?);
            }
        }
    }
}
