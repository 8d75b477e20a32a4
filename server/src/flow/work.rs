//! One attempt: render, send, judge, record. No transaction is open while we talk to a stranger.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use sonnette_core::backoff::{self, Failure};
use sonnette_core::formats::{Format, Outcome, Rendered, utc};
use sonnette_core::lang::Lang;
use sonnette_core::model::{
    Attempt, Cancelled, Dead, Event, Hook, MINUTE, Millis, Recipient, SECOND, State, Way,
};
use sonnette_core::ports::{
    Names, Outgoing, Posted, Recorded, Reply, SendError, StoreError, Ticket, Verdict, Work,
};
use sonnette_core::secret::Secret;
use sonnette_core::stops::{self, Admission, Reason, StopLink, Why};
use sonnette_core::{mail, message};

use super::preview::EMAIL;
use super::render::{self, Seal, Telling};
use super::{Parts, stop};

/// Nobody starts what they could not finish in time: a letter takes 60 s at most, and its record a moment.
const NEEDED: Millis = 2 * MINUTE;
/// The beginning of a failed reply that is kept.
const EXCERPT: usize = 1024;
/// On an attempt that said less than it should have.
const PLAIN: &str = "the message could not be rendered: a plain one was sent";
/// On an attempt that was posted twice: the receiver may have seen it twice.
const RENEWED: &str = "a kept connection had been closed: posted again at once over a new one";
/// On an attempt that was posted twice because the receiver did not take how the message was put.
pub(super) const PLAINLY: &str =
    "the receiver did not take how the message was put: posted again at once as text alone";
/// Waits between tries to write down what is done already.
const RECORD_AGAIN: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15)];

/// What came of talking to the receiver.
struct Said {
    status: Option<u16>,
    note: Option<String>,
    excerpt: Option<String>,
    outcome: Outcome,
}

/// Makes one attempt, or resolves a letter, and gives the ticket back whatever happens.
pub async fn deliver(parts: &Parts, work: Work) {
    let ticket = work.ticket;
    if parts.clock.now() > ticket.good_until - NEEDED {
        return parts.store.release(ticket);
    }
    let outcome = if work.unresolved { resolve(parts, ticket).await } else { attempt(parts, &work).await };
    match outcome {
        Ok(Recorded::Done) => {}
        Ok(Recorded::Stale) => {
            tracing::debug!(delivery = %ticket.delivery, "somebody else recorded this attempt")
        }
        // The ticket lapses, and the delivery is tried again: a repeat, never a loss.
        Err(error) => {
            tracing::error!(delivery = %ticket.delivery, %error, "an attempt could not be written down")
        }
    }
}

async fn resolve(parts: &Parts, ticket: Ticket) -> Result<Recorded, StoreError> {
    insist(|| parts.store.resolve(ticket, parts.clock.now())).await
}

async fn attempt(parts: &Parts, work: &Work) -> Result<Recorded, StoreError> {
    let at = parts.clock.now();
    if let Some(expires) = work.expires.filter(|expires| *expires <= at) {
        let note = format!("not sent: it was of use until {expires} only");
        let state = State::Dead(Dead::Expired);
        return record(parts, work, at, Err((note, state)), None).await;
    }
    let (said, root) = match &work.recipient {
        Some(recipient) => match insist(|| parts.store.admit(work.ticket, parts.clock.now())).await? {
            Admission::Go => (letter(parts, work, recipient).await?, None),
            Admission::Stop(why) => {
                let note = format!("not sent: {}", says(parts, why, recipient).await?);
                return record(parts, work, at, Err((note, State::Cancelled(why))), None).await;
            }
            // It is held, and its ticket is back.
            Admission::Wait(_) => return Ok(Recorded::Done),
            Admission::Stale => return Ok(Recorded::Stale),
        },
        None => post(parts, work).await?,
    };
    record(parts, work, at, Ok(said), root).await
}

/// Why a letter is not sent, in words for those who may read the hook. What other owners' letters met is not told: only
/// since when and of which sort it was.
async fn says(parts: &Parts, why: Cancelled, recipient: &Recipient) -> Result<String, StoreError> {
    let address = &recipient.address;
    Ok(match why {
        Cancelled::Suppressed => match insist(|| parts.store.suppression(address)).await? {
            Some(found) => {
                let (since, reason) = (utc(found.first), reason(found.why));
                format!("{address} is not written to since {since}: {reason}")
            }
            None => format!("{address} was not written to just now"),
        },
        Cancelled::Unsubscribed => format!("its reader at {address} does not want it"),
        Cancelled::NoRecipient => format!("nobody at {address} confirmed that they want it"),
        _ => format!("{address} is no longer meant"),
    })
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::NoSuchAddress => "its mail server says that there is no such address",
        Why::Bounced => "a letter came back, there is no such address",
        Why::Complained => "its reader complained",
        Why::ByHand => "the operator said so",
    }
}

async fn record(
    parts: &Parts,
    work: &Work,
    at: Millis,
    said: Result<Said, (String, State)>,
    root: Option<String>,
) -> Result<Recorded, StoreError> {
    let now = parts.clock.now();
    let ticket = work.ticket;
    let (said, verdict) = match said {
        Err((note, state)) => (
            Said { status: None, note: Some(note), excerpt: None, outcome: Outcome::Refused },
            Verdict::End(state),
        ),
        Ok(said) => {
            let verdict = verdict(parts, work, &said, now);
            (said, verdict)
        }
    };
    let attempt = Attempt {
        number: ticket.attempt,
        at,
        took: u32::try_from(now - at).unwrap_or(u32::MAX),
        status: said.status,
        note: said.note,
        excerpt: said.excerpt,
        succeeded: said.outcome == Outcome::Delivered,
    };
    insist(|| parts.store.record(ticket, attempt.clone(), verdict, root.clone())).await
}

/// What a receiver's answer means for the delivery: pure but for the luck of the jitter.
fn verdict(parts: &Parts, work: &Work, said: &Said, now: Millis) -> Verdict {
    let not_before = match said.outcome {
        Outcome::Delivered => return Verdict::End(State::Delivered),
        Outcome::Refused => return Verdict::End(State::Dead(Dead::Refused)),
        Outcome::Gone => return Verdict::End(State::Dead(Dead::Gone)),
        Outcome::Again { not_before } => not_before,
    };
    let own: Option<Vec<Millis>> = work
        .hook
        .as_ref()
        .and_then(|loaded| loaded.hook.schedule.as_ref())
        .map(|steps| steps.iter().map(|seconds| Millis::from(*seconds) * SECOND).collect());
    let usual = if work.recipient.is_some() {
        (backoff::MAIL_STEPS, backoff::MAIL_GIVE_UP_AFTER)
    } else {
        (backoff::POST_STEPS, backoff::GIVE_UP_AFTER)
    };
    let (steps, within) = own.as_deref().map_or(usual, |own| (own, backoff::GIVE_UP_AFTER));
    let failure = Failure {
        // Not the ticket's number: a resent delivery goes on counting, and its schedule begins anew.
        attempts: work.made + 1,
        accepted: work.since,
        now,
        not_before,
        luck: parts.luck.fraction(),
    };
    match backoff::after(failure, steps, within) {
        Some(due) if work.expires.is_some_and(|expires| expires <= due) => {
            Verdict::End(State::Dead(Dead::Expired))
        }
        Some(due) => Verdict::Again(due),
        None => Verdict::End(State::Dead(Dead::Exhausted)),
    }
}

// ------------------------------------------------------------------------------------------------------- posts

/// Also what later messages of its thread hang on, if that is this one.
async fn post(parts: &Parts, work: &Work) -> Result<(Said, Option<String>), StoreError> {
    let found = work.hook.as_ref().and_then(|loaded| {
        let Way::Webhook { destinations } = &loaded.hook.way else { return None };
        destinations
            .iter()
            .find(|destination| destination.id == work.destination)
            .zip(loaded.secrets.as_ref())
    });
    let Some((destination, secrets)) = found else {
        return Ok((never("its destination is not on the hook"), None));
    };
    let Some(format) = (parts.formats)(&destination.format) else {
        return Ok((never("its format is not known to this version"), None));
    };
    let names = if render::wants_names(format) { names(parts, &work.event).await? } else { Names::default() };
    let delivery = work.ticket.delivery;
    let id = delivery.to_string();
    let telling = Telling {
        event: &work.event,
        delivery,
        names: &names,
        thread: work.thread.as_deref(),
        plainly: false,
    };
    let rendered = |telling| {
        let seal = Seal { secrets, id: &id, now: parts.clock.now() };
        told(render::request(parts.words(), telling, format, destination, seal), work, format.name)
    };
    let Some((request, mut note)) = rendered(telling) else { return Ok((unsaid(), None)) };
    let body = request.body.clone();
    let mut posted = parts.egress.post(request).await;
    let mut first = work.thread.is_none();
    let plainly = || rendered(Telling { plainly: true, ..telling }).map(|(request, _)| request);
    if let Ok(reply) = &posted
        && let Some(plain) = put_plainly(format, reply, &body, plainly)
    {
        posted = parts.egress.post(plain).await;
        (note, first) = (Some(PLAINLY), true);
    }
    let (said, root) = match posted {
        Ok(reply) => {
            let root = format.thread_root.filter(|_| first).and_then(|root| root(&reply));
            (judged(&reply, (format.classify)(&reply, parts.clock.now())), root)
        }
        Err(error) => (lost(&error), None),
    };
    Ok((noted(note, said), root))
}

/// What is posted instead, if a receiver did not take how a message was put and it can be put otherwise.
pub(super) fn put_plainly(
    format: &Format,
    reply: &Reply,
    sent: &Bytes,
    plainly: impl FnOnce() -> Option<Outgoing>,
) -> Option<Outgoing> {
    (format.misread)(reply).then(plainly).flatten().filter(|plain| plain.body != sent)
}

/// What is sent, and what is to be noted of it; `None` if nothing can be said.
fn told<T>(rendered: Rendered<T>, work: &Work, format: &str) -> Option<(T, Option<&'static str>)> {
    if !matches!(rendered, Rendered::Whole(_)) {
        let delivery = work.ticket.delivery;
        tracing::error!(%delivery, kind = work.event.kind, format, "a message could not be rendered");
    }
    match rendered {
        Rendered::Whole(sent) => Some((sent, None)),
        Rendered::Plain(sent) => Some((sent, Some(PLAIN))),
        Rendered::Failed => None,
    }
}

/// A note before what the attempt says itself.
fn noted(note: Option<&str>, said: Said) -> Said {
    let both = note.map(str::to_owned).into_iter().chain(said.note);
    Said { note: both.reduce(|one, two| format!("{one}; {two}")), ..said }
}

async fn names(parts: &Parts, event: &Event) -> Result<Names, StoreError> {
    insist(|| parts.store.names(event.owner, event.resource.clone(), message::author(event))).await
}

fn judged(reply: &Reply, outcome: Outcome) -> Said {
    let excerpt = (outcome != Outcome::Delivered && !reply.body.is_empty())
        .then(|| String::from_utf8_lossy(&reply.body[..reply.body.len().min(EXCERPT)]).into_owned());
    let note = reply.renewed.then(|| RENEWED.to_owned());
    Said { status: Some(reply.status), note, excerpt, outcome }
}

/// What it means that nobody answered.
pub(super) fn outcome(error: &SendError) -> Outcome {
    match error {
        SendError::Closed(_) => Outcome::Refused,
        SendError::Forbidden(_) | SendError::Network(_) | SendError::Timeout(_) => {
            Outcome::Again { not_before: None }
        }
    }
}

fn lost(error: &SendError) -> Said {
    Said { status: None, note: Some(error.to_string()), excerpt: None, outcome: outcome(error) }
}

/// Not final: the next version may know how, and it is the message that is at fault, not the receiver.
fn unsaid() -> Said {
    Said {
        status: None,
        note: Some("not sent: the message could not be rendered, not even plainly".to_owned()),
        excerpt: None,
        outcome: Outcome::Again { not_before: None },
    }
}

fn never(why: &str) -> Said {
    Said { status: None, note: Some(why.to_owned()), excerpt: None, outcome: Outcome::Refused }
}

// ----------------------------------------------------------------------------------------------------- letters

async fn letter(parts: &Parts, work: &Work, recipient: &Recipient) -> Result<Said, StoreError> {
    let names = names(parts, &work.event).await?;
    let hook: Option<&Hook> = work.hook.as_ref().map(|loaded| &loaded.hook);
    let delivery = work.ticket.delivery;
    let telling = Telling { event: &work.event, delivery, names: &names, thread: None, plainly: false };
    let lang = work.lang.as_deref().map(Lang::of);
    let stop = hook.and_then(|hook| stop_link(parts, hook, recipient));
    let rendered = render::letter(parts.words_in(lang), telling, recipient, hook, stop.as_ref());
    let Some((letter, note)) = told(rendered, work, EMAIL) else { return Ok(unsaid()) };
    let said = match parts.egress.mail(letter).await {
        Posted::Accepted(words) => {
            Said { status: Some(250), note: Some(words), excerpt: None, outcome: Outcome::Delivered }
        }
        Posted::Written(path) => Said {
            status: None,
            note: Some(format!("written to {path}, not sent: no relay is set")),
            excerpt: None,
            outcome: Outcome::Delivered,
        },
        Posted::Again(status, words) => {
            Said { status, note: Some(words), excerpt: None, outcome: Outcome::Again { not_before: None } }
        }
        Posted::NoSuchAddress(code, words) => {
            // Before the attempt is written down: if that fails, the letter is not tried again all the same.
            let reason = Reason {
                address: recipient.address.clone(),
                why: Why::NoSuchAddress,
                note: Some(words.clone()),
                delivery: Some(delivery),
            };
            insist(|| stop::suppress(parts, work.event.owner, reason.clone())).await?;
            Said { status: Some(code), note: Some(words), excerpt: None, outcome: Outcome::Refused }
        }
        Posted::Refused(status, words) => {
            if mail::reply::is_policy(&words) {
                let now = parts.clock.now();
                if parts.policy_told.fetch_update(Relaxed, Relaxed, |last| tells_again(last, now)).is_ok() {
                    let said = mail::reply::enhanced(&words).unwrap_or_default();
                    tracing::warn!(%delivery, status, said, "the relay refuses letters by policy");
                }
            }
            Said { status, note: Some(words), excerpt: None, outcome: Outcome::Refused }
        }
    };
    Ok(noted(note, said))
}

/// The time to note if the operator is to be told now: once a minute. The words of a refusal, which may name people, stand
/// with the attempt.
fn tells_again(last: Millis, now: Millis) -> Option<Millis> {
    (!(last..last.saturating_add(MINUTE)).contains(&now)).then_some(now)
}

/// How the reader stops this hook's letters.
pub(super) fn stop_link(parts: &Parts, hook: &Hook, recipient: &Recipient) -> Option<Secret> {
    let public_url = parts.public_url.as_deref()?;
    let link = StopLink { hook: hook.id, address: recipient.address.clone() };
    Some(Secret::new(stops::page(public_url, "u", &link.token(&parts.sealer))))
}

/// Asks the store, again if it cannot now. While it cannot, this place in the window stays taken, and so nothing new is
/// sent that could not be written down either.
async fn insist<F, T>(mut ask: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for wait in RECORD_AGAIN {
        match ask().await {
            Err(StoreError::Unavailable(why)) => tracing::warn!(why, "an attempt waits for the store"),
            outcome => return outcome,
        }
        tokio::time::sleep(wait).await;
    }
    ask().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_of_once_a_minute() {
        let told = tells_again(Millis::MIN, 5).unwrap();
        assert_eq!(told, 5);
        for now in [5, 6, 5 + MINUTE - 1] {
            assert_eq!(tells_again(told, now), None);
        }
        assert_eq!(tells_again(told, 5 + MINUTE), Some(5 + MINUTE));
        // A clock that was set back.
        assert_eq!(tells_again(told, 4), Some(4));
    }
}
