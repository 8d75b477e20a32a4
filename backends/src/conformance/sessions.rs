//! Signing in.

use sonnette_core::ids::SessionId;
use sonnette_core::model::{Fact, HOUR};
use sonnette_core::ports::{LINK_LIFE, NewSession, SESSION_IDLE, SESSION_LIFE, SignedIn, Which};

use super::{ANN, BOB, World, email_of, user};

fn new(id: i64, digest: u8, instead_of: Option<u8>) -> NewSession {
    NewSession {
        id: SessionId(id),
        digest: [digest; 32],
        agent: "Firefox".to_owned(),
        instead_of: instead_of.map(|digest| [digest; 32]),
    }
}

impl World {
    /// Signs somebody in by a fresh link.
    async fn signs_in(&self, person: u8, session: NewSession) {
        let link = [session.digest[0] ^ 0x80; 32];
        assert!(self.store().add_link(link, user(person), self.now).await.expect("kept"));
        let signed = self.store().sign_in(link, session, self.now).await.expect("signed in");
        assert_eq!(signed, SignedIn::Done(user(person)));
    }

    async fn is_in(&self, digest: u8) -> bool {
        self.store().session([digest; 32], self.now).await.expect("read").is_some()
    }
}

/// See the name.
pub async fn a_sign_in_link_opens_once_and_only_in_time(mut world: World) {
    assert!(world.store().add_link([1; 32], user(ANN), world.now).await.expect("kept"));
    assert!(world.store().add_link([2; 32], user(ANN), world.now).await.expect("kept"));
    world.reopen();
    world.now += LINK_LIFE;
    let open = async |link: u8, session, now| {
        world.store().sign_in([link; 32], session, now).await.expect("answered")
    };
    assert_eq!(open(1, new(1, 11, None), world.now).await, SignedIn::Done(user(ANN)));
    assert_eq!(open(1, new(2, 12, None), world.now).await, SignedIn::Used);
    assert_eq!(open(2, new(3, 13, None), world.now + 1).await, SignedIn::Expired);
    assert_eq!(open(3, new(4, 14, None), world.now).await, SignedIn::Expired);
    let there = [world.is_in(11).await, world.is_in(12).await, world.is_in(13).await, world.is_in(14).await];
    assert_eq!(there, [true, false, false, false]);
    world.settle().await;
    assert_eq!(open(1, new(5, 15, None), world.now).await, SignedIn::Used, "it is still said");
}

/// See the name.
pub async fn a_session_lasts_while_it_is_used_and_never_longer_than_its_life(mut world: World) {
    world.signs_in(ANN, new(1, 1, None)).await;
    world.signs_in(ANN, new(2, 2, None)).await;
    let (begun, mut used) = (world.now, 0);
    while world.now + SESSION_IDLE - HOUR < begun + SESSION_LIFE {
        world.now += SESSION_IDLE - HOUR;
        used += 1;
        let (session, who) =
            world.store().session([1; 32], world.now).await.expect("read").expect("still there");
        assert_eq!((session.id, session.created_at, who.id), (SessionId(1), begun, user(ANN)));
        world.store().see_session(SessionId(1), world.now).await.expect("noted");
    }
    assert!(used > 1 && !world.is_in(2).await, "nobody used it");
    let listed = world.store().sessions(user(ANN), world.now).await.expect("listed");
    assert_eq!(
        listed.iter().map(|one| (one.id, one.seen_at)).collect::<Vec<_>>(),
        [(SessionId(1), world.now)]
    );
    world.now = begun + SESSION_LIFE;
    assert!(!world.is_in(1).await);
    assert!(world.store().sessions(user(ANN), world.now).await.expect("listed").is_empty());
    world.settle().await;
    assert!(!world.is_in(1).await);
}

/// See the name.
pub async fn signing_in_again_ends_the_session_before_and_signing_out_those_that_were_meant(
    mut world: World,
) {
    for n in 1..=4 {
        world.now += 1;
        world.signs_in(ANN, new(n.into(), n, None)).await;
    }
    world.signs_in(BOB, new(9, 9, None)).await;
    world.signs_in(ANN, new(5, 5, Some(4))).await;
    assert!(!world.is_in(4).await && world.is_in(5).await);
    let listed = world.store().sessions(user(ANN), world.now).await.expect("listed");
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().all(|one| one.agent == "Firefox" && one.user == user(ANN)));
    let end = async |who, which| world.store().end_sessions(user(who), which).await.expect("ended");
    assert_eq!(end(BOB, Which::One(SessionId(1))).await, 0, "somebody else's");
    assert_eq!(end(ANN, Which::One(SessionId(1))).await, 1);
    assert_eq!(end(ANN, Which::AllBut(SessionId(5))).await, 2);
    assert!(!world.is_in(2).await && world.is_in(5).await && world.is_in(9).await);
    assert_eq!(end(ANN, Which::All).await, 1);
    assert!(!world.is_in(5).await && world.is_in(9).await);
}

/// See the name.
pub async fn who_is_gone_is_signed_out_and_cannot_sign_in(world: World) {
    world.signs_in(BOB, new(1, 1, None)).await;
    assert!(world.store().add_link([2; 32], user(BOB), world.now).await.expect("kept"));
    world.learn(vec![Fact::UserGone(user(BOB))]).await;
    assert!(!world.is_in(1).await);
    let late = world.store().sign_in([2; 32], new(2, 2, None), world.now).await.expect("answered");
    assert_eq!(late, SignedIn::Expired);
    assert!(!world.store().add_link([3; 32], user(BOB), world.now).await.expect("answered"));
    assert!(!world.store().add_link([3; 32], user(77), world.now).await.expect("answered"));
    assert!(world.store().users_at(email_of(BOB)).await.expect("read").is_empty());
}

/// See the name.
pub async fn people_are_found_by_their_address_however_it_is_cased(world: World) {
    let found = async |address: String| {
        let found = world.store().users_at(address).await.expect("read");
        found.iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(found(email_of(ANN)).await, [user(ANN)]);
    assert_eq!(found(email_of(ANN).to_uppercase()).await, [user(ANN)]);
    assert!(found("nobody@example.org".to_owned()).await.is_empty());
    assert!(found("%".to_owned()).await.is_empty());
}

/// See the name.
pub async fn how_somebody_wants_to_read_is_kept(mut world: World) {
    let before = world.store().user(user(ANN)).await.expect("read").expect("there");
    assert_eq!((before.lang.as_str(), before.zone.as_str()), ("en", ""));
    let prefer = async |who| {
        world.store().prefer(user(who), "fr".to_owned(), "Europe/Paris".to_owned()).await.expect("answered")
    };
    assert!(prefer(ANN).await && !prefer(77).await);
    world.reopen();
    let after = world.store().user(user(ANN)).await.expect("read").expect("there");
    assert_eq!((after.lang.as_str(), after.zone.as_str()), ("fr", "Europe/Paris"));
}
