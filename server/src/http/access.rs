//! Who is asking: operator tokens by their hash, people by their pair.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sha2::{Digest, Sha256};
use sonnette_core::ids::OwnerId;
use sonnette_core::model::{Caller, Millis, SECOND};
use sonnette_core::permission::{Action, permit};
use sonnette_core::ports::{Bearer, Luck};
use sonnette_core::secret::Secret;
use subtle::ConstantTimeEq;

use super::Site;
use crate::contract::problem::{Id, Problem};

/// How long a token is known without asking the store. Revoking forgets at once in this process.
const KNOWN_FOR: Millis = 5 * SECOND;
/// Tokens known at once; all are forgotten when there are more.
const MOST_KNOWN: usize = 10_000;
/// What operator tokens begin with.
const PREFIX: &str = "sop_";

/// The text of a new operator token, and what the store keeps of it.
pub fn operator_token(luck: &dyn Luck) -> (Secret, [u8; 32]) {
    let text = format!("{PREFIX}{}", alphanumeric(luck, 43));
    let digest = Sha256::digest(text.as_bytes()).into();
    (Secret::new(text), digest)
}

/// Letters and digits nobody can guess: 5.9 bits each. Clients put them into headers without encoding them.
pub(super) fn alphanumeric(luck: &dyn Luck, len: usize) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(len);
    let mut bytes = [0; 64];
    while text.len() < len {
        luck.fill(&mut bytes);
        // 248 is the largest multiple of 62 in a byte: what is above would favour the first letters.
        let fair = bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
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
        let wrong = || Problem::new(Id::Unauthorised, "send `Authorization: Bearer` with an operator token or a pair `token.secret`");
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?;
        let (scheme, token) = header.split_once(' ').ok_or_else(wrong)?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > 512 {
            return Err(wrong());
        }
        site.caller(token).await?.map(Self).ok_or_else(wrong)
    }
}

impl Site {
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
    pub(super) async fn allow(&self, caller: &Caller, action: Action) -> Result<(), Problem> {
        let role = match (caller, action) {
            (Caller::Person { user, .. }, Action::Read(owner) | Action::ChangeHooks(owner)) => {
                self.parts.store.role(owner, *user).await?
            }
            _ => None,
        };
        permit(caller, action, role, &self.policy).map_err(|denied| Problem::new(Id::Forbidden, denied.to_string()))
    }

    /// [`Site::allow`] for something found by its own id: who may not read it is not told that it is there.
    pub(super) async fn allow_found(&self, caller: &Caller, owner: OwnerId, change: bool, what: &str) -> Result<(), Problem> {
        self.allow(caller, Action::Read(owner)).await.map_err(|problem| match problem.id {
            Id::Forbidden => Problem::not_found(what),
            _ => problem,
        })?;
        if change { self.allow(caller, Action::ChangeHooks(owner)).await } else { Ok(()) }
    }
}
