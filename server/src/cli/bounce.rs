//! `bounce`: what a mail server pipes bounces and complaints into.

use std::io::{self, Read};

use bytes::Bytes;
use clap::Args;
use sonnette_core::mail::bounce::LARGEST;

use super::client::{Access, Client};
use super::failure::Failure;
use super::table::clean;
use super::terminal::Terminal;

/// Take what came back by mail from standard input: a mail server pipes bounces and complaints into it
///
/// It needs an operator token. Whatever hinders it ends with exit code 75, so that the mail server keeps the message and
/// tries again.
#[derive(Debug, Args)]
pub struct BounceArgs {
    #[command(flatten)]
    pub(super) access: Access,
    /// The address it came to, as the mail server knows it, such as `${original_recipient}` of Postfix
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
}

pub(super) async fn run(
    args: &BounceArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    take(args, read(io::stdin().lock())?, client, terminal).await
}

/// As much of a message as is read of it. Reports say what they say at their beginning; what they return of the letter
/// stands at the end.
fn read(mut from: impl Read) -> Result<Vec<u8>, Failure> {
    let (mut mail, most) = (Vec::new(), u64::try_from(LARGEST).unwrap_or(u64::MAX));
    let read = from.by_ref().take(most).read_to_end(&mut mail);
    // The rest too: a mail server whose pipe breaks thinks that we failed.
    let read = read.and_then(|_| io::copy(&mut from, &mut io::sink()));
    read.map_err(|error| Failure::Failed(format!("cannot read the message: {error}")))?;
    Ok(mail)
}

async fn take(
    args: &BounceArgs,
    mail: Vec<u8>,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let recipient = args.recipient.as_deref().map(|address| ("recipient", address));
    let query: Vec<_> = recipient.into_iter().collect();
    let value = client.post_mail("/bounces", &query, Bytes::from(mail)).await?.body;
    terminal.result(&value, || {
        let delivery = clean(value["delivery"].as_str().unwrap_or_default());
        match value["took"].as_str().unwrap_or_default() {
            "suppressed" => format!("{delivery}: its address is not written to any more"),
            "noted" => format!("{delivery}: noted with its last attempt"),
            "nothing" => "it says nothing that matters here".to_owned(),
            _ => "it is about no letter of ours".to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::terminal::tests::terminal;
    use super::super::tests::{Server, parse_as};
    use super::*;

    #[tokio::test]
    async fn what_came_back_is_handed_over_with_the_address_it_came_to() {
        let delivery = "0000000000001-0";
        let server = Server::answering([(200, json!({"took": "suppressed", "delivery": delivery}))]).await;
        let (mut terminal, out, _) = terminal(false, None);
        let args: BounceArgs = parse_as("bounce --recipient bounces+tag@paas.example");
        take(&args, b"Subject: x\r\n\r\n".to_vec(), &mut server.client(), &mut terminal).await.unwrap();
        assert!(out.text().starts_with(delivery), "{}", out.text());
        let asked = server.asked();
        assert!(asked[0].0.ends_with("/bounces?recipient=bounces%2Btag%40paas.example"), "{}", asked[0].0);
    }

    #[test]
    fn a_message_is_read_up_to_a_bound() {
        assert_eq!(read(&b"abc"[..]).unwrap(), b"abc");
        let mut large = io::repeat(b'x').take(3 << 20);
        assert_eq!(read(&mut large).unwrap().len(), LARGEST);
        assert_eq!(large.limit(), 0, "whoever writes is not broken off");
    }
}
