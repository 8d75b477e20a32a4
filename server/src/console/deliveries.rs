//! What was sent, and what was not, and why: newest first, narrowed by what the address says, which can be shared.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sonnette_core::ids::{DeliveryId, HookId, ResourceId};
use sonnette_core::model::{Delivery, MINUTE, Millis, State as Stands};
use sonnette_core::ports::{DeliveryFilter, Page};
use url::form_urlencoded::Serializer;

use super::form::Form;
use super::frame::{Frame, Section, show};
use super::oops::Oops;
use super::reader::Visitor;
use super::told::{self, Lines, Names, Options};
use super::words::{Lang, Words};
use crate::http::{At, Place};

/// Deliveries of one page.
const PAGE: usize = 50;
/// Names offered while one is typed.
const OFFERED: usize = 100;
/// Of how many dead and held ones the reasons are told.
const LATEST: usize = 200;
/// Deliveries shown of each reason.
const OF_ONE_REASON: usize = 5;

/// What the address asks for. Each text is as it is shown again; what is wrong with it is said beside it.
#[derive(Default)]
struct Asked {
    filter: DeliveryFilter,
    /// The fields as they stand in a link: ids, and times in UTC.
    canonical: Vec<(&'static str, String)>,
    hook: String,
    event: String,
    resource: String,
    state: String,
    from: String,
    until: String,
    wrong_hook: bool,
    wrong_resource: bool,
    wrong_from: bool,
    wrong_until: bool,
    /// Whether anything is asked.
    narrowed: bool,
}

impl Asked {
    fn read(query: &Form, names: &Names, zone: &TimeZone, site: &crate::http::Site) -> Self {
        let text = |name: &str| query.get(name).trim().to_owned();
        let mut asked = Self {
            hook: text("hook"),
            event: text("event"),
            resource: text("resource"),
            state: text("state"),
            ..Self::default()
        };
        let filter = &mut asked.filter;
        if !asked.hook.is_empty() {
            match find_hook(names, &asked.hook) {
                Some((id, name)) => {
                    filter.hook = Some(id);
                    asked.canonical.push(("hook", id.to_string()));
                    asked.hook = name;
                }
                None => asked.wrong_hook = true,
            }
        }
        if site.parts.catalogue.knows(&asked.event) {
            filter.kinds = Some(match site.parts.catalogue.family(&asked.event) {
                Some(family) => {
                    let kinds =
                        family.kinds.iter().filter_map(|number| site.parts.catalogue.kind_at(*number));
                    kinds.map(|kind| kind.name.clone()).collect()
                }
                None => vec![asked.event.clone()],
            });
            asked.canonical.push(("event", asked.event.clone()));
        }
        if !asked.resource.is_empty() {
            match find_resource(names, &asked.resource) {
                Some((id, name)) => {
                    asked.canonical.push(("resource", id.to_string()));
                    filter.resource = Some(id);
                    asked.resource = name;
                }
                None => asked.wrong_resource = true,
            }
        }
        let (name, reason) = asked.state.split_once('.').unwrap_or((&asked.state, ""));
        let known =
            |state: &Stands| state.name() == name && (reason.is_empty() || state.reason() == Some(reason));
        if Stands::all().any(|state| known(&state)) {
            (filter.state, filter.reason) =
                (Some(name.to_owned()), (!reason.is_empty()).then(|| reason.to_owned()));
            asked.canonical.push(("state", asked.state.clone()));
        }
        let mut time = |name: &'static str, more: Millis| {
            let given = text(name);
            let read = read_time(&given, zone);
            if let Some(at) = read {
                asked.canonical.push((name, utc(at)));
            }
            let shown = read.map_or_else(|| given.clone(), |at| local(at, zone));
            (read.map(|at| at + more), shown, read.is_none() && !given.is_empty())
        };
        (filter.from, asked.from, asked.wrong_from) = time("from", 0);
        // Up to and with the minute that was said.
        (filter.until, asked.until, asked.wrong_until) = time("until", MINUTE);
        asked.narrowed = !asked.canonical.is_empty() || asked.is_wrong();
        asked
    }

    fn is_wrong(&self) -> bool {
        self.wrong_hook || self.wrong_resource || self.wrong_from || self.wrong_until
    }

    /// The query of a page of this list.
    fn query(&self, place: Option<(&str, &str)>) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(&self.canonical);
        query.extend_pairs(place);
        query.finish()
    }
}

/// A hook by its id, by its name, or by a part of it that no other has.
fn find_hook(names: &Names, text: &str) -> Option<(HookId, String)> {
    if let Ok(id) = text.parse() {
        // One that was deleted has its deliveries still.
        return Some((id, names.hook(id).map_or_else(|| text.to_owned(), |hook| hook.name.clone())));
    }
    let all = names.hooks.iter().map(|view| (view.hook.id, view.hook.name.as_str()));
    only(all, text).map(|(id, name)| (id, name.to_owned()))
}

pub(super) fn find_resource(names: &Names, text: &str) -> Option<(ResourceId, String)> {
    if let Ok(id) = text.parse::<ResourceId>() {
        let name = names.resources.get(&id).cloned().unwrap_or_else(|| text.to_owned());
        return Some((id, name));
    }
    only(named(names), text).map(|(id, name)| (id.clone(), name.to_owned()))
}

/// Applications and add-ons by the ids events have.
pub(super) fn named(names: &Names) -> impl Iterator<Item = (&ResourceId, &str)> {
    use sonnette_core::ids::ResourceShape;
    let own = names.resources.iter().filter(|(id, _)| id.shape() != ResourceShape::RealId);
    own.map(|(id, name)| (id, name.as_str()))
}

/// The first of that name, or the only one whose name holds it.
fn only<'a, T>(all: impl Iterator<Item = (T, &'a str)>, text: &str) -> Option<(T, &'a str)> {
    let wanted = text.to_lowercase();
    let mut holding = Vec::new();
    for (id, name) in all {
        let own = name.to_lowercase();
        if own == wanted {
            return Some((id, name));
        }
        if own.contains(&wanted) {
            holding.push((id, name));
        }
    }
    if holding.len() == 1 { holding.pop() } else { None }
}

/// A time as a field gives it, in its reader's zone, or as a link does, in UTC.
fn read_time(text: &str, zone: &TimeZone) -> Option<Millis> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    let time: DateTime = text.parse().ok()?;
    Some(time.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond())
}

fn utc(at: Millis) -> String {
    Timestamp::from_millisecond(at)
        .map_or_else(|_| String::new(), |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn local(at: Millis, zone: &TimeZone) -> String {
    Timestamp::from_millisecond(at).map_or_else(
        |_| String::new(),
        |time| time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string(),
    )
}

#[derive(askama::Template)]
#[template(path = "console/deliveries.html")]
struct ListPage {
    frame: Frame,
    base: String,
    asked: Asked,
    events: Options,
    states: Options,
    hooks: Vec<String>,
    resources: Vec<String>,
    zone: String,
    lines: Lines,
    newer: Option<String>,
    older: Option<String>,
    undelivered: Option<String>,
}

/// `GET /o/{owner}/deliveries`
pub(super) async fn list(
    State(site): At,
    visitor: Visitor,
    Place(owner): Place<String>,
    request: Request,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    let lang = visitor.lang();
    let given = request.uri().query().unwrap_or_default();
    let query = Form::parse(given);
    let names = Names::of(&site, here.owner).await?;
    let mut asked = Asked::read(&query, &names, &visitor.reader.zone, &site);
    asked.filter.owner = Some(here.owner);
    let base = here.path("deliveries");
    let cursor = |name: &str| query.get(name).parse::<DeliveryId>().ok();
    let (after, before) = (cursor("after"), cursor("before"));
    let place = match (after, before) {
        (Some(after), _) => Some(("after", after.to_string())),
        (None, Some(before)) => Some(("before", before.to_string())),
        (None, None) => None,
    };
    let link = |query: String| if query.is_empty() { base.clone() } else { format!("{base}?{query}") };
    let canonical = asked.query(place.as_ref().map(|(name, id)| (*name, id.as_str())));
    if canonical != given && !asked.is_wrong() {
        // What is in the address bar can be given to somebody who calls things otherwise, and lives elsewhere.
        return Ok(Redirect::to(&link(canonical)).into_response());
    }
    let mut found = Vec::new();
    let (mut has_newer, mut has_older) = (false, false);
    if !asked.is_wrong() {
        let backwards = after.is_none() && before.is_some();
        let filter = DeliveryFilter { oldest_first: backwards, ..asked.filter.clone() };
        let page = Page { after: after.or(before), limit: PAGE + 1 };
        found = site.parts.store.deliveries(filter, page).await?;
        let more = found.len() > PAGE;
        if backwards && !more {
            // The newest page is whole.
            return Ok(Redirect::to(&link(asked.query(None))).into_response());
        }
        found.truncate(PAGE);
        if backwards {
            found.reverse();
        }
        (has_newer, has_older) = if backwards { (true, true) } else { (after.is_some(), more) };
    }
    let key = |one: Option<&Delivery>| one.map(|one| one.id.to_string()).unwrap_or_default();
    let (first, last) = (key(found.first()), key(found.last()));
    let newer = has_newer.then(|| {
        link(if found.is_empty() { asked.query(None) } else { asked.query(Some(("before", &first))) })
    });
    let older = has_older.then(|| link(asked.query(Some(("after", &last)))));
    let (dead, held) =
        names.hooks.iter().fold((0, 0), |(dead, held), view| (dead + view.dead, held + view.held));
    let lines = Lines::of(&site, &visitor, &here, &names, &found, true).await?;
    let mut resources: Vec<_> = named(&names).map(|(_, name)| name.to_owned()).collect();
    resources.sort_unstable();
    resources.truncate(OFFERED);
    let page = ListPage {
        frame: Frame::of(&visitor.reader, lang.deliveries(), Some(&here), Section::Deliveries),
        base: base.clone(),
        events: Options::events(lang, &site.parts.catalogue, &asked.event),
        states: states(lang, &asked.state),
        hooks: names.hooks.iter().take(OFFERED).map(|view| view.hook.name.clone()).collect(),
        resources,
        zone: visitor.reader.zone.iana_name().unwrap_or("UTC").to_owned(),
        lines,
        newer,
        older,
        undelivered: (dead + held > 0).then(|| lang.undelivered_count(lang.count(dead), lang.count(held))),
        asked,
    };
    Ok(show(StatusCode::OK, &page))
}

/// The menu of states, with the reasons of those that have some.
fn states(lang: Lang, chosen: &str) -> Options {
    let (mut plain, mut groups) = (vec![(String::new(), lang.any_state().to_owned())], Vec::new());
    for state in Stands::all() {
        let (name, words) = (state.name(), told::state(lang, state).1);
        match (state.reason(), told::why(lang, state)) {
            (Some(reason), Some(why)) => {
                let known = groups.iter().any(|(label, _): &(String, _)| label == words);
                if !known {
                    plain.push((name.to_owned(), words.to_owned()));
                    groups.push((words.to_owned(), Vec::new()));
                }
                if let Some((_, reasons)) = groups.last_mut() {
                    reasons.push((format!("{name}.{reason}"), why.to_owned()));
                }
            }
            _ => plain.push((name.to_owned(), words.to_owned())),
        }
    }
    Options::new(chosen, [(String::new(), plain)].into_iter().chain(groups))
}

/// Deliveries that were not made for one reason.
struct Reason {
    words: &'static str,
    badge: (&'static str, &'static str),
    count: String,
    link: String,
    lines: Lines,
}

#[derive(askama::Template)]
#[template(path = "console/undelivered.html")]
struct UndeliveredPage {
    frame: Frame,
    base: String,
    reasons: Vec<Reason>,
}

/// `GET /o/{owner}/deliveries/undelivered`: not delivered, and why.
pub(super) async fn undelivered(
    State(site): At,
    visitor: Visitor,
    Place(owner): Place<String>,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    let lang = visitor.lang();
    let names = Names::of(&site, here.owner).await?;
    let base = here.path("deliveries");
    let mut found = Vec::new();
    for name in ["dead", "held"] {
        let filter = DeliveryFilter {
            owner: Some(here.owner),
            state: Some(name.to_owned()),
            ..DeliveryFilter::default()
        };
        found.extend(site.parts.store.deliveries(filter, Page { after: None, limit: LATEST }).await?);
    }
    let mut reasons = Vec::new();
    for state in Stands::all().filter(|state| matches!(state, Stands::Dead(_) | Stands::Held(_))) {
        let mut of_it: Vec<_> = found.iter().filter(|one| one.state == state).cloned().collect();
        let (Some(words), Some(reason)) = (told::why(lang, state), state.reason()) else { continue };
        if of_it.is_empty() {
            continue;
        }
        let count = of_it.len();
        of_it.truncate(OF_ONE_REASON);
        reasons.push(Reason {
            words,
            badge: told::state(lang, state),
            count: if count < LATEST {
                lang.count(u64::try_from(count).unwrap_or(u64::MAX))
            } else {
                format!("{LATEST}+")
            },
            link: format!("{base}?state={}.{reason}", state.name()),
            lines: Lines::of(&site, &visitor, &here, &names, &of_it, true).await?,
        });
    }
    let page = UndeliveredPage {
        frame: Frame::of(&visitor.reader, lang.undelivered(), Some(&here), Section::Deliveries),
        base,
        reasons,
    };
    Ok(show(StatusCode::OK, &page))
}
