//! Deliveries and events as lines of a list, and what a state means, in words.

use std::collections::{BTreeSet, HashMap};

use askama::Template;
use futures_util::future::try_join_all;
use sonnette_core::catalogue::Catalogue;
use sonnette_core::formats;
use sonnette_core::ids::{DeliveryId, HookId, OwnerId, ResourceId};
use sonnette_core::message::Severity;
use sonnette_core::model::{Cancelled, Dead, Delivery, Event, Held, Hook, HookView, State, Way};

use super::describe;
use super::hooks::{format_title, resources};
use super::oops::Oops;
use super::reader::{Here, Visitor};
use super::time::Moment;
use super::words::{Lang, Words};
use crate::http::Site;

/// What a state is called, with the class of its badge.
pub(super) fn state(lang: Lang, state: State) -> (&'static str, &'static str) {
    match state {
        State::Pending => ("", lang.state_pending()),
        State::Retrying => ("warn", lang.state_retrying()),
        State::Delivered => ("good", lang.state_delivered()),
        State::Dead(_) => ("bad", lang.state_dead()),
        State::Held(_) => ("warn", lang.state_held()),
        State::Cancelled(_) => ("", lang.state_cancelled()),
    }
}

/// Why, for the states that say.
pub(super) fn why(lang: Lang, state: State) -> Option<&'static str> {
    Some(match state {
        State::Pending | State::Retrying | State::Delivered => return None,
        State::Dead(Dead::Refused) => lang.dead_refused(),
        State::Dead(Dead::Gone) => lang.dead_gone(),
        State::Dead(Dead::Exhausted) => lang.dead_exhausted(),
        State::Dead(Dead::Expired) => lang.dead_expired(),
        State::Held(Held::Paused) => lang.held_paused(),
        State::Held(Held::Disabled) => lang.held_disabled(),
        State::Held(Held::Unconfirmed) => lang.held_unconfirmed(),
        State::Held(Held::Ceiling) => lang.held_ceiling(),
        State::Cancelled(Cancelled::HookDeleted) => lang.cancelled_hook_deleted(),
        State::Cancelled(Cancelled::DestinationRemoved) => lang.cancelled_destination_removed(),
        State::Cancelled(Cancelled::Skipped) => lang.cancelled_skipped(),
        State::Cancelled(Cancelled::ByHand) => lang.cancelled_by_hand(),
        State::Cancelled(Cancelled::RecipientLeft) => lang.cancelled_recipient_left(),
        State::Cancelled(Cancelled::NoRecipient) => lang.cancelled_no_recipient(),
        State::Cancelled(Cancelled::Unsubscribed) => lang.cancelled_unsubscribed(),
        State::Cancelled(Cancelled::Suppressed) => lang.cancelled_suppressed(),
        State::Cancelled(Cancelled::DuplicateAddress) => lang.cancelled_duplicate_address(),
    })
}

/// The class that shows how much an event matters.
pub(super) fn severity(catalogue: &Catalogue, kind: &str) -> &'static str {
    match catalogue.find(kind).map(|(_, kind)| kind.severity) {
        Some(Severity::Success) => "good",
        Some(Severity::Warning) => "warn",
        Some(Severity::Error) => "bad",
        Some(Severity::Info) | None => "",
    }
}

/// Whether an event is never shown to anybody but whom it is for.
pub(super) fn is_private(catalogue: &Catalogue, kind: &str) -> bool {
    catalogue.find(kind).is_some_and(|(_, kind)| kind.private)
}

/// What an owner's hooks and resources are called.
pub(super) struct Names {
    pub(super) hooks: Vec<HookView>,
    pub(super) resources: HashMap<ResourceId, String>,
    by_id: HashMap<HookId, usize>,
}

impl Names {
    pub(super) async fn of(site: &Site, owner: OwnerId) -> Result<Self, Oops> {
        let hooks = site.parts.store.hooks(owner).await?;
        let by_id = hooks.iter().enumerate().map(|(at, view)| (view.hook.id, at)).collect();
        Ok(Self { resources: resources(site, owner).await?, hooks, by_id })
    }

    /// A hook that was not deleted.
    pub(super) fn hook(&self, id: HookId) -> Option<&Hook> {
        self.by_id.get(&id).and_then(|at| self.hooks.get(*at)).map(|view| &view.hook)
    }

    /// By which hook a delivery is owed, in words.
    pub(super) fn hook_name(&self, lang: Lang, delivery: &Delivery) -> String {
        match delivery.hook {
            None => lang.by_the_house().to_owned(),
            Some(id) => {
                self.hook(id).map_or_else(|| lang.deleted_hook().to_owned(), |hook| hook.name.clone())
            }
        }
    }

    /// Where a delivery goes: an address, or a URL without its credential; empty if that is not known any more.
    pub(super) fn place(&self, lang: Lang, delivery: &Delivery) -> String {
        if let Some(recipient) = &delivery.recipient {
            return recipient.address.clone();
        }
        match delivery.hook.and_then(|id| self.hook(id)).map(|hook| &hook.way) {
            Some(Way::Webhook { destinations }) => destinations
                .iter()
                .find(|one| one.id == delivery.destination)
                .map(|one| formats::shown(&one.format, &one.url))
                .unwrap_or_default(),
            Some(Way::Email { .. }) => lang.not_resolved().to_owned(),
            None => String::new(),
        }
    }

    /// What a resource is called; its id if the directory does not know it.
    pub(super) fn resource(&self, id: Option<&ResourceId>) -> String {
        id.map_or_else(String::new, |id| self.resources.get(id).cloned().unwrap_or_else(|| id.to_string()))
    }
}

/// The title of a format, of letters too.
pub(super) fn format_name(lang: Lang, name: &str) -> String {
    if name == "email" { lang.by_email().to_owned() } else { format_title(name) }
}

/// One delivery of a list.
pub(super) struct Line {
    href: String,
    at: Moment,
    kind: String,
    resource: String,
    hook: String,
    format: String,
    place: String,
    badge: (&'static str, &'static str),
    why: Option<&'static str>,
    due: Option<Moment>,
    attempts: String,
}

/// Some deliveries.
#[derive(Template)]
#[template(path = "console/lines.html")]
pub(super) struct Lines {
    w: Lang,
    /// Whether to tell the event of each; on the page of one event it is known.
    with_event: bool,
    pub(super) lines: Vec<Line>,
}

impl Lines {
    /// These, in their order, as somebody who may see the owner sees them.
    pub(super) async fn of(
        site: &Site,
        visitor: &Visitor,
        here: &Here,
        names: &Names,
        deliveries: &[Delivery],
        with_event: bool,
    ) -> Result<Self, Oops> {
        let mut about = HashMap::new();
        if with_event {
            let events: BTreeSet<_> = deliveries.iter().map(|delivery| delivery.id.event).collect();
            let events = try_join_all(events.into_iter().map(|id| site.parts.store.event(id))).await?;
            about.extend(events.into_iter().flatten().map(|event| (event.id, event.resource)));
        }
        let lang = visitor.lang();
        let line = |delivery: &Delivery| Line {
            href: href(here, delivery.id),
            at: visitor.reader.moment(delivery.id.event.at()),
            kind: describe::event(lang, &site.parts.catalogue, &delivery.kind),
            resource: names.resource(about.get(&delivery.id.event).and_then(Option::as_ref)),
            hook: names.hook_name(lang, delivery),
            format: format_name(lang, &delivery.format),
            place: names.place(lang, delivery),
            badge: state(lang, delivery.state),
            why: why(lang, delivery.state),
            due: delivery.due.map(|at| visitor.reader.moment(at)),
            attempts: attempts(lang, delivery.attempts),
        };
        let shown = deliveries.iter().filter(|one| !is_private(&site.parts.catalogue, &one.kind));
        Ok(Self { w: lang, with_event, lines: shown.map(line).collect() })
    }
}

/// The address of a delivery's page.
pub(super) fn href(here: &Here, id: DeliveryId) -> String {
    here.path(&format!("deliveries/{id}"))
}

/// How often it was tried, in words.
pub(super) fn attempts(lang: Lang, made: u32) -> String {
    match made {
        0 => lang.no_attempt().to_owned(),
        1 => lang.one_attempt().to_owned(),
        more => lang.attempts(lang.count(u64::from(more))),
    }
}

/// One event of a list.
pub(super) struct EventLine {
    id: String,
    href: String,
    at: Moment,
    kind: String,
    severity: &'static str,
    resource: String,
}

/// Some events.
#[derive(Template)]
#[template(path = "console/event_lines.html")]
pub(super) struct EventLines {
    pub(super) lines: Vec<EventLine>,
}

impl EventLines {
    /// These, in their order.
    pub(super) fn of(
        site: &Site,
        visitor: &Visitor,
        here: &Here,
        resources: &HashMap<ResourceId, String>,
        events: &[Event],
    ) -> Self {
        let catalogue = &site.parts.catalogue;
        let line = |event: &Event| EventLine {
            id: event.id.to_string(),
            href: here.path(&format!("events/{}", event.id)),
            at: visitor.reader.moment(event.id.at()),
            kind: describe::event(visitor.lang(), catalogue, &event.kind),
            severity: severity(catalogue, &event.kind),
            resource: event
                .resource
                .as_ref()
                .map_or_else(String::new, |id| resources.get(id).cloned().unwrap_or_else(|| id.to_string())),
        };
        Self { lines: events.iter().map(line).collect() }
    }
}

/// One group of a menu: its heading, empty for none, and what can be chosen.
pub(super) struct Group {
    label: String,
    options: Vec<(String, String, bool)>,
}

/// The inside of a `select`.
#[derive(Template)]
#[template(path = "console/options.html")]
pub(super) struct Options {
    groups: Vec<Group>,
}

impl Options {
    /// Groups of values and their words; `chosen` is shown as such.
    pub(super) fn new(
        chosen: &str,
        groups: impl IntoIterator<Item = (String, Vec<(String, String)>)>,
    ) -> Self {
        let groups = groups.into_iter().map(|(label, options)| Group {
            label,
            options: options
                .into_iter()
                .map(|(value, words)| {
                    let is_chosen = value == chosen;
                    (value, words, is_chosen)
                })
                .collect(),
        });
        Self { groups: groups.collect() }
    }

    /// The menu of events: every one, families, then kinds by category.
    pub(super) fn events(lang: Lang, catalogue: &Catalogue, chosen: &str) -> Self {
        let told = |name: &str| (name.to_owned(), describe::event(lang, catalogue, name));
        let mut groups = vec![(String::new(), vec![(String::new(), lang.every_event().to_owned())])];
        let families = catalogue.families().iter().map(|family| told(&family.name)).collect();
        groups.push((lang.families().to_owned(), families));
        groups.extend(
            by_category(lang, catalogue).into_iter().map(|(category, kinds)| {
                (category, kinds.into_iter().map(|kind| told(&kind.name)).collect())
            }),
        );
        Self::new(chosen, groups)
    }
}

/// The kinds that are shown, under their categories, in the catalogue's order.
pub(super) fn by_category(
    lang: Lang,
    catalogue: &Catalogue,
) -> Vec<(String, Vec<&sonnette_core::catalogue::Kind>)> {
    let mut groups: Vec<(&str, Vec<_>)> = Vec::new();
    for kind in catalogue.kinds().iter().filter(|kind| !kind.private) {
        match groups.iter_mut().find(|(category, _)| *category == kind.category) {
            Some((_, kinds)) => kinds.push(kind),
            None => groups.push((&kind.category, vec![kind])),
        }
    }
    let named = |category: &str| lang.named(category).unwrap_or(category).to_owned();
    groups.into_iter().map(|(category, kinds)| (named(category), kinds)).collect()
}
