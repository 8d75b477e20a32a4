//! The pairs posters gave, so that a repeat is recognised.
//!
//! A digest is random, and a B-tree of random keys costs a page write each. So new keys go to the end of a log and into
//! memory; when a generation is full it is written in key order as a run (`runs`), a slice with every commit. A restart reads
//! the log back.

mod filter;
mod runs;

use std::collections::HashMap;

use rusqlite::{Connection, params};
use sonnette_core::ids::EventId;
use sonnette_core::model::IdempotencyKey;

use runs::Runs;

/// Keys in one generation: what a map of 2^18 places takes, 6.5 MiB, and as much again while it is written.
const GENERATION: usize = 229_000;
/// Keys written with one commit, at least.
const SLICE: usize = 256;
/// For each key written, entries of a log that is written already erased with it.
const ERASED: usize = 4;
/// Keys forgotten at once.
const FORGOTTEN: usize = 4_000;

pub(super) struct Keys {
    /// Keys in one generation.
    generation: usize,
    fresh: HashMap<IdempotencyKey, EventId>,
    /// The generation being written: sorted, with how far it is.
    writing: Vec<(IdempotencyKey, EventId)>,
    written: usize,
    /// Last entry of the log that belongs to `writing`.
    writing_until: i64,
    /// The entries of the log that are in a run: from which on they are still there, and up to which they may go.
    erasing: (i64, i64),
    runs: Runs,
    last_seq: i64,
    added: usize,
}

impl Keys {
    /// Reads the log back.
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Self> {
        Self::of(db, GENERATION, Runs::load(db)?)
    }

    fn of(db: &Connection, generation: usize, runs: Runs) -> rusqlite::Result<Self> {
        let mut keys = Self {
            generation,
            fresh: HashMap::new(),
            writing: Vec::new(),
            written: 0,
            writing_until: 0,
            erasing: (0, 0),
            runs,
            last_seq: 0,
            added: 0,
        };
        let mut statement = db.prepare("SELECT seq, key, event FROM key_log ORDER BY seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            keys.last_seq = row.get(0)?;
            keys.erasing.0 = if keys.fresh.is_empty() { keys.last_seq - 1 } else { keys.erasing.0 };
            keys.fresh.insert(row.get(1)?, EventId(row.get(2)?));
        }
        Ok(keys)
    }

    /// The event that brought this key, if it is remembered.
    pub(super) fn find(&self, db: &Connection, key: &IdempotencyKey) -> rusqlite::Result<Option<EventId>> {
        if let Some(event) = self.fresh.get(key) {
            return Ok(Some(*event));
        }
        if let Ok(place) = self.writing.binary_search_by(|(k, _)| k.cmp(key)) {
            return Ok(Some(self.writing[place].1));
        }
        self.runs.find(db, key)
    }

    /// Remembers a key.
    pub(super) fn add(
        &mut self,
        db: &Connection,
        key: IdempotencyKey,
        event: EventId,
    ) -> rusqlite::Result<()> {
        self.last_seq += 1;
        db.prepare_cached("INSERT INTO key_log (seq, key, event) VALUES (?1, ?2, ?3)")?.execute(params![
            self.last_seq,
            key.as_slice(),
            event.0
        ])?;
        self.fresh.insert(key, event);
        self.added += 1;
        Ok(())
    }

    /// Writes a slice: called once a transaction, before it commits.
    pub(super) fn write(&mut self, db: &Connection) -> rusqlite::Result<()> {
        if self.writing.is_empty() && self.fresh.len() >= self.generation {
            self.writing = self.fresh.drain().collect();
            self.fresh.shrink_to_fit();
            self.writing.sort_unstable();
            self.writing_until = self.last_seq;
        }
        // Twice what came in: all there is to do is done before the next generation is full.
        let slice = SLICE.max(2 * std::mem::take(&mut self.added));
        self.erase(db, slice)?;
        self.runs.go_on(db, slice)?;
        if self.writing.is_empty() {
            return Ok(());
        }
        let end = self.writing.len().min(self.written + slice);
        self.runs.write(db, &self.writing[self.written..end])?;
        self.written = end;
        if end == self.writing.len() {
            self.runs.finish(db, &self.writing)?;
            self.erasing.1 = self.writing_until;
            self.writing = Vec::new();
            self.written = 0;
        }
        Ok(())
    }

    /// Forgets keys of which only erased events are left.
    pub(super) fn forget(&mut self, db: &Connection, oldest: EventId) -> rusqlite::Result<usize> {
        self.runs.forget(db, oldest, FORGOTTEN)
    }

    /// Erases a slice of the log: all of a generation at once would hold everybody up. What is read back after a restart is
    /// written again, which changes nothing.
    fn erase(&mut self, db: &Connection, slice: usize) -> rusqlite::Result<()> {
        let (from, last) = self.erasing;
        if from < last {
            let until = last.min(from + i64::try_from(slice * ERASED).unwrap_or(i64::MAX));
            db.prepare_cached("DELETE FROM key_log WHERE seq <= ?1")?.execute([until])?;
            self.erasing.0 = until;
        }
        Ok(())
    }

    /// Whether the transaction at hand has anything of ours to write.
    pub(super) fn is_due(&self) -> bool {
        self.added > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn count(db: &Connection, table: &str) -> i64 {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    fn key(n: i64) -> IdempotencyKey {
        *Sha256::digest(n.to_le_bytes()).first_chunk().unwrap()
    }

    fn store() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("schema.sql")).unwrap();
        db.execute_batch(include_str!("runs.sql")).unwrap();
        db
    }

    fn load(db: &Connection) -> Keys {
        Keys::of(db, 500, Runs::of(db, 4, 256).unwrap()).unwrap()
    }

    #[test]
    fn a_key_is_known_while_it_is_new_while_it_is_written_and_folded_and_after_every_restart() {
        let db = store();
        let mut keys = load(&db);
        let (mut longest_log, mut most_runs) = (0, 0);
        for n in 0..10_000 {
            assert_eq!(keys.find(&db, &key(n)).unwrap(), None);
            keys.add(&db, key(n), EventId(n + 1)).unwrap();
            if n % 10 == 0 {
                keys.write(&db).unwrap();
                longest_log = longest_log.max(count(&db, "key_log"));
                most_runs = most_runs.max(keys.runs.len());
            }
            if n % 3_777 == 0 {
                keys = load(&db);
            }
            for known in [n, n / 2, (n - 900).max(0), 0] {
                assert_eq!(keys.find(&db, &key(known)).unwrap(), Some(EventId(known + 1)), "{known}");
            }
        }
        assert!(count(&db, "event_keys") >= 2_000, "{} are folded", count(&db, "event_keys"));
        assert!((4..=10).contains(&most_runs), "{most_runs} runs at once");
        assert!(longest_log <= 1_500, "the log grew to {longest_log}");
    }

    #[test]
    fn of_a_key_that_was_used_again_the_newest_event_counts_wherever_the_others_are() {
        let db = store();
        let mut keys = load(&db);
        for n in 0..6_000 {
            keys.add(&db, key(n % 1_200), EventId(n + 1)).unwrap();
            keys.write(&db).unwrap();
            let newest = |known: i64| EventId(n - (n - known).rem_euclid(1_200) + 1);
            for known in [0, n % 1_200, (n + 1) % 1_200, (n + 700) % 1_200] {
                let expected = (known <= n).then(|| newest(known));
                assert_eq!(keys.find(&db, &key(known)).unwrap(), expected, "{known} at {n}");
            }
        }
        assert!(count(&db, "event_keys") > 0);
    }

    #[test]
    fn runs_of_erased_events_are_forgotten_whole_and_nothing_of_them_remains() {
        let db = store();
        let mut keys = load(&db);
        for n in 0..1_700 {
            keys.add(&db, key(n), EventId(n + 1)).unwrap();
            keys.write(&db).unwrap();
        }
        let (runs, rows) = (keys.runs.len(), count(&db, "key_runs"));
        assert!(runs >= 2 && rows >= 1_000);
        assert_eq!(keys.forget(&db, EventId(400)).unwrap(), 0, "a run is as old as its newest key");
        while keys.forget(&db, EventId(5_000)).unwrap() > 0 {}
        assert_eq!((keys.runs.len(), count(&db, "key_filters")), (0, 0));
        assert_eq!(load(&db).find(&db, &key(0)).unwrap(), None);
        assert_eq!(keys.find(&db, &key(1_699)).unwrap(), Some(EventId(1_700)), "it is not in a run yet");
        assert!(count(&db, "key_runs") < rows - 900);
    }
}
