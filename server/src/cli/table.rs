//! What people read: tables, times, and server texts that cannot drive the terminal they are printed on.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde_json::Value;
use sonnette_core::message;

/// Printed where there is nothing.
const NONE: &str = "-";

/// Whether a character moves the cursor, or changes the order in which others are read.
fn drives(c: char) -> bool {
    c.is_control() || message::turns(c)
}

/// A text from elsewhere, fit for a terminal: line breaks and tabs become spaces, what drives a terminal or turns
/// text around becomes U+FFFD.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if drives(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// A value as one line of JSON. Characters that drive a terminal are escaped, which JSON reads back as themselves.
pub fn json_line(value: &Value) -> String {
    let text = value.to_string();
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if drives(c) {
            // All of them are in the basic plane, and stand inside strings: the syntax itself has none.
            line.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            line.push(c);
        }
    }
    line
}

/// Milliseconds since 1970 as RFC 3339 in UTC, to the second.
pub fn time(millis: i64) -> String {
    Timestamp::from_second(millis.div_euclid(1000)).map_or_else(|_| millis.to_string(), |at| at.to_string())
}

/// A time, if there is one.
pub fn maybe_time(millis: Option<i64>) -> String {
    millis.map_or_else(none, time)
}

/// What is printed where there is nothing.
pub fn none() -> String {
    NONE.to_owned()
}

/// A text, if there is one.
pub fn or_none(text: Option<&str>) -> String {
    match text {
        Some("") | None => none(),
        Some(text) => text.to_owned(),
    }
}

/// Columns under a header, without borders and never broken: an id must stay one word to be copied.
pub fn render(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| clean(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Names beside their values.
pub fn facts(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:<width$}  {}", clean(value));
    pairs.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_keeps_a_character_that_drives_the_terminal(text: String) {
            prop_assert!(!clean(&text).chars().any(drives));
        }

        #[test]
        fn a_line_of_json_reads_back_as_the_value(text: String) {
            let value = serde_json::json!({ text.clone(): [text, "\u{9b}2J\u{202e}\u{7f}"] });
            let line = json_line(&value);
            prop_assert!(!line.chars().any(drives));
            prop_assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
        }

        #[test]
        fn no_time_makes_it_panic(millis: i64) {
            prop_assert!(!time(millis).is_empty());
        }
    }

    #[test]
    fn times_are_utc_to_the_second() {
        assert_eq!(time(1_767_348_000_999), "2026-01-02T10:00:00Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59Z");
        assert_eq!(maybe_time(None), "-");
    }

    #[test]
    fn a_table_has_a_header_and_no_trailing_space() {
        let rows = [vec!["hook_1".to_owned(), "Chat\nroom".into()], vec!["hook_22".into(), none()]];
        insta::assert_snapshot!(render(&["ID", "NAME"], rows), @r"
        ID       NAME
        hook_1   Chat room
        hook_22  -
        ");
    }

    #[test]
    fn facts_line_up() {
        insta::assert_snapshot!(facts(&[("id", "hook_1".into()), ("secret", "whsec_x".into())]), @r"
        id      hook_1
        secret  whsec_x
        ");
    }
}
