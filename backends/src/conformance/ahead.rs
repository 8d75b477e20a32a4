//! Reading forward.

use sonnette_core::ids::{EventId, OwnerId};
use sonnette_core::model::{DAY, Fact, Ingested, Role};
use sonnette_core::ports::{Ahead, Look};

use super::{ANN, BOB, ORGANISATION, OWNER, STRANGER, World, born, member, user};

const START: EventId = EventId(0);

fn look(places: Vec<(OwnerId, EventId)>) -> Look {
    Look { reader: None, places, others: None, events: 1_000, bytes: 1 << 20 }
}

fn ids(ahead: &Ahead) -> Vec<EventId> {
    ahead.stretches.iter().flat_map(|stretch| &stretch.events).map(|event| event.id).collect()
}

async fn many(world: &World, owner: OwnerId, count: usize) -> Vec<EventId> {
    let mut draft = world.draft("GIT_PUSH");
    draft.owner = owner;
    let accepted = world.ingest(vec![draft; count]).await.into_iter().map(|ingested| match ingested {
        Ingested::Accepted(id) => id,
        other => panic!("not accepted: {other:?}"),
    });
    accepted.collect()
}

/// See the name.
pub async fn whoever_reads_on_gets_each_event_once_in_order(mut world: World) {
    let mut expected = many(&world, OWNER, 3).await;
    let others = many(&world, STRANGER.into(), 4).await;
    world.reopen();
    expected.extend(many(&world, OWNER, 5).await);
    for events in [1, 3, 100] {
        let (mut place, mut found) = (START, Vec::new());
        loop {
            let ahead =
                world.store().ahead(Look { events, ..look(vec![(OWNER, place)]) }).await.expect("read");
            let [stretch] = ahead.stretches.as_slice() else { panic!("{ahead:?}") };
            assert!(stretch.events.len() <= events && stretch.until >= place, "{stretch:?}");
            assert_eq!((stretch.owner, stretch.from, ahead.erased), (OWNER, place, START));
            found.extend(ids(&ahead));
            place = stretch.until;
            if !stretch.more {
                assert_eq!(place, ahead.newest, "there is nothing between here and now");
                break;
            }
        }
        assert_eq!(found, expected);
    }
    let both = look(vec![(STRANGER.into(), others[1]), (OWNER, expected[6])]);
    assert_eq!(ids(&world.store().ahead(both).await.expect("read")), [others[2], others[3], expected[7]]);
    let nothing = world.store().ahead(look(vec![(OWNER, EventId(i64::MAX))])).await.expect("read");
    assert_eq!(ids(&nothing), []);
}

/// See the name.
pub async fn a_look_stays_within_its_room_but_gives_one_event_whatever_its_size(world: World) {
    let expected = many(&world, OWNER, 4).await;
    let frame = world.store().event(expected[0]).await.expect("read").expect("there").frame.len();
    for (bytes, count) in [(1, 1), (frame, 1), (2 * frame, 2), (3 * frame - 1, 2)] {
        let places = vec![(OWNER, START), (STRANGER.into(), START)];
        let ahead = world.store().ahead(Look { bytes, ..look(places) }).await.expect("read");
        assert_eq!(ids(&ahead), expected[..count]);
        assert!(ahead.stretches[0].more && ahead.stretches[0].until == expected[count - 1]);
    }
}

/// See the name.
pub async fn a_quiet_owners_event_is_found_behind_very_many_of_others(world: World) {
    let first = many(&world, OWNER, 1).await;
    for _ in 0..10 {
        many(&world, STRANGER.into(), 5_000).await;
    }
    let last = many(&world, OWNER, 1).await;
    let ahead = world.store().ahead(look(vec![(OWNER, START)])).await.expect("read");
    assert_eq!(ids(&ahead), [first[0], last[0]]);
    let ahead = world.store().ahead(look(vec![(OWNER, first[0])])).await.expect("read");
    assert_eq!(ids(&ahead), last);
}

/// See the name.
pub async fn a_look_knows_the_readers_roles_and_organisations_of_its_moment(world: World) {
    let everything = |n, from| Look { reader: Some(user(n)), others: Some(from), ..look(Vec::new()) };
    let seen = async |n, from| world.store().ahead(everything(n, from)).await.expect("read");
    let roles = |ahead: &Ahead| ahead.stretches.iter().map(|s| (s.owner, s.role)).collect::<Vec<_>>();
    let own = |n| (OwnerId::from(user(n)), Some(Role::Admin));

    let before = many(&world, OWNER, 1).await;
    let ahead = seen(BOB, START).await;
    assert_eq!(roles(&ahead), [own(BOB), (OWNER, Some(Role::Developer))]);
    assert_eq!(ids(&ahead), before);
    world.learn(vec![Fact::MemberGone { organisation: ORGANISATION, user: user(BOB) }]).await;
    let after = many(&world, OWNER, 1).await;
    assert_eq!(roles(&seen(BOB, START).await), [own(BOB)]);
    let named = Look { reader: Some(user(BOB)), ..look(vec![(OWNER, before[0])]) };
    assert_eq!(world.store().ahead(named).await.expect("read").stretches[0].role, None);
    world.learn(vec![member(BOB, Role::Accounting)]).await;
    for place in [vec![], vec![(OWNER, before[0])]] {
        let look = Look { reader: Some(user(BOB)), others: Some(before[0]), ..look(place) };
        let ahead = world.store().ahead(look).await.expect("read");
        assert_eq!(ids(&ahead), [], "joining starts now: nothing of before");
        assert!(roles(&ahead).contains(&(OWNER, Some(Role::Accounting))));
    }
    let named = Look { reader: Some(user(BOB)), ..look(vec![(OWNER, before[0])]) };
    assert_eq!(
        ids(&world.store().ahead(named).await.expect("read")),
        after,
        "an owner's own stream has all of it"
    );
    let joined = many(&world, OWNER, 1).await;
    world.learn(vec![member(BOB, Role::Manager)]).await;
    assert_eq!(ids(&seen(BOB, before[0]).await), joined, "another role is no new beginning");
    world.learn(vec![Fact::OrganisationGone(ORGANISATION)]).await;
    assert_eq!(roles(&seen(ANN, START).await), [own(ANN)]);
    world.learn(vec![Fact::UserGone(user(ANN))]).await;
    assert_eq!(roles(&seen(ANN, START).await), []);
}

/// See the name.
pub async fn what_retention_erased_is_told_and_what_an_erased_owner_took_along_is_not(mut world: World) {
    let old = many(&world, OWNER, 3).await;
    world.now += 40 * DAY;
    many(&world, STRANGER.into(), 1).await;
    let new = many(&world, OWNER, 2).await;
    world.tidy(world.now - 30 * DAY, 0).await;
    world.learn(vec![Fact::OrganisationGone(STRANGER)]).await;
    world.tidy(world.now - 30 * DAY, 0).await;
    for _ in 0..2 {
        let ahead = world.store().ahead(look(vec![(OWNER, old[0])])).await.expect("read");
        assert_eq!((ids(&ahead), ahead.erased, ahead.newest), (new.clone(), old[2], new[1]));
        world.reopen();
    }
}

/// See the name.
pub async fn whoever_waits_is_told_whose_events_grew(world: World) {
    // What is told first may be of before; from then on it is exact.
    let first = async {
        world.store().grown().await;
    };
    tokio::join!(first, many(&world, OWNER, 1));
    let grown = async |world: &World| {
        let mut all = Vec::new();
        while let Some(owners) = tokio::select! {
            biased;
            owners = world.store().grown() => Some(owners.expect("not everybody")),
            () = std::future::ready(()) => None,
        } {
            all.extend(owners);
        }
        all.sort_unstable();
        all.dedup();
        all
    };
    grown(&world).await;
    many(&world, STRANGER.into(), 2).await;
    many(&world, OWNER, 2).await;
    let mut both = vec![OWNER, OwnerId::from(STRANGER)];
    both.sort_unstable();
    assert_eq!(grown(&world).await, both);
    world.learn(vec![born(50), member(50, Role::Admin)]).await;
    assert_eq!(grown(&world).await, [OwnerId::from(user(50))], "joining is told as of one's own space");
    world.learn(vec![Fact::MemberGone { organisation: ORGANISATION, user: user(50) }]).await;
    assert_eq!(grown(&world).await, [OwnerId::from(user(50))], "leaving too");
    world.ingest(vec![]).await;
    assert_eq!(grown(&world).await, []);
}
