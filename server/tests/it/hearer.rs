//! A receiver that hears requests to the last byte, and answers by a script.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long a test waits for what it expects.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Method and target.
    pub line: String,
    /// As written, in order.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Heard {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(one, _)| one == name);
        found.map_or_else(|| panic!("no {name} in {self:#?}"), |(_, value)| value)
    }
}

/// See the module.
pub struct Hearer {
    /// Where it is: `http://127.0.0.1:…`.
    pub url: String,
    heard: UnboundedReceiver<Heard>,
}

impl Hearer {
    /// Answers every request with what the script makes of it: a status, and a body.
    pub async fn answering(script: fn(&Heard) -> (u16, String)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, heard) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, script, tell.clone()));
            }
        });
        Self { url, heard }
    }

    /// Takes everything.
    pub async fn new() -> Self {
        Self::answering(|_| (200, "ok".to_owned())).await
    }

    /// The next request.
    pub async fn next(&mut self) -> Heard {
        tokio::time::timeout(PATIENCE, self.heard.recv()).await.expect("a request comes").unwrap()
    }

    /// What came and was not asked for yet.
    pub fn rest(&mut self) -> Vec<Heard> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

async fn talk(stream: TcpStream, script: fn(&Heard) -> (u16, String), tell: UnboundedSender<Heard>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let first = lines.remove(0);
        let headers = lines.iter().map(|line| line.split_once(": ").unwrap());
        let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut heard =
            Heard { line: first.trim_end_matches(" HTTP/1.1").to_owned(), headers, body: String::new() };
        let mut body = vec![0; heard.header("content-length").parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        heard.body = String::from_utf8(body).unwrap();
        let (status, body) = script(&heard);
        tell.send(heard).unwrap_or_default();
        let reply = format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: text/plain\r\nx-request-id: r1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}
