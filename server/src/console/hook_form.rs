//! Adding and editing a hook. The API's own rules judge what is typed; their word is put beside the field it is about.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};
use sonnette_core::formats::{self, FORMATS};
use sonnette_core::ids::{HookId, OwnerId};
use sonnette_core::model::{Hook, HookView, Role, Way};
use sonnette_core::ports::Changed;
use sonnette_core::signing;
use url::Url;

use super::choice::{self, Choice, Group, Tick};
use super::describe;
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
use crate::contract::problem::{Id, Problem};
use crate::egress::guard::Refused;
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
    let preview = Preview::of(site, visitor, here, sort, &typed, before).await?;
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
        suggested: suggested(lang, sort, &typed, before),
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

/// The name a hook gets if none is typed.
pub(super) fn suggested(lang: Lang, sort: Sort, typed: &Typed, before: Option<&Hook>) -> String {
    match sort {
        Sort::Emails => lang.suggested_email().to_owned(),
        Sort::Webhooks => {
            let first = typed.wanted(before).next().and_then(|(_, one, old)| one.format(old));
            match first {
                Some(format) if format.name != "raw" => lang.suggested(format.title),
                // A service of one's own is known by its host.
                _ => {
                    let url = typed.wanted(before).next().and_then(|(_, one, old)| one.whole_url(old));
                    let url = url.and_then(|url| Url::parse(url.expose()).ok());
                    lang.suggested(url.as_ref().and_then(Url::host_str).unwrap_or("JSON"))
                }
            }
        }
    }
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
    // Tried as it is typed, whatever has become of what is saved.
    if form.has("test") && form.fresh {
        let (tried, errors) = try_out(site, visitor, &here, sort, &typed, before).await?;
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
    match keep(site, visitor, &here, sort, &typed, before).await {
        Ok(response) => Ok(response),
        Err(Oops::Problem(problem)) if problem.id != Id::Unavailable && problem.id != Id::Busy => {
            let (field, words) = beside(site, lang, &problem, &typed, before);
            let why = Why { q, errors: BTreeMap::from([(field, words)]), ..Why::default() };
            page(site, visitor, &here, sort, (typed, view), why).await
        }
        Err(oops) => Err(oops),
    }
}

/// The hook that is meant, by the API's rules.
async fn meant(
    site: &Site,
    here: &Here,
    (lang, sort): (Lang, Sort),
    typed: &Typed,
    before: Option<&Hook>,
) -> Result<Hook, Oops> {
    let given = typed.given(sort, before, &suggested(lang, sort, typed, before));
    let meant = given.meant(&site.parts.catalogue, &site.guard)?;
    let id = before.map_or_else(|| HookId(site.parts.luck.id()), |hook| hook.id);
    Ok(site.hook(id, here.owner, meant, before).await?)
}

/// Tries what is meant; what is wrong with it is also said beside its field.
async fn try_out(
    site: &Site,
    visitor: &Visitor,
    here: &Here,
    sort: Sort,
    typed: &Typed,
    before: Option<&Hook>,
) -> Result<(Tried, BTreeMap<String, String>), Oops> {
    let lang = visitor.lang();
    let secrets = match before {
        Some(hook) => tested::secrets(site, hook).await?,
        None => None,
    };
    let tried = match meant(site, here, (lang, sort), typed, before).await {
        Ok(hook) => Tried::of(site, visitor, here, &hook, secrets).await,
        Err(oops) => Err(oops),
    };
    match tried {
        Ok(tried) => Ok((tried, BTreeMap::new())),
        Err(Oops::Problem(problem)) if problem.id != Id::Unavailable && problem.id != Id::Busy => {
            let (field, words) = beside(site, lang, &problem, typed, before);
            Ok((Tried::refused(lang, &problem, words.clone()), BTreeMap::from([(field, words)])))
        }
        Err(oops) => Err(oops),
    }
}

/// Stores what is meant, and goes on to the next page.
async fn keep(
    site: &Site,
    visitor: &Visitor,
    here: &Here,
    sort: Sort,
    typed: &Typed,
    before: Option<&Hook>,
) -> Result<Response, Oops> {
    let hook = meant(site, here, (visitor.lang(), sort), typed, before).await?;
    let id = hook.id;
    let changed = |changed| match changed {
        Changed::ForeignResource(id) => {
            Err(Oops::Problem(Problem::of(Id::ForeignResource, "scope", id.to_string())))
        }
        Changed::TooMany => Err(Oops::Problem(Problem::new(Id::TooManyHooks, String::new()))),
        changed => site.changed(changed),
    };
    if before.is_some() {
        changed(site.parts.store.replace_hook(hook, site.parts.clock.now()).await?)?;
        return Ok(hooks::back(here, sort, "saved"));
    }
    match sort {
        Sort::Emails => {
            changed(site.parts.store.add_hook(hook, None, site.parts.clock.now()).await?)?;
            Ok(hooks::back(here, sort, "added"))
        }
        Sort::Webhooks => {
            let secret = signing::secret(&site.parts.luck.bytes32());
            changed(site.parts.store.add_hook(hook, Some(secret.clone()), site.parts.clock.now()).await?)?;
            site.console.reveals.put(visitor.person.session.id, id, secret, visitor.reader.now);
            Ok(Redirect::to(&format!("{}/{id}/secret?said=added", here.path(sort.path()))).into_response())
        }
    }
}

/// The field of the form a problem is about, and what to say beside it.
fn beside(
    site: &Site,
    lang: Lang,
    problem: &Problem,
    typed: &Typed,
    before: Option<&Hook>,
) -> (String, String) {
    let field = problem.field.as_deref().unwrap_or_default();
    let (head, rest) = field.split_once(['[', '.']).unwrap_or((field, ""));
    match head {
        "name" => ("name".to_owned(), lang.wrong_name().to_owned()),
        "events" => ("events".to_owned(), lang.wrong_events().to_owned()),
        "scope" if typed.scope.len() > 1_000 => ("scope".to_owned(), lang.too_many_scope().to_owned()),
        "scope" => ("scope".to_owned(), lang.wrong_scope().to_owned()),
        "targets" => ("recipients".to_owned(), wrong_recipients(lang, problem, typed)),
        "urls" => {
            let (at, what) = rest.split_once("].").unwrap_or(("0", "url"));
            // The API counts those that are to be, the form also those that are left blank or taken off.
            let wanted = at.parse::<usize>().ok().and_then(|at| typed.wanted(before).nth(at));
            let Some((at, one, old)) = wanted else {
                return ("url.0".to_owned(), lang.url_needed().to_owned());
            };
            if let Some(name) = what.strip_prefix("fields.") {
                let format = one.format(old).map_or("", |format| format.name);
                return (format!("field.{at}.{format}.{name}"), lang.wrong_format(&problem.detail));
            }
            match what {
                "format" => (format!("format.{at}"), lang.wrong_format(&problem.detail)),
                _ => (format!("url.{at}"), wrong_url(site, lang, problem, &one.url)),
            }
        }
        _ if problem.id == Id::TooManyHooks => (String::new(), lang.too_many_hooks().to_owned()),
        _ => (String::new(), problem.detail.clone()),
    }
}

fn wrong_recipients(lang: Lang, problem: &Problem, typed: &Typed) -> String {
    if let Some(address) = typed.wrong_address() {
        return lang.wrong_address(address);
    }
    if problem.field.as_deref() == Some("targets") {
        return lang.recipients_needed().to_owned();
    }
    lang.wrong_recipients(&problem.detail)
}

fn wrong_url(site: &Site, lang: Lang, problem: &Problem, url: &str) -> String {
    let url = url.trim();
    if url.is_empty() {
        return lang.url_needed().to_owned();
    }
    if formats::is_masked(url) {
        return lang.url_masked().to_owned();
    }
    let why = match site.guard.check_url(url) {
        Ok(_) => return lang.wrong_format(&problem.detail),
        Err(Refused::Long) => lang.url_too_long().to_owned(),
        Err(Refused::NotHttp) => lang.url_not_http().to_owned(),
        Err(Refused::Characters) => lang.url_characters().to_owned(),
        Err(Refused::Userinfo) => lang.url_userinfo().to_owned(),
        Err(Refused::Fragment) => lang.url_fragment().to_owned(),
        Err(Refused::Host(_)) => lang.url_host().to_owned(),
        Err(Refused::Spelling(_)) => lang.url_spelling().to_owned(),
        Err(Refused::Port(port)) => lang.url_port(port),
        Err(Refused::Name(name)) => lang.url_private(name),
        Err(Refused::Address(address, _, _)) => lang.url_private(address),
    };
    lang.wrong_url(why)
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
