//! The attachment Slack once had, which Mattermost and Rocket.Chat still read: a coloured bar beside text and facts.

use serde_json::Value;

use super::cut::{Unit, cut, written};
use super::page::Markup;
use super::{Limit, actor, color, details, object, utc, web_link};
use crate::message::Message;

const SUMMARY: usize = 1500;
const LABEL: usize = 60;
const VALUE: usize = 500;
const DETAILS: usize = 20;
const LINKS: usize = 5;
const URL: usize = 1000;
/// Facts no longer than this share a line.
const SHORT: usize = 40;

/// What such a message takes, its title first.
pub(super) const fn limits(title: Limit, unit: Unit) -> [Limit; 4] {
    [
        title,
        Limit::of("text", SUMMARY, unit, "/attachments/0/text").anywhere(),
        Limit::many("facts", DETAILS, "/attachments/0/fields"),
        Limit::of("each fact", VALUE, unit, "/attachments/0/fields/*/value"),
    ]
}

/// All of a message but its title, which stands above as the message's own text.
pub(super) fn attachment(message: &Message, markup: &Markup) -> Value {
    let write = |text, max| written(text, max, markup.unit, |text| text.write(markup.ours, markup.theirs));
    let label = |text: &str| (markup.ours)(&cut(text, LABEL, markup.unit));
    let fields: Vec<Value> = details(message)
        .take(DETAILS)
        .map(|detail| {
            let value = write(&detail.value, VALUE);
            let short = markup.unit.size(&value) <= SHORT;
            object([("title", label(&detail.label).into()), ("value", value.into()), ("short", short.into())])
        })
        .collect();
    let mut lines = Vec::new();
    if !message.summary.is_empty() {
        lines.push(write(&message.summary, SUMMARY));
    }
    let at = (markup.ours)(&utc(message.at));
    lines.push(match actor(message) {
        Some(actor) => format!("By {}, {at}", write(actor, VALUE)),
        None => at,
    });
    let links: Vec<String> = message
        .links
        .iter()
        .filter_map(|link| Some((markup.link)(&label(&link.label), &web_link(&link.url, URL)?)))
        .take(LINKS)
        .collect();
    if !links.is_empty() {
        lines.push(links.join(" · "));
    }
    object([
        ("color", color(message.severity).into()),
        ("text", lines.join("\n").into()),
        ("fields", fields.into()),
    ])
}
