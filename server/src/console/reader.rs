//! Who looks at a page: what every page needs of them, and what they may do where they are.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use jiff::tz::TimeZone;
use sonnette_core::ids::{OrganisationId, OwnerId};
use sonnette_core::model::{Caller, MINUTE, Millis, Role, Session, User};
use sonnette_core::permission::Action;
use sonnette_core::ports::Page;
use sonnette_core::secret::Secret;
use url::Host;

use super::cookie::{self, Cookie};
use super::oops::Oops;
use super::time::{self, Moment};
use super::words::{Lang, Words, asked};
use crate::contract::problem::Id;
use crate::http::Site;

/// A session is noted as seen when that was so long ago.
const SEEN_EVERY: Millis = 5 * MINUTE;
/// Organisations in the switch at most.
const ORGANISATIONS: usize = 200;
/// Admins named at most.
const ADMINS: usize = 3;

/// Whoever asks for a page, known or not.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    /// What they read.
    pub(crate) lang: Lang,
    /// Where they are.
    pub(crate) zone: TimeZone,
    /// When they asked.
    pub(crate) now: Millis,
    /// What their forms carry.
    pub(super) token: String,
    /// The cookie it belongs to.
    form_cookie: Secret,
    /// The path and query they asked for.
    pub(crate) path: String,
    /// Whether the page goes over a network unencrypted, or stays on this machine; `None` if it is encrypted.
    pub(super) plain: Option<Plain>,
    /// Who they are.
    pub(super) person: Option<Arc<Person>>,
    /// A form cookie to be set.
    pub(super) fresh: Option<String>,
}

/// Where an unencrypted page goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    /// Nowhere: both ends are here.
    Here,
    /// Over a network.
    Open,
}

/// Somebody who is signed in.
#[derive(Debug)]
pub(crate) struct Person {
    /// Who.
    pub(crate) user: User,
    /// By which session.
    pub(crate) session: Session,
    /// Their organisations.
    pub(super) organisations: Vec<(OrganisationId, String)>,
}

impl Reader {
    /// Reads who asks.
    pub(super) async fn of(site: &Site, request: &Parts) -> Result<Self, Oops> {
        let (store, now, headers) = (&site.parts.store, site.parts.clock.now(), &request.headers);
        let secure = site.console.secure();
        let session = Cookie::Session.read(headers, secure);
        let found = match session {
            Some(value) => store.session(cookie::digest(value), now).await?,
            None => None,
        };
        let (person, form_cookie, fresh) = match (found, session) {
            (Some((session, user)), Some(value)) => {
                if now - session.seen_at > SEEN_EVERY {
                    store.see_session(session.id, now).await?;
                }
                let page = Page { after: None, limit: ORGANISATIONS };
                let organisations = store.organisations(Some(user.id), page).await?;
                let mut organisations: Vec<_> =
                    organisations.into_iter().map(|(one, _)| (one.id, one.name)).collect();
                organisations.sort_by_cached_key(|(_, name)| name.to_lowercase());
                (Some(Arc::new(Person { user, session, organisations })), value.to_owned(), None)
            }
            _ => match Cookie::Form.read(headers, secure) {
                Some(value) => (None, value.to_owned(), None),
                None => {
                    let value = cookie::fresh(site.parts.luck.as_ref());
                    (None, value.clone(), Some(value))
                }
            },
        };
        let local = match site.console.base.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        Ok(Self {
            lang: person.as_ref().map_or_else(|| asked(headers), |person| Lang::of(&person.user.lang)),
            zone: time::zone(person.as_ref().map_or("", |person| &person.user.zone)),
            now,
            token: cookie::form_token(&form_cookie, site.parts.luck.as_ref()),
            form_cookie: Secret::new(form_cookie),
            path: request.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            plain: (!secure).then_some(if local { Plain::Here } else { Plain::Open }),
            person,
            fresh,
        })
    }

    /// Whether a form was made for them.
    pub(super) fn made(&self, token: &str) -> bool {
        cookie::is_form_token(self.form_cookie.expose(), token)
    }

    /// A time, as this reader reads it.
    pub(crate) fn moment(&self, at: Millis) -> Moment {
        Moment::new(self.lang, &self.zone, self.now, at)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Oops> {
        // The door puts it there.
        parts.extensions.get::<Self>().cloned().ok_or(Oops::NotFound)
    }
}

/// A reader who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// What pages need of anybody.
    pub(crate) reader: Reader,
    /// Who they are.
    pub(crate) person: Arc<Person>,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Oops> {
        let reader = Reader::from_request_parts(parts, state).await?;
        let person = reader.person.clone().ok_or(Oops::SignIn)?;
        Ok(Self { reader, person })
    }
}

/// An owner somebody looks at.
#[derive(Debug, Clone)]
pub(crate) struct Here {
    /// Whose.
    pub(crate) owner: OwnerId,
    /// What to call them; empty for a personal space of no name.
    pub(crate) name: String,
    /// Whether the visitor may change hooks here.
    pub(crate) may_change: bool,
    /// Who may, if the visitor may not.
    pub(crate) who_can: Option<String>,
}

impl Here {
    /// The address of a page of this owner: `/o/{owner}/{page}`.
    pub(crate) fn path(&self, page: &str) -> String {
        format!("/o/{}/{page}", self.owner)
    }

    /// Whether the visitor may change hooks here; asked before anything is changed.
    ///
    /// # Errors
    /// If not, with who may.
    pub(crate) fn to_change(&self) -> Result<(), Oops> {
        if self.may_change { Ok(()) } else { Err(Oops::Forbidden(self.who_can.clone().unwrap_or_default())) }
    }
}

impl Visitor {
    /// On whose behalf everything is asked.
    pub(crate) fn caller(&self) -> Caller {
        Caller::Person { user: self.person.user.id, operator: self.person.user.operator }
    }

    /// The language.
    pub(crate) fn lang(&self) -> Lang {
        self.reader.lang
    }

    /// The owner of an id as it stands in a path, if the visitor may see it: the one permission function is asked.
    ///
    /// # Errors
    /// [`Oops::NotFound`] if there is no such owner, or it is not theirs to see.
    pub(crate) async fn at(&self, site: &Site, owner: &str) -> Result<Here, Oops> {
        let owner: OwnerId = owner.parse().map_err(|_| Oops::NotFound)?;
        let caller = self.caller();
        let hidden = |problem: crate::contract::problem::Problem| match problem.id {
            Id::Forbidden => Oops::NotFound,
            _ => Oops::from(problem),
        };
        site.allow(&caller, Action::Read(owner)).await.map_err(hidden)?;
        if !site.parts.store.knows(owner).await? {
            return Err(Oops::NotFound);
        }
        let may_change = match site.allow(&caller, Action::ChangeHooks(owner)).await {
            Ok(()) => true,
            Err(problem) if problem.id == Id::Forbidden => false,
            Err(problem) => return Err(problem.into()),
        };
        let name = site.parts.store.names(owner, None, None).await?.owner.unwrap_or_default();
        let who_can = if may_change { None } else { Some(self.who_can(site, owner).await?) };
        Ok(Here { owner, name, may_change, who_can })
    }

    /// Who may change an owner's hooks, in a sentence.
    async fn who_can(&self, site: &Site, owner: OwnerId) -> Result<String, Oops> {
        let lang = self.lang();
        let OwnerId::Organisation(organisation) = owner else { return Ok(lang.who_can_none().to_owned()) };
        let mut able: Vec<_> = site.parts.store.members(organisation).await?;
        able.retain(|member| site.policy.change_hooks.contains(&member.role));
        able.sort_by_key(|member| (member.role != Role::Admin, member.role));
        let mut names: Vec<_> = able
            .iter()
            .take(ADMINS)
            .map(|member| if member.user.name.is_empty() { &member.user.email } else { &member.user.name })
            .cloned()
            .collect();
        Ok(match (able.len().saturating_sub(ADMINS), names.len()) {
            (_, 0) => lang.who_can_none().to_owned(),
            (0, 1) => lang.who_can(&names[0]),
            (0, _) => {
                let last = names.pop().unwrap_or_default();
                lang.who_can(lang.and(names.join(", "), last))
            }
            (more, _) => lang.who_can(lang.and_others(names.join(", "), more)),
        })
    }
}
