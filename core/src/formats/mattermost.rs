//! Mattermost's incoming webhooks: the title as Markdown, and an attachment for the rest.
//!
//! There are no threads: an incoming webhook is not told which post it made, and cannot answer one. Sources:
//! developers.mattermost.com, "Incoming webhooks", "Message attachments"; errors and the length of a post as
//! the server's source has them.

use url::Url;

use super::attachment::{self, attachment};
use super::cut::{Unit, cut, written};
use super::escape::{backslashed, bare};
use super::page::Markup;
use super::reply::{by_status, said, says_yes};
use super::{Can, EXAMPLE, Format, Limit, Outcome, Render, Rendering, never, not_elsewhere, nothing, object};
use crate::message::Message;
use crate::model::Millis;
use crate::ports::{Outgoing, Reply};

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "mattermost",
    title: "Mattermost",
    render: Render::Message(render),
    classify,
    recognises,
    check: |url| not_elsewhere(url, "mattermost"),
    fields: &[],
    brings: nothing,
    secret_url: true,
    signed: false,
    hosts: &[],
    example: EXAMPLE,
    limits: &attachment::limits(
        Limit::of("title", TITLE, MARKUP.unit, "/attachments/0/fallback"),
        MARKUP.unit,
    ),
    can: Can::POST,
    thread_root: None,
    misread: never,
};

const TITLE: usize = 400;
const MARKUP: Markup = Markup {
    titled: true,
    // Runes of a post, its attachments not counted.
    max: 16_383,
    unit: Unit::Chars,
    ours: |text| backslashed(text, SIGNS),
    // `<…|…>` becomes a link and `<!here>` a call before Markdown is read, so a backslash would come too late.
    theirs: |text| backslashed(&bare(text), SIGNS),
    line: "\n",
    strong: |title| format!("**{title}**"),
    link: |label, url| format!("[{label}]({url})"),
};
/// What its Markdown lets a backslash take the meaning from.
const SIGNS: &str = "\\`*_{}[]()#!|~>";

/// `https://HOST/hooks/` and 26 letters and digits, at any host and below any path.
fn recognises(url: &Url) -> bool {
    let id = url.path().rsplit_once("/hooks/").map(|(_, id)| id);
    id.is_some_and(|id| {
        id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let title = written(&message.title, TITLE, MARKUP.unit, |text| text.write(MARKUP.ours, MARKUP.theirs));
    let mut attachment = attachment(message, &MARKUP);
    // Where attachments are not shown; nothing is markup in there.
    let fallback = message.title.write(str::to_owned, bare);
    attachment["fallback"] = cut(&fallback, TITLE, MARKUP.unit).into();
    let text = (MARKUP.strong)(&title);
    super::json(it.url, &object([("text", text.into()), ("attachments", vec![attachment].into())]))
}

/// It answers `ok`, or JSON with an `id` that says why; without one the answer is somebody else's on the way. An unknown
/// hook is a 400.
fn classify(reply: &Reply, now: Millis) -> Outcome {
    let id = said(reply)["id"].as_str().unwrap_or_default().to_owned();
    match (reply.status, id.as_str()) {
        (200..=299, _) if reply.status != 204 && !says_yes(reply) => Outcome::Refused,
        (400, id) if id.starts_with("web.incoming_webhook.invalid") => Outcome::Gone,
        (403 | 404 | 501, id) if id.starts_with("web.incoming_webhook.") || id.starts_with("store.sql") => {
            Outcome::Gone
        }
        _ => by_status(reply, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::{any_message, body, cases, reply};
    use proptest::prelude::*;
    use serde_json::json;

    const URL: &str = "https://chat.example/hooks/abcdefghijklmnopqrstuvwxyz";

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        let id = |id: &str| json!({ "id": id, "message": "x", "status_code": 400 }).to_string();
        for (status, text, expected) in [
            (200, "ok".to_owned(), Outcome::Delivered),
            (200, "<html>Sign in</html>".into(), Outcome::Refused),
            (200, String::new(), Outcome::Refused),
            (302, String::new(), Outcome::Refused),
            (400, id("web.incoming_webhook.invalid.app_error"), Outcome::Gone),
            (400, id("web.incoming_webhook.text.app_error"), Outcome::Refused),
            (400, id("web.incoming_webhook.parse.app_error"), Outcome::Refused),
            (400, id("api.webhook.team_mismatch.app_error"), Outcome::Refused),
            (400, "Bad Request".into(), Outcome::Refused),
            (401, String::new(), Outcome::Refused),
            (403, id("web.incoming_webhook.permissions.app_error"), Outcome::Gone),
            (403, id("web.incoming_webhook.channel_locked.app_error"), Outcome::Gone),
            (403, "<html>".into(), Outcome::Refused),
            (404, id("web.incoming_webhook.channel.app_error"), Outcome::Gone),
            (404, "<html>".into(), Outcome::Refused),
            (410, String::new(), Outcome::Gone),
            (413, String::new(), Outcome::Refused),
            (429, String::new(), again),
            (500, id("app.post.save.app_error"), again),
            (501, id("web.incoming_webhook.disabled.app_error"), Outcome::Gone),
            (501, String::new(), again),
            (503, String::new(), again),
        ] {
            assert_eq!(classify(&reply(status, &text), 0), expected, "{status} {text}");
        }
        let limited = Reply { retry_after: Some("3".into()), ..reply(429, "limit exceeded") };
        assert_eq!(classify(&limited, 1_000), Outcome::Again { not_before: Some(4_000) });
    }

    #[test]
    fn a_url_is_recognised_by_its_shape_and_another_services_is_refused() {
        let url = |url: &str| Url::parse(url).unwrap();
        assert!(recognises(&url(URL)));
        assert!(recognises(&url("https://a.example/mattermost/hooks/abcdefghijklmnopqrstuvwx12")));
        assert!(!recognises(&url("https://chat.example/hooks/abc")));
        assert!(!recognises(&url("https://chat.example/hooks/ABCDEFGHIJKLMNOPQRSTUVWXYZ")));
        assert!((FORMAT.check)(&url("https://chat.example/other")).is_ok());
        assert!((FORMAT.check)(&url("https://hooks.slack.com/services/T/B/x")).is_err());
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn nothing_a_user_writes_is_markup_and_no_limit_is_broken(message in any_message()) {
            let body = body(&FORMAT, URL, &message);
            let text = body["text"].as_str().unwrap();
            prop_assert!(text.len() > 4 && MARKUP.unit.size(text) <= TITLE + 4);
            let attachment = &body["attachments"][0];
            let values = attachment["fields"].as_array().unwrap();
            prop_assert!(values.len() <= 20);
            let texts = values.iter().map(|field| field["value"].as_str().unwrap());
            for text in texts.chain([&text[2..text.len() - 2]]) {
                prop_assert!(MARKUP.unit.size(text) <= 500);
                let mut before = ' ';
                for c in text.chars() {
                    prop_assert!(!"`*_~|[]()<".contains(c) || before == '\\', "{text}");
                    before = if before == '\\' { ' ' } else { c };
                }
            }
        }
    }
}
