//! Owners, members, applications and add-ons: what the platform tells us of them.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sonnette_core::ids::{OrganisationId, OwnerId, ResourceId, ResourceShape, UserId};
use sonnette_core::model::{Contradiction, Fact, Member, Millis, Organisation, Resource, Role, User};
use sonnette_core::ports::{Names, Page};

use super::intake;
use super::rows::{Col, col, maybe};
use super::writer::Unit;

/// A contradiction, in words.
type Word = Result<(), Contradiction>;

fn no(field: &'static str, why: String) -> Word {
    Err(Contradiction { field, why })
}

pub(super) fn learn_all(
    unit: &mut Unit<'_>,
    facts: &[Fact],
    now: Millis,
) -> rusqlite::Result<Result<(), (usize, Contradiction)>> {
    let learn_each = |unit: &mut Unit<'_>| {
        for (index, fact) in facts.iter().enumerate() {
            if let Err(why) = learn(unit, fact, now)? {
                return Ok(Err((index, why)));
            }
        }
        Ok(Ok(()))
    };
    unit.part(learn_each, Result::is_ok)
}

pub(super) fn learn(unit: &mut Unit<'_>, fact: &Fact, now: Millis) -> rusqlite::Result<Word> {
    let db = unit.db;
    match fact {
        Fact::User { id, name, email, lang, operator, hooks } => {
            let changed = db
                .prepare_cached(
                    "UPDATE users SET name = coalesce(?2, name), email = coalesce(?3, email), lang = coalesce(?4, lang),
                     operator = coalesce(?5, operator) WHERE id = ?1 AND closed = 0",
                )?
                .execute(params![Col(*id), name, email, lang, operator])?;
            if changed == 1 {
                unit.grew((*id).into());
                return Ok(Ok(()));
            }
            let Some(email) = email else {
                return Ok(no("email", format!("{id} is not known, and a new user needs an `email`")));
            };
            if person(db, *id)?.is_some() {
                return Ok(no("id", format!("{id} was deleted")));
            }
            db.prepare_cached(
                "INSERT INTO users (id, name, email, lang, operator) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                Col(*id),
                name.as_deref().unwrap_or_default(),
                email,
                lang.as_deref().unwrap_or("en"),
                operator.unwrap_or(false)
            ])?;
            unit.forget_rules((*id).into());
            intake::born(unit, hooks)?;
        }
        Fact::Organisation { id, name, founder, hooks } => {
            let changed = db
                .prepare_cached(
                    "UPDATE organisations SET name = coalesce(?2, name) WHERE id = ?1 AND closed = 0",
                )?
                .execute(params![Col(*id), name])?;
            if changed == 0 {
                let closed =
                    db.prepare_cached("SELECT 1 FROM organisations WHERE id = ?1")?.exists([Col(*id)])?;
                if closed {
                    return Ok(no("id", format!("{id} was deleted")));
                }
                db.prepare_cached("INSERT INTO organisations (id, name) VALUES (?1, ?2)")?
                    .execute(params![Col(*id), name.as_deref().unwrap_or_default()])?;
                unit.forget_rules((*id).into());
                intake::born(unit, hooks)?;
            }
            // A founder the directory does not know yet is told by a later fact.
            if let Some(user) = founder.filter(|_| changed == 0)
                && is_open(db, user.into())?
            {
                put_member(unit, *id, user, Role::Admin)?;
                unit.grew(user.into());
            }
        }
        Fact::Member { organisation, user, role } => {
            for (owner, known) in
                [(OwnerId::from(*organisation), "organisation"), (OwnerId::from(*user), "user")]
            {
                if !is_open(db, owner)? {
                    return Ok(no(known, format!("there is no {known} {owner}")));
                }
            }
            put_member(unit, *organisation, *user, *role)?;
            unit.grew((*user).into());
        }
        Fact::MemberGone { organisation, user } => {
            db.prepare_cached("DELETE FROM members WHERE organisation = ?1 AND user = ?2")?
                .execute(params![Col(*organisation), Col(*user)])?;
            db.prepare_cached(
                "DELETE FROM mutes WHERE user = ?1 AND resource IN (SELECT id FROM resources WHERE owner = ?2)",
            )?
            .execute(params![Col(*user), Col(OwnerId::from(*organisation))])?;
            unit.grew((*user).into());
        }
        Fact::Resource { id, real_id, owner, name } => {
            return put_resource(unit, id, real_id.as_ref(), *owner, name.as_deref());
        }
        Fact::ResourceGone { id, owner } => {
            db.prepare_cached(
                "UPDATE resources SET closed = ?3 WHERE (id = ?1 OR real_id = ?1) AND owner = ?2 AND closed = 0",
            )?
            .execute(params![id.as_str(), Col(*owner), now])?;
        }
        Fact::UserGone(id) => {
            db.prepare_cached("UPDATE users SET closed = ?2 WHERE id = ?1 AND closed = 0")?
                .execute(params![Col(*id), now])?;
            db.prepare_cached("DELETE FROM members WHERE user = ?1")?.execute([Col(*id)])?;
            for sql in ["DELETE FROM tokens WHERE user = ?1", "DELETE FROM sessions WHERE user = ?1"] {
                db.prepare_cached(sql)?.execute([Col(*id)])?;
            }
            unit.forget_rules((*id).into());
            unit.grew((*id).into());
        }
        Fact::OrganisationGone(id) => {
            db.prepare_cached("UPDATE organisations SET closed = ?2 WHERE id = ?1 AND closed = 0")?
                .execute(params![Col(*id), now])?;
            unit.forget_rules((*id).into());
            unit.grew((*id).into());
        }
    }
    Ok(Ok(()))
}

/// Whoever is a member already stays one since when they joined.
fn put_member(
    unit: &Unit<'_>,
    organisation: OrganisationId,
    user: UserId,
    role: Role,
) -> rusqlite::Result<()> {
    unit.db
        .prepare_cached(
            "INSERT INTO members (organisation, user, role, since) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (organisation, user) DO UPDATE SET role = ?3",
        )?
        .execute(params![Col(organisation), Col(user), Col(role), unit.memory.last.0])?;
    Ok(())
}

fn put_resource(
    unit: &mut Unit<'_>,
    id: &ResourceId,
    real_id: Option<&ResourceId>,
    owner: OwnerId,
    name: Option<&str>,
) -> rusqlite::Result<Word> {
    if id.shape() == ResourceShape::RealId {
        return Ok(no("id", format!("{id} is neither an application (`app_…`) nor an add-on (`addon_…`)")));
    }
    if let Some(real_id) = real_id.filter(|real_id| real_id.shape() != ResourceShape::RealId) {
        return Ok(no("realId", format!("{real_id} is not an add-on's real id")));
    }
    if !is_open(unit.db, owner)? {
        return Ok(no("owner", format!("there is no owner {owner}")));
    }
    if let Some(known) = find_resource(unit.db, id)?.filter(|known| known.owner != owner) {
        return Ok(no("id", format!("{} belongs to another owner", known.id)));
    }
    if let Some(real_id) = real_id
        && find_resource(unit.db, real_id)?.is_some_and(|known| known.id != *id)
    {
        return Ok(no("realId", format!("{real_id} is another add-on's real id")));
    }
    unit.db
        .prepare_cached(
            "INSERT INTO resources (id, real_id, owner, name) VALUES (?1, ?2, ?3, coalesce(?4, ''))
             ON CONFLICT (id) DO UPDATE SET real_id = coalesce(?2, real_id), name = coalesce(?4, name), closed = 0",
        )?
        .execute(params![id.as_str(), real_id.map(ResourceId::as_str), Col(owner), name])?;
    Ok(Ok(()))
}

/// Whether there is such an owner, not closed.
pub(super) fn is_open(db: &Connection, owner: OwnerId) -> rusqlite::Result<bool> {
    match owner {
        OwnerId::User(id) => {
            db.prepare_cached("SELECT 1 FROM users WHERE id = ?1 AND closed = 0")?.exists([Col(id)])
        }
        OwnerId::Organisation(id) => {
            db.prepare_cached("SELECT 1 FROM organisations WHERE id = ?1 AND closed = 0")?.exists([Col(id)])
        }
    }
}

/// A resource by its id or its real id, closed ones included: what is owed about them still names them.
pub(super) fn find_resource(db: &Connection, id: &ResourceId) -> rusqlite::Result<Option<Resource>> {
    let by = if id.shape() == ResourceShape::RealId { "real_id" } else { "id" };
    db.prepare_cached(&format!("SELECT id, real_id, owner, name FROM resources WHERE {by} = ?1"))?
        .query_row([id.as_str()], resource_of)
        .optional()
}

fn resource_of(row: &Row<'_>) -> rusqlite::Result<Resource> {
    Ok(Resource { id: col(row, 0)?, real_id: maybe(row, 1)?, owner: col(row, 2)?, name: row.get(3)? })
}

pub(super) fn resources(db: &Connection, owner: OwnerId) -> rusqlite::Result<Vec<Resource>> {
    db.prepare_cached(
        "SELECT id, real_id, owner, name FROM resources WHERE owner = ?1 AND closed = 0 ORDER BY id",
    )?
    .query_map([Col(owner)], resource_of)?
    .collect()
}

/// What [`user_of`] reads, from the first column on.
pub(super) const USER: &str = "u.id, u.name, u.email, u.lang, u.operator, u.zone";
pub(super) const USER_COLUMNS: usize = 6;

pub(super) fn user_of(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: col(row, 0)?,
        name: row.get(1)?,
        email: row.get(2)?,
        lang: row.get(3)?,
        operator: row.get(4)?,
        zone: row.get(5)?,
    })
}

/// A user, closed ones included: what is owed to them still goes out.
pub(super) fn person(db: &Connection, id: UserId) -> rusqlite::Result<Option<User>> {
    db.prepare_cached(&format!("SELECT {USER} FROM users u WHERE u.id = ?1"))?
        .query_row([Col(id)], user_of)
        .optional()
}

pub(super) fn user(db: &Connection, id: UserId) -> rusqlite::Result<Option<User>> {
    db.prepare_cached(&format!("SELECT {USER} FROM users u WHERE u.id = ?1 AND u.closed = 0"))?
        .query_row([Col(id)], user_of)
        .optional()
}

pub(super) fn users(db: &Connection, page: Page<UserId>) -> rusqlite::Result<Vec<User>> {
    db.prepare_cached(&format!(
        "SELECT {USER} FROM users u WHERE u.closed = 0 AND (?1 IS NULL OR u.id > ?1) ORDER BY u.id LIMIT ?2"
    ))?
    .query_map(params![page.after.map(Col), limit(page.limit)], user_of)?
    .collect()
}

pub(super) fn users_at(db: &Connection, address: &str) -> rusqlite::Result<Vec<User>> {
    db.prepare_cached(&format!(
        "SELECT {USER} FROM users u WHERE lower(u.email) = lower(?1) AND u.closed = 0 ORDER BY u.id"
    ))?
    .query_map([address], user_of)?
    .collect()
}

pub(super) fn organisation(db: &Connection, id: OrganisationId) -> rusqlite::Result<Option<Organisation>> {
    db.prepare_cached("SELECT id, name FROM organisations WHERE id = ?1 AND closed = 0")?
        .query_row([Col(id)], |row| Ok(Organisation { id: col(row, 0)?, name: row.get(1)? }))
        .optional()
}

pub(super) fn organisations(
    db: &Connection,
    member: Option<UserId>,
    page: Page<OrganisationId>,
) -> rusqlite::Result<Vec<(Organisation, Option<Role>)>> {
    let read = |row: &Row<'_>| Ok((Organisation { id: col(row, 0)?, name: row.get(1)? }, maybe(row, 2)?));
    let after = page.after.map(Col);
    match member {
        None => db
            .prepare_cached(
                "SELECT id, name, NULL FROM organisations WHERE closed = 0 AND (?1 IS NULL OR id > ?1) ORDER BY id LIMIT ?2",
            )?
            .query_map(params![after, limit(page.limit)], read)?
            .collect(),
        Some(user) => db
            .prepare_cached(
                "SELECT o.id, o.name, m.role FROM members m JOIN organisations o ON o.id = m.organisation
                 WHERE m.user = ?3 AND o.closed = 0 AND (?1 IS NULL OR o.id > ?1) ORDER BY o.id LIMIT ?2",
            )?
            .query_map(params![after, limit(page.limit), Col(user)], read)?
            .collect(),
    }
}

/// Members, of closed organisations too: what is owed to them still goes out.
pub(super) fn members(db: &Connection, organisation: OrganisationId) -> rusqlite::Result<Vec<Member>> {
    db.prepare_cached(&format!(
        "SELECT {USER}, m.role FROM members m JOIN users u ON u.id = m.user WHERE m.organisation = ?1 ORDER BY u.id"
    ))?
    .query_map([Col(organisation)], |row| Ok(Member { user: user_of(row)?, role: col(row, USER_COLUMNS)? }))?
    .collect()
}

pub(super) fn role(db: &Connection, owner: OwnerId, user: UserId) -> rusqlite::Result<Option<Role>> {
    if is_open(db, owner)? { role_even_closed(db, owner, user) } else { Ok(None) }
}

pub(super) fn role_even_closed(
    db: &Connection,
    owner: OwnerId,
    user: UserId,
) -> rusqlite::Result<Option<Role>> {
    match owner {
        OwnerId::User(id) => Ok((id == user).then_some(Role::Admin)),
        OwnerId::Organisation(id) => db
            .prepare_cached("SELECT role FROM members WHERE organisation = ?1 AND user = ?2")?
            .query_row(params![Col(id), Col(user)], |row| col(row, 0))
            .optional(),
    }
}

pub(super) fn names(
    db: &Connection,
    owner: OwnerId,
    resource: Option<&ResourceId>,
    author: Option<UserId>,
) -> rusqlite::Result<Names> {
    let given = |name: String| Some(name).filter(|name| !name.is_empty());
    let person = |id| Ok::<_, rusqlite::Error>(person(db, id)?.and_then(|user| given(user.name)));
    Ok(Names {
        owner: match owner {
            OwnerId::User(id) => person(id)?,
            OwnerId::Organisation(id) => db
                .prepare_cached("SELECT name FROM organisations WHERE id = ?1")?
                .query_row([Col(id)], |row| row.get(0))
                .optional()?
                .and_then(given),
        },
        resource: match resource {
            Some(id) => find_resource(db, id)?.and_then(|resource| given(resource.name)),
            None => None,
        },
        author: author.map(person).transpose()?.flatten(),
    })
}

/// An address with its domain in lower case (RFC 5321 §2.4: only the domain may be changed).
pub(super) fn canonical_address(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
        None => address.to_owned(),
    }
}

pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
