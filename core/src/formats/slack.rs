//! Slack's incoming webhooks, and the services that read the same body (Mattermost, Rocket.Chat, Zulip, Discord).
//!
//! A title block, then a coloured attachment that holds the rest: the colour bar exists only there. `text` is what
//! Slack shows in notifications because there are blocks, and all the lookalikes show, so it carries the whole message.
//! An incoming webhook is not told which message it made, so there are no threads and nothing is changed afterwards: the
//! beginning and the end of a deployment are two messages of one wording. Sources: docs.slack.dev, "Sending messages using incoming webhooks", "Blocks", "Formatting message text"; limits
//! as `slack_sdk` 3.47 has them.

use serde_json::Value;
use url::Url;

use super::cut::{Unit, cut, written};
use super::escape::{self, bare, mrkdwn, quiet};
use super::page::{Markup, page};
use super::reply::{again, by_status, says_yes};
use super::{
    Can, EXAMPLE, Format, Limit, Outcome, Render, Rendering, actor, color, details, never, nothing, object,
    points_at, utc, web_link,
};
use crate::message::{Detail, Message, Text};
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "slack",
    title: "Slack",
    render: Render::Message(render),
    classify,
    recognises,
    check,
    fields: &[],
    brings: nothing,
    secret_url: true,
    signed: false,
    hosts: &["slack.com", "slack-gov.com"],
    example: EXAMPLE,
    limits: &[
        Limit::of("title", HEADER, UNIT, "/blocks/0/text/text"),
        Limit::of("text", SECTION, UNIT, "/attachments/0/blocks/*/text/text"),
        Limit::many("facts in a block", FIELDS, "/attachments/0/blocks/*/fields"),
        Limit::many("blocks of facts", SECTIONS, "").anywhere(),
        Limit::of("each fact", FIELD, UNIT, "/attachments/0/blocks/*/fields/*/text"),
        Limit::of("each button", BUTTON, UNIT, "/attachments/0/blocks/*/elements/*/text/text"),
        Limit::of("each link", URL, UNIT, "/attachments/0/blocks/*/elements/*/url"),
        Limit::of("the whole as text", TEXT, UNIT, "/text"),
    ],
    can: Can::POST,
    thread_root: None,
    misread: never,
};

/// Slack does not say what it counts: UTF-16 units are never fewer than what it could.
const UNIT: Unit = Unit::Utf16;
const HEADER: usize = 150;
const SECTION: usize = 3000;
const FIELD: usize = 2000;
const FIELDS: usize = 10;
const SECTIONS: usize = 3;
const CONTEXT: usize = 500;
const BUTTONS: usize = 5;
const BUTTON: usize = 75;
const URL: usize = 3000;
/// 40,000 are taken, but 4,000 are what the documentation advises.
const TEXT: usize = 4000;

const PAGE: Markup = Markup {
    titled: true,
    max: TEXT,
    unit: UNIT,
    ours: mrkdwn,
    theirs: anywhere,
    line: "\n",
    strong: str::to_owned,
    link: |label, url| format!("<{}|{label}>", mrkdwn(url)),
};

fn recognises(url: &Url) -> bool {
    points_at(url, &["hooks.slack.com", "hooks.slack-gov.com"], "/services/")
}

/// Also the lookalikes' URLs, and those of relays.
fn check(url: &Url) -> Result<(), &'static str> {
    match super::service(url) {
        Some(service) if reads_this(service.name, url) => Ok(()),
        _ => super::whole(
            url,
            "slack",
            "an incoming webhook of Slack is https://hooks.slack.com/services/…; triggers of workflows take other bodies",
        ),
    }
}

/// Whether a service reads Slack's body at this URL.
fn reads_this(service: &str, url: &Url) -> bool {
    match service {
        "mattermost" | "rocketchat" => true,
        "discord" => url.path().starts_with("/api/") && url.path().ends_with("/slack"),
        "zulip" => url.path() == "/api/v1/external/slack_incoming",
        _ => false,
    }
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let title = plain(&message.title, HEADER);
    let fallback = written(&message.title, HEADER, UNIT, |text| text.write(mrkdwn, anywhere));
    let attachment = object([
        ("color", color(message.severity).into()),
        ("fallback", fallback.into()),
        ("blocks", blocks(message).into()),
    ]);
    let body = object([
        ("text", page(message, &PAGE).into()),
        ("unfurl_links", false.into()),
        ("unfurl_media", false.into()),
        ("blocks", vec![object([("type", "header".into()), ("text", title)])].into()),
        ("attachments", vec![attachment].into()),
    ]);
    super::json(it.url, &body)
}

fn blocks(message: &Message) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !message.summary.is_empty() {
        blocks.push(object([("type", "section".into()), ("text", plain(&message.summary, SECTION))]));
    }
    let facts: Vec<&Detail> = details(message).take(FIELDS * SECTIONS).collect();
    for facts in facts.chunks(FIELDS) {
        let fields: Vec<Value> = facts
            .iter()
            .map(|detail| {
                let label = format!("*{}*\n", mrkdwn(&cut(&detail.label, BUTTON, UNIT)));
                let room = FIELD - UNIT.size(&label);
                let value = written(&detail.value, room, UNIT, |text| text.write(mrkdwn, code));
                marked(label + &value)
            })
            .collect();
        blocks.push(object([("type", "section".into()), ("fields", fields.into())]));
    }
    let buttons: Vec<Value> = message
        .links
        .iter()
        .filter(|link| !link.label.is_empty())
        .filter_map(|link| {
            let label = plain(&Text::ours(link.label.as_str()), BUTTON);
            let url = web_link(&link.url, URL)?;
            Some(object([("type", "button".into()), ("text", label), ("url", url.into())]))
        })
        .take(BUTTONS)
        .collect();
    if !buttons.is_empty() {
        blocks.push(object([("type", "actions".into()), ("elements", buttons.into())]));
    }
    let mut context = Vec::new();
    if let Some(actor) = actor(message) {
        let mut by = Text::ours("By ");
        by.push(actor.clone());
        context.push(plain(&by, CONTEXT));
    }
    // Slack shows it in the reader's own time zone; the words after the bar are for those who cannot.
    let seconds = message.at.div_euclid(1000);
    context.push(marked(format!("<!date^{seconds}^{{date_short_pretty}} {{time}}|{}>", utc(message.at))));
    blocks.push(object([("type", "context".into()), ("elements", context.into())]));
    blocks
}

/// Text in which nothing is markup; notifications and lookalikes may make links and calls of bare words all the same. Slack
/// refuses an empty one.
fn plain(text: &Text, max: usize) -> Value {
    let text = written(text, max, UNIT, |text| text.write(str::to_owned, bare));
    let text = if text.trim().is_empty() { "…".to_owned() } else { text };
    object([("type", "plain_text".into()), ("text", text.into()), ("emoji", false.into())])
}

/// Text with markup. `verbatim` keeps Slack from making links and mentions out of bare words.
fn marked(text: String) -> Value {
    object([("type", "mrkdwn".into()), ("text", text.into()), ("verbatim", true.into())])
}

/// A user's words as code: `*`, `_` and `~` have no escape in mrkdwn.
fn code(text: &str) -> String {
    mrkdwn(&escape::code(text))
}

/// A user's words where the lookalikes' Markdown counts too: no link made of brackets, no mention, no
/// bare link, no code that swallows the lines after it.
fn anywhere(text: &str) -> String {
    mrkdwn(&quiet(text).replace('`', "'"))
}

/// Slack says what is wrong in one word of text, and says some of it with a 200 from behind a proxy.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    let body = std::str::from_utf8(&reply.body).unwrap_or_default().trim();
    match by_status(reply, now) {
        Outcome::Delivered if reply.status == 204 || says_yes(reply) => Outcome::Delivered,
        wait @ Outcome::Again { .. } => wait,
        Outcome::Gone => Outcome::Gone,
        // A 2xx that does not say `ok` was not posted as far as we know. To repeat what nobody understood could fill
        // a channel with the same message, so it ends here, listed and replayable.
        Outcome::Delivered | Outcome::Refused => match body {
            "no_service"
            | "no_service_id"
            | "no_team"
            | "no_active_hooks"
            | "team_disabled"
            | "channel_not_found"
            | "channel_is_archived"
            | "action_prohibited"
            | "invalid_token" => Outcome::Gone,
            "rollup_error" | "ratelimited" | "rate_limited" => again(reply, now),
            _ => Outcome::Refused,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{self, body, reply};
    use proptest::prelude::*;

    const URL: &str = "https://hooks.slack.com/services/T0/B0/x";

    #[test]
    fn the_samples_look_like_this() {
        for (name, message) in samples::named() {
            insta::assert_snapshot!(format!("slack_{name}"), samples::shown(&FORMAT, URL, &message));
        }
    }

    #[test]
    fn each_word_of_slack_means_this() {
        let again = Outcome::Again { not_before: None };
        for (status, word, expected) in [
            (200, "ok", Outcome::Delivered),
            (200, "ok\n", Outcome::Delivered),
            (200, r#"{"success":true}"#, Outcome::Delivered),
            (200, r#"{"result":"success","msg":""}"#, Outcome::Delivered),
            (204, "", Outcome::Delivered),
            (200, "", Outcome::Refused),
            (200, "no_text", Outcome::Refused),
            (200, r#"{"success":false}"#, Outcome::Refused),
            (200, "<html>Down for maintenance</html>", Outcome::Refused),
            (200, "no_service", Outcome::Gone),
            (302, "", Outcome::Refused),
            (400, "invalid_payload", Outcome::Refused),
            (400, "user_not_found", Outcome::Refused),
            (400, "no_text", Outcome::Refused),
            (400, "too_many_attachments", Outcome::Refused),
            (400, "invalid_blocks", Outcome::Refused),
            (403, "action_prohibited", Outcome::Gone),
            (403, "posting_to_general_channel_denied", Outcome::Refused),
            (403, "invalid_token", Outcome::Gone),
            (403, "<html>", Outcome::Refused),
            (404, "channel_not_found", Outcome::Gone),
            (404, "no_service", Outcome::Gone),
            (404, "no_service_id", Outcome::Gone),
            (404, "no_team", Outcome::Gone),
            (404, "no_active_hooks", Outcome::Gone),
            (404, "team_disabled", Outcome::Gone),
            (404, "page not found", Outcome::Refused),
            (410, "channel_is_archived", Outcome::Gone),
            (410, "", Outcome::Gone),
            (429, "", again),
            (500, "rollup_error", again),
            (503, "", again),
        ] {
            assert_eq!(classify(&reply(status, word), 0), expected, "{status} {word}");
        }
        let limited = Reply { retry_after: Some("30".into()), ..reply(429, "rate_limited") };
        assert_eq!(classify(&limited, 1_000), Outcome::Again { not_before: Some(31_000) });
    }

    #[test]
    fn a_url_that_slack_does_not_take_is_refused() {
        let taken = |url: &str| check(&Url::parse(url).unwrap()).is_ok();
        assert!(taken(URL));
        assert!(taken("https://chat.example/hooks/abcdefghijklmnopqrstuvwxyz"));
        assert!(taken("https://discord.com/api/webhooks/1/x/slack"));
        assert!(!taken("https://hooks.slack.com/triggers/T0/1/x"));
        assert!(!taken("https://hooks.slack.com/"));
        assert!(taken("https://acme.zulipchat.com/api/v1/external/slack_incoming?api_key=x&stream=y"));
        for wrong in [
            "https://discord.com/channels/1/2",
            "https://outlook.office.com/x",
            "https://hooks.slack.com./triggers/T0/1/x",
            "https://acme.slack.com/archives/C0",
        ] {
            assert!(!taken(wrong), "{wrong}");
        }
        assert!(!taken("https://discord.com/api/webhooks/1/x"));
    }

    /// Every string of a body with the key it stands at.
    fn strings<'a>(value: &'a Value, key: &'a str, out: &mut Vec<(&'a str, &'a str, bool)>, marked: bool) {
        match value {
            Value::String(text) => out.push((key, text, marked)),
            Value::Array(items) => items.iter().for_each(|item| strings(item, key, out, marked)),
            Value::Object(map) => {
                let inner = map.get("type").map_or(marked, |kind| kind != "plain_text");
                map.iter().for_each(|(key, item)| strings(item, key, out, inner));
            }
            _ => {}
        }
    }

    fn max(block: &Value, pointer: &str) -> usize {
        block.pointer(pointer).and_then(Value::as_str).map_or(0, |text| UNIT.size(text))
    }

    proptest! {
        #![proptest_config(samples::cases())]

        #[test]
        fn nobody_is_called_and_no_limit_is_broken(message in samples::any_message()) {
            let body = body(&FORMAT, URL, &message);
            prop_assert!(UNIT.size(body["text"].as_str().unwrap()) <= TEXT);
            prop_assert!((1..=HEADER).contains(&max(&body, "/blocks/0/text/text")));
            prop_assert_eq!(body["attachments"].as_array().unwrap().len(), 1);
            let blocks = body["attachments"][0]["blocks"].as_array().unwrap();
            prop_assert!(blocks.len() <= 49);
            for block in blocks {
                prop_assert!(max(block, "/text/text") <= SECTION);
                let fields = block["fields"].as_array().map_or(&[][..], Vec::as_slice);
                prop_assert!(fields.len() <= FIELDS);
                prop_assert!(fields.iter().all(|field| (1..=FIELD).contains(&max(field, "/text"))));
                let elements = block["elements"].as_array().map_or(&[][..], Vec::as_slice);
                prop_assert!(elements.len() <= 10);
                for button in elements.iter().filter(|element| element["type"] == "button") {
                    prop_assert!((1..=BUTTON).contains(&max(button, "/text/text")) && max(button, "/url") <= 3000);
                }
            }
            prop_assert!(!body["text"].as_str().unwrap().contains("]("));
            let mut all = Vec::new();
            strings(&body, "", &mut all, true);
            for (key, text, marked) in all {
                if key != "text" && key != "fallback" || !marked {
                    continue;
                }
                for (at, _) in text.match_indices('<') {
                    // Only links and times of ours.
                    let rest = &text[at..];
                    prop_assert!(rest.starts_with("<!date^") || rest.starts_with("<https://console.example/"), "{text}");
                }
                for (at, _) in text.match_indices('&') {
                    let rest = &text[at..];
                    prop_assert!(["&amp;", "&lt;", "&gt;"].iter().any(|entity| rest.starts_with(entity)), "{text}");
                }
                prop_assert!(text.matches('`').count() % 2 == 0, "{text}");
            }
        }
    }
}
