//! The few calls a run makes besides posting events: owners, hooks, and whether anything still waits.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::line::{Answer, Line};
use crate::payload::KIND;

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Owners told in one import.
const IMPORTED_AT_ONCE: usize = 1_000;
/// Connections for many calls.
const AT_ONCE: usize = 32;
/// How often we ask whether anything waits.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Asks a server as an operator.
#[derive(Debug, Clone)]
pub struct Api {
    /// Where it listens.
    pub address: SocketAddr,
    /// An operator token.
    pub token: Arc<str>,
}

/// A call to be made.
#[derive(Debug, Clone)]
pub struct Call {
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: String,
}

impl Call {
    fn get(path: String) -> Self {
        Self { method: "GET", path, content_type: "application/json", body: String::new() }
    }

    fn post(path: String, body: &Value) -> Self {
        Self { method: "POST", path, content_type: "application/json", body: body.to_string() }
    }

    /// Makes a webhook of one raw destination, for the kind that is posted or for another.
    pub fn add_hook(owner: &str, url: &str, matching: bool) -> Self {
        let events = [if matching { KIND } else { "CREDITS_ADDED" }];
        let hook = json!({
            "kind": "webhook", "name": "Bench", "events": events, "urls": [{"format": "raw", "url": url}],
        });
        Self::post(format!("/api/v1/owners/{owner}/hooks"), &hook)
    }

    /// Makes an e-mail hook that writes to these addresses about the kind that is posted.
    pub fn add_email_hook(owner: &str, addresses: &[String]) -> Self {
        let target = |address| json!({"type": "address", "address": address});
        let targets: Vec<_> = addresses.iter().map(target).collect();
        let hook = json!({"kind": "email", "name": "Bench", "events": [KIND], "targets": targets});
        Self::post(format!("/api/v1/owners/{owner}/hooks"), &hook)
    }

    /// Pauses a hook.
    pub fn pause(hook: &str) -> Self {
        Self::post(format!("/api/v1/hooks/{hook}/pause"), &json!({}))
    }
}

impl Api {
    /// Makes one call on a connection of its own.
    ///
    /// # Errors
    /// If it fails, or the answer is not 2xx with JSON or nothing.
    pub async fn call(&self, call: Call) -> anyhow::Result<Value> {
        let mut line = timeout(CALL_LIMIT, Line::open(self.address)).await??;
        self.call_on(&mut line, call).await
    }

    async fn call_on(&self, line: &mut Line, call: Call) -> anyhow::Result<Value> {
        let what = format!("{} {}", call.method, call.path);
        let request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, call.content_type)
            .body(Full::new(Bytes::from(call.body)))?;
        let answer = timeout(CALL_LIMIT, line.exchange(request)).await;
        let Answer { status, body, .. } =
            answer.map_err(|_| anyhow!("{what} was not answered in time"))??;
        if !(200..300).contains(&status) {
            bail!("{what} was answered with {status}: {}", String::from_utf8_lossy(&body));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).with_context(|| format!("the answer to {what}"))
    }

    /// Makes many calls, some at a time; the answers are in the order of the calls.
    ///
    /// # Errors
    /// The first that fails.
    pub async fn call_all(&self, calls: Vec<Call>) -> anyhow::Result<Vec<Value>> {
        let total = calls.len();
        let queue: VecDeque<_> = calls.into_iter().enumerate().collect();
        let queue = Arc::new(Mutex::new(queue));
        let mut callers = JoinSet::new();
        for _ in 0..AT_ONCE.min(total) {
            let (api, queue) = (self.clone(), Arc::clone(&queue));
            callers.spawn(async move {
                let mut line = Line::open(api.address).await?;
                let mut answers = Vec::new();
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((index, call)) = next else { return anyhow::Ok(answers) };
                    answers.push((index, api.call_on(&mut line, call).await?));
                }
            });
        }
        let mut answers = Vec::with_capacity(total);
        while let Some(some) = callers.join_next().await {
            answers.append(&mut some??);
        }
        answers.sort_unstable_by_key(|(index, _)| *index);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Makes organisations.
    ///
    /// # Errors
    /// If the import fails.
    pub async fn import_owners(&self, owners: &[String]) -> anyhow::Result<()> {
        for some in owners.chunks(IMPORTED_AT_ONCE) {
            let line = |id: &String| format!("{}\n", json!({"organisation": {"id": id, "name": "Bench"}}));
            let body = some.iter().map(line).collect();
            let path = "/api/v1/import".to_owned();
            self.call(Call { method: "POST", path, content_type: "application/x-ndjson", body }).await?;
        }
        Ok(())
    }

    /// Makes applications of an owner.
    ///
    /// # Errors
    /// If the import fails.
    pub async fn import_applications(&self, owner: &str, count: u64) -> anyhow::Result<()> {
        let numbers: Vec<u64> = (0..count).collect();
        for some in numbers.chunks(IMPORTED_AT_ONCE) {
            let line = |n: &u64| {
                let id = format!("app_{n:08}-0000-4000-8000-000000000000");
                format!(
                    "{}\n",
                    json!({"resource": {"id": id, "owner": owner, "name": format!("application-{n:05}")}})
                )
            };
            let body = some.iter().map(line).collect();
            let path = "/api/v1/import".to_owned();
            self.call(Call { method: "POST", path, content_type: "application/x-ndjson", body }).await?;
        }
        Ok(())
    }

    /// Makes an admin of an organisation, and gives a link that signs them in.
    ///
    /// # Errors
    /// If one call is refused.
    pub async fn admin_link(&self, owner: &str) -> anyhow::Result<String> {
        let email = "admin@example.com";
        let user = json!({"email": email, "name": "Admin"});
        let user = text(&self.call(Call::post("/api/v1/users".to_owned(), &user)).await?, "id")?;
        let path = format!("/api/v1/organisations/{owner}/members/{user}");
        self.call(Call { method: "PUT", ..Call::post(path, &json!({"role": "ADMIN"})) }).await?;
        let link = Call::post("/api/v1/sign-in-links".to_owned(), &json!({"email": email}));
        text(&self.call(link).await?, "url")
    }

    /// The first item of a list.
    ///
    /// # Errors
    /// If there is none.
    pub async fn first(&self, list: &str) -> anyhow::Result<Value> {
        let mut list = self.call(Call::get(list.to_owned())).await?;
        list["items"].get_mut(0).map(Value::take).ok_or_else(|| anyhow!("a list without items"))
    }

    /// Makes a member of an organisation, and gives a pair of theirs.
    ///
    /// # Errors
    /// If one call is refused.
    pub async fn member(&self, owner: &str) -> anyhow::Result<String> {
        let user = json!({"email": "reader@example.com", "name": "Reader"});
        let user = text(&self.call(Call::post("/api/v1/users".to_owned(), &user)).await?, "id")?;
        let path = format!("/api/v1/organisations/{owner}/members/{user}");
        self.call(Call { method: "PUT", ..Call::post(path, &json!({"role": "DEVELOPER"})) }).await?;
        let pair = json!({"name": "bench", "user": user});
        let pair = self.call(Call::post("/api/v1/tokens".to_owned(), &pair)).await?;
        Ok(format!("{}.{}", text(&pair, "token")?, text(&pair, "secret")?))
    }

    /// Makes hooks and gives their ids.
    ///
    /// # Errors
    /// If one is refused.
    pub async fn add_hooks(&self, calls: Vec<Call>) -> anyhow::Result<Vec<String>> {
        let id = |hook: &Value| {
            hook["id"].as_str().map(str::to_owned).ok_or_else(|| anyhow!("a hook without an id"))
        };
        self.call_all(calls).await?.iter().map(id).collect()
    }

    /// Deliveries a hook holds.
    ///
    /// # Errors
    /// If there is no such hook.
    pub async fn held(&self, hook: &str) -> anyhow::Result<u64> {
        let hook = self.call(Call::get(format!("/api/v1/hooks/{hook}"))).await?;
        hook["held"].as_u64().ok_or_else(|| anyhow!("a hook without `held`"))
    }

    /// Whether anything of these hooks still waits to be delivered or to be written down.
    ///
    /// # Errors
    /// If a list cannot be read.
    pub async fn waits(&self, hooks: &[String]) -> anyhow::Result<bool> {
        for hook in hooks {
            for state in ["pending", "retrying"] {
                let path = format!("/api/v1/deliveries?hook={hook}&state={state}&limit=1");
                let list = self.call(Call::get(path)).await?;
                let items = list["items"].as_array().ok_or_else(|| anyhow!("a list without `items`"))?;
                if !items.is_empty() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Waits until nothing of these hooks waits any more; gives the moment the question was asked that found so.
    ///
    /// # Errors
    /// If it takes longer than `limit`.
    pub async fn settled(&self, hooks: &[String], limit: Duration) -> anyhow::Result<Instant> {
        let since = Instant::now();
        loop {
            let asked = Instant::now();
            if !self.waits(hooks).await? {
                return Ok(asked);
            }
            if since.elapsed() > limit {
                bail!("deliveries still wait after {} s", limit.as_secs());
            }
            // The server is asked from outside, as its users ask it: nobody there would wake us.
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// A text of an answer.
fn text(answer: &Value, name: &str) -> anyhow::Result<String> {
    answer[name].as_str().map(str::to_owned).ok_or_else(|| anyhow!("an answer without `{name}`"))
}
