//! How URLs are shown: for many services the URL is the credential.

use url::{Position, Url};

use super::{find, recognise};
use crate::secret::Secret;

/// Stands where something is hidden. No URL or field holds it, so what was shown and comes back is recognised.
pub const HIDDEN: &str = "…";

/// What may stand in a path before the credential and says which shape of the service is meant.
const WORDS: &[&str] = &[
    "services",
    "v1",
    "messages",
    "team_inbox",
    "chat",
    "e",
    "hooks",
    "api",
    "v10",
    "webhooks",
    "webhookb2",
    "spaces",
    "workflows",
    "powerautomate",
    "automations",
    "direct",
];

/// A last word of fewer characters than this is hidden with its end: four would be too much of it.
const ENOUGH: usize = 12;

/// A URL without its credential: scheme, host, well-known words of the path and at most the last four characters, as in
/// `https://hooks.slack.com/services/…a1b2`.
pub fn mask(url: &Url) -> String {
    let mut out = format!("{}://{}/", url.scheme(), &url[Position::BeforeHost..Position::BeforePath]);
    let hidden = &url[Position::BeforePath..Position::AfterQuery];
    let mut hidden = hidden.strip_prefix('/').unwrap_or(hidden);
    while let Some((word, rest)) = hidden.split_once('/').filter(|(word, _)| WORDS.contains(word)) {
        out.push_str(word);
        out.push('/');
        hidden = rest;
    }
    out.push_str(HIDDEN);
    // What is a credential by itself, however much stands before it.
    let last = hidden.rsplit(['/', '?', '&', '=']).next().unwrap_or_default();
    if last.len() >= ENOUGH {
        out.push_str(last.get(last.len() - 4..).unwrap_or_default());
    }
    out
}

/// Whether a URL is one that was shown masked and came back, also percent-encoded on the way.
pub fn is_masked(text: &str) -> bool {
    text.contains(HIDDEN) || text.to_ascii_lowercase().contains("%e2%80%a6")
}

/// A destination's URL for people: as given for an open format, but for a password (or a lone user name, which is a
/// token) before its host; masked where the format or the service behind the URL takes it for a credential.
pub fn shown(format: &str, url: &Secret) -> String {
    let Ok(parsed) = Url::parse(url.expose()) else { return HIDDEN.into() };
    let open = find(format).is_some_and(|format| !format.secret_url)
        && recognise(&parsed).is_none_or(|service| !service.secret_url);
    let hidden = match (parsed.username(), parsed.password()) {
        _ if !open => return mask(&parsed),
        (_, Some(_)) => Position::BeforePassword..Position::AfterPassword,
        ("", None) => return url.expose().into(),
        (_, None) => Position::BeforeUsername..Position::AfterUsername,
    };
    format!("{}{HIDDEN}{}", &parsed[..hidden.start], &parsed[hidden.end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(url: &str) -> String {
        mask(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_mask_shows_where_it_goes_and_not_the_key() {
        for (url, expected) in [
            (
                "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXa1b2",
                "https://hooks.slack.com/services/…a1b2",
            ),
            (
                "https://user:pw@relay.example:8443/v1/messages/team_inbox/0123456789abcdef0123",
                "https://relay.example:8443/v1/messages/team_inbox/…0123",
            ),
            ("https://webhooks.gitter.im/e/short", "https://webhooks.gitter.im/e/…"),
            ("https://relay.example/messages?flow_token=0123456789abcdef", "https://relay.example/…cdef"),
            ("https://relay.example/", "https://relay.example/…"),
            ("https://chat.example/hooks/abcdefghijklmnopqrstuvwxyz", "https://chat.example/hooks/…wxyz"),
            (
                "https://discord.com/api/webhooks/123456789012345678/abcdefghijkl?thread_id=1",
                "https://discord.com/api/webhooks/…",
            ),
            (
                "https://chat.googleapis.com/v1/spaces/AAAA/messages?key=0123456789&token=abcdefgh",
                "https://chat.googleapis.com/v1/spaces/…",
            ),
            (
                "https://x.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/abc?sig=defg",
                "https://x.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/…",
            ),
            (
                "https://contoso.webhook.office.com/webhookb2/1@2/IncomingWebhook/345678",
                "https://contoso.webhook.office.com/webhookb2/…",
            ),
            ("https://push.example/message?token=ABC", "https://push.example/…"),
            ("https://push.example/message?token=ABCDEFGHIJK", "https://push.example/…"),
            ("https://[2001:db8::1]/chat/x", "https://[2001:db8::1]/chat/…"),
        ] {
            assert_eq!(masked(url), expected);
        }
    }

    #[test]
    fn an_open_url_is_shown_as_given_without_what_stands_before_its_host() {
        for (format, url, expected) in [
            ("raw", "https://Example.com/a?b=c", "https://Example.com/a?b=c"),
            ("raw", "https://user:pw@example.com/a", "https://user:…@example.com/a"),
            ("raw", "https://:pw@example.com/a", "https://:…@example.com/a"),
            ("raw", "https://token@example.com/a", "https://…@example.com/a"),
            ("raw", "https://hooks.slack.com/services/T0/B0/abc", "https://hooks.slack.com/services/…"),
            ("slack", "https://chat.example/hooks/abcdefghijklmnop", "https://chat.example/hooks/…mnop"),
            (
                "raw",
                "https://discord.com/api/webhooks/1/abcdefghijklmnopq",
                "https://discord.com/api/webhooks/…nopq",
            ),
            ("fax", "https://example.com/a?b=c", "https://example.com/…"),
            ("raw", "not a url", "…"),
        ] {
            assert_eq!(shown(format, &Secret::new(url)), expected);
        }
    }

    proptest! {
        #[test]
        fn a_masked_url_never_holds_the_key_and_is_recognised_when_it_comes_back(
            key in "[A-Za-z0-9_-]{5,60}", form in 0..3_usize, password in "[A-Z0-9]{5,9}",
        ) {
            let place = ["services/T0/B0/", "v1/messages/chat/", "x?token="][form];
            let url = Url::parse(&format!("https://u:{password}@host.example/{place}{key}")).unwrap();
            let shown = mask(&url);
            let visible = shown.rsplit_once('…').unwrap().1;
            prop_assert!(visible.len() <= 4 && key.ends_with(visible) && (visible.is_empty() || key.len() >= ENOUGH));
            let before = shown.rsplit_once('…').unwrap().0;
            prop_assert!("https://host.example/services/v1/messages/chat/".contains(before.trim_start_matches("https://host.example/")));
            prop_assert!(!shown.contains(&password));
            prop_assert!(is_masked(&shown));
            prop_assert!(is_masked(Url::parse(&shown).unwrap().as_str()));
        }
    }
}
