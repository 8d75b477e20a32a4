//! What hooks hold for too long: who is to be told of it, and giving it up.

use rusqlite::{Connection, OptionalExtension, params};
use sonnette_core::ids::{DeliveryId, DestinationId, EventId, HookId};
use sonnette_core::model::{Dead, Draft, Held, HookState, Ingested, Millis, State};
use sonnette_core::ports::{Holding, Page, Tidied};

use super::hooks::{COUNTED, HELD, LATELY};
use super::house::SLICE;
use super::rows::{Col, col};
use super::work::move_tally;
use super::writer::Unit;
use super::{hooks, intake};

/// Hooks that hold. What one that was resumed in between is to skip is the house's to cancel.
const HOLDS: &str = "h.deleted IS NULL AND h.state <> ?2 AND h.skip IS NULL AND d.removed = 0";
/// What is held for its hook's sake. What older letters of the same destination wait for themselves is passed over: it is
/// let go or cancelled within days.
const FOR_THE_HOOK: &str =
    "destination = ?1 AND state BETWEEN 20 AND 29 AND state IN (?2, ?3) AND event < ?4";

const PAUSED: Col<State> = Col(State::Held(Held::Paused));
const DISABLED: Col<State> = Col(State::Held(Held::Disabled));

/// One step of the index for each destination that holds anything, however much it holds.
pub(super) fn holding(
    db: &Connection,
    before: Millis,
    page: Page<DestinationId>,
) -> rusqlite::Result<Vec<Holding>> {
    let before = EventId::first_at(before);
    let mut next = db.prepare_cached(
        "SELECT destination, event FROM deliveries INDEXED BY deliveries_held
         WHERE state BETWEEN 20 AND 29 AND destination > ?1 ORDER BY destination, event LIMIT 1",
    )?;
    let mut last = page.after.map_or(i64::MIN, |after| after.0);
    let mut found = Vec::new();
    while found.len() < page.limit
        && let Some((destination, oldest)) =
            next.query_row([last], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?))).optional()?
    {
        last = destination;
        if oldest < before.0
            && let Some(one) = held_there(db, DestinationId(destination), before)?
        {
            found.push(one);
        }
    }
    Ok(found)
}

fn held_there(
    db: &Connection,
    destination: DestinationId,
    before: EventId,
) -> rusqlite::Result<Option<Holding>> {
    let Some(here) = oldest(db, destination, before)? else { return Ok(None) };
    let found = db
        .prepare_cached(&format!(
            "{LATELY} SELECT h.id, h.owner, h.name, h.told IS NOT NULL, {HELD}
             {COUNTED} JOIN destinations d ON d.hook = h.id WHERE d.id = ?1 AND {HOLDS}"
        ))?
        .query_row(params![destination.0, Col(HookState::Enabled)], |row| {
            Ok(Holding {
                destination,
                hook: HookId(row.get(0)?),
                owner: col(row, 1)?,
                name: row.get(2)?,
                told: row.get(3)?,
                held: row.get::<_, i64>(4)?.try_into().unwrap_or_default(),
                oldest: here,
            })
        })
        .optional()?;
    let Some(mut holding) = found else { return Ok(None) };
    for other in hooks::destination_ids(db, holding.hook)? {
        if let Some(there) = oldest(db, other, holding.oldest)? {
            holding.oldest = there;
        }
    }
    Ok(Some(holding))
}

/// The event of the oldest delivery a destination holds, if it is before this one.
fn oldest(db: &Connection, destination: DestinationId, before: EventId) -> rusqlite::Result<Option<EventId>> {
    db.prepare_cached(&format!(
        "SELECT event FROM deliveries INDEXED BY deliveries_held WHERE {FOR_THE_HOOK} ORDER BY event, n LIMIT 1"
    ))?
    .query_row(params![destination.0, PAUSED, DISABLED, before.0], |row| row.get(0).map(EventId))
    .optional()
}

pub(super) fn tell(unit: &mut Unit<'_>, hook: HookId, told: Draft, now: Millis) -> rusqlite::Result<bool> {
    let first = unit
        .db
        .prepare_cached(
            "UPDATE hooks SET told = ?2 WHERE id = ?1 AND deleted IS NULL AND state <> ?3 AND told IS NULL",
        )?
        .execute(params![hook.0, now, Col(HookState::Enabled)])?;
    if first == 0 {
        return Ok(false);
    }
    // An owner that is gone is not told.
    let outcome = intake::ingest(unit, vec![told], now)?;
    Ok(matches!(outcome.as_slice(), [Ingested::Accepted(_)]))
}

pub(super) fn give_up(
    unit: &mut Unit<'_>,
    destination: DestinationId,
    before: Millis,
) -> rusqlite::Result<Tidied> {
    let db = unit.db;
    let holds = db
        .prepare_cached(&format!(
            "SELECT 1 FROM destinations d JOIN hooks h ON h.id = d.hook WHERE d.id = ?1 AND {HOLDS}"
        ))?
        .exists(params![destination.0, Col(HookState::Enabled)])?;
    if !holds {
        return Ok(Tidied::default());
    }
    let before = EventId::first_at(before).0;
    let rows: Vec<(DeliveryId, Option<i64>, State)> = db
        .prepare_cached(&format!(
            "SELECT event, n, hook, state FROM deliveries INDEXED BY deliveries_held
             WHERE {FOR_THE_HOOK} ORDER BY event, n LIMIT {SLICE}"
        ))?
        .query_map(params![destination.0, PAUSED, DISABLED, before], |row| {
            let id = DeliveryId { event: EventId(row.get(0)?), n: row.get(1)? };
            Ok((id, row.get(2)?, col(row, 3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let dead = State::Dead(Dead::Expired);
    let mut update = db.prepare_cached("UPDATE deliveries SET state = ?3 WHERE event = ?1 AND n = ?2")?;
    for (id, hook, state) in &rows {
        update.execute(params![id.event.0, id.n, Col(dead)])?;
        move_tally(unit, *hook, *state, dead);
    }
    let rows = i64::try_from(rows.len()).unwrap_or(SLICE);
    Ok(Tidied { rows: rows.unsigned_abs(), more: rows == SLICE })
}
