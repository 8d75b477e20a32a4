//! A hook as people see it: a row, a card, and what stops with it.

use serde::Deserialize;

use crate::cli::list::Columns;
use crate::cli::table::{clean, facts, maybe_time, or_none, time};

/// A hook as the API shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hook {
    pub(super) id: String,
    owner_id: String,
    kind: String,
    pub(super) name: String,
    state: String,
    events: Option<Vec<String>>,
    scope: Option<Vec<String>>,
    #[serde(default)]
    urls: Vec<Place>,
    #[serde(default)]
    targets: Vec<Target>,
    schedule: Option<Vec<u32>>,
    created_at: Option<i64>,
    #[serde(default)]
    pub(super) held: u64,
    #[serde(default)]
    dead: u64,
    rotating_until: Option<i64>,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Place {
    format: String,
    url: String,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Target {
    Organisation {
        #[serde(default)]
        roles: Option<Vec<String>>,
    },
    User {
        user: String,
    },
    Address {
        address: String,
    },
}

impl Target {
    /// As `--email` takes it.
    fn spelled(&self) -> String {
        match self {
            Self::Organisation { roles: Some(roles) } if !roles.is_empty() => {
                format!("organisation:{}", roles.join(","))
            }
            Self::Organisation { .. } => "organisation".to_owned(),
            Self::User { user } => user.clone(),
            Self::Address { address } => address.clone(),
        }
    }
}

impl Hook {
    pub(super) fn is_webhook(&self) -> bool {
        self.kind == "webhook"
    }

    fn to(&self) -> String {
        let places = self.urls.iter().map(|place| format!("{} {}", place.format, place.url));
        or_none(Some(&places.chain(self.targets.iter().map(Target::spelled)).collect::<Vec<_>>().join(", ")))
    }

    fn told_of(&self) -> String {
        self.events.as_ref().map_or_else(|| "every kind".to_owned(), |names| names.join(", "))
    }

    fn about(&self) -> String {
        self.scope.as_ref().map_or_else(|| "every resource".to_owned(), |ids| ids.join(", "))
    }

    pub(super) fn card(&self) -> String {
        let seconds = |steps: &Vec<u32>| steps.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let mut pairs = vec![
            ("id", self.id.clone()),
            ("owner", self.owner_id.clone()),
            ("kind", self.kind.clone()),
            ("name", self.name.clone()),
            ("state", self.state.clone()),
            ("events", self.told_of()),
            ("scope", self.about()),
            ("to", self.to()),
            ("schedule", self.schedule.as_ref().map_or_else(|| "usual".to_owned(), seconds)),
            ("created", maybe_time(self.created_at)),
            ("held", self.held.to_string()),
            ("dead", self.dead.to_string()),
        ];
        pairs.extend(self.rotating_until.map(|until| ("old secret signs until", time(until))));
        facts(&pairs)
    }

    pub(super) fn what_stops(&self) -> String {
        clean(&format!(
            "Removing the {} hook `{}` of {}: {} will not be told of {} any more, about {}. What still waits is \
             cancelled ({} held).",
            self.kind,
            self.name,
            self.owner_id,
            self.to(),
            self.told_of(),
            self.about(),
            self.held
        ))
    }
}

fn row(hook: &Hook) -> Vec<String> {
    vec![
        hook.id.clone(),
        hook.name.clone(),
        hook.kind.clone(),
        hook.state.clone(),
        hook.held.to_string(),
        hook.dead.to_string(),
        hook.told_of(),
        hook.to(),
    ]
}

pub(super) const COLUMNS: Columns<Hook> =
    Columns { header: &["ID", "NAME", "KIND", "STATE", "HELD", "DEAD", "EVENTS", "TO"], row };
