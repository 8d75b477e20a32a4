//! The console in Debian's Chromium, as people use it: the real `sonnette serve --dev`, a receiver on the loopback, and a browser
//! told what to do over WebDriver. Needs `chromium`, `chromium-driver`, and axe-core in `node_modules` here (`npm ci`);
//! `./check` sees to all three. What every page looks like is written to `target/screenshots`.

#![allow(clippy::unwrap_used, reason = "tests say what they expect")]

mod examples;
mod gallery;
mod hostile;
mod person;
mod world;
