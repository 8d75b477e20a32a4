//! The posting side of the ledger: what to post next, and what came of each post.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::book::Fate;
use crate::line::{Answer, Line};
use crate::payload::{self, Payload, uuid_of};

/// How long a connection waits after 429 or 503.
const AFTER_REFUSAL: Duration = Duration::from_millis(20);
/// How long a connection with nothing to post waits.
const IDLE: Duration = Duration::from_millis(2);

/// What was posted so far, shared by all connections.
pub(super) struct Posts {
    log: Mutex<Log>,
    seed: u64,
    size: usize,
}

pub(super) struct Log {
    /// By number.
    pub(super) fates: Vec<Fate>,
    /// Numbers to be posted again.
    again: VecDeque<u64>,
    /// Numbers under way.
    in_flight: usize,
    pub(super) reposted: u64,
    /// New numbers allowed.
    allowed: u64,
    /// Whether posters end when there is nothing to post.
    finishing: bool,
}

enum Next {
    Post(u64),
    Wait,
    End,
}

impl Posts {
    pub(super) fn new(seed: u64, size: usize) -> Self {
        let log = Log {
            fates: Vec::new(),
            again: VecDeque::new(),
            in_flight: 0,
            reposted: 0,
            allowed: 0,
            finishing: false,
        };
        Self { log: Mutex::new(log), seed, size }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn allow(&self, events: u64) {
        self.lock().allowed = events;
    }

    pub(super) fn finish(&self) {
        self.lock().finishing = true;
    }

    fn next(&self) -> Next {
        let mut log = self.lock();
        if let Some(number) = log.again.pop_front() {
            log.reposted += 1;
            log.in_flight += 1;
            return Next::Post(number);
        }
        if log.allowed > 0 {
            log.allowed -= 1;
            log.in_flight += 1;
            log.fates.push(Fate::Open);
            return Next::Post(log.fates.len() as u64 - 1);
        }
        if log.finishing && log.in_flight == 0 { Next::End } else { Next::Wait }
    }

    /// Writes down what came of a post.
    fn close(&self, number: u64, came: Came) {
        let mut log = self.lock();
        log.in_flight -= 1;
        let fate = match came {
            Came::Fate(fate) => fate,
            Came::Silence | Came::Later(_) if has_id(number) => {
                log.again.push_back(number);
                return;
            }
            Came::Silence => Fate::Unknown,
            Came::Later(429) => Fate::Refused(429),
            // A store that fails may have written before it did.
            Came::Later(_) => Fate::Unknown,
        };
        if let Some(place) = usize::try_from(number).ok().and_then(|index| log.fates.get_mut(index)) {
            *place = fate;
        }
    }
}

/// What came of a post.
enum Came {
    Fate(Fate),
    /// The connection broke before the answer.
    Silence,
    /// `429` or `503`: come again.
    Later(u16),
}

fn has_id(number: u64) -> bool {
    number.is_multiple_of(2)
}

/// Starts connections that post until they break, which is how they learn of a kill, or until all is done.
pub(super) fn post(
    posts: &Arc<Posts>,
    connections: usize,
    address: SocketAddr,
    token: &str,
) -> JoinSet<anyhow::Result<()>> {
    let mut posters = JoinSet::new();
    for _ in 0..connections {
        posters.spawn(poster(Arc::clone(posts), address, format!("Bearer {token}")));
    }
    posters
}

/// Waits for all connections to end.
pub(super) async fn join(mut posters: JoinSet<anyhow::Result<()>>, limit: Duration) -> anyhow::Result<()> {
    let all = async {
        while let Some(ended) = posters.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    timeout(limit, all).await.context("posters did not come to an end")?
}

async fn poster(posts: Arc<Posts>, address: SocketAddr, authorization: String) -> anyhow::Result<()> {
    let host = HeaderValue::from_str(&address.to_string())?;
    let authorization = HeaderValue::from_str(&authorization)?;
    let (mut with_id, mut without) = (Payload::new(posts.size, true)?, Payload::new(posts.size, false)?);
    let owner = payload::owner(0);
    // Killed before the connection stood.
    let Ok(mut line) = Line::open(address).await else { return Ok(()) };
    loop {
        let number = match posts.next() {
            Next::Post(number) => number,
            Next::Wait => {
                // Until the kill, which only the connection tells of.
                tokio::time::sleep(IDLE).await;
                if line.is_closed().await {
                    return Ok(());
                }
                continue;
            }
            Next::End => return Ok(()),
        };
        let payload = if has_id(number) { &mut with_id } else { &mut without };
        let time = payload::constant_time(number);
        let event = payload.stamp(&owner, number, time, uuid_of(posts.seed, number));
        let request = Request::post("/api/v1/events")
            .header(HOST, &host)
            .header(AUTHORIZATION, &authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::copy_from_slice(event)))?;
        match line.exchange(request).await {
            Ok(answer) => {
                let came = read(&answer)?;
                let later = matches!(came, Came::Later(_));
                posts.close(number, came);
                if later {
                    // As a poster does that was asked to come later.
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
            }
            Err(_) => {
                posts.close(number, Came::Silence);
                return Ok(());
            }
        }
    }
}

fn read(answer: &Answer) -> anyhow::Result<Came> {
    Ok(match answer.status {
        200 | 202 => {
            let body: Value =
                serde_json::from_slice(&answer.body).context("the answer to an accepted event")?;
            Came::Fate(Fate::Accepted(body["id"].as_str().context("an accepted event has an id")?.into()))
        }
        status @ (429 | 503) => Came::Later(status),
        status @ 400..500 => {
            bail!("a valid event was refused with {status}: {}", String::from_utf8_lossy(&answer.body))
        }
        status => bail!("an event was answered with {status}"),
    })
}
