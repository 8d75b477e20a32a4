//! Leasing, recording, resending, and letters.

use std::collections::BTreeSet;
use std::time::Duration;

use sonnette_core::ids::{DeliveryId, EventId, ResourceId};
use sonnette_core::model::{Cancelled, DAY, Dead, Draft, Fact, HOUR, Hook, Role, SECOND, State, Target, Way};
use sonnette_core::ports::{FAILURES, Recorded, Resent, THREAD_LIFE, Turn, Verdict, Work};
use sonnette_core::secret::Secret;

use super::{
    ADDON, ANN, APPLICATION, BOB, CID, ORGANISATION, World, addon, application, born, email_of, everybody,
    member, of_event, of_hook, user,
};

fn deliveries(work: &[Work]) -> BTreeSet<DeliveryId> {
    work.iter().map(|work| work.ticket.delivery).collect()
}

/// See the name.
pub async fn a_lease_stays_within_a_destinations_bound_and_serves_the_others(mut world: World) {
    let sick = world.webhook_there(1).await;
    for _ in 0..10 {
        world.ingest((0..100).map(|_| world.draft("GIT_PUSH")).collect()).await;
    }
    let well = world.webhook_there(1).await;
    let last = world.push().await;
    let leased = world.lease().await;
    let (of_sick, of_well): (Vec<_>, Vec<_>) = leased
        .into_iter()
        .partition(|work| work.hook.as_ref().is_some_and(|loaded| loaded.hook.id == sick.id));
    assert!(!of_sick.is_empty() && of_sick.len() < 500, "{} of one destination are out", of_sick.len());
    assert_eq!(of_well.len(), 1, "the sick one does not keep the other waiting");
    assert_eq!((of_well[0].event.id, of_well[0].hook.as_ref().map(|h| h.hook.id)), (last, Some(well.id)));
    // The sick one hangs; the well one goes on.
    world.deliver(&of_well[0]).await;
    for _ in 0..3 {
        world.push().await;
        let leased = world.lease().await;
        assert!(leased.iter().all(|work| work.hook.as_ref().is_some_and(|loaded| loaded.hook.id == well.id)));
        world.deliver(&leased[0]).await;
    }
    // When it answers after all, every one of its deliveries gets its turn.
    let (mut out, mut served) = (of_sick, 0);
    while !out.is_empty() {
        for work in &out {
            world.deliver(work).await;
            served += 1;
        }
        out = world.lease().await;
    }
    assert_eq!(served, 1_000 + 4);
    // Little room is filled from as many destinations as it takes.
    world.webhook_there(3).await;
    world.push().await;
    assert_eq!(world.store().lease(world.now, 5).await.expect("leased").work.len(), 5);
}

/// See the name.
pub async fn a_ticket_out_is_not_leased_again_until_it_lapses(mut world: World) {
    world.webhook_there(1).await;
    world.push().await;
    let out = world.lease_one().await;
    assert!(out.ticket.good_until > world.now);
    assert!(world.lease().await.is_empty());
    world.push().await;
    let other = world.lease_one().await;
    assert_ne!(other.ticket.delivery, out.ticket.delivery);
    // Whoever had them is gone, and nothing new comes in: still somebody looks again.
    let leased = world.store().lease(world.now, 10).await.expect("leased");
    assert!(leased.next_due.is_some_and(|due| due <= out.ticket.good_until + SECOND));
    world.now = out.ticket.good_until + SECOND;
    assert_eq!(deliveries(&world.lease().await), deliveries(&[out, other]));
}

/// See the name.
pub async fn a_released_ticket_is_due_at_once(mut world: World) {
    world.webhook_there(1).await;
    world.push().await;
    let out = world.lease_one().await;
    world.store().release(out.ticket);
    world.store().release(out.ticket);
    let again = world.lease_one().await;
    assert_eq!((again.ticket.delivery, again.ticket.attempt), (out.ticket.delivery, 1));
}

/// See the name.
pub async fn a_restart_frees_every_ticket(mut world: World) {
    world.webhook_there(3).await;
    world.push().await;
    let before = world.lease().await;
    assert_eq!(before.len(), 3);
    world.reopen();
    let after = world.lease().await;
    assert_eq!(deliveries(&after), deliveries(&before));
    world.deliver(&after[0]).await;
    assert_eq!(world.record(&before[0], Verdict::Again(world.now)).await, Recorded::Stale);
    assert_eq!(world.record(&before[1], Verdict::End(State::Delivered)).await, Recorded::Done);
}

/// See the name.
pub async fn a_stale_record_changes_nothing(mut world: World) {
    world.webhook_there(1).await;
    world.push().await;
    let out = world.lease_one().await;
    world.deliver(&out).await;
    assert_eq!(world.record(&out, Verdict::Again(world.now)).await, Recorded::Stale);
    assert_eq!(world.state(out.ticket.delivery).await, State::Delivered);
    let (_, delivery, attempts) =
        world.store().delivery(out.ticket.delivery).await.expect("read").expect("there");
    assert_eq!((delivery.attempts, attempts.len()), (1, 1));
    let mut ahead = out.ticket;
    ahead.attempt = 3;
    let stale = Work { ticket: ahead, ..out.clone() };
    assert_eq!(world.record(&stale, Verdict::Again(world.now)).await, Recorded::Stale);
    let mut unknown = out.ticket;
    unknown.delivery = DeliveryId { event: EventId(1), n: 0 };
    let stale = Work { ticket: unknown, ..out };
    assert_eq!(world.record(&stale, Verdict::Again(world.now)).await, Recorded::Stale);
}

/// See the name.
pub async fn a_ticket_that_lapsed_does_not_record_over_the_one_that_followed(mut world: World) {
    world.webhook_there(1).await;
    world.push().await;
    let slow = world.lease_one().await;
    world.now = slow.ticket.good_until + SECOND;
    let quick = world.lease_one().await;
    // The slow one comes back first: it was an attempt, and the quick one's is a repeat.
    world.record(&slow, Verdict::Again(world.now)).await;
    let third = world.lease().await;
    assert!(third.is_empty(), "one of them is still at it");
    assert_eq!(world.record(&quick, Verdict::End(State::Delivered)).await, Recorded::Stale);
    assert_eq!(world.lease_one().await.ticket.attempt, 2);
}

/// See the name.
pub async fn a_failed_attempt_is_due_again_when_it_was_said_and_the_earliest_comes_first(mut world: World) {
    world.webhook_there(1).await;
    for _ in 0..3 {
        world.push().await;
    }
    let out = world.lease().await;
    for (work, wait) in out.iter().zip([3 * HOUR, HOUR, 2 * HOUR]) {
        world.record(work, Verdict::Again(world.now + wait)).await;
    }
    let leased = world.store().lease(world.now, 10).await.expect("leased");
    assert_eq!((leased.work.len(), leased.next_due), (0, Some(world.now + HOUR)));
    world.reopen();
    let leased = world.store().lease(world.now, 10).await.expect("leased");
    assert_eq!((leased.work.len(), leased.next_due), (0, Some(world.now + HOUR)), "after a restart too");
    world.now += HOUR;
    let first = world.lease_one().await;
    assert_eq!((first.ticket.delivery, first.ticket.attempt), (out[1].ticket.delivery, 2));
    assert_eq!((first.made, first.since), (1, first.event.id.at()));
    world.deliver(&first).await;
    world.now += 3 * HOUR;
    let order: Vec<_> = world.lease().await.iter().map(|work| work.ticket.delivery).collect();
    assert_eq!(order, [out[2].ticket.delivery, out[0].ticket.delivery]);
    world.check().await;
}

/// See the name.
pub async fn an_end_is_an_end_until_it_is_resent(mut world: World) {
    let hook = world.webhook_there(3).await;
    world.push().await;
    let ends = [State::Delivered, State::Dead(Dead::Gone), State::Cancelled(Cancelled::ByHand)];
    for (work, end) in world.lease().await.iter().zip(ends) {
        assert_eq!(world.record(work, Verdict::End(end)).await, Recorded::Done);
    }
    world.now += 30 * DAY;
    world.reopen();
    assert!(world.lease().await.is_empty());
    assert_eq!(world.view(&hook).await.dead, 1);
    world.check().await;
    for delivery in world.all(&of_hook(&hook)).await {
        assert_eq!(world.store().resend(delivery.id, world.now).await.expect("resent"), Resent::Due);
        assert_eq!(world.store().resend(delivery.id, world.now).await.expect("answered"), Resent::Waiting);
    }
    assert_eq!(world.view(&hook).await.dead, 0);
    let again = world.lease().await;
    assert_eq!(again.iter().map(|work| work.ticket.attempt).collect::<Vec<_>>(), [2, 2, 2]);
    world.check().await;
    for work in &again {
        world.deliver(work).await;
    }
    let id = again[0].ticket.delivery;
    world.turn(&hook, Turn::Pause).await;
    assert_eq!(world.store().resend(id, world.now).await.expect("answered"), Resent::NoDestination);
    world.store().delete_hook(hook.id).await.expect("deleted");
    assert_eq!(world.store().resend(id, world.now).await.expect("answered"), Resent::NoDestination);
    let unknown = DeliveryId { event: EventId(1), n: 0 };
    assert_eq!(world.store().resend(unknown, world.now).await.expect("answered"), Resent::NoDelivery);
}

/// See the name.
pub async fn a_resent_delivery_begins_its_schedule_anew(mut world: World) {
    world.webhook_there(1).await;
    world.push().await;
    for attempt in 1..=3 {
        let work = world.lease_one().await;
        assert_eq!((work.ticket.attempt, work.made, work.since), (attempt, attempt - 1, work.event.id.at()));
        let verdict =
            if attempt < 3 { Verdict::Again(world.now) } else { Verdict::End(State::Dead(Dead::Exhausted)) };
        world.record(&work, verdict).await;
    }
    world.now += 20 * DAY;
    let id = world.of_owner().await[0].id;
    assert_eq!(world.store().resend(id, world.now).await.expect("resent"), Resent::Due);
    let work = world.lease_one().await;
    assert_eq!((work.ticket.attempt, work.made, work.since), (4, 0, world.now));
}

/// See the name.
pub async fn what_falls_due_wakes_whoever_leases(mut world: World) {
    let hook = world.webhook_there(1).await;
    let soon = Duration::from_secs(5);
    async fn woken(world: &World, soon: Duration, why: &str) {
        tokio::time::timeout(soon, world.store().woken()).await.expect(why);
    }
    world.push().await;
    woken(&world, soon, "an event came in").await;
    let out = world.lease_one().await;
    world.store().release(out.ticket);
    woken(&world, soon, "a ticket was released").await;
    let out = world.lease_one().await;
    world.record(&out, Verdict::Again(world.now)).await;
    woken(&world, soon, "an attempt failed").await;
    world.deliver(&world.lease_one().await).await;
    woken(&world, soon, "an attempt was made").await;
    assert_eq!(world.store().resend(out.ticket.delivery, world.now).await.expect("resent"), Resent::Due);
    woken(&world, soon, "a delivery was resent").await;
    world.turn(&hook, Turn::Pause).await;
    world.settle().await;
    world.turn(&hook, Turn::CatchUp).await;
    woken(&world, soon, "a hook was resumed").await;
    world.settle().await;
    woken(&world, soon, "what was held is due").await;
    assert_eq!(world.lease().await.len(), 1);
}

/// See the name.
pub async fn a_delivery_is_read_back_with_its_attempts(mut world: World) {
    let hook = world.webhook_there(1).await;
    world.push().await;
    let first = world.lease_one().await;
    world.record(&first, Verdict::Again(world.now)).await;
    let second = world.lease_one().await;
    world.deliver(&second).await;
    world.reopen();
    let (owner, delivery, attempts) =
        world.store().delivery(first.ticket.delivery).await.expect("read").expect("there");
    assert_eq!((owner, delivery.hook, delivery.kind.as_str()), (super::OWNER, Some(hook.id), "GIT_PUSH"));
    assert_eq!((delivery.state, delivery.attempts, delivery.due), (State::Delivered, 2, None));
    let seen: Vec<_> =
        attempts.iter().map(|a| (a.number, a.status, a.excerpt.as_deref(), a.succeeded, a.took)).collect();
    assert_eq!(seen, [(1, Some(500), Some("went wrong"), false, 7), (2, Some(204), None, true, 7)]);
    let unknown = DeliveryId { event: EventId(1), n: 0 };
    assert_eq!(world.store().delivery(unknown).await.expect("read"), None);
}

/// See the name.
pub async fn the_last_failed_attempts_of_a_webhook_are_kept_with_it(mut world: World) {
    let mut hook = world.webhook_there(2).await;
    let other = world.webhook_there(1).await;
    let mail = world.mail_there(vec![everybody()]).await;
    let Way::Webhook { destinations } = &hook.way else { panic!("a webhook") };
    let first = destinations[0].clone();
    world.push().await;
    let mut tried = Vec::new();
    for _ in 0..FAILURES {
        world.now += HOUR;
        for work in world.letters().await {
            world.record(&work, Verdict::Again(world.now)).await;
            if work.hook.as_ref().is_some_and(|loaded| loaded.hook.id == hook.id) {
                tried.push((work.destination, world.now));
            }
        }
    }
    world.reopen();
    let all = world.store().failures(vec![hook.id, other.id, mail.id]).await.expect("read");
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), [hook.id, other.id], "letters go to people");
    let kept: Vec<_> = all[&hook.id].iter().map(|failed| failed.at).collect();
    let last: Vec<_> = tried.iter().skip(tried.len() - FAILURES).map(|(_, at)| *at).collect();
    assert_eq!(kept, last, "over both destinations");
    let failed = &all[&hook.id][FAILURES - 1];
    assert_eq!(
        (failed.status, failed.note.as_deref(), failed.excerpt.as_deref()),
        (Some(500), None, Some("went wrong"))
    );
    let urls: BTreeSet<_> = all[&hook.id].iter().map(|failed| failed.url.expose().to_owned()).collect();
    assert_eq!(urls.len(), 2);
    assert!(urls.contains(first.url.expose()) && failed.format == first.format);
    assert_eq!(all[&other.id].len(), FAILURES);

    // A success is none, and a corrected URL is not the one that failed.
    let mut corrected = world.destination();
    corrected.id = first.id;
    hook.way = Way::Webhook { destinations: vec![corrected.clone(), destinations[1].clone()] };
    world.store().replace_hook(hook.clone(), world.now).await.expect("replaced");
    world.now += HOUR;
    for work in world.letters().await {
        let ours = work.hook.as_ref().is_some_and(|loaded| loaded.hook.id == hook.id);
        match ours && work.destination == first.id {
            true => world.record(&work, Verdict::End(State::Dead(Dead::Gone))).await,
            false => world.record(&work, Verdict::End(State::Delivered)).await,
        };
    }
    let all = world.store().failures(vec![hook.id, other.id]).await.expect("read");
    assert_eq!(all[&hook.id][FAILURES - 1].url, corrected.url);
    assert!(all[&hook.id].iter().any(|failed| failed.url == first.url));
    assert_eq!(all[&other.id].iter().map(|failed| failed.at).max(), Some(world.now - HOUR));
    world.check().await;
}

/// See the name.
pub async fn failed_attempts_go_with_their_destination_their_hook_and_retention(mut world: World) {
    let mut hook = world.webhook_there(2).await;
    let fail = async |world: &World| {
        world.push().await;
        for work in world.lease().await {
            world.record(&work, Verdict::End(State::Dead(Dead::Refused))).await;
        }
    };
    let failures = async |world: &World, hook| {
        world.store().failures(vec![hook]).await.expect("read").remove(&hook).unwrap_or_default()
    };
    fail(&world).await;
    let Way::Webhook { destinations } = &hook.way else { panic!("a webhook") };
    let (gone, left) = (destinations[0].url.clone(), destinations[1].clone());
    hook.way = Way::Webhook { destinations: vec![left.clone()] };
    world.store().replace_hook(hook.clone(), world.now).await.expect("replaced");
    world.settle().await;
    let kept = failures(&world, hook.id).await;
    assert_eq!(
        kept.iter().map(|failed| &failed.url).collect::<Vec<_>>(),
        [&left.url],
        "{gone:?} is forgotten"
    );

    world.now += 8 * DAY;
    fail(&world).await;
    world.tidy(0, world.now - 7 * DAY).await;
    let excerpts: Vec<_> =
        failures(&world, hook.id).await.iter().map(|failed| failed.excerpt.is_some()).collect();
    assert_eq!(excerpts, [false, true]);
    world.tidy(world.now - 7 * DAY, 0).await;
    assert_eq!(failures(&world, hook.id).await.len(), 1);

    // An attempt that was out when its hook was deleted leaves nothing behind.
    world.push().await;
    let out = world.lease_one().await;
    world.store().delete_hook(hook.id).await.expect("deleted");
    world.record(&out, Verdict::Again(world.now)).await;
    assert!(failures(&world, hook.id).await.is_empty());
    world.settle().await;
    world.check().await;
}

/// The address as a letter bears it: the domain in lower case.
fn address(n: u8) -> String {
    format!("Person{n}@example.org")
}

fn recipients(letters: &[Work]) -> Vec<String> {
    let mut all: Vec<_> = letters
        .iter()
        .map(|work| work.recipient.as_ref().map(|r| r.address.clone()).unwrap_or_default())
        .collect();
    all.sort();
    all
}

/// See the name.
pub async fn a_letter_becomes_one_for_each_distinct_address(mut world: World) {
    let hook = world
        .mail_there(vec![
            everybody(),
            Target::User(user(BOB)),
            Target::Maker(user(ANN)),
            Target::Addresses(vec!["Ops@EXAMPLE.org".to_owned(), "Ops@example.ORG".to_owned()]),
            Target::Addresses(vec![email_of(CID).replace("example", "EXAMPLE")]),
        ])
        .await;
    let event = world.push().await;
    let open = world.lease_one().await;
    assert!(open.unresolved && open.recipient.is_none());
    assert_eq!(world.resolve(&open).await, Recorded::Done);
    assert_eq!(world.store().resolve(open.ticket, world.now).await.expect("answered"), Recorded::Stale);
    world.reopen();
    let letters = world.lease().await;
    assert_eq!(
        recipients(&letters),
        ["Ops@example.org".to_owned(), address(ANN), address(BOB), address(CID)]
    );
    let people: BTreeSet<_> = letters.iter().filter_map(|work| work.recipient.as_ref()?.user).collect();
    assert_eq!(
        people,
        BTreeSet::from([user(ANN), user(BOB), user(CID)]),
        "people are remembered, bare addresses are not"
    );
    assert_eq!(deliveries(&letters).len(), 4);
    assert_eq!(world.all(&of_event(event)).await.len(), 4);
    for letter in &letters {
        assert!(!letter.unresolved && letter.ticket.attempt == 1);
        assert!(world.may_go(letter).await);
        world.deliver(letter).await;
    }
    assert_eq!(world.all(&of_hook(&hook)).await.len(), 4);
    assert!(world.lease().await.is_empty());
    world.check().await;
}

/// See the name.
pub async fn an_address_gets_one_letter_over_all_hooks(mut world: World) {
    let first = world.mail_there(vec![Target::User(user(BOB))]).await;
    let second = world.mail_there(vec![everybody()]).await;
    let third = world.mail_there(vec![Target::Addresses(vec![email_of(BOB)])]).await;
    let event = world.push().await;
    let open = world.lease().await;
    // The last one is resolved first: the address is still the first hook's.
    for work in open.iter().rev() {
        world.resolve(work).await;
    }
    let letters = world.lease().await;
    assert_eq!(recipients(&letters), [address(ANN), address(BOB), address(CID)]);
    let bobs = letters.iter().find(|work| work.recipient.as_ref().is_some_and(|r| r.user == Some(user(BOB))));
    assert_eq!(bobs.and_then(|work| work.hook.as_ref().map(|loaded| loaded.hook.id)), Some(first.id));
    assert_eq!(world.states(&of_hook(&third)).await, [State::Cancelled(Cancelled::DuplicateAddress)]);
    assert_eq!(world.all(&of_hook(&second)).await.len(), 2);
    assert_eq!(world.all(&of_event(event)).await.len(), 4);
    world.check().await;
}

/// See the name.
pub async fn a_letter_for_nobody_is_cancelled(mut world: World) {
    let nobody = Target::Organisation { roles: BTreeSet::from([Role::Manager]) };
    let hook = world.mail_there(vec![nobody, Target::User(user(77))]).await;
    world.push().await;
    assert!(world.letters().await.is_empty());
    assert_eq!(world.states(&of_hook(&hook)).await, [State::Cancelled(Cancelled::NoRecipient)]);
    world.check().await;
}

/// See the name.
pub async fn who_left_gets_nothing_and_who_joined_in_time_does(mut world: World) {
    let first = world.mail_there(vec![everybody()]).await;
    world.push().await;
    world
        .learn(vec![
            born(20),
            member(20, Role::Manager),
            Fact::MemberGone { organisation: ORGANISATION, user: user(CID) },
        ])
        .await;
    let letters = world.letters().await;
    assert_eq!(
        recipients(&letters),
        [address(ANN), address(20), address(BOB)],
        "as it is when it is resolved"
    );
    world.learn(vec![Fact::MemberGone { organisation: ORGANISATION, user: user(BOB) }]).await;
    for letter in &letters {
        let left = letter.recipient.as_ref().is_some_and(|r| r.user == Some(user(BOB)));
        assert_eq!(world.may_go(letter).await, !left);
    }
    // A role that the hook does not name is as good as gone.
    world.store().delete_hook(first.id).await.expect("deleted");
    let admins = world.mail_there(vec![Target::Organisation { roles: BTreeSet::from([Role::Admin]) }]).await;
    world.push().await;
    let ours = world.letters().await;
    let ours: Vec<_> =
        ours.iter().filter(|work| work.hook.as_ref().is_some_and(|h| h.hook.id == admins.id)).collect();
    assert_eq!(ours.len(), 1);
    world.learn(vec![member(ANN, Role::Developer)]).await;
    for letter in ours {
        assert!(!world.may_go(letter).await);
    }
}

/// See the name.
pub async fn a_user_a_hook_names_is_told_while_they_are_one_of_the_owners_people(mut world: World) {
    let named = world.mail_there(vec![Target::User(user(BOB))]).await;
    let made = world.mail_there(vec![Target::Maker(user(CID))]).await;
    world.push().await;
    let letters = world.letters().await;
    assert_eq!(recipients(&letters), [address(BOB), address(CID)]);
    let leaves = |n| Fact::MemberGone { organisation: ORGANISATION, user: user(n) };
    world.learn(vec![leaves(BOB), leaves(CID)]).await;
    for letter in &letters {
        assert!(!world.may_go(letter).await);
    }
    world.push().await;
    for hook in [named, made] {
        let filter = of_hook(&hook);
        world.letters().await.iter().for_each(|work| world.store().release(work.ticket));
        let newest = world.all(&filter).await.remove(0);
        assert_eq!(newest.state, State::Cancelled(Cancelled::NoRecipient));
    }
    world.check().await;
}

/// See the name.
pub async fn admins_are_told_by_the_house_unless_a_hook_mails_them(mut world: World) {
    world.learn(vec![born(20), member(20, Role::Admin)]).await;
    let first = world.accept(world.draft("HOOK_FAILING")).await;
    let letters = world.letters().await;
    assert_eq!(recipients(&letters), [address(ANN), address(20)], "without any hook");
    for letter in &letters {
        assert!(letter.hook.is_none() && letter.event.id == first);
        assert!(world.may_go(letter).await);
        world.deliver(letter).await;
    }
    let hook = world.mail_there(vec![Target::User(user(ANN))]).await;
    let second = world.accept(world.draft("HOOK_FAILING")).await;
    let open = world.lease().await;
    // Whichever is resolved first, the house's comes last.
    for work in
        open.iter().filter(|work| work.hook.is_none()).chain(open.iter().filter(|work| work.hook.is_some()))
    {
        world.resolve(work).await;
    }
    let mailed: BTreeSet<_> = world
        .all(&of_event(second))
        .await
        .into_iter()
        .filter(|delivery| delivery.state.is_live())
        .map(|delivery| (delivery.hook, delivery.recipient.and_then(|r| r.user)))
        .collect();
    assert_eq!(mailed, BTreeSet::from([(Some(hook.id), Some(user(ANN))), (None, Some(user(20)))]));
    let listed = world.of_owner().await;
    assert!(
        listed.iter().any(|delivery| delivery.hook.is_none()),
        "the house's letters are listed with the others"
    );
}

/// See the name.
pub async fn a_letter_of_a_hook_paused_meanwhile_is_not_resolved(mut world: World) {
    let hook = world.mail_there(vec![everybody()]).await;
    world.push().await;
    let open = world.lease_one().await;
    world.turn(&hook, Turn::Pause).await;
    assert_eq!(world.store().resolve(open.ticket, world.now).await.expect("answered"), Recorded::Stale);
    world.settle().await;
    assert_eq!(world.view(&hook).await.held, 1);
    world.turn(&hook, Turn::CatchUp).await;
    world.settle().await;
    assert_eq!(world.letters().await.len(), 3);
    world.check().await;
}

/// Tells of one thing, and gives what came to be leased of it.
async fn about(world: &World, resource: Option<ResourceId>) -> Vec<Work> {
    world.accept(Draft { resource, ..world.draft("GIT_PUSH") }).await;
    world.lease().await
}

/// A webhook of one destination whose format hangs later messages on the first.
async fn threaded(world: &mut World) -> Hook {
    let mut destination = world.destination();
    destination.format = "matrix".to_owned();
    let hook = world.hook(Way::Webhook { destinations: vec![destination] });
    world.add(&hook).await;
    hook
}

/// See the name.
pub async fn a_thread_goes_on_from_its_first_message_that_was_delivered(mut world: World) {
    threaded(&mut world).await;
    let (app, addon) = (Some(application(APPLICATION)), Some(addon(ADDON)));
    let delivered = Verdict::End(State::Delivered);
    let failed = about(&world, app.clone()).await.remove(0);
    assert_eq!(failed.thread, None);
    world.record_with(&failed, Verdict::End(State::Dead(Dead::Refused)), Some("$lost")).await;
    let first = about(&world, app.clone()).await.remove(0);
    assert_eq!(first.thread, None, "what was not delivered begins nothing");
    world.record_with(&first, delivered, Some("$first")).await;
    assert_eq!(world.record_with(&first, delivered, Some("$stale")).await, Recorded::Stale);
    for _ in 0..2 {
        let later = about(&world, app.clone()).await.remove(0);
        assert_eq!(later.thread.as_deref(), Some("$first"));
        world.record(&later, delivered).await;
        world.reopen();
    }
    for other in [addon, None] {
        let other = about(&world, other).await.remove(0);
        assert_eq!(other.thread, None, "another thing, or the owner, has a thread of its own");
        world.record_with(&other, delivered, Some("$other")).await;
    }
    let later = about(&world, app.clone()).await.remove(0);
    world.record_with(&later, delivered, Some("$anew")).await;
    let last = about(&world, app.clone()).await.remove(0);
    assert_eq!(last.thread.as_deref(), Some("$anew"));
    world.deliver(&last).await;
    // Another destination has its own thread, and another format none.
    let raw = world.webhook_there(1).await;
    threaded(&mut world).await;
    let mut out = about(&world, app).await;
    out.retain(|work| work.destination != last.destination);
    assert!(out.len() == 2 && out.iter().all(|work| work.thread.is_none()));
    for work in &out {
        world.record_with(work, delivered, Some("$elsewhere")).await;
    }
    let again = about(&world, Some(application(APPLICATION))).await;
    let of_raw = again.iter().find(|work| raw.destination_ids().contains(&work.destination)).expect("leased");
    assert_eq!(of_raw.thread, None);
    world.check().await;
}

/// See the name.
pub async fn a_thread_ends_with_its_time_and_its_place(mut world: World) {
    let mut hook = threaded(&mut world).await;
    let app = Some(application(APPLICATION));
    let delivered = Verdict::End(State::Delivered);
    let begin = async |world: &World| {
        let work = about(world, Some(application(APPLICATION))).await.remove(0);
        let before = work.thread.clone();
        world.record_with(&work, delivered, Some("$a-root-of-a-thread")).await;
        before
    };
    assert_eq!(begin(&world).await, None);
    world.now += THREAD_LIFE - SECOND;
    world.tidy(0, 0).await;
    let later = about(&world, app.clone()).await.remove(0);
    assert_eq!(later.thread.as_deref(), Some("$a-root-of-a-thread"));
    world.deliver(&later).await;
    world.now += SECOND;
    world.tidy(0, 0).await;
    assert_eq!(begin(&world).await, None, "its time is over");
    // Replaced by the same, it goes on; sent to another room, it does not.
    world.store().replace_hook(hook.clone(), world.now).await.expect("replaced");
    assert!(begin(&world).await.is_some());
    if let Way::Webhook { destinations } = &mut hook.way {
        destinations[0].fields.insert("room".to_owned(), Secret::new("another"));
    }
    world.store().replace_hook(hook.clone(), world.now).await.expect("replaced");
    assert_eq!(begin(&world).await, None, "it is in another place");
    assert!(begin(&world).await.is_some());
    // Taken off and put back, it begins anew.
    let elsewhere = Hook { way: world.webhook(1).way, ..hook.clone() };
    world.store().replace_hook(elsewhere, world.now).await.expect("replaced");
    world.tidy(0, 0).await;
    world.store().replace_hook(hook, world.now).await.expect("replaced");
    assert_eq!(begin(&world).await, None);
}
