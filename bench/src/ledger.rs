//! The loss ledger: events are posted under load, the real server is killed at random moments and started again, and
//! in the end every accepted event is accounted for at the receiver.
//!
//! Even posts bring an id and are posted again until they are answered, across kills: each must become exactly one
//! event. Odd posts bring none; one whose answer the kill swallowed is *unknown* and may arrive once or not at all.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::api::{Api, Call};
use crate::book::{self, Balance, Fate};
use crate::line::{Answer, Line};
use crate::payload::{self, Payload, uuid_of};
use crate::receiver::{Receiver, Script, Watch};
use crate::server::{Program, Server};

/// One kill in so many falls into the start of the server.
const START_KILLS: u32 = 8;
/// How far into its start a server is killed at most.
const INTO_START: Duration = Duration::from_millis(40);
/// How long a poster may take to notice that the server is gone.
const NOTICE_LIMIT: Duration = Duration::from_secs(10);
/// How long the last posts may take.
const LAST_POSTS: Duration = Duration::from_secs(60);
/// How long a poster waits after 429 or 503.
const AFTER_REFUSAL: Duration = Duration::from_millis(20);
/// How long a poster with nothing to post waits.
const IDLE: Duration = Duration::from_millis(2);

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's binary.
    pub binary: PathBuf,
    /// A directory for the data; kept only if the account does not balance.
    pub root: PathBuf,
    /// How often to kill.
    pub kills: u32,
    /// What the moments of the kills and the ids are drawn from.
    pub seed: u64,
    /// Connections that post.
    pub connections: usize,
    /// Bytes of one event.
    pub size: usize,
    /// How long a server lives at most before it is killed.
    pub longest_life: Duration,
    /// New events between two kills at most, which bounds the data.
    pub events_per_life: u64,
    /// How long the last deliveries may take.
    pub drain: Duration,
}

impl Options {
    /// Usual bounds, for this binary and this many kills.
    pub fn new(binary: PathBuf, root: PathBuf, kills: u32) -> Self {
        Self {
            binary,
            root,
            kills,
            seed: 1,
            connections: 16,
            size: 1024,
            longest_life: Duration::from_millis(800),
            events_per_life: 10_000,
            drain: Duration::from_secs(180),
        }
    }
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The seed that repeats the moments of the kills.
    pub seed: u64,
    /// Kills.
    pub kills: u32,
    /// Of those, how many fell into a start.
    pub kills_during_start: u32,
    /// Posts again of what had not been answered.
    pub reposted: u64,
    /// The account.
    #[serde(flatten)]
    pub balance: Balance,
    /// How long it all took, in seconds.
    pub seconds: u64,
    /// Where the data is, if the account does not balance.
    pub kept: Option<PathBuf>,
}

impl Report {
    /// Whether events were accepted, every one of them arrived, and nothing else did.
    pub fn holds(&self) -> bool {
        self.balance.holds() && self.balance.accepted > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Balance { accepted, received, duplicates, unknown, unknown_received, refused, .. } =
            &self.balance;
        let Balance { lost, invented, renamed, mangled, findings, .. } = &self.balance;
        writeln!(f, "{} kills ({} during a start), seed {}", self.kills, self.kills_during_start, self.seed)?;
        writeln!(f, "accepted {accepted}, received {received}, duplicates {duplicates}")?;
        writeln!(
            f,
            "unknown {unknown} ({unknown_received} received), refused {refused}, reposted {}",
            self.reposted
        )?;
        write!(
            f,
            "lost {lost}, invented {invented}, renamed {renamed}, mangled {mangled} ({} s)",
            self.seconds
        )?;
        findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))?;
        self.kept.iter().try_for_each(|kept| write!(f, "\ndata kept in {}", kept.display()))
    }
}

/// Runs the ledger on a runtime of its own.
///
/// # Errors
/// If the server cannot be run, ends by itself, or does not come to rest. A balance that does not hold is no error but
/// a [`Report`].
pub fn run(options: Options) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_async(options))
}

async fn run_async(options: Options) -> anyhow::Result<Report> {
    let start = Instant::now();
    std::fs::create_dir_all(&options.root)?;
    let directory = tempfile::Builder::new().prefix("ledger-").tempdir_in(&options.root)?;
    let outcome = kill_and_count(&options, directory.path().join("data")).await;
    let mut report = match outcome {
        Ok(report) => report,
        Err(error) => return Err(error.context(format!("data kept in {}", directory.keep().display()))),
    };
    report.seconds = start.elapsed().as_secs();
    if !report.holds() {
        report.kept = Some(directory.keep());
    }
    Ok(report)
}

async fn kill_and_count(options: &Options, data: PathBuf) -> anyhow::Result<Report> {
    let mut moments = StdRng::seed_from_u64(options.seed);
    let tail = Bytes::from(Payload::new(options.size, true)?.frame_tail());
    let receiver = Receiver::start(Watch::Record(tail), Script::default())?;
    let program = Program { binary: options.binary.clone(), config: None };
    let mut server = Some(program.start(&data)?.ready().await?);
    let (hook, token) = set_up(server.as_ref(), &receiver).await?;
    let book = Arc::new(Book::new(options));

    let mut kills_during_start = 0;
    for kill in 1..=options.kills {
        // The first server is ready already: it had to be told whom to tell.
        let alive = match server.take() {
            Some(alive) => alive,
            None => {
                let starting = program.start(&data)?;
                if moments.random_range(0..START_KILLS) == 0 {
                    tokio::time::sleep(moment(&mut moments, INTO_START)).await;
                    starting.kill().await?;
                    kills_during_start += 1;
                    continue;
                }
                starting.ready().await?
            }
        };
        book.allow(options.events_per_life);
        let posters = post(&book, options.connections, alive.address, &token);
        tokio::time::sleep(moment(&mut moments, options.longest_life)).await;
        alive.kill().await.with_context(|| format!("kill {kill}"))?;
        join(posters, NOTICE_LIMIT).await?;
    }

    let last = match server {
        Some(alive) => alive,
        None => program.start(&data)?.ready().await?,
    };
    book.allow(0);
    book.finish();
    join(post(&book, options.connections, last.address, &token), LAST_POSTS).await?;
    let api = Api { address: last.address, token };
    let settled = api.settled(&[hook], options.drain).await;
    let mut balance = book::balance(&book.lock().fates, &receiver.seen());
    if let Err(error) = settled {
        balance.findings.push(error.to_string());
        if balance.holds() {
            bail!("every accepted event arrived, but {error}");
        }
    }
    last.kill().await?;
    let reposted = book.lock().reposted;
    let kills = options.kills;
    Ok(Report { seed: options.seed, kills, kills_during_start, reposted, balance, seconds: 0, kept: None })
}

async fn set_up(server: Option<&Server>, receiver: &Receiver) -> anyhow::Result<(String, Arc<str>)> {
    let server = server.context("no server")?;
    let token: Arc<str> = server.token()?.into();
    let api = Api { address: server.address, token: Arc::clone(&token) };
    let owner = payload::owner(0);
    api.import_owners(std::slice::from_ref(&owner)).await?;
    let mut hooks = api.add_hooks(vec![Call::add_hook(&owner, &receiver.url(0), true)]).await?;
    Ok((hooks.pop().context("no hook")?, token))
}

fn moment(rng: &mut StdRng, most: Duration) -> Duration {
    Duration::from_micros(rng.random_range(0..=u64::try_from(most.as_micros()).unwrap_or(u64::MAX)))
}

/// What was posted so far, shared by all posters.
struct Book {
    pages: Mutex<Pages>,
    seed: u64,
    size: usize,
}

struct Pages {
    /// By number.
    fates: Vec<Fate>,
    /// Numbers to be posted again.
    again: VecDeque<u64>,
    /// Numbers under way.
    in_flight: usize,
    reposted: u64,
    /// New numbers allowed.
    allowed: u64,
    /// Whether posters end when there is nothing to post.
    finishing: bool,
}

enum Next {
    Post(u64),
    Wait,
    End,
}

impl Book {
    fn new(options: &Options) -> Self {
        let pages = Pages {
            fates: Vec::new(),
            again: VecDeque::new(),
            in_flight: 0,
            reposted: 0,
            allowed: 0,
            finishing: false,
        };
        Self { pages: Mutex::new(pages), seed: options.seed, size: options.size }
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allow(&self, events: u64) {
        self.lock().allowed = events;
    }

    fn finish(&self) {
        self.lock().finishing = true;
    }

    fn next(&self) -> Next {
        let mut pages = self.lock();
        if let Some(number) = pages.again.pop_front() {
            pages.reposted += 1;
            pages.in_flight += 1;
            return Next::Post(number);
        }
        if pages.allowed > 0 {
            pages.allowed -= 1;
            pages.in_flight += 1;
            pages.fates.push(Fate::Open);
            return Next::Post(pages.fates.len() as u64 - 1);
        }
        if pages.finishing && pages.in_flight == 0 { Next::End } else { Next::Wait }
    }

    /// Writes down what came of a post.
    fn close(&self, number: u64, came: Came) {
        let mut pages = self.lock();
        pages.in_flight -= 1;
        let fate = match came {
            Came::Fate(fate) => fate,
            Came::Silence | Came::Later(_) if has_id(number) => {
                pages.again.push_back(number);
                return;
            }
            Came::Silence => Fate::Unknown,
            Came::Later(429) => Fate::Refused(429),
            // A store that fails may have written before it did.
            Came::Later(_) => Fate::Unknown,
        };
        if let Some(place) = usize::try_from(number).ok().and_then(|index| pages.fates.get_mut(index)) {
            *place = fate;
        }
    }
}

/// What came of a post.
enum Came {
    Fate(Fate),
    /// The connection broke before the answer.
    Silence,
    /// `429` or `503`: come again.
    Later(u16),
}

fn has_id(number: u64) -> bool {
    number.is_multiple_of(2)
}

fn post(
    book: &Arc<Book>,
    connections: usize,
    address: SocketAddr,
    token: &str,
) -> JoinSet<anyhow::Result<()>> {
    let mut posters = JoinSet::new();
    for _ in 0..connections {
        posters.spawn(poster(Arc::clone(book), address, format!("Bearer {token}")));
    }
    posters
}

async fn join(mut posters: JoinSet<anyhow::Result<()>>, limit: Duration) -> anyhow::Result<()> {
    let all = async {
        while let Some(ended) = posters.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    timeout(limit, all).await.context("posters did not come to an end")?
}

/// Posts until the connection breaks, which is how a poster learns of a kill, or until the book says it is done.
async fn poster(book: Arc<Book>, address: SocketAddr, authorization: String) -> anyhow::Result<()> {
    let host = HeaderValue::from_str(&address.to_string())?;
    let authorization = HeaderValue::from_str(&authorization)?;
    let (mut with_id, mut without) = (Payload::new(book.size, true)?, Payload::new(book.size, false)?);
    let owner = payload::owner(0);
    // Killed before the connection stood.
    let Ok(mut line) = Line::open(address).await else { return Ok(()) };
    loop {
        let number = match book.next() {
            Next::Post(number) => number,
            Next::Wait => {
                tokio::time::sleep(IDLE).await;
                if line.is_closed().await {
                    return Ok(());
                }
                continue;
            }
            Next::End => return Ok(()),
        };
        let payload = if has_id(number) { &mut with_id } else { &mut without };
        let time = payload::constant_time(number);
        let event = payload.stamp(&owner, number, time, uuid_of(book.seed, number));
        let request = Request::post("/api/v1/events")
            .header(HOST, &host)
            .header(AUTHORIZATION, &authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::copy_from_slice(event)))?;
        match line.exchange(request).await {
            Ok(answer) => {
                let came = read(&answer)?;
                let later = matches!(came, Came::Later(_));
                book.close(number, came);
                if later {
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
            }
            Err(_) => {
                book.close(number, Came::Silence);
                return Ok(());
            }
        }
    }
}

fn read(answer: &Answer) -> anyhow::Result<Came> {
    Ok(match answer.status {
        200 | 202 => {
            let body: Value =
                serde_json::from_slice(&answer.body).context("the answer to an accepted event")?;
            Came::Fate(Fate::Accepted(body["id"].as_str().context("an accepted event has an id")?.into()))
        }
        status @ (429 | 503) => Came::Later(status),
        status @ 400..500 => {
            bail!("a valid event was refused with {status}: {}", String::from_utf8_lossy(&answer.body))
        }
        status => bail!("an event was answered with {status}"),
    })
}
