//! Which destinations have something due, and which attempts are out. Memory only: the rows are the truth, and a
//! restart reads the agenda back from their index.
//!
//! A destination is in the queue while something of it waits and fewer than [`BOUND`] of its attempts are out, so one
//! receiver that hangs occupies its own bound and nothing else.

use std::collections::{BTreeSet, HashMap};

use sonnette_core::ids::{DeliveryId, DestinationId};
use sonnette_core::model::{MINUTE, Millis};

/// Attempts out at once for one destination.
pub(super) const BOUND: usize = 64;

/// A destination at its bound is served again when this many are out: leases then come in handfuls, not one by one.
const REFILL: usize = BOUND * 3 / 4;

/// How long a ticket is good. Longer than the longest attempt (a letter: 60 s) with its record.
pub(super) const LEASE: Millis = 5 * MINUTE;

#[derive(Default)]
struct Waiting {
    /// When the earliest row not out falls due, as far as is known.
    next: Option<Millis>,
    /// Attempts out, and how long each is good.
    out: HashMap<DeliveryId, Millis>,
    /// At its bound, not yet down to [`REFILL`].
    full: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Agenda {
    waiting: HashMap<DestinationId, Waiting>,
    queue: BTreeSet<(Millis, DestinationId)>,
}

/// One destination's part of a lease.
pub(super) struct Turn {
    pub(super) destination: DestinationId,
    /// Rows to take at most.
    pub(super) room: usize,
    /// Rows out, to be passed over.
    pub(super) out: Vec<DeliveryId>,
}

impl Agenda {
    fn change(&mut self, destination: DestinationId, change: impl FnOnce(&mut Waiting)) {
        let waiting = self.waiting.entry(destination).or_default();
        let before = waiting.next.filter(|_| !waiting.full);
        change(waiting);
        waiting.full = waiting.out.len() >= BOUND || (waiting.full && waiting.out.len() > REFILL);
        let after = waiting.next.filter(|_| !waiting.full);
        let idle = waiting.next.is_none() && waiting.out.is_empty();
        if before != after {
            if let Some(due) = before {
                self.queue.remove(&(due, destination));
            }
            if let Some(due) = after {
                self.queue.insert((due, destination));
            }
        }
        if idle {
            self.waiting.remove(&destination);
        }
    }

    /// Something of this destination falls due then.
    pub(super) fn note(&mut self, destination: DestinationId, due: Millis) {
        self.change(destination, |waiting| waiting.next = Some(waiting.next.map_or(due, |next| next.min(due))));
    }

    /// A ticket is back.
    pub(super) fn back(&mut self, destination: DestinationId, delivery: DeliveryId) {
        self.change(destination, |waiting| {
            waiting.out.remove(&delivery);
        });
    }

    /// The destinations to serve now, earliest due first, for at most `max` rows in all. Each is taken out of the queue
    /// until [`Agenda::out`] says what was found; what is noted meanwhile is kept.
    pub(super) fn turns(&mut self, now: Millis, max: usize) -> Vec<Turn> {
        let (mut turns, mut left) = (Vec::new(), max);
        while left > 0 {
            let Some((due, destination)) = self.queue.first().copied().filter(|(due, _)| *due <= now) else { break };
            let mut turn = None;
            self.change(destination, |waiting| {
                debug_assert_eq!(waiting.next, Some(due));
                waiting.next = None;
                // A ticket nobody brought back is free again when it is no longer good.
                waiting.out.retain(|_, good_until| *good_until >= now);
                let room = BOUND.saturating_sub(waiting.out.len()).min(left);
                turn = Some(Turn { destination, room, out: waiting.out.keys().copied().collect() });
            });
            if let Some(turn) = turn {
                left = left.saturating_sub(turn.room.max(1));
                turns.push(turn);
            }
        }
        turns
    }

    /// Tells what a turn found: the deliveries taken, and when the next one not taken falls due.
    pub(super) fn out(
        &mut self,
        destination: DestinationId,
        taken: impl Iterator<Item = DeliveryId>,
        good_until: Millis,
        next: Option<Millis>,
    ) {
        self.change(destination, |waiting| {
            waiting.out.extend(taken.map(|delivery| (delivery, good_until)));
            waiting.next = match (waiting.next, next) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        });
    }

    /// When the first destination that may be served falls due.
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Destinations with something waiting or out.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sonnette_core::ids::EventId;

    fn delivery(n: u32) -> DeliveryId {
        DeliveryId { event: EventId(1), n }
    }

    #[test]
    fn a_destination_at_its_bound_waits_until_a_quarter_is_back_and_others_do_not_wait() {
        let (sick, well) = (DestinationId(1), DestinationId(2));
        let mut agenda = Agenda::default();
        agenda.note(sick, 0);
        agenda.note(well, 5);
        let turns = agenda.turns(1, 1000);
        assert_eq!((turns.len(), turns[0].room), (1, BOUND));
        agenda.out(sick, (0..64).map(delivery), 100, Some(0));
        assert_eq!(agenda.next_due(), Some(5), "the sick one is out of the queue");
        for n in 0..15 {
            agenda.back(sick, delivery(n));
        }
        assert_eq!(agenda.next_due(), Some(5));
        agenda.back(sick, delivery(15));
        assert_eq!(agenda.next_due(), Some(0));
    }

    #[test]
    fn what_is_noted_during_a_turn_is_not_lost() {
        let mut agenda = Agenda::default();
        agenda.note(DestinationId(1), 0);
        assert_eq!(agenda.turns(0, 10).len(), 1);
        agenda.note(DestinationId(1), 3);
        agenda.out(DestinationId(1), [].into_iter(), 100, None);
        assert_eq!(agenda.next_due(), Some(3));
    }

    #[test]
    fn a_ticket_never_brought_back_is_free_again_when_it_is_no_longer_good() {
        let mut agenda = Agenda::default();
        agenda.note(DestinationId(1), 0);
        agenda.turns(0, 10);
        agenda.out(DestinationId(1), [delivery(0)].into_iter(), LEASE, Some(0));
        assert_eq!(agenda.turns(LEASE, 10)[0].out, vec![delivery(0)]);
        agenda.out(DestinationId(1), [].into_iter(), LEASE, Some(0));
        assert!(agenda.turns(LEASE + 1, 10)[0].out.is_empty());
    }
}
