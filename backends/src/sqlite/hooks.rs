//! Hooks, their destinations and their secrets, and how their last attempts failed.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use sonnette_core::catalogue::Catalogue;
use sonnette_core::ids::{DestinationId, HookId, OwnerId, ResourceId};
use sonnette_core::matching::Rule;
use sonnette_core::model::{
    Attempt, Destination, FailedAttempt, Fields, Hook, HookState, HookView, Millis, SigningSecrets, Way,
};
use sonnette_core::ports::{Changed, FAILURES, HookFilter, Page, Turn};
use sonnette_core::secret::Secret;

use super::rows::{self, Col, bad, col, from_json, settle, to_json};
use super::writer::Unit;
use super::{Shared, directory, intake, stops, threads};

const COLUMNS: &str =
    "h.id, h.owner, h.name, h.events, h.scope, h.targets, h.schedule, h.state, h.created_at";

/// Hooks with their counts, those still in the log of counts too: `LATELY` begins the statement, `COUNTED` is what is selected
/// from.
pub(super) const COUNTED: &str =
    "FROM hooks h LEFT JOIN tallies t ON t.hook = h.id LEFT JOIN lately l ON l.hook = h.id";
pub(super) const LATELY: &str = "WITH lately AS MATERIALIZED (SELECT hook, sum(held) AS held, sum(dead) AS dead FROM tally_log GROUP BY hook)";
pub(super) const HELD: &str = "coalesce(t.held, 0) + coalesce(l.held, 0)";
const DEAD: &str = "coalesce(t.dead, 0) + coalesce(l.dead, 0)";

pub(super) fn add(
    unit: &mut Unit<'_>,
    hook: &Hook,
    secret: Option<&Secret>,
    now: Millis,
) -> rusqlite::Result<Changed> {
    if !directory::is_open(unit.db, hook.owner)? {
        return Ok(Changed::UnknownOwner);
    }
    if let Some(id) = intake::foreign(unit, hook.owner, hook.scope.as_deref().unwrap_or_default())? {
        return Ok(Changed::ForeignResource(id));
    }
    let count: i64 = unit.db.query_row(
        "SELECT count(*) FROM hooks WHERE owner = ?1 AND deleted IS NULL",
        [Col(hook.owner)],
        |row| row.get(0),
    )?;
    if count >= unit.shared.hooks_each {
        return Ok(Changed::TooMany);
    }
    insert(unit, hook, secret)?;
    stops::ask_all(unit, hook, now)?;
    Ok(Changed::Done)
}

/// Writes a hook without asking.
pub(super) fn insert(unit: &mut Unit<'_>, hook: &Hook, secret: Option<&Secret>) -> rusqlite::Result<()> {
    let sealed = secret.map(|secret| seal(unit.shared, &place_of_secret(hook.id), secret));
    unit.db
        .prepare_cached(
            "INSERT INTO hooks (id, owner, name, events, scope, targets, schedule, state, created_at, secret)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            hook.id.0,
            Col(hook.owner),
            hook.name,
            hook.events.as_ref().map(to_json),
            hook.scope.as_deref().map(scope_text),
            targets(hook),
            hook.schedule.as_ref().map(to_json),
            Col(hook.state),
            hook.created_at,
            sealed,
        ])?;
    write_destinations(unit, hook)?;
    unit.forget_rules(hook.owner);
    Ok(())
}

pub(super) fn replace(unit: &mut Unit<'_>, hook: &Hook, now: Millis) -> rusqlite::Result<Changed> {
    let Some(owner) = owner(unit.db, hook.id)? else { return Ok(Changed::NoHook) };
    if let Some(id) = intake::foreign(unit, owner, hook.scope.as_deref().unwrap_or_default())? {
        return Ok(Changed::ForeignResource(id));
    }
    unit.db
        .prepare_cached(
            "UPDATE hooks SET name = ?2, events = ?3, scope = ?4, targets = ?5, schedule = ?6 WHERE id = ?1",
        )?
        .execute(params![
            hook.id.0,
            hook.name,
            hook.events.as_ref().map(to_json),
            hook.scope.as_deref().map(scope_text),
            targets(hook),
            hook.schedule.as_ref().map(to_json),
        ])?;
    if let Way::Webhook { destinations: wanted } = &hook.way {
        // One that does not read any more is one that was somewhere else.
        let before = destinations(unit.db, unit.shared, hook.id).unwrap_or_default();
        for moved in wanted.iter().filter(|one| !before.contains(one)) {
            threads::end(unit.db, moved.id)?;
        }
    }
    // Those named again are brought back below; the others' deliveries are cancelled by the house.
    unit.db
        .prepare_cached("UPDATE destinations SET removed = 1, gone = ?2 WHERE hook = ?1 AND removed = 0")?
        .execute([hook.id.0, unit.memory.last.0])?;
    write_destinations(unit, hook)?;
    for destination in hook.destination_ids() {
        // One that was taken off and comes back before it was settled has been passed over since.
        unit.note(destination, 0);
    }
    unit.forget_rules(owner);
    stops::ask_all(unit, &Hook { owner, ..hook.clone() }, now)?;
    Ok(Changed::Done)
}

pub(super) fn turn(unit: &mut Unit<'_>, id: HookId, turn: Turn, now: Millis) -> rusqlite::Result<Changed> {
    let found = unit
        .db
        .prepare_cached("SELECT state FROM hooks WHERE id = ?1 AND deleted IS NULL")?
        .query_row([id.0], |row| col(row, 0))
        .optional()?;
    let Some(before) = found else { return Ok(Changed::NoHook) };
    let (state, settle) = match turn {
        Turn::Pause => (HookState::Paused, settle::HOLD),
        Turn::CatchUp => (HookState::Enabled, settle::RELEASE),
        Turn::Skip => (HookState::Enabled, settle::SKIP),
    };
    if state == before {
        // What it held when it was turned this way is being seen to.
        return Ok(Changed::Done);
    }
    // The mark outlives a further turn: what was to be skipped is, even if the hook is paused again at once.
    let skip = (turn == Turn::Skip).then_some(unit.memory.last.0);
    unit.db
        .prepare_cached(
            "UPDATE hooks SET state = ?2, settle = ?3, skip = coalesce(?4, skip), told = iif(?2 = ?5, NULL, told)
             WHERE id = ?1",
        )?
        .execute(params![id.0, Col(state), settle, skip, Col(HookState::Enabled)])?;
    if state == HookState::Enabled {
        // What was not held yet when the hook was paused has been passed over since.
        for destination in destination_ids(unit.db, id)? {
            unit.note(destination, now);
        }
    }
    unit.hook_changed(id)?;
    Ok(Changed::Done)
}

pub(super) fn delete(unit: &mut Unit<'_>, id: HookId) -> rusqlite::Result<Changed> {
    if owner(unit.db, id)?.is_none() {
        return Ok(Changed::NoHook);
    }
    unit.hook_changed(id)?;
    unit.db
        .prepare_cached(
            "UPDATE hooks SET deleted = ?2, settle = ?3, skip = NULL, secret = NULL, previous = NULL, previous_until = NULL
             WHERE id = ?1",
        )?
        .execute(params![id.0, unit.memory.last.0, settle::NOTHING])?;
    // What it owes is cancelled with its destinations.
    unit.db
        .prepare_cached(
            "UPDATE destinations SET removed = 1, url = NULL, fields = NULL, gone = coalesce(gone, ?2) WHERE hook = ?1 AND removed < 2",
        )?
        .execute([id.0, unit.memory.last.0])?;
    unit.db.prepare_cached("DELETE FROM failures WHERE hook = ?1")?.execute([id.0])?;
    Ok(Changed::Done)
}

pub(super) fn rotate(
    unit: &mut Unit<'_>,
    id: HookId,
    secret: &Secret,
    until: Millis,
) -> rusqlite::Result<Changed> {
    let sealed = seal(unit.shared, &place_of_secret(id), secret);
    let changed = unit
        .db
        .prepare_cached(
            "UPDATE hooks SET previous = secret, previous_until = ?3, secret = ?2
             WHERE id = ?1 AND deleted IS NULL AND secret IS NOT NULL",
        )?
        .execute(params![id.0, sealed, until])?;
    unit.hook_changed(id)?;
    Ok(if changed == 1 { Changed::Done } else { Changed::NoHook })
}

/// Keeps a failed attempt of a webhook with the hook, with the URL it went to, and lets the oldest go. Letters have no
/// URL, and neither has what was taken off its hook meanwhile.
pub(super) fn keep_failure(
    db: &Connection,
    hook: Option<i64>,
    destination: DestinationId,
    attempt: &Attempt,
) -> rusqlite::Result<()> {
    let kept = db
        .prepare_cached(
            "INSERT INTO failures (hook, n, destination, format, url, at, status, note, excerpt)
             SELECT hook, (SELECT coalesce(max(n), 0) + 1 FROM failures WHERE hook = ?2), id, format, url, ?3, ?4, ?5, ?6
             FROM destinations WHERE id = ?1 AND hook = ?2 AND url IS NOT NULL",
        )?
        .execute(params![destination.0, hook, attempt.at, attempt.status, attempt.note, attempt.excerpt])?;
    if kept == 1 {
        db.prepare_cached(
            "DELETE FROM failures WHERE hook = ?1 AND n <= (SELECT max(n) FROM failures WHERE hook = ?1) - ?2",
        )?
        .execute(params![hook, i64::try_from(FAILURES).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

pub(super) fn failures(
    db: &Connection,
    shared: &Shared,
    hooks: &[HookId],
) -> rusqlite::Result<BTreeMap<HookId, Vec<FailedAttempt>>> {
    let mut statement = db.prepare_cached(
        "SELECT destination, format, url, at, status, note, excerpt FROM failures WHERE hook = ?1 ORDER BY n",
    )?;
    let mut all = BTreeMap::new();
    for hook in hooks {
        let failures = statement
            .query_map([hook.0], |row| {
                let place = place_of_url(DestinationId(row.get(0)?));
                let url = shared.sealer.open(&place, &row.get::<_, Vec<u8>>(2)?).map_err(bad)?;
                Ok(FailedAttempt {
                    format: row.get(1)?,
                    url,
                    at: row.get(3)?,
                    status: row.get(4)?,
                    note: row.get(5)?,
                    excerpt: row.get(6)?,
                })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        if !failures.is_empty() {
            all.insert(*hook, failures);
        }
    }
    Ok(all)
}

/// Whose a hook is; `None` if there is none, or it is deleted.
pub(super) fn owner(db: &Connection, id: HookId) -> rusqlite::Result<Option<OwnerId>> {
    db.prepare_cached("SELECT owner FROM hooks WHERE id = ?1 AND deleted IS NULL")?
        .query_row([id.0], |row| col(row, 0))
        .optional()
}

/// An owner's rules, in the order the hooks were made. Read by the writer while it holds everybody else up: one statement,
/// answered by two indexes alone.
pub(super) fn rules(db: &Connection, catalogue: &Catalogue, owner: OwnerId) -> rusqlite::Result<Vec<Rule>> {
    let mut statement = db.prepare_cached(
        "SELECT h.id, h.events, h.scope, h.targets IS NOT NULL, h.state, d.id
         FROM hooks h LEFT JOIN destinations d ON d.hook = h.id AND d.removed = 0
         WHERE h.owner = ?1 AND h.deleted IS NULL ORDER BY h.created_at, h.id, d.position",
    )?;
    let mut found = statement.query([Col(owner)])?;
    let mut rules: Vec<Rule> = Vec::new();
    while let Some(row) = found.next()? {
        let hook = HookId(row.get(0)?);
        let destination = row.get::<_, Option<i64>>(5)?.map(DestinationId);
        if let Some(rule) = rules.last_mut().filter(|rule| rule.hook == hook) {
            rule.destinations.extend(destination);
            continue;
        }
        let events =
            row.get::<_, Option<String>>(1)?.map(|text| from_json::<Vec<String>>(&text)).transpose()?;
        let mut scope = row.get::<_, Option<String>>(2)?.map(|text| scope_of(&text)).transpose()?;
        if let Some(scope) = &mut scope {
            scope.sort();
        }
        rules.push(Rule {
            hook,
            kinds: events.map(|names| catalogue.open(&names)),
            scope,
            email: row.get(3)?,
            destinations: destination.into_iter().collect(),
            state: col(row, 4)?,
        });
    }
    Ok(rules)
}

pub(super) fn view(db: &Connection, shared: &Shared, id: HookId) -> rusqlite::Result<Option<HookView>> {
    db.prepare_cached(&format!(
        "{LATELY} SELECT {COLUMNS}, {HELD}, {DEAD}, h.previous_until {COUNTED} WHERE h.id = ?1 AND h.deleted IS NULL"
    ))?
    .query_row([id.0], |row| view_of(db, shared, hook_of(row, |id| destinations(db, shared, id))?, row))
    .optional()
}

pub(super) fn views(
    db: &Connection,
    shared: &Shared,
    owner: OwnerId,
    filter: &HookFilter,
    page: Page<HookId>,
) -> rusqlite::Result<Vec<HookView>> {
    let from = match page.after {
        None if filter.newest_first => (Millis::MAX, i64::MAX),
        None => (Millis::MIN, i64::MIN),
        Some(after) => {
            let made = db
                .prepare_cached("SELECT created_at FROM hooks WHERE id = ?1")?
                .query_row([after.0], |row| row.get(0))
                .optional()?;
            let Some(made) = made else { return Ok(Vec::new()) };
            (made, after.0)
        }
    };
    let (beyond, order) = if filter.newest_first { ("<", "DESC") } else { (">", "ASC") };
    let sql = format!(
        "{LATELY} SELECT {COLUMNS}, {HELD}, {DEAD}, h.previous_until {COUNTED}
         WHERE h.owner = ?1 AND h.deleted IS NULL AND (h.created_at, h.id) {beyond} (?2, ?3)
           AND (?4 IS NULL OR (h.targets IS NOT NULL) = ?4) AND (?5 IS NULL OR h.state = ?5)
         ORDER BY h.created_at {order}, h.id {order}"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows =
        statement.query(params![Col(owner), from.0, from.1, filter.email, filter.state.map(Col)])?;
    let mut views = Vec::new();
    while views.len() < page.limit
        && let Some(row) = rows.next()?
    {
        let hook = hook_of(row, |id| destinations(db, shared, id))?;
        if hook.mentions(&filter.text) {
            views.push(view_of(db, shared, hook, row)?);
        }
    }
    Ok(views)
}

fn view_of(db: &Connection, shared: &Shared, hook: Hook, row: &Row<'_>) -> rusqlite::Result<HookView> {
    Ok(HookView {
        unconfirmed: stops::unconfirmed(db, shared, &hook)?,
        stopped: match &hook.way {
            Way::Email { .. } => stops::stopped(db, shared, hook.id)?,
            Way::Webhook { .. } => Vec::new(),
        },
        hook,
        held: row.get::<_, i64>(9)?.try_into().unwrap_or_default(),
        dead: row.get::<_, i64>(10)?.try_into().unwrap_or_default(),
        rotating_until: row.get(11)?,
    })
}

/// A hook with everything, and what it signs with.
pub(super) fn load(
    db: &Connection,
    shared: &Shared,
    id: HookId,
) -> rusqlite::Result<Option<(Hook, Option<SigningSecrets>)>> {
    let sql = format!(
        "SELECT {COLUMNS}, h.secret, h.previous, h.previous_until FROM hooks h WHERE h.id = ?1 AND h.deleted IS NULL"
    );
    let read = |row: &Row<'_>| {
        let place = place_of_secret(id);
        let open =
            |sealed: Option<Vec<u8>>| sealed.map(|s| shared.sealer.open(&place, &s)).transpose().map_err(bad);
        let current = open(row.get(9)?)?;
        let previous = open(row.get(10)?)?.zip(row.get::<_, Option<Millis>>(11)?);
        let hook = hook_of(row, |id| destinations(db, shared, id))?;
        Ok((hook, current.map(|current| SigningSecrets { current, previous })))
    };
    db.prepare_cached(&sql)?.query_row([id.0], read).optional()
}

fn hook_of(
    row: &Row<'_>,
    destinations: impl FnOnce(HookId) -> rusqlite::Result<Vec<Destination>>,
) -> rusqlite::Result<Hook> {
    let id = HookId(row.get(0)?);
    let mut destinations = destinations(id)?;
    let way = match row.get::<_, Option<String>>(5)? {
        Some(targets) => Way::Email {
            destination: destinations.pop().map_or(DestinationId::HOUSE, |destination| destination.id),
            targets: rows::targets_from_text(&targets)?,
        },
        None => Way::Webhook { destinations },
    };
    let scope = row.get::<_, Option<String>>(4)?.map(|text| scope_of(&text));
    Ok(Hook {
        id,
        owner: col(row, 1)?,
        name: row.get(2)?,
        events: row.get::<_, Option<String>>(3)?.map(|text| from_json(&text)).transpose()?,
        scope: scope.transpose()?,
        way,
        schedule: row.get::<_, Option<String>>(6)?.map(|text| from_json(&text)).transpose()?,
        state: col(row, 7)?,
        created_at: row.get(8)?,
    })
}

fn destinations(db: &Connection, shared: &Shared, hook: HookId) -> rusqlite::Result<Vec<Destination>> {
    let mut statement = db.prepare_cached(
        "SELECT id, format, url, fields FROM destinations WHERE hook = ?1 AND removed = 0 ORDER BY position",
    )?;
    statement
        .query_map([hook.0], |row| {
            let id = DestinationId(row.get(0)?);
            let url = match row.get::<_, Option<Vec<u8>>>(2)? {
                Some(sealed) => shared.sealer.open(&place_of_url(id), &sealed).map_err(bad)?,
                None => Secret::new(""),
            };
            let fields = match row.get::<_, Option<Vec<u8>>>(3)? {
                Some(sealed) => {
                    let text = shared.sealer.open(&place_of_fields(id), &sealed).map_err(bad)?;
                    let plain: BTreeMap<String, Box<str>> = from_json(text.expose())?;
                    plain.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()
                }
                None => Fields::new(),
            };
            Ok(Destination { id, format: row.get(1)?, url, fields })
        })?
        .collect()
}

pub(super) fn destination_ids(db: &Connection, hook: HookId) -> rusqlite::Result<Vec<DestinationId>> {
    db.prepare_cached("SELECT id FROM destinations WHERE hook = ?1 AND removed = 0 ORDER BY position")?
        .query_map([hook.0], |row| row.get(0).map(DestinationId))?
        .collect()
}

fn write_destinations(unit: &mut Unit<'_>, hook: &Hook) -> rusqlite::Result<()> {
    let db = unit.db;
    let mut write = db.prepare_cached(
        "INSERT INTO destinations (id, hook, position, format, url, fields) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET position = excluded.position, format = excluded.format, url = excluded.url,
           fields = excluded.fields, removed = 0, gone = NULL WHERE hook = excluded.hook",
    )?;
    match &hook.way {
        Way::Email { destination, .. } => {
            write.execute(params![destination.0, hook.id.0, 0, "email", None::<Vec<u8>>, None::<Vec<u8>>])?;
        }
        Way::Webhook { destinations } => {
            for (position, one) in (0_i64..).zip(destinations) {
                let sealed = seal(unit.shared, &place_of_url(one.id), &one.url);
                let fields = (!one.fields.is_empty()).then(|| {
                    let plain: BTreeMap<&str, &str> =
                        one.fields.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
                    seal(unit.shared, &place_of_fields(one.id), &Secret::new(to_json(&plain)))
                });
                write.execute(params![one.id.0, hook.id.0, position, one.format, sealed, fields])?;
            }
        }
    }
    Ok(())
}

fn targets(hook: &Hook) -> Option<String> {
    match &hook.way {
        Way::Email { targets, .. } => Some(rows::targets_to_text(targets)),
        Way::Webhook { .. } => None,
    }
}

fn scope_of(text: &str) -> rusqlite::Result<Vec<ResourceId>> {
    from_json::<Vec<String>>(text)?.iter().map(|id| id.parse().map_err(bad)).collect()
}

fn scope_text(scope: &[ResourceId]) -> String {
    to_json(&scope.iter().map(ResourceId::as_str).collect::<Vec<_>>())
}

pub(super) fn seal(shared: &Shared, place: &str, secret: &Secret) -> Vec<u8> {
    let mut nonce = [0; 24];
    shared.luck.fill(&mut nonce);
    shared.sealer.seal(place, secret, nonce)
}

pub(super) fn place_of_secret(hook: HookId) -> String {
    format!("hook/{}/signing", hook.0)
}

fn place_of_url(destination: DestinationId) -> String {
    format!("destination/{}/url", destination.0)
}

fn place_of_fields(destination: DestinationId) -> String {
    format!("destination/{}/fields", destination.0)
}
