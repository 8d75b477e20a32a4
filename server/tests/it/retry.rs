//! When a delivery is tried again, when it is not, and when it waits for a decision.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Method;
use sonnette::flow::preview::{self, Preview, Told};
use sonnette::flow::test;
use sonnette_core::backoff::{GIVE_UP_AFTER, MAIL_STEPS, POST_STEPS};
use sonnette_core::formats::{self, Format, Outcome, Render};
use sonnette_core::model::{
    Cancelled, DAY, Dead, Fields, HOUR, Held, HookState, MINUTE, Millis, SECOND, SigningSecrets, State,
};
use sonnette_core::ports::{Outgoing, Resent, Turn};
use sonnette_core::secret::Secret;

use crate::between::tally;
use crate::strangers::{Heard, Say, Strangers};
use crate::world::{MEMBERS, START, World};

const URL: &str = "https://receiver.example.com/";
const CHAT: &str = "https://hooks.slack.com/services/T/B/x";
const PUSH: &str = "GIT_PUSH";

/// A world with one raw webhook, where the receiver says these one after the other, and the last over and over.
async fn one_webhook(says: &'static [Say], schedule: Option<Vec<u32>>) -> World {
    let world = World::new(Strangers::new(|_, before| says[before.min(says.len() - 1)])).await;
    world.webhook(PUSH, &[("raw", URL)], schedule).await;
    world
}

/// Posts one event and waits for the end of all it owes.
async fn tell(world: &mut World) -> Vec<Heard> {
    world.run(16);
    world.post(PUSH, "topic", None).await;
    world.settled().await;
    world.stop().await;
    world.strangers.heard()
}

/// The waits between what was heard.
fn waits(heard: &[Heard]) -> Vec<Millis> {
    heard.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

/// Whether a wait is the step and its jitter; one more moment is left to the timer.
fn keeps(wait: Millis, step: Millis) -> bool {
    (step..=step + step / 10 + 10).contains(&wait)
}

#[tokio::test(start_paused = true)]
async fn a_post_that_fails_is_tried_by_the_default_schedule_to_the_seventh_day_and_is_then_exhausted() {
    let mut world = one_webhook(&[Say::Status(500)], None).await;
    let heard = tell(&mut world).await;
    for (n, wait) in waits(&heard).iter().enumerate() {
        let step = *POST_STEPS.get(n).unwrap_or(&DAY);
        assert!(keeps(*wait, step), "attempt {}: waited {wait}, not {step}", n + 2);
    }
    assert_eq!(heard[0].at, START, "the first one at once");
    let last = heard.last().unwrap().at;
    assert!(
        last <= START + GIVE_UP_AFTER && last > START + GIVE_UP_AFTER - DAY - 3 * HOUR,
        "gave up at {last}"
    );
    assert!(
        heard.iter().all(|one| one.id == heard[0].id && one.body == heard[0].body),
        "the same over all attempts"
    );
    let delivery = world.delivery().await;
    assert_eq!((delivery.state, delivery.due), (State::Dead(Dead::Exhausted), None));
    let attempts = world.attempts(&delivery).await;
    assert_eq!(attempts.len(), heard.len());
    assert!(attempts.iter().all(|attempt| attempt.status == Some(500) && !attempt.succeeded));
}

#[tokio::test(start_paused = true)]
async fn a_hooks_own_schedule_is_kept_and_its_last_step_repeated() {
    let says = &[Say::Status(500), Say::Break, Say::Status(500), Say::Status(404), Say::Status(204)];
    let mut world = one_webhook(says, Some(vec![7, 60])).await;
    let heard = tell(&mut world).await;
    let waits = waits(&heard);
    assert_eq!(waits.len(), 4);
    for (wait, step) in waits.iter().zip([7, 60, 60, 60]) {
        assert!(keeps(*wait, step * SECOND), "{waits:?}");
    }
    assert_eq!(world.delivery().await.state, State::Delivered);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_but_never_hurries_and_never_puts_off_by_more_than_a_day() {
    // START is 10:00 on that day.
    let says = &[
        Say::Later(503, "3600"),
        Say::Later(429, "0"),
        Say::Later(503, "Fri, 02 Jan 2026 16:30:00 GMT"),
        Say::Later(503, "8640000"),
        Say::Later(503, "soon"),
        Say::Status(200),
    ];
    let mut world = one_webhook(says, None).await;
    let heard = tell(&mut world).await;
    let waits = waits(&heard);
    assert_eq!(waits.len(), 5);
    assert!((HOUR..HOUR + SECOND).contains(&waits[0]), "an hour was asked for: {waits:?}");
    assert!(keeps(waits[1], POST_STEPS[1]), "the schedule stands: {waits:?}");
    let asked = START + 6 * HOUR + 30 * MINUTE;
    assert!((asked..asked + SECOND).contains(&heard[3].at), "a date was asked for: {heard:?}");
    assert!((DAY..DAY + SECOND).contains(&waits[3]), "no more than a day: {waits:?}");
    assert!(keeps(waits[4], POST_STEPS[4]), "junk is no wish: {waits:?}");
    assert_eq!(world.delivery().await.state, State::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_says_gone_is_not_asked_again() {
    let mut world = one_webhook(&[Say::Status(410)], None).await;
    assert_eq!(tell(&mut world).await.len(), 1);
    let delivery = world.delivery().await;
    assert_eq!((delivery.state, delivery.attempts), (State::Dead(Dead::Gone), 1));
    let hooks = world.store.hooks(crate::world::OWNER.into()).await.unwrap();
    assert_eq!(hooks[0].dead, 1);
}

#[tokio::test(start_paused = true)]
async fn a_chat_that_refuses_is_not_asked_again() {
    let mut world = World::new(Strangers::new(|_, _| Say::Status(403))).await;
    world.webhook(PUSH, &[("slack", CHAT)], None).await;
    assert_eq!(tell(&mut world).await.len(), 1);
    assert_eq!(world.delivery().await.state, State::Dead(Dead::Refused));
}

/// Slack's format with a fault: it cannot say what has a summary.
static FRAGILE: LazyLock<Format> = LazyLock::new(|| {
    let slack = formats::find("slack").unwrap();
    let render = Render::Message(|it, message| {
        assert!(message.summary.is_empty(), "fails by design");
        let body = Bytes::from(message.title.to_string());
        Outgoing { method: Method::POST, url: it.url.clone(), headers: Vec::new(), body }
    });
    Format { render, ..*slack }
});

#[tokio::test(start_paused = true)]
async fn an_event_is_not_lost_to_a_message_that_does_not_render() {
    let mut world = World::new(Strangers::new(|_, _| Say::Status(204))).await;
    world.parts.formats = |_| Some(&FRAGILE);
    world.webhook(PUSH, &[("slack", CHAT)], None).await;
    let heard = tell(&mut world).await;
    assert_eq!(heard.len(), 1);
    let delivery = world.delivery().await;
    assert_eq!(delivery.state, State::Delivered);
    let attempts = world.attempts(&delivery).await;
    assert_eq!(attempts[0].note.as_deref(), Some("the message could not be rendered: a plain one was sent"));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_even_be_said_plainly_waits_for_a_version_that_can() {
    static BROKEN: LazyLock<Format> = LazyLock::new(|| {
        let render = Render::Message(|_, _| panic!("by design"));
        Format { render, ..*formats::find("slack").unwrap() }
    });
    let mut world = World::new(Strangers::new(|_, _| Say::Status(204))).await;
    world.parts.formats = |_| Some(&BROKEN);
    world.webhook(PUSH, &[("slack", CHAT)], None).await;
    assert!(tell(&mut world).await.is_empty());
    let delivery = world.delivery().await;
    assert_eq!(delivery.state, State::Dead(Dead::Exhausted));
    let attempts = world.attempts(&delivery).await;
    assert!(attempts.len() > 5, "{attempts:?}");
    assert_eq!(
        attempts[0].note.as_deref(),
        Some("not sent: the message could not be rendered, not even plainly")
    );
}

/// Strangers who give these answers one after the other, wherever they are asked.
fn one_by_one(answers: &'static [(u16, &'static str)]) -> Strangers {
    let asked = AtomicUsize::new(0);
    Strangers::new(move |_, _| {
        let (status, words) = answers[asked.fetch_add(1, Ordering::Relaxed)];
        Say::Words(status, words)
    })
}

#[tokio::test(start_paused = true)]
async fn later_messages_hang_on_the_first_one_of_their_thread_and_on_another_where_that_is_not_known() {
    let mut world = World::new(one_by_one(&[
        (200, r#"{"event_id":"$one"}"#),
        (200, r#"{"event_id":"$two"}"#),
        (400, r#"{"errcode":"M_UNKNOWN","error":"Can't send relation to unknown event"}"#),
        (200, r#"{"event_id":"$three"}"#),
        (200, r#"{"event_id":"$four"}"#),
    ]))
    .await;
    world.webhook(PUSH, &[("matrix", "https://matrix.example.org")], None).await;
    world.run(16);
    for _ in 0..4 {
        world.post(PUSH, "topic", None).await;
        world.settled().await;
    }
    let roots: Vec<Option<String>> = world
        .strangers
        .heard()
        .iter()
        .map(|heard| {
            let body: serde_json::Value = serde_json::from_str(&heard.body).unwrap();
            body["m.relates_to"]["event_id"].as_str().map(str::to_owned)
        })
        .collect();
    let roots: Vec<Option<&str>> = roots.iter().map(Option::as_deref).collect();
    assert_eq!(roots, [None, Some("$one"), Some("$one"), None, Some("$three")]);
    assert_eq!(world.states().await, [State::Delivered; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_markup_is_not_read_is_posted_once_more_as_text() {
    const NO: &str = r#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities"}"#;
    for (second, state) in
        [((200, r#"{"ok":true}"#), State::Delivered), ((400, NO), State::Dead(Dead::Refused))]
    {
        let answers: &'static [_] = Box::leak(Box::new([(400, NO), second]));
        let mut world = World::new(one_by_one(answers)).await;
        world.webhook(PUSH, &[("telegram", "https://api.telegram.org/bot1:A/sendMessage")], None).await;
        let heard = tell(&mut world).await;
        assert!(heard.len() == 2 && heard[0].body.contains("parse_mode"), "{heard:?}");
        assert!(!heard[1].body.contains("parse_mode"), "{heard:?}");
        let delivery = world.delivery().await;
        assert_eq!((delivery.state, delivery.attempts), (state, 1));
        let note = world.attempts(&delivery).await.remove(0).note.unwrap();
        assert!(note.contains("as text alone"), "{note}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_test_whose_markup_is_not_read_is_posted_once_more_as_a_delivery_is() {
    const NO: &str = r#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities"}"#;
    let world = World::new(one_by_one(&[(400, NO), (200, r#"{"ok":true}"#)])).await;
    let url = Secret::new("https://api.telegram.org/bot1:A/sendMessage");
    let to = preview::destination(formats::find("telegram").unwrap(), url, Fields::new());
    let (_, kind) = world.parts.catalogue.find("GIT_PUSH").unwrap();
    let told = Told::sample(kind, None);
    let secrets = SigningSecrets { current: Secret::new("whsec_AAAA"), previous: None };
    let tested = test::post(&world.parts, &told, &to, &secrets).await.unwrap();
    assert_eq!((tested.outcome, tested.status), (Outcome::Delivered, Some(200)));
    assert!(tested.says.unwrap().contains("as text alone"));
    let Preview::Request(sent) = tested.sent else { panic!("a letter") };
    assert!(!sent.body.contains("parse_mode"), "what is shown went out last: {}", sent.body);
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_to_a_closed_service_is_refused_for_good() {
    let mut world = World::new(Strangers::new(|_, _| Say::Closed)).await;
    world.webhook(PUSH, &[("flowdock", "https://api.flowdock.com/messages?flow_token=x")], None).await;
    assert_eq!(tell(&mut world).await.len(), 1);
    let delivery = world.delivery().await;
    assert_eq!(delivery.state, State::Dead(Dead::Refused));
    let note = world.attempts(&delivery).await.remove(0).note.unwrap();
    assert!(note.contains("flowdock has closed") && note.contains("delivery.allow_closed"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn a_resent_delivery_goes_on_counting_under_the_same_id_and_its_schedule_begins_anew() {
    let mut world = one_webhook(&[Say::Status(500)], None).await;
    world.run(16);
    world.post(PUSH, "topic", None).await;
    world.settled().await;
    let dead = world.delivery().await;
    assert_eq!(dead.state, State::Dead(Dead::Exhausted));
    let (made, resent_at) = (world.strangers.heard().len(), world.now());
    assert_eq!(world.store.resend(dead.id, resent_at).await.unwrap(), Resent::Due);
    world
        .until("it is tried three times more", async |world| world.strangers.heard().len() == made + 3)
        .await;
    let heard = world.strangers.heard();
    assert!(heard.iter().all(|one| one.id == heard[0].id));
    let waits = waits(&heard[made..]);
    assert!(keeps(waits[0], POST_STEPS[0]) && keeps(waits[1], POST_STEPS[1]), "{waits:?}");
    world.settled().await;
    let (heard, attempts) = (world.strangers.heard(), world.attempts(&world.delivery().await).await);
    let numbers: Vec<usize> =
        attempts.iter().map(|attempt| usize::try_from(attempt.number).unwrap()).collect();
    assert_eq!(numbers, (1..=heard.len()).collect::<Vec<_>>());
    // How many steps fit is a matter of jitter; that the seven days are those since it was resent is not.
    let last = heard.last().unwrap().at - resent_at;
    assert!(last <= GIVE_UP_AFTER && last > GIVE_UP_AFTER - DAY - 3 * HOUR, "gave up after {last}");
    world.stop().await;
}

// ------------------------------------------------------------------------------------------------------ letters

#[tokio::test(start_paused = true)]
async fn a_letter_put_off_goes_again_with_the_same_message_id_and_a_letter_refused_does_not() {
    let says = |to: &str, before: usize| match (to, before) {
        (to, 0..3) if to == MEMBERS[0] => Say::Status(451),
        (to, 0) if to == MEMBERS[1] => Say::Break,
        (to, _) if to == MEMBERS[2] => Say::Status(550),
        _ => Say::Status(250),
    };
    let mut world = World::new(Strangers::new(says)).await;
    world.letters(PUSH).await;
    tell(&mut world).await;
    let deliveries = world.deliveries().await;
    assert_eq!(deliveries.len(), 3);
    for (n, tries, state) in
        [(0, 4, State::Delivered), (1, 2, State::Delivered), (2, 1, State::Dead(Dead::Refused))]
    {
        let heard = world.strangers.heard_by(MEMBERS[n]);
        let delivery = deliveries
            .iter()
            .find(|one| one.recipient.as_ref().is_some_and(|to| to.address == MEMBERS[n]))
            .unwrap();
        assert_eq!((heard.len(), delivery.state), (tries, state), "{delivery:?}");
        assert!(
            heard.iter().all(|one| one.id == delivery.id.to_string() && one.body == heard[0].body),
            "{heard:?}"
        );
        for (wait, step) in waits(&heard).iter().zip(MAIL_STEPS) {
            assert!(keeps(*wait, *step), "{heard:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_no_relay_takes_is_tried_for_a_day_and_is_then_exhausted() {
    let mut world = World::new(Strangers::new(|_, _| Say::Status(451))).await;
    world.letters(PUSH).await;
    tell(&mut world).await;
    for to in MEMBERS {
        let heard = world.strangers.heard_by(to);
        for (n, wait) in waits(&heard).iter().enumerate() {
            let step = *MAIL_STEPS.get(n).unwrap_or(&(4 * HOUR));
            assert!(keeps(*wait, step), "attempt {}: waited {wait}, not {step}", n + 2);
        }
        let last = heard.last().unwrap().at;
        assert!(last <= START + DAY && last > START + DAY - 5 * HOUR, "gave up at {last}");
    }
    let deliveries = world.deliveries().await;
    assert!(deliveries.iter().all(|one| one.state == State::Dead(Dead::Exhausted)), "{deliveries:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_who_left_before_the_attempt_gets_nothing() {
    let says = |to: &str, before: usize| {
        if to == MEMBERS[1] && before == 0 { Say::Status(421) } else { Say::Status(250) }
    };
    let mut world = World::new(Strangers::new(says)).await;
    world.letters(PUSH).await;
    // Before the letter is resolved.
    world.post(PUSH, "topic", None).await;
    world.leaves(2).await;
    world.run(16);
    world.until("the first round is written down", async |world| world.between.count("record") == 2).await;
    // Between two attempts.
    world.leaves(1).await;
    world.settled().await;
    world.stop().await;
    let told: Vec<usize> = MEMBERS.iter().map(|to| world.strangers.heard_by(to).len()).collect();
    assert_eq!(told, [1, 1, 0]);
    let mut states = world.states().await;
    states.sort_by_key(|state| state.name());
    assert_eq!(states, [State::Cancelled(Cancelled::RecipientLeft), State::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn a_member_who_joined_before_the_letter_is_resolved_gets_it() {
    let mut world = World::new(Strangers::new(|_, _| Say::Status(250))).await;
    world.leaves(2).await;
    world.letters(PUSH).await;
    world.post(PUSH, "topic", None).await;
    world.people().await;
    world.run(16);
    world.settled().await;
    world.stop().await;
    assert_eq!(MEMBERS.map(|to| world.strangers.heard_by(to).len()), [1, 1, 1]);
}

// ------------------------------------------------------------------------------------------------------ holding

/// Pauses the only hook with one delivery waiting for its second attempt and two that come later.
async fn held() -> World {
    let mut world = one_webhook(&[Say::Status(500), Say::Status(200)], Some(vec![3_600])).await;
    world.run(1);
    world.post(PUSH, "first", None).await;
    world.until("the first attempt failed", async |world| world.between.count("record") == 1).await;
    turn(&world, Turn::Pause).await;
    world.post(PUSH, "second", None).await;
    world.post(PUSH, "third", None).await;
    tokio::time::sleep(std::time::Duration::from_secs(2 * 24 * 3_600)).await;
    assert_eq!(world.states().await, [State::Held(Held::Paused); 3]);
    assert_eq!(world.strangers.heard().len(), 1, "nothing leaves while it is paused");
    let hooks = world.store.hooks(crate::world::OWNER.into()).await.unwrap();
    assert_eq!((hooks[0].hook.state, hooks[0].held), (HookState::Paused, 3), "the number is shown first");
    world
}

async fn turn(world: &World, turn: Turn) {
    let hooks = world.store.hooks(crate::world::OWNER.into()).await.unwrap();
    world.parts.store.turn_hook(hooks[0].hook.id, turn, world.now()).await.unwrap();
    world.tidy().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_delivered_oldest_first_when_the_owner_catches_up() {
    let mut world = held().await;
    turn(&world, Turn::CatchUp).await;
    world.settled().await;
    world.stop().await;
    assert_eq!(world.states().await, [State::Delivered; 3]);
    let heard = world.strangers.heard();
    let order: Vec<_> = ["first", "first", "second", "third"].into_iter().collect();
    assert_eq!(heard.len(), order.len());
    for (heard, branch) in heard.iter().zip(order) {
        assert!(heard.body.contains(branch), "{branch} in {heard:?}");
    }
    let hooks = world.store.hooks(crate::world::OWNER.into()).await.unwrap();
    assert_eq!((hooks[0].hook.state, hooks[0].held), (HookState::Enabled, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_cancelled_when_the_owner_skips_it_and_what_comes_later_is_delivered() {
    let mut world = held().await;
    turn(&world, Turn::Skip).await;
    world.post(PUSH, "fourth", None).await;
    world.settled().await;
    world.stop().await;
    let skipped = State::Cancelled(Cancelled::Skipped);
    assert_eq!(world.states().await, [skipped, skipped, skipped, State::Delivered]);
    let heard = world.strangers.heard();
    assert_eq!(heard.len(), 2);
    assert!(heard[1].body.contains("fourth"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_under_way_when_its_hook_is_paused_is_written_down_as_it_went() {
    let mut world = World::new(Strangers::new(|_, _| Say::Hang(200))).await;
    world.webhook(PUSH, &[("raw", URL)], None).await;
    world.run(16);
    world.post(PUSH, "topic", None).await;
    world.until("it is under way", async |world| world.strangers.out(URL).now == 1).await;
    turn(&world, Turn::Pause).await;
    assert_eq!(world.delivery().await.state, State::Held(Held::Paused));
    world.strangers.release();
    world.until("it is written down", async |world| world.between.count("record") == 1).await;
    world.stop().await;
    assert_eq!(world.delivery().await.state, State::Delivered);
}

// ---------------------------------------------------------------------------------------- a store that will not

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_for_a_moment_is_not_sent_again() {
    let mut world = one_webhook(&[Say::Status(200)], None).await;
    world.between.refuse("record", 3);
    assert_eq!(tell(&mut world).await.len(), 1);
    assert_eq!(world.delivery().await.state, State::Delivered);
    assert_eq!(world.between.count("record"), 4);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_for_long_is_repeated_under_the_same_id_and_neither_lost_nor_hurried() {
    let mut world = one_webhook(&[Say::Status(200)], None).await;
    world.between.refuse("record", 12);
    let heard = tell(&mut world).await;
    assert_eq!(world.delivery().await.state, State::Delivered);
    assert_eq!(world.between.refusals_left(), 0);
    assert!(heard.iter().all(|one| one.id == heard[0].id));
    assert!((2..=4).contains(&heard.len()), "sent {} times", heard.len());
    assert!(waits(&heard).iter().all(|wait| *wait >= MINUTE), "{:?}", waits(&heard));
    let calls = tally(&world.between.calls());
    let minutes = usize::try_from((world.now() - START) / MINUTE).unwrap() + 1;
    assert!(calls["lease"] <= 20 * minutes, "{calls:?} in {minutes} minutes");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_for_a_while_costs_time_and_no_delivery() {
    for call in ["lease", "names", "admit", "resolve"] {
        let mut world = World::new(Strangers::new(|_, _| Say::Status(200))).await;
        world.webhook(PUSH, &[("slack", CHAT)], None).await;
        world.letters(PUSH).await;
        world.between.refuse(call, 20);
        let heard = tell(&mut world).await;
        assert_eq!(world.states().await, [State::Delivered; 4], "{call}");
        assert_eq!(heard.len(), 4, "{call}: nothing was repeated");
        assert_eq!(world.between.refusals_left(), 0, "{call}");
        let seconds = usize::try_from((world.now() - START) / SECOND).unwrap();
        assert!(
            world.between.count(call) <= 40 + seconds,
            "{call}: asked {} times in {seconds} s",
            world.between.count(call)
        );
    }
}
