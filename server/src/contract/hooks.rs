//! Hooks on the wire: as they are given, and as they are shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sonnette_core::catalogue::Catalogue;
use sonnette_core::formats;
use sonnette_core::ids::{DestinationId, ResourceId};
use sonnette_core::message::one_line;
use sonnette_core::model::{Destination, HookView, Role, Target, Way};
use sonnette_core::secret::Secret;
use sonnette_core::{address, destinations::Wanted};

use url::Url;

use super::posted::parsed;
use super::problem::{Id, Problem};
use crate::egress::guard::Guard;

const MAX_NAME: usize = 200;
const MAX_URLS: usize = 20;
pub(super) const MAX_TARGETS: usize = 100;
pub(super) const MAX_EVENTS: usize = 200;
pub(super) const MAX_SCOPE: usize = 1_000;
const MAX_ROLES: usize = 20;
const MAX_STEPS: usize = 20;
const MAX_STEP: u32 = 86_400;

/// A hook as given.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Given {
    /// `webhook` or `email`; needed to make one, and cannot be changed.
    pub kind: Option<String>,
    /// What it is called.
    pub name: String,
    /// Where a webhook posts to.
    pub urls: Option<Vec<GivenUrl>>,
    /// To whom an e-mail hook writes.
    pub targets: Option<Vec<GivenTarget>>,
    /// Kinds and families.
    pub events: Option<Vec<String>>,
    /// Applications and add-ons.
    pub scope: Option<Vec<String>>,
    /// Waits between attempts, in seconds.
    pub schedule: Option<Vec<u32>>,
}

/// One place a webhook posts to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenUrl {
    /// The destination to keep.
    pub id: Option<String>,
    /// Name of the format; `raw` if left out.
    pub format: Option<String>,
    /// Where to; may be left out for a destination that is kept.
    pub url: Option<String>,
    /// What the format needs besides; may be left out for a destination that is kept.
    pub fields: Option<BTreeMap<String, String>>,
}

/// To whom an e-mail hook writes.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum GivenTarget {
    /// The organisation's members, or the user whose space it is.
    Organisation {
        /// Only members of these roles.
        roles: Option<Vec<String>>,
    },
    /// One user.
    User {
        /// Which.
        user: String,
    },
    /// One address.
    Address {
        /// Which.
        address: String,
    },
}

/// What a hook is to be, every field checked by itself.
#[derive(Debug)]
pub struct Meant {
    /// What it is called.
    pub name: String,
    /// Letters or posts.
    pub way: MeantWay,
    /// Kinds and families.
    pub events: Option<Vec<String>>,
    /// Applications and add-ons.
    pub scope: Option<Vec<ResourceId>>,
    /// Waits between attempts, in seconds.
    pub schedule: Option<Vec<u32>>,
}

/// Letters or posts.
#[derive(Debug)]
pub enum MeantWay {
    /// To these.
    Email(Vec<Target>),
    /// To these.
    Webhook(Vec<Wanted>),
}

impl Given {
    /// Checks every field.
    ///
    /// # Errors
    /// The first rule that is broken, with the field.
    pub fn meant(self, catalogue: &Catalogue, guard: &Guard) -> Result<Meant, Problem> {
        let name = name(&self.name)?;
        let way = match (self.kind.as_deref(), self.urls, self.targets) {
            (None | Some("webhook"), Some(urls), None) => MeantWay::Webhook(wanted(urls, guard)?),
            (None | Some("email"), None, Some(targets)) => MeantWay::Email(meant_targets(targets)?),
            (Some("webhook"), _, _) => {
                return Err(Problem::invalid("urls", "a webhook has `urls` and no `targets`"));
            }
            (Some("email"), _, _) => {
                return Err(Problem::invalid("targets", "an e-mail hook has `targets` and no `urls`"));
            }
            (Some(_), _, _) => return Err(Problem::invalid("kind", "a hook is a `webhook` or `email`")),
            (None, _, _) => return Err(Problem::invalid("urls", "a hook has `urls` or `targets`, not both")),
        };
        if let Some(events) = &self.events {
            count("events", events.len(), MAX_EVENTS)?;
            known(events, catalogue)?;
        }
        let scope = match &self.scope {
            None => None,
            Some(ids) => {
                count("scope", ids.len(), MAX_SCOPE)?;
                Some(
                    ids.iter()
                        .enumerate()
                        .map(|(at, id)| parsed(id, &format!("scope[{at}]")))
                        .collect::<Result<_, _>>()?,
                )
            }
        };
        if let Some(steps) = &self.schedule {
            count("schedule", steps.len(), MAX_STEPS)?;
            if let Some(at) = steps.iter().position(|step| !(1..=MAX_STEP).contains(step)) {
                return Err(Problem::invalid(
                    format!("schedule[{at}]"),
                    format!("a wait has 1 to {MAX_STEP} seconds"),
                ));
            }
        }
        Ok(Meant { name, way, events: self.events, scope, schedule: self.schedule })
    }
}

/// A name on one line, neither empty nor endless.
pub(super) fn name(text: &str) -> Result<String, Problem> {
    let name = one_line(text.trim());
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Problem::invalid("name", format!("a name has 1 to {MAX_NAME} bytes")));
    }
    Ok(name)
}

/// Every name is a kind or a family of the catalogue.
pub(super) fn known(events: &[String], catalogue: &Catalogue) -> Result<(), Problem> {
    let Some(at) = events.iter().position(|name| !catalogue.knows(name)) else { return Ok(()) };
    let name: String = events[at].chars().take(60).collect();
    let detail = format!("`{name}` is neither a kind nor a family of the catalogue");
    Err(Problem::of(Id::UnknownKind, format!("events[{at}]"), detail))
}

/// Lists are bounded, and an empty one is refused: it would read as *nothing* to some and as *all* to others.
pub(super) fn count(field: &str, len: usize, most: usize) -> Result<(), Problem> {
    if len == 0 {
        return Err(Problem::invalid(field, format!("`{field}` is not empty; leave it out to mean all")));
    }
    if len > most {
        return Err(Problem::invalid(field, format!("`{field}` has at most {most} entries")));
    }
    Ok(())
}

pub(super) fn wanted(urls: Vec<GivenUrl>, guard: &Guard) -> Result<Vec<Wanted>, Problem> {
    if urls.is_empty() || urls.len() > MAX_URLS {
        return Err(Problem::invalid("urls", format!("a webhook has 1 to {MAX_URLS} URLs")));
    }
    urls.into_iter()
        .enumerate()
        .map(|(at, given)| one_wanted(given, guard).map_err(|p| p.within(&format!("urls[{at}]"))))
        .collect()
}

/// The names of the formats, for whoever gave another.
pub(super) fn no_such_format(besides: &[&str]) -> Problem {
    let known: Vec<_> =
        formats::FORMATS.iter().map(|format| format.name).chain(besides.iter().copied()).collect();
    Problem::invalid("format", format!("a format is one of {}", known.join(", ")))
}

pub(super) fn one_wanted(given: GivenUrl, guard: &Guard) -> Result<Wanted, Problem> {
    let format = given.format.unwrap_or_else(|| "raw".to_owned());
    if formats::find(&format).is_none() {
        return Err(no_such_format(&[]));
    }
    let id: Option<DestinationId> = given.id.map(|id| parsed(&id, "id")).transpose()?;
    let url = match given.url {
        None if id.is_some() => None,
        None => return Err(Problem::invalid("url", "`url` is needed")),
        Some(url) if formats::is_masked(&url) => {
            return Err(Problem::invalid(
                "url",
                "it is masked: give the whole URL, or leave it out and name the destination's `id`",
            ));
        }
        Some(url) => {
            guard
                .check_url(&url)
                .map_err(|refused| Problem::of(Id::ForbiddenAddress, "url", refused.to_string()))?;
            Some(Secret::new(url))
        }
    };
    let fields = given
        .fields
        .map(|fields| fields.into_iter().map(|(name, value)| (name, Secret::new(value))).collect());
    Ok(Wanted { id, format, url, fields })
}

fn meant_targets(targets: Vec<GivenTarget>) -> Result<Vec<Target>, Problem> {
    if targets.is_empty() || targets.len() > MAX_TARGETS {
        return Err(Problem::invalid("targets", format!("an e-mail hook has 1 to {MAX_TARGETS} targets")));
    }
    targets
        .into_iter()
        .enumerate()
        .map(|(at, target)| one_target(target).map_err(|problem| problem.within(&format!("targets[{at}]"))))
        .collect()
}

fn one_target(target: GivenTarget) -> Result<Target, Problem> {
    Ok(match target {
        GivenTarget::Organisation { roles } => Target::Organisation { roles: self::roles(roles)? },
        GivenTarget::User { user } => Target::User(parsed(&user, "user")?),
        GivenTarget::Address { address } => {
            let address = address::check_public(&address)
                .map_err(|error| Problem::invalid("address", error.to_string()))?;
            Target::Addresses(vec![address])
        }
    })
}

/// Reads the roles of an organisation that are meant; left out, all of them.
pub(super) fn roles(given: Option<Vec<String>>) -> Result<BTreeSet<Role>, Problem> {
    let Some(given) = given else { return Ok(BTreeSet::new()) };
    count("roles", given.len(), MAX_ROLES)?;
    given.iter().map(|one| role(one)).collect()
}

/// Reads a role.
pub(super) fn role(text: &str) -> Result<Role, Problem> {
    Role::parse(text)
        .ok_or_else(|| Problem::invalid("roles", "a role is ADMIN, MANAGER, DEVELOPER or ACCOUNTING"))
}

/// A hook as shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    id: String,
    owner_id: String,
    kind: &'static str,
    name: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    urls: Option<Vec<ShownUrl>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<Vec<serde_json::Value>>,
    events: Option<Vec<String>>,
    scope: Option<Vec<String>>,
    schedule: Option<Vec<u32>>,
    created_at: i64,
    held: u64,
    dead: u64,
    rotating_until: Option<i64>,
    /// Strangers' addresses that have not said whether they want its letters, which are held.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unconfirmed: Vec<String>,
    /// Addresses whose readers stopped it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stopped: Vec<Stopped>,
    /// What its maker should know, such as a service that has closed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// Only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

#[derive(Debug, Serialize)]
struct Stopped {
    address: String,
    since: i64,
}

#[derive(Debug, Serialize)]
struct ShownUrl {
    id: String,
    format: String,
    url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, String>,
}

/// The fields of a destination for people: a credential is shown as there, never as what it is.
fn shown_fields(destination: &Destination) -> BTreeMap<String, String> {
    let open = |name: &str| {
        formats::find(&destination.format)
            .and_then(|format| format.fields.iter().find(|field| field.name == name))
            .is_some_and(|field| !field.secret)
    };
    let shown = |value: &Secret, open: bool| if open { value.expose() } else { formats::HIDDEN }.to_owned();
    destination.fields.iter().map(|(name, value)| (name.clone(), shown(value, open(name)))).collect()
}

/// What is known about the services behind the URLs, each with its place.
fn warnings(destinations: &[Destination]) -> Vec<String> {
    let said = |(at, one): (usize, &Destination)| {
        let url = Url::parse(one.url.expose()).ok()?;
        Some(format!("urls[{at}]: {}", formats::warning(&one.format, &url)?))
    };
    destinations.iter().enumerate().filter_map(said).collect()
}

/// Shows a hook; `secret` once, when it is made.
pub fn shown(view: HookView, secret: Option<&Secret>) -> Shown {
    let HookView { hook, held, dead, rotating_until, unconfirmed, stopped } = view;
    let warnings = match &hook.way {
        Way::Webhook { destinations } => warnings(destinations),
        Way::Email { .. } => Vec::new(),
    };
    let (kind, urls, targets) = match hook.way {
        Way::Webhook { destinations } => {
            let urls = destinations.into_iter().map(|one| ShownUrl {
                id: one.id.to_string(),
                fields: shown_fields(&one),
                url: formats::shown(&one.format, &one.url),
                format: one.format,
            });
            ("webhook", Some(urls.collect()), None)
        }
        Way::Email { targets, .. } => ("email", None, Some(targets.iter().flat_map(target).collect())),
    };
    Shown {
        id: hook.id.to_string(),
        owner_id: hook.owner.to_string(),
        kind,
        name: hook.name,
        state: hook.state.as_str(),
        urls,
        targets,
        events: hook.events,
        scope: hook.scope.map(|ids| ids.iter().map(ToString::to_string).collect()),
        schedule: hook.schedule,
        created_at: hook.created_at,
        held,
        dead,
        rotating_until,
        unconfirmed,
        stopped: stopped.into_iter().map(|(address, since)| Stopped { address, since }).collect(),
        warnings,
        secret: secret.map(|secret| secret.expose().to_owned()),
    }
}

/// Addresses that were given as one entry (see [`super::v2`]) are one each here.
fn target(target: &Target) -> Vec<serde_json::Value> {
    match target {
        Target::Organisation { roles } if roles.is_empty() => {
            vec![serde_json::json!({"type": "organisation"})]
        }
        Target::Organisation { roles } => {
            let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
            vec![serde_json::json!({"type": "organisation", "roles": roles})]
        }
        Target::User(id) | Target::Maker(id) => {
            vec![serde_json::json!({"type": "user", "user": id.to_string()})]
        }
        Target::Addresses(addresses) => addresses
            .iter()
            .map(|address| serde_json::json!({"type": "address", "address": address}))
            .collect(),
    }
}

/// `{"held": "deliver"}` or `{"held": "skip"}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// What becomes of what is held.
    pub held: String,
}

/// `{"overlapHours": 24}`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotate {
    /// How long the old secret signs too.
    pub overlap_hours: Option<u32>,
}
