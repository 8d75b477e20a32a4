//! Letters to a relay that takes them at once: what the server writes, signs and hands over a second.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{Ground, Span};
use crate::api::Call;
use crate::figures::{Goal, Row};
use crate::generator::{self, Limits, Load};
use crate::payload;
use crate::server::Program;
use crate::sink::Sink;

/// Events before the measurement, which open the connections.
const WARM: u64 = 20;
/// How long posting, and then the last letters, may take.
const LIMIT: Duration = Duration::from_secs(600);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Letters, at least.
    pub letters: u64,
    /// Addresses of the hook: letters of one event.
    pub addresses: u64,
    /// What signs them.
    pub signing: Signing,
}

/// What letters are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// Nothing.
    Nothing,
    /// An RSA key of 2,048 bits.
    Rsa,
    /// An RSA key of 2,048 bits, and an Ed25519 key.
    Both,
}

impl Signing {
    /// All, the cheapest first.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Rsa, Self::Both];

    /// Makes the keys in a directory; their lines of the configuration.
    fn keys(self, directory: &Path) -> anyhow::Result<Vec<String>> {
        let rsa = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"].as_slice();
        let keys = [("s1", rsa), ("s2", ["ED25519"].as_slice())];
        let made = keys.into_iter().take(self as usize).map(|(selector, algorithm)| {
            let file = directory.join(selector).with_extension("pem");
            let mut openssl = Command::new("openssl");
            openssl.args(["genpkey", "-algorithm"]).args(algorithm).arg("-out").arg(&file);
            let status = openssl.stderr(Stdio::null()).status().context("openssl, which makes the keys")?;
            ensure!(status.success(), "openssl ended with {status}");
            Ok(format!("{selector} {}", file.display()))
        });
        made.collect()
    }
}

/// Posts events that owe letters, all at once, and waits until the last letter is handed over and written down.
///
/// # Errors
/// If anything is refused, breaks or does not arrive, or the ground has a configuration, which this makes itself.
pub async fn run(ground: &Ground, options: Options) -> anyhow::Result<Row> {
    ensure!(ground.program.config.is_none(), "letters are measured with a configuration of their own");
    let sink = Sink::start()?;
    let directory = tempfile::tempdir()?;
    let config = directory.path().join("sonnette.toml");
    std::fs::write(&config, configuration(&sink, &options.signing.keys(directory.path())?))?;
    let program = Program { config: Some(config), ..ground.program.clone() };
    let site = Ground { program, root: ground.root.clone() }.site().await?;
    let addresses: Vec<String> = (0..options.addresses).map(|n| format!("reader{n}@example.com")).collect();
    let hooks = site.api.add_hooks(vec![Call::add_email_hook(&payload::owner(0), &addresses)]).await?;

    let load = Load { batch: 10, ..site.load(4) };
    post(&load, WARM).await?;
    arrived(&sink, WARM * options.addresses).await?;
    site.api.settled(&hooks, LIMIT).await?;

    let (before, signed) = (sink.letters(), sink.signatures());
    let events = options.letters.div_ceil(options.addresses);
    let owed = events.next_multiple_of(load.batch as u64) * options.addresses;
    let span = Span::start(&site.server)?;
    let start = Instant::now();
    post(&load, events).await?;
    let received = arrived(&sink, before + owed).await?;
    let recorded = site.api.settled(&hooks, LIMIT).await?.max(received);

    let letters = sink.letters() - before;
    let keys = options.signing as u64;
    ensure!(sink.signatures() - signed == letters * keys, "letters without a signature of each key");
    let with = match options.signing {
        Signing::Nothing => "not signed",
        Signing::Rsa => "signed with RSA",
        Signing::Both => "signed with RSA and Ed25519",
    };
    let row = Row::new(format!("{owed} letters to {} addresses, {with}", options.addresses))
        .with_goal(
            "letters recorded",
            owed as f64 / (recorded - start).as_secs_f64(),
            "/s",
            Goal::AtLeast(500.0),
        )
        .with("received", owed as f64 / (received - start).as_secs_f64(), "/s")
        .with("connections", sink.connections() as f64, "")
        .with("repeats", (letters - owed) as f64, "");
    span.close(&site.server, row)
}

/// What an operator would write, without a ceiling: the readers get more than they would stand.
fn configuration(sink: &Sink, keys: &[String]) -> String {
    let mut text = format!(
        "[server]\npublic_url = \"https://sonnette.example.org\"\n[mail]\nrelay = \"smtp+plain://{}\"\n\
         from = \"Sonnette <notifications@example.org>\"\nbounces = \"bounces@example.org\"\nhourly_ceiling = 0\n",
        sink.address()
    );
    let _ = writeln!(text, "dkim = {keys:?}");
    text
}

async fn post(load: &Load, events: u64) -> anyhow::Result<()> {
    generator::closed(load, Limits { time: LIMIT, events }, None).await?.clean()?;
    Ok(())
}

/// Waits until the relay has this many letters; gives the moment it had.
async fn arrived(sink: &Sink, count: u64) -> anyhow::Result<Instant> {
    let arrive = async {
        while sink.letters() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, arrive).await.with_context(|| {
        format!("{} of {count} letters arrived within {} s", sink.letters(), LIMIT.as_secs())
    })?;
    Ok(Instant::now())
}
