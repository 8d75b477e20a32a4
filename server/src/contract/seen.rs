//! Deliveries and attempts as shown, and what a list may be asked.

use serde::{Deserialize, Serialize};
use sonnette_core::model::{Attempt, Delivery, State};

use super::problem::Problem;

/// Items of a page, if nothing is said.
const USUAL: usize = 50;
/// Items of a page at most.
const MOST: usize = 200;

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to give as `after` for the next page; `None` on the last.
    pub next: Option<String>,
}

impl<T> Listed<T> {
    /// A list that is given whole.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// A page of `limit` items: there may be more if it is full.
    pub fn page<V>(
        found: Vec<V>,
        limit: usize,
        key: impl Fn(&V) -> String,
        show: impl FnMut(V) -> T,
    ) -> Self {
        let next = found.last().filter(|_| found.len() >= limit).map(key);
        Self { items: found.into_iter().map(show).collect(), next }
    }
}

/// `limit` and `after`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// 1 to 200.
    pub limit: Option<usize>,
    /// The last item of the page before.
    pub after: Option<String>,
}

/// Checks a `limit`.
///
/// # Errors
/// If it is out of bounds.
pub fn limit(given: Option<usize>) -> Result<usize, Problem> {
    match given.unwrap_or(USUAL) {
        limit @ 1..=MOST => Ok(limit),
        _ => Err(Problem::invalid("limit", format!("`limit` is 1 to {MOST}"))),
    }
}

/// What a list of deliveries may be asked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveriesAsked {
    /// Of this owner.
    pub owner: Option<String>,
    /// Of this hook.
    pub hook: Option<String>,
    /// Of this event.
    pub event: Option<String>,
    /// In this state.
    pub state: Option<String>,
    /// 1 to 200.
    pub limit: Option<usize>,
    /// The last item of the page before.
    pub after: Option<String>,
}

/// Checks the name of a state.
///
/// # Errors
/// If there is no such state.
pub fn state(name: &str) -> Result<String, Problem> {
    if State::all().any(|state| state.name() == name) {
        return Ok(name.to_owned());
    }
    let mut names: Vec<_> = State::all().map(State::name).collect();
    names.dedup();
    Err(Problem::invalid("state", format!("a state is one of {}", names.join(", "))))
}

/// A delivery as shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownDelivery {
    id: String,
    event_id: String,
    kind: String,
    hook_id: Option<String>,
    destination_id: String,
    format: String,
    state: &'static str,
    reason: Option<&'static str>,
    due: Option<i64>,
    attempts_made: u32,
    recipient: Option<ShownRecipient>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<ShownAttempt>>,
}

#[derive(Debug, Serialize)]
struct ShownRecipient {
    address: String,
    user: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownAttempt {
    number: u32,
    at: i64,
    took: u32,
    status: Option<u16>,
    note: Option<String>,
    excerpt: Option<String>,
    succeeded: bool,
}

/// Shows a delivery; with its attempts if they are given.
pub fn delivery(delivery: Delivery, attempts: Option<Vec<Attempt>>) -> ShownDelivery {
    ShownDelivery {
        id: delivery.id.to_string(),
        event_id: delivery.id.event.to_string(),
        kind: delivery.kind,
        hook_id: delivery.hook.map(|id| id.to_string()),
        destination_id: delivery.destination.to_string(),
        format: delivery.format,
        state: delivery.state.name(),
        reason: delivery.state.reason(),
        due: delivery.due,
        attempts_made: delivery.attempts,
        recipient: delivery
            .recipient
            .map(|to| ShownRecipient { address: to.address, user: to.user.map(|id| id.to_string()) }),
        attempts: attempts.map(|all| all.into_iter().map(attempt).collect()),
    }
}

fn attempt(attempt: Attempt) -> ShownAttempt {
    let Attempt { number, at, took, status, note, excerpt, succeeded } = attempt;
    ShownAttempt { number, at, took, status, note, excerpt, succeeded }
}
