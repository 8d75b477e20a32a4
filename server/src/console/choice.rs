//! Boxes to tick: kinds under their headings, and applications and add-ons that are searched because there may be thousands.

use std::collections::HashSet;

use sonnette_core::catalogue::{Catalogue, Kind};
use sonnette_core::message::one_line;
use sonnette_core::model::Resource;

use super::told::by_category;
use super::words::{Lang, Words};

/// Applications and add-ons shown besides those chosen.
const SHOWN: usize = 50;

/// A box to tick.
pub(super) struct Tick {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) hint: String,
    pub(super) ticked: bool,
}

/// Boxes under one heading.
pub(super) struct Group {
    pub(super) title: String,
    pub(super) ticks: Vec<Tick>,
    pub(super) open: bool,
}

/// The kinds that have a box, by category; one with a box as `opens` says is open.
pub(super) fn kinds(
    lang: Lang,
    catalogue: &Catalogue,
    tick: impl Fn(&Kind) -> Option<Tick>,
    opens: impl Fn(&Tick) -> bool,
) -> Vec<Group> {
    let group = |(title, kinds): (String, Vec<&Kind>)| {
        let ticks: Vec<_> = kinds.into_iter().filter_map(&tick).collect();
        let open = ticks.iter().any(&opens);
        (!ticks.is_empty()).then_some(Group { title, ticks, open })
    };
    let mut groups: Vec<_> = by_category(lang, catalogue).into_iter().filter_map(group).collect();
    // What is deployed is what most people look for.
    let first =
        ["Deployment", "Application", "Add-on", "Organisation"].map(|name| lang.named(name).unwrap_or(name));
    groups.sort_by_key(|group| first.iter().position(|name| *name == group.title).unwrap_or(first.len()));
    groups
}

/// The applications and add-ons to choose from.
#[derive(askama::Template)]
#[template(path = "console/resources.html")]
pub(super) struct Choice {
    w: Lang,
    /// What the boxes are called in the form.
    name: &'static str,
    ticks: Vec<Tick>,
    more: Option<String>,
    searched: bool,
}

impl Choice {
    /// Those chosen first, whatever is looked for, then the first of those that match.
    pub(super) fn of(
        lang: Lang,
        name: &'static str,
        mut all: Vec<Resource>,
        chosen: &[String],
        q: &str,
        hint: impl Fn(&Resource) -> String,
    ) -> Self {
        all.sort_by_cached_key(|one| one.name.to_lowercase());
        let ids: HashSet<&str> = chosen.iter().map(String::as_str).collect();
        let is_chosen = |one: &Resource| {
            ids.contains(one.id.as_str()) || one.real_id.as_ref().is_some_and(|id| ids.contains(id.as_str()))
        };
        let mut ticks: Vec<_> = Vec::new();
        let mut known: HashSet<&str> = HashSet::new();
        for one in all.iter().filter(|one| is_chosen(one)) {
            // An add-on has two ids; the one chosen stays.
            let real = one.real_id.as_ref().filter(|id| ids.contains(id.as_str()));
            let value = real.unwrap_or(&one.id).as_str();
            known.extend([one.id.as_str(), value]);
            ticks.push(Tick {
                value: value.to_owned(),
                label: one.name.clone(),
                hint: hint(one),
                ticked: true,
            });
        }
        let gone = chosen.iter().filter(|id| !known.contains(id.as_str()));
        ticks.extend(gone.map(|id| Tick {
            value: id.clone(),
            label: id.clone(),
            hint: lang.resource_gone().to_owned(),
            ticked: true,
        }));
        // As names are stored: what is pasted from elsewhere may turn lines around.
        let wanted = one_line(q.trim()).to_lowercase();
        let mut rest = all.iter().filter(|one| {
            !is_chosen(one)
                && (wanted.is_empty()
                    || one.name.to_lowercase().contains(&wanted)
                    || one.id.as_str() == wanted)
        });
        ticks.extend(rest.by_ref().take(SHOWN).map(|one| Tick {
            value: one.id.to_string(),
            label: one.name.clone(),
            hint: hint(one),
            ticked: false,
        }));
        let more = rest.count();
        Self {
            w: lang,
            name,
            ticks,
            more: (more > 0).then(|| lang.more_resources(lang.count(more.try_into().unwrap_or_default()))),
            searched: !wanted.is_empty(),
        }
    }
}
