//! The real clock and real chance. The only place that asks the system for either.

use std::time::{SystemTime, UNIX_EPOCH};

use sonnette_core::model::Millis;
use sonnette_core::ports::{Clock, Luck};

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system for the time")]
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The system's source of chance.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLuck;

impl Luck for SystemLuck {
    fn fill(&self, bytes: &mut [u8]) {
        rand::fill(bytes);
    }
}

/// A UUID version 4 (RFC 9562 §5.4) for the platform's ids, which its clients only take as versions 1 to 5.
pub fn uuid(luck: &dyn Luck) -> uuid::Uuid {
    let mut bytes = [0; 16];
    luck.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
