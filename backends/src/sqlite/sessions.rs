//! Signing in: links that open once, and the sessions they begin. Both are kept by digest: the file opens no door.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sonnette_core::ids::{SessionId, UserId};
use sonnette_core::model::{Millis, Session, User};
use sonnette_core::ports::{LINK_LIFE, NewSession, SESSION_IDLE, SESSION_LIFE, SignedIn, Which};

use super::directory;
use super::rows::{Col, col};
use super::writer::Unit;

/// Used and old links are kept this much longer, for whoever opens one late.
const REMEMBERED: Millis = 6 * LINK_LIFE;

pub(super) fn add_link(
    unit: &Unit<'_>,
    digest: [u8; 32],
    user: UserId,
    now: Millis,
) -> rusqlite::Result<bool> {
    if !directory::is_open(unit.db, user.into())? {
        return Ok(false);
    }
    unit.db
        .prepare_cached("INSERT INTO links (digest, user, until) VALUES (?1, ?2, ?3)")?
        .execute(params![digest.as_slice(), Col(user), now + LINK_LIFE])?;
    Ok(true)
}

pub(super) fn sign_in(
    unit: &Unit<'_>,
    link: [u8; 32],
    session: &NewSession,
    now: Millis,
) -> rusqlite::Result<SignedIn> {
    let db = unit.db;
    let found: Option<(UserId, Millis, bool)> = db
        .prepare_cached("SELECT user, until, used FROM links WHERE digest = ?1")?
        .query_row([link.as_slice()], |row| Ok((col(row, 0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let user = match found {
        Some((_, _, true)) => return Ok(SignedIn::Used),
        Some((user, until, false)) if now <= until && directory::is_open(db, user.into())? => user,
        _ => return Ok(SignedIn::Expired),
    };
    db.prepare_cached("UPDATE links SET used = 1 WHERE digest = ?1")?.execute([link.as_slice()])?;
    if let Some(before) = session.instead_of {
        db.prepare_cached("DELETE FROM sessions WHERE digest = ?1")?.execute([before.as_slice()])?;
    }
    db.prepare_cached(
        "INSERT INTO sessions (id, digest, user, agent, created_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
    )?
    .execute(params![session.id.0, session.digest.as_slice(), Col(user), session.agent, now])?;
    Ok(SignedIn::Done(user))
}

const SESSION: &str = "s.id, s.user, s.agent, s.created_at, s.seen_at";

fn session_of(row: &Row<'_>, from: usize) -> rusqlite::Result<Session> {
    Ok(Session {
        id: SessionId(row.get(from)?),
        user: col(row, from + 1)?,
        agent: row.get(from + 2)?,
        created_at: row.get(from + 3)?,
        seen_at: row.get(from + 4)?,
    })
}

/// The earliest a session may have been seen and begun, not to be over.
fn bounds(now: Millis) -> (Millis, Millis) {
    (now - SESSION_IDLE, now - SESSION_LIFE)
}

pub(super) fn session(
    db: &Connection,
    digest: [u8; 32],
    now: Millis,
) -> rusqlite::Result<Option<(Session, User)>> {
    let (seen, begun) = bounds(now);
    db.prepare_cached(&format!(
        "SELECT {}, {SESSION} FROM sessions s JOIN users u ON u.id = s.user
         WHERE s.digest = ?1 AND s.seen_at > ?2 AND s.created_at > ?3 AND u.closed = 0",
        directory::USER
    ))?
    .query_row(params![digest.as_slice(), seen, begun], |row| {
        Ok((session_of(row, directory::USER_COLUMNS)?, directory::user_of(row)?))
    })
    .optional()
}

pub(super) fn see(unit: &Unit<'_>, id: SessionId, now: Millis) -> rusqlite::Result<()> {
    unit.db
        .prepare_cached("UPDATE sessions SET seen_at = max(seen_at, ?2) WHERE id = ?1")?
        .execute(params![id.0, now])?;
    Ok(())
}

pub(super) fn list(db: &Connection, user: UserId, now: Millis) -> rusqlite::Result<Vec<Session>> {
    let (seen, begun) = bounds(now);
    db.prepare_cached(&format!(
        "SELECT {SESSION} FROM sessions s WHERE s.user = ?1 AND s.seen_at > ?2 AND s.created_at > ?3
         ORDER BY s.seen_at DESC, s.id"
    ))?
    .query_map(params![Col(user), seen, begun], |row| session_of(row, 0))?
    .collect()
}

pub(super) fn end(unit: &mut Unit<'_>, user: UserId, which: Which) -> rusqlite::Result<u64> {
    let (one, but) = match which {
        Which::One(id) => (Some(id.0), None),
        Which::AllBut(id) => (None, Some(id.0)),
        Which::All => (None, None),
    };
    let ended = unit
        .db
        .prepare_cached(
            "DELETE FROM sessions WHERE user = ?1 AND (?2 IS NULL OR id = ?2) AND (?3 IS NULL OR id <> ?3)",
        )?
        .execute(params![Col(user), one, but])?;
    if ended > 0 {
        // Streams that were opened with it end.
        unit.grew(user.into());
    }
    Ok(u64::try_from(ended).unwrap_or_default())
}

pub(super) fn prefer(unit: &Unit<'_>, user: UserId, lang: &str, zone: &str) -> rusqlite::Result<bool> {
    let changed = unit
        .db
        .prepare_cached("UPDATE users SET lang = ?2, zone = ?3 WHERE id = ?1 AND closed = 0")?
        .execute(params![Col(user), lang, zone])?;
    Ok(changed == 1)
}

/// What signs nobody in any more.
pub(super) fn forget(db: &Connection, now: Millis) -> rusqlite::Result<usize> {
    let (seen, begun) = bounds(now);
    let links = db.prepare_cached("DELETE FROM links WHERE until < ?1")?.execute([now - REMEMBERED])?;
    let sessions = db
        .prepare_cached("DELETE FROM sessions WHERE seen_at <= ?1 OR created_at <= ?2")?
        .execute([seen, begun])?;
    Ok(links + sessions)
}
