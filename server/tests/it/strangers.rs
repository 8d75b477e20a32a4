//! The receivers and the relay, by a script: they answer, fail, or never answer, and remember everything.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use sonnette_core::model::Millis;
use sonnette_core::ports::{Clock, Egress, Letter, Outgoing, Posted, Reply, SendError, Times, Traced};
use tokio::sync::watch;

use crate::world::Hands;

/// What a stranger does with one request or letter.
#[derive(Debug, Clone, Copy)]
pub enum Say {
    /// HTTP status, or SMTP code: 2xx, 4xx and 5xx are what they are there.
    Status(u16),
    /// HTTP status and body.
    Words(u16, &'static str),
    /// HTTP status and `Retry-After`.
    Later(u16, &'static str),
    /// Nobody is at that address (SMTP 550 5.1.1).
    Nobody,
    /// The connection breaks.
    Break,
    /// The service has closed, so nobody is dialled.
    Closed,
    /// No answer until [`Strangers::release`], then as if it were the status.
    Hang(u16),
}

/// A request or letter as it arrived.
#[derive(Debug, Clone)]
pub struct Heard {
    /// URL or address.
    pub to: String,
    /// When.
    pub at: Millis,
    /// `webhook-id`, or the letter's Message-ID before the `@`; empty where the format has none.
    pub id: String,
    /// The body, or subject and text.
    pub body: String,
    /// What was answered.
    pub said: Say,
}

impl Heard {
    /// Whether it was taken.
    pub fn taken(&self) -> bool {
        matches!(self.said, Say::Status(200..=299) | Say::Words(200..=299, _) | Say::Hang(200..=299))
    }
}

/// By whom, and how many times they were asked before.
type Script = Box<dyn Fn(&str, usize) -> Say + Send + Sync>;

/// Attempts under way: now, and at most so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Out {
    pub now: usize,
    pub most: usize,
}

impl Out {
    fn step(&mut self, begins: bool) {
        if begins {
            self.now += 1;
            self.most = self.most.max(self.now);
        } else {
            self.now -= 1;
        }
    }
}

/// Everybody out there.
pub struct Strangers {
    script: Script,
    heard: Mutex<Vec<Heard>>,
    out: Mutex<HashMap<String, Out>>,
    released: watch::Sender<bool>,
    /// Told of everything that happens.
    changed: watch::Sender<()>,
    clock: Mutex<Option<Hands>>,
}

/// All of them together, in [`Strangers::out`].
pub const ALL: &str = "";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Strangers {
    /// Strangers who do as the script says.
    pub fn new(script: impl Fn(&str, usize) -> Say + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            heard: Mutex::default(),
            out: Mutex::default(),
            released: watch::Sender::new(false),
            changed: watch::Sender::new(()),
            clock: Mutex::default(),
        }
    }

    /// They live by this clock from now on.
    pub fn live_by(&self, clock: Hands) {
        *lock(&self.clock) = Some(clock);
    }

    /// Everything that arrived, in order.
    pub fn heard(&self) -> Vec<Heard> {
        lock(&self.heard).clone()
    }

    /// What arrived at one URL or address.
    pub fn heard_by(&self, to: &str) -> Vec<Heard> {
        self.heard().into_iter().filter(|heard| heard.to == to).collect()
    }

    /// Attempts under way at one URL or address, or at [`ALL`].
    pub fn out(&self, to: &str) -> Out {
        lock(&self.out).get(to).copied().unwrap_or_default()
    }

    /// Those who hang answer, and do not hang any more.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Wakes whenever something arrives or is answered.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    async fn ask(&self, to: &str, id: String, body: String) -> Say {
        let under_way = UnderWay::begin(self, to);
        let before = lock(&self.heard).iter().filter(|heard| heard.to == to).count();
        let said = (self.script)(to, before);
        let at = lock(&self.clock).as_ref().map(Clock::now).unwrap_or_default();
        lock(&self.heard).push(Heard { to: to.to_owned(), at, id, body, said });
        self.changed.send_replace(());
        if matches!(said, Say::Hang(_)) {
            // They live as long as whoever asks.
            self.released.subscribe().wait_for(|released| *released).await.unwrap();
        }
        drop(under_way);
        said
    }
}

/// Counts an attempt, also one that is broken off.
struct UnderWay<'a>(&'a Strangers, String);

impl<'a> UnderWay<'a> {
    fn begin(strangers: &'a Strangers, to: &str) -> Self {
        let this = Self(strangers, to.to_owned());
        this.step(true);
        this
    }

    fn step(&self, begins: bool) {
        let mut out = lock(&self.0.out);
        out.entry(self.1.clone()).or_default().step(begins);
        out.entry(ALL.to_owned()).or_default().step(begins);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.step(false);
    }
}

#[async_trait]
impl Egress for Strangers {
    async fn post(&self, request: Outgoing) -> Result<Reply, SendError> {
        let id = request.headers.iter().find(|(name, _)| name == "webhook-id");
        let id = id.map(|(_, value)| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        let mut words = "ok";
        let (status, retry_after) = match self.ask(request.url.expose(), id, body).await {
            Say::Status(status) | Say::Hang(status) => (status, None),
            Say::Words(status, said) => {
                words = said;
                (status, None)
            }
            Say::Later(status, when) => (status, Some(when.to_owned())),
            Say::Break | Say::Nobody => return Err(SendError::Network("the connection broke".to_owned())),
            Say::Closed => return Err(SendError::Closed("flowdock")),
        };
        Ok(Reply { status, retry_after, body: Bytes::from_static(words.as_bytes()), renewed: false })
    }

    async fn trace(&self, request: Outgoing) -> Traced {
        Traced { outcome: self.post(request).await, headers: HeaderMap::new(), times: Times::default() }
    }

    async fn mail(&self, letter: Letter) -> Posted {
        let body = format!("{}\n{}", letter.subject, letter.text);
        match self.ask(&letter.to, letter.message_id, body).await {
            Say::Status(code @ 500..) | Say::Hang(code @ 500..) | Say::Words(code @ 500.., _) => {
                Posted::Refused(Some(code), "no".to_owned())
            }
            Say::Status(code @ 400..) | Say::Hang(code @ 400..) | Say::Words(code @ 400.., _) => {
                Posted::Again(Some(code), "not now".to_owned())
            }
            Say::Nobody => Posted::NoSuchAddress(550, "5.1.1 no such user".to_owned()),
            Say::Status(_) | Say::Hang(_) | Say::Words(..) => Posted::Accepted("2.0.0 ok".to_owned()),
            Say::Later(..) | Say::Break | Say::Closed => {
                Posted::Again(None, "the connection broke".to_owned())
            }
        }
    }
}
