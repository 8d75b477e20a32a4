//! Figures and proof from outside: a load generator, a receiver, and the ledger that counts what a server owes.
//!
//! Everything here talks to the real release binary over the loopback, as a stranger would: nothing of the server's
//! own code is linked in. Every run is bounded in time and count and takes its server down with it.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests say what they expect"))]

pub mod api;
pub mod book;
pub mod clock;
pub mod figures;
pub mod generator;
pub mod ledger;
pub mod line;
pub mod payload;
mod poster;
pub mod reader;
pub mod receiver;
pub mod runs;
pub mod server;
pub mod sink;
