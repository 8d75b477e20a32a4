//! What Sonnette means: events, hooks, matching, formats, letters, signing, retrying.
//!
//! No socket, no clock, no disk: time and chance are arguments, so every rule here can be tried with every value.

pub mod address;
pub mod backoff;
pub mod catalogue;
pub mod destinations;
pub mod facts;
pub mod formats;
pub mod frame;
pub mod ids;
pub mod json;
pub mod lang;
pub mod mail;
pub mod matching;
pub mod message;
pub mod model;
pub mod oauth;
pub mod permission;
pub mod ports;
pub mod private;
pub mod secret;
pub mod signing;
pub mod stops;
mod words;
