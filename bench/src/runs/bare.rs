//! Generator and receiver with nothing between them: what the tools themselves can do on this machine.

use std::time::Duration;

use super::{SIZE, with_posts};
use crate::figures::Row;
use crate::generator::{self, Limits, Load};
use crate::receiver::{Receiver, Script, Watch};

/// Posts as fast as the receiver answers.
///
/// # Errors
/// If anything is refused or breaks.
pub async fn run(connections: usize, time: Duration) -> anyhow::Result<Row> {
    let receiver = Receiver::start(Watch::Count, Script::default())?;
    let load = Load {
        address: receiver.address(),
        token: None,
        connections,
        owners: generator::owners(1),
        size: SIZE,
        batch: 1,
        ids: false,
        seed: 0,
    };
    let outcome = generator::closed(&load, Limits { time, events: u64::MAX }, None).await?.clean()?;
    let row = Row::new(format!("nothing between, {connections} connections"));
    Ok(with_posts(row.with("posts", outcome.rate(), "/s"), &outcome))
}
