//! What went wrong, the way Clever Cloud's clients read it: `{"id", "message", "type": "error"}`.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::contract::problem::{Id, Problem};

/// Wrong credentials: the platform's own number.
pub const UNAUTHORISED: u32 = 2001;
/// A scope that names what is not the owner's: the platform's own number.
pub const FOREIGN_RESOURCE: u32 = 4002;

/// An error of this surface. Clients show the message, and nothing else of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V2Error {
    /// The HTTP status. The command line takes 401 for *not logged in*, whatever the message says.
    pub status: StatusCode,
    /// Which error: the platform's own number where one is known, else one of ours, from 20000 on.
    pub id: u32,
    /// What is wrong, in words that read well behind `[ERROR]`.
    pub message: String,
}

/// The status and number of a problem on this surface.
pub(super) fn number(id: Id) -> (StatusCode, u32) {
    let ours = match id {
        Id::Unauthorised => return (StatusCode::UNAUTHORIZED, UNAUTHORISED),
        Id::ForeignResource => return (StatusCode::FORBIDDEN, FOREIGN_RESOURCE),
        Id::Malformed => 20_001,
        Id::Invalid => 20_002,
        Id::UnknownField => 20_003,
        Id::UnknownKind => 20_004,
        Id::UnknownOwner => 20_005,
        Id::ForbiddenAddress => 20_006,
        Id::TooManyHooks => 20_007,
        Id::Contradiction => 20_008,
        Id::Forbidden => 20_009,
        Id::NotFound => 20_010,
        Id::MethodNotAllowed => 20_011,
        Id::Conflict => 20_012,
        Id::WrongState => 20_013,
        Id::TooLarge => 20_014,
        Id::UnsupportedType => 20_015,
        Id::Busy => 20_016,
        Id::TooSlow => 20_017,
        Id::Unavailable => 20_018,
        Id::UpgradeRequired => 20_019,
        Id::TooOften => 20_020,
    };
    (id.status(), ours)
}

impl V2Error {
    /// Of a problem, in these words.
    pub fn new(id: Id, message: impl Into<String>) -> Self {
        let (status, id) = number(id);
        Self { status, id, message: message.into() }
    }
}

impl From<Problem> for V2Error {
    fn from(problem: Problem) -> Self {
        match &problem.field {
            Some(field) => Self::new(problem.id, format!("{field}: {}", problem.detail)),
            None => Self::new(problem.id, problem.detail),
        }
    }
}

impl From<sonnette_core::ports::StoreError> for V2Error {
    fn from(error: sonnette_core::ports::StoreError) -> Self {
        Problem::from(error).into()
    }
}

impl IntoResponse for V2Error {
    fn into_response(self) -> Response {
        let body = json!({"id": self.id, "message": self.message, "type": "error"}).to_string();
        let mut response = (self.status, body).into_response();
        // Clients compare it whole: with a charset behind it they would show the body as it is.
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_number_of_its_own_and_the_documentation_lists_ours() {
        let page = include_str!("../../../../docs/coming-from-clever-cloud.md");
        let numbers: std::collections::BTreeSet<_> = Id::ALL.iter().map(|id| number(*id).1).collect();
        assert_eq!(numbers.len(), Id::ALL.len());
        for id in Id::ALL {
            let (status, number) = number(*id);
            let row = format!("| {number} | {} | {} |", status.as_u16(), id.title());
            assert!(page.contains(&row), "docs/coming-from-clever-cloud.md lacks: {row}");
        }
    }
}
