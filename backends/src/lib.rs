//! Where Sonnette keeps what it accepted. All SQL lives here and nowhere else.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests say what they expect"))]

pub mod conformance;
pub mod sqlite;
