//! The nouns: owners, members, resources, events, hooks, destinations, deliveries, attempts.
//!
//! Values only. How they look on the wire is the server's `contract`, how they are kept is the store's business.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::address;
use crate::formats;
use crate::ids::{
    DeliveryId, DestinationId, EventId, HookId, OrganisationId, OwnerId, ResourceId, SessionId, TokenId,
    UserId,
};
use crate::secret::Secret;
use crate::words::words;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// One second.
pub const SECOND: Millis = 1_000;
/// One minute.
pub const MINUTE: Millis = 60 * SECOND;
/// One hour.
pub const HOUR: Millis = 60 * MINUTE;
/// One day.
pub const DAY: Millis = 24 * HOUR;

// ---------------------------------------------------------------------------------------------------- directory

/// A member's role in an organisation. The platform's four; there is no viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everything.
    Admin,
    /// Everything but deleting the organisation.
    Manager,
    /// Code and applications.
    Developer,
    /// Bills.
    Accounting,
}

impl Role {
    /// Every role, in the order they are shown.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Manager, Self::Developer, Self::Accounting];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::Manager => "MANAGER",
            Self::Developer => "DEVELOPER",
            Self::Accounting => "ACCOUNTING",
        }
    }

    /// Reads the name on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `user_<uuid>`.
    pub id: UserId,
    /// What to call them; may be empty.
    pub name: String,
    /// Where their letters go.
    pub email: String,
    /// The language of their letters and pages, a BCP 47 tag such as `fr`.
    pub lang: String,
    /// May do what an operator token does.
    pub operator: bool,
    /// The time zone they read times in, a name of the IANA database such as `Europe/Paris`; empty for UTC.
    pub zone: String,
}

/// A group of people who own things together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// `orga_<uuid>`.
    pub id: OrganisationId,
    /// What to call it.
    pub name: String,
}

/// One person's place in an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: User,
    /// As what.
    pub role: Role,
}

/// An application or an add-on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `app_<uuid>` or `addon_<uuid>`.
    pub id: ResourceId,
    /// The provider's own name of an add-on.
    pub real_id: Option<ResourceId>,
    /// Whose.
    pub owner: OwnerId,
    /// What people call it.
    pub name: String,
}

/// A change of the directory: what the platform tells us, by our API or inside an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A user is (now) so. `None` leaves what is known. Born with `hooks` if new.
    User {
        /// Who.
        id: UserId,
        /// New name.
        name: Option<String>,
        /// New address; needed for a new user.
        email: Option<String>,
        /// New language.
        lang: Option<String>,
        /// New operator right.
        operator: Option<bool>,
        /// Default hooks, if this user is new.
        hooks: Vec<Hook>,
    },
    /// A user is gone, with everything of theirs.
    UserGone(UserId),
    /// An organisation is (now) so. Born with `hooks` and its `founder` if new.
    Organisation {
        /// Which.
        id: OrganisationId,
        /// New name.
        name: Option<String>,
        /// Its first ADMIN, if known.
        founder: Option<UserId>,
        /// Default hooks, if it is new.
        hooks: Vec<Hook>,
    },
    /// An organisation is gone, with everything of theirs.
    OrganisationGone(OrganisationId),
    /// Somebody is (now) a member.
    Member {
        /// Of what.
        organisation: OrganisationId,
        /// Who.
        user: UserId,
        /// As what.
        role: Role,
    },
    /// Somebody is no longer a member.
    MemberGone {
        /// Of what.
        organisation: OrganisationId,
        /// Who.
        user: UserId,
    },
    /// An application or add-on is (now) so.
    Resource {
        /// Which.
        id: ResourceId,
        /// The provider's own name of an add-on.
        real_id: Option<ResourceId>,
        /// Whose.
        owner: OwnerId,
        /// New name.
        name: Option<String>,
    },
    /// An application or add-on is gone.
    ResourceGone {
        /// Which.
        id: ResourceId,
        /// Whose it was.
        owner: OwnerId,
    },
}

// ------------------------------------------------------------------------------------------------------- events

/// The pair a poster gives to recognise a repeat, as a digest of (`source`, `id`).
pub type IdempotencyKey = [u8; 16];

/// An event as posted: checked as far as the catalogue and its own bytes allow, not yet numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Whose it is.
    pub owner: OwnerId,
    /// Index of its kind in the catalogue.
    pub kind: u16,
    /// Who did it.
    pub author: Option<UserId>,
    /// The application or add-on it is about, as `data` names it.
    pub resource: Option<ResourceId>,
    /// The real id of that add-on, where the poster names it under both its ids.
    pub real_id: Option<ResourceId>,
    /// The hook it is about; it is never owed to that hook.
    pub about_hook: Option<HookId>,
    /// The frame with room for its id (see [`crate::frame`]).
    pub frame: Vec<u8>,
    /// The pair, if the poster gave an `id`.
    pub key: Option<IdempotencyKey>,
    /// Digest of what must be equal for a repeat to be the same event; present exactly when `key` is.
    pub content: Option<[u8; 16]>,
    /// What it makes known about the directory, in order.
    pub facts: Vec<Fact>,
}

/// A fact that cannot be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// What of it, by its name on the wire.
    pub field: &'static str,
    /// In words.
    pub why: String,
}

/// What became of one draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ingested {
    /// New, on disk, with what it owes.
    Accepted(EventId),
    /// The same pair with the same content was accepted before.
    Already(EventId),
    /// The same pair was accepted before with other content.
    Conflict(EventId),
    /// Nobody of that id, and the event does not create it.
    UnknownOwner,
    /// The application or add-on belongs to somebody else.
    ForeignResource(ResourceId),
    /// It tells of something that cannot be so: what, in words.
    Contradiction(String),
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Ours.
    pub id: EventId,
    /// Whose.
    pub owner: OwnerId,
    /// Name of its kind.
    pub kind: String,
    /// The application or add-on it is about.
    pub resource: Option<ResourceId>,
    /// The bytes every reader gets.
    pub frame: Bytes,
}

// -------------------------------------------------------------------------------------------------------- hooks

/// Where an e-mail hook writes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The owner: an organisation's members of these roles (all, if none is named), or the user.
    Organisation {
        /// Only these roles; empty means all.
        roles: BTreeSet<Role>,
    },
    /// One user.
    User(UserId),
    /// Like `User`, but meant without being named: whoever made the hook. Clever Cloud's clients give and expect it so.
    Maker(UserId),
    /// Addresses given as one entry, at least one; each as given but for the domain in lower case.
    Addresses(Vec<String>),
}

impl Target {
    /// Whether a hook of `owner` that writes to this writes to somebody: a person of this role there (`None` if they are
    /// none of the owner's people), or, without a user, an address alone.
    pub fn means(&self, owner: OwnerId, recipient: &Recipient, role: Option<Role>) -> bool {
        match (self, recipient.user) {
            (Self::Addresses(all), None) => all.iter().any(|one| address::same(one, &recipient.address)),
            // Who left the organisation since the hook was made hears no more of it.
            (Self::User(id) | Self::Maker(id), Some(user)) => *id == user && role.is_some(),
            (Self::Organisation { roles }, Some(_)) => role.is_some_and(|role| {
                roles.is_empty() || matches!(owner, OwnerId::User(_)) || roles.contains(&role)
            }),
            (Self::Addresses(_), Some(_)) | (_, None) => false,
        }
    }
}

/// One place a webhook posts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Ours.
    pub id: DestinationId,
    /// Name of its format.
    pub format: String,
    /// Where; for many services the URL is the credential.
    pub url: Secret,
    /// What the format needs besides, by the name of the field (see [`crate::formats::Field`]).
    pub fields: Fields,
}

/// What a destination needs besides its URL: a room, a topic, a token. All of it is kept like a secret.
pub type Fields = BTreeMap<String, Secret>;

/// How a hook tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Letters. Everything it owes waits at one destination.
    Email {
        /// The window its letters share.
        destination: DestinationId,
        /// To whom.
        targets: Vec<Target>,
    },
    /// Posts.
    Webhook {
        /// Where to.
        destinations: Vec<Destination>,
    },
}

/// What the owner decided about a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookState {
    /// It tells.
    Enabled,
    /// It holds, because the owner said so.
    Paused,
    /// It holds, because no destination is left that works.
    Disabled,
}

impl HookState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Enabled, Self::Paused, Self::Disabled];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }

    /// Reads the name on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// An owner's wish to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Ours.
    pub id: HookId,
    /// Whose.
    pub owner: OwnerId,
    /// What the owner calls it.
    pub name: String,
    /// Kinds and families by name; `None` means every kind.
    pub events: Option<Vec<String>>,
    /// Applications and add-ons; `None` means all, those to come included.
    pub scope: Option<Vec<ResourceId>>,
    /// Letters or posts.
    pub way: Way,
    /// Its own retry steps in seconds; `None` means the house's.
    pub schedule: Option<Vec<u32>>,
    /// What the owner decided.
    pub state: HookState,
    /// Since when.
    pub created_at: Millis,
}

impl Hook {
    /// Whether a text, in lower case, stands in its name, its formats, its URLs as they are shown, or its addresses.
    pub fn mentions(&self, text: &str) -> bool {
        let holds = |word: &str| word.to_lowercase().contains(text);
        text.is_empty()
            || holds(&self.name)
            || match &self.way {
                Way::Webhook { destinations } => destinations
                    .iter()
                    .any(|one| holds(&one.format) || holds(&formats::shown(&one.format, &one.url))),
                Way::Email { targets, .. } => targets.iter().any(|target| match target {
                    Target::Addresses(all) => all.iter().any(|one| holds(one)),
                    Target::Organisation { .. } | Target::User(_) | Target::Maker(_) => false,
                }),
            }
    }

    /// The destinations deliveries of this hook wait at.
    pub fn destination_ids(&self) -> Vec<DestinationId> {
        match &self.way {
            Way::Email { destination, .. } => vec![*destination],
            Way::Webhook { destinations } => destinations.iter().map(|d| d.id).collect(),
        }
    }
}

/// A hook as shown: with the numbers that are shown first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookView {
    /// The hook.
    pub hook: Hook,
    /// Deliveries held.
    pub held: u64,
    /// Deliveries that are dead.
    pub dead: u64,
    /// When the second secret stops signing, during a rotation.
    pub rotating_until: Option<Millis>,
    /// Strangers' addresses it names that have not said whether they want its letters.
    pub unconfirmed: Vec<String>,
    /// Addresses whose readers want no more of it, and since when.
    pub stopped: Vec<(String, Millis)>,
}

/// The secrets a webhook signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSecrets {
    /// Signs first.
    pub current: Secret,
    /// Signs too, until then.
    pub previous: Option<(Secret, Millis)>,
}

// --------------------------------------------------------------------------------------------------- deliveries

words! {
    /// Why a delivery will not be tried again by itself.
    Dead {
        /// The receiver said it never will.
        Refused = "refused",
        /// The destination is gone.
        Gone = "gone",
        /// The schedule is at its end.
        Exhausted = "exhausted",
        /// Held until retention, or of no use any more.
        Expired = "expired",
    }
}

words! {
    /// Why a delivery waits without a due time.
    Held {
        /// The owner paused the hook.
        Paused = "paused",
        /// The hook is disabled.
        Disabled = "disabled",
        /// The address is not confirmed.
        Unconfirmed = "unconfirmed",
        /// The address was sent as many letters in this hour as it may.
        Ceiling = "ceiling",
    }
}

words! {
    /// Why a delivery will never be made.
    Cancelled {
        /// The hook was deleted.
        HookDeleted = "hook_deleted",
        /// The destination was taken off the hook.
        DestinationRemoved = "destination_removed",
        /// The owner resumed without what was held, or one letter stood for those held at the ceiling.
        Skipped = "skipped",
        /// Somebody said so.
        ByHand = "by_hand",
        /// The person is no longer meant.
        RecipientLeft = "recipient_left",
        /// Nobody was meant, or nobody at the address confirmed that they are.
        NoRecipient = "no_recipient",
        /// The person does not want it.
        Unsubscribed = "unsubscribed",
        /// The address does not take letters.
        Suppressed = "suppressed",
        /// The address got this event by another hook.
        DuplicateAddress = "duplicate_address",
    }
}

/// Where a delivery stands. Every delivery ends, has a due time, or is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Not tried yet.
    Pending,
    /// Tried, to be tried again.
    Retrying,
    /// Done.
    Delivered,
    /// Given up; listed and replayable until retention.
    Dead(Dead),
    /// Waiting for a decision.
    Held(Held),
    /// Not to be made.
    Cancelled(Cancelled),
}

impl State {
    /// Every state with every reason: the one list the names, the store's numbers and the filters come from.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Pending, Self::Retrying, Self::Delivered]
            .into_iter()
            .chain(Dead::ALL.iter().map(|r| Self::Dead(*r)))
            .chain(Held::ALL.iter().map(|r| Self::Held(*r)))
            .chain(Cancelled::ALL.iter().map(|r| Self::Cancelled(*r)))
    }

    /// The state without its reason: `pending`, `retrying`, `delivered`, `dead`, `held` or `cancelled`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Dead(_) => "dead",
            Self::Held(_) => "held",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// Why, for the states that say.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Pending | Self::Retrying | Self::Delivered => None,
            Self::Dead(reason) => Some(reason.as_str()),
            Self::Held(reason) => Some(reason.as_str()),
            Self::Cancelled(reason) => Some(reason.as_str()),
        }
    }

    /// Whether it has a due time.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Retrying)
    }
}

/// Whom a letter is for, remembered on its delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address, domain in lower case.
    pub address: String,
    /// The person, unless the hook names a bare address.
    pub user: Option<UserId>,
}

/// A stored delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Ours, and the receiver's `webhook-id`.
    pub id: DeliveryId,
    /// Name of the event's kind.
    pub kind: String,
    /// By which hook; `None` for letters the house owes.
    pub hook: Option<HookId>,
    /// Where to.
    pub destination: DestinationId,
    /// Name of the format (`email` for letters).
    pub format: String,
    /// Whom a letter is for; `None` before it is resolved, and for webhooks.
    pub recipient: Option<Recipient>,
    /// Where it stands.
    pub state: State,
    /// When it is next tried, if it is.
    pub due: Option<Millis>,
    /// Attempts made.
    pub attempts: u32,
}

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// When it began.
    pub at: Millis,
    /// How long it took, in milliseconds.
    pub took: u32,
    /// HTTP status or SMTP code.
    pub status: Option<u16>,
    /// What went wrong, in words, or where a letter was written.
    pub note: Option<String>,
    /// The beginning of the reply, of those that failed.
    pub excerpt: Option<String>,
    /// Whether it counts as made.
    pub succeeded: bool,
}

/// An attempt of a webhook that failed, as it is kept with the hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The format its destination had.
    pub format: String,
    /// Where it posted to.
    pub url: Secret,
    /// When it began.
    pub at: Millis,
    /// HTTP status, if there was a reply.
    pub status: Option<u16>,
    /// What went wrong, in words.
    pub note: Option<String>,
    /// The beginning of the reply.
    pub excerpt: Option<String>,
}

// ------------------------------------------------------------------------------------------------------- access

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// An operator token: the platform.
    Operator,
    /// A person, by their pair.
    Person {
        /// Who.
        user: UserId,
        /// Whether this person may do what the platform may, but for publishing.
        operator: bool,
    },
}

/// Somebody signed in, on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Ours.
    pub id: SessionId,
    /// Who.
    pub user: UserId,
    /// What they use, in the words of their browser.
    pub agent: String,
    /// Since when.
    pub created_at: Millis,
    /// When they were last seen, within a few minutes.
    pub seen_at: Millis,
}

/// A token as listed; its secret is never shown again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Ours.
    pub id: TokenId,
    /// What it is for, in the words of who made it.
    pub name: String,
    /// Since when.
    pub created_at: Millis,
    /// The person it stands for; `None` for an operator token.
    pub user: Option<UserId>,
    /// The public half of a person's pair.
    pub public: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_own_name_and_reason() {
        let names: BTreeSet<_> = State::all().map(|s| (s.name(), s.reason())).collect();
        assert_eq!(names.len(), State::all().count());
        assert_eq!(names.len(), 3 + 4 + 4 + 9);
    }

    #[test]
    fn roles_read_back() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("NONE"), None);
    }
}
