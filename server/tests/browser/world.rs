//! What the tests stand on: the real program with a data directory of its own, and a receiver that answers as it is told.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::File;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// Whatever is waited for is there within this, or the test fails.
pub const LIMIT: Duration = Duration::from_secs(30);
/// How often one looks.
pub const LOOK: Duration = Duration::from_millis(20);

/// A server that runs, asked as its operator would.
pub struct World {
    pub origin: String,
    pub receiver: Receiver,
    operator: String,
    http: Client<HttpConnector, Full<Bytes>>,
    dir: TempDir,
    _child: Child,
}

impl World {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sonnette"))
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"])
            .arg(dir.path().join("data"))
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.path().join("log")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let origin = loop {
            match lines.next_line().await.unwrap() {
                Some(line) => {
                    if let Some(origin) = line.strip_prefix("listening on ") {
                        break origin.to_owned();
                    }
                }
                None => panic!("{}", std::fs::read_to_string(dir.path().join("log")).unwrap()),
            }
        };
        // What is printed later (links that sign in) is read, so that nobody waits for the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let operator = std::fs::read_to_string(dir.path().join("data/operator-token")).unwrap();
        Self {
            origin,
            receiver: Receiver::start().await,
            operator: operator.trim().to_owned(),
            http: Client::builder(TokioExecutor::new()).build_http(),
            dir,
            _child: child,
        }
    }

    /// Asks our own API as the operator: status and answer.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.origin))
            .header("authorization", format!("Bearer {}", self.operator))
            .header("content-type", "application/json");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.http.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// The same, where it must succeed.
    pub async fn op(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    async fn made(&self, path: &str, body: Value) -> String {
        id(&self.op("POST", path, body).await)
    }

    pub async fn user(&self, name: &str, email: &str) -> String {
        self.made("/users", json!({"email": email, "name": name, "lang": "en"})).await
    }

    pub async fn organisation(&self, name: &str) -> String {
        self.made("/organisations", json!({"name": name})).await
    }

    pub async fn member(&self, organisation: &str, user: &str, role: &str) {
        self.op("PUT", &format!("/organisations/{organisation}/members/{user}"), json!({"role": role})).await;
    }

    pub async fn application(&self, owner: &str, name: &str) -> String {
        let resource = json!({"kind": "application", "name": name});
        self.made(&format!("/owners/{owner}/resources"), resource).await
    }

    pub async fn hook(&self, owner: &str, hook: Value) -> String {
        self.made(&format!("/owners/{owner}/hooks"), hook).await
    }

    /// Publishes an event; its id.
    pub async fn emit(&self, kind: &str, owner: &str, data: Value) -> String {
        self.made("/events", json!({"event": kind, "ownerId": owner, "data": data})).await
    }

    /// A deployment of an application that ended.
    pub async fn deployed(&self, kind: &str, owner: &str, application: &str, name: &str) -> String {
        let state = if kind == "DEPLOYMENT_SUCCESS" { "OK" } else { "FAIL" };
        let data = json!({
            "id": application, "appId": application, "ownerId": owner, "name": name,
            "uuid": "deployment_5d0c7b2e-1f3a-4c8b-9d7e-2a6b4c8d0e1f", "state": state, "action": "DEPLOY",
            "commit": "9f1c2d3e4b5a69788796a5b4c3d2e1f001122334", "branch": "main", "cause": "Git", "duration": 132,
        });
        self.emit(kind, owner, data).await
    }

    /// A link that signs somebody in.
    pub async fn link(&self, email: &str) -> String {
        let made = self.op("POST", "/sign-in-links", json!({"email": email})).await;
        made["url"].as_str().unwrap().to_owned()
    }

    /// Waits until every delivery an owner is owed was tried.
    pub async fn settled(&self, owner: &str) {
        let end = Instant::now() + LIMIT;
        loop {
            let path = format!("/deliveries?owner={owner}&state=pending&limit=1");
            let waiting = self.op("GET", &path, Value::Null).await["items"].take();
            if waiting.as_array().unwrap().is_empty() {
                return;
            }
            assert!(Instant::now() < end, "still on its way: {waiting:#}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The deliveries of an event.
    pub async fn deliveries(&self, event: &str) -> Vec<Value> {
        let list = self.op("GET", &format!("/deliveries?event={event}"), Value::Null).await;
        list["items"].as_array().unwrap().clone()
    }

    /// The letters written so far to an address.
    pub fn letters(&self, address: &str) -> Vec<String> {
        let folder = self.dir.path().join("data/mail/new");
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let letters = files.map(|file| std::fs::read_to_string(file.path()).unwrap());
        let to = |letter: &String| {
            let line = letter.lines().find(|line| line.starts_with("To: "));
            line.is_some_and(|line| line.contains(address))
        };
        letters.filter(to).collect()
    }
}

/// The id of what was made.
pub fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id in {value}")).to_owned()
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Came {
    pub path: String,
    pub signed: bool,
    pub body: Value,
}

#[derive(Default)]
struct Heard {
    came: Mutex<Vec<Came>>,
    answers: Mutex<HashMap<String, (u16, String)>>,
}

/// A receiver of webhooks. Each of its doors answers 200 and `ok`, as Slack does, or what it is told to.
pub struct Receiver {
    port: u16,
    heard: Arc<Heard>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Heard>::default();
        let shared = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let heard = Arc::clone(&shared);
                let service = service_fn(move |request| hear(Arc::clone(&heard), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { port, heard }
    }

    /// The URL of a door, which begins with a slash.
    pub fn url(&self, door: &str) -> String {
        format!("http://127.0.0.1:{}{door}", self.port)
    }

    /// From now on this door answers so.
    pub fn answers(&self, door: &str, status: u16, body: &str) {
        self.heard.answers.lock().unwrap().insert(door.to_owned(), (status, body.to_owned()));
    }

    /// What came to a door.
    pub fn at(&self, door: &str) -> Vec<Came> {
        self.heard.came.lock().unwrap().iter().filter(|came| came.path == door).cloned().collect()
    }
}

async fn hear(
    heard: Arc<Heard>,
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (status, words) =
        heard.answers.lock().unwrap().get(&path).cloned().unwrap_or_else(|| (200, "ok".to_owned()));
    heard.came.lock().unwrap().push(Came {
        path,
        signed: head.headers.contains_key("webhook-signature"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    Ok(http::Response::builder().status(status).body(Full::new(words.into())).unwrap())
}
