//! Many hooks: what an installation of many owners costs an event that matches as many hooks as before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Ground, Site, latency, received};
use crate::api::Call;
use crate::figures::{Goal, Row};
use crate::generator::{self, Limits, Load, Room};
use crate::payload;
use crate::receiver::{Receiver, Script, Watch};

/// Before each speed is measured.
const WARM: Duration = Duration::from_secs(2);
/// Deliveries under way at most.
const BACKLOG: u64 = 2_000;
/// How long the last of them may take.
const DRAIN: Duration = Duration::from_secs(120);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Owners of the large installation; the small one has one.
    pub owners: u64,
    /// Hooks of each owner. One of them matches, the others listen to another kind.
    pub hooks_each: usize,
    /// Events a second while latency is measured.
    pub rate: u32,
    /// Connections.
    pub connections: usize,
    /// How long each of the two measurements takes.
    pub time: Duration,
}

struct Measured {
    /// Accepted and received, a second.
    delivered: f64,
    /// Accepted and held, a second.
    held: f64,
    p50: f64,
    p99: f64,
}

/// Measures both installations.
///
/// # Errors
/// If anything is refused or breaks.
pub async fn run(ground: &Ground, options: Options) -> anyhow::Result<Row> {
    let few = measure(ground, options, 1).await?;
    let many = measure(ground, options, options.owners).await?;
    let hooks = options.owners * options.hooks_each as u64;
    let title = format!("{hooks} hooks of {} owners against {} of one", options.owners, options.hooks_each);
    Ok(Row::new(title)
        .with_goal("delivered against few", 100.0 * many.delivered / few.delivered, "%", Goal::AtLeast(90.0))
        .with_goal("intake, held, against few", 100.0 * many.held / few.held, "%", Goal::AtLeast(90.0))
        .with_goal("p99 against few", 100.0 * many.p99 / few.p99, "%", Goal::AtMost(110.0))
        .with("delivered few", few.delivered, "/s")
        .with("delivered many", many.delivered, "/s")
        .with("held few", few.held, "/s")
        .with("held many", many.held, "/s")
        .with("p50 few", few.p50, "ms")
        .with("p50 many", many.p50, "ms")
        .with("p99 few", few.p99, "ms")
        .with("p99 many", many.p99, "ms"))
}

async fn measure(ground: &Ground, options: Options, owners: u64) -> anyhow::Result<Measured> {
    let site = ground.site().await?;
    let receiver = Arc::new(Receiver::start(Watch::Latency, Script::default())?);
    let matching = install(&site, &receiver, options, owners).await?;
    let load = Load { owners: generator::owners(owners), ..site.load(options.connections) };
    let at_rate =
        latency::Options { rate: options.rate, connections: options.connections, time: options.time };
    let latency = latency::measure(&receiver, &load, at_rate).await?;
    anyhow::ensure!(latency.missing == 0, "{} deliveries did not arrive", latency.missing);

    let limits = |time| Limits { time, events: u64::MAX };
    let accepted = Arc::new(AtomicU64::new(receiver.received()));
    let room =
        Room { accepted: Arc::clone(&accepted), receiver: Arc::clone(&receiver), each: 1, most: BACKLOG };
    generator::closed(&load, limits(WARM), Some(room.clone())).await?.clean()?;
    received(&receiver, accepted.load(Ordering::Relaxed), DRAIN).await?;
    let (before, start) = (receiver.received(), Instant::now());
    generator::closed(&load, limits(options.time), Some(room)).await?.clean()?;
    let end = received(&receiver, accepted.load(Ordering::Relaxed), DRAIN).await?;
    let delivered = (receiver.received() - before) as f64 / (end - start).as_secs_f64();

    site.pause(&matching).await?;
    generator::closed(&load, limits(WARM), None).await?.clean()?;
    let outcome = generator::closed(&load, limits(options.time), None).await?.clean()?;
    Ok(Measured {
        delivered,
        held: outcome.rate(),
        p50: latency.delivery.at(0.5),
        p99: latency.delivery.at(0.99),
    })
}

/// Makes owners and hooks; gives those that match.
async fn install(
    site: &Site,
    receiver: &Receiver,
    options: Options,
    owners: u64,
) -> anyhow::Result<Vec<String>> {
    let names: Vec<String> = (0..owners).map(payload::owner).collect();
    site.api.import_owners(&names).await?;
    let call = |owner: &String, n: usize| Call::add_hook(owner, &receiver.url(n), n == 0);
    let calls = names.iter().flat_map(|owner| (0..options.hooks_each).map(move |n| call(owner, n))).collect();
    let hooks = site.api.add_hooks(calls).await?;
    Ok(hooks.into_iter().step_by(options.hooks_each).collect())
}
