//! Making, turning, editing and deleting hooks, and what becomes of what they owe.

use std::collections::BTreeSet;

use sonnette_core::ids::HookId;
use sonnette_core::model::{Cancelled, HOUR, Hook, HookState, Role, SECOND, State, Target, Way};
use sonnette_core::ports::{Changed, HookFilter, Page, Recorded, Turn, Verdict};
use sonnette_core::secret::Secret;

use super::{APPLICATION, BOB, FOREIGN, OWNER, World, application, of_event, of_hook, user};

/// See the name.
pub async fn a_hook_reads_back_as_it_was_written(mut world: World) {
    let mut webhook = world.webhook(2);
    webhook.events = Some(vec!["META_CREDITS".to_owned(), "GIT_PUSH".to_owned()]);
    webhook.scope = Some(vec![application(APPLICATION)]);
    webhook.schedule = Some(vec![5, 60]);
    let mut mail = world.mail(vec![
        Target::Organisation { roles: BTreeSet::from([Role::Admin, Role::Accounting]) },
        Target::User(user(BOB)),
        Target::Maker(user(BOB)),
        Target::Addresses(vec!["ops@example.org".to_owned(), "dev@example.org".to_owned()]),
        Target::Addresses(vec!["boss@example.org".to_owned()]),
    ]);
    mail.state = HookState::Paused;
    world.add(&webhook).await;
    world.add(&mail).await;
    world.reopen();
    let views = world.store().hooks(OWNER).await.expect("listed");
    let hooks: Vec<_> = views.into_iter().map(|view| view.hook).collect();
    assert_eq!(hooks, [webhook.clone(), mail]);

    webhook.name = "Another name".to_owned();
    webhook.events = None;
    webhook.scope = None;
    webhook.schedule = None;
    webhook.way = Way::Webhook { destinations: vec![world.destination()] };
    assert_eq!(
        world.store().replace_hook(webhook.clone(), world.now).await.expect("replaced"),
        Changed::Done
    );
    assert_eq!(world.view(&webhook).await.hook, webhook);
    let nobody = world.webhook(1);
    assert_eq!(world.store().replace_hook(nobody, world.now).await.expect("answered"), Changed::NoHook);
}

/// See the name.
pub async fn a_hook_of_nobody_or_about_somebody_elses_resource_is_refused(mut world: World) {
    let mut nobodys = world.webhook(1);
    nobodys.owner = user(77).into();
    assert_eq!(
        world.store().add_hook(nobodys, None, world.now).await.expect("answered"),
        Changed::UnknownOwner
    );
    let mut foreign = world.webhook(1);
    foreign.scope = Some(vec![application(APPLICATION), application(FOREIGN)]);
    let refused = Changed::ForeignResource(application(FOREIGN));
    assert_eq!(world.store().add_hook(foreign.clone(), None, world.now).await.expect("answered"), refused);
    assert!(world.store().hooks(OWNER).await.expect("listed").is_empty());
    let there = world.webhook_there(1).await;
    foreign.id = there.id;
    assert_eq!(world.store().replace_hook(foreign, world.now).await.expect("answered"), refused);
    assert_eq!(world.view(&there).await.hook, there);
}

/// See the name.
pub async fn an_owner_may_not_have_hooks_without_end(mut world: World) {
    let mut made = 0;
    loop {
        let hook = world.webhook(1);
        match world.store().add_hook(hook, None, world.now).await.expect("answered") {
            Changed::Done => made += 1,
            outcome => {
                assert_eq!(outcome, Changed::TooMany);
                break;
            }
        }
        assert!(made < 1_000);
    }
    assert!(made >= 50, "{made} are too few to live with");
}

/// See the name.
pub async fn a_long_list_of_hooks_is_read_page_by_page_either_way_narrowed_or_not(mut world: World) {
    let mut all = Vec::new();
    for at in 0..40 {
        let mut hook = if at % 4 == 3 {
            world.mail(vec![Target::Addresses(vec![format!("Team{at}@Example.org")])])
        } else {
            world.webhook(1)
        };
        // Several of one moment: the id decides.
        hook.created_at = world.now + at / 5;
        hook.name = format!("Hook {at}");
        world.add(&hook).await;
        all.push(hook);
    }
    let paused = all[6].clone();
    world.turn(&paused, Turn::Pause).await;
    all[6].state = HookState::Paused;
    all.sort_by_key(|hook| (hook.created_at, hook.id));
    let walk = async |filter: HookFilter, size: usize| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = Page { after, limit: size };
            let views = world.store().hooks_of(OWNER, filter.clone(), page).await.expect("listed");
            assert!(views.len() <= size);
            let Some(last) = views.last() else { return found };
            after = Some(last.hook.id);
            found.extend(views.into_iter().map(|view| view.hook));
        }
    };
    let of =
        |wanted: &dyn Fn(&Hook) -> bool| all.iter().filter(|hook| wanted(hook)).cloned().collect::<Vec<_>>();
    let any = HookFilter::default();
    for size in [1, 7, 40, 100] {
        assert_eq!(walk(any.clone(), size).await, all);
        let mut back = walk(HookFilter { newest_first: true, ..any.clone() }, size).await;
        back.reverse();
        assert_eq!(back, all);
    }
    let is_mail = |hook: &Hook| matches!(hook.way, Way::Email { .. });
    assert_eq!(walk(HookFilter { email: Some(true), ..any.clone() }, 3).await, of(&is_mail));
    assert_eq!(walk(HookFilter { email: Some(false), ..any.clone() }, 3).await, of(&|hook| !is_mail(hook)));
    let state = Some(HookState::Paused);
    assert_eq!(walk(HookFilter { state, ..any.clone() }, 3).await, of(&|hook| hook.id == paused.id));
    let text = |text: &str| HookFilter { text: text.to_owned(), ..HookFilter::default() };
    assert_eq!(walk(text("hook 1"), 3).await, of(&|hook| hook.name.starts_with("Hook 1")));
    assert_eq!(walk(text("team7@example"), 3).await, of(&|hook| hook.name == "Hook 7"));
    assert_eq!(walk(text("nothing of the sort"), 3).await, Vec::new());

    // A cursor outlives its hook, and one that never was leads nowhere.
    let gone = all.remove(10);
    world.store().delete_hook(gone.id).await.expect("deleted");
    let page = |after| Page { after: Some(after), limit: 1 };
    let next = world.store().hooks_of(OWNER, any.clone(), page(gone.id)).await.expect("listed");
    assert_eq!(next.first().map(|view| view.hook.id), all.get(10).map(|hook| hook.id));
    assert!(world.store().hooks_of(OWNER, any, page(HookId(1))).await.expect("listed").is_empty());
}

/// See the name.
pub async fn pausing_holds_what_waits_and_catching_up_delivers_it_oldest_first(mut world: World) {
    let hook = world.webhook_there(1).await;
    let first = world.push().await;
    let tried = world.lease_one().await;
    world.record(&tried, Verdict::Again(world.now + HOUR)).await;
    let second = world.push().await;
    world.turn(&hook, Turn::Pause).await;
    assert!(world.lease().await.is_empty(), "nothing is leased from the moment it is paused");
    let third = world.push().await;
    world.settle().await;
    assert_eq!(world.view(&hook).await.held, 3);
    world.reopen();
    assert!(world.lease().await.is_empty());
    world.check().await;

    world.now += SECOND;
    world.turn(&hook, Turn::CatchUp).await;
    world.settle().await;
    assert_eq!(world.view(&hook).await.held, 0);
    world.check().await;
    let leased: Vec<_> = world.lease().await;
    assert_eq!(leased.iter().map(|work| work.event.id).collect::<Vec<_>>(), [first, second, third]);
    assert_eq!(leased.iter().map(|work| work.ticket.attempt).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!(
        (leased[0].made, leased[0].since),
        (0, world.now),
        "held for long or not, the schedule begins anew"
    );
    let waits = world.states(&of_event(first)).await;
    assert_eq!(waits, [State::Retrying], "it was tried before");
}

/// See the name.
pub async fn skipping_cancels_what_was_held_and_nothing_after(mut world: World) {
    let hook = world.webhook_there(2).await;
    world.push().await;
    world.turn(&hook, Turn::Pause).await;
    world.settle().await;
    world.push().await;
    world.turn(&hook, Turn::Skip).await;
    let after = world.push().await;
    world.settle().await;
    world.check().await;
    let cancelled = State::Cancelled(Cancelled::Skipped);
    let states = world.states(&of_hook(&hook)).await;
    assert_eq!(states, [State::Pending, State::Pending, cancelled, cancelled, cancelled, cancelled]);
    assert!(world.lease().await.iter().all(|work| work.event.id == after));
}

/// See the name.
pub async fn what_was_to_be_skipped_is_skipped_even_if_the_hook_is_paused_again_at_once(mut world: World) {
    let hook = world.webhook_there(1).await;
    world.push().await;
    // Nothing is moved between these turns.
    world.turn(&hook, Turn::Pause).await;
    world.push().await;
    world.turn(&hook, Turn::Skip).await;
    let kept = world.push().await;
    world.turn(&hook, Turn::Pause).await;
    let held = world.push().await;
    world.turn(&hook, Turn::CatchUp).await;
    world.settle().await;
    world.check().await;
    let cancelled = State::Cancelled(Cancelled::Skipped);
    assert_eq!(world.states(&of_hook(&hook)).await, [State::Pending, State::Pending, cancelled, cancelled]);
    let leased: Vec<_> = world.lease().await.iter().map(|work| work.event.id).collect();
    assert_eq!(BTreeSet::from_iter(leased), BTreeSet::from([kept, held]));
}

/// See the name.
pub async fn an_attempt_that_was_out_when_its_hook_was_paused_counts_if_it_was_made(mut world: World) {
    let hook = world.webhook_there(1).await;
    world.push().await;
    world.push().await;
    let out = world.lease().await;
    world.turn(&hook, Turn::Pause).await;
    world.settle().await;
    assert_eq!(world.view(&hook).await.held, 2);
    world.deliver(&out[0]).await;
    assert_eq!(world.record(&out[1], Verdict::Again(world.now)).await, Recorded::Done);
    assert_eq!(world.state(out[0].ticket.delivery).await, State::Delivered);
    assert!(matches!(world.state(out[1].ticket.delivery).await, State::Held(_)));
    assert!(world.lease().await.is_empty());
    world.check().await;
    world.turn(&hook, Turn::CatchUp).await;
    world.settle().await;
    assert_eq!(world.lease_one().await.ticket.attempt, 2);
}

/// See the name.
pub async fn editing_a_hook_cancels_what_its_removed_destinations_owe_and_keeps_the_rest(mut world: World) {
    let mut hook = world.webhook_there(2).await;
    let event = world.push().await;
    let Way::Webhook { destinations } = &mut hook.way else { panic!("a webhook") };
    let kept = destinations.remove(1).id;
    let Way::Webhook { destinations } = &hook.way else { panic!("a webhook") };
    let removed = destinations[0].id;
    let fresh = world.destination();
    let mut edited = hook.clone();
    let kept_destination = match world.view(&hook).await.hook.way {
        Way::Webhook { destinations } => destinations[1].clone(),
        Way::Email { .. } => panic!("a webhook"),
    };
    edited.way = Way::Webhook { destinations: vec![fresh.clone(), kept_destination] };
    assert_eq!(world.store().replace_hook(edited.clone(), world.now).await.expect("replaced"), Changed::Done);
    assert_eq!(world.lease_one().await.destination, kept, "at once, before the house comes by");
    world.settle().await;
    world.check().await;
    for delivery in world.all(&of_event(event)).await {
        let expected = if delivery.destination == removed {
            State::Cancelled(Cancelled::DestinationRemoved)
        } else {
            State::Pending
        };
        assert_eq!(delivery.state, expected);
    }
    let next = world.push().await;
    let owed: Vec<_> = world.all(&of_event(next)).await.iter().map(|d| d.destination).rev().collect();
    assert_eq!(owed, [fresh.id, kept]);
}

/// See the name.
pub async fn a_destination_removed_while_the_hook_is_paused_is_never_tried_again(mut world: World) {
    let mut hook = world.webhook_there(1).await;
    let event = world.push().await;
    world.turn(&hook, Turn::Pause).await;
    world.settle().await;
    hook.way = Way::Webhook { destinations: vec![world.destination()] };
    assert_eq!(world.store().replace_hook(hook.clone(), world.now).await.expect("replaced"), Changed::Done);
    world.settle().await;
    assert_eq!(world.states(&of_event(event)).await, [State::Cancelled(Cancelled::DestinationRemoved)]);
    world.turn(&hook, Turn::CatchUp).await;
    world.settle().await;
    assert!(world.lease().await.is_empty());
    assert_eq!(world.view(&hook).await.held, 0);
}

/// See the name.
pub async fn a_changed_url_is_used_for_what_already_waits(mut world: World) {
    let mut hook = world.webhook_there(1).await;
    world.push().await;
    let out = world.lease_one().await;
    world.store().release(out.ticket);
    let Way::Webhook { destinations } = &mut hook.way else { panic!("a webhook") };
    destinations[0].url = Secret::new("https://chat.example.org/services/corrected");
    assert_eq!(world.store().replace_hook(hook.clone(), world.now).await.expect("replaced"), Changed::Done);
    let loaded = world.lease_one().await.hook.expect("a hook's");
    assert_eq!(loaded.hook, hook);
}

/// See the name.
pub async fn deleting_a_hook_cancels_what_it_owes_waiting_or_held(mut world: World) {
    let hook = world.webhook_there(1).await;
    world.push().await;
    world.turn(&hook, Turn::Pause).await;
    world.settle().await;
    world.turn(&hook, Turn::CatchUp).await;
    world.push().await;
    let other = world.webhook_there(1).await;
    assert_eq!(world.store().delete_hook(hook.id).await.expect("deleted"), Changed::Done);
    assert_eq!(world.store().hook(hook.id).await.expect("read"), None);
    let event = world.push().await;
    assert_eq!(
        world.all(&of_event(event)).await.iter().map(|d| d.hook).collect::<Vec<_>>(),
        [Some(other.id)]
    );
    assert!(world.lease().await.iter().all(|work| work.event.id == event));
    world.settle().await;
    world.check().await;
    let cancelled = State::Cancelled(Cancelled::HookDeleted);
    assert_eq!(world.states(&of_hook(&hook)).await, [cancelled, cancelled]);
    assert_eq!(world.store().counts().await.expect("counted").held, 0);
    for outcome in [
        world.store().delete_hook(hook.id).await,
        world.store().turn_hook(hook.id, Turn::Pause, world.now).await,
        world.store().replace_hook(hook.clone(), world.now).await,
        world.store().rotate_secret(hook.id, Secret::new("x"), world.now).await,
    ] {
        assert_eq!(outcome.expect("answered"), Changed::NoHook);
    }
}

/// See the name.
pub async fn both_secrets_sign_during_a_rotation(mut world: World) {
    let hook = world.webhook_there(1).await;
    world.push().await;
    let work = world.lease_one().await;
    let secrets = work.hook.as_ref().and_then(|loaded| loaded.secrets.clone()).expect("a webhook signs");
    assert_eq!((secrets.current.expose(), secrets.previous), ("whsec_first-hidden-secret", None));
    world.store().release(work.ticket);
    let until = world.now + HOUR;
    let second = Secret::new("whsec_second-hidden-secret");
    assert_eq!(world.store().rotate_secret(hook.id, second, until).await.expect("rotated"), Changed::Done);
    assert_eq!(world.view(&hook).await.rotating_until, Some(until));
    let work = world.lease_one().await;
    let secrets = work.hook.as_ref().and_then(|loaded| loaded.secrets.clone()).expect("a webhook signs");
    assert_eq!(secrets.current.expose(), "whsec_second-hidden-secret");
    assert_eq!(
        secrets.previous.map(|(secret, until)| (secret.expose().to_owned(), until)),
        Some(("whsec_first-hidden-secret".to_owned(), until))
    );
    let mail = world.mail_there(vec![]).await;
    let outcome = world.store().rotate_secret(mail.id, Secret::new("x"), until).await;
    assert_eq!(outcome.expect("answered"), Changed::NoHook, "letters are not signed");
}

/// See the name.
pub async fn a_hook_is_loaded_with_what_it_signs_with_whatever_its_state(mut world: World) {
    let hook = world.webhook_there(2).await;
    let until = world.now + HOUR;
    let second = Secret::new("whsec_second-hidden-secret");
    assert_eq!(world.store().rotate_secret(hook.id, second, until).await.expect("rotated"), Changed::Done);
    world.turn(&hook, Turn::Pause).await;
    let loaded = world.store().loaded_hook(hook.id).await.expect("read").expect("it is there");
    assert_eq!((&loaded.hook.way, loaded.hook.state), (&hook.way, HookState::Paused));
    let secrets = loaded.secrets.expect("a webhook signs");
    assert_eq!(secrets.current.expose(), "whsec_second-hidden-secret");
    let previous = secrets.previous.map(|(secret, until)| (secret.expose().to_owned(), until));
    assert_eq!(previous, Some(("whsec_first-hidden-secret".to_owned(), until)));
    let mail = world.mail_there(vec![]).await;
    let loaded = world.store().loaded_hook(mail.id).await.expect("read").expect("it is there");
    assert_eq!((loaded.hook, loaded.secrets), (mail, None));
    world.store().delete_hook(hook.id).await.expect("deleted");
    assert!(world.store().loaded_hook(hook.id).await.expect("read").is_none());
}

/// See the name.
pub async fn no_secret_is_readable_at_rest(mut world: World) {
    let mut hook = world.webhook_there(2).await;
    world.push().await;
    let second = Secret::new("whsec_second-hidden-secret");
    world.store().rotate_secret(hook.id, second, world.now).await.expect("rotated");
    hook.way = Way::Webhook { destinations: vec![world.destination()] };
    world.store().replace_hook(hook, world.now).await.expect("replaced");
    let pair = sonnette_core::ports::NewToken::Pair {
        user: user(BOB),
        public: "publichalf".to_owned(),
        secret: Secret::new("hidden-half-of-the-pair"),
    };
    assert!(
        world
            .store()
            .add_token(sonnette_core::ids::TokenId(1), "mine".to_owned(), pair, world.now)
            .await
            .expect("kept")
    );
    let readable = |world: &World, text: &str| {
        let bytes = world.harness.at_rest();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    for round in 0..2 {
        if round == 1 {
            world.reopen();
        }
        assert!(readable(&world, "publichalf"), "this does look at the bytes");
        for secret in ["hidden-secret", "hidden-path", "hidden-field", "hidden-half"] {
            assert!(!readable(&world, secret), "{secret} is readable");
        }
    }
}
