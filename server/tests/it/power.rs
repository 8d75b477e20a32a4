//! The power is cut before and after every call the flow makes to the outside: then everything in memory is gone, the store
//! is opened again, and the account must balance.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sonnette_core::model::{Delivery, Millis, State};
use sonnette_core::ports::Turn;

use crate::between::{Cut, tally};
use crate::strangers::{ALL, Heard, Say, Strangers};
use crate::world::{MEMBERS, START, World};

const STEADY: &str = "https://steady.example.com/";
const MOODY: &str = "https://moody.example.com/";
const CHAT: &str = "https://hooks.slack.com/services/T/B/x";
const PAUSED: &str = "https://paused.example.com/";

/// Rows in the end: two webhooks, a chat and three letters of one event, one webhook of the other.
const OWED: usize = 7;
/// Requests and letters without any cut: one of the webhooks fails once.
const SENT: usize = OWED + 1;

fn strangers() -> Strangers {
    Strangers::new(|to, before| if to == MOODY && before == 0 { Say::Status(503) } else { Say::Status(200) })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Hooks and members, in a store that is closed again.
fn prepare(dir: &Path) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let world = World::open(dir, Arc::new(strangers()), START, None);
    runtime.block_on(async {
        world.people().await;
        let raw = [("raw", STEADY), ("raw", MOODY), ("slack", CHAT)];
        world.webhook("DEPLOYMENT_SUCCESS", &raw, None).await;
        world.letters("DEPLOYMENT_SUCCESS").await;
        world.webhook("GIT_PUSH", &[("raw", PAUSED)], None).await;
    });
}

/// Copies a closed store.
fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// What the poster and the owner do. Whoever got no answer does it again, and so all of it is done in every life.
async fn ask(world: &World) {
    world.try_post("DEPLOYMENT_SUCCESS", "release", Some("first")).await;
    let hooks = world.store.hooks(crate::world::OWNER.into()).await.unwrap();
    let paused =
        hooks.iter().find(|view| view.hook.events == Some(vec!["GIT_PUSH".to_owned()])).unwrap().hook.id;
    let store = &world.parts.store;
    store.turn_hook(paused, Turn::Pause, world.now()).await.unwrap();
    world.try_post("GIT_PUSH", "topic", Some("second")).await;
    store.turn_hook(paused, Turn::CatchUp, world.now()).await.unwrap();
    world.tidy().await;
}

/// Everything, in order: asked for, then handed out one by one, so that the calls come in one order.
async fn in_turn(world: &mut World) {
    ask(world).await;
    world.run(1);
    world.settled().await;
}

/// Everything at once.
async fn at_once(world: &mut World) {
    world.run(8);
    ask(world).await;
    world.settled().await;
}

/// One life of the world, to its end or until the power is cut. Gives when it ended, whether it was cut, how many attempts
/// were under way or made and not written down when it was, and the calls.
struct Lived {
    until: Millis,
    cut: bool,
    calls: Vec<&'static str>,
}

fn live(
    dir: &Path,
    strangers: &Arc<Strangers>,
    from: Millis,
    cut: Option<Cut>,
    story: impl AsyncFnOnce(&mut World),
) -> Lived {
    let runtime = runtime();
    let inside = runtime.enter();
    let mut world = World::open(dir, Arc::clone(strangers), from, cut);
    drop(inside);
    let between = Arc::clone(&world.between);
    let cut = runtime.block_on(async {
        tokio::select! {
            () = story(&mut world) => false,
            () = between.power_cut() => true,
        }
    });
    // Every task is dropped where it stands, and with the last of them the store.
    drop(runtime);
    let lived = Lived { until: world.latest(), cut, calls: between.calls() };
    drop(between);
    drop(world);
    lived
}

/// What was heard, by what it was about.
fn by_delivery(heard: Vec<Heard>) -> BTreeMap<(String, String), Vec<Heard>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for heard in heard {
        all.entry((heard.to.clone(), heard.id.clone())).or_default().push(heard);
    }
    all
}

/// Whether everything accepted was delivered, nothing else was, and nothing was repeated but for the cut.
fn account(dir: &Path, strangers: &Arc<Strangers>, from: Millis, repeats: usize, what: &str) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let world = World::open(dir, Arc::clone(strangers), from, None);
    let (deliveries, counts) = runtime.block_on(async {
        let deliveries = world.deliveries().await;
        for delivery in &deliveries {
            let attempts = world.attempts(delivery).await;
            let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
            assert_eq!(numbers, (1..=delivery.attempts).collect::<Vec<_>>(), "{what}: {delivery:?}");
            assert!(attempts.last().is_some_and(|last| last.succeeded), "{what}: {delivery:?} {attempts:?}");
        }
        (deliveries, world.store.counts().await.unwrap())
    });
    assert_eq!(deliveries.len(), OWED, "{what}: {deliveries:#?}");
    assert!(deliveries.iter().all(|delivery| delivery.state == State::Delivered), "{what}: {deliveries:#?}");
    assert_eq!((counts.destinations_waiting, counts.held, counts.dead), (0, 0, 0), "{what}: {counts:?}");

    let heard = strangers.heard();
    let sent = heard.len();
    assert!((SENT..=SENT + repeats).contains(&sent), "{what}: {sent} sent, {heard:#?}");
    assert_eq!(strangers.out(ALL).now, 0, "{what}");
    let mut told = by_delivery(heard);
    let ids: Vec<(&str, String)> =
        deliveries.iter().map(|delivery| (place_of(delivery), delivery.id.to_string())).collect();
    for (place, id) in ids {
        // A chat service gets no id of ours: there is one delivery to it.
        let key = if place == CHAT { String::new() } else { id };
        let places: Vec<_> =
            told.keys().filter(|(to, id)| *id == key && (place.is_empty() || to == place)).cloned().collect();
        assert_eq!(places.len(), 1, "{what}: {key} was told to {places:?}");
        let heard = told.remove(&places[0]).unwrap();
        assert!(heard.iter().any(Heard::taken), "{what}: nobody took {heard:#?}");
        assert!(
            heard.windows(2).all(|pair| pair[0].body == pair[1].body),
            "{what}: a repeat says something else {heard:#?}"
        );
    }
    assert!(told.is_empty(), "{what}: invented {told:#?}");
}

/// Where a delivery went, as far as its row alone says.
fn place_of(delivery: &Delivery) -> &str {
    match (&delivery.recipient, delivery.format.as_str()) {
        (Some(recipient), _) => {
            assert!(MEMBERS.contains(&recipient.address.as_str()));
            &recipient.address
        }
        (None, "slack") => CHAT,
        (None, _) => "",
    }
}

#[test]
fn whenever_the_power_is_cut_nothing_is_lost_or_invented_and_at_most_one_attempt_is_repeated() {
    let empty = tempfile::tempdir().unwrap();
    prepare(empty.path());
    let mut cuts = 0;
    for call in 1.. {
        let mut ended = true;
        for after in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            copy(empty.path(), dir.path());
            let strangers = Arc::new(strangers());
            let first = live(dir.path(), &strangers, START, Some(Cut { call, after }), in_turn);
            let name = first.calls.get(call - 1).copied().unwrap_or("no call");
            let what = format!("cut {} call {call}, {name}", if after { "after" } else { "before" });
            let mut until = first.until;
            if first.cut {
                ended = false;
                cuts += 1;
                let second = live(dir.path(), &strangers, until, None, in_turn);
                assert!(!second.cut);
                until = second.until;
            } else {
                let made = tally(&first.calls);
                for name in [
                    "ingest",
                    "turn_hook",
                    "tidy",
                    "lease",
                    "names",
                    "resolve",
                    "admit",
                    "post",
                    "mail",
                    "record",
                ] {
                    assert!(made.contains_key(name), "{name} was never called, so never cut: {made:?}");
                }
            }
            account(dir.path(), &strangers, until, usize::from(first.cut), &what);
        }
        if ended {
            break;
        }
    }
    assert!(cuts >= 60, "only {cuts} cuts");
}

#[test]
fn whenever_the_power_is_cut_with_much_under_way_each_of_it_is_repeated_once_at_most() {
    let empty = tempfile::tempdir().unwrap();
    prepare(empty.path());
    for call in (1..).step_by(3) {
        let after = call % 2 == 0;
        let dir = tempfile::tempdir().unwrap();
        copy(empty.path(), dir.path());
        let strangers = Arc::new(strangers());
        let first = live(dir.path(), &strangers, START, Some(Cut { call, after }), at_once);
        let what = format!("cut at call {call}");
        if !first.cut {
            return account(dir.path(), &strangers, first.until, 0, &what);
        }
        let second = live(dir.path(), &strangers, first.until, None, at_once);
        assert!(by_delivery(strangers.heard()).values().all(|heard| heard.len() <= 3), "{what}");
        account(dir.path(), &strangers, second.until, OWED, &what);
    }
}
