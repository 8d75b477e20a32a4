//! What is due, who has it, and what came of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sonnette_core::ids::{DeliveryId, DestinationId, EventId, HookId, OwnerId, UserId};
use sonnette_core::model::{
    Attempt, Cancelled, Event, Held, Hook, HookState, MINUTE, Millis, Recipient, Role, State, Target, Way,
};
use sonnette_core::ports::{Leased, LoadedHook, Recorded, Resent, StoreError, Ticket, Verdict, Work};

use super::agenda::{Agenda, LEASE, Turn};
use super::rows::{CANCELLED, Col, col, letter, maybe};
use super::writer::{Unit, failure};
use super::{Shared, directory, hooks, lock, private, threads};

/// Loaded hooks kept in memory; all are dropped when there are more.
const HOOKS: usize = 10_000;
/// Destinations served from one snapshot.
const TURNS: usize = 32;
/// When to look again at a destination whose rows do not read.
const UNREADABLE_AGAIN: Millis = MINUTE;

/// Reads the agenda back: one step of the index for each destination, however much waits there.
pub(super) fn read_agenda(db: &Connection) -> rusqlite::Result<Agenda> {
    let mut agenda = Agenda::default();
    let mut next = db.prepare(
        "SELECT destination, due FROM deliveries INDEXED BY deliveries_ready
         WHERE due IS NOT NULL AND destination > ?1 ORDER BY destination, due LIMIT 1",
    )?;
    let mut last = -1_i64;
    while let Some((destination, due)) =
        next.query_row([last], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()?
    {
        agenda.note(DestinationId(destination), due);
        last = destination;
    }
    Ok(agenda)
}

/// The lease's own connection and what it remembers.
pub(super) struct Lease {
    db: Connection,
    hooks: HashMap<HookId, Arc<LoadedHook>>,
    /// The version of [`Shared::hooks_version`] `hooks` was read at.
    version: u64,
}

struct Due {
    id: DeliveryId,
    at: Millis,
}

impl Lease {
    pub(super) fn new(db: Connection) -> Self {
        Self { db, hooks: HashMap::new(), version: 0 }
    }

    pub(super) fn take(&mut self, shared: &Shared, now: Millis, max: usize) -> rusqlite::Result<Leased> {
        let mut leased = Leased::default();
        loop {
            let turns = lock(&shared.agenda).turns(now, TURNS.min(max - leased.work.len()));
            if turns.is_empty() {
                break;
            }
            // After the turns: a change of hooks comes before the notes it leads to. Read before, a resumed hook could
            // be taken for paused, and the note that says otherwise be gone.
            let version = shared.hooks_version.load(Ordering::Acquire);
            if version != self.version || self.hooks.len() > HOOKS {
                self.hooks.clear();
                self.version = version;
            }
            if let Err(error) = self.serve(shared, &turns, now, max, &mut leased.work) {
                // Nothing is handed out: everything is as due as before.
                let mut agenda = lock(&shared.agenda);
                for work in leased.work {
                    agenda.back(work.ticket);
                    agenda.note(work.destination, now);
                }
                for turn in &turns {
                    agenda.note(turn.destination, turn.due);
                }
                return Err(error);
            }
        }
        leased.next_due = lock(&shared.agenda).next_due();
        Ok(leased)
    }

    /// Serves some turns from one snapshot, until there are `max` in all.
    fn serve(
        &mut self,
        shared: &Shared,
        turns: &[Turn],
        now: Millis,
        max: usize,
        work: &mut Vec<Work>,
    ) -> rusqlite::Result<()> {
        // Taken after the turns: whatever a turn was noted for is in it.
        let snapshot = self.db.unchecked_transaction()?;
        let mut events: HashMap<EventId, Arc<Event>> = HashMap::new();
        for turn in turns {
            let room = turn.room.min(max - work.len());
            if room == 0 {
                lock(&shared.agenda).note(turn.destination, turn.due);
                continue;
            }
            let (due, mut next) = due_of(&snapshot, turn, room, now)?;
            let first = work.len();
            for one in &due {
                match load(&snapshot, shared, &mut self.hooks, &mut events, turn.destination, one, now) {
                    Ok(Some(loaded)) => work.push(loaded),
                    // Rows of a hook that does not tell are moved by the house; until then nothing is due here.
                    Ok(None) => {
                        next = None;
                        break;
                    }
                    // One hook whose secret does not open must not keep the others from being told.
                    Err(error) if matches!(failure(&error), StoreError::Corrupt(_)) => {
                        tracing::error!(%error, delivery = %one.id, "a delivery cannot be read");
                        next = Some(now + UNREADABLE_AGAIN);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            let taken = work[first..].iter().map(|work| work.ticket.delivery);
            lock(&shared.agenda).out(turn.destination, taken, now + LEASE, next);
        }
        Ok(())
    }
}

/// The rows of a turn, and when the first one after them falls due.
fn due_of(
    db: &Connection,
    turn: &Turn,
    room: usize,
    now: Millis,
) -> rusqlite::Result<(Vec<Due>, Option<Millis>)> {
    let mut statement = db.prepare_cached(
        "SELECT event, n, due FROM deliveries INDEXED BY deliveries_ready
         WHERE destination = ?1 AND due IS NOT NULL ORDER BY due, event, n LIMIT ?2",
    )?;
    let limit = room + turn.out.len() + 1;
    let mut rows = statement.query(params![turn.destination.0, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut due = Vec::with_capacity(room);
    while let Some(row) = rows.next()? {
        let one = Due { id: DeliveryId { event: EventId(row.get(0)?), n: row.get(1)? }, at: row.get(2)? };
        if turn.out.contains(&one.id) {
            continue;
        }
        if one.at > now || due.len() == room {
            return Ok((due, Some(one.at)));
        }
        due.push(one);
    }
    Ok((due, None))
}

/// A due row with all it takes; `None` if its hook does not tell now.
fn load(
    db: &Connection,
    shared: &Shared,
    hooks: &mut HashMap<HookId, Arc<LoadedHook>>,
    events: &mut HashMap<EventId, Arc<Event>>,
    destination: DestinationId,
    due: &Due,
    now: Millis,
) -> rusqlite::Result<Option<Work>> {
    struct Columns {
        hook: Option<HookId>,
        attempts: u32,
        letter: i64,
        recipient: Option<Recipient>,
        lang: Option<String>,
        since: Option<Millis>,
        spent: u32,
    }
    let columns = db
        .prepare_cached(
            "SELECT d.hook, d.attempts, d.letter, d.address, d.user, u.lang, d.since, d.spent
             FROM deliveries d LEFT JOIN users u ON u.id = d.user WHERE d.event = ?1 AND d.n = ?2",
        )?
        .query_row(params![due.id.event.0, due.id.n], |row| {
            Ok(Columns {
                hook: row.get::<_, Option<i64>>(0)?.map(HookId),
                attempts: row.get(1)?,
                letter: row.get(2)?,
                recipient: recipient(row, 3)?,
                lang: row.get(5)?,
                since: row.get(6)?,
                spent: row.get(7)?,
            })
        })?;
    let hook = match columns.hook {
        None => None,
        Some(id) => {
            let loaded = match hooks.get(&id) {
                Some(loaded) => Arc::clone(loaded),
                None => {
                    let Some((hook, secrets)) = hooks::load(db, shared, id)? else { return Ok(None) };
                    let loaded = Arc::new(LoadedHook { hook, secrets });
                    hooks.insert(id, Arc::clone(&loaded));
                    loaded
                }
            };
            if loaded.hook.state != HookState::Enabled
                || !loaded.hook.destination_ids().contains(&destination)
            {
                return Ok(None);
            }
            Some(loaded)
        }
    };
    let event = match events.get(&due.id.event) {
        Some(event) => Arc::clone(event),
        None => {
            let event = db
                .prepare_cached("SELECT id, owner, kind, resource, frame FROM events WHERE id = ?1")?
                .query_row([due.id.event.0], event_of)?;
            let private = destination == DestinationId::PRIVATE;
            let event = Arc::new(if private { private::open(shared, event)? } else { event });
            events.insert(due.id.event, Arc::clone(&event));
            event
        }
    };
    let thread = threads::root(db, hook.as_deref().map(|loaded| &loaded.hook), destination, &event)?;
    Ok(Some(Work {
        ticket: Ticket { delivery: due.id, attempt: columns.attempts + 1, good_until: now + LEASE },
        event,
        hook,
        destination,
        recipient: columns.recipient,
        lang: columns.lang,
        since: columns.since.unwrap_or(due.id.event.at()),
        made: columns.attempts.saturating_sub(columns.spent),
        expires: match destination {
            DestinationId::PRIVATE => private::expires(db, due.id.event)?,
            _ => None,
        },
        unresolved: columns.letter == letter::UNRESOLVED,
        thread,
    }))
}

/// Reads `id, owner, kind, resource, frame`.
pub(super) fn event_of(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        id: EventId(row.get(0)?),
        owner: col(row, 1)?,
        kind: row.get(2)?,
        resource: maybe(row, 3)?,
        frame: Bytes::from(row.get::<_, Vec<u8>>(4)?),
    })
}

/// Reads `address, user` from column `at` on.
pub(super) fn recipient(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Recipient>> {
    let user = maybe(row, at + 1)?;
    Ok(row.get::<_, Option<String>>(at)?.map(|address| Recipient { address, user }))
}

/// What the fence looks at.
pub(super) struct Row1 {
    pub(super) destination: DestinationId,
    pub(super) hook: Option<i64>,
    pub(super) state: State,
    pub(super) attempts: u32,
    letter: i64,
}

pub(super) fn row(db: &Connection, id: DeliveryId) -> rusqlite::Result<Option<Row1>> {
    db.prepare_cached(
        "SELECT destination, hook, state, attempts, letter FROM deliveries WHERE event = ?1 AND n = ?2",
    )?
    .query_row(params![id.event.0, id.n], |row| {
        Ok(Row1 {
            destination: DestinationId(row.get(0)?),
            hook: row.get(1)?,
            state: col(row, 2)?,
            attempts: row.get(3)?,
            letter: row.get(4)?,
        })
    })
    .optional()
}

pub(super) fn record(
    unit: &mut Unit<'_>,
    ticket: Ticket,
    attempt: &Attempt,
    verdict: Verdict,
    root: Option<&str>,
) -> rusqlite::Result<Recorded> {
    let id = ticket.delivery;
    unit.back(ticket);
    let Some(before) = row(unit.db, id)? else { return Ok(Recorded::Stale) };
    if before.attempts + 1 != ticket.attempt {
        return Ok(stale(unit, &before));
    }
    unit.db
        .prepare_cached(
            "INSERT INTO attempts (event, n, number, at, took, status, note, excerpt, succeeded)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            id.event.0,
            id.n,
            ticket.attempt,
            attempt.at,
            attempt.took,
            attempt.status,
            attempt.note,
            attempt.excerpt,
            attempt.succeeded,
        ])?;
    // A delivery that was held or cancelled while the attempt was out stays so, unless it was made.
    let (state, due) = match verdict {
        Verdict::End(State::Delivered) => (State::Delivered, None),
        _ if !before.state.is_live() => (before.state, None),
        Verdict::End(state) => (state, None),
        Verdict::Again(at) => (State::Retrying, Some(at)),
    };
    unit.db
        .prepare_cached(
            "UPDATE deliveries SET state = ?3, due = ?4, attempts = ?5 WHERE event = ?1 AND n = ?2",
        )?
        .execute(params![id.event.0, id.n, Col(state), due, ticket.attempt])?;
    move_tally(unit, before.hook, before.state, state);
    if let Some(root) = root.filter(|_| state == State::Delivered) {
        threads::begin(unit.db, before.destination, id.event, root, attempt.at)?;
    }
    if before.destination == DestinationId::PRIVATE && !state.is_live() {
        private::forget(unit.db, id.event)?;
    }
    if let Some(due) = due {
        unit.note(before.destination, due);
    }
    // What was cancelled instead of being sent is no attempt that failed.
    if !attempt.succeeded && !matches!(verdict, Verdict::End(State::Cancelled(_))) {
        hooks::keep_failure(unit.db, before.hook, before.destination, attempt)?;
    }
    Ok(Recorded::Done)
}

/// A ticket brought nothing. While it was out its row was passed over, so whatever fell due meanwhile is told again.
pub(super) fn stale(unit: &mut Unit<'_>, row: &Row1) -> Recorded {
    if row.state.is_live() {
        unit.note(row.destination, 0);
    }
    Recorded::Stale
}

/// Counts a delivery out of one state and into another.
pub(super) fn move_tally(unit: &mut Unit<'_>, hook: Option<i64>, from: State, to: State) {
    let held = |state| i64::from(matches!(state, State::Held(_)));
    let dead = |state| i64::from(matches!(state, State::Dead(_)));
    unit.tally(hook, held(to) - held(from), dead(to) - dead(from));
}

pub(super) fn resend(unit: &mut Unit<'_>, id: DeliveryId, now: Millis) -> rusqlite::Result<Resent> {
    let before = row(unit.db, id)?.filter(|row| row.destination != DestinationId::PRIVATE);
    let Some(before) = before else { return Ok(Resent::NoDelivery) };
    if before.state.is_live() {
        return Ok(Resent::Waiting);
    }
    let open: bool = match before.hook {
        None => true,
        Some(hook) => unit
            .db
            .prepare_cached(
                "SELECT 1 FROM hooks h JOIN destinations d ON d.hook = h.id
                 WHERE h.id = ?1 AND d.id = ?2 AND h.deleted IS NULL AND h.state = ?3 AND d.removed = 0",
            )?
            .exists(params![hook, before.destination.0, Col(HookState::Enabled)])?,
    };
    if !open {
        return Ok(Resent::NoDestination);
    }
    let state = if before.attempts == 0 { State::Pending } else { State::Retrying };
    unit.db
        .prepare_cached(
            "UPDATE deliveries SET state = ?3, due = ?4, since = ?4, spent = attempts WHERE event = ?1 AND n = ?2",
        )?
        .execute(params![id.event.0, id.n, Col(state), now])?;
    move_tally(unit, before.hook, before.state, state);
    unit.note(before.destination, now);
    Ok(Resent::Due)
}

/// Resolves a letter, and before it those the event owes ahead of it: whoever is leased first, an address is taken by
/// the first hook that names it, and by the house only when no hook does.
pub(super) fn resolve(unit: &mut Unit<'_>, ticket: Ticket, now: Millis) -> rusqlite::Result<Recorded> {
    let id = ticket.delivery;
    unit.back(ticket);
    let Some(before) = row(unit.db, id)? else { return Ok(Recorded::Stale) };
    if before.letter != letter::UNRESOLVED || !before.state.is_live() || before.attempts + 1 != ticket.attempt
    {
        return Ok(stale(unit, &before));
    }
    let ahead: Vec<u32> = unit
        .db
        .prepare_cached(
            "SELECT n FROM deliveries WHERE event = ?1 AND n < ?2 AND letter = ?3 AND due IS NOT NULL ORDER BY n",
        )?
        .query_map(params![id.event.0, id.n, letter::UNRESOLVED], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for n in ahead {
        let id = DeliveryId { event: id.event, n };
        if let Some(ahead) = row(unit.db, id)? {
            resolve_one(unit, id, &ahead, now)?;
        }
    }
    resolve_one(unit, id, &before, now)
}

fn resolve_one(
    unit: &mut Unit<'_>,
    id: DeliveryId,
    before: &Row1,
    now: Millis,
) -> rusqlite::Result<Recorded> {
    let (owner, bucket): (OwnerId, i64) = unit
        .db
        .prepare_cached("SELECT owner, bucket FROM events WHERE id = ?1")?
        .query_row([id.event.0], |row| Ok((col(row, 0)?, row.get(1)?)))?;
    let targets = match before.hook {
        None => house_targets(),
        Some(hook) => match hooks::load(unit.db, unit.shared, HookId(hook))? {
            Some((Hook { state: HookState::Enabled, way: Way::Email { destination, targets }, .. }, _))
                if destination == before.destination =>
            {
                targets
            }
            // Paused, edited or deleted since it was leased: the house holds or cancels it.
            _ => return Ok(stale(unit, before)),
        },
    };
    // What was cancelled never reached anybody, so its address is free.
    let mut taken: BTreeSet<String> = unit
        .db
        .prepare_cached(
            "SELECT address FROM deliveries WHERE event = ?1 AND address IS NOT NULL AND state < ?2",
        )?
        .query_map([id.event.0, CANCELLED], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let meant = people(unit.db, owner, &targets)?;
    let nobody = meant.is_empty();
    let fresh: Vec<_> =
        meant.into_iter().filter(|recipient| taken.insert(recipient.address.clone())).collect();

    let Some((first, others)) = fresh.split_first() else {
        let reason = if nobody { Cancelled::NoRecipient } else { Cancelled::DuplicateAddress };
        unit.db
            .prepare_cached(
                "UPDATE deliveries SET state = ?3, due = NULL, letter = ?4 WHERE event = ?1 AND n = ?2",
            )?
            .execute(params![id.event.0, id.n, Col(State::Cancelled(reason)), letter::RESOLVED])?;
        return Ok(Recorded::Done);
    };
    unit.db
        .prepare_cached("UPDATE deliveries SET due = ?3, letter = ?4, address = ?5, user = ?6 WHERE event = ?1 AND n = ?2")?
        .execute(params![id.event.0, id.n, now, letter::RESOLVED, first.address, first.user.map(Col)])?;
    let mut n: i64 = unit
        .db
        .prepare_cached("SELECT max(n) FROM deliveries WHERE event = ?1")?
        .query_row([id.event.0], |row| row.get(0))?;
    for recipient in others {
        n += 1;
        unit.db
            .prepare_cached(
                "INSERT INTO deliveries (event, n, bucket, hook, destination, state, due, letter, address, user, since)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, since FROM deliveries WHERE event = ?1 AND n = ?11",
            )?
            .execute(params![
                id.event.0,
                n,
                bucket,
                before.hook,
                before.destination.0,
                Col(State::Pending),
                now,
                letter::RESOLVED,
                recipient.address,
                recipient.user.map(Col),
                id.n,
            ])?;
    }
    unit.note(before.destination, now);
    Ok(Recorded::Done)
}

/// Whom the house's own letters are for.
fn house_targets() -> Vec<Target> {
    vec![Target::Organisation { roles: BTreeSet::from([Role::Admin]) }]
}

/// The distinct people and addresses some targets mean, in the targets' order.
fn people(db: &Connection, owner: OwnerId, targets: &[Target]) -> rusqlite::Result<Vec<Recipient>> {
    let mut meant: Vec<Recipient> = Vec::new();
    let mut add = |address: &str, user: Option<UserId>| {
        let address = directory::canonical_address(address);
        if meant.iter().all(|recipient| recipient.address != address) {
            meant.push(Recipient { address, user });
        }
    };
    for target in targets {
        match target {
            Target::Addresses(addresses) => addresses.iter().for_each(|address| add(address, None)),
            Target::User(id) | Target::Maker(id) => {
                // Who left the organisation since the hook was made hears no more of it.
                let one_of_them = directory::role_even_closed(db, owner, *id)?.is_some();
                if let Some(user) = directory::person(db, *id)?.filter(|_| one_of_them) {
                    add(&user.email, Some(user.id));
                }
            }
            Target::Organisation { roles } => match owner {
                OwnerId::User(id) => {
                    if let Some(user) = directory::person(db, id)? {
                        add(&user.email, Some(user.id));
                    }
                }
                OwnerId::Organisation(id) => {
                    for member in directory::members(db, id)? {
                        if roles.is_empty() || roles.contains(&member.role) {
                            add(&member.user.email, Some(member.user.id));
                        }
                    }
                }
            },
        }
    }
    Ok(meant)
}

/// Whether somebody is meant by a hook, or by the house where there is none.
pub(super) fn is_meant(
    db: &Connection,
    owner: OwnerId,
    hook: Option<i64>,
    recipient: &Recipient,
) -> rusqlite::Result<bool> {
    let targets = match hook {
        None => house_targets(),
        Some(hook) => {
            let text: Option<String> = db
                .prepare_cached("SELECT targets FROM hooks WHERE id = ?1 AND deleted IS NULL")?
                .query_row([hook], |row| row.get(0))
                .optional()?
                .flatten();
            match text {
                Some(text) => super::rows::targets_from_text(&text)?,
                None => return Ok(false),
            }
        }
    };
    let role = match recipient.user {
        Some(user) => directory::role_even_closed(db, owner, user)?,
        None => None,
    };
    Ok(targets.iter().any(|target| target.means(owner, recipient, role)))
}

/// The state a hook's rows are held in.
pub(super) fn held_for(state: HookState) -> State {
    State::Held(if state == HookState::Disabled { Held::Disabled } else { Held::Paused })
}
