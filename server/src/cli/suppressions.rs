//! `suppressions`: addresses that are not written to any more.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::client::{Access, Client};
use super::failure::Failure;
use super::list::{self, Columns, Paging};
use super::table::{clean, maybe_time};
use super::terminal::Terminal;

/// Addresses that are not written to any more, and why (needs an operator token)
#[derive(Debug, Args)]
pub struct SuppressionsArgs {
    #[command(flatten)]
    pub(super) access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them, the newest first
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Say why an address is not written to
    Show {
        /// The address
        address: String,
    },
    /// Write to an address no more
    Add {
        /// The address
        address: String,
        /// Why, for whoever asks later
        #[arg(long)]
        note: Option<String>,
    },
    /// Write to an address again
    Lift {
        /// The address
        address: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Suppression {
    address: String,
    why: String,
    note: Option<String>,
    first_at: Option<i64>,
    last_at: Option<i64>,
    delivery: Option<String>,
}

const COLUMNS: Columns<Suppression> = Columns {
    header: &["ADDRESS", "WHY", "SINCE", "LAST", "LETTER", "NOTE"],
    row: |one| {
        vec![
            one.address.clone(),
            one.why.clone(),
            maybe_time(one.first_at),
            maybe_time(one.last_at),
            one.delivery.clone().unwrap_or_default(),
            one.note.clone().unwrap_or_default(),
        ]
    },
};

pub(super) async fn run(
    args: &SuppressionsArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match &args.verb {
        Verb::List { paging } => {
            list::print(client, terminal, "/suppressions", &[], Some(paging), COLUMNS).await
        }
        Verb::Show { address } => {
            let (found, _) = list::page(client.get("/suppressions", &[("address", address)]).await?)?;
            if found.is_empty() {
                terminal.note(&format!("{} is written to.", clean(address)))?;
            }
            list::show(terminal, &found, COLUMNS)
        }
        Verb::Add { address, note } => {
            let mut body = json!({"address": address});
            if let Some(note) = note {
                body["note"] = note.as_str().into();
            }
            let answer = client.post("/suppressions", &body).await?;
            let before = if answer.status == 201 { "" } else { ", and was not before" };
            let line = format!("{} is not written to any more{before}.", clean(address));
            terminal.result(&answer.body, || line)
        }
        Verb::Lift { address } => {
            client.delete("/suppressions", &[("address", address)]).await?;
            terminal.note(&format!("{} is written to again.", clean(address)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::terminal::tests::terminal;
    use super::super::tests::{Server, parse_as};
    use super::*;

    const ADDRESS: &str = "nobody@example.com";

    #[tokio::test]
    async fn an_address_is_explained_added_and_lifted_by_its_name() {
        let one = json!({"address": ADDRESS, "why": "bounced", "note": "550 5.1.1", "firstAt": 0, "lastAt": 0,
                         "delivery": null});
        let replies =
            [(200, json!({"items": [one]})), (200, json!({"items": []})), (201, one), (204, json!(null))];
        let server = Server::answering(replies).await;
        let (mut terminal, out, err) = terminal(false, None);
        for words in ["show", "show", "add", "lift"] {
            let args: SuppressionsArgs = parse_as(&format!("suppressions {words} {ADDRESS}"));
            run(&args, &mut server.client(), &mut terminal).await.unwrap();
        }
        assert!(out.text().contains("bounced") && out.text().contains("550 5.1.1"), "{}", out.text());
        assert!(out.text().contains("not written to any more."), "{}", out.text());
        let said = err.text();
        assert!(said.contains("nobody@example.com is written to.\n"), "{said}");
        assert!(said.contains("written to again"), "{said}");
        let asked: Vec<_> = server.asked().into_iter().map(|(line, _)| line).collect();
        assert!(asked[3].ends_with("/suppressions?address=nobody%40example.com"), "{asked:?}");
    }
}
