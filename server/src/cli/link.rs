//! `link`: a way in to the console without a letter.

use clap::Args;
use serde_json::json;

use super::client::{Access, Client};
use super::failure::Failure;
use super::table::clean;
use super::terminal::Terminal;

/// Print a link that signs somebody in to the console (needs an operator token)
#[derive(Debug, Args)]
pub struct LinkArgs {
    #[command(flatten)]
    pub(super) access: Access,
    /// The e-mail address of a user of the directory
    email: String,
}

pub(super) async fn run(
    args: &LinkArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let value = client.post("/sign-in-links", &json!({"email": args.email})).await?.body;
    terminal.result(&value, || clean(value["url"].as_str().unwrap_or_default()))?;
    terminal.note("It opens once, within ten minutes, for whoever has it.")
}

#[cfg(test)]
mod tests {
    use super::super::terminal::tests::terminal;
    use super::super::tests::{Server, parse_as, refuses};
    use super::*;

    #[tokio::test]
    async fn a_link_is_printed_alone_on_its_line() {
        let url = "http://127.0.0.1:8787/sign-in/abc";
        let server = Server::answering([(201, json!({"url": url}))]).await;
        let (mut terminal, out, err) = terminal(false, None);
        let args: LinkArgs = parse_as("link alice@example.com");
        run(&args, &mut server.client(), &mut terminal).await.unwrap();
        assert_eq!(out.text(), format!("{url}\n"));
        assert!(err.text().contains("opens once"), "{}", err.text());
        let asked = server.asked();
        assert_eq!(asked[0].1, json!({"email": "alice@example.com"}));
        assert!(asked[0].0.ends_with("/sign-in-links"), "{}", asked[0].0);
        assert!(refuses("link"));
    }
}
