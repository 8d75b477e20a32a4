//! Secrets: a type that does not print itself, and the sealing that keeps them unreadable at rest.
//!
//! Sealed with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) under one 256-bit key. What a secret is for and whom it
//! belongs to is authenticated with it, so a row copied over another does not open.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

/// A text that is never shown by accident: `Debug` says only that it is there, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself. Every call is a place to look at when asking where secrets go.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        std::mem::take(&mut self.0).into_string().zeroize();
    }
}

/// Bytes of chance for one sealing.
pub type Nonce = [u8; 24];

/// Why a key is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key must be 32 bytes in base64 (44 characters)")]
pub struct KeyError;

/// A sealed secret does not open: another key, another place, or damage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stored secret does not open with this key")]
pub struct Unsealable;

/// First byte of everything sealed: which way of sealing.
const VERSION: u8 = 1;

/// Seals and opens.
#[derive(Clone)]
pub struct Sealer(XChaCha20Poly1305);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// Takes 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Reads a key as the key file holds it.
    ///
    /// # Errors
    /// If it is not 32 bytes in base64.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| KeyError)?);
        let key: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| KeyError)?;
        Ok(Self::new(key))
    }

    /// Writes a key as the key file holds it.
    pub fn to_text(key: &[u8; 32]) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(key) + "\n")
    }

    /// Seals `secret` for `place` (what it is and whose, such as `destination/42`).
    pub fn seal(&self, place: &str, secret: &Secret, nonce: Nonce) -> Vec<u8> {
        let message = Payload { msg: secret.expose().as_bytes(), aad: place.as_bytes() };
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&nonce);
        // Encryption fails only beyond 256 GiB; an empty box then does not open, which is the truth.
        sealed.extend(self.0.encrypt(&XNonce::from(nonce), message).unwrap_or_default());
        sealed
    }

    /// Opens what was sealed for `place`.
    ///
    /// # Errors
    /// If it was sealed with another key, for another place, or is damaged.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Secret, Unsealable> {
        let (head, message) = sealed.split_at_checked(1 + 24).ok_or(Unsealable)?;
        let nonce: Nonce = head[1..].try_into().map_err(|_| Unsealable)?;
        if head[0] != VERSION {
            return Err(Unsealable);
        }
        let payload = Payload { msg: message, aad: place.as_bytes() };
        let plain = self.0.decrypt(&XNonce::from(nonce), payload).map_err(|_| Unsealable)?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| Unsealable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens_only_in_its_place_with_its_key(text: String, nonce: [u8; 24], flip: prop::sample::Index) {
            let sealer = Sealer::new(&[7; 32]);
            let sealed = sealer.seal("hook/1", &Secret::new(text.clone()), nonce);
            let opened = sealer.open("hook/1", &sealed).unwrap();
            prop_assert_eq!(opened.expose(), text);
            prop_assert_eq!(sealer.open("hook/2", &sealed), Err(Unsealable));
            prop_assert_eq!(Sealer::new(&[8; 32]).open("hook/1", &sealed), Err(Unsealable));
            let mut damaged = sealed.clone();
            damaged[flip.index(sealed.len())] ^= 1;
            prop_assert_eq!(sealer.open("hook/1", &damaged), Err(Unsealable));
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn a_key_reads_back_from_its_file_and_nothing_else_does() {
        assert!(Sealer::from_text(&Sealer::to_text(&[9; 32])).is_ok());
        for wrong in ["", "abc", "AAAA", &"A".repeat(44)] {
            assert!(Sealer::from_text(wrong).is_err(), "{wrong}");
        }
    }
}
