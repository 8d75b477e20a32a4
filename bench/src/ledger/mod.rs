//! The loss ledger: events are posted under load, the real server is killed at random moments and started again, and
//! in the end every accepted event is accounted for at the receiver.
//!
//! Even posts bring an id and are posted again until they are answered, across kills: each must become exactly one
//! event. Odd posts bring none; one whose answer the kill swallowed is *unknown* and may arrive once or not at all.

mod posting;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use self::posting::{Posts, join, post};
use crate::api::{Api, Call};
use crate::book::{self, Balance};
use crate::payload::{self, Payload};
use crate::receiver::{Receiver, Script, Watch};
use crate::server::{Program, Server};

/// One kill in so many falls into the start of the server.
const START_KILLS: u32 = 8;
/// How far into its start a server is killed at most.
const INTO_START: Duration = Duration::from_millis(40);
/// How long a connection may take to notice that the server is gone.
const NOTICE_LIMIT: Duration = Duration::from_secs(10);
/// How long the last posts may take.
const LAST_POSTS: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's binary.
    pub binary: PathBuf,
    /// A directory for the data; kept only if the account does not balance.
    pub root: PathBuf,
    /// How often to kill.
    pub kills: u32,
    /// What the moments of the kills and the ids are drawn from.
    pub seed: u64,
    /// Connections that post.
    pub connections: usize,
    /// Bytes of one event.
    pub size: usize,
    /// How long a server lives at most before it is killed.
    pub longest_life: Duration,
    /// New events between two kills at most, which bounds the data.
    pub events_per_life: u64,
    /// How long the last deliveries may take.
    pub drain: Duration,
}

impl Options {
    /// Usual bounds, for this binary and this many kills.
    pub fn new(binary: PathBuf, root: PathBuf, kills: u32) -> Self {
        Self {
            binary,
            root,
            kills,
            seed: 1,
            connections: 16,
            size: 1024,
            longest_life: Duration::from_millis(800),
            events_per_life: 10_000,
            drain: Duration::from_secs(180),
        }
    }
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The seed that repeats the moments of the kills.
    pub seed: u64,
    /// Kills.
    pub kills: u32,
    /// Of those, how many fell into a start.
    pub kills_during_start: u32,
    /// Posts again of what had not been answered.
    pub reposted: u64,
    /// The account.
    #[serde(flatten)]
    pub balance: Balance,
    /// How long it all took, in seconds.
    pub seconds: u64,
    /// Where the data is, if the account does not balance.
    pub kept: Option<PathBuf>,
}

impl Report {
    /// Whether events were accepted, every one of them arrived, and nothing else did.
    pub fn holds(&self) -> bool {
        self.balance.holds() && self.balance.accepted > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Balance { accepted, received, duplicates, unknown, unknown_received, refused, .. } =
            &self.balance;
        let Balance { lost, invented, renamed, mangled, findings, .. } = &self.balance;
        writeln!(f, "{} kills ({} during a start), seed {}", self.kills, self.kills_during_start, self.seed)?;
        writeln!(f, "accepted {accepted}, received {received}, duplicates {duplicates}")?;
        writeln!(
            f,
            "unknown {unknown} ({unknown_received} received), refused {refused}, reposted {}",
            self.reposted
        )?;
        write!(
            f,
            "lost {lost}, invented {invented}, renamed {renamed}, mangled {mangled} ({} s)",
            self.seconds
        )?;
        findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))?;
        self.kept.iter().try_for_each(|kept| write!(f, "\ndata kept in {}", kept.display()))
    }
}

/// Runs the ledger on a runtime of its own.
///
/// # Errors
/// If the server cannot be run, ends by itself, or does not come to rest. A balance that does not hold is no error but
/// a [`Report`].
pub fn run(options: Options) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_async(options))
}

async fn run_async(options: Options) -> anyhow::Result<Report> {
    let start = Instant::now();
    std::fs::create_dir_all(&options.root)?;
    let directory = tempfile::Builder::new().prefix("ledger-").tempdir_in(&options.root)?;
    let outcome = kill_and_count(&options, directory.path().join("data")).await;
    let mut report = match outcome {
        Ok(report) => report,
        Err(error) => return Err(error.context(format!("data kept in {}", directory.keep().display()))),
    };
    report.seconds = start.elapsed().as_secs();
    if !report.holds() {
        report.kept = Some(directory.keep());
    }
    Ok(report)
}

async fn kill_and_count(options: &Options, data: PathBuf) -> anyhow::Result<Report> {
    let mut moments = StdRng::seed_from_u64(options.seed);
    let tail = Bytes::from(Payload::new(options.size, true)?.frame_tail());
    let receiver = Receiver::start(Watch::Record(tail), Script::default())?;
    let program = Program { binary: options.binary.clone(), config: None };
    let mut server = Some(program.start(&data)?.ready().await?);
    let (hook, token) = set_up(server.as_ref(), &receiver).await?;
    let posts = Arc::new(Posts::new(options.seed, options.size));

    let mut kills_during_start = 0;
    for kill in 1..=options.kills {
        // The first server is ready already: it had to be told whom to tell.
        let alive = match server.take() {
            Some(alive) => alive,
            None => {
                let starting = program.start(&data)?;
                if moments.random_range(0..START_KILLS) == 0 {
                    // When the server is killed is the experiment; the seed repeats it.
                    tokio::time::sleep(moment(&mut moments, INTO_START)).await;
                    starting.kill().await?;
                    kills_during_start += 1;
                    continue;
                }
                starting.ready().await?
            }
        };
        posts.allow(options.events_per_life);
        let connections = post(&posts, options.connections, alive.address, &token);
        // The life of this server, at whose end it is killed in the middle of its work.
        tokio::time::sleep(moment(&mut moments, options.longest_life)).await;
        alive.kill().await.with_context(|| format!("kill {kill}"))?;
        join(connections, NOTICE_LIMIT).await?;
    }

    let last = match server {
        Some(alive) => alive,
        None => program.start(&data)?.ready().await?,
    };
    posts.allow(0);
    posts.finish();
    join(post(&posts, options.connections, last.address, &token), LAST_POSTS).await?;
    let api = Api { address: last.address, token };
    let settled = api.settled(&[hook], options.drain).await;
    let mut balance = book::balance(&posts.lock().fates, &receiver.seen());
    if let Err(error) = settled {
        balance.findings.push(error.to_string());
        if balance.holds() {
            bail!("every accepted event arrived, but {error}");
        }
    }
    last.kill().await?;
    let reposted = posts.lock().reposted;
    let kills = options.kills;
    Ok(Report { seed: options.seed, kills, kills_during_start, reposted, balance, seconds: 0, kept: None })
}

async fn set_up(server: Option<&Server>, receiver: &Receiver) -> anyhow::Result<(String, Arc<str>)> {
    let server = server.context("no server")?;
    let token: Arc<str> = server.token()?.into();
    let api = Api { address: server.address, token: Arc::clone(&token) };
    let owner = payload::owner(0);
    api.import_owners(std::slice::from_ref(&owner)).await?;
    let mut hooks = api.add_hooks(vec![Call::add_hook(&owner, &receiver.url(0), true)]).await?;
    Ok((hooks.pop().context("no hook")?, token))
}

fn moment(rng: &mut StdRng, most: Duration) -> Duration {
    Duration::from_micros(rng.random_range(0..=u64::try_from(most.as_micros()).unwrap_or(u64::MAX)))
}
