//! Operator tokens and people's pairs.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use serde_json::json;
use sonnette_core::ids::{TokenId, UserId};
use sonnette_core::message::one_line;
use sonnette_core::model::Caller;
use sonnette_core::permission::Action;
use sonnette_core::ports::{NewToken, StoreError};
use sonnette_core::secret::Secret;

use super::super::access::{Asker, alphanumeric, operator_token};
use super::super::asked::Place;
use super::super::{Answer, At, Site};
use super::id;
use crate::contract::directory::{GivenSignInLink, GivenToken, ShownToken, token};
use crate::contract::problem::{Id, Problem};
use crate::contract::seen::Listed;

/// Characters of a pair's halves: 142 and 238 bits.
const PUBLIC: usize = 24;
const SECRET: usize = 40;

impl Site {
    /// Whose tokens the caller may handle: `None` means everybody's.
    async fn tokens_of(&self, caller: &Caller) -> Answer<Option<UserId>> {
        match caller {
            Caller::Person { user, operator: false } => Ok(Some(*user)),
            _ => self.allow(caller, Action::ManageDirectory).await.map(|()| None),
        }
    }
}

/// The name of a token as it is kept: 1 to 100 bytes on one line.
///
/// # Errors
/// If it is not.
pub(crate) fn token_name(given: &str) -> Answer<String> {
    let name = one_line(given.trim());
    let fits = !name.is_empty() && name.len() <= 100;
    if fits { Ok(name) } else { Err(Problem::invalid("name", "a name has 1 to 100 bytes")) }
}

impl Site {
    /// Makes a pair for a person: its id and both halves; `None` if there is no such user.
    pub(crate) async fn new_pair(
        &self,
        user: UserId,
        name: String,
    ) -> Answer<Option<(TokenId, String, Secret)>> {
        let (luck, now) = (self.parts.luck.as_ref(), self.parts.clock.now());
        let (id, public, secret) =
            (TokenId(luck.id()), alphanumeric(luck, PUBLIC), Secret::new(alphanumeric(luck, SECRET)));
        let pair = NewToken::Pair { user, public: public.clone(), secret: secret.clone() };
        let made = self.parts.store.add_token(id, name, pair, now).await?;
        Ok(made.then_some((id, public, secret)))
    }

    /// Revokes a token; only one of this person, if one is named. `false` if there is none.
    ///
    /// # Errors
    /// If the store cannot do it.
    pub(crate) async fn revoke(&self, token: TokenId, of: Option<UserId>) -> Result<bool, StoreError> {
        if let Some(user) = of {
            let own = self.parts.store.tokens(Some(user)).await?;
            if !own.iter().any(|one| one.id == token) {
                return Ok(false);
            }
        }
        let revoked = self.parts.store.revoke_token(token).await?;
        self.known.forget();
        Ok(revoked)
    }
}

/// `GET /tokens`
pub(super) async fn list(State(site): At, asker: Asker) -> Answer<Json<Listed<ShownToken>>> {
    let whose = site.tokens_of(&asker.0).await?;
    let found = site.parts.store.tokens(whose).await?;
    Ok(Json(Listed::whole(found.into_iter().map(token).collect())))
}

/// `POST /tokens`
pub(super) async fn add(
    State(site): At,
    asker: Asker,
    body: Body,
) -> Answer<(StatusCode, Json<serde_json::Value>)> {
    let given: GivenToken = site.bodies.shape(body).await?;
    let name = token_name(&given.name)?;
    let (store, luck) = (&site.parts.store, site.parts.luck.as_ref());
    let whose = site.tokens_of(&asker.0).await?;
    if given.operator {
        if whose.is_some() {
            return Err(Problem::new(Id::Forbidden, "only operators make operator tokens"));
        }
        if given.user.is_some() {
            return Err(Problem::invalid("user", "an operator token stands for nobody"));
        }
        let (text, digest) = operator_token(luck);
        let (new, now) = (TokenId(luck.id()), site.parts.clock.now());
        store.add_token(new, name, NewToken::Operator(digest), now).await?;
        return Ok((StatusCode::CREATED, Json(json!({"id": new.to_string(), "token": text.expose()}))));
    }
    let named =
        given.user.map(|user| user.parse().map_err(|error| Problem::invalid("user", format!("{error}"))));
    let user = match (named.transpose()?, whose) {
        (Some(user), Some(own)) if user != own => {
            return Err(Problem::new(Id::Forbidden, "people make pairs for themselves only"));
        }
        (Some(user), _) | (None, Some(user)) => user,
        (None, None) => return Err(Problem::invalid("user", "say whose pair it is, or `operator`")),
    };
    let unknown = || Problem::of(Id::Invalid, "user", format!("there is no {user}"));
    let (new, public, secret) = site.new_pair(user, name).await?.ok_or_else(unknown)?;
    let shown =
        json!({"id": new.to_string(), "user": user.to_string(), "token": public, "secret": secret.expose()});
    Ok((StatusCode::CREATED, Json(shown)))
}

/// `POST /sign-in-links`: a link that signs somebody in to the console, for operators.
pub(super) async fn sign_in_link(
    State(site): At,
    asker: Asker,
    body: Body,
) -> Answer<(StatusCode, Json<serde_json::Value>)> {
    site.allow(&asker.0, Action::ManageDirectory).await?;
    let given: GivenSignInLink = site.bodies.shape(body).await?;
    let unknown = || Problem::invalid("email", "nobody in the directory has this address");
    let user = site.parts.store.users_at(given.email).await?.into_iter().next().ok_or_else(unknown)?;
    let link = site.sign_in_link(user.id, "/").await?.ok_or_else(unknown)?;
    Ok((StatusCode::CREATED, Json(json!({"url": link.expose()}))))
}

/// `DELETE /tokens/{token}`
pub(super) async fn revoke(State(site): At, asker: Asker, Place(token): Place<String>) -> Answer<StatusCode> {
    let token: TokenId = id(&token)?;
    let whose = site.tokens_of(&asker.0).await?;
    let revoked = site.revoke(token, whose).await?;
    if revoked { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("token")) }
}
