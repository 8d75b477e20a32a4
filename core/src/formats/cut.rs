//! Cutting a text to what a service takes, counted as that service counts.
//!
//! A cut never falls inside a character as people see it (Unicode Standard Annex #29, extended grapheme clusters), so
//! not inside a surrogate pair, a flag, or a family joined by U+200D. What was cut ends in `…`, counted in the limit.

use std::borrow::Cow;

use unicode_segmentation::GraphemeCursor;

use crate::message::{Span, Text};

const ELLIPSIS: char = '…';

/// What a service counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Unicode scalar values.
    Chars,
    /// Bytes of UTF-8.
    Bytes,
    /// Code units of UTF-16. Never fewer than characters, so it is also the safe choice where a service does not say.
    Utf16,
}

impl Unit {
    /// The size of a text.
    pub fn size(self, text: &str) -> usize {
        match self {
            Self::Bytes => text.len(),
            // Most texts are, and then every unit counts the same.
            _ if text.is_ascii() => text.len(),
            Self::Chars | Self::Utf16 => text.chars().map(|c| self.of(c)).sum(),
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chars => "characters",
            Self::Bytes => "bytes",
            Self::Utf16 => "UTF-16 units",
        }
    }

    fn of(self, c: char) -> usize {
        match self {
            Self::Chars => 1,
            Self::Bytes => c.len_utf8(),
            Self::Utf16 => c.len_utf16(),
        }
    }
}

/// The text, or its beginning and `…`: at most `max` units.
pub fn cut(text: &str, max: usize, unit: Unit) -> Cow<'_, str> {
    // No unit counts more than bytes.
    if text.len() <= max || unit.size(text) <= max {
        return Cow::Borrowed(text);
    }
    let Some(room) = max.checked_sub(unit.of(ELLIPSIS)) else { return Cow::Borrowed("") };
    let mut cut = text[..whole(text, room, unit)].trim_end().to_owned();
    cut.push(ELLIPSIS);
    Cow::Owned(cut)
}

/// The end of the longest beginning of at most `room` units that is made of whole graphemes.
fn whole(text: &str, room: usize, unit: Unit) -> usize {
    let mut size = 0;
    let end = text
        .char_indices()
        .find(|(_, c)| {
            size += unit.of(*c);
            size > room
        })
        .map_or(text.len(), |(at, _)| at);
    let mut cursor = GraphemeCursor::new(end, text.len(), true);
    // The cursor has the whole text, so it never asks for more of it.
    match cursor.is_boundary(text, 0) {
        Ok(false) => cursor.prev_boundary(text, 0).ok().flatten().unwrap_or_default(),
        _ => end,
    }
}

/// [`cut`], for a text of ours and theirs: its beginning, and `…` as our own word.
pub fn cut_text(text: &Text, max: usize, unit: Unit) -> Text {
    let words = |span: &Span| match span {
        Span::Ours(words) | Span::Theirs(words) => unit.size(words),
    };
    if text.spans().iter().map(words).sum::<usize>() <= max {
        return text.clone();
    }
    let mut out = Text::default();
    let Some(mut left) = max.checked_sub(unit.of(ELLIPSIS)) else { return out };
    for span in text.spans() {
        out.push(match span {
            Span::Ours(words) => Text::ours(&words[..whole(words, left, unit)]),
            Span::Theirs(words) => Text::theirs(&words[..whole(words, left, unit)]),
        });
        match left.checked_sub(words(span)) {
            Some(rest) => left = rest,
            None => break,
        }
    }
    out.push(Text::ours(ELLIPSIS));
    out
}

/// Writes a text for a service in at most `max` units *as written*.
///
/// It is cut first and written after, then measured again, until it fits: so no entity, escape or code span is ever
/// cut in half, whatever `write` makes of it.
pub fn written(text: &Text, max: usize, unit: Unit, write: impl Fn(&Text) -> String) -> String {
    let mut room = max;
    let mut out = write(text);
    loop {
        let size = unit.size(&out);
        if size <= max {
            return out;
        }
        if room == 0 {
            return String::new();
        }
        out = write(&cut_text(text, room, unit));
        room = (room * max / size).min(room - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation;

    const UNITS: [Unit; 3] = [Unit::Chars, Unit::Bytes, Unit::Utf16];

    #[test]
    fn each_unit_counts_as_its_service_does() {
        for (unit, size) in [(Unit::Chars, 3), (Unit::Bytes, 7), (Unit::Utf16, 4)] {
            assert_eq!(unit.size("aé😀"), size, "{unit:?}");
        }
    }

    #[test]
    fn a_cut_falls_between_what_people_take_for_characters() {
        for (text, max, unit, expected) in [
            ("abcdef", 6, Unit::Chars, "abcdef"),
            ("abcdef", 5, Unit::Chars, "abcd…"),
            ("abcdef", 5, Unit::Bytes, "ab…"),
            ("ab cdef", 4, Unit::Chars, "ab…"),
            ("a😀😀", 4, Unit::Utf16, "a😀…"),
            ("a👩‍👩‍👧b", 5, Unit::Chars, "a…"),
            ("e\u{301}e\u{301}e\u{301}", 4, Unit::Chars, "e\u{301}…"),
            ("🇫🇷🇩🇪🇮🇹", 4, Unit::Chars, "🇫🇷…"),
            ("abc", 1, Unit::Chars, "…"),
            ("abc", 2, Unit::Bytes, ""),
            ("abc", 0, Unit::Chars, ""),
        ] {
            assert_eq!(cut(text, max, unit), expected, "{text} {max} {unit:?}");
        }
    }

    #[test]
    fn a_text_of_two_parts_is_cut_in_the_part_that_is_too_long() {
        let mut text = Text::ours("Build of ");
        text.push(Text::theirs("a-long-name"));
        text.push(Text::ours(" failed"));
        let cut = |max| cut_text(&text, max, Unit::Chars).to_string();
        assert_eq!(cut(100), "Build of a-long-name failed");
        assert_eq!(cut(27), "Build of a-long-name failed");
        assert_eq!(cut(14), "Build of a-lo…");
        assert_eq!(cut(10), "Build of …");
        assert_eq!(cut(21), "Build of a-long-name…");
        assert_eq!(cut(6), "Build…");
        assert_eq!(cut(0), "");
    }

    proptest! {
        #[test]
        fn what_is_cut_fits_and_is_made_of_whole_graphemes(text: String, max in 0_usize..40) {
            for unit in UNITS {
                let cut = cut(&text, max, unit);
                prop_assert!(unit.size(&cut) <= max);
                let begin = cut.strip_suffix('…').unwrap_or(&cut);
                prop_assert!(text.starts_with(begin));
                let next = text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).find(|at| *at >= begin.len());
                // What trim_end took is white space, which is a grapheme or the end of one.
                prop_assert!(next == Some(begin.len()) || text[begin.len()..].starts_with(char::is_whitespace));
            }
        }

        #[test]
        fn what_is_written_fits_and_holds_only_whole_escapes(text in "[&<>a-c😀\u{301}]{0,60}", max in 0_usize..80) {
            let mut both = Text::ours("a & b ");
            both.push(Text::theirs(&text));
            for unit in UNITS {
                let escape = |part: &str| crate::formats::escape::mrkdwn(part);
                let out = written(&both, max, unit, |text| text.write(escape, escape));
                prop_assert!(unit.size(&out) <= max);
                let rest = out.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
                prop_assert!(!rest.contains(['&', '<', '>']), "{out}");
            }
        }
    }
}
