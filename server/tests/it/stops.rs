//! What stops or holds a letter, and letters nobody else sees.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};
use sonnette_core::ids::EventId;
use sonnette_core::model::{Cancelled, DAY, Dead, HOUR, Held, MINUTE, Recipient, State};
use sonnette_core::ports::Changed;
use sonnette_core::private::{Private, PrivateLetter};
use sonnette_core::stops::{CONFIRM_WITHIN, ConfirmLink, LetterRules, Mute, StopLink};

use crate::strangers::{Say, Strangers};
use crate::world::{MEMBERS, PUBLIC_URL, START, World, member};

/// A link to sign in, to the first member, good for so long.
async fn sign_in(world: &World, good_for: i64) {
    let data = Map::from_iter([("url".to_owned(), Value::from("https://sonnette.example/s/hidden"))]);
    let to = Recipient { address: MEMBERS[0].to_owned(), user: Some(member(0)) };
    let now = world.now();
    let letter = PrivateLetter::new(member(0).into(), Private::SignIn, &data, to, now + good_for, now);
    world.store.write_privately(letter, now).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_private_letter_brings_its_link_and_is_tried_again_like_any_other() {
    let script = |_: &str, before| Say::Status(if before == 0 { 451 } else { 250 });
    let mut world = World::new(Strangers::new(script)).await;
    sign_in(&world, HOUR).await;
    world.run(4);
    world.settled().await;
    let heard = world.strangers.heard();
    assert_eq!(heard.len(), 2);
    for letter in &heard {
        assert_eq!((letter.to.as_str(), &letter.id), (MEMBERS[0], &heard[0].id));
        assert!(letter.body.starts_with("Your link to sign in\n"), "{}", letter.body);
        assert!(letter.body.contains("Sign in:\nhttps://sonnette.example/s/hidden\n"), "{}", letter.body);
        assert!(letter.body.contains("because it is about your account"), "{}", letter.body);
    }
    assert!(world.deliveries().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_private_letter_is_not_tried_beyond_its_time() {
    let mut world = World::new(Strangers::new(|_, _| Say::Status(451))).await;
    sign_in(&world, 10 * MINUTE).await;
    world.run(4);
    world.settled().await;
    let heard = world.strangers.heard();
    assert!(heard.len() >= 2 && heard.iter().all(|one| one.at < heard[0].at + 10 * MINUTE), "{heard:?}");
    // One that waited too long for its first attempt is not made at all.
    world.stop().await;
    let mut world = World::new(Strangers::new(|_, _| Say::Status(250))).await;
    sign_in(&world, 0).await;
    world.run(1);
    world.settled().await;
    assert!(world.strangers.heard().is_empty());
    assert!(world.now() < heard[0].at + DAY);
}

const PAGER: &str = "pager@example.net";

/// A link of a letter that leads to a page of ours.
fn link(letter: &str, page: &str) -> String {
    let start = format!("{PUBLIC_URL}/{page}/");
    let at = letter.find(&start).unwrap_or_else(|| panic!("no {start} in {letter}"));
    letter[at + start.len()..].split_whitespace().next().unwrap().to_owned()
}

/// What became of an event's letters, by their addresses.
async fn outcomes(world: &World, event: EventId) -> Vec<(String, State)> {
    let all = world.deliveries().await.into_iter().filter(|delivery| delivery.id.event == event);
    let mut all: Vec<_> = all
        .map(|delivery| (delivery.recipient.map(|to| to.address).unwrap_or_default(), delivery.state))
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

#[tokio::test(start_paused = true)]
async fn beyond_the_ceiling_letters_are_held_and_one_stands_for_them_when_the_hour_turns() {
    let rules = LetterRules { ceiling: 3, ..LetterRules::default() };
    let mut world = World::with(Strangers::new(|_, _| Say::Status(250)), rules).await;
    world.letters("GIT_PUSH").await;
    world.run(4);
    for n in 0..5 {
        world.post("GIT_PUSH", &format!("branch{n}"), None).await;
    }
    world.settled().await;
    for member in MEMBERS {
        assert_eq!(world.strangers.heard_by(member).len(), 3, "{member}");
    }
    let held = world.states().await.into_iter().filter(|state| *state == State::Held(Held::Ceiling)).count();
    assert_eq!(held, 2 * MEMBERS.len());

    // What cannot be refused does not wait for the hour.
    world.post("HOOK_DISABLED", "", None).await;
    world.settled().await;
    assert_eq!(world.strangers.heard_by(MEMBERS[0]).len(), 4);
    world.tidy().await;
    world.settled().await;
    assert_eq!(world.strangers.heard_by(MEMBERS[1]).len(), 3, "the hour has not turned");

    tokio::time::sleep(Duration::from_secs(3_600)).await;
    world.tidy().await;
    world.settled().await;
    for (n, member) in MEMBERS.iter().enumerate() {
        let heard = world.strangers.heard_by(member);
        assert_eq!(heard.len(), if n == 0 { 5 } else { 4 }, "one letter for all of them: {heard:#?}");
        let summary = heard.last().unwrap();
        assert!(summary.at >= START + HOUR);
        assert!(summary.body.contains("2 GIT_PUSH"), "{}", summary.body);
        assert!(summary.body.starts_with("Notifications were held back: 2\n"), "{}", summary.body);
        let titles = summary.body.matches("New commits for an application").count();
        assert_eq!(titles, 2, "each of them is named: {}", summary.body);
    }
    let skipped = State::Cancelled(Cancelled::Skipped);
    assert_eq!(world.states().await.into_iter().filter(|state| *state == skipped).count(), 2 * MEMBERS.len());

    // A new hour, a new measure; and nobody is told twice.
    world.post("GIT_PUSH", "later", None).await;
    world.tidy().await;
    world.settled().await;
    let heard = world.strangers.heard_by(MEMBERS[1]);
    assert!(heard.len() == 5 && heard[4].body.contains("later"), "{heard:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_written_to_only_after_their_link_said_yes_and_members_at_once() {
    let rules = LetterRules { confirm: Some(PUBLIC_URL.to_owned()), ..LetterRules::default() };
    let mut world = World::with(Strangers::new(|_, _| Say::Status(250)), rules).await;
    world.letters_to("GIT_PUSH", &[PAGER, MEMBERS[1]]).await;
    world.run(4);
    let events = [world.post("GIT_PUSH", "one", None).await, world.post("GIT_PUSH", "two", None).await];
    world.settled().await;
    assert_eq!(world.strangers.heard_by(MEMBERS[1]).len(), 2);
    let asked = world.strangers.heard_by(PAGER);
    assert_eq!(asked.len(), 1, "asked once: {asked:#?}");
    for event in events {
        let expected =
            [(MEMBERS[1].to_owned(), State::Delivered), (PAGER.to_owned(), State::Held(Held::Unconfirmed))];
        assert_eq!(outcomes(&world, event).await, expected);
    }
    let link = ConfirmLink::read(&world.parts.sealer, &link(&asked[0].body, "c")).expect("a link of ours");
    assert!(world.store.confirm_address(link, world.now()).await.unwrap());
    world.tidy().await;
    world.settled().await;
    let heard = world.strangers.heard_by(PAGER);
    // Several letters leave at a time: which comes first is chance.
    let told = |what: &str| heard[1..].iter().filter(|letter| letter.body.contains(what)).count();
    assert!(heard.len() == 3 && told("one") == 1 && told("two") == 1, "{heard:#?}");
    assert!(world.states().await.iter().all(|state| *state == State::Delivered));
}

#[tokio::test(start_paused = true)]
async fn what_no_stranger_confirms_within_seven_days_is_cancelled_and_the_link_is_over() {
    let rules = LetterRules { confirm: Some(PUBLIC_URL.to_owned()), ..LetterRules::default() };
    let mut world = World::with(Strangers::new(|_, _| Say::Status(250)), rules).await;
    world.letters_to("GIT_PUSH", &[PAGER]).await;
    world.run(4);
    world.post("GIT_PUSH", "one", None).await;
    world.settled().await;
    let asked = world.strangers.heard_by(PAGER);
    let link = ConfirmLink::read(&world.parts.sealer, &link(&asked[0].body, "c")).expect("a link of ours");
    tokio::time::sleep(Duration::from_millis(CONFIRM_WITHIN.unsigned_abs())).await;
    world.tidy().await;
    world.settled().await;
    assert_eq!(world.states().await, [State::Cancelled(Cancelled::NoRecipient)]);
    assert!(!world.store.confirm_address(link, world.now()).await.unwrap());
    assert_eq!(world.strangers.heard_by(PAGER).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_where_nobody_is_gets_no_more_and_the_admins_are_told_once_and_why() {
    let script = |to: &str, _| if to == PAGER { Say::Nobody } else { Say::Status(250) };
    let mut world = World::new(Strangers::new(script)).await;
    world.letters_to("GIT_PUSH", &[PAGER, MEMBERS[1]]).await;
    world.run(4);
    let first = world.post("GIT_PUSH", "one", None).await;
    world.settled().await;
    let second = world.post("GIT_PUSH", "two", None).await;
    world.settled().await;
    assert_eq!(world.strangers.heard_by(PAGER).len(), 1);
    assert_eq!(world.strangers.heard_by(MEMBERS[1]).len(), 2, "others go on");
    let of = |outcomes: Vec<(String, State)>| {
        outcomes.into_iter().find(|(address, _)| address == PAGER).map(|(_, state)| state)
    };
    assert_eq!(of(outcomes(&world, first).await), Some(State::Dead(Dead::Refused)));
    assert_eq!(of(outcomes(&world, second).await), Some(State::Cancelled(Cancelled::Suppressed)));
    let told = world.strangers.heard_by(MEMBERS[0]);
    assert_eq!(told.len(), 1, "the admin, once: {told:#?}");
    assert!(told[0].body.contains("5.1.1 no such user"), "{}", told[0].body);
    assert!(world.strangers.heard_by(MEMBERS[2]).is_empty(), "nobody but admins");
    // Those who may read the hook see why nothing comes of it.
    let stopped =
        world.deliveries().await.into_iter().find(|one| {
            one.id.event == second && one.recipient.as_ref().is_some_and(|to| to.address == PAGER)
        });
    let note = world.attempts(&stopped.unwrap()).await.pop().and_then(|attempt| attempt.note).unwrap();
    assert!(note.contains("there is no such address") && note.contains("2026-01-02"), "{note}");

    assert!(world.store.lift(PAGER).await.unwrap());
    world.post("GIT_PUSH", "three", None).await;
    world.settled().await;
    assert_eq!(world.strangers.heard_by(PAGER).len(), 2, "lifted: tried again");
}

#[tokio::test(start_paused = true)]
async fn who_stopped_a_hook_by_its_link_still_gets_what_cannot_be_refused() {
    let mut world = World::new(Strangers::new(|_, _| Say::Status(250))).await;
    world.letters("GIT_PUSH").await;
    world.letters("HOOK_DISABLED").await;
    world.run(4);
    world.post("GIT_PUSH", "one", None).await;
    world.settled().await;
    let letter = &world.strangers.heard_by(MEMBERS[0])[0];
    let stop = StopLink::read(&world.parts.sealer, &link(&letter.body, "u")).expect("a link of ours");
    assert_eq!(stop.address, MEMBERS[0]);
    assert!(world.store.stop_letters(stop.clone(), true, world.now()).await.unwrap());
    let stopped = world.post("GIT_PUSH", "two", None).await;
    world.post("HOOK_DISABLED", "", None).await;
    world.settled().await;
    let heard = world.strangers.heard_by(MEMBERS[0]);
    assert_eq!(heard.len(), 2, "{heard:#?}");
    assert!(!heard[1].body.contains("/u/"), "no link to stop what cannot be stopped: {}", heard[1].body);
    let states: Vec<_> = outcomes(&world, stopped).await;
    assert_eq!(states[0], (MEMBERS[0].to_owned(), State::Cancelled(Cancelled::Unsubscribed)));
    assert!(states[1..].iter().all(|(_, state)| *state == State::Delivered), "{states:?}");
    assert!(world.store.stop_letters(stop, false, world.now()).await.unwrap());
    world.post("GIT_PUSH", "three", None).await;
    world.settled().await;
    assert_eq!(world.strangers.heard_by(MEMBERS[0]).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_member_mutes_is_not_written_to_them_but_to_all_others_and_what_is_locked_still_comes() {
    let mut world = World::new(Strangers::new(|_, _| Say::Status(250))).await;
    for kind in ["GIT_PUSH", "CREDITS_ADDED", "HOOK_DISABLED"] {
        world.letters(kind).await;
    }
    let mutes = ["GIT_PUSH", "HOOK_DISABLED"].map(|kind| Mute::Kind(kind.to_owned()));
    assert_eq!(world.store.mute(member(1), mutes.into()).await.unwrap(), Changed::Done);
    world.run(4);
    let pushed = world.post("GIT_PUSH", "one", None).await;
    for kind in ["CREDITS_ADDED", "HOOK_DISABLED"] {
        let event = world.post(kind, "", None).await;
        world.settled().await;
        let outcomes = outcomes(&world, event).await;
        assert!(outcomes.contains(&(MEMBERS[1].to_owned(), State::Delivered)), "{kind}: {outcomes:?}");
    }
    let expected = MEMBERS.map(|address| match address == MEMBERS[1] {
        true => (address.to_owned(), State::Cancelled(Cancelled::Unsubscribed)),
        false => (address.to_owned(), State::Delivered),
    });
    assert_eq!(outcomes(&world, pushed).await, expected);
    assert_eq!(MEMBERS.map(|address| world.strangers.heard_by(address).len()), [3, 2, 3]);
    let all = world.deliveries().await;
    let muted = all.iter().find(|one| one.state == State::Cancelled(Cancelled::Unsubscribed)).unwrap();
    let note = world.attempts(muted).await.pop().and_then(|attempt| attempt.note).unwrap();
    assert_eq!(note, format!("not sent: its reader at {} does not want it", MEMBERS[1]));
    world.store.mute(member(1), BTreeSet::new()).await.unwrap();
    world.post("GIT_PUSH", "two", None).await;
    world.settled().await;
    assert_eq!(world.strangers.heard_by(MEMBERS[1]).len(), 3);
}
