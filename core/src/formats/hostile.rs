//! What somebody would put into a name or a commit message, through every format there is.
//!
//! A format is in the list, so it is tested here. What it adds of its own: a URL in [`samples::url`], fields in
//! [`samples::fields`], the places where its service reads no markup in [`inert`], and what it takes at most in [`Format::limits`].

use proptest::prelude::*;
use serde_json::Value;

use super::samples::{self, hostile, read, urls};
use super::{FORMATS, Format, Render};
use crate::message::{Message, Text};
use crate::secret::Secret;

/// The largest body a service takes, in bytes, where it says so.
fn most_bytes(format: &Format) -> usize {
    format.limits.iter().find(|limit| limit.at == Some("")).map_or(128 * 1024, |limit| limit.max)
}

/// Whether a string of a body is shown as it stands: `path` are the keys that lead to it.
fn inert(format: &Format, path: &str) -> bool {
    match format.name {
        // Nothing in an alarm is markup.
        "pagerduty" => true,
        "ntfy" | "gotify" => path == "/title",
        _ => false,
    }
}

/// Every string with the keys that lead to it, places of arrays left out.
fn strings<'a>(value: &'a Value, path: &str, out: &mut Vec<(String, &'a str)>) {
    match value {
        Value::String(text) => out.push((path.to_owned(), text)),
        Value::Array(items) => items.iter().for_each(|item| strings(item, path, out)),
        Value::Object(map) => {
            map.iter().for_each(|(key, item)| strings(item, &format!("{path}/{key}"), out));
        }
        _ => {}
    }
}

/// What a program would act on in a text: a call, a link or a tag that is not ours.
fn alive(text: &str) -> Option<String> {
    // Behind a backslash nothing is markup to Markdown, and within a code span nothing at all; calls are heard there too.
    let escaped = |at: usize| text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
    let in_code = |at: usize| text[..at].matches('`').count() % 2 == 1 && text[at..].contains('`');
    let after = |sign: &str, harmless: &dyn Fn(&str) -> bool| {
        let mut found =
            text.match_indices(sign).filter(|(at, _)| sign == "@" || !escaped(*at) && !in_code(*at));
        let (at, _) = found.find(|(at, _)| !harmless(&text[at + sign.len()..]))?;
        Some(text[at..].chars().take(40).collect::<String>())
    };
    const TAGS: [&str; 28] = [
        "https://console.example/",
        "!date^",
        "a href=\"https://console.example/",
        "/a>",
        "p>",
        "/p>",
        "b>",
        "/b>",
        "strong>",
        "/strong>",
        "i>",
        "/i>",
        "em>",
        "/em>",
        "code>",
        "/code>",
        "br>",
        "br/>",
        "table>",
        "/table>",
        "tr>",
        "/tr>",
        "th>",
        "/th>",
        "td>",
        "/td>",
        "font color=\"#",
        "/font>",
    ];
    const MORE: [&str; 8] = ["ul>", "/ul>", "li>", "/li>", "h4>", "/h4>", "span data-mx-color=\"#", "/span>"];
    after("@", &|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || "*_".contains(c)))
        .or_else(|| {
            after("<", &|rest| {
                !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "!@#:/?".contains(c))
                    || TAGS.iter().chain(&MORE).any(|tag| rest.starts_with(tag))
            })
        })
        .or_else(|| after("](", &|rest| rest.starts_with("https://console.example/")))
        .or_else(|| after("javascript:alert(1)\">", &|_| false))
        .or_else(|| {
            let links = text.replace("https://console.example/", "");
            links.contains("://").then(|| format!("a bare link in {links}"))
        })
        .or_else(|| {
            // Whatever stands before it, a host becomes a link where bare ones do.
            let text = text.to_lowercase();
            ["evil.example", "evil.com", "evil。com"]
                .iter()
                .find(|host| text.contains(*host))
                .map(|host| (*host).to_owned())
        })
}

/// What no reader can show, or what turns a line around.
pub(crate) fn broken(text: &str) -> Option<char> {
    text.chars().find(|c| {
        c.is_control() && *c != '\n'
            || matches!(
                c,
                '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}'
            )
    })
}

/// A message that says one thing wherever a user can say something.
pub(crate) fn saying(words: &str) -> Message {
    let mut message = samples::messages().remove(0);
    let (title, summary) = (samples::sentence("Deployment of ", words, " failed"), Text::theirs(words));
    message.title = title;
    message.summary = summary;
    message.about = Text::theirs(words);
    message.actor = Some(Text::theirs(words));
    for detail in &mut message.details {
        detail.value = Text::theirs(words);
    }
    message
}

fn check(format: &Format, url: &str, words: &str, message: &Message) {
    let request = samples::request(format, &Secret::new(url), message);
    let start: String = words.chars().take(60).collect();
    let what = format!("{} {url} {start:?}", format.name);
    assert!(request.body.len() <= most_bytes(format), "{what}: {} bytes", request.body.len());
    for (name, value) in &request.headers {
        assert!(value.as_bytes().iter().all(|byte| *byte != b'\r' && *byte != b'\n'), "{what}: {name}");
    }
    let body = read(&request);
    if matches!(format.render, Render::Frame(_)) {
        return;
    }
    let mut all = Vec::new();
    strings(&body, "", &mut all);
    for (path, text) in all {
        assert_eq!(broken(text), None, "{what} at {path}: {text}");
        assert!(!text.contains("\u{200D}…"), "{what} at {path}: a family is cut");
        let ours = [
            samples::FROM,
            "http://adaptivecards.io/schemas/adaptive-card.json",
            "https://schema.org/extensions",
        ];
        let link = text.starts_with("https://console.example/") && !text.contains(char::is_whitespace);
        if link || ours.contains(&text) || inert(format, &path) {
            continue;
        }
        assert_eq!(alive(text), None, "{what} at {path}: {text}");
    }
}

#[test]
fn nothing_hostile_gets_through_any_format() {
    let all = hostile();
    assert!(all.len() >= 200, "{}", all.len());
    for words in &all {
        let message = saying(words);
        for format in FORMATS {
            for url in urls(format) {
                check(format, url, words, &message);
            }
        }
    }
}

proptest! {
    #![proptest_config(samples::cases())]

    #[test]
    fn nor_does_any_two_of_them_together(one in 0_usize..10_000, two in 0_usize..10_000) {
        let all = hostile();
        let words = format!("{}{}", all[one % all.len()], all[two % all.len()]);
        let message = saying(&words);
        for format in FORMATS {
            for url in urls(format) {
                check(format, url, &words, &message);
            }
        }
    }
}

#[test]
fn what_is_alive_is_told_from_what_is_not() {
    for text in [
        "@everyone",
        "a @**all**",
        "<!channel>",
        "<@U1>",
        "<users/all>",
        "<at>x",
        "<script>",
        "[x](http:",
        "http://x",
        "<https://evil.example|x>",
        "evil.example",
        "<a href=\"http:",
        "javascript:alert(1)\">",
    ] {
        assert!(alive(text).is_some(), "{text}");
    }
    for text in [
        "@\u{200B}everyone",
        "&lt;!channel&gt;",
        "a < b",
        "[Open](https://console.example/x)",
        "<b>x</b>",
        "evil.\u{200B}example",
        "http:\u{200B}//\u{200B}x",
        "\\[x\\]\\(y\\)",
        "@ 5",
        "`<a href=\"javascript:alert(1)\">`",
    ] {
        assert_eq!(alive(text), None, "{text}");
    }
}
