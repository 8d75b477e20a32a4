//! Tests: what a hook would send, sent now by the same way as every attempt, while somebody looks on. Owed by nothing and
//! written down nowhere: a test is neither a delivery nor a failure.

use std::time::Duration;

use sonnette_core::formats::Outcome;
use sonnette_core::lang::Lang;
use sonnette_core::model::{Destination, Hook, Recipient, SigningSecrets};
use sonnette_core::ports::{Posted, Times};
use tokio::time::{Instant, timeout};

use super::Parts;
use super::preview::{self, Conceal, Preview, Told};
use super::render::{self, Seal, Telling};
use super::work;

/// What begins the `webhook-id` of a test, and its Message-ID.
pub const MARK: &str = "test_";
/// The longest somebody waits for the relay; deliveries wait longer.
const RELAY: Duration = Duration::from_secs(20);
/// Characters of a reply that are shown.
const EXCERPT: usize = 4096;
/// Characters of one of its headers.
const LONGEST_HEADER: usize = 300;
/// The headers of a reply that say something about it.
const TELLING: [&str; 12] = [
    "content-type",
    "content-length",
    "date",
    "server",
    "via",
    "location",
    "allow",
    "www-authenticate",
    "retry-after",
    "x-ratelimit-remaining",
    "x-ratelimit-reset-after",
    "x-request-id",
];

/// What was sent, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// As it went out.
    pub sent: Preview,
    /// What it would have meant for a delivery.
    pub outcome: Outcome,
    /// HTTP status or SMTP code.
    pub status: Option<u16>,
    /// The reply of a webhook's receiver, if there was one.
    pub reply: Option<SeenReply>,
    /// Why there was none, or what the relay said, or where the letter was written.
    pub says: Option<String>,
    /// How long it took.
    pub times: Times,
}

/// A reply as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenReply {
    /// Those that say something.
    pub headers: Vec<(String, String)>,
    /// Its beginning.
    pub body: String,
    /// Whether there is more of it.
    pub more: bool,
}

/// A number no delivery of the event has, another one for every test: services that recognise repeats take each for new.
fn number(parts: &Parts) -> u32 {
    let mut bytes = [0; 4];
    parts.luck.fill(&mut bytes);
    u32::from_le_bytes(bytes) | 1 << 31
}

/// Posts to one destination. `None` if its format is not known to this version.
pub async fn post(
    parts: &Parts,
    told: &Told,
    destination: &Destination,
    secrets: &SigningSecrets,
) -> Option<Tested> {
    let format = (parts.formats)(&destination.format)?;
    let telling = told.telling(number(parts));
    let id = format!("{MARK}{}", telling.delivery);
    let rendered = |telling| {
        let seal = Seal { secrets, id: &id, now: parts.clock.now() };
        render::request(parts.words(), telling, format, destination, seal).sent()
    };
    let (mut request, mut says) = (rendered(telling)?, None);
    let mut traced = parts.egress.trace(request.clone()).await;
    if let Ok(reply) = &traced.outcome
        && let Some(plain) =
            work::put_plainly(format, reply, &request.body, || rendered(Telling { plainly: true, ..telling }))
    {
        traced = parts.egress.trace(plain.clone()).await;
        (request, says) = (plain, Some(work::PLAINLY.to_owned()));
    }
    let sent = Preview::Request(preview::seen(&request, format, destination));
    let conceal = Conceal::of(format, destination);
    Some(match traced.outcome {
        Ok(reply) => {
            let text = conceal.text(&String::from_utf8_lossy(&reply.body));
            let body: String = text.chars().take(EXCERPT).collect();
            Tested {
                sent,
                outcome: (format.classify)(&reply, parts.clock.now()),
                status: Some(reply.status),
                reply: Some(SeenReply {
                    headers: conceal.headers(&traced.headers, &TELLING, LONGEST_HEADER),
                    more: body.len() < text.len(),
                    body,
                }),
                says,
                times: traced.times,
            }
        }
        Err(error) => Tested {
            sent,
            outcome: work::outcome(&error),
            status: None,
            reply: None,
            says: Some(error.to_string()),
            times: traced.times,
        },
    })
}

/// Writes to one recipient of a hook, who reads this language.
///
/// # Errors
/// In words, if there is no such letter.
pub async fn mail(
    parts: &Parts,
    told: &Told,
    recipient: &Recipient,
    lang: Option<Lang>,
    hook: &Hook,
) -> Result<Tested, String> {
    let telling = told.telling(number(parts));
    let desk = parts.desk(lang);
    let mut shown = preview::shown_letter(desk, telling, recipient, Some(hook))?;
    let stop = work::stop_link(parts, hook, recipient);
    let letter = render::letter(desk.words, telling, recipient, Some(hook), stop.as_ref());
    let mut letter = letter.sent().ok_or(preview::UNSAID)?;
    for letter in [&mut shown, &mut letter] {
        letter.message_id = format!("{MARK}{}", telling.delivery);
    }
    let sent = Preview::Letter(preview::seen_letter(&parts.letterhead, &shown, parts.clock.now())?);
    let began = Instant::now();
    let posted = match timeout(RELAY, parts.egress.mail(letter)).await {
        Ok(posted) => posted,
        Err(_) => Posted::Again(None, format!("no answer from the relay within {} s", RELAY.as_secs())),
    };
    let (outcome, status, says) = match posted {
        Posted::Accepted(words) => (Outcome::Delivered, Some(250), words),
        Posted::Written(path) => {
            (Outcome::Delivered, None, format!("written to {path}, not sent: no relay is set"))
        }
        Posted::Again(code, words) => (Outcome::Again { not_before: None }, code, words),
        Posted::Refused(code, words) => (Outcome::Refused, code, words),
        Posted::NoSuchAddress(code, words) => (Outcome::Refused, Some(code), words),
    };
    let times = Times { total: began.elapsed(), ..Times::default() };
    Ok(Tested { sent, outcome, status, reply: None, says: Some(says), times })
}
