//! One receiver that never answers costs the others nothing, and what is in memory has a bound.

use std::time::Duration;

use sonnette_core::model::{SECOND, State};

use crate::strangers::{ALL, Say, Strangers};
use crate::world::World;

/// Attempts one destination may have under way.
const BOUND: usize = 128;
const SICK: &str = "https://sick.example.com/";
const EVENTS: usize = 150;

fn well(n: usize) -> String {
    format!("https://well-{n}.example.com/")
}

/// A world with one hook for each of these, and an event after the other for all of them.
async fn told(strangers: Strangers, urls: &[String], events: usize) -> World {
    let world = World::new(strangers).await;
    for url in urls {
        world.webhook("GIT_PUSH", &[("raw", url)], None).await;
    }
    for n in 0..events {
        world.post("GIT_PUSH", &format!("topic-{n}"), None).await;
    }
    world
}

#[tokio::test(start_paused = true)]
async fn one_receiver_among_ten_that_never_answers_does_not_slow_the_other_nine() {
    let strangers = Strangers::new(|to, _| if to == SICK { Say::Hang(200) } else { Say::Status(200) });
    // The sick one is first in every order there is.
    let mut urls = vec![SICK.to_owned()];
    urls.extend((0..9).map(well));
    let mut world = told(strangers, &urls, EVENTS).await;
    let (from, since) = (world.now(), tokio::time::Instant::now());
    world.run(512);
    world
        .until("the nine have everything", async |world| {
            world.strangers.heard().len() - world.strangers.heard_by(SICK).len() == 9 * EVENTS
        })
        .await;
    for n in 0..9 {
        let heard = world.strangers.heard_by(&well(n));
        assert_eq!(heard.len(), EVENTS);
        // Time leaps only when there is nothing left to do: nobody waited for the sick one or for a clock.
        assert!(heard.iter().all(|heard| heard.at == from), "the first at {from}, {heard:?}");
    }
    assert_eq!(since.elapsed(), Duration::ZERO);
    assert!(world.strangers.out(SICK).most <= BOUND, "{:?}", world.strangers.out(SICK));
    assert!(world.strangers.out(SICK).now > 0, "the sick one was asked");

    world.strangers.release();
    world.settled().await;
    assert_eq!(world.strangers.heard_by(SICK).len(), EVENTS, "nothing was lost or repeated while it hung");
    assert!(world.strangers.out(SICK).most <= BOUND);
    assert!(world.states().await.iter().all(|state| *state == State::Delivered));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_holds_its_bound_and_no_more_and_the_rest_waits_in_the_store() {
    let mut world = told(Strangers::new(|_, _| Say::Hang(200)), &[SICK.to_owned()], 3 * BOUND).await;
    world.run(512);
    world.until("it holds its bound", async |world| world.strangers.out(SICK).now == BOUND).await;
    // Time leaps only when the flow has nothing left to do: were there more to come, it would have come by then.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.strangers.out(SICK).most, BOUND);
    assert_eq!(world.between.widest(), BOUND);
    world.strangers.release();
    world.settled().await;
    assert_eq!(world.strangers.heard().len(), 3 * BOUND);
    assert_eq!(world.strangers.out(SICK).most, BOUND);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn never_more_is_in_memory_or_under_way_than_the_window_holds() {
    let urls: Vec<_> = (0..5).map(well).collect();
    let mut world = told(Strangers::new(|_, _| Say::Hang(200)), &urls, 20).await;
    world.run(16);
    world.until("the window is full", async |world| world.strangers.out(ALL).now == 16).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((world.strangers.out(ALL).most, world.between.widest()), (16, 16));
    world.strangers.release();
    world.settled().await;
    assert_eq!(world.strangers.heard().len(), 100);
    assert_eq!((world.strangers.out(ALL).most, world.between.widest()), (16, 16));
    assert!(world.states().await.iter().all(|state| *state == State::Delivered));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_flow_with_nothing_to_do_hardly_asks() {
    let strangers = Strangers::new(|_, _| Say::Status(200));
    let mut world = told(strangers, &[well(0)], 1).await;
    world.run(512);
    world.settled().await;
    let (from, before) = (world.now(), world.between.count("lease"));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.now(), from + 600 * SECOND);
    let asked = world.between.count("lease") - before;
    assert!((1..=70).contains(&asked), "asked {asked} times in ten minutes");
    world.stop().await;
}
