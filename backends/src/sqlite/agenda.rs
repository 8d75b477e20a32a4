//! Which destinations have something due, and which attempts are out. Memory only: the rows are the truth, and a
//! restart reads the agenda back from their index.
//!
//! A destination is in the queue while something of it waits and fewer than [`BOUND`] of its attempts are out, so one
//! receiver that hangs occupies its own bound and nothing else.

use std::collections::{BTreeSet, HashMap};

use sonnette_core::ids::{DeliveryId, DestinationId};
use sonnette_core::model::{MINUTE, Millis};
use sonnette_core::ports::Ticket;

/// Attempts out at once for one destination.
pub(super) const BOUND: usize = 128;

/// A destination at its bound is served again when this many are out: leases then come in handfuls, not one by one.
const REFILL: usize = BOUND * 3 / 4;

/// How long a ticket is good. Longer than the longest attempt (a letter: 60 s) with its record.
pub(super) const LEASE: Millis = 5 * MINUTE;

#[derive(Default)]
struct Waiting {
    /// When the earliest row not out falls due, as far as is known.
    next: Option<Millis>,
    /// Attempts out.
    out: Vec<DeliveryId>,
    /// When the first ticket out may be no longer good.
    lapses: Option<Millis>,
    /// At its bound, not yet down to [`REFILL`].
    full: bool,
}

impl Waiting {
    /// When to look at it: something falls due and there is room for it, or a ticket is no longer good.
    fn turn(&self) -> Option<Millis> {
        let due = self.next.filter(|_| !self.full);
        [due, self.lapses].into_iter().flatten().min()
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Agenda {
    waiting: HashMap<DestinationId, Waiting>,
    queue: BTreeSet<(Millis, DestinationId)>,
    /// Where each ticket out belongs, and how long it is good.
    tickets: HashMap<DeliveryId, (DestinationId, Millis)>,
}

/// One destination's part of a lease.
pub(super) struct Turn {
    pub(super) destination: DestinationId,
    /// Since when something of it is due, as far as is known.
    pub(super) due: Millis,
    /// Rows to take at most.
    pub(super) room: usize,
    /// Rows out, to be passed over.
    pub(super) out: Vec<DeliveryId>,
}

impl Agenda {
    fn change(&mut self, destination: DestinationId, change: impl FnOnce(&mut Waiting)) {
        let waiting = self.waiting.entry(destination).or_default();
        let before = waiting.turn();
        change(waiting);
        waiting.full = waiting.out.len() >= BOUND || (waiting.full && waiting.out.len() > REFILL);
        if waiting.out.is_empty() {
            waiting.lapses = None;
        }
        let after = waiting.turn();
        if before != after {
            if let Some(due) = before {
                self.queue.remove(&(due, destination));
            }
            if let Some(due) = after {
                self.queue.insert((due, destination));
            }
        }
        if waiting.next.is_none() && waiting.out.is_empty() {
            self.waiting.remove(&destination);
        }
    }

    /// Something of this destination falls due then.
    pub(super) fn note(&mut self, destination: DestinationId, due: Millis) {
        self.change(destination, |waiting| {
            waiting.next = Some(waiting.next.map_or(due, |next| next.min(due)))
        });
    }

    /// A ticket is back. Gives its destination, if it was still good: one that lapsed may be out anew.
    pub(super) fn back(&mut self, ticket: Ticket) -> Option<DestinationId> {
        let (destination, good_until) = *self.tickets.get(&ticket.delivery)?;
        if good_until != ticket.good_until {
            return None;
        }
        self.tickets.remove(&ticket.delivery);
        self.change(destination, |waiting| waiting.out.retain(|delivery| *delivery != ticket.delivery));
        Some(destination)
    }

    /// At most `max` destinations to serve now, earliest due first. Each is taken out of the queue until
    /// [`Agenda::out`] says what was found; what is noted meanwhile is kept.
    pub(super) fn turns(&mut self, now: Millis, max: usize) -> Vec<Turn> {
        let mut turns = Vec::new();
        while turns.len() < max {
            let Some((_, destination)) = self.queue.first().copied().filter(|(due, _)| *due <= now) else {
                break;
            };
            self.lapse(destination, now);
            self.change(destination, |waiting| {
                if let Some(due) = waiting.next.filter(|due| *due <= now && !waiting.full) {
                    waiting.next = None;
                    let room = BOUND.saturating_sub(waiting.out.len());
                    turns.push(Turn { destination, due, room, out: waiting.out.clone() });
                }
            });
        }
        turns
    }

    /// A ticket nobody brought back is free again when it is no longer good, and its row as due as it was.
    fn lapse(&mut self, destination: DestinationId, now: Millis) {
        let Some(waiting) = self.waiting.get(&destination) else { return };
        if waiting.lapses.is_none_or(|lapses| lapses > now) {
            return;
        }
        let good_until =
            |delivery: &DeliveryId| self.tickets.get(delivery).map_or(0, |(_, good_until)| *good_until);
        let (good, lapsed): (Vec<_>, Vec<_>) =
            waiting.out.iter().copied().partition(|delivery| good_until(delivery) >= now);
        let lapses = good.iter().map(|delivery| good_until(delivery) + 1).min();
        for delivery in &lapsed {
            self.tickets.remove(delivery);
        }
        self.change(destination, |waiting| {
            waiting.out = good;
            waiting.lapses = lapses;
            if !lapsed.is_empty() {
                waiting.next = Some(waiting.next.map_or(now, |next| next.min(now)));
            }
        });
    }

    /// Tells what a turn found: the deliveries taken, and when the next one not taken falls due.
    pub(super) fn out(
        &mut self,
        destination: DestinationId,
        taken: impl Iterator<Item = DeliveryId>,
        good_until: Millis,
        next: Option<Millis>,
    ) {
        let taken: Vec<_> = taken.collect();
        self.tickets.extend(taken.iter().map(|delivery| (*delivery, (destination, good_until))));
        self.change(destination, |waiting| {
            if !taken.is_empty() {
                waiting.lapses =
                    Some(waiting.lapses.map_or(good_until + 1, |lapses| lapses.min(good_until + 1)));
            }
            waiting.out.extend(taken);
            waiting.next = [waiting.next, next].into_iter().flatten().min();
        });
    }

    /// When the first destination that may be served falls due, or the first ticket lapses.
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

    fn ticket(n: u32, good_until: Millis) -> Ticket {
        Ticket { delivery: delivery(n), attempt: 1, good_until }
    }

    fn deliveries(count: usize) -> std::ops::Range<u32> {
        0..u32::try_from(count).unwrap()
    }

    #[test]
    fn a_destination_at_its_bound_waits_until_a_quarter_is_back_and_others_do_not_wait() {
        let (sick, well) = (DestinationId(1), DestinationId(2));
        let mut agenda = Agenda::default();
        agenda.note(sick, 0);
        agenda.note(well, 5);
        let turns = agenda.turns(1, 1000);
        assert_eq!((turns.len(), turns[0].room), (1, BOUND));
        agenda.out(sick, deliveries(BOUND).map(delivery), 100, Some(0));
        assert_eq!(agenda.next_due(), Some(5), "the sick one is out of the queue");
        for n in deliveries(BOUND - REFILL).skip(1) {
            agenda.back(ticket(n, 100));
        }
        assert_eq!(agenda.next_due(), Some(5));
        agenda.back(ticket(0, 100));
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
        agenda.out(DestinationId(1), [delivery(0)].into_iter(), LEASE, None);
        assert!(agenda.turns(LEASE, 10).is_empty());
        assert_eq!(
            agenda.next_due(),
            Some(LEASE + 1),
            "nothing else of it waits, and still it is looked at again"
        );
        assert!(agenda.turns(LEASE + 1, 10)[0].out.is_empty());
    }

    #[test]
    fn a_destination_whose_every_ticket_is_lost_is_served_again() {
        let mut agenda = Agenda::default();
        agenda.note(DestinationId(1), 0);
        agenda.turns(0, 1000);
        agenda.out(DestinationId(1), deliveries(BOUND).map(delivery), LEASE, Some(0));
        assert!(agenda.turns(LEASE, 1000).is_empty());
        assert_eq!(agenda.turns(LEASE + 1, 1000)[0].room, BOUND);
    }

    #[test]
    fn a_ticket_that_lapsed_does_not_bring_back_the_one_that_followed_it() {
        let mut agenda = Agenda::default();
        agenda.note(DestinationId(1), 0);
        agenda.turns(0, 10);
        agenda.out(DestinationId(1), [delivery(0)].into_iter(), 10, None);
        agenda.turns(11, 10);
        agenda.out(DestinationId(1), [delivery(0)].into_iter(), 20, None);
        assert_eq!(agenda.back(ticket(0, 10)), None);
        agenda.note(DestinationId(1), 0);
        assert_eq!(agenda.turns(12, 10)[0].out, vec![delivery(0)]);
        assert_eq!(agenda.back(ticket(0, 20)), Some(DestinationId(1)));
    }

    #[test]
    fn nothing_is_kept_of_a_destination_with_nothing_to_do() {
        let mut agenda = Agenda::default();
        agenda.note(DestinationId(1), 0);
        agenda.turns(0, 10);
        agenda.out(DestinationId(1), [delivery(0)].into_iter(), 10, None);
        agenda.back(ticket(0, 10));
        assert_eq!((agenda.len(), agenda.next_due(), agenda.tickets.len()), (0, None, 0));
    }
}
