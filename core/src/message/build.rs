//! Building a message: the catalogue's words, filled in with what the event and the directory say.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::links::{LinkTemplates, Places};
use super::{Detail, Incident, Link, Message, Severity, Text};
use crate::catalogue::{Catalogue, Concern, Kind, LONGEST_FIELD, Values};
use crate::formats::cut::{Unit, cut};
use crate::ids::{OwnerId, ResourceShape, UserId};
use crate::lang::Lang;
use crate::model::{Event, Millis};
use crate::ports::Names;

/// What of a frame a message needs.
#[derive(Deserialize)]
struct Frame<'a> {
    date: Millis,
    #[serde(borrow, rename = "authorId")]
    author: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

/// Who did it, as the frame says.
pub fn author(event: &Event) -> Option<UserId> {
    serde_json::from_slice::<Frame<'_>>(&event.frame).ok()?.author?.parse().ok()
}

/// What an event says to people. An event of a kind the catalogue no longer has says its name and its owner.
pub fn of(catalogue: &Catalogue, event: &Event, names: &Names, links: &LinkTemplates, lang: Lang) -> Message {
    match catalogue.find(&event.kind) {
        Some((_, kind)) => of_kind(kind, event, names, links, lang),
        None => {
            let said = Said::of(event, names, Concern::Application);
            let mut title = Text::ours(event.kind.as_str());
            title.push(Text::ours(": "));
            title.push(Text::theirs(said.resource.as_deref().unwrap_or(&said.owner)));
            said.message(event, (Severity::Info, None), title, Text::default(), Vec::new(), (links, lang))
        }
    }
}

/// What an event of a known kind says to people.
pub fn of_kind(kind: &Kind, event: &Event, names: &Names, links: &LinkTemplates, lang: Lang) -> Message {
    let said = Said::of(event, names, kind.concerns);
    let values = said.values(kind.concerns);
    let details = kind.details_in(lang).filter_map(|(label, value)| {
        let value = value.render_whole(&values).filter(|value| !value.is_empty())?;
        Some(Detail { label: label.to_owned(), value })
    });
    let (title, summary, details) =
        (kind.title_in(lang).render(&values), kind.summary_in(lang).render(&values), details.collect());
    let own = own_link(kind, &said.data, lang);
    let mut message =
        said.message(event, (kind.severity, kind.incident), title, summary, details, (links, lang));
    if kind.private {
        // It is written for its own link, and its reader may be a stranger to the owner.
        message.links = own.into_iter().collect();
    }
    message
}

/// What the event and the directory say, names with their fallbacks.
struct Said {
    owner: String,
    resource: Option<String>,
    author: Option<String>,
    at: Millis,
    data: Map<String, Value>,
}

impl Said {
    fn of(event: &Event, names: &Names, concerns: Concern) -> Self {
        // What is stored was checked when it was accepted; should it be damaged all the same, the message says less.
        let frame = serde_json::from_slice::<Frame<'_>>(&event.frame).ok();
        let (at, author, data) = match frame {
            Some(Frame { date, author, data }) => (date, author, data),
            None => (event.id.at(), None, None),
        };
        let data: Map<String, Value> =
            data.and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default();
        let resource = (concerns != Concern::Owner)
            .then(|| {
                given(names.resource.as_deref())
                    .or_else(|| given(data.get("name").and_then(Value::as_str)))
                    .or_else(|| event.resource.as_ref().map(ToString::to_string))
            })
            .flatten();
        Self {
            owner: given(names.owner.as_deref()).unwrap_or_else(|| event.owner.to_string()),
            resource,
            author: given(names.author.as_deref())
                .or_else(|| author.as_deref().and_then(|id| given(Some(id)))),
            at,
            data,
        }
    }

    fn values(&self, concerns: Concern) -> Values<'_> {
        Values {
            owner: &self.owner,
            resource: self.resource.as_deref(),
            author: self.author.as_deref(),
            data: &self.data,
            concerns,
        }
    }

    fn message(
        self,
        event: &Event,
        (severity, incident): (Severity, Option<Incident>),
        title: Text,
        summary: Text,
        details: Vec<Detail>,
        (templates, lang): (&LinkTemplates, Lang),
    ) -> Message {
        Message {
            incident,
            kind: event.kind.clone(),
            severity,
            title,
            about: Text::theirs(&cut(
                self.resource.as_deref().unwrap_or(&self.owner),
                LONGEST_FIELD,
                Unit::Chars,
            )),
            summary,
            details,
            links: links(event, &self.data, templates, lang),
            actor: self
                .author
                .as_deref()
                .map(|author| Text::theirs(&cut(author, LONGEST_FIELD, Unit::Chars))),
            at: self.at,
            thread: event.resource.as_ref().map_or_else(|| event.owner.to_string(), ToString::to_string),
        }
    }
}

/// A name that says something.
fn given(name: Option<&str>) -> Option<String> {
    name.filter(|name| !super::one_line(name).trim().is_empty()).map(str::to_owned)
}

/// The link a private letter is written for. Only we write those, so the URL is ours.
fn own_link(kind: &Kind, data: &Map<String, Value>, lang: Lang) -> Option<Link> {
    let label = kind.link_in(lang).filter(|_| kind.private)?;
    Some(Link { label: label.to_owned(), url: data.get("url")?.as_str()?.to_owned() })
}

fn links(event: &Event, data: &Map<String, Value>, templates: &LinkTemplates, lang: Lang) -> Vec<Link> {
    let (owner, id) = (event.owner.to_string(), event.id.to_string());
    let application =
        event.resource.as_ref().filter(|resource| resource.shape() == ResourceShape::Application);
    let places = Places {
        owner: &owner,
        resource: event.resource.as_ref().map(|resource| resource.as_str()),
        deployment: data.get("uuid").and_then(Value::as_str).filter(|_| application.is_some()),
        event: &id,
    };
    let the_owner = match event.owner {
        OwnerId::User(_) => lang.pick("Open the personal space", "Ouvrir l’espace personnel"),
        OwnerId::Organisation(_) => lang.pick("Open the organisation", "Ouvrir l’organisation"),
    };
    let wanted = [
        (
            lang.pick("Open the deployment", "Ouvrir le déploiement"),
            templates.deployment.as_ref().filter(|_| places.deployment.is_some()),
        ),
        (
            lang.pick("Open the application", "Ouvrir l’application"),
            templates.application.as_ref().filter(|_| application.is_some()),
        ),
        (the_owner, templates.owner.as_ref()),
    ];
    let fill = |(label, template): (&str, Option<&super::LinkTemplate>)| {
        Some(Link { label: label.to_owned(), url: template?.fill(&places)? })
    };
    let mut links: Vec<_> = wanted.into_iter().filter_map(fill).collect();
    if links.is_empty() {
        links.extend(fill((lang.pick("Open the event", "Ouvrir l’événement"), templates.event.as_ref())));
    }
    links
}

#[cfg(test)]
mod tests;
