//! The receiver: takes webhooks on a thread of its own, answers by a script, and remembers what it is asked to.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::book::Seen;
use crate::{clock, payload};

/// Steps a script may have.
const MOST_STEPS: usize = 10_000;

/// What to do with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Answer with this status after a while.
    Answer(u16, Duration),
    /// Never answer.
    Hang,
}

/// What to do with request after request, over and over. Written `204*9,500,slow:250,hang`: nine times 204, once 500,
/// once 204 after 250 ms, once never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script(Vec<Step>);

impl Default for Script {
    fn default() -> Self {
        Self(vec![Step::Answer(204, Duration::ZERO)])
    }
}

impl FromStr for Script {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut steps = Vec::new();
        for part in text.split(',') {
            let (what, times) = part.split_once('*').unwrap_or((part, "1"));
            let times: usize =
                times.parse().with_context(|| format!("`{times}` is not a number of times"))?;
            let step = match what.split_once(':') {
                Some(("slow", millis)) => Step::Answer(204, Duration::from_millis(millis.parse()?)),
                None if what == "hang" => Step::Hang,
                None => {
                    let status =
                        StatusCode::from_str(what).map_err(|_| anyhow!("`{what}` is not a status"))?;
                    Step::Answer(status.as_u16(), Duration::ZERO)
                }
                Some(_) => return Err(anyhow!("`{what}` is not a status, `slow:MILLISECONDS` or `hang`")),
            };
            ensure!(steps.len() + times <= MOST_STEPS, "a script has at most {MOST_STEPS} steps");
            steps.extend(std::iter::repeat_n(step, times));
        }
        ensure!(!steps.is_empty(), "a script has at least one step");
        Ok(Self(steps))
    }
}

/// What to remember of each request, besides that it came.
#[derive(Debug, Clone, Default)]
pub enum Watch {
    /// Nothing.
    #[default]
    Count,
    /// How long it was under way, by the time it carries.
    Latency,
    /// Which delivery of which event it was; frames end with these bytes.
    Record(Bytes),
}

#[derive(Debug)]
struct Shared {
    script: Script,
    watch: Watch,
    received: AtomicU64,
    latencies: Mutex<Vec<(u64, u32)>>,
    seen: Mutex<Seen>,
}

/// A receiver that runs until it is dropped; then its port is closed and its connections are cut.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Receiver {
    /// A receiver on a free port of the loopback.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(watch: Watch, script: Script) -> anyhow::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), watch, script)
    }

    /// A receiver at this address.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub fn start_at(address: SocketAddr, watch: Watch, script: Script) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            script,
            watch,
            received: AtomicU64::new(0),
            latencies: Mutex::default(),
            seen: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let state = Arc::clone(&shared);
        let thread = thread::Builder::new().name("receiver".to_owned()).spawn(move || {
            let listening =
                tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
                    let listener = runtime.block_on(TcpListener::bind(address))?;
                    Ok((listener.local_addr()?, listener, runtime))
                });
            match listening {
                Ok((address, listener, runtime)) => {
                    // Whoever started us waits for this.
                    let _ = tell.send(Ok(address));
                    runtime.block_on(async {
                        tokio::select! {
                            () = accept(listener, state) => {}
                            _ = stopped => {}
                        }
                    });
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        })?;
        let address = told.recv()?.with_context(|| format!("the receiver cannot listen on {address}"))?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of one of its doors; all doors are alike.
    pub fn url(&self, door: usize) -> String {
        format!("http://{}/{door}", self.address)
    }

    /// Requests read to their end so far.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    /// Numbers of events and the microseconds each was under way, since the last time asked.
    pub fn take_latencies(&self) -> Vec<(u64, u32)> {
        std::mem::take(&mut lock(&self.shared.latencies))
    }

    /// What was recorded so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.shared.seen)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of open files, most likely.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let take = service_fn(|request| take(&shared, request));
            // A sender that was killed breaks its connections off: nothing to say about it.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), take).await;
        });
    }
}

async fn take(shared: &Shared, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    match &shared.watch {
        Watch::Count => {}
        Watch::Latency => {
            if let Some(marks) = payload::marks(&body) {
                lock(&shared.latencies).push((marks.number, clock::micros_since(marks.time)));
            }
        }
        Watch::Record(tail) => {
            let id = head.headers.get("webhook-id").and_then(|id| id.to_str().ok());
            let whole = body.ends_with(tail);
            let read = payload::event_id(&body).zip(payload::marks(&body)).filter(|_| whole);
            lock(&shared.seen).note(id, read.map(|(event, marks)| (event, marks.number)));
        }
    }
    let number = shared.received.fetch_add(1, Ordering::Relaxed);
    let steps = &shared.script.0;
    let status = match steps[usize::try_from(number).unwrap_or_default() % steps.len()] {
        Step::Hang => std::future::pending().await,
        Step::Answer(status, after) => {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            status
        }
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(response)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_step_by_step() {
        let script: Script = "204*2,500,slow:250,hang".parse().unwrap();
        let at_once = |status| Step::Answer(status, Duration::ZERO);
        let slow = Step::Answer(204, Duration::from_millis(250));
        assert_eq!(script.0, [at_once(204), at_once(204), at_once(500), slow, Step::Hang]);
    }

    #[test]
    fn a_script_that_says_nothing_is_refused() {
        for text in ["", "204*0", "99", "fast:1", "slow:x", "204*99999"] {
            assert!(text.parse::<Script>().is_err(), "{text}");
        }
    }
}
