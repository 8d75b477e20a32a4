//! What Sonnette means: events, hooks, matching, formats, letters, signing, retrying.
//!
//! No socket, no clock, no disk: time and chance are arguments, so every rule here can be tried with every value.

pub mod backoff;
pub mod frame;
pub mod ids;
pub mod json;
pub mod matching;
pub mod model;
pub mod permission;
pub mod ports;
pub mod secret;
pub mod signing;
