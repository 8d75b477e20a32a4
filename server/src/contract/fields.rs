//! One JSON object as its fields in order, each still in its own text: so that every field can be judged by itself, and
//! nothing is copied before it must be.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of an object. At most a few dozen matter, so a list is searched.
#[derive(Debug)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some(Key(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl<'a> Fields<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(text: &'a str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The value of a name, if it is there and not null. Of several the last, as parsers do.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value)
            .filter(|value| value.get() != "null")
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_ref())
    }

    /// A name given twice.
    pub fn twice(&self) -> Option<&str> {
        let mut later = self.0.iter();
        while let Some((key, _)) = later.next() {
            if later.as_slice().iter().any(|(other, _)| other == key) {
                return Some(key);
            }
        }
        None
    }
}

/// The text of a JSON string; `None` if it is another sort of value.
pub fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let inside = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str::<String>(value.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_own_text_and_null_is_nothing() {
        let fields = Fields::read(r#"{"a": {"x":1.50}, "b":null, "\u0063":"d\n"}"#).unwrap();
        assert_eq!(fields.get("a").unwrap().get(), r#"{"x":1.50}"#);
        assert!(fields.get("b").is_none() && fields.get("z").is_none());
        assert_eq!(text(fields.get("c").unwrap()).unwrap(), "d\n");
        assert_eq!(text(fields.get("a").unwrap()), None);
        assert!(Fields::read("[1]").is_err() && Fields::read(r#"{"a":}"#).is_err());
    }

    #[test]
    fn a_name_given_twice_is_found() {
        assert_eq!(Fields::read(r#"{"a":1,"b":2,"a":3}"#).unwrap().twice(), Some("a"));
        assert_eq!(Fields::read(r#"{"a":1,"b":2}"#).unwrap().twice(), None);
    }
}
