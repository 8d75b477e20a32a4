//! `emit`: publish one event.

use std::fs::File;
use std::io::{self, Read};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use sonnette_core::ids::OwnerId;

use super::client::{Access, Client};
use super::failure::Failure;
use super::table::clean;
use super::terminal::Terminal;

/// An event may weigh 256 KiB; one byte more is read to tell that it is too large.
const MAX_DATA: u64 = 256 * 1024;

/// Publish an event (needs an operator token)
#[derive(Debug, Args)]
pub struct EmitArgs {
    #[command(flatten)]
    pub(super) access: Access,
    /// What happened: a kind of the catalogue, such as DEPLOYMENT_SUCCESS
    kind: String,
    /// Whose event: `user_…` or `orga_…`
    #[arg(long)]
    owner: OwnerId,
    /// Its data: a JSON object, @FILE that holds one, or - for standard input
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Who did it: `user_…`
    #[arg(long, value_name = "USER")]
    author: Option<String>,
    /// When it happened, such as 2026-01-02T10:00:00Z; now if left out
    #[arg(long, value_name = "TIME")]
    date: Option<Timestamp>,
    /// Your own id of it: the same id and source again is recognised as a repeat
    #[arg(long)]
    id: Option<String>,
    /// Who publishes it; makes ids of different publishers different
    #[arg(long)]
    source: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    event: &'a str,
    owner_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
}

pub(super) async fn run(
    args: &EmitArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let data = args.data.as_deref().map(read_data).transpose()?;
    let posted = Posted {
        event: &args.kind,
        owner_id: args.owner.to_string(),
        data: data.as_deref(),
        author_id: args.author.as_deref(),
        date: args.date.map(Timestamp::as_millisecond),
        id: args.id.as_deref(),
        source: args.source.as_deref(),
    };
    let answer = client.post("/events", &posted).await?;
    if answer.status == 200 {
        terminal.note("This is a repeat: the event was already there, nothing was written.")?;
    }
    terminal.result(&answer.body, || clean(answer.body["id"].as_str().unwrap_or_default()))
}

/// The data as its writer wrote it: no key is moved, no number rounded.
fn read_data(given: &str) -> Result<Box<RawValue>, Failure> {
    let wrong = |why: String| Failure::Usage(format!("--data: {why}"));
    let text = match given.strip_prefix('@') {
        Some(path) => read_text(File::open(path).map_err(|error| wrong(format!("{path}: {error}")))?),
        None if given == "-" => read_text(io::stdin().lock()),
        None => Ok(given.to_owned()),
    };
    let text = text.map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > MAX_DATA {
        return Err(wrong("an event may weigh 256 KiB at most".into()));
    }
    let data: Box<RawValue> =
        serde_json::from_str(&text).map_err(|error| wrong(format!("not JSON: {error}")))?;
    if data.get().starts_with('{') { Ok(data) } else { Err(wrong("it must be a JSON object".into())) }
}

fn read_text(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(MAX_DATA + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_sent_as_it_was_written_and_must_be_an_object() {
        let text = r#"{"b":1.10,"a":12345678901234567890123}"#;
        assert_eq!(read_data(&format!(" {text}\n")).unwrap().get(), text);
        for wrong in ["", "[1]", "\"{}\"", "{", "{} {}", "@/does/not/exist"] {
            assert_eq!(read_data(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn data_of_a_file_is_read_up_to_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.json");
        std::fs::write(&path, "{\"a\":1}").unwrap();
        assert_eq!(read_data(&format!("@{}", path.display())).unwrap().get(), "{\"a\":1}");
        std::fs::write(&path, format!("{{\"a\":\"{}\"}}", "x".repeat(300 * 1024))).unwrap();
        let error = read_data(&format!("@{}", path.display())).unwrap_err();
        assert_eq!(error.to_string(), "--data: an event may weigh 256 KiB at most");
    }
}
