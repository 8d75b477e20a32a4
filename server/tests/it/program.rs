//! The real program as a child process, and a client for it.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sonnette_bench::api::{Api, Call};
use sonnette_bench::payload::{self, Payload, uuid_of};
use sonnette_bench::receiver::Receiver;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_sonnette");
/// How long it may take to be ready, to answer, or to end: far more than it ever should.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Bytes of one event.
const SIZE: usize = 600;

/// How the program is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct How<'a> {
    /// A command and its options that run the rest.
    pub under: &'a [&'a str],
    /// Shell commands before the program takes the shell's place.
    pub first: &'a str,
    /// Where its log goes.
    pub log: Option<&'a Path>,
}

/// A server. Killed when dropped.
pub struct Server {
    child: Child,
    pid: u32,
    data: PathBuf,
    url: String,
    /// The bench's way of asking it.
    pub api: Api,
    http: Client<HttpConnector, Full<Bytes>>,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub retry_after: Option<String>,
    pub body: Value,
}

impl Got {
    /// The id of what was accepted.
    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {self:?}"))
    }
}

impl Server {
    /// Starts it on a data directory and waits until it is ready.
    pub async fn start(data: &Path, how: How<'_>) -> Self {
        // The shell says its number, which the program then has.
        let script = format!("{}\necho \"pid $$\"\nexec \"$@\"", how.first);
        let shell =
            ["bash", "-c", &script, "bash", BINARY, "serve", "--dev", "--listen", "127.0.0.1:0", "--data"];
        let mut words = how.under.iter().copied().chain(shell);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg(data).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        match how.log {
            Some(log) => {
                command.stderr(std::fs::File::options().append(true).create(true).open(log).unwrap())
            }
            None => command.stderr(Stdio::null()),
        };
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut pid, mut url) = (None, None);
        let ready = async {
            while url.is_none() {
                let Some(line) = lines.next_line().await.unwrap() else {
                    panic!("it ended before it was ready: {how:?}")
                };
                pid = pid.or_else(|| line.strip_prefix("pid ")?.parse().ok());
                url = line.strip_prefix("listening on ").map(str::to_owned);
            }
        };
        timeout(LIMIT, ready).await.unwrap_or_else(|_| panic!("not ready in time: {how:?}"));
        // Whatever else it prints must not fill the pipe and stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (pid, url) = (pid.unwrap(), url.unwrap());
        let token = std::fs::read_to_string(data.join("operator-token")).unwrap();
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        let api = Api { address, token: Arc::from(token.trim()) };
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self { child, pid, data: data.to_owned(), url, api, http }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Makes the bench's owner with one raw webhook to this receiver; gives the hook's id.
    pub async fn prepare(&self, receiver: &Receiver) -> String {
        let owner = payload::owner(0);
        self.api.import_owners(std::slice::from_ref(&owner)).await.unwrap();
        self.api.add_hooks(vec![Call::add_hook(&owner, &receiver.url(0), true)]).await.unwrap().remove(0)
    }

    /// Sends one request.
    pub async fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Got {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.api.token))
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .unwrap();
        let answer = async {
            let response = self.http.request(request).await.unwrap();
            let status = response.status().as_u16();
            let retry_after =
                response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            let body = response.into_body().collect().await.unwrap().to_bytes();
            Got { status, retry_after, body: serde_json::from_slice(&body).unwrap_or_default() }
        };
        timeout(LIMIT, answer).await.unwrap_or_else(|_| panic!("{method} {path} was not answered in time"))
    }

    /// Posts the bench's event of this number.
    pub async fn post(&self, number: u64) -> Got {
        let mut payload = Payload::new(SIZE, false).unwrap();
        let time = payload::constant_time(number);
        let event = payload.stamp(&payload::owner(0), number, time, uuid_of(1, number)).to_vec();
        self.send("POST", "/api/v1/events", event).await
    }

    /// Sends a signal.
    pub async fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(name).arg(self.pid.to_string()).status().await.unwrap();
        assert!(sent.success(), "{name} could not be sent");
    }

    /// Waits until it has ended.
    pub async fn ended(mut self) -> ExitStatus {
        timeout(LIMIT, self.child.wait()).await.expect("it ends in time").unwrap()
    }

    /// Stops it with SIGTERM, which must end it well.
    pub async fn stop(self) {
        self.signal("-TERM").await;
        let data = self.data.clone();
        let status = self.ended().await;
        assert!(status.success(), "the server of {} ended with {status}", data.display());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What runs it may not be what we are the parent of.
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(std::process::Command::new("kill").arg("-KILL").arg(self.pid.to_string()).status());
        }
    }
}

/// How the frames of [`Server::post`] end.
pub fn tail() -> Bytes {
    Payload::new(SIZE, false).unwrap().frame_tail().into()
}
