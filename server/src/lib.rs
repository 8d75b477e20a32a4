//! How the world meets it: HTTP, the way out, the flow between, and the command line.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests say what they expect"))]

pub mod app;
pub mod check;
pub mod cli;
pub mod config;
pub mod console;
pub mod contract;
pub mod demo;
pub mod doctor;
pub mod egress;
pub mod flow;
pub mod http;
pub mod mail_test;
pub mod preview;
pub mod serve;
pub mod stream;
pub mod world;
