//! Intake: how fast events are accepted when what they owe is held.

use std::time::Duration;

use anyhow::ensure;

use super::{Ground, Span, with_posts};
use crate::figures::{Goal, Row};
use crate::generator::{self, Limits, Load};
use crate::receiver::{Receiver, Script, Watch};

/// Before the measurement, on the same store.
const WARM: Duration = Duration::from_secs(2);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Connections.
    pub connections: usize,
    /// Events of one post.
    pub batch: usize,
    /// Whether events bring UUIDs of version 4.
    pub ids: bool,
    /// Events, with ids, that are in the store before.
    pub preload: u64,
    /// How long each measurement takes.
    pub time: Duration,
    /// Measurements, one after the other on the same store.
    pub runs: usize,
}

/// Posts to one paused raw webhook and checks that every accepted event is held, and none sent.
///
/// # Errors
/// If anything is refused, breaks, is sent or missing.
pub async fn run(ground: &Ground, options: Options) -> anyhow::Result<Vec<Row>> {
    let site = ground.site().await?;
    site.fill(options.preload, true).await?;
    let receiver = Receiver::start(Watch::Count, Script::default())?;
    let hooks = site.hooks(1, |door| receiver.url(door)).await?;
    site.pause(&hooks).await?;
    let load = |seed| Load { batch: options.batch, ids: options.ids, seed, ..site.load(options.connections) };

    let warm = generator::closed(&load(1), Limits { time: WARM, events: u64::MAX }, None).await?.clean()?;
    let mut accepted = warm.accepted;
    let mut rows = Vec::new();
    for run in 0..options.runs {
        let span = Span::start(&site.server)?;
        let limits = Limits { time: options.time, events: u64::MAX };
        let outcome = generator::closed(&load(2 + run as u64), limits, None).await?.clean()?;
        accepted += outcome.accepted;
        let row = Row::new(title(options)).with_goal("events", outcome.rate(), "/s", goal(options));
        rows.push(span.close(&site.server, with_posts(row, &outcome))?);
    }
    let held: u64 = site.api.held(&hooks[0]).await?;
    ensure!(held == accepted, "{accepted} events were accepted, but {held} deliveries are held");
    ensure!(receiver.received() == 0, "a paused hook was sent {} deliveries", receiver.received());
    Ok(rows)
}

fn title(options: Options) -> String {
    let Options { connections, batch, ids, preload, .. } = options;
    let posts = if batch == 1 { "single posts".to_owned() } else { format!("batches of {batch}") };
    let ids = if ids { ", UUID v4 ids" } else { "" };
    let preload = if preload > 0 { format!(", {preload} events in the store") } else { String::new() };
    format!("intake, {posts}, {connections} connections{ids}{preload}")
}

/// Issue 3, "Speed to reach": 80 % of the usual figures with ids on a full store.
fn goal(options: Options) -> Goal {
    let usual = if options.batch == 1 { 15_000.0 } else { 40_000.0 };
    Goal::AtLeast(if options.ids { 0.8 * usual } else { usual })
}
