//! The templates of titles, summaries and details: a language of five signs, parsed once.
//!
//! Text stands for itself. `{owner}`, `{resource}`, `{author}` and `{data.field}` (`{data.a.b}` for nested objects) stand
//! for what the event says; `{data.commit|8}` takes the first eight characters,
//! `{data.duration|time}` says a number of seconds as people do. What is between `[` and `]` is left out
//! when a field in it is missing. `{{`, `}}`, `[[` and `]]` write the sign itself.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Concern;
use crate::formats::cut::{Unit, cut};
use crate::message::{Text, one_line};

/// The most characters of one field that are shown.
pub const LONGEST_FIELD: usize = 300;

/// A template, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Words(String),
    Field(Field),
    /// Holds words and at least one field.
    Optional(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    source: Source,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// All of it, to the most that is shown.
    Whole,
    /// The first characters.
    First(usize),
    /// Seconds, as people say them.
    Time,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Owner,
    Resource,
    Author,
    Data(Vec<String>),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{` or `[` without its end.
    #[error("`{0}` is never closed; `{0}{0}` writes the sign itself")]
    Unclosed(char),
    /// A `}` or `]` without its beginning.
    #[error("`{0}` closes nothing; `{0}{0}` writes the sign itself")]
    Unopened(char),
    /// A `[` inside `[ ]`.
    #[error("an optional part stands inside another")]
    Nested,
    /// `[ ]` with no field in it.
    #[error("an optional part without a field would never be left out")]
    AlwaysThere,
    /// Not one of the fields there are.
    #[error("`{{{0}}}` is not a field: there are {{owner}}, {{resource}}, {{author}} and {{data.NAME}}")]
    UnknownField(String),
    /// Not a number of characters after `|`, and not `time`.
    #[error("`{{{0}}}`: after `|` stands a number of characters from 1 to {LONGEST_FIELD}, or `time`")]
    BadCut(String),
}

/// What the fields of one event stand for.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The owner's name, or its id.
    pub owner: &'a str,
    /// The resource's name, or its id, if the event is about one.
    pub resource: Option<&'a str>,
    /// The author's name, or their id, if known.
    pub author: Option<&'a str>,
    /// What the event carries.
    pub data: &'a Map<String, Value>,
    /// What to call the resource when the event does not say which.
    pub concerns: Concern,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The first thing that is not of the language.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut inner: Option<Vec<Piece>> = None;
        let mut words = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if matches!(c, '{' | '}' | '[' | ']') && chars.next_if_eq(&c).is_some() {
                words.push(c);
                continue;
            }
            match c {
                '{' => {
                    flush(&mut words, inner.as_mut().unwrap_or(&mut pieces));
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(TemplateError::Unclosed('{')),
                        }
                    }
                    inner.as_mut().unwrap_or(&mut pieces).push(Piece::Field(Field::parse(&name)?));
                }
                '[' if inner.is_some() => return Err(TemplateError::Nested),
                '[' => {
                    flush(&mut words, &mut pieces);
                    inner = Some(Vec::new());
                }
                ']' => {
                    let mut optional = inner.take().ok_or(TemplateError::Unopened(']'))?;
                    flush(&mut words, &mut optional);
                    if !optional.iter().any(|piece| matches!(piece, Piece::Field(_))) {
                        return Err(TemplateError::AlwaysThere);
                    }
                    pieces.push(Piece::Optional(optional));
                }
                '}' => return Err(TemplateError::Unopened('}')),
                c => words.push(c),
            }
        }
        if inner.is_some() {
            return Err(TemplateError::Unclosed('['));
        }
        flush(&mut words, &mut pieces);
        Ok(Self(pieces))
    }

    /// Fills it in. A field that is missing outside `[ ]` is written as `somebody`, `an application`, `an add-on` or `?`.
    pub fn render(&self, values: &Values<'_>) -> Text {
        let mut text = Text::default();
        for piece in &self.0 {
            match piece {
                Piece::Words(words) => text.push(Text::ours(words.as_str())),
                Piece::Field(field) => {
                    text.push(field.render(values).unwrap_or_else(|| Text::ours(field.unknown(values))));
                }
                Piece::Optional(pieces) => text.push(whole(pieces, values).unwrap_or_default()),
            }
        }
        text
    }

    /// Fills it in if no field outside `[ ]` is missing.
    pub fn render_whole(&self, values: &Values<'_>) -> Option<Text> {
        whole(&self.0, values)
    }

    /// Whether it speaks of the resource.
    pub fn names_resource(&self) -> bool {
        self.fields().any(|field| field.source == Source::Resource)
    }

    /// The fields of `data` it speaks of, as written in it: `data.a.b`.
    pub fn data_fields(&self) -> BTreeSet<String> {
        self.fields()
            .filter_map(|field| match &field.source {
                Source::Data(path) => Some(format!("data.{}", path.join("."))),
                Source::Owner | Source::Resource | Source::Author => None,
            })
            .collect()
    }

    /// Those of [`Template::data_fields`] that `data` does not have.
    pub fn missing_in(&self, data: &Map<String, Value>) -> BTreeSet<String> {
        let mut fields = self.data_fields();
        fields.retain(|field| {
            let path: Vec<String> = field.split('.').skip(1).map(str::to_owned).collect();
            shown(data, &path).is_none()
        });
        fields
    }

    fn fields(&self) -> impl Iterator<Item = &Field> {
        self.0.iter().flat_map(|piece| {
            let pieces = match piece {
                Piece::Optional(pieces) => pieces.as_slice(),
                one => std::slice::from_ref(one),
            };
            pieces.iter().filter_map(|piece| match piece {
                Piece::Field(field) => Some(field),
                Piece::Words(_) | Piece::Optional(_) => None,
            })
        })
    }
}

fn flush(words: &mut String, pieces: &mut Vec<Piece>) {
    if !words.is_empty() {
        pieces.push(Piece::Words(std::mem::take(words)));
    }
}

fn whole(pieces: &[Piece], values: &Values<'_>) -> Option<Text> {
    let mut text = Text::default();
    for piece in pieces {
        match piece {
            Piece::Words(words) => text.push(Text::ours(words.as_str())),
            Piece::Field(field) => text.push(field.render(values)?),
            Piece::Optional(pieces) => text.push(whole(pieces, values).unwrap_or_default()),
        }
    }
    Some(text)
}

impl Field {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        let (name, form) = match text.split_once('|') {
            None => (text, Form::Whole),
            Some((name, "time")) => (name, Form::Time),
            Some((name, count)) => {
                let count = count.parse().ok().filter(|count| (1..=LONGEST_FIELD).contains(count));
                (name, Form::First(count.ok_or_else(|| TemplateError::BadCut(start(text)))?))
            }
        };
        let source = match name {
            "owner" => Source::Owner,
            "resource" => Source::Resource,
            "author" => Source::Author,
            other => other
                .strip_prefix("data.")
                .map(|path| path.split('.').map(str::to_owned).collect::<Vec<_>>())
                .filter(|path| path.iter().all(|key| is_key(key)))
                .map(Source::Data)
                .ok_or_else(|| TemplateError::UnknownField(start(name)))?,
        };
        Ok(Self { source, form })
    }

    fn render(&self, values: &Values<'_>) -> Option<Text> {
        let text = match &self.source {
            Source::Owner => Cow::Borrowed(values.owner),
            Source::Resource => Cow::Borrowed(values.resource?),
            Source::Author => Cow::Borrowed(values.author?),
            Source::Data(path) => shown(values.data, path)?,
        };
        let text = one_line(&text);
        let text = text.trim();
        let short = match self.form {
            // Digits and our own units: nothing of a user's is left.
            Form::Time => return in_time(text).map(Text::ours),
            Form::First(count) => text.chars().take(count).collect(),
            Form::Whole => cut(text, LONGEST_FIELD, Unit::Chars).into_owned(),
        };
        (!short.is_empty()).then(|| Text::theirs(&short))
    }

    fn unknown(&self, values: &Values<'_>) -> &'static str {
        match (&self.source, values.concerns) {
            (Source::Resource, Concern::Addon) => "an add-on",
            (Source::Resource, _) => "an application",
            (Source::Author, _) => "somebody",
            (Source::Owner | Source::Data(_), _) => "?",
        }
    }
}

/// Seconds as people say them, such as `2 min 12 s`; the two largest units, and less than a second as one. `None` for what
/// is no number of seconds, or of more than a year's.
fn in_time(text: &str) -> Option<String> {
    const YEAR: f64 = 366.0 * 86_400.0;
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..YEAR).contains(seconds))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is positive and less than a year"
    )]
    let seconds = (seconds.round() as u64).max(1);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds % 60, "s")];
    let first = parts.iter().position(|(count, _)| *count > 0)?;
    let said = parts.iter().skip(first).take(2).filter(|(count, _)| *count > 0);
    Some(said.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" "))
}

/// Enough of a field to find it by.
fn start(text: &str) -> String {
    cut(text, 60, Unit::Chars).into_owned()
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A field as text: a string as it is, anything else as JSON (a whole number without `.0`). `null` and blank strings are missing.
fn shown<'a>(data: &'a Map<String, Value>, path: &[String]) -> Option<Cow<'a, str>> {
    let (last, above) = path.split_last()?;
    let mut map = data;
    for key in above {
        map = map.get(key)?.as_object()?;
    }
    match map.get(last)? {
        Value::Null => None,
        Value::String(text) => (!text.trim().is_empty()).then_some(Cow::Borrowed(text)),
        // A whole number is one to people, however a poster's JSON spells it.
        Value::Number(number) => {
            let text = number.to_string();
            Some(Cow::Owned(text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)))
        }
        other => Some(Cow::Owned(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Span;
    use proptest::prelude::*;
    use serde_json::json;

    fn values(data: &Map<String, Value>) -> Values<'_> {
        Values { owner: "ACME", resource: Some("web"), author: None, data, concerns: Concern::Application }
    }

    fn filled(template: &str, data: Value) -> String {
        let data = data.as_object().cloned().unwrap_or_default();
        Template::parse(template).unwrap().render(&values(&data)).to_string()
    }

    #[test]
    fn a_field_stands_for_what_the_event_says_and_an_optional_part_needs_its_field() {
        let template = "{resource} of {owner}[ by {author}][ at {data.commit|4}].";
        assert_eq!(filled(template, json!({"commit": "abcdef"})), "web of ACME at abcd.");
        assert_eq!(filled(template, json!({"commit": null})), "web of ACME.");
        assert_eq!(filled(template, json!({"commit": " \n"})), "web of ACME.");
        assert_eq!(filled("{author}: {data.x} {data.a.b}", json!({"a": {"b": 1}})), "somebody: ? 1");
    }

    #[test]
    fn a_doubled_sign_writes_itself() {
        assert_eq!(filled("{{a}} [[b]] {data.x}", json!({"x": "{owner} [y]"})), "{a} [b] {owner} [y]");
    }

    #[test]
    fn other_types_are_shown_as_json_and_cut_to_length() {
        assert_eq!(filled("{data.x}", json!({"x": [1, {"a": true}]})), r#"[1,{"a":true}]"#);
        assert_eq!(filled("{data.x} {data.y}", json!({"x": 20.5, "y": 20.0})), "20.5 20");
        let long = filled("{data.x}", json!({"x": "é".repeat(400)}));
        assert_eq!((long.chars().count(), long.ends_with('…')), (LONGEST_FIELD, true));
    }

    #[test]
    fn seconds_are_said_as_people_say_them_and_anything_else_is_missing() {
        for (given, expected) in [
            (json!(132), " after 2 min 12 s"),
            (json!("132"), " after 2 min 12 s"),
            (json!(0.2), " after 1 s"),
            (json!(59.6), " after 1 min"),
            (json!(3600), " after 1 h"),
            (json!(3725), " after 1 h 2 min"),
            (json!(90_061), " after 1 d 1 h"),
            (json!(-1), ""),
            (json!(1e300), ""),
            (json!("NaN"), ""),
            (json!("soon"), ""),
            (json!([1]), ""),
            (json!(null), ""),
        ] {
            assert_eq!(filled("[ after {data.x|time}]", json!({"x": given.clone()})), expected, "{given}");
        }
    }

    #[test]
    fn our_words_and_theirs_stay_apart() {
        let data = Map::new();
        let text = Template::parse("Hello {owner}").unwrap().render(&values(&data));
        assert_eq!(text.spans(), [Span::Ours("Hello ".into()), Span::Theirs("ACME".into())]);
    }

    #[test]
    fn what_is_not_of_the_language_is_named() {
        let error = |text: &str| Template::parse(text).unwrap_err();
        assert_eq!(error("a { b"), TemplateError::Unclosed('{'));
        assert_eq!(error("[ {owner}"), TemplateError::Unclosed('['));
        assert_eq!(error("a } b"), TemplateError::Unopened('}'));
        assert_eq!(error("a ] b"), TemplateError::Unopened(']'));
        assert_eq!(error("[a [{owner}]"), TemplateError::Nested);
        assert_eq!(error("[a]"), TemplateError::AlwaysThere);
        assert_eq!(error("{data.}"), TemplateError::UnknownField("data.".into()));
        assert_eq!(error("{name}"), TemplateError::UnknownField("name".into()));
        assert_eq!(error("{owner|0}"), TemplateError::BadCut("owner|0".into()));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_template_and_no_data_panic_or_break_a_line(
            text in prop_oneof![any::<String>(), r"([a-z \[\]{}|]|\{owner\}|\{data\.[a-d](\.[a-d])?(\|[0-9]{1,3})?\}){0,20}"],
            data in any_json(),
        ) {
            let data = data.as_object().cloned().unwrap_or_default();
            if let Ok(template) = Template::parse(&text) {
                for span in template.render(&values(&data)).spans() {
                    if let Span::Theirs(theirs) = span {
                        prop_assert!(!theirs.chars().any(char::is_control));
                        prop_assert!(theirs.chars().count() <= LONGEST_FIELD);
                    }
                }
            }
        }

        #[test]
        fn plain_words_are_written_as_they_are(text in r"[^\[\]{}]*") {
            prop_assert_eq!(filled(&text, json!({})), text);
        }
    }
}
