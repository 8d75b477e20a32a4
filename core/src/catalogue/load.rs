//! Reading the catalogue: what is written must hold together, or the start stops with its file, line and reason.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use super::{Catalogue, Concern, DefaultHook, Family, Kind, Learns, Template, Words};
use crate::lang::Lang;
use crate::message::{self, Incident, LinkTemplates, Severity};
use crate::model::Role;
use crate::ports::Names;
use crate::{facts, json};

/// The most kinds a catalogue holds: far more than people can tell apart.
const MOST_KINDS: usize = 4_096;

/// An entry of a catalogue file that does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct CatalogueError {
    /// The file's name, as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    kind: Vec<WrittenKind>,
    #[serde(default)]
    family: Vec<WrittenFamily>,
    #[serde(default)]
    default_hook: Vec<WrittenHook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKind {
    name: Spanned<String>,
    category: String,
    description: String,
    severity: Spanned<String>,
    concerns: Spanned<String>,
    learns: Option<Spanned<String>>,
    tells: Option<Spanned<String>>,
    incident: Option<Spanned<String>>,
    #[serde(default)]
    locked: bool,
    #[serde(default)]
    private: bool,
    link: Option<Spanned<String>>,
    title: Spanned<String>,
    summary: Spanned<String>,
    #[serde(default)]
    details: Vec<WrittenDetail>,
    sample: Spanned<String>,
    fr: Option<WrittenWords>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWords {
    category: String,
    description: String,
    link: Option<String>,
    title: Spanned<String>,
    summary: Spanned<String>,
    #[serde(default)]
    labels: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDetail {
    label: String,
    value: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFamily {
    name: Spanned<String>,
    label: Option<String>,
    label_fr: Option<String>,
    kinds: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHook {
    name: Spanned<String>,
    events: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    roles: Vec<Spanned<String>>,
}

/// Where in the file, and what is wrong there.
struct Wrong(Range<usize>, String);

fn wrong<T>(at: &Spanned<T>, reason: impl Into<String>) -> Wrong {
    Wrong(at.span(), reason.into())
}

impl Catalogue {
    /// Adds what a file says. An error leaves the catalogue half filled: it is to be dropped.
    pub(super) fn add(&mut self, file: &str, text: &str) -> Result<(), CatalogueError> {
        self.add_text(text).map_err(|Wrong(at, reason)| {
            let before = text.get(..at.start).unwrap_or(text);
            let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
            CatalogueError { file: file.to_owned(), line, reason }
        })
    }

    fn add_text(&mut self, text: &str) -> Result<(), Wrong> {
        let written: Written = toml::from_str(text)
            .map_err(|error| Wrong(error.span().unwrap_or_default(), error.message().to_owned()))?;
        for kind in written.kind {
            self.add_kind(kind)?;
        }
        for family in written.family {
            self.add_family(family)?;
        }
        for hook in written.default_hook {
            self.add_hook(hook)?;
        }
        Ok(())
    }

    fn add_kind(&mut self, written: WrittenKind) -> Result<(), Wrong> {
        let name = written.name.get_ref().clone();
        if !is_name(&name) || name.starts_with("META_") {
            return Err(wrong(
                &written.name,
                "a kind's name is 1 to 64 capitals, digits and `_`, begins with a capital, and not with `META_`",
            ));
        }
        if self.find(&name).is_some() {
            return Err(wrong(&written.name, format!("there is a kind `{name}` already")));
        }
        let Some(number) = u16::try_from(self.kinds.len()).ok().filter(|n| usize::from(*n) < MOST_KINDS)
        else {
            return Err(wrong(&written.name, format!("a catalogue holds at most {MOST_KINDS} kinds")));
        };
        let severity = word(&written.severity, Severity::parse, &Severity::ALL.map(Severity::as_str))?;
        let concerns = word(&written.concerns, Concern::parse, &names(Concern::ALL, Concern::as_str))?;
        let learns = written
            .learns
            .as_ref()
            .map(|learns| word(learns, Learns::parse, &names(Learns::ALL, Learns::as_str)))
            .transpose()?;
        let tells_admins = match &written.tells {
            None => false,
            Some(tells) => word(tells, |text| (text == "admins").then_some(true), &["admins"])?,
        };
        let incident = written
            .incident
            .as_ref()
            .map(|incident| word(incident, Incident::parse, &names(Incident::ALL, Incident::as_str)))
            .transpose()?;
        if let Some(link) = written.link.as_ref().filter(|_| !written.private) {
            return Err(wrong(
                link,
                "only a private kind has a link of its own: anybody's `data.url` is no link of ours",
            ));
        }
        let sample = object(&written.sample)?;
        let template = |text: &Spanned<String>| template(text, concerns, &sample);
        let title = template(&written.title)?;
        let summary = template(&written.summary)?;
        let mut details = Vec::with_capacity(written.details.len());
        for detail in written.details {
            details.push((detail.label, template(&detail.value)?));
        }
        let fr = match written.fr {
            None => None,
            Some(fr) if fr.labels.len() != details.len() || fr.link.is_some() != written.link.is_some() => {
                return Err(wrong(
                    &fr.title,
                    "`fr` has a label for each of the details, and a link if the kind has one",
                ));
            }
            Some(fr) => Some(Words {
                category: fr.category,
                description: fr.description,
                link: fr.link,
                title: template(&fr.title)?,
                summary: template(&fr.summary)?,
                labels: fr.labels,
            }),
        };
        let kind = Kind {
            fr,
            name: name.clone(),
            category: written.category,
            description: written.description,
            severity,
            concerns,
            learns,
            tells_admins,
            incident,
            locked: written.locked,
            private: written.private,
            link: written.link.map(Spanned::into_inner),
            title,
            summary,
            details,
            sample: written.sample.get_ref().clone(),
        };
        render(&kind, &sample).map_err(|reason| wrong(&written.sample, reason))?;
        self.kinds.push(kind);
        self.numbers.insert(name, number);
        Ok(())
    }

    fn add_family(&mut self, written: WrittenFamily) -> Result<(), Wrong> {
        let name = written.name.get_ref().clone();
        if !is_name(&name) || !name.starts_with("META_") {
            return Err(wrong(
                &written.name,
                "a family's name begins with `META_` and is at most 64 capitals, digits and `_`",
            ));
        }
        let mut kinds = Vec::with_capacity(written.kinds.len());
        let place = self.families.iter().position(|family| family.name == name);
        let held = place.and_then(|place| self.families.get(place)).map(|family| family.kinds.clone());
        let held = held.unwrap_or_default();
        for written in &written.kinds {
            let kind = written.get_ref();
            let Some((number, found)) = self.find(kind) else {
                return Err(wrong(written, format!("there is no kind `{kind}`")));
            };
            if found.private {
                return Err(wrong(
                    written,
                    format!("`{kind}` is private, and private kinds are of no family"),
                ));
            }
            if held.contains(&number) || kinds.contains(&number) {
                return Err(wrong(written, format!("`{kind}` is in {name} already")));
            }
            kinds.push(number);
        }
        if kinds.is_empty() {
            return Err(wrong(&written.name, "a family names its kinds"));
        }
        let label_fr = written.label_fr;
        match (place.and_then(|place| self.families.get_mut(place)), written.label) {
            (Some(_), Some(_)) => {
                return Err(wrong(
                    &written.name,
                    format!("{name} has its label already; leave it out to add kinds"),
                ));
            }
            (Some(family), None) => family.kinds.extend(kinds),
            (None, None) => return Err(wrong(&written.name, "a new family needs a `label`")),
            (None, Some(label)) => self.families.push(Family { name, label, label_fr, kinds }),
        }
        Ok(())
    }

    fn add_hook(&mut self, written: WrittenHook) -> Result<(), Wrong> {
        let name = written.name.get_ref().clone();
        if name.trim().is_empty() || self.default_hooks.iter().any(|hook| hook.name == name) {
            return Err(wrong(
                &written.name,
                format!("a default hook needs a name of its own, not `{name}`"),
            ));
        }
        let mut events = Vec::new();
        for event in written.events.get_ref() {
            let event_name = event.get_ref();
            if !self.knows(event_name) {
                return Err(wrong(
                    event,
                    format!("`{event_name}` is neither a kind nor a family a hook may list"),
                ));
            }
            events.push(event_name.clone());
        }
        if events.is_empty() {
            return Err(wrong(&written.events, "a default hook names its kinds and families"));
        }
        let mut roles = BTreeSet::new();
        for role in &written.roles {
            roles.insert(word(role, Role::parse, &Role::ALL.map(Role::as_str))?);
        }
        self.default_hooks.push(DefaultHook { name, events, roles });
        Ok(())
    }
}

fn names<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| name(*one)).collect()
}

fn word<T>(written: &Spanned<String>, read: impl Fn(&str) -> Option<T>, words: &[&str]) -> Result<T, Wrong> {
    let text = written.get_ref();
    read(text).ok_or_else(|| wrong(written, format!("`{text}` is not one of: {}", words.join(", "))))
}

/// `[A-Z][A-Z0-9_]{0,63}`
fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn object(written: &Spanned<String>) -> Result<Map<String, Value>, Wrong> {
    json::scan(written.get_ref()).map_err(|error| wrong(written, format!("the sample is {error}")))?;
    serde_json::from_str(written.get_ref())
        .map_err(|error| wrong(written, format!("the sample is no JSON object: {error}")))
}

fn template(
    text: &Spanned<String>,
    concerns: Concern,
    sample: &Map<String, Value>,
) -> Result<Template, Wrong> {
    let template = Template::parse(text.get_ref()).map_err(|error| wrong(text, error.to_string()))?;
    if template.names_resource() && concerns == Concern::Owner {
        return Err(wrong(text, "`{resource}` needs a kind that concerns an application or an add-on"));
    }
    if let Some(field) = template.missing_in(sample).first() {
        return Err(wrong(text, format!("`{{{field}}}` is a field the sample does not have")));
    }
    Ok(template)
}

/// Tries a kind on its own sample.
fn render(kind: &Kind, sample: &Map<String, Value>) -> Result<(), String> {
    let event = kind.sample_event();
    if kind.concerns != Concern::Owner && event.resource.is_none() {
        return Err("the sample names no resource in `addonId`, `appId` or `id`".to_owned());
    }
    for lang in Lang::ALL {
        let message = message::of_kind(kind, &event, &Names::default(), &LinkTemplates::default(), *lang);
        if message.title.to_string().trim().is_empty() {
            return Err("the title is empty when it is filled in from the sample".to_owned());
        }
    }
    facts::of(kind, event.owner, message::author(&event), event.resource.as_ref(), Some(sample), &mut |_| {
        Vec::new()
    })
    .map(|_| ())
    .map_err(|error| format!("the sample tells the directory something wrong: {error}"))
}
