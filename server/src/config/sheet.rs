//! A TOML file beside the default one: values by key, mistakes by line.

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::Mistakes;

/// Two files, and what was found wrong with the first.
pub(super) struct Sheet<'a> {
    name: &'a str,
    text: &'a str,
    written: DeTable<'a>,
    default: toml::Table,
    mistakes: Vec<String>,
}

impl<'a> Sheet<'a> {
    /// Parses both; notes every key of the first that the second does not have.
    pub(super) fn new(name: &'a str, text: &'a str, default: &str) -> Result<Self, Mistakes> {
        let parsed = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            Mistakes(vec![format!("{name}:{line}: {}", error.message())])
        })?;
        let default =
            default.parse().map_err(|error| Mistakes(vec![format!("the default configuration: {error}")]))?;
        let mut sheet = Self { name, text, written: parsed.into_inner(), default, mistakes: Vec::new() };
        sheet.mistakes = sheet.unknown_keys();
        Ok(sheet)
    }

    fn unknown_keys(&self) -> Vec<String> {
        let mut unknown = Vec::new();
        for (section, value) in &self.written {
            let place = |at: usize| format!("{}:{}", self.name, line_of(self.text, at));
            let name = section.get_ref();
            let Some(known) = self.default.get(name.as_ref()).and_then(toml::Value::as_table) else {
                unknown.push(format!("{}: {name}: there is no such section", place(section.span().start)));
                continue;
            };
            let DeValue::Table(keys) = value.get_ref() else {
                unknown.push(format!("{}: {name} is a section, not a value", place(section.span().start)));
                continue;
            };
            for (key, _) in keys {
                if !known.contains_key(key.get_ref().as_ref()) {
                    unknown.push(format!(
                        "{}: {name}.{}: there is no such setting",
                        place(key.span().start),
                        key.get_ref()
                    ));
                }
            }
        }
        unknown
    }

    /// Every mistake noted, or nothing.
    pub(super) fn finish(&mut self) -> Result<(), Mistakes> {
        let mistakes = std::mem::take(&mut self.mistakes);
        if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
    }

    /// Notes a mistake that says its own place.
    pub(super) fn mistake(&mut self, words: String) {
        self.mistakes.push(words);
    }

    /// Notes that the value of `key` should be `expected`, unless there is one.
    pub(super) fn expect<T>(&mut self, key: &str, value: Option<T>, expected: &str) -> Option<T> {
        if value.is_none() {
            let line = self.written_at(key).map_or(1, |at| line_of(self.text, at));
            self.mistakes.push(format!("{}:{line}: {key}: expected {expected}", self.name));
        }
        value
    }

    /// A text; `None` if it is empty, or with a mistake noted.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.value(key).as_str().map(str::to_owned);
        self.expect(key, value, "a text in quotes").filter(|text| !text.is_empty())
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, key: &str, least: i64, most: i64) -> Option<i64> {
        let value = self.value(key).as_i64().filter(|number| (least..=most).contains(number));
        self.expect(key, value, &format!("a whole number from {least} to {most}"))
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        let value = self.value(key).as_bool();
        self.expect(key, value, "true or false").unwrap_or_default()
    }

    /// A list of texts.
    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        let value = self.value(key);
        let texts =
            value.as_array().and_then(|all| all.iter().map(|one| one.as_str().map(str::to_owned)).collect());
        self.expect(key, texts, "a list of texts in quotes").unwrap_or_default()
    }

    /// What is written, or the default.
    fn value(&self, key: &str) -> Json {
        let Some((section, name)) = key.split_once('.') else { return Json::Null };
        if let Some(DeValue::Table(keys)) = self.written.get(section).map(|value| value.get_ref())
            && let Some(value) = keys.get(name)
        {
            return json(value.get_ref());
        }
        let default = self.default.get(section).and_then(|table| table.get(name));
        default.and_then(|value| serde_json::to_value(value).ok()).unwrap_or_default()
    }

    fn written_at(&self, key: &str) -> Option<usize> {
        let (section, name) = key.split_once('.')?;
        let DeValue::Table(keys) = self.written.get(section)?.get_ref() else { return None };
        keys.iter().find(|(key, _)| key.get_ref() == name).map(|(key, _)| key.span().start)
    }
}

/// The sorts of value settings have; a date or a table is none of them.
fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Json::Null, Json::from)
        }
        DeValue::Boolean(flag) => Json::from(*flag),
        DeValue::Array(all) => all.iter().map(|one| json(one.get_ref())).collect(),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Json::Null,
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}
