//! Private letters: their rows are where no list looks, their content is sealed, and erased with their end.

use rusqlite::{Connection, OptionalExtension, params};
use sonnette_core::frame;
use sonnette_core::ids::{DestinationId, EventId};
use sonnette_core::model::{Dead, Event, Millis, State};
use sonnette_core::private::PrivateLetter;
use sonnette_core::secret::Secret;

use super::rows::{Col, bad, letter};
use super::writer::Unit;
use super::{Shared, directory, hooks};

/// The bucket of what is private: none that is walked.
pub(super) const BUCKET: i64 = 0;

pub(super) fn write(
    unit: &mut Unit<'_>,
    letter: &PrivateLetter,
    now: Millis,
) -> rusqlite::Result<Option<EventId>> {
    if !directory::is_open(unit.db, letter.owner)? {
        return Ok(None);
    }
    let id = EventId::next(unit.memory.last, now);
    unit.memory.last = id;
    let mut frame = letter.frame.expose().as_bytes().to_vec();
    frame::stamp(&mut frame, id);
    let frame = Secret::new(String::from_utf8(frame).map_err(bad)?);
    let db = unit.db;
    db.prepare_cached("INSERT INTO events (id, bucket, owner, kind, frame) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            id.0,
            BUCKET,
            Col(letter.owner),
            letter.kind.as_str(),
            hooks::seal(unit.shared, &place(id), &frame),
        ])?;
    db.prepare_cached(
        "INSERT INTO deliveries (event, n, bucket, destination, state, due, letter, address, user)
         VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        id.0,
        BUCKET,
        DestinationId::PRIVATE.0,
        Col(State::Pending),
        now,
        letter::RESOLVED,
        directory::canonical_address(&letter.recipient.address),
        letter.recipient.user.map(Col),
    ])?;
    db.prepare_cached("INSERT INTO private_letters (event, expires) VALUES (?1, ?2)")?
        .execute([id.0, letter.expires])?;
    unit.note(DestinationId::PRIVATE, now);
    Ok(Some(id))
}

/// Opens what is to be sent.
pub(super) fn open(shared: &Shared, event: Event) -> rusqlite::Result<Event> {
    let frame = shared.sealer.open(&place(event.id), &event.frame).map_err(bad)?;
    Ok(Event { frame: frame.expose().as_bytes().to_vec().into(), ..event })
}

/// When a private letter is of no use any more.
pub(super) fn expires(db: &Connection, event: EventId) -> rusqlite::Result<Option<Millis>> {
    db.prepare_cached("SELECT expires FROM private_letters WHERE event = ?1")?
        .query_row([event.0], |row| row.get(0))
        .optional()
}

/// Erases what a letter said.
pub(super) fn forget(db: &Connection, event: EventId) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE events SET frame = x'' WHERE id = ?1")?.execute([event.0])?;
    db.prepare_cached("DELETE FROM private_letters WHERE event = ?1")?.execute([event.0])?;
    Ok(())
}

/// Ends a slice of those that have expired.
pub(super) fn expire(unit: &mut Unit<'_>, now: Millis, slice: i64) -> rusqlite::Result<i64> {
    let db = unit.db;
    let expired: Vec<i64> = db
        .prepare_cached("SELECT event FROM private_letters WHERE expires <= ?1 ORDER BY expires LIMIT ?2")?
        .query_map([now, slice], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for event in &expired {
        db.prepare_cached(
            "UPDATE deliveries SET state = ?2, due = NULL WHERE event = ?1 AND due IS NOT NULL",
        )?
        .execute(params![event, Col(State::Dead(Dead::Expired))])?;
        forget(db, EventId(*event))?;
    }
    Ok(i64::try_from(expired.len()).unwrap_or_default())
}

fn place(event: EventId) -> String {
    format!("event/{}/frame", event.0)
}
