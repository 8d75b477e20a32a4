//! The languages people are written to in.

use crate::words::words;

words! {
    /// A language.
    #[derive(Default)]
    Lang {
        /// English, which stands in for every other.
        #[default]
        En = "en",
        /// French.
        Fr = "fr",
    }
}

impl Lang {
    /// The language of a BCP 47 tag such as `fr-CA`, by its first part.
    pub fn of(tag: &str) -> Self {
        let first = tag.split(['-', '_']).next().unwrap_or_default();
        Self::parse(&first.to_ascii_lowercase()).unwrap_or(Self::En)
    }

    /// One of two, by the language.
    pub fn pick<T>(self, en: T, fr: T) -> T {
        match self {
            Self::En => en,
            Self::Fr => fr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_by_its_first_part_and_english_stands_in() {
        for (tag, lang) in [
            ("fr", Lang::Fr),
            ("FR-ca", Lang::Fr),
            ("fr_FR", Lang::Fr),
            ("frr", Lang::En),
            ("de", Lang::En),
            ("", Lang::En),
        ] {
            assert_eq!(Lang::of(tag), lang, "{tag}");
        }
    }
}
