//! Every request our formats make, a line of JSON each, for whoever wants to check them with something that is not ours:
//! `cargo run -p sonnette-core --example requests -- SECONDS`, where `SECONDS` since 1970 is when they are signed.
//!
//! Every kind's sample in every shape of every format, then a failed deployment in which every name and every word is a
//! line of `hostile.txt`.

use std::error::Error;
use std::io::{BufWriter, Write as _, stdout};

use serde_json::{Map, Value, json};
use sonnette_core::catalogue::Catalogue;
use sonnette_core::formats::{self, FORMATS, Rendered, Rendering};
use sonnette_core::ids::DeliveryId;
use sonnette_core::lang::Lang;
use sonnette_core::message::{self, LinkTemplate, LinkTemplates};
use sonnette_core::model::{Event, Fields};
use sonnette_core::ports::Names;
use sonnette_core::secret::Secret;
use sonnette_core::{frame, signing};
use url::Url;

/// A format, a URL it posts to, and the fields it takes there.
type Place = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// A place of every shape a format posts to.
const PLACES: &[Place] = &[
    ("raw", "https://receiver.example/hook", &[]),
    ("slack", "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", &[]),
    ("flowdock", "https://relay.example/v1/messages/team_inbox/0123456789abcdef", &[]),
    ("flowdock", "https://relay.example/v1/messages/chat/0123456789abcdef", &[]),
    ("flowdock", "https://relay.example/messages?flow_token=0123456789abcdef", &[]),
    ("gitter", "https://webhooks.gitter.im/e/0123456789abcdef", &[]),
    ("mattermost", "https://chat.example/hooks/abcdefghijklmnopqrstuvwxyz", &[]),
    ("rocketchat", "https://chat.example/hooks/0123456789abcdef0/0123456789abcdef0123456789abcdef", &[]),
    ("discord", "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnop", &[]),
    ("teams", "https://x.environment.api.powerplatform.com/powerautomate/workflows/a?sig=b", &[]),
    ("teams", "https://contoso.webhook.office.com/webhookb2/a/IncomingWebhook/b/c", &[]),
    ("google-chat", "https://chat.googleapis.com/v1/spaces/AAAA/messages?key=abc&token=def", &[]),
    (
        "zulip",
        "https://acme.zulipchat.com/api/v1/messages",
        &[("email", "bot@example.org"), ("key", "0123456789abcdef0123456789abcdef"), ("channel", "ops")],
    ),
    ("matrix", "https://matrix.example.org", &[("room", "!room:example.org"), ("token", "syt_abc")]),
    ("matrix", "https://hookshot.example/webhook/0123456789abcdef", &[]),
    ("telegram", "https://api.telegram.org", &[("token", "123456789:AAexample"), ("chat", "-1001234567890")]),
    ("ntfy", "https://ntfy.sh/acme-ops", &[]),
    ("ntfy", "https://push.example", &[("topic", "acme-ops"), ("token", "tk_abc")]),
    ("gotify", "https://push.example/message", &[("token", "Aabc")]),
    (
        "pagerduty",
        "https://events.pagerduty.com/v2/enqueue",
        &[("routing_key", "0123456789abcdef0123456789abcdef")],
    ),
    ("cloudevents", "https://receiver.example/hook", &[]),
    ("cloudevents", "https://receiver.example/hook", &[("mode", "binary")]),
];

/// What is told, under the name it has in a line.
struct Told {
    words: String,
    event: Event,
    names: Names,
}

/// The event with these words in the place of all that is no id.
fn saying(event: &Event, words: &str) -> Result<Event, Box<dyn Error>> {
    let said: Map<String, Value> = serde_json::from_slice(&event.frame)?;
    let text = |name: &str| said.get(name).and_then(Value::as_str);
    let mut data: Map<String, Value> = serde_json::from_str(text("data").ok_or("no data")?)?;
    for (name, value) in &mut data {
        if value.is_string() && name != "id" && !name.ends_with("Id") {
            *value = words.into();
        }
    }
    let date = said.get("date").and_then(Value::as_i64).ok_or("no date")?;
    let author = text("authorId").map(str::parse).transpose()?;
    let data = Value::from(data).to_string();
    let mut frame = frame::build(&event.kind, date, event.owner, author, Some(&data));
    frame::stamp(&mut frame, event.id);
    Ok(Event { frame: frame.into(), ..event.clone() })
}

/// The lines of `hostile.txt`: a JSON string each, perhaps with a number of times.
fn hostile() -> Result<Vec<String>, Box<dyn Error>> {
    let lines = include_str!("../src/formats/hostile.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    let read = |line: &str| -> Result<String, Box<dyn Error>> {
        Ok(match line.rsplit_once("\" x ") {
            Some((text, times)) => {
                serde_json::from_str::<String>(&format!("{text}\""))?.repeat(times.parse()?)
            }
            None => serde_json::from_str(line)?,
        })
    };
    lines.map(read).collect()
}

fn told(catalogue: &Catalogue) -> Result<Vec<Told>, Box<dyn Error>> {
    let mut all: Vec<Told> = catalogue
        .kinds()
        .iter()
        .map(|kind| Told {
            words: "sample".to_owned(),
            event: kind.sample_event(),
            names: kind.sample_names(),
        })
        .collect();
    let (_, failed) = catalogue.find("DEPLOYMENT_FAIL").ok_or("no such kind")?;
    for (at, words) in hostile()?.iter().enumerate() {
        let name = || Some(words.clone());
        all.push(Told {
            words: format!("hostile {at}"),
            event: saying(&failed.sample_event(), words)?,
            names: Names { owner: name(), resource: name(), author: name() },
        });
    }
    Ok(all)
}

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: i64 = std::env::args().nth(1).ok_or("say when: seconds since 1970")?.parse()?;
    let catalogue = Catalogue::builtin()?;
    let template = |path: &str| LinkTemplate::parse(&format!("https://console.example/{path}")).ok();
    let links = LinkTemplates {
        application: template("{owner}/{resource}"),
        deployment: template("{owner}/{resource}/{deployment}"),
        ..LinkTemplates::default()
    };
    let secret = signing::secret(&[7; 32]);
    let told = told(&catalogue)?;
    let mut out = BufWriter::new(stdout().lock());
    if let Some(new) = FORMATS.iter().find(|format| PLACES.iter().all(|(name, ..)| *name != format.name)) {
        return Err(format!("{} has no place here", new.name).into());
    }
    for (name, url, fields) in PLACES {
        let format = formats::find(name).ok_or_else(|| format!("there is no format {name}"))?;
        let fields: Fields =
            fields.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        let parsed = Url::parse(url)?;
        (format.check)(&parsed)?;
        format.check_fields(&parsed, &fields)?;
        let url = Secret::new(*url);
        for Told { words, event, names } in &told {
            let delivery = DeliveryId { event: event.id, n: 0 };
            let it = Rendering { url: &url, fields: &fields, event, delivery, thread: None, plainly: false };
            let made = format.request(&it, || message::of(&catalogue, event, names, &links, Lang::En));
            let Rendered::Whole(request) = made else {
                return Err(format!("{name}: {words} of {} is not rendered", event.kind).into());
            };
            let mut headers = Map::new();
            for (name, value) in &request.headers {
                headers.insert(name.to_string(), value.to_str()?.into());
            }
            if format.signed {
                let id = delivery.to_string();
                let signature = signing::sign([&secret], &id, seconds * 1000, &request.body);
                headers.insert("webhook-id".to_owned(), id.into());
                headers.insert("webhook-timestamp".to_owned(), seconds.to_string().into());
                headers.insert("webhook-signature".to_owned(), signature.into());
            }
            let line = json!({
                "format": name, "kind": event.kind, "words": words, "method": request.method.as_str(),
                "url": request.url.expose(), "headers": headers, "body": std::str::from_utf8(&request.body)?,
                "secret": format.signed.then(|| secret.expose()),
            });
            writeln!(out, "{line}")?;
        }
    }
    Ok(out.flush()?)
}
