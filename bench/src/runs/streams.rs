//! Streams: what idle and stalled readers cost, and whether a reader that is cut off again and again misses anything.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Ground, Site, mib};
use crate::figures::{Goal, Row};
use crate::generator::{self, Limits};
use crate::payload;
use crate::reader::{Door, Reader, Way};

/// Connections opened at once.
const AT_ONCE: usize = 64;
/// How long the server is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(5);
/// How long an event may take to everybody.
const ARRIVES: Duration = Duration::from_secs(120);
/// Events posted past readers that do not read: more than the connections hold.
const PAST: u64 = 20_000;
/// What the system may keep for a reader that does not read.
const WINDOW: u32 = 4_096;
/// Events a reader takes before it is cut off, at most.
const TAKEN: u64 = 400;
/// How long a reader may wait for an event.
const NEXT: Duration = Duration::from_secs(30);

async fn door(site: &Site, window: Option<u32>) -> anyhow::Result<Door> {
    let owner = payload::owner(0);
    let pair = site.api.member(&owner).await?;
    Ok(Door { address: site.api.address, owner, pair, window })
}

/// Posts one event.
async fn one(site: &Site) -> anyhow::Result<()> {
    let limits = Limits { time: NEXT, events: 1 };
    generator::closed(&site.load(1), limits, None).await?.clean()?;
    Ok(())
}

/// Opens readers, each way in turn.
async fn open(door: &Door, count: usize) -> anyhow::Result<Vec<Reader>> {
    let (mut opening, mut readers) = (JoinSet::new(), Vec::with_capacity(count));
    for number in 0..count {
        if opening.len() >= AT_ONCE
            && let Some(opened) = opening.join_next().await
        {
            readers.push(opened??);
        }
        let door = door.clone();
        opening.spawn(async move { door.open(Way::ALL[number % Way::ALL.len()], None).await });
    }
    while let Some(opened) = opening.join_next().await {
        readers.push(opened??);
    }
    Ok(readers)
}

/// Readers to whom nothing happens, and then one event.
///
/// # Errors
/// If a reader is refused or does not get the event.
pub async fn idle(ground: &Ground, count: usize) -> anyhow::Result<Row> {
    let site = ground.site().await?;
    let door = door(&site, None).await?;
    tokio::time::sleep(SETTLE).await;
    let before = site.server.usage()?;
    let opened = Instant::now();
    let mut readers = open(&door, count).await?;
    let opening = opened.elapsed();
    tokio::time::sleep(SETTLE).await;
    let begun = site.server.usage()?;
    tokio::time::sleep(SETTLE).await;
    let after = site.server.usage()?;

    let posted = Instant::now();
    one(&site).await?;
    for reader in &mut readers {
        timeout(ARRIVES, reader.event()).await.context("an event did not arrive")??;
    }
    let told = posted.elapsed();
    let last = site.server.usage()?;
    Ok(Row::new(format!("{count} idle stream readers"))
        .with_goal("RSS growth", mib(after.rss.saturating_sub(before.rss)), "MiB", Goal::AtMost(1024.0))
        .with("CPU", 100.0 * (after.cpu - begun.cpu) / SETTLE.as_secs_f64(), "%")
        .with("all opened after", opening.as_secs_f64(), "s")
        .with("one event to all", told.as_secs_f64(), "s")
        .with("RSS growth then", mib(last.rss.saturating_sub(before.rss)), "MiB"))
}

/// Readers that never read, while events are posted past them, and one that does.
///
/// # Errors
/// If intake is refused, or the reader that reads misses an event.
pub async fn stalled(ground: &Ground, count: usize) -> anyhow::Result<Row> {
    let site = ground.site().await?;
    // What the server takes for the events themselves is not the readers'.
    site.fill(PAST, false).await?;
    let door = door(&site, Some(WINDOW)).await?;
    let stalled = open(&door, count).await?;
    let mut reader = Door { window: None, ..door }.open(Way::Socket, None).await?;
    tokio::time::sleep(SETTLE).await;
    let before = site.server.usage()?;
    let read = async {
        for _ in 0..PAST {
            timeout(NEXT, reader.event()).await.context("the reader that reads waits")??;
        }
        anyhow::Ok(Instant::now())
    };
    let post = async {
        site.fill(PAST, false).await?;
        anyhow::Ok(Instant::now())
    };
    let (read, posted) = tokio::try_join!(read, post)?;
    tokio::time::sleep(SETTLE).await;
    let after = site.server.usage()?;
    drop(stalled);
    Ok(Row::new(format!("{count} stalled stream readers, {PAST} events past them"))
        .with_goal("RSS growth", mib(after.rss.saturating_sub(before.rss)), "MiB", Goal::AtMost(64.0))
        .with("peak", mib(after.peak), "MiB")
        .with(
            "last event at a reader that reads, after its post",
            read.saturating_duration_since(posted).as_secs_f64(),
            "s",
        ))
}

/// A reader that is cut off again and again, under load: each event once, in order.
///
/// # Errors
/// If it is not so.
pub async fn resumes(ground: &Ground, count: usize) -> anyhow::Result<Row> {
    let site = ground.site().await?;
    let door = door(&site, None).await?;
    let mut luck = SmallRng::seed_from_u64(1);
    let mut first = door.open(Way::Socket, None).await?;
    one(&site).await?;
    let mut place = timeout(NEXT, first.event()).await.context("the first event")??;
    drop(first);
    let load = site.load(4);
    let reading = async {
        let mut read = 0_u64;
        for number in 0..count {
            let mut reader = door.open(Way::ALL[number % 2], Some(&place)).await?;
            for _ in 0..luck.random_range(0..=TAKEN) {
                let id = timeout(NEXT, reader.event()).await.context("an event")??;
                ensure!(id > place, "{id} came after {place}");
                place = id;
                read += 1;
            }
        }
        Ok((read, place))
    };
    let limits = Limits { time: Duration::from_secs(3_600), events: TAKEN * count as u64 };
    let (posted, (mut read, place)) = tokio::try_join!(generator::closed(&load, limits, None), reading)?;
    let accepted = posted.clean()?.accepted;
    let mut reader = door.open(Way::Socket, Some(&place)).await?;
    let mut last = place;
    while read < accepted {
        let id = timeout(NEXT, reader.event()).await.context("an event is missing")??;
        ensure!(id > last, "{id} came after {last}");
        last = id;
        read += 1;
    }
    let more = timeout(SETTLE, reader.event()).await;
    ensure!(more.is_err(), "more events came than were accepted");
    Ok(Row::new(format!("a stream reader cut off {count} times under load"))
        .with("events", accepted as f64, "")
        .with_goal("missing, repeated or out of order", 0.0, "", Goal::AtMost(0.0)))
}
