//! `sonnette demo`: the product doing its job, for real, in a temporary directory. A server, a receiver that verifies
//! signatures, an organisation, and a story told by posting events; every delivery is shown as it happens.

mod receiver;
mod story;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sonnette_core::secret::Secret;

use crate::app::{self, TOKEN_FILE};
use crate::cli::client::Client;
use crate::cli::{self, DemoArgs, Failure};
use crate::config::{self, Sources};
use crate::serve::{Stop, log, runtime};
use receiver::Receiver;

/// Between two steps of the story, when it is told over and over.
const STEP: Duration = Duration::from_secs(3);
/// What a step's deliveries may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs until Ctrl-C, or once.
///
/// # Errors
/// What is missing.
pub fn run(args: &DemoArgs) -> Result<ExitCode> {
    log("warn", false)?;
    let dir = tempfile::Builder::new()
        .prefix("sonnette-demo-")
        .tempdir()
        .context("cannot make a temporary directory")?;
    let show = Show { json: args.json };
    runtime()?.block_on(async {
        let mut stop = Stop::new()?;
        tokio::select! {
            told = tell(dir.path(), args.once, &show) => told,
            () = stop.wait() => Ok(()),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Lines for people, or objects for scripts.
struct Show {
    json: bool,
}

impl Show {
    fn say(&self, words: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { cli::say(words) }
    }

    fn row(&self, what: &str, name: &str, rest: &str) -> Result<(), Failure> {
        cli::say(&if self.json {
            json!({"what": what, "name": name, "says": rest}).to_string()
        } else {
            format!("  {what:<8} {name:<34} {rest}")
        })
    }
}

/// Who and what the story is about.
struct Cast {
    client: Client,
    receiver: Receiver,
    organisation: String,
    author: String,
    web: String,
    worker: String,
}

async fn tell(data: &Path, once: bool, show: &Show) -> Result<()> {
    let listen = "127.0.0.1:0".parse().ok();
    let config = config::read(&Sources { data: Some(data.to_owned()), listen, dev: true, file: None })?;
    let running = app::start(config).await?;
    let told = tell_of(running.address, data, once, show).await;
    // Also if nobody reads the story any more: what is under way ends well.
    running.stop().await;
    told?;
    show.say("\nEvery delivery arrived, every signature verified.")?;
    Ok(())
}

/// Tells the story, once or for ever, of the server at this address.
async fn tell_of(address: SocketAddr, data: &Path, once: bool, show: &Show) -> Result<()> {
    let token = std::fs::read_to_string(data.join(TOKEN_FILE)).context("there is no operator token")?;
    let client = Client::new(format!("http://{address}").parse()?, Some(Secret::new(token.trim())));
    show.say(&format!(
        "Sonnette listens on http://{address}; its data is in {} and goes when you stop.",
        data.display()
    ))?;
    let mut cast = cast(client, show).await?;
    let alice = json!({"email": story::address(story::PEOPLE[0].0)});
    let link = cast.client.post("/sign-in-links", &alice).await?.body;
    show.say(&format!("The console, as Alice: {}", link["url"].as_str().unwrap_or_default()))?;

    let mut letters = 0;
    loop {
        for step in story::STORY {
            letters += one_step(&mut cast, step, show).await?;
            if !once {
                tokio::time::sleep(STEP).await;
            }
        }
        if once {
            break;
        }
    }
    let written = std::fs::read_dir(data.join("mail").join("new")).context("there is no Maildir")?.count();
    if written != letters {
        bail!("{letters} letters were delivered, and {written} are in the Maildir");
    }
    Ok(())
}

/// Makes the organisation, its people and resources, and two hooks beside those it is born with.
async fn cast(mut client: Client, show: &Show) -> Result<Cast> {
    let receiver = Receiver::start().await?;
    let organisation = id(client.post("/organisations", &json!({"name": "Acme"})).await?.body)?;
    let mut author = String::new();
    for (name, role) in story::PEOPLE {
        let user = json!({"name": name, "email": story::address(name)});
        let user = id(client.post("/users", &user).await?.body)?;
        client.put(&format!("/organisations/{organisation}/members/{user}"), &json!({"role": role})).await?;
        author = user;
    }
    let resources = format!("/owners/{organisation}/resources");
    let web = id(client.post(&resources, &json!({"kind": "application", "name": "web"})).await?.body)?;
    let worker = id(client.post(&resources, &json!({"kind": "application", "name": "worker"})).await?.body)?;
    let real = "postgresql_3f5a2c1e-8a4b-4c7d-9e21-5b6a7c8d9e0f";
    client.post(&resources, &json!({"kind": "addon", "name": "database", "realId": real})).await?;

    let hooks = format!("/owners/{organisation}/hooks");
    let raw = json!({"kind": "webhook", "name": "Everything", "urls": [{"url": receiver.url("raw")}]});
    let raw = client.post(&hooks, &raw).await?.body;
    receiver.verify_with(Secret::new(raw["secret"].as_str().context("the raw hook has no secret")?));
    let slack = json!({
        "kind": "webhook", "name": "Chat", "events": ["META_DEPLOYMENT_RESULT"],
        "urls": [{"format": "slack", "url": receiver.url("slack")}],
    });
    client.post(&hooks, &slack).await?;

    let people: Vec<_> = story::PEOPLE.iter().map(|(name, role)| format!("{name} ({role})")).collect();
    show.say(&format!("Acme: {}; applications web and worker, add-on database.", people.join(", ")))?;
    let born = client.get(&hooks, &[]).await?;
    for hook in born["items"].as_array().into_iter().flatten() {
        show.say(&format!(
            "Hook: {} ({})",
            hook["name"].as_str().unwrap_or_default(),
            hook["kind"].as_str().unwrap_or_default()
        ))?;
    }
    Ok(Cast { client, receiver, organisation, author, web, worker })
}

/// Posts one event, shows its deliveries as they are made, and checks them. Gives the number of letters.
async fn one_step(cast: &mut Cast, step: &story::Step, show: &Show) -> Result<usize> {
    let event = step.event(cast);
    show.say(&format!("\n{} — {}", step.kind, step.says))?;
    let event = id(cast.client.post("/events", &event).await?.body)?;
    let mut shown: Vec<String> = Vec::new();
    let settled = async {
        loop {
            let list = cast.client.get("/deliveries", &[("event", event.as_str()), ("limit", "200")]).await?;
            let all: Vec<Value> = list["items"].as_array().cloned().unwrap_or_default();
            for delivery in all.iter().filter(|one| one["state"] == "delivered") {
                let id = delivery["id"].as_str().unwrap_or_default();
                if !shown.iter().any(|one| one == id) {
                    shown.push(id.to_owned());
                    let detail = cast.client.get(&format!("/deliveries/{id}"), &[]).await?;
                    let (name, rest) = cast.receiver.describe(&detail)?;
                    show.row(if delivery["format"] == "email" { "letter" } else { "webhook" }, &name, &rest)?;
                }
            }
            let waits = |one: &Value| matches!(one["state"].as_str(), Some("pending" | "retrying"));
            if !all.is_empty() && !all.iter().any(waits) {
                return anyhow::Ok(all);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let all = tokio::time::timeout(PATIENCE, settled)
        .await
        .with_context(|| format!("{event} is not delivered in time"))??;
    step.check(&all).with_context(|| format!("{} ({event})", step.kind))?;
    Ok(all.iter().filter(|one| one["format"] == "email" && one["state"] == "delivered").count())
}

fn id(made: Value) -> Result<String> {
    made["id"].as_str().map(str::to_owned).with_context(|| format!("an answer without an id: {made}"))
}
