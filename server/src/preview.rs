//! `sonnette preview` and `sonnette mail preview` of samples: made here, without a server and without a store.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use sonnette_core::catalogue::Kind;
use sonnette_core::lang::Lang;
use sonnette_core::mail::House;
use sonnette_core::model::Recipient;
use sonnette_core::ports::Clock;
use url::Url;

use crate::cli::{self, Failure, MailPreviewArgs, PreviewArgs};
use crate::config::{self, Config, Sources};
use crate::contract::preview::{self as contract, Form, PreviewAsked};
use crate::contract::problem::Problem;
use crate::egress::Letterhead;
use crate::flow::preview::{self, Desk, Preview, Told};
use crate::flow::render::Words;
use crate::world::SystemClock;

/// An installation as far as samples need it.
struct Here {
    config: Config,
    house: House,
    letterhead: Letterhead,
}

impl Here {
    fn read(file: Option<&std::path::Path>) -> Result<Self> {
        let config = config::read(&Sources { file: file.map(ToOwned::to_owned), ..Sources::default() })?;
        // Where letters come back to is tagged with the installation's key, which samples do without.
        let house = House {
            name: config.mail.from_name.clone(),
            domain: config.mail.domain.clone(),
            bounces: None,
            lang: config.mail.lang,
        };
        let letterhead = Letterhead::new(&config.mail)?;
        Ok(Self { config, house, letterhead })
    }

    fn desk(&self, lang: Option<Lang>) -> Desk<'_> {
        let words = Words {
            catalogue: &self.config.catalogue,
            links: &self.config.links,
            house: &self.house,
            lang: lang.unwrap_or(self.house.lang),
        };
        let public_url = self.config.public_url.as_ref().map(Url::as_str);
        Desk { words, letterhead: &self.letterhead, public_url }
    }

    fn kind(&self, name: &str) -> Result<&Kind> {
        let found = self.config.catalogue.find(name).map(|(_, kind)| kind);
        found
            .filter(|kind| !kind.private)
            .ok_or_else(|| Failure::Usage(format!("`{name}` is not a kind of the catalogue")).into())
    }

    fn letter(&self, kind: &Kind, lang: Option<Lang>) -> Result<Preview> {
        let told = Told::sample(kind, None);
        let reader = Recipient { address: preview::READER.to_owned(), user: None };
        let hook = preview::letter_hook(&self.config.catalogue, &told.event);
        preview::letter(self.desk(lang), &told, &reader, hook.as_ref(), SystemClock.now())
            .map(Preview::Letter)
            .map_err(|why| anyhow!(why))
    }
}

fn refused(problem: Problem) -> anyhow::Error {
    match problem.field {
        Some(field) => Failure::Usage(format!("{} ({field})", problem.detail)).into(),
        None => Failure::Usage(problem.detail).into(),
    }
}

fn shown(preview: Preview) -> Result<Value> {
    Ok(serde_json::to_value(contract::shown(preview))?)
}

/// Shows what a sample becomes.
///
/// # Errors
/// If the configuration or what is asked is wrong, in words.
pub fn run(args: &PreviewArgs) -> Result<ExitCode> {
    let here = Here::read(args.config.as_deref())?;
    let mut asked: PreviewAsked = serde_json::from_value(args.asked())?;
    let lang = contract::language(asked.lang.as_deref()).map_err(refused)?;
    let form = asked.form(&here.config.guard).map_err(refused)?;
    let kind = here.kind(asked.kind.as_deref().unwrap_or_default())?;
    let preview = match form {
        Form::Letter => here.letter(kind, lang)?,
        Form::Request(destination) => {
            let told = Told::sample(kind, None);
            preview::request(here.desk(None).words, told.telling(0), &destination, SystemClock.now())
                .map(Preview::Request)
                .ok_or_else(|| anyhow!("this version cannot make it"))?
        }
    };
    cli::print_preview(&json!({"items": [shown(preview)?]}), args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the letters of samples as files.
///
/// # Errors
/// If the configuration or what is asked is wrong, or the disk does not take them, in words.
pub fn run_mail(args: &MailPreviewArgs) -> Result<ExitCode> {
    let here = Here::read(args.config.as_deref())?;
    let lang = contract::language(args.lang.as_deref()).map_err(refused)?;
    let kinds: Vec<&Kind> = if args.all {
        here.config.catalogue.kinds().iter().filter(|kind| !kind.private).collect()
    } else {
        args.kinds.iter().map(|name| here.kind(name)).collect::<Result<_>>()?
    };
    let mut written = Vec::with_capacity(kinds.len() * 2);
    for kind in kinds {
        written.extend(cli::write_letter(&shown(here.letter(kind, lang)?)?, &kind.name, &args.out)?);
    }
    cli::say_written(&written, args.json)?;
    Ok(ExitCode::SUCCESS)
}
