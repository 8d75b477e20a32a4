//! What stops or holds letters: who takes none, who wants none of a hook, strangers to be asked, and the ceiling.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, params};
use sonnette_core::address;
use sonnette_core::ids::{DeliveryId, DestinationId, EventId, HookId, OwnerId, UserId};
use sonnette_core::lang::Lang;
use sonnette_core::message::{self, LinkTemplates};
use sonnette_core::model::{
    Cancelled, Draft, HOUR, Held, Hook, HookState, Ingested, Millis, Recipient, Role, State, Target, Way,
};
use sonnette_core::ports::{Changed, Page, Ticket};
use sonnette_core::private::{Private, PrivateLetter};
use sonnette_core::secret::Secret;
use sonnette_core::stops::{
    self, Admission, CONFIRM_WITHIN, ConfirmLink, Consent, LATEST, MOST_ASKED, MOST_ASKED_ONE, MOST_MUTES,
    Mail, MailHook, Mute, Question, Reason, Standing, StopLink, Suppression,
};

use super::rows::{Col, bad, col, targets_from_text};
use super::work::{Row1, event_of, held_for, move_tally, recipient, row, stale};
use super::writer::Unit;
use super::{Shared, directory, hooks, intake, private, work};

/// Why a letter is kept back, as its row says.
const UNCONFIRMED: i64 = 0;
const CEILING: i64 = 1;
/// Stands for the house where a hook is named.
const HOUSE: i64 = 0;
/// How long a letter that stands for others is worth sending.
const SUMMARY_LASTS: Millis = 24 * HOUR;

// ---------------------------------------------------------------------------------------------------- may it go

/// One letter that is to go.
struct Letter {
    owner: OwnerId,
    kind: String,
    resource: Option<String>,
    hook: Option<i64>,
    destination: DestinationId,
    to: Recipient,
}

/// What [`letter_of`] reads.
const LETTER: &str = "e.owner, e.kind, e.resource, d.hook, d.destination, d.address, d.user";
const LETTER_COLUMNS: usize = 7;

/// Reads [`LETTER`] from column `at` on; `None` if it is not known for whom it is.
fn letter_of(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Letter>> {
    let Some(to) = recipient(row, at + 5)? else { return Ok(None) };
    Ok(Some(Letter {
        owner: col(row, at)?,
        kind: row.get(at + 1)?,
        resource: row.get(at + 2)?,
        hook: row.get(at + 3)?,
        destination: DestinationId(row.get(at + 4)?),
        to,
    }))
}

fn letter(db: &Connection, id: DeliveryId) -> rusqlite::Result<Option<Letter>> {
    let found = db
        .prepare_cached(&format!(
            "SELECT {LETTER} FROM deliveries d JOIN events e ON e.id = d.event WHERE d.event = ?1 AND d.n = ?2"
        ))?
        .query_row(params![id.event.0, id.n], |row| letter_of(row, 0))
        .optional()?;
    Ok(found.flatten())
}

pub(super) fn admit(unit: &mut Unit<'_>, ticket: Ticket, now: Millis) -> rusqlite::Result<Admission> {
    let id = ticket.delivery;
    let gone = |unit: &mut Unit<'_>| {
        unit.back(ticket);
        Ok(Admission::Stale)
    };
    let Some(before) = row(unit.db, id)? else { return gone(unit) };
    if !before.state.is_live() || before.attempts + 1 != ticket.attempt {
        stale(unit, &before);
        return gone(unit);
    }
    let Some(letter) = letter(unit.db, id)? else { return gone(unit) };
    let key = stops::key(&unit.shared.sealer, &letter.to.address);
    let hour = now.div_euclid(HOUR);
    let standing = standing(unit, id, &letter, &key, hour, now)?;
    let ceiling = unit.shared.letters.ceiling;
    let admission = stops::admit(&standing, ceiling, now);
    match admission {
        Admission::Go if ceiling > 0 && !standing.locked => {
            unit.db
                .prepare_cached("INSERT OR IGNORE INTO let_go (hour, key, event, n) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![hour, key, id.event.0, id.n])?;
        }
        Admission::Wait(Held::Ceiling) => {
            keep_back(unit, ticket, &before, &letter, &key, Held::Ceiling, stops::hour_end(now))?;
        }
        Admission::Wait(why) => {
            let asked = match standing.consent {
                Consent::Asked(at) => at,
                // Saved before anybody was asked, or when too many were.
                Consent::NotAsked | Consent::Given => {
                    ask(unit, letter.owner, &letter.to.address, now)?;
                    now
                }
            };
            keep_back(unit, ticket, &before, &letter, &key, why, asked + CONFIRM_WITHIN)?;
        }
        Admission::Go | Admission::Stop(_) | Admission::Stale => {}
    }
    Ok(admission)
}

fn standing(
    unit: &Unit<'_>,
    id: DeliveryId,
    letter: &Letter,
    key: &[u8; 32],
    hour: i64,
    now: Millis,
) -> rusqlite::Result<Standing> {
    let (db, shared) = (unit.db, unit.shared);
    let private = letter.destination == DestinationId::PRIVATE;
    let stranger = letter.to.user.is_none() && !private;
    Ok(Standing {
        locked: shared.catalogue.find(&letter.kind).is_some_and(|(_, kind)| kind.locked || kind.private),
        meant: private || work::is_meant(db, letter.owner, letter.hook, &letter.to)?,
        suppressed: is_suppressed(db, key)?,
        stopped: is_unwanted(db, letter, key)?,
        consent: if stranger { consent(db, shared, letter.owner, &letter.to.address, now)? } else { Consent::Given },
        sent: match shared.letters.ceiling {
            0 => 0,
            // No more are read than are needed to know.
            ceiling => db
                .prepare_cached(
                    "SELECT count(*) FROM (SELECT 1 FROM let_go WHERE hour = ?1 AND key = ?2 AND (event, n) <> (?3, ?4) LIMIT ?5)",
                )?
                .query_row(params![hour, key, id.event.0, id.n, ceiling], |row| row.get(0))?,
        },
    })
}

fn is_suppressed(db: &Connection, key: &[u8; 32]) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM suppressions WHERE key = ?1")?.exists([key])
}

/// Whether its reader stopped the hook, or muted the kind or what it is about.
fn is_unwanted(db: &Connection, letter: &Letter, key: &[u8]) -> rusqlite::Result<bool> {
    let stopped = db
        .prepare_cached("SELECT 1 FROM stopped WHERE hook = ?1 AND key = ?2")?
        .exists(params![letter.hook, key])?;
    if stopped {
        return Ok(true);
    }
    let user = match letter.to.user {
        Some(user) => Some(user),
        // A hook that names a member's address writes to the member.
        None => member_at(db, letter.owner, &letter.to.address)?,
    };
    let Some(user) = user else { return Ok(false) };
    db.prepare_cached(
        "SELECT 1 FROM mutes WHERE user = ?1 AND kind = ?2 AND resource = ''
         UNION ALL SELECT 1 FROM mutes WHERE user = ?1 AND kind = ''
           AND resource IN (SELECT id FROM resources WHERE id = ?3 OR real_id = ?3)",
    )?
    .exists(params![Col(user), letter.kind, letter.resource])
}

/// Holds a letter until then, and takes its ticket back.
fn keep_back(
    unit: &mut Unit<'_>,
    ticket: Ticket,
    before: &Row1,
    letter: &Letter,
    key: &[u8; 32],
    why: Held,
    until: Millis,
) -> rusqlite::Result<()> {
    let id = ticket.delivery;
    let number = if why == Held::Ceiling { CEILING } else { UNCONFIRMED };
    unit.back(ticket);
    put(unit, id, before, State::Held(why))?;
    unit.db
        .prepare_cached(
            "INSERT OR REPLACE INTO kept_back (why, key, owner, until, event, n) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![number, key, Col(letter.owner), until, id.event.0, id.n])?;
    Ok(())
}

/// Puts a delivery where it is not tried.
fn put(unit: &mut Unit<'_>, id: DeliveryId, before: &Row1, state: State) -> rusqlite::Result<()> {
    unit.db
        .prepare_cached("UPDATE deliveries SET state = ?3, due = NULL WHERE event = ?1 AND n = ?2")?
        .execute(params![id.event.0, id.n, Col(state)])?;
    move_tally(unit, before.hook, before.state, state);
    Ok(())
}

// -------------------------------------------------------------------------------------------------- suppression

pub(super) fn suppress(
    unit: &mut Unit<'_>,
    reason: &Reason,
    told: Option<Draft>,
    now: Millis,
) -> rusqlite::Result<bool> {
    let key = stops::key(&unit.shared.sealer, &reason.address);
    let known = unit
        .db
        .prepare_cached("UPDATE suppressions SET last = max(last, ?2) WHERE key = ?1")?
        .execute(params![key, now])?;
    if known > 0 {
        return Ok(false);
    }
    let address = seal_address(unit.shared, &key, &reason.address);
    unit.db
        .prepare_cached(
            "INSERT INTO suppressions (key, address, why, note, first, last, event, n) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)",
        )?
        .execute(params![
            key,
            address,
            Col(reason.why),
            reason.note,
            now,
            reason.delivery.map(|id| id.event.0),
            reason.delivery.map(|id| id.n),
        ])?;
    if let Some(draft) = told {
        // An owner that is gone is not told.
        let _: Vec<Ingested> = intake::ingest(unit, vec![draft], now)?;
    }
    Ok(true)
}

const SUPPRESSION: &str = "id, key, address, why, note, first, last, event, n";

fn suppression_of(shared: &Shared, row: &Row<'_>) -> rusqlite::Result<Suppression> {
    let event: Option<i64> = row.get(7)?;
    let delivery = event.zip(row.get::<_, Option<u32>>(8)?);
    Ok(Suppression {
        id: row.get(0)?,
        address: open_address(shared, &row.get::<_, [u8; 32]>(1)?, &row.get::<_, Vec<u8>>(2)?)?,
        why: col(row, 3)?,
        note: row.get(4)?,
        first: row.get(5)?,
        last: row.get(6)?,
        delivery: delivery.map(|(event, n)| DeliveryId { event: EventId(event), n }),
    })
}

pub(super) fn suppressions(
    db: &Connection,
    shared: &Shared,
    page: Page<i64>,
) -> rusqlite::Result<Vec<Suppression>> {
    db.prepare_cached(&format!(
        "SELECT {SUPPRESSION} FROM suppressions WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
    ))?
    .query_map([page.after.unwrap_or(i64::MAX), directory::limit(page.limit)], |row| {
        suppression_of(shared, row)
    })?
    .collect()
}

pub(super) fn suppression(
    db: &Connection,
    shared: &Shared,
    address: &str,
) -> rusqlite::Result<Option<Suppression>> {
    db.prepare_cached(&format!("SELECT {SUPPRESSION} FROM suppressions WHERE key = ?1"))?
        .query_row([stops::key(&shared.sealer, address)], |row| suppression_of(shared, row))
        .optional()
}

pub(super) fn lift(unit: &mut Unit<'_>, address: &str) -> rusqlite::Result<bool> {
    let key = stops::key(&unit.shared.sealer, address);
    Ok(unit.db.prepare_cached("DELETE FROM suppressions WHERE key = ?1")?.execute([key])? > 0)
}

pub(super) fn came_back(unit: &mut Unit<'_>, id: DeliveryId, words: &str) -> rusqlite::Result<bool> {
    let last = unit
        .db
        .prepare_cached(
            "SELECT number, note FROM attempts WHERE event = ?1 AND n = ?2 ORDER BY number DESC LIMIT 1",
        )?
        .query_row(params![id.event.0, id.n], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default()))
        })
        .optional()?;
    let Some((number, note)) = last else { return Ok(false) };
    if !note.contains("came back: ") {
        let note = if note.is_empty() { words.to_owned() } else { format!("{note}; {words}") };
        unit.db
            .prepare_cached("UPDATE attempts SET note = ?4 WHERE event = ?1 AND n = ?2 AND number = ?3")?
            .execute(params![id.event.0, id.n, number, note])?;
    }
    Ok(true)
}

pub(super) fn addressee(db: &Connection, id: DeliveryId) -> rusqlite::Result<Option<(OwnerId, Recipient)>> {
    Ok(letter(db, id)?.map(|letter| (letter.owner, letter.to)))
}

fn seal_address(shared: &Shared, key: &[u8; 32], address: &str) -> Vec<u8> {
    hooks::seal(shared, &place_of_address(key), &Secret::new(address))
}

fn open_address(shared: &Shared, key: &[u8; 32], sealed: &[u8]) -> rusqlite::Result<String> {
    let opened = shared.sealer.open(&place_of_address(key), sealed).map_err(bad)?;
    Ok(opened.expose().to_owned())
}

fn place_of_address(key: &[u8; 32]) -> String {
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("address/{digits}")
}

// ----------------------------------------------------------------------------------------------- one hook's letters

pub(super) fn stop_letters(
    unit: &mut Unit<'_>,
    link: &StopLink,
    stop: bool,
    now: Millis,
) -> rusqlite::Result<bool> {
    if hooks::owner(unit.db, link.hook)?.is_none() {
        return Ok(false);
    }
    let key = stops::key(&unit.shared.sealer, &link.address);
    if stop {
        let address = seal_address(unit.shared, &key, &link.address);
        unit.db
            .prepare_cached("INSERT OR IGNORE INTO stopped (hook, key, address, at) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![link.hook.0, key, address, now])?;
    } else {
        unit.db
            .prepare_cached("DELETE FROM stopped WHERE hook = ?1 AND key = ?2")?
            .execute(params![link.hook.0, key])?;
    }
    Ok(true)
}

/// Who wants no more of a hook, and since when.
pub(super) fn stopped(
    db: &Connection,
    shared: &Shared,
    hook: HookId,
) -> rusqlite::Result<Vec<(String, Millis)>> {
    db.prepare_cached("SELECT key, address, at FROM stopped WHERE hook = ?1 ORDER BY at, key")?
        .query_map([hook.0], |row| {
            let address = open_address(shared, &row.get::<_, [u8; 32]>(0)?, &row.get::<_, Vec<u8>>(1)?)?;
            Ok((address, row.get(2)?))
        })?
        .collect()
}

// ---------------------------------------------------------------------------------------------- one person's letters

pub(super) fn mail(db: &Connection, shared: &Shared, id: UserId) -> rusqlite::Result<Option<Mail>> {
    let Some(user) = directory::user(db, id)? else { return Ok(None) };
    let key = stops::key(&shared.sealer, &user.email);
    let all = Page { after: None, limit: usize::MAX };
    let organisations = directory::organisations(db, Some(id), all)?;
    let organisations = organisations.into_iter().map(|(one, role)| (OwnerId::from(one.id), role));
    let mut hooks = Vec::new();
    let mut of_owner = db.prepare_cached(
        "SELECT h.id, h.name, h.targets, s.at FROM hooks h LEFT JOIN stopped s ON s.hook = h.id AND s.key = ?2
         WHERE h.owner = ?1 AND h.deleted IS NULL AND h.targets IS NOT NULL ORDER BY h.created_at, h.id",
    )?;
    let person = Recipient { address: user.email, user: Some(id) };
    let address = Recipient { user: None, ..person.clone() };
    for (owner, role) in std::iter::once((OwnerId::from(id), Some(Role::Admin))).chain(organisations) {
        let mut rows = of_owner.query(params![Col(owner), key])?;
        while let Some(row) = rows.next()? {
            let stopped: Option<Millis> = row.get(3)?;
            let targets = targets_from_text(&row.get::<_, String>(2)?)?;
            let means =
                |target: &Target| target.means(owner, &person, role) || target.means(owner, &address, None);
            if stopped.is_some() || targets.iter().any(means) {
                hooks.push(MailHook { id: HookId(row.get(0)?), owner, name: row.get(1)?, stopped });
            }
        }
    }
    let mut mutes = BTreeSet::new();
    let mut muted = db.prepare_cached("SELECT kind, resource FROM mutes WHERE user = ?1")?;
    let mut rows = muted.query([Col(id)])?;
    while let Some(row) = rows.next()? {
        let kind: String = row.get(0)?;
        if kind.is_empty() {
            mutes.insert(Mute::Resource(col(row, 1)?));
        } else if shared.catalogue.may_refuse(&kind) {
            mutes.insert(Mute::Kind(kind));
        }
    }
    Ok(Some(Mail { hooks, mutes }))
}

pub(super) fn mute(unit: &mut Unit<'_>, user: UserId, mutes: &BTreeSet<Mute>) -> rusqlite::Result<Changed> {
    let db = unit.db;
    if !directory::is_open(db, user.into())? {
        return Ok(Changed::UnknownOwner);
    }
    if mutes.len() > MOST_MUTES {
        return Ok(Changed::TooMany);
    }
    let mut columns: Vec<(&str, String)> = Vec::new();
    for mute in mutes {
        match mute {
            Mute::Kind(kind) => columns.push((kind, String::new())),
            Mute::Resource(id) => match directory::find_resource(db, id)? {
                Some(found) if directory::role_even_closed(db, found.owner, user)?.is_some() => {
                    columns.push(("", found.id.to_string()));
                }
                _ => return Ok(Changed::ForeignResource(id.clone())),
            },
        }
    }
    db.prepare_cached("DELETE FROM mutes WHERE user = ?1")?.execute([Col(user)])?;
    let mut insert =
        db.prepare_cached("INSERT OR IGNORE INTO mutes (user, kind, resource) VALUES (?1, ?2, ?3)")?;
    for (kind, resource) in columns {
        insert.execute(params![Col(user), kind, resource])?;
    }
    Ok(Changed::Done)
}

// ------------------------------------------------------------------------------------------------- confirmation

/// Whether a bare address wants an owner's letters. One that is a member's needs not be asked.
fn consent(
    db: &Connection,
    shared: &Shared,
    owner: OwnerId,
    address: &str,
    now: Millis,
) -> rusqlite::Result<Consent> {
    if shared.letters.confirm.is_none() || member_at(db, owner, address)?.is_some() {
        return Ok(Consent::Given);
    }
    let found: Option<(Millis, Option<Millis>)> = db
        .prepare_cached("SELECT asked, confirmed FROM confirmations WHERE key = ?1 AND owner = ?2")?
        .query_row(params![stops::key(&shared.sealer, address), Col(owner)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match found {
        Some((_, Some(_))) => Consent::Given,
        // Before our time is as good as just now: a clock may be set back.
        Some((asked, None)) => Consent::Asked(asked.min(now)),
        None => Consent::NotAsked,
    })
}

/// Who of the owner's people has an address.
fn member_at(db: &Connection, owner: OwnerId, address: &str) -> rusqlite::Result<Option<UserId>> {
    match owner {
        OwnerId::User(id) => {
            let user = directory::person(db, id)?;
            Ok(user.filter(|user| address::same(&user.email, address)).map(|user| user.id))
        }
        OwnerId::Organisation(id) => db
            .prepare_cached(
                "SELECT u.id FROM users u JOIN members m ON m.user = u.id
                 WHERE lower(u.email) = lower(?1) AND u.closed = 0 AND m.organisation = ?2 ORDER BY u.id LIMIT 1",
            )?
            .query_row(params![address, Col(id)], |row| col(row, 0))
            .optional(),
    }
}

/// A hook was saved: asks the strangers it names, unless they were asked and may still answer.
pub(super) fn ask_all(unit: &mut Unit<'_>, hook: &Hook, now: Millis) -> rusqlite::Result<()> {
    if unit.shared.letters.confirm.is_none() {
        return Ok(());
    }
    for address in bare_addresses(hook) {
        let again = match consent(unit.db, unit.shared, hook.owner, address, now)? {
            Consent::Given => false,
            Consent::NotAsked => true,
            Consent::Asked(at) => at + CONFIRM_WITHIN <= now,
        };
        if again {
            ask(unit, hook.owner, address, now)?;
        }
    }
    Ok(())
}

/// The addresses of a hook that have not said whether they want its letters.
pub(super) fn unconfirmed(db: &Connection, shared: &Shared, hook: &Hook) -> rusqlite::Result<Vec<String>> {
    let mut unconfirmed = Vec::new();
    for address in bare_addresses(hook) {
        if consent(db, shared, hook.owner, address, Millis::MAX)? != Consent::Given {
            unconfirmed.push(address.clone());
        }
    }
    Ok(unconfirmed)
}

fn bare_addresses(hook: &Hook) -> impl Iterator<Item = &String> {
    let targets: &[Target] = match &hook.way {
        Way::Email { targets, .. } => targets,
        Way::Webhook { .. } => &[],
    };
    targets.iter().flat_map(|target| match target {
        Target::Addresses(addresses) => addresses.as_slice(),
        Target::Organisation { .. } | Target::User(_) | Target::Maker(_) => &[],
    })
}

/// Owes the letter that asks, unless the owner or the address was part of too many.
fn ask(unit: &mut Unit<'_>, owner: OwnerId, address: &str, now: Millis) -> rusqlite::Result<()> {
    let Some(public_url) = &unit.shared.letters.confirm else { return Ok(()) };
    let db = unit.db;
    let key = stops::key(&unit.shared.sealer, address);
    let since = now - CONFIRM_WITHIN;
    let by_owner: u32 = db
        .prepare_cached(
            "SELECT count(*) FROM confirmations INDEXED BY confirmations_asked
             WHERE owner = ?1 AND confirmed IS NULL AND asked > ?2",
        )?
        .query_row(params![Col(owner), since], |row| row.get(0))?;
    let of_address: u32 = db
        .prepare_cached("SELECT count(*) FROM confirmations WHERE key = ?1 AND asked > ?2")?
        .query_row(params![key, since], |row| row.get(0))?;
    if by_owner >= MOST_ASKED || of_address >= MOST_ASKED_ONE || is_suppressed(db, &key)? {
        return Ok(());
    }
    let letter = stops::question(&unit.shared.sealer, public_url, owner, address, now);
    if private::write(unit, &letter, now)?.is_some() {
        unit.db
            .prepare_cached(
                "INSERT OR REPLACE INTO confirmations (key, owner, asked, confirmed) VALUES (?1, ?2, ?3, NULL)",
            )?
            .execute(params![key, Col(owner), now])?;
    }
    Ok(())
}

pub(super) fn question(
    db: &Connection,
    shared: &Shared,
    link: &ConfirmLink,
    now: Millis,
) -> rusqlite::Result<Question> {
    let key = stops::key(&shared.sealer, &link.address);
    let confirmed: Option<Option<Millis>> = db
        .prepare_cached("SELECT confirmed FROM confirmations WHERE key = ?1 AND owner = ?2 AND asked = ?3")?
        .query_row(params![key, Col(link.owner), link.asked], |row| row.get(0))
        .optional()?;
    Ok(match confirmed {
        Some(Some(at)) => Question::Confirmed(at),
        Some(None) if now < link.asked + CONFIRM_WITHIN => Question::Open,
        Some(None) | None => Question::Over,
    })
}

pub(super) fn confirm(unit: &mut Unit<'_>, link: &ConfirmLink, now: Millis) -> rusqlite::Result<bool> {
    let question = question(unit.db, unit.shared, link, now)?;
    if question == Question::Open {
        let key = stops::key(&unit.shared.sealer, &link.address);
        unit.db
            .prepare_cached(
                "UPDATE confirmations SET confirmed = ?3, settle = 1 WHERE key = ?1 AND owner = ?2",
            )?
            .execute(params![key, Col(link.owner), now])?;
    }
    Ok(question != Question::Over)
}

// -------------------------------------------------------------------------------------------------- in slices

/// A letter kept back.
struct Kept {
    id: DeliveryId,
    owner: OwnerId,
}

fn kept(db: &Connection, filter: &str, values: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<Vec<Kept>> {
    db.prepare_cached(&format!("SELECT event, n, owner FROM kept_back WHERE {filter}"))?
        .query_map(values, |row| {
            Ok(Kept { id: DeliveryId { event: EventId(row.get(0)?), n: row.get(1)? }, owner: col(row, 2)? })
        })?
        .collect()
}

fn forget_kept(db: &Connection, why: i64, key: &[u8], kept: &Kept) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM kept_back WHERE why = ?1 AND key = ?2 AND owner = ?3 AND event = ?4 AND n = ?5",
    )?
    .execute(params![why, key, Col(kept.owner), kept.id.event.0, kept.id.n])?;
    Ok(())
}

/// Lets go a slice of what was held for an address that is confirmed.
pub(super) fn release_confirmed(unit: &mut Unit<'_>, now: Millis, slice: i64) -> rusqlite::Result<i64> {
    let found: Option<(Vec<u8>, OwnerId)> = unit
        .db
        .prepare_cached("SELECT key, owner FROM confirmations INDEXED BY confirmations_to_settle WHERE settle <> 0 LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, col(row, 1)?)))
        .optional()?;
    let Some((key, owner)) = found else { return Ok(0) };
    let rows = kept(
        unit.db,
        "why = ?1 AND key = ?2 AND owner = ?3 ORDER BY event, n LIMIT ?4",
        &[&UNCONFIRMED, &key, &Col(owner), &slice],
    )?;
    for one in &rows {
        forget_kept(unit.db, UNCONFIRMED, &key, one)?;
        if let Some(before) = row(unit.db, one.id)?.filter(|row| row.state == State::Held(Held::Unconfirmed))
        {
            let_go(unit, one.id, &before, now)?;
        }
    }
    if rows.is_empty() {
        unit.db
            .prepare_cached("UPDATE confirmations SET settle = 0 WHERE key = ?1 AND owner = ?2")?
            .execute(params![key, Col(owner)])?;
    }
    Ok(i64::try_from(rows.len()).unwrap_or_default().max(1))
}

/// Makes a letter due that was held, or holds it for its hook that does not tell. What a deleted hook or a removed
/// destination owes is cancelled by the house.
fn let_go(unit: &mut Unit<'_>, id: DeliveryId, before: &Row1, now: Millis) -> rusqlite::Result<()> {
    let state: Option<HookState> = match before.hook {
        None => Some(HookState::Enabled),
        Some(hook) => unit
            .db
            .prepare_cached(
                "SELECT h.state FROM hooks h JOIN destinations d ON d.hook = h.id
                 WHERE h.id = ?1 AND d.id = ?2 AND h.deleted IS NULL AND d.removed = 0",
            )?
            .query_row([hook, before.destination.0], |row| col(row, 0))
            .optional()?,
    };
    match state {
        None => Ok(()),
        Some(HookState::Enabled) => {
            let state = if before.attempts == 0 { State::Pending } else { State::Retrying };
            unit.db
                .prepare_cached(
                    "UPDATE deliveries SET state = ?3, due = ?4, since = ?4, spent = attempts WHERE event = ?1 AND n = ?2",
                )?
                .execute(params![id.event.0, id.n, Col(state), now])?;
            move_tally(unit, before.hook, before.state, state);
            unit.note(before.destination, now);
            Ok(())
        }
        Some(state) => put(unit, id, before, held_for(state)),
    }
}

/// Cancels a slice of what nobody confirmed in time.
pub(super) fn give_up_unconfirmed(unit: &mut Unit<'_>, now: Millis, slice: i64) -> rusqlite::Result<i64> {
    let found: Option<Vec<u8>> = unit
        .db
        .prepare_cached(
            "SELECT key FROM kept_back INDEXED BY kept_back_until WHERE why = ?1 AND until <= ?2 ORDER BY until LIMIT 1",
        )?
        .query_row([UNCONFIRMED, now], |row| row.get(0))
        .optional()?;
    let Some(key) = found else { return Ok(0) };
    let rows =
        kept(unit.db, "why = ?1 AND key = ?2 AND until <= ?3 LIMIT ?4", &[&UNCONFIRMED, &key, &now, &slice])?;
    for one in &rows {
        forget_kept(unit.db, UNCONFIRMED, &key, one)?;
        if let Some(before) = row(unit.db, one.id)?.filter(|row| row.state == State::Held(Held::Unconfirmed))
        {
            put(unit, one.id, &before, State::Cancelled(Cancelled::NoRecipient))?;
        }
    }
    Ok(i64::try_from(rows.len()).unwrap_or_default())
}

/// An hour has turned: writes the one letter that stands for those held in it, then ends them in slices.
pub(super) fn sum_up(unit: &mut Unit<'_>, now: Millis, slice: i64) -> rusqlite::Result<i64> {
    let found: Option<(Vec<u8>, Millis)> = unit
        .db
        .prepare_cached(
            "SELECT key, until FROM kept_back INDEXED BY kept_back_until WHERE why = ?1 AND until <= ?2 ORDER BY until LIMIT 1",
        )?
        .query_row([CEILING, now], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((key, until)) = found else { return Ok(0) };
    let begun = unit
        .db
        .prepare_cached("SELECT 1 FROM summed_up WHERE key = ?1 AND until = ?2")?
        .exists(params![key, until])?;
    if !begun {
        stand_for(unit, &key, until, now)?;
    }
    let rows = kept(
        unit.db,
        "why = ?1 AND key = ?2 AND until = ?3 ORDER BY event, n LIMIT ?4",
        &[&CEILING, &key, &until, &slice],
    )?;
    for one in &rows {
        forget_kept(unit.db, CEILING, &key, one)?;
        let Some(before) = row(unit.db, one.id)?.filter(|row| row.state == State::Held(Held::Ceiling)) else {
            continue;
        };
        let told = unit
            .db
            .prepare_cached("SELECT 1 FROM summed_up WHERE key = ?1 AND until = ?2 AND hook = ?3")?
            .exists(params![key, until, before.hook.unwrap_or(HOUSE)])?;
        let unwanted = match letter(unit.db, one.id)? {
            Some(letter) => is_unwanted(unit.db, &letter, &key)?,
            None => false,
        };
        if told && !unwanted {
            put(unit, one.id, &before, State::Cancelled(Cancelled::Skipped))?;
        } else {
            // Its hook is paused, or its reader left or wants none of it meanwhile: it is asked again whether it may go.
            let_go(unit, one.id, &before, now)?;
        }
    }
    let left = unit
        .db
        .prepare_cached(
            "SELECT 1 FROM kept_back INDEXED BY kept_back_until WHERE why = ?1 AND until = ?2 AND key = ?3",
        )?
        .exists(params![CEILING, until, key])?;
    if !left {
        unit.db
            .prepare_cached("DELETE FROM summed_up WHERE key = ?1 AND until = ?2")?
            .execute(params![key, until])?;
    }
    Ok(i64::try_from(rows.len()).unwrap_or_default().max(1))
}

/// Writes the letter that stands for what an address was not sent, and notes the hooks it speaks of. Nothing is said of
/// hooks that do not tell now, or whose reader is not to hear of them any more.
fn stand_for(unit: &mut Unit<'_>, key: &[u8], until: Millis, now: Millis) -> rusqlite::Result<()> {
    const FROM: &str = "FROM kept_back k JOIN deliveries d ON d.event = k.event AND d.n = k.n JOIN events e ON e.id = k.event
         WHERE k.why = ?1 AND k.key = ?2 AND k.until = ?3 AND d.state = ?4";
    let (db, held) = (unit.db, Col(State::Held(Held::Ceiling)));
    let groups: Vec<(Option<Letter>, i64)> = db
        .prepare_cached(&format!("SELECT {LETTER}, count(*) {FROM} GROUP BY 1, 2, 3, 4, 5, 6, 7"))?
        .query_map(params![CEILING, key, until, held], |row| {
            Ok((letter_of(row, 0)?, row.get(LETTER_COLUMNS)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let digest: [u8; 32] = key.try_into().map_err(bad)?;
    let suppressed = is_suppressed(db, &digest)?;
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let mut told: BTreeMap<i64, (OwnerId, Recipient)> = BTreeMap::new();
    for (letter, count) in groups {
        let Some(letter) = letter else { continue };
        let tells = match letter.hook {
            None => true,
            Some(hook) => db
                .prepare_cached("SELECT 1 FROM hooks WHERE id = ?1 AND deleted IS NULL AND state = ?2")?
                .exists(params![hook, Col(HookState::Enabled)])?,
        };
        if suppressed
            || !tells
            || is_unwanted(db, &letter, key)?
            || !work::is_meant(db, letter.owner, letter.hook, &letter.to)?
        {
            continue;
        }
        *kinds.entry(letter.kind).or_default() += u64::try_from(count).unwrap_or_default();
        told.insert(letter.hook.unwrap_or(HOUSE), (letter.owner, letter.to));
    }
    let Some((owner, to)) = told.values().next().cloned() else { return Ok(()) };
    let lang = match to.user {
        Some(user) => directory::person(db, user)?.map(|user| Lang::of(&user.lang)),
        None => None,
    };
    let lang = lang.unwrap_or(unit.shared.letters.lang);
    let mut latest = Vec::new();
    let events = db
        .prepare_cached(&format!(
            "SELECT e.id, e.owner, e.kind, e.resource, e.frame, {LETTER} {FROM} ORDER BY k.event DESC, k.n DESC LIMIT ?5"
        ))?
        .query_map(params![CEILING, key, until, held, 10 * directory::limit(LATEST)], |row| {
            Ok((event_of(row)?, letter_of(row, 5)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for (event, letter) in events {
        let Some(letter) = letter else { continue };
        if latest.len() < LATEST
            && told.contains_key(&letter.hook.unwrap_or(HOUSE))
            && !is_unwanted(db, &letter, key)?
        {
            let names = directory::names(db, event.owner, event.resource.as_ref(), message::author(&event))?;
            let message =
                message::of(&unit.shared.catalogue, &event, &names, &LinkTemplates::default(), lang);
            latest.push(message.title.to_string());
        }
    }
    let data = stops::held_back(&kinds, unit.shared.letters.ceiling, &latest);
    // It is the reader's where they are somebody we know, so that it does not go with one of several owners.
    let user: Option<UserId> = to.user;
    let owner = user.map_or(owner, OwnerId::from);
    let letter = PrivateLetter::new(owner, Private::LettersHeldBack, &data, to, now + SUMMARY_LASTS, now);
    private::write(unit, &letter, now)?;
    for hook in told.keys() {
        unit.db
            .prepare_cached("INSERT INTO summed_up (key, until, hook) VALUES (?1, ?2, ?3)")?
            .execute(params![key, until, hook])?;
    }
    Ok(())
}

/// Drops a slice of hours that are over.
pub(super) fn forget(db: &Connection, now: Millis, slice: i64) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM let_go WHERE (hour, key, event, n) IN (SELECT hour, key, event, n FROM let_go WHERE hour < ?1 LIMIT ?2)",
    )?
    .execute([now.div_euclid(HOUR), slice])
}
