//! The book of the ledger: what was posted, what came of it, what arrived, and whether the two agree.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

/// Discrepancies that are spelt out; the rest is only counted.
const SPELT_OUT: usize = 20;

/// What became of one post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Not answered yet.
    Open,
    /// Accepted under this id: from now on it is owed.
    Accepted(Box<str>),
    /// The answer never came: it may have been accepted, or not.
    Unknown,
    /// Refused with this status: it must never arrive.
    Refused(u16),
}

/// One delivery that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Arrived {
    event: Box<str>,
    number: u64,
    times: u64,
}

/// What arrived, by `webhook-id`.
#[derive(Debug, Default)]
pub struct Seen {
    deliveries: HashMap<Box<str>, Arrived>,
    /// Without a `webhook-id`, not whole, or under the `webhook-id` of another event.
    mangled: u64,
}

impl Seen {
    /// Notes one request: its `webhook-id`, and event id and number if its body was whole.
    pub fn note(&mut self, webhook_id: Option<&str>, body: Option<(&str, u64)>) {
        let (Some(id), Some((event, number))) = (webhook_id, body) else {
            self.mangled += 1;
            return;
        };
        match self.deliveries.get_mut(id) {
            Some(arrived) if &*arrived.event == event && arrived.number == number => arrived.times += 1,
            Some(_) => self.mangled += 1,
            None => {
                self.deliveries.insert(id.into(), Arrived { event: event.into(), number, times: 1 });
            }
        }
    }

    /// Distinct deliveries so far.
    pub fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// Whether nothing arrived.
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }
}

/// The account at the end. `lost`, `invented`, `renamed` and `mangled` must be 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// Posts that were answered with 2xx.
    pub accepted: u64,
    /// Posts whose answer never came.
    pub unknown: u64,
    /// Of those, how many arrived: accepted, but the answer was lost with the server.
    pub unknown_received: u64,
    /// Posts that were refused.
    pub refused: u64,
    /// Distinct deliveries that arrived.
    pub received: u64,
    /// Arrivals beyond the first of a delivery, all with its `webhook-id`.
    pub duplicates: u64,
    /// Accepted and never arrived.
    pub lost: u64,
    /// Arrived and never posted, refused, or a second event of one post.
    pub invented: u64,
    /// Second `webhook-id`s for one event, which a receiver could not tell from a new event.
    pub renamed: u64,
    /// Requests that were not whole or carried another event's `webhook-id`.
    pub mangled: u64,
    /// The first discrepancies, in words.
    pub findings: Vec<String>,
}

impl Balance {
    /// Whether nothing was lost, invented, renamed or mangled.
    pub fn holds(&self) -> bool {
        self.lost == 0 && self.invented == 0 && self.renamed == 0 && self.mangled == 0
    }

    fn find(&mut self, finding: impl FnOnce() -> String) {
        if self.findings.len() < SPELT_OUT {
            self.findings.push(finding());
        }
    }
}

/// Compares what was posted (by number) with what arrived, where each event is owed to one destination.
pub fn balance(posts: &[Fate], seen: &Seen) -> Balance {
    let mut balance =
        Balance { received: seen.deliveries.len() as u64, mangled: seen.mangled, ..Balance::default() };
    let mut arrived_events: HashSet<&str> = HashSet::new();
    let mut event_of_unknown: HashMap<u64, &str> = HashMap::new();
    for (id, arrived) in &seen.deliveries {
        balance.duplicates += arrived.times - 1;
        let event = &*arrived.event;
        if !arrived_events.insert(event) {
            balance.renamed += 1;
            balance.find(|| format!("{event} arrived a second time as {id}"));
        }
        let number = arrived.number;
        let post = usize::try_from(number).ok().and_then(|index| posts.get(index));
        let invented = match post {
            Some(Fate::Accepted(owed)) => (**owed != *event).then(|| format!("was accepted as {owed}")),
            Some(Fate::Unknown) => {
                let first = *event_of_unknown.entry(number).or_insert(event);
                (first != event).then(|| format!("was posted once and arrived as {first} too"))
            }
            Some(Fate::Refused(status)) => Some(format!("was refused with {status}")),
            Some(Fate::Open) | None => Some("was never posted".to_owned()),
        };
        if let Some(why) = invented {
            balance.invented += 1;
            balance.find(|| format!("{event} arrived, but post {number} {why}"));
        }
    }
    balance.unknown_received = event_of_unknown.len() as u64;
    for (number, post) in posts.iter().enumerate() {
        match post {
            Fate::Open => {}
            Fate::Unknown => balance.unknown += 1,
            Fate::Refused(_) => balance.refused += 1,
            Fate::Accepted(event) => {
                balance.accepted += 1;
                if !arrived_events.contains(&**event) {
                    balance.lost += 1;
                    balance.find(|| format!("{event} (post {number}) was accepted and never arrived"));
                }
            }
        }
    }
    balance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(arrivals: &[(&str, &str, u64)]) -> Seen {
        let mut seen = Seen::default();
        arrivals.iter().for_each(|(id, event, number)| seen.note(Some(id), Some((event, *number))));
        seen
    }

    fn accepted(event: &str) -> Fate {
        Fate::Accepted(event.into())
    }

    #[test]
    fn what_was_accepted_and_arrived_balances_and_repeats_are_counted() {
        let seen = seen(&[("dlv_a_0", "evt_a", 0), ("dlv_a_0", "evt_a", 0), ("dlv_b_0", "evt_b", 1)]);
        let balance = balance(&[accepted("evt_a"), accepted("evt_b")], &seen);
        assert!(balance.holds());
        assert_eq!((balance.accepted, balance.received, balance.duplicates), (2, 2, 1));
    }

    #[test]
    fn what_was_accepted_and_never_arrived_is_lost() {
        let balance = balance(&[accepted("evt_a"), accepted("evt_b")], &seen(&[("dlv_b_0", "evt_b", 1)]));
        assert_eq!((balance.lost, balance.invented), (1, 0));
        assert!(!balance.holds() && balance.findings[0].contains("evt_a"));
    }

    #[test]
    fn what_arrived_without_being_owed_is_invented() {
        let posts = [accepted("evt_a"), Fate::Refused(400), Fate::Open];
        let arrivals =
            [("1", "evt_a", 0), ("2", "evt_x", 0), ("3", "evt_y", 1), ("4", "evt_z", 2), ("5", "evt_w", 99)];
        assert_eq!(balance(&posts, &seen(&arrivals)).invented, 4);
    }

    #[test]
    fn a_post_whose_answer_never_came_may_arrive_once_or_not_at_all() {
        let posts = [Fate::Unknown, Fate::Unknown];
        let one = balance(&posts, &seen(&[("1", "evt_a", 0)]));
        assert!(one.holds());
        assert_eq!((one.unknown, one.unknown_received), (2, 1));
        assert_eq!(balance(&posts, &seen(&[("1", "evt_a", 0), ("2", "evt_b", 0)])).invented, 1);
    }

    #[test]
    fn a_second_webhook_id_for_one_event_is_a_fault() {
        let balance = balance(&[accepted("evt_a")], &seen(&[("1", "evt_a", 0), ("2", "evt_a", 0)]));
        assert_eq!((balance.renamed, balance.holds()), (1, false));
    }

    #[test]
    fn a_body_that_is_not_whole_or_under_the_wrong_id_is_a_fault() {
        let mut seen = seen(&[("1", "evt_a", 0), ("1", "evt_b", 1)]);
        seen.note(Some("2"), None);
        seen.note(None, Some(("evt_c", 2)));
        assert_eq!(balance(&[accepted("evt_a")], &seen).mangled, 3);
    }
}
