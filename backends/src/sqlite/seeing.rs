//! Reading back: events, deliveries and attempts, newest first, by keyset.
//!
//! Lists by owner or hook walk the buckets from the newest down; inside one, rows are in the order of their ids.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use sonnette_core::ids::{DeliveryId, DestinationId, EventId, HookId, OwnerId, ResourceId};
use sonnette_core::model::{Attempt, Delivery, Event, State};
use sonnette_core::ports::{DeliveryFilter, Page};

use super::directory::limit;
use super::rows::{Col, col, letter, state_number, to_json};
use super::work::{event_of, recipient};

pub(super) fn event(db: &Connection, id: EventId) -> rusqlite::Result<Option<Event>> {
    db.prepare_cached("SELECT id, owner, kind, resource, frame FROM events WHERE id = ?1 AND bucket > 0")?
        .query_row([id.0], event_of)
        .optional()
}

/// The buckets that may hold ids from `first` up to, and without, `before`; the newest first.
fn buckets(db: &Connection, first: i64, before: i64) -> rusqlite::Result<Vec<i64>> {
    db.prepare_cached(
        "SELECT id FROM buckets WHERE first < ?2 AND id >= coalesce((SELECT max(id) FROM buckets WHERE first <= ?1), 0)
         ORDER BY id DESC",
    )?
    .query_map([first, before], |row| row.get(0))?
    .collect()
}

pub(super) fn events(db: &Connection, owner: OwnerId, page: Page<EventId>) -> rusqlite::Result<Vec<Event>> {
    let before = page.after.map_or(i64::MAX, |id| id.0);
    let mut found = Vec::new();
    let mut statement = db.prepare_cached(
        "SELECT id, owner, kind, resource, frame FROM events INDEXED BY events_by_owner
         WHERE bucket = ?1 AND owner = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4",
    )?;
    for bucket in buckets(db, 0, before)? {
        let left = limit(page.limit - found.len());
        let rows = statement.query_map(params![bucket, Col(owner), before, left], event_of)?;
        for event in rows {
            found.push(event?);
        }
        if found.len() >= page.limit {
            break;
        }
    }
    Ok(found)
}

pub(super) fn events_about(
    db: &Connection,
    owner: OwnerId,
    resource: &ResourceId,
    kinds: &[&str],
    page: Page<EventId>,
) -> rusqlite::Result<(Vec<Event>, Option<EventId>)> {
    let before = page.after.map_or(i64::MAX, |id| id.0);
    let (mut found, mut looked, mut last) = (Vec::new(), 0, None);
    // Frames are long, and most are not asked for.
    let mut statement = db.prepare_cached(
        "SELECT id, kind, resource FROM events INDEXED BY events_by_owner
         WHERE bucket = ?1 AND owner = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4",
    )?;
    for bucket in buckets(db, 0, before)? {
        let mut rows = statement.query(params![bucket, Col(owner), before, limit(page.limit - looked)])?;
        while let Some(row) = rows.next()? {
            let id = EventId(row.get(0)?);
            let kind = row.get_ref(1)?.as_str()?;
            let about = row.get_ref(2)?.as_str_or_null()?;
            (looked, last) = (looked + 1, Some(id));
            if about == Some(resource.as_str()) && kinds.contains(&kind) {
                found.extend(event(db, id)?);
            }
        }
        if looked >= page.limit {
            break;
        }
    }
    Ok((found, last))
}

const DELIVERY: &str = "d.event, d.n, (SELECT kind FROM events WHERE id = d.event), d.hook, d.destination,
    (SELECT format FROM destinations WHERE id = d.destination), d.letter, d.address, d.user, d.state, d.due, d.attempts";

fn delivery_of(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let format: Option<String> = row.get(5)?;
    let is_letter = row.get::<_, i64>(6)? != letter::POST;
    Ok(Delivery {
        id: DeliveryId { event: EventId(row.get(0)?), n: row.get(1)? },
        kind: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
        hook: row.get::<_, Option<i64>>(3)?.map(HookId),
        destination: DestinationId(row.get(4)?),
        format: if is_letter { "email".to_owned() } else { format.unwrap_or_default() },
        recipient: recipient(row, 7)?,
        state: col(row, 9)?,
        due: row.get(10)?,
        attempts: row.get(11)?,
    })
}

pub(super) fn delivery(
    db: &Connection,
    id: DeliveryId,
) -> rusqlite::Result<Option<(OwnerId, Delivery, Vec<Attempt>)>> {
    let found = db
        .prepare_cached(&format!(
            "SELECT {DELIVERY}, e.owner FROM deliveries d JOIN events e ON e.id = d.event
             WHERE d.event = ?1 AND d.n = ?2 AND d.bucket > 0"
        ))?
        .query_row(params![id.event.0, id.n], |row| Ok((col(row, 12)?, delivery_of(row)?)))
        .optional()?;
    let Some((owner, delivery)) = found else { return Ok(None) };
    let attempts = db
        .prepare_cached(
            "SELECT number, at, took, status, note, excerpt, succeeded FROM attempts WHERE event = ?1 AND n = ?2 ORDER BY number",
        )?
        .query_map(params![id.event.0, id.n], |row| {
            Ok(Attempt {
                number: row.get(0)?,
                at: row.get(1)?,
                took: row.get(2)?,
                status: row.get(3)?,
                note: row.get(4)?,
                excerpt: row.get(5)?,
                succeeded: row.get(6)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some((owner, delivery, attempts)))
}

/// The numbers of the states of this name and reason, first and last.
fn states(name: Option<&str>, reason: Option<&str>) -> (i64, i64) {
    let wanted = |state: &State| {
        name.is_none_or(|name| state.name() == name)
            && reason.is_none_or(|reason| state.reason() == Some(reason))
    };
    let numbers = State::all().filter(wanted).map(state_number);
    numbers.fold((i64::MAX, i64::MIN), |(low, high), number| (low.min(number), high.max(number)))
}

/// Where a list of deliveries begins and ends, by their ids, and in which order it is walked. Both ends are left out.
struct Walk {
    above: (i64, i64),
    below: (i64, i64),
    order: &'static str,
}

impl Walk {
    fn of(filter: &DeliveryFilter, after: Option<DeliveryId>) -> Self {
        let key = |id: DeliveryId| (id.event.0, i64::from(id.n));
        let mut above = (filter.from.map_or(-1, |at| EventId::first_at(at).0 - 1), i64::MAX);
        let mut below = (filter.until.map_or(i64::MAX, |at| EventId::first_at(at).0), -1);
        match (filter.oldest_first, after) {
            (true, Some(after)) => above = above.max(key(after)),
            (false, Some(after)) => below = below.min(key(after)),
            (_, None) => {}
        }
        Self { above, below, order: if filter.oldest_first { "ASC" } else { "DESC" } }
    }

    fn order(&self) -> String {
        format!("ORDER BY d.event {0}, d.n {0}", self.order)
    }

    fn sort(&self, found: &mut [DeliveryId]) {
        found.sort_unstable();
        if self.order == "DESC" {
            found.reverse();
        }
    }
}

pub(super) fn deliveries(
    db: &Connection,
    filter: &DeliveryFilter,
    page: Page<DeliveryId>,
) -> rusqlite::Result<Vec<Delivery>> {
    let walk = Walk::of(filter, page.after);
    let (low, high) = states(filter.state.as_deref(), filter.reason.as_deref());
    let kinds = filter.kinds.as_ref().map(to_json);
    let resource = filter.resource.as_ref().map(|id| id.as_str());
    // What is asked of the event is looked at only if something is.
    let of_event = |event: &str| {
        if kinds.is_none() && resource.is_none() {
            return "?8 IS ?9".to_owned();
        }
        format!(
            "(?8 IS NULL OR {event}.kind IN (SELECT value FROM json_each(?8))) AND (?9 IS NULL OR {event}.resource = ?9)"
        )
    };
    let apart = match (&kinds, resource) {
        (None, None) => of_event(""),
        _ => format!("EXISTS (SELECT 1 FROM events o WHERE o.id = d.event AND {})", of_event("o")),
    };
    let select = |what: &str, from: &str, by: &str| {
        format!(
            "SELECT {what} FROM deliveries d {from} WHERE {by} AND (d.event, d.n) < (?1, ?2) AND (d.event, d.n) > (?3, ?4)
             AND d.state BETWEEN ?5 AND ?6 {} LIMIT ?7",
            walk.order()
        )
    };
    let arguments = |left: &i64| -> Vec<Box<dyn ToSql>> {
        let ((below, below_n), (above, above_n)) = (walk.below, walk.above);
        vec![
            Box::new(below),
            Box::new(below_n),
            Box::new(above),
            Box::new(above_n),
            Box::new(low),
            Box::new(high),
            Box::new(*left),
            Box::new(kinds.clone()),
            Box::new(resource.map(str::to_owned)),
        ]
    };
    let read = |sql: &str, left: usize, more: &[&dyn ToSql]| -> rusqlite::Result<Vec<Delivery>> {
        let own = arguments(&limit(left));
        let all: Vec<&dyn ToSql> = own.iter().map(|one| &**one).chain(more.iter().copied()).collect();
        db.prepare_cached(sql)?.query_map(all.as_slice(), delivery_of)?.collect()
    };
    if let Some(owner) = filter.owner
        && !belongs(db, filter, owner)?
    {
        return Ok(Vec::new());
    }
    if let Some(event) = filter.event {
        let hook = filter.hook.map(|hook| hook.0);
        let by = format!("d.event = ?10 AND d.bucket > 0 AND (?11 IS NULL OR d.hook = ?11) AND {apart}");
        return read(&select(DELIVERY, "", &by), page.limit, &[&event.0, &hook]);
    }

    // Held and dead have an index of their own, however long ago they were.
    let index = match filter.state.as_deref() {
        Some("dead") => Some(("deliveries_dead", "d.state BETWEEN 10 AND 19")),
        Some("held") => Some(("deliveries_held", "d.state BETWEEN 20 AND 29")),
        _ => None,
    };
    if let Some((index, tens)) = index {
        // At most `limit` of each destination, then the first of all; read whole only when it is known which.
        let from = format!("INDEXED BY {index}");
        let mut found = Vec::new();
        let mut keys = |by: &str, more: &[&dyn ToSql]| -> rusqlite::Result<()> {
            let own = arguments(&limit(page.limit));
            let all: Vec<&dyn ToSql> = own.iter().map(|one| &**one).chain(more.iter().copied()).collect();
            let mut statement = db.prepare_cached(&select("d.event, d.n", &from, by))?;
            let rows = statement.query_map(all.as_slice(), |row| {
                Ok(DeliveryId { event: EventId(row.get(0)?), n: row.get(1)? })
            })?;
            for id in rows {
                found.push(id?);
            }
            Ok(())
        };
        for destination in destinations(db, filter)? {
            keys(&format!("d.destination = ?10 AND {tens} AND {apart}"), &[&destination])?;
        }
        if let (None, Some(owner)) = (filter.hook, filter.owner) {
            let by = format!(
                "d.destination = ?10 AND {tens} AND EXISTS (SELECT 1 FROM events e WHERE e.id = d.event AND e.owner = ?11) AND {apart}"
            );
            keys(&by, &[&DestinationId::HOUSE.0, &Col(owner)])?;
        }
        walk.sort(&mut found);
        found.truncate(page.limit);
        let mut whole = db.prepare_cached(&format!(
            "SELECT {DELIVERY} FROM deliveries d WHERE d.event = ?1 AND d.n = ?2"
        ))?;
        return found.into_iter().map(|id| whole.query_row(params![id.event.0, id.n], delivery_of)).collect();
    }
    let (hook, owner) = (filter.hook.map(|hook| hook.0), filter.owner.map(Col));
    let (sql, value): (_, &dyn ToSql) = match (&hook, &owner) {
        (Some(hook), _) => {
            let by = format!("d.bucket = ?10 AND d.hook = ?11 AND {apart}");
            (select(DELIVERY, "INDEXED BY deliveries_by_hook", &by), hook)
        }
        (None, Some(owner)) => {
            let from = "JOIN events e INDEXED BY events_by_owner ON e.id = d.event";
            let of_event = of_event("e");
            let by = format!("e.bucket = ?10 AND e.owner = ?11 AND e.id <= ?1 AND e.id >= ?3 AND {of_event}");
            (select(DELIVERY, from, &by), owner)
        }
        (None, None) => return Ok(Vec::new()),
    };
    let mut walked = buckets(db, walk.above.0, walk.below.0.saturating_add(1))?;
    if filter.oldest_first {
        walked.reverse();
    }
    let mut found = Vec::new();
    for bucket in walked {
        found.extend(read(&sql, page.limit - found.len(), &[&bucket, value])?);
        if found.len() >= page.limit {
            break;
        }
    }
    Ok(found)
}

/// Whether the hook and the event a filter names are this owner's.
fn belongs(db: &Connection, filter: &DeliveryFilter, owner: OwnerId) -> rusqlite::Result<bool> {
    let hook = match filter.hook {
        Some(hook) => db
            .prepare_cached("SELECT 1 FROM hooks WHERE id = ?1 AND owner = ?2")?
            .exists(params![hook.0, Col(owner)])?,
        None => true,
    };
    let event = match filter.event {
        Some(event) => db
            .prepare_cached("SELECT 1 FROM events WHERE id = ?1 AND owner = ?2")?
            .exists(params![event.0, Col(owner)])?,
        None => true,
    };
    Ok(hook && event)
}

/// The destinations, removed ones too, of a filter's hook, or of every hook of its owner.
fn destinations(db: &Connection, filter: &DeliveryFilter) -> rusqlite::Result<Vec<i64>> {
    let read = |row: &Row<'_>| row.get(0);
    match (filter.hook, filter.owner) {
        (Some(hook), _) => db
            .prepare_cached("SELECT id FROM destinations WHERE hook = ?1")?
            .query_map([hook.0], read)?
            .collect(),
        (None, Some(owner)) => db
            .prepare_cached(
                "SELECT d.id FROM hooks h JOIN destinations d ON d.hook = h.id WHERE h.owner = ?1",
            )?
            .query_map([Col(owner)], read)?
            .collect(),
        (None, None) => Ok(Vec::new()),
    }
}
