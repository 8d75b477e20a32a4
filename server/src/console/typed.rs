//! What is in the form of a hook: from a stored hook, from what was sent, and on to what the API would be given. Everything is
//! text, so that what cannot be saved is shown again as it was typed.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use sonnette_core::destinations::same_place;
use sonnette_core::formats::{self, Format, HIDDEN};
use sonnette_core::model::{Destination, Fields, Hook, Target, Way};
use sonnette_core::secret::Secret;
use url::Url;

use super::form::Form;
use super::hooks::Sort;
use crate::contract::hooks::{Given, GivenTarget, GivenUrl};

/// URLs a form shows at most; the API takes as many.
const MOST_URLS: usize = 20;

/// One URL of a webhook.
#[derive(Debug, Clone, Default)]
pub(super) struct TypedUrl {
    /// The destination it is of; empty for a new one.
    pub(super) id: String,
    /// Name of the format; empty to recognise it from the URL.
    pub(super) format: String,
    /// As typed, or as it is shown.
    pub(super) url: String,
    /// What formats take besides, by format and field.
    pub(super) fields: BTreeMap<(String, String), String>,
    /// Whether it is to be taken off.
    pub(super) dropped: bool,
}

impl TypedUrl {
    fn of(destination: &Destination) -> Self {
        let format = formats::find(&destination.format);
        let open = |name: &str| {
            format
                .and_then(|format| format.fields.iter().find(|field| field.name == name))
                .is_some_and(|field| !field.secret)
        };
        let value = |name: &str, value: &Secret| {
            if open(name) { value.expose().to_owned() } else { HIDDEN.to_owned() }
        };
        Self {
            id: destination.id.to_string(),
            format: destination.format.clone(),
            url: formats::shown(&destination.format, &destination.url),
            fields: destination
                .fields
                .iter()
                .map(|(name, secret)| ((destination.format.clone(), name.clone()), value(name, secret)))
                .collect(),
            dropped: false,
        }
    }

    /// The format that is meant: the one chosen, or the one recognised, or JSON as it is.
    pub(super) fn format<'a>(&self, before: Option<&'a Destination>) -> Option<&'static Format>
    where
        Self: 'a,
    {
        if !self.format.is_empty() {
            return formats::find(&self.format);
        }
        let recognised =
            Url::parse(self.whole_url(before)?.expose()).ok().and_then(|url| formats::recognise(&url));
        recognised.or_else(|| formats::find("raw"))
    }

    /// The URL that is meant: as typed, or as it is kept where it stands masked.
    pub(super) fn whole_url(&self, before: Option<&Destination>) -> Option<Secret> {
        let typed = self.url.trim();
        let kept = typed.is_empty() || formats::is_masked(typed);
        if kept { before.map(|one| one.url.clone()) } else { Some(Secret::new(typed)) }
    }

    /// What this format takes besides, as it is typed.
    fn fields_of(&self, format: &Format) -> BTreeMap<String, String> {
        let typed = |name: &str| self.fields.get(&(format.name.to_owned(), name.to_owned()));
        format
            .fields
            .iter()
            .filter_map(|field| Some((field.name.to_owned(), typed(field.name)?.trim().to_owned())))
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    /// The same, with what is kept in the place of what is hidden, as far as it would be kept.
    pub(super) fn whole_fields(&self, format: &Format, before: Option<&Destination>) -> Fields {
        let here = |one: &&Destination| self.whole_url(before).is_some_and(|url| same_place(&one.url, &url));
        let kept = before.filter(|one| one.format == format.name).filter(here).map(|one| &one.fields);
        self.fields_of(format)
            .into_iter()
            .filter_map(|(name, value)| {
                let whole = if value == HIDDEN { kept?.get(&name)?.clone() } else { Secret::new(value) };
                Some((name, whole))
            })
            .collect()
    }

    fn is_blank(&self) -> bool {
        self.id.is_empty() && self.url.trim().is_empty()
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Typed {
    pub(super) name: String,
    pub(super) events: BTreeSet<String>,
    pub(super) scope: Vec<String>,
    pub(super) urls: Vec<TypedUrl>,
    pub(super) everyone: bool,
    pub(super) roles: BTreeSet<String>,
    pub(super) members: BTreeSet<String>,
    pub(super) addresses: String,
    /// Which state of the hook it was made from (see [`version`]).
    pub(super) version: String,
}

impl Typed {
    /// A form to fill in.
    pub(super) fn new(sort: Sort) -> Self {
        let urls = if sort == Sort::Webhooks { vec![TypedUrl::default()] } else { Vec::new() };
        Self { urls, everyone: sort == Sort::Emails, ..Self::default() }
    }

    /// The form of a hook as it is.
    pub(super) fn of(hook: &Hook) -> Self {
        let mut typed = Self {
            name: hook.name.clone(),
            events: hook.events.iter().flatten().cloned().collect(),
            scope: hook.scope.iter().flatten().map(ToString::to_string).collect(),
            version: version(hook),
            ..Self::default()
        };
        match &hook.way {
            Way::Webhook { destinations } => typed.urls = destinations.iter().map(TypedUrl::of).collect(),
            Way::Email { targets, .. } => {
                for target in targets {
                    match target {
                        Target::Organisation { roles } if roles.is_empty() => typed.everyone = true,
                        Target::Organisation { roles } => {
                            typed.roles.extend(roles.iter().map(|role| role.as_str().to_owned()));
                        }
                        Target::User(id) | Target::Maker(id) => {
                            typed.members.insert(id.to_string());
                        }
                        Target::Addresses(all) => {
                            for address in all {
                                typed.addresses.push_str(address);
                                typed.addresses.push('\n');
                            }
                        }
                    }
                }
            }
        }
        typed
    }

    /// The form as it was sent.
    pub(super) fn sent(form: &Form) -> Self {
        let urls = (0..MOST_URLS)
            .take_while(|at| form.has(&format!("url.{at}")))
            .map(|at| {
                let get = |name: &str| form.get(&format!("{name}.{at}")).to_owned();
                let fields = formats::FORMATS.iter().flat_map(|format| {
                    format.fields.iter().map(move |field| (format.name.to_owned(), field.name.to_owned()))
                });
                TypedUrl {
                    id: get("id"),
                    format: get("format"),
                    url: get("url"),
                    fields: fields
                        .map(|(format, field)| {
                            let value = form.get(&format!("field.{at}.{format}.{field}")).to_owned();
                            ((format, field), value)
                        })
                        .filter(|(_, value)| !value.is_empty())
                        .collect(),
                    dropped: form.has(&format!("drop.{at}")),
                }
            })
            .collect();
        let set = |name: &'static str| form.all(name).map(str::to_owned).collect();
        let mut scope: Vec<String> = Vec::new();
        let mut seen = BTreeSet::new();
        for id in form.all("scope").filter(|id| !id.is_empty()) {
            if seen.insert(id) {
                scope.push(id.to_owned());
            }
        }
        Self {
            name: form.get("name").to_owned(),
            events: set("events"),
            scope,
            urls,
            everyone: form.has("everyone"),
            roles: set("roles"),
            members: set("members"),
            addresses: form.get("addresses").to_owned(),
            version: form.get("version").to_owned(),
        }
    }

    /// The addresses, one a line or behind commas.
    fn addresses(&self) -> impl Iterator<Item = &str> {
        self.addresses.split(['\n', ',', ';']).map(str::trim).filter(|address| !address.is_empty())
    }

    /// The kinds and families chosen.
    pub(super) fn events(&self) -> Vec<String> {
        self.events.iter().cloned().collect()
    }

    /// The URLs that are to be, each with its place in the form and the destination it was.
    pub(super) fn wanted<'a>(
        &'a self,
        before: Option<&'a Hook>,
    ) -> impl Iterator<Item = (usize, &'a TypedUrl, Option<&'a Destination>)> {
        let old: &[Destination] = match before.map(|hook| &hook.way) {
            Some(Way::Webhook { destinations }) => destinations,
            _ => &[],
        };
        self.urls
            .iter()
            .enumerate()
            .filter(|(_, one)| !one.dropped && !one.is_blank())
            .map(|(at, one)| (at, one, old.iter().find(|old| old.id.to_string() == one.id)))
    }

    /// What the API would be given. `None` in a list means all.
    pub(super) fn given(&self, sort: Sort, before: Option<&Hook>, suggested: &str) -> Given {
        let some = |names: Vec<String>| Some(names).filter(|names| !names.is_empty());
        let (urls, targets) = match sort {
            Sort::Webhooks => {
                let urls = self.wanted(before).map(|(_, one, old)| {
                    let format = one.format(old);
                    let typed = one.url.trim();
                    // What was shown and came back stays as it is kept.
                    let kept = old.is_some_and(|old| {
                        typed.is_empty() || typed == formats::shown(&old.format, &old.url)
                    });
                    GivenUrl {
                        id: old.map(|old| old.id.to_string()),
                        format: Some(format.map_or(one.format.as_str(), |format| format.name).to_owned()),
                        url: (!kept).then(|| typed.to_owned()),
                        fields: format.map(|format| one.fields_of(format)),
                    }
                });
                (Some(urls.collect()), None)
            }
            Sort::Emails => {
                let mut targets = Vec::new();
                if self.everyone {
                    targets.push(GivenTarget::Organisation { roles: None });
                } else if !self.roles.is_empty() {
                    targets.push(GivenTarget::Organisation {
                        roles: Some(self.roles.iter().cloned().collect()),
                    });
                }
                targets.extend(self.members.iter().map(|user| GivenTarget::User { user: user.clone() }));
                targets.extend(
                    self.addresses().map(|address| GivenTarget::Address { address: address.to_owned() }),
                );
                (None, Some(targets))
            }
        };
        Given {
            kind: Some(if sort == Sort::Emails { "email" } else { "webhook" }.to_owned()),
            name: if self.name.trim().is_empty() { suggested.to_owned() } else { self.name.clone() },
            urls,
            targets,
            events: some(self.events()),
            scope: some(self.scope.clone()),
            schedule: before.and_then(|hook| hook.schedule.clone()),
        }
    }

    /// The first address that is none.
    pub(super) fn wrong_address(&self) -> Option<&str> {
        self.addresses().find(|address| sonnette_core::address::check_public(address).is_err())
    }
}

/// Which state a hook is in, as far as its form shows it: another one is another text.
pub(super) fn version(hook: &Hook) -> String {
    let mut digest = Sha256::new();
    digest.update(format!("{:?}", (&hook.name, &hook.events, &hook.scope, &hook.way)));
    if let Way::Webhook { destinations } = &hook.way {
        for one in destinations {
            // Secrets do not print.
            digest.update(one.url.expose());
            for (name, value) in &one.fields {
                digest.update([0]);
                digest.update(name);
                digest.update([0]);
                digest.update(value.expose());
            }
        }
    }
    URL_SAFE_NO_PAD.encode(&digest.finalize()[..9])
}
