//! `deliveries`: what was owed to whom, how it went, and once more.

use clap::{ArgGroup, Args, Subcommand};
use serde::Deserialize;
use sonnette_core::ids::{DeliveryId, EventId, HookId, OwnerId};
use sonnette_core::model::State;

use super::client::{Access, Client};
use super::failure::Failure;
use super::list::{self, Columns, Paging};
use super::table::{facts, maybe_time, none, or_none, render, time};
use super::terminal::Terminal;

/// Deliveries: what was sent, what waits, what failed; newest first
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true)]
#[command(group(ArgGroup::new("about").args(["owner", "hook", "event"]).required(true).multiple(true)))]
pub struct DeliveriesArgs {
    #[command(flatten)]
    pub(super) access: Access,
    /// Of this owner: `user_…` or `orga_…`
    #[arg(long)]
    owner: Option<OwnerId>,
    /// By this hook
    #[arg(long)]
    hook: Option<HookId>,
    /// Owed for this event
    #[arg(long)]
    event: Option<EventId>,
    /// Only those in this state
    #[arg(long, value_parser = state_names())]
    state: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show one delivery and its attempts
    Show {
        /// `dlv_…`
        id: DeliveryId,
    },
    /// Send one delivery once more, now
    Resend {
        /// `dlv_…`
        id: DeliveryId,
    },
}

fn state_names() -> clap::builder::PossibleValuesParser {
    let mut names: Vec<_> = State::all().map(State::name).collect();
    names.dedup();
    names.into()
}

/// A delivery as the API shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    id: String,
    event_id: Option<String>,
    kind: String,
    hook_id: Option<String>,
    destination_id: Option<String>,
    format: String,
    state: String,
    reason: Option<String>,
    due: Option<i64>,
    #[serde(default)]
    attempts_made: u32,
    recipient: Option<Recipient>,
    #[serde(default)]
    attempts: Vec<Attempt>,
}

#[derive(Debug, Deserialize)]
struct Recipient {
    address: String,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    number: u32,
    at: i64,
    #[serde(default)]
    took: u32,
    status: Option<u16>,
    note: Option<String>,
    excerpt: Option<String>,
    #[serde(default)]
    succeeded: bool,
}

impl Delivery {
    fn standing(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{} ({reason})", self.state),
            None => self.state.clone(),
        }
    }

    fn to(&self) -> String {
        match &self.recipient {
            Some(recipient) => recipient.address.clone(),
            None => or_none(self.destination_id.as_deref()),
        }
    }

    fn card(&self) -> String {
        let card = facts(&[
            ("id", self.id.clone()),
            ("event", or_none(self.event_id.as_deref())),
            ("kind", self.kind.clone()),
            ("hook", or_none(self.hook_id.as_deref())),
            ("format", self.format.clone()),
            ("to", self.to()),
            ("state", self.standing()),
            ("next attempt", maybe_time(self.due)),
        ]);
        if self.attempts.is_empty() {
            return card;
        }
        let row = |attempt: &Attempt| {
            vec![
                attempt.number.to_string(),
                time(attempt.at),
                format!("{} ms", attempt.took),
                if attempt.succeeded { "yes" } else { "no" }.to_owned(),
                attempt.status.map_or_else(none, |status| status.to_string()),
                or_none(attempt.note.as_deref()),
                or_none(attempt.excerpt.as_deref()),
            ]
        };
        let header = ["ATTEMPT", "AT", "TOOK", "DELIVERED", "STATUS", "NOTE", "REPLY"];
        format!("{card}\n\n{}", render(&header, self.attempts.iter().map(row)))
    }
}

fn row(delivery: &Delivery) -> Vec<String> {
    vec![
        delivery.id.clone(),
        delivery.kind.clone(),
        or_none(delivery.hook_id.as_deref()),
        delivery.format.clone(),
        delivery.to(),
        delivery.standing(),
        delivery.attempts_made.to_string(),
        maybe_time(delivery.due),
    ]
}

const COLUMNS: Columns<Delivery> =
    Columns { header: &["ID", "KIND", "HOOK", "FORMAT", "TO", "STATE", "ATTEMPTS", "NEXT ATTEMPT"], row };

pub(super) async fn run(
    args: &DeliveriesArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let filter = [
        ("owner", text(args.owner)),
        ("hook", text(args.hook)),
        ("event", text(args.event)),
        ("state", args.state.clone()),
    ];
    let filter: Vec<_> = filter.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    if let (Some(_), Some((name, _))) = (&args.verb, filter.first()) {
        return Err(Failure::Usage(format!("--{name} is for the list; `show` and `resend` take one id")));
    }
    match &args.verb {
        Some(Verb::Show { id }) => {
            let value = client.get(&format!("/deliveries/{id}"), &[]).await?;
            let delivery: Delivery = list::read(&value)?;
            terminal.result(&value, || delivery.card())
        }
        Some(Verb::Resend { id }) => {
            let value = client.post(&format!("/deliveries/{id}/resend"), &serde_json::json!({})).await?.body;
            if terminal.json { terminal.result(&value, String::new) } else { terminal.note("Due now.") }
        }
        None => list::print(client, terminal, "/deliveries", &filter, Some(&args.paging), COLUMNS).await,
    }
}

fn text<T: ToString>(id: Option<T>) -> Option<String> {
    id.map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::terminal::tests::terminal;
    use super::super::tests::{Server, parse_as, refuses};
    use super::*;

    const HOOK: &str = "hook_0000000000001";

    fn delivery(n: u32) -> Value {
        json!({"id": format!("dlv_0000000000001_{n}"), "eventId": "evt_0000000000001", "kind": "DEPLOYMENT_SUCCESS",
               "hookId": HOOK, "destinationId": "dst_0000000000002", "format": "raw", "state": "dead",
               "reason": "gone", "due": null, "attemptsMade": 1, "recipient": null})
    }

    #[test]
    fn a_list_is_about_an_owner_a_hook_or_an_event() {
        assert!(refuses("deliveries"));
        assert!(refuses(&format!("deliveries --hook {HOOK} --state lost")));
        assert!(refuses(&format!("deliveries --hook {HOOK} --all --limit 3")));
        for words in ["--all", "--state dead", "--limit 1000"] {
            let _: DeliveriesArgs = parse_as(&format!("deliveries --hook {HOOK} {words}"));
        }
        let _: DeliveriesArgs = parse_as("deliveries show dlv_0000000000001_0 --server http://127.0.0.1:1");
        let _: DeliveriesArgs = parse_as("deliveries --server http://127.0.0.1:1 show dlv_0000000000001_0");
    }

    #[tokio::test]
    async fn one_delivery_takes_no_filter() {
        let server = Server::answering([]).await;
        let args: DeliveriesArgs = parse_as("deliveries --state dead show dlv_0000000000001_0");
        let (mut terminal, ..) = terminal(false, None);
        let failure = run(&args, &mut server.client(), &mut terminal).await.unwrap_err();
        assert_eq!(failure.exit_code(), 2);
    }

    #[tokio::test]
    async fn pages_follow_each_other_until_there_is_enough() {
        let page = |from: u32, n: u32, next: Value| {
            (200, json!({"items": (from..from + n).map(delivery).collect::<Vec<_>>(), "next": next}))
        };
        let pages =
            [page(0, 200, json!("dlv_0000000000001_199")), page(200, 100, json!("dlv_0000000000001_299"))];
        let server = Server::answering(pages).await;
        let args: DeliveriesArgs = parse_as(&format!("deliveries --hook {HOOK} --state dead --limit 300"));
        let (mut terminal, out, err) = terminal(true, None);
        run(&args, &mut server.client(), &mut terminal).await.unwrap();
        assert_eq!(out.text().lines().count(), 300);
        assert_eq!(err.text(), "There are more: --after dlv_0000000000001_299, or --all.\n");
        let asked: Vec<_> = server.asked().into_iter().map(|(line, _)| line).collect();
        let list = format!("GET /api/v1/deliveries?hook={HOOK}&state=dead&limit=");
        assert_eq!(asked, [format!("{list}200"), format!("{list}100&after=dlv_0000000000001_199")]);
    }

    #[tokio::test]
    async fn one_delivery_is_shown_with_its_attempts() {
        let mut value = delivery(0);
        value["recipient"] = json!({"address": "a@example.org", "user": "user_1"});
        value["attempts"] = json!([{"number": 1, "at": 1767348000000_i64, "took": 12, "status": 410, "note": null,
                                    "excerpt": "no\u{1b}more", "succeeded": false}]);
        let server = Server::answering([(200, value)]).await;
        let args: DeliveriesArgs = parse_as("deliveries show dlv_0000000000001_0");
        let (mut terminal, out, _) = terminal(false, None);
        run(&args, &mut server.client(), &mut terminal).await.unwrap();
        insta::assert_snapshot!(out.text(), @r"
        id            dlv_0000000000001_0
        event         evt_0000000000001
        kind          DEPLOYMENT_SUCCESS
        hook          hook_0000000000001
        format        raw
        to            a@example.org
        state         dead (gone)
        next attempt  -

        ATTEMPT  AT                    TOOK   DELIVERED  STATUS  NOTE  REPLY
        1        2026-01-02T10:00:00Z  12 ms  no         410     -     no�more
        ");
    }
}
