//! What the flow asks of the world: a store, the time, and chance.
//!
//! One method of [`Store`] is one atomic unit. Outcomes we expect are values; [`StoreError`] is for what nobody expects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::ids::{
    DeliveryId, DestinationId, EventId, HookId, OrganisationId, OwnerId, ResourceId, SessionId, TokenId,
    UserId,
};
use crate::model::{
    Attempt, Contradiction, DAY, Delivery, Draft, Event, Fact, FailedAttempt, Hook, HookState, HookView,
    Ingested, MINUTE, Member, Millis, Organisation, Recipient, Resource, Role, Session, SigningSecrets,
    State, Token, User,
};
use crate::private::PrivateLetter;
use crate::secret::Secret;
use crate::stops::{Admission, ConfirmLink, Mail, Mute, Question, Reason, StopLink, Suppression};

/// The store could not do it. Nothing of the unit was kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Full or failing disk, or too much waiting: worth asking again in a moment.
    #[error("the store cannot take it now: {0}")]
    Unavailable(String),
    /// What is stored does not make sense, or a secret does not open.
    #[error("the store holds something it should not: {0}")]
    Corrupt(String),
}

/// The result of a store method.
pub type Stored<T> = Result<T, StoreError>;

/// A page of a list, newest first unless it says otherwise: at most `limit` items after `after` in that order.
#[derive(Debug, Clone, Copy)]
pub struct Page<K> {
    /// The last item of the page before.
    pub after: Option<K>,
    /// At most so many.
    pub limit: usize,
}

/// Failed attempts kept of each webhook.
pub const FAILURES: usize = 10;

/// Which deliveries to list; every given field must hold. One of `owner`, `hook` or `event` is set.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Of this owner's events.
    pub owner: Option<OwnerId>,
    /// Owed by this hook.
    pub hook: Option<HookId>,
    /// Owed by this event.
    pub event: Option<EventId>,
    /// In a state of this name (see [`State::name`]).
    pub state: Option<String>,
    /// For this reason (see [`State::reason`]).
    pub reason: Option<String>,
    /// Of events of these kinds.
    pub kinds: Option<Vec<String>>,
    /// Of events about this application or add-on.
    pub resource: Option<ResourceId>,
    /// Of events accepted then or later.
    pub from: Option<Millis>,
    /// Of events accepted before.
    pub until: Option<Millis>,
    /// The oldest first, instead of the newest.
    pub oldest_first: bool,
}

/// Which hooks of an owner to list; every given field must hold.
#[derive(Debug, Clone, Default)]
pub struct HookFilter {
    /// E-mail hooks, or webhooks.
    pub email: Option<bool>,
    /// In this state.
    pub state: Option<HookState>,
    /// What they mention ([`Hook::mentions`]), in lower case; empty: anything.
    pub text: String,
    /// Newest first, instead of oldest first.
    pub newest_first: bool,
}

/// How a hook's state changes, and what becomes of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Hold from now on.
    Pause,
    /// Tell again, and deliver what was held, oldest first.
    CatchUp,
    /// Tell again, and cancel what was held.
    Skip,
}

/// The right to make one attempt: the number is the fence, the time is the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// What to try.
    pub delivery: DeliveryId,
    /// Number of this attempt, from 1.
    pub attempt: u32,
    /// Not to be started after.
    pub good_until: Millis,
}

/// A delivery to make, with all it takes but the names for people.
#[derive(Debug, Clone)]
pub struct Work {
    /// The right to try.
    pub ticket: Ticket,
    /// What happened.
    pub event: Arc<Event>,
    /// By which hook; `None` for the house's own letters.
    pub hook: Option<Arc<LoadedHook>>,
    /// Where to.
    pub destination: DestinationId,
    /// Whom a letter is for.
    pub recipient: Option<Recipient>,
    /// What they read, if they are somebody we know, or knew: who deleted their account is owed one more letter.
    pub lang: Option<String>,
    /// When its schedule began: the event's acceptance, or when it was last resent or released.
    pub since: Millis,
    /// Attempts made since then.
    pub made: u32,
    /// A private letter is not tried after.
    pub expires: Option<Millis>,
    /// What the first message of its thread became at the destination, where its format asks for that
    /// ([`crate::formats::Format::thread_root`]).
    pub thread: Option<String>,
    /// An e-mail delivery not yet resolved: hand the ticket to [`Store::resolve`] instead of trying it.
    pub unresolved: bool,
}

/// A hook with its secrets, shared by all work leased for it.
#[derive(Debug)]
pub struct LoadedHook {
    /// The hook.
    pub hook: Hook,
    /// What a webhook signs with; `None` for e-mail hooks.
    pub secrets: Option<SigningSecrets>,
}

/// What a lease gave.
#[derive(Debug, Default)]
pub struct Leased {
    /// To be made now.
    pub work: Vec<Work>,
    /// When the next one not given falls due, if any waits; the past if bounds alone kept it back.
    pub next_due: Option<Millis>,
}

/// What came of an attempt, as the delivery sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// [`State::Delivered`], [`State::Dead`] or [`State::Cancelled`].
    End(State),
    /// [`State::Retrying`], due then.
    Again(Millis),
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It stands.
    Done,
    /// Another attempt of that number was recorded before, or the delivery is gone.
    Stale,
}

/// What became of a wish about a hook or a person's letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It is done.
    Done,
    /// There is no such hook.
    NoHook,
    /// It names a resource of somebody else.
    ForeignResource(ResourceId),
    /// There is no such owner.
    UnknownOwner,
    /// The owner has as many as it may.
    TooMany,
}

/// What became of a wish to send one delivery again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resent {
    /// It is due now.
    Due,
    /// There is no such delivery.
    NoDelivery,
    /// It is waiting to be tried already.
    Waiting,
    /// Its hook or destination is gone, or is held.
    NoDestination,
}

/// How far somebody has read, and how much more they take.
#[derive(Debug, Clone)]
pub struct Look {
    /// Who reads, if it is a person: their role in each owner is read with its events.
    pub reader: Option<UserId>,
    /// Owners, and the last event read of each.
    pub places: Vec<(OwnerId, EventId)>,
    /// Besides: the reader's own space and every organisation they are a member of, after this event, and of the
    /// organisations nothing that came before they joined, whatever their place.
    pub others: Option<EventId>,
    /// Events at most.
    pub events: usize,
    /// Bytes of frames at most; the first event is given whatever its size.
    pub bytes: usize,
}

/// What was read of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Whose.
    pub owner: OwnerId,
    /// The reader's role there at this moment; `None` if they have none, or no person reads.
    pub role: Option<Role>,
    /// The place it begins after.
    pub from: EventId,
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// Everything of the owner up to here was given; the place to look from next.
    pub until: EventId,
    /// Whether there may be more at once.
    pub more: bool,
}

/// What lies ahead of a reader, all as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    /// One for each owner, in the order asked.
    pub stretches: Vec<Stretch>,
    /// The last id given to any event: none to come is below it.
    pub newest: EventId,
    /// The last id retention erased: who has read less far has missed what is gone.
    pub erased: EventId,
}

/// Names people use, for messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The owner's name.
    pub owner: Option<String>,
    /// The resource's name.
    pub resource: Option<String>,
    /// The author's name.
    pub author: Option<String>,
}

/// Who stands behind a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bearer {
    /// An operator token.
    Operator,
    /// A person's pair; the secret is still to be compared.
    Pair {
        /// Who.
        user: UserId,
        /// Whether they are an operator.
        operator: bool,
        /// The secret half.
        secret: Secret,
    },
}

/// A token to keep.
#[derive(Debug, Clone)]
pub enum NewToken {
    /// Operator token, by the SHA-256 of its text.
    Operator([u8; 32]),
    /// A person's pair.
    Pair {
        /// Who.
        user: UserId,
        /// The public half.
        public: String,
        /// The secret half.
        secret: Secret,
    },
}

/// How long a thread is gone on with; what happens later begins another one.
pub const THREAD_LIFE: Millis = 30 * DAY;
/// How long a sign-in link opens.
pub const LINK_LIFE: Millis = 10 * MINUTE;
/// How long a session lasts in which nothing is done.
pub const SESSION_IDLE: Millis = 7 * DAY;
/// How long a session lasts whatever is done in it.
pub const SESSION_LIFE: Millis = 30 * DAY;

/// A session to begin.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Ours.
    pub id: SessionId,
    /// The SHA-256 of what the browser keeps.
    pub digest: [u8; 32],
    /// What the browser says it is.
    pub agent: String,
    /// The SHA-256 of what the browser kept until now: that session ends.
    pub instead_of: Option<[u8; 32]>,
}

/// What became of a wish to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedIn {
    /// The session has begun.
    Done(UserId),
    /// The link was used before.
    Used,
    /// The link is too old, or there has never been one.
    Expired,
}

/// Which sessions of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// This one.
    One(SessionId),
    /// All but this one.
    AllBut(SessionId),
    /// All.
    All,
}

/// The house in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Destinations with something due or to come.
    pub destinations_waiting: u64,
    /// Deliveries held, over all hooks.
    pub held: u64,
    /// Deliveries dead, over all hooks.
    pub dead: u64,
    /// Bytes of the store's files.
    pub bytes: u64,
}

/// What one slice of housekeeping did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tidied {
    /// Rows moved, cancelled or erased.
    pub rows: u64,
    /// Whether there is more to do at once.
    pub more: bool,
}

/// A destination that holds what it is owed, because its hook is paused or disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Which.
    pub destination: DestinationId,
    /// Of this hook.
    pub hook: HookId,
    /// Whose.
    pub owner: OwnerId,
    /// What the owner calls the hook.
    pub name: String,
    /// Deliveries the hook holds, at all its destinations.
    pub held: u64,
    /// The event of the oldest of them.
    pub oldest: EventId,
    /// Whether the owner was told that they will be given up, since the hook holds.
    pub told: bool,
}

/// Where everything is kept, and how work is shared out.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // ------------------------------------------------------------------------------------------------- events

    /// Numbers the drafts, matches each with its owner's hooks ([`crate::matching::plan`]), learns its facts, and writes
    /// events and what they owe; answers when all of it is on disk. One outcome a draft, in order.
    async fn ingest(&self, drafts: Vec<Draft>, now: Millis) -> Stored<Vec<Ingested>>;
    /// Owes one letter to one address, and says under which id; `None` if there is no such owner. It is leased, tried and
    /// recorded like any letter, and no other method shows that it is there. What it says is kept like a secret, and
    /// erased with its end, by [`Store::record`] or, once it has expired, by [`Store::tidy`].
    async fn write_privately(&self, letter: PrivateLetter, now: Millis) -> Stored<Option<EventId>>;
    /// One event.
    async fn event(&self, id: EventId) -> Stored<Option<Event>>;
    /// An owner's events, newest first.
    async fn events(&self, owner: OwnerId, page: Page<EventId>) -> Stored<Vec<Event>>;
    /// Of this page of an owner's events, newest first, those of `kinds` about a resource; and the last event of the page,
    /// of whatever kind, after which the next begins. `None` if the page is empty: there are no more.
    async fn events_about(
        &self,
        owner: OwnerId,
        resource: ResourceId,
        kinds: &'static [&'static str],
        page: Page<EventId>,
    ) -> Stored<(Vec<Event>, Option<EventId>)>;
    /// What came after each place, oldest first, with the reader's roles: read at one moment, so that what somebody may
    /// not read any more is known before it is handed out.
    async fn ahead(&self, look: Look) -> Stored<Ahead>;
    /// Waits until there are new events, and says whose; `None` stands for everybody. A person whose memberships, rights
    /// or tokens changed is told of as the owner of their own space. One caller at a time. A lost signal costs time, never an
    /// event: readers look by themselves now and then.
    async fn grown(&self) -> Option<Vec<OwnerId>>;

    // -------------------------------------------------------------------------------------------------- hooks

    /// Makes a hook, with the secret it signs with if it is a webhook. Strangers' addresses it names are asked whether they
    /// want its letters, once.
    async fn add_hook(&self, hook: Hook, secret: Option<Secret>, now: Millis) -> Stored<Changed>;
    /// Replaces name, events, scope, way and schedule of the hook of that id; destinations no longer named are
    /// cancelled. State and secrets stay.
    async fn replace_hook(&self, hook: Hook, now: Millis) -> Stored<Changed>;
    /// Pauses or resumes. What waits is moved by [`Store::tidy`] in slices.
    async fn turn_hook(&self, id: HookId, turn: Turn, now: Millis) -> Stored<Changed>;
    /// Deletes a hook; what it owes is cancelled.
    async fn delete_hook(&self, id: HookId) -> Stored<Changed>;
    /// Gives a webhook a new secret; the old one signs too until `overlap_until`.
    async fn rotate_secret(&self, id: HookId, secret: Secret, overlap_until: Millis) -> Stored<Changed>;
    /// One hook.
    async fn hook(&self, id: HookId) -> Stored<Option<HookView>>;
    /// One hook with what it signs with: for a test, which is sent like an attempt and owed by nothing.
    async fn loaded_hook(&self, id: HookId) -> Stored<Option<LoadedHook>>;
    /// A page of an owner's hooks, oldest first unless the filter says otherwise. After a hook that never was, or was
    /// erased, nothing comes.
    async fn hooks_of(&self, owner: OwnerId, filter: HookFilter, page: Page<HookId>)
    -> Stored<Vec<HookView>>;
    /// All of an owner's hooks, oldest first.
    async fn hooks(&self, owner: OwnerId) -> Stored<Vec<HookView>> {
        self.hooks_of(owner, HookFilter::default(), Page { after: None, limit: usize::MAX }).await
    }
    /// The last [`FAILURES`] failed attempts of each of these webhooks, over all its destinations, first one first. Kept
    /// as long as hook, destination and retention allow; hooks without any are left out.
    async fn failures(&self, hooks: Vec<HookId>) -> Stored<BTreeMap<HookId, Vec<FailedAttempt>>>;

    // --------------------------------------------------------------------------------------------------- work

    /// Takes at most `max` due deliveries, none beyond a destination's bound of tickets out.
    async fn lease(&self, now: Millis, max: usize) -> Stored<Leased>;
    /// Replaces an unresolved letter by one delivery per distinct address.
    async fn resolve(&self, ticket: Ticket, now: Millis) -> Stored<Recorded>;
    /// Whether a letter may go now ([`crate::stops::admit`]); asked before every attempt of a letter. One that is to wait
    /// is held, and its ticket taken back. A letter let go counts towards its hour, once, also if it is asked for again.
    async fn admit(&self, ticket: Ticket, now: Millis) -> Stored<Admission>;
    /// Writes down an attempt and what it means, and takes the ticket back. If it delivered, `root` is what later messages
    /// of the same thread hang on ([`Work::thread`]) from then on: those of the same destination about the same
    /// application or add-on, else about the owner. Kept for [`THREAD_LIFE`], as long as the destination is as it is.
    async fn record(
        &self,
        ticket: Ticket,
        attempt: Attempt,
        verdict: Verdict,
        root: Option<String>,
    ) -> Stored<Recorded>;
    /// Takes a ticket back without an attempt.
    fn release(&self, ticket: Ticket);
    /// Wakes when something may have fallen due earlier than the last lease said.
    async fn woken(&self);
    /// Names people use, for messages.
    async fn names(
        &self,
        owner: OwnerId,
        resource: Option<ResourceId>,
        author: Option<UserId>,
    ) -> Stored<Names>;

    // --------------------------------------------------------------------------------------- seeing and acting

    /// Deliveries, newest first unless the filter says otherwise.
    async fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> Stored<Vec<Delivery>>;
    /// One delivery, its owner, and its attempts, first one first.
    async fn delivery(&self, id: DeliveryId) -> Stored<Option<(OwnerId, Delivery, Vec<Attempt>)>>;
    /// Makes one delivery due now, whatever its end was. The schedule begins anew; attempt numbers go on.
    async fn resend(&self, id: DeliveryId, now: Millis) -> Stored<Resent>;

    // ---------------------------------------------------------------------------------------- what stops letters

    /// Keeps a reason not to write to an address, and accepts the event that tells of it if the address was written to
    /// until now; `false` if it was not.
    async fn suppress(&self, reason: Reason, told: Option<Draft>, now: Millis) -> Stored<bool>;
    /// Addresses not written to, the newest first.
    async fn suppressions(&self, page: Page<i64>) -> Stored<Vec<Suppression>>;
    /// Why an address is not written to, if it is not.
    async fn suppression(&self, address: &str) -> Stored<Option<Suppression>>;
    /// Writes to an address again. `false` if it was written to.
    async fn lift(&self, address: &str) -> Stored<bool>;
    /// Writes down what came back of a letter that was taken, with its last attempt, once. `false` if there is none.
    async fn came_back(&self, delivery: DeliveryId, words: String) -> Stored<bool>;
    /// Whose letter a delivery is and to whom, private ones too; `None` if it is no letter, or forgotten.
    async fn addressee(&self, delivery: DeliveryId) -> Stored<Option<(OwnerId, Recipient)>>;
    /// The reader at an address wants no more of a hook, from now on, or wants it again. `false` if there is no such hook.
    async fn stop_letters(&self, link: StopLink, stop: bool, now: Millis) -> Stored<bool>;
    /// What writes to a person, and what they want none of. `None` if there is no such user.
    async fn mail(&self, user: UserId) -> Stored<Option<Mail>>;
    /// A person wants no letters of these from now on, those that wait included, and again of everything else. At most
    /// [`crate::stops::MOST_MUTES`]; applications and add-ons of their own space and organisations only, by either id. What
    /// was muted is forgotten with the membership, the resource or the person.
    async fn mute(&self, user: UserId, mutes: BTreeSet<Mute>) -> Stored<Changed>;
    /// What became of the question behind a link.
    async fn question(&self, link: ConfirmLink, now: Millis) -> Stored<Question>;
    /// The reader at an address wants an owner's letters: what is held for it goes out. `false` if it was not asked, or
    /// too long ago.
    async fn confirm_address(&self, link: ConfirmLink, now: Millis) -> Stored<bool>;

    // ----------------------------------------------------------------------------------- people and resources

    /// Learns facts, all or none; the first that cannot be so is answered with its index.
    async fn learn(&self, facts: Vec<Fact>, now: Millis) -> Stored<Result<(), (usize, Contradiction)>>;
    /// One user.
    async fn user(&self, id: UserId) -> Stored<Option<User>>;
    /// Users by id, ascending.
    async fn users(&self, page: Page<UserId>) -> Stored<Vec<User>>;
    /// One organisation.
    async fn organisation(&self, id: OrganisationId) -> Stored<Option<Organisation>>;
    /// Organisations by id, ascending; only those of one member if asked, with their role.
    async fn organisations(
        &self,
        member: Option<UserId>,
        page: Page<OrganisationId>,
    ) -> Stored<Vec<(Organisation, Option<Role>)>>;
    /// Members of an organisation, by user id.
    async fn members(&self, organisation: OrganisationId) -> Stored<Vec<Member>>;
    /// Somebody's role in an owner: a user is ADMIN of their own space.
    async fn role(&self, owner: OwnerId, user: UserId) -> Stored<Option<Role>>;
    /// Applications and add-ons of an owner, by id.
    async fn resources(&self, owner: OwnerId) -> Stored<Vec<Resource>>;
    /// Whether there is such an owner, not closed.
    async fn knows(&self, owner: OwnerId) -> Stored<bool>;

    // ------------------------------------------------------------------------------------------------- access

    /// Keeps a token. `false` if its user is unknown.
    async fn add_token(&self, id: TokenId, name: String, token: NewToken, now: Millis) -> Stored<bool>;
    /// All tokens, or one person's, oldest first.
    async fn tokens(&self, user: Option<UserId>) -> Stored<Vec<Token>>;
    /// Revokes. `false` if there is none.
    async fn revoke_token(&self, id: TokenId) -> Stored<bool>;
    /// Who stands behind the SHA-256 of an operator token.
    async fn operator_token(&self, digest: [u8; 32]) -> Stored<bool>;
    /// Who stands behind the public half of a pair.
    async fn pair(&self, public: &str) -> Stored<Option<Bearer>>;

    // ---------------------------------------------------------------------------------------------- signing in

    /// The users who have this address, however its letters are cased, by id.
    async fn users_at(&self, address: String) -> Stored<Vec<User>>;
    /// Keeps a sign-in link by the SHA-256 of its token, for [`LINK_LIFE`]. `false` if its user is unknown.
    async fn add_link(&self, digest: [u8; 32], user: UserId, now: Millis) -> Stored<bool>;
    /// Uses a link up and begins a session.
    async fn sign_in(&self, link: [u8; 32], session: NewSession, now: Millis) -> Stored<SignedIn>;
    /// The session of this SHA-256 and whose it is, unless it is over ([`SESSION_IDLE`], [`SESSION_LIFE`]).
    async fn session(&self, digest: [u8; 32], now: Millis) -> Stored<Option<(Session, User)>>;
    /// Somebody is there now.
    async fn see_session(&self, id: SessionId, now: Millis) -> Stored<()>;
    /// A person's sessions that are not over, the last seen first.
    async fn sessions(&self, user: UserId, now: Millis) -> Stored<Vec<Session>>;
    /// Ends sessions of a person, and says how many.
    async fn end_sessions(&self, user: UserId, which: Which) -> Stored<u64>;
    /// How somebody wants to read: language, and time zone by its IANA name. `false` if there is no such user.
    async fn prefer(&self, user: UserId, lang: String, zone: String) -> Stored<bool>;

    // ---------------------------------------------------------------------------------------------- the house

    /// One slice of housekeeping: moves what a changed hook holds or owes, erases what is older than `before`,
    /// forgets reply excerpts older than `excerpts_before`. Of an owner that is gone nothing stays but this: the pairs posters
    /// gave are recognised for as long as their events would have been kept.
    async fn tidy(&self, now: Millis, before: Millis, excerpts_before: Millis) -> Stored<Tidied>;
    /// Destinations, ascending, that hold something of an event accepted before then because their hook is paused or
    /// disabled. What is to be skipped, and letters that are held for their own reasons, do not count.
    async fn holding(&self, before: Millis, page: Page<DestinationId>) -> Stored<Vec<Holding>>;
    /// Accepts the event that tells of what a hook holds, and remembers until it is resumed that it was told. `false`,
    /// and nothing is accepted, if it was told before, or the hook holds no more.
    async fn tell_held(&self, hook: HookId, told: Draft, now: Millis) -> Stored<bool>;
    /// One slice of giving up: what such a destination ([`Store::holding`]) holds of events accepted before then is dead
    /// ([`crate::model::Dead::Expired`]), the oldest first.
    async fn give_up_held(&self, destination: DestinationId, before: Millis) -> Stored<Tidied>;
    /// One slice of giving up: what still waits of events accepted before then is dead ([`crate::model::Dead::Expired`]), the
    /// oldest first. Each is looked at once: what is sent again afterwards has until its event is erased.
    async fn give_up_waiting(&self, before: Millis) -> Stored<Tidied>;
    /// The house in numbers.
    async fn counts(&self) -> Stored<Counts>;
    /// Whether it can read and write.
    async fn ping(&self) -> Stored<()>;
    /// Facts for `doctor` and the start's log line: name to value.
    async fn about(&self) -> Stored<BTreeMap<&'static str, String>>;
}

/// The time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn now(&self) -> Millis;
}

/// Chance.
pub trait Luck: Send + Sync + 'static {
    /// Fills with bytes nobody can guess.
    fn fill(&self, bytes: &mut [u8]);

    /// A number in `0.0..1.0`.
    fn fraction(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    /// A positive 63-bit number, for our own ids.
    fn id(&self) -> i64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        (i64::from_le_bytes(bytes) & i64::MAX).clamp(1, i64::MAX - 1)
    }

    /// 32 bytes.
    fn bytes32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }
}

/// A request to be sent, as a format renders it.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// `POST`, but where the service wants another.
    pub method: http::Method,
    /// Where to; may be a credential.
    pub url: Secret,
    /// Headers besides `host`, `content-length` and `user-agent`.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// Body.
    pub body: Bytes,
}

/// What came back from a receiver, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The `Retry-After` header, as it stood.
    pub retry_after: Option<String>,
    /// At most 64 KiB of the body.
    pub body: Bytes,
    /// Whether it came over a second connection, because one that was kept turned out to be closed before a word came back.
    pub renewed: bool,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The address may not be dialled; the text names the rule and the setting.
    #[error("{0}")]
    Forbidden(String),
    /// The address belonged to a service that has closed.
    #[error(
        "not sent: {0} has closed, and only the setting delivery.allow_closed lets its address be called"
    )]
    Closed(&'static str),
    /// DNS, connection, TLS, or a broken reply.
    #[error("{0}")]
    Network(String),
    /// No answer in time.
    #[error("no answer within {0} s")]
    Timeout(u64),
}

/// How long the steps of a request took. A step that was not needed, or not reached, has no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// To look up the name.
    pub name: Option<Duration>,
    /// To connect.
    pub connect: Option<Duration>,
    /// To agree on TLS.
    pub tls: Option<Duration>,
    /// From the first step to the last byte that was read.
    pub total: Duration,
}

/// What came of a request somebody looks on at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// As [`Egress::post`] gives it.
    pub outcome: Result<Reply, SendError>,
    /// The reply's headers; empty if there was none.
    pub headers: http::HeaderMap,
    /// How long it took.
    pub times: Times,
}

/// A letter, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// To whom.
    pub to: String,
    /// One line, no controls.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The part before `@` of its Message-ID: the delivery's id, the same on every attempt.
    pub message_id: String,
    /// Further headers: name and value, ASCII, one line each.
    pub headers: Vec<(String, String)>,
    /// The envelope's sender, which names the delivery; `None` means to whom the letter is from.
    pub return_path: Option<String>,
}

/// What a relay said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// The relay took it; its words.
    Accepted(String),
    /// No relay is set: written to this file, not sent.
    Written(String),
    /// 4xx, or the connection was lost: again later. The code, if there was one, and words.
    Again(Option<u16>, String),
    /// 5xx: final for this letter, and no word about the address (a full mailbox, a policy).
    Refused(Option<u16>, String),
    /// 5xx: final, and nobody is at that address: the code and words.
    NoSuchAddress(u16, String),
}

/// The way out: the only slow calls of the flow.
#[async_trait]
pub trait Egress: Send + Sync + 'static {
    /// Posts. Has its own limits of time and size.
    async fn post(&self, request: Outgoing) -> Result<Reply, SendError>;
    /// Posts by the same rules and limits, over a connection of its own, and says how long each step took.
    async fn trace(&self, request: Outgoing) -> Traced;
    /// Hands a letter to the relay, or writes it to the Maildir.
    async fn mail(&self, letter: Letter) -> Posted;
}
