//! Latency: from the moment a post is due to the moment the receiver has it, at a fixed rate.

use std::collections::HashSet;
use std::time::Duration;

use super::{Ground, Span};
use crate::figures::{Goal, Row, Times};
use crate::generator::{self, Load, Outcome};
use crate::receiver::{Receiver, Script, Watch};

/// What is posted first and not counted.
const WARM: Duration = Duration::from_secs(2);
/// How long the last deliveries may take.
const LAST: Duration = Duration::from_secs(10);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Events a second.
    pub rate: u32,
    /// Connections.
    pub connections: usize,
    /// How long, after warming up.
    pub time: Duration,
}

/// What a rate showed.
#[derive(Debug)]
pub struct Latency {
    /// Due to received.
    pub delivery: Times,
    /// Due to answered.
    pub post: Times,
    /// Accepted and not received in time.
    pub missing: u64,
}

/// Measures one rate to one raw webhook.
///
/// # Errors
/// If anything is refused or breaks.
pub async fn run(ground: &Ground, options: Options) -> anyhow::Result<Row> {
    let site = ground.site().await?;
    let receiver = Receiver::start(Watch::Latency, Script::default())?;
    site.hooks(1, |door| receiver.url(door)).await?;
    let span = Span::start(&site.server)?;
    let latency = measure(&receiver, &site.load(options.connections), options).await?;
    let row = Row::new(format!("latency at {}/s, {} s", options.rate, options.time.as_secs()))
        .with_goal("p50", latency.delivery.at(0.5), "ms", Goal::AtMost(3.0))
        .with_goal("p99", latency.delivery.at(0.99), "ms", Goal::AtMost(15.0))
        .with("p99.9", latency.delivery.at(0.999), "ms")
        .with("max", latency.delivery.at(1.0), "ms")
        .with("post p50", latency.post.at(0.5), "ms")
        .with("post p99", latency.post.at(0.99), "ms")
        .with_goal("missing", latency.missing as f64, "", Goal::AtMost(0.0));
    span.close(&site.server, row)
}

/// Measures one rate with hooks that are there already, one of which each event matches.
///
/// # Errors
/// If anything is refused or breaks.
pub async fn measure(receiver: &Receiver, load: &Load, options: Options) -> anyhow::Result<Latency> {
    pass(receiver, load, options.rate, WARM).await?;
    let (outcome, arrived) = pass(receiver, load, options.rate, options.time).await?;
    let mut numbers = HashSet::new();
    // A repeat is not what a receiver waited for.
    let first = arrived.into_iter().filter(|(number, _)| numbers.insert(*number));
    let delivery = Times::new(first.map(|(_, micros)| micros).collect());
    let missing = outcome.accepted.saturating_sub(numbers.len() as u64);
    Ok(Latency { delivery, post: Times::new(outcome.took), missing })
}

async fn pass(
    receiver: &Receiver,
    load: &Load,
    rate: u32,
    time: Duration,
) -> anyhow::Result<(Outcome, Vec<(u64, u32)>)> {
    let before = receiver.received();
    let outcome = generator::open(load, rate, time).await?.clean()?;
    // What does not arrive in time is told by its number.
    let _ = super::received(receiver, before + outcome.accepted, LAST).await;
    Ok((outcome, receiver.take_latencies()))
}
