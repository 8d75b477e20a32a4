//! Microsoft Teams: an Adaptive Card for a Workflow that waits for a webhook, a MessageCard for a connector of before.
//!
//! The URL says which. It is signed, its percent-encoding with it, and stays as it was given. There are no threads: a
//! workflow posts where it was told to, and does not say what it made. An answer of 202 means that the workflow began.
//! Sources: learn.microsoft.com, "Create incoming webhooks", "Designing Adaptive Cards for Teams", "Legacy actionable
//! message card reference"; adaptivecards.io, schema 1.4.

use serde_json::{Value, json};
use url::Url;

use super::cut::{Unit, cut, written};
use super::escape::{backslashed, bare};
use super::reply::{again, by_status, said};
use super::{
    Can, EXAMPLE, Format, Limit, Outcome, Render, Rendering, actor, color, details, host, never, nothing,
    object, utc, web_link,
};
use crate::message::{Message, Severity, Text};
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "teams",
    title: "Microsoft Teams",
    render: Render::Message(render),
    classify,
    recognises,
    check,
    fields: &[],
    brings: nothing,
    secret_url: true,
    signed: false,
    hosts: &[
        "teams.microsoft.com",
        "teams.live.com",
        "teams.cloud.microsoft",
        "outlook.office.com",
        "webhook.office.com",
        "api.powerplatform.com",
        "api.gov.powerplatform.microsoft.us",
        "api.high.powerplatform.microsoft.us",
        "api.powerplatform.partner.microsoftonline.cn",
        "logic.azure.com",
        "logic.azure.us",
    ],
    example: EXAMPLE,
    limits: &[
        Limit::of("title", TITLE, UNIT, "/attachments/0/content/fallbackText"),
        Limit::many("facts", DETAILS, "/attachments/0/content/body/*/facts"),
        Limit::of("each fact", VALUE, UNIT, "/attachments/0/content/body/*/facts/*/value"),
        Limit::of("all of it", ALL, UNIT, ""),
    ],
    can: Can::POST,
    thread_root: None,
    misread: never,
};

/// A message has about 28 KB with all that is in it, so bytes are what is counted here. The sum of what follows, each
/// backslash and quote of JSON counted double, stays below.
const UNIT: Unit = Unit::Bytes;
const ALL: usize = 28_000;
const TITLE: usize = 500;
const SUMMARY: usize = 1200;
const LABEL: usize = 60;
const VALUE: usize = 400;
const DETAILS: usize = 20;
/// Of six.
const LINKS: usize = 5;
const URL: usize = 700;

/// Parts of Azure and of the Power Platform whose workflows Teams offers, the sovereign clouds' with them.
const WORKFLOWS: [&str; 6] = [
    ".api.powerplatform.com",
    ".api.gov.powerplatform.microsoft.us",
    ".api.high.powerplatform.microsoft.us",
    ".api.powerplatform.partner.microsoftonline.cn",
    ".logic.azure.com",
    ".logic.azure.us",
];

fn is_workflow(url: &Url) -> bool {
    WORKFLOWS.iter().any(|part| host(url).ends_with(part)) && url.path().contains("/workflows/")
}

/// A connector of before; a relay may keep its path.
fn is_connector(url: &Url) -> bool {
    url.path().starts_with("/webhookb2/")
        || host(url).ends_with(".webhook.office.com")
        || host(url) == "outlook.office.com" && url.path().starts_with("/webhook/")
}

fn recognises(url: &Url) -> bool {
    let connector = is_connector(url) && (host(url).ends_with(".office.com"));
    connector || is_workflow(url) && url.query_pairs().any(|(name, value)| name == "sig" && !value.is_empty())
}

fn check(url: &Url) -> Result<(), &'static str> {
    super::whole(
        url,
        "teams",
        "a webhook of Teams is the whole URL the workflow \"When a Teams webhook request is received\" shows, with its `sig`",
    )
}

/// A part of Markdown works in a card and no HTML does; `<at>` calls people, `{{DATE(…)}}` is a function.
fn ours(text: &str) -> String {
    backslashed(text, "\\*_[]()#`~")
}

fn theirs(text: &str) -> String {
    ours(&bare(text)).replace('{', "{\u{200B}")
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let body = match Url::parse(it.url.expose()) {
        Ok(url) if is_connector(&url) => message_card(message),
        _ => {
            let attachment = object([
                ("contentType", "application/vnd.microsoft.card.adaptive".into()),
                ("contentUrl", Value::Null),
                ("content", adaptive_card(message)),
            ]);
            // Without this array the workflow breaks after it has answered 202.
            object([("type", "message".into()), ("attachments", vec![attachment].into())])
        }
    };
    super::json(it.url, &body)
}

fn marked(text: &Text, max: usize) -> String {
    written(text, max, UNIT, |text| text.write(ours, theirs))
}

fn plain(text: &Text, max: usize) -> String {
    written(text, max, UNIT, |text| text.write(str::to_owned, bare))
}

/// Labels and URLs of links, cut and checked.
fn links(message: &Message) -> impl Iterator<Item = (String, String)> {
    let link = |link: &crate::message::Link| {
        Some((cut(&link.label, LABEL, UNIT).into_owned(), web_link(&link.url, URL)?))
    };
    message.links.iter().filter_map(link).take(LINKS)
}

fn adaptive_card(message: &Message) -> Value {
    let style = match message.severity {
        Severity::Info => "accent",
        Severity::Success => "good",
        Severity::Warning => "warning",
        Severity::Error => "attention",
    };
    let block =
        |text: String| object([("type", "TextBlock".into()), ("text", text.into()), ("wrap", true.into())]);
    let mut title = block(marked(&message.title, TITLE));
    title["weight"] = "Bolder".into();
    title["size"] = "Medium".into();
    let mut body = vec![object([
        ("type", "Container".into()),
        ("style", style.into()),
        ("bleed", true.into()),
        ("items", vec![title].into()),
    ])];
    if !message.summary.is_empty() {
        body.push(block(marked(&message.summary, SUMMARY)));
    }
    let facts: Vec<Value> = details(message)
        .take(DETAILS)
        .map(|detail| {
            let label = ours(&cut(&detail.label, LABEL, UNIT));
            object([("title", label.into()), ("value", marked(&detail.value, VALUE).into())])
        })
        .collect();
    if !facts.is_empty() {
        body.push(object([("type", "FactSet".into()), ("facts", facts.into())]));
    }
    let at = utc(message.at);
    let mut by = block(match actor(message) {
        Some(actor) => format!("By {}, {at}", marked(actor, VALUE)),
        None => at,
    });
    by["isSubtle"] = true.into();
    by["size"] = "Small".into();
    body.push(by);
    let actions: Vec<Value> = links(message)
        .map(|(label, url)| {
            object([("type", "Action.OpenUrl".into()), ("title", label.into()), ("url", url.into())])
        })
        .collect();
    object([
        ("$schema", "http://adaptivecards.io/schemas/adaptive-card.json".into()),
        ("type", "AdaptiveCard".into()),
        ("version", "1.4".into()),
        ("msteams", json!({ "width": "Full" })),
        ("fallbackText", plain(&message.title, TITLE).into()),
        ("body", body.into()),
        ("actions", actions.into()),
    ])
}

fn message_card(message: &Message) -> Value {
    let facts: Vec<Value> = details(message)
        .take(DETAILS)
        .map(
            |detail| json!({ "name": cut(&detail.label, LABEL, UNIT), "value": plain(&detail.value, VALUE) }),
        )
        .collect();
    let at = utc(message.at);
    let by = match actor(message) {
        Some(actor) => format!("By {}, {at}", plain(actor, VALUE)),
        None => at,
    };
    let actions: Vec<Value> = links(message)
        .map(|(label, url)| {
            json!({ "@type": "OpenUri", "name": label, "targets": [{ "os": "default", "uri": url }] })
        })
        .collect();
    let title = plain(&message.title, TITLE);
    json!({
        "@type": "MessageCard",
        "@context": "https://schema.org/extensions",
        "themeColor": color(message.severity).trim_start_matches('#'),
        "summary": if title.trim().is_empty() { "…" } else { title.as_str() },
        "title": title,
        "sections": [{
            "activitySubtitle": by,
            "text": plain(&message.summary, SUMMARY),
            "facts": facts,
            "markdown": false,
        }],
        "potentialAction": actions,
    })
}

/// A workflow answers 202; one that was deleted or switched off, or whose `sig` is wrong, has to be made anew. A connector
/// answers 200 and `1`, and says what failed in words, with a 200 too.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    let said = said(reply);
    match reply.status {
        200..=299 => match inner_status(&reply.body) {
            None if reply.status == 200 && reply.body.trim_ascii() != b"1" => Outcome::Refused,
            None => Outcome::Delivered,
            Some(429) | Some(500..) => again(reply, now),
            Some(_) => Outcome::Refused,
        },
        400 if said["error"]["code"] == "WorkflowTriggerIsNotEnabled" => Outcome::Gone,
        401 | 404 => Outcome::Gone,
        _ => by_status(reply, now),
    }
}

/// The status in a body such as `… Microsoft Teams endpoint returned HTTP error 429 with ContextId …`.
fn inner_status(body: &[u8]) -> Option<u16> {
    const WORDS: &str = "HTTP error ";
    let text = String::from_utf8_lossy(body);
    let rest = &text[text.find(WORDS)? + WORDS.len()..];
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(digits.parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{any_message, body, cases, named, reply, request};
    use crate::secret::Secret;
    use proptest::prelude::*;

    const WORKFLOW: &str = "https://default0123.4.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/abc/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=a-B_c%2F0";
    const CONNECTOR: &str = "https://contoso.webhook.office.com/webhookb2/1@2/IncomingWebhook/3/4";

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        let error = |code: &str| json!({ "error": { "code": code, "message": "x" } }).to_string();
        let inside = |status: u16| {
            format!(
                "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {status} with ContextId tcid=1"
            )
        };
        for (status, text, expected) in [
            (202, String::new(), Outcome::Delivered),
            (200, "1".to_owned(), Outcome::Delivered),
            (200, "1\n".to_owned(), Outcome::Delivered),
            (200, String::new(), Outcome::Refused),
            (200, "<html>Sign in</html>".to_owned(), Outcome::Refused),
            (200, "Webhook message delivery failed".to_owned(), Outcome::Refused),
            (200, inside(429), again),
            (200, inside(503), again),
            (200, inside(403), Outcome::Refused),
            (200, inside(413), Outcome::Refused),
            (302, String::new(), Outcome::Refused),
            (400, error("WorkflowTriggerIsNotEnabled"), Outcome::Gone),
            (400, error("TriggerInputSchemaMismatch"), Outcome::Refused),
            (400, "Summary or Text is required.".into(), Outcome::Refused),
            (400, "Bad payload received by generic incoming webhook.".into(), Outcome::Refused),
            (401, error("DirectApiAuthorizationRequired"), Outcome::Gone),
            (401, String::new(), Outcome::Gone),
            (403, String::new(), Outcome::Refused),
            (404, error("WorkflowNotFound"), Outcome::Gone),
            (410, "Connector is removed".into(), Outcome::Gone),
            (413, String::new(), Outcome::Refused),
            (429, error("WorkflowRunQuotaExceeded"), again),
            (502, String::new(), again),
            (504, String::new(), again),
        ] {
            assert_eq!(classify(&reply(status, &text), 0), expected, "{status} {text}");
        }
        let limited = Reply { retry_after: Some("30".into()), ..reply(429, "") };
        assert_eq!(classify(&limited, 0), Outcome::Again { not_before: Some(30_000) });
    }

    #[test]
    fn the_url_is_kept_byte_for_byte_and_chooses_the_card() {
        let message = named().remove(0).1;
        for (url, of) in [(WORKFLOW, "message"), (CONNECTOR, "MessageCard")] {
            assert_eq!(request(&FORMAT, &Secret::new(url), &message).url.expose(), url);
            let body = body(&FORMAT, url, &message);
            assert!(body["type"] == of || body["@type"] == of, "{url}");
        }
    }

    #[test]
    fn a_webhook_of_teams_is_recognised_and_others_are_refused() {
        let url = |url: &str| Url::parse(url).unwrap();
        let older =
            "https://prod-01.westeurope.logic.azure.com:443/workflows/x/triggers/manual/paths/invoke?sig=x";
        for own in [WORKFLOW, CONNECTOR, older] {
            assert!(recognises(&url(own)) && check(&url(own)).is_ok(), "{own}");
        }
        for wrong in [
            "https://prod-01.westeurope.logic.azure.com/workflows/x/triggers/manual/paths/invoke",
            "https://default.environment.api.powerplatform.com/x?sig=y",
            "https://teams.microsoft.com/l/channel/1",
            "https://hooks.slack.com/services/T/B/x",
        ] {
            assert!(check(&url(wrong)).is_err(), "{wrong}");
        }
        assert!(check(&url("https://relay.example/teams")).is_ok());
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn nobody_is_called_and_no_limit_is_broken(message in any_message()) {
            for url in [WORKFLOW, CONNECTOR] {
                let sent = request(&FORMAT, &Secret::new(url), &message);
                prop_assert!(sent.body.len() <= 28_000, "{}", sent.body.len());
                prop_assert!(!String::from_utf8_lossy(&sent.body).contains("<at"));
            }
            let body = body(&FORMAT, WORKFLOW, &message);
            let card = &body["attachments"][0]["content"];
            prop_assert!(card["actions"].as_array().unwrap().len() <= 6);
            let facts = card["body"].as_array().unwrap().iter().filter_map(|item| item["facts"].as_array()).flatten();
            for fact in facts {
                let mut before = ' ';
                for c in fact["value"].as_str().unwrap().chars() {
                    prop_assert!(!"`*_~[]()#".contains(c) || before == '\\', "{fact}");
                    prop_assert!(c != '<' && (c != '{' || before != '{'), "{fact}");
                    before = if before == '\\' { ' ' } else { c };
                }
            }
        }
    }
}
