//! Tokens: operators' by digest, people's pairs with their secret sealed.

use rusqlite::{Connection, OptionalExtension, params};
use sonnette_core::ids::{TokenId, UserId};
use sonnette_core::model::{Millis, Token};
use sonnette_core::ports::{Bearer, NewToken};

use super::rows::{Col, bad, col, maybe};
use super::writer::Unit;
use super::{Shared, directory, hooks};

pub(super) fn add(
    unit: &mut Unit<'_>,
    id: TokenId,
    name: &str,
    token: &NewToken,
    now: Millis,
) -> rusqlite::Result<bool> {
    match token {
        NewToken::Operator(digest) => {
            unit.db
                .prepare_cached("INSERT INTO tokens (id, name, created_at, digest) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![id.0, name, now, digest.as_slice()])?;
        }
        NewToken::Pair { user, public, secret } => {
            if !directory::is_open(unit.db, (*user).into())? {
                return Ok(false);
            }
            let sealed = hooks::seal(unit.shared, &place(public), secret);
            unit.db
                .prepare_cached(
                    "INSERT INTO tokens (id, name, created_at, user, public, secret) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![id.0, name, now, Col(*user), public, sealed])?;
        }
    }
    Ok(true)
}

pub(super) fn list(db: &Connection, user: Option<UserId>) -> rusqlite::Result<Vec<Token>> {
    db.prepare_cached(
        "SELECT id, name, created_at, user, public FROM tokens WHERE ?1 IS NULL OR user = ?1 ORDER BY created_at, id",
    )?
    .query_map([user.map(Col)], |row| {
        Ok(Token {
            id: TokenId(row.get(0)?),
            name: row.get(1)?,
            created_at: row.get(2)?,
            user: maybe(row, 3)?,
            public: row.get(4)?,
        })
    })?
    .collect()
}

pub(super) fn revoke(unit: &mut Unit<'_>, id: TokenId) -> rusqlite::Result<bool> {
    let user: Option<Option<UserId>> = unit
        .db
        .prepare_cached("DELETE FROM tokens WHERE id = ?1 RETURNING user")?
        .query_row([id.0], |row| maybe(row, 0))
        .optional()?;
    if let Some(Some(user)) = user {
        // Streams that were opened with it end.
        unit.grew(user.into());
    }
    Ok(user.is_some())
}

pub(super) fn is_operator_token(db: &Connection, digest: &[u8; 32]) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM tokens WHERE digest = ?1")?.exists([digest.as_slice()])
}

pub(super) fn pair(db: &Connection, shared: &Shared, public: &str) -> rusqlite::Result<Option<Bearer>> {
    db.prepare_cached(
        "SELECT u.id, u.operator, t.secret FROM tokens t JOIN users u ON u.id = t.user WHERE t.public = ?1 AND u.closed = 0",
    )?
    .query_row([public], |row| {
        let sealed: Vec<u8> = row.get(2)?;
        let secret = shared.sealer.open(&place(public), &sealed).map_err(bad)?;
        Ok(Bearer::Pair { user: col(row, 0)?, operator: row.get(1)?, secret })
    })
    .optional()
}

fn place(public: &str) -> String {
    format!("token/{public}/secret")
}
