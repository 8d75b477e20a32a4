//! What stops or holds a letter, and letters nobody else sees.

use serde_json::{Map, Value};
use sonnette_core::model::{DAY, HOUR, MINUTE, Recipient};
use sonnette_core::private::{Private, PrivateLetter};

use crate::strangers::{Say, Strangers};
use crate::world::{MEMBERS, World, member};

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
