//! Housekeeping in slices: each call moves a bounded number of rows and says whether there is more.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use sonnette_core::ids::{DeliveryId, DestinationId, EventId, HookId, OwnerId};
use sonnette_core::model::{Cancelled, Millis, State};
use sonnette_core::ports::{Counts, Tidied};

use super::rows::{Col, col, settle};
use super::work::{held_for, move_tally};
use super::writer::Unit;
use super::{Shared, hooks, lock};

/// Rows moved at once. A slice shares its transaction with intake, which waits for it.
const SLICE: i64 = 500;
/// Events erased at once; each takes its deliveries and attempts with it.
const PURGE: i64 = 200;

pub(super) fn tidy(unit: &mut Unit<'_>, now: Millis, before: Millis, excerpts_before: Millis) -> rusqlite::Result<Tidied> {
    let steps: [fn(&mut Unit<'_>, Millis, Millis, Millis) -> rusqlite::Result<i64>; 5] = [
        |unit, now, _, _| settle_hook(unit, now),
        |unit, _, _, _| settle_destination(unit),
        |unit, _, before, _| purge_events(unit, before),
        |unit, _, _, before| forget_excerpts(unit, before),
        |unit, now, _, _| erase_owner(unit, now),
    ];
    for step in steps {
        let rows = step(unit, now, before, excerpts_before)?;
        if rows > 0 {
            return Ok(Tidied { rows: u64::try_from(rows).unwrap_or_default(), more: true });
        }
    }
    let rows = forget_the_rest(unit, before)?;
    unit.db.execute_batch("PRAGMA incremental_vacuum(200)")?;
    Ok(Tidied { rows: u64::try_from(rows).unwrap_or_default(), more: false })
}

struct Moving {
    id: DeliveryId,
    hook: Option<i64>,
    state: State,
}

fn moving(db: &Connection, filter: &str, value: i64) -> rusqlite::Result<Vec<Moving>> {
    db.prepare_cached(&format!("SELECT event, n, hook, state FROM deliveries {filter} LIMIT {SLICE}"))?
        .query_map([value], |row| {
            Ok(Moving {
                id: DeliveryId { event: EventId(row.get(0)?), n: row.get(1)? },
                hook: row.get(2)?,
                state: col(row, 3)?,
            })
        })?
        .collect()
}

fn waiting_at(db: &Connection, destination: DestinationId) -> rusqlite::Result<Vec<Moving>> {
    moving(db, "INDEXED BY deliveries_ready WHERE destination = ?1 AND due IS NOT NULL", destination.0)
}

/// What a hook holds, oldest first.
fn held_by(db: &Connection, hook: HookId) -> rusqlite::Result<Vec<Moving>> {
    moving(
        db,
        "INDEXED BY deliveries_held WHERE hook = ?1 AND state BETWEEN 20 AND 29 ORDER BY event, n",
        hook.0,
    )
}

/// Moves rows into one state; those with a due time are told to the agenda.
fn put(unit: &mut Unit<'_>, rows: &[Moving], state: State, due: Option<Millis>) -> rusqlite::Result<i64> {
    let db = unit.db;
    let mut update = db.prepare_cached(
        "UPDATE deliveries SET state = ?3, due = ?4 WHERE event = ?1 AND n = ?2 RETURNING destination",
    )?;
    for row in rows {
        let destination: i64 =
            update.query_row(params![row.id.event.0, row.id.n, Col(state), due], |row| row.get(0))?;
        move_tally(unit, row.hook, row.state, state);
        if let Some(due) = due {
            unit.note(DestinationId(destination), due);
        }
    }
    Ok(i64::try_from(rows.len()).unwrap_or_default())
}

/// One slice for one hook that was paused, resumed or deleted.
fn settle_hook(unit: &mut Unit<'_>, now: Millis) -> rusqlite::Result<i64> {
    let found = unit
        .db
        .prepare_cached("SELECT id, settle, state FROM hooks INDEXED BY hooks_to_settle WHERE settle <> 0 LIMIT 1")?
        .query_row([], |row| Ok((HookId(row.get(0)?), row.get::<_, i64>(1)?, col(row, 2)?)))
        .optional()?;
    let Some((hook, what, state)) = found else { return Ok(0) };
    let moved = match what {
        settle::HOLD => {
            let mut moved = 0;
            for destination in hooks::destination_ids(unit.db, hook)? {
                let rows = waiting_at(unit.db, destination)?;
                moved = put(unit, &rows, held_for(state), None)?;
                if moved > 0 {
                    break;
                }
            }
            moved
        }
        settle::RELEASE => {
            let rows = held_by(unit.db, hook)?;
            put(unit, &rows, State::Pending, Some(now))?
        }
        settle::SKIP => {
            let rows = held_by(unit.db, hook)?;
            put(unit, &rows, State::Cancelled(Cancelled::Skipped), None)?
        }
        // What waits at its destinations is cancelled with them; here what it holds.
        settle::CANCEL => {
            let rows = held_by(unit.db, hook)?;
            put(unit, &rows, State::Cancelled(Cancelled::HookDeleted), None)?
        }
        _ => 0,
    };
    if moved > 0 {
        return Ok(moved);
    }
    unit.db.prepare_cached("UPDATE hooks SET settle = ?2 WHERE id = ?1")?.execute([hook.0, settle::NOTHING])?;
    Ok(1)
}

/// One slice for one destination taken off its hook, or whose hook is deleted. 2 stands for settled.
fn settle_destination(unit: &mut Unit<'_>) -> rusqlite::Result<i64> {
    let found = unit
        .db
        .prepare_cached(
            "SELECT d.id, h.deleted IS NOT NULL FROM destinations d INDEXED BY destinations_to_settle
             LEFT JOIN hooks h ON h.id = d.hook WHERE d.removed = 1 LIMIT 1",
        )?
        .query_row([], |row| Ok((DestinationId(row.get(0)?), row.get::<_, bool>(1)?)))
        .optional()?;
    let Some((destination, hook_deleted)) = found else { return Ok(0) };
    let reason = if hook_deleted { Cancelled::HookDeleted } else { Cancelled::DestinationRemoved };
    let rows = waiting_at(unit.db, destination)?;
    let moved = put(unit, &rows, State::Cancelled(reason), None)?;
    if moved > 0 {
        return Ok(moved);
    }
    unit.db.prepare_cached("UPDATE destinations SET removed = 2, url = NULL WHERE id = ?1")?.execute([destination.0])?;
    Ok(1)
}

fn purge_events(unit: &mut Unit<'_>, before: Millis) -> rusqlite::Result<i64> {
    let db = unit.db;
    let last: Option<i64> = db
        .prepare_cached("SELECT max(id) FROM (SELECT id FROM events WHERE id < ?1 ORDER BY id LIMIT ?2)")?
        .query_row([EventId::first_at(before).0, PURGE], |row| row.get(0))?;
    let Some(last) = last else { return Ok(0) };
    erase(unit, "event <= ?1", "id <= ?1", last)
}

/// Erases events with everything of theirs, and takes them out of the tallies.
fn erase(unit: &mut Unit<'_>, deliveries: &str, events: &str, value: i64) -> rusqlite::Result<i64> {
    let db = unit.db;
    let mut gone: Vec<(Option<i64>, State)> = Vec::new();
    {
        let mut delete = db.prepare_cached(&format!("DELETE FROM deliveries WHERE {deliveries} RETURNING hook, state"))?;
        let mut rows = delete.query([value])?;
        while let Some(row) = rows.next()? {
            gone.push((row.get(0)?, col(row, 1)?));
        }
    }
    for (hook, state) in gone {
        move_tally(unit, hook, state, State::Delivered);
    }
    db.prepare_cached(&format!("DELETE FROM attempts WHERE {deliveries}"))?.execute([value])?;
    let erased = db.prepare_cached(&format!("DELETE FROM events WHERE {events}"))?.execute([value])?;
    Ok(i64::try_from(erased).unwrap_or_default())
}

/// Reply excerpts are kept shorter than what they belong to.
fn forget_excerpts(unit: &mut Unit<'_>, before: Millis) -> rusqlite::Result<i64> {
    let db = unit.db;
    let from: i64 = db
        .prepare_cached("SELECT coalesce((SELECT value FROM marks WHERE name = 'excerpts'), 0)")?
        .query_row([], |row| row.get(0))?;
    let until: Option<i64> = db
        .prepare_cached(
            "SELECT max(event) FROM (SELECT event FROM attempts WHERE event > ?1 AND event < ?2 ORDER BY event LIMIT ?3)",
        )?
        .query_row([from, EventId::first_at(before).0, SLICE], |row| row.get(0))?;
    let Some(until) = until else { return Ok(0) };
    db.prepare_cached("UPDATE attempts SET excerpt = NULL WHERE event > ?1 AND event <= ?2 AND excerpt IS NOT NULL")?
        .execute([from, until])?;
    db.prepare_cached("INSERT OR REPLACE INTO marks (name, value) VALUES ('excerpts', ?1)")?.execute([until])?;
    Ok(1)
}

/// Erases a closed owner, one slice at a time, once nothing it is owed waits any more.
fn erase_owner(unit: &mut Unit<'_>, now: Millis) -> rusqlite::Result<i64> {
    let db = unit.db;
    let mut closed = db.prepare_cached(
        "SELECT owner FROM (SELECT CAST('o' AS BLOB) || id AS owner, closed FROM organisations WHERE closed > 0
         UNION ALL SELECT CAST('u' AS BLOB) || id, closed FROM users WHERE closed > 0) WHERE closed <= ?1",
    )?;
    let owners: Vec<Vec<u8>> = closed.query_map([now], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for bytes in owners {
        let owner = owner_of(&bytes)?;
        // Hooks that hold will never be resumed.
        for hook in held_hooks(db, owner)? {
            hooks::delete(unit, hook)?;
            return Ok(1);
        }
        let waits = db
            .prepare_cached(
                "SELECT 1 FROM hooks h JOIN destinations d ON d.hook = h.id
                 WHERE h.owner = ?1 AND EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_ready
                   WHERE destination = d.id AND due IS NOT NULL)",
            )?
            .exists([Col(owner)])?;
        if waits {
            continue;
        }
        return erase_slice(unit, owner);
    }
    Ok(0)
}

fn owner_of(bytes: &[u8]) -> rusqlite::Result<OwnerId> {
    use rusqlite::types::{FromSql as _, ValueRef};
    Col::<OwnerId>::column_result(ValueRef::Blob(bytes)).map(|col| col.0).map_err(super::rows::bad)
}

fn held_hooks(db: &Connection, owner: OwnerId) -> rusqlite::Result<Vec<HookId>> {
    db.prepare_cached("SELECT id FROM hooks WHERE owner = ?1 AND deleted IS NULL AND state <> 0 LIMIT 1")?
        .query_map([Col(owner)], |row| row.get(0).map(HookId))?
        .collect()
}

fn erase_slice(unit: &mut Unit<'_>, owner: OwnerId) -> rusqlite::Result<i64> {
    let db = unit.db;
    let buckets: Vec<i64> = db
        .prepare_cached("SELECT id FROM buckets ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut erased = 0;
    for bucket in buckets {
        let events: Vec<i64> = db
            .prepare_cached("SELECT id FROM events INDEXED BY events_by_owner WHERE bucket = ?1 AND owner = ?2 LIMIT ?3")?
            .query_map(params![bucket, Col(owner), PURGE], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for event in events {
            // The house's own letters about it go out first: they wait at no hook's destination.
            let waits = db
                .prepare_cached("SELECT 1 FROM deliveries WHERE event = ?1 AND due IS NOT NULL")?
                .exists([event])?;
            if !waits {
                erased += erase(unit, "event = ?1", "id = ?1", event)?;
            }
        }
        if erased > 0 {
            return Ok(erased);
        }
    }
    for sql in [
        "DELETE FROM destinations WHERE hook IN (SELECT id FROM hooks WHERE owner = ?1)",
        "DELETE FROM tallies WHERE hook IN (SELECT id FROM hooks WHERE owner = ?1)",
        "DELETE FROM hooks WHERE owner = ?1",
        "DELETE FROM resources WHERE owner = ?1",
    ] {
        db.prepare_cached(sql)?.execute([Col(owner)])?;
    }
    match owner {
        OwnerId::User(id) => {
            db.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([Col(id)])?;
        }
        OwnerId::Organisation(id) => {
            db.prepare_cached("DELETE FROM members WHERE organisation = ?1")?.execute([Col(id)])?;
            db.prepare_cached("DELETE FROM organisations WHERE id = ?1")?.execute([Col(id)])?;
        }
    }
    Ok(1)
}

/// Small things nobody needs any more: tombstones, empty buckets, old keys, closed resources.
fn forget_the_rest(unit: &mut Unit<'_>, before: Millis) -> rusqlite::Result<i64> {
    let db = unit.db;
    let oldest = EventId::first_at(before).0;
    let mut rows = 0;
    for sql in [
        "DELETE FROM destinations WHERE removed = 2 AND hook IN
           (SELECT id FROM hooks WHERE deleted < ?1 AND settle = 0)",
        "DELETE FROM tallies WHERE hook IN (SELECT id FROM hooks WHERE deleted < ?1 AND settle = 0)",
        "DELETE FROM hooks WHERE deleted < ?1 AND settle = 0",
        "DELETE FROM buckets WHERE id < (SELECT max(id) FROM buckets WHERE first <= ?1)",
    ] {
        rows += db.prepare_cached(sql)?.execute([oldest])?;
    }
    rows += db.prepare_cached("DELETE FROM resources WHERE closed > 0 AND closed < ?1")?.execute([before])?;
    rows += forget_keys(db, oldest)?;
    Ok(i64::try_from(rows).unwrap_or_default())
}

/// Walks the keys a stretch at a time, and over again, dropping those of erased events.
fn forget_keys(db: &Connection, oldest: i64) -> rusqlite::Result<usize> {
    let from: Option<Vec<u8>> = db
        .prepare_cached("SELECT key FROM key_walk")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let from = from.unwrap_or_default();
    let until: Option<Vec<u8>> = db
        .prepare_cached("SELECT max(key) FROM (SELECT key FROM event_keys WHERE key > ?1 ORDER BY key LIMIT 4000)")?
        .query_row([&from], |row| row.get(0))?;
    db.prepare_cached("DELETE FROM key_walk")?.execute([])?;
    let Some(until) = until else { return Ok(0) };
    db.prepare_cached("INSERT INTO key_walk (key) VALUES (?1)")?.execute([&until])?;
    db.prepare_cached("DELETE FROM event_keys WHERE key > ?1 AND key <= ?2 AND event < ?3")?
        .execute(params![from, until, oldest])
}

pub(super) fn counts(db: &Connection, shared: &Shared) -> rusqlite::Result<Counts> {
    let waiting = lock(&shared.agenda).len();
    db.query_row(
        "SELECT coalesce(sum(held), 0), coalesce(sum(dead), 0),
           (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size) FROM tallies",
        [],
        |row| {
            let number = |at| row.get::<_, i64>(at).map(|n| u64::try_from(n).unwrap_or_default());
            Ok(Counts {
                destinations_waiting: u64::try_from(waiting).unwrap_or_default(),
                held: number(0)?,
                dead: number(1)?,
                bytes: number(2)?,
            })
        },
    )
}

pub(super) fn about(db: &Connection, path: &Path) -> rusqlite::Result<BTreeMap<&'static str, String>> {
    let journal: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let synchronous: i64 = db.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    let schema: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(BTreeMap::from([
        ("engine", format!("SQLite {}", rusqlite::version())),
        ("file", path.display().to_string()),
        ("journal", journal),
        ("synchronous", if synchronous == 2 { "FULL".to_owned() } else { synchronous.to_string() }),
        ("schema", schema.to_string()),
    ]))
}
