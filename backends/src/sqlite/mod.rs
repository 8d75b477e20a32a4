//! The embedded store: one SQLite file, one thread that writes, readers apart.
//!
//! - `writer`: group commit; every write goes through it. `log`: what it wrote is put back into the file.
//! - `intake`, `hooks`, `directory`, `access`, `work`, `house`: what is written and read, by what people ask.
//! - `ahead`: reading forward, for streams. `growth`: whose events grew; memory only.
//! - `agenda`: which destinations have something due; memory only.
//! - `held`: what hooks hold for too long.
//! - `threads`: what later messages hang on.
//! - `private`: letters nobody else sees. `stops`: what stops or holds letters. `keys`: recognising repeats. `seal`: whether the key is the right one. `rows`: values in columns.

mod access;
mod agenda;
mod ahead;
mod directory;
mod growth;
mod held;
mod hooks;
mod house;
mod intake;
mod keys;
mod log;
mod private;
mod rows;
mod seal;
mod seeing;
mod sessions;
mod stops;
mod threads;
mod work;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use sonnette_core::catalogue::Catalogue;
use sonnette_core::ids::{
    DeliveryId, DestinationId, EventId, HookId, OrganisationId, OwnerId, ResourceId, SessionId, TokenId,
    UserId,
};
use sonnette_core::model::{
    Attempt, Contradiction, Delivery, Draft, Event, Fact, FailedAttempt, Hook, HookView, Ingested, Member,
    Millis, Organisation, Recipient, Resource, Role, Session, Token, User,
};
use sonnette_core::ports::{
    Ahead, Bearer, Changed, Counts, DeliveryFilter, Holding, HookFilter, Leased, LoadedHook, Look, Luck,
    Names, NewSession, NewToken, Page, Recorded, Resent, SignedIn, Store, StoreError, Stored, Ticket, Tidied,
    Turn, Verdict, Which,
};
use sonnette_core::private::PrivateLetter;
use sonnette_core::secret::{Sealer, Secret};
use sonnette_core::stops::{
    Admission, ConfirmLink, LetterRules, Mail, Mute, Question, Reason, StopLink, Suppression,
};
use tokio::sync::{Notify, Semaphore};

use agenda::Agenda;
use growth::Growth;
use log::Mover;
use writer::{Writer, failure};

/// The first version whose write-ahead log cannot be damaged by a writer and a checkpoint of two connections.
const OLDEST_SQLITE: i32 = 3_051_003;
/// Readers at work at once.
const READERS: usize = 4;
const SCHEMA: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("failures.sql"),
    include_str!("joined.sql"),
    include_str!("fields.sql"),
    include_str!("rules.sql"),
    include_str!("private.sql"),
    include_str!("sessions.sql"),
    include_str!("stops.sql"),
    include_str!("held.sql"),
    include_str!("tallies.sql"),
    include_str!("mutes.sql"),
    include_str!("runs.sql"),
    include_str!("seal.sql"),
    include_str!("threads.sql"),
];
/// The store's file in its directory.
const FILE: &str = "sonnette.sqlite";

/// What an installation may set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Page cache over all connections, in bytes.
    pub cache_bytes: usize,
    /// What is asked of letters.
    pub letters: LetterRules,
    /// Hooks one owner may have.
    pub hooks_each: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, letters: LetterRules::default(), hooks_each: 100 }
    }
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{0} is in use by another process: one server at a time may use a data directory")]
    InUse(PathBuf),
    /// The file system says no.
    #[error("cannot use {0}")]
    Io(PathBuf, #[source] std::io::Error),
    /// SQLite says no.
    #[error("cannot open the store")]
    Sqlite(#[from] rusqlite::Error),
    /// Written by a later Sonnette.
    #[error("the store is of version {0}, this program knows up to {1}: it was opened by a later Sonnette")]
    Later(usize, usize),
    /// What it holds was sealed with another key.
    #[error(
        "{0} was made with another key: what is sealed in it does not open with this one; put its own key back"
    )]
    WrongKey(PathBuf),
    /// Linked with an SQLite that can lose a log.
    #[error("SQLite {0} is too old: 3.51.3 is the first without the defect that can damage the log")]
    OldSqlite(&'static str),
}

/// What writer, readers and lease share.
struct Shared {
    catalogue: Arc<Catalogue>,
    sealer: Sealer,
    letters: LetterRules,
    hooks_each: i64,
    luck: Arc<dyn Luck>,
    agenda: Mutex<Agenda>,
    wake: Notify,
    growth: Growth,
    /// Counts changes of hooks, so that a loaded one is known to be stale.
    hooks_version: AtomicU64,
}

/// A panic while a lock is held leaves values that are still whole: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// What a transaction changed is on disk.
    fn committed(
        &self,
        notes: &[(DestinationId, Millis)],
        back: &[Ticket],
        hooks_changed: bool,
        grown: Option<Vec<OwnerId>>,
    ) {
        self.growth.committed(grown);
        // Before the notes: a lease that has seen a note must not take what it remembers of a hook for current.
        if hooks_changed {
            self.hooks_version.fetch_add(1, Ordering::Release);
        }
        if notes.is_empty() && back.is_empty() {
            return;
        }
        let mut agenda = lock(&self.agenda);
        for (destination, due) in notes {
            agenda.note(*destination, *due);
        }
        for ticket in back {
            agenda.back(*ticket);
        }
        drop(agenda);
        self.wake.notify_one();
    }
}

/// The embedded store.
pub struct Sqlite {
    shared: Arc<Shared>,
    /// `None` once closed.
    writer: Option<Writer>,
    thread: Option<std::thread::JoinHandle<()>>,
    readers: Arc<Mutex<Vec<Connection>>>,
    reading: Arc<Semaphore>,
    lease: Arc<Mutex<work::Lease>>,
    path: PathBuf,
    cache_each: usize,
    /// Held while we run; the system lets go of it however we end.
    _lock: File,
}

/// Whether a directory holds a store already.
///
/// # Errors
/// If it cannot be looked at.
pub fn is_there(dir: &Path) -> std::io::Result<bool> {
    dir.join(FILE).try_exists()
}

/// What the store stands on, by name and version.
pub fn engine() -> String {
    format!("SQLite {}", rusqlite::version())
}

/// Opens, or makes, the store in a directory.
///
/// # Errors
/// If another process uses it, or it cannot be read or brought up to date.
pub fn open(
    dir: &Path,
    settings: Settings,
    sealer: Sealer,
    catalogue: Arc<Catalogue>,
    luck: Arc<dyn Luck>,
) -> Result<Arc<Sqlite>, OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::OldSqlite(rusqlite::version()));
    }
    let lock_path = dir.join("sonnette.lock");
    let lock_file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(|error| OpenError::Io(lock_path.clone(), error))?;
    match lock_file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => return Err(OpenError::Io(lock_path, error)),
    }

    let path = dir.join(FILE);
    // The writer's working set is the index pages at the end of each tree, the readers' is whatever people look at.
    let cache_each = settings.cache_bytes / (READERS + 4);
    let db = connect(&path, cache_each * 3, true)?;
    migrate(&db)?;
    if !seal::fits(&db, &sealer, luck.as_ref())? {
        return Err(OpenError::WrongKey(path));
    }
    let shared = Arc::new(Shared {
        catalogue,
        sealer,
        letters: settings.letters,
        hooks_each: settings.hooks_each,
        luck,
        agenda: Mutex::new(work::read_agenda(&db)?),
        wake: Notify::new(),
        growth: Growth::new(),
        hooks_version: AtomicU64::new(0),
    });
    let lease = work::Lease::new(connect(&path, cache_each, false)?);
    let (writer, thread) = Writer::start(db, Mover::start(&path)?, Arc::clone(&shared))?;
    Ok(Arc::new(Sqlite {
        shared,
        writer: Some(writer),
        thread: Some(thread),
        readers: Arc::default(),
        reading: Arc::new(Semaphore::new(READERS)),
        lease: Arc::new(Mutex::new(lease)),
        path,
        cache_each,
        _lock: lock_file,
    }))
}

fn connect(path: &Path, cache_bytes: usize, writes: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | if writes {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
        } else {
            // Not READ_ONLY: a reader of a write-ahead log keeps its index in shared memory. `query_only` guards it.
            OpenFlags::SQLITE_OPEN_READ_WRITE
        };
    let db = Connection::open_with_flags(path, flags)?;
    db.set_prepared_statement_cache_capacity(128);
    // A plan stays as it was made. Without it SQLite plans a statement anew for each value bound to it, should a partial index
    // compare with a constant.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    if writes {
        // The log is put back into the file by [`Mover`].
        db.execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;",
        )?;
    }
    // FULL: in trials that cut the power, NORMAL lost acknowledged rows and FULL none. Set on every connection, because
    // it belongs to the connection and not to the file.
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{}; PRAGMA journal_size_limit = 67108864; PRAGMA query_only = {};",
        (cache_bytes / 1024).max(512),
        i32::from(!writes),
    ))?;
    Ok(db)
}

/// Brings the schema up to date, each step with its number in one transaction.
fn migrate(db: &Connection) -> Result<(), OpenError> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or_default();
    if version > SCHEMA.len() {
        return Err(OpenError::Later(version, SCHEMA.len()));
    }
    for (number, step) in SCHEMA.iter().enumerate().skip(version) {
        db.execute_batch(&format!("BEGIN; {step} PRAGMA user_version = {}; COMMIT;", number + 1))?;
    }
    Ok(())
}

impl Sqlite {
    fn writer(&self) -> Stored<&Writer> {
        self.writer.as_ref().ok_or_else(|| StoreError::Unavailable("the store is closed".to_owned()))
    }

    /// Reads on a connection that cannot write, away from the threads that serve.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Shared) -> rusqlite::Result<T> + Send + 'static,
    ) -> Stored<T> {
        let gone = |_| StoreError::Unavailable("the store is closing".to_owned());
        let permit = Arc::clone(&self.reading).acquire_owned().await.map_err(|_| gone(()))?;
        let (readers, shared) = (Arc::clone(&self.readers), Arc::clone(&self.shared));
        let (path, cache) = (self.path.clone(), self.cache_each);
        let read = move || -> rusqlite::Result<T> {
            let free = lock(&readers).pop();
            let db = match free {
                Some(db) => db,
                None => connect(&path, cache, false)?,
            };
            let result = work(&db, &shared);
            lock(&readers).push(db);
            drop(permit);
            result
        };
        tokio::task::spawn_blocking(read).await.map_err(|_| gone(()))?.map_err(|error| failure(&error))
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // Readers first: the writer's last act puts the log back into the file, which only works alone.
        lock(&self.readers).clear();
        self.writer = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer thread did not end well");
        }
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn ingest(&self, drafts: Vec<Draft>, now: Millis) -> Stored<Vec<Ingested>> {
        self.writer()?.hot(2 * drafts.len(), move |unit| intake::ingest(unit, drafts, now)).await
    }

    async fn write_privately(&self, letter: PrivateLetter, now: Millis) -> Stored<Option<EventId>> {
        self.writer()?.guarded(move |unit| private::write(unit, &letter, now)).await
    }

    async fn event(&self, id: EventId) -> Stored<Option<Event>> {
        self.read(move |db, _| seeing::event(db, id)).await
    }

    async fn events(&self, owner: OwnerId, page: Page<EventId>) -> Stored<Vec<Event>> {
        self.read(move |db, _| seeing::events(db, owner, page)).await
    }

    async fn events_about(
        &self,
        owner: OwnerId,
        resource: ResourceId,
        kinds: &'static [&'static str],
        page: Page<EventId>,
    ) -> Stored<(Vec<Event>, Option<EventId>)> {
        self.read(move |db, _| seeing::events_about(db, owner, &resource, kinds, page)).await
    }

    async fn ahead(&self, look: Look) -> Stored<Ahead> {
        self.read(move |db, _| ahead::ahead(db, look)).await
    }

    async fn grown(&self) -> Option<Vec<OwnerId>> {
        self.shared.growth.next().await
    }

    async fn add_hook(&self, hook: Hook, secret: Option<Secret>, now: Millis) -> Stored<Changed> {
        self.writer()?.guarded(move |unit| hooks::add(unit, &hook, secret.as_ref(), now)).await
    }

    async fn replace_hook(&self, hook: Hook, now: Millis) -> Stored<Changed> {
        self.writer()?.guarded(move |unit| hooks::replace(unit, &hook, now)).await
    }

    async fn turn_hook(&self, id: HookId, turn: Turn, now: Millis) -> Stored<Changed> {
        self.writer()?.guarded(move |unit| hooks::turn(unit, id, turn, now)).await
    }

    async fn delete_hook(&self, id: HookId) -> Stored<Changed> {
        self.writer()?.guarded(move |unit| hooks::delete(unit, id)).await
    }

    async fn rotate_secret(&self, id: HookId, secret: Secret, overlap_until: Millis) -> Stored<Changed> {
        self.writer()?.guarded(move |unit| hooks::rotate(unit, id, &secret, overlap_until)).await
    }

    async fn hook(&self, id: HookId) -> Stored<Option<HookView>> {
        self.read(move |db, shared| hooks::view(db, shared, id)).await
    }

    async fn loaded_hook(&self, id: HookId) -> Stored<Option<LoadedHook>> {
        self.read(move |db, shared| {
            Ok(hooks::load(db, shared, id)?.map(|(hook, secrets)| LoadedHook { hook, secrets }))
        })
        .await
    }

    async fn hooks_of(
        &self,
        owner: OwnerId,
        filter: HookFilter,
        page: Page<HookId>,
    ) -> Stored<Vec<HookView>> {
        self.read(move |db, shared| hooks::views(db, shared, owner, &filter, page)).await
    }

    async fn failures(&self, hooks: Vec<HookId>) -> Stored<BTreeMap<HookId, Vec<FailedAttempt>>> {
        self.read(move |db, shared| hooks::failures(db, shared, &hooks)).await
    }

    async fn lease(&self, now: Millis, max: usize) -> Stored<Leased> {
        let (lease, shared) = (Arc::clone(&self.lease), Arc::clone(&self.shared));
        tokio::task::spawn_blocking(move || lock(&lease).take(&shared, now, max))
            .await
            .map_err(|_| StoreError::Unavailable("the store is closing".to_owned()))?
            .map_err(|error| failure(&error))
    }

    async fn resolve(&self, ticket: Ticket, now: Millis) -> Stored<Recorded> {
        self.writer()?.hot(4, move |unit| work::resolve(unit, ticket, now)).await
    }

    async fn admit(&self, ticket: Ticket, now: Millis) -> Stored<Admission> {
        self.writer()?.hot(2, move |unit| stops::admit(unit, ticket, now)).await
    }

    async fn record(
        &self,
        ticket: Ticket,
        attempt: Attempt,
        verdict: Verdict,
        root: Option<String>,
    ) -> Stored<Recorded> {
        self.writer()?
            .hot(2, move |unit| work::record(unit, ticket, &attempt, verdict, root.as_deref()))
            .await
    }

    fn release(&self, ticket: Ticket) {
        let mut agenda = lock(&self.shared.agenda);
        if let Some(destination) = agenda.back(ticket) {
            // Its row is as it was: due.
            agenda.note(destination, 0);
            drop(agenda);
            self.shared.wake.notify_one();
        }
    }

    async fn woken(&self) {
        self.shared.wake.notified().await;
    }

    async fn names(
        &self,
        owner: OwnerId,
        resource: Option<ResourceId>,
        author: Option<UserId>,
    ) -> Stored<Names> {
        self.read(move |db, _| directory::names(db, owner, resource.as_ref(), author)).await
    }

    async fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> Stored<Vec<Delivery>> {
        self.read(move |db, _| seeing::deliveries(db, &filter, page)).await
    }

    async fn delivery(&self, id: DeliveryId) -> Stored<Option<(OwnerId, Delivery, Vec<Attempt>)>> {
        self.read(move |db, _| seeing::delivery(db, id)).await
    }

    async fn resend(&self, id: DeliveryId, now: Millis) -> Stored<Resent> {
        self.writer()?.guarded(move |unit| work::resend(unit, id, now)).await
    }

    async fn suppress(&self, reason: Reason, told: Option<Draft>, now: Millis) -> Stored<bool> {
        self.writer()?.guarded(move |unit| stops::suppress(unit, &reason, told, now)).await
    }

    async fn suppressions(&self, page: Page<i64>) -> Stored<Vec<Suppression>> {
        self.read(move |db, shared| stops::suppressions(db, shared, page)).await
    }

    async fn suppression(&self, address: &str) -> Stored<Option<Suppression>> {
        let address = address.to_owned();
        self.read(move |db, shared| stops::suppression(db, shared, &address)).await
    }

    async fn lift(&self, address: &str) -> Stored<bool> {
        let address = address.to_owned();
        self.writer()?.guarded(move |unit| stops::lift(unit, &address)).await
    }

    async fn came_back(&self, delivery: DeliveryId, words: String) -> Stored<bool> {
        self.writer()?.guarded(move |unit| stops::came_back(unit, delivery, &words)).await
    }

    async fn addressee(&self, delivery: DeliveryId) -> Stored<Option<(OwnerId, Recipient)>> {
        self.read(move |db, _| stops::addressee(db, delivery)).await
    }

    async fn stop_letters(&self, link: StopLink, stop: bool, now: Millis) -> Stored<bool> {
        self.writer()?.guarded(move |unit| stops::stop_letters(unit, &link, stop, now)).await
    }

    async fn mail(&self, user: UserId) -> Stored<Option<Mail>> {
        self.read(move |db, shared| stops::mail(db, shared, user)).await
    }

    async fn mute(&self, user: UserId, mutes: BTreeSet<Mute>) -> Stored<Changed> {
        self.writer()?.guarded(move |unit| stops::mute(unit, user, &mutes)).await
    }

    async fn question(&self, link: ConfirmLink, now: Millis) -> Stored<Question> {
        self.read(move |db, shared| stops::question(db, shared, &link, now)).await
    }

    async fn confirm_address(&self, link: ConfirmLink, now: Millis) -> Stored<bool> {
        self.writer()?.guarded(move |unit| stops::confirm(unit, &link, now)).await
    }

    async fn learn(&self, facts: Vec<Fact>, now: Millis) -> Stored<Result<(), (usize, Contradiction)>> {
        self.writer()?.guarded(move |unit| directory::learn_all(unit, &facts, now)).await
    }

    async fn user(&self, id: UserId) -> Stored<Option<User>> {
        self.read(move |db, _| directory::user(db, id)).await
    }

    async fn users(&self, page: Page<UserId>) -> Stored<Vec<User>> {
        self.read(move |db, _| directory::users(db, page)).await
    }

    async fn organisation(&self, id: OrganisationId) -> Stored<Option<Organisation>> {
        self.read(move |db, _| directory::organisation(db, id)).await
    }

    async fn organisations(
        &self,
        member: Option<UserId>,
        page: Page<OrganisationId>,
    ) -> Stored<Vec<(Organisation, Option<Role>)>> {
        self.read(move |db, _| directory::organisations(db, member, page)).await
    }

    async fn members(&self, organisation: OrganisationId) -> Stored<Vec<Member>> {
        self.read(move |db, _| directory::members(db, organisation)).await
    }

    async fn role(&self, owner: OwnerId, user: UserId) -> Stored<Option<Role>> {
        self.read(move |db, _| directory::role(db, owner, user)).await
    }

    async fn resources(&self, owner: OwnerId) -> Stored<Vec<Resource>> {
        self.read(move |db, _| directory::resources(db, owner)).await
    }

    async fn knows(&self, owner: OwnerId) -> Stored<bool> {
        self.read(move |db, _| directory::is_open(db, owner)).await
    }

    async fn add_token(&self, id: TokenId, name: String, token: NewToken, now: Millis) -> Stored<bool> {
        self.writer()?.guarded(move |unit| access::add(unit, id, &name, &token, now)).await
    }

    async fn tokens(&self, user: Option<UserId>) -> Stored<Vec<Token>> {
        self.read(move |db, _| access::list(db, user)).await
    }

    async fn revoke_token(&self, id: TokenId) -> Stored<bool> {
        self.writer()?.guarded(move |unit| access::revoke(unit, id)).await
    }

    async fn operator_token(&self, digest: [u8; 32]) -> Stored<bool> {
        self.read(move |db, _| access::is_operator_token(db, &digest)).await
    }

    async fn pair(&self, public: &str) -> Stored<Option<Bearer>> {
        let public = public.to_owned();
        self.read(move |db, shared| access::pair(db, shared, &public)).await
    }

    async fn users_at(&self, address: String) -> Stored<Vec<User>> {
        self.read(move |db, _| directory::users_at(db, &address)).await
    }

    async fn add_link(&self, digest: [u8; 32], user: UserId, now: Millis) -> Stored<bool> {
        self.writer()?.guarded(move |unit| sessions::add_link(unit, digest, user, now)).await
    }

    async fn sign_in(&self, link: [u8; 32], session: NewSession, now: Millis) -> Stored<SignedIn> {
        self.writer()?.guarded(move |unit| sessions::sign_in(unit, link, &session, now)).await
    }

    async fn session(&self, digest: [u8; 32], now: Millis) -> Stored<Option<(Session, User)>> {
        self.read(move |db, _| sessions::session(db, digest, now)).await
    }

    async fn see_session(&self, id: SessionId, now: Millis) -> Stored<()> {
        self.writer()?.guarded(move |unit| sessions::see(unit, id, now)).await
    }

    async fn sessions(&self, user: UserId, now: Millis) -> Stored<Vec<Session>> {
        self.read(move |db, _| sessions::list(db, user, now)).await
    }

    async fn end_sessions(&self, user: UserId, which: Which) -> Stored<u64> {
        self.writer()?.guarded(move |unit| sessions::end(unit, user, which)).await
    }

    async fn prefer(&self, user: UserId, lang: String, zone: String) -> Stored<bool> {
        self.writer()?.guarded(move |unit| sessions::prefer(unit, user, &lang, &zone)).await
    }

    async fn tidy(&self, now: Millis, before: Millis, excerpts_before: Millis) -> Stored<Tidied> {
        self.writer()?.guarded(move |unit| house::tidy(unit, now, before, excerpts_before)).await
    }

    async fn holding(&self, before: Millis, page: Page<DestinationId>) -> Stored<Vec<Holding>> {
        self.read(move |db, _| held::holding(db, before, page)).await
    }

    async fn tell_held(&self, hook: HookId, told: Draft, now: Millis) -> Stored<bool> {
        self.writer()?.guarded(move |unit| held::tell(unit, hook, told, now)).await
    }

    async fn give_up_held(&self, destination: DestinationId, before: Millis) -> Stored<Tidied> {
        self.writer()?.guarded(move |unit| held::give_up(unit, destination, before)).await
    }

    async fn give_up_waiting(&self, before: Millis) -> Stored<Tidied> {
        self.writer()?.guarded(move |unit| house::give_up_waiting(unit, before)).await
    }

    async fn counts(&self) -> Stored<Counts> {
        self.read(house::counts).await
    }

    async fn ping(&self) -> Stored<()> {
        self.writer()?.guarded(|unit| unit.db.execute_batch("PRAGMA user_version")).await
    }

    async fn about(&self) -> Stored<BTreeMap<&'static str, String>> {
        let path = self.path.clone();
        self.read(move |db, _| house::about(db, &path)).await
    }
}
