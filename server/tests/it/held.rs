//! What a paused hook holds for too long: its owner is told in time, and it is given up before it is erased.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sonnette::flow::tidy::Keeping;
use sonnette_core::ids::HookId;
use sonnette_core::model::{DAY, Dead, Delivery, Held, Millis, State};
use sonnette_core::ports::{Page, Resent, Turn};

use crate::between::Cut;
use crate::strangers::{Heard, Say, Strangers};
use crate::world::{MEMBERS, OWNER, START, World};

const URL: &str = "https://receiver.example.com/";
const MONTH: Keeping = Keeping { events: 30 * DAY, excerpts: 7 * DAY };
const TOLD: &str = "HELD_EXPIRING";

fn strangers() -> Strangers {
    Strangers::new(|_, _| Say::Status(200))
}

/// Lets time go by until so long after the world began.
async fn until(world: &World, after: Millis) {
    let wait = u64::try_from(START + after - world.now()).expect("not over yet");
    tokio::time::sleep(Duration::from_millis(wait)).await;
}

/// What the webhook is owed, oldest first.
async fn of(world: &World, hook: HookId) -> Vec<Delivery> {
    world.deliveries().await.into_iter().filter(|delivery| delivery.hook == Some(hook)).collect()
}

fn letters(world: &World) -> Vec<Heard> {
    MEMBERS.iter().flat_map(|member| world.strangers.heard_by(member)).collect()
}

async fn told(world: &World) -> usize {
    let events = world.store.events(OWNER.into(), Page { after: None, limit: 100 }).await.unwrap();
    events.iter().filter(|event| event.kind == TOLD).count()
}

#[tokio::test(start_paused = true)]
async fn admins_are_told_three_days_before_what_is_held_is_given_up_and_it_can_be_sent_again_for_a_day() {
    let mut world = World::new(strangers()).await;
    let hook = world.webhook("GIT_PUSH", &[("raw", URL), ("raw", URL)], None).await;
    world.parts.store.turn_hook(hook, Turn::Pause, world.now()).await.unwrap();
    world.post("GIT_PUSH", "first", None).await;
    until(&world, 2 * DAY).await;
    world.post("GIT_PUSH", "second", None).await;

    until(&world, 26 * DAY - 1_000).await;
    world.keep(MONTH).await;
    assert!(letters(&world).is_empty(), "not yet");
    until(&world, 26 * DAY + 1_000).await;
    world.run(4);
    for _ in 0..3 {
        world.keep(MONTH).await;
        world.settled().await;
    }
    let heard = letters(&world);
    assert_eq!(heard.len(), 1, "the admin, once: {heard:#?}");
    assert_eq!(heard[0].to, MEMBERS[0]);
    for part in [
        "Deliveries held by a hook of Acme will be given up: Told\n",
        "unless the hook is resumed before 2026-01-31T10:00:00Z. Held now: 4, the oldest since 2026-01-02T10:00:00Z.",
    ] {
        assert!(heard[0].body.contains(part), "{part} is not in {}", heard[0].body);
    }

    until(&world, 29 * DAY - 1_000).await;
    world.keep(MONTH).await;
    let held = State::Held(Held::Paused);
    assert_eq!(of(&world, hook).await.iter().map(|one| one.state).collect::<Vec<_>>(), [held; 4]);
    until(&world, 29 * DAY + 1_000).await;
    world.keep(MONTH).await;
    let dead = State::Dead(Dead::Expired);
    let owed = of(&world, hook).await;
    assert_eq!(owed.iter().map(|one| one.state).collect::<Vec<_>>(), [dead, dead, held, held]);
    assert!(world.strangers.heard_by(URL).is_empty());

    // Whoever comes late sends again what was given up, until it is erased.
    world.parts.store.turn_hook(hook, Turn::CatchUp, world.now()).await.unwrap();
    world.keep(MONTH).await;
    assert_eq!(world.parts.store.resend(owed[0].id, world.now()).await.unwrap(), Resent::Due);
    world.settled().await;
    assert_eq!(world.strangers.heard_by(URL).len(), 3);
    let states = of(&world, hook).await.iter().map(|one| one.state).collect::<Vec<_>>();
    assert_eq!(states, [State::Delivered, dead, State::Delivered, State::Delivered]);
    until(&world, 30 * DAY + 1_000).await;
    world.keep(MONTH).await;
    assert_eq!(of(&world, hook).await.len(), 2, "the older event is erased");
    assert_eq!(letters(&world).len(), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_told_in_time_is_told_before_it_is_given_up() {
    let mut world = World::new(strangers()).await;
    let hook = world.webhook("GIT_PUSH", &[("raw", URL)], None).await;
    world.parts.store.turn_hook(hook, Turn::Pause, world.now()).await.unwrap();
    world.post("GIT_PUSH", "first", None).await;
    until(&world, 29 * DAY + 12_345).await;
    world.between.refuse("tell_held", 1);
    world.keep(MONTH).await;
    assert_eq!(of(&world, hook).await[0].state, State::Held(Held::Paused), "nobody was told yet");
    world.run(4);
    world.keep(MONTH).await;
    world.settled().await;
    let heard = letters(&world);
    assert_eq!(heard.len(), 1);
    let part = "unless the hook is resumed before 2026-01-31T10:00:12Z. Held now: 1,";
    assert!(heard[0].body.contains(part), "{}", heard[0].body);
    assert_eq!(of(&world, hook).await[0].state, State::Dead(Dead::Expired));
    world.stop().await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// One look at what is held, and maybe a power cut in it. Gives whether there was one.
fn look(dir: &Path, strangers: &Arc<Strangers>, cut: Option<Cut>) -> bool {
    let runtime = runtime();
    let inside = runtime.enter();
    let world = World::open(dir, Arc::clone(strangers), START + 29 * DAY + 1_000, cut);
    drop(inside);
    let between = Arc::clone(&world.between);
    let was_cut = runtime.block_on(async {
        tokio::select! {
            () = world.keep(MONTH) => false,
            () = between.power_cut() => true,
        }
    });
    drop(runtime);
    was_cut
}

#[test]
fn whenever_the_power_is_cut_owners_are_told_once_and_everything_is_given_up() {
    let mut cuts = 0;
    for call in 1.. {
        let mut ended = true;
        for after in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let strangers = Arc::new(strangers());
            let before = runtime();
            let inside = before.enter();
            let world = World::open(dir.path(), Arc::clone(&strangers), START, None);
            drop(inside);
            let hook = before.block_on(async {
                world.people().await;
                let hook = world.webhook("GIT_PUSH", &[("raw", URL), ("raw", URL)], None).await;
                world.parts.store.turn_hook(hook, Turn::Pause, world.now()).await.unwrap();
                world.post("GIT_PUSH", "first", None).await;
                hook
            });
            drop(before);
            drop(world);
            if look(dir.path(), &strangers, Some(Cut { call, after })) {
                (ended, cuts) = (false, cuts + 1);
                assert!(!look(dir.path(), &strangers, None));
            }
            let after_all = runtime();
            let inside = after_all.enter();
            let world = World::open(dir.path(), Arc::clone(&strangers), START + 29 * DAY + 2_000, None);
            drop(inside);
            after_all.block_on(async {
                assert_eq!(told(&world).await, 1, "call {call}, {after}");
                let states: Vec<_> = of(&world, hook).await.iter().map(|one| one.state).collect();
                assert_eq!(states, [State::Dead(Dead::Expired); 2], "call {call}, {after}");
                let counts = world.store.counts().await.unwrap();
                assert_eq!((counts.held, counts.dead), (0, 2), "call {call}, {after}");
            });
            drop(after_all);
        }
        if ended {
            break;
        }
    }
    assert!(cuts >= 10, "only {cuts} cuts");
}
