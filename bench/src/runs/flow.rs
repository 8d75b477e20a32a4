//! The whole flow: accepted, received, and written down as delivered, to one raw webhook or to ten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Ground, Span, received, with_posts};
use crate::figures::{Goal, Row};
use crate::generator::{self, Limits, Room};
use crate::receiver::{Receiver, Script, Watch};

/// Before the measurement.
const WARM: Duration = Duration::from_secs(3);
/// How long the last deliveries may take.
const DRAIN: Duration = Duration::from_secs(120);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Raw webhooks, all to the same receiver.
    pub hooks: usize,
    /// Connections.
    pub connections: usize,
    /// Deliveries under way at most: beyond, posts wait, so that what is accepted is what can be sustained.
    pub backlog: u64,
    /// How long it takes, and then until everything is written down.
    pub time: Duration,
}

/// Posts single events for a while and waits until the last delivery is written down. The rate is all deliveries over
/// all that time, so nothing that was put off is left out.
///
/// # Errors
/// If anything is refused, breaks or does not arrive.
pub async fn run(ground: &Ground, options: Options) -> anyhow::Result<Row> {
    let site = ground.site().await?;
    let receiver = Arc::new(Receiver::start(Watch::Count, Script::default())?);
    let hooks = site.hooks(options.hooks, |door| receiver.url(door)).await?;
    let each = options.hooks as u64;
    let accepted = Arc::new(AtomicU64::new(0));
    let room = Room {
        accepted: Arc::clone(&accepted),
        receiver: Arc::clone(&receiver),
        each,
        most: options.backlog,
    };
    let load = site.load(options.connections);
    let limits = |time| Limits { time, events: u64::MAX };

    generator::closed(&load, limits(WARM), Some(room.clone())).await?.clean()?;
    received(&receiver, accepted.load(Ordering::Relaxed) * each, DRAIN).await?;
    site.api.settled(&hooks, DRAIN).await?;

    let before = receiver.received();
    let span = Span::start(&site.server)?;
    let start = Instant::now();
    let outcome = generator::closed(&load, limits(options.time), Some(room)).await?.clean()?;
    let owed = outcome.accepted * each;
    let in_time = (receiver.received() - before) as f64 / start.elapsed().as_secs_f64();
    let all_received = received(&receiver, accepted.load(Ordering::Relaxed) * each, DRAIN).await?;
    let all_recorded = site.api.settled(&hooks, DRAIN).await?.max(all_received);
    let repeats = receiver.received() - accepted.load(Ordering::Relaxed) * each;

    let recorded = owed as f64 / (all_recorded - start).as_secs_f64();
    let row = if options.hooks == 1 {
        let row = Row::new(format!("end to end, 1 raw hook, {} s", options.time.as_secs()));
        row.with_goal("accepted → received → recorded", recorded, "/s", Goal::AtLeast(10_000.0))
    } else {
        let row = Row::new(format!("fan-out, {} raw hooks, {} s", options.hooks, options.time.as_secs()));
        row.with_goal("deliveries recorded", recorded, "/s", Goal::AtLeast(20_000.0))
    };
    let row = row
        .with("accepted", outcome.rate(), "/s")
        .with("received", in_time, "/s")
        .with("last recorded after", (all_recorded - start).as_secs_f64() - options.time.as_secs_f64(), "s")
        .with("repeats", repeats as f64, "");
    span.close(&site.server, with_posts(row, &outcome))
}
