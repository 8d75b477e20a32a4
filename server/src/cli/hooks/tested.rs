//! `hooks test`: what a hook would send, sent now, and what came of it.

use clap::{ArgGroup, Args};
use serde::Deserialize;
use serde_json::{Map, Value};
use sonnette_core::ids::{DestinationId, EventId, HookId, OwnerId};

use super::places::Places;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::list;
use crate::cli::preview::{Preview, clean_lines};
use crate::cli::table::{clean, facts, or_none};
use crate::cli::terminal::Terminal;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["id", "urls", "targets"]).required(true)))]
pub(super) struct TestArgs {
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

/// Sends it, and says how it went.
pub(super) async fn test(
    args: &TestArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
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
    use serde_json::json;

    use super::super::tests::{HOOK, OWNER, run_on};
    use crate::cli::tests::{Server, refuses};

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
}
