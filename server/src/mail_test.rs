//! `sonnette mail test ADDRESS`: one letter, the way all letters go, and what came of it.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;
use sonnette_core::address;
use sonnette_core::ports::{Clock, Egress, Letter, Posted};

use crate::cli::{self, MailTestArgs};
use crate::config;
use crate::egress::Outside;
use crate::serve::{runtime, sources};
use crate::world::SystemClock;

/// Sends one letter.
///
/// # Errors
/// If the address or the configuration is wrong.
pub fn run(args: &MailTestArgs) -> Result<ExitCode> {
    let to = address::check(&args.address).with_context(|| format!("`{}`", args.address))?;
    let config = config::read(&sources(&args.installation))?;
    let says = config::mail_says(&config.mail);
    let outside = Outside::new(config.guard, config.mail).context("the way out cannot be built")?;
    let text =
        "This letter was asked for by `sonnette mail test`.\n\nIf you read it, letters arrive.\n".to_owned();
    let letter = Letter {
        to,
        subject: "A test letter from Sonnette".to_owned(),
        html: format!(
            "<!doctype html><html lang=\"en\"><body><p>{}</p></body></html>",
            text.trim().replace("\n\n", "</p><p>")
        ),
        text,
        return_path: None,
        message_id: format!("test.{}", SystemClock.now()),
        headers: vec![("Auto-Submitted".to_owned(), "auto-generated".to_owned())],
    };
    let posted = runtime()?.block_on(outside.mail(letter));
    let (fine, sent, words) = match posted {
        Posted::Accepted(words) => (true, true, format!("the relay took it: {words}")),
        Posted::Written(path) => (true, false, format!("written to {path}, not sent: no relay is set")),
        Posted::Again(_, words) => (false, false, format!("not now: {words}")),
        Posted::NoSuchAddress(_, words) => (false, false, format!("nobody is at that address: {words}")),
        Posted::Refused(_, words) => (false, false, format!("refused: {words}")),
    };
    if args.json {
        cli::say(&json!({"ok": fine, "sent": sent, "says": words, "way": says}).to_string())?;
    } else {
        cli::say(&words)?;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
