//! The envelope sender names its delivery (variable envelope return paths): what comes back says which letter it is about.
//!
//! A tag is `<event>-<n>-<signature>`, of digits and small letters: mail servers change case, and some cut at `_`. The
//! signature keeps strangers from speaking of letters they never got.

use subtle::ConstantTimeEq;

use crate::address;
use crate::ids::{DeliveryId, encode};
use crate::secret::Key;

/// What [`crate::secret::Sealer::key`] is asked for the key of tags.
pub const PURPOSE: &str = "mail/bounces";

/// The header that brings the tag too: complaints return the letter, and not always its envelope (RFC 5965, section 3.2).
/// Who answers a letter or quotes it does not pass it on, so that it is as much the recipient's alone as the envelope is.
pub const HEADER: &str = "X-Sonnette-Tag";

/// The longest tag, in bytes.
pub const LONGEST_TAG: usize = 13 + 1 + 10 + 1 + 13;

/// Where letters that cannot be delivered come back to.
#[derive(Debug, Clone)]
pub struct Bounces {
    /// An address, into which tags are put.
    pub address: String,
    /// Of tags: [`crate::secret::Sealer::key`] for [`PURPOSE`].
    pub key: Key,
}

impl Bounces {
    /// The envelope sender of a delivery's letter.
    pub fn sender(&self, delivery: DeliveryId) -> String {
        sender(&self.address, &tag(&self.key, delivery))
    }

    /// The delivery an address names that something came back to.
    pub fn read(&self, address: &str) -> Option<DeliveryId> {
        read(&self.key, tag_in(address)?)
    }
}

/// Whether a tag fits into the address bounces come to: what stands before the `@` is bounded.
pub fn fits(bounces: &str) -> bool {
    address::check(&sender(bounces, &"0".repeat(LONGEST_TAG))).is_ok()
}

/// The tag of a delivery.
pub fn tag(key: &Key, delivery: DeliveryId) -> String {
    let name = delivery.to_string();
    let name = name.strip_prefix("dlv_").unwrap_or(&name).replace('_', "-");
    format!("{name}-{}", signature(key, delivery))
}

/// The delivery a tag names, in whatever case it comes back; `None` if it is not one of ours.
pub fn read(key: &Key, tag: &str) -> Option<DeliveryId> {
    if tag.len() > LONGEST_TAG {
        return None;
    }
    let tag = tag.to_ascii_lowercase();
    let (name, signed) = tag.rsplit_once('-')?;
    let delivery: DeliveryId = format!("dlv_{}", name.replace('-', "_")).parse().ok()?;
    let expected = signature(key, delivery);
    bool::from(expected.as_bytes().ct_eq(signed.as_bytes())).then_some(delivery)
}

/// The envelope sender of a letter: `tag` put into the address bounces come to. `bounces@a.example` becomes
/// `bounces+<tag>@a.example`.
pub fn sender(bounces: &str, tag: &str) -> String {
    match bounces.rsplit_once('@') {
        Some((local, domain)) => format!("{local}+{tag}@{domain}"),
        None => bounces.to_owned(),
    }
}

/// The tag in an address somebody answered to: what stands between the last `+` and the `@`.
pub fn tag_in(address: &str) -> Option<&str> {
    address.rsplit_once('@')?.0.rsplit_once('+').map(|(_, tag)| tag)
}

/// 63 bits: guessing goes over the network, one letter a guess.
fn signature(key: &Key, delivery: DeliveryId) -> String {
    let signed = key.sign(delivery.to_string().as_bytes());
    let mut start = [0; 8];
    start.copy_from_slice(&signed[..8]);
    String::from_utf8_lossy(&encode(i64::from_be_bytes(start) & i64::MAX)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EventId;
    use crate::secret::Sealer;
    use proptest::prelude::*;

    fn key() -> Key {
        Sealer::new(&[7; 32]).key(PURPOSE)
    }

    #[test]
    fn an_envelope_sender_looks_like_this() {
        let delivery = DeliveryId { event: EventId::first_at(1_767_348_000_000), n: 3 };
        let bounces = Bounces { address: "bounces@paas.example".into(), key: key() };
        let sender = bounces.sender(delivery);
        insta::assert_snapshot!(sender, @"bounces+1kdz2cn800000-3-263tw69k91424@paas.example");
        assert_eq!(bounces.read(&sender), Some(delivery));
        for none in ["bounces@paas.example", "a+b", ""] {
            assert_eq!(tag_in(none), None, "{none}");
        }
    }

    #[test]
    fn an_address_is_too_long_where_a_tag_does_not_fit() {
        let address = |local: usize| format!("{}@paas.example", "b".repeat(local));
        assert!(fits(&address(64 - 1 - LONGEST_TAG)));
        assert!(!fits(&address(64 - LONGEST_TAG)));
        assert!(!fits(&format!("b@{}com", "a234567.".repeat(27))));
    }

    proptest! {
        #[test]
        fn a_tag_names_its_delivery_in_any_case_and_with_no_other_key(event in 0..i64::MAX, n: u32) {
            let delivery = DeliveryId { event: EventId(event), n };
            let tag = tag(&key(), delivery);
            prop_assert!(tag.len() <= LONGEST_TAG);
            prop_assert!(tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert_eq!(read(&key(), &tag), Some(delivery));
            prop_assert_eq!(read(&key(), &tag.to_uppercase()), Some(delivery));
            prop_assert_eq!(read(&Sealer::new(&[8; 32]).key(PURPOSE), &tag), None);
        }

        #[test]
        fn what_is_changed_or_made_up_names_nothing(event in 0..i64::MAX, n in 0..9_u32, at: prop::sample::Index, made_up: String) {
            let delivery = DeliveryId { event: EventId(event), n };
            let mut bytes = tag(&key(), delivery).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            prop_assert_eq!(read(&key(), &String::from_utf8(bytes).unwrap()), None);
            prop_assert_eq!(read(&key(), &made_up), None);
        }
    }
}
