//! `sonnette check-config`: reads the configuration as a start would, and says what is meant or every mistake.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::cli::{self, CheckConfigArgs};
use crate::config;
use crate::serve::sources;

/// Reads the configuration.
///
/// # Errors
/// If the answer cannot be written.
pub fn run(args: &CheckConfigArgs) -> Result<ExitCode> {
    let read = config::read(&sources(&args.installation));
    let (fine, words) = match &read {
        Ok(config) => {
            let kinds = format!("{} kinds of events", config.catalogue.kinds().len());
            let sign_in = format!("sign-in {}", config::sign_in_says(config.provider.as_ref()));
            let (tls, mail) = (config::tls_says(config.tls.as_deref()), config::mail_says(&config.mail));
            (true, vec![kinds, tls, mail, sign_in])
        }
        Err(config::Mistakes(mistakes)) => (false, mistakes.clone()),
    };
    if args.json {
        cli::say(&json!({"ok": fine, "says": words}).to_string())?;
    } else {
        let first =
            if fine { "The configuration holds together:" } else { "The configuration has mistakes:" };
        let lines: String = words.iter().map(|line| format!("\n  {line}")).collect();
        cli::say(&format!("{first}{lines}"))?;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
