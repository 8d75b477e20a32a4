//! What stops or holds letters.

use sonnette_core::ids::{EventId, ResourceId};
use sonnette_core::lang::Lang;
use sonnette_core::model::{
    Cancelled, DAY, Dead, Draft, Fact, HOUR, Held, Hook, Millis, Role, SECOND, State, Target, Way,
};
use sonnette_core::ports::{Changed, Page, Turn, Verdict, Work};
use sonnette_core::stops::{
    Admission, CONFIRM_WITHIN, ConfirmLink, LetterRules, MOST_ASKED_ONE, MOST_MUTES, Mail, MailHook, Mute,
    Question, Reason, StopLink, Why,
};

use super::{
    ADDON, ANN, APPLICATION, BOB, CID, FOREIGN, ORGANISATION, OWNER, STRANGER, World, addon, application,
    born, email_of, everybody, member, of_event, of_hook, organisation, real_id, user,
};

const PAGER: &str = "pager@example.net";

fn stranger() -> Target {
    Target::Addresses(vec![PAGER.to_owned()])
}

fn confirming() -> LetterRules {
    LetterRules { confirm: Some("https://sonnette.example".to_owned()), ..LetterRules::default() }
}

fn at_most(ceiling: u32) -> LetterRules {
    LetterRules { ceiling, ..LetterRules::default() }
}

fn reason(address: &str, why: Why) -> Reason {
    Reason { address: address.to_owned(), why, note: Some("5.1.1 no such user".to_owned()), delivery: None }
}

impl World {
    /// Letters due now, private ones apart.
    async fn due(&self) -> (Vec<Work>, Vec<Work>) {
        self.letters().await.into_iter().partition(|work| work.expires.is_none())
    }

    async fn private_ones(&self) -> Vec<Work> {
        let (others, private) = self.due().await;
        others.iter().for_each(|work| self.store().release(work.ticket));
        private
    }

    fn data(&self, work: &Work) -> serde_json::Value {
        let frame: serde_json::Value = serde_json::from_slice(&work.event.frame).expect("a frame");
        serde_json::from_str(frame["data"].as_str().expect("data")).expect("JSON")
    }

    fn asked(&self, at: Millis) -> ConfirmLink {
        ConfirmLink { owner: OWNER, address: PAGER.to_owned(), asked: at }
    }

    async fn confirm(&self, link: ConfirmLink) -> bool {
        self.store().confirm_address(link, self.now).await.expect("answered")
    }

    async fn question(&self, link: ConfirmLink) -> Question {
        self.store().question(link, self.now).await.expect("answered")
    }

    async fn suppress(&self, address: &str) -> bool {
        self.store().suppress(reason(address, Why::Bounced), None, self.now).await.expect("kept")
    }

    async fn stop(&self, hook: &Hook, address: &str, stop: bool) -> bool {
        let link = StopLink { hook: hook.id, address: address.to_owned() };
        self.store().stop_letters(link, stop, self.now).await.expect("kept")
    }
}

/// See the name.
pub async fn an_address_that_is_suppressed_gets_nothing_until_it_is_lifted(mut world: World) {
    world.mail_there(vec![everybody()]).await;
    world.push().await;
    let letters = world.letters().await;
    assert!(world.suppress("PERSON1@Example.ORG").await);
    for letter in &letters {
        let anns = letter.recipient.as_ref().is_some_and(|r| r.user == Some(user(ANN)));
        let expected = if anns { Admission::Stop(Cancelled::Suppressed) } else { Admission::Go };
        assert_eq!(world.admit(letter).await, expected, "also one that was leased before");
    }
    world.reopen();
    let letters = world.letters().await;
    let anns = letters.iter().find(|work| work.recipient.as_ref().is_some_and(|r| r.user == Some(user(ANN))));
    let anns = anns.expect("still owed");
    assert_eq!(world.admit(anns).await, Admission::Stop(Cancelled::Suppressed));
    assert!(world.store().lift("person1@example.org").await.expect("lifted"));
    assert!(!world.store().lift("person1@example.org").await.expect("lifted"));
    assert_eq!(world.admit(anns).await, Admission::Go);
}

/// See the name.
pub async fn suppressed_addresses_are_listed_with_their_first_reason_and_explained(mut world: World) {
    let event = world.push().await;
    let delivery = Some(sonnette_core::ids::DeliveryId { event, n: 0 });
    let first = Reason { delivery, ..reason(PAGER, Why::NoSuchAddress) };
    assert!(world.store().suppress(first, None, world.now).await.expect("kept"));
    let begin = world.now;
    world.now += DAY;
    let again = reason("Pager@example.net", Why::Complained);
    assert!(!world.store().suppress(again, None, world.now).await.expect("kept"));
    for n in 0..4 {
        world.suppress(&format!("other{n}@example.net")).await;
    }
    world.reopen();
    let found = world.store().suppression(PAGER).await.expect("read").expect("there");
    assert_eq!((found.address.as_str(), found.why, found.delivery), (PAGER, Why::NoSuchAddress, delivery));
    assert_eq!((found.first, found.last), (begin, world.now));
    assert_eq!(found.note.as_deref(), Some("5.1.1 no such user"));
    assert_eq!(world.store().suppression("nobody@example.net").await.expect("read"), None);
    let mut listed = Vec::new();
    loop {
        let page = Page { after: listed.last().map(|(id, _)| *id), limit: 2 };
        let more = world.store().suppressions(page).await.expect("listed");
        if more.is_empty() {
            break;
        }
        listed.extend(more.into_iter().map(|one| (one.id, one.address)));
    }
    let addresses: Vec<_> = listed.iter().map(|(_, address)| address.as_str()).collect();
    let others = ["other3@example.net", "other2@example.net", "other1@example.net", "other0@example.net"];
    assert_eq!(addresses, [&others[..], &[PAGER]].concat());
    let bytes = world.harness.at_rest();
    assert!(!bytes.windows(PAGER.len()).any(|window| window == PAGER.as_bytes()), "the address is sealed");
}

/// See the name.
pub async fn a_suppression_tells_of_itself_once(world: World) {
    let told = |world: &World| Some(world.draft("ADDRESS_SUPPRESSED"));
    for expected in [true, false] {
        let kept = world.store().suppress(reason(PAGER, Why::Bounced), told(&world), world.now).await;
        assert_eq!(kept.expect("kept"), expected);
    }
    let page = Page { after: None, limit: 10 };
    let events = world.store().events(OWNER, page).await.expect("read");
    assert_eq!(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["ADDRESS_SUPPRESSED"]);
    assert_eq!(world.letters().await.len(), 1, "to the owner's admin");
}

/// See the name.
pub async fn who_stopped_a_hook_gets_no_more_of_it_and_all_of_the_others(mut world: World) {
    let first = world.mail_there(vec![everybody()]).await;
    let second = world.mail_there(vec![Target::User(user(BOB))]).await;
    assert!(world.stop(&first, &email_of(BOB), true).await);
    assert!(world.stop(&first, &email_of(BOB), true).await, "once more is no more");
    let gone = Hook { id: sonnette_core::ids::HookId(987), ..first.clone() };
    assert!(!world.stop(&gone, &email_of(BOB), true).await);
    world.reopen();
    assert_eq!(world.view(&first).await.stopped, [(email_of(BOB), world.now)]);
    assert!(world.view(&second).await.stopped.is_empty());
    world.push().await;
    let bobs = |work: &&Work| work.recipient.as_ref().is_some_and(|r| r.user == Some(user(BOB)));
    for letter in &world.letters().await {
        let stopped = bobs(&letter) && letter.hook.as_ref().is_some_and(|h| h.hook.id == first.id);
        let expected = if stopped { Admission::Stop(Cancelled::Unsubscribed) } else { Admission::Go };
        assert_eq!(world.admit(letter).await, expected);
        if expected == Admission::Go {
            world.deliver(letter).await;
        } else {
            world.record(letter, Verdict::End(State::Cancelled(Cancelled::Unsubscribed))).await;
        }
    }
    // What cannot be stopped goes all the same, and the undo undoes.
    let locked = world.accept(world.draft("HOOK_DISABLED")).await;
    for letter in world.letters().await.iter().filter(|letter| letter.event.id == locked) {
        assert_eq!(world.admit(letter).await, Admission::Go);
        world.deliver(letter).await;
    }
    assert!(world.stop(&first, &email_of(BOB), false).await);
    assert!(world.view(&first).await.stopped.is_empty());
    world.push().await;
    for letter in &world.letters().await {
        assert_eq!(world.admit(letter).await, Admission::Go);
    }
    world.check().await;
}

fn kind(name: &str) -> Mute {
    Mute::Kind(name.to_owned())
}

fn is_for(work: &Work, n: u8) -> bool {
    work.recipient.as_ref().is_some_and(|to| to.address.eq_ignore_ascii_case(&email_of(n)))
}

impl World {
    /// Sends as many of these as the hour takes: whose events they were. The rest is held for the ceiling's sake.
    async fn send_until_full(&mut self, letters: &[Work]) -> Vec<EventId> {
        let mut went = Vec::new();
        for letter in letters {
            match self.admit(letter).await {
                Admission::Go => {
                    self.deliver(letter).await;
                    went.push(letter.event.id);
                }
                other => assert_eq!(other, Admission::Wait(Held::Ceiling)),
            }
        }
        went
    }

    async fn mute(&self, n: u8, mutes: &[Mute]) -> Changed {
        let mutes = mutes.iter().cloned().collect();
        self.store().mute(user(n), mutes).await.expect("answered")
    }

    async fn mail_of(&self, n: u8) -> Mail {
        self.store().mail(user(n)).await.expect("read").expect("a user")
    }

    async fn mutes(&self, n: u8) -> Vec<Mute> {
        self.mail_of(n).await.mutes.into_iter().collect()
    }

    fn about(&self, kind: &str, resource: ResourceId) -> Draft {
        Draft { resource: Some(resource), ..self.draft(kind) }
    }

    /// Asks about every letter that is due; those to this person are expected to be stopped, all others to go.
    async fn stops_only(&self, n: u8) {
        let letters = self.letters().await;
        assert!(letters.iter().any(|letter| is_for(letter, n)), "there is one to ask about");
        for letter in &letters {
            let expected =
                if is_for(letter, n) { Admission::Stop(Cancelled::Unsubscribed) } else { Admission::Go };
            assert_eq!(self.admit(letter).await, expected, "{letter:?}");
            match expected {
                Admission::Go => self.deliver(letter).await,
                _ => {
                    self.record(letter, Verdict::End(State::Cancelled(Cancelled::Unsubscribed))).await;
                }
            }
        }
    }

    async fn all_go(&self) {
        for letter in &self.letters().await {
            assert_eq!(self.admit(letter).await, Admission::Go, "{letter:?}");
            self.deliver(letter).await;
        }
    }
}

/// See the name.
pub async fn who_mutes_a_kind_or_a_resource_gets_none_of_it_and_all_of_the_rest(mut world: World) {
    world.mail_there(vec![everybody()]).await;
    // Waiting already, and leased.
    world.push().await;
    let leased = world.letters().await;
    let muted = [kind("GIT_PUSH"), kind("HOOK_DISABLED"), Mute::Resource(real_id(ADDON))];
    assert_eq!(world.mute(BOB, &muted).await, Changed::Done);
    let bobs = leased.iter().find(|letter| is_for(letter, BOB)).expect("one for bob");
    assert_eq!(world.admit(bobs).await, Admission::Stop(Cancelled::Unsubscribed));
    world.reopen();
    world.stops_only(BOB).await;
    // An add-on under each of its ids, whatever the kind.
    for id in [addon(ADDON), real_id(ADDON)] {
        world.accept(world.about("ADDON_CREATION", id)).await;
        world.stops_only(BOB).await;
    }
    world.accept(world.about("APPLICATION_STOP", application(APPLICATION))).await;
    world.accept(world.draft("CREDITS_ADDED")).await;
    world.accept(world.draft("HOOK_DISABLED")).await;
    world.all_go().await;
    // A hook that names a member's address writes to the member; the same address is nobody's elsewhere.
    let named = Target::Addresses(vec![email_of(BOB)]);
    let mut elsewhere = world.mail(vec![named.clone()]);
    elsewhere.owner = STRANGER.into();
    world.add(&elsewhere).await;
    world.accept(Draft { owner: STRANGER.into(), ..world.draft("GIT_PUSH") }).await;
    world.all_go().await;
    world.mail_there(vec![named, everybody()]).await;
    world.push().await;
    world.stops_only(BOB).await;
    // Everything again.
    assert_eq!(world.mute(BOB, &[]).await, Changed::Done);
    world.push().await;
    world.accept(world.about("ADDON_CREATION", addon(ADDON))).await;
    world.all_go().await;
    world.check().await;
}

/// See the name.
pub async fn what_is_muted_while_it_is_held_is_never_sent_nor_summed_up(mut world: World) {
    world.reopen_with(at_most(1));
    let hook = world.mail_there(vec![Target::User(user(BOB))]).await;
    let paused = world.mail_there(vec![Target::User(user(CID))]).await;
    for kind in ["GIT_PUSH", "GIT_PUSH", "CREDITS_ADDED", "GIT_PUSH"] {
        world.accept(world.draft(kind)).await;
    }
    world.turn(&paused, Turn::Pause).await;
    world.settle().await;
    let letters = world.letters().await;
    world.send_until_full(&letters).await;
    for n in [BOB, CID] {
        assert_eq!(world.mute(n, &[kind("GIT_PUSH")]).await, Changed::Done);
    }
    world.now += HOUR;
    world.settle().await;
    let due = world.letters().await;
    let (muted, summaries): (Vec<_>, Vec<_>) = due.iter().partition(|work| work.event.kind == "GIT_PUSH");
    assert_eq!((muted.len(), summaries.len()), (2, 1), "{due:?}");
    assert_eq!(world.data(summaries[0])["kinds"], "1 CREDITS_ADDED");
    assert!(!world.data(summaries[0]).to_string().contains("commits"), "{}", world.data(summaries[0]));
    for letter in muted {
        assert_eq!(world.admit(letter).await, Admission::Stop(Cancelled::Unsubscribed));
        world.record(letter, Verdict::End(State::Cancelled(Cancelled::Unsubscribed))).await;
    }
    let skipped = world.states(&of_hook(&hook)).await;
    assert_eq!(skipped.iter().filter(|state| **state == State::Cancelled(Cancelled::Skipped)).count(), 1);
    // What a pause held is asked about when it is released.
    world.turn(&paused, Turn::CatchUp).await;
    world.settle().await;
    let released = world.letters().await;
    let of_paused = |work: &&Work| work.hook.as_ref().is_some_and(|loaded| loaded.hook.id == paused.id);
    let released: Vec<_> = released.iter().filter(of_paused).collect();
    assert_eq!(released.len(), 4);
    for letter in released {
        let muted = letter.event.kind == "GIT_PUSH";
        let expected = if muted { Admission::Stop(Cancelled::Unsubscribed) } else { Admission::Go };
        assert_eq!(world.admit(letter).await, expected);
    }
    world.check().await;
}

/// See the name.
pub async fn mutes_are_replaced_whole_and_only_by_what_is_the_persons(mut world: World) {
    let own = application(40);
    let fact = Fact::Resource { id: own.clone(), real_id: None, owner: user(BOB).into(), name: None };
    world.learn(vec![fact]).await;
    let first = [kind("GIT_PUSH"), Mute::Resource(own.clone()), Mute::Resource(application(APPLICATION))];
    assert_eq!(world.mute(BOB, &first).await, Changed::Done);
    assert_eq!(world.mute(BOB, &first).await, Changed::Done, "once more is no more");
    for foreign in [application(FOREIGN), application(99)] {
        let wish = [kind("CREDITS_ADDED"), Mute::Resource(foreign.clone())];
        assert_eq!(world.mute(BOB, &wish).await, Changed::ForeignResource(foreign));
    }
    assert_eq!(world.mute(ANN, &[Mute::Resource(own.clone())]).await, Changed::ForeignResource(own));
    let many: Vec<_> = (0..=MOST_MUTES).map(|n| kind(&format!("KIND_{n}"))).collect();
    assert_eq!(world.mute(BOB, &many).await, Changed::TooMany);
    assert_eq!(world.mute(99, &[]).await, Changed::UnknownOwner);
    assert_eq!(world.store().mail(user(99)).await.expect("read"), None);
    world.reopen();
    let mut expected = first.to_vec();
    expected.sort();
    assert_eq!(world.mutes(BOB).await, expected, "what is refused changes nothing");
    assert!(world.mutes(ANN).await.is_empty());
    // One add-on is one, by its own id; what cannot be refused (any more) is not shown.
    let wish = [
        Mute::Resource(addon(ADDON)),
        Mute::Resource(real_id(ADDON)),
        kind("HOOK_DISABLED"),
        kind("SIGN_IN"),
    ];
    assert_eq!(world.mute(BOB, &wish).await, Changed::Done);
    assert_eq!(world.mutes(BOB).await, [Mute::Resource(addon(ADDON))]);
    let full: Vec<_> = (0..MOST_MUTES).map(|n| kind(&format!("KIND_{n}"))).collect();
    assert_eq!(world.mute(BOB, &full).await, Changed::Done);
}

/// See the name.
pub async fn mutes_go_with_the_membership_the_resource_and_the_person(mut world: World) {
    let (of_app, of_addon) = (Mute::Resource(application(APPLICATION)), Mute::Resource(addon(ADDON)));
    let wish = [kind("GIT_PUSH"), of_addon.clone(), of_app];
    for n in [ANN, BOB, CID] {
        assert_eq!(world.mute(n, &wish).await, Changed::Done);
    }
    world.learn(vec![Fact::MemberGone { organisation: ORGANISATION, user: user(BOB) }]).await;
    world.learn(vec![member(BOB, Role::Developer)]).await;
    assert_eq!(world.mutes(BOB).await, [kind("GIT_PUSH")]);
    // A resource that is gone stays muted for what is still owed about it, until it is forgotten.
    world.learn(vec![Fact::ResourceGone { id: application(APPLICATION), owner: OWNER }]).await;
    world.settle().await;
    assert_eq!(world.mutes(ANN).await, wish);
    assert_eq!(world.mute(ANN, &wish).await, Changed::Done, "as it is shown it can be kept");
    world.now += DAY;
    world.tidy(world.now - 1, 0).await;
    assert_eq!(world.mutes(ANN).await, [kind("GIT_PUSH"), of_addon]);
    world.learn(vec![Fact::UserGone(user(CID)), Fact::OrganisationGone(ORGANISATION)]).await;
    assert_eq!(world.store().mail(user(CID)).await.expect("read"), None);
    assert_eq!(world.mute(CID, &[]).await, Changed::UnknownOwner);
    world.now += SECOND;
    world.settle().await;
    world.learn(vec![born(CID), organisation(ORGANISATION), member(CID, Role::Accounting)]).await;
    assert!(world.mutes(CID).await.is_empty(), "another person of that id");
    assert_eq!(world.mutes(ANN).await, [kind("GIT_PUSH")]);
}

/// See the name.
pub async fn a_person_sees_every_hook_that_writes_to_them_and_which_they_stopped(mut world: World) {
    let roles = |roles: &[Role]| Target::Organisation { roles: roles.iter().copied().collect() };
    let mut theirs = Vec::new();
    for target in [
        everybody(),
        roles(&[Role::Developer]),
        Target::User(user(BOB)),
        Target::Maker(user(BOB)),
        Target::Addresses(vec![PAGER.to_owned(), email_of(BOB).to_uppercase()]),
    ] {
        world.now += SECOND;
        theirs.push(world.mail_there(vec![stranger(), target]).await);
    }
    for target in [roles(&[Role::Admin]), Target::User(user(ANN)), stranger()] {
        world.mail_there(vec![target]).await;
    }
    world.webhook_there(1).await;
    let mut own = world.mail(vec![roles(&[Role::Accounting])]);
    own.owner = user(BOB).into();
    world.add(&own).await;
    let mut elsewhere = world.mail(vec![Target::Addresses(vec![email_of(BOB)])]);
    elsewhere.owner = STRANGER.into();
    world.add(&elsewhere).await;
    let deleted = world.mail_there(vec![everybody()]).await;
    world.store().delete_hook(deleted.id).await.expect("deleted");

    assert!(world.stop(&theirs[1], &email_of(BOB).to_lowercase(), true).await);
    assert!(world.stop(&theirs[2], &email_of(ANN), true).await);
    let shown =
        |hook: &Hook, stopped| MailHook { id: hook.id, owner: hook.owner, name: hook.name.clone(), stopped };
    let mut expected = vec![shown(&own, None)];
    expected.extend(theirs.iter().enumerate().map(|(n, hook)| shown(hook, (n == 1).then_some(world.now))));
    assert_eq!(world.mail_of(BOB).await.hooks, expected);
    // What one stopped stays in sight, though it would not write any more.
    let mut hook = theirs[1].clone();
    hook.way = match hook.way {
        Way::Email { destination, .. } => Way::Email { destination, targets: vec![stranger()] },
        other => other,
    };
    world.store().replace_hook(hook, world.now).await.expect("replaced");
    world.reopen();
    assert_eq!(world.mail_of(BOB).await.hooks, expected);
    assert!(world.stop(&theirs[1], &email_of(BOB), false).await);
    expected.remove(2);
    assert_eq!(world.mail_of(BOB).await.hooks, expected);
    world.learn(vec![Fact::MemberGone { organisation: ORGANISATION, user: user(BOB) }]).await;
    assert_eq!(world.mail_of(BOB).await.hooks, expected[..1]);
}

/// See the name.
pub async fn a_strangers_address_is_asked_once_and_its_letters_wait_until_it_confirms(mut world: World) {
    world.reopen_with(confirming());
    let mut hook = world.mail(vec![stranger(), everybody(), Target::Addresses(vec![email_of(ANN)])]);
    world.add(&hook).await;
    let asked = world.now;
    assert_eq!(world.view(&hook).await.unconfirmed, [PAGER]);
    hook.name = "Another".to_owned();
    world.store().replace_hook(hook.clone(), world.now).await.expect("replaced");
    world.mail_there(vec![stranger()]).await;
    let questions = world.private_ones().await;
    assert_eq!(questions.len(), 1, "one question for the owner and the address");
    let question = &questions[0];
    assert_eq!(question.event.kind, "ADDRESS_CONFIRMATION");
    assert_eq!(question.recipient.as_ref().map(|r| r.address.as_str()), Some(PAGER));
    assert_eq!(question.expires, Some(asked + CONFIRM_WITHIN));
    let url = world.data(question)["url"].as_str().expect("a link").to_owned();
    assert!(url.starts_with("https://sonnette.example/c/"), "{url}");
    assert_eq!(world.admit(question).await, Admission::Go);
    world.deliver(question).await;

    let mut held = Vec::new();
    for _ in 0..3 {
        world.now += HOUR;
        let event = world.push().await;
        for letter in &world.letters().await {
            match letter.recipient.as_ref().map(|r| r.address.as_str()) {
                Some(PAGER) => {
                    assert_eq!(world.admit(letter).await, Admission::Wait(Held::Unconfirmed));
                    assert_eq!(world.admit(letter).await, Admission::Stale, "its ticket is back");
                    assert_eq!(world.state(letter.ticket.delivery).await, State::Held(Held::Unconfirmed));
                    held.push(letter.ticket.delivery);
                }
                _ => {
                    assert_eq!(world.admit(letter).await, Admission::Go, "members need not confirm");
                    world.deliver(letter).await;
                }
            }
        }
        assert_eq!(world.view(&hook).await.held, held.len() as u64, "{event}");
    }
    world.settle().await;
    assert!(world.lease().await.is_empty(), "nobody is asked twice");

    world.reopen();
    assert_eq!(world.question(world.asked(asked + 1)).await, Question::Over, "another question");
    assert!(!world.confirm(world.asked(asked + 1)).await);
    assert_eq!(world.question(world.asked(asked)).await, Question::Open);
    assert!(world.confirm(world.asked(asked)).await);
    assert!(world.confirm(world.asked(asked)).await, "once more is no more");
    assert_eq!(world.question(world.asked(asked)).await, Question::Confirmed(world.now));
    world.settle().await;
    assert!(world.view(&hook).await.unconfirmed.is_empty());
    let released = world.letters().await;
    assert_eq!(released.iter().map(|work| work.ticket.delivery).collect::<Vec<_>>(), held);
    for letter in &released {
        assert_eq!(world.admit(letter).await, Admission::Go);
        world.deliver(letter).await;
    }
    world.check().await;
}

/// See the name.
pub async fn what_a_stranger_does_not_confirm_within_seven_days_is_cancelled(mut world: World) {
    world.reopen_with(confirming());
    let hook = world.mail_there(vec![stranger()]).await;
    let asked = world.now;
    world.push().await;
    let (letters, questions) = world.due().await;
    world.deliver(&questions[0]).await;
    assert_eq!(world.admit(&letters[0]).await, Admission::Wait(Held::Unconfirmed));
    world.now = asked + CONFIRM_WITHIN - 1;
    world.settle().await;
    assert_eq!(world.states(&of_hook(&hook)).await, [State::Held(Held::Unconfirmed)]);
    world.now += 1;
    world.settle().await;
    assert_eq!(world.states(&of_hook(&hook)).await, [State::Cancelled(Cancelled::NoRecipient)]);
    assert_eq!(world.question(world.asked(asked)).await, Question::Over);
    assert!(!world.confirm(world.asked(asked)).await, "too late");
    world.push().await;
    let letters = world.letters().await;
    assert_eq!(world.admit(&letters[0]).await, Admission::Stop(Cancelled::NoRecipient));
    world.record(&letters[0], Verdict::End(State::Cancelled(Cancelled::NoRecipient))).await;
    // Whoever saves the hook again asks again.
    world.store().replace_hook(hook.clone(), world.now).await.expect("replaced");
    assert_eq!(world.private_ones().await.len(), 1);
    assert!(world.confirm(world.asked(world.now)).await);
    world.check().await;
}

/// See the name.
pub async fn a_stranger_named_before_anybody_was_asked_is_asked_when_the_first_letter_is_due(
    mut world: World,
) {
    world.mail_there(vec![stranger()]).await;
    world.reopen_with(confirming());
    world.push().await;
    let letters = world.letters().await;
    assert_eq!(world.admit(&letters[0]).await, Admission::Wait(Held::Unconfirmed));
    let asked = world.now;
    assert_eq!(world.private_ones().await.len(), 1);
    assert!(world.confirm(world.asked(asked)).await);
    world.settle().await;
    let (letters, _) = world.due().await;
    assert_eq!(world.admit(&letters[0]).await, Admission::Go);
}

/// See the name.
pub async fn what_is_confirmed_while_its_hook_is_paused_goes_when_it_is_resumed(mut world: World) {
    world.reopen_with(confirming());
    let hook = world.mail_there(vec![stranger()]).await;
    let asked = world.now;
    world.push().await;
    let (letters, questions) = world.due().await;
    world.deliver(&questions[0]).await;
    world.admit(&letters[0]).await;
    world.turn(&hook, Turn::Pause).await;
    world.settle().await;
    assert!(world.confirm(world.asked(asked)).await);
    world.settle().await;
    assert_eq!(world.states(&of_hook(&hook)).await, [State::Held(Held::Paused)]);
    assert!(world.lease().await.is_empty());
    world.turn(&hook, Turn::CatchUp).await;
    world.settle().await;
    assert_eq!(world.letters().await.len(), 1);
    world.check().await;
}

/// See the name.
pub async fn one_address_is_not_asked_by_everybody(mut world: World) {
    world.reopen_with(confirming());
    let mut asked = 0;
    for n in 0..=MOST_ASKED_ONE {
        let id = sonnette_core::ids::OrganisationId(super::uuid(100 + u8::try_from(n).expect("few")));
        world.learn(vec![organisation(id)]).await;
        let mut hook = world.mail(vec![stranger()]);
        hook.owner = id.into();
        world.add(&hook).await;
        for question in world.private_ones().await {
            world.deliver(&question).await;
            asked += 1;
        }
    }
    assert_eq!(asked, MOST_ASKED_ONE);
}

/// See the name.
pub async fn no_more_letters_go_within_an_hour_than_the_ceiling_and_one_stands_for_the_rest(
    mut world: World,
) {
    world.reopen_with(at_most(3));
    world.now = BEGIN_OF_HOUR;
    let hook = world.mail_there(vec![Target::User(user(BOB))]).await;
    let mut events: Vec<EventId> = Vec::new();
    for n in 0..8 {
        world.now += SECOND;
        events.push(world.accept(world.draft(if n % 2 == 0 { "GIT_PUSH" } else { "CREDITS_ADDED" })).await);
    }
    let letters = world.letters().await;
    // Asked twice, and by a store that was opened anew, one letter is still one.
    assert_eq!(world.admit(&letters[0]).await, Admission::Go);
    assert_eq!(world.admit(&letters[0]).await, Admission::Go);
    world.reopen();
    let letters = world.letters().await;
    assert_eq!(letters.len(), 8);
    assert_eq!(world.send_until_full(&letters).await, events[..3]);
    assert_eq!(world.view(&hook).await.held, 5);
    // What cannot be stopped does not wait, and others have an hour of their own.
    let locked = world.accept(world.draft("HOOK_DISABLED")).await;
    for letter in world.letters().await.iter().filter(|work| work.event.id == locked) {
        assert_eq!(world.admit(letter).await, Admission::Go);
        world.deliver(letter).await;
    }
    world.settle().await;
    assert_eq!(world.view(&hook).await.held, 5, "the hour has not turned");

    world.now = BEGIN_OF_HOUR + HOUR;
    world.settle().await;
    let summaries = world.letters().await;
    assert_eq!(summaries.len(), 1);
    let summary = &summaries[0];
    assert_eq!(summary.event.kind, "LETTERS_HELD_BACK");
    assert_eq!(summary.recipient.as_ref().and_then(|r| r.user), Some(user(BOB)));
    let data = world.data(summary);
    assert_eq!((&data["count"], &data["ceiling"]), (&5.into(), &3.into()), "{data}");
    assert_eq!(data["kinds"], "3 CREDITS_ADDED, 2 GIT_PUSH");
    assert!(
        data["latest5"].is_string() && data["latest1"].as_str().is_some_and(|title| title.contains("Org"))
    );
    assert_eq!(world.admit(summary).await, Admission::Go);
    world.deliver(summary).await;
    let skipped = world.states(&of_hook(&hook)).await;
    let skipped = skipped.iter().filter(|state| **state == State::Cancelled(Cancelled::Skipped)).count();
    assert_eq!(skipped, 5);
    world.settle().await;
    assert!(world.letters().await.is_empty(), "one letter, once");
    // The next hour begins anew.
    let event = world.push().await;
    let letters = world.letters().await;
    assert_eq!(world.admit(&letters[0]).await, Admission::Go);
    assert_eq!(letters[0].event.id, event);
    world.check().await;
}

/// See the name.
pub async fn what_stands_for_the_rest_speaks_to_strangers_as_the_installation_does(mut world: World) {
    for (lang, title) in [(Lang::En, "New commits for"), (Lang::Fr, "Nouveaux commits pour")] {
        world.reopen_with(LetterRules { lang, ..at_most(1) });
        world.now = (world.now.div_euclid(HOUR) + 1) * HOUR;
        let hook = world.mail_there(vec![stranger()]).await;
        for _ in 0..2 {
            world.push().await;
        }
        let letters = world.letters().await;
        world.send_until_full(&letters).await;
        world.now += HOUR;
        world.settle().await;
        let summaries = world.letters().await;
        assert_eq!(summaries.len(), 1);
        let data = world.data(&summaries[0]);
        assert!(data["latest1"].as_str().is_some_and(|latest| latest.starts_with(title)), "{data}");
        world.deliver(&summaries[0]).await;
        world.store().delete_hook(hook.id).await.expect("deleted");
    }
}

/// 2026-01-02T10:00:00Z, which is [`super::BEGIN`].
const BEGIN_OF_HOUR: Millis = super::BEGIN;

/// See the name.
pub async fn who_is_no_longer_told_is_not_told_what_was_held_back_either(mut world: World) {
    world.reopen_with(at_most(1));
    let left = world.mail_there(vec![Target::User(user(BOB))]).await;
    let paused = world.mail_there(vec![Target::User(user(ANN))]).await;
    for _ in 0..2 {
        world.push().await;
    }
    let letters = world.letters().await;
    world.send_until_full(&letters).await;
    world.learn(vec![Fact::MemberGone { organisation: ORGANISATION, user: user(BOB) }]).await;
    world.turn(&paused, Turn::Pause).await;
    world.now += HOUR;
    world.settle().await;
    let due = world.letters().await;
    assert_eq!(due.len(), 1, "no letter stands for what nobody is to hear");
    assert_eq!(due[0].hook.as_ref().map(|loaded| loaded.hook.id), Some(left.id));
    assert_eq!(world.admit(&due[0]).await, Admission::Stop(Cancelled::RecipientLeft));
    world.record(&due[0], Verdict::End(State::Cancelled(Cancelled::RecipientLeft))).await;
    let held = world.states(&of_hook(&paused)).await;
    assert_eq!(held, [State::Held(Held::Paused), State::Delivered]);
    // What was held and is gone meanwhile is nobody's.
    world.turn(&paused, Turn::CatchUp).await;
    world.settle().await;
    assert_eq!(world.letters().await.len(), 1);
    world.check().await;
}

/// See the name.
pub async fn what_is_refused_while_it_is_asked_about_stays_as_it_was_recorded(mut world: World) {
    world.mail_there(vec![Target::User(user(BOB))]).await;
    let event = world.push().await;
    let letters = world.letters().await;
    world.record(&letters[0], Verdict::End(State::Dead(Dead::Refused))).await;
    assert_eq!(world.admit(&letters[0]).await, Admission::Stale);
    assert_eq!(world.states(&of_event(event)).await, [State::Dead(Dead::Refused)]);
    let (owner, to) =
        world.store().addressee(letters[0].ticket.delivery).await.expect("read").expect("a letter");
    assert_eq!((owner, to.user), (OWNER, Some(user(BOB))));
}
