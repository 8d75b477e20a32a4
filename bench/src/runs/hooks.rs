//! Many hooks: what an installation of many owners costs an event that matches as many hooks as before.

use std::time::Duration;

use super::{Ground, Site, latency};
use crate::api::Call;
use crate::figures::{Goal, Row};
use crate::generator::{self, Limits, Load};
use crate::payload;
use crate::receiver::{Receiver, Script, Watch};

/// Before intake is measured.
const WARM: Duration = Duration::from_secs(2);

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
    intake: f64,
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
        .with_goal("intake against few", 100.0 * many.intake / few.intake, "%", Goal::AtLeast(90.0))
        .with_goal("p99 against few", 100.0 * many.p99 / few.p99, "%", Goal::AtMost(110.0))
        .with("intake few", few.intake, "/s")
        .with("intake many", many.intake, "/s")
        .with("p50 few", few.p50, "ms")
        .with("p50 many", many.p50, "ms")
        .with("p99 few", few.p99, "ms")
        .with("p99 many", many.p99, "ms"))
}

async fn measure(ground: &Ground, options: Options, owners: u64) -> anyhow::Result<Measured> {
    let site = ground.site().await?;
    let receiver = Receiver::start(Watch::Latency, Script::default())?;
    let matching = install(&site, &receiver, options, owners).await?;
    let load = Load { owners: generator::owners(owners), ..site.load(options.connections) };
    let at_rate =
        latency::Options { rate: options.rate, connections: options.connections, time: options.time };
    let latency = latency::measure(&receiver, &load, at_rate).await?;
    anyhow::ensure!(latency.missing == 0, "{} deliveries did not arrive", latency.missing);

    site.pause(&matching).await?;
    let limits = |time| Limits { time, events: u64::MAX };
    generator::closed(&load, limits(WARM), None).await?.clean()?;
    let outcome = generator::closed(&load, limits(options.time), None).await?.clean()?;
    Ok(Measured { intake: outcome.rate(), p50: latency.delivery.at(0.5), p99: latency.delivery.at(0.99) })
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
