//! CloudEvents 1.0 as posted: structured (JSON event format 1.0) and binary (HTTP protocol binding 1.0 §3.1).
//!
//! `type` is the kind, `time` the date, (`source`, `id`) the pair that makes a repeat recognisable, `subject` the resource;
//! extensions `ownerid` and `authorid`. Other extensions are ignored, as the specification asks.

use std::borrow::Cow;

use http::HeaderMap;
use sonnette_core::ids::ResourceId;
use sonnette_core::json;
use sonnette_core::model::Millis;

use super::posted::{MAX_EVENT, Posted, data, key, object, optional, parsed, required};
use super::problem::{Id, Problem};

/// Reads one event in structured mode.
///
/// # Errors
/// The first rule it breaks, with the field.
pub fn structured(body: &str) -> Result<Posted<'_>, Problem> {
    let fields = object(body)?;
    version(&required(&fields, "specversion")?)?;
    if fields.get("data_base64").is_some() {
        return Err(Problem::of(Id::UnsupportedType, "data_base64", "only JSON data is taken"));
    }
    if let Some(of) = optional(&fields, "datacontenttype")? {
        json_type(&of, "datacontenttype")?;
    }
    let needed =
        |name| key(&fields, name)?.ok_or_else(|| Problem::invalid(name, format!("`{name}` is needed")));
    Ok(Posted {
        kind: required(&fields, "type")?,
        owner: parsed(&required(&fields, "ownerid")?, "ownerid")?,
        author: optional(&fields, "authorid")?.map(|id| parsed(&id, "authorid")).transpose()?,
        date: optional(&fields, "time")?.map(|time| date(&time)).transpose()?,
        key: Some((needed("source")?, needed("id")?)),
        data: fields.get("data").map(data).transpose()?,
        subject: optional(&fields, "subject")?.map(|id| subject(&id)).transpose()?,
    })
}

/// Whether a request is in binary mode.
pub fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion")
}

/// Reads one event in binary mode: attributes in headers, `body` the data.
///
/// # Errors
/// The first rule it breaks, with the field.
pub fn binary<'a>(
    headers: &HeaderMap,
    content_type: Option<&str>,
    body: &'a str,
) -> Result<Posted<'a>, Problem> {
    if body.len() > MAX_EVENT {
        return Err(Problem::new(Id::TooLarge, format!("an event has at most {} KiB", MAX_EVENT >> 10)));
    }
    let attribute = |name: &'static str| -> Result<Option<String>, Problem> {
        let Some(value) = headers.get(name) else { return Ok(None) };
        let decoded = value.to_str().ok().and_then(percent_decoded);
        decoded.map(Some).ok_or_else(|| Problem::invalid(name, "it is not percent-encoded UTF-8 text"))
    };
    let needed = |name: &'static str| {
        attribute(name)?
            .filter(|text| !text.is_empty() && text.len() <= 512)
            .ok_or_else(|| Problem::invalid(name, format!("`{name}` is needed, 1 to 512 bytes")))
    };
    version(&needed("ce-specversion")?)?;
    let data = match (body.trim().is_empty(), content_type) {
        (true, _) => None,
        (false, None) => return Err(Problem::new(Id::UnsupportedType, "data needs a JSON content type")),
        (false, Some(of)) => {
            json_type(of, "content-type")?;
            json::scan(body).map_err(|error| Problem::invalid("data", error.to_string()))?;
            Some(Cow::Borrowed(body))
        }
    };
    let owner = needed("ce-ownerid")?;
    Ok(Posted {
        kind: Cow::Owned(needed("ce-type")?),
        owner: parsed(&owner, "ce-ownerid")?,
        author: attribute("ce-authorid")?.map(|id| parsed(&id, "ce-authorid")).transpose()?,
        date: attribute("ce-time")?.map(|time| date(&time)).transpose()?,
        key: Some((Cow::Owned(needed("ce-source")?), Cow::Owned(needed("ce-id")?))),
        data,
        subject: attribute("ce-subject")?.map(|id| subject(&id)).transpose()?,
    })
}

fn version(text: &str) -> Result<(), Problem> {
    if text == "1.0" { Ok(()) } else { Err(Problem::invalid("specversion", "only CloudEvents 1.0 is read")) }
}

fn subject(text: &str) -> Result<ResourceId, Problem> {
    parsed(text, "subject")
}

/// Whether a media type is JSON (RFC 6839 §3.1: `application/json`, or anything that ends in `+json`).
pub fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

fn json_type(media_type: &str, field: &str) -> Result<(), Problem> {
    if is_json(media_type) {
        Ok(())
    } else {
        Err(Problem::of(Id::UnsupportedType, field, "only JSON data is taken"))
    }
}

/// RFC 3339, to the millisecond.
fn date(text: &str) -> Result<Millis, Problem> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_millisecond)
        .filter(|date| *date >= 0)
        .ok_or_else(|| Problem::invalid("time", "`time` is an RFC 3339 time of the years 1970 to 9999"))
}

/// Undoes the percent-encoding of header values (HTTP protocol binding 1.0 §3.1.3.2).
fn percent_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        if *byte == b'%' {
            let digits =
                bytes.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWNER: &str = "orga_22222222-2222-4222-8222-222222222222";
    const APP: &str = "app_33333333-3333-4333-8333-333333333333";

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn both_modes_say_the_same_event() {
        let body = format!(
            r#"{{"specversion":"1.0","id":"é 1","source":"/deployer","type":"GIT_PUSH","time":"2026-01-02T10:00:00.5Z",
               "subject":"{APP}","ownerid":"{OWNER}","foo":"ignored","data":{{"a":1}}}}"#
        );
        let structured = structured(&body).unwrap();
        let headers = headers(&[
            ("ce-specversion", "1.0"),
            ("ce-id", "%C3%A9%201"),
            ("ce-source", "/deployer"),
            ("ce-type", "GIT_PUSH"),
            ("ce-time", "2026-01-02T10:00:00.5Z"),
            ("ce-subject", APP),
            ("ce-ownerid", OWNER),
        ]);
        let binary = binary(&headers, Some("application/json"), r#"{"a":1}"#).unwrap();
        assert_eq!(format!("{structured:?}"), format!("{binary:?}"));
        assert_eq!(structured.date, Some(1_767_348_000_500));
        assert_eq!(structured.subject.unwrap().as_str(), APP);
    }

    #[test]
    fn what_is_missing_or_not_json_is_named() {
        let with =
            |rest: &str| format!(r#"{{"specversion":"1.0","type":"GIT_PUSH","ownerid":"{OWNER}"{rest}}}"#);
        let of = |body: &str| {
            let problem = structured(body).unwrap_err();
            (problem.id, problem.field.unwrap_or_default())
        };
        assert_eq!(of(&with("")), (Id::Invalid, "source".into()));
        assert_eq!(of(&with(r#","source":"s""#)), (Id::Invalid, "id".into()));
        let pair = r#","source":"s","id":"1""#;
        assert_eq!(of(&with(&format!(r#"{pair},"time":"yesterday""#))), (Id::Invalid, "time".into()));
        assert_eq!(of(&with(&format!(r#"{pair},"data_base64":"AA==""#))).0, Id::UnsupportedType);
        assert_eq!(of(&with(&format!(r#"{pair},"datacontenttype":"text/xml""#))).0, Id::UnsupportedType);
        assert_eq!(of(&with(&format!(r#"{pair},"subject":"x""#))), (Id::Invalid, "subject".into()));
        assert_eq!(of(r#"{"specversion":"0.3"}"#), (Id::Invalid, "specversion".into()));
    }

    proptest! {
        #[test]
        fn no_header_or_body_makes_it_panic(id in "[ -~]{0,30}", body: String) {
            let headers = headers(&[("ce-specversion", "1.0"), ("ce-id", &id), ("ce-ownerid", OWNER), ("ce-type", "X"), ("ce-source", "s")]);
            let _ = (binary(&headers, Some("application/json"), &body), structured(&body));
        }
    }
}
