//! Paths and queries, with our own words where they cannot be read.

use std::error::Error;

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::contract::problem::{Id, Problem};

/// The parts of a path.
pub(crate) struct Place<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(Id::NotFound, rejection.body_text())),
        }
    }
}

/// The name of the parameter that is wrong, as far as it can be told.
fn parameter(rejection: &(dyn Error + 'static)) -> String {
    let mut cause = Some(rejection);
    while let Some(error) = cause {
        if let Some(read) = error.downcast_ref::<serde_path_to_error::Error<serde::de::value::Error>>() {
            return read.path().to_string();
        }
        cause = error.source();
    }
    "query".to_owned()
}

/// What a query asks.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::invalid(parameter(&rejection), rejection.body_text())),
        }
    }
}
