//! Memory: at rest on a full store, with a backlog to a receiver that is down, and how soon a restart is ready.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{Ground, mib, received};
use crate::figures::{Goal, Row};
use crate::receiver::{Receiver, Script, Watch};

/// How long the server goes on trying in vain before we look.
const IN_VAIN: Duration = Duration::from_secs(15);
/// How long the first delivery may take once the receiver is up.
const FIRST: Duration = Duration::from_secs(30);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Events in the store, and deliveries pending.
    pub events: u64,
    /// How long after its start the server at rest is looked at.
    pub rest: Duration,
}

/// At rest: the store is filled, the server restarted and left alone.
///
/// # Errors
/// If anything is refused or the server ends.
pub async fn idle(ground: &Ground, options: Options) -> anyhow::Result<Row> {
    let site = ground.site().await?;
    site.fill(options.events, false).await?;
    let filled = site.server.usage()?;
    let site = site.restart(true).await?;
    let begun = site.server.usage()?;
    tokio::time::sleep(options.rest).await;
    let usage = site.server.usage()?;
    Ok(Row::new(format!(
        "memory at rest, {} events, {} s after start",
        options.events,
        options.rest.as_secs()
    ))
    .with_goal("RSS", mib(usage.rss), "MiB", Goal::AtMost(25.0))
    .with("peak since start", mib(usage.peak), "MiB")
    .with("peak while filling", mib(filled.peak), "MiB")
    .with("CPU at rest", 100.0 * (usage.cpu - begun.cpu) / options.rest.as_secs_f64(), "%"))
}

/// A backlog: nobody listens where the hook points to, so every delivery waits. Then the server is killed, and
/// restarted with the backlog, and then the receiver comes up.
///
/// # Errors
/// If anything is refused, or nothing is delivered in the end.
pub async fn pending(ground: &Ground, options: Options) -> anyhow::Result<Row> {
    let site = ground.site().await?;
    let receiver = Receiver::start(Watch::Count, Script::default())?;
    let address = receiver.address();
    let hooks = site.hooks(1, |door| receiver.url(door)).await?;
    drop(receiver);
    site.fill(options.events, false).await?;
    tokio::time::sleep(IN_VAIN).await;
    let full = site.server.usage()?;
    ensure!(site.api.waits(&hooks).await?, "nothing waits");

    let site = site.restart(false).await?;
    let start_took = site.server.start_took;
    let receiver = Receiver::start_at(address, Watch::Count, Script::default())?;
    let up = Instant::now();
    let first = received(&receiver, 1, FIRST).await?;
    let after = site.server.usage()?;
    Ok(Row::new(format!("{} pending, receiver down", options.events))
        .with_goal("peak", mib(full.peak), "MiB", Goal::AtMost(256.0))
        .with("RSS", mib(full.rss), "MiB")
        .with_goal("ready after a restart", start_took.as_secs_f64(), "s", Goal::AtMost(1.0))
        .with("first delivery once the receiver is up", (first - up).as_secs_f64(), "s")
        .with("RSS after the restart", mib(after.rss), "MiB"))
}
