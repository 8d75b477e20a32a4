//! The Clever Cloud surface on the wire. Lenient where its clients are: a field we do not know is ignored, and absent, null
//! and `[]` all mean *all* for `events` and `scope`. Strict about what would be stored and then never work.

pub mod deployments;
pub mod directory;
pub mod hooks;

use jiff::Timestamp;
use jiff::tz::Offset;
use sonnette_core::model::Millis;

/// A time as its clients read it: ISO 8601 with an offset.
pub(crate) fn iso(at: Millis) -> String {
    let time = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    time.display_with_offset(Offset::UTC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_an_offset() {
        assert_eq!(iso(1_768_469_400_000), "2026-01-15T09:30:00+00:00");
        assert_eq!(iso(1_768_469_400_123), "2026-01-15T09:30:00.123+00:00");
        assert_eq!(iso(i64::MAX), "1970-01-01T00:00:00+00:00", "no date beyond the year 9999");
    }
}
