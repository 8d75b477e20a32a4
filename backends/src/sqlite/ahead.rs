//! Reading forward: what came after a place, oldest first. Streams live on it.
//!
//! Ids grow in the order of commits, over all owners, so whoever has read an owner's events up to the newest id there is
//! has read them all, and no later event is below it.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sonnette_core::ids::{EventId, OrganisationId, OwnerId, UserId};
use sonnette_core::model::Event;
use sonnette_core::ports::{Ahead, Look, Stretch};

use super::directory::{is_open, limit, role};
use super::rows::{Col, col};
use super::work::event_of;

/// Buckets walked for one owner in one look: a quiet owner read from long ago takes several.
const WALK: usize = 4_096;

/// What is still wanted.
struct Room {
    events: usize,
    bytes: usize,
    /// The first event is given whatever its size.
    empty: bool,
}

impl Room {
    fn takes(&mut self, len: usize) -> bool {
        let fits = self.events > 0 && (self.empty || len <= self.bytes);
        if fits {
            self.empty = false;
            self.events -= 1;
            self.bytes = self.bytes.saturating_sub(len);
        }
        fits
    }
}

pub(super) fn ahead(db: &Connection, look: Look) -> rusqlite::Result<Ahead> {
    // One snapshot: who left before it is given nothing of it.
    let snapshot = db.unchecked_transaction()?;
    let (newest, erased) = db
        .prepare_cached(
            "SELECT max(coalesce((SELECT max(id) FROM events), 0), coalesce((SELECT value FROM marks WHERE name = 'last'), 0)),
               coalesce((SELECT value FROM marks WHERE name = 'erased'), 0)",
        )?
        .query_row([], |row| Ok((EventId(row.get(0)?), EventId(row.get(1)?))))?;
    let mut places = look.places;
    if let (Some(from), Some(reader)) = (look.others, look.reader) {
        for (owner, since) in owners_of(db, reader)? {
            match places.iter_mut().find(|(known, _)| *known == owner) {
                // Whoever left and came again missed what was between.
                Some((_, place)) => *place = since.max(*place),
                None => places.push((owner, since.max(from))),
            }
        }
    }
    let mut room = Room { events: look.events, bytes: look.bytes, empty: true };
    let mut stretches = Vec::with_capacity(places.len());
    for (owner, after) in places {
        let role = match look.reader {
            Some(reader) => role(db, owner, reader)?,
            None => None,
        };
        let mut events = Vec::new();
        let (until, more) = stretch(db, owner, after, newest, &mut room, &mut events)?;
        stretches.push(Stretch { owner, role, from: after, events, until, more });
    }
    drop(snapshot);
    Ok(Ahead { stretches, newest, erased })
}

/// A person's own space, and the organisations they are a member of, each with the last event before it was theirs.
fn owners_of(db: &Connection, user: UserId) -> rusqlite::Result<Vec<(OwnerId, EventId)>> {
    if !is_open(db, user.into())? {
        return Ok(Vec::new());
    }
    let mut owners = vec![(OwnerId::from(user), EventId(0))];
    let mut members = db.prepare_cached(
        "SELECT m.organisation, m.since FROM members m JOIN organisations o ON o.id = m.organisation
         WHERE m.user = ?1 AND o.closed = 0 ORDER BY m.organisation",
    )?;
    let read = |row: &Row<'_>| Ok((col::<OrganisationId>(row, 0)?, EventId(row.get(1)?)));
    for member in members.query_map([Col(user)], read)? {
        let (organisation, since) = member?;
        owners.push((organisation.into(), since));
    }
    Ok(owners)
}

/// Reads one owner's events after a place: how far it came, and whether there may be more.
fn stretch(
    db: &Connection,
    owner: OwnerId,
    after: EventId,
    newest: EventId,
    room: &mut Room,
    events: &mut Vec<Event>,
) -> rusqlite::Result<(EventId, bool)> {
    if after >= newest {
        return Ok((after, false));
    }
    if room.events == 0 {
        return Ok((after, true));
    }
    // Whatever came after a place is in the bucket of the last event before it, or in a later one.
    let from: Option<i64> = db
        .prepare_cached("SELECT bucket FROM events WHERE id <= ?1 AND bucket > 0 ORDER BY id DESC LIMIT 1")?
        .query_row([after.0], |row| row.get(0))
        .optional()?;
    let mut buckets: Vec<(i64, i64)> = db
        .prepare_cached("SELECT id, first FROM buckets WHERE id >= ?1 ORDER BY id LIMIT ?2")?
        .query_map([from.unwrap_or_default(), limit(WALK + 1)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let beyond = if buckets.len() > WALK { buckets.pop() } else { None };
    let mut until = after;
    let mut statement = db.prepare_cached(
        "SELECT id, owner, kind, resource, frame FROM events INDEXED BY events_by_owner
         WHERE bucket = ?1 AND owner = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
    )?;
    for (bucket, _) in buckets {
        let wanted = limit(room.events.saturating_add(1));
        for event in statement.query_map(params![bucket, Col(owner), until.0, wanted], event_of)? {
            let event = event?;
            if !room.takes(event.frame.len()) {
                return Ok((until, true));
            }
            until = event.id;
            events.push(event);
        }
    }
    Ok(match beyond {
        Some((_, first)) => (until.max(EventId(first - 1)), true),
        None => (newest, false),
    })
}
