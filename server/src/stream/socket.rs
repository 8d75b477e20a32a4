//! The platform's event socket: who speaks is told in the first message, and every event of theirs comes as its frame.
//!
//! Clients take an error of id 2001 for wrong credentials and do not come again; after any other end they do.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use hyper::upgrade::OnUpgrade;
use serde::Deserialize;
use sonnette_core::model::Caller;
use tokio::time::MissedTickBehavior;

use super::feed::{Ended, Feed, Scope};
use super::filter::Filter;
use super::line::{Gone, Line, Said};
use crate::contract::problem::{Id, Problem};
use crate::http::{Credential, Site};

/// The URLs a client may have signed for the first message: the library signs the first, others were documented. With two
/// slashes where its `API_HOST` ends in one.
pub(crate) const SIGNED: [&str; 6] = [
    "/v2/events/",
    "/v2/events",
    "/v2/events/event-socket",
    "//v2/events/",
    "//v2/events",
    "//v2/events/event-socket",
];
/// How long the first message may take.
const FIRST: Duration = Duration::from_secs(10);
/// Heartbeats a client may leave unanswered.
const MISSED: u32 = 3;

/// The first message.
#[derive(Deserialize)]
struct First {
    message_type: String,
    authorization: String,
}

/// Why a socket is closed.
enum Closed {
    /// Wrong credentials, or none: the client need not come again.
    Refused(String),
    /// Not now.
    Later(&'static str),
    /// It spoke wrongly.
    Wrong(u16, &'static str),
    /// The server stops.
    Stopping,
    /// The other side is gone.
    Gone,
}

impl From<Gone> for Closed {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Serves one socket to its end. `urls` are the absolute forms of [`SIGNED`].
pub(crate) async fn serve(site: Arc<Site>, upgrade: OnUpgrade, urls: Vec<String>) {
    let Some(mut line) = Line::open(upgrade, site.streams.stop.clone()).await else { return };
    match speak(&site, &mut line, &urls).await {
        Closed::Refused(message) => {
            let message = serde_json::Value::from(message);
            if line.say(format!(r#"{{"type":"error","id":2001,"message":{message}}}"#)).await.is_ok() {
                line.close(4001, "Authentication failure").await;
            }
        }
        Closed::Later(why) => line.close(1013, why).await,
        Closed::Wrong(code, why) => line.close(code, why).await,
        Closed::Stopping => line.close(1012, "the server stops").await,
        Closed::Gone => {}
    }
}

async fn speak(site: &Arc<Site>, line: &mut Line, urls: &[String]) -> Closed {
    let hub = &site.streams;
    let first = tokio::select! {
        first = tokio::time::timeout(FIRST, line.read()) => first,
        () = hub.stop.cancelled() => return Closed::Stopping,
    };
    let text = match first {
        Ok(Ok(Said::Text(text))) => text,
        Ok(Ok(Said::Wrong(_, why))) => return Closed::Refused(why.to_owned()),
        Ok(Ok(Said::Alive)) => return Closed::Refused("the first message says who you are".to_owned()),
        Ok(Err(Gone)) => return Closed::Gone,
        Err(_) => return Closed::Refused(format!("the first message arrives within {} s", FIRST.as_secs())),
    };
    let mut feed = match enter(site, &text, urls).await {
        Ok(feed) => feed,
        Err(Problem { id: Id::Unavailable | Id::Busy, .. }) => return Closed::Later("try again in a moment"),
        Err(problem) => return Closed::Refused(problem.detail),
    };
    drop(text);
    match tell(line, &mut feed).await {
        Ok(closed) | Err(closed) => closed,
    }
}

/// Reads the first message, and opens the feed of who sent it.
async fn enter(site: &Arc<Site>, text: &str, urls: &[String]) -> Result<Feed, Problem> {
    let wrong = |why: String| Problem::new(Id::Unauthorised, why);
    let form = r#"the first message is {"message_type":"oauth","authorization":"…"}"#;
    sonnette_core::json::scan(text).map_err(|error| wrong(error.to_string()))?;
    let first: First = serde_json::from_str(text).map_err(|_| wrong(form.to_owned()))?;
    if first.message_type != "oauth" {
        return Err(wrong(form.to_owned()));
    }
    let denied = || wrong("you are not logged in, or your credentials are wrong".to_owned());
    let caller = site.authorise(&first.authorization, &Method::GET, urls).await?.ok_or_else(denied)?;
    let credential = Credential::of(&first.authorization).ok_or_else(denied)?;
    let Caller::Person { user, .. } = caller else {
        return Err(wrong(
            "an operator token stands for nobody: an owner's stream is at /api/v1/owners/OWNER/stream"
                .to_owned(),
        ));
    };
    Feed::open(&site.streams, caller, credential, Scope::Person(user), Filter::default(), None).await
}

/// Tells what happens, and that we are there.
async fn tell(line: &mut Line, feed: &mut Feed) -> Result<Closed, Closed> {
    let hub = Arc::clone(feed.hub());
    let delay = hub.heartbeat.as_millis();
    let ping = format!(r#"{{"type":"heartbeat","heartbeat_msg":"ping","heartbeat_delay_ms":{delay}}}"#);
    line.say(r#"{"message_type":"socket_ready"}"#).await?;
    let mut beat = tokio::time::interval(hub.heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        tokio::select! {
            () = hub.stop.cancelled() => return Ok(Closed::Stopping),
            _ = beat.tick() => {
                // Counted, not timed: while we write to a slow reader we do not hear it.
                if unanswered >= MISSED {
                    return Ok(Closed::Wrong(1008, "heartbeats were not answered"));
                }
                unanswered += 1;
                line.say(ping.clone()).await?;
            }
            said = line.read() => match said? {
                // Pongs; whatever else is said means nothing.
                Said::Text(_) | Said::Alive => unanswered = 0,
                Said::Wrong(code, why) => return Ok(Closed::Wrong(code, why)),
            },
            next = feed.next() => match next {
                Ok(next) => line.send(feed, next).await?,
                Err(Ended) => return Ok(Closed::Refused("you are not logged in any more".to_owned())),
            },
        }
    }
}
