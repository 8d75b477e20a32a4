//! What can happen: kinds and families of events, and the hooks every owner is born with. Data, not code.
//!
//! The built-in catalogue is `builtin.toml`; an operator's file of the same form adds to it. Nothing in either is taken
//! on trust: every name is looked up, every template is filled in from its kind's sample, before the first event.

mod load;
mod template;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub use load::CatalogueError;
pub use template::{LONGEST_FIELD, Template, TemplateError, Values};

use crate::frame;
use crate::ids::{EventId, OrganisationId, OwnerId, ResourceId, UserId};
use crate::lang::Lang;
use crate::matching::KindSet;
use crate::message::{Incident, Severity};
use crate::model::{Event, Millis, Role};
use crate::ports::Names;
use crate::words::words;

words! {
    /// What an event of a kind is about.
    Concern {
        /// The owner, or something of theirs that is no resource.
        Owner = "owner",
        /// An application.
        Application = "application",
        /// An add-on.
        Addon = "addon",
    }
}

words! {
    /// What an event of a kind tells the directory (see [`crate::facts`]).
    Learns {
        /// There is a user.
        Account = "account",
        /// A user changed.
        AccountEdited = "account_edited",
        /// A user is gone.
        AccountGone = "account_gone",
        /// There is an organisation.
        Organisation = "organisation",
        /// An organisation changed.
        OrganisationEdited = "organisation_edited",
        /// An organisation is gone.
        OrganisationGone = "organisation_gone",
        /// Somebody is a member.
        Member = "member",
        /// There is such an application.
        Application = "application",
        /// An application is gone.
        ApplicationGone = "application_gone",
        /// There is such an add-on.
        Addon = "addon",
        /// An add-on is gone.
        AddonGone = "addon_gone",
    }
}

/// A kind of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// `DEPLOYMENT_SUCCESS`
    pub name: String,
    /// Under which heading it is listed: `Deployment`.
    pub category: String,
    /// When it happens, in a sentence.
    pub description: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub concerns: Concern,
    /// What it tells the directory.
    pub learns: Option<Learns>,
    /// Owed to the owner's admins without any hook.
    pub tells_admins: bool,
    /// Whether trouble that lasts begins with it, or ends.
    pub incident: Option<Incident>,
    /// Its letters cannot be unsubscribed from.
    pub locked: bool,
    /// Never matched, listed or streamed.
    pub private: bool,
    /// What a private kind's own link, `data.url`, is called; `None` if it has none.
    pub link: Option<String>,
    /// One line that says it all.
    pub title: Template,
    /// One or two sentences more.
    pub summary: Template,
    /// Facts, the most telling first: our word, and what it is. One with a missing field is left out.
    pub details: Vec<(String, Template)>,
    /// A realistic `data`: the text of a JSON object.
    pub sample: String,
    /// The same words in French; English stands in where there are none.
    pub fr: Option<Words>,
}

/// What a kind says, in another language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Under which heading it is listed.
    pub category: String,
    /// When it happens, in a sentence.
    pub description: String,
    /// What a private letter calls its link.
    pub link: Option<String>,
    /// One line that says it all.
    pub title: Template,
    /// One or two sentences more.
    pub summary: Template,
    /// Our words for the details, in their order.
    pub labels: Vec<String>,
}

impl Kind {
    fn words(&self, lang: Lang) -> Option<&Words> {
        self.fr.as_ref().filter(|_| lang == Lang::Fr)
    }

    /// Under which heading it is listed.
    pub fn category_in(&self, lang: Lang) -> &str {
        self.words(lang).map_or(&self.category, |words| &words.category)
    }

    /// When it happens, in a sentence.
    pub fn description_in(&self, lang: Lang) -> &str {
        self.words(lang).map_or(&self.description, |words| &words.description)
    }

    /// What a private letter calls its link.
    pub fn link_in(&self, lang: Lang) -> Option<&str> {
        self.words(lang).map_or(&self.link, |words| &words.link).as_deref()
    }

    /// One line that says it all.
    pub fn title_in(&self, lang: Lang) -> &Template {
        self.words(lang).map_or(&self.title, |words| &words.title)
    }

    /// One or two sentences more.
    pub fn summary_in(&self, lang: Lang) -> &Template {
        self.words(lang).map_or(&self.summary, |words| &words.summary)
    }

    /// Facts: our word, and what it is.
    pub fn details_in(&self, lang: Lang) -> impl Iterator<Item = (&str, &Template)> {
        let labels = self.words(lang).map_or(&[][..], |words| &words.labels);
        self.details
            .iter()
            .enumerate()
            .map(|(at, (label, value))| (labels.get(at).unwrap_or(label).as_str(), value))
    }

    /// Whether an event of this kind may be about an owner the directory does not know, because it creates it.
    pub fn creates_owner(&self) -> bool {
        matches!(self.learns, Some(Learns::Account | Learns::Organisation))
    }

    /// An event of this kind, made of its sample: for previews and tests. Always the same.
    pub fn sample_event(&self) -> Event {
        let data: Map<String, Value> = serde_json::from_str(&self.sample).unwrap_or_default();
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let owner = text("ownerId").and_then(|id| id.parse().ok()).unwrap_or_else(sample_owner);
        let resource =
            ["addonId", "appId", "id"].into_iter().find_map(|name| text(name)?.parse::<ResourceId>().ok());
        let (id, author) = (EventId::first_at(SAMPLE_DATE), UserId(uuid::Uuid::from_u128(SAMPLE_AUTHOR)));
        let mut frame = frame::build(&self.name, SAMPLE_DATE, owner, Some(author), Some(&self.sample));
        frame::stamp(&mut frame, id);
        Event { id, owner, kind: self.name.clone(), resource, frame: frame.into() }
    }

    /// What the people and things of [`Kind::sample_event`] are called.
    pub fn sample_names(&self) -> Names {
        let resource = match self.concerns {
            Concern::Owner => None,
            Concern::Application => Some("shop-api"),
            Concern::Addon => Some("shop-db"),
        };
        Names {
            owner: Some("Acme".to_owned()),
            resource: resource.map(str::to_owned),
            author: Some("Alice Martin".to_owned()),
        }
    }
}

/// 2026-01-02T10:00:00Z.
const SAMPLE_DATE: Millis = 1_767_348_000_000;
const SAMPLE_AUTHOR: u128 = 0x1111_1111_1111_4111_8111_1111_1111_1111;

fn sample_owner() -> OwnerId {
    OrganisationId(uuid::Uuid::from_u128(0x2222_2222_2222_4222_8222_2222_2222_2222)).into()
}

/// A name for several kinds. Hooks keep the name, so they grow with the family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// `META_DEPLOYMENT_RESULT`
    pub name: String,
    /// What to call it, in words.
    pub label: String,
    /// The same in French; English stands in where there is none.
    pub label_fr: Option<String>,
    /// The numbers of its kinds, in the order they are listed.
    pub kinds: Vec<u16>,
}

impl Family {
    /// What to call it, in words.
    pub fn label_in(&self, lang: Lang) -> &str {
        self.label_fr.as_ref().filter(|_| lang == Lang::Fr).unwrap_or(&self.label)
    }
}

/// A hook every owner is born with: letters to the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultHook {
    /// What it is called.
    pub name: String,
    /// Kinds and families.
    pub events: Vec<String>,
    /// Only members of these roles; empty means all.
    pub roles: BTreeSet<Role>,
}

/// Kinds, families and default hooks. A kind's number is its place; it means nothing outside the running process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    kinds: Vec<Kind>,
    numbers: BTreeMap<String, u16>,
    families: Vec<Family>,
    default_hooks: Vec<DefaultHook>,
}

impl Catalogue {
    /// The built-in catalogue.
    ///
    /// # Errors
    /// If it does not hold together; a test says it does.
    pub fn builtin() -> Result<Self, CatalogueError> {
        Self::with(None)
    }

    /// The built-in catalogue and what an operator's file adds to it: the file's name, for errors, and its text.
    ///
    /// # Errors
    /// The first entry that does not hold together, with file, line and reason.
    pub fn with(operator_file: Option<(&str, &str)>) -> Result<Self, CatalogueError> {
        let mut catalogue = Self {
            kinds: Vec::new(),
            numbers: BTreeMap::new(),
            families: Vec::new(),
            default_hooks: Vec::new(),
        };
        catalogue.add("the built-in catalogue", include_str!("builtin.toml"))?;
        if let Some((name, text)) = operator_file {
            catalogue.add(name, text)?;
        }
        Ok(catalogue)
    }

    /// The kind of a number.
    pub fn kind_at(&self, number: u16) -> Option<&Kind> {
        self.kinds.get(usize::from(number))
    }

    /// The kind of a name, with its number. Private ones too.
    pub fn find(&self, name: &str) -> Option<(u16, &Kind)> {
        let number = *self.numbers.get(name)?;
        Some((number, self.kind_at(number)?))
    }

    /// Every kind, the built-in ones first. Private ones too.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Every family, the built-in ones first.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// The family of a name.
    pub fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }

    /// The hooks every owner is born with.
    pub fn default_hooks(&self) -> &[DefaultHook] {
        &self.default_hooks
    }

    /// Whether a hook may list a name: a family, or a kind that is not private.
    pub fn knows(&self, name: &str) -> bool {
        self.family(name).is_some() || self.find(name).is_some_and(|(_, kind)| !kind.private)
    }

    /// Whether a reader may want no letters of a kind of this name: it is neither locked nor private.
    pub fn may_refuse(&self, name: &str) -> bool {
        self.find(name).is_some_and(|(_, kind)| !kind.locked && !kind.private)
    }

    /// The kinds some names stand for, families opened. Names that are not (any more) in the catalogue, and private
    /// kinds, stand for nothing.
    pub fn open(&self, names: &[String]) -> KindSet {
        let mut set = KindSet::default();
        for name in names {
            if let Some(family) = self.family(name) {
                family.kinds.iter().for_each(|kind| set.insert(*kind));
            } else if let Some((number, _)) = self.find(name).filter(|(_, kind)| !kind.private) {
                set.insert(number);
            }
        }
        set
    }
}

#[cfg(test)]
mod tests;
