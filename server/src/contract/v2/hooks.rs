//! E-mail hooks and webhooks the way Clever Cloud's clients give and read them.

use serde::{Deserialize, Serialize};
use sonnette_core::catalogue::Catalogue;
use sonnette_core::ids::{ResourceId, UserId};
use sonnette_core::model::{FailedAttempt, Hook, HookState, Role, Target, Way};
use sonnette_core::secret::Secret;
use sonnette_core::{address, formats};

use super::super::hooks::{self as ours, GivenUrl, MAX_EVENTS, MAX_SCOPE, MAX_TARGETS, Meant, MeantWay};
use super::super::posted::parsed;
use super::super::problem::{Id, Problem};
use super::iso;
use crate::egress::guard::Guard;

/// A webhook as given.
#[derive(Debug, Deserialize)]
pub struct GivenWebhook {
    name: Option<String>,
    urls: Option<Vec<GivenPlace>>,
    events: Option<Vec<String>>,
    scope: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct GivenPlace {
    format: Option<String>,
    url: Option<String>,
}

/// An e-mail hook as given.
#[derive(Debug, Deserialize)]
pub struct GivenEmailHook {
    name: Option<String>,
    notified: Option<Vec<GivenTarget>>,
    events: Option<Vec<String>>,
    scope: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct GivenTarget {
    r#type: Option<String>,
    target: Option<String>,
    roles: Option<Vec<String>>,
}

/// What a given hook is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// What there is to choose from.
    pub catalogue: &'a Catalogue,
    /// Where webhooks may point.
    pub guard: &'a Guard,
    /// Whoever asks, if it is a person: a user target without a name is them.
    pub asker: Option<UserId>,
    /// The hook that is replaced. What this surface cannot say of it stays.
    pub before: Option<&'a Hook>,
}

impl GivenWebhook {
    /// Checks every field.
    ///
    /// # Errors
    /// The first rule that is broken, with the field.
    pub fn meant(self, judge: Judge<'_>) -> Result<Meant, Problem> {
        let name = judge.name(self.name, "Webhook")?;
        let urls = self.urls.unwrap_or_default().into_iter();
        let urls = urls
            .map(|place| GivenUrl { id: None, format: place.format, url: place.url, fields: None })
            .collect();
        let way = MeantWay::Webhook(ours::wanted(urls, judge.guard)?);
        judge.meant(name, way, self.events, self.scope)
    }
}

impl GivenEmailHook {
    /// Checks every field. Nobody said to be notified means everybody; an empty list is refused, because it is what is
    /// left when a client drops all it did not understand.
    ///
    /// # Errors
    /// The first rule that is broken, with the field.
    pub fn meant(self, judge: Judge<'_>) -> Result<Meant, Problem> {
        let name = judge.name(self.name, "E-mail hook")?;
        let targets = match self.notified {
            None => vec![Target::Organisation { roles: std::collections::BTreeSet::new() }],
            Some(given) if given.is_empty() || given.len() > MAX_TARGETS => {
                let rule = format!(
                    "1 to {MAX_TARGETS} targets: an e-mail address, a user id (`user_…`), or `organisation` for the whole team"
                );
                return Err(Problem::invalid("notified", rule));
            }
            Some(given) => given
                .into_iter()
                .enumerate()
                .map(|(at, target)| {
                    judge.target(target).map_err(|problem| problem.within(&format!("notified[{at}]")))
                })
                .collect::<Result<_, _>>()?,
        };
        judge.meant(name, MeantWay::Email(targets), self.events, self.scope)
    }
}

impl Judge<'_> {
    /// A hook without a name keeps the one it has.
    fn name(&self, given: Option<String>, usual: &str) -> Result<String, Problem> {
        match given.filter(|name| !name.trim().is_empty()) {
            Some(name) => ours::name(&name),
            None => Ok(self.before.map_or_else(|| usual.to_owned(), |before| before.name.clone())),
        }
    }

    fn meant(
        &self,
        name: String,
        way: MeantWay,
        events: Option<Vec<String>>,
        scope: Option<Vec<String>>,
    ) -> Result<Meant, Problem> {
        let events = events.filter(|events| !events.is_empty());
        if let Some(events) = &events {
            ours::count("events", events.len(), MAX_EVENTS)?;
            ours::known(events, self.catalogue)?;
        }
        let scope = scope.filter(|scope| !scope.is_empty());
        let scope = scope.map(|scope| {
            ours::count("scope", scope.len(), MAX_SCOPE)?;
            scope
                .iter()
                .map(|id| id.parse().map_err(|_| not_yours(id)))
                .collect::<Result<Vec<ResourceId>, _>>()
        });
        let schedule = self.before.and_then(|before| before.schedule.clone());
        Ok(Meant { name, way, events, scope: scope.transpose()?, schedule })
    }

    fn target(&self, given: GivenTarget) -> Result<Target, Problem> {
        let target = given.target.filter(|target| !target.trim().is_empty());
        match (given.r#type.as_deref(), target) {
            (Some("email"), Some(target)) => {
                let addresses = target.split(',').map(|one| address::check(one.trim()));
                let addresses: Vec<_> = addresses
                    .collect::<Result<_, _>>()
                    .map_err(|error| Problem::invalid("target", error.to_string()))?;
                ours::count("target", addresses.len(), MAX_TARGETS)?;
                Ok(Target::Addresses(addresses))
            }
            (Some("email"), None) => Err(Problem::invalid("target", "an e-mail address is needed")),
            (Some("userid"), Some(target)) => Ok(Target::User(parsed(&target, "target")?)),
            (Some("userid"), None) => self.maker().map(Target::Maker),
            // `roles` is ours: no client of the platform sends an empty list to mean everybody.
            (Some("organisation"), _) => ours::roles(given.roles).map(|roles| Target::Organisation { roles }),
            _ => Err(Problem::invalid("type", "a target's type is `email`, `userid` or `organisation`")),
        }
    }

    /// The user an unnamed one is: whoever it was on the hook, so that a hook which is read and sent back stays what it
    /// is; else whoever asks.
    fn maker(&self) -> Result<UserId, Problem> {
        let targets = match self.before.map(|before| &before.way) {
            Some(Way::Email { targets, .. }) => targets.as_slice(),
            _ => &[],
        };
        let kept = targets.iter().find_map(|target| match target {
            Target::Maker(user) => Some(*user),
            _ => None,
        });
        kept.or(self.asker)
            .ok_or_else(|| Problem::invalid("target", "an operator token is nobody: name the user"))
    }
}

/// The scope names what is not the owner's. One answer for what is another's and for what is not there.
pub fn not_yours(id: &str) -> Problem {
    let id: String = id.chars().take(60).collect();
    Problem::new(Id::ForeignResource, format!("{id} is not an application or add-on of this owner"))
}

// ------------------------------------------------------------------------------------------------------ as shown

/// A webhook as shown, in the order of the platform's own samples.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownWebhook {
    id: String,
    owner_id: String,
    name: String,
    urls: Vec<ShownPlace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Vec<String>>,
    created_at: String,
    failures: Vec<ShownFailure>,
    state: &'static str,
}

#[derive(Debug, Serialize)]
struct ShownPlace {
    url: String,
    format: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownFailure {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial_body: Option<String>,
    created_at: String,
}

/// An e-mail hook as shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownEmailHook {
    id: String,
    owner_id: String,
    name: String,
    notified: Vec<ShownTarget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Vec<String>>,
    created_at: String,
    state: &'static str,
}

#[derive(Debug, Serialize)]
struct ShownTarget {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<&'static str>,
}

/// Shows a webhook; `None` if it is an e-mail hook. URLs stand as given for those who may change it, which their clients
/// send back, and masked for the others.
pub fn webhook(hook: Hook, failures: Vec<FailedAttempt>, whole: bool) -> Option<ShownWebhook> {
    let Way::Webhook { destinations } = hook.way else { return None };
    let shown = |format: &str, url: &Secret| match whole {
        true => url.expose().to_owned(),
        false => formats::shown(format, url),
    };
    let failure = |failed: FailedAttempt| ShownFailure {
        url: shown(&failed.format, &failed.url),
        network_failure: failed.note,
        status: failed.status,
        partial_body: failed.excerpt,
        created_at: iso(failed.at),
    };
    Some(ShownWebhook {
        id: hook.id.to_string(),
        owner_id: hook.owner.to_string(),
        name: hook.name,
        urls: destinations
            .into_iter()
            .map(|one| ShownPlace { url: shown(&one.format, &one.url), format: one.format })
            .collect(),
        events: hook.events,
        scope: hook.scope.map(|ids| ids.iter().map(ToString::to_string).collect()),
        created_at: iso(hook.created_at),
        failures: failures.into_iter().map(failure).collect(),
        state: state(hook.state),
    })
}

/// Shows an e-mail hook; `None` if it is a webhook.
pub fn email_hook(hook: Hook) -> Option<ShownEmailHook> {
    let Way::Email { targets, .. } = hook.way else { return None };
    Some(ShownEmailHook {
        id: hook.id.to_string(),
        owner_id: hook.owner.to_string(),
        name: hook.name,
        notified: targets.into_iter().map(target).collect(),
        events: hook.events,
        scope: hook.scope.map(|ids| ids.iter().map(ToString::to_string).collect()),
        created_at: iso(hook.created_at),
        state: state(hook.state),
    })
}

/// This surface knows two states; a paused hook is no more enabled than a disabled one.
fn state(state: HookState) -> &'static str {
    match state {
        HookState::Enabled => "ENABLED",
        HookState::Paused | HookState::Disabled => "DISABLED",
    }
}

fn target(target: Target) -> ShownTarget {
    let (r#type, target, roles) = match target {
        Target::Organisation { roles } => {
            ("organisation", None, roles.into_iter().map(Role::as_str).collect())
        }
        Target::User(id) => ("userid", Some(id.to_string()), Vec::new()),
        Target::Maker(_) => ("userid", None, Vec::new()),
        Target::Addresses(addresses) => ("email", Some(addresses.join(",")), Vec::new()),
    };
    ShownTarget { r#type, target, roles }
}
