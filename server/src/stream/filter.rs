//! What of an owner's events a reader wants.

use sonnette_core::catalogue::Catalogue;
use sonnette_core::ids::{EventId, ResourceId};
use sonnette_core::matching::KindSet;
use sonnette_core::model::Event;
use url::form_urlencoded;

use crate::contract::problem::{Id, Problem};

/// Names in one query, all together.
const NAMES: usize = 100;

/// Which events. The default is all that are not private.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    kinds: Option<KindSet>,
    resources: Option<Vec<ResourceId>>,
}

/// What a query asks of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// From where on; from now if nothing is said.
    pub(crate) since: Option<EventId>,
    /// Which events.
    pub(crate) filter: Filter,
}

impl Wanted {
    /// Reads `since=`, and `kind=`, `family=` and `resource=`, each repeated or comma-joined. An event passes if its kind is
    /// one of those named, by itself or by a family, and its resource is one of those named.
    ///
    /// # Errors
    /// The first value that breaks its rule, with its field.
    pub(crate) fn read(catalogue: &Catalogue, query: &str) -> Result<Self, Problem> {
        let mut wanted = Self::default();
        let mut kinds = Vec::new();
        let mut count = 0;
        for (field, values) in form_urlencoded::parse(query.as_bytes()) {
            if field == "since" {
                wanted.since = Some(place("since", &values)?);
                continue;
            }
            for value in values.split(',').map(str::trim) {
                count += 1;
                if count > NAMES {
                    return Err(Problem::invalid(field, format!("at most {NAMES} names in a query")));
                }
                match &*field {
                    "kind" if catalogue.find(value).is_some_and(|(_, kind)| !kind.private) => {
                        kinds.push(value.to_owned())
                    }
                    "kind" => {
                        return Err(Problem::of(
                            Id::UnknownKind,
                            field,
                            format!("`{value}` is not a kind of the catalogue"),
                        ));
                    }
                    "family" if catalogue.family(value).is_some() => kinds.push(value.to_owned()),
                    "family" => {
                        return Err(Problem::of(
                            Id::UnknownKind,
                            field,
                            format!("`{value}` is not a family of the catalogue"),
                        ));
                    }
                    "resource" => {
                        let id = value
                            .parse()
                            .map_err(|error| Problem::invalid("resource", format!("{error}")))?;
                        wanted.filter.resources.get_or_insert_default().push(id);
                    }
                    _ => {
                        let told =
                            format!("`{field}` is not known here: `since`, `kind`, `family`, `resource`");
                        return Err(Problem::invalid(field, told));
                    }
                }
            }
        }
        wanted.filter.kinds = (!kinds.is_empty()).then(|| catalogue.open(&kinds));
        Ok(wanted)
    }
}

/// Reads a place in a stream.
///
/// # Errors
/// If it is no event id.
pub(crate) fn place(field: &str, text: &str) -> Result<EventId, Problem> {
    text.trim().parse().map_err(|error| Problem::invalid(field, format!("{error}")))
}

impl Filter {
    /// The resources named, if any are: an add-on may be named by its real id, but events name it by its own.
    pub(crate) fn resources_mut(&mut self) -> Option<&mut Vec<ResourceId>> {
        self.resources.as_mut()
    }

    /// Whether an event is wanted. Private ones never are.
    pub(crate) fn passes(&self, catalogue: &Catalogue, event: &Event) -> bool {
        let known = catalogue.find(&event.kind);
        if known.is_some_and(|(_, kind)| kind.private) {
            return false;
        }
        let of_kind =
            self.kinds.as_ref().is_none_or(|kinds| known.is_some_and(|(number, _)| kinds.contains(number)));
        let of_resource = self
            .resources
            .as_ref()
            .is_none_or(|wanted| event.resource.as_ref().is_some_and(|resource| wanted.contains(resource)));
        of_kind && of_resource
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "app_33333333-3333-4333-8333-333333333333";

    fn read(query: &str) -> Result<Wanted, Problem> {
        Wanted::read(&Catalogue::builtin().unwrap(), query)
    }

    fn event(catalogue: &Catalogue, kind: &str, resource: Option<&str>) -> Event {
        let event = catalogue.find(kind).unwrap().1.sample_event();
        Event { resource: resource.map(|id| id.parse().unwrap()), ..event }
    }

    #[test]
    fn an_event_passes_if_its_kind_and_its_resource_are_named() {
        let catalogue = Catalogue::builtin().unwrap();
        let passes = |query: &str, kind, resource| {
            read(query).unwrap().filter.passes(&catalogue, &event(&catalogue, kind, resource))
        };
        assert!(passes("", "GIT_PUSH", None));
        let query =
            format!("kind=GIT_PUSH,APPLICATION_STOP&family=META_CREDITS&kind=DEPLOYMENT_FAIL&resource={APP}");
        for (kind, resource, expected) in [
            ("GIT_PUSH", Some(APP), true),
            ("DEPLOYMENT_FAIL", Some(APP), true),
            ("CREDITS_ADDED", Some(APP), true),
            ("DEPLOYMENT_SUCCESS", Some(APP), false),
            ("GIT_PUSH", None, false),
            ("GIT_PUSH", Some("app_44444444-4444-4444-8444-444444444444"), false),
        ] {
            assert_eq!(passes(&query, kind, resource), expected, "{kind} {resource:?}");
        }
    }

    #[test]
    fn a_private_kind_never_passes_and_cannot_be_asked_for() {
        let catalogue = Catalogue::builtin().unwrap();
        assert!(!Filter::default().passes(&catalogue, &event(&catalogue, "SIGN_IN", None)));
        assert_eq!(Wanted::read(&catalogue, "kind=SIGN_IN").unwrap_err().id, Id::UnknownKind);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_field() {
        let since = EventId(42);
        assert_eq!(read(&format!("since={since}")).unwrap().since, Some(since));
        let many = format!("kind={}", ["GIT_PUSH"; NAMES + 1].join(","));
        for (query, field) in [
            ("since=5", "since"),
            ("kind=DEPLOYED", "kind"),
            ("kind=META_CREDITS", "kind"),
            ("family=GIT_PUSH", "family"),
            ("resource=app_x", "resource"),
            ("resource=", "resource"),
            ("colour=red", "colour"),
            (many.as_str(), "kind"),
        ] {
            assert_eq!(read(query).unwrap_err().field.as_deref(), Some(field), "{query}");
        }
    }
}
