//! What hooks hold for too long.

use sonnette_core::ids::{DestinationId, EventId};
use sonnette_core::model::{
    Cancelled, DAY, Dead, Draft, Held, Hook, HookState, Ingested, SECOND, State, Way,
};
use sonnette_core::ports::{Changed, Holding, Page, Resent, Turn};
use sonnette_core::stops::{Admission, LetterRules};

use super::{ANN, OWNER, World, email_of, of_hook, user};

const EXPIRED: State = State::Dead(Dead::Expired);

impl World {
    /// What holds something of an event accepted before now, read in small pages.
    async fn holding(&self) -> Vec<Holding> {
        let mut found: Vec<Holding> = Vec::new();
        loop {
            let page = Page { after: found.last().map(|last| last.destination), limit: 2 };
            let more = self.store().holding(self.now, page).await.expect("read");
            if more.is_empty() {
                return found;
            }
            assert!(more.len() <= 2, "a page has its limit");
            found.extend(more);
        }
    }

    fn draft_about(&self, hook: &Hook) -> Draft {
        Draft { about_hook: Some(hook.id), ..self.draft("HELD_EXPIRING") }
    }

    async fn tell(&self, hook: &Hook) -> bool {
        self.store().tell_held(hook.id, self.draft_about(hook), self.now).await.expect("answered")
    }

    /// Gives up what a destination holds of events accepted before now; gives the slices it took.
    async fn give_up(&self, destination: DestinationId) -> Vec<u64> {
        let mut slices = Vec::new();
        loop {
            let tidied = self.store().give_up_held(destination, self.now).await.expect("given up");
            slices.push(tidied.rows);
            if !tidied.more {
                return slices;
            }
        }
    }

    async fn paused_there(&mut self, destinations: usize) -> Hook {
        let hook = self.webhook_there(destinations).await;
        self.turn(&hook, Turn::Pause).await;
        self.settle().await;
        hook
    }

    async fn told_so_far(&self) -> usize {
        let page = Page { after: None, limit: 1_000 };
        let events = self.store().events(OWNER, page).await.expect("read");
        events.iter().filter(|event| event.kind == "HELD_EXPIRING").count()
    }
}

/// See the name.
pub async fn what_is_held_is_told_of_once_while_its_hook_holds(mut world: World) {
    let quiet = world.paused_there(1).await;
    assert_eq!(world.holding().await, [], "nothing is held");
    let hook = world.paused_there(3).await;
    let first = world.push().await;
    world.now += SECOND;
    let second = world.push().await;
    assert_eq!(
        world.store().holding(first.at(), Page { after: None, limit: 9 }).await.expect("read"),
        [],
        "nothing is older than the oldest"
    );
    world.now += DAY;
    let expected = |hook: &Hook, held, oldest, told| -> Vec<Holding> {
        let one = |destination| Holding {
            destination,
            hook: hook.id,
            owner: OWNER,
            name: hook.name.clone(),
            held,
            oldest,
            told,
        };
        hook.destination_ids().into_iter().map(one).collect()
    };
    let all = [expected(&quiet, 2, first, false), expected(&hook, 6, first, false)].concat();
    assert_eq!(world.holding().await, all);

    assert!(world.tell(&hook).await);
    assert!(!world.tell(&hook).await, "once");
    world.reopen();
    assert!(!world.tell(&hook).await, "once, also after a restart");
    assert_eq!(world.told_so_far().await, 1);
    let about_itself = |state: &State| matches!(state, State::Held(_));
    let held_by = world.states(&of_hook(&hook)).await;
    assert_eq!(held_by.iter().filter(|state| about_itself(state)).count(), 6, "not owed to that hook");
    let letters = world.letters().await;
    assert_eq!(letters.len(), 1, "the owner's admin is written to");
    assert_eq!(letters[0].recipient.as_ref().and_then(|to| to.user), Some(user(ANN)));
    world.deliver(&letters[0]).await;
    // The other hook holds that event too.
    let all = [expected(&quiet, 3, first, false), expected(&hook, 6, first, true)].concat();
    assert_eq!(world.holding().await, all);

    // Pausing what is paused is no new pause, resuming ends it.
    world.turn(&hook, Turn::Pause).await;
    assert!(!world.tell(&hook).await);
    world.turn(&hook, Turn::CatchUp).await;
    assert!(!world.tell(&hook).await, "it holds no more");
    assert_eq!(world.holding().await, expected(&quiet, 3, first, false), "what is let go is not counted");
    world.settle().await;
    world.turn(&hook, Turn::Pause).await;
    world.settle().await;
    assert_eq!(world.holding().await[1..], expected(&hook, 6, first, false), "held anew");
    assert!(world.tell(&hook).await);
    assert!(!world.tell(&hook).await);
    assert_eq!(world.told_so_far().await, 2);

    // What was to be skipped is, even where the hook is paused again before it was seen to.
    world.turn(&hook, Turn::Skip).await;
    world.turn(&hook, Turn::Pause).await;
    assert_eq!(world.holding().await.len(), 1, "{:?}", world.holding().await);
    assert_eq!(world.give_up(hook.destination_ids()[0]).await, [0]);
    world.settle().await;
    assert!(world.holding().await.iter().all(|one| one.hook == quiet.id));
    assert_eq!(world.states(&of_hook(&hook)).await, [State::Cancelled(Cancelled::Skipped); 6]);
    assert!(second > first);

    // Nobody is told about what is gone.
    assert_eq!(world.store().delete_hook(quiet.id).await.expect("deleted"), Changed::Done);
    assert!(!world.tell(&quiet).await);
    assert_eq!(world.holding().await, []);
    assert_eq!(world.told_so_far().await, 2);
    world.check().await;
}

/// See the name.
pub async fn what_is_held_too_long_is_dead_and_can_be_sent_again_once_its_hook_is_resumed(mut world: World) {
    let hook = world.webhook_there(2).await;
    let mut disabled = world.webhook(1);
    disabled.state = HookState::Disabled;
    world.add(&disabled).await;
    let old = world.push().await;
    // One of them was tried before its hook was paused.
    let tried = world.lease().await.swap_remove(0);
    world.record(&tried, sonnette_core::ports::Verdict::Again(world.now + DAY)).await;
    world.turn(&hook, Turn::Pause).await;
    world.settle().await;
    world.now += DAY;
    let cut = world.now;
    let young = world.push().await;
    for destination in hook.destination_ids().into_iter().chain(disabled.destination_ids()) {
        let tidied = world.store().give_up_held(destination, cut).await.expect("given up");
        assert_eq!((tidied.rows, tidied.more), (1, false));
        assert_eq!(world.store().give_up_held(destination, cut).await.expect("asked").rows, 0);
    }
    for (held, hook) in [(Held::Paused, &hook), (Held::Disabled, &disabled)] {
        for delivery in world.all(&of_hook(hook)).await {
            let expected = if delivery.id.event == old { EXPIRED } else { State::Held(held) };
            assert_eq!(delivery.state, expected, "{delivery:?}");
        }
    }
    world.check().await;
    assert_eq!((world.view(&hook).await.held, world.view(&hook).await.dead), (2, 2));
    let counts = world.store().counts().await.expect("counted");
    assert_eq!((counts.held, counts.dead), (3, 3));
    let dead = sonnette_core::ports::DeliveryFilter {
        state: Some("dead".to_owned()),
        reason: Some("expired".to_owned()),
        ..of_hook(&hook)
    };
    let listed: Vec<_> = world.all(&dead).await.into_iter().map(|delivery| delivery.id).collect();
    assert_eq!(listed.len(), 2);

    // Catching up sends what is held; what was given up, whoever asks for it.
    for id in &listed {
        let resent = world.store().resend(*id, world.now).await.expect("answered");
        assert_eq!(resent, Resent::NoDestination, "its hook holds");
    }
    world.turn(&hook, Turn::CatchUp).await;
    world.settle().await;
    for work in world.lease().await {
        assert_eq!(work.event.id, young);
        world.deliver(&work).await;
    }
    for id in &listed {
        assert_eq!(world.store().resend(*id, world.now).await.expect("answered"), Resent::Due);
    }
    world.reopen();
    let work = world.lease().await;
    assert_eq!(work.len(), 2);
    for work in &work {
        assert_eq!(work.event.id, old);
        let made = u32::from(work.ticket.delivery == tried.ticket.delivery);
        assert_eq!((work.ticket.attempt, work.made, work.since), (made + 1, 0, world.now));
        world.deliver(work).await;
    }
    assert_eq!(world.states(&of_hook(&hook)).await, [State::Delivered; 4]);
    world.check().await;
}

/// See the name.
pub async fn only_what_is_held_for_its_hook_is_given_up(mut world: World) {
    world.reopen_with(LetterRules {
        confirm: Some("https://sonnette.example".to_owned()),
        ..LetterRules::default()
    });
    let stranger = "pager@example.net";
    let targets = sonnette_core::model::Target::Addresses(vec![stranger.to_owned(), email_of(ANN)]);
    let mail = world.mail_there(vec![targets]).await;
    let asked = world.push().await;
    for letter in world.letters().await {
        match world.admit(&letter).await {
            Admission::Wait(Held::Unconfirmed) => {}
            Admission::Go => world.deliver(&letter).await,
            other => panic!("{other:?}"),
        }
    }
    let destination = mail.destination_ids()[0];
    world.now += SECOND;
    assert_eq!(world.holding().await, [], "a stranger is waited for, at a hook that tells");
    assert_eq!(world.give_up(destination).await, [0]);
    world.turn(&mail, Turn::Pause).await;
    world.settle().await;
    let later = world.push().await;
    world.now += SECOND;
    let holding = world.holding().await;
    assert_eq!(holding.len(), 1);
    assert_eq!((holding[0].destination, holding[0].oldest), (destination, later));
    assert_eq!(world.give_up(destination).await, [1]);
    for delivery in world.all(&of_hook(&mail)).await {
        let expected = match &delivery.recipient {
            _ if delivery.id.event == later => EXPIRED,
            Some(to) if to.address == stranger => State::Held(Held::Unconfirmed),
            _ => State::Delivered,
        };
        assert_eq!(delivery.state, expected, "{delivery:?} of {asked}");
    }
    assert_eq!(world.holding().await, []);
    // A letter given up before anybody was looked up for it is resolved when it is sent again.
    world.turn(&mail, Turn::CatchUp).await;
    world.settle().await;
    let given_up = world.all(&of_hook(&mail)).await.into_iter().find(|one| one.state == EXPIRED);
    let given_up = given_up.expect("it is listed").id;
    assert_eq!(world.store().resend(given_up, world.now).await.expect("answered"), Resent::Due);
    let letters = world.letters().await;
    assert_eq!(letters.iter().filter(|letter| letter.event.id == later).count(), 2);

    // What a removed destination held is cancelled, not given up.
    let mut hook = world.paused_there(1).await;
    let taken_off = hook.destination_ids()[0];
    world.push().await;
    world.now += SECOND;
    hook.way = Way::Webhook { destinations: vec![world.destination()] };
    world.store().replace_hook(hook.clone(), world.now).await.expect("replaced");
    assert_eq!(world.give_up(taken_off).await, [0]);
    assert_eq!(world.holding().await, []);
    world.settle().await;
    let states = world.states(&of_hook(&hook)).await;
    assert_eq!(states, [State::Cancelled(Cancelled::DestinationRemoved)]);
    // And one that was never there is nothing.
    assert_eq!(world.give_up(DestinationId(987)).await, [0]);
    world.check().await;
}

/// See the name.
pub async fn much_that_is_held_is_given_up_in_slices_the_oldest_first(mut world: World) {
    let hook = world.paused_there(1).await;
    let mut events: Vec<EventId> = Vec::new();
    for _ in 0..4 {
        for ingested in world.ingest((0..300).map(|_| world.draft("GIT_PUSH")).collect()).await {
            let Ingested::Accepted(id) = ingested else { panic!("{ingested:?}") };
            events.push(id);
        }
    }
    world.now += SECOND;
    let tidied = world.store().give_up_held(hook.destination_ids()[0], world.now).await.expect("given up");
    assert!(tidied.more && (1..1_200).contains(&tidied.rows), "{tidied:?}");
    let given_up = usize::try_from(tidied.rows).expect("a few");
    assert_eq!(world.holding().await[0].oldest, events[given_up], "the oldest first");
    assert_eq!(
        (world.view(&hook).await.held, world.view(&hook).await.dead),
        (1_200 - tidied.rows, tidied.rows)
    );
    let rest = world.give_up(hook.destination_ids()[0]).await;
    assert_eq!(rest.iter().sum::<u64>(), 1_200 - tidied.rows);
    assert_eq!(world.states(&of_hook(&hook)).await, vec![EXPIRED; 1_200]);
    world.check().await;
}
