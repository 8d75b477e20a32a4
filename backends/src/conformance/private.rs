//! Private letters: owed to one address, shown to nobody, erased with their end.

use serde_json::{Map, Value};
use sonnette_core::ids::{DeliveryId, DestinationId, EventId};
use sonnette_core::model::{Cancelled, DAY, Dead, Fact, HOUR, MINUTE, Recipient, State};
use sonnette_core::ports::{Look, Page, Recorded, Resent, Verdict, Work};
use sonnette_core::private::{Private, PrivateLetter};

use super::{ANN, ORGANISATION, OWNER, STRANGER, World, everybody, of_event, user};

const LINK: &str = "https://sonnette.example/hidden-link";

impl World {
    fn private_letter(&self) -> PrivateLetter {
        let data = Map::from_iter([("url".to_owned(), Value::from(LINK))]);
        let to = Recipient { address: "Ann@Example.ORG".to_owned(), user: Some(user(ANN)) };
        PrivateLetter::new(OWNER, Private::SignIn, &data, to, self.now + HOUR, self.now)
    }

    async fn write_privately(&self) -> EventId {
        let letter = self.private_letter();
        self.store().write_privately(letter, self.now).await.expect("written").expect("the owner is there")
    }

    fn readable(&self, text: &str) -> bool {
        self.harness.at_rest().windows(text.len()).any(|window| window == text.as_bytes())
    }

    fn says(&self, work: &Work) -> bool {
        String::from_utf8_lossy(&work.event.frame).contains(LINK)
    }
}

/// See the name.
pub async fn a_private_letter_is_owed_to_one_address_through_the_same_queue(mut world: World) {
    world.mail_there(vec![everybody()]).await;
    let event = world.write_privately().await;
    let letter = world.lease_one().await;
    assert!(!letter.unresolved && letter.hook.is_none());
    assert_eq!((letter.event.id, letter.event.kind.as_str()), (event, "SIGN_IN"));
    let to = Recipient { address: "Ann@example.org".to_owned(), user: Some(user(ANN)) };
    assert_eq!((letter.recipient.as_ref(), letter.expires), (Some(&to), Some(world.now + HOUR)));
    assert!(world.says(&letter));
    // Tried again, also by who opens the store next.
    let due = world.now + MINUTE;
    assert_eq!(world.record(&letter, Verdict::Again(due)).await, Recorded::Done);
    world.reopen();
    assert!(world.lease().await.is_empty());
    world.now = due;
    let again = world.lease_one().await;
    assert_eq!((again.ticket.delivery, again.ticket.attempt), (letter.ticket.delivery, 2));
    assert!(world.says(&again));
    world.deliver(&again).await;
    assert!(world.lease().await.is_empty());
    let unknown = PrivateLetter { owner: user(99).into(), ..world.private_letter() };
    assert_eq!(world.store().write_privately(unknown, world.now).await.expect("answered"), None);
    world.check().await;
}

/// See the name.
pub async fn a_private_letter_is_shown_to_nobody(mut world: World) {
    let hook = world.webhook_there(1).await;
    let before = world.push().await;
    let event = world.write_privately().await;
    let after = world.push().await;
    let id = DeliveryId { event, n: 0 };
    for round in 0..3 {
        assert_eq!(world.store().event(event).await.expect("read"), None);
        let page = Page { after: None, limit: 10 };
        let events = world.store().events(OWNER, page).await.expect("read");
        assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [after, before]);
        for from in [EventId(0), before, event] {
            let look = Look {
                reader: Some(user(ANN)),
                places: vec![(OWNER, from)],
                others: Some(EventId(0)),
                events: 100,
                bytes: 1 << 20,
            };
            let ahead = world.store().ahead(look).await.expect("read");
            let events: Vec<_> =
                ahead.stretches.iter().flat_map(|s| &s.events).map(|event| event.id).collect();
            let expected: Vec<_> = [before, after].into_iter().filter(|id| *id > from).collect();
            assert_eq!(events, expected, "after {from}");
        }
        assert!(world.store().delivery(id).await.expect("read").is_none());
        assert_eq!(world.store().resend(id, world.now).await.expect("answered"), Resent::NoDelivery);
        assert!(world.all(&of_event(event)).await.is_empty());
        assert_eq!(world.of_owner().await.len(), 2);
        assert_eq!(world.all(&super::of_hook(&hook)).await.len(), 2);
        match round {
            0 => {
                for work in world.lease().await {
                    world.deliver(&work).await;
                }
            }
            _ => world.reopen(),
        }
    }
}

/// See the name.
pub async fn what_a_private_letter_says_is_unreadable_at_rest(mut world: World) {
    world.write_privately().await;
    assert!(!world.readable("hidden-link"));
    let letter = world.lease_one().await;
    world.deliver(&letter).await;
    // A late record of the same attempt finds nothing to do.
    assert_eq!(world.record(&letter, Verdict::Again(world.now)).await, Recorded::Stale);
    // One that is refused is erased too; retention takes the rest of them.
    let refused = world.write_privately().await;
    let letter = world.lease_one().await;
    assert_eq!(letter.event.id, refused);
    world.record(&letter, Verdict::End(State::Dead(Dead::Refused))).await;
    world.reopen();
    world.now += 40 * DAY;
    world.tidy(world.now - DAY, 0).await;
    assert!(!world.readable("hidden-link"));
}

/// See the name.
pub async fn a_private_letter_that_has_expired_is_not_tried_any_more(mut world: World) {
    world.write_privately().await;
    let late = world.write_privately().await;
    let out = world.lease().await;
    assert_eq!(out.len(), 2);
    world.record(&out[0], Verdict::Again(world.now + MINUTE)).await;
    world.now += HOUR;
    world.settle().await;
    assert!(world.lease().await.is_empty());
    // One that was under way meanwhile counts if it was made.
    assert_eq!(out[1].event.id, late);
    assert_eq!(world.record(&out[1], Verdict::End(State::Delivered)).await, Recorded::Done);
    world.reopen();
    assert!(world.lease().await.is_empty());
}

/// See the name.
pub async fn a_private_letter_goes_with_its_owner(mut world: World) {
    let stranger = PrivateLetter { owner: STRANGER.into(), ..world.private_letter() };
    world.store().write_privately(stranger, world.now).await.expect("written").expect("there");
    world.write_privately().await;
    world.learn(vec![Fact::OrganisationGone(ORGANISATION)]).await;
    world.now += DAY;
    world.settle().await;
    let cancelled = Verdict::End(State::Cancelled(Cancelled::ByHand));
    let left = world.lease().await;
    assert!(left.is_empty() || left.iter().all(|work| work.event.owner == STRANGER.into()));
    for work in &left {
        assert_eq!(work.destination, DestinationId::PRIVATE);
        world.record(work, cancelled).await;
    }
}
