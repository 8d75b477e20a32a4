//! What stands between the flow and everything outside it: it counts the calls, cuts the power at one of them, and lets
//! the store refuse for a while.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sonnette_core::ids::{
    DeliveryId, DestinationId, EventId, HookId, OrganisationId, OwnerId, ResourceId, SessionId, TokenId,
    UserId,
};
use sonnette_core::model::{
    Attempt, Contradiction, Delivery, Draft, Event, Fact, FailedAttempt, Hook, HookView, Ingested, Member,
    Millis, Organisation, Recipient, Resource, Role, Session, Token, User,
};
use sonnette_core::ports::{
    Ahead, Bearer, Changed, Counts, DeliveryFilter, Egress, Holding, HookFilter, Leased, Letter, LoadedHook,
    Look, Names, NewSession, NewToken, Outgoing, Page, Posted, Recorded, Reply, Resent, SendError, SignedIn,
    Store, StoreError, Stored, Ticket, Tidied, Traced, Turn, Verdict, Which,
};
use sonnette_core::private::PrivateLetter;
use sonnette_core::secret::Secret;
use sonnette_core::stops::{Admission, ConfirmLink, Mail, Mute, Question, Reason, StopLink, Suppression};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A moment at which the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// At the call of this number, from 1.
    pub call: usize,
    /// After it was done and before it is answered; else before it is done.
    pub after: bool,
}

/// See the module.
pub struct Between {
    store: Arc<dyn Store>,
    egress: Arc<dyn Egress>,
    cut: Option<Cut>,
    power: CancellationToken,
    calls: Mutex<Vec<&'static str>>,
    refusals: Mutex<HashMap<&'static str, usize>>,
    window: AtomicUsize,
    widest: AtomicUsize,
    idle: watch::Sender<bool>,
    /// Calls other than leases: begun and ended, and under way.
    steps: AtomicUsize,
    under_way: AtomicUsize,
    changed: watch::Sender<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Between {
    pub fn new(store: Arc<dyn Store>, egress: Arc<dyn Egress>, cut: Option<Cut>) -> Self {
        Self {
            store,
            egress,
            cut,
            power: CancellationToken::new(),
            calls: Mutex::default(),
            refusals: Mutex::default(),
            window: AtomicUsize::new(0),
            widest: AtomicUsize::new(0),
            idle: watch::Sender::new(false),
            steps: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            changed: watch::Sender::new(()),
        }
    }

    /// The calls so far, by name, in order.
    pub fn calls(&self) -> Vec<&'static str> {
        lock(&self.calls).clone()
    }

    /// How often a call was made.
    pub fn count(&self, name: &str) -> usize {
        lock(&self.calls).iter().filter(|call| **call == name).count()
    }

    /// The next calls of this name to the store are refused.
    pub fn refuse(&self, name: &'static str, times: usize) {
        lock(&self.refusals).insert(name, times);
    }

    /// Refusals still to come.
    pub fn refusals_left(&self) -> usize {
        lock(&self.refusals).values().sum()
    }

    /// The most work that was in memory at once.
    pub fn widest(&self) -> usize {
        self.widest.load(Ordering::Relaxed)
    }

    /// Wakes when the power is cut.
    pub async fn power_cut(&self) {
        self.power.cancelled().await;
    }

    /// Waits until nothing is due or will be, and nothing is out.
    pub async fn idle(&self) {
        self.idle.subscribe().wait_for(|idle| *idle).await.unwrap();
    }

    /// Wakes whenever the store has answered.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A call of the flow to the outside.
    async fn through<T>(&self, name: &'static str, call: impl Future<Output = T>) -> T {
        let number = {
            let mut calls = lock(&self.calls);
            calls.push(name);
            calls.len()
        };
        let cut = self.cut.filter(|cut| cut.call == number);
        self.stand_or_fall(cut.is_some_and(|cut| !cut.after)).await;
        let result = call.await;
        self.stand_or_fall(cut.is_some()).await;
        self.changed.send_replace(());
        result
    }

    /// Nobody gets any further once the power is off.
    async fn stand_or_fall(&self, falls: bool) {
        if falls {
            self.power.cancel();
        }
        if self.power.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// A call to the store. A test's clock, which leaps whenever nothing is left to do in the runtime, stands still
    /// meanwhile: the store works in a thread of its own.
    async fn stored<T>(&self, name: &'static str, call: impl Future<Output = Stored<T>>) -> Stored<T> {
        let refused = lock(&self.refusals).get_mut(name).is_some_and(|left| {
            let refuses = *left > 0;
            *left = left.saturating_sub(1);
            refuses
        });
        let (done, doing) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || doing.recv().is_ok());
        let call = async {
            if refused { Err(StoreError::Unavailable("for a while".to_owned())) } else { call.await }
        };
        let result = self.through(name, call).await;
        drop(done);
        result
    }

    /// Any call but a lease: while one is under way, or if one was during a lease, an empty lease proves nothing.
    async fn step<T>(&self, call: impl Future<Output = T>) -> T {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.idle.send_replace(false);
        let result = call.await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        result
    }

    /// The calls so far, if none is under way.
    fn alone(&self) -> Option<usize> {
        (self.under_way.load(Ordering::Relaxed) == 0).then(|| self.steps.load(Ordering::Relaxed))
    }

    fn given_back(&self) {
        self.window.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How often each call is made, for messages of tests.
pub fn tally(calls: &[&'static str]) -> BTreeMap<&'static str, usize> {
    let mut tally = BTreeMap::new();
    for call in calls {
        *tally.entry(*call).or_default() += 1;
    }
    tally
}

#[async_trait]
impl Egress for Between {
    async fn post(&self, request: Outgoing) -> Result<Reply, SendError> {
        self.step(self.through("post", self.egress.post(request))).await
    }

    async fn trace(&self, request: Outgoing) -> Traced {
        self.step(self.through("trace", self.egress.trace(request))).await
    }

    async fn mail(&self, letter: Letter) -> Posted {
        self.step(self.through("mail", self.egress.mail(letter))).await
    }
}

/// Methods that only pass on.
macro_rules! passed_on {
    ($($name:ident($($arg:ident: $of:ty),*) -> $answer:ty;)+) => {
        #[async_trait]
        impl Store for Between {
            $(async fn $name(&self, $($arg: $of),*) -> Stored<$answer> {
                self.step(self.stored(stringify!($name), self.store.$name($($arg),*))).await
            })+

            async fn lease(&self, now: Millis, max: usize) -> Stored<Leased> {
                let alone = self.alone();
                let leased = self.stored("lease", self.store.lease(now, max)).await?;
                let alone = alone.is_some() && alone == self.alone();
                let taken = leased.work.len();
                let window = self.window.fetch_add(taken, Ordering::Relaxed) + taken;
                self.widest.fetch_max(window, Ordering::Relaxed);
                self.idle.send_replace(alone && taken == 0 && leased.next_due.is_none());
                Ok(leased)
            }

            async fn record(&self, ticket: Ticket, attempt: Attempt, verdict: Verdict, root: Option<String>) -> Stored<Recorded> {
                let recorded = self.step(self.stored("record", self.store.record(ticket, attempt, verdict, root))).await?;
                self.given_back();
                Ok(recorded)
            }

            async fn resolve(&self, ticket: Ticket, now: Millis) -> Stored<Recorded> {
                let resolved = self.step(self.stored("resolve", self.store.resolve(ticket, now))).await?;
                self.given_back();
                Ok(resolved)
            }

            async fn admit(&self, ticket: Ticket, now: Millis) -> Stored<Admission> {
                let admission = self.step(self.stored("admit", self.store.admit(ticket, now))).await?;
                // The ticket of one that is held is back.
                if matches!(admission, Admission::Wait(_) | Admission::Stale) {
                    self.given_back();
                }
                Ok(admission)
            }

            async fn suppression(&self, address: &str) -> Stored<Option<Suppression>> {
                self.step(self.stored("suppression", self.store.suppression(address))).await
            }

            async fn lift(&self, address: &str) -> Stored<bool> {
                self.step(self.stored("lift", self.store.lift(address))).await
            }

            fn release(&self, ticket: Ticket) {
                self.steps.fetch_add(1, Ordering::Relaxed);
                self.idle.send_replace(false);
                self.given_back();
                self.store.release(ticket);
            }

            async fn grown(&self) -> Option<Vec<OwnerId>> {
                self.store.grown().await
            }

            async fn woken(&self) {
                self.store.woken().await;
            }

            async fn pair(&self, public: &str) -> Stored<Option<Bearer>> {
                self.step(self.stored("pair", self.store.pair(public))).await
            }
        }
    };
}

passed_on! {
    ingest(drafts: Vec<Draft>, now: Millis) -> Vec<Ingested>;
    write_privately(letter: PrivateLetter, now: Millis) -> Option<EventId>;
    event(id: EventId) -> Option<Event>;
    events(owner: OwnerId, page: Page<EventId>) -> Vec<Event>;
    events_about(owner: OwnerId, resource: ResourceId, kinds: &'static [&'static str], page: Page<EventId>) -> (Vec<Event>, Option<EventId>);
    ahead(look: Look) -> Ahead;
    add_hook(hook: Hook, secret: Option<Secret>, now: Millis) -> Changed;
    replace_hook(hook: Hook, now: Millis) -> Changed;
    turn_hook(id: HookId, turn: Turn, now: Millis) -> Changed;
    delete_hook(id: HookId) -> Changed;
    rotate_secret(id: HookId, secret: Secret, overlap_until: Millis) -> Changed;
    hook(id: HookId) -> Option<HookView>;
    loaded_hook(id: HookId) -> Option<LoadedHook>;
    hooks_of(owner: OwnerId, filter: HookFilter, page: Page<HookId>) -> Vec<HookView>;
    failures(hooks: Vec<HookId>) -> BTreeMap<HookId, Vec<FailedAttempt>>;
    suppress(reason: Reason, told: Option<Draft>, now: Millis) -> bool;
    suppressions(page: Page<i64>) -> Vec<Suppression>;
    came_back(delivery: DeliveryId, words: String) -> bool;
    addressee(delivery: DeliveryId) -> Option<(OwnerId, Recipient)>;
    stop_letters(link: StopLink, stop: bool, now: Millis) -> bool;
    mail(user: UserId) -> Option<Mail>;
    mute(user: UserId, mutes: BTreeSet<Mute>) -> Changed;
    question(link: ConfirmLink, now: Millis) -> Question;
    confirm_address(link: ConfirmLink, now: Millis) -> bool;
    names(owner: OwnerId, resource: Option<ResourceId>, author: Option<UserId>) -> Names;
    deliveries(filter: DeliveryFilter, page: Page<DeliveryId>) -> Vec<Delivery>;
    delivery(id: DeliveryId) -> Option<(OwnerId, Delivery, Vec<Attempt>)>;
    resend(id: DeliveryId, now: Millis) -> Resent;
    learn(facts: Vec<Fact>, now: Millis) -> Result<(), (usize, Contradiction)>;
    user(id: UserId) -> Option<User>;
    users(page: Page<UserId>) -> Vec<User>;
    organisation(id: OrganisationId) -> Option<Organisation>;
    organisations(member: Option<UserId>, page: Page<OrganisationId>) -> Vec<(Organisation, Option<Role>)>;
    members(organisation: OrganisationId) -> Vec<Member>;
    role(owner: OwnerId, user: UserId) -> Option<Role>;
    resources(owner: OwnerId) -> Vec<Resource>;
    knows(owner: OwnerId) -> bool;
    add_token(id: TokenId, name: String, token: NewToken, now: Millis) -> bool;
    tokens(user: Option<UserId>) -> Vec<Token>;
    revoke_token(id: TokenId) -> bool;
    operator_token(digest: [u8; 32]) -> bool;
    users_at(address: String) -> Vec<User>;
    add_link(digest: [u8; 32], user: UserId, now: Millis) -> bool;
    sign_in(link: [u8; 32], session: NewSession, now: Millis) -> SignedIn;
    session(digest: [u8; 32], now: Millis) -> Option<(Session, User)>;
    see_session(id: SessionId, now: Millis) -> ();
    sessions(user: UserId, now: Millis) -> Vec<Session>;
    end_sessions(user: UserId, which: Which) -> u64;
    prefer(user: UserId, lang: String, zone: String) -> bool;
    tidy(now: Millis, before: Millis, excerpts_before: Millis) -> Tidied;
    holding(before: Millis, page: Page<DestinationId>) -> Vec<Holding>;
    tell_held(hook: HookId, told: Draft, now: Millis) -> bool;
    give_up_held(destination: DestinationId, before: Millis) -> Tidied;
    give_up_waiting(before: Millis) -> Tidied;
    counts() -> Counts;
    ping() -> ();
    about() -> BTreeMap<&'static str, String>;
}
