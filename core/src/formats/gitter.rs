//! Gitter's custom webhooks: a message in Markdown and a level. The rooms moved to Matrix in 2023; relays remain.
//!
//! Source: gitter.im's own receiver: `message` is required, `level: "error"` is shown in red, all else is ignored.

use serde_json::json;
use url::Url;

use super::cut::Unit;
use super::escape::{markdown, unlinked, unmentioned};
use super::page::{Markup, page};
use super::reply::by_status;
use super::{Can, EXAMPLE, Format, Limit, Render, Rendering, never, nothing, points_at};
use crate::message::{Message, Severity};
use crate::ports::Outgoing;

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "gitter",
    title: "Gitter",
    render: Render::Message(render),
    classify: by_status,
    recognises,
    check: |url| super::whole(url, "gitter", "a webhook of Gitter is https://webhooks.gitter.im/e/…"),
    fields: &[],
    brings: nothing,
    secret_url: true,
    signed: false,
    hosts: &["gitter.im"],
    example: EXAMPLE,
    limits: &[Limit::of("text", PAGE.max, PAGE.unit, "/message")],
    can: Can::POST,
    thread_root: None,
    misread: never,
};

const PAGE: Markup = Markup {
    titled: true,
    // Rooms took messages of 4,096 characters.
    max: 4096,
    unit: Unit::Utf16,
    ours: markdown,
    theirs: |text| markdown(&unmentioned(&unlinked(text), &['@', '#'])),
    line: "\n",
    strong: |title| format!("**{title}**"),
    link: |label, url| format!("[{label}]({url})"),
};

fn recognises(url: &Url) -> bool {
    points_at(url, &["webhooks.gitter.im"], "/e/")
}

fn render(it: &Rendering<'_>, message: &Message) -> Outgoing {
    let level = match message.severity {
        Severity::Error => "error",
        Severity::Info | Severity::Success | Severity::Warning => "info",
    };
    super::json(it.url, &json!({ "message": page(message, &PAGE), "level": level }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Outcome;
    use crate::formats::samples::{self, body, reply};
    use crate::ports::Reply;
    use proptest::prelude::*;

    const URL: &str = "https://webhooks.gitter.im/e/0123456789abcdef";

    #[test]
    fn the_samples_look_like_this() {
        for (name, message) in samples::named() {
            insta::assert_snapshot!(format!("gitter_{name}"), samples::shown(&FORMAT, URL, &message));
        }
    }

    #[test]
    fn each_answer_means_this() {
        let again = Outcome::Again { not_before: None };
        for (status, expected) in [
            (200, Outcome::Delivered),
            (302, Outcome::Refused),
            (400, Outcome::Refused),
            (404, Outcome::Refused),
            (410, Outcome::Gone),
            (429, again),
            (500, again),
            (503, again),
        ] {
            assert_eq!((FORMAT.classify)(&reply(status, "OK"), 0), expected, "{status}");
        }
        let limited = Reply { retry_after: Some("9".into()), ..reply(429, "") };
        assert_eq!((FORMAT.classify)(&limited, 0), Outcome::Again { not_before: Some(9_000) });
    }

    #[test]
    fn a_url_of_another_service_is_refused() {
        let taken = |url: &str| (FORMAT.check)(&Url::parse(url).unwrap()).is_ok();
        assert!(taken(URL) && taken("https://relay.example/e/x"));
        for wrong in ["https://gitter.im/acme", "https://hooks.slack.com/triggers/T/1/x"] {
            assert!(!taken(wrong), "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(samples::cases())]

        #[test]
        fn nothing_a_user_writes_is_markup(message in samples::any_message()) {
            let body = body(&FORMAT, URL, &message);
            let text = body["message"].as_str().unwrap();
            prop_assert!(!text.is_empty() && PAGE.unit.size(text) <= PAGE.max);
            for call in ["@all", "@channel", "@everyone", "@here"] {
                prop_assert!(!text.contains(call), "{text}");
            }
            let links = text.replace("](https://console.example/", "");
            prop_assert!(!links.contains("](") && !links.contains("://"), "{text}");
            let mut before = ' ';
            for c in text.chars() {
                prop_assert!(!"`<_#|!~".contains(c) || before == '\\' || before == '_', "{text}");
                before = if before == '\\' { ' ' } else { c };
            }
        }
    }
}
