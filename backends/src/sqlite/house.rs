//! Housekeeping in slices: each call moves a bounded number of rows and says whether there is more.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};
use sonnette_core::ids::{DeliveryId, DestinationId, EventId, HookId, OrganisationId, OwnerId, UserId};
use sonnette_core::model::{Cancelled, Dead, HookState, Millis, State};
use sonnette_core::ports::{Counts, Tidied};

use super::rows::{Col, col, settle};
use super::work::{held_for, move_tally};
use super::writer::Unit;
use super::{Shared, hooks, lock, private, sessions, stops, threads};

/// Rows moved at once. A slice shares its transaction with intake, which waits for it.
pub(super) const SLICE: i64 = 500;
/// Events erased at once at most.
const PURGE: i64 = 200;
/// Rows erased at once: events, deliveries and attempts.
const ROWS: i64 = 2_000;

/// One kind of work: given now, what is erased before, and what excerpts are forgotten before, it moves a slice of rows.
type Step = fn(&mut Unit<'_>, Millis, Millis, Millis) -> rusqlite::Result<i64>;

pub(super) fn tidy(
    unit: &mut Unit<'_>,
    now: Millis,
    before: Millis,
    excerpts_before: Millis,
) -> rusqlite::Result<Tidied> {
    let steps: [Step; 9] = [
        |unit, now, _, _| settle_hook(unit, now),
        |unit, _, _, _| settle_destination(unit),
        |unit, now, _, _| private::expire(unit, now, SLICE),
        |unit, now, _, _| stops::release_confirmed(unit, now, SLICE),
        |unit, now, _, _| stops::give_up_unconfirmed(unit, now, SLICE),
        |unit, now, _, _| stops::sum_up(unit, now, SLICE),
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
    let rows = forget_the_rest(unit, now, before)?
        + i64::try_from(sessions::forget(unit.db, now)?).unwrap_or_default();
    // Each step frees one page.
    let mut vacuum = unit.db.prepare_cached("PRAGMA incremental_vacuum(200)")?;
    let mut freed = vacuum.query([])?;
    while freed.next()?.is_some() {}
    Ok(Tidied { rows: u64::try_from(rows).unwrap_or_default(), more: false })
}

struct Moving {
    id: DeliveryId,
    hook: Option<i64>,
    state: State,
}

fn moving(
    db: &Connection,
    filter: &str,
    destination: DestinationId,
    until: i64,
) -> rusqlite::Result<Vec<Moving>> {
    db.prepare_cached(&format!("SELECT event, n, hook, state FROM deliveries {filter} LIMIT {SLICE}"))?
        .query_map([destination.0, until], moved)?
        .collect()
}

/// Reads `event, n, hook, state`.
fn moved(row: &Row<'_>) -> rusqlite::Result<Moving> {
    Ok(Moving {
        id: DeliveryId { event: EventId(row.get(0)?), n: row.get(1)? },
        hook: row.get(2)?,
        state: col(row, 3)?,
    })
}

/// What waits at a destination, up to an event.
fn waiting_at(db: &Connection, destination: DestinationId, until: i64) -> rusqlite::Result<Vec<Moving>> {
    moving(
        db,
        "INDEXED BY deliveries_ready WHERE destination = ?1 AND due IS NOT NULL AND event <= ?2",
        destination,
        until,
    )
}

/// What is held at a destination, oldest first, up to an event.
fn held_at(db: &Connection, destination: DestinationId, until: i64) -> rusqlite::Result<Vec<Moving>> {
    moving(
        db,
        "INDEXED BY deliveries_held WHERE destination = ?1 AND state BETWEEN 20 AND 29 AND event <= ?2 ORDER BY event, n",
        destination,
        until,
    )
}

/// Moves rows to where they are not tried.
fn put(unit: &mut Unit<'_>, rows: &[Moving], state: State) -> rusqlite::Result<i64> {
    let db = unit.db;
    let mut update =
        db.prepare_cached("UPDATE deliveries SET state = ?3, due = NULL WHERE event = ?1 AND n = ?2")?;
    for row in rows {
        update.execute(params![row.id.event.0, row.id.n, Col(state)])?;
        move_tally(unit, row.hook, row.state, state);
    }
    Ok(i64::try_from(rows.len()).unwrap_or_default())
}

/// Cancels a slice of what a destination owes, waiting or held, up to an event.
fn cancel(
    unit: &mut Unit<'_>,
    destination: DestinationId,
    until: i64,
    why: Cancelled,
) -> rusqlite::Result<i64> {
    let mut rows = waiting_at(unit.db, destination, until)?;
    if rows.is_empty() {
        rows = held_at(unit.db, destination, until)?;
    }
    put(unit, &rows, State::Cancelled(why))
}

/// Makes a slice of what is held due now. Their schedules begin anew: they may have been held for longer than one is.
fn release(unit: &mut Unit<'_>, destination: DestinationId, now: Millis) -> rusqlite::Result<i64> {
    let db = unit.db;
    let rows = held_at(db, destination, i64::MAX)?;
    let mut update = db.prepare_cached(
        "UPDATE deliveries SET state = iif(attempts = 0, ?3, ?4), due = ?5, since = ?5, spent = attempts
         WHERE event = ?1 AND n = ?2",
    )?;
    for row in &rows {
        update.execute(params![row.id.event.0, row.id.n, Col(State::Pending), Col(State::Retrying), now])?;
        move_tally(unit, row.hook, row.state, State::Pending);
    }
    if !rows.is_empty() {
        unit.note(destination, now);
    }
    Ok(i64::try_from(rows.len()).unwrap_or_default())
}

/// One slice for one hook that was paused or resumed. What is to be skipped goes first, so that a hook paused again at
/// once does not keep it.
fn settle_hook(unit: &mut Unit<'_>, now: Millis) -> rusqlite::Result<i64> {
    let found = unit
        .db
        .prepare_cached(
            "SELECT id, settle, skip, state FROM hooks INDEXED BY hooks_to_settle WHERE settle <> 0 LIMIT 1",
        )?
        .query_row([], |row| {
            Ok((HookId(row.get(0)?), row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?, col(row, 3)?))
        })
        .optional()?;
    let Some((hook, what, skip, state)) = found else { return Ok(0) };
    for destination in hooks::destination_ids(unit.db, hook)? {
        let moved = match (skip, what) {
            (Some(until), _) => cancel(unit, destination, until, Cancelled::Skipped)?,
            (None, settle::HOLD) => {
                let rows = waiting_at(unit.db, destination, i64::MAX)?;
                put(unit, &rows, held_for(state))?
            }
            (None, settle::RELEASE) => release(unit, destination, now)?,
            _ => 0,
        };
        if moved > 0 {
            return Ok(moved);
        }
    }
    let left = if skip.is_some() && what != settle::SKIP { what } else { settle::NOTHING };
    unit.db
        .prepare_cached("UPDATE hooks SET settle = ?2, skip = NULL WHERE id = ?1")?
        .execute([hook.0, left])?;
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
    let moved = cancel(unit, destination, i64::MAX, reason)?;
    if moved > 0 {
        return Ok(moved);
    }
    unit.db
        .prepare_cached("UPDATE destinations SET removed = 2, url = NULL, fields = NULL WHERE id = ?1")?
        .execute([destination.0])?;
    threads::end(unit.db, destination)?;
    // They hold its URL.
    unit.db
        .prepare_cached(
            "DELETE FROM failures WHERE hook = (SELECT hook FROM destinations WHERE id = ?1) AND destination = ?1",
        )?
        .execute([destination.0])?;
    Ok(1)
}

/// One slice of giving up what still waits of old events. `waited` is how far it has walked: rows are in the order of their
/// events, and what is accepted, or sent again, behind it has until its event is erased.
pub(super) fn give_up_waiting(unit: &mut Unit<'_>, before: Millis) -> rusqlite::Result<Tidied> {
    let db = unit.db;
    let last: Option<i64> = db
        .prepare_cached(
            "SELECT max(id) FROM (SELECT id FROM events WHERE id < ?1
               AND id > coalesce((SELECT value FROM marks WHERE name = 'waited'), 0) ORDER BY id LIMIT ?2)",
        )?
        .query_row([EventId::first_at(before).0, SLICE], |row| row.get(0))?;
    let Some(last) = last else { return Ok(Tidied::default()) };
    // The `+` keeps to the order of events: the index of what is due has another.
    let rows: Vec<Moving> = db
        .prepare_cached(
            "SELECT event, n, hook, state FROM deliveries
             WHERE event > coalesce((SELECT value FROM marks WHERE name = 'waited'), 0) AND event <= ?1
               AND +due IS NOT NULL ORDER BY event, n LIMIT ?2",
        )?
        .query_map([last, SLICE], moved)?
        .collect::<rusqlite::Result<_>>()?;
    let moved = put(unit, &rows, State::Dead(Dead::Expired))?;
    if moved < SLICE {
        db.prepare_cached("INSERT OR REPLACE INTO marks (name, value) VALUES ('waited', ?1)")?
            .execute([last])?;
    }
    Ok(Tidied { rows: moved.unsigned_abs(), more: true })
}

fn purge_events(unit: &mut Unit<'_>, before: Millis) -> rusqlite::Result<i64> {
    let db = unit.db;
    let events: Vec<i64> = db
        .prepare_cached("SELECT id FROM events WHERE id < ?1 ORDER BY id LIMIT ?2")?
        .query_map([EventId::first_at(before).0, PURGE], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut room = ROWS;
    let mut erased = None;
    for event in events {
        if !erase(unit, event, Leaves::Nothing, &mut room)? {
            break;
        }
        erased = Some(event);
    }
    if let Some(last) = erased {
        // Whoever read up to before it is told that there is a gap.
        db.prepare_cached("INSERT OR REPLACE INTO marks (name, value) VALUES ('erased', ?1)")?
            .execute([last])?;
        keep_last(unit)?;
    }
    Ok(ROWS - room)
}

/// What stays of an event that is erased.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    Nothing,
    /// Its id and the digest of its content, if a poster gave it a pair: a repeat is recognised until retention. Without it a
    /// late repeat of an owner's creation would bring the owner back.
    Repeat,
}

/// Erases an event with everything of its, and takes it out of the tallies. `room` is how many rows may still go; `false` if
/// they did not suffice, and the event is still there.
fn erase(unit: &mut Unit<'_>, event: i64, leaves: Leaves, room: &mut i64) -> rusqlite::Result<bool> {
    let db = unit.db;
    let rows: Vec<(Moving, i64)> = db
        .prepare_cached(
            "SELECT event, n, hook, state, attempts FROM deliveries WHERE event = ?1 ORDER BY n LIMIT ?2",
        )?
        .query_map([event, *room + 1], |row| Ok((moved(row)?, row.get(4)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut delivery = db.prepare_cached("DELETE FROM deliveries WHERE event = ?1 AND n = ?2")?;
    let mut attempts = db.prepare_cached("DELETE FROM attempts WHERE event = ?1 AND n = ?2")?;
    for (row, tried) in rows {
        if *room <= 0 {
            return Ok(false);
        }
        *room -= 1 + tried;
        attempts.execute(params![event, row.id.n])?;
        delivery.execute(params![event, row.id.n])?;
        move_tally(unit, row.hook, row.state, State::Delivered);
    }
    if *room <= 0 {
        return Ok(false);
    }
    *room -= 1;
    db.prepare_cached("DELETE FROM private_letters WHERE event = ?1")?.execute([event])?;
    let left = leaves == Leaves::Repeat
        && db
            .prepare_cached(
                "UPDATE events SET bucket = ?2, owner = x'', kind = '', resource = NULL, frame = x''
                 WHERE id = ?1 AND content IS NOT NULL",
            )?
            .execute([event, private::BUCKET])?
            > 0;
    if !left {
        db.prepare_cached("DELETE FROM events WHERE id = ?1")?.execute([event])?;
    }
    Ok(true)
}

/// Ids never go back, even if the newest event is erased and the clock set back.
fn keep_last(unit: &Unit<'_>) -> rusqlite::Result<()> {
    unit.db
        .prepare_cached("INSERT OR REPLACE INTO marks (name, value) VALUES ('last', ?1)")?
        .execute([unit.memory.last.0])?;
    Ok(())
}

/// Reply excerpts are kept shorter than what they belong to.
fn forget_excerpts(unit: &mut Unit<'_>, before: Millis) -> rusqlite::Result<i64> {
    let forgotten = unit
        .db
        .prepare_cached(
            "UPDATE attempts SET excerpt = NULL WHERE (event, n, number) IN
               (SELECT event, n, number FROM attempts INDEXED BY attempts_with_excerpt
                WHERE excerpt IS NOT NULL AND at < ?1 LIMIT ?2)",
        )?
        .execute([before, SLICE])?;
    let with_hooks = unit
        .db
        .prepare_cached(
            "UPDATE failures SET excerpt = NULL WHERE (hook, n) IN
               (SELECT hook, n FROM failures INDEXED BY failures_with_excerpt
                WHERE excerpt IS NOT NULL AND at < ?1 LIMIT ?2)",
        )?
        .execute([before, SLICE])?;
    Ok(i64::try_from(forgotten + with_hooks).unwrap_or_default())
}

/// Erases a closed owner, one slice at a time, once nothing it is owed waits any more.
fn erase_owner(unit: &mut Unit<'_>, now: Millis) -> rusqlite::Result<i64> {
    let db = unit.db;
    for owner in closed(db, now)? {
        // Hooks that hold will never be resumed.
        if let Some(hook) = holding_hook(db, owner)? {
            hooks::delete(unit, hook)?;
            return Ok(1);
        }
        // What is owed goes out first, the house's letters too, which wait at no hook's destination.
        let waits = db
            .prepare_cached(
                "SELECT 1 FROM hooks h JOIN destinations d ON d.hook = h.id
                 WHERE h.owner = ?1 AND EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_ready
                   WHERE destination = d.id AND due IS NOT NULL)
                 UNION ALL SELECT 1 FROM deliveries d INDEXED BY deliveries_ready JOIN events e ON e.id = d.event
                 WHERE d.destination = ?2 AND d.due IS NOT NULL AND e.owner = ?1",
            )?
            .exists(params![Col(owner), DestinationId::HOUSE.0])?;
        if waits {
            continue;
        }
        return erase_slice(unit, owner);
    }
    Ok(0)
}

/// Owners closed and not yet erased.
fn closed(db: &Connection, now: Millis) -> rusqlite::Result<Vec<OwnerId>> {
    let mut owners: Vec<OwnerId> = db
        .prepare_cached("SELECT id FROM organisations WHERE closed > 0 AND closed <= ?1")?
        .query_map([now], |row| col::<OrganisationId>(row, 0).map(OwnerId::from))?
        .collect::<rusqlite::Result<_>>()?;
    let mut users = db.prepare_cached("SELECT id FROM users WHERE closed > 0 AND closed <= ?1")?;
    for user in users.query_map([now], |row| col::<UserId>(row, 0))? {
        owners.push(user?.into());
    }
    Ok(owners)
}

/// A hook that holds.
fn holding_hook(db: &Connection, owner: OwnerId) -> rusqlite::Result<Option<HookId>> {
    db.prepare_cached("SELECT id FROM hooks WHERE owner = ?1 AND deleted IS NULL AND state <> ?2 LIMIT 1")?
        .query_row(params![Col(owner), Col(HookState::Enabled)], |row| row.get(0).map(HookId))
        .optional()
}

fn erase_slice(unit: &mut Unit<'_>, owner: OwnerId) -> rusqlite::Result<i64> {
    let db = unit.db;
    let mut buckets: Vec<i64> = db
        .prepare_cached("SELECT id FROM buckets ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    buckets.push(private::BUCKET);
    let mut room = ROWS;
    for bucket in buckets {
        let events: Vec<i64> = db
            .prepare_cached(
                "SELECT id FROM events INDEXED BY events_by_owner WHERE bucket = ?1 AND owner = ?2 LIMIT ?3",
            )?
            .query_map(params![bucket, Col(owner), PURGE], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for event in events {
            if !erase(unit, event, Leaves::Repeat, &mut room)? {
                break;
            }
        }
        if room < ROWS {
            keep_last(unit)?;
            return Ok(ROWS - room);
        }
    }
    for sql in [
        "DELETE FROM threads WHERE destination IN
           (SELECT d.id FROM destinations d JOIN hooks h ON h.id = d.hook WHERE h.owner = ?1)",
        "DELETE FROM destinations WHERE hook IN (SELECT id FROM hooks WHERE owner = ?1)",
        "DELETE FROM failures WHERE hook IN (SELECT id FROM hooks WHERE owner = ?1)",
        "DELETE FROM tallies WHERE hook IN (SELECT id FROM hooks WHERE owner = ?1)",
        "DELETE FROM stopped WHERE hook IN (SELECT id FROM hooks WHERE owner = ?1)",
        "DELETE FROM confirmations WHERE owner = ?1",
        "DELETE FROM mutes WHERE resource IN (SELECT id FROM resources WHERE owner = ?1)",
        "DELETE FROM hooks WHERE owner = ?1",
        "DELETE FROM resources WHERE owner = ?1",
    ] {
        db.prepare_cached(sql)?.execute([Col(owner)])?;
    }
    match owner {
        OwnerId::User(id) => {
            db.prepare_cached("DELETE FROM mutes WHERE user = ?1")?.execute([Col(id)])?;
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
fn forget_the_rest(unit: &mut Unit<'_>, now: Millis, before: Millis) -> rusqlite::Result<i64> {
    let db = unit.db;
    let oldest = EventId::first_at(before).0;
    let mut rows = 0;
    for sql in [
        "DELETE FROM destinations WHERE gone < ?1 AND removed = 2",
        "DELETE FROM tallies WHERE hook IN (SELECT id FROM hooks WHERE deleted < ?1)",
        "DELETE FROM stopped WHERE hook IN (SELECT id FROM hooks WHERE deleted < ?1)",
        "DELETE FROM hooks WHERE deleted < ?1",
        "DELETE FROM buckets WHERE id < (SELECT max(id) FROM buckets WHERE first <= ?1)",
    ] {
        rows += db.prepare_cached(sql)?.execute([oldest])?;
    }
    for sql in [
        "DELETE FROM mutes WHERE resource IN (SELECT id FROM resources WHERE closed > 0 AND closed < ?1)",
        "DELETE FROM resources WHERE closed > 0 AND closed < ?1",
    ] {
        rows += db.prepare_cached(sql)?.execute([before])?;
    }
    rows += db
        .prepare_cached(
            "DELETE FROM failures WHERE (hook, n) IN (SELECT hook, n FROM failures WHERE at < ?1 LIMIT ?2)",
        )?
        .execute([before, SLICE])?;
    rows += unit.memory.keys.forget(db, EventId(oldest))?;
    rows += forget_keys(db, oldest)?;
    let past = stops::forget(db, now, SLICE)?;
    rows += past + threads::forget(db, now, SLICE)?;
    Ok(i64::try_from(rows).unwrap_or_default())
}

/// Walks the tree of keys a stretch at a time, and over again, dropping those of erased events.
fn forget_keys(db: &Connection, oldest: i64) -> rusqlite::Result<usize> {
    let from: Option<Vec<u8>> =
        db.prepare_cached("SELECT key FROM key_walk")?.query_row([], |row| row.get(0)).optional()?;
    let from = from.unwrap_or_default();
    let until: Option<Vec<u8>> = db
        .prepare_cached(
            "SELECT max(key) FROM (SELECT key FROM event_keys WHERE key > ?1 ORDER BY key LIMIT 4000)",
        )?
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
           (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)
         FROM (SELECT held, dead FROM tallies
               UNION ALL SELECT held, dead FROM tally_log WHERE hook IN (SELECT id FROM hooks))",
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
        ("engine", super::engine()),
        ("file", path.display().to_string()),
        ("journal", journal),
        ("synchronous", if synchronous == 2 { "FULL".to_owned() } else { synchronous.to_string() }),
        ("schema", schema.to_string()),
    ]))
}
