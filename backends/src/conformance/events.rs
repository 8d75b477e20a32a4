//! Accepting events.

use std::collections::BTreeSet;

use sonnette_core::ids::{EventId, OwnerId, ResourceId};
use sonnette_core::model::{DAY, Draft, Fact, HookState, Ingested, SECOND, State, Target, Way};
use sonnette_core::ports::{Page, Turn};

use super::{
    ADDON, ANN, APPLICATION, FOREIGN, ORGANISATION, OWNER, World, addon, application, born, everybody,
    of_event, of_hook, real_id, user,
};

fn keyed(mut draft: Draft, key: u64, content: u8) -> Draft {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&key.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    draft.key = Some(bytes);
    draft.content = Some([content; 16]);
    draft
}

/// See the name.
pub async fn numbering_grows_and_survives_a_restart(mut world: World) {
    let mut last = EventId(0);
    for step in [0, 5, -3 * SECOND, 0, 1] {
        world.now += step;
        let drafts = vec![world.draft("GIT_PUSH"), world.draft("GIT_PUSH")];
        for ingested in world.ingest(drafts).await {
            let Ingested::Accepted(id) = ingested else { panic!("{ingested:?}") };
            assert!(id > last, "ids only grow, whatever the clock does");
            last = id;
        }
        world.reopen();
    }
}

/// See the name.
pub async fn a_number_is_never_given_twice_even_when_the_newest_event_is_erased(mut world: World) {
    let newest = world.push().await;
    world.tidy(world.now + DAY, 0).await;
    assert_eq!(world.store().event(newest).await.expect("read"), None);
    world.reopen();
    world.now -= DAY;
    assert!(world.push().await > newest);
}

/// See the name.
pub async fn a_frame_is_kept_byte_for_byte_with_its_id(world: World) {
    let mut draft = world.draft("GIT_PUSH");
    draft.resource = Some(application(APPLICATION));
    let mut expected = draft.frame.clone();
    let id = world.accept(draft).await;
    sonnette_core::frame::stamp(&mut expected, id);
    let event = world.store().event(id).await.expect("read").expect("there");
    assert_eq!(event.frame.as_ref(), expected);
    assert_eq!(
        (event.owner, event.kind.as_str(), event.resource),
        (OWNER, "GIT_PUSH", Some(application(APPLICATION)))
    );
}

/// See the name.
pub async fn a_repeat_is_recognised_and_another_content_is_a_conflict(mut world: World) {
    let hook = world.webhook_there(1).await;
    let id = world.accept(keyed(world.draft("GIT_PUSH"), 1, 1)).await;
    let again = vec![keyed(world.draft("GIT_PUSH"), 1, 1), keyed(world.draft("GIT_PUSH"), 1, 2)];
    assert_eq!(world.ingest(again).await, vec![Ingested::Already(id), Ingested::Conflict(id)]);
    assert_eq!(world.all(&of_hook(&hook)).await.len(), 1, "a repeat owes nothing");
}

/// See the name.
pub async fn a_repeat_inside_one_batch_is_recognised(world: World) {
    let drafts =
        [(1, 1), (1, 1), (1, 2), (2, 1)].map(|(key, content)| keyed(world.draft("GIT_PUSH"), key, content));
    let outcome = world.ingest(drafts.into()).await;
    let (Ingested::Accepted(first), Ingested::Accepted(other)) = (&outcome[0], &outcome[3]) else {
        panic!("{outcome:?}")
    };
    assert_ne!(first, other);
    assert_eq!(outcome[1..3], [Ingested::Already(*first), Ingested::Conflict(*first)]);
}

/// See the name.
pub async fn a_repeat_is_recognised_after_a_restart_and_after_very_many_keys(mut world: World) {
    // More than any store would keep in memory alone.
    let (batch, batches) = (5_000, 25);
    let mut first = Vec::new();
    for n in 0..batches {
        let drafts = (0..batch).map(|k| keyed(world.draft("GIT_PUSH"), n * batch + k, 1)).collect();
        first.push(world.ingest(drafts).await[0].clone());
    }
    for round in 0..3 {
        if round > 0 {
            world.reopen();
        }
        for (n, first) in (0..).zip(&first) {
            let Ingested::Accepted(id) = first else { panic!("{first:?}") };
            let repeat = keyed(world.draft("GIT_PUSH"), n * batch, 1);
            assert_eq!(world.ingest(vec![repeat]).await, vec![Ingested::Already(*id)]);
        }
        // Between the rounds more come in, so that whatever moves keys about goes on.
        let more =
            (0..batch).map(|k| keyed(world.draft("GIT_PUSH"), 1_000_000 + round * batch + k, 1)).collect();
        world.ingest(more).await;
    }
}

/// See the name.
pub async fn a_key_means_nothing_once_its_event_is_erased(mut world: World) {
    let old = world.accept(keyed(world.draft("GIT_PUSH"), 1, 1)).await;
    world.now += 40 * DAY;
    world.tidy(world.now - 30 * DAY, 0).await;
    let new = world.accept(keyed(world.draft("GIT_PUSH"), 1, 2)).await;
    assert!(new > old);
    world.reopen();
    let again = keyed(world.draft("GIT_PUSH"), 1, 2);
    assert_eq!(world.ingest(vec![again]).await, vec![Ingested::Already(new)]);
}

/// See the name.
pub async fn a_repeat_is_recognised_after_its_owner_was_erased_and_brings_nothing_back(mut world: World) {
    let account = OwnerId::User(user(50));
    let created = keyed(creation(&mut world, 50), 1, 1);
    let create = world.accept(created.clone()).await;
    let mut gone = keyed(world.draft("ACCOUNT_DELETION"), 2, 2);
    gone.owner = account;
    gone.facts = vec![Fact::UserGone(user(50))];
    let delete = world.accept(gone.clone()).await;
    let mut unkeyed = world.draft("GIT_PUSH");
    unkeyed.resource = Some(application(APPLICATION));
    world.accept(unkeyed).await;
    for letter in world.letters().await {
        world.deliver(&letter).await;
    }
    world.learn(vec![Fact::OrganisationGone(ORGANISATION)]).await;
    world.now += SECOND;
    world.settle().await;
    let page = Page { after: None, limit: 9 };
    for round in 0..2 {
        for id in [create, delete] {
            assert_eq!(world.store().event(id).await.expect("read"), None, "its content is gone");
            assert!(world.all(&of_event(id)).await.is_empty());
        }
        assert!(world.store().events(account, page).await.expect("listed").is_empty());
        let mut other = created.clone();
        other.content = Some([9; 16]);
        assert_eq!(
            world.ingest(vec![created.clone(), gone.clone(), other]).await,
            vec![Ingested::Already(create), Ingested::Already(delete), Ingested::Conflict(create)]
        );
        assert!(!world.store().knows(account).await.expect("read"), "nobody came back");
        assert!(world.store().hooks(account).await.expect("listed").is_empty());
        if round == 0 {
            world.reopen();
        }
    }
    // As long as the events would have been kept, and no longer.
    world.now += 31 * DAY;
    world.tidy(world.now - 30 * DAY, 0).await;
    assert!(world.accept(created).await > delete);
}

/// See the name.
pub async fn each_item_of_a_batch_stands_alone(world: World) {
    let mut nobodys = world.draft("GIT_PUSH");
    nobodys.owner = OwnerId::User(user(77));
    let mut foreign = world.draft("GIT_PUSH");
    foreign.resource = Some(application(FOREIGN));
    let drafts = vec![world.draft("GIT_PUSH"), nobodys, foreign, world.draft("GIT_PUSH")];
    let outcome = world.ingest(drafts).await;
    assert!(matches!(outcome[0], Ingested::Accepted(_)) && matches!(outcome[3], Ingested::Accepted(_)));
    assert_eq!(outcome[1..3], [Ingested::UnknownOwner, Ingested::ForeignResource(application(FOREIGN))]);
}

/// See the name.
pub async fn an_event_owes_what_its_owners_hooks_say(mut world: World) {
    let two = world.webhook_there(2).await;
    let mut deployments = world.webhook(1);
    deployments.events = Some(vec!["META_DEPLOYMENT_RESULT".to_owned()]);
    let mut scoped = world.webhook(1);
    scoped.scope = Some(vec![application(APPLICATION)]);
    let letters = world.mail(vec![everybody()]);
    for hook in [&deployments, &scoped, &letters] {
        world.add(hook).await;
    }
    let push = world.push().await;
    let owed: Vec<_> = world.all(&of_event(push)).await.iter().rev().map(|d| d.hook).collect();
    assert_eq!(owed, [Some(two.id), Some(two.id), Some(letters.id)]);

    let mut draft = world.draft("DEPLOYMENT_SUCCESS");
    draft.resource = Some(application(APPLICATION));
    draft.about_hook = Some(letters.id);
    let success = world.accept(draft).await;
    let owed: Vec<_> = world.all(&of_event(success)).await.iter().rev().map(|d| d.hook).collect();
    assert_eq!(owed, [Some(two.id), Some(two.id), Some(deployments.id), Some(scoped.id)]);
    let ways: Vec<_> =
        world.all(&of_event(push)).await.into_iter().rev().map(|d| (d.format, d.state)).collect();
    assert_eq!(ways[0], ("raw".to_owned(), State::Pending));
    assert_eq!(ways[2], ("email".to_owned(), State::Pending));
}

/// See the name.
pub async fn an_event_about_somebody_elses_resource_is_refused(world: World) {
    let mut draft = world.draft("GIT_PUSH");
    draft.resource = Some(application(FOREIGN));
    assert_eq!(world.ingest(vec![draft]).await, vec![Ingested::ForeignResource(application(FOREIGN))]);
    let mut unknown = world.draft("GIT_PUSH");
    unknown.resource = Some(application(99));
    assert!(
        matches!(world.ingest(vec![unknown]).await[0], Ingested::Accepted(_)),
        "the directory may lag behind"
    );
}

/// See the name.
pub async fn an_addon_is_matched_under_both_its_ids(mut world: World) {
    let mut by_id = world.webhook(1);
    by_id.scope = Some(vec![addon(ADDON)]);
    let mut by_real_id = world.webhook(1);
    by_real_id.scope = Some(vec![real_id(ADDON)]);
    world.add(&by_id).await;
    world.add(&by_real_id).await;
    for named in [addon(ADDON), real_id(ADDON)] {
        let mut draft = world.draft("GIT_PUSH");
        draft.resource = Some(named);
        let event = world.accept(draft).await;
        assert_eq!(world.all(&of_event(event)).await.len(), 2);
        let stored = world.store().event(event).await.expect("read").expect("there");
        assert_eq!(stored.resource, Some(addon(ADDON)));
    }
}

/// See the name.
pub async fn an_addon_named_under_both_its_ids_is_one_unless_they_are_known_as_two(mut world: World) {
    let mut scoped = world.webhook(1);
    scoped.scope = Some(vec![real_id(98)]);
    world.add(&scoped).await;
    let both = |id: u8, real: u8| {
        let mut draft = world.draft("GIT_PUSH");
        (draft.resource, draft.real_id) = (Some(addon(id)), Some(real_id(real)));
        draft
    };
    let drafts = vec![both(ADDON, ADDON), both(98, 98), both(ADDON, 97), both(97, ADDON)];
    let outcome = world.ingest(drafts).await;
    let [Ingested::Accepted(known), Ingested::Accepted(lagging), refused @ ..] = &outcome[..] else {
        panic!("{outcome:?}")
    };
    assert!(refused.iter().all(|one| matches!(one, Ingested::Contradiction(_))), "{refused:?}");
    for (event, id) in [(known, ADDON), (lagging, 98)] {
        let stored = world.store().event(*event).await.expect("read").expect("there");
        assert_eq!(stored.resource, Some(addon(id)));
    }
    assert_eq!(
        world.all(&of_event(*lagging)).await.len(),
        1,
        "matched under the id the directory does not know"
    );
    world
        .learn(vec![Fact::Resource {
            id: addon(99),
            real_id: Some(real_id(99)),
            owner: super::STRANGER.into(),
            name: None,
        }])
        .await;
    let mut foreign = world.draft("GIT_PUSH");
    (foreign.resource, foreign.real_id) = (Some(addon(98)), Some(real_id(99)));
    assert_eq!(world.ingest(vec![foreign]).await, vec![Ingested::ForeignResource(real_id(99))]);
}

/// A draft that creates a user with one default hook, which mails them of everything.
fn creation(world: &mut World, n: u8) -> Draft {
    let owner = OwnerId::User(user(n));
    let mut hook = world.mail(vec![everybody()]);
    hook.owner = owner;
    let mut draft = world.draft("ACCOUNT_CREATION");
    draft.owner = owner;
    let Fact::User { id, name, email, lang, operator, .. } = born(n) else {
        unreachable!("`born` tells of a user")
    };
    draft.facts = vec![Fact::User { id, name, email, lang, operator, hooks: vec![hook] }];
    draft
}

/// See the name.
pub async fn a_creation_creates_its_owner_with_its_default_hooks(mut world: World) {
    let draft = creation(&mut world, 50);
    let owner = draft.owner;
    let repeat = draft.clone();
    let event = world.accept(draft).await;
    let hooks = world.store().hooks(owner).await.expect("listed");
    assert_eq!(hooks.len(), 1);
    assert_eq!(
        world.all(&of_event(event)).await[0].hook,
        Some(hooks[0].hook.id),
        "matched with the hooks it brought"
    );
    assert!(world.store().user(user(50)).await.expect("read").is_some());
    world.accept(repeat).await;
    assert_eq!(world.store().hooks(owner).await.expect("listed").len(), 1, "born once");
}

/// See the name.
pub async fn a_refused_event_makes_nothing_known(mut world: World) {
    let hook = world.webhook_there(1).await;
    world.turn(&hook, Turn::Pause).await;
    let mut refused = creation(&mut world, 50);
    refused.resource = Some(application(FOREIGN));
    let owner = refused.owner;
    let mut plain = world.draft("GIT_PUSH");
    plain.owner = owner;
    let mut contradicted = world.draft("ORGANISATION_USER_ADDITION");
    contradicted.facts = vec![Fact::Member {
        organisation: ORGANISATION,
        user: user(66),
        role: sonnette_core::model::Role::Admin,
    }];
    let outcome = world.ingest(vec![refused, plain.clone(), contradicted]).await;
    assert_eq!(outcome[0], Ingested::ForeignResource(application(FOREIGN)));
    assert_eq!(outcome[1], Ingested::UnknownOwner, "not even in the same batch");
    assert!(matches!(outcome[2], Ingested::Contradiction(_)));
    assert_eq!(world.ingest(vec![plain]).await, vec![Ingested::UnknownOwner]);
    assert!(!world.store().knows(owner).await.expect("read"));
    assert!(world.store().hooks(owner).await.expect("listed").is_empty());
    world.check().await;
}

/// See the name.
pub async fn a_deletion_is_matched_before_it_is_learnt(mut world: World) {
    let hook = world.mail_there(vec![everybody()]).await;
    let mut draft = world.draft("ORGANISATION_DELETION");
    draft.facts = vec![Fact::OrganisationGone(ORGANISATION)];
    let event = world.accept(draft).await;
    assert_eq!(world.all(&of_event(event)).await[0].hook, Some(hook.id));
    assert!(!world.store().knows(OWNER).await.expect("read"));
    assert_eq!(world.ingest(vec![world.draft("GIT_PUSH")]).await, vec![Ingested::UnknownOwner]);
    let letters = world.letters().await;
    assert_eq!(letters.len(), 3, "what is owed goes out to the people there were");
    for letter in &letters {
        assert!(world.may_go(letter).await);
    }
}

/// See the name.
pub async fn pages_of_events_give_each_once(world: World) {
    let mut expected = Vec::new();
    for _ in 0..3 {
        let drafts = (0..4).map(|_| world.draft("GIT_PUSH")).collect();
        for ingested in world.ingest(drafts).await {
            let Ingested::Accepted(id) = ingested else { panic!("{ingested:?}") };
            expected.insert(0, id);
        }
    }
    let mut found: Vec<EventId> = Vec::new();
    loop {
        let page = Page { after: found.last().copied(), limit: 5 };
        let more = world.store().events(OWNER, page).await.expect("listed");
        if more.is_empty() {
            break;
        }
        found.extend(more.iter().map(|event| event.id));
    }
    assert_eq!(found, expected);
    let stranger = OwnerId::User(user(ANN));
    let none = world.store().events(stranger, Page { after: None, limit: 5 }).await.expect("listed");
    assert!(none.is_empty());
}

/// See the name.
pub async fn a_page_of_events_is_narrowed_by_resource_and_kinds_and_says_where_it_ends(world: World) {
    let app = application(APPLICATION);
    let about = |kind: &str, app: Option<&ResourceId>| {
        let mut draft = world.draft(kind);
        draft.resource = app.cloned();
        draft
    };
    let mut ids = Vec::new();
    for _ in 0..3 {
        let drafts = vec![
            about("DEPLOYMENT_SUCCESS", Some(&app)),
            about("GIT_PUSH", Some(&app)),
            about("DEPLOYMENT_SUCCESS", None),
            about("DEPLOYMENT_FAIL", Some(&app)),
        ];
        for ingested in world.ingest(drafts).await {
            let Ingested::Accepted(id) = ingested else { panic!("{ingested:?}") };
            ids.insert(0, id);
        }
    }
    let expected: Vec<_> = ids.chunks(4).flat_map(|four| [four[0], four[3]]).collect();
    let kinds: &'static [&'static str] = &["DEPLOYMENT_SUCCESS", "DEPLOYMENT_FAIL"];
    for limit in [1, 5, 100] {
        let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = Page { after, limit };
            let (events, last) =
                world.store().events_about(OWNER, app.clone(), kinds, page).await.expect("read");
            found.extend(events.iter().map(|event| event.id));
            let Some(last) = last else { break };
            assert_eq!(last, ids[(ids.len() - 1).min((pages + 1) * limit - 1)], "the page is {limit} long");
            (after, pages) = (Some(last), pages + 1);
        }
        assert_eq!(found, expected, "{limit}");
    }
    let none =
        world.store().events_about(OWNER, application(2), kinds, Page { after: None, limit: 100 }).await;
    assert_eq!(none.expect("read").0, []);
}

/// See the name.
pub async fn what_a_paused_hook_is_owed_is_held(mut world: World) {
    let hook = world.webhook_there(2).await;
    world.push().await;
    world.turn(&hook, Turn::Pause).await;
    let event = world.push().await;
    assert!(world.states(&of_event(event)).await.iter().all(|state| matches!(state, State::Held(_))));
    assert_eq!(world.view(&hook).await.hook.state, HookState::Paused);
    world.settle().await;
    assert_eq!(world.view(&hook).await.held, 4);
    assert!(world.lease().await.is_empty());
    world.check().await;
}

/// See the name.
pub async fn a_default_hook_that_was_deleted_stays_deleted(mut world: World) {
    let draft = creation(&mut world, 50);
    let (owner, repeat) = (draft.owner, draft.clone());
    world.accept(draft).await;
    let hooks = world.store().hooks(owner).await.expect("listed");
    world.store().delete_hook(hooks[0].hook.id).await.expect("deleted");
    world.accept(repeat).await;
    world.reopen();
    assert!(world.store().hooks(owner).await.expect("listed").is_empty());
    assert!(
        matches!(&hooks[0].hook.way, Way::Email { targets, .. } if *targets == [Target::Organisation { roles: BTreeSet::new() }])
    );
}
