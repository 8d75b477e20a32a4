//! What an event tells the directory: accounts, organisations, members, applications and add-ons come and go by events
//! alone, in the transaction that accepts them.
//!
//! A field that is absent is no news, and an event without news is accepted as it is. A field that is there and wrong
//! refuses the event. Whether what it tells can be so (a new user without an address, a member of nothing) is for the
//! store to say, which knows what there is.

use serde_json::{Map, Value};

use crate::address;
use crate::catalogue::{Catalogue, DefaultHook, Kind, Learns};
use crate::formats::cut::{Unit, cut};
use crate::ids::{DestinationId, HookId, OwnerId, ResourceId, ResourceShape, UserId};
use crate::message::one_line;
use crate::model::{Fact, Hook, HookState, Millis, Role, Target, Way};

/// The most characters of a name that are kept: names are for people.
pub const LONGEST_NAME: usize = 255;

/// A field of `data` that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`data.{field}`: {rule}")]
pub struct FactError {
    /// Which, inside `data`.
    pub field: &'static str,
    /// What it has to be.
    pub rule: String,
}

/// What an event makes known, in order. `resource` is the one it is about; `born` makes the hooks a new owner is born
/// with.
///
/// # Errors
/// The first field of `data` that is there and wrong.
pub fn of(
    kind: &Kind,
    owner: OwnerId,
    author: Option<UserId>,
    resource: Option<&ResourceId>,
    data: Option<&Map<String, Value>>,
    born: &mut dyn FnMut(OwnerId) -> Vec<Hook>,
) -> Result<Vec<Fact>, FactError> {
    let Some(learns) = kind.learns else { return Ok(Vec::new()) };
    let empty = Map::new();
    let data = Data(data.unwrap_or(&empty));
    let facts = match (learns, owner) {
        (Learns::Account | Learns::AccountEdited, OwnerId::User(id)) => vec![data.user(id, born)?],
        (Learns::AccountGone, OwnerId::User(id)) => vec![Fact::UserGone(id)],
        (Learns::Organisation | Learns::OrganisationEdited, OwnerId::Organisation(id)) => {
            let founder = author.filter(|_| learns == Learns::Organisation);
            vec![Fact::Organisation { id, name: data.name()?, founder, hooks: born(owner) }]
        }
        (Learns::OrganisationGone, OwnerId::Organisation(id)) => vec![Fact::OrganisationGone(id)],
        (Learns::Member, OwnerId::Organisation(organisation)) => {
            let (Some(user), Some(role)) = (data.member()?, data.role()?) else { return Ok(Vec::new()) };
            let person = match data.text("email")? {
                Some(_) => Some(data.user(user, born)?),
                None => None,
            };
            person.into_iter().chain([Fact::Member { organisation, user, role }]).collect()
        }
        (Learns::Application, _) => match resource.filter(|id| id.shape() == ResourceShape::Application) {
            Some(id) => vec![Fact::Resource { id: id.clone(), real_id: None, owner, name: data.name()? }],
            None => Vec::new(),
        },
        (Learns::Addon, _) => {
            let real_id = data.real_id()?;
            match resource.filter(|id| id.shape() == ResourceShape::Addon) {
                Some(id) => vec![Fact::Resource { id: id.clone(), real_id, owner, name: data.name()? }],
                None => Vec::new(),
            }
        }
        (Learns::ApplicationGone, _) => gone(resource, owner, |shape| shape == ResourceShape::Application),
        (Learns::AddonGone, _) => gone(resource, owner, |shape| shape != ResourceShape::Application),
        // An account's event on an organisation, or the other way round, tells nothing of its owner.
        (
            Learns::Account
            | Learns::AccountEdited
            | Learns::AccountGone
            | Learns::Organisation
            | Learns::OrganisationEdited
            | Learns::OrganisationGone
            | Learns::Member,
            _,
        ) => Vec::new(),
    };
    Ok(facts)
}

fn gone(resource: Option<&ResourceId>, owner: OwnerId, fits: impl Fn(ResourceShape) -> bool) -> Vec<Fact> {
    let fitting = resource.filter(|id| fits(id.shape()));
    fitting.map(|id| Fact::ResourceGone { id: id.clone(), owner }).into_iter().collect()
}

struct Data<'a>(&'a Map<String, Value>);

impl Data<'_> {
    fn text(&self, field: &'static str) -> Result<Option<&str>, FactError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(FactError { field, rule: "it is a text".to_owned() }),
        }
    }

    /// On one line, and not longer than people read. Blank is no news.
    fn name(&self) -> Result<Option<String>, FactError> {
        let name =
            self.text("name")?.map(|name| cut(one_line(name).trim(), LONGEST_NAME, Unit::Chars).into_owned());
        Ok(name.filter(|name| !name.is_empty()))
    }

    fn user(&self, id: UserId, born: &mut dyn FnMut(OwnerId) -> Vec<Hook>) -> Result<Fact, FactError> {
        let email = self.text("email")?.map(address::check).transpose();
        let email = email.map_err(|error| FactError { field: "email", rule: error.to_string() })?;
        let (name, lang) = (self.name()?, self.lang()?);
        Ok(Fact::User { id, name, email, lang, operator: None, hooks: born(id.into()) })
    }

    /// BCP 47 by its looks: `fr`, `pt-BR`.
    fn lang(&self) -> Result<Option<String>, FactError> {
        let Some(lang) = self.text("lang")? else { return Ok(None) };
        let mut parts = lang.split('-');
        let first = parts.next().unwrap_or_default();
        let fits = lang.len() <= 35
            && (2..=8).contains(&first.len())
            && first.bytes().all(|b| b.is_ascii_alphabetic())
            && parts
                .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
        let rule = || FactError { field: "lang", rule: "a language tag such as `fr` or `pt-BR`".to_owned() };
        if fits { Ok(Some(lang.to_owned())) } else { Err(rule()) }
    }

    /// `userId`, else an `id` that is a user's by its looks.
    fn member(&self) -> Result<Option<UserId>, FactError> {
        let (field, text) = match self.text("userId")? {
            Some(text) => ("userId", text),
            None => match self.text("id")?.filter(|id| id.starts_with("user_")) {
                Some(text) => ("id", text),
                None => return Ok(None),
            },
        };
        text.parse()
            .map(Some)
            .map_err(|error: crate::ids::IdError| FactError { field, rule: error.to_string() })
    }

    fn role(&self) -> Result<Option<Role>, FactError> {
        let Some(role) = self.text("role")? else { return Ok(None) };
        Role::parse(role).map(Some).ok_or_else(|| FactError {
            field: "role",
            rule: format!("one of {}", Role::ALL.map(Role::as_str).join(", ")),
        })
    }

    fn real_id(&self) -> Result<Option<ResourceId>, FactError> {
        let Some(text) = self.text("realId")? else { return Ok(None) };
        let id = text.parse::<ResourceId>().ok().filter(|id| id.shape() == ResourceShape::RealId);
        id.map(Some).ok_or_else(|| FactError {
            field: "realId",
            rule: "an add-on's real id such as `postgresql_<uuid>`".to_owned(),
        })
    }
}

/// The hooks a new owner is born with. `next_id` gives a number nobody can guess, for each hook and its destination.
pub fn default_hooks(
    catalogue: &Catalogue,
    owner: OwnerId,
    now: Millis,
    next_id: &mut dyn FnMut() -> i64,
) -> Vec<Hook> {
    let defaults = catalogue.default_hooks();
    // Lists go by time, then by id, and these share their time: sorted ids keep the catalogue's order.
    let mut ids: Vec<_> = defaults.iter().map(|_| next_id()).collect();
    ids.sort_unstable();
    let mut make = |(id, default): (i64, &DefaultHook)| Hook {
        id: HookId(id),
        owner,
        name: default.name.clone(),
        events: Some(default.events.clone()),
        scope: None,
        way: Way::Email {
            destination: DestinationId(next_id()),
            targets: vec![Target::Organisation { roles: default.roles.clone() }],
        },
        schedule: None,
        state: HookState::Enabled,
        created_at: now,
    };
    ids.into_iter().zip(defaults).map(&mut make).collect()
}

#[cfg(test)]
mod tests;
