//! What stops or holds a letter: addresses that take none, readers who want none of a hook, strangers who have not said yet,
//! and the ceiling of an hour.
//!
//! The store asks [`admit`]'s questions inside one transaction before every attempt of a letter, so that no letter passes
//! that was stopped a moment ago and no more pass in an hour than may.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use crate::formats::utc;
use crate::ids::{DeliveryId, HookId, OwnerId, ResourceId};
use crate::lang::Lang;
use crate::model::{Cancelled, DAY, HOUR, Held, Millis, Recipient};
use crate::private::{Private, PrivateLetter};
use crate::secret::{Sealer, Secret};
use crate::words::words;

/// How long an address may take to confirm that it wants letters, and how long they are held for it.
pub const CONFIRM_WITHIN: Millis = 7 * DAY;
/// Addresses an owner may ask to confirm within [`CONFIRM_WITHIN`]: what they are asked is mail nobody has agreed to.
pub const MOST_ASKED: u32 = 100;
/// How often one address is asked within [`CONFIRM_WITHIN`], over all owners.
pub const MOST_ASKED_ONE: u32 = 5;
/// Titles a letter names that stands for others.
pub const LATEST: usize = 5;
/// Kinds, applications and add-ons one person may want no letters of.
pub const MOST_MUTES: usize = 500;

words! {
    /// Why an address is not written to any more.
    Why {
        /// Its server said, when a letter was handed over, that there is no such address.
        NoSuchAddress = "no_such_address",
        /// A letter came back: there is no such address.
        Bounced = "bounced",
        /// Its reader complained.
        Complained = "complained",
        /// Somebody said so.
        ByHand = "by_hand",
    }
}

/// An address that is not written to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// Its number, which grows.
    pub id: i64,
    /// Which address.
    pub address: String,
    /// Why, at first.
    pub why: Why,
    /// In the words of whoever said so, if there were any.
    pub note: Option<String>,
    /// Since when.
    pub first: Millis,
    /// When there was last a reason.
    pub last: Millis,
    /// The letter that was the first reason.
    pub delivery: Option<DeliveryId>,
}

/// A reason not to write to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Which address.
    pub address: String,
    /// Why.
    pub why: Why,
    /// In the words of whoever said so.
    pub note: Option<String>,
    /// The letter it came of.
    pub delivery: Option<DeliveryId>,
}

/// What a person wants no letters of, whoever owns the hook and whatever address it names. It goes with the person, where a
/// stop ([`StopLink`]) goes with the address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mute {
    /// Events of the kind of this name. Means nothing while its letters cannot be refused
    /// ([`crate::catalogue::Catalogue::may_refuse`]).
    Kind(String),
    /// Events about this application or add-on.
    Resource(ResourceId),
}

/// What writes to a person, and what they want none of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mail {
    /// The e-mail hooks of their own space and of their organisations that name them or their address, or that were stopped
    /// at their address: the space's first, then by organisation, oldest first.
    pub hooks: Vec<MailHook>,
    /// At most [`MOST_MUTES`]; an add-on by its own id. Kinds that cannot be refused (any more) are left out.
    pub mutes: BTreeSet<Mute>,
}

/// An e-mail hook, as whom it writes to may see it whatever their role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailHook {
    /// Which.
    pub id: HookId,
    /// Whose.
    pub owner: OwnerId,
    /// What its owner calls it.
    pub name: String,
    /// Since when the reader wants no more of it.
    pub stopped: Option<Millis>,
}

/// What an installation asks of letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LetterRules {
    /// Where the pages are that strangers confirm at; `None` asks nobody to confirm.
    pub confirm: Option<String>,
    /// Letters an address is sent within an hour; 0 stands for as many as there are.
    pub ceiling: u32,
    /// What is spoken to readers nobody knows.
    pub lang: Lang,
}

/// Whether a letter may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may, now.
    Go,
    /// It never will: to be recorded.
    Stop(Cancelled),
    /// It is held, and its ticket is back.
    Wait(Held),
    /// The ticket means nothing any more.
    Stale,
}

/// What is known of one letter and its reader when it is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether its kind cannot be stopped by its reader, nor counted.
    pub locked: bool,
    /// Whether its reader is meant by the hook.
    pub meant: bool,
    /// Whether the address takes no letters.
    pub suppressed: bool,
    /// Whether the reader stopped the hook, or muted the kind or what it is about.
    pub stopped: bool,
    /// Whether a stranger's address was confirmed; members' always are.
    pub consent: Consent,
    /// Letters already let go to the address in this hour, this one aside.
    pub sent: u32,
}

/// Whether an address wants an owner's letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// It is a member's, or it said so, or nobody is to be asked.
    Given,
    /// Nobody has asked.
    NotAsked,
    /// It was asked then.
    Asked(Millis),
}

/// What became of the question behind a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// It waits for its answer.
    Open,
    /// The answer was yes, then.
    Confirmed(Millis),
    /// It is too old, another one took its place, or whoever asked is gone.
    Over,
}

/// Decides. Never answers [`Admission::Stale`].
pub fn admit(standing: &Standing, ceiling: u32, now: Millis) -> Admission {
    let Standing { locked, meant, suppressed, stopped, consent, sent } = *standing;
    if !meant {
        Admission::Stop(Cancelled::RecipientLeft)
    } else if suppressed {
        Admission::Stop(Cancelled::Suppressed)
    } else if stopped && !locked {
        Admission::Stop(Cancelled::Unsubscribed)
    } else {
        match consent {
            Consent::Asked(at) if at + CONFIRM_WITHIN <= now => Admission::Stop(Cancelled::NoRecipient),
            Consent::Asked(_) | Consent::NotAsked => Admission::Wait(Held::Unconfirmed),
            Consent::Given if ceiling > 0 && sent >= ceiling && !locked => Admission::Wait(Held::Ceiling),
            Consent::Given => Admission::Go,
        }
    }
}

/// The end of the hour a moment is in.
pub fn hour_end(now: Millis) -> Millis {
    (now.div_euclid(HOUR) + 1) * HOUR
}

/// What an address is known by where it is not to be read: people mean one address by any of its spellings, though only
/// the domain's case never matters (RFC 5321, section 2.4).
pub fn key(sealer: &Sealer, address: &str) -> [u8; 32] {
    sealer.digest("address", &address.to_lowercase())
}

const STOP: &str = "link/stop";
const CONFIRM: &str = "link/confirm";

/// What a link to stop letters is for: one hook and one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopLink {
    /// Which hook.
    pub hook: HookId,
    /// Which address.
    pub address: String,
}

impl StopLink {
    /// Its token.
    pub fn token(&self, sealer: &Sealer) -> String {
        sealer.token(STOP, &Secret::new(self.to_string()))
    }

    /// Reads a token; `None` if we did not make it.
    pub fn read(sealer: &Sealer, token: &str) -> Option<Self> {
        let text = sealer.read_token(STOP, token)?;
        let (hook, address) = text.expose().split_once(' ')?;
        Some(Self { hook: hook.parse().ok()?, address: address.to_owned() })
    }
}

impl fmt::Display for StopLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.hook, self.address)
    }
}

/// What a link to confirm an address is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmLink {
    /// Whose letters.
    pub owner: OwnerId,
    /// To which address.
    pub address: String,
    /// When it was asked.
    pub asked: Millis,
}

impl ConfirmLink {
    /// Its token.
    pub fn token(&self, sealer: &Sealer) -> String {
        sealer.token(CONFIRM, &Secret::new(self.to_string()))
    }

    /// Reads a token; `None` if we did not make it.
    pub fn read(sealer: &Sealer, token: &str) -> Option<Self> {
        let text = sealer.read_token(CONFIRM, token)?;
        let mut parts = text.expose().splitn(3, ' ');
        let (owner, asked) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { owner, address: parts.next()?.to_owned(), asked })
    }
}

impl fmt::Display for ConfirmLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.owner, self.asked, self.address)
    }
}

/// The letter that asks a stranger whether they want an owner's letters.
pub fn question(
    sealer: &Sealer,
    public_url: &str,
    owner: OwnerId,
    address: &str,
    now: Millis,
) -> PrivateLetter {
    let until = now + CONFIRM_WITHIN;
    let link = ConfirmLink { owner, address: address.to_owned(), asked: now };
    let url = page(public_url, "c", &link.token(sealer));
    let data = Map::from_iter([
        ("url".to_owned(), Value::from(url)),
        ("address".to_owned(), Value::from(address)),
        ("until".to_owned(), Value::from(utc(until))),
    ]);
    let to = Recipient { address: address.to_owned(), user: None };
    PrivateLetter::new(owner, Private::AddressConfirmation, &data, to, until, now)
}

/// What the letter says that stands for others: how many of each kind, and the titles of the latest.
pub fn held_back(kinds: &BTreeMap<String, u64>, ceiling: u32, latest: &[String]) -> Map<String, Value> {
    let count: u64 = kinds.values().sum();
    let mut by_count: Vec<_> = kinds.iter().collect();
    by_count.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let kinds: Vec<_> = by_count.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let mut data = Map::new();
    data.insert("count".to_owned(), count.into());
    data.insert("ceiling".to_owned(), ceiling.into());
    data.insert("kinds".to_owned(), kinds.join(", ").into());
    for (n, title) in (1..=LATEST).zip(latest) {
        data.insert(format!("latest{n}"), title.as_str().into());
    }
    data
}

/// A page of ours under the address people know us by.
pub fn page(public_url: &str, path: &str, token: &str) -> String {
    format!("{}/{path}/{token}", public_url.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_standing() -> impl Strategy<Value = Standing> {
        let consent = prop_oneof![
            Just(Consent::Given),
            Just(Consent::NotAsked),
            (0..20 * DAY).prop_map(Consent::Asked),
        ];
        (any::<[bool; 4]>(), consent, 0..5_u32).prop_map(
            |([locked, meant, suppressed, stopped], consent, sent)| Standing {
                locked,
                meant,
                suppressed,
                stopped,
                consent,
                sent,
            },
        )
    }

    proptest! {
        #[test]
        fn a_letter_goes_exactly_if_nothing_speaks_against_it(
            standing in any_standing(), ceiling in 0..5_u32, now in 0..20 * DAY,
        ) {
            let goes = standing.meant
                && !standing.suppressed
                && (standing.locked || !standing.stopped)
                && standing.consent == Consent::Given
                && (standing.locked || ceiling == 0 || standing.sent < ceiling);
            let admission = admit(&standing, ceiling, now);
            prop_assert_eq!(admission == Admission::Go, goes);
            prop_assert_ne!(admission, Admission::Stale);
            if let Consent::Asked(at) = standing.consent {
                // Nobody is kept waiting for a link that works no more.
                prop_assert!(admission != Admission::Wait(Held::Unconfirmed) || now < at + CONFIRM_WITHIN);
            }
        }

        #[test]
        fn an_hour_ends_within_an_hour(now in -DAY..20 * DAY) {
            let end = hour_end(now);
            prop_assert!(end > now && end <= now + HOUR && end % HOUR == 0);
        }

        #[test]
        fn links_read_back_and_say_nothing_to_others(hook in 1..i64::MAX, asked: i64, address in "[a-z ]{1,20}@[a-z]{1,9}") {
            let (sealer, other) = (Sealer::new(&[7; 32]), Sealer::new(&[8; 32]));
            let stop = StopLink { hook: HookId(hook), address: address.clone() };
            prop_assert_eq!(StopLink::read(&sealer, &stop.token(&sealer)), Some(stop.clone()));
            prop_assert_eq!(StopLink::read(&other, &stop.token(&sealer)), None);
            let owner = "orga_22222222-2222-4222-8222-222222222222".parse().unwrap();
            let confirm = ConfirmLink { owner, address, asked };
            prop_assert_eq!(ConfirmLink::read(&sealer, &confirm.token(&sealer)), Some(confirm.clone()));
            prop_assert_eq!(ConfirmLink::read(&sealer, &stop.token(&sealer)), None);
            prop_assert_eq!(StopLink::read(&sealer, &confirm.token(&sealer)), None);
        }
    }

    #[test]
    fn an_address_is_known_by_any_spelling_of_it() {
        let sealer = Sealer::new(&[7; 32]);
        assert_eq!(key(&sealer, "Bob@Example.com"), key(&sealer, "bob@example.com"));
        assert_ne!(key(&sealer, "bob@example.com"), key(&sealer, "rob@example.com"));
    }

    #[test]
    fn what_was_held_back_is_counted_by_kind_and_named_by_the_latest() {
        let kinds = BTreeMap::from([("A".to_owned(), 1), ("B".to_owned(), 40), ("C".to_owned(), 1)]);
        let latest: Vec<_> = (1..=7).map(|n| format!("title {n}")).collect();
        let data = held_back(&kinds, 60, &latest);
        assert_eq!((&data["count"], &data["ceiling"]), (&42.into(), &60.into()));
        assert_eq!(data["kinds"], "40 B, 1 A, 1 C");
        assert_eq!(data["latest5"], "title 5");
        assert_eq!(data.len(), 3 + LATEST);
    }

    #[test]
    fn a_page_is_under_the_public_address_whatever_its_end() {
        for url in ["https://n.example", "https://n.example/"] {
            assert_eq!(page(url, "u", "x"), "https://n.example/u/x");
        }
    }
}
