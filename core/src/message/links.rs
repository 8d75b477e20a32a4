//! Links in messages: the operator's URL templates, filled in.

use url::Url;

/// The operator's templates; without one there is no such link.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkTemplates {
    /// An application's page.
    pub application: Option<LinkTemplate>,
    /// A deployment's page.
    pub deployment: Option<LinkTemplate>,
    /// An owner's page.
    pub owner: Option<LinkTemplate>,
    /// The event's page in our own console, where none of the others leads anywhere.
    pub event: Option<LinkTemplate>,
}

/// A URL with `{owner}`, `{resource}`, `{deployment}` and `{event}` in its path, query or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTemplate(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Place),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Owner,
    Resource,
    Deployment,
    Event,
}

/// Why a text is no link template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not a URL people could open.
    #[error("an absolute http or https URL")]
    NotAUrl,
    /// Not one of the placeholders there are.
    #[error("a URL with no placeholders but {{owner}}, {{resource}}, {{deployment}} and {{event}}")]
    UnknownPlaceholder,
    /// A placeholder that would choose the host.
    #[error("a URL with its placeholders after the host")]
    PlaceInHost,
}

/// What the placeholders stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) owner: &'a str,
    pub(super) resource: Option<&'a str>,
    pub(super) deployment: Option<&'a str>,
    pub(super) event: &'a str,
}

impl LinkTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// What it should be, as a noun: it completes "expected …".
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(LinkError::UnknownPlaceholder)?;
            let place = match name {
                "owner" => Place::Owner,
                "resource" => Place::Resource,
                "deployment" => Place::Deployment,
                "event" => Place::Event,
                _ => return Err(LinkError::UnknownPlaceholder),
            };
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Place(place));
            rest = after;
        }
        if rest.contains('}') {
            return Err(LinkError::UnknownPlaceholder);
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let Some(Piece::Text(head)) = pieces.first() else { return Err(LinkError::NotAUrl) };
        let authority = head.split_once("://").map(|(_, authority)| authority).ok_or(LinkError::NotAUrl)?;
        if pieces.len() > 1 && !authority.contains(['/', '?', '#']) {
            return Err(LinkError::PlaceInHost);
        }
        let template = Self(pieces);
        let tried = Places { owner: "x", resource: Some("x"), deployment: Some("x"), event: "x" };
        template.fill(&tried).map(|_| template).ok_or(LinkError::NotAUrl)
    }

    /// The URL; `None` if a placeholder has no value.
    pub(super) fn fill(&self, places: &Places<'_>) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(words) => text.push_str(words),
                Piece::Place(place) => {
                    let value = match place {
                        Place::Owner => places.owner,
                        Place::Resource => places.resource?,
                        Place::Deployment => places.deployment?,
                        Place::Event => places.event,
                    };
                    // A segment of dots would climb the path, even percent-encoded (WHATWG URL, "double-dot segment").
                    if value.bytes().all(|byte| byte == b'.') {
                        return None;
                    }
                    encode(value, &mut text);
                }
            }
        }
        let url = Url::parse(&text).ok()?;
        (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| url.into())
    }
}

/// Percent-encodes all but what RFC 3986 §2.3 calls unreserved.
fn encode(value: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(template: &str, deployment: Option<&str>) -> Option<String> {
        let places = Places { owner: "orga_1", resource: None, deployment, event: "evt_1" };
        LinkTemplate::parse(template).unwrap().fill(&places)
    }

    #[test]
    fn values_are_percent_encoded_and_a_missing_one_leaves_the_link_out() {
        let template = "https://console.example/o/{owner}/d/{deployment}?e={event}";
        assert_eq!(
            filled(template, Some("a/b?é")).as_deref(),
            Some("https://console.example/o/orga_1/d/a%2Fb%3F%C3%A9?e=evt_1")
        );
        assert_eq!(filled(template, None), None);
        assert_eq!(filled(template, Some("..")), None);
        assert_eq!(filled("https://console.example", None).as_deref(), Some("https://console.example/"));
    }

    #[test]
    fn a_template_is_a_web_address_with_known_placeholders_after_its_host() {
        let error = |text: &str| LinkTemplate::parse(text).unwrap_err();
        assert_eq!(error("https://x.example/{app}"), LinkError::UnknownPlaceholder);
        assert_eq!(error("https://x.example/{owner"), LinkError::UnknownPlaceholder);
        assert_eq!(error("https://x.example/owner}"), LinkError::UnknownPlaceholder);
        for text in ["", "x.example/{owner}", "ftp://x.example/", "javascript://x/%0Aalert(1)", "/o/{owner}"]
        {
            assert_eq!(error(text), LinkError::NotAUrl, "{text}");
        }
        for text in ["https://{owner}", "https://{owner}.x.example/", "https://x.example{owner}/"] {
            assert_eq!(error(text), LinkError::PlaceInHost, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_value_chooses_where_a_link_leads(value: String, text: String) {
            let _ = LinkTemplate::parse(&text);
            if let Some(link) = filled("https://console.example/d/{deployment}/end", Some(&value)) {
                let url = Url::parse(&link).unwrap();
                prop_assert_eq!(url.host_str(), Some("console.example"));
                prop_assert!(url.path().starts_with("/d/") && url.path().ends_with("/end"), "{}", link);
                prop_assert_eq!((url.query(), url.fragment()), (None, None));
            }
        }
    }
}
