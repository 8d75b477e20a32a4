//! What every store promises, as a suite any backend runs: each case is named by the promise it checks.
//!
//! A backend gives a [`Harness`] and writes `sonnette_backends::conformance!(harness())` in its test binary; the macro
//! is the one list of cases, so a new promise is tried on every backend. The cases panic when a promise is broken.

mod ahead;
mod events;
mod held;
mod hooks;
mod house;
mod people;
mod private;
mod random;
mod sessions;
mod stops;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;

use sonnette_core::catalogue::Catalogue;
use sonnette_core::frame;
use sonnette_core::ids::{
    DeliveryId, DestinationId, EventId, HookId, OrganisationId, OwnerId, ResourceId, UserId,
};
use sonnette_core::model::{
    Attempt, Cancelled, Delivery, Destination, Draft, Fact, Fields, Hook, HookState, HookView, Ingested,
    Millis, Role, State, Target, Way,
};
use sonnette_core::ports::{Changed, DeliveryFilter, Page, Recorded, Store, Turn, Verdict, Work};
use sonnette_core::secret::Secret;
use sonnette_core::stops::{Admission, LetterRules};
use uuid::Uuid;

pub use ahead::*;
pub use events::*;
pub use held::*;
pub use hooks::*;
pub use house::*;
pub use people::*;
pub use private::*;
pub use random::*;
pub use sessions::*;
pub use stops::*;
pub use work::*;

/// Runs every case of the suite, each as a test of its own. Takes an expression that makes a fresh [`Harness`].
#[macro_export]
macro_rules! conformance {
    ($harness:expr) => {
        $crate::conformance!($harness;
            numbering_grows_and_survives_a_restart,
            a_number_is_never_given_twice_even_when_the_newest_event_is_erased,
            a_frame_is_kept_byte_for_byte_with_its_id,
            a_repeat_is_recognised_and_another_content_is_a_conflict,
            a_repeat_inside_one_batch_is_recognised,
            a_repeat_is_recognised_after_a_restart_and_after_very_many_keys,
            a_key_means_nothing_once_its_event_is_erased,
            a_repeat_is_recognised_after_its_owner_was_erased_and_brings_nothing_back,
            each_item_of_a_batch_stands_alone,
            an_event_owes_what_its_owners_hooks_say,
            an_event_about_somebody_elses_resource_is_refused,
            an_addon_is_matched_under_both_its_ids,
            an_addon_named_under_both_its_ids_is_one_unless_they_are_known_as_two,
            a_creation_creates_its_owner_with_its_default_hooks,
            a_refused_event_makes_nothing_known,
            a_deletion_is_matched_before_it_is_learnt,
            pages_of_events_give_each_once,
            a_page_of_events_is_narrowed_by_resource_and_kinds_and_says_where_it_ends,
            whoever_reads_on_gets_each_event_once_in_order,
            a_look_stays_within_its_room_but_gives_one_event_whatever_its_size,
            a_quiet_owners_event_is_found_behind_very_many_of_others,
            a_look_knows_the_readers_roles_and_organisations_of_its_moment,
            what_retention_erased_is_told_and_what_an_erased_owner_took_along_is_not,
            whoever_waits_is_told_whose_events_grew,
            a_hook_reads_back_as_it_was_written,
            a_hook_of_nobody_or_about_somebody_elses_resource_is_refused,
            an_owner_may_not_have_hooks_without_end,
            a_long_list_of_hooks_is_read_page_by_page_either_way_narrowed_or_not,
            a_default_hook_that_was_deleted_stays_deleted,
            what_a_paused_hook_is_owed_is_held,
            pausing_holds_what_waits_and_catching_up_delivers_it_oldest_first,
            skipping_cancels_what_was_held_and_nothing_after,
            what_was_to_be_skipped_is_skipped_even_if_the_hook_is_paused_again_at_once,
            an_attempt_that_was_out_when_its_hook_was_paused_counts_if_it_was_made,
            editing_a_hook_cancels_what_its_removed_destinations_owe_and_keeps_the_rest,
            a_destination_removed_while_the_hook_is_paused_is_never_tried_again,
            a_changed_url_is_used_for_what_already_waits,
            deleting_a_hook_cancels_what_it_owes_waiting_or_held,
            both_secrets_sign_during_a_rotation,
            a_hook_is_loaded_with_what_it_signs_with_whatever_its_state,
            no_secret_is_readable_at_rest,
            a_lease_stays_within_a_destinations_bound_and_serves_the_others,
            a_ticket_out_is_not_leased_again_until_it_lapses,
            a_released_ticket_is_due_at_once,
            a_restart_frees_every_ticket,
            a_stale_record_changes_nothing,
            a_ticket_that_lapsed_does_not_record_over_the_one_that_followed,
            a_failed_attempt_is_due_again_when_it_was_said_and_the_earliest_comes_first,
            an_end_is_an_end_until_it_is_resent,
            a_resent_delivery_begins_its_schedule_anew,
            what_falls_due_wakes_whoever_leases,
            a_thread_goes_on_from_its_first_message_that_was_delivered,
            a_thread_ends_with_its_time_and_its_place,
            a_delivery_is_read_back_with_its_attempts,
            the_last_failed_attempts_of_a_webhook_are_kept_with_it,
            failed_attempts_go_with_their_destination_their_hook_and_retention,
            a_letter_becomes_one_for_each_distinct_address,
            an_address_gets_one_letter_over_all_hooks,
            a_letter_for_nobody_is_cancelled,
            who_left_gets_nothing_and_who_joined_in_time_does,
            a_user_a_hook_names_is_told_while_they_are_one_of_the_owners_people,
            admins_are_told_by_the_house_unless_a_hook_mails_them,
            a_letter_of_a_hook_paused_meanwhile_is_not_resolved,
            a_private_letter_is_owed_to_one_address_through_the_same_queue,
            a_private_letter_is_shown_to_nobody,
            what_a_private_letter_says_is_unreadable_at_rest,
            a_private_letter_that_has_expired_is_not_tried_any_more,
            a_private_letter_goes_with_its_owner,
            an_address_that_is_suppressed_gets_nothing_until_it_is_lifted,
            suppressed_addresses_are_listed_with_their_first_reason_and_explained,
            a_suppression_tells_of_itself_once,
            who_stopped_a_hook_gets_no_more_of_it_and_all_of_the_others,
            who_mutes_a_kind_or_a_resource_gets_none_of_it_and_all_of_the_rest,
            what_is_muted_while_it_is_held_is_never_sent_nor_summed_up,
            mutes_are_replaced_whole_and_only_by_what_is_the_persons,
            mutes_go_with_the_membership_the_resource_and_the_person,
            a_person_sees_every_hook_that_writes_to_them_and_which_they_stopped,
            a_strangers_address_is_asked_once_and_its_letters_wait_until_it_confirms,
            what_a_stranger_does_not_confirm_within_seven_days_is_cancelled,
            a_stranger_named_before_anybody_was_asked_is_asked_when_the_first_letter_is_due,
            what_is_confirmed_while_its_hook_is_paused_goes_when_it_is_resumed,
            one_address_is_not_asked_by_everybody,
            no_more_letters_go_within_an_hour_than_the_ceiling_and_one_stands_for_the_rest,
            what_stands_for_the_rest_speaks_to_strangers_as_the_installation_does,
            who_is_no_longer_told_is_not_told_what_was_held_back_either,
            what_is_refused_while_it_is_asked_about_stays_as_it_was_recorded,
            facts_are_learnt_all_or_none,
            people_and_resources_read_back,
            roles_are_what_members_have,
            a_resource_belongs_to_one_owner,
            tokens_are_kept_listed_and_revoked,
            a_letter_is_in_the_language_of_its_reader_even_after_they_are_gone,
            a_persons_pair_opens_only_while_the_person_is_there,
            a_sign_in_link_opens_once_and_only_in_time,
            a_session_lasts_while_it_is_used_and_never_longer_than_its_life,
            signing_in_again_ends_the_session_before_and_signing_out_those_that_were_meant,
            who_is_gone_is_signed_out_and_cannot_sign_in,
            people_are_found_by_their_address_however_it_is_cased,
            how_somebody_wants_to_read_is_kept,
            pages_of_deliveries_give_each_once_whatever_is_filtered,
            a_filter_holds_in_every_field,
            a_list_of_deliveries_is_narrowed_by_event_reason_and_time_and_read_both_ways,
            retention_erases_and_the_numbers_follow,
            much_that_one_event_owes_is_erased_in_slices,
            what_still_waits_of_old_events_is_dead_and_counted_and_can_be_sent_again,
            what_is_held_is_told_of_once_while_its_hook_holds,
            what_is_held_too_long_is_dead_and_can_be_sent_again_once_its_hook_is_resumed,
            only_what_is_held_for_its_hook_is_given_up,
            much_that_is_held_is_given_up_in_slices_the_oldest_first,
            excerpts_are_forgotten_before_their_deliveries,
            an_owner_is_erased_once_what_it_owed_is_out,
            a_closed_owner_is_owed_nothing_more,
            the_house_counts_itself,
            whatever_is_done_nothing_is_lost_and_everything_ends,
        );
    };
    ($harness:expr; $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::$case($crate::conformance::World::new(Box::new($harness)).await).await;
            }
        )+
    };
}

/// A place where one store can be opened, again and again.
pub trait Harness: Send {
    /// What the store matches by.
    fn catalogue(&self) -> Arc<Catalogue>;
    /// Opens the store: empty the first time, as it was left after that. The one before was dropped.
    fn open(&self, letters: LetterRules) -> Arc<dyn Store>;
    /// Every byte the store keeps.
    fn at_rest(&self) -> Vec<u8>;
}

/// When the cases begin: 2026-01-02T10:00:00Z.
pub const BEGIN: Millis = 1_767_348_000_000;

/// A store with some people in it, and a clock.
///
/// The organisation has ann (ADMIN), bob (DEVELOPER) and cid (ACCOUNTING), an application and an add-on; the stranger
/// has an application.
pub struct World {
    harness: Box<dyn Harness>,
    store: Option<Arc<dyn Store>>,
    letters: LetterRules,
    catalogue: Arc<Catalogue>,
    now: Millis,
    ids: i64,
}

fn uuid(n: u8) -> Uuid {
    uuid::Builder::from_random_bytes([n; 16]).into_uuid()
}

const ORGANISATION: OrganisationId = OrganisationId(uuid::uuid!("0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a"));
const STRANGER: OrganisationId = OrganisationId(uuid::uuid!("0b0b0b0b-0b0b-4b0b-8b0b-0b0b0b0b0b0b"));
const OWNER: OwnerId = OwnerId::Organisation(ORGANISATION);
const ANN: u8 = 1;
const BOB: u8 = 2;
const CID: u8 = 3;
const APPLICATION: u8 = 10;
const ADDON: u8 = 11;
const FOREIGN: u8 = 12;

fn user(n: u8) -> UserId {
    UserId(uuid(n))
}

fn email_of(n: u8) -> String {
    format!("Person{n}@example.org")
}

fn application(n: u8) -> ResourceId {
    format!("app_{}", uuid(n)).parse().expect("an application id")
}

fn addon(n: u8) -> ResourceId {
    format!("addon_{}", uuid(n)).parse().expect("an add-on id")
}

fn real_id(n: u8) -> ResourceId {
    format!("postgresql_{}", uuid(n)).parse().expect("a real id")
}

fn born(n: u8) -> Fact {
    Fact::User {
        id: user(n),
        name: Some(format!("Person {n}")),
        email: Some(email_of(n)),
        lang: None,
        operator: None,
        hooks: Vec::new(),
    }
}

fn member(n: u8, role: Role) -> Fact {
    Fact::Member { organisation: ORGANISATION, user: user(n), role }
}

fn organisation(id: OrganisationId) -> Fact {
    Fact::Organisation { id, name: Some("Org".to_owned()), founder: None, hooks: Vec::new() }
}

fn everybody() -> Target {
    Target::Organisation { roles: BTreeSet::new() }
}

fn of_hook(hook: &Hook) -> DeliveryFilter {
    DeliveryFilter { hook: Some(hook.id), ..DeliveryFilter::default() }
}

fn of_event(event: EventId) -> DeliveryFilter {
    DeliveryFilter { event: Some(event), ..DeliveryFilter::default() }
}

impl World {
    /// Opens the store and tells it who there is.
    pub async fn new(harness: Box<dyn Harness>) -> Self {
        let (store, catalogue) = (harness.open(LetterRules::default()), harness.catalogue());
        let world = Self {
            harness,
            store: Some(store),
            letters: LetterRules::default(),
            catalogue,
            now: BEGIN,
            ids: 0,
        };
        let owned =
            |id, real_id, owner| Fact::Resource { id, real_id, owner, name: Some("Thing".to_owned()) };
        world
            .learn(vec![
                born(ANN),
                born(BOB),
                born(CID),
                organisation(ORGANISATION),
                organisation(STRANGER),
                member(ANN, Role::Admin),
                member(BOB, Role::Developer),
                member(CID, Role::Accounting),
                owned(application(APPLICATION), None, OWNER),
                owned(addon(ADDON), Some(real_id(ADDON)), OWNER),
                owned(application(FOREIGN), None, STRANGER.into()),
            ])
            .await;
        world
    }

    fn store(&self) -> &dyn Store {
        self.store.as_deref().expect("the store is open")
    }

    fn reopen(&mut self) {
        self.reopen_with(self.letters.clone());
    }

    /// Opens the store anew, with these rules for letters from now on.
    fn reopen_with(&mut self, letters: LetterRules) {
        self.store = None;
        self.letters = letters.clone();
        self.store = Some(self.harness.open(letters));
    }

    async fn learn(&self, facts: Vec<Fact>) {
        assert_eq!(self.store().learn(facts, self.now).await.expect("learnt"), Ok(()));
    }

    fn id(&mut self) -> i64 {
        self.ids += 1;
        self.ids
    }

    fn kind(&self, name: &str) -> u16 {
        self.catalogue.find(name).expect("a kind of the catalogue").0
    }

    fn hook(&mut self, way: Way) -> Hook {
        Hook {
            id: HookId(self.id()),
            owner: OWNER,
            name: "A hook".to_owned(),
            events: None,
            scope: None,
            way,
            schedule: None,
            state: HookState::Enabled,
            created_at: self.now,
        }
    }

    fn destination(&mut self) -> Destination {
        let id = self.id();
        let url = format!("https://chat.example.org/services/hidden-path-{id}");
        Destination {
            id: DestinationId(id),
            format: "raw".to_owned(),
            url: Secret::new(url),
            fields: Fields::from([("room".to_owned(), Secret::new(format!("hidden-field-{id}")))]),
        }
    }

    fn webhook(&mut self, destinations: usize) -> Hook {
        let destinations = (0..destinations).map(|_| self.destination()).collect();
        self.hook(Way::Webhook { destinations })
    }

    fn mail(&mut self, targets: Vec<Target>) -> Hook {
        let destination = DestinationId(self.id());
        self.hook(Way::Email { destination, targets })
    }

    async fn add(&self, hook: &Hook) {
        let secret =
            matches!(hook.way, Way::Webhook { .. }).then(|| Secret::new("whsec_first-hidden-secret"));
        assert_eq!(
            self.store().add_hook(hook.clone(), secret, self.now).await.expect("added"),
            Changed::Done
        );
    }

    async fn webhook_there(&mut self, destinations: usize) -> Hook {
        let hook = self.webhook(destinations);
        self.add(&hook).await;
        hook
    }

    async fn mail_there(&mut self, targets: Vec<Target>) -> Hook {
        let hook = self.mail(targets);
        self.add(&hook).await;
        hook
    }

    async fn turn(&self, hook: &Hook, turn: Turn) {
        assert_eq!(self.store().turn_hook(hook.id, turn, self.now).await.expect("turned"), Changed::Done);
    }

    async fn view(&self, hook: &Hook) -> HookView {
        self.store().hook(hook.id).await.expect("read").expect("the hook is there")
    }

    fn draft(&self, kind: &str) -> Draft {
        Draft {
            owner: OWNER,
            kind: self.kind(kind),
            author: Some(user(ANN)),
            resource: None,
            real_id: None,
            about_hook: None,
            frame: frame::build(kind, self.now, OWNER, Some(user(ANN)), Some(r#"{"n":1}"#)),
            key: None,
            content: None,
            facts: Vec::new(),
        }
    }

    async fn ingest(&self, drafts: Vec<Draft>) -> Vec<Ingested> {
        self.store().ingest(drafts, self.now).await.expect("ingested")
    }

    async fn accept(&self, draft: Draft) -> EventId {
        match self.ingest(vec![draft]).await.as_slice() {
            [Ingested::Accepted(id)] => *id,
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// An event that every hook without `events` is owed, and the house tells nobody of.
    async fn push(&self) -> EventId {
        self.accept(self.draft("GIT_PUSH")).await
    }

    async fn lease(&self) -> Vec<Work> {
        self.store().lease(self.now, 10_000).await.expect("leased").work
    }

    async fn lease_one(&self) -> Work {
        let mut work = self.lease().await;
        assert_eq!(work.len(), 1, "one delivery is due");
        work.remove(0)
    }

    async fn record(&self, work: &Work, verdict: Verdict) -> Recorded {
        self.record_with(work, verdict, None).await
    }

    /// The same, of a message that later ones of its thread may hang on.
    async fn record_with(&self, work: &Work, verdict: Verdict, root: Option<&str>) -> Recorded {
        let succeeded = verdict == Verdict::End(State::Delivered);
        let attempt = Attempt {
            number: work.ticket.attempt,
            at: self.now,
            took: 7,
            status: Some(if succeeded { 204 } else { 500 }),
            note: None,
            excerpt: (!succeeded).then(|| "went wrong".to_owned()),
            succeeded,
        };
        self.store().record(work.ticket, attempt, verdict, root.map(str::to_owned)).await.expect("recorded")
    }

    async fn deliver(&self, work: &Work) {
        assert_eq!(self.record(work, Verdict::End(State::Delivered)).await, Recorded::Done);
    }

    async fn admit(&self, work: &Work) -> Admission {
        self.store().admit(work.ticket, self.now).await.expect("asked")
    }

    /// Whether a letter goes or is stopped for good; those of these cases are not held.
    async fn may_go(&self, work: &Work) -> bool {
        match self.admit(work).await {
            Admission::Go => true,
            Admission::Stop(Cancelled::RecipientLeft) => false,
            other => panic!("neither goes nor left: {other:?}"),
        }
    }

    async fn resolve(&self, work: &Work) -> Recorded {
        assert!(work.unresolved, "it is a letter not yet resolved");
        self.store().resolve(work.ticket, self.now).await.expect("resolved")
    }

    /// Leases and resolves until only letters with a recipient are due; gives them.
    async fn letters(&self) -> Vec<Work> {
        loop {
            let (open, ready): (Vec<_>, Vec<_>) =
                self.lease().await.into_iter().partition(|work| work.unresolved);
            for work in &open {
                self.resolve(work).await;
            }
            if open.is_empty() {
                return ready;
            }
            ready.iter().for_each(|work| self.store().release(work.ticket));
        }
    }

    /// Lets the house do all there is to do, erasing what is older than the times given.
    async fn tidy(&self, before: Millis, excerpts_before: Millis) {
        for _ in 0..10_000 {
            if !self.store().tidy(self.now, before, excerpts_before).await.expect("tidied").more {
                return;
            }
        }
        panic!("housekeeping does not end");
    }

    /// Lets the house move what changed hooks hold or owe, and erase nothing.
    async fn settle(&self) {
        self.tidy(0, 0).await;
    }

    /// Every delivery of a filter, newest first, read in small pages.
    async fn all(&self, filter: &DeliveryFilter) -> Vec<Delivery> {
        self.pages(filter, 3).await
    }

    async fn pages(&self, filter: &DeliveryFilter, limit: usize) -> Vec<Delivery> {
        let mut found: Vec<Delivery> = Vec::new();
        loop {
            let page = Page { after: found.last().map(|last| last.id), limit };
            let more = self.store().deliveries(filter.clone(), page).await.expect("listed");
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }

    /// Every delivery of the organisation.
    async fn of_owner(&self) -> Vec<Delivery> {
        self.pages(&DeliveryFilter { owner: Some(OWNER), ..DeliveryFilter::default() }, 500).await
    }

    async fn states(&self, filter: &DeliveryFilter) -> Vec<State> {
        self.all(filter).await.into_iter().map(|delivery| delivery.state).collect()
    }

    async fn state(&self, id: DeliveryId) -> State {
        self.store().delivery(id).await.expect("read").expect("the delivery is there").1.state
    }

    /// Every delivery ends, has a due time, or is held; and the numbers shown first are the numbers there are.
    async fn check(&self) {
        let all = self.of_owner().await;
        for delivery in &all {
            assert_eq!(delivery.state.is_live(), delivery.due.is_some(), "{delivery:?}");
        }
        for view in self.store().hooks(OWNER).await.expect("listed") {
            let count = |name: &str| {
                let of_it = |d: &&Delivery| d.hook == Some(view.hook.id) && d.state.name() == name;
                all.iter().filter(of_it).count() as u64
            };
            assert_eq!((view.held, view.dead), (count("held"), count("dead")), "{:?}", view.hook.id);
        }
    }
}
