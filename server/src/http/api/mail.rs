//! What a person wants by e-mail: for the person, and for operators.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use sonnette_core::ids::UserId;
use sonnette_core::model::Caller;
use sonnette_core::permission::Action;
use sonnette_core::ports::Changed;
use sonnette_core::stops::StopLink;

use super::super::access::Asker;
use super::super::asked::Place;
use super::super::{Answer, At, Site};
use super::id;
use crate::contract::mail::{self as wire, GivenMail, ShownMail};
use crate::contract::problem::{Id, Problem};

impl Site {
    /// Sets what a person wants by e-mail.
    ///
    /// # Errors
    /// The first rule that is broken, with the field; then nothing is changed.
    pub(crate) async fn set_mail(&self, user: UserId, given: &GivenMail) -> Answer<()> {
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let unknown = || Problem::not_found("user");
        let address = store.user(user).await?.ok_or_else(unknown)?.email;
        let before = store.mail(user).await?.ok_or_else(unknown)?;
        let meant = given.meant(&self.parts.catalogue, &before)?;
        if meant.mutes != before.mutes {
            match store.mute(user, meant.mutes).await? {
                Changed::Done => {}
                Changed::ForeignResource(id) => return Err(given.foreign(&id)),
                Changed::TooMany => return Err(given.too_many()),
                Changed::UnknownOwner | Changed::NoHook => return Err(unknown()),
            }
        }
        for (hook, stop) in meant.turned {
            store.stop_letters(StopLink { hook, address: address.clone() }, stop, now).await?;
        }
        Ok(())
    }

    async fn shown_mail(&self, user: UserId) -> Answer<Json<ShownMail>> {
        let mail = self.parts.store.mail(user).await?.ok_or_else(|| Problem::not_found("user"))?;
        Ok(Json(wire::mail(mail)))
    }

    async fn put_mail(&self, user: UserId, body: Body) -> Answer<Json<ShownMail>> {
        self.set_mail(user, &self.bodies.shape(body).await?).await?;
        self.shown_mail(user).await
    }
}

fn oneself(asker: &Asker) -> Answer<UserId> {
    match asker.0 {
        Caller::Person { user, .. } => Ok(user),
        Caller::Operator => {
            Err(Problem::new(Id::Forbidden, "an operator token is nobody's: ask for /users/{user}/mail"))
        }
    }
}

/// `GET /account/mail`
pub(super) async fn own(State(site): At, asker: Asker) -> Answer<Json<ShownMail>> {
    site.shown_mail(oneself(&asker)?).await
}

/// `PUT /account/mail`
pub(super) async fn put_own(State(site): At, asker: Asker, body: Body) -> Answer<Json<ShownMail>> {
    site.put_mail(oneself(&asker)?, body).await
}

/// `GET /users/{user}/mail`
pub(super) async fn of_user(
    State(site): At,
    asker: Asker,
    Place(user): Place<String>,
) -> Answer<Json<ShownMail>> {
    let user: UserId = id(&user)?;
    site.allow(&asker.0, Action::Read(user.into())).await?;
    site.shown_mail(user).await
}

/// `PUT /users/{user}/mail`
pub(super) async fn put_of_user(
    State(site): At,
    asker: Asker,
    Place(user): Place<String>,
    body: Body,
) -> Answer<Json<ShownMail>> {
    let user: UserId = id(&user)?;
    site.allow(&asker.0, Action::ChangeHooks(user.into())).await?;
    site.put_mail(user, body).await
}
