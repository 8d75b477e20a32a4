//! A whole message as lines of text, for the services that take no more than that.

use super::cut::{Unit, cut, written};
use super::{actor, details, utc, web_link};
use crate::message::{Message, Text};

/// How a service writes a page.
pub(super) struct Markup {
    /// Whether the title is a line of it; some services show one apart.
    pub titled: bool,
    /// The longest page it takes.
    pub max: usize,
    /// What it counts.
    pub unit: Unit,
    /// Writes our words.
    pub ours: fn(&str) -> String,
    /// Writes a user's words.
    pub theirs: fn(&str) -> String,
    /// Ends a line before another.
    pub line: &'static str,
    /// Writes the title, already written as text.
    pub strong: fn(&str) -> String,
    /// Writes a link from a written label and a checked URL.
    pub link: fn(&str, &str) -> String,
}

const TITLE: usize = 400;
const SUMMARY: usize = 1000;
const LABEL: usize = 60;
const VALUE: usize = 500;
const URL: usize = 1000;

/// The message in at most `max` units, line by line. What does not fit is left out by whole lines, and the details go
/// before the links: a reader who misses a fact finds it behind the link.
pub(super) fn page(message: &Message, markup: &Markup) -> String {
    let write = |text: &Text, max: usize| {
        written(text, max, markup.unit, |text| text.write(markup.ours, markup.theirs))
    };
    let label = |text: &str| (markup.ours)(&cut(text, LABEL, markup.unit));

    let mut head = Vec::new();
    if markup.titled {
        head.push((markup.strong)(&write(&message.title, TITLE)));
    }
    if !message.summary.is_empty() {
        head.push(write(&message.summary, SUMMARY));
    }
    let details =
        details(message).map(|detail| format!("{}: {}", label(&detail.label), write(&detail.value, VALUE)));
    let at = (markup.ours)(&utc(message.at));
    let mut tail = vec![match actor(message) {
        Some(actor) => format!("{} {}, {at}", (markup.ours)("By"), write(actor, VALUE)),
        None => at,
    }];
    tail.extend(message.links.iter().filter_map(|link| {
        let url = web_link(&link.url, URL)?;
        Some((markup.link)(&label(&link.label), &url))
    }));

    let end = markup.unit.size(markup.line);
    // Room stays free for the line that says something was left out.
    let mut left = markup.max.saturating_sub(end + markup.unit.size("…"));
    let mut take = |line: &String| {
        let size = markup.unit.size(line) + end;
        let fits = size <= left;
        if fits {
            left -= size;
        }
        fits
    };
    head.retain(&mut take);
    tail.retain(&mut take);
    for line in details {
        if take(&line) {
            head.push(line);
        } else {
            head.push("…".into());
            break;
        }
    }
    head.append(&mut tail);
    head.join(markup.line)
}
