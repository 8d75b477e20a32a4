//! Owners, members, resources, tokens.

use sonnette_core::ids::{OrganisationId, TokenId, UserId};
use sonnette_core::model::{Fact, Organisation, Resource, Role, Target};
use sonnette_core::ports::{Bearer, Names, NewToken, Page};
use sonnette_core::secret::Secret;

use super::{
    ADDON, ANN, APPLICATION, BOB, CID, FOREIGN, ORGANISATION, OWNER, STRANGER, World, addon, application,
    born, email_of, everybody, member, organisation, real_id, user,
};

/// See the name.
pub async fn facts_are_learnt_all_or_none(mut world: World) {
    let mut hook = world.mail(vec![]);
    hook.owner = user(50).into();
    let Fact::User { id, name, email, lang, operator, .. } = born(50) else {
        unreachable!("`born` tells of a user")
    };
    let with_hook = Fact::User { id, name, email, lang, operator, hooks: vec![hook] };
    let nameless =
        Fact::User { id: user(51), name: None, email: None, lang: None, operator: None, hooks: Vec::new() };
    for wrong in [
        nameless,
        Fact::Member { organisation: ORGANISATION, user: user(66), role: Role::Admin },
        Fact::Resource { id: application(30), real_id: None, owner: user(66).into(), name: None },
        Fact::Resource { id: real_id(30), real_id: None, owner: OWNER, name: None },
        Fact::Resource { id: addon(30), real_id: Some(application(31)), owner: OWNER, name: None },
        Fact::Resource { id: addon(30), real_id: Some(real_id(ADDON)), owner: OWNER, name: None },
    ] {
        let facts = vec![with_hook.clone(), wrong.clone()];
        let outcome = world.store().learn(facts, world.now).await.expect("answered");
        assert!(matches!(outcome, Err((1, _))), "{wrong:?}: {outcome:?}");
        assert_eq!(world.store().user(user(50)).await.expect("read"), None);
        assert!(world.store().hooks(user(50).into()).await.expect("listed").is_empty());
    }
    world.learn(vec![with_hook.clone()]).await;
    world.learn(vec![with_hook]).await;
    assert_eq!(world.store().hooks(user(50).into()).await.expect("listed").len(), 1);
}

/// See the name.
pub async fn people_and_resources_read_back(mut world: World) {
    let change = Fact::User {
        id: user(BOB),
        name: None,
        email: Some("bob@elsewhere.example".to_owned()),
        lang: Some("fr".to_owned()),
        operator: Some(true),
        hooks: Vec::new(),
    };
    world.learn(vec![change]).await;
    world.reopen();
    let bob = world.store().user(user(BOB)).await.expect("read").expect("there");
    assert_eq!(
        (bob.name.as_str(), bob.email.as_str(), bob.lang.as_str()),
        ("Person 2", "bob@elsewhere.example", "fr")
    );
    assert!(bob.operator);
    assert_eq!(world.store().user(user(77)).await.expect("read"), None);
    let found = world.store().organisation(ORGANISATION).await.expect("read");
    assert_eq!(found, Some(Organisation { id: ORGANISATION, name: "Org".to_owned() }));

    let mut people: Vec<UserId> = Vec::new();
    loop {
        let page = Page { after: people.last().copied(), limit: 2 };
        let more = world.store().users(page).await.expect("listed");
        if more.is_empty() {
            break;
        }
        people.extend(more.iter().map(|user| user.id));
    }
    assert_eq!(people, [user(ANN), user(BOB), user(CID)]);
    let mut all: Vec<OrganisationId> = Vec::new();
    loop {
        let page = Page { after: all.last().copied(), limit: 1 };
        let more = world.store().organisations(None, page).await.expect("listed");
        if more.is_empty() {
            break;
        }
        all.extend(more.iter().map(|(organisation, _)| organisation.id));
    }
    assert_eq!(all, [ORGANISATION, STRANGER]);
    let page = Page { after: None, limit: 10 };
    let of_bob = world.store().organisations(Some(user(BOB)), page).await.expect("listed");
    assert_eq!(
        of_bob.iter().map(|(o, role)| (o.id, *role)).collect::<Vec<_>>(),
        [(ORGANISATION, Some(Role::Developer))]
    );

    let resources = world.store().resources(OWNER).await.expect("listed");
    let expected = |id, real_id| Resource { id, real_id, owner: OWNER, name: "Thing".to_owned() };
    assert_eq!(
        resources,
        [expected(addon(ADDON), Some(real_id(ADDON))), expected(application(APPLICATION), None)]
    );
    let names = world.store().names(OWNER, Some(real_id(ADDON)), Some(user(ANN))).await.expect("read");
    let name = |text: &str| Some(text.to_owned());
    assert_eq!(names, Names { owner: name("Org"), resource: name("Thing"), author: name("Person 1") });
    let nobody = world.store().names(user(77).into(), None, Some(user(78))).await.expect("read");
    assert_eq!(nobody, Names::default());
}

/// See the name.
pub async fn roles_are_what_members_have(world: World) {
    let role = async |owner, person| world.store().role(owner, user(person)).await.expect("read");
    assert_eq!(role(OWNER, ANN).await, Some(Role::Admin));
    assert_eq!(role(OWNER, BOB).await, Some(Role::Developer));
    assert_eq!(role(STRANGER.into(), ANN).await, None);
    assert_eq!(role(user(ANN).into(), ANN).await, Some(Role::Admin), "of their own space");
    assert_eq!(role(user(ANN).into(), BOB).await, None);
    world
        .learn(vec![
            member(BOB, Role::Manager),
            Fact::MemberGone { organisation: ORGANISATION, user: user(CID) },
        ])
        .await;
    assert_eq!((role(OWNER, BOB).await, role(OWNER, CID).await), (Some(Role::Manager), None));
    let members = world.store().members(ORGANISATION).await.expect("listed");
    let seen: Vec<_> = members.iter().map(|m| (m.user.id, m.user.email.clone(), m.role)).collect();
    assert_eq!(seen, [(user(ANN), email_of(ANN), Role::Admin), (user(BOB), email_of(BOB), Role::Manager)]);
    world.learn(vec![Fact::UserGone(user(ANN)), Fact::OrganisationGone(ORGANISATION)]).await;
    assert_eq!((role(OWNER, BOB).await, role(user(ANN).into(), ANN).await), (None, None));

    let founded = OrganisationId(super::uuid(40));
    let Fact::Organisation { id, name, hooks, .. } = organisation(founded) else {
        unreachable!("an organisation")
    };
    world.learn(vec![Fact::Organisation { id, name, founder: Some(user(BOB)), hooks }]).await;
    assert_eq!(role(founded.into(), BOB).await, Some(Role::Admin), "who founds it");
}

/// See the name.
pub async fn a_resource_belongs_to_one_owner(world: World) {
    let claim = |id, owner| Fact::Resource { id, real_id: None, owner, name: Some("Mine".to_owned()) };
    let outcome =
        world.store().learn(vec![claim(application(FOREIGN), OWNER)], world.now).await.expect("answered");
    assert!(matches!(outcome, Err((0, _))), "{outcome:?}");
    // Somebody else's word that it is gone is not heard.
    world.learn(vec![Fact::ResourceGone { id: application(APPLICATION), owner: STRANGER.into() }]).await;
    assert_eq!(world.store().resources(OWNER).await.expect("listed").len(), 2);
    world.learn(vec![Fact::ResourceGone { id: real_id(ADDON), owner: OWNER }]).await;
    assert_eq!(world.store().resources(OWNER).await.expect("listed").len(), 1);
    world.learn(vec![claim(addon(ADDON), OWNER)]).await;
    let again = world.store().resources(OWNER).await.expect("listed");
    assert_eq!((again[0].name.as_str(), again[0].real_id.clone()), ("Mine", Some(real_id(ADDON))));
}

/// See the name.
pub async fn a_letter_is_in_the_language_of_its_reader_even_after_they_are_gone(mut world: World) {
    let french = Fact::User {
        id: user(BOB),
        name: None,
        email: None,
        lang: Some("fr".to_owned()),
        operator: None,
        hooks: Vec::new(),
    };
    world.learn(vec![french]).await;
    let mut hook = world.mail(vec![everybody(), Target::Addresses(vec!["pager@example.net".to_owned()])]);
    hook.owner = user(BOB).into();
    world.add(&hook).await;
    let mut last = world.draft("ACCOUNT_DELETION");
    last.owner = user(BOB).into();
    last.facts = vec![Fact::UserGone(user(BOB))];
    world.accept(last).await;
    assert_eq!(world.store().user(user(BOB)).await.expect("read"), None);
    let unresolved = world.lease_one().await;
    world.resolve(&unresolved).await;
    let letters = world.lease().await;
    let read: Vec<_> = letters
        .iter()
        .map(|letter| (letter.recipient.as_ref().and_then(|reader| reader.user), letter.lang.as_deref()))
        .collect();
    assert_eq!(read, [(Some(user(BOB)), Some("fr")), (None, None)]);
}

/// See the name.
pub async fn tokens_are_kept_listed_and_revoked(mut world: World) {
    let operator = NewToken::Operator([7; 32]);
    assert!(
        world.store().add_token(TokenId(5), "platform".to_owned(), operator, world.now).await.expect("kept")
    );
    world.now += 1;
    let pair = |who, public: &str| NewToken::Pair {
        user: user(who),
        public: public.to_owned(),
        secret: Secret::new("s3cret"),
    };
    let store = world.store();
    assert!(
        store.add_token(TokenId(4), "mine".to_owned(), pair(BOB, "bobs"), world.now).await.expect("kept")
    );
    assert!(
        !store.add_token(TokenId(3), "x".to_owned(), pair(77, "nobodys"), world.now).await.expect("answered")
    );
    world.reopen();
    let store = world.store();
    assert!(store.operator_token([7; 32]).await.expect("read"));
    assert!(!store.operator_token([8; 32]).await.expect("read"));
    let listed = store.tokens(None).await.expect("listed");
    assert_eq!(
        listed.iter().map(|t| (t.id, t.name.as_str())).collect::<Vec<_>>(),
        [(TokenId(5), "platform"), (TokenId(4), "mine")]
    );
    let of_bob = store.tokens(Some(user(BOB))).await.expect("listed");
    assert_eq!(of_bob.iter().map(|t| t.public.as_deref()).collect::<Vec<_>>(), [Some("bobs")]);
    assert!(store.revoke_token(TokenId(5)).await.expect("revoked"));
    assert!(!store.revoke_token(TokenId(5)).await.expect("answered"));
    assert!(!store.operator_token([7; 32]).await.expect("read"));
    assert!(store.pair("bobs").await.expect("read").is_some());
    assert!(store.revoke_token(TokenId(4)).await.expect("revoked"));
    assert_eq!(store.pair("bobs").await.expect("read"), None);
}

/// See the name.
pub async fn a_persons_pair_opens_only_while_the_person_is_there(world: World) {
    let pair = NewToken::Pair { user: user(BOB), public: "bobs".to_owned(), secret: Secret::new("s3cret") };
    assert!(world.store().add_token(TokenId(4), "mine".to_owned(), pair, world.now).await.expect("kept"));
    let expected = Bearer::Pair { user: user(BOB), operator: false, secret: Secret::new("s3cret") };
    assert_eq!(world.store().pair("bobs").await.expect("read"), Some(expected));
    assert_eq!(world.store().pair("nobodys").await.expect("read"), None);
    world.learn(vec![Fact::UserGone(user(BOB))]).await;
    assert_eq!(world.store().pair("bobs").await.expect("read"), None);
    assert!(world.store().tokens(Some(user(BOB))).await.expect("listed").is_empty());
}
