//! What becomes of a webhook's destinations when it is edited: an equal `{format, url}` keeps its destination, a changed
//! entry at the same position keeps it too, so that what waits follows the corrected URL; the rest are new or gone.

use url::Url;

use crate::formats::{self, HIDDEN};
use crate::ids::DestinationId;
use crate::model::{Destination, Fields};
use crate::secret::Secret;

/// One entry as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The destination to keep, if the caller names one.
    pub id: Option<DestinationId>,
    /// Name of the format.
    pub format: String,
    /// Where to; `None` keeps the URL of the destination named.
    pub url: Option<Secret>,
    /// What the format needs besides. `None` keeps what the destination has, if its format stays the same, and so does
    /// [`HIDDEN`] in the place of one value; but no credential is kept for [another place](same_place).
    pub fields: Option<Fields>,
}

/// Why a list of entries is refused. `at` is the place of the entry in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It names a destination the hook does not have, or one named before.
    #[error("the hook has no such destination, or it is named twice")]
    NoSuchDestination {
        /// Its place.
        at: usize,
    },
    /// It points to another place, and does not bring the credentials that were kept for the old one.
    #[error(
        "the URL is of another host, and no credential goes there that was given for the old one: give `{}` again \
         (the console, our own API and `sonnette hooks` take such)",
        .fields.join("`, `")
    )]
    Elsewhere {
        /// Its place.
        at: usize,
        /// What it must bring; at least one.
        fields: Vec<String>,
    },
}

/// Whether two URLs have the same scheme, host and port: then whoever hears the one hears the other.
pub fn same_place(one: &Secret, other: &Secret) -> bool {
    let origin = |url: &Secret| Url::parse(url.expose()).map(|url| url.origin());
    one == other || matches!((origin(one), origin(other)), (Ok(one), Ok(other)) if one == other)
}

/// The destinations after an edit, in the order wanted. `fresh` draws an id for a new one.
///
/// # Errors
/// See [`Unfit`].
pub fn edited(
    old: &[Destination],
    wanted: Vec<Wanted>,
    mut fresh: impl FnMut() -> DestinationId,
) -> Result<Vec<Destination>, Unfit> {
    let mut free: Vec<bool> = vec![true; old.len()];
    let mut kept: Vec<Option<usize>> = vec![None; wanted.len()];
    let mut keep = |free: &mut Vec<bool>, at: usize, place: Option<usize>| {
        if let Some(place) = place.filter(|place| free[*place]) {
            free[place] = false;
            kept[at] = Some(place);
        }
    };
    for (at, entry) in wanted.iter().enumerate() {
        let Some(id) = entry.id else { continue };
        let place = old.iter().position(|one| one.id == id).filter(|place| free[*place]);
        keep(&mut free, at, Some(place.ok_or(Unfit::NoSuchDestination { at })?));
    }
    for (at, entry) in wanted.iter().enumerate().filter(|(_, entry)| entry.id.is_none()) {
        let equal = |one: &Destination| one.format == entry.format && Some(&one.url) == entry.url.as_ref();
        let place = (0..old.len()).find(|place| free[*place] && equal(&old[*place]));
        keep(&mut free, at, place);
    }
    for at in 0..wanted.len() {
        if wanted[at].id.is_none() && kept[at].is_none() && at < old.len() && free[at] {
            free[at] = false;
            kept[at] = Some(at);
        }
    }
    let destinations = wanted.into_iter().zip(kept).enumerate().map(|(at, (entry, place))| {
        let before = place.map(|place| &old[place]);
        let url =
            entry.url.or_else(|| before.map(|one| one.url.clone())).ok_or(Unfit::NoSuchDestination { at })?;
        let kept = before.filter(|one| one.format == entry.format);
        let had = kept.map(|one| one.fields.clone()).unwrap_or_default();
        let elsewhere = kept.is_some_and(|one| !same_place(&one.url, &url));
        let (mut fields, hidden): (Fields, Vec<String>) = match entry.fields {
            None => {
                let hidden = had.keys().filter(|name| is_secret(&entry.format, name)).cloned().collect();
                (had.clone(), hidden)
            }
            Some(fields) => {
                let kept =
                    fields.iter().filter(|(name, value)| value.expose() == HIDDEN && had.contains_key(*name));
                let hidden = kept.map(|(name, _)| name.clone()).collect();
                (fields, hidden)
            }
        };
        if elsewhere && !hidden.is_empty() {
            return Err(Unfit::Elsewhere { at, fields: hidden });
        }
        for name in hidden {
            if let Some(kept) = had.get(&name) {
                fields.insert(name, kept.clone());
            }
        }
        Ok(Destination {
            id: before.map_or_else(&mut fresh, |one| one.id),
            format: entry.format,
            url,
            fields,
        })
    });
    destinations.collect()
}

/// Whether a value is never shown again. Who may change a hook is shown the others.
fn is_secret(format: &str, name: &str) -> bool {
    let known =
        formats::find(format).and_then(|format| format.fields.iter().find(|field| field.name == name));
    known.is_none_or(|field| field.secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn old(urls: &[&str]) -> Vec<Destination> {
        let one = |(at, url): (usize, &&str)| Destination {
            id: DestinationId(at as i64 + 1),
            format: "raw".into(),
            url: Secret::new(*url),
            fields: Fields::new(),
        };
        urls.iter().enumerate().map(one).collect()
    }

    fn want(url: &str) -> Wanted {
        Wanted { id: None, format: "raw".into(), url: Some(Secret::new(url)), fields: None }
    }

    fn ids(old: &[Destination], wanted: Vec<Wanted>) -> Vec<i64> {
        let mut next = 100;
        let fresh = || {
            next += 1;
            DestinationId(next)
        };
        edited(old, wanted, fresh).unwrap().iter().map(|one| one.id.0).collect()
    }

    #[test]
    fn equal_entries_keep_their_destination_wherever_they_stand_and_changed_ones_their_place() {
        let old = old(&["a", "b", "c"]);
        assert_eq!(ids(&old, vec![want("c"), want("a")]), [3, 1]);
        assert_eq!(ids(&old, vec![want("a"), want("x"), want("c")]), [1, 2, 3], "a corrected URL");
        assert_eq!(ids(&old, vec![want("x"), want("a"), want("b"), want("c")]), [101, 1, 2, 3]);
        assert_eq!(ids(&old, vec![want("a"), want("a")]), [1, 2], "the same URL twice is two destinations");
    }

    #[test]
    fn a_named_destination_is_kept_with_its_url_and_no_other_can_be_named() {
        let old = old(&["a", "b"]);
        let named =
            |id| Wanted { id: Some(DestinationId(id)), format: "slack".into(), url: None, fields: None };
        let edited_ = edited(&old, vec![named(2)], || DestinationId(9)).unwrap();
        assert_eq!((edited_[0].id.0, edited_[0].format.as_str(), edited_[0].url.expose()), (2, "slack", "b"));
        assert_eq!(
            edited(&old, vec![named(3)], || DestinationId(9)),
            Err(Unfit::NoSuchDestination { at: 0 })
        );
        assert_eq!(
            edited(&old, vec![named(2), named(2)], || DestinationId(9)),
            Err(Unfit::NoSuchDestination { at: 1 })
        );
    }

    #[test]
    fn a_field_that_was_shown_hidden_and_comes_back_is_kept() {
        let field = |value: &str| Fields::from([("token".to_owned(), Secret::new(value))]);
        let mut old = old(&["https://a.example"]);
        old[0].fields = field("s3cret");
        for (format, given, kept) in [
            ("raw", None, field("s3cret")),
            ("raw", Some(field(HIDDEN)), field("s3cret")),
            ("raw", Some(field("new")), field("new")),
            ("raw", Some(Fields::new()), Fields::new()),
            ("slack", None, Fields::new()),
            ("slack", Some(field(HIDDEN)), field(HIDDEN)),
        ] {
            let wanted = Wanted { id: Some(old[0].id), format: format.into(), url: None, fields: given };
            assert_eq!(edited(&old, vec![wanted], || DestinationId(9)).unwrap()[0].fields, kept);
        }
    }

    #[test]
    fn no_credential_follows_to_another_host_and_what_must_be_given_again_is_named() {
        let fields = |key: &str| {
            [("email", "bot@a.example"), ("key", key)]
                .map(|(name, value)| (name.to_owned(), Secret::new(value)))
                .into_iter()
                .collect::<Fields>()
        };
        let mut old = old(&["https://a.example/one"]);
        (old[0].format, old[0].fields) = ("zulip".to_owned(), fields("s3cret"));
        let again = || Err::<Fields, _>(Unfit::Elsewhere { at: 0, fields: vec!["key".to_owned()] });
        for (url, same) in [
            ("https://a.example/two", true),
            ("https://A.EXAMPLE:443/one", true),
            ("https://b.example/one", false),
            ("https://a.example.b.example/one", false),
            ("https://a.example:8443/one", false),
            ("http://a.example/one", false),
            ("https://a.example@b.example/one", false),
            ("no url", false),
        ] {
            for id in [None, Some(old[0].id)] {
                for (given, kept) in
                    [(None, "s3cret"), (Some(fields(HIDDEN)), "s3cret"), (Some(fields("new")), "new")]
                {
                    let shown = format!("{url} {id:?} {given:?}");
                    let wanted =
                        Wanted { id, format: "zulip".into(), url: Some(Secret::new(url)), fields: given };
                    let got = edited(&old, vec![wanted], || DestinationId(9));
                    let got = got.map(|all| all[0].fields.clone());
                    let expected = if same || kept == "new" { Ok(fields(kept)) } else { again() };
                    assert_eq!(got, expected, "{shown}");
                }
            }
        }
        // What everybody is shown stays.
        old[0].fields.remove("key");
        let wanted = Wanted {
            id: None,
            format: "zulip".into(),
            url: Some(Secret::new("https://b.example/")),
            fields: None,
        };
        assert_eq!(edited(&old, vec![wanted], || DestinationId(9)).unwrap()[0].fields, old[0].fields);
        assert!(!again().unwrap_err().to_string().contains("s3cret"));
    }

    proptest! {
        #[test]
        fn no_destination_is_ever_kept_twice(before in vec("[a-c]", 0..6), after in vec("[a-d]", 0..6)) {
            let before: Vec<&str> = before.iter().map(String::as_str).collect();
            let mut got = ids(&old(&before), after.iter().map(|url| want(url)).collect());
            let count = got.len();
            got.sort_unstable();
            got.dedup();
            prop_assert_eq!(got.len(), count);
        }
    }
}
