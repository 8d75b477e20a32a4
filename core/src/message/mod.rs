//! What an event says to people: one neutral message, which every format and letter puts into its own words.
//!
//! Every string knows which of its parts came from a user: a format escapes those and nothing else.

mod build;
mod links;

use std::fmt;

pub use build::{author, of, of_kind};
pub use links::{LinkError, LinkTemplate, LinkTemplates};

use crate::model::{Event, Millis};
use crate::words::words;

/// How much it matters, which formats show as a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Something happened.
    Info,
    /// Something went well.
    Success,
    /// Something needs a look.
    Warning,
    /// Something went wrong.
    Error,
}

impl Severity {
    /// Every severity.
    pub const ALL: [Self; 4] = [Self::Info, Self::Success, Self::Warning, Self::Error];

    /// The name in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// Reads the name in the catalogue.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == text)
    }
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// Our own words, from the catalogue: to be trusted.
    Ours(String),
    /// A user's words (names, commits, branches): to be escaped.
    Theirs(String),
}

/// A line of text made of our words and a user's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(Vec<Span>);

impl Text {
    /// Our own words.
    pub fn ours(text: impl Into<String>) -> Self {
        Self(vec![Span::Ours(text.into())])
    }

    /// A user's words, on one line: controls and direction overrides are taken out.
    pub fn theirs(text: &str) -> Self {
        Self(vec![Span::Theirs(one_line(text))])
    }

    /// Adds another text at the end.
    pub fn push(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The parts in order.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|(Span::Ours(text) | Span::Theirs(text))| text.is_empty())
    }

    /// Writes it for a service: each part by the rule for its origin.
    pub fn write(&self, ours: impl Fn(&str) -> String, theirs: impl Fn(&str) -> String) -> String {
        self.0
            .iter()
            .map(|span| match span {
                Span::Ours(text) => ours(text),
                Span::Theirs(text) => theirs(text),
            })
            .collect()
    }
}

/// As plain text, for places where nothing is markup.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(Span::Ours(text) | Span::Theirs(text))| f.write_str(text))
    }
}

/// Whether a character only turns the direction of reading (the marks and overrides of UAX #9, section 2), or is the byte
/// order mark, which nobody sees either.
pub fn turns(c: char) -> bool {
    matches!(
        c,
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}'
    )
}

/// Takes out what could break a line or turn it around: C0 and C1 controls, and what [`turns`] it. Line breaks and tabs
/// become a space.
pub fn one_line(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
            c if c.is_control() || turns(c) => None,
            c => Some(c),
        })
        .collect()
}

/// One fact of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Our word for it, such as `Commit`.
    pub label: String,
    /// What it is.
    pub value: Text,
}

/// A link of a message, built from the operator's templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Our words for it, such as `Open the application`.
    pub label: String,
    /// An absolute http(s) URL.
    pub url: String,
}

/// What an event says to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Name of the event's kind.
    pub kind: String,
    /// How much it matters.
    pub severity: Severity,
    /// One line that says it all.
    pub title: Text,
    /// What it is about, by its name: the application or add-on, else the owner.
    pub about: Text,
    /// One or two sentences more; may be empty.
    pub summary: Text,
    /// Facts, the most telling first.
    pub details: Vec<Detail>,
    /// Links, the most useful first.
    pub links: Vec<Link>,
    /// Who did it.
    pub actor: Option<Text>,
    /// When it happened.
    pub at: Millis,
    /// Messages with the same key belong together: the resource's id, or the owner's.
    pub thread: String,
    /// Whether it begins trouble that lasts, or ends what began before in the same thread.
    pub incident: Option<Incident>,
}

impl Message {
    /// The least that can be said: what happened, and to what. For when nothing more can.
    pub fn plain(event: &Event) -> Self {
        let about = event.resource.as_ref().map_or_else(|| event.owner.to_string(), ToString::to_string);
        let mut title = Text::ours(event.kind.as_str());
        title.push(Text::ours(": "));
        title.push(Text::theirs(&about));
        Self {
            kind: event.kind.clone(),
            severity: Severity::Info,
            title,
            about: Text::theirs(&about),
            summary: Text::default(),
            details: Vec::new(),
            links: Vec::new(),
            actor: None,
            at: event.id.at(),
            thread: about,
            incident: None,
        }
    }
}

words! {
    /// Trouble that lasts begins or ends.
    Incident {
        /// It begins.
        Opens = "opens",
        /// It ends, if it had begun.
        Closes = "closes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_users_words_stay_on_one_line_in_one_direction(text: String) {
            let line = one_line(&text);
            prop_assert!(!line.chars().any(|c| c.is_control() || turns(c)));
            prop_assert_eq!(one_line(&line), line);
        }
    }

    #[test]
    fn marks_of_direction_and_order_are_taken_out() {
        let text =
            "a\u{61C}b\u{200E}c\u{200F}d\u{202A}e\u{202E}f\u{2066}g\u{2069}h\u{FEFF}i\u{0}j\u{85}k\r\nl";
        assert_eq!(one_line(text), "abcdefghijk  l");
        assert_eq!(one_line("👩\u{200D}👧"), "👩\u{200D}👧", "a family stays one");
    }

    #[test]
    fn each_part_is_written_by_the_rule_for_its_origin() {
        let mut text = Text::ours("<b>");
        text.push(Text::theirs("<i>\n"));
        assert_eq!(text.write(str::to_owned, |theirs| theirs.replace('<', "&lt;")), "<b>&lt;i> ");
    }
}
