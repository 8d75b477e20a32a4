//! `hooks`: what an owner wants to be told, and where.

use clap::{ArgGroup, Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sonnette_core::formats;
use sonnette_core::ids::{DestinationId, EventId, HookId, OwnerId, ResourceId, UserId};
use sonnette_core::model::Role;
use url::Url;

use super::client::{Access, Client};
use super::failure::Failure;
use super::list::{self, Columns, Paging};
use super::preview::{Preview, clean_lines};
use super::table::{clean, facts, maybe_time, or_none, time};
use super::terminal::Terminal;

/// The format of a URL no service's format recognises.
const PLAIN: &str = "raw";

/// Hooks: who is told of what, and where
#[derive(Debug, Args)]
pub struct HooksArgs {
    #[command(flatten)]
    pub(super) access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List an owner's hooks
    List {
        /// Whose: `user_…` or `orga_…`
        #[arg(long)]
        owner: OwnerId,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one hook
    Show {
        /// `hook_…`
        id: HookId,
    },
    /// Add a webhook (--url) or an e-mail hook (--email)
    Add(AddArgs),
    /// Change what is named, and leave the rest as it is
    Edit(EditArgs),
    /// Remove a hook; what waits for it is cancelled
    Remove {
        /// `hook_…`
        id: HookId,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Hold everything until `resume`
    Pause {
        /// `hook_…`
        id: HookId,
    },
    /// Go on, with or without what was held
    #[command(group(ArgGroup::new("held").args(["deliver", "skip"])))]
    Resume {
        /// `hook_…`
        id: HookId,
        /// Deliver what was held, the oldest first
        #[arg(long)]
        deliver: bool,
        /// Cancel what was held
        #[arg(long)]
        skip: bool,
    },
    /// Make a new signing secret; the old one signs too for a while
    Rotate {
        /// `hook_…`
        id: HookId,
        /// How many hours the old secret still signs
        #[arg(long, value_name = "HOURS", default_value = "24", value_parser = clap::value_parser!(u32).range(0..=168))]
        overlap_hours: u32,
    },
    /// Send what a hook would send, now, and say how it went: one that is saved, or one by --url or --email; nothing is kept of it
    Test(TestArgs),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["id", "urls", "targets"]).required(true)))]
struct TestArgs {
    /// `hook_…`
    #[arg(conflicts_with = "fields")]
    id: Option<HookId>,
    /// Whose it would be, for one that is not saved: `user_…` or `orga_…`
    #[arg(long, required_unless_present = "id", conflicts_with = "id")]
    owner: Option<OwnerId>,
    #[command(flatten)]
    places: Places,
    /// The sample of this kind; of one the hook tells of, if left out
    #[arg(long)]
    kind: Option<String>,
    /// A stored event instead: `evt_…`
    #[arg(long, conflicts_with = "kind")]
    event: Option<EventId>,
    /// Only this destination of a webhook: `dst_…`
    #[arg(long, conflicts_with_all = ["urls", "targets", "fields"])]
    destination: Option<DestinationId>,
    /// Whom an e-mail hook writes to, one of those it would write to; you, if left out
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("way").args(["urls", "targets"]).required(true)))]
struct AddArgs {
    /// Whose: `user_…` or `orga_…`
    #[arg(long)]
    owner: OwnerId,
    /// What to call it
    #[arg(long)]
    name: String,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    choice: Choice,
}

#[derive(Debug, Args)]
struct EditArgs {
    /// `hook_…`
    id: HookId,
    /// What to call it
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    places: Places,
    /// The destination that --field is about, of several whose URLs stay: `dst_…`
    #[arg(long, requires = "fields", conflicts_with_all = ["urls", "targets"])]
    destination: Option<DestinationId>,
    #[command(flatten)]
    choice: Choice,
    /// Tell of every kind
    #[arg(long, conflicts_with = "events")]
    every_event: bool,
    /// Tell of every application and add-on, those to come included
    #[arg(long, conflicts_with = "scope")]
    every_resource: bool,
    /// Retry by the usual schedule
    #[arg(long, conflicts_with = "schedule")]
    usual_schedule: bool,
}

/// Where a hook tells.
#[derive(Debug, Args)]
struct Places {
    /// A URL to post to; can be repeated. With `edit`, all the URLs the hook shall have, in their order
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,
    /// The format of the URLs: one for all, or one each in the same order; recognised by the URL if left out
    #[arg(long = "format", value_name = "FORMAT", requires = "urls", value_parser = format_names())]
    formats: Vec<String>,
    /// What a format needs besides the URL, such as `chat=-1001234567890`; `NAME=@FILE` reads a credential from a file. Of the
    /// second URL `2.NAME=VALUE`, and so on. With `edit` and no --url, of the URL the hook has; nothing behind the `=` takes it away
    #[arg(long = "field", value_name = "NAME=VALUE", conflicts_with = "targets", value_parser = parse_field)]
    fields: Vec<GivenField>,
    /// Whom to write to: `organisation`, `organisation:ADMIN,MANAGER`, `user_…` or an address; can be repeated
    #[arg(long = "email", value_name = "TARGET", conflicts_with = "urls", value_parser = parse_target)]
    targets: Vec<Value>,
}

/// What a format needs of one URL.
#[derive(Debug, Clone)]
struct GivenField {
    /// Of which URL, counted from 0, if it says so.
    place: Option<usize>,
    name: String,
    value: String,
}

/// Of what a hook tells, and how stubbornly.
#[derive(Debug, Args)]
struct Choice {
    /// Only these kinds and families
    #[arg(long = "event", visible_alias = "events", value_name = "KIND,…", value_delimiter = ',')]
    events: Vec<String>,
    /// Only these applications and add-ons
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    scope: Vec<ResourceId>,
    /// Seconds to wait before attempts 2, 3, … instead of the usual ones
    #[arg(long, value_name = "SECONDS,…", value_delimiter = ',')]
    schedule: Vec<u32>,
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
    fn hook(&self, name: &str) -> Result<Map<String, Value>, Failure> {
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
    fn urls(&self) -> Result<Value, Failure> {
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
fn there(place: usize, urls: usize) -> Result<(), Failure> {
    if place < urls {
        return Ok(());
    }
    Err(Failure::Usage(format!("--field: there is no URL number {}", place + 1)))
}

/// A list, or null where an empty one stands for "all".
fn listed<T: ToString>(items: &[T]) -> Value {
    if items.is_empty() { Value::Null } else { items.iter().map(T::to_string).collect() }
}

/// A hook as the API shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hook {
    id: String,
    owner_id: String,
    kind: String,
    name: String,
    state: String,
    events: Option<Vec<String>>,
    scope: Option<Vec<String>>,
    #[serde(default)]
    urls: Vec<Place>,
    #[serde(default)]
    targets: Vec<Target>,
    schedule: Option<Vec<u32>>,
    created_at: Option<i64>,
    #[serde(default)]
    held: u64,
    #[serde(default)]
    dead: u64,
    rotating_until: Option<i64>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Place {
    format: String,
    url: String,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Target {
    Organisation {
        #[serde(default)]
        roles: Option<Vec<String>>,
    },
    User {
        user: String,
    },
    Address {
        address: String,
    },
}

impl Target {
    /// As `--email` takes it.
    fn spelled(&self) -> String {
        match self {
            Self::Organisation { roles: Some(roles) } if !roles.is_empty() => {
                format!("organisation:{}", roles.join(","))
            }
            Self::Organisation { .. } => "organisation".to_owned(),
            Self::User { user } => user.clone(),
            Self::Address { address } => address.clone(),
        }
    }
}

impl Hook {
    fn is_webhook(&self) -> bool {
        self.kind == "webhook"
    }

    fn to(&self) -> String {
        let places = self.urls.iter().map(|place| format!("{} {}", place.format, place.url));
        or_none(Some(&places.chain(self.targets.iter().map(Target::spelled)).collect::<Vec<_>>().join(", ")))
    }

    fn told_of(&self) -> String {
        self.events.as_ref().map_or_else(|| "every kind".to_owned(), |names| names.join(", "))
    }

    fn about(&self) -> String {
        self.scope.as_ref().map_or_else(|| "every resource".to_owned(), |ids| ids.join(", "))
    }

    fn card(&self) -> String {
        let seconds = |steps: &Vec<u32>| steps.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let mut pairs = vec![
            ("id", self.id.clone()),
            ("owner", self.owner_id.clone()),
            ("kind", self.kind.clone()),
            ("name", self.name.clone()),
            ("state", self.state.clone()),
            ("events", self.told_of()),
            ("scope", self.about()),
            ("to", self.to()),
            ("schedule", self.schedule.as_ref().map_or_else(|| "usual".to_owned(), seconds)),
            ("created", maybe_time(self.created_at)),
            ("held", self.held.to_string()),
            ("dead", self.dead.to_string()),
        ];
        pairs.extend(self.rotating_until.map(|until| ("old secret signs until", time(until))));
        facts(&pairs)
    }

    fn what_stops(&self) -> String {
        clean(&format!(
            "Removing the {} hook `{}` of {}: {} will not be told of {} any more, about {}. What still waits is \
             cancelled ({} held).",
            self.kind,
            self.name,
            self.owner_id,
            self.to(),
            self.told_of(),
            self.about(),
            self.held
        ))
    }
}

fn row(hook: &Hook) -> Vec<String> {
    vec![
        hook.id.clone(),
        hook.name.clone(),
        hook.kind.clone(),
        hook.state.clone(),
        hook.held.to_string(),
        hook.dead.to_string(),
        hook.told_of(),
        hook.to(),
    ]
}

const COLUMNS: Columns<Hook> =
    Columns { header: &["ID", "NAME", "KIND", "STATE", "HELD", "DEAD", "EVENTS", "TO"], row };

async fn fetch(client: &mut Client, id: HookId) -> Result<(Value, Hook), Failure> {
    let value = client.get(&format!("/hooks/{id}"), &[]).await?;
    let hook = list::read(&value)?;
    Ok((value, hook))
}

pub(super) async fn run(
    args: &HooksArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match &args.verb {
        Verb::List { owner, paging } => {
            let path = format!("/owners/{owner}/hooks");
            list::print(client, terminal, &path, &[], Some(paging), COLUMNS).await
        }
        Verb::Show { id } => {
            let (value, hook) = fetch(client, *id).await?;
            terminal.result(&value, || hook.card())
        }
        Verb::Add(add) => self::add(add, client, terminal).await,
        Verb::Edit(edit) => self::edit(edit, client, terminal).await,
        Verb::Remove { id, yes } => {
            let (_, hook) = fetch(client, *id).await?;
            terminal.confirm(*yes, &hook.what_stops())?;
            client.delete(&format!("/hooks/{id}"), &[]).await?;
            terminal.note("Removed.")
        }
        Verb::Pause { id } => {
            let value = client.post(&format!("/hooks/{id}/pause"), &json!({})).await?.body;
            terminal.note("Paused: what comes is held until `sonnette hooks resume`.")?;
            shown(&value, terminal)
        }
        Verb::Test(args) => test(args, client, terminal).await,
        Verb::Resume { id, deliver, skip } => resume(*id, *deliver, *skip, client, terminal).await,
        Verb::Rotate { id, overlap_hours } => {
            let body = json!({ "overlapHours": overlap_hours });
            let value = client.post(&format!("/hooks/{id}/rotate"), &body).await?.body;
            let until = maybe_time(value["previousValidUntil"].as_i64());
            let secret = clean(value["secret"].as_str().unwrap_or_default());
            terminal.result(&value, || facts(&[("secret", secret), ("old secret signs until", until)]))?;
            terminal.note("The secret is shown this once. Give it to whoever verifies our signatures.")
        }
    }
}

fn shown(value: &Value, terminal: &mut Terminal) -> Result<(), Failure> {
    let hook: Hook = list::read(value)?;
    terminal.result(value, || hook.card())?;
    warn(&hook, terminal)
}

/// What the maker of a hook should know, beside the hook.
fn warn(hook: &Hook, terminal: &mut Terminal) -> Result<(), Failure> {
    hook.warnings.iter().try_for_each(|warning| terminal.note(&clean(&format!("Warning: {warning}."))))
}

async fn add(args: &AddArgs, client: &mut Client, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut body = args.places.hook(&args.name)?;
    for (name, value) in chosen(&args.choice) {
        body.insert(name.into(), value);
    }
    let value = client.post(&format!("/owners/{}/hooks", args.owner), &body).await?.body;
    let hook: Hook = list::read(&value)?;
    let secret = value["secret"].as_str();
    terminal.result(&value, || {
        let secret = secret.map(|secret| facts(&[("secret", secret.to_owned())]));
        secret.map_or_else(|| hook.card(), |secret| format!("{}\n{secret}", hook.card()))
    })?;
    warn(&hook, terminal)?;
    match secret {
        Some(_) => {
            terminal.note("The secret is shown this once. Give it to whoever verifies our signatures.")
        }
        None => Ok(()),
    }
}

/// What a choice says, by the API's names; nothing said is nothing sent.
fn chosen(choice: &Choice) -> Vec<(&'static str, Value)> {
    let mut said = vec![
        ("events", listed(&choice.events)),
        ("scope", listed(&choice.scope)),
        ("schedule", {
            if choice.schedule.is_empty() { Value::Null } else { choice.schedule.clone().into() }
        }),
    ];
    said.retain(|(_, value)| !value.is_null());
    said
}

async fn edit(args: &EditArgs, client: &mut Client, terminal: &mut Terminal) -> Result<(), Failure> {
    let (before, hook) = fetch(client, args.id).await?;
    let body = edited(args, &before, &hook)?;
    let value = client.put(&format!("/hooks/{}", args.id), &body).await?;
    shown(&value, terminal)
}

/// The whole hook as a `PUT` takes it: what was there, with what the command line changes.
fn edited(args: &EditArgs, before: &Value, hook: &Hook) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    body.insert("name".into(), args.name.clone().unwrap_or_else(|| hook.name.clone()).into());
    for name in ["events", "scope", "schedule"] {
        body.insert(name.into(), before[name].clone());
    }
    let sort = if hook.is_webhook() { "a webhook" } else { "an e-mail hook" };
    let wrong = |flag: &str| Failure::Usage(format!("{} is {sort}: it has no {flag}", hook.id));
    if hook.is_webhook() {
        if !args.places.targets.is_empty() {
            return Err(wrong("--email"));
        }
        let urls = if args.places.urls.is_empty() { kept(args, before)? } else { args.places.urls()? };
        body.insert("urls".into(), urls);
    } else {
        if !args.places.urls.is_empty() {
            return Err(wrong("--url"));
        }
        if !args.places.fields.is_empty() {
            return Err(wrong("--field"));
        }
        let targets = &args.places.targets;
        let targets = if targets.is_empty() { before["targets"].clone() } else { targets.clone().into() };
        body.insert("targets".into(), targets);
    }
    for (name, value) in chosen(&args.choice) {
        body.insert(name.into(), value);
    }
    for (name, all) in
        [("events", args.every_event), ("scope", args.every_resource), ("schedule", args.usual_schedule)]
    {
        if all {
            body.insert(name.into(), Value::Null);
        }
    }
    Ok(body)
}

/// The URLs a webhook has, with the fields the command line gives. URLs that are credentials come masked, so those that stay
/// are named by their id; so do credentials among the fields, and those that stay are sent back as they came.
fn kept(args: &EditArgs, before: &Value) -> Result<Value, Failure> {
    let there_are = before["urls"].as_array().map_or(&[][..], Vec::as_slice);
    let mut urls: Vec<Value> =
        there_are.iter().map(|one| json!({"id": one["id"], "format": one["format"]})).collect();
    let chosen = match args.destination {
        None => None,
        Some(id) => {
            let place = there_are.iter().position(|one| one["id"] == id.to_string().as_str());
            Some(place.ok_or_else(|| Failure::Usage(format!("--destination: the hook has no {id}")))?)
        }
    };
    for field in &args.places.fields {
        let place = match (field.place, chosen) {
            (Some(_), Some(_)) => {
                return Err(Failure::Usage(
                    "--field: either a number or --destination says of which URL".into(),
                ));
            }
            (Some(place), None) | (None, Some(place)) => place,
            (None, None) if urls.len() == 1 => 0,
            (None, None) => {
                return Err(Failure::Usage(format!(
                    "--field: the hook has {} URLs: say by --destination of which one",
                    urls.len()
                )));
            }
        };
        there(place, urls.len())?;
        let fields = &mut urls[place]["fields"];
        if fields.is_null() {
            *fields = there_are[place].get("fields").cloned().unwrap_or_else(|| json!({}));
        }
        match (field.value.as_str(), fields.as_object_mut()) {
            ("", Some(fields)) => drop(fields.remove(&field.name)),
            (value, _) => fields[&field.name] = value.into(),
        }
    }
    Ok(urls.into())
}

async fn resume(
    id: HookId,
    deliver: bool,
    skip: bool,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let (_, hook) = fetch(client, id).await?;
    terminal.note(&clean(&format!("`{}` holds {} deliveries.", hook.name, hook.held)))?;
    let held = if deliver || (hook.held == 0 && !skip) {
        "deliver"
    } else if skip {
        "skip"
    } else {
        match terminal.ask("Deliver them, the oldest first, or skip them? [d/s]")? {
            Some('d') => "deliver",
            Some('s') => "skip",
            Some(_) => return Err(Failure::Failed("nothing was changed".into())),
            None => return Err(Failure::Usage("say what becomes of them: --deliver or --skip".into())),
        }
    };
    let value = client.post(&format!("/hooks/{id}/resume"), &json!({ "held": held })).await?.body;
    shown(&value, terminal)
}

/// What came of a test, as the API shows it.
#[derive(Debug, Deserialize)]
struct Tested {
    #[serde(flatten)]
    sent: Preview,
    format: String,
    outcome: String,
    status: Option<u16>,
    reply: Option<Reply>,
    says: Option<String>,
    times: Times,
}

#[derive(Debug, Deserialize)]
struct Reply {
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Debug, Deserialize)]
struct Times {
    name: Option<f64>,
    connect: Option<f64>,
    tls: Option<f64>,
    total: f64,
}

impl Tested {
    fn page(&self) -> String {
        let steps = [
            ("name", self.times.name),
            ("connect", self.times.connect),
            ("TLS", self.times.tls),
            ("in all", Some(self.times.total)),
        ];
        let steps = steps.iter().filter_map(|(step, time)| Some(format!("{step} {:.1} ms", (*time)?)));
        let said = facts(&[
            ("format", self.format.clone()),
            ("outcome", self.outcome.clone()),
            ("status", or_none(self.status.map(|status| status.to_string()).as_deref())),
            ("says", or_none(self.says.as_deref())),
            ("times", steps.collect::<Vec<_>>().join(", ")),
        ]);
        let reply = self.reply.as_ref().map(|reply| {
            let headers = reply.headers.iter().map(|(name, value)| clean(&format!("{name}: {value}")));
            format!("\n\n# Reply\n{}\n\n{}", headers.collect::<Vec<_>>().join("\n"), clean_lines(&reply.body))
        });
        format!("{said}\n\n# Sent\n{}{}", self.sent.page(), reply.unwrap_or_default())
    }
}

async fn test(args: &TestArgs, client: &mut Client, terminal: &mut Terminal) -> Result<(), Failure> {
    let said = [
        ("kind", args.kind.clone()),
        ("event", args.event.map(|id| id.to_string())),
        ("destination", args.destination.map(|id| id.to_string())),
        ("to", args.to.clone()),
    ];
    let mut body: Map<String, Value> =
        said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    let path = match (args.id, args.owner) {
        (Some(id), _) => format!("/hooks/{id}/test"),
        (None, owner) => {
            body.insert("ownerId".into(), owner.map(|owner| owner.to_string()).into());
            body.insert("hook".into(), args.places.hook("A test")?.into());
            "/hooks/test".to_owned()
        }
    };
    let value = client.post(&path, &body).await?.body;
    let results: Vec<Tested> = list::read(&value["results"])?;
    terminal.result(&value, || results.iter().map(Tested::page).collect::<Vec<_>>().join("\n\n"))?;
    match results.iter().filter(|one| one.outcome != "delivered").count() {
        0 => Ok(()),
        failed => Err(Failure::Failed(format!("{failed} of {} were not taken", results.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::terminal::tests::terminal;
    use super::super::tests::{Server, parse_as, refuses};
    use super::*;

    const OWNER: &str = "orga_11111111-1111-4111-8111-111111111111";
    const APP: &str = "app_22222222-2222-4222-8222-222222222222";
    const HOOK: &str = "hook_0000000000001";

    fn webhook() -> Value {
        json!({"id": HOOK, "ownerId": OWNER, "kind": "webhook", "name": "Chat", "state": "paused",
               "events": ["META_DEPLOYMENT_RESULT"], "scope": null, "schedule": null, "createdAt": 1767348000000_i64,
               "urls": [{"id": "dst_0000000000002", "format": "slack", "url": "https://hooks.slack.com/…"}],
               "held": 3, "dead": 1, "rotatingUntil": null})
    }

    fn letters() -> Value {
        json!({"id": HOOK, "ownerId": OWNER, "kind": "email", "name": "Team\u{1b}[31m", "state": "enabled", "events": null,
               "scope": [APP], "targets": [{"type": "organisation", "roles": ["ADMIN"]},
               {"type": "user", "user": "user_1"}, {"type": "address", "address": "ops@example.org"}], "held": 0})
    }

    async fn run_on(
        server: &Server,
        words: &str,
        answers: Option<&'static str>,
    ) -> (Result<(), Failure>, String, String) {
        let args: HooksArgs = parse_as(&format!("hooks {words}"));
        let (mut terminal, out, err) = terminal(false, answers);
        let result = run(&args, &mut server.client(), &mut terminal).await;
        (result, out.text(), err.text())
    }

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

    #[tokio::test]
    async fn a_list_is_a_table_that_cannot_drive_the_terminal() {
        let server = Server::answering([(200, json!({"items": [webhook(), letters()]}))]).await;
        let (result, out, _) = run_on(&server, &format!("list --owner {OWNER}"), None).await;
        result.unwrap();
        insta::assert_snapshot!(out, @r"
        ID                  NAME       KIND     STATE    HELD  DEAD  EVENTS                  TO
        hook_0000000000001  Chat       webhook  paused   3     1     META_DEPLOYMENT_RESULT  slack https://hooks.slack.com/…
        hook_0000000000001  Team�[31m  email    enabled  0     0     every kind              organisation:ADMIN, user_1, ops@example.org
        ");
    }

    #[tokio::test]
    async fn a_new_webhook_shows_its_secret_once_and_says_so() {
        let mut reply = webhook();
        reply["secret"] = json!("whsec_abc");
        let server = Server::answering([(201, reply)]).await;
        let words =
            format!("add --owner {OWNER} --name Chat --url http://127.0.0.1:9/x --event A,B --scope {APP}");
        let (result, out, err) = run_on(&server, &words, None).await;
        result.unwrap();
        assert_eq!(
            server.asked(),
            [(
                format!("POST /api/v1/owners/{OWNER}/hooks"),
                json!({"kind": "webhook", "name": "Chat", "events": ["A", "B"], "scope": [APP],
                       "urls": [{"format": "raw", "url": "http://127.0.0.1:9/x"}]})
            )]
        );
        assert!(out.ends_with("secret  whsec_abc\n"), "{out}");
        assert_eq!(err, "The secret is shown this once. Give it to whoever verifies our signatures.\n");
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

    #[tokio::test]
    async fn a_warning_of_the_server_is_shown_beside_the_hook() {
        let mut reply = webhook();
        reply["warnings"] = json!(["urls[0]: it closed\u{1b}[2J"]);
        let server = Server::answering([(201, reply)]).await;
        let words = format!("add --owner {OWNER} --name Chat --url https://api.flowdock.com/messages");
        let (result, out, err) = run_on(&server, &words, None).await;
        result.unwrap();
        assert_eq!(server.asked()[0].1["urls"][0]["format"], "flowdock");
        assert!(!out.contains("it closed"), "{out}");
        assert_eq!(err, "Warning: urls[0]: it closed\u{FFFD}[2J.\n");
    }

    #[tokio::test]
    async fn an_edit_keeps_what_it_does_not_name_and_masked_urls_by_their_id() {
        let server = Server::answering([(200, webhook()), (200, webhook())]).await;
        let (result, ..) = run_on(&server, &format!("edit {HOOK} --name New --every-event"), None).await;
        result.unwrap();
        let put = server.asked().pop().unwrap();
        assert_eq!(
            put,
            (
                format!("PUT /api/v1/hooks/{HOOK}"),
                json!({"name": "New", "events": null, "scope": null, "schedule": null,
                       "urls": [{"id": "dst_0000000000002", "format": "slack"}]})
            )
        );
    }

    #[tokio::test]
    async fn an_edit_changes_fields_of_a_url_that_stays() {
        let telegram = |n: u8| {
            json!({"id": format!("dst_000000000000{n}"), "format": "telegram", "url": "https://api.telegram.org/…",
                   "fields": {"token": "…", "chat": "@old"}})
        };
        let edit = async |places: &[Value], words: &str| {
            let mut hook = webhook();
            hook["urls"] = json!(places);
            let server = Server::answering([(200, hook.clone()), (200, hook)]).await;
            let (result, ..) = run_on(&server, &format!("edit {HOOK} {words}"), None).await;
            let asked = server.asked();
            result.map(|()| asked.last().unwrap().1["urls"].clone()).map_err(|failure| {
                assert_eq!((failure.exit_code(), asked.len()), (2, 1), "nothing is sent");
                failure.to_string()
            })
        };
        let entry = |n: u8, fields: Value| {
            let mut entry = json!({"id": format!("dst_000000000000{n}"), "format": "telegram"});
            if !fields.is_null() {
                entry["fields"] = fields;
            }
            entry
        };
        let new = json!({"token": "…", "chat": "@new"});
        let one = [telegram(2)];
        let expected = Ok(json!([entry(2, new.clone())]));
        assert_eq!(edit(&one, "--field chat=@new").await, expected);
        assert_eq!(edit(&one, "--field 1.chat=@new").await, expected);
        assert_eq!(edit(&one, "--field chat=").await, Ok(json!([entry(2, json!({"token": "…"}))])));
        let bare = [json!({"id": "dst_0000000000002", "format": "ntfy", "url": "https://ntfy.sh/…"})];
        let given = json!([{"id": "dst_0000000000002", "format": "ntfy", "fields": {"token": "tk_1"}}]);
        assert_eq!(edit(&bare, "--field token=tk_1").await, Ok(given));

        let two = [telegram(2), telegram(3)];
        let expected = Ok(json!([entry(2, Value::Null), entry(3, new)]));
        assert_eq!(edit(&two, "--field chat=@new --destination dst_0000000000003").await, expected);
        assert_eq!(edit(&two, "--field 2.chat=@new").await, expected);
        for (words, says) in [
            ("--field chat=@new", "--field: the hook has 2 URLs: say by --destination of which one"),
            ("--field 3.chat=@new", "--field: there is no URL number 3"),
            (
                "--field chat=@new --destination dst_0000000000004",
                "--destination: the hook has no dst_0000000000004",
            ),
            (
                "--field 1.chat=@new --destination dst_0000000000003",
                "--field: either a number or --destination says of which URL",
            ),
        ] {
            assert_eq!(edit(&two, words).await, Err(says.to_owned()));
        }
        let server = Server::answering([(200, letters())]).await;
        let (result, ..) = run_on(&server, &format!("edit {HOOK} --field chat=@new"), None).await;
        assert!(result.unwrap_err().to_string().ends_with("is an e-mail hook: it has no --field"));
        for words in ["edit HOOK --destination dst_0000000000003", "edit HOOK --field a=b --email a@b.c"] {
            assert!(refuses(&format!("hooks {}", words.replace("HOOK", HOOK))), "{words}");
        }
    }

    #[tokio::test]
    async fn an_edit_of_a_webhook_takes_no_addresses() {
        let server = Server::answering([(200, webhook())]).await;
        let (result, ..) = run_on(&server, &format!("edit {HOOK} --email a@b.c"), None).await;
        assert_eq!(result.unwrap_err().exit_code(), 2);
    }

    #[tokio::test]
    async fn resuming_says_how_many_are_held_before_it_asks() {
        let server = Server::answering([(200, webhook()), (200, webhook())]).await;
        let (result, _, err) = run_on(&server, &format!("resume {HOOK}"), Some("s\n")).await;
        result.unwrap();
        assert!(err.starts_with("`Chat` holds 3 deliveries.\nDeliver them"), "{err}");
        assert_eq!(server.asked().pop().unwrap().1, json!({"held": "skip"}));

        let server = Server::answering([(200, webhook())]).await;
        let (result, ..) = run_on(&server, &format!("resume {HOOK}"), None).await;
        assert_eq!(result.unwrap_err().to_string(), "say what becomes of them: --deliver or --skip");
    }

    #[tokio::test]
    async fn a_test_shows_what_was_sent_what_came_back_and_how_long_it_took() {
        let result = json!({"format": "raw", "destinationId": "dst_0000000000002", "outcome": "again", "status": 500,
            "request": {"method": "POST", "url": "http://127.0.0.1:9/x", "headers": [["host", "127.0.0.1:9"]], "body": "{}"},
            "reply": {"headers": [["content-type", "text/plain"]], "body": "no\u{1b}\nmore", "more": false}, "says": null,
            "times": {"name": null, "connect": 0.25, "tls": null, "total": 1.5}});
        let server = Server::answering([(200, json!({"results": [result]}))]).await;
        let (result, out, _) = run_on(&server, &format!("test {HOOK} --kind GIT_PUSH"), None).await;
        assert_eq!(result.unwrap_err().to_string(), "1 of 1 were not taken");
        assert_eq!(
            server.asked(),
            [(format!("POST /api/v1/hooks/{HOOK}/test"), json!({"kind": "GIT_PUSH"}))]
        );
        insta::assert_snapshot!(out, @r"
        format   raw
        outcome  again
        status   500
        says     -
        times    connect 0.2 ms, in all 1.5 ms

        # Sent
        POST http://127.0.0.1:9/x
        host: 127.0.0.1:9

        {}

        # Reply
        content-type: text/plain

        no�
        more
        ");
    }

    #[tokio::test]
    async fn a_hook_that_is_not_saved_is_tested_as_it_would_be_added() {
        for words in [
            "test",
            "test --url https://a.example/",
            "test HOOK --url https://a.example/",
            "test --owner OWNER --url https://a.example/ --destination dst_0000000000002",
            "test HOOK --owner OWNER",
            "test HOOK --field a=b",
            "add --owner OWNER --name N --field a=b",
            "add --owner OWNER --name N --email a@b.c --field a=b",
        ] {
            assert!(
                refuses(&format!("hooks {}", words.replace("HOOK", HOOK).replace("OWNER", OWNER))),
                "{words}"
            );
        }
        let server = Server::answering([(200, json!({"results": []}))]).await;
        let words = format!("test --owner {OWNER} --url https://a.example/x --kind GIT_PUSH");
        run_on(&server, &words, None).await.0.unwrap();
        let hook = json!({"kind": "webhook", "name": "A test", "urls": [{"format": "raw", "url": "https://a.example/x"}]});
        let body = json!({"ownerId": OWNER, "hook": hook, "kind": "GIT_PUSH"});
        assert_eq!(server.asked(), [("POST /api/v1/hooks/test".to_owned(), body)]);
    }

    #[tokio::test]
    async fn removing_says_what_stops() {
        let server = Server::answering([(200, letters()), (204, Value::Null)]).await;
        let (result, _, err) = run_on(&server, &format!("remove {HOOK} --yes"), None).await;
        result.unwrap();
        assert!(err.contains("ops@example.org will not be told of every kind any more"), "{err}");
        assert_eq!(server.asked().pop().unwrap().0, format!("DELETE /api/v1/hooks/{HOOK}"));
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
