//! The lists of e-mail hooks and webhooks, and what is done to one with a button: pause, resume, delete.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::future::try_join_all;
use http::StatusCode;
use sonnette_core::formats;
use sonnette_core::ids::{HookId, OwnerId, ResourceId, UserId};
use sonnette_core::message::one_line;
use sonnette_core::model::{Delivery, Hook, HookState, HookView, Way};
use sonnette_core::ports::{Changed, DeliveryFilter, HookFilter, Page, Turn};
use url::form_urlencoded::Serializer;

use super::describe::{self, Dots};
use super::form::{Checked, Form};
use super::frame::{Frame, Section, show};
use super::oops::Oops;
use super::reader::{Here, Visitor};
use super::secret;
use super::time::Moment;
use super::words::{Lang, Words};
use crate::http::{At, Place, Site};

/// Hooks of one page.
const PAGE: usize = 25;
/// Results shown of each.
const RESULTS: usize = 5;
/// Destinations told before the rest is counted.
const URLS: usize = 3;

/// Letters or posts: the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// E-mail hooks.
    Emails,
    /// Webhooks.
    Webhooks,
}

impl Sort {
    /// The last part of the list's path.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Emails => "emails",
            Self::Webhooks => "webhooks",
        }
    }

    /// Where it stands in the navigation.
    pub(super) fn section(self) -> Section {
        match self {
            Self::Emails => Section::Emails,
            Self::Webhooks => Section::Webhooks,
        }
    }

    /// Whether a hook is of this sort.
    pub(super) fn holds(self, hook: &Hook) -> bool {
        matches!(hook.way, Way::Email { .. }) == (self == Self::Emails)
    }
}

/// A hook of an owner, by their ids in the path, in the list it is looked for.
///
/// # Errors
/// [`Oops::NotFound`] if it is not there.
pub(super) async fn found(site: &Site, here: &Here, sort: Sort, hook: &str) -> Result<HookView, Oops> {
    let id: HookId = hook.parse().map_err(|_| Oops::NotFound)?;
    let view = site.parts.store.hook(id).await?.ok_or(Oops::NotFound)?;
    if view.hook.owner == here.owner && sort.holds(&view.hook) { Ok(view) } else { Err(Oops::NotFound) }
}

/// Names of an owner's people, for words about hooks.
pub(super) async fn people(site: &Site, owner: OwnerId) -> Result<HashMap<UserId, String>, Oops> {
    let users = match owner {
        OwnerId::User(id) => site.parts.store.user(id).await?.into_iter().collect(),
        OwnerId::Organisation(id) => {
            site.parts.store.members(id).await?.into_iter().map(|member| member.user).collect::<Vec<_>>()
        }
    };
    let name = |name: String, email: String| if name.is_empty() { email } else { name };
    Ok(users.into_iter().map(|user| (user.id, name(user.name, user.email))).collect())
}

/// Names of an owner's applications and add-ons, by each of their ids.
pub(super) async fn resources(site: &Site, owner: OwnerId) -> Result<HashMap<ResourceId, String>, Oops> {
    let mut names = HashMap::new();
    for resource in site.parts.store.resources(owner).await? {
        if let Some(real) = resource.real_id {
            names.insert(real, resource.name.clone());
        }
        names.insert(resource.id, resource.name);
    }
    Ok(names)
}

/// One hook of a list.
struct Row {
    id: String,
    name: String,
    /// Where to: formats with their URLs, or the recipients in words.
    to: Vec<(String, String)>,
    events: String,
    scope: String,
    badge: (&'static str, &'static str),
    failing_since: Option<Moment>,
    held: Option<String>,
    dead: Option<String>,
    dots: Dots,
    last_at: Option<Moment>,
    paused: bool,
    holds: bool,
    secret: bool,
    /// Addresses that have not said whether they want it, and such whose readers want no more of it.
    unconfirmed: Option<String>,
    stopped: Option<String>,
}

#[derive(askama::Template)]
#[template(path = "console/hooks.html")]
struct ListPage {
    frame: Frame,
    base: String,
    emails: bool,
    may_change: bool,
    who_can: String,
    rows: Vec<Row>,
    /// Whether there is any hook, shown or not.
    any: bool,
    filterable: bool,
    q: String,
    states: Vec<(&'static str, &'static str, bool)>,
    pager: Option<Pager>,
}

/// Links to the pages before and after.
struct Pager {
    previous: Option<String>,
    next: Option<String>,
}

/// `GET /o/{owner}/emails` and `/webhooks`
pub(super) async fn list(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place(owner): Place<String>,
    request: Request,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    let lang = visitor.lang();
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let (store, email) = (&site.parts.store, Some(sort == Sort::Emails));
    // As names are stored.
    let (q, state) = (one_line(query.get("q").trim()), query.get("state"));
    let cursor = |name: &str| query.get(name).parse::<HookId>().ok();
    let (after, before) = (cursor("after"), cursor("before"));
    let backwards = after.is_none() && before.is_some();
    let filter =
        HookFilter { email, state: HookState::parse(state), text: q.to_lowercase(), newest_first: backwards };
    let narrowed = !filter.text.is_empty() || filter.state.is_some();
    let page = Page { after: after.or(before), limit: PAGE + 1 };
    let mut views = store.hooks_of(here.owner, filter, page).await?;
    let more = views.len() > PAGE;
    views.truncate(PAGE);
    if backwards {
        views.reverse();
    }
    let base = here.path(sort.path());
    let link = |place: Option<(&str, HookId)>| {
        let mut link = Serializer::new(String::new());
        for (name, value) in
            [("q", q.as_str()), ("state", state)].into_iter().filter(|(_, value)| !value.is_empty())
        {
            link.append_pair(name, value);
        }
        if let Some((name, id)) = place {
            link.append_pair(name, &id.to_string());
        }
        let query = link.finish();
        if query.is_empty() { base.clone() } else { format!("{base}?{query}") }
    };
    let placed = after.or(before).is_some();
    if placed && (views.is_empty() || (backwards && !more)) {
        // The first page is whole, and a page that has emptied since is none.
        return Ok(Redirect::to(&link(None)).into_response());
    }
    let (has_previous, has_next) = if backwards { (true, true) } else { (placed, more) };
    let first = views.first().filter(|_| has_previous).map(|view| link(Some(("before", view.hook.id))));
    let last = views.last().filter(|_| has_next).map(|view| link(Some(("after", view.hook.id))));
    let pager = (has_previous || has_next).then_some(Pager { previous: first, next: last });
    // Worth narrowing where there are more than one sees at a glance.
    let filterable = narrowed || placed || views.len() > 5;
    let any = narrowed || !views.is_empty();

    let lately = views.iter().map(|view| {
        let filter = DeliveryFilter { hook: Some(view.hook.id), ..DeliveryFilter::default() };
        site.parts.store.deliveries(filter, Page { after: None, limit: RESULTS })
    });
    let (lately, people, resources) = (
        try_join_all(lately).await?,
        if sort == Sort::Emails { people(&site, here.owner).await? } else { HashMap::new() },
        if views.iter().any(|view| view.hook.scope.is_some()) {
            resources(&site, here.owner).await?
        } else {
            HashMap::new()
        },
    );
    let personal = matches!(here.owner, OwnerId::User(_));
    let row = |view: HookView, lately: Vec<Delivery>| {
        let to = match &view.hook.way {
            Way::Email { targets, .. } => {
                vec![(String::new(), describe::recipients(lang, targets, &people, personal))]
            }
            Way::Webhook { .. } => urls(lang, &view.hook),
        };
        let failing = describe::failing_since(&lately).filter(|_| view.hook.state == HookState::Enabled);
        Row {
            id: view.hook.id.to_string(),
            to,
            events: describe::events(lang, &site.parts.catalogue, view.hook.events.as_deref()),
            scope: describe::scope(lang, view.hook.scope.as_deref(), &resources),
            badge: match (view.hook.state, failing) {
                (HookState::Enabled, Some(_)) => ("bad", lang.failing()),
                (HookState::Enabled, None) => ("good", lang.enabled()),
                (HookState::Paused, _) => ("warn", lang.paused()),
                (HookState::Disabled, _) => ("bad", lang.disabled()),
            },
            failing_since: failing.map(|at| visitor.reader.moment(at)),
            unconfirmed: describe::addresses(lang, view.unconfirmed.iter()).map(|all| lang.unconfirmed(all)),
            stopped: describe::addresses(lang, view.stopped.iter().map(|(address, _)| address))
                .map(|all| lang.stopped_by(all)),
            held: (view.held > 0).then(|| lang.held(lang.count(view.held))),
            dead: (view.dead > 0).then(|| lang.dead(lang.count(view.dead))),
            dots: Dots::of(lang, &lately),
            last_at: lately.first().map(|last| visitor.reader.moment(last.id.event.at())),
            paused: view.hook.state != HookState::Enabled,
            holds: view.held > 0,
            secret: secret::signs(&view.hook),
            name: view.hook.name,
        }
    };
    let rows: Vec<_> = views.into_iter().zip(lately).map(|(view, lately)| row(view, lately)).collect();
    let title = if sort == Sort::Emails { lang.emails() } else { lang.webhooks() };
    let states = [("", lang.any_state()), ("enabled", lang.enabled()), ("paused", lang.paused())]
        .into_iter()
        .chain([("disabled", lang.disabled())])
        .map(|(value, label)| (value, label, state == value))
        .collect();
    let page = ListPage {
        frame: Frame::of(&visitor.reader, title, Some(&here), sort.section())
            .with_notice(said(lang, query.get("said")).map(str::to_owned)),
        base,
        emails: sort == Sort::Emails,
        may_change: here.may_change,
        who_can: here.who_can.unwrap_or_default(),
        rows,
        any,
        filterable,
        q,
        states,
        pager,
    };
    Ok(show(StatusCode::OK, &page))
}

/// The title of a format.
pub(super) fn format_title(name: &str) -> String {
    formats::find(name).map_or(name, |format| format.title).to_owned()
}

fn urls(lang: Lang, hook: &Hook) -> Vec<(String, String)> {
    let Way::Webhook { destinations } = &hook.way else { return Vec::new() };
    let mut shown: Vec<_> = destinations
        .iter()
        .take(URLS)
        .map(|one| (format_title(&one.format), formats::shown(&one.format, &one.url)))
        .collect();
    if let Some(more) = destinations.len().checked_sub(URLS).filter(|more| *more > 0) {
        shown.push((String::new(), lang.and_more("…", more)));
    }
    shown
}

/// What is told once after something was done.
fn said(lang: Lang, what: &str) -> Option<&'static str> {
    Some(match what {
        "added" => lang.said_added(),
        "saved" => lang.said_saved(),
        "paused" => lang.said_paused(),
        "resumed" => lang.said_resumed(),
        "deleted" => lang.said_deleted(),
        _ => return None,
    })
}

/// Back to the list, with something to tell.
pub(super) fn back(here: &Here, sort: Sort, said: &str) -> Response {
    Redirect::to(&format!("{}?said={said}", here.path(sort.path()))).into_response()
}

impl Site {
    /// What a change of a hook came to, and tells the house of it.
    pub(super) fn changed(&self, changed: Changed) -> Result<(), Oops> {
        match changed {
            Changed::Done => {
                self.hooks_changed.notify_one();
                Ok(())
            }
            _ => Err(Oops::NotFound),
        }
    }
}

/// `POST /o/{owner}/{sort}/{hook}/pause`
pub(super) async fn pause(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place((owner, hook)): Place<(String, String)>,
    _form: Checked,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let view = found(&site, &here, sort, &hook).await?;
    site.changed(site.parts.store.turn_hook(view.hook.id, Turn::Pause, visitor.reader.now).await?)?;
    Ok(back(&here, sort, "paused"))
}

#[derive(askama::Template)]
#[template(path = "console/resume.html")]
struct ResumePage {
    frame: Frame,
    base: String,
    intro: String,
    disabled: bool,
}

/// `GET /o/{owner}/{sort}/{hook}/resume`: asks what becomes of what is held.
pub(super) async fn ask_resume(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place((owner, hook)): Place<(String, String)>,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let view = found(&site, &here, sort, &hook).await?;
    let lang = visitor.lang();
    let title = lang.resume_title(&view.hook.name);
    let page = ResumePage {
        frame: Frame::of(&visitor.reader, title, Some(&here), sort.section()),
        base: here.path(sort.path()),
        intro: lang.resume_intro(lang.count(view.held)),
        disabled: view.hook.state == HookState::Disabled,
    };
    Ok(show(StatusCode::OK, &page))
}

/// `POST /o/{owner}/{sort}/{hook}/resume`
pub(super) async fn resume(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place((owner, hook)): Place<(String, String)>,
    Checked(form): Checked,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let view = found(&site, &here, sort, &hook).await?;
    let turn = if form.get("held") == "skip" { Turn::Skip } else { Turn::CatchUp };
    site.changed(site.parts.store.turn_hook(view.hook.id, turn, visitor.reader.now).await?)?;
    Ok(back(&here, sort, "resumed"))
}

#[derive(askama::Template)]
#[template(path = "console/delete.html")]
struct DeletePage {
    frame: Frame,
    base: String,
    stops: Option<String>,
}

/// `GET /o/{owner}/{sort}/{hook}/delete`: says what stops.
pub(super) async fn ask_delete(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place((owner, hook)): Place<(String, String)>,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let view = found(&site, &here, sort, &hook).await?;
    let lang = visitor.lang();
    let by_default = site.parts.catalogue.default_hooks().iter().any(|one| one.name == view.hook.name);
    let stops = (by_default && sort == Sort::Emails).then(|| {
        lang.delete_default(describe::events(lang, &site.parts.catalogue, view.hook.events.as_deref()))
    });
    let title = lang.delete_title(&view.hook.name);
    let page = DeletePage {
        frame: Frame::of(&visitor.reader, title, Some(&here), sort.section()),
        base: here.path(sort.path()),
        stops,
    };
    Ok(show(StatusCode::OK, &page))
}

/// `POST /o/{owner}/{sort}/{hook}/delete`
pub(super) async fn delete(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place((owner, hook)): Place<(String, String)>,
    _form: Checked,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let view = found(&site, &here, sort, &hook).await?;
    site.changed(site.parts.store.delete_hook(view.hook.id).await?)?;
    Ok(back(&here, sort, "deleted"))
}
