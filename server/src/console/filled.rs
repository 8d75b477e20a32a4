//! What is filled in about a hook: what is meant by it, and what becomes of it. The API's own rules judge it; their word is put
//! beside the field it is about.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Redirect, Response};
use sonnette_core::formats;
use sonnette_core::ids::HookId;
use sonnette_core::model::Hook;
use sonnette_core::ports::Changed;
use sonnette_core::signing;
use url::Url;

use super::hooks::{self, Sort};
use super::oops::Oops;
use super::reader::{Here, Visitor};
use super::tested::{self, Tried};
use super::typed::Typed;
use super::words::{Lang, Words};
use crate::contract::problem::{Id, Problem};
use crate::egress::guard::Refused;
use crate::http::Site;

/// A form that is filled in: by whom, where, and about which hook; `before` is `None` for a new one.
#[derive(Clone, Copy)]
pub(super) struct Filled<'a> {
    pub(super) site: &'a Site,
    pub(super) visitor: &'a Visitor,
    pub(super) here: &'a Here,
    pub(super) sort: Sort,
    pub(super) typed: &'a Typed,
    pub(super) before: Option<&'a Hook>,
}

impl Filled<'_> {
    /// The name the hook gets if none is typed.
    pub(super) fn suggested(&self) -> String {
        let lang = self.visitor.lang();
        if self.sort == Sort::Emails {
            return lang.suggested_email().to_owned();
        }
        let first = || self.typed.wanted(self.before).next();
        match first().and_then(|(_, one, old)| one.format(old)) {
            Some(format) if format.name != "raw" => lang.suggested(format.title),
            // A service of one's own is known by its host.
            _ => {
                let url = first().and_then(|(_, one, old)| one.whole_url(old));
                let url = url.and_then(|url| Url::parse(url.expose()).ok());
                lang.suggested(url.as_ref().and_then(Url::host_str).unwrap_or("JSON"))
            }
        }
    }

    /// The hook that is meant, by the API's rules.
    async fn meant(&self) -> Result<Hook, Oops> {
        let site = self.site;
        let given = self.typed.given(self.sort, self.before, &self.suggested());
        let meant = given.meant(&site.parts.catalogue, &site.guard)?;
        let id = self.before.map_or_else(|| HookId(site.parts.luck.id()), |hook| hook.id);
        Ok(site.hook(id, self.here.owner, meant, self.before).await?)
    }

    /// Tries what is meant; what is wrong with it is also said beside its field.
    pub(super) async fn try_out(&self) -> Result<(Tried, BTreeMap<String, String>), Oops> {
        let secrets = match self.before {
            Some(hook) => tested::secrets(self.site, hook).await?,
            None => None,
        };
        let tried = match self.meant().await {
            Ok(hook) => Tried::of(self.site, self.visitor, self.here, &hook, secrets).await,
            Err(oops) => Err(oops),
        };
        match tried {
            Ok(tried) => Ok((tried, BTreeMap::new())),
            Err(oops) => {
                let problem = oops.mendable()?;
                let (field, words) = self.beside(&problem);
                let tried = Tried::refused(self.visitor.lang(), &problem, words.clone());
                Ok((tried, BTreeMap::from([(field, words)])))
            }
        }
    }

    /// Stores what is meant, and goes on to the next page.
    pub(super) async fn keep(&self) -> Result<Response, Oops> {
        let Self { site, visitor, here, sort, .. } = *self;
        let (hook, now) = (self.meant().await?, site.parts.clock.now());
        let id = hook.id;
        let changed = |changed| match changed {
            Changed::ForeignResource(id) => {
                Err(Oops::Problem(Problem::of(Id::ForeignResource, "scope", id.to_string())))
            }
            Changed::TooMany => Err(Oops::Problem(Problem::new(Id::TooManyHooks, String::new()))),
            changed => site.changed(changed),
        };
        if self.before.is_some() {
            changed(site.parts.store.replace_hook(hook, now).await?)?;
            return Ok(hooks::back(here, sort, "saved"));
        }
        match sort {
            Sort::Emails => {
                changed(site.parts.store.add_hook(hook, None, now).await?)?;
                Ok(hooks::back(here, sort, "added"))
            }
            Sort::Webhooks => {
                let secret = signing::secret(&site.parts.luck.bytes32());
                changed(site.parts.store.add_hook(hook, Some(secret.clone()), now).await?)?;
                site.console.reveals.put(visitor.person.session.id, id, secret, visitor.reader.now);
                Ok(Redirect::to(&format!("{}/{id}/secret?said=added", here.path(sort.path())))
                    .into_response())
            }
        }
    }

    /// The field of the form a problem is about, and what to say beside it.
    pub(super) fn beside(&self, problem: &Problem) -> (String, String) {
        let Self { site, typed, before, .. } = *self;
        let lang = self.visitor.lang();
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
