//! Identifiers: what each one looks like on the wire, and nothing else.
//!
//! Owners, members and resources carry the platform's ids (`user_`, `orga_`, `app_`, `addon_` and an UUID).
//! Ours are 63-bit numbers written as a prefix and thirteen characters of Crockford's base 32 in lower case, so
//! that they sort as text the way they sort as numbers.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::model::Millis;

/// Why a text is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {expected}")]
pub struct IdError {
    given: String,
    expected: &'static str,
}

impl IdError {
    fn new(given: &str, expected: &'static str) -> Self {
        // An id in an error is for a person: a hostile megabyte is not.
        let mut shown: String = given.chars().take(60).collect();
        if shown.len() < given.len() {
            shown.push('…');
        }
        Self { given: shown, expected }
    }
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Length of a number written by [`encode`].
pub const ENCODED_LEN: usize = 13;

/// Writes a non-negative number in thirteen characters, most significant first.
pub fn encode(number: i64) -> [u8; ENCODED_LEN] {
    let mut out = [b'0'; ENCODED_LEN];
    let mut rest = number.unsigned_abs();
    for place in out.iter_mut().rev() {
        *place = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    out
}

fn decode(text: &str) -> Option<i64> {
    if text.len() != ENCODED_LEN {
        return None;
    }
    let mut number: u64 = 0;
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|a| *a == byte)? as u64;
        number = number.checked_mul(32)?.checked_add(digit)?;
    }
    i64::try_from(number).ok()
}

macro_rules! numbered {
    ($name:ident, $prefix:literal, $expected:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digits = encode(self.0);
                f.write_str($prefix)?;
                f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix)
                    .and_then(decode)
                    .map(Self)
                    .ok_or_else(|| IdError::new(text, $expected))
            }
        }
    };
}

numbered!(
    EventId,
    "evt_",
    "an event id (`evt_` and 13 characters)",
    "An accepted event. Grows with time: the upper 43 bits are the milliseconds since 1970 at which it was accepted, the lower 20 a counter, so one number is identity, order, time and cursor."
);
numbered!(HookId, "hook_", "a hook id (`hook_` and 13 characters)", "A hook. Drawn at random.");
numbered!(
    DestinationId,
    "dst_",
    "a destination id (`dst_` and 13 characters)",
    "One place a hook sends to. Drawn at random; zero is the house itself, for letters owed without a hook."
);
numbered!(
    TokenId,
    "tok_",
    "a token id (`tok_` and 13 characters)",
    "An operator token or a person's pair, for listing and revoking. Drawn at random."
);

numbered!(
    SessionId,
    "ses_",
    "a session id (`ses_` and 13 characters)",
    "Somebody signed in on one device. Drawn at random."
);

impl DestinationId {
    /// Letters owed to an owner's admins without any hook share this destination.
    pub const HOUSE: Self = Self(0);
    /// Private letters share this one, so that no backlog of others keeps somebody waiting who wants to sign in. No number
    /// that is drawn comes so high (see [`crate::ports::Luck::id`]).
    pub const PRIVATE: Self = Self(i64::MAX);
}

impl EventId {
    const COUNTER_BITS: u32 = 20;

    /// The smallest id an event accepted at `at` can have.
    pub fn first_at(at: Millis) -> Self {
        Self(at.max(0).saturating_mul(1 << Self::COUNTER_BITS))
    }

    /// The id after `last` for an event accepted at `now`. Never goes back, whatever the clock does.
    pub fn next(last: Self, now: Millis) -> Self {
        Self(Self::first_at(now).0.max(last.0.saturating_add(1)))
    }

    /// When it was accepted, in milliseconds since 1970.
    pub fn at(self) -> Millis {
        self.0 >> Self::COUNTER_BITS
    }
}

/// A delivery: the event, and which of the deliveries it owes.
///
/// Written `dlv_<event>_<n>`. It is what the receiver sees as `webhook-id`, so it holds no `.` (Standard Webhooks
/// 1.0.0, "Signature scheme": the id must not contain one).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The event that owes it.
    pub event: EventId,
    /// Its number among what the event owes, from 0.
    pub n: u32,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = encode(self.event.0);
        write!(f, "dlv_{}_{}", std::str::from_utf8(&digits).unwrap_or_default(), self.n)
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DeliveryId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let read = || {
            let (event, n) = text.strip_prefix("dlv_")?.split_once('_')?;
            let canonical = n == "0" || !n.starts_with(['0', '+']);
            Some(Self { event: EventId(decode(event)?), n: n.parse().ok().filter(|_| canonical)? })
        };
        read().ok_or_else(|| IdError::new(text, "a delivery id (`dlv_`, 13 characters, `_` and a number)"))
    }
}

/// Reads the UUID after a prefix: hyphenated, RFC 9562 variant, versions 1 to 5.
///
/// Clever Cloud's own clients take anything else for a *name*, so an id we let through here is one they can use.
fn platform_uuid(text: &str, prefix: &str) -> Option<Uuid> {
    let uuid = text.strip_prefix(prefix).filter(|rest| rest.len() == 36)?;
    let uuid = Uuid::try_parse(uuid).ok()?;
    let bytes = uuid.as_bytes();
    let version = bytes[6] >> 4;
    ((1..=5).contains(&version) && bytes[8] >> 6 == 0b10).then_some(uuid)
}

/// A user, written `user_<uuid>`. Also the owner of that user's personal space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub Uuid);

/// An organisation, written `orga_<uuid>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganisationId(pub Uuid);

macro_rules! platform_id {
    ($name:ident, $prefix:literal, $expected:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.as_hyphenated())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                platform_uuid(text, $prefix).map(Self).ok_or_else(|| IdError::new(text, $expected))
            }
        }
    };
}

platform_id!(UserId, "user_", "a user id (`user_` and a UUID)");
platform_id!(OrganisationId, "orga_", "an organisation id (`orga_` and a UUID)");

/// Who owns hooks, resources and events: a user or an organisation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerId {
    /// A user's personal space.
    User(UserId),
    /// An organisation.
    Organisation(OrganisationId),
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => fmt::Display::fmt(id, f),
            Self::Organisation(id) => fmt::Display::fmt(id, f),
        }
    }
}

impl fmt::Debug for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for OwnerId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        platform_uuid(text, "user_")
            .map(|uuid| Self::User(UserId(uuid)))
            .or_else(|| platform_uuid(text, "orga_").map(|uuid| Self::Organisation(OrganisationId(uuid))))
            .ok_or_else(|| IdError::new(text, "an owner id (`user_` or `orga_` and a UUID)"))
    }
}

impl From<UserId> for OwnerId {
    fn from(id: UserId) -> Self {
        Self::User(id)
    }
}

impl From<OrganisationId> for OwnerId {
    fn from(id: OrganisationId) -> Self {
        Self::Organisation(id)
    }
}

/// An application (`app_<uuid>`), an add-on (`addon_<uuid>`) or an add-on's real id (`postgresql_<uuid>`).
///
/// Real ids are the provider's: a lower-case word, `_`, and letters, digits and hyphens; at most 100 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(Box<str>);

/// What a resource id says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceShape {
    /// `app_…`
    Application,
    /// `addon_…`
    Addon,
    /// The provider's own name of an add-on.
    RealId,
}

impl ResourceId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Application, add-on, or an add-on's real id.
    pub fn shape(&self) -> ResourceShape {
        if self.0.starts_with("app_") {
            ResourceShape::Application
        } else if self.0.starts_with("addon_") {
            ResourceShape::Addon
        } else {
            ResourceShape::RealId
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ResourceId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || {
            IdError::new(
                text,
                "a resource id (`app_` or `addon_` and a UUID, or an add-on's real id such as `postgresql_<uuid>`)",
            )
        };
        for prefix in ["app_", "addon_"] {
            if text.starts_with(prefix) {
                let uuid = platform_uuid(text, prefix).ok_or_else(error)?;
                return Ok(Self(format!("{prefix}{}", uuid.as_hyphenated()).into()));
            }
        }
        let (provider, rest) = text.split_once('_').ok_or_else(error)?;
        let word = |s: &str, ok: fn(&u8) -> bool| !s.is_empty() && s.bytes().all(|b| ok(&b));
        let valid = text.len() <= 100
            && !matches!(provider, "user" | "orga")
            && word(provider, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
            && word(rest, |b| b.is_ascii_alphanumeric() || *b == b'-');
        if valid { Ok(Self(text.into())) } else { Err(error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UUID: &str = "11111111-1111-4111-8111-111111111111";

    proptest! {
        #[test]
        fn an_id_reads_back_as_itself_and_sorts_as_text_like_its_number(a in 0..i64::MAX, b in 0..i64::MAX) {
            prop_assert_eq!(EventId(a).to_string().parse::<EventId>().unwrap(), EventId(a));
            prop_assert_eq!(EventId(a).to_string().cmp(&EventId(b).to_string()), a.cmp(&b));
        }

        #[test]
        fn a_delivery_id_reads_back_as_itself_and_holds_no_dot(event in 0..i64::MAX, n: u32) {
            let id = DeliveryId { event: EventId(event), n };
            prop_assert_eq!(id.to_string().parse::<DeliveryId>().unwrap(), id);
            prop_assert!(!id.to_string().contains('.'));
        }

        #[test]
        fn event_ids_only_grow(last in 0..i64::MAX / 2, now in 0..4_000_000_000_000_i64) {
            prop_assert!(EventId::next(EventId(last), now) > EventId(last));
        }

        #[test]
        fn no_text_makes_an_id_panic(text: String) {
            let _ = (text.parse::<EventId>(), text.parse::<DeliveryId>(), text.parse::<OwnerId>(), text.parse::<ResourceId>());
        }
    }

    #[test]
    fn an_event_id_tells_when_it_was_accepted() {
        assert_eq!(EventId::first_at(1_767_348_000_000).at(), 1_767_348_000_000);
    }

    #[test]
    fn owners_are_users_or_organisations_with_a_uuid_the_clients_accept() {
        assert!(format!("user_{UUID}").parse::<OwnerId>().is_ok());
        assert!(format!("orga_{UUID}").parse::<OwnerId>().is_ok());
        let upper = "orga_AAAAAAAA-1111-4111-8111-111111111111";
        assert_eq!(upper.parse::<OwnerId>().unwrap().to_string(), upper.to_lowercase());
        for wrong in [
            "",
            "user_",
            UUID,
            "orga_11111111111141118111111111111111",
            "orga_11111111-1111-7111-8111-111111111111",
        ] {
            assert!(wrong.parse::<OwnerId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_resource_is_an_application_an_addon_or_a_real_id() {
        let shape = |text: String| text.parse::<ResourceId>().map(|id| id.shape());
        assert_eq!(shape(format!("app_{UUID}")), Ok(ResourceShape::Application));
        assert_eq!(shape(format!("addon_{UUID}")), Ok(ResourceShape::Addon));
        assert_eq!(shape(format!("postgresql_{UUID}")), Ok(ResourceShape::RealId));
        assert_eq!(shape("kubernetes_01ARZ3NDEKTSV4RRFFQ69G5FAV".into()), Ok(ResourceShape::RealId));
        for wrong in [
            "",
            "app_",
            "app_x",
            "postgresql_",
            "_x",
            "a b_c",
            "user_11111111-1111-4111-8111-111111111111",
            "Éa_b",
        ] {
            assert!(wrong.parse::<ResourceId>().is_err(), "{wrong}");
        }
    }
}
