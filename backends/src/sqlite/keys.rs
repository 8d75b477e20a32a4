//! The pairs posters gave, so that a repeat is recognised.
//!
//! A digest is random, and a B-tree of random keys costs a page write each. So new keys go to the end of a log and into
//! memory; when a generation is full it is merged into the B-tree in key order, a slice with every commit, where
//! neighbours share pages. A restart reads the log back.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use sonnette_core::ids::EventId;
use sonnette_core::model::IdempotencyKey;

/// Keys in one generation: what a map of 2^18 places takes, 6.5 MiB, and as much again while it is merged. The larger it is,
/// the more neighbours share a page when they are merged.
const GENERATION: usize = 229_000;
/// Keys merged with one commit, at least.
const SLICE: usize = 256;
/// For each key merged, entries of a log that is merged already erased with it.
const ERASED: usize = 4;

pub(super) struct Keys {
    /// Keys in one generation.
    generation: usize,
    fresh: HashMap<IdempotencyKey, EventId>,
    /// The generation being merged: sorted, with how far it is.
    merging: Vec<(IdempotencyKey, EventId)>,
    merged: usize,
    /// Last entry of the log that belongs to `merging`.
    merging_until: i64,
    /// The entries of the log that are merged: from which on they are still there, and up to which they may go.
    erasing: (i64, i64),
    last_seq: i64,
    added: usize,
}

impl Keys {
    /// Reads the log back.
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Self> {
        Self::of(db, GENERATION)
    }

    fn of(db: &Connection, generation: usize) -> rusqlite::Result<Self> {
        let mut keys = Self {
            generation,
            fresh: HashMap::new(),
            merging: Vec::new(),
            merged: 0,
            merging_until: 0,
            erasing: (0, 0),
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
        if let Ok(place) = self.merging.binary_search_by(|(k, _)| k.cmp(key)) {
            return Ok(Some(self.merging[place].1));
        }
        db.prepare_cached("SELECT event FROM event_keys WHERE key = ?1")?
            .query_row([key.as_slice()], |row| row.get(0).map(EventId))
            .optional()
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

    /// Merges a slice: called once a transaction, before it commits.
    pub(super) fn merge(&mut self, db: &Connection) -> rusqlite::Result<()> {
        if self.merging.is_empty() && self.fresh.len() >= self.generation {
            self.merging = self.fresh.drain().collect();
            self.fresh.shrink_to_fit();
            self.merging.sort_unstable();
            self.merging_until = self.last_seq;
        }
        // Twice what came in: the merge is always done before the next generation is full.
        let slice = SLICE.max(2 * std::mem::take(&mut self.added));
        self.erase(db, slice)?;
        if self.merging.is_empty() {
            return Ok(());
        }
        let end = self.merging.len().min(self.merged + slice);
        let mut insert =
            db.prepare_cached("INSERT OR REPLACE INTO event_keys (key, event) VALUES (?1, ?2)")?;
        for (key, event) in &self.merging[self.merged..end] {
            insert.execute(params![key.as_slice(), event.0])?;
        }
        self.merged = end;
        if end == self.merging.len() {
            self.erasing.1 = self.merging_until;
            self.merging = Vec::new();
            self.merged = 0;
        }
        Ok(())
    }

    /// Erases a slice of the log: all of a generation at once would hold everybody up. What is read back after a restart is
    /// merged again, which changes nothing.
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

    fn count(db: &Connection, table: &str) -> i64 {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_key_is_known_while_it_is_new_while_it_is_merged_and_after_every_restart() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("schema.sql")).unwrap();
        let key = |n: u64| -> IdempotencyKey {
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
            [mixed, n.to_le_bytes()].concat().try_into().unwrap()
        };
        let mut keys = Keys::of(&db, 1_000).unwrap();
        let mut longest_log = 0;
        for n in 0..10_000_u64 {
            assert_eq!(keys.find(&db, &key(n)).unwrap(), None);
            keys.add(&db, key(n), EventId(n as i64 + 1)).unwrap();
            if n % 60 == 0 {
                keys.merge(&db).unwrap();
                longest_log = longest_log.max(count(&db, "key_log"));
            }
            if n % 1_777 == 0 {
                keys = Keys::of(&db, 1_000).unwrap();
            }
            for known in [n, n / 2, n.saturating_sub(900), 0] {
                assert_eq!(keys.find(&db, &key(known)).unwrap(), Some(EventId(known as i64 + 1)), "{known}");
            }
        }
        assert!(count(&db, "event_keys") >= 8_000, "{} are merged", count(&db, "event_keys"));
        assert!(longest_log <= 3_000, "the log grew to {longest_log}");
    }
}
