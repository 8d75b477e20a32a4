//! Accepting: number, match, write, all in one transaction.

use rusqlite::params;
use sonnette_core::catalogue::Kind;
use sonnette_core::frame;
use sonnette_core::ids::{EventId, OwnerId, ResourceId};
use sonnette_core::matching::{self, Occurrence, Owed};
use sonnette_core::model::{Draft, Fact, Ingested, Millis};

use super::rows::{Col, letter};
use super::writer::Unit;
use super::{directory, hooks};

/// Rows (events and deliveries) before a new bucket begins. The events of a commit are of many owners, and each bucket's part of
/// an index by owner is a few pages, which they share. Whoever lists an owner's events steps over all buckets that hold none.
const BUCKET_ROWS: i64 = 1_024;

pub(super) fn ingest(
    unit: &mut Unit<'_>,
    drafts: Vec<Draft>,
    now: Millis,
) -> rusqlite::Result<Vec<Ingested>> {
    drafts.into_iter().map(|draft| one(unit, draft, now)).collect()
}

fn one(unit: &mut Unit<'_>, draft: Draft, now: Millis) -> rusqlite::Result<Ingested> {
    if let Some(key) = &draft.key
        && let Some(known) = unit.memory.keys.find(unit.db, key)?
        && let Some(content) = content_of(unit, known)?
    {
        return Ok(if content == draft.content {
            Ingested::Already(known)
        } else {
            Ingested::Conflict(known)
        });
    }
    if draft.facts.is_empty() {
        return accept(unit, draft, now);
    }
    // Only an event that announces an owner makes one; what an edition tells of a stranger is not learnt.
    let owner = draft.owner;
    let creates = unit.shared.catalogue.kind_at(draft.kind).is_some_and(Kind::creates_owner);
    if !creates && unit.rules(owner)?.is_none() {
        return Ok(Ingested::UnknownOwner);
    }
    // What an event makes known is written before it is matched, and undone if the event is refused after all.
    unit.part(|unit| with_facts(unit, draft, now), |outcome| matches!(outcome, Ingested::Accepted(_)))
}

/// Creations are learnt before matching, so that default hooks are there; deletions after, so that hooks still are.
fn with_facts(unit: &mut Unit<'_>, mut draft: Draft, now: Millis) -> rusqlite::Result<Ingested> {
    let (ends, begins): (Vec<_>, Vec<_>) = std::mem::take(&mut draft.facts).into_iter().partition(is_an_end);
    for fact in &begins {
        if let Err(no) = directory::learn(unit, fact, now)? {
            return Ok(Ingested::Contradiction(no.why));
        }
    }
    let outcome = accept(unit, draft, now)?;
    if matches!(outcome, Ingested::Accepted(_)) {
        for fact in &ends {
            if let Err(no) = directory::learn(unit, fact, now)? {
                return Ok(Ingested::Contradiction(no.why));
            }
        }
    }
    Ok(outcome)
}

fn is_an_end(fact: &Fact) -> bool {
    match fact {
        Fact::UserGone(_)
        | Fact::OrganisationGone(_)
        | Fact::MemberGone { .. }
        | Fact::ResourceGone { .. } => true,
        Fact::User { .. } | Fact::Organisation { .. } | Fact::Member { .. } | Fact::Resource { .. } => false,
    }
}

fn accept(unit: &mut Unit<'_>, mut draft: Draft, now: Millis) -> rusqlite::Result<Ingested> {
    let Some(rules) = unit.rules(draft.owner)? else { return Ok(Ingested::UnknownOwner) };
    let resource = match draft.resource.take() {
        None => Vec::new(),
        Some(named) => match names_of(unit, draft.owner, named)? {
            Ok(names) => names,
            Err(foreign) => return Ok(Ingested::ForeignResource(foreign)),
        },
    };
    let resource = match draft.real_id.take() {
        None => resource,
        Some(real) => match with_real_id(unit, draft.owner, resource, real)? {
            Ok(names) => names,
            Err(refused) => return Ok(refused),
        },
    };
    let catalogue = std::sync::Arc::clone(&unit.shared.catalogue);
    let Some(kind) = catalogue.kind_at(draft.kind) else {
        return Ok(Ingested::Contradiction("its kind is not in the catalogue".to_owned()));
    };
    let owed = matching::plan(
        &Occurrence {
            owner: draft.owner,
            kind: draft.kind,
            resource: &resource,
            about_hook: draft.about_hook,
            tells_admins: kind.tells_admins,
            private: kind.private,
        },
        &rules,
    );

    let id = EventId::next(unit.memory.last, now);
    frame::stamp(&mut draft.frame, id);
    let bucket = bucket(unit, id, 1 + owed.len())?;
    unit.memory.last = id;
    unit.db
        .prepare_cached(
            "INSERT INTO events (id, bucket, owner, kind, resource, content, frame) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            id.0,
            bucket,
            Col(draft.owner),
            kind.name,
            resource.first().map(ResourceId::as_str),
            draft.content.as_ref().map(<[u8; 16]>::as_slice),
            draft.frame,
        ])?;
    if let Some(key) = draft.key {
        unit.memory.keys.add(unit.db, key, id)?;
    }
    owe(unit, id, bucket, &owed, now)?;
    unit.grew(draft.owner);
    Ok(Ingested::Accepted(id))
}

fn owe(unit: &mut Unit<'_>, event: EventId, bucket: i64, owed: &[Owed], now: Millis) -> rusqlite::Result<()> {
    let db = unit.db;
    let mut insert = db.prepare_cached(
        "INSERT INTO deliveries (event, n, bucket, hook, destination, state, due, letter)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for (n, one) in (0_i64..).zip(owed) {
        let due = one.state.is_live().then_some(now);
        let letter = if one.email { letter::UNRESOLVED } else { letter::POST };
        let hook = one.hook.map(|hook| hook.0);
        insert.execute(params![event.0, n, bucket, hook, one.destination.0, Col(one.state), due, letter])?;
        match due {
            Some(due) => unit.note(one.destination, due),
            None => unit.tally(hook, 1, 0),
        }
    }
    Ok(())
}

/// The bucket the next rows go to.
fn bucket(unit: &mut Unit<'_>, first: EventId, rows: usize) -> rusqlite::Result<i64> {
    let memory = &mut *unit.memory;
    if memory.bucket == 0 || memory.in_bucket >= BUCKET_ROWS {
        memory.bucket += 1;
        memory.in_bucket = 0;
        unit.db
            .prepare_cached("INSERT INTO buckets (id, first) VALUES (?1, ?2)")?
            .execute([memory.bucket, first.0])?;
    }
    memory.in_bucket += i64::try_from(rows).unwrap_or(BUCKET_ROWS);
    Ok(memory.bucket)
}

/// What the event of a known key was: `None` if it is erased, and the key means nothing any more.
fn content_of(unit: &Unit<'_>, event: EventId) -> rusqlite::Result<Option<Option<[u8; 16]>>> {
    use rusqlite::OptionalExtension as _;
    unit.db
        .prepare_cached("SELECT content FROM events WHERE id = ?1")?
        .query_row([event.0], |row| row.get(0))
        .optional()
}

/// Every id of the resource an event names, the add-on's own first; or the id, if it is somebody else's.
fn names_of(
    unit: &Unit<'_>,
    owner: OwnerId,
    named: ResourceId,
) -> rusqlite::Result<Result<Vec<ResourceId>, ResourceId>> {
    match directory::find_resource(unit.db, &named)? {
        // The directory may lag behind.
        None => Ok(Ok(vec![named])),
        Some(known) if known.owner != owner => Ok(Err(named)),
        Some(known) => Ok(Ok(std::iter::once(known.id).chain(known.real_id).collect())),
    }
}

/// The ids of an add-on that is named under both, unless the directory knows them as two; it may know neither yet, or not
/// the real id.
fn with_real_id(
    unit: &Unit<'_>,
    owner: OwnerId,
    mut names: Vec<ResourceId>,
    real: ResourceId,
) -> rusqlite::Result<Result<Vec<ResourceId>, Ingested>> {
    if names.contains(&real) {
        return Ok(Ok(names));
    }
    match directory::find_resource(unit.db, &real)? {
        Some(known) if known.owner != owner => return Ok(Err(Ingested::ForeignResource(real))),
        None if names.len() < 2 => {}
        _ => {
            let first = names.first().map(ToString::to_string).unwrap_or_default();
            return Ok(Err(Ingested::Contradiction(format!("{real} is not the real id of {first}"))));
        }
    }
    names.push(real);
    Ok(Ok(names))
}

/// The first resource of a scope that belongs to somebody else.
pub(super) fn foreign(
    unit: &Unit<'_>,
    owner: OwnerId,
    scope: &[ResourceId],
) -> rusqlite::Result<Option<ResourceId>> {
    for id in scope {
        if directory::find_resource(unit.db, id)?.is_some_and(|known| known.owner != owner) {
            return Ok(Some(id.clone()));
        }
    }
    Ok(None)
}

/// Writes the default hooks of a new owner.
pub(super) fn born(
    unit: &mut Unit<'_>,
    default_hooks: &[sonnette_core::model::Hook],
) -> rusqlite::Result<()> {
    for hook in default_hooks {
        hooks::insert(unit, hook, None)?;
    }
    Ok(())
}
