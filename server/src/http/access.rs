//! Who is asking: operator tokens by their hash, people by their pair, sent as it is or signed with (OAuth 1.0a).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, OriginalUri};
use http::Method;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sha2::{Digest, Sha256};
use sonnette_core::ids::OwnerId;
use sonnette_core::model::{Caller, MINUTE, Millis, SECOND};
use sonnette_core::oauth::{self, Authorization};
use sonnette_core::permission::{Action, permit};
use sonnette_core::ports::{Bearer, Luck};
use sonnette_core::secret::Secret;
use subtle::ConstantTimeEq;

use super::Site;
use super::signed::{Kept, Noted};
use super::v2::error::V2Error;
use crate::contract::problem::{Id, Problem};

/// How long a token is known without asking the store. Revoking forgets at once in this process.
const KNOWN_FOR: Millis = 5 * SECOND;
/// Tokens known at once; all are forgotten when there are more.
const MOST_KNOWN: usize = 10_000;
/// How far the time of a signed request may be from ours.
const NEAR: Millis = 5 * MINUTE;
/// What operator tokens begin with.
const PREFIX: &str = "sop_";

/// The text of a new operator token, and what the store keeps of it.
pub fn operator_token(luck: &dyn Luck) -> (Secret, [u8; 32]) {
    let text = format!("{PREFIX}{}", alphanumeric(luck, 43));
    let digest = Sha256::digest(text.as_bytes()).into();
    (Secret::new(text), digest)
}

/// Letters and digits nobody can guess: 5.9 bits each. Clients put them into headers without encoding them.
pub(crate) fn alphanumeric(luck: &dyn Luck, len: usize) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(len);
    let mut bytes = [0; 64];
    while text.len() < len {
        luck.fill(&mut bytes);
        // 248 is the largest multiple of 62 in a byte: what is above would favour the first letters.
        let fair =
            bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        text.extend(fair.take(len - text.len()));
    }
    text
}

/// Callers by the hash of what they showed.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<[u8; 32], (Caller, Millis)>>);

impl Known {
    fn get(&self, digest: &[u8; 32], now: Millis) -> Option<Caller> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).filter(|(_, until)| *until > now).map(|(caller, _)| caller.clone())
    }

    fn put(&self, digest: [u8; 32], caller: Caller, now: Millis) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(digest, (caller, now + KNOWN_FOR));
    }

    /// A token or a user changed.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Somebody with the right credentials.
pub(super) struct Asker(pub(super) Caller);

impl FromRequestParts<Arc<Site>> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let wrong = || {
            Problem::new(
                Id::Unauthorised,
                "send `Authorization: Bearer` with an operator token or a pair `token.secret`",
            )
        };
        let header =
            parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?;
        let token = bearer(header).ok_or_else(wrong)?;
        site.caller(token).await?.map(Self).ok_or_else(wrong)
    }
}

/// [`Asker`] on the platform's own surface: signed requests too, and errors in its shape.
pub(crate) struct V2Asker(pub(crate) Caller);

impl FromRequestParts<Arc<Site>> for V2Asker {
    type Rejection = V2Error;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, V2Error> {
        let wrong = || Problem::new(Id::Unauthorised, "you are not logged in, or your credentials are wrong");
        let header =
            parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?;
        let asked = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0);
        let urls = site.terms.urls(parts, &[asked.path_and_query().map_or("/", |asked| asked.as_str())]);
        let caller = site.authorise(header, &parts.method, &urls).await?;
        Ok(Self(caller.ok_or_else(wrong)?))
    }
}

/// The token behind `Bearer`.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim_start().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= 512).then_some(token)
}

/// What of an `Authorization` can be asked about again: whether it still counts, while a stream that was opened with it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The SHA-256 of an operator token.
    OperatorToken([u8; 32]),
    /// The public half of a pair.
    Pair(String),
    /// The SHA-256 of a session's cookie.
    Session([u8; 32]),
}

impl Credential {
    /// Takes it out of a header that [`Site::authorise`] took.
    pub(crate) fn of(authorization: &str) -> Option<Self> {
        Some(match bearer(authorization) {
            Some(token) => match token.split_once('.') {
                None => Self::OperatorToken(Sha256::digest(token.as_bytes()).into()),
                Some((public, _)) => Self::Pair(public.to_owned()),
            },
            None => Self::Pair(Authorization::parse(authorization).ok()?.token),
        })
    }
}

impl Site {
    /// Who a value of `Authorization` speaks for: `Bearer` with an operator token or a pair, or `OAuth` signed with a pair.
    ///
    /// `urls` are those a signature may have been made for: absolute, as the client called them, with their query.
    /// Nobody learns which part of wrong credentials was wrong.
    ///
    /// # Errors
    /// If a header of OAuth is malformed, if too many signed requests came at once, or if the store does not answer.
    pub(crate) async fn authorise(
        &self,
        authorization: &str,
        method: &Method,
        urls: &[String],
    ) -> Result<Option<Caller>, Problem> {
        if let Some(token) = bearer(authorization) {
            return self.caller(token).await;
        }
        match Authorization::parse(authorization) {
            Ok(read) => self.signer(authorization, &read, method, urls).await,
            Err(oauth::Malformed::Scheme) => Ok(None),
            Err(malformed) => Err(Problem::invalid("Authorization", malformed.to_string())),
        }
    }

    async fn signer(
        &self,
        header: &str,
        read: &Authorization,
        method: &Method,
        urls: &[String],
    ) -> Result<Option<Caller>, Problem> {
        let now = self.parts.clock.now();
        // What has neither time nor nonce is the same for every request. No text begins with this byte, so no bearer token has this digest.
        let same = read.timestamp.is_none() && read.nonce.is_none();
        let lasting = (read.method == oauth::Method::Plaintext && same)
            .then(|| Sha256::new().chain_update([0xff]).chain_update(header).finalize().into());
        if let Some(caller) = lasting.and_then(|digest| self.known.get(&digest, now)) {
            return Ok(Some(caller));
        }
        let Some(consumer) = self.terms.consumers.iter().find(|consumer| consumer.key == read.consumer)
        else {
            return Ok(None);
        };
        let Some(Bearer::Pair { user, operator, secret }) = self.parts.store.pair(&read.token).await? else {
            return Ok(None);
        };
        if !read.verify(method, urls, &consumer.secret, &secret) {
            return Ok(None);
        }
        let at = read.timestamp.map(|seconds| seconds.saturating_mul(SECOND));
        if at.is_some_and(|at| now.abs_diff(at) > NEAR.unsigned_abs()) {
            tracing::debug!(%user, "a signed request is more than 5 minutes from our time");
            return Ok(None);
        }
        // Only now: who cannot sign must not fill the memory.
        match read.nonce.as_ref().map(|nonce| self.nonces.note(read, nonce, Kept::of(at, NEAR, now), now)) {
            Some(Noted::Again) => {
                tracing::debug!(%user, "a signed request came twice");
                return Ok(None);
            }
            Some(Noted::Full) => {
                return Err(Problem::new(Id::Busy, "too many signed requests; try again in a moment"));
            }
            Some(Noted::Before) => {
                return Err(Problem::new(
                    Id::Busy,
                    "by its time, this request was signed before the server started, which cannot know whether it came \
                     before; try again in a moment, and set your clock if that does not help",
                ));
            }
            Some(Noted::New) | None => {}
        }
        let caller = Caller::Person { user, operator };
        if let Some(digest) = lasting {
            self.known.put(digest, caller.clone(), now);
        }
        Ok(Some(caller))
    }

    /// Who stands behind a token.
    async fn caller(&self, token: &str) -> Result<Option<Caller>, Problem> {
        let now = self.parts.clock.now();
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(caller) = self.known.get(&digest, now) {
            return Ok(Some(caller));
        }
        let caller = match token.split_once('.') {
            None => self.parts.store.operator_token(digest).await?.then_some(Caller::Operator),
            Some((public, given)) => self.person(public, given).await?,
        };
        if let Some(caller) = &caller {
            self.known.put(digest, caller.clone(), now);
        }
        Ok(caller)
    }

    async fn person(&self, public: &str, given: &str) -> Result<Option<Caller>, Problem> {
        Ok(match self.parts.store.pair(public).await? {
            Some(Bearer::Pair { user, operator, secret })
                if bool::from(secret.expose().as_bytes().ct_eq(given.as_bytes())) =>
            {
                Some(Caller::Person { user, operator })
            }
            _ => None,
        })
    }

    /// Whether the caller may do it; asked before anything of the owner is shown or changed.
    pub(crate) async fn allow(&self, caller: &Caller, action: Action) -> Result<(), Problem> {
        let role = match (caller, action) {
            (Caller::Person { user, .. }, Action::Read(owner) | Action::ChangeHooks(owner)) => {
                self.parts.store.role(owner, *user).await?
            }
            _ => None,
        };
        permit(caller, action, role, &self.policy)
            .map_err(|denied| Problem::new(Id::Forbidden, denied.to_string()))
    }

    /// [`Site::allow`] for something found by its own id: who may not read it is not told that it is there.
    pub(super) async fn allow_found(
        &self,
        caller: &Caller,
        owner: OwnerId,
        change: bool,
        what: &str,
    ) -> Result<(), Problem> {
        self.allow(caller, Action::Read(owner)).await.map_err(|problem| match problem.id {
            Id::Forbidden => Problem::not_found(what),
            _ => problem,
        })?;
        if change { self.allow(caller, Action::ChangeHooks(owner)).await } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
