//! Times for people: how long ago in the line, the exact time in their own zone on hover.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sonnette_core::model::{DAY, HOUR, MINUTE, Millis};

use super::words::{Lang, Words};

/// A moment as it is shown: a `time` element. Holds no user's words.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    iso: String,
    exact: String,
    relative: String,
}

impl Moment {
    /// `at`, for somebody who reads at `now`.
    pub(crate) fn new(lang: Lang, zone: &TimeZone, now: Millis, at: Millis) -> Self {
        let Ok(time) = Timestamp::from_millisecond(at) else {
            return Self { iso: String::new(), exact: String::new(), relative: lang.never().to_owned() };
        };
        let local = time.to_zoned(zone.clone());
        Self {
            iso: time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            exact: local.strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
            relative: relative(lang, now - at),
        }
    }

    /// The exact time, in words.
    pub(crate) fn exact(&self) -> &str {
        &self.exact
    }
}

fn relative(lang: Lang, ago: Millis) -> String {
    match (ago, ago.abs()) {
        (0.., ..MINUTE) => lang.just_now().to_owned(),
        (0.., far @ ..HOUR) => lang.minutes_ago(far / MINUTE),
        (0.., far @ ..DAY) => lang.hours_ago(far / HOUR),
        (0.., far) => lang.days_ago(far / DAY),
        (_, ..MINUTE) => lang.in_a_moment().to_owned(),
        (_, far @ ..HOUR) => lang.in_minutes(far / MINUTE),
        (_, far @ ..DAY) => lang.in_hours(far / HOUR),
        (_, far) => lang.in_days(far / DAY),
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"<time datetime="{}" title="{}">{}</time>"#, self.iso, self.exact, self.relative)
    }
}

impl HtmlSafe for Moment {}

/// A zone by its IANA name; UTC for none, and for names we do not know.
pub(super) fn zone(name: &str) -> TimeZone {
    if name.is_empty() { TimeZone::UTC } else { TimeZone::get(name).unwrap_or(TimeZone::UTC) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_says_how_long_ago_and_exactly_when_where_its_reader_is() {
        let at = 1_767_348_000_000;
        for (ago, en, fr) in [
            (0, "just now", "à l’instant"),
            (5 * MINUTE, "5 min ago", "il y a 5 min"),
            (3 * HOUR, "3 h ago", "il y a 3 h"),
            (40 * DAY, "40 d ago", "il y a 40 j"),
            (-90 * MINUTE, "in 1 h", "dans 1 h"),
            (-1, "in a moment", "dans un instant"),
        ] {
            assert_eq!((relative(Lang::En, ago).as_str(), relative(Lang::Fr, ago).as_str()), (en, fr));
        }
        let moment = Moment::new(Lang::En, &zone("Europe/Paris"), at + MINUTE, at);
        assert_eq!(
            moment.to_string(),
            r#"<time datetime="2026-01-02T10:00:00.000Z" title="2026-01-02 11:00:00 CET">1 min ago</time>"#
        );
        assert_eq!(Moment::new(Lang::En, &zone("No/where"), at, at).exact(), "2026-01-02 10:00:00 UTC");
        assert_eq!(
            Moment::new(Lang::En, &TimeZone::UTC, at, i64::MAX).to_string().matches("never").count(),
            1
        );
    }
}
