//! Services that have closed, or say they will: what is said to those who add a hook to one, and which are never dialled.

use std::borrow::Cow;

use url::Url;

use super::Render;

/// What is known about a service behind a URL, whatever the format.
struct Notice {
    /// Its name, as in the setting `delivery.allow_closed`.
    service: &'static str,
    /// The host, and all below it.
    host: &'static str,
    /// Whether nothing of it is left, so that who buys the name gets our messages.
    closed: bool,
    /// For whoever adds the hook.
    warning: &'static str,
}

const NOTICES: [Notice; 4] = [
    Notice {
        service: "flowdock",
        host: "flowdock.com",
        closed: true,
        warning: "Flowdock closed in August 2023: nothing is sent to its own address, unless the operator lists it in \
                  delivery.allow_closed. Relays that speak its language work",
    },
    Notice {
        service: "gitter",
        host: "gitter.im",
        closed: false,
        warning: "Gitter moved to Matrix in 2023 and its webhooks may no longer reach a room",
    },
    Notice {
        service: "teams",
        host: "webhook.office.com",
        closed: false,
        warning: "Microsoft is retiring the connectors of Teams: make a workflow that begins with \"When a Teams webhook \
                  request is received\", and give its URL",
    },
    Notice {
        service: "teams",
        host: "logic.azure.com",
        closed: false,
        warning: "workflows of Teams at logic.azure.com stopped on 30 November 2025: open the workflow and copy the URL it \
                  shows now",
    },
];

fn notice(url: &Url) -> Option<&'static Notice> {
    let host = super::host(url);
    NOTICES.iter().find(|notice| {
        host.strip_suffix(notice.host).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

/// What to say to whoever adds a hook in this format with this URL.
pub fn warning(format: &str, url: &Url) -> Option<Cow<'static, str>> {
    let frame = super::find(format).is_some_and(|format| matches!(format.render, Render::Frame(_)));
    match super::recognise(url).filter(|_| frame) {
        Some(service) => Some(
            format!(
                "this looks like a webhook of {}, which does not read `{format}`: choose the format `{}`",
                service.title, service.name
            )
            .into(),
        ),
        None => notice(url).map(|notice| notice.warning.into()),
    }
}

/// The service a URL belongs to, if that has closed: such an address is dialled only where the operator says so.
pub fn closed(url: &Url) -> Option<&'static str> {
    notice(url).filter(|notice| notice.closed).map(|notice| notice.service)
}

/// The services that have closed.
pub fn closed_services() -> impl Iterator<Item = &'static str> {
    NOTICES.iter().filter(|notice| notice.closed).map(|notice| notice.service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_service_is_known_by_its_host_and_a_relay_of_it_is_not() {
        for (url, name, warned) in [
            ("https://api.flowdock.com/v1/messages/chat/x", Some("flowdock"), true),
            ("https://API.flowdock.com./messages", Some("flowdock"), true),
            ("https://flowdock.com/", Some("flowdock"), true),
            ("https://notflowdock.com/", None, false),
            ("https://flowdock.com.relay.example/", None, false),
            ("https://relay.example/v1/messages/chat/x", None, false),
            ("https://webhooks.gitter.im/e/x", None, true),
            ("https://contoso.webhook.office.com/webhookb2/x", None, true),
            ("https://prod-1.westeurope.logic.azure.com/workflows/x?sig=y", None, true),
            ("https://hooks.slack.com/services/x", None, false),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!((closed(&parsed), warning("teams", &parsed).is_some()), (name, warned), "{url}");
        }
        let url = |url: &str| Url::parse(url).unwrap();
        for format in ["raw", "cloudevents"] {
            let said = warning(format, &url("https://hooks.slack.com/services/T0/B0/x")).unwrap();
            assert!(said.contains("Slack") && said.contains("`slack`") && said.contains(format), "{said}");
            assert!(warning(format, &url("https://example.com/hooks/x")).is_none());
        }
        assert_eq!(closed_services().collect::<Vec<_>>(), ["flowdock"]);
    }
}
