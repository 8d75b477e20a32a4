//! The one thread that writes: whatever waits shares one transaction and one fsync, and nobody is answered before it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use sonnette_core::ids::{DestinationId, EventId, HookId, OwnerId};
use sonnette_core::matching::Rule;
use sonnette_core::model::Millis;
use sonnette_core::ports::{StoreError, Stored, Ticket};
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::keys::Keys;
use super::log::Mover;

/// Jobs that may wait. Beyond it callers wait at the door, and past [`PATIENCE`] are told so.
const WAITING: usize = 4_096;
/// Jobs in one transaction.
const GROUP: usize = 1_024;
/// Weight (rows, roughly) in one transaction.
const GROUP_WEIGHT: usize = 20_000;
/// How long a caller waits at the door.
const PATIENCE: Duration = Duration::from_secs(10);
/// Owners whose rules are kept in memory, and rules of all of them; all are dropped when there are more.
const OWNERS: usize = 50_000;
const RULES: usize = 500_000;

/// Changes of counts in the log of them, about: every reader of a count adds them up.
const TALLY_LOG: i64 = 1_024;

/// What the writer knows without asking the file. Dropped and read again when a commit fails.
pub(super) struct Memory {
    pub(super) last: EventId,
    pub(super) bucket: i64,
    pub(super) in_bucket: i64,
    pub(super) keys: Keys,
    /// Entries of the log of counts.
    tally_log: i64,
    rules: HashMap<OwnerId, Option<Arc<[Rule]>>>,
    /// Rules read since all were dropped: as many as are kept, or more.
    rules_read: usize,
}

impl Memory {
    fn load(db: &Connection) -> rusqlite::Result<Self> {
        let last = db.query_row(
            "SELECT max(coalesce((SELECT max(id) FROM events), 0), coalesce((SELECT value FROM marks WHERE name = 'last'), 0))",
            [],
            |row| row.get(0),
        )?;
        let bucket = db.query_row("SELECT coalesce(max(id), 0) FROM buckets", [], |row| row.get(0))?;
        let tally_log = db.query_row("SELECT count(*) FROM tally_log", [], |row| row.get(0))?;
        Ok(Self {
            last: EventId(last),
            bucket,
            in_bucket: 0,
            keys: Keys::load(db)?,
            tally_log,
            rules: HashMap::new(),
            rules_read: 0,
        })
    }
}

/// One transaction under way.
pub(super) struct Unit<'a> {
    pub(super) db: &'a Connection,
    pub(super) memory: &'a mut Memory,
    pub(super) shared: &'a Shared,
    notes: Vec<(DestinationId, Millis)>,
    back: Vec<Ticket>,
    /// Hook, held and dead, one entry a change: added up at the end.
    tallies: Vec<(i64, i64, i64)>,
    /// Owners whose rules were forgotten.
    touched: Vec<OwnerId>,
    /// Whose events grew; `None` if nobody wants to know.
    grown: Option<Vec<OwnerId>>,
}

impl Unit<'_> {
    /// Something falls due: told to the agenda when it is on disk.
    pub(super) fn note(&mut self, destination: DestinationId, due: Millis) {
        self.notes.push((destination, due));
    }

    /// A ticket is back, when what it brought is on disk.
    pub(super) fn back(&mut self, ticket: Ticket) {
        self.back.push(ticket);
    }

    /// An owner has one more event, or a person's memberships, rights or tokens are others.
    pub(super) fn grew(&mut self, owner: OwnerId) {
        // Told without need if the part is undone after all: somebody looks and finds nothing.
        if let Some(grown) = self.grown.as_mut().filter(|grown| grown.last() != Some(&owner)) {
            grown.push(owner);
        }
    }

    /// Counts held and dead deliveries of a hook up or down.
    pub(super) fn tally(&mut self, hook: Option<i64>, held: i64, dead: i64) {
        if let Some(hook) = hook.filter(|_| held != 0 || dead != 0) {
            self.tallies.push((hook, held, dead));
        }
    }

    /// An owner's hooks, or whether there is such an owner, changed.
    pub(super) fn forget_rules(&mut self, owner: OwnerId) {
        self.memory.rules.remove(&owner);
        self.touched.push(owner);
    }

    /// An owner's rules; `None` if there is no such owner.
    pub(super) fn rules(&mut self, owner: OwnerId) -> rusqlite::Result<Option<Arc<[Rule]>>> {
        if let Some(rules) = self.memory.rules.get(&owner) {
            return Ok(rules.clone());
        }
        let rules = if super::directory::is_open(self.db, owner)? {
            Some(super::hooks::rules(self.db, &self.shared.catalogue, owner)?.into())
        } else {
            None
        };
        if self.memory.rules.len() >= OWNERS || self.memory.rules_read >= RULES {
            self.memory.rules.clear();
            self.memory.rules_read = 0;
        }
        self.memory.rules_read += rules.as_ref().map_or(0, |rules: &Arc<[Rule]>| rules.len());
        self.memory.rules.insert(owner, rules.clone());
        Ok(rules)
    }

    /// The rules of a hook's owner changed.
    pub(super) fn hook_changed(&mut self, hook: HookId) -> rusqlite::Result<()> {
        if let Some(owner) = super::hooks::owner(self.db, hook)? {
            self.forget_rules(owner);
        }
        Ok(())
    }

    /// Runs a part that may be undone: what the database and the memory learnt from it goes together. `keep` says of
    /// its result whether it stands; an error undoes it too. (A key learnt for an event that is undone stays: it means
    /// as little as one of an erased event.)
    pub(super) fn part<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
        keep: impl FnOnce(&T) -> bool,
    ) -> rusqlite::Result<T> {
        let before = (self.notes.len(), self.back.len(), self.tallies.len(), self.touched.len());
        let bucket = (self.memory.bucket, self.memory.in_bucket);
        self.db.prepare_cached("SAVEPOINT part")?.execute([])?;
        let outcome = work(self);
        if !outcome.as_ref().is_ok_and(keep) {
            self.db.execute_batch("ROLLBACK TO part")?;
            self.notes.truncate(before.0);
            self.back.truncate(before.1);
            self.tallies.truncate(before.2);
            (self.memory.bucket, self.memory.in_bucket) = bucket;
            // Rules may have been read again after they were forgotten, hooks now undone among them.
            for owner in &self.touched[before.3..] {
                self.memory.rules.remove(owner);
            }
        }
        self.db.prepare_cached("RELEASE part")?.execute([])?;
        outcome
    }

    fn finish(&mut self) -> rusqlite::Result<()> {
        if self.memory.keys.is_due() {
            self.memory.keys.write(self.db)?;
        }
        self.add_up()
    }

    /// Writes down what this transaction changed of the counts: at the end of a log, since with very many hooks each change
    /// would be a page of its own. Adds the log up when it is long.
    fn add_up(&mut self) -> rusqlite::Result<()> {
        let mut changed: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for (hook, held, dead) in self.tallies.drain(..) {
            let tally = changed.entry(hook).or_default();
            tally.0 += held;
            tally.1 += dead;
        }
        let mut log =
            self.db.prepare_cached("INSERT INTO tally_log (hook, held, dead) VALUES (?1, ?2, ?3)")?;
        for (hook, (held, dead)) in changed.into_iter().filter(|(_, tally)| *tally != (0, 0)) {
            log.execute((hook, held, dead))?;
            self.memory.tally_log += 1;
        }
        if self.memory.tally_log < TALLY_LOG {
            return Ok(());
        }
        self.db
            .prepare_cached(
                "INSERT INTO tallies (hook, held, dead)
                 SELECT hook, sum(held), sum(dead) FROM tally_log WHERE hook IN (SELECT id FROM hooks) GROUP BY hook
                 ON CONFLICT (hook) DO UPDATE SET held = held + excluded.held, dead = dead + excluded.dead",
            )?
            .execute([])?;
        self.db.prepare_cached("DELETE FROM tally_log")?.execute([])?;
        self.memory.tally_log = 0;
        Ok(())
    }
}

trait Job: Send {
    fn weight(&self) -> usize;
    /// Whether its refusal by the database must not undo its neighbours. Hot jobs look before they write instead.
    fn guarded(&self) -> bool;
    fn run(&mut self, unit: &mut Unit<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, failure: Option<StoreError>);
}

struct Call<T, F> {
    weight: usize,
    guarded: bool,
    work: Option<F>,
    result: Option<T>,
    reply: oneshot::Sender<Stored<T>>,
}

impl<T: Send, F: FnOnce(&mut Unit<'_>) -> rusqlite::Result<T> + Send> Job for Call<T, F> {
    fn weight(&self) -> usize {
        self.weight
    }

    fn guarded(&self) -> bool {
        self.guarded
    }

    fn run(&mut self, unit: &mut Unit<'_>) -> rusqlite::Result<()> {
        if let Some(work) = self.work.take() {
            self.result = Some(work(unit)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<StoreError>) {
        let answer = match (failure, self.result) {
            (None, Some(result)) => Ok(result),
            (failure, _) => {
                Err(failure.unwrap_or_else(|| StoreError::Unavailable("it was not done".to_owned())))
            }
        };
        // Whoever asked may have gone; what is on disk stays.
        drop(self.reply.send(answer));
    }
}

/// The way to the thread.
pub(super) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    /// Starts the thread, which ends when the last handle is gone.
    pub(super) fn start(
        db: Connection,
        mover: Mover,
        shared: Arc<Shared>,
    ) -> rusqlite::Result<(Self, std::thread::JoinHandle<()>)> {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let memory = Memory::load(&db)?;
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(&db, memory, &shared, mover, waiting))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok((Self { jobs }, thread))
    }

    /// A unit that looks before it writes: an error of the database fails the whole group.
    pub(super) async fn hot<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnOnce(&mut Unit<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Stored<T> {
        self.ask(weight, false, work).await
    }

    /// A unit in its own savepoint.
    pub(super) async fn guarded<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Unit<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Stored<T> {
        self.ask(64, true, work).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        weight: usize,
        guarded: bool,
        work: impl FnOnce(&mut Unit<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Stored<T> {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let (reply, answer) = oneshot::channel();
        let call = Box::new(Call { weight, guarded, work: Some(work), result: None, reply });
        match tokio::time::timeout(PATIENCE, self.jobs.send(call)).await {
            Ok(Ok(())) => answer.await.map_err(|_| closed())?,
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(StoreError::Unavailable("too much is waiting to be written".to_owned())),
        }
    }
}

fn run(
    db: &Connection,
    memory: Memory,
    shared: &Shared,
    mover: Mover,
    mut waiting: mpsc::Receiver<Box<dyn Job>>,
) {
    let mut memory = Some(memory);
    while let Some(first) = waiting.blocking_recv() {
        let mut weight = first.weight();
        let mut group = vec![first];
        while group.len() < GROUP && weight < GROUP_WEIGHT {
            let Ok(job) = waiting.try_recv() else { break };
            weight += job.weight();
            group.push(job);
        }
        let outcome = match memory.take().map_or_else(|| Memory::load(db), Ok) {
            Ok(mut known) => {
                let outcome = commit(db, &mut known, shared, &mut group);
                if outcome.is_ok() {
                    memory = Some(known);
                }
                outcome
            }
            Err(error) => Err(failure(&error)),
        };
        match outcome {
            Ok(failures) => {
                for (job, failure) in group.into_iter().zip(failures) {
                    job.answer(failure);
                }
                if let Err(error) = mover.committed(db) {
                    tracing::warn!(%error, "the log could not be put back into the file");
                }
            }
            Err(error) => {
                tracing::error!(%error, units = group.len(), "nothing of this group was kept");
                for job in group {
                    job.answer(Some(error.clone()));
                }
            }
        }
    }
    drop(mover);
    // Leaves one file behind instead of three; failing that, the next start recovers from the log.
    drop(db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
}

/// Runs a group in one transaction. Gives, for each job, why it alone failed.
fn commit(
    db: &Connection,
    memory: &mut Memory,
    shared: &Shared,
    group: &mut [Box<dyn Job>],
) -> Result<Vec<Option<StoreError>>, StoreError> {
    let mut unit = Unit {
        db,
        memory,
        shared,
        notes: Vec::new(),
        back: Vec::new(),
        tallies: Vec::new(),
        touched: Vec::new(),
        grown: shared.growth.begin(),
    };
    let mut failures = Vec::with_capacity(group.len());
    let mut all = || -> rusqlite::Result<()> {
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for job in group.iter_mut() {
            failures.push(if job.guarded() {
                guarded(job.as_mut(), &mut unit)?
            } else {
                job.run(&mut unit).map(|()| None)?
            });
        }
        unit.finish()?;
        db.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    };
    if let Err(error) = all() {
        if !db.is_autocommit() {
            drop(db.execute_batch("ROLLBACK"));
        }
        return Err(failure(&error));
    }
    shared.committed(&unit.notes, &unit.back, !unit.touched.is_empty(), unit.grown);
    Ok(failures)
}

/// Runs a job whose refusal by the database undoes nothing but itself.
fn guarded(job: &mut dyn Job, unit: &mut Unit<'_>) -> rusqlite::Result<Option<StoreError>> {
    match unit.part(|unit| job.run(unit), |()| true) {
        Ok(()) => Ok(None),
        // Some errors (a full disk) make SQLite undo the whole transaction: then there is no neighbour to save.
        Err(error) if unit.db.is_autocommit() => Err(error),
        Err(error) => Ok(Some(failure(&error))),
    }
}

/// What an error of SQLite is to those who asked.
pub(super) fn failure(error: &rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
            StoreError::Corrupt(error.to_string())
        }
        other => match other.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt(error.to_string())
            }
            _ => StoreError::Unavailable(error.to_string()),
        },
    }
}
