//! Putting the write-ahead log back into the file, on a thread of its own: the writer would stop for as long as it takes.
//!
//! A log begins anew only once all of it is in the file and nobody reads it. While the writer goes on, the other thread never
//! gets to its end; so when little is left, the writer moves that little itself.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// Pages in the log from which on it is moved.
const ENOUGH: i64 = 1_000;
/// As few as the writer moves between two commits.
const FEW: i64 = 64;
/// Pages in the log from which on the writer moves what is left, few or many: the other thread does not keep up.
const TOO_MANY: i64 = 4 * ENOUGH;

/// The thread that moves.
pub(super) struct Mover {
    /// `None` once it ends.
    wake: Option<SyncSender<()>>,
    moving: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    /// Starts it, with a connection of its own.
    pub(super) fn start(path: &Path) -> rusqlite::Result<Self> {
        let db = super::connect(path, 0, true)?;
        let (wake, woken) = sync_channel::<()>(1);
        let moving = Arc::new(AtomicBool::new(false));
        let at_work = Arc::clone(&moving);
        let work = move || {
            while woken.recv().is_ok() {
                if let Err(error) = put_back(&db) {
                    // It is tried again after the next commit; what is in the log is as safe as in the file.
                    tracing::warn!(%error, "the log could not be put back into the file");
                }
                at_work.store(false, Ordering::Release);
            }
        };
        let thread = std::thread::Builder::new()
            .name("store-log".to_owned())
            .spawn(work)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(Self { wake: Some(wake), moving, thread: Some(thread) })
    }

    /// Called by the writer after a commit, with its connection.
    pub(super) fn committed(&self, db: &Connection) -> rusqlite::Result<()> {
        if self.moving.load(Ordering::Acquire) {
            return Ok(());
        }
        let (pages, moved) = look(db)?;
        if pages < ENOUGH {
            return Ok(());
        }
        if pages - moved <= FEW || pages >= TOO_MANY {
            return put_back(db);
        }
        self.moving.store(true, Ordering::Release);
        if self.wake.as_ref().is_none_or(|wake| wake.try_send(()).is_err()) {
            self.moving.store(false, Ordering::Release);
        }
        Ok(())
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that moves the log did not end well");
        }
    }
}

/// Pages in the log, and how many of them are in the file.
fn look(db: &Connection) -> rusqlite::Result<(i64, i64)> {
    db.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}

/// Moves what is there and nobody reads.
fn put_back(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_begins_anew_while_the_writer_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let db = crate::sqlite::connect(&path, 1 << 20, true).unwrap();
        db.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)").unwrap();
        let mover = Mover::start(&path).unwrap();
        let (mut longest, mut anew) = (0, 0);
        for n in 0..2_000 {
            db.execute("INSERT INTO t (text) VALUES (?1)", ["x".repeat(20_000)]).unwrap();
            let before = look(&db).unwrap().0;
            anew += usize::from(n > 0 && before < longest / 2);
            longest = if before < longest / 2 { before } else { longest.max(before) };
            assert!(before < 2 * TOO_MANY, "the log is {before} pages long");
            mover.committed(&db).unwrap();
        }
        assert!(anew >= 2, "12,000 pages went through a log that began anew {anew} times");
    }
}
