//! One clock for generator and receiver, so that a time written into an event can be read off when it arrives.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Where the clock begins: every time since has 19 digits, so its place in an event has a fixed width.
pub const BASE: u64 = 1_000_000_000_000_000_000;

/// Nanoseconds on the clock. Only comparable inside this process; never goes back.
pub fn now() -> u64 {
    BASE + u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX - BASE)
}

/// Microseconds from `then` to now; 0 if `then` is ahead.
pub fn micros_since(then: u64) -> u32 {
    u32::try_from(now().saturating_sub(then) / 1_000).unwrap_or(u32::MAX)
}

/// How long until `then`.
pub fn until(then: u64) -> Duration {
    Duration::from_nanos(then.saturating_sub(now()))
}
