//! `token`: who may ask.

use clap::{ArgGroup, Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use sonnette_core::ids::{TokenId, UserId};

use super::client::{Access, Client};
use super::failure::Failure;
use super::list::{self, Columns};
use super::table::{clean, maybe_time};
use super::terminal::Terminal;

/// Tokens: operator tokens for the platform, pairs for people
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(flatten)]
    pub(super) access: Access,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a token and print it, this once
    #[command(group(ArgGroup::new("whom").args(["user", "operator"])))]
    Create {
        /// What it is for
        name: String,
        /// For this person: a pair, printed as `token.secret`; yours if neither is named
        #[arg(long)]
        user: Option<UserId>,
        /// An operator token: it publishes for any owner and changes the directory
        #[arg(long)]
        operator: bool,
    },
    /// List tokens, without their secrets
    List,
    /// Revoke a token: who uses it is refused from now on
    Revoke {
        /// `tok_…`
        id: TokenId,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    id: String,
    name: String,
    user: Option<String>,
    created_at: Option<i64>,
}

const COLUMNS: Columns<Token> = Columns {
    header: &["ID", "NAME", "FOR", "CREATED"],
    row: |token| {
        vec![
            token.id.clone(),
            token.name.clone(),
            token.user.clone().unwrap_or_else(|| "operator".to_owned()),
            maybe_time(token.created_at),
        ]
    },
};

pub(super) async fn run(
    args: &TokenArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match &args.verb {
        Verb::Create { name, user, operator } => {
            let mut body = json!({ "name": name });
            if let Some(user) = user {
                body["user"] = user.to_string().into();
            }
            if *operator {
                body["operator"] = true.into();
            }
            let value = client.post("/tokens", &body).await?.body;
            terminal.result(&value, || {
                let half = |field: &str| value[field].as_str().map(clean);
                let halves = [half("token"), half("secret")];
                // Alone on its line, so that a script can take it.
                halves.into_iter().flatten().collect::<Vec<_>>().join(".")
            })?;
            let id = clean(value["id"].as_str().unwrap_or_default());
            terminal.note(&format!("It is shown this once. Use it as SONNETTE_TOKEN, revoke it as {id}."))
        }
        Verb::List => list::print(client, terminal, "/tokens", &[], None, COLUMNS).await,
        Verb::Revoke { id, yes } => {
            terminal.confirm(*yes, &format!("Revoking {id}: who uses it is refused from now on."))?;
            client.delete(&format!("/tokens/{id}"), &[]).await?;
            terminal.note("Revoked.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::terminal::tests::terminal;
    use super::super::tests::{Server, parse_as, refuses};
    use super::*;

    const USER: &str = "user_11111111-1111-4111-8111-111111111111";

    #[tokio::test]
    async fn a_pair_is_printed_as_it_is_used_and_an_operator_token_alone() {
        let id = "tok_0000000000001";
        let replies = [
            (201, json!({"id": id, "token": "abc", "secret": "def"})),
            (201, json!({"id": id, "token": "sop_x"})),
        ];
        let server = Server::answering(replies).await;
        let (mut terminal, out, err) = terminal(false, None);
        for words in [format!("--user {USER}"), "--operator".to_owned()] {
            let args: TokenArgs = parse_as(&format!("token create ci {words}"));
            run(&args, &mut server.client(), &mut terminal).await.unwrap();
        }
        assert_eq!(out.text(), "abc.def\nsop_x\n");
        assert!(err.text().contains("shown this once") && err.text().contains(id), "{}", err.text());
        let bodies: Vec<_> = server.asked().into_iter().map(|(_, body)| body).collect();
        assert_eq!(bodies, [json!({"name": "ci", "user": USER}), json!({"name": "ci", "operator": true})]);
    }

    #[test]
    fn a_token_is_for_a_person_or_for_the_platform_and_not_for_both() {
        let _: TokenArgs = parse_as("token create ci");
        assert!(refuses(&format!("token create ci --operator --user {USER}")));
    }
}
