//! What the first message of a thread became where it went, for formats whose later messages hang on it.

use rusqlite::{Connection, OptionalExtension, params};
use sonnette_core::formats;
use sonnette_core::ids::{DestinationId, EventId};
use sonnette_core::model::{Event, Hook, Millis, Way};
use sonnette_core::ports::THREAD_LIFE;

use super::rows::Col;

/// What a message hangs on, if its destination's format asks for that: no other costs a look.
pub(super) fn root(
    db: &Connection,
    hook: Option<&Hook>,
    destination: DestinationId,
    event: &Event,
) -> rusqlite::Result<Option<String>> {
    let Some(Way::Webhook { destinations }) = hook.map(|hook| &hook.way) else { return Ok(None) };
    let format = destinations.iter().find(|one| one.id == destination).map(|one| one.format.as_str());
    if format.and_then(formats::find).is_none_or(|format| format.thread_root.is_none()) {
        return Ok(None);
    }
    db.prepare_cached("SELECT root FROM threads WHERE destination = ?1 AND about = coalesce(?2, ?3)")?
        .query_row(
            params![destination.0, event.resource.as_ref().map(|id| id.as_str()), Col(event.owner)],
            |row| row.get(0),
        )
        .optional()
}

/// Later messages of an event's thread hang on this one. Not at a destination that was removed meanwhile.
pub(super) fn begin(
    db: &Connection,
    destination: DestinationId,
    event: EventId,
    root: &str,
    at: Millis,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO threads (destination, about, root, at)
         SELECT d.id, coalesce(e.resource, e.owner), ?3, ?4 FROM events e, destinations d
         WHERE e.id = ?2 AND d.id = ?1 AND d.removed = 0",
    )?
    .execute(params![destination.0, event.0, root, at])?;
    Ok(())
}

/// A destination is no more, or somewhere else.
pub(super) fn end(db: &Connection, destination: DestinationId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM threads WHERE destination = ?1")?.execute([destination.0])?;
    Ok(())
}

/// Forgets at most `most` that are too old to be gone on with.
pub(super) fn forget(db: &Connection, now: Millis, most: i64) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM threads WHERE (destination, about) IN
           (SELECT destination, about FROM threads INDEXED BY threads_by_age WHERE at <= ?1 LIMIT ?2)",
    )?
    .execute([now - THREAD_LIFE, most])
}
