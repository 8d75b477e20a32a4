//! `hooks`: what an owner wants to be told, and where.

mod places;
mod shown;
mod tested;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Map, Value, json};
use sonnette_core::ids::{DestinationId, HookId, OwnerId, ResourceId};

use super::client::{Access, Client};
use super::failure::Failure;
use super::list::{self, Paging};
use super::table::{clean, facts, maybe_time};
use super::terminal::Terminal;
use places::{Places, there};
use shown::{COLUMNS, Hook};
use tested::TestArgs;

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

/// A list, or null where an empty one stands for "all".
fn listed<T: ToString>(items: &[T]) -> Value {
    if items.is_empty() { Value::Null } else { items.iter().map(T::to_string).collect() }
}

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
        Verb::Test(args) => tested::test(args, client, terminal).await,
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

#[cfg(test)]
mod tests {
    use super::super::terminal::tests::terminal;
    use super::super::tests::{Server, parse_as, refuses};
    use super::*;

    pub(super) const OWNER: &str = "orga_11111111-1111-4111-8111-111111111111";
    const APP: &str = "app_22222222-2222-4222-8222-222222222222";
    pub(super) const HOOK: &str = "hook_0000000000001";

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

    pub(super) async fn run_on(
        server: &Server,
        words: &str,
        answers: Option<&'static str>,
    ) -> (Result<(), Failure>, String, String) {
        let args: HooksArgs = parse_as(&format!("hooks {words}"));
        let (mut terminal, out, err) = terminal(false, answers);
        let result = run(&args, &mut server.client(), &mut terminal).await;
        (result, out.text(), err.text())
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
    async fn removing_says_what_stops() {
        let server = Server::answering([(200, letters()), (204, Value::Null)]).await;
        let (result, _, err) = run_on(&server, &format!("remove {HOOK} --yes"), None).await;
        result.unwrap();
        assert!(err.contains("ops@example.org will not be told of every kind any more"), "{err}");
        assert_eq!(server.asked().pop().unwrap().0, format!("DELETE /api/v1/hooks/{HOOK}"));
    }
}
