//! The runs behind the published figures, one file each.

pub mod bare;
pub mod flow;
pub mod hooks;
pub mod intake;
pub mod latency;
pub mod mail;
pub mod memory;
pub mod pages;
pub mod streams;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tempfile::TempDir;

use crate::api::{Api, Call};
use crate::figures::Row;
use crate::generator::{self, Limits, Load, Outcome};
use crate::payload;
use crate::receiver::Receiver;
use crate::server::{Program, Server, Usage};

/// Bytes of an event, unless a run says otherwise.
pub const SIZE: usize = 1024;
/// Events of one post where many are wanted quickly.
const FILL_BATCH: usize = 100;
/// Connections that fill a store.
const FILL_CONNECTIONS: usize = 16;
/// How long filling a store may take.
const FILL_LIMIT: Duration = Duration::from_secs(3600);

/// Where and with what a run is made.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The server.
    pub program: Program,
    /// A directory on a real disk; each run makes its own inside and removes it.
    pub root: PathBuf,
}

/// A server on a data directory of its own, with one owner to begin with.
#[derive(Debug)]
pub struct Site {
    program: Program,
    directory: TempDir,
    /// The server.
    pub server: Server,
    /// Calls to it.
    pub api: Api,
}

impl Ground {
    /// A fresh server.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn site(&self) -> anyhow::Result<Site> {
        std::fs::create_dir_all(&self.root).with_context(|| self.root.display().to_string())?;
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(&self.root)?;
        let server = self.program.start(&directory.path().join("data"))?.ready().await?;
        let token: Arc<str> = server.token()?.into();
        let api = Api { address: server.address, token };
        api.import_owners(&[payload::owner(0)]).await?;
        Ok(Site { program: self.program.clone(), directory, server, api })
    }
}

impl Site {
    fn data(&self) -> PathBuf {
        Path::new(self.directory.path()).join("data")
    }

    /// Stops the server, gently or not, and starts it again on the same data.
    ///
    /// # Errors
    /// If it does not stop or start.
    pub async fn restart(self, gently: bool) -> anyhow::Result<Self> {
        let data = self.data();
        let Self { program, directory, server, mut api } = self;
        if gently {
            server.stop().await?;
        } else {
            server.kill().await?;
        }
        let server = program.start(&data)?.ready().await?;
        api.address = server.address;
        Ok(Self { program, directory, server, api })
    }

    /// Raw webhooks of the first owner for the kind that is posted, each to a door of the receiver.
    ///
    /// # Errors
    /// If one is refused.
    pub async fn hooks(&self, count: usize, url: impl Fn(usize) -> String) -> anyhow::Result<Vec<String>> {
        let owner = payload::owner(0);
        self.api.add_hooks((0..count).map(|n| Call::add_hook(&owner, &url(n), true)).collect()).await
    }

    /// Pauses hooks.
    ///
    /// # Errors
    /// If one is not there.
    pub async fn pause(&self, hooks: &[String]) -> anyhow::Result<()> {
        self.api.call_all(hooks.iter().map(|hook| Call::pause(hook)).collect()).await?;
        Ok(())
    }

    /// Single posts of the first owner's events, no ids.
    pub fn load(&self, connections: usize) -> Load {
        Load {
            address: self.api.address,
            token: Some(Arc::clone(&self.api.token)),
            connections,
            owners: generator::owners(1),
            size: SIZE,
            batch: 1,
            ids: false,
            seed: 0,
        }
    }

    /// Fills the store with events, by batches.
    ///
    /// # Errors
    /// If any is refused.
    pub async fn fill(&self, events: u64, ids: bool) -> anyhow::Result<()> {
        let load = Load { batch: FILL_BATCH, ids, seed: 0xF1, ..self.load(FILL_CONNECTIONS) };
        generator::closed(&load, Limits { time: FILL_LIMIT, events }, None).await?.clean()?;
        Ok(())
    }
}

/// What the server used between two moments.
#[derive(Debug)]
struct Span {
    since: Instant,
    before: Usage,
}

impl Span {
    fn start(server: &Server) -> anyhow::Result<Self> {
        Ok(Self { since: Instant::now(), before: server.usage()? })
    }

    /// Adds processor (100 % is one core) and memory to a row.
    fn close(self, server: &Server, row: Row) -> anyhow::Result<Row> {
        let after = server.usage()?;
        let cpu = 100.0 * (after.cpu - self.before.cpu) / self.since.elapsed().as_secs_f64();
        Ok(row.with("server CPU", cpu, "%").with("RSS", mib(after.rss), "MiB").with(
            "peak",
            mib(after.peak),
            "MiB",
        ))
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Adds how long posts took.
fn with_posts(row: Row, outcome: &Outcome) -> Row {
    let times = crate::figures::Times::new(outcome.took.clone());
    row.with("post p50", times.at(0.5), "ms").with("post p99", times.at(0.99), "ms")
}

/// Waits until the receiver has this many requests; gives the moment it had.
async fn received(receiver: &Receiver, count: u64, limit: Duration) -> anyhow::Result<Instant> {
    let arrive = async {
        while receiver.received() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(limit, arrive).await.with_context(|| {
        format!("{} of {count} deliveries arrived within {} s", receiver.received(), limit.as_secs())
    })?;
    Ok(Instant::now())
}
