//! The pairs posters gave, so that a repeat is recognised.
//!
//! A digest is random, and a B-tree of random keys costs a page write each. So new keys go to the end of a log and into
//! memory; when a generation is full it is merged into the B-tree in key order, a slice with every commit, where
//! neighbours share pages. A restart reads the log back.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use sonnette_core::ids::EventId;
use sonnette_core::model::IdempotencyKey;

/// Keys in one generation: 2.5 MiB of memory each, two at most.
const GENERATION: usize = 100_000;
/// Keys merged with one commit, at least.
const SLICE: usize = 256;

#[derive(Default)]
pub(super) struct Keys {
    fresh: HashMap<IdempotencyKey, EventId>,
    /// The generation being merged: sorted, with how far it is.
    merging: Vec<(IdempotencyKey, EventId)>,
    merged: usize,
    /// Last entry of the log that belongs to `merging`.
    merging_until: i64,
    last_seq: i64,
    added: usize,
}

impl Keys {
    /// Reads the log back.
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let mut keys = Self::default();
        let mut statement = db.prepare("SELECT seq, key, event FROM key_log ORDER BY seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            keys.last_seq = row.get(0)?;
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
        if self.merging.is_empty() && self.fresh.len() >= GENERATION {
            self.merging = self.fresh.drain().collect();
            self.fresh.shrink_to_fit();
            self.merging.sort_unstable();
            self.merging_until = self.last_seq;
        }
        // Twice what came in: the merge is always done before the next generation is full.
        let slice = SLICE.max(2 * std::mem::take(&mut self.added));
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
            db.prepare_cached("DELETE FROM key_log WHERE seq <= ?1")?.execute([self.merging_until])?;
            self.merging = Vec::new();
            self.merged = 0;
        }
        Ok(())
    }

    /// Whether the transaction at hand has anything of ours to write.
    pub(super) fn is_due(&self) -> bool {
        self.added > 0
    }
}
