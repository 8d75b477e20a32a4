//! An event as it is posted, in our own JSON: the frame's names, checked one by one.

use std::borrow::Cow;

use serde_json::value::RawValue;
use sonnette_core::ids::{OwnerId, ResourceId, UserId};
use sonnette_core::json;
use sonnette_core::model::Millis;

use super::fields::{Fields, text};
use super::problem::{Id, Problem};

/// The largest event that is taken, in bytes.
pub const MAX_EVENT: usize = 256 << 10;
/// The longest `source` and `id`, in bytes.
const MAX_KEY: usize = 512;
/// The last millisecond of the year 9999, which every reader of dates can show.
const MAX_DATE: Millis = 253_402_300_799_999;

const NAMES: [&str; 7] = ["event", "ownerId", "data", "authorId", "date", "source", "id"];

/// An event as posted; its kind and what it says are still to be looked up.
#[derive(Debug)]
pub struct Posted<'a> {
    /// Name of its kind.
    pub kind: Cow<'a, str>,
    /// Whose.
    pub owner: OwnerId,
    /// Who did it.
    pub author: Option<UserId>,
    /// When it happened; `None` means now.
    pub date: Option<Millis>,
    /// (`source`, `id`), if an id was given.
    pub key: Option<(Cow<'a, str>, Cow<'a, str>)>,
    /// The text of a JSON object.
    pub data: Option<Cow<'a, str>>,
    /// The resource, where the envelope names it and `data` does not (CloudEvents `subject`).
    pub subject: Option<ResourceId>,
}

/// Reads one event.
///
/// # Errors
/// The first rule it breaks, with the field.
pub fn event(body: &str) -> Result<Posted<'_>, Problem> {
    let fields = object(body)?;
    if let Some(name) = fields.names().find(|name| !NAMES.contains(name)) {
        let name = shorten(name);
        let detail = format!("`{name}` is not a field of an event; they are {}", NAMES.join(", "));
        return Err(Problem::of(Id::UnknownField, name, detail));
    }
    let id = key(&fields, "id")?;
    // Empty is what it is when it is left out.
    let source = match fields.get("source").map(RawValue::get) {
        Some("\"\"") => None,
        _ => key(&fields, "source")?,
    };
    let key = id.map(|id| (source.unwrap_or_default(), id));
    Ok(Posted {
        kind: required(&fields, "event")?,
        owner: parsed(&required(&fields, "ownerId")?, "ownerId")?,
        author: optional(&fields, "authorId")?.map(|id| parsed(&id, "authorId")).transpose()?,
        date: fields.get("date").map(date).transpose()?,
        key,
        data: fields.get("data").map(data).transpose()?,
        subject: None,
    })
}

/// One object of acceptable size and depth, no name twice.
pub(super) fn object(body: &str) -> Result<Fields<'_>, Problem> {
    if body.len() > MAX_EVENT {
        return Err(Problem::new(Id::TooLarge, format!("an event has at most {} KiB", MAX_EVENT >> 10)));
    }
    json::scan(body).map_err(|error| Problem::new(Id::Malformed, error.to_string()))?;
    let fields = Fields::read(body).map_err(|error| Problem::new(Id::Malformed, error))?;
    match fields.twice() {
        Some(name) => Err(Problem::of(Id::Malformed, shorten(name), "it is given twice")),
        None => Ok(fields),
    }
}

pub(super) fn required<'a>(fields: &Fields<'a>, name: &str) -> Result<Cow<'a, str>, Problem> {
    optional(fields, name)?.ok_or_else(|| Problem::invalid(name, format!("`{name}` is needed")))
}

pub(super) fn optional<'a>(fields: &Fields<'a>, name: &str) -> Result<Option<Cow<'a, str>>, Problem> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    text(value).map(Some).ok_or_else(|| Problem::invalid(name, format!("`{name}` is a text")))
}

/// Reads an id out of a field.
pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: &str,
    name: &str,
) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::invalid(name, error.to_string()))
}

/// A half of the pair that makes a repeat recognisable.
pub(super) fn key<'a>(fields: &Fields<'a>, name: &str) -> Result<Option<Cow<'a, str>>, Problem> {
    let Some(text) = optional(fields, name)? else { return Ok(None) };
    if text.is_empty() || text.len() > MAX_KEY {
        return Err(Problem::invalid(name, format!("`{name}` has 1 to {MAX_KEY} bytes")));
    }
    Ok(Some(text))
}

fn date(value: &RawValue) -> Result<Millis, Problem> {
    value.get().parse().ok().filter(|date| (0..=MAX_DATE).contains(date)).ok_or_else(|| {
        Problem::invalid(
            "date",
            format!("`date` is a whole number of milliseconds since 1970, 0 to {MAX_DATE}"),
        )
    })
}

/// Data as the text of a JSON object, whichever way it was spelt.
pub(super) fn data(value: &RawValue) -> Result<Cow<'_, str>, Problem> {
    if value.get().starts_with('{') {
        return Ok(Cow::Borrowed(value.get()));
    }
    let spelt = text(value)
        .ok_or_else(|| Problem::invalid("data", "`data` is an object, or a text that holds one"))?;
    json::scan(&spelt).map_err(|error| Problem::invalid("data", error.to_string()))?;
    Ok(spelt)
}

/// A name in an error is for a person: a hostile megabyte is not.
fn shorten(name: &str) -> String {
    name.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWNER: &str = "orga_22222222-2222-4222-8222-222222222222";

    fn field_of(body: &str) -> (Id, Option<String>) {
        let problem = event(body).unwrap_err();
        (problem.id, problem.field)
    }

    #[test]
    fn data_is_an_object_or_the_text_of_one_and_keeps_its_bytes() {
        let both = [r#"{"b":1.50, "a":"é"}"#.to_owned(), r#""{\"b\":1.50, \"a\":\"é\"}""#.to_owned()];
        for spelt in both {
            let body = format!(r#"{{"event":"GIT_PUSH","ownerId":"{OWNER}","data":{spelt}}}"#);
            assert_eq!(event(&body).unwrap().data.unwrap(), r#"{"b":1.50, "a":"é"}"#);
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let with = |rest: &str| format!(r#"{{"event":"GIT_PUSH","ownerId":"{OWNER}"{rest}}}"#);
        for (body, id, field) in [
            ("[]".to_owned(), Id::Malformed, None),
            ("{".to_owned(), Id::Malformed, None),
            ("{}".to_owned(), Id::Invalid, Some("event")),
            (r#"{"event":"GIT_PUSH"}"#.to_owned(), Id::Invalid, Some("ownerId")),
            (r#"{"event":1,"ownerId":"x"}"#.to_owned(), Id::Invalid, Some("event")),
            (r#"{"event":"GIT_PUSH","ownerId":"x"}"#.to_owned(), Id::Invalid, Some("ownerId")),
            (with(r#","kind":"x""#), Id::UnknownField, Some("kind")),
            (with(r#","event":"x""#), Id::Malformed, Some("event")),
            (with(r#","authorId":"x""#), Id::Invalid, Some("authorId")),
            (with(r#","date":"2026-01-01""#), Id::Invalid, Some("date")),
            (with(r#","date":1.5"#), Id::Invalid, Some("date")),
            (with(r#","date":-1"#), Id::Invalid, Some("date")),
            (with(r#","date":99999999999999999"#), Id::Invalid, Some("date")),
            (with(r#","id":"""#), Id::Invalid, Some("id")),
            (with(r#","source":5"#), Id::Invalid, Some("source")),
            (with(r#","data":5"#), Id::Invalid, Some("data")),
        ] {
            assert_eq!(field_of(&body), (id, field.map(str::to_owned)), "{body}");
        }
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let body = format!(
            r#"{{"event":"GIT_PUSH","ownerId":"{OWNER}","data":null,"authorId":null,"date":null,"id":null}}"#
        );
        let posted = event(&body).unwrap();
        assert!(
            posted.data.is_none() && posted.author.is_none() && posted.date.is_none() && posted.key.is_none()
        );
    }

    #[test]
    fn depth_counts_inside_data_in_both_spellings() {
        let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        let quoted = |n: usize| serde_json::to_string(&deep(n)).unwrap();
        let body = |data: String| format!(r#"{{"event":"GIT_PUSH","ownerId":"{OWNER}","data":{data}}}"#);
        assert!(event(&body(deep(62))).is_ok() && event(&body(deep(63))).is_err());
        assert!(event(&body(quoted(63))).is_ok() && event(&body(quoted(64))).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(body in r#"[\[\]{}":,a-e0\\ eventownerId]{0,60}"#, any: String) {
            let _ = (event(&body), event(&any));
        }
    }
}
