//! Accepting: what was posted becomes drafts, and the store numbers, matches and writes them.

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sonnette_core::facts;
use sonnette_core::frame;
use sonnette_core::ids::{EventId, HookId, OwnerId, ResourceId, ResourceShape};
use sonnette_core::model::{Draft, Ingested, Millis, SECOND};
use sonnette_core::ports::StoreError;

use super::Parts;
use crate::contract::fields::{Fields, text};
use crate::contract::posted::Posted;
use crate::contract::problem::{Id, Problem};

/// An event that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Since now.
    New(EventId),
    /// Since before: the same pair with the same content.
    Already(EventId),
}

/// Accepts what was posted; each stands alone, in order.
///
/// # Errors
/// If the store cannot take anything now.
pub async fn accept(
    parts: &Parts,
    posted: Vec<Result<Posted<'_>, Problem>>,
) -> Result<Vec<Result<Accepted, Problem>>, StoreError> {
    let now = parts.clock.now();
    let mut drafts = Vec::with_capacity(posted.len());
    let mut asked = Vec::with_capacity(posted.len());
    let mut results: Vec<Option<Problem>> = Vec::with_capacity(posted.len());
    for one in posted {
        match one.and_then(|posted| draft(parts, posted, now)) {
            Ok((draft, place)) => {
                asked.push((draft.owner, place));
                drafts.push(draft);
                results.push(None);
            }
            Err(problem) => results.push(Some(problem)),
        }
    }
    let stored = if drafts.is_empty() { Vec::new() } else { parts.store.ingest(drafts, now).await? };
    let mut stored = stored.into_iter().zip(asked);
    let outcome = |problem: Option<Problem>| match (problem, stored.len()) {
        (Some(problem), _) => Err(problem),
        (None, _) => match stored.next() {
            Some((ingested, (owner, place))) => said(ingested, owner, place),
            None => Err(Problem::new(Id::Unavailable, "the store gave no answer")),
        },
    };
    Ok(results.into_iter().map(outcome).collect())
}

/// What became of one, for whoever posted it; `place` is the field that named its resource.
fn said(ingested: Ingested, owner: OwnerId, place: &'static str) -> Result<Accepted, Problem> {
    match ingested {
        Ingested::Accepted(id) => Ok(Accepted::New(id)),
        Ingested::Already(id) => Ok(Accepted::Already(id)),
        Ingested::Conflict(id) => Err(Problem::of(
            Id::Conflict,
            "id",
            format!("this source and id were accepted as {id}, with other content"),
        )),
        Ingested::UnknownOwner => {
            Err(Problem::of(Id::UnknownOwner, "ownerId", format!("{owner} is not in the directory")))
        }
        Ingested::ForeignResource(id) => {
            Err(Problem::of(Id::ForeignResource, place, format!("{id} does not belong to {owner}")))
        }
        Ingested::Contradiction(why) => Err(Problem::of(Id::Contradiction, "data", why)),
    }
}

/// Looks up what was posted and builds its frame; gives with it the field that names its resource.
pub(super) fn draft(
    parts: &Parts,
    posted: Posted<'_>,
    now: Millis,
) -> Result<(Draft, &'static str), Problem> {
    let found = parts.catalogue.find(&posted.kind).filter(|(_, kind)| !kind.private);
    let Some((number, kind)) = found else {
        let name: String = posted.kind.chars().take(60).collect();
        return Err(Problem::of(
            Id::UnknownKind,
            "event",
            format!("`{name}` is not a kind of the catalogue"),
        ));
    };
    let data = posted.data.as_deref();
    let fields = data.map(Fields::read).transpose().map_err(|error| Problem::invalid("data", error))?;
    let named = fields.as_ref().map(resource).transpose()?.flatten();
    let place = named.as_ref().map_or("subject", |(place, _)| *place);
    // A subject that only says again what `data` says is no content of its own.
    let subject = posted.subject.as_ref().filter(|_| named.is_none()).map(ResourceId::as_str);
    let (key, content) = match &posted.key {
        None => (None, None),
        Some((source, id)) => (Some(digest(&[source, id])), Some(content(&posted, data, subject))),
    };
    let (resource, real_id) = match (named.map(|(_, id)| id), posted.subject) {
        (Some(named), Some(subject)) if named != subject => match (named.shape(), subject.shape()) {
            (ResourceShape::Addon, ResourceShape::RealId) => (Some(named), Some(subject)),
            (ResourceShape::RealId, ResourceShape::Addon) => (Some(subject), Some(named)),
            _ => return Err(Problem::invalid("subject", format!("`data` names {named}"))),
        },
        (named, subject) => (named.or(subject), None),
    };
    let facts = match kind.learns {
        None => Vec::new(),
        Some(_) => {
            let map = data
                .map(serde_json::from_str)
                .transpose()
                .map_err(|error| Problem::invalid("data", error.to_string()))?;
            let mut born =
                |owner| facts::default_hooks(&parts.catalogue, owner, now, &mut || parts.luck.id());
            facts::of(kind, posted.owner, posted.author, resource.as_ref(), map.as_ref(), &mut born)
                .map_err(|error| Problem::of(Id::Invalid, format!("data.{}", error.field), error.rule))?
        }
    };
    let about_hook = fields
        .as_ref()
        .filter(|_| kind.tells_admins)
        .and_then(|fields| text(fields.get("hookId")?)?.parse::<HookId>().ok());
    let draft = Draft {
        owner: posted.owner,
        kind: number,
        author: posted.author,
        frame: frame::build(&kind.name, posted.date.unwrap_or(now), posted.owner, posted.author, data),
        resource,
        real_id,
        about_hook,
        key,
        content,
        facts,
    };
    Ok((draft, place))
}

/// A draft of ours, for the store to accept together with what it tells of. An operator's catalogue cannot take our kinds
/// away, so there always is one.
pub(super) fn ours(
    parts: &Parts,
    kind: &'static str,
    owner: OwnerId,
    data: &Value,
    now: Millis,
) -> Option<Draft> {
    let posted = Posted {
        kind: kind.into(),
        owner,
        author: None,
        date: None,
        key: None,
        data: Some(data.to_string().into()),
        subject: None,
    };
    match draft(parts, posted, now) {
        Ok((draft, _)) => Some(draft),
        Err(problem) => {
            tracing::error!(kind, detail = problem.detail, "nobody can be told");
            None
        }
    }
}

/// A time as our events say it, to the second.
pub(super) fn time_said(at: Millis) -> String {
    Timestamp::from_second(at.div_euclid(SECOND)).map(|at| at.to_string()).unwrap_or_default()
}

/// The resource `data` names: `addonId`, else `appId`, else an `id` that is one by its looks.
fn resource(fields: &Fields<'_>) -> Result<Option<(&'static str, ResourceId)>, Problem> {
    for (name, place) in [("addonId", "data.addonId"), ("appId", "data.appId"), ("id", "data.id")] {
        let Some(value) = fields.get(name) else { continue };
        let Some(id) = text(value) else {
            if name == "id" {
                continue;
            }
            return Err(Problem::invalid(place, "it is a text"));
        };
        if name == "id" && !id.starts_with("app_") && !id.starts_with("addon_") {
            continue;
        }
        return id
            .parse()
            .map(|id| Some((place, id)))
            .map_err(|error| Problem::invalid(place, format!("{error}")));
    }
    Ok(None)
}

/// What must be equal for a repeat to be the same event. An absent date counts as absent; `subject` is the resource the
/// envelope alone names, and adds nothing where there is none.
fn content(posted: &Posted<'_>, data: Option<&str>, subject: Option<&str>) -> [u8; 16] {
    let date = posted.date.map(|date| date.to_string()).unwrap_or_default();
    let author = posted.author.map(|author| author.to_string()).unwrap_or_default();
    let owner = posted.owner.to_string();
    let mut texts = vec![&*posted.kind, &owner, &author, &date, data.unwrap_or_default()];
    texts.extend(subject);
    digest(&texts)
}

/// A digest no two lists of texts share: each is preceded by its length.
fn digest(texts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text.as_bytes());
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}
