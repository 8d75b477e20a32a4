//! Secrets: a type that does not print itself, and the sealing that keeps them unreadable at rest.
//!
//! Sealed with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) under one 256-bit key. What a secret is for and whom it
//! belongs to is authenticated with it, so a row copied over another does not open.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
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

/// A key for one purpose, made of the installation's key: what it signs, nobody else can have signed.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// HMAC-SHA256 (RFC 2104) of `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(message).finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The longest token that is tried.
const LONGEST_TOKEN: usize = 4096;

/// Seals and opens, and makes keys and tokens nobody else can make.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    root: Hmac<Sha256>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// Takes 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(key.into()), root: keyed(key) }
    }

    /// The key for a purpose, such as `bounces`: always the same, and nothing about another one.
    pub fn key(&self, purpose: &str) -> Key {
        let derived: Zeroizing<[u8; 32]> =
            Zeroizing::new(self.root.clone().chain_update(purpose).finalize().into_bytes().into());
        Key(keyed(&derived))
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
        sealed.extend(self.cipher.encrypt(&XNonce::from(nonce), message).unwrap_or_default());
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
        let plain = self.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| Unsealable)?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| Unsealable)
    }

    /// A digest of a text nobody without the key can make, or guess the text from. `place` is what it is for: digests of
    /// one text for two places have nothing in common.
    pub fn digest(&self, place: &str, text: &str) -> [u8; 32] {
        self.key(place).sign(text.as_bytes())
    }

    /// A text as a token for a link: what it says is seen by nobody, and nobody else can make one. The same text makes the
    /// same token, so that a letter written again is the same letter.
    pub fn token(&self, place: &str, text: &Secret) -> String {
        let mut nonce: Nonce = [0; 24];
        nonce.copy_from_slice(&self.digest(place, text.expose())[..24]);
        URL_SAFE_NO_PAD.encode(self.seal(place, text, nonce))
    }

    /// The text of a token of this place; `None` for what we did not make.
    pub fn read_token(&self, place: &str, token: &str) -> Option<Secret> {
        let sealed =
            URL_SAFE_NO_PAD.decode(Some(token).filter(|token| token.len() <= LONGEST_TOKEN)?).ok()?;
        self.open(place, &sealed).ok()
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key shorter than the block of SHA-256 is taken whole (RFC 2104, section 2).
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    Hmac::new(&(*block).into())
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

    proptest! {
        #[test]
        fn a_token_is_read_in_its_place_with_its_key_and_anything_else_is_none(
            text: String, other in "[A-Za-z0-9_-]{0,200}", flip: prop::sample::Index,
        ) {
            let sealer = Sealer::new(&[7; 32]);
            let token = sealer.token("stop", &Secret::new(text.clone()));
            prop_assert_eq!(&sealer.token("stop", &Secret::new(text.clone())), &token);
            prop_assert_eq!(sealer.read_token("stop", &token), Some(Secret::new(text)));
            prop_assert_eq!(sealer.read_token("confirm", &token), None);
            prop_assert_eq!(Sealer::new(&[8; 32]).read_token("stop", &token), None);
            prop_assert_eq!(sealer.read_token("stop", &other), None);
            let mut damaged = token.into_bytes();
            let at = flip.index(damaged.len());
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            prop_assert_eq!(sealer.read_token("stop", std::str::from_utf8(&damaged).unwrap()), None);
        }

        #[test]
        fn a_digest_is_of_its_place_its_text_and_its_key(place in "[a-z]{0,4}", text in "[a-z]{0,4}") {
            let sealer = Sealer::new(&[7; 32]);
            let digest = sealer.digest(&place, &text);
            prop_assert_eq!(sealer.digest(&place, &text), digest);
            prop_assert_ne!(sealer.digest(&format!("{place}a"), &text), digest);
            prop_assert_ne!(sealer.digest(&place, &format!("{text}a")), digest);
            prop_assert_ne!(Sealer::new(&[8; 32]).digest(&place, &text), digest);
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn a_key_for_one_purpose_signs_nothing_for_another() {
        let sealer = Sealer::new(&[7; 32]);
        let signed = |sealer: &Sealer, purpose: &str| sealer.key(purpose).sign(b"x");
        assert_eq!(signed(&sealer, "a"), signed(&Sealer::new(&[7; 32]), "a"));
        assert_ne!(signed(&sealer, "a"), signed(&sealer, "b"));
        assert_ne!(signed(&sealer, "a"), signed(&Sealer::new(&[8; 32]), "a"));
        assert_eq!(format!("{:?}", sealer.key("a")), "Key(…)");
    }

    #[test]
    fn a_key_reads_back_from_its_file_and_nothing_else_does() {
        assert!(Sealer::from_text(&Sealer::to_text(&[9; 32])).is_ok());
        for wrong in ["", "abc", "AAAA", &"A".repeat(44)] {
            assert!(Sealer::from_text(wrong).is_err(), "{wrong}");
        }
    }
}
