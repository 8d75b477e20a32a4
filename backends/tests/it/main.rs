//! The embedded store keeps what every store promises, and what it promises on its own.

#![allow(clippy::unwrap_used, reason = "tests say what they expect")]

mod disk;
mod durability;
mod world;

use world::OnDisk;

sonnette_backends::conformance!(OnDisk::new());
