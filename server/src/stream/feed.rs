//! One reader's way through the events: a cursor for each owner, and nothing else in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sonnette_core::ids::{EventId, OwnerId, UserId};
use sonnette_core::model::{Caller, Event};
use sonnette_core::permission::{Action, permit};
use sonnette_core::ports::{Ahead, Bearer, Look, Stretch};
use tokio::time::Instant;

use super::filter::Filter;
use super::hub::{Hub, Seat};
use crate::contract::problem::{Id, Problem};
use crate::http::Credential;

/// Events read at once.
const EVENTS: usize = 64;
/// Bytes read at once: what a reader that stops in the middle keeps in memory. One larger event is read in pieces.
pub(super) const BYTES: usize = 8 << 10;
/// How often a reader looks without being woken, and is asked again whether it may.
const SLOW: Duration = Duration::from_secs(60);
/// Readers that came at the same moment look at different ones.
const SPREAD: u64 = 20_000;
/// Between two looks of a reader that had read everything: in a burst, one look serves for several events.
const PACE: Duration = Duration::from_millis(10);
/// Between two tries when the store cannot be read.
const TROUBLE: Duration = Duration::from_secs(1);

/// Whose events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of a person: of their own space, and of the organisations they are a member of at any moment.
    Person(UserId),
    /// Those of one owner.
    Owner(OwnerId),
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// Some events, in order for each owner.
    Events(Vec<Event>),
    /// An event too large to be kept: to be had by [`Hub::piece`].
    Large { event: EventId, len: usize },
    /// What came before this was erased before it was read.
    Gap { first_held: EventId },
}

/// The reader may not read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

/// See the module.
pub(crate) struct Feed {
    hub: Arc<Hub>,
    caller: Caller,
    credential: Credential,
    scope: Scope,
    filter: Filter,
    /// How far each owner was read.
    places: BTreeMap<OwnerId, EventId>,
    /// Owners with something to read.
    due: BTreeSet<OwnerId>,
    /// Whether to look at everything: at every owner, and at whose they are.
    all: bool,
    /// Whether to ask if the credential still counts.
    doubt: bool,
    /// When whose the owners are was last looked at; those joined since are read from here, or from joining.
    known: EventId,
    /// The owner served last, so that the next look begins behind it.
    served: Option<OwnerId>,
    slow: Instant,
    /// When it last looked.
    looked: Instant,
    seat: Seat,
}

impl Feed {
    /// A reader from `since` on, or from now.
    ///
    /// # Errors
    /// If there is no place for it, if `since` is no place yet, or if the store does not answer.
    pub(crate) async fn open(
        hub: &Arc<Hub>,
        caller: Caller,
        credential: Credential,
        scope: Scope,
        filter: Filter,
        since: Option<EventId>,
    ) -> Result<Self, Problem> {
        let busy = || Problem::new(Id::Busy, "too many streams are open; try again in a moment");
        let mut seat = hub.seat().ok_or_else(busy)?;
        // Before the place is looked up: what comes in between wakes it.
        let own = match &caller {
            Caller::Person { user, .. } => Some(OwnerId::from(*user)),
            Caller::Operator => None,
        };
        let owner = match scope {
            Scope::Owner(owner) => Some(owner),
            Scope::Person(_) => None,
        };
        for owner in own.into_iter().chain(owner) {
            seat.listen(owner);
        }
        let nothing = Look { reader: None, places: Vec::new(), others: None, events: 0, bytes: 0 };
        let newest = hub.look(nothing).await?.newest;
        let from = since.unwrap_or(newest);
        if from > newest {
            return Err(Problem::invalid(
                "since",
                format!("{from} is no event of ours: the newest is {newest}"),
            ));
        }
        let places = match scope {
            Scope::Person(_) => BTreeMap::new(),
            Scope::Owner(owner) => BTreeMap::from([(owner, from)]),
        };
        let slow = Instant::now() + SLOW + Duration::from_millis(seat.number() % SPREAD);
        Ok(Self {
            hub: Arc::clone(hub),
            caller,
            credential,
            scope,
            filter,
            places,
            due: BTreeSet::new(),
            all: true,
            doubt: false,
            known: from,
            served: None,
            slow,
            looked: Instant::now(),
            seat,
        })
    }

    /// The hub it was opened at.
    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// How far everything was given out, of a reader of one owner.
    pub(super) fn place(&self) -> EventId {
        match self.scope {
            Scope::Owner(owner) => self.places.get(&owner).copied().unwrap_or(self.known),
            Scope::Person(_) => self.known,
        }
    }

    /// Waits for what comes next. Nothing is lost if it is given up half-way.
    pub(super) async fn next(&mut self) -> Result<Next, Ended> {
        loop {
            if !self.all && self.due.is_empty() {
                self.wait().await;
            }
            if self.doubt {
                self.reassure().await?;
            }
            if let Some(next) = self.look().await? {
                return Ok(next);
            }
        }
    }

    /// Waits until there is something to look at.
    async fn wait(&mut self) {
        tokio::select! {
            woken = self.seat.ear.heard() => {
                let own = match &self.caller {
                    Caller::Person { user, .. } => Some(OwnerId::from(*user)),
                    Caller::Operator => None,
                };
                // Their memberships, rights or tokens may be others.
                self.doubt |= woken.all || own.is_some_and(|own| woken.owners.contains(&own));
                self.all |= self.doubt;
                self.due.extend(woken.owners.into_iter().filter(|owner| self.places.contains_key(owner)));
            }
            () = tokio::time::sleep_until(self.slow) => {
                self.doubt = true;
                self.all = true;
            }
        }
        tokio::time::sleep_until(self.looked + PACE).await;
    }

    /// Asks whether what was shown at the beginning still counts.
    async fn reassure(&mut self) -> Result<(), Ended> {
        let still = match &self.credential {
            Credential::OperatorToken(digest) => {
                self.hub.store.operator_token(*digest).await.map(|known| known.then_some(Caller::Operator))
            }
            Credential::Pair(public) => self.hub.store.pair(public).await.map(|bearer| match bearer {
                Some(Bearer::Pair { user, operator, .. }) => Some(Caller::Person { user, operator }),
                Some(Bearer::Operator) | None => None,
            }),
            Credential::Session(digest) => {
                let found = self.hub.store.session(*digest, self.hub.clock.now()).await;
                found.map(|found| {
                    found.map(|(_, user)| Caller::Person { user: user.id, operator: user.operator })
                })
            }
        };
        match still {
            Ok(Some(caller)) => self.caller = caller,
            Ok(None) => return Err(Ended),
            Err(error) => return self.trouble(&error).await,
        }
        self.doubt = false;
        Ok(())
    }

    async fn trouble(&self, error: &sonnette_core::ports::StoreError) -> Result<(), Ended> {
        tracing::warn!(%error, "a stream waits for the store");
        tokio::time::sleep(TROUBLE).await;
        Ok(())
    }

    /// Who reads: a person's organisations count, even if the person may read everybody's.
    fn reader(&self) -> Caller {
        match self.scope {
            Scope::Person(user) => Caller::Person { user, operator: false },
            Scope::Owner(_) => self.caller.clone(),
        }
    }

    /// Reads on. `None` if there was nothing that is wanted.
    async fn look(&mut self) -> Result<Option<Next>, Ended> {
        let all = self.all;
        let wanted = |owner: &OwnerId| all || self.due.contains(owner);
        let (mut behind, before): (Vec<_>, Vec<_>) = self
            .places
            .iter()
            .map(|(owner, place)| (*owner, *place))
            .filter(|(owner, _)| wanted(owner))
            .partition(|(owner, _)| Some(*owner) > self.served);
        behind.extend(before);
        let reader = match self.reader() {
            Caller::Person { user, .. } => Some(user),
            Caller::Operator => None,
        };
        let others = matches!(self.scope, Scope::Person(_)).then_some(self.known).filter(|_| all);
        let look = Look { reader, places: behind, others, events: EVENTS, bytes: BYTES };
        // What is given up while the store reads has changed nothing.
        match self.hub.look(look).await {
            Ok(ahead) => self.take(ahead, all),
            Err(error) => self.trouble(&error).await.map(|()| None),
        }
    }

    fn take(&mut self, ahead: Ahead, all: bool) -> Result<Option<Next>, Ended> {
        self.looked = Instant::now();
        if all {
            self.all = false;
            self.known = ahead.newest;
            self.slow = Instant::now() + SLOW;
        }
        let mut events = Vec::new();
        for stretch in ahead.stretches {
            let Stretch { owner, role, from, events: read, until, more } = stretch;
            if permit(&self.reader(), Action::Read(owner), role, &self.hub.policy).is_err() {
                self.leave(owner)?;
                continue;
            }
            let new = self.seat.listen(owner);
            if from < ahead.erased && matches!(self.scope, Scope::Owner(_)) {
                self.places.insert(owner, ahead.erased);
                self.due.insert(owner);
                return Ok(Some(Next::Gap { first_held: EventId(ahead.erased.0.saturating_add(1)) }));
            }
            self.places.insert(owner, until);
            if more || new {
                self.due.insert(owner);
            } else {
                self.due.remove(&owner);
            }
            if !read.is_empty() {
                self.served = Some(owner);
            }
            events.extend(read.into_iter().filter(|event| self.filter.passes(&self.hub.catalogue, event)));
        }
        Ok(match events.as_slice() {
            [] => None,
            // Only the first event read can be larger than there is room for.
            [one] if one.frame.len() > BYTES => Some(Next::Large { event: one.id, len: one.frame.len() }),
            _ => Some(Next::Events(events)),
        })
    }

    /// An owner that may not be read any more. Whoever has no space of their own any more is gone.
    fn leave(&mut self, owner: OwnerId) -> Result<(), Ended> {
        match self.scope {
            Scope::Person(user) if owner != OwnerId::from(user) => {
                self.seat.leave(owner);
                self.places.remove(&owner);
                self.due.remove(&owner);
                Ok(())
            }
            Scope::Person(_) | Scope::Owner(_) => Err(Ended),
        }
    }
}
