//! Where a hook tells, as the command line is given it: URLs with their formats and fields, or targets of letters.

use clap::Args;
use serde_json::{Map, Value, json};
use sonnette_core::formats;
use sonnette_core::ids::UserId;
use sonnette_core::model::Role;
use url::Url;

use crate::cli::failure::Failure;

/// The format of a URL no service's format recognises.
const PLAIN: &str = "raw";

/// Where a hook tells.
#[derive(Debug, Args)]
pub(super) struct Places {
    /// A URL to post to; can be repeated. With `edit`, all the URLs the hook shall have, in their order
    #[arg(long = "url", value_name = "URL")]
    pub(super) urls: Vec<String>,
    /// The format of the URLs: one for all, or one each in the same order; recognised by the URL if left out
    #[arg(long = "format", value_name = "FORMAT", requires = "urls", value_parser = format_names())]
    formats: Vec<String>,
    /// What a format needs besides the URL, such as `chat=-1001234567890`; `NAME=@FILE` reads a credential from a file. Of the
    /// second URL `2.NAME=VALUE`, and so on. With `edit` and no --url, of the URL the hook has; nothing behind the `=` takes it away
    #[arg(long = "field", value_name = "NAME=VALUE", conflicts_with = "targets", value_parser = parse_field)]
    pub(super) fields: Vec<GivenField>,
    /// Whom to write to: `organisation`, `organisation:ADMIN,MANAGER`, `user_…` or an address; can be repeated
    #[arg(long = "email", value_name = "TARGET", conflicts_with = "urls", value_parser = parse_target)]
    pub(super) targets: Vec<Value>,
}

/// What a format needs of one URL.
#[derive(Debug, Clone)]
pub(super) struct GivenField {
    /// Of which URL, counted from 0, if it says so.
    pub(super) place: Option<usize>,
    pub(super) name: String,
    pub(super) value: String,
}

fn format_names() -> clap::builder::PossibleValuesParser {
    formats::FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().into()
}

/// Errors never repeat the value: it may be a credential.
fn parse_field(text: &str) -> Result<GivenField, String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE or NAME=@FILE")?;
    let (place, name) = match name.split_once('.') {
        Some((place, name)) => {
            let place = place.parse::<usize>().ok().and_then(|place| place.checked_sub(1));
            (Some(place.ok_or("URLs are counted from 1")?), name)
        }
        None => (None, name),
    };
    let value = match value.strip_prefix('@') {
        // A name of a channel begins with the sign too; no file is called so by accident.
        Some(path) if std::path::Path::new(path).is_file() => {
            let read = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
            read.trim_end_matches(['\r', '\n']).to_owned()
        }
        _ => value.to_owned(),
    };
    Ok(GivenField { place, name: name.to_owned(), value })
}

fn parse_target(text: &str) -> Result<Value, String> {
    let (word, roles) = text.split_once(':').map_or((text, None), |(word, roles)| (word, Some(roles)));
    if word == "organisation" {
        let Some(roles) = roles else { return Ok(json!({"type": "organisation"})) };
        let known = |role: &str| Role::parse(role).map(Role::as_str);
        let roles: Option<Vec<_>> = roles.split(',').map(known).collect();
        let roles = roles.ok_or_else(|| format!("roles are {}", Role::ALL.map(Role::as_str).join(", ")))?;
        return Ok(json!({"type": "organisation", "roles": roles}));
    }
    if let Ok(user) = text.parse::<UserId>() {
        return Ok(json!({"type": "user", "user": user.to_string()}));
    }
    if text.contains('@') {
        return Ok(json!({"type": "address", "address": text}));
    }
    Err("it must be `organisation`, `organisation:ROLE,…`, a user id or an address".into())
}

impl Places {
    /// A new hook as the API is given it.
    pub(super) fn hook(&self, name: &str) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        body.insert("name".into(), name.into());
        if self.targets.is_empty() {
            body.insert("kind".into(), "webhook".into());
            body.insert("urls".into(), self.urls()?);
        } else {
            body.insert("kind".into(), "email".into());
            body.insert("targets".into(), self.targets.clone().into());
        }
        Ok(body)
    }

    /// The `urls` of the API, each with its format. They go out as they were written: the server judges the spelling too, and
    /// a refusal here would print what may be a credential.
    pub(super) fn urls(&self) -> Result<Value, Failure> {
        let format = |place: usize, url: &str| match self.formats.as_slice() {
            [] => {
                let own = Url::parse(url).ok().as_ref().and_then(formats::recognise);
                Ok(own.map_or(PLAIN, |format| format.name))
            }
            [one] => Ok(one.as_str()),
            many if many.len() == self.urls.len() => Ok(many[place].as_str()),
            many => Err(Failure::Usage(format!(
                "--format: one for all URLs or one each; there are {} for {} URLs",
                many.len(),
                self.urls.len()
            ))),
        };
        let place_of = |field: &GivenField| field.place.unwrap_or_default();
        self.fields.iter().try_for_each(|field| there(place_of(field), self.urls.len()))?;
        let entry = |(place, url): (usize, &String)| {
            let mut entry = json!({"format": format(place, url)?, "url": url});
            let own = self.fields.iter().filter(|field| place_of(field) == place);
            let fields: Map<String, Value> =
                own.map(|field| (field.name.clone(), field.value.as_str().into())).collect();
            if !fields.is_empty() {
                entry["fields"] = fields.into();
            }
            Ok::<_, Failure>(entry)
        };
        self.urls.iter().enumerate().map(entry).collect::<Result<_, _>>().map(Value::Array)
    }
}

/// Whether there is such a URL.
pub(super) fn there(place: usize, urls: usize) -> Result<(), Failure> {
    if place < urls {
        return Ok(());
    }
    Err(Failure::Usage(format!("--field: there is no URL number {}", place + 1)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::OWNER;
    use super::super::{HooksArgs, Verb};
    use super::*;
    use crate::cli::tests::{parse_as, refuses};

    #[test]
    fn targets_are_an_organisation_its_roles_a_user_or_an_address() {
        assert_eq!(parse_target("organisation"), Ok(json!({"type": "organisation"})));
        let roles = json!({"type": "organisation", "roles": ["ADMIN", "MANAGER"]});
        assert_eq!(parse_target("organisation:ADMIN,MANAGER"), Ok(roles));
        let user = "user_11111111-1111-4111-8111-111111111111";
        assert_eq!(parse_target(user), Ok(json!({"type": "user", "user": user})));
        assert_eq!(parse_target("a@b.c"), Ok(json!({"type": "address", "address": "a@b.c"})));
        for wrong in ["", "organisation:", "organisation:BOSS", "user_1", "everybody"] {
            assert!(parse_target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_belong_to_their_url_and_credentials_come_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "123:abc\n").unwrap();
        let file = file.display();
        let HooksArgs { verb: Verb::Add(args), .. } = parse_as(&format!(
            "hooks add --owner {OWNER} --name Chat --url https://api.telegram.org --field token=@{file} \
             --field chat=@acme_ops --url https://x.example/ --format telegram --format raw"
        )) else {
            panic!("another command")
        };
        assert_eq!(
            args.places.urls().unwrap(),
            json!([
                {"format": "telegram", "url": "https://api.telegram.org",
                 "fields": {"token": "123:abc", "chat": "@acme_ops"}},
                {"format": "raw", "url": "https://x.example/"}
            ])
        );
        for wrong in ["token", "0.token=x", "x.token=y"] {
            let words =
                format!("hooks add --owner {OWNER} --name Chat --url https://x.example/ --field {wrong}");
            assert!(refuses(&words), "{wrong}");
        }
    }

    #[test]
    fn formats_are_one_for_all_or_one_each() {
        let urls = |words: &str| {
            let args: HooksArgs = parse_as(&format!("hooks add --owner {OWNER} --name N {words}"));
            let Verb::Add(add) = args.verb else { panic!("another verb") };
            add.places.urls()
        };
        let two = "--url https://a.example/ --url https://b.example/";
        let all = urls(&format!("{two} --format slack")).unwrap();
        assert_eq!((&all[0]["format"], &all[1]["format"]), (&json!("slack"), &json!("slack")));
        let each = urls(&format!("{two} --format slack --format raw")).unwrap();
        assert_eq!((&each[0]["format"], &each[1]["format"]), (&json!("slack"), &json!("raw")));
        assert!(urls("--url https://a.example/ --format slack --format raw").is_err());
    }
}
