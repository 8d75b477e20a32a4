//! Discord's webhooks: one embed.
//!
//! `wait=true` makes Discord save the message before it answers: without it, what is not saved is answered with a 204
//! too. A thread is chosen by whoever makes the hook, with `thread_id` in the URL; a webhook cannot find one by a key of
//! ours. Sources: discord.com/developers, "Webhook resource", "Message resource", "Rate limits", "Opcodes and status
//! codes".

use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

use super::cut::{Unit, cut, written};
use super::escape::{backslashed, bare, quiet};
use super::reply::{again, by_status, said};
use super::{
    Can, EXAMPLE, Format, Limit, Outcome, Render, Rendering, Threads, actor, details, never, nothing, object,
    rgb, web_link, with_query,
};
use crate::message::{Message, Text};
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "discord",
    title: "Discord",
    render: Render::Message(render),
    classify,
    recognises,
    check,
    fields: &[],
    brings: nothing,
    secret_url: true,
    signed: false,
    hosts: &["discord.com", "discordapp.com"],
    example: EXAMPLE,
    limits: &[
        Limit::of("title", TITLE, UNIT, "/embeds/0/title"),
        Limit::of("text", SUMMARY, UNIT, "/embeds/0/description").anywhere(),
        Limit::of("author", AUTHOR, UNIT, "/embeds/0/author/name"),
        Limit::many("facts", FIELDS, "/embeds/0/fields"),
        Limit::of("each fact", VALUE, UNIT, "/embeds/0/fields/*/value"),
        Limit::of("together", ALL, UNIT, "/embeds/0").anywhere(),
    ],
    can: Can { threads: Threads::Chosen, resolves: false, updates: false, once: false },
    thread_root: None,
    misread: never,
};

/// It does not say what it counts: UTF-16 units are never fewer than what it could.
const UNIT: Unit = Unit::Utf16;
const TITLE: usize = 256;
/// Of 4096; a message that long belongs behind its link.
const SUMMARY: usize = 1500;
const FIELDS: usize = 25;
const NAME: usize = 60;
/// Of 1024.
const VALUE: usize = 500;
const AUTHOR: usize = 256;
const LINKS: usize = 4;
const URL: usize = 500;
/// Of title, description, names, values and author together.
const ALL: usize = 6000;
/// Facts no longer than this share a line.
const SHORT: usize = 40;

/// `/api/webhooks/ID/TOKEN`, or with a version after `/api`. With `/slack` or `/github` behind it takes other bodies.
fn recognises(url: &Url) -> bool {
    let path: Vec<&str> = url.path().trim_end_matches('/').split('/').skip(1).collect();
    let path = match path.as_slice() {
        ["api", version, rest @ ..] if version.starts_with('v') => rest,
        ["api", rest @ ..] => rest,
        _ => &[],
    };
    FORMAT.owns(url) && matches!(path, ["webhooks", id, token] if !id.is_empty() && !token.is_empty())
}

fn check(url: &Url) -> Result<(), &'static str> {
    super::whole(
        url,
        "discord",
        "a webhook of Discord is https://discord.com/api/webhooks/ID/TOKEN, with nothing behind the token",
    )
}

/// What its Markdown takes the meaning from behind a backslash.
fn ours(text: &str) -> String {
    backslashed(text, "\\`*_~|[]()<>#:")
}

fn theirs(text: &str) -> String {
    ours(&quiet(text))
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let url = with_query(it.url, &[], &[("wait", "true")]);
    let body = object([
        // Without this even a user's words would be looked through for people to call.
        ("allowed_mentions", json!({ "parse": [] })),
        ("embeds", vec![embed(message)].into()),
    ]);
    super::json(&url, &body)
}

fn embed(message: &Message) -> Value {
    let mut left = ALL;
    let mut write = |text: &Text, max: usize| {
        let out = written(text, max, UNIT, |text| text.write(ours, theirs));
        left -= UNIT.size(&out).min(left);
        out
    };
    let title = write(&message.title, TITLE);
    let mut lines = vec![write(&message.summary, SUMMARY)];
    let links: Vec<(String, String)> = message
        .links
        .iter()
        .filter_map(|link| Some((ours(&cut(&link.label, NAME, UNIT)), web_link(&link.url, URL)?)))
        .take(LINKS)
        .collect();
    // The first link is the title's; the others stand below.
    let more: Vec<String> = links.iter().skip(1).map(|(label, url)| format!("[{label}]({url})")).collect();
    lines.push(more.join(" · "));
    left -= UNIT.size(&lines[1]).min(left);
    lines.retain(|line| !line.is_empty());

    let mut embed = json!({ "color": rgb(message.severity) });
    embed["title"] = if title.trim().is_empty() { "…".into() } else { title.into() };
    if !lines.is_empty() {
        embed["description"] = lines.join("\n").into();
    }
    if let Some((_, url)) = links.first() {
        embed["url"] = url.as_str().into();
    }
    if let Some(actor) = actor(message) {
        // Nothing is markup in a name.
        let name = written(actor, AUTHOR, UNIT, |text| text.write(str::to_owned, bare));
        left -= UNIT.size(&name).min(left);
        embed["author"] = object([("name", name.into())]);
    }
    if let Ok(at) = Timestamp::from_millisecond(message.at) {
        embed["timestamp"] = at.to_string().into();
    }
    let mut fields: Vec<Value> = Vec::new();
    for detail in details(message).take(FIELDS) {
        let name = ours(&cut(&detail.label, NAME, UNIT));
        let value = written(&detail.value, VALUE, UNIT, |text| text.write(ours, theirs));
        let size = UNIT.size(&value);
        match left.checked_sub(UNIT.size(&name) + size) {
            Some(rest) => left = rest,
            None => break,
        }
        // Discord refuses a value of nothing but space.
        if !value.trim().is_empty() {
            let inline = size <= SHORT;
            fields.push(object([("name", name.into()), ("value", value.into()), ("inline", inline.into())]));
        }
    }
    embed["fields"] = fields.into();
    embed
}

/// 404 and 401 are a webhook or a token that is no more: whoever goes on asking is locked out of Discord as a whole, so
/// they end the destination at once. A 403 without Discord's own JSON is that lock-out.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    match reply.status {
        // Who waits is given the message; who does not, as by a URL that says so, nothing.
        200 if !said(reply)["id"].is_string() => Outcome::Refused,
        401 | 404 => Outcome::Gone,
        403 if !said(reply)["code"].is_number() => again(reply, now),
        _ => by_status(reply, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{any_message, body, cases, named, reply, request};
    use crate::secret::Secret;
    use proptest::prelude::*;

    const URL: &str = "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnop";

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        for (status, text, expected) in [
            (200, r#"{"id":"1"}"#, Outcome::Delivered),
            (200, "<html>Sign in</html>", Outcome::Refused),
            (200, "", Outcome::Refused),
            (204, "", Outcome::Delivered),
            (302, "", Outcome::Refused),
            (400, r#"{"message":"Invalid Form Body","code":50035,"errors":{}}"#, Outcome::Refused),
            (400, r#"{"message":"Cannot send an empty message","code":50006}"#, Outcome::Refused),
            (
                400,
                r#"{"message":"Webhooks posted to forum channels must have a thread_name","code":220001}"#,
                Outcome::Refused,
            ),
            (400, r#"{"embeds":["0"]}"#, Outcome::Refused),
            (401, r#"{"message":"Invalid Webhook Token","code":50027}"#, Outcome::Gone),
            (403, r#"{"message":"Missing Permissions","code":50013}"#, Outcome::Refused),
            (403, "<html>error code: 1015</html>", again),
            (403, "error code: 1010", again),
            (404, r#"{"message":"Unknown Webhook","code":10015}"#, Outcome::Gone),
            (404, r#"{"message":"Unknown Channel","code":10003}"#, Outcome::Gone),
            (405, r#"{"message":"405: Method Not Allowed","code":0}"#, Outcome::Refused),
            (410, "", Outcome::Gone),
            (429, "", again),
            (
                429,
                r#"{"message":"You are being rate limited.","retry_after":1.337,"global":false}"#,
                Outcome::Again { not_before: Some(1_337) },
            ),
            (500, "", again),
            (502, "", again),
        ] {
            assert_eq!(classify(&reply(status, text), 0), expected, "{status} {text}");
        }
        let header = Reply { retry_after: Some("2".into()), ..reply(429, r#"{"retry_after":1.5}"#) };
        assert_eq!(classify(&header, 0), Outcome::Again { not_before: Some(2_000) });
    }

    #[test]
    fn the_url_waits_and_keeps_the_rest_byte_for_byte() {
        let message = named().remove(0).1;
        for (query, expected) in [
            ("", "?wait=true"),
            ("?", "?wait=true"),
            ("?thread_id=1", "?thread_id=1&wait=true"),
            ("?thread_id=%41&", "?thread_id=%41&wait=true"),
            ("?wait=false&thread_id=1", "?thread_id=1&wait=true"),
            ("?wait=true&wait=false", "?wait=true"),
            ("?wait=true&thread_id=1", "?wait=true&thread_id=1"),
        ] {
            let sent = request(&FORMAT, &Secret::new(format!("{URL}{query}")), &message);
            assert_eq!(sent.url.expose(), format!("{URL}{expected}"));
        }
    }

    #[test]
    fn a_webhook_of_discord_is_recognised_and_others_are_refused() {
        let url = |url: &str| Url::parse(url).unwrap();
        for own in [
            URL,
            "https://discordapp.com/api/webhooks/1/x",
            "https://discord.com/api/v10/webhooks/1/x?thread_id=2",
        ] {
            assert!(recognises(&url(own)) && check(&url(own)).is_ok(), "{own}");
        }
        for wrong in [
            "https://discord.com/api/webhooks/1/x/slack",
            "https://discord.com/api/webhooks/1",
            "https://discord.com/channels/1/2",
            "https://hooks.slack.com/services/T/B/x",
            "https://chat.googleapis.com/v1/spaces/A/messages?key=a&token=b",
        ] {
            assert!(check(&url(wrong)).is_err(), "{wrong}");
        }
        assert!(check(&url("https://relay.example/discord")).is_ok());
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn nobody_is_called_and_no_limit_is_broken(message in any_message()) {
            let body = body(&FORMAT, URL, &message);
            prop_assert_eq!(&body["allowed_mentions"], &json!({ "parse": [] }));
            let embed = &body["embeds"][0];
            let size = |value: &Value| value.as_str().map_or(0, |text| UNIT.size(text));
            let fields = embed["fields"].as_array().unwrap();
            prop_assert!((1..=TITLE).contains(&size(&embed["title"])));
            prop_assert!(size(&embed["description"]) <= 4096 && size(&embed["author"]["name"]) <= AUTHOR);
            prop_assert!(fields.len() <= FIELDS);
            let mut all = size(&embed["title"]) + size(&embed["description"]) + size(&embed["author"]["name"]);
            for field in fields {
                prop_assert!((1..=256).contains(&size(&field["name"])) && (1..=1024).contains(&size(&field["value"])));
                all += size(&field["name"]) + size(&field["value"]);
            }
            prop_assert!(all <= ALL, "{all}");
            for text in fields.iter().map(|field| &field["value"]).chain([&embed["title"]]) {
                let mut before = ' ';
                for c in text.as_str().unwrap().chars() {
                    prop_assert!(!"`*_~|[]()<>#:".contains(c) || before == '\\', "{text}");
                    before = if before == '\\' { ' ' } else { c };
                }
            }
        }
    }
}
