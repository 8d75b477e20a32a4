//! Forms: read within bounds, and only from a page of the same session.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use url::form_urlencoded;

use super::oops::Oops;
use super::reader::Reader;
use crate::http::{SMALL, Site};

/// The name of the field that carries the session's token.
pub(super) const TOKEN: &str = "token";

/// A form as it was sent, whether or not it carried the session's token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    pairs: Vec<(String, String)>,
    /// Whether it carried the session's token. If not nothing may be changed by it; it may be shown again, to be sent anew.
    pub(crate) fresh: bool,
}

impl Form {
    /// Reads what a query or a body holds.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self {
            pairs: pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
            fresh: false,
        }
    }

    /// The value of a field; empty if it was not sent.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether a field was sent at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| key == name)
    }

    /// The values of a field that may be sent many times, such as a list of boxes.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl FromRequest<Arc<Site>> for Form {
    type Rejection = Oops;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, Oops> {
        let reader = request.extensions().get::<Reader>().cloned();
        let held = site.bodies.read(request.into_body(), SMALL).await?;
        let mut form = Self::parse(held.text()?);
        form.fresh = reader.is_some_and(|reader| reader.made(form.get(TOKEN)));
        Ok(form)
    }
}

/// A form that carried the session's token; any other is refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checked(pub(crate) Form);

impl FromRequest<Arc<Site>> for Checked {
    type Rejection = Oops;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, Oops> {
        let form = Form::from_request(request, site).await?;
        if form.fresh { Ok(Self(form)) } else { Err(Oops::Stale) }
    }
}

/// A local path to go on to, such as a form or a link carries it; anything else is the front page. A browser takes `//host` and
/// `/\host` for another host, and drops tabs and line breaks before it looks.
pub(super) fn local(next: &str) -> &str {
    let fits = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= 2048
        && !next.contains('\\')
        && !next.chars().any(char::is_control);
    if fits { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_gives_one_value_or_all_of_a_name() {
        let form = Form::parse("a=1&b=x+y&a=%C3%A9&c");
        assert_eq!((form.get("a"), form.get("b"), form.get("c"), form.get("d")), ("1", "x y", "", ""));
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["1", "é"]);
        assert!(form.has("c") && !form.has("d") && !form.fresh);
    }

    #[test]
    fn only_a_path_of_ours_is_gone_on_to() {
        for (next, expected) in [
            ("/o/x/emails?a=b", "/o/x/emails?a=b"),
            ("//evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("https://evil.example/", "/"),
            ("javascript:alert(1)", "/"),
            ("", "/"),
        ] {
            assert_eq!(local(next), expected, "{next:?}");
        }
    }
}
