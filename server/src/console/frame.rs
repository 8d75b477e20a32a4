//! What is around every page: who reads, where they are, where they can go.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use sonnette_core::ids::OwnerId;

use super::assets;
use super::reader::{Here, Plain, Reader};
use super::words::{Lang, Words};

/// Which part of the console a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// The list of e-mail hooks and their forms.
    Emails,
    /// The list of webhooks and their forms.
    Webhooks,
    /// What was sent.
    Deliveries,
    /// What happens now.
    Live,
    /// What can happen.
    Events,
    /// The visitor's own page.
    Account,
    /// Anything else.
    None,
}

/// A link of the navigation.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) href: String,
    pub(super) label: String,
    pub(super) current: bool,
}

/// What the base template shows.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The language everything is said in.
    pub(crate) w: Lang,
    /// The title of the page.
    pub(crate) title: String,
    /// What forms carry, in a field called `token`.
    pub(crate) token: String,
    /// Something to be told at the top, once: `?said=` of the address it was sent to.
    pub(crate) notice: Option<String>,
    pub(super) css: &'static str,
    pub(super) js: &'static str,
    pub(super) icon: &'static str,
    /// Whether the page goes over a network unencrypted, or is but stays on this machine.
    pub(super) plain_open: bool,
    pub(super) plain_here: bool,
    pub(super) person: Option<String>,
    pub(super) account: bool,
    pub(super) owner: Option<String>,
    pub(super) owner_kind: &'static str,
    pub(super) owners: Vec<Place>,
    pub(super) places: Vec<Place>,
}

impl Frame {
    /// The frame of a page for a reader; `here` is the owner it is about, if it is about one.
    pub(crate) fn of(
        reader: &Reader,
        title: impl Into<String>,
        here: Option<&Here>,
        section: Section,
    ) -> Self {
        let w = reader.lang;
        let mut frame = Self {
            w,
            title: title.into(),
            token: reader.token.clone(),
            notice: None,
            css: assets::css(),
            js: assets::js(),
            icon: assets::icon(),
            plain_open: reader.plain == Some(Plain::Open),
            plain_here: reader.plain == Some(Plain::Here),
            person: None,
            account: section == Section::Account,
            owner: None,
            owner_kind: "",
            owners: Vec::new(),
            places: Vec::new(),
        };
        let Some(person) = &reader.person else { return frame };
        let own = OwnerId::User(person.user.id);
        let name = if person.user.name.is_empty() { &person.user.email } else { &person.user.name };
        frame.person = Some(name.clone());
        let at = here.map_or(own, |here| here.owner);
        // Switching keeps the page where every owner has it.
        let page = match section {
            Section::Webhooks => "webhooks",
            Section::Deliveries => "deliveries",
            Section::Live => "live",
            Section::Emails | Section::Events | Section::Account | Section::None => "emails",
        };
        let owner = |id: OwnerId, label: &str| Place {
            href: format!("/o/{id}/{page}"),
            label: label.to_owned(),
            current: here.is_some() && id == at,
        };
        frame.owners.push(owner(own, w.personal_space()));
        frame.owners.extend(person.organisations.iter().map(|(id, name)| owner((*id).into(), name)));
        if let Some(here) = here
            && !frame.owners.iter().any(|one| one.current)
        {
            // An operator sees owners they are no member of.
            frame.owners.push(owner(here.owner, &here.name));
        }
        (frame.owner, frame.owner_kind) = match here {
            Some(here) if here.owner != own => {
                let label = if here.name.is_empty() { here.owner.to_string() } else { here.name.clone() };
                (Some(label), "organisation")
            }
            _ => (Some(w.personal_space().to_owned()), "person"),
        };
        let place = |page: &str, label: &str, of: Section| Place {
            href: format!("/o/{at}/{page}"),
            label: label.to_owned(),
            current: section == of,
        };
        frame.places = vec![
            place("emails", w.emails(), Section::Emails),
            place("webhooks", w.webhooks(), Section::Webhooks),
            place("deliveries", w.deliveries(), Section::Deliveries),
            place("live", w.live(), Section::Live),
            Place {
                href: "/events".to_owned(),
                label: w.events().to_owned(),
                current: section == Section::Events,
            },
        ];
        frame
    }

    /// The same, with something to be told.
    pub(crate) fn with_notice(mut self, notice: Option<String>) -> Self {
        self.notice = notice;
        self
    }
}

/// A page, whole or a fragment of one.
pub(crate) fn show(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let media = HeaderValue::from_static("text/html; charset=utf-8");
            (status, [(header::CONTENT_TYPE, media)], html).into_response()
        }
        Err(error) => {
            // A template writes strings into a string: there is nothing in it that fails.
            tracing::error!(%error, "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
