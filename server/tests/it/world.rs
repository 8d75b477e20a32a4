//! The test's world: a real store in a directory of its own, strangers by a script, time that leaps to the next thing that
//! is to happen, and luck that is always the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Value, json};
use sonnette::contract::posted;
use sonnette::egress::Letterhead;
use sonnette::egress::mailer::MailSettings;
use sonnette::flow::ingest::{self, Accepted};
use sonnette::flow::tidy::Keeping;
use sonnette::flow::{Parts, dispatch, tidy};
use sonnette_backends::sqlite::{self, OpenError};
use sonnette_core::catalogue::Catalogue;
use sonnette_core::ids::{DestinationId, EventId, HookId, OrganisationId, OwnerId, UserId};
use sonnette_core::lang::Lang;
use sonnette_core::mail::House;
use sonnette_core::message::LinkTemplates;
use sonnette_core::model::{
    Attempt, DAY, Delivery, Destination, Fact, Fields, Hook, HookState, Millis, Role, State, Target, Way,
};
use sonnette_core::ports::{Changed, Clock, DeliveryFilter, Luck, Page, Store};
use sonnette_core::secret::{Sealer, Secret};
use sonnette_core::signing;
use sonnette_core::stops::LetterRules;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::between::{Between, Cut};
use crate::strangers::Strangers;

/// When the first life of a world begins: 2026-01-02T10:00:00Z.
pub const START: Millis = 1_767_348_000_000;
/// Who owns everything.
pub const OWNER: OrganisationId = OrganisationId(Uuid::from_u128(0x2222_2222_2222_4222_8222_2222_2222_2222));
/// The addresses of the members: an ADMIN, a DEVELOPER, an ACCOUNTING.
pub const MEMBERS: [&str; 3] = ["alice@example.com", "bob@example.com", "carol@example.com"];
/// The installation's key.
pub const KEY: [u8; 32] = [7; 32];
/// The address people know us by.
pub const PUBLIC_URL: &str = "https://sonnette.example";
/// What is kept of events: longer than any test lasts.
const KEEPING: Keeping = Keeping { events: 365 * DAY, excerpts: 365 * DAY };
/// How long a test waits for what it expects, in its own time.
const PATIENCE: Duration = Duration::from_secs(30 * 24 * 3_600);

static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| Arc::new(Catalogue::builtin().unwrap()));

/// The time of a runtime that is paused: it stands still while anything is done, and leaps when nothing is.
#[derive(Clone)]
pub struct Hands {
    since: Instant,
    at: Millis,
    latest: Arc<AtomicI64>,
}

impl Hands {
    fn from(at: Millis) -> Self {
        Self { since: Instant::now(), at, latest: Arc::new(AtomicI64::new(at)) }
    }
}

impl Clock for Hands {
    fn now(&self) -> Millis {
        let now = self.at + i64::try_from(self.since.elapsed().as_millis()).unwrap();
        self.latest.fetch_max(now, Ordering::Relaxed);
        now
    }
}

/// Vigna's splitmix64: the same for the same seed everywhere.
pub struct Dice(AtomicU64);

impl Luck for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let step = 0x9e37_79b9_7f4a_7c15_u64;
            let mut z = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// See the module.
pub struct World {
    /// The store itself, for what the test does and asks.
    pub store: Arc<dyn Store>,
    /// What the flow works with.
    pub parts: Parts,
    /// Counts, cuts and refuses.
    pub between: Arc<Between>,
    /// Those who are told.
    pub strangers: Arc<Strangers>,
    clock: Hands,
    stop: CancellationToken,
    flow: Option<JoinHandle<()>>,
    _dir: Option<tempfile::TempDir>,
}

impl World {
    /// A world of its own, with the owner and the members in its directory.
    pub async fn new(strangers: Strangers) -> Self {
        Self::with(strangers, LetterRules::default()).await
    }

    /// The world as its directory holds it, from this time on.
    pub fn open(dir: &Path, strangers: Arc<Strangers>, from: Millis, cut: Option<Cut>) -> Self {
        Self::open_with(dir, strangers, from, cut, LetterRules::default())
    }

    /// A world of its own, with these rules for letters.
    pub async fn with(strangers: Strangers, letters: LetterRules) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut world = Self::open_with(dir.path(), Arc::new(strangers), START, None, letters);
        world._dir = Some(dir);
        world.people().await;
        world
    }

    fn open_with(
        dir: &Path,
        strangers: Arc<Strangers>,
        from: Millis,
        cut: Option<Cut>,
        letters: LetterRules,
    ) -> Self {
        let luck = Arc::new(Dice(AtomicU64::new(from.unsigned_abs())));
        let clock = Hands::from(from);
        strangers.live_by(clock.clone());
        let catalogue = Arc::clone(&CATALOGUE);
        let store = open_store(dir, luck.clone(), letters);
        let between = Arc::new(Between::new(Arc::clone(&store), strangers.clone(), cut));
        let house = House {
            name: "Sonnette".to_owned(),
            domain: "paas.example".to_owned(),
            bounces: None,
            lang: Lang::En,
        };
        let letterhead = Letterhead::new(&MailSettings {
            reply_to: None,
            bounces: None,
            lang: Lang::En,
            dkim: Vec::new(),
            relay: None,
            from_name: house.name.clone(),
            from_address: format!("notifications@{}", house.domain),
            domain: house.domain.clone(),
            maildir: dir.join("mail"),
        })
        .unwrap();
        let parts = Parts {
            store: between.clone(),
            egress: between.clone(),
            clock: Arc::new(clock.clone()),
            luck,
            catalogue,
            formats: sonnette_core::formats::find,
            links: Arc::new(LinkTemplates::default()),
            house: Arc::new(house),
            letterhead: Arc::new(letterhead),
            sealer: Sealer::new(&KEY),
            public_url: Some(PUBLIC_URL.into()),
            policy_told: Arc::new(AtomicI64::new(Millis::MIN)),
        };
        let stop = CancellationToken::new();
        Self { store, parts, between, strangers, clock, stop, flow: None, _dir: None }
    }

    /// Begins to hand out what is due, so much at once.
    pub fn run(&mut self, in_flight: usize) {
        self.flow = Some(tokio::spawn(dispatch::run(self.parts.clone(), in_flight, self.stop.clone())));
    }

    /// Stops handing out, and waits for what is under way.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        self.flow.take().unwrap().await.unwrap();
    }

    /// What time it is.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The last moment anybody asked for, also when the world has ended.
    pub fn latest(&self) -> Millis {
        self.clock.latest.load(Ordering::Relaxed)
    }

    /// Waits for something to become true, looking again whenever anything happened.
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let (mut outside, mut inside) = (self.strangers.changes(), self.between.changes());
        let wait = async {
            while !holds(self).await {
                tokio::select! { changed = outside.changed() => changed.unwrap(), changed = inside.changed() => changed.unwrap() }
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("in vain: {what}; heard {:#?}", self.strangers.heard());
        }
    }

    /// Waits until nothing is due or will be.
    pub async fn settled(&self) {
        if tokio::time::timeout(PATIENCE, self.between.idle()).await.is_err() {
            panic!("something goes on for ever: {:#?}", self.deliveries().await);
        }
    }

    // ----------------------------------------------------------------------------------------------- what there is

    /// The owner and the members.
    pub async fn people(&self) {
        let mut facts = vec![Fact::Organisation {
            id: OWNER,
            name: Some("Acme".to_owned()),
            founder: None,
            hooks: vec![],
        }];
        for (n, (email, role)) in
            MEMBERS.iter().zip([Role::Admin, Role::Developer, Role::Accounting]).enumerate()
        {
            facts.push(Fact::User {
                id: member(n),
                name: Some((*email).to_owned()),
                email: Some((*email).to_owned()),
                lang: None,
                operator: None,
                hooks: vec![],
            });
            facts.push(Fact::Member { organisation: OWNER, user: member(n), role });
        }
        self.store.learn(facts, START).await.unwrap().unwrap();
    }

    /// The organisation loses a member.
    pub async fn leaves(&self, n: usize) {
        let fact = Fact::MemberGone { organisation: OWNER, user: member(n) };
        self.store.learn(vec![fact], self.now()).await.unwrap().unwrap();
    }

    /// A webhook for one kind that posts to these.
    pub async fn webhook(&self, kind: &str, to: &[(&str, &str)], schedule: Option<Vec<u32>>) -> HookId {
        let destinations = to
            .iter()
            .map(|(format, url)| Destination {
                id: DestinationId(self.parts.luck.id()),
                format: (*format).to_owned(),
                url: Secret::new(*url),
                fields: Fields::new(),
            })
            .collect();
        self.hook(kind, Way::Webhook { destinations }, schedule).await
    }

    /// An e-mail hook for one kind that writes to all members.
    pub async fn letters(&self, kind: &str) -> HookId {
        let targets = vec![Target::Organisation { roles: BTreeSet::new() }];
        let destination = DestinationId(self.parts.luck.id());
        self.hook(kind, Way::Email { destination, targets }, None).await
    }

    /// An e-mail hook for one kind that writes to these addresses.
    pub async fn letters_to(&self, kind: &str, addresses: &[&str]) -> HookId {
        let targets =
            vec![Target::Addresses(addresses.iter().map(|address| (*address).to_owned()).collect())];
        let destination = DestinationId(self.parts.luck.id());
        self.hook(kind, Way::Email { destination, targets }, None).await
    }

    async fn hook(&self, kind: &str, way: Way, schedule: Option<Vec<u32>>) -> HookId {
        let secret = matches!(way, Way::Webhook { .. }).then(|| signing::secret(&[9; 32]));
        let id = HookId(self.parts.luck.id());
        let hook = Hook {
            id,
            owner: OWNER.into(),
            name: "Told".to_owned(),
            events: Some(vec![kind.to_owned()]),
            scope: None,
            way,
            schedule,
            state: HookState::Enabled,
            created_at: self.now(),
        };
        assert_eq!(self.store.add_hook(hook, secret, self.now()).await.unwrap(), Changed::Done);
        id
    }

    /// Posts an event of this kind, with a branch it can be known by and, if given, an id of the poster's.
    pub async fn post(&self, kind: &str, branch: &str, id: Option<&str>) -> EventId {
        match self.try_post(kind, branch, id).await {
            Accepted::New(id) => id,
            Accepted::Already(id) => panic!("{id} is not new"),
        }
    }

    /// Posts an event that may have been posted before.
    pub async fn try_post(&self, kind: &str, branch: &str, id: Option<&str>) -> Accepted {
        let mut event =
            json!({"event": kind, "ownerId": OwnerId::from(OWNER).to_string(), "data": {"branch": branch}});
        if let Some(id) = id {
            event["id"] = Value::from(id);
        }
        let event = event.to_string();
        let accepted = ingest::accept(&self.parts, vec![posted::event(&event)]).await.unwrap();
        *accepted[0].as_ref().unwrap()
    }

    /// Does what housekeeping there is.
    pub async fn tidy(&self) {
        self.keep(KEEPING).await;
    }

    /// Does what housekeeping there is where things are kept so long.
    pub async fn keep(&self, keeping: Keeping) {
        tidy::slices(&self.parts, keeping, &self.stop).await;
        tidy::held(&self.parts, keeping, &self.stop).await;
    }

    // --------------------------------------------------------------------------------------------------- the account

    /// Everything that is or was owed, oldest first.
    pub async fn deliveries(&self) -> Vec<Delivery> {
        let filter = DeliveryFilter { owner: Some(OWNER.into()), ..DeliveryFilter::default() };
        let mut all = self.store.deliveries(filter, Page { after: None, limit: 100_000 }).await.unwrap();
        all.sort_unstable_by_key(|delivery| delivery.id);
        all
    }

    /// How many deliveries are in each state.
    pub async fn states(&self) -> Vec<State> {
        self.deliveries().await.iter().map(|delivery| delivery.state).collect()
    }

    /// The only delivery there is.
    pub async fn delivery(&self) -> Delivery {
        let mut all = self.deliveries().await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// The attempts of a delivery.
    pub async fn attempts(&self, delivery: &Delivery) -> Vec<Attempt> {
        self.store.delivery(delivery.id).await.unwrap().unwrap().2
    }
}

/// Opens the store. What another test is about to run holds our lock, as every open file, from its fork to its exec.
fn open_store(dir: &Path, luck: Arc<dyn Luck>, letters: LetterRules) -> Arc<dyn Store> {
    let since = std::time::Instant::now();
    loop {
        let (sealer, catalogue) = (Sealer::new(&KEY), Arc::clone(&CATALOGUE));
        let settings = sqlite::Settings { letters: letters.clone(), ..sqlite::Settings::default() };
        match sqlite::open(dir, settings, sealer, catalogue, Arc::clone(&luck)) {
            Err(OpenError::InUse(_)) if since.elapsed() < Duration::from_secs(10) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

/// The id of a member.
pub fn member(n: usize) -> UserId {
    UserId(Uuid::from_u128(0x1111_1111_1111_4111_8111_1111_1111_0000 + n as u128))
}
