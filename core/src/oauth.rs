//! OAuth 1.0a as the platform's clients sign with it (RFC 5849): the header, the base string, and whether a signature is right.
//!
//! Bodies are JSON and not signed; what protects them is TLS. Whether a timestamp is near and a nonce new is for who knows
//! the time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::Uri;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// The longest value of `Authorization`, in bytes.
pub const LONGEST: usize = 4 << 10;
/// The most parameters a header has.
pub const MOST_PARAMETERS: usize = 20;

/// Why a value of `Authorization` is not one of OAuth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Another scheme.
    #[error("it does not begin with `OAuth`")]
    Scheme,
    /// See [`LONGEST`].
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    /// See [`MOST_PARAMETERS`].
    #[error("it has more than {MOST_PARAMETERS} parameters")]
    TooMany,
    /// Not `name="value"`, separated by commas.
    #[error("its parameters are not `name=\"value\"`, separated by commas")]
    Parameter,
    /// A `%` without two digits behind it, or bytes that are not UTF-8.
    #[error("a parameter is not percent-encoded UTF-8")]
    Encoding,
    /// A name twice.
    #[error("a parameter is there twice")]
    Twice,
    /// What must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A way of signing we do not check.
    #[error("`oauth_signature_method` is not HMAC-SHA512, HMAC-SHA256, HMAC-SHA1 or PLAINTEXT")]
    Method,
    /// Not whole seconds.
    #[error("`oauth_timestamp` is not a whole number of seconds")]
    Timestamp,
    /// Another protocol.
    #[error("`oauth_version` is not 1.0")]
    Version,
}

/// How it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// HMAC-SHA512, which the platform's clients of version 3 use.
    HmacSha512,
    /// HMAC-SHA256.
    HmacSha256,
    /// HMAC-SHA1 (RFC 5849 §3.4.2).
    HmacSha1,
    /// Both secrets in clear (RFC 5849 §3.4.4), which the platform's clients of version 4 use.
    Plaintext,
}

impl Method {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "HMAC-SHA512" => Self::HmacSha512,
            "HMAC-SHA256" => Self::HmacSha256,
            "HMAC-SHA1" => Self::HmacSha1,
            "PLAINTEXT" => Self::Plaintext,
            _ => return None,
        })
    }
}

/// The value of `Authorization`, taken apart.
#[derive(Debug, Clone)]
pub struct Authorization {
    /// Which program asks.
    pub consumer: String,
    /// The public half of a person's pair.
    pub token: String,
    /// How it is signed.
    pub method: Method,
    /// When, in seconds since 1970. Only PLAINTEXT may leave it out.
    pub timestamp: Option<i64>,
    /// A text no other request of that timestamp has. Only PLAINTEXT may leave it out.
    pub nonce: Option<String>,
    /// Decoded. Of PLAINTEXT it is the secrets themselves.
    signature: Secret,
    /// Decoded, without `realm` and the signature.
    signed: Vec<(String, String)>,
}

impl Authorization {
    /// Takes `OAuth k="v", …` apart: any order, values percent-encoded, with or without quotes.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn parse(header: &str) -> Result<Self, Malformed> {
        if header.len() > LONGEST {
            return Err(Malformed::TooLong);
        }
        let header = header.trim();
        let (scheme, rest) = header.split_once([' ', '\t']).unwrap_or((header, ""));
        if !scheme.eq_ignore_ascii_case("oauth") {
            return Err(Malformed::Scheme);
        }
        let mut signed = parameters(rest)?;
        let mut take = |name: &'static str| {
            let at = signed.iter().position(|(key, _)| key == name);
            at.map(|at| signed.swap_remove(at).1).ok_or(Malformed::Missing(name))
        };
        drop(take("realm"));
        let signature = Secret::new(take("oauth_signature")?);
        let find = |name: &'static str| {
            let found = signed.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).ok_or(Malformed::Missing(name))
        };
        // The platform's clients of version 4 leave it out.
        let method = find("oauth_signature_method").ok();
        let method =
            method.map_or(Some(Method::Plaintext), |name| Method::parse(&name)).ok_or(Malformed::Method)?;
        if find("oauth_version").is_ok_and(|version| version != "1.0") {
            return Err(Malformed::Version);
        }
        let digits = |text: String| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| plain).ok_or(Malformed::Timestamp)
        };
        let (timestamp, nonce) = match method {
            Method::Plaintext => {
                (find("oauth_timestamp").ok().map(digits).transpose()?, find("oauth_nonce").ok())
            }
            _ => (Some(digits(find("oauth_timestamp")?)?), Some(find("oauth_nonce")?)),
        };
        let (consumer, token) = (find("oauth_consumer_key")?, find("oauth_token")?);
        Ok(Self { consumer, token, method, timestamp, nonce, signature, signed })
    }

    /// Whether it was signed with these secrets, for this request. Takes the same time for every wrong signature of one length.
    ///
    /// `urls` are those the client may have called, absolute, with their query. PLAINTEXT signs none.
    pub fn verify(
        &self,
        method: &http::Method,
        urls: &[impl AsRef<str>],
        consumer: &Secret,
        token: &Secret,
    ) -> bool {
        let (consumer, token) = (consumer.expose(), token.expose());
        let key = Secret::new(format!("{}&{}", encoded(consumer), encoded(token)));
        let key = key.expose().as_bytes();
        let given = self.signature.expose().as_bytes();
        if self.method == Method::Plaintext {
            // Clients differ in whether they encode the secrets before they encode the signature.
            let bare = Secret::new(format!("{consumer}&{token}"));
            return bool::from(given.ct_eq(key) | given.ct_eq(bare.expose().as_bytes()));
        }
        let Ok(given) = STANDARD.decode(given) else { return false };
        urls.iter().filter_map(|url| self.base_string(method, url.as_ref())).any(|base| match self.method {
            Method::HmacSha512 => made_with::<Hmac<Sha512>>(key, base.as_bytes(), &given),
            Method::HmacSha256 => made_with::<Hmac<Sha256>>(key, base.as_bytes(), &given),
            Method::HmacSha1 => made_with::<Hmac<Sha1>>(key, base.as_bytes(), &given),
            Method::Plaintext => false,
        })
    }

    /// RFC 5849 §3.4.1. `None` if the URL is not absolute.
    fn base_string(&self, method: &http::Method, url: &str) -> Option<String> {
        let url: Uri = url.parse().ok()?;
        let scheme = url.scheme_str()?.to_ascii_lowercase();
        let authority = url.authority()?;
        let default = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let port = authority
            .port_u16()
            .filter(|port| *port != default)
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let asked = format!("{scheme}://{}{port}{}", authority.host().to_ascii_lowercase(), url.path());
        let query = url::form_urlencoded::parse(url.query().unwrap_or_default().as_bytes());
        let mut pairs: Vec<_> = query.map(|(key, value)| (encoded(&key), encoded(&value))).collect();
        pairs.extend(self.signed.iter().map(|(key, value)| (encoded(key), encoded(value))));
        pairs.sort_unstable();
        let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        Some(format!("{}&{}&{}", method.as_str(), encoded(&asked), encoded(&pairs.join("&"))))
    }
}

fn made_with<M: Mac + KeyInit>(key: &[u8], base: &[u8], signature: &[u8]) -> bool {
    <M as KeyInit>::new_from_slice(key).is_ok_and(|mut mac| {
        mac.update(base);
        mac.verify_slice(signature).is_ok()
    })
}

/// `name="value"`, separated by commas, decoded.
fn parameters(mut rest: &str) -> Result<Vec<(String, String)>, Malformed> {
    let mut found: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(found);
        }
        if found.len() == MOST_PARAMETERS {
            return Err(Malformed::TooMany);
        }
        let (name, behind) = rest.split_once('=').ok_or(Malformed::Parameter)?;
        let behind = behind.trim_start_matches([' ', '\t']);
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or(Malformed::Parameter)?,
            None => behind.split_at(behind.find(',').unwrap_or(behind.len())),
        };
        rest = behind.trim_start_matches([' ', '\t']);
        let name = name.trim();
        let token = !name.is_empty() && !name.contains([' ', '\t', ',', '"']);
        if !token || !(rest.is_empty() || rest.starts_with(',')) {
            return Err(Malformed::Parameter);
        }
        let (name, value) = (decoded(name)?, decoded(value.trim())?);
        if found.iter().any(|(known, _)| *known == name) {
            return Err(Malformed::Twice);
        }
        found.push((name, value));
    }
}

/// RFC 5849 §3.6: everything but the unreserved characters of RFC 3986.
fn encoded(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend([
                '%',
                char::from(DIGITS[usize::from(byte >> 4)]),
                char::from(DIGITS[usize::from(byte & 15)]),
            ]);
        }
    }
    out
}

fn decoded(text: &str) -> Result<String, Malformed> {
    let digit =
        |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(Malformed::Encoding);
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            // Two digits of 4 bits fit into a byte.
            b'%' => (digit(bytes.next())? << 4 | digit(bytes.next())?) as u8,
            other => other,
        });
    }
    String::from_utf8(out).map_err(|_| Malformed::Encoding)
}

#[cfg(test)]
mod tests;
