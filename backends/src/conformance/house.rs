//! Lists, retention, erasure, counts.

use sonnette_core::ids::DeliveryId;
use sonnette_core::model::{DAY, Dead, Delivery, Fact, Ingested, SECOND, State};
use sonnette_core::ports::{DeliveryFilter, Resent, Turn, Verdict};

use super::{
    ANN, APPLICATION, FOREIGN, ORGANISATION, OWNER, STRANGER, World, application, everybody, of_event,
    of_hook, user,
};

/// See the name.
pub async fn pages_of_deliveries_give_each_once_whatever_is_filtered(mut world: World) {
    let first = world.webhook_there(2).await;
    let mut second = world.webhook_there(1).await;
    for _ in 0..4 {
        world.push().await;
    }
    world.accept(world.draft("HOOK_FAILING")).await;
    for (work, n) in world.lease().await.iter().zip(0..) {
        let verdict = match n % 4 {
            0 => Verdict::End(State::Delivered),
            1 => Verdict::End(State::Dead(Dead::Refused)),
            2 => Verdict::Again(world.now + DAY),
            _ if work.unresolved => continue,
            _ => Verdict::End(State::Dead(Dead::Gone)),
        };
        world.record(work, verdict).await;
    }
    world.turn(&first, Turn::Pause).await;
    world.settle().await;
    // What a destination owed is listed even after it was taken off.
    second.way = sonnette_core::model::Way::Webhook { destinations: vec![world.destination()] };
    world.store().replace_hook(second.clone(), world.now).await.expect("replaced");
    let last = world.push().await;
    world.settle().await;

    let all = world.of_owner().await;
    assert_eq!(all.len(), 4 * 3 + 4 + 3);
    assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first, each once");
    let names = [
        None,
        Some("pending"),
        Some("retrying"),
        Some("delivered"),
        Some("dead"),
        Some("held"),
        Some("cancelled"),
    ];
    let mut nonempty = 0;
    for hook in [None, Some(first.id), Some(second.id)] {
        for event in [None, Some(last)] {
            for owner in [Some(OWNER), None] {
                for name in names {
                    let filter = DeliveryFilter {
                        owner,
                        hook,
                        event,
                        state: name.map(str::to_owned),
                        ..DeliveryFilter::default()
                    };
                    if owner.is_none() && hook.is_none() && event.is_none() {
                        continue;
                    }
                    let expected: Vec<DeliveryId> = all
                        .iter()
                        .filter(|d| hook.is_none_or(|hook| d.hook == Some(hook)))
                        .filter(|d| event.is_none_or(|event| d.id.event == event))
                        .filter(|d| name.is_none_or(|name| d.state.name() == name))
                        .map(|d| d.id)
                        .collect();
                    let found: Vec<_> = world.all(&filter).await.iter().map(|d| d.id).collect();
                    assert_eq!(found, expected, "{filter:?}");
                    nonempty += usize::from(!expected.is_empty());
                }
            }
        }
    }
    assert!(nonempty > 20, "the cases are worth their name");
    let unknown =
        DeliveryFilter { owner: Some(OWNER), state: Some("lost".to_owned()), ..DeliveryFilter::default() };
    assert!(world.all(&unknown).await.is_empty());
    world.check().await;
}

/// See the name.
pub async fn a_filter_holds_in_every_field(mut world: World) {
    let hook = world.webhook_there(1).await;
    let event = world.push().await;
    let stranger = Some(STRANGER.into());
    for filter in [
        DeliveryFilter { owner: stranger, ..of_hook(&hook) },
        DeliveryFilter { owner: stranger, ..of_event(event) },
        DeliveryFilter { owner: stranger, state: Some("pending".to_owned()), ..of_hook(&hook) },
        DeliveryFilter { owner: stranger, ..DeliveryFilter::default() },
    ] {
        assert!(world.all(&filter).await.is_empty(), "{filter:?}");
    }
}

/// See the name.
pub async fn a_list_of_deliveries_is_narrowed_by_event_reason_and_time_and_read_both_ways(mut world: World) {
    let hook = world.webhook_there(2).await;
    let mut about = world.draft("DEPLOYMENT_SUCCESS");
    about.resource = Some(application(APPLICATION));
    let began = world.now;
    for kind in ["GIT_PUSH", "DEPLOYMENT_FAIL", "GIT_PUSH"] {
        world.accept(world.draft(kind)).await;
        world.accept(about.clone()).await;
        world.now += DAY;
    }
    for (work, n) in world.lease().await.iter().zip(0..) {
        let reason = if n % 2 == 0 { Dead::Refused } else { Dead::Gone };
        if n < 6 {
            world.record(work, Verdict::End(State::Dead(reason))).await;
        }
    }
    let mut all = world.of_owner().await;
    all.reverse();
    assert_eq!(all.len(), 12);
    let kinds = [None, Some(vec!["GIT_PUSH".to_owned(), "DEPLOYMENT_FAIL".to_owned()]), Some(vec![])];
    let resources = [None, Some(application(APPLICATION)), Some(application(FOREIGN))];
    let whys = [(None, None), (Some("dead"), None), (Some("dead"), Some("gone")), (None, Some("refused"))];
    let times = [(None, None), (Some(began + DAY), None), (None, Some(began + DAY))];
    let mut nonempty = 0;
    for hook in [None, Some(hook.id)] {
        for resource in &resources {
            for (kinds, (state, reason)) in kinds.iter().flat_map(|kinds| whys.map(|why| (kinds, why))) {
                for (from, until) in times.into_iter().chain([(Some(began + DAY), Some(began + 2 * DAY))]) {
                    let mut expected = Vec::new();
                    for delivery in &all {
                        let event =
                            world.store().event(delivery.id.event).await.expect("read").expect("there");
                        let held = kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind))
                            && resource.as_ref().is_none_or(|id| event.resource.as_ref() == Some(id))
                            && state.is_none_or(|state| delivery.state.name() == state)
                            && reason.is_none_or(|reason| delivery.state.reason() == Some(reason))
                            && from.is_none_or(|from| event.id.at() >= from)
                            && until.is_none_or(|until| event.id.at() < until);
                        expected.extend(held.then_some(delivery.id));
                    }
                    nonempty += usize::from(!expected.is_empty());
                    let mut filter = DeliveryFilter {
                        owner: Some(OWNER),
                        hook,
                        state: state.map(str::to_owned),
                        reason: reason.map(str::to_owned),
                        kinds: kinds.clone(),
                        resource: resource.clone(),
                        from,
                        until,
                        oldest_first: true,
                        ..DeliveryFilter::default()
                    };
                    let ids = |found: Vec<Delivery>| found.iter().map(|one| one.id).collect::<Vec<_>>();
                    assert_eq!(ids(world.all(&filter).await), expected, "{filter:?}");
                    filter.oldest_first = false;
                    expected.reverse();
                    assert_eq!(ids(world.all(&filter).await), expected, "{filter:?}");
                }
            }
        }
    }
    assert!(nonempty > 40, "the cases are worth their name: {nonempty}");
}

/// See the name.
pub async fn retention_erases_and_the_numbers_follow(mut world: World) {
    let hook = world.webhook_there(1).await;
    let mut old = Vec::new();
    for _ in 0..3 {
        for ingested in world.ingest((0..200).map(|_| world.draft("GIT_PUSH")).collect()).await {
            let Ingested::Accepted(id) = ingested else { panic!("{ingested:?}") };
            old.push(id);
        }
    }
    for work in world.lease().await {
        world.record(&work, Verdict::End(State::Dead(Dead::Gone))).await;
    }
    world.turn(&hook, Turn::Pause).await;
    world.settle().await;
    let dead = world.view(&hook).await.dead;
    assert!(dead > 0);
    assert_eq!(world.view(&hook).await.held, 600 - dead);
    world.now += 31 * DAY;
    let young = world.push().await;
    world.tidy(world.now - 30 * DAY, 0).await;
    let view = world.view(&hook).await;
    assert_eq!((view.held, view.dead), (1, 0));
    for id in [old[0], old[599]] {
        assert_eq!(world.store().event(id).await.expect("read"), None);
        let delivery = DeliveryId { event: id, n: 0 };
        assert_eq!(world.store().delivery(delivery).await.expect("read"), None);
        assert_eq!(world.store().resend(delivery, world.now).await.expect("answered"), Resent::NoDelivery);
    }
    assert_eq!(world.of_owner().await.iter().map(|d| d.id.event).collect::<Vec<_>>(), [young]);
    world.check().await;
    // A deleted hook is forgotten with the last of what it owed.
    world.store().delete_hook(hook.id).await.expect("deleted");
    world.settle().await;
    assert_eq!(world.all(&of_hook(&hook)).await.len(), 1);
    world.now += 31 * DAY;
    world.tidy(world.now - 30 * DAY, 0).await;
    assert!(world.all(&of_hook(&hook)).await.is_empty());
    assert_eq!(world.store().counts().await.expect("counted").held, 0);
}

/// See the name.
pub async fn much_that_one_event_owes_is_erased_in_slices(mut world: World) {
    let hook = world.webhook_there(3_000).await;
    world.turn(&hook, Turn::Pause).await;
    world.settle().await;
    let both = [world.push().await, world.push().await];
    world.now += 31 * DAY;
    let mut slices = Vec::new();
    loop {
        let tidied = world.store().tidy(world.now, world.now - 30 * DAY, 0).await.expect("tidied");
        if !tidied.more {
            break;
        }
        slices.push(tidied.rows);
        let mut left = world.store().counts().await.expect("counted").held;
        for event in both {
            left += u64::from(world.store().event(event).await.expect("read").is_some());
        }
        assert_eq!(left + slices.iter().sum::<u64>(), 6_002, "an event goes with the last of what it owes");
    }
    assert!(slices.len() > 2 && slices.iter().all(|rows| *rows <= 2_500), "{slices:?}");
    assert_eq!(slices.iter().sum::<u64>(), 6_002);
}

/// See the name.
pub async fn what_still_waits_of_old_events_is_dead_and_counted_and_can_be_sent_again(mut world: World) {
    let hook = world.webhook_there(2).await;
    let drafts = (0..600).map(|_| world.draft("GIT_PUSH")).collect();
    world.ingest(drafts).await;
    let work = world.lease().await;
    world.deliver(&work[0]).await;
    world.record(&work[1], Verdict::Again(world.now + 40 * DAY)).await;
    world.now += 29 * DAY;
    let young = world.push().await;
    let give_up = async |world: &World| {
        let mut slices = 0;
        while world.store().give_up_waiting(world.now - 28 * DAY).await.expect("given up").more {
            slices += 1;
        }
        slices
    };
    assert!(give_up(&world).await > 2, "in slices");
    assert_eq!(give_up(&world).await, 0, "looked at once");
    let view = world.view(&hook).await;
    assert_eq!((view.held, view.dead), (0, 1_199));
    for delivery in world.of_owner().await {
        let expected = match delivery.id {
            id if id.event == young => State::Pending,
            id if id == work[0].ticket.delivery => State::Delivered,
            _ => State::Dead(Dead::Expired),
        };
        assert_eq!(delivery.state, expected, "{delivery:?}");
    }
    world.check().await;
    // An attempt that was out says nothing about what was given up, unless it was made.
    world.record(&work[2], Verdict::Again(world.now)).await;
    assert_eq!(world.state(work[2].ticket.delivery).await, State::Dead(Dead::Expired));
    world.reopen();
    assert_eq!(world.lease().await.len(), 2, "only the young event waits");
    let again = work[1].ticket.delivery;
    assert_eq!(world.store().resend(again, world.now).await.expect("answered"), Resent::Due);
    assert_eq!(give_up(&world).await, 0);
    assert!(world.state(again).await.is_live());
    assert_eq!(world.view(&hook).await.dead, 1_198);
    world.now += DAY + SECOND;
    world.tidy(world.now - 30 * DAY, 0).await;
    assert_eq!(world.view(&hook).await.dead, 0);
    world.check().await;
}

/// See the name.
pub async fn excerpts_are_forgotten_before_their_deliveries(mut world: World) {
    world.webhook_there(1).await;
    world.push().await;
    let excerpts = async |world: &World, id| {
        let (_, _, attempts) = world.store().delivery(id).await.expect("read").expect("there");
        attempts.into_iter().map(|attempt| attempt.excerpt.is_some()).collect::<Vec<_>>()
    };
    let first = world.lease_one().await;
    let id = first.ticket.delivery;
    world.record(&first, Verdict::Again(world.now + 6 * DAY)).await;
    world.now += 6 * DAY;
    world.tidy(0, world.now - 7 * DAY).await;
    assert_eq!(excerpts(&world, id).await, [true]);
    world.record(&world.lease_one().await, Verdict::End(State::Dead(Dead::Gone))).await;
    world.now += 2 * DAY;
    world.tidy(0, world.now - 7 * DAY).await;
    assert_eq!(excerpts(&world, id).await, [false, true]);
    // By its own age, not by that of its event.
    world.now += 10 * DAY;
    world.tidy(0, world.now - 7 * DAY).await;
    assert_eq!(world.store().resend(id, world.now).await.expect("resent"), Resent::Due);
    world.record(&world.lease_one().await, Verdict::End(State::Dead(Dead::Gone))).await;
    world.now += 6 * DAY;
    world.tidy(0, world.now - 7 * DAY).await;
    assert_eq!(excerpts(&world, id).await, [false, false, true]);
    world.now += 2 * DAY;
    world.tidy(0, world.now - 7 * DAY).await;
    assert_eq!(excerpts(&world, id).await, [false, false, false]);
}

/// See the name.
pub async fn an_owner_is_erased_once_what_it_owed_is_out(mut world: World) {
    let hook = world.webhook_there(1).await;
    let holding = world.webhook_there(1).await;
    let gone = world.push().await;
    world.turn(&holding, Turn::Pause).await;
    let told = world.accept(world.draft("HOOK_FAILING")).await;
    world.learn(vec![Fact::OrganisationGone(ORGANISATION)]).await;
    world.now += SECOND;
    world.settle().await;
    assert_eq!(world.states(&of_hook(&holding)).await.len(), 2, "held, and never to be resumed: cancelled");
    assert!(world.states(&of_hook(&holding)).await.iter().all(|state| matches!(state, State::Cancelled(_))));
    for work in world.lease().await {
        if work.unresolved {
            world.resolve(&work).await;
        } else {
            world.deliver(&work).await;
        }
    }
    world.settle().await;
    assert!(world.store().event(told).await.expect("read").is_some(), "the house's letter still waits");
    let letter = world.lease_one().await;
    assert_eq!(letter.recipient.as_ref().and_then(|r| r.user), Some(user(ANN)));
    world.deliver(&letter).await;
    world.settle().await;
    for event in [gone, told] {
        assert_eq!(world.store().event(event).await.expect("read"), None);
    }
    assert!(world.all(&of_hook(&hook)).await.is_empty());
    assert!(world.store().resources(OWNER).await.expect("listed").is_empty());
    assert!(world.store().members(ORGANISATION).await.expect("listed").is_empty());
    assert_eq!(
        world.store().resources(STRANGER.into()).await.expect("listed").len(),
        1,
        "others keep what is theirs"
    );
    let counts = world.store().counts().await.expect("counted");
    assert_eq!((counts.held, counts.dead), (0, 0));
    // And a new one may come under the same name.
    world.learn(vec![super::organisation(ORGANISATION)]).await;
    assert!(world.store().knows(OWNER).await.expect("read"));
}

/// See the name.
pub async fn a_closed_owner_is_owed_nothing_more(mut world: World) {
    world.mail_there(vec![everybody()]).await;
    world.learn(vec![Fact::OrganisationGone(ORGANISATION)]).await;
    assert_eq!(world.ingest(vec![world.draft("GIT_PUSH")]).await, vec![Ingested::UnknownOwner]);
    assert_eq!(world.store().organisation(ORGANISATION).await.expect("read"), None);
    let hook = world.webhook(1);
    let outcome = world.store().add_hook(hook, None, world.now).await.expect("answered");
    assert_eq!(outcome, sonnette_core::ports::Changed::UnknownOwner);
    let outcome =
        world.store().learn(vec![super::organisation(ORGANISATION)], world.now).await.expect("answered");
    assert!(outcome.is_err(), "not before it is erased");
}

/// See the name.
pub async fn the_house_counts_itself(mut world: World) {
    world.store().ping().await.expect("it can read and write");
    assert!(!world.store().about().await.expect("told").is_empty());
    let paused = world.webhook_there(2).await;
    let dying = world.webhook_there(1).await;
    world.turn(&paused, Turn::Pause).await;
    world.push().await;
    world.push().await;
    let counts = world.store().counts().await.expect("counted");
    assert_eq!((counts.destinations_waiting, counts.held, counts.dead), (1, 4, 0));
    assert!(counts.bytes > 0);
    for work in world.lease().await {
        assert_eq!(work.hook.as_ref().map(|loaded| loaded.hook.id), Some(dying.id));
        world.record(&work, Verdict::End(State::Dead(Dead::Gone))).await;
    }
    world.reopen();
    let counts = world.store().counts().await.expect("counted");
    assert_eq!((counts.destinations_waiting, counts.held, counts.dead), (0, 4, 2));
}
