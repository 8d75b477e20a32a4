//! What a person wants by e-mail, on the wire.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sonnette_core::catalogue::Catalogue;
use sonnette_core::ids::{HookId, ResourceId};
use sonnette_core::stops::{MOST_MUTES, Mail, Mute};

use super::posted::parsed;
use super::problem::{Id, Problem};

/// What a person wants as given; what is left out stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GivenMail {
    /// The kinds no letters are wanted of.
    pub muted_kinds: Option<Vec<String>>,
    /// The applications and add-ons no letters are wanted about.
    pub muted_resources: Option<Vec<String>>,
    /// The e-mail hooks that do not write to the person, of those that would.
    pub stopped_hooks: Option<Vec<String>>,
}

/// What a person wants, every field checked by itself.
#[derive(Debug, PartialEq, Eq)]
pub struct MeantMail {
    /// All that is to be muted.
    pub mutes: BTreeSet<Mute>,
    /// Hooks that stop (`true`) or begin again.
    pub turned: Vec<(HookId, bool)>,
}

impl GivenMail {
    /// What it comes to after what there was. Whose a resource is, is for the store to say.
    ///
    /// # Errors
    /// The first rule that is broken, with the field.
    pub fn meant(&self, catalogue: &Catalogue, before: &Mail) -> Result<MeantMail, Problem> {
        let (mut kinds, mut resources): (BTreeSet<_>, BTreeSet<_>) =
            before.mutes.iter().cloned().partition(|mute| matches!(mute, Mute::Kind(_)));
        if let Some(given) = &self.muted_kinds {
            let one = |(at, name): (usize, &String)| muted_kind(catalogue, name, format!("mutedKinds[{at}]"));
            kinds = given.iter().enumerate().map(one).collect::<Result<_, _>>()?;
        }
        if let Some(given) = &self.muted_resources {
            let one = |(at, id): (usize, &String)| {
                Ok(Mute::Resource(parsed(id, &format!("mutedResources[{at}]"))?))
            };
            resources = given.iter().enumerate().map(one).collect::<Result<_, Problem>>()?;
        }
        kinds.append(&mut resources);
        if kinds.len() > MOST_MUTES {
            return Err(self.too_many());
        }
        let mut turned = Vec::new();
        if let Some(given) = &self.stopped_hooks {
            let mut stopped = BTreeSet::new();
            for (at, id) in given.iter().enumerate() {
                let (field, id) = (format!("stoppedHooks[{at}]"), id.as_str());
                let id: HookId = parsed(id, &field)?;
                if !before.hooks.iter().any(|hook| hook.id == id) {
                    return Err(Problem::invalid(field, format!("{id} does not write to this person")));
                }
                stopped.insert(id);
            }
            let changed =
                before.hooks.iter().filter(|hook| hook.stopped.is_some() != stopped.contains(&hook.id));
            turned.extend(changed.map(|hook| (hook.id, hook.stopped.is_none())));
        }
        Ok(MeantMail { mutes: kinds, turned })
    }

    /// More than one person may mute.
    pub fn too_many(&self) -> Problem {
        let field = if self.muted_resources.is_some() { "mutedResources" } else { "mutedKinds" };
        let detail = format!("at most {MOST_MUTES} kinds, applications and add-ons are muted in all");
        Problem::invalid(field, detail)
    }

    /// A resource that is not the person's to mute.
    pub fn foreign(&self, id: &ResourceId) -> Problem {
        let at = self.muted_resources.iter().flatten().position(|given| given == id.as_str());
        let field = format!("mutedResources[{}]", at.unwrap_or_default());
        let detail = format!("{id} is no application or add-on of this person or of their organisations");
        Problem::of(Id::ForeignResource, field, detail)
    }
}

fn muted_kind(catalogue: &Catalogue, name: &str, field: String) -> Result<Mute, Problem> {
    let shown: String = name.chars().take(60).collect();
    match catalogue.find(name) {
        Some((_, kind)) if kind.private => {}
        Some(_) if catalogue.may_refuse(name) => return Ok(Mute::Kind(name.to_owned())),
        Some(_) => {
            return Err(Problem::invalid(field, format!("nobody can refuse the letters of `{shown}`")));
        }
        None => {}
    }
    Err(Problem::of(Id::UnknownKind, field, format!("`{shown}` is no kind of the catalogue")))
}

/// What writes to a person and what they want, as shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownMail {
    hooks: Vec<ShownMailHook>,
    muted_kinds: Vec<String>,
    muted_resources: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownMailHook {
    id: String,
    owner_id: String,
    name: String,
    stopped_at: Option<i64>,
}

/// For people.
pub fn mail(mail: Mail) -> ShownMail {
    let hooks = mail.hooks.into_iter().map(|hook| ShownMailHook {
        id: hook.id.to_string(),
        owner_id: hook.owner.to_string(),
        name: hook.name,
        stopped_at: hook.stopped,
    });
    let mut shown =
        ShownMail { hooks: hooks.collect(), muted_kinds: Vec::new(), muted_resources: Vec::new() };
    for mute in mail.mutes {
        match mute {
            Mute::Kind(name) => shown.muted_kinds.push(name),
            Mute::Resource(id) => shown.muted_resources.push(id.to_string()),
        }
    }
    shown
}
