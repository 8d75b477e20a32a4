//! What each service takes at most, and what can be done there: data, from the numbers messages are cut by.

use super::cut::Unit;
use crate::words::words;

/// The most a service takes of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Of what, in words.
    pub what: &'static str,
    /// So much.
    pub max: usize,
    /// Of these; `None` counts things, such as facts.
    pub unit: Option<Unit>,
    /// Where it stands in the body: a JSON pointer (RFC 6901) in which `*` is every member; empty for all of it. `None` where
    /// no one place has it.
    pub at: Option<&'static str>,
}

impl Limit {
    /// Of a text at a place.
    pub(super) const fn of(what: &'static str, max: usize, unit: Unit, at: &'static str) -> Self {
        Self { what, max, unit: Some(unit), at: Some(at) }
    }

    /// Of how many there are at a place.
    pub(super) const fn many(what: &'static str, max: usize, at: &'static str) -> Self {
        Self { what, max, unit: None, at: Some(at) }
    }

    /// The same, where no one place has it.
    pub(super) const fn anywhere(self) -> Self {
        Self { at: None, ..self }
    }
}

words! {
    /// Which messages stand together.
    Threads {
        /// Each by itself.
        None = "none",
        /// Those about one application or add-on, else those about the owner.
        Resource = "resource",
        /// All, in the thread whoever makes the hook chose.
        Chosen = "chosen",
    }
}

/// What can be done in a format, as we speak it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Can {
    /// Which messages stand together.
    pub threads: Threads,
    /// Whether what ends trouble resolves what it began.
    pub resolves: bool,
    /// Whether a later message changes what an earlier one shows.
    pub updates: bool,
    /// Whether an attempt that was heard but not answered is recognised when it is repeated.
    pub once: bool,
}

impl Can {
    /// Post, and nothing else.
    pub(super) const POST: Self =
        Self { threads: Threads::None, resolves: false, updates: false, once: false };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::Value;

    use crate::formats::samples::{self, read, request, urls};
    use crate::formats::{FORMATS, Format, Render};
    use crate::message::{Message, Text};
    use crate::secret::Secret;

    /// All that stands at a pointer with stars.
    fn at<'a>(value: &'a Value, pointer: &str) -> Vec<&'a Value> {
        pointer.split('/').skip(1).fold(vec![value], |found, key| {
            let step = |value: &'a Value| -> Vec<&'a Value> {
                match (value, key) {
                    (Value::Array(items), "*") => items.iter().collect(),
                    (Value::Object(map), "*") => map.values().collect(),
                    (Value::Array(items), key) => {
                        items.get(key.parse::<usize>().unwrap()).into_iter().collect()
                    }
                    (value, key) => value.get(key).into_iter().collect(),
                }
            };
            found.into_iter().flat_map(step).collect()
        })
    }

    /// Checks every limit of a format on a message; gives those whose place was found.
    fn check(format: &Format, message: &Message) -> BTreeSet<&'static str> {
        let mut found = BTreeSet::new();
        for url in urls(format) {
            let sent = request(format, &Secret::new(*url), message);
            let body = read(&sent);
            for limit in format.limits {
                let size = |value: &Value| match (limit.unit, value) {
                    (Some(unit), Value::String(text)) => Some(unit.size(text)),
                    (None, Value::Array(items)) => Some(items.len()),
                    _ => None,
                };
                let sizes: Vec<usize> = match limit.at {
                    None => continue,
                    Some("") => vec![sent.body.len()],
                    Some(place) => at(&body, place).into_iter().filter_map(size).collect(),
                };
                for size in sizes {
                    found.insert(limit.what);
                    assert!(size <= limit.max, "{} {url}: {} is {size}", format.name, limit.what);
                }
            }
        }
        found
    }

    /// A message that has too much of everything, made of one word.
    fn maximal(word: &str) -> Message {
        let mut message = samples::messages().remove(0);
        let long = Text::theirs(&word.repeat(6_000 / word.len()));
        message.title = long.clone();
        message.about = long.clone();
        message.summary = long.clone();
        message.actor = Some(long.clone());
        message.details = message.details.iter().cycle().take(60).cloned().collect();
        for detail in &mut message.details {
            detail.value = long.clone();
        }
        message.links = message.links.iter().cycle().take(12).cloned().collect();
        message
    }

    #[test]
    fn no_limit_is_broken_by_too_much_of_anything_and_each_place_is_there() {
        for format in FORMATS {
            assert_eq!(
                format.limits.is_empty(),
                matches!(format.render, Render::Frame(_)),
                "{} says what it takes",
                format.name
            );
            for word in ["x", "&", "\"", "\\", "*", "`", "@all ", "a.b ", "😀", "é", "👩‍👩‍👧"]
            {
                let mut found = check(format, &maximal(word));
                found.extend(check(format, &samples::messages()[0]));
                let placed = format.limits.iter().filter(|limit| limit.at.is_some());
                let missing: Vec<_> = placed.filter(|limit| !found.contains(limit.what)).collect();
                assert!(missing.is_empty(), "{}: {missing:?}", format.name);
            }
        }
    }

    proptest! {
        #![proptest_config(samples::cases())]

        #[test]
        fn no_limit_is_broken_whatever_users_write(message in samples::any_message()) {
            for format in FORMATS {
                check(format, &message);
            }
        }
    }
}
