//! The form of a hook: adding one, and editing it.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use sonnette_core::formats::{self, FORMATS};
use sonnette_core::ids::OwnerId;
use sonnette_core::model::{Hook, HookView, Role, Way};

use super::choice::{self, Choice, Group, Tick};
use super::describe;
use super::filled::Filled;
use super::form::Form;
use super::frame::{Frame, show};
use super::guides;
use super::hooks::{self, Sort};
use super::oops::Oops;
use super::preview::Preview;
use super::reader::{Here, Visitor};
use super::tested::{self, Tried};
use super::time::Moment;
use super::typed::{Typed, TypedUrl, version};
use super::words::{Lang, Words};
use crate::http::{At, Place, Site};

/// One URL of the form.
struct UrlField {
    at: usize,
    id: String,
    label: String,
    url: String,
    kept: bool,
    removable: bool,
    dropped: bool,
    formats: Vec<(&'static str, &'static str, bool)>,
    recognise: bool,
    fields: Vec<FormatField>,
    url_error: Option<String>,
    format_error: Option<String>,
}

/// What a format takes besides the URL.
struct FormatField {
    format: &'static str,
    name: String,
    title: &'static str,
    hint: &'static str,
    secret: bool,
    required: bool,
    shown: bool,
    value: String,
    error: Option<String>,
}

#[derive(askama::Template)]
#[template(path = "console/hook_form.html")]
struct FormPage {
    frame: Frame,
    base: String,
    action: String,
    emails: bool,
    /// The hook that is edited, by its id; empty for a new one.
    hook: String,
    version: String,
    warning: Option<&'static str>,
    errors: BTreeMap<String, String>,
    name: String,
    suggested: String,
    urls: Vec<UrlField>,
    guides: Vec<(&'static str, &'static [&'static str])>,
    personal: bool,
    everyone: bool,
    everyone_label: String,
    roles: Vec<Tick>,
    members: Vec<Tick>,
    addresses: String,
    /// Addresses that have not said whether they want it.
    unconfirmed: Vec<String>,
    /// Addresses whose readers stopped it, and since when.
    stopped: Vec<(String, Moment)>,
    families: Vec<Tick>,
    kinds: Vec<Group>,
    choice: Choice,
    q: String,
    preview: Preview,
    tried: Option<Tried>,
}

impl FormPage {
    fn error(&self, field: &str) -> Option<&String> {
        self.errors.get(field)
    }
}

/// Why a form is shown (again).
#[derive(Default)]
struct Why {
    errors: BTreeMap<String, String>,
    warning: Option<&'static str>,
    /// What is looked for among the applications and add-ons.
    q: String,
    more_urls: bool,
    /// What came of trying it.
    tried: Option<Tried>,
}

async fn page(
    site: &Site,
    visitor: &Visitor,
    here: &Here,
    sort: Sort,
    (mut typed, view): (Typed, Option<&HookView>),
    why: Why,
) -> Result<Response, Oops> {
    let (lang, before) = (visitor.lang(), view.map(|view| &view.hook));
    if why.more_urls {
        typed.urls.push(TypedUrl::default());
    }
    let filled = Filled { site, visitor, here, sort, typed: &typed, before };
    let catalogue = &site.parts.catalogue;
    let tick = |name: &str, hint: String| Tick {
        value: name.to_owned(),
        label: describe::event(lang, catalogue, name),
        hint,
        ticked: typed.events.contains(name),
    };
    let families = catalogue.families().iter().map(|family| {
        let kinds = family.kinds.iter().filter_map(|number| catalogue.kind_at(*number));
        let words: Vec<_> = kinds.map(|kind| describe::event(lang, catalogue, &kind.name)).collect();
        tick(&family.name, words.join(", "))
    });
    // The order people look for: what is deployed first.
    let order =
        ["META_DEPLOYMENT_RESULT", "META_SERVICE_LIFECYCLE", "META_SERVICE_MANAGEMENT", "META_CREDITS"];
    let mut families: Vec<_> = families.collect();
    families.sort_by_key(|one| order.iter().position(|name| *name == one.value).unwrap_or(order.len()));
    let kinds =
        choice::kinds(lang, catalogue, |kind| Some(tick(&kind.name, kind.name.clone())), |one| one.ticked);
    let (roles, members) = if sort == Sort::Emails {
        (role_ticks(lang, &typed), member_ticks(site, here, &typed).await?)
    } else {
        (Vec::new(), Vec::new())
    };
    let preview = Preview::of(&filled).await?;
    let choice = choice(site, lang, here, &typed, &why.q).await?;
    let title = match (before, sort) {
        (Some(hook), _) => hook.name.clone(),
        (None, Sort::Emails) => lang.new_email().to_owned(),
        (None, Sort::Webhooks) => lang.new_webhook().to_owned(),
    };
    let base = here.path(sort.path());
    let guides = FORMATS.iter().map(|format| (format.title, guides::steps(lang, format.name)));
    let page = FormPage {
        frame: Frame::of(&visitor.reader, title, Some(here), sort.section()),
        action: before.map_or_else(|| base.clone(), |hook| format!("{base}/{}", hook.id)),
        base,
        emails: sort == Sort::Emails,
        hook: before.map(|hook| hook.id.to_string()).unwrap_or_default(),
        version: before.map(version).unwrap_or_default(),
        warning: why.warning,
        suggested: filled.suggested(),
        urls: url_fields(lang, &typed, before, &why.errors),
        guides: guides.filter(|(_, steps)| !steps.is_empty() && sort == Sort::Webhooks).collect(),
        personal: matches!(here.owner, OwnerId::User(_)),
        everyone: typed.everyone,
        everyone_label: lang.everyone_in(&here.name),
        roles,
        members,
        addresses: typed.addresses,
        unconfirmed: view.map(|view| view.unconfirmed.clone()).unwrap_or_default(),
        stopped: view.map(|view| stopped(visitor, view)).unwrap_or_default(),
        families,
        kinds,
        choice,
        q: why.q,
        preview,
        tried: why.tried,
        errors: why.errors,
        name: typed.name,
    };
    let status = match &page.tried {
        Some(tried) => tried.status(),
        None if page.errors.is_empty() => StatusCode::OK,
        None => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Ok(show(status, &page))
}

fn stopped(visitor: &Visitor, view: &HookView) -> Vec<(String, Moment)> {
    view.stopped.iter().map(|(address, since)| (address.clone(), visitor.reader.moment(*since))).collect()
}

fn role_ticks(lang: Lang, typed: &Typed) -> Vec<Tick> {
    let tick = |role: Role| Tick {
        value: role.as_str().to_owned(),
        label: lang.named(role.as_str()).unwrap_or(role.as_str()).to_owned(),
        hint: String::new(),
        ticked: typed.roles.contains(role.as_str()),
    };
    Role::ALL.into_iter().map(tick).collect()
}

async fn member_ticks(site: &Site, here: &Here, typed: &Typed) -> Result<Vec<Tick>, Oops> {
    let OwnerId::Organisation(id) = here.owner else { return Ok(Vec::new()) };
    let members = site.parts.store.members(id).await?.into_iter().map(|member| Tick {
        ticked: typed.members.contains(&member.user.id.to_string()),
        value: member.user.id.to_string(),
        label: if member.user.name.is_empty() { member.user.email.clone() } else { member.user.name },
        hint: member.user.email,
    });
    let mut ticks: Vec<_> = members.collect();
    ticks.sort_by_cached_key(|one| (!one.ticked, one.label.to_lowercase()));
    Ok(ticks)
}

async fn choice(site: &Site, lang: Lang, here: &Here, typed: &Typed, q: &str) -> Result<Choice, Oops> {
    let all = site.parts.store.resources(here.owner).await?;
    Ok(Choice::of(lang, "scope", all, &typed.scope, q, |one| one.id.to_string()))
}

fn url_fields(
    lang: Lang,
    typed: &Typed,
    before: Option<&Hook>,
    errors: &BTreeMap<String, String>,
) -> Vec<UrlField> {
    let old = match before.map(|hook| &hook.way) {
        Some(Way::Webhook { destinations }) => destinations.as_slice(),
        _ => &[],
    };
    let several = typed.urls.len() > 1;
    let error = |name: &str| errors.get(name).cloned();
    let field = |(at, one): (usize, &TypedUrl)| {
        let kept = old.iter().find(|old| old.id.to_string() == one.id);
        let format = one.format(kept).map_or("raw", |format| format.name);
        let fields = FORMATS.iter().flat_map(|of| of.fields.iter().map(move |field| (of.name, field)));
        UrlField {
            at,
            id: one.id.clone(),
            label: if several { lang.webhook_url_n(at + 1) } else { lang.webhook_url().to_owned() },
            url: one.url.clone(),
            kept: kept.is_some() && formats::is_masked(&one.url),
            removable: several && kept.is_some(),
            dropped: one.dropped,
            formats: FORMATS.iter().map(|of| (of.name, of.title, of.name == one.format)).collect(),
            recognise: one.format.is_empty(),
            fields: fields
                .map(|(of, field)| {
                    let name = format!("field.{at}.{of}.{}", field.name);
                    FormatField {
                        format: of,
                        title: field.title,
                        hint: field.hint,
                        secret: field.secret,
                        required: field.required,
                        shown: of == format,
                        value: one
                            .fields
                            .get(&(of.to_owned(), field.name.to_owned()))
                            .cloned()
                            .unwrap_or_default(),
                        error: error(&name),
                        name,
                    }
                })
                .collect(),
            url_error: error(&format!("url.{at}")),
            format_error: error(&format!("format.{at}")),
        }
    };
    typed.urls.iter().enumerate().map(field).collect()
}

/// `GET /o/{owner}/{sort}/new`
pub(super) async fn new(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place(owner): Place<String>,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    page(&site, &visitor, &here, sort, (Typed::new(sort), None), Why::default()).await
}

/// `GET /o/{owner}/{sort}/{hook}`
pub(super) async fn edit(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place((owner, hook)): Place<(String, String)>,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let view = hooks::found(&site, &here, sort, &hook).await?;
    page(&site, &visitor, &here, sort, (Typed::of(&view.hook), Some(&view)), Why::default()).await
}

/// `POST /o/{owner}/{sort}`
pub(super) async fn add(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place(owner): Place<String>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Oops> {
    save(&site, sort, &visitor, (&owner, None), &form, tested::in_place(&headers)).await
}

/// `POST /o/{owner}/{sort}/{hook}`
pub(super) async fn replace(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place((owner, hook)): Place<(String, String)>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Oops> {
    save(&site, sort, &visitor, (&owner, Some(&hook)), &form, tested::in_place(&headers)).await
}

async fn save(
    site: &Site,
    sort: Sort,
    visitor: &Visitor,
    (owner, hook): (&str, Option<&str>),
    form: &Form,
    in_place: bool,
) -> Result<Response, Oops> {
    let here = visitor.at(site, owner).await?;
    here.to_change()?;
    let lang = visitor.lang();
    let typed = Typed::sent(form);
    let before = match hook {
        None => None,
        Some(hook) => match hooks::found(site, &here, sort, hook).await {
            Ok(view) => Some(view),
            Err(Oops::NotFound) => {
                // Deleted meanwhile: what was typed becomes a new one, if it is sent again.
                let mut typed = typed;
                typed.urls.iter_mut().for_each(|one| one.id.clear());
                let why = Why { warning: Some(lang.deleted_meanwhile()), ..Why::default() };
                return page(site, visitor, &here, sort, (typed, None), why).await;
            }
            Err(oops) => return Err(oops),
        },
    };
    let (view, before) = (before.as_ref(), before.as_ref().map(|view| &view.hook));
    let q = form.get("find").to_owned();
    // Buttons that only show the form again: without JavaScript they search, add a URL, or refresh the preview.
    if form.has("look") || form.has("more") {
        let why = Why { q, more_urls: form.has("more"), ..Why::default() };
        return page(site, visitor, &here, sort, (typed, view), why).await;
    }
    let filled = Filled { site, visitor, here: &here, sort, typed: &typed, before };
    // Tried as it is typed, whatever has become of what is saved.
    if form.has("test") && form.fresh {
        let (tried, errors) = filled.try_out().await?;
        if in_place {
            return Ok(tried.alone());
        }
        let why = Why { q, errors, tried: Some(tried), ..Why::default() };
        return page(site, visitor, &here, sort, (typed, view), why).await;
    }
    let stale = before.is_some_and(|hook| version(hook) != typed.version);
    let warning = match (form.fresh, stale) {
        (false, _) => Some(lang.session_changed()),
        (true, true) => Some(lang.changed_meanwhile()),
        (true, false) => None,
    };
    if let Some(warning) = warning {
        let why = Why { q, warning: Some(warning), ..Why::default() };
        return page(site, visitor, &here, sort, (typed, view), why).await;
    }
    match filled.keep().await {
        Ok(response) => Ok(response),
        Err(oops) => {
            let why = Why { q, errors: BTreeMap::from([filled.beside(&oops.mendable()?)]), ..Why::default() };
            page(site, visitor, &here, sort, (typed, view), why).await
        }
    }
}

/// `POST /o/{owner}/{sort}/resources`: the applications and add-ons that match, for a form that is being filled in.
pub(super) async fn resources(
    State(site): At,
    visitor: Visitor,
    Place(owner): Place<String>,
    form: Form,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let choice = choice(&site, visitor.lang(), &here, &Typed::sent(&form), form.get("find")).await?;
    Ok(show(StatusCode::OK, &choice))
}
