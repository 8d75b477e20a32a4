//! What the delivery contract promises, tried on the whole flow: with the world at its edges in the test's hands, and on
//! the real program from outside.

#![allow(clippy::unwrap_used, reason = "tests say what they expect")]

mod api;
mod between;
mod browser;
mod console;
mod copied;
mod doctor;
mod fairness;
mod full;
mod hearer;
mod held;
mod ledger;
mod letters;
mod mail;
mod power;
mod previews;
mod program;
mod renewed;
mod retry;
mod sign_in;
mod stops;
mod strangers;
mod stream;
mod synced;
mod tried;
mod v2;
mod world;
