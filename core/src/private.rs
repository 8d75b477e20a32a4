//! Private letters: to one address, for its reader's eyes only. A link to sign in, an address to confirm, what stands for
//! letters held back.
//!
//! They go the way of every letter (leased, tried again, recorded), but they are matched by no hook, streamed, listed and
//! shown to nobody, and what they say is erased as soon as they are sent or have expired.

use serde_json::{Map, Value};

use crate::frame;
use crate::ids::OwnerId;
use crate::model::{Millis, Recipient};
use crate::secret::Secret;
use crate::words::words;

words! {
    /// The private kinds of the catalogue.
    Private {
        /// A link to sign in.
        SignIn = "SIGN_IN",
        /// Whether an address that is no member's wants an owner's letters.
        AddressConfirmation = "ADDRESS_CONFIRMATION",
        /// What stands for letters held back at the ceiling.
        LettersHeldBack = "LETTERS_HELD_BACK",
    }
}

/// A letter to one address.
#[derive(Debug, Clone)]
pub struct PrivateLetter {
    /// Whose it is: it goes when they do, and is not written for an owner there is not.
    pub owner: OwnerId,
    /// What it is.
    pub kind: Private,
    /// Its frame, with room for its id (see [`crate::frame`]). It may hold a link that is a credential.
    pub frame: Secret,
    /// Whom it is for.
    pub recipient: Recipient,
    /// Not sent after. What it says is erased then at the latest.
    pub expires: Millis,
}

impl PrivateLetter {
    /// A letter that says `data`, as the catalogue's kind puts it into words; its `url` is the link it is written for.
    pub fn new(
        owner: OwnerId,
        kind: Private,
        data: &Map<String, Value>,
        recipient: Recipient,
        expires: Millis,
        now: Millis,
    ) -> Self {
        let text = serde_json::to_string(data).unwrap_or_default();
        let frame = frame::build(kind.as_str(), now, owner, None, Some(&text));
        // A frame is JSON, which is text.
        let frame = Secret::new(String::from_utf8(frame).unwrap_or_default());
        Self { owner, kind, frame, recipient, expires }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn the_private_kinds_are_those_of_the_catalogue() {
        let catalogue = Catalogue::builtin().unwrap();
        let private: Vec<_> =
            catalogue.kinds().iter().filter(|kind| kind.private).map(|kind| kind.name.as_str()).collect();
        assert_eq!(private, Private::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_private_letter_says_does_not_print() {
        let owner = "orga_22222222-2222-4222-8222-222222222222".parse().unwrap();
        let data = Map::from_iter([("url".to_owned(), Value::from("https://sonnette.example/hidden"))]);
        let to = Recipient { address: "a@example.com".to_owned(), user: None };
        let letter = PrivateLetter::new(owner, Private::SignIn, &data, to, 1, 0);
        assert!(letter.frame.expose().contains("hidden"));
        assert!(!format!("{letter:?}").contains("hidden"));
    }
}
