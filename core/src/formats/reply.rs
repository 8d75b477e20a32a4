//! What a reply means where a service has no vocabulary of its own, and when it asks to be tried again.

use jiff::Timestamp;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::Outcome;
use crate::model::Millis;
use crate::ports::Reply;

/// The meaning of a status by itself: 2xx delivered; 408, 421, 425, 429 and 5xx again; 410 gone; the rest refused.
/// A redirect is refused, never followed (CloudEvents HTTP Webhook 1.0, section 2.1).
pub(super) fn by_status(reply: &Reply, now: Millis) -> Outcome {
    match reply.status {
        200..=299 => Outcome::Delivered,
        410 => Outcome::Gone,
        408 | 421 | 425 | 429 => again(reply, now),
        300..=499 => Outcome::Refused,
        _ => again(reply, now),
    }
}

/// Again, when the receiver allows it.
pub(super) fn again(reply: &Reply, now: Millis) -> Outcome {
    Outcome::Again { not_before: retry_after(reply, now) }
}

/// The body as JSON; null if it is none.
pub(super) fn said(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_default()
}

/// Whether a chat says yes in words: `ok`, as Slack and Mattermost do, or in the JSON of Rocket.Chat, Zulip and Telegram.
pub(super) fn says_yes(reply: &Reply) -> bool {
    if reply.body.trim_ascii().eq_ignore_ascii_case(b"ok") {
        return true;
    }
    let said = said(reply);
    said["success"] == true || said["result"] == "success" || said["ok"] == true
}

/// When a receiver asks to be tried again, in milliseconds since 1970; `None` if it does not say, or says junk.
///
/// Reads `Retry-After` as seconds, whole or decimal, or as an HTTP date in its three spellings (RFC 9110, sections
/// 10.2.3 and 5.6.7); else the fields chat services use in a JSON body: `retry_after` (seconds),
/// `parameters.retry_after` (seconds) and `retry_after_ms`. Far-off times are for the caller to limit.
pub fn retry_after(reply: &Reply, now: Millis) -> Option<Millis> {
    let header = reply.retry_after.as_deref().map(str::trim);
    if let Some(at) = header.and_then(|text| in_seconds(text, now).or_else(|| http_date(text))) {
        return Some(at);
    }
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    let seconds = [body.get("retry_after"), body.pointer("/parameters/retry_after")].into_iter().flatten();
    let said = |value: &Value, unit: f64| match value {
        Value::Number(number) => later(number.as_f64()? * unit, now),
        Value::String(text) => Some(now.saturating_add(scaled(decimal(text)?, unit)?)),
        _ => None,
    };
    seconds
        .filter_map(|value| said(value, 1000.0))
        .chain(body.get("retry_after_ms").and_then(|value| said(value, 1.0)))
        .next()
}

fn in_seconds(text: &str, now: Millis) -> Option<Millis> {
    later(decimal(text)? * 1000.0, now)
}

fn later(wait: f64, now: Millis) -> Option<Millis> {
    Some(now.saturating_add(scaled(wait, 1.0)?))
}

/// Whole milliseconds, rounded up; nothing negative, nothing endless.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a conversion from floating point stops at the largest number"
)]
fn scaled(number: f64, unit: f64) -> Option<Millis> {
    let wait = (number * unit).ceil();
    (wait.is_finite() && wait >= 0.0).then_some(wait as Millis)
}

/// Digits, and a dot with digits on both sides if there is one: not everything Rust reads as a number.
fn decimal(text: &str) -> Option<f64> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    (digits(whole) && digits(fraction)).then(|| text.parse().ok())?
}

fn http_date(text: &str) -> Option<Millis> {
    // Receivers must write the first spelling and we must read all three.
    let fixed = rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    let old = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"].iter().find_map(|format| {
        let time = strtime::parse(format, text).ok()?.to_datetime().ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    });
    fixed.or(old).map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples::reply;
    use proptest::prelude::*;

    const NOW: Millis = 1_767_348_000_000;

    #[test]
    fn a_status_by_itself_means_this() {
        for (status, expected) in [
            (200, Outcome::Delivered),
            (201, Outcome::Delivered),
            (202, Outcome::Delivered),
            (204, Outcome::Delivered),
            (301, Outcome::Refused),
            (302, Outcome::Refused),
            (307, Outcome::Refused),
            (308, Outcome::Refused),
            (400, Outcome::Refused),
            (401, Outcome::Refused),
            (403, Outcome::Refused),
            (404, Outcome::Refused),
            (408, Outcome::Again { not_before: None }),
            (410, Outcome::Gone),
            (413, Outcome::Refused),
            (421, Outcome::Again { not_before: None }),
            (425, Outcome::Again { not_before: None }),
            (429, Outcome::Again { not_before: None }),
            (500, Outcome::Again { not_before: None }),
            (502, Outcome::Again { not_before: None }),
            (503, Outcome::Again { not_before: None }),
            (504, Outcome::Again { not_before: None }),
            (599, Outcome::Again { not_before: None }),
            (999, Outcome::Again { not_before: None }),
        ] {
            assert_eq!(by_status(&reply(status, ""), NOW), expected, "{status}");
        }
    }

    #[test]
    fn retry_after_is_read_in_every_spelling_and_junk_is_not() {
        let date = 784_111_777_000;
        for (header, expected) in [
            ("0", Some(NOW)),
            ("120", Some(NOW + 120_000)),
            (" 7 ", Some(NOW + 7_000)),
            ("1.5", Some(NOW + 1_500)),
            ("0.0001", Some(NOW + 1)),
            ("99999999999999999999", Some(i64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(date)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(date)),
            ("Sun Nov  6 08:49:37 1994", Some(date)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("1.", None),
            (".5", None),
            ("inf", None),
            ("NaN", None),
            ("soon", None),
            ("1, 2", None),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ] {
            let reply = Reply { retry_after: Some(header.into()), ..reply(429, "") };
            assert_eq!(retry_after(&reply, NOW), expected, "{header:?}");
        }
        let long = Reply { retry_after: Some("9".repeat(400)), ..reply(429, "") };
        assert_eq!(retry_after(&long, NOW), None);
    }

    #[test]
    fn the_body_is_asked_where_the_header_does_not_say() {
        for (body, expected) in [
            (r#"{"retry_after":1.25,"global":false}"#, Some(NOW + 1_250)),
            (r#"{"retry_after":"2"}"#, Some(NOW + 2_000)),
            (r#"{"ok":false,"parameters":{"retry_after":30}}"#, Some(NOW + 30_000)),
            (r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2000}"#, Some(NOW + 2_000)),
            (r#"{"retry_after":-1}"#, None),
            (r#"{"retry_after":null}"#, None),
            (r#"{"retry_after":[1]}"#, None),
            (r#"[1]"#, None),
            ("slow down", None),
            ("", None),
        ] {
            assert_eq!(retry_after(&reply(429, body), NOW), expected, "{body}");
        }
        let both = Reply { retry_after: Some("9".into()), ..reply(429, r#"{"retry_after":1}"#) };
        assert_eq!(retry_after(&both, NOW), Some(NOW + 9_000));
        let junk = Reply { retry_after: Some("soon".into()), ..reply(429, r#"{"retry_after":1}"#) };
        assert_eq!(retry_after(&junk, NOW), Some(NOW + 1_000));
    }

    proptest! {
        #[test]
        fn no_reply_breaks_the_reading(status: u16, header: Option<String>, body: Vec<u8>, now: i64) {
            let reply = Reply { status, retry_after: header, body: body.into(), renewed: false };
            for format in crate::formats::FORMATS {
                let _ = (format.classify)(&reply, now);
            }
        }
    }
}
