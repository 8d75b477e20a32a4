//! What can go wrong for somebody who looks at pages. Handlers return it; the door makes a page of it, in the frame.

use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use sonnette_core::ports::StoreError;
use url::form_urlencoded::byte_serialize;

use super::frame::{Frame, Section, show};
use super::reader::Reader;
use super::words::Words;
use crate::contract::problem::{Id, Problem};

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Oops {
    /// Only for those who are signed in.
    SignIn,
    /// Nothing there, or nothing of theirs.
    NotFound,
    /// Not for their role; who can, in a sentence.
    Forbidden(String),
    /// The form does not belong to the session.
    Stale,
    /// Another site sent it.
    Forged,
    /// Anything the API would say too.
    Problem(Problem),
}

impl From<Problem> for Oops {
    fn from(problem: Problem) -> Self {
        match problem.id {
            Id::NotFound => Self::NotFound,
            _ => Self::Problem(problem),
        }
    }
}

impl From<StoreError> for Oops {
    fn from(error: StoreError) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(askama::Template)]
#[template(path = "console/oops.html")]
struct OopsPage {
    frame: Frame,
    intro: String,
    detail: String,
}

impl Oops {
    /// What whoever filled in a form can mend; what they cannot is given back.
    pub(super) fn mendable(self) -> Result<Problem, Self> {
        match self {
            Self::Problem(problem) if !matches!(problem.id, Id::Unavailable | Id::Busy) => Ok(problem),
            oops => Err(oops),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::SignIn => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forbidden(_) | Self::Forged => StatusCode::FORBIDDEN,
            Self::Stale => StatusCode::CONFLICT,
            Self::Problem(problem) => problem.id.status(),
        }
    }

    /// The page that says it. Who must sign in is sent there, and comes back.
    pub(super) fn page(&self, reader: &Reader, is_get: bool) -> Response {
        let lang = reader.lang;
        let (title, intro, detail) = match self {
            Self::SignIn => {
                // What was posted is gone with the session; its page is asked for again.
                let next = if is_get { reader.path.as_str() } else { "/" };
                let next: String = byte_serialize(next.as_bytes()).collect();
                return Redirect::to(&format!("/sign-in?next={next}")).into_response();
            }
            Self::NotFound => (lang.not_found(), lang.not_found_intro(), String::new()),
            Self::Forbidden(who) => (lang.forbidden(), lang.forbidden_intro(), who.clone()),
            Self::Stale => (lang.stale_form(), lang.stale_form_intro(), String::new()),
            Self::Forged => (lang.forged(), lang.forged_intro(), String::new()),
            Self::Problem(problem) if problem.id == Id::Unavailable => {
                (lang.trouble(), lang.trouble_intro(), String::new())
            }
            Self::Problem(problem) => (lang.refused(), lang.forbidden_intro(), problem.detail.clone()),
        };
        let frame = Frame::of(reader, title, None, Section::None);
        show(self.status(), &OopsPage { frame, intro: intro.to_owned(), detail })
    }
}
