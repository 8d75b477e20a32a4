//! The things a browser keeps for us: the session; before there is one, what its forms are told by, and a sign-in at a
//! provider that is begun.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use sonnette_core::ports::{Luck, SESSION_LIFE};
use subtle::ConstantTimeEq;

use crate::http::alphanumeric;

/// Characters of a cookie: 256 bits.
const LEN: usize = 43;
/// Characters of what is sealed in one. Browsers keep 4096 bytes with the name (RFC 6265, section 6.1).
pub(super) const LONGEST: usize = 4000;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookie {
    /// Who is signed in.
    Session,
    /// Who is not, and fills in a form.
    Form,
    /// Who is on the way to a provider and back.
    Provider,
}

impl Cookie {
    /// Its name. Over TLS the `__Host-` prefix lets no other site, and nobody without TLS, set it (RFC 6265bis, section 4.1.3.2).
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Host-sonnette",
            (Self::Session, false) => "sonnette",
            (Self::Form, true) => "__Host-sonnette-form",
            (Self::Form, false) => "sonnette-form",
            (Self::Provider, true) => "__Host-sonnette-provider",
            (Self::Provider, false) => "sonnette-provider",
        }
    }

    /// What the browser sent.
    pub(super) fn read(self, headers: &HeaderMap, secure: bool) -> Option<&str> {
        let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        pairs
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, value)| *name == self.name(secure) && self.fits(value))
            .map(|(_, value)| value)
    }

    fn fits(self, value: &str) -> bool {
        match self {
            Self::Session | Self::Form => value.len() == LEN,
            Self::Provider => value.len() <= LONGEST,
        }
    }

    /// A header that keeps `value`, or takes it away.
    pub(super) fn set(self, value: Option<&str>, secure: bool) -> HeaderValue {
        let age = match (value, self) {
            (None, _) => "; Max-Age=0".to_owned(),
            (Some(_), Self::Session) => format!("; Max-Age={}", SESSION_LIFE / 1000),
            (Some(_), Self::Form) => String::new(),
            (Some(_), Self::Provider) => format!("; Max-Age={}", super::provider::LIFE / 1000),
        };
        let secure_part = if secure { "; Secure" } else { "" };
        let text = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Lax{age}{secure_part}",
            self.name(secure),
            value.unwrap_or_default()
        );
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// A new value.
pub(super) fn fresh(luck: &dyn Luck) -> String {
    alphanumeric(luck, LEN)
}

/// What the store keeps of a text that opens something.
pub(super) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Characters that make each page's token another one.
const SALT: usize = 16;

/// What a page's forms carry that belong to a cookie. Made of it, so there is nothing to keep, and says nothing of it; each page's
/// is another, so that how well a page compresses says nothing of it either.
pub(super) fn form_token(cookie: &str, luck: &dyn Luck) -> String {
    salted(cookie, &alphanumeric(luck, SALT))
}

/// Whether a token belongs to a cookie.
pub(super) fn is_form_token(cookie: &str, token: &str) -> bool {
    token.get(..SALT).is_some_and(|salt| same(&salted(cookie, salt), token))
}

fn salted(cookie: &str, salt: &str) -> String {
    let digest = Sha256::new().chain_update("form\0").chain_update(salt).chain_update(cookie).finalize();
    format!("{salt}{}", URL_SAFE_NO_PAD.encode(&digest[..24]))
}

/// Whether two tokens are one, in a time that says nothing.
pub(super) fn same(one: &str, other: &str) -> bool {
    bool::from(one.as_bytes().ct_eq(other.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::SystemLuck;

    #[test]
    fn over_tls_a_cookie_is_for_this_host_alone() {
        let value = "x".repeat(LEN);
        let set = Cookie::Session.set(Some(&value), true);
        assert_eq!(
            set.to_str().unwrap(),
            format!("__Host-sonnette={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000; Secure")
        );
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("a=b; sonnette={value};__Host-sonnette-form=short").parse().unwrap());
        assert_eq!(Cookie::Session.read(&headers, false), Some(value.as_str()));
        assert_eq!(Cookie::Session.read(&headers, true), None, "not set by us over TLS");
        assert_eq!(Cookie::Form.read(&headers, true), None, "cut");
    }

    #[test]
    fn a_form_token_says_nothing_of_its_cookie_belongs_to_it_alone_and_is_another_on_each_page() {
        let (one, other) = (form_token("a", &SystemLuck), form_token("a", &SystemLuck));
        assert_ne!(one, other);
        assert!(is_form_token("a", &one) && is_form_token("a", &other));
        let changed = format!("{}{}", &other[..SALT], &one[SALT..]);
        for wrong in ["", "é", "short", &changed, &one[1..], &format!("{one}x")] {
            assert!(!is_form_token("a", wrong), "{wrong}");
        }
        assert!(!is_form_token("b", &one));
        assert_eq!(one.len(), SALT + 32);
    }
}
