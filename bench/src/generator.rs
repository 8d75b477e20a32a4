//! The load generator: connections that are kept, as fast as the answers come or at a rate of its own.
//!
//! At a rate, the time of an event counts from when it *should* have been sent: a server that stalls cannot make its
//! own figures better by slowing the generator down (coordinated omission).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::poster::Poster;
use crate::receiver::Receiver;
use crate::{clock, payload};

/// How long answers may be awaited after the last post.
const LAST_ANSWERS: Duration = Duration::from_secs(30);
/// How often a connection looks whether there is room: seldom enough to cost next to nothing.
const ROOM_AGAIN: Duration = Duration::from_millis(4);

/// What is posted, and where.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where the server listens.
    pub address: SocketAddr,
    /// An operator token; none for a receiver.
    pub token: Option<Arc<str>>,
    /// Connections at once.
    pub connections: usize,
    /// Whose events, in turn.
    pub owners: Arc<[String]>,
    /// Bytes of one event.
    pub size: usize,
    /// Events of one post; 1 posts an event, more an array.
    pub batch: usize,
    /// Whether events bring a UUID of version 4.
    pub ids: bool,
    /// What makes these ids other than those of another load.
    pub seed: u64,
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// After this time.
    pub time: Duration,
    /// After this many events.
    pub events: u64,
}

/// Keeps accepted events from running away from what arrives.
#[derive(Debug, Clone)]
pub struct Room {
    /// Events accepted so far.
    pub accepted: Arc<AtomicU64>,
    /// Where deliveries arrive.
    pub receiver: Arc<Receiver>,
    /// Deliveries an event owes.
    pub each: u64,
    /// Deliveries that may be under way.
    pub most: u64,
}

impl Room {
    async fn wait(&self) {
        while self.accepted.load(Ordering::Relaxed) * self.each > self.receiver.received() + self.most {
            // Being woken by each delivery would cost the cores that are measured more than looking does.
            tokio::time::sleep(ROOM_AGAIN).await;
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Events accepted.
    pub accepted: u64,
    /// Answers other than that, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Posts that were never answered.
    pub broken: u64,
    /// Microseconds of each post.
    pub took: Vec<u32>,
    /// From the first post to the last answer.
    pub elapsed: Duration,
}

impl Outcome {
    /// Accepted events a second.
    pub fn rate(&self) -> f64 {
        self.accepted as f64 / self.elapsed.as_secs_f64()
    }

    /// Fails if anything was refused or broke.
    ///
    /// # Errors
    /// If so, with the numbers.
    pub fn clean(self) -> anyhow::Result<Self> {
        ensure!(self.refused.is_empty(), "refused, by status: {:?}", self.refused);
        ensure!(self.broken == 0, "{} posts were never answered", self.broken);
        Ok(self)
    }

    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.broken += other.broken;
        other
            .refused
            .into_iter()
            .for_each(|(status, count)| *self.refused.entry(status).or_default() += count);
        self.took.extend(other.took);
    }
}

async fn posters(load: &Load) -> anyhow::Result<Vec<Poster>> {
    ensure!(load.batch > 0 && load.connections > 0 && !load.owners.is_empty(), "a load of nothing");
    let mut posters = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        posters.push(Poster::new(load.clone()).await?);
    }
    Ok(posters)
}

/// Every connection posts as soon as its last post is answered (and there is `room`).
///
/// # Errors
/// If connections cannot be kept, or answers stay away.
pub async fn closed(load: &Load, limits: Limits, room: Option<Room>) -> anyhow::Result<Outcome> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    let posters = posters(load).await?;
    let start = Instant::now();
    for mut poster in posters {
        let (next, room) = (Arc::clone(&next), room.clone());
        let step = load.batch as u64;
        tasks.spawn(async move {
            while start.elapsed() < limits.time {
                if let Some(room) = &room {
                    // Beyond the end of the run nobody waits for room.
                    let left = limits.time.saturating_sub(start.elapsed());
                    if timeout(left, room.wait()).await.is_err() {
                        break;
                    }
                }
                let first = next.fetch_add(step, Ordering::Relaxed);
                if first >= limits.events {
                    break;
                }
                let accepted = poster.post(first, clock::now()).await?;
                if let Some(room) = &room {
                    room.accepted.fetch_add(accepted, Ordering::Relaxed);
                }
            }
            anyhow::Ok(poster.outcome)
        });
    }
    gather(tasks, start, limits.time).await
}

/// Posts events at a rate, `rate` × `time` of them, each carrying the time at which it should be sent.
///
/// # Errors
/// If connections cannot be kept, or answers stay away.
pub async fn open(load: &Load, rate: u32, time: Duration) -> anyhow::Result<Outcome> {
    ensure!(rate > 0, "a rate of 0");
    let (tell, told) = mpsc::unbounded_channel();
    let told = Arc::new(Mutex::new(told));
    let mut tasks = JoinSet::new();
    for mut poster in posters(load).await? {
        let told = Arc::clone(&told);
        tasks.spawn(async move {
            loop {
                let next = told.lock().await.recv().await;
                let Some((number, due)) = next else { return anyhow::Ok(poster.outcome) };
                poster.post(number, due).await?;
            }
        });
    }
    let start = Instant::now();
    let pacer = thread::Builder::new().name("pacer".to_owned()).spawn(move || pace(rate, time, &tell))?;
    let outcome = gather(tasks, start, time).await;
    pacer.join().map_err(|_| anyhow!("the pacer panicked"))?;
    outcome
}

/// Says when each event is due. A thread of its own, because the runtime's timers are only good to a millisecond.
fn pace(rate: u32, time: Duration, tell: &mpsc::UnboundedSender<(u64, u64)>) {
    let start = clock::now();
    let total = (f64::from(rate) * time.as_secs_f64()) as u64;
    for number in 0..total {
        let due = start + number * 1_000_000_000 / u64::from(rate);
        // The rate itself: an event is due at its time, whatever became of those before.
        thread::sleep(clock::until(due));
        if tell.send((number, due)).is_err() {
            return;
        }
    }
}

async fn gather(
    mut tasks: JoinSet<anyhow::Result<Outcome>>,
    start: Instant,
    time: Duration,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let all = async {
        while let Some(one) = tasks.join_next().await {
            outcome.add(one??);
        }
        anyhow::Ok(())
    };
    match timeout(time + LAST_ANSWERS, all).await {
        Ok(done) => done?,
        Err(_) => bail!("answers stayed away for {} s", LAST_ANSWERS.as_secs()),
    }
    outcome.elapsed = start.elapsed();
    Ok(outcome)
}

/// The first owners there are.
pub fn owners(count: u64) -> Arc<[String]> {
    (0..count).map(payload::owner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::{Script, Watch};

    fn load(receiver: &Receiver, batch: usize) -> Load {
        let address = receiver.address();
        Load {
            address,
            token: None,
            connections: 4,
            owners: owners(2),
            size: 1024,
            batch,
            ids: false,
            seed: 1,
        }
    }

    #[tokio::test]
    async fn every_post_is_counted_where_it_arrives() {
        let receiver = Receiver::start(Watch::Count, Script::default()).unwrap();
        let limits = Limits { time: Duration::from_secs(20), events: 500 };
        let outcome = closed(&load(&receiver, 1), limits, None).await.unwrap().clean().unwrap();
        assert_eq!((outcome.accepted, receiver.received(), outcome.took.len()), (500, 500, 500));
    }

    #[tokio::test]
    async fn what_is_refused_is_told_by_its_status() {
        let receiver = Receiver::start(Watch::Count, "204,503".parse().unwrap()).unwrap();
        let limits = Limits { time: Duration::from_secs(20), events: 10 };
        let outcome = closed(&load(&receiver, 1), limits, None).await.unwrap();
        assert_eq!((outcome.accepted, outcome.refused.get(&503)), (5, Some(&5)));
    }

    #[tokio::test]
    async fn time_counts_from_when_a_post_was_due() {
        // One connection, 1,000 a second, 20 ms each: every post is later than the one before.
        let receiver = Receiver::start(Watch::Latency, "slow:20".parse().unwrap()).unwrap();
        let load = Load { connections: 1, ..load(&receiver, 1) };
        let outcome = open(&load, 1_000, Duration::from_millis(10)).await.unwrap();
        assert_eq!(outcome.accepted, 10);
        assert!(outcome.took.windows(2).all(|pair| pair[1] > pair[0]), "{:?}", outcome.took);
        assert_eq!(receiver.take_latencies().len(), 10);
    }
}
