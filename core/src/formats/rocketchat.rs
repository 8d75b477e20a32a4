//! Rocket.Chat's incoming integrations: the title as text, and an attachment for the rest.
//!
//! Its Markdown has changed over the versions and its escapes with it, so a user's words stand in code spans. There are
//! no threads: `tmid` wants the id of a message, which is never told. Sources: docs.rocket.chat, "Incoming webhook
//! script", and the server's source.

use url::Url;

use super::attachment::{self, attachment};
use super::cut::{Unit, written};
use super::escape::{code, tagless};
use super::page::Markup;
use super::reply::{by_status, said, says_yes};
use super::{Can, EXAMPLE, Format, Limit, Outcome, Render, Rendering, never, not_elsewhere, nothing, object};
use crate::message::Message;
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "rocketchat",
    title: "Rocket.Chat",
    render: Render::Message(render),
    classify,
    recognises,
    check: |url| not_elsewhere(url, "rocketchat"),
    fields: &[],
    brings: nothing,
    secret_url: true,
    signed: false,
    hosts: &[],
    example: EXAMPLE,
    limits: &attachment::limits(Limit::of("title", TITLE, MARKUP.unit, "/text"), MARKUP.unit),
    can: Can::POST,
    thread_root: None,
    misread: never,
};

const TITLE: usize = 400;
const MARKUP: Markup = Markup {
    titled: true,
    // `Message_MaxAllowedSize` as it is set at first.
    max: 5000,
    unit: Unit::Utf16,
    ours: str::to_owned,
    theirs: |text| code(&tagless(text)),
    line: "\n",
    strong: str::to_owned,
    link: |label, url| format!("[{label}]({url})"),
};

/// `https://HOST/hooks/ID/TOKEN`: an id of 17 or 24 letters and digits, and a token of 40 and more.
fn recognises(url: &Url) -> bool {
    let Some((_, rest)) = url.path().rsplit_once("/hooks/") else { return false };
    let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    rest.split_once('/').is_some_and(|(id, token)| {
        matches!(id.len(), 17 | 24) && word(id) && token.len() >= 40 && word(token)
    })
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let text = written(&message.title, TITLE, MARKUP.unit, |text| text.write(MARKUP.ours, MARKUP.theirs));
    let attachment = attachment(message, &MARKUP);
    // An attachment that is not in an array is dropped without a word.
    let body = object([
        ("text", text.into()),
        ("attachments", vec![attachment].into()),
        ("parseUrls", false.into()),
    ]);
    super::json(it.url, &body)
}

/// It answers `{"success": …}`. A 401 in its own words is an integration or a token it does not know, a 503 one that is
/// switched off and may come back.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    match reply.status {
        200..=299 if reply.status != 204 && !says_yes(reply) => Outcome::Refused,
        401 if said(reply)["success"] == false => Outcome::Gone,
        _ => by_status(reply, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{any_message, body, cases, reply};
    use proptest::prelude::*;

    const URL: &str =
        "https://chat.example/hooks/aaaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        for (status, text, expected) in [
            (200, r#"{"success":true}"#, Outcome::Delivered),
            (200, r#"{"success":false}"#, Outcome::Refused),
            (200, "<html>", Outcome::Refused),
            (200, "", Outcome::Refused),
            (301, "", Outcome::Refused),
            (400, r#"{"success":false,"error":"invalid-channel"}"#, Outcome::Refused),
            (401, r#"{"success":false,"error":"Invalid integration id or token provided."}"#, Outcome::Gone),
            (401, "<html>", Outcome::Refused),
            (403, "", Outcome::Refused),
            (404, "<html>", Outcome::Refused),
            (410, "", Outcome::Gone),
            (429, r#"{"success":false,"error":"error-too-many-requests"}"#, again),
            (500, "", again),
            (503, r#"{"success":false,"error":"integration-disabled"}"#, again),
        ] {
            assert_eq!(classify(&reply(status, text), 0), expected, "{status} {text}");
        }
        let limited = Reply { retry_after: Some("10".into()), ..reply(503, "") };
        assert_eq!(classify(&limited, 0), Outcome::Again { not_before: Some(10_000) });
    }

    #[test]
    fn a_url_is_recognised_by_its_shape_and_another_services_is_refused() {
        let url = |url: &str| Url::parse(url).unwrap();
        assert!(recognises(&url(URL)));
        assert!(!recognises(&url("https://chat.example/hooks/abc/def")));
        assert!((FORMAT.check)(&url("https://chat.example/hooks/abc/def")).is_ok());
        assert!((FORMAT.check)(&url("https://discord.com/api/webhooks/1/x")).is_err());
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn a_users_words_stay_in_their_code_span(message in any_message()) {
            let body = body(&FORMAT, URL, &message);
            let text = body["text"].as_str().unwrap();
            prop_assert!(!text.is_empty() && MARKUP.unit.size(text) <= TITLE);
            let attachment = &body["attachments"][0];
            let shown = attachment["text"].as_str().unwrap();
            prop_assert!(MARKUP.unit.size(shown) <= 10_000);
            let fields = attachment["fields"].as_array().unwrap();
            for text in fields.iter().map(|field| field["value"].as_str().unwrap()).chain([text, shown]) {
                prop_assert!(text.matches('`').count() % 2 == 0 && !text.contains('<'), "{text}");
            }
        }
    }
}
