//! Keys that are written for good. A generation is written as one sorted run, page after page, and never touched again; a filter in
//! memory says which runs need not be asked. When there are many runs they are folded into one tree, a slice of all keys there can
//! be at a time: where many keys come to the same page, the page is written once for them all.

use rusqlite::{Connection, OptionalExtension, params};
use sonnette_core::ids::EventId;
use sonnette_core::model::IdempotencyKey;

use super::filter::Filter;

/// Runs that are kept before they are folded: with their filters 11 MiB, and 7 million keys.
const MOST: usize = 32;
/// Slices in a fold, by the first two bytes of a key, and so at most this many.
const SLICES: u32 = 1 << 16;

struct Run {
    number: i64,
    /// The last event any of its keys brought.
    newest: EventId,
    filter: Filter,
}

pub(super) struct Runs {
    most: usize,
    slices: u32,
    /// Those that are whole, the oldest first.
    whole: Vec<Run>,
    /// The number of the run that is being written.
    next: i64,
    /// How many of the oldest are being folded, and how many slices of them are.
    folding: usize,
    folded: u32,
    /// Whether rows of runs that are not kept any more may be there.
    remains: bool,
}

impl Runs {
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Self> {
        Self::of(db, MOST, SLICES)
    }

    pub(super) fn of(db: &Connection, most: usize, slices: u32) -> rusqlite::Result<Self> {
        let whole: Vec<Run> = db
            .prepare("SELECT run, newest, filter FROM key_filters ORDER BY run")?
            .query_map([], |row| {
                let filter = Filter::from_bytes(row.get_ref(2)?.as_blob()?);
                Ok(Run { number: row.get(0)?, newest: EventId(row.get(1)?), filter })
            })?
            .collect::<rusqlite::Result<_>>()?;
        // A run that was not finished is written again, with the same keys and more.
        let written: i64 =
            db.query_row("SELECT coalesce(max(run), 0) FROM key_runs", [], |row| row.get(0))?;
        let next = written.max(whole.last().map_or(1, |run| run.number + 1));
        Ok(Self { most, slices, whole, next, folding: 0, folded: 0, remains: true })
    }

    /// The event that brought a key last.
    pub(super) fn find(&self, db: &Connection, key: &IdempotencyKey) -> rusqlite::Result<Option<EventId>> {
        for run in self.whole.iter().rev().filter(|run| run.filter.may_hold(key)) {
            let found = db
                .prepare_cached("SELECT event FROM key_runs WHERE run = ?1 AND key = ?2")?
                .query_row(params![run.number, key.as_slice()], |row| row.get(0).map(EventId))
                .optional()?;
            if found.is_some() {
                return Ok(found);
            }
        }
        db.prepare_cached("SELECT event FROM event_keys WHERE key = ?1")?
            .query_row([key.as_slice()], |row| row.get(0).map(EventId))
            .optional()
    }

    /// Adds keys to the run at hand; each is greater than those before.
    pub(super) fn write(&self, db: &Connection, keys: &[(IdempotencyKey, EventId)]) -> rusqlite::Result<()> {
        let mut insert =
            db.prepare_cached("INSERT OR REPLACE INTO key_runs (run, key, event) VALUES (?1, ?2, ?3)")?;
        for (key, event) in keys {
            insert.execute(params![self.next, key.as_slice(), event.0])?;
        }
        Ok(())
    }

    /// The run at hand holds exactly these, and is whole.
    pub(super) fn finish(
        &mut self,
        db: &Connection,
        keys: &[(IdempotencyKey, EventId)],
    ) -> rusqlite::Result<()> {
        let filter = Filter::of(keys.iter().map(|(key, _)| key));
        let newest = keys.iter().map(|(_, event)| *event).max().unwrap_or(EventId(0));
        db.prepare_cached("INSERT INTO key_filters (run, newest, filter) VALUES (?1, ?2, ?3)")?
            .execute(params![self.next, newest.0, filter.to_bytes()])?;
        self.whole.push(Run { number: self.next, newest, filter });
        self.next += 1;
        Ok(())
    }

    /// Goes on with what there is to do, by about as many rows.
    pub(super) fn go_on(&mut self, db: &Connection, rows: usize) -> rusqlite::Result<()> {
        if self.remains && self.drop_remains(db, rows)? > 0 {
            return Ok(());
        }
        if self.folding == 0 && self.whole.len() >= self.most {
            self.folding = self.whole.len();
        }
        let mut folded = 0;
        while self.folding > 0 && folded < rows {
            folded += self.fold_slice(db)?.max(1);
        }
        Ok(())
    }

    /// Folds a slice; after the last one the runs are not kept any more.
    fn fold_slice(&mut self, db: &Connection) -> rusqlite::Result<usize> {
        let begins = |slice: u32| u16::try_from(slice * (SLICES / self.slices)).ok().map(u16::to_be_bytes);
        let (Some(from), until) = (begins(self.folded), begins(self.folded + 1)) else { return Ok(0) };
        // No key is greater than this.
        let until = until.map_or(vec![u8::MAX; 17], Vec::from);
        let mut keys: Vec<([u8; 16], i64)> = Vec::new();
        let mut read = db.prepare_cached(
            "SELECT key, event FROM key_runs WHERE run = ?1 AND key >= ?2 AND key < ?3 ORDER BY key",
        )?;
        for run in self.whole.iter().take(self.folding) {
            let rows =
                read.query_map(params![run.number, from, until], |row| Ok((row.get(0)?, row.get(1)?)))?;
            for row in rows {
                keys.push(row?);
            }
        }
        // Of the same key the newest stays: runs were read from the oldest on, and sorting keeps that order.
        keys.sort_by_key(|(key, _)| *key);
        let mut insert =
            db.prepare_cached("INSERT OR REPLACE INTO event_keys (key, event) VALUES (?1, ?2)")?;
        for (key, event) in &keys {
            insert.execute(params![key.as_slice(), event])?;
        }
        self.folded += 1;
        if self.folded == self.slices {
            let done = std::mem::take(&mut self.folding);
            self.folded = 0;
            self.let_go(db, done)?;
        }
        Ok(keys.len())
    }

    /// The oldest runs are not asked any more. Their rows go in slices.
    fn let_go(&mut self, db: &Connection, count: usize) -> rusqlite::Result<()> {
        let mut delete = db.prepare_cached("DELETE FROM key_filters WHERE run = ?1")?;
        for run in self.whole.drain(..count) {
            delete.execute([run.number])?;
            self.remains = true;
        }
        Ok(())
    }

    fn drop_remains(&mut self, db: &Connection, rows: usize) -> rusqlite::Result<usize> {
        let first = self.whole.first().map_or(self.next, |run| run.number);
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let dropped = db
            .prepare_cached(
                "DELETE FROM key_runs WHERE (run, key) IN
                   (SELECT run, key FROM key_runs WHERE run < ?1 ORDER BY run, key LIMIT ?2)",
            )?
            .execute([first, rows])?;
        self.remains = dropped > 0;
        Ok(dropped)
    }

    /// Runs whose every event is erased go as a whole; what of others is erased goes with them.
    pub(super) fn forget(
        &mut self,
        db: &Connection,
        oldest: EventId,
        rows: usize,
    ) -> rusqlite::Result<usize> {
        // What is being folded ends in the tree.
        if self.folding == 0 {
            let gone = self.whole.iter().take_while(|run| run.newest < oldest).count();
            self.let_go(db, gone)?;
        }
        if self.remains { self.drop_remains(db, rows) } else { Ok(0) }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.whole.len()
    }
}
