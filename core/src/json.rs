//! A scan of JSON text that bounds what a parser would have to hold: depth, and strings no encoder can write back.
//!
//! Parsers differ in what they take; this runs before any of them, in one pass, without recursion or allocation.

/// The deepest nesting of arrays and objects that is taken.
pub const MAX_DEPTH: usize = 64;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// More than [`MAX_DEPTH`] arrays and objects inside each other.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// `\ud800` to `\udfff` without its other half: no UTF-8 text can hold it.
    #[error("a string holds half of a surrogate pair")]
    LoneSurrogate,
}

/// Checks depth and surrogates. Says nothing about whether the text is JSON otherwise: that is the parser's word.
///
/// # Errors
/// The first rule the text breaks.
pub fn scan(text: &str) -> Result<(), ScanError> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(ScanError::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = end_of_string(bytes, at + 1)?,
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// The place of the closing quote, or of the last byte if there is none.
fn end_of_string(bytes: &[u8], mut at: usize) -> Result<usize, ScanError> {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return Ok(at),
            b'\\' if bytes.get(at + 1) == Some(&b'u') => match unit(bytes, at) {
                Some(0xD800..=0xDBFF) => match unit(bytes, at + 6) {
                    Some(0xDC00..=0xDFFF) => at += 12,
                    _ => return Err(ScanError::LoneSurrogate),
                },
                Some(0xDC00..=0xDFFF) => return Err(ScanError::LoneSurrogate),
                Some(_) => at += 6,
                None => at += 2,
            },
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Ok(bytes.len())
}

/// The UTF-16 unit of a `\uXXXX` at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    if !escape.starts_with(b"\\u") || !escape[2..].iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(&escape[2..]).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sixty_four_levels_are_taken_and_one_more_is_not() {
        let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(scan(&nest(64)), Ok(()));
        assert_eq!(scan(&nest(65)), Err(ScanError::TooDeep));
        assert_eq!(scan(&format!("[{}]", vec!["{}"; 1000].join(","))), Ok(()));
    }

    #[test]
    fn brackets_and_quotes_inside_strings_do_not_count() {
        assert_eq!(scan(&format!("\"{}\"", "[".repeat(100))), Ok(()));
        assert_eq!(scan(&format!(r#""\"{}""#, "{".repeat(100))), Ok(()));
        assert_eq!(scan(&format!(r#""\\"{}"#, "{".repeat(100))), Err(ScanError::TooDeep));
    }

    #[test]
    fn half_a_surrogate_pair_is_refused_and_a_whole_one_is_not() {
        assert_eq!(scan(r#""\ud83d\ude00""#), Ok(()));
        for wrong in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\u0041""#] {
            assert_eq!(scan(wrong), Err(ScanError::LoneSurrogate), "{wrong}");
        }
        assert_eq!(scan(r#""\\ud83d""#), Ok(()), "an escaped backslash is no escape");
    }

    proptest! {
        #[test]
        fn what_serde_takes_within_the_depth_is_taken(text in r#"[\[\]{}":,a0\\u ]{0,40}"#) {
            let scanned = scan(&text);
            if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
                prop_assert_eq!(scanned, Ok(()));
            }
        }
    }
}
