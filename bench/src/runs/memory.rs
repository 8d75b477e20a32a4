//! Memory: at rest on a full store, with a backlog that cannot be delivered, and how soon a restart is ready.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{Ground, Site, mib, received};
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

/// A backlog to a receiver that is down: nobody listens where the hook points to, and every delivery is tried in vain
/// and waits for its next attempt. Then the server is killed and started again.
///
/// # Errors
/// If anything is refused, or nothing waits.
pub async fn refused(ground: &Ground, options: Options) -> anyhow::Result<Row> {
    let site = ground.site().await?;
    let receiver = Receiver::start(Watch::Count, Script::default())?;
    let hooks = site.hooks(1, |door| receiver.url(door)).await?;
    drop(receiver);
    let row = Row::new(format!("{} pending, connections refused", options.events));
    let row = fill_in_vain(&site, &hooks, options, row).await?;
    let site = site.restart(false).await?;
    let ready = site.server.start_took.as_secs_f64();
    Ok(row.with_goal("listening after a restart", ready, "s", Goal::AtMost(1.0)))
}

/// A backlog to a receiver that takes connections and never answers: few are tried, all the others are due. Then the
/// server is killed and started again, the receiver answers, and the first delivery shows that they are ready.
///
/// # Errors
/// If anything is refused, or nothing is delivered in the end.
pub async fn hanging(ground: &Ground, options: Options) -> anyhow::Result<Row> {
    let site = ground.site().await?;
    let receiver = Receiver::start(Watch::Count, "hang".parse()?)?;
    let address = receiver.address();
    let hooks = site.hooks(1, |door| receiver.url(door)).await?;
    let row = Row::new(format!("{} pending, receiver hangs", options.events));
    let row = fill_in_vain(&site, &hooks, options, row).await?;
    drop(receiver);
    let receiver = Receiver::start_at(address, Watch::Count, Script::default())?;
    let killed = Instant::now();
    let site = site.restart(false).await?;
    let ready = site.server.start_took.as_secs_f64();
    let first = received(&receiver, 1, FIRST).await?;
    let usage = site.server.usage()?;
    Ok(row
        .with_goal("listening after a restart", ready, "s", Goal::AtMost(1.0))
        .with("first delivery after the kill", (first - killed).as_secs_f64(), "s")
        .with("RSS then", mib(usage.rss), "MiB"))
}

async fn fill_in_vain(site: &Site, hooks: &[String], options: Options, row: Row) -> anyhow::Result<Row> {
    site.fill(options.events, false).await?;
    tokio::time::sleep(IN_VAIN).await;
    let usage = site.server.usage()?;
    ensure!(site.api.waits(hooks).await?, "nothing waits");
    Ok(row.with_goal("peak", mib(usage.peak), "MiB", Goal::AtMost(256.0)).with("RSS", mib(usage.rss), "MiB"))
}
