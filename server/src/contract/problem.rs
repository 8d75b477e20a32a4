//! What can go wrong for somebody who asks: one list, each with its status and title (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

macro_rules! problems {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $status:ident, $title:literal;)+) => {
        /// Which problem it is. The last part of its `type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Id { $($(#[$doc])* $variant),+ }

        impl Id {
            /// Every problem.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $id),+ }
            }

            /// The HTTP status.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// The same words every time.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

problems! {
    /// The body is not what its content type says.
    Malformed = "malformed", BAD_REQUEST, "The body cannot be read";
    /// A field breaks its rule.
    Invalid = "invalid", BAD_REQUEST, "A value is not allowed";
    /// A field we do not know.
    UnknownField = "unknown-field", BAD_REQUEST, "There is no such field";
    /// A kind or family the catalogue does not have.
    UnknownKind = "unknown-kind", BAD_REQUEST, "There is no such kind";
    /// An owner the directory does not have.
    UnknownOwner = "unknown-owner", BAD_REQUEST, "There is no such owner";
    /// An application or add-on of somebody else.
    ForeignResource = "foreign-resource", BAD_REQUEST, "The resource belongs to another owner";
    /// An address webhooks may not point to.
    ForbiddenAddress = "forbidden-address", BAD_REQUEST, "Webhooks may not point there";
    /// The owner has as many hooks as it may.
    TooManyHooks = "too-many-hooks", BAD_REQUEST, "The owner has too many hooks";
    /// It contradicts what is known.
    Contradiction = "contradiction", BAD_REQUEST, "It contradicts what is known";
    /// No credentials, or wrong ones.
    Unauthorised = "unauthorised", UNAUTHORIZED, "Credentials are missing or wrong";
    /// Not for the one who asks.
    Forbidden = "forbidden", FORBIDDEN, "You may not do that";
    /// There is nothing of that id, or nothing at that path.
    NotFound = "not-found", NOT_FOUND, "There is no such thing";
    /// The path knows other methods.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "That cannot be done there";
    /// The same pair was accepted with other content.
    Conflict = "conflict", CONFLICT, "It was accepted before, with other content";
    /// The state it is in does not allow it.
    WrongState = "wrong-state", CONFLICT, "That cannot be done in this state";
    /// The path is for WebSocket.
    UpgradeRequired = "upgrade-required", UPGRADE_REQUIRED, "This path speaks WebSocket";
    /// Too large.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, "It is too large";
    /// A content type we do not read.
    UnsupportedType = "unsupported-type", UNSUPPORTED_MEDIA_TYPE, "That content type is not read here";
    /// Too much at once.
    Busy = "busy", TOO_MANY_REQUESTS, "Too much is under way";
    /// More often than is allowed.
    TooOften = "too-often", TOO_MANY_REQUESTS, "That was asked too often";
    /// The body took too long.
    TooSlow = "too-slow", REQUEST_TIMEOUT, "The body took too long";
    /// The disk is full or failing, or the server is stopping.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "It cannot be stored now";
}

/// A problem of one request, or of one item of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub id: Id,
    /// What is wrong here, in words.
    pub detail: String,
    /// What is wrong, by its path.
    pub field: Option<String>,
    /// Seconds after which it is worth asking again, where that is known.
    pub again: Option<u64>,
}

#[derive(Serialize)]
struct Shape<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shape {
            r#type: format!("urn:sonnette:problem:{}", self.id.as_str()),
            title: self.id.title(),
            status: self.id.status().as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
        }
        .serialize(serializer)
    }
}

impl Problem {
    /// A problem of the whole request.
    pub fn new(id: Id, detail: impl Into<String>) -> Self {
        Self { id, detail: detail.into(), field: None, again: None }
    }

    /// A problem of one field.
    pub fn of(id: Id, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { id, detail: detail.into(), field: Some(field.into()), again: None }
    }

    /// A field that breaks its rule.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::of(Id::Invalid, field, detail)
    }

    /// Nothing of that id.
    pub fn not_found(what: &str) -> Self {
        Self::new(Id::NotFound, format!("there is no such {what}"))
    }

    /// The same problem, of one line of many: what read the line alone took it for the first of its own.
    #[must_use]
    pub fn of_one_line(mut self) -> Self {
        self.detail = self.detail.replace(" at line 1 column ", " at column ");
        self
    }

    /// The same problem, one level further down: `place` before the field.
    pub fn within(mut self, place: &str) -> Self {
        self.field = Some(match self.field {
            None => place.to_owned(),
            Some(field) if field.starts_with('[') => format!("{place}{field}"),
            Some(field) => format!("{place}.{field}"),
        });
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.id.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.id {
            Id::Busy => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"))),
            Id::Unavailable => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"))),
            Id::TooOften => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(self.again.unwrap_or(60)));
            }
            Id::Unauthorised => {
                headers
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sonnette\""));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_its_own_name_and_none_is_our_fault_but_unavailable() {
        let names: std::collections::BTreeSet<_> = Id::ALL.iter().map(|id| id.as_str()).collect();
        assert_eq!(names.len(), Id::ALL.len());
        for id in Id::ALL {
            assert_eq!(id.status().is_server_error(), *id == Id::Unavailable, "{}", id.as_str());
        }
    }

    #[test]
    fn the_documentation_lists_every_problem() {
        let page = include_str!("../../../docs/problems.md");
        for id in Id::ALL {
            let row = format!("| `{}` | {} | {} |", id.as_str(), id.status().as_u16(), id.title());
            assert!(page.contains(&row), "docs/problems.md lacks: {row}");
        }
    }

    #[test]
    fn a_place_goes_before_the_field() {
        let problem = Problem::invalid("appId", "no").within("data").within("[3]");
        assert_eq!(problem.field.as_deref(), Some("[3].data.appId"));
    }
}
