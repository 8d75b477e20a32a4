//! What a person wants by e-mail: a card of their own page.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::future::try_join_all;
use http::StatusCode;
use sonnette_core::catalogue::{Catalogue, Kind};
use sonnette_core::ids::{HookId, OwnerId};
use sonnette_core::model::Resource;
use sonnette_core::stops::{Mail, MailHook, Mute, StopLink};

use super::account;
use super::choice::{self, Choice, Group, Tick};
use super::describe;
use super::form::{Checked, Form};
use super::frame::show;
use super::oops::Oops;
use super::reader::Visitor;
use super::time::Moment;
use super::words::{Lang, Words};
use crate::contract::mail::GivenMail;
use crate::contract::problem::Problem;
use crate::http::{At, Site};

/// Hooks shown, those stopped first.
const SHOWN: usize = 50;

/// What is typed, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct TypedMail {
    /// Kinds without a tick.
    kinds: BTreeSet<String>,
    /// Applications and add-ons with one.
    resources: Vec<String>,
    /// What is looked for among them.
    q: String,
    wrong_kinds: Option<&'static str>,
    wrong_resources: Option<&'static str>,
}

impl TypedMail {
    fn of(mail: &Mail) -> Self {
        let mut typed = Self::default();
        for mute in &mail.mutes {
            match mute {
                Mute::Kind(name) => drop(typed.kinds.insert(name.clone())),
                Mute::Resource(id) => typed.resources.push(id.to_string()),
            }
        }
        typed
    }

    /// A box without a tick is not sent: the form says which there were, so that only what was seen is refused.
    fn sent(form: &Form) -> Self {
        let wanted: BTreeSet<_> = form.all("kinds").collect();
        let offered = form.get("offered").split_whitespace().filter(|name| !wanted.contains(name));
        let resources: BTreeSet<_> = form.all("muted").filter(|id| !id.is_empty()).collect();
        Self {
            kinds: offered.map(str::to_owned).collect(),
            resources: resources.into_iter().map(str::to_owned).collect(),
            q: form.get("find").to_owned(),
            ..Self::default()
        }
    }

    fn given(&self) -> GivenMail {
        GivenMail {
            muted_kinds: Some(self.kinds.iter().cloned().collect()),
            muted_resources: Some(self.resources.clone()),
            stopped_hooks: None,
        }
    }

    /// Puts what is wrong beside its field.
    fn beside(mut self, lang: Lang, problem: &Problem) -> Self {
        let field = problem.field.as_deref().unwrap_or_default();
        if field.starts_with("mutedKinds") {
            self.wrong_kinds = Some(lang.wrong_muted_kinds());
        } else if field.contains('[') {
            self.wrong_resources = Some(lang.wrong_scope());
        } else {
            self.wrong_resources = Some(lang.too_many_mutes());
        }
        self
    }
}

/// A hook that writes to the reader.
struct Line {
    id: String,
    name: String,
    owner: String,
    /// Both: several owners have notifications of one name.
    both: String,
    stopped: Option<Moment>,
}

/// The card.
#[derive(askama::Template)]
#[template(path = "console/mail.html")]
pub(super) struct MailCard {
    w: Lang,
    token: String,
    address: String,
    hooks: Vec<Line>,
    more: Option<String>,
    kinds: Vec<Group>,
    /// The names of all of them.
    offered: String,
    always: String,
    choice: Choice,
    q: String,
    wrong_kinds: Option<&'static str>,
    wrong_resources: Option<&'static str>,
}

impl MailCard {
    /// As it is stored, or as it is typed.
    pub(super) async fn of(site: &Site, visitor: &Visitor, typed: Option<TypedMail>) -> Result<Self, Oops> {
        let (lang, catalogue) = (visitor.lang(), &site.parts.catalogue);
        let mut mail = site.parts.store.mail(visitor.person.user.id).await?.ok_or(Oops::NotFound)?;
        let typed = typed.unwrap_or_else(|| TypedMail::of(&mail));
        mail.hooks.sort_by_key(|hook| hook.stopped.is_none());
        let more = mail.hooks.len().saturating_sub(SHOWN);
        let line = |hook: &MailHook| {
            let owner = owner_name(visitor, hook.owner);
            Line {
                id: hook.id.to_string(),
                name: hook.name.clone(),
                both: format!("{} · {owner}", hook.name),
                owner,
                stopped: hook.stopped.map(|at| visitor.reader.moment(at)),
            }
        };
        let kinds =
            choice::kinds(lang, catalogue, |kind| tick(lang, catalogue, &typed, kind), |one| !one.ticked);
        let offered: Vec<_> =
            kinds.iter().flat_map(|group| &group.ticks).map(|one| one.value.as_str()).collect();
        let always = catalogue.kinds().iter().filter(|kind| kind.locked && !kind.private);
        let always: Vec<_> = always.map(|kind| describe::event(lang, catalogue, &kind.name)).collect();
        Ok(Self {
            w: lang,
            token: visitor.reader.token.clone(),
            address: visitor.person.user.email.clone(),
            hooks: mail.hooks.iter().take(SHOWN).map(line).collect(),
            more: (more > 0).then(|| lang.more_mail_hooks(lang.count(more.try_into().unwrap_or_default()))),
            offered: offered.join(" "),
            kinds,
            always: always.join(", "),
            choice: choice_of(site, visitor, &typed).await?,
            q: typed.q,
            wrong_kinds: typed.wrong_kinds,
            wrong_resources: typed.wrong_resources,
        })
    }
}

fn tick(lang: Lang, catalogue: &Catalogue, typed: &TypedMail, kind: &Kind) -> Option<Tick> {
    catalogue.may_refuse(&kind.name).then(|| Tick {
        value: kind.name.clone(),
        label: describe::event(lang, catalogue, &kind.name),
        hint: String::new(),
        ticked: !typed.kinds.contains(&kind.name),
    })
}

fn owner_name(visitor: &Visitor, owner: OwnerId) -> String {
    match owner {
        OwnerId::User(_) => visitor.lang().personal_space().to_owned(),
        OwnerId::Organisation(id) => {
            let known = visitor.person.organisations.iter().find(|(one, _)| *one == id);
            known.map_or_else(|| owner.to_string(), |(_, name)| name.clone())
        }
    }
}

/// The applications and add-ons of everything the visitor belongs to.
async fn choice_of(site: &Site, visitor: &Visitor, typed: &TypedMail) -> Result<Choice, Oops> {
    let person = &visitor.person;
    let organisations = person.organisations.iter().map(|(id, _)| OwnerId::from(*id));
    let owners = std::iter::once(OwnerId::from(person.user.id)).chain(organisations);
    let all = try_join_all(owners.map(|owner| site.parts.store.resources(owner))).await?;
    let all = all.into_iter().flatten().collect();
    let hint = |one: &Resource| format!("{} · {}", owner_name(visitor, one.owner), one.id);
    Ok(Choice::of(visitor.lang(), "muted", all, &typed.resources, &typed.q, hint))
}

/// `POST /account/mail`
pub(super) async fn save(
    State(site): At,
    visitor: Visitor,
    Checked(form): Checked,
) -> Result<Response, Oops> {
    let typed = TypedMail::sent(&form);
    // Without JavaScript this button searches.
    if form.has("look") {
        return account::with_mail(&site, &visitor, StatusCode::OK, typed).await;
    }
    match site.set_mail(visitor.person.user.id, &typed.given()).await {
        Ok(()) => Ok(Redirect::to("/account?said=saved").into_response()),
        Err(problem) => {
            let typed = typed.beside(visitor.lang(), &Oops::from(problem).mendable()?);
            account::with_mail(&site, &visitor, StatusCode::BAD_REQUEST, typed).await
        }
    }
}

/// `POST /account/mail/hooks`: one that writes to the visitor stops, or begins again.
pub(super) async fn turn(
    State(site): At,
    visitor: Visitor,
    Checked(form): Checked,
) -> Result<Response, Oops> {
    let user = &visitor.person.user;
    let stop = form.has("stop");
    let hook: HookId = form.get(if stop { "stop" } else { "again" }).parse().map_err(|_| Oops::NotFound)?;
    let mail = site.parts.store.mail(user.id).await?.ok_or(Oops::NotFound)?;
    if !mail.hooks.iter().any(|one| one.id == hook) {
        return Err(Oops::NotFound);
    }
    let link = StopLink { hook, address: user.email.clone() };
    site.parts.store.stop_letters(link, stop, visitor.reader.now).await?;
    let said = if stop { "stopped" } else { "again" };
    Ok(Redirect::to(&format!("/account?said={said}")).into_response())
}

/// `POST /account/mail/resources`: the applications and add-ons that match, while the form is being filled in.
pub(super) async fn resources(State(site): At, visitor: Visitor, form: Form) -> Result<Response, Oops> {
    let choice = choice_of(&site, &visitor, &TypedMail::sent(&form)).await?;
    Ok(show(StatusCode::OK, &choice))
}
