//! Gitter's custom webhooks: a message in Markdown and a level. The rooms moved to Matrix in 2023; relays remain.
//!
//! Source: gitter.im's own receiver: `message` is required, `level: "error"` is shown in red, all else is ignored.

use serde_json::json;
use url::Url;

use super::cut::Unit;
use super::escape::{markdown, unlinked, unmentioned};
use super::page::{Markup, page};
use super::reply::by_status;
use super::{Format, Render, Rendering, not_elsewhere, nothing, points_at};
use crate::message::{Message, Severity};
use crate::ports::Outgoing;

/// See the module.
pub(super) const FORMAT: Format = Format {
    name: "gitter",
    title: "Gitter",
    render: Render::Message(render),
    classify: by_status,
    recognises,
    check: |url| not_elsewhere(url, "gitter"),
    fields: &[],
    brings: nothing,
    secret_url: true,
    signed: false,
};

const PAGE: Markup = Markup {
    titled: true,
    // Rooms took messages of 4,096 characters.
    max: 4096,
    unit: Unit::Utf16,
    ours: markdown,
    theirs: |text| markdown(&unmentioned(&unlinked(text), &['@', '#'])),
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
    use crate::formats::samples::{self, body};
    use proptest::prelude::*;

    const URL: &str = "https://webhooks.gitter.im/e/0123456789abcdef";

    #[test]
    fn the_samples_look_like_this() {
        for (name, message) in samples::named() {
            insta::assert_snapshot!(format!("gitter_{name}"), samples::shown(&FORMAT, URL, &message));
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
