//! What comes back: reports that a letter was not delivered (RFC 3464), and complaints about one (RFC 5965).
//!
//! Anybody can write to the address bounces come to. A report is taken for true only about the delivery whose tag it brings
//! ([`super::verp`]): nobody but whoever carried or got that letter has it.

use mail_parser::{MessageParser, MessagePart, MimeHeaders, PartType};

use super::reply::{enhanced, is_no_address};
use super::verp;
use crate::ids::DeliveryId;
use crate::message::one_line;
use crate::secret::Key;

/// The largest report that is read, in bytes: it may bring the whole letter along.
pub const LARGEST: usize = 1 << 20;
/// Parts with a type of their own at most. A report has three, and what it returns a few more; without a bound somebody
/// could nest messages deeper than the stack is.
const MOST_PARTS: usize = 64;
/// Fields read of one block.
const MOST_FIELDS: usize = 200;
/// Characters kept of what a report says.
const LONGEST_WORDS: usize = 300;

/// What a report says about one letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Nobody is at that address: not to be written to any more.
    NoSuchAddress(String),
    /// It was not delivered, for a reason that says nothing of the address.
    Failed(String),
    /// Its reader complained of it: not to be written to any more.
    Complaint,
    /// Nothing that matters: it is late, was relayed, was delivered, or it is no report we read.
    Nothing,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of which delivery; `None` if it brings no tag of ours.
    pub delivery: Option<DeliveryId>,
    /// What it says.
    pub said: Said,
}

/// Reads what came back. `recipient` is the address it came to, if whoever hands it over knows it.
pub fn read(raw: &[u8], recipient: Option<&str>, key: &Key) -> Report {
    let raw = without_from_line(raw);
    let mut report = Report { delivery: recipient.and_then(|to| tagged(to, key)), said: Said::Nothing };
    if raw.len() > LARGEST || types_in(raw) > MOST_PARTS {
        return report;
    }
    let head = String::from_utf8_lossy(head_of(raw));
    for (name, value) in fields(&head) {
        if OF_RECIPIENT.contains(&name.as_str()) {
            report.delivery = report.delivery.or_else(|| tagged(&value, key));
        }
    }
    let Some(message) = MessageParser::new().with_minimal_headers().parse(raw) else { return report };
    for part in &message.parts {
        match type_of(part).as_str() {
            "message/delivery-status" | "message/global-delivery-status" => {
                report.said = worse(report.said, delivery_status(&text_of(part)));
            }
            "message/feedback-report" => {
                let fields = fields(&text_of(part));
                let value =
                    |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
                if value("feedback-type").is_some_and(|kind| kind.trim().eq_ignore_ascii_case("abuse")) {
                    report.said = worse(report.said, Said::Complaint);
                }
                // The envelope sender of the letter complained of (RFC 5965, section 3.2).
                let from = value("original-mail-from");
                report.delivery = report.delivery.or_else(|| tagged(from?, key));
            }
            // The letter itself, or its head.
            "message/rfc822" | "message/global" | "text/rfc822-headers" | "message/rfc822-headers" => {
                let text = text_of(part);
                let fields = fields(&text);
                report.delivery = report.delivery.or_else(|| {
                    fields.iter().find_map(|(field, value)| match field.as_str() {
                        "return-path" => tagged(value, key),
                        field if field.eq_ignore_ascii_case(verp::HEADER) => verp::read(key, value.trim()),
                        _ => None,
                    })
                });
            }
            _ => {}
        }
    }
    report
}

/// Where mail servers say whom a letter came to.
const OF_RECIPIENT: [&str; 6] =
    ["to", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "original-recipient"];

/// The delivery whose tag an address in a field's value brings.
fn tagged(value: &str, key: &Key) -> Option<DeliveryId> {
    value
        .split(|c: char| c.is_whitespace() || "<>,;:\"()".contains(c))
        .filter(|word| word.len() <= 512)
        .find_map(|word| verp::read(key, verp::tag_in(word)?))
}

/// What a delivery status says (RFC 3464, section 2): fields of the message, then a block for each recipient.
fn delivery_status(text: &str) -> Said {
    let mut said = Said::Nothing;
    for block in blocks(text).take(MOST_PARTS) {
        let fields = fields(block);
        let value = |name: &str| {
            fields
                .iter()
                .find(|(field, _)| field == name)
                .map(|(_, value)| value.as_str())
                .unwrap_or_default()
        };
        if !word(value("action")).eq_ignore_ascii_case("failed") {
            continue;
        }
        let status = word(value("status"));
        // `smtp; 550 5.1.1 no such user`
        let diagnostic = value("diagnostic-code").split_once(';').map_or("", |(_, words)| words.trim());
        // Some say 5.0.0 of everything, and only repeat what the other server said.
        let telling = match status {
            "" | "5.0.0" => enhanced(diagnostic).unwrap_or(status),
            status => status,
        };
        let words = [status, diagnostic].join(" ");
        let words: String = one_line(words.trim()).chars().take(LONGEST_WORDS).collect();
        let this = if is_no_address(telling) { Said::NoSuchAddress(words) } else { Said::Failed(words) };
        said = worse(said, this);
    }
    said
}

fn worse(one: Said, other: Said) -> Said {
    let rank = |said: &Said| match said {
        Said::Nothing => 0,
        Said::Failed(_) => 1,
        Said::NoSuchAddress(_) => 2,
        Said::Complaint => 3,
    };
    if rank(&other) > rank(&one) { other } else { one }
}

/// The first word of a value: comments and what follows do not matter here.
fn word(value: &str) -> &str {
    value.split([' ', '(', ';', '\t']).next().unwrap_or_default().trim()
}

fn type_of(part: &MessagePart<'_>) -> String {
    let Some(of) = part.content_type() else { return String::new() };
    format!("{}/{}", of.ctype(), of.subtype().unwrap_or_default()).to_ascii_lowercase()
}

fn text_of(part: &MessagePart<'_>) -> String {
    let bytes = match &part.body {
        PartType::Text(text) | PartType::Html(text) => text.as_bytes(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes,
        PartType::Message(message) if !message.parts.is_empty() => message.raw_message(),
        PartType::Message(_) | PartType::Multipart(_) => &[],
    };
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fields that say of which type something is, wherever they stand.
fn types_in(raw: &[u8]) -> usize {
    const FIELD: &[u8] = b"content-type";
    raw.windows(FIELD.len()).filter(|window| window.eq_ignore_ascii_case(FIELD)).take(MOST_PARTS + 1).count()
}

/// A mail server that pipes a message may put a line before it, as in a mailbox file (RFC 4155): `From sender date`.
fn without_from_line(raw: &[u8]) -> &[u8] {
    let end = raw.iter().position(|byte| *byte == b'\n').filter(|_| raw.starts_with(b"From "));
    end.map_or(raw, |end| &raw[end + 1..])
}

/// The bytes before the first empty line.
fn head_of(raw: &[u8]) -> &[u8] {
    let end = (0..raw.len()).find(|at| raw[*at..].starts_with(b"\n\n") || raw[*at..].starts_with(b"\n\r\n"));
    &raw[..end.unwrap_or(raw.len())]
}

/// Blocks of fields, with empty lines between.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").flat_map(|block| block.split("\n\r\n")).filter(|block| !block.trim().is_empty())
}

/// The fields of a block up to its first empty line, folded lines made one (RFC 5322, section 2.2.3): names in small
/// letters, and values.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.trim_start_matches(['\r', '\n']).lines() {
        if line.trim().is_empty() || fields.len() > MOST_FIELDS {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    fields
}

#[cfg(test)]
mod tests;
