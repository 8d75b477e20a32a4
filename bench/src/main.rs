//! The command line of the bench: each subcommand makes one run and prints its row.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use sonnette_bench::figures::{Row, TABLE_HEAD, medians};
use sonnette_bench::ledger;
use sonnette_bench::receiver::{Receiver, Script, Watch};
use sonnette_bench::runs::{Ground, bare, flow, hooks, intake, latency, mail, memory, pages, streams};
use sonnette_bench::server::Program;

#[derive(Parser)]
#[command(about = "Measures Sonnette from outside, on this machine's loopback", version)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    run: Run,
}

#[derive(Args, Clone)]
struct Common {
    /// The server's release binary
    #[arg(long, global = true, default_value = "target/release/sonnette", value_name = "FILE")]
    binary: PathBuf,
    /// A configuration file for the server
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where data directories are made and removed: on the disk that is to be measured, not in memory
    #[arg(long, global = true, default_value = "target/bench", value_name = "DIR")]
    root: PathBuf,
    /// How often each run is made; medians are shown
    #[arg(long, global = true, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=99))]
    runs: u16,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand, Clone)]
enum Run {
    /// Generator and receiver with nothing between
    Bare {
        #[arg(long, default_value_t = 64)]
        connections: usize,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Events accepted a second, with what they owe held
    Intake {
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// Events of one post
        #[arg(long, default_value_t = 1)]
        batch: usize,
        /// Events bring UUIDs of version 4
        #[arg(long)]
        client_ids: bool,
        /// Events, with ids, to put into the store first
        #[arg(long, default_value_t = 0)]
        preload: u64,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Accepted, received and recorded, to one raw hook
    EndToEnd {
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// Deliveries under way at most
        #[arg(long, default_value_t = 2_000)]
        backlog: u64,
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// The same to ten raw hooks
    FanOut {
        #[arg(long, default_value_t = 10)]
        hooks: usize,
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// Deliveries under way at most
        #[arg(long, default_value_t = 5_000)]
        backlog: u64,
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// From the moment a post is due to the receiver, at a fixed rate
    Latency {
        /// Events a second
        #[arg(long, default_value_t = 200)]
        rate: u32,
        #[arg(long, default_value_t = 32)]
        connections: usize,
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Memory at rest and with a backlog, and how soon a restart is ready
    Memory {
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        /// Seconds the server at rest is left alone
        #[arg(long, default_value_t = 60)]
        rest: u64,
    },
    /// 100,000 hooks of 10,000 owners against 10 hooks
    Hooks {
        #[arg(long, default_value_t = 10_000)]
        owners: u64,
        #[arg(long, default_value_t = 10)]
        hooks_each: usize,
        /// Events a second while latency is measured
        #[arg(long, default_value_t = 2_000)]
        rate: u32,
        #[arg(long, default_value_t = 64)]
        connections: usize,
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// What the console's pages weigh, and how long they take, on a full store
    Pages {
        #[arg(long, default_value_t = 100_000)]
        deliveries: u64,
        /// Hooks of the owner that is looked at; more than 1,000 need a --config that allows them
        #[arg(long, default_value_t = 1_000)]
        hooks: usize,
        #[arg(long, default_value_t = 5_000)]
        applications: u64,
    },
    /// Letters a second to a relay that takes them at once: not signed, by RSA, by RSA and Ed25519
    Mail {
        #[arg(long, default_value_t = 10_000)]
        letters: u64,
        /// Addresses of the hook: letters of one event
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
        addresses: u64,
    },
    /// Readers of streams: idle, stalled, and cut off again and again; 0 leaves one out
    Streams {
        #[arg(long, default_value_t = 10_000)]
        idle: usize,
        #[arg(long, default_value_t = 1_000)]
        stalled: usize,
        #[arg(long, default_value_t = 100)]
        resumes: usize,
    },
    /// Every run of docs/benchmarks.md, as one table
    All {
        /// Write the table there too
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Events in the store for the runs with ids
        #[arg(long, default_value_t = 5_000_000)]
        preload: u64,
    },
    /// Kill the server again and again under load, and account for every accepted event
    Ledger {
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        kills: u32,
        /// What the moments of the kills are drawn from; by chance if left out
        #[arg(long)]
        seed: Option<u64>,
        #[arg(long, default_value_t = 16)]
        connections: usize,
    },
    /// A receiver to try things with
    Receive {
        #[arg(long, default_value = "127.0.0.1:9000")]
        listen: std::net::SocketAddr,
        /// Such as `204*9,500,slow:250,hang`, over and over
        #[arg(long, default_value = "204")]
        script: Script,
        /// How long it runs
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<ExitCode> {
    let Cli { common, run } = Cli::parse();
    match run {
        Run::Ledger { kills, seed, connections } => count(&common, kills, seed, connections),
        Run::Receive { listen, script, seconds } => receive(listen, script, seconds),
        run => measure(&common, run),
    }
}

/// The generator has one thread, as the receiver has: more would only take the server's processor time.
fn measure(common: &Common, run: Run) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (runs, output) = match run {
        Run::All { output, preload } => (all(preload), output),
        run => (vec![run], None),
    };
    let mut table = TABLE_HEAD.to_owned();
    if !common.json {
        println!("{TABLE_HEAD}");
    }
    for run in runs {
        let command = command(&run);
        for row in runtime.block_on(rows(common, run))? {
            if common.json {
                println!("{}", serde_json::to_string(&row)?);
            } else {
                println!("{}", row.markdown(&command));
            }
            table.push('\n');
            table.push_str(&row.markdown(&command));
        }
    }
    if let Some(output) = output {
        std::fs::write(&output, table + "\n").with_context(|| output.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn rows(common: &Common, run: Run) -> anyhow::Result<Vec<Row>> {
    let program = Program { binary: common.binary.clone(), config: common.config.clone() };
    let ground = Ground { program, root: common.root.clone() };
    let times = usize::from(common.runs);
    let seconds = Duration::from_secs;
    let mut kinds: Vec<Vec<Row>> = vec![Vec::new(), Vec::new(), Vec::new()];
    match run {
        Run::Intake { connections, batch, client_ids, preload, seconds: time } => {
            let time = seconds(time);
            let options = intake::Options { connections, batch, ids: client_ids, preload, time, runs: times };
            kinds[0] = intake::run(&ground, options).await?;
        }
        run => {
            for _ in 0..times {
                match run {
                    Run::Bare { connections, seconds: time } => {
                        kinds[0].push(bare::run(connections, seconds(time)).await?);
                    }
                    Run::EndToEnd { connections, backlog, seconds: time } => {
                        let options = flow::Options { hooks: 1, connections, backlog, time: seconds(time) };
                        kinds[0].push(flow::run(&ground, options).await?);
                    }
                    Run::FanOut { hooks, connections, backlog, seconds: time } => {
                        ensure!(hooks > 0, "--hooks must be at least 1");
                        let options = flow::Options { hooks, connections, backlog, time: seconds(time) };
                        kinds[0].push(flow::run(&ground, options).await?);
                    }
                    Run::Latency { rate, connections, seconds: time } => {
                        let options = latency::Options { rate, connections, time: seconds(time) };
                        kinds[0].push(latency::run(&ground, options).await?);
                    }
                    Run::Memory { events, rest } => {
                        let options = memory::Options { events, rest: seconds(rest) };
                        kinds[0].push(memory::idle(&ground, options).await?);
                        kinds[1].push(memory::refused(&ground, options).await?);
                        kinds[2].push(memory::hanging(&ground, options).await?);
                    }
                    Run::Hooks { owners, hooks_each, rate, connections, seconds: time } => {
                        ensure!(owners > 0 && hooks_each > 0, "--owners and --hooks-each must be at least 1");
                        let time = seconds(time);
                        let options = hooks::Options { owners, hooks_each, rate, connections, time };
                        kinds[0].push(hooks::run(&ground, options).await?);
                    }
                    Run::Mail { letters, addresses } => {
                        for (rows, signing) in kinds.iter_mut().zip(mail::Signing::ALL) {
                            let options = mail::Options { letters, addresses, signing };
                            rows.push(mail::run(&ground, options).await?);
                        }
                    }
                    Run::Streams { idle, stalled, resumes } => {
                        if idle > 0 {
                            kinds[0].push(streams::idle(&ground, idle).await?);
                        }
                        if stalled > 0 {
                            kinds[1].push(streams::stalled(&ground, stalled).await?);
                        }
                        if resumes > 0 {
                            kinds[2].push(streams::resumes(&ground, resumes).await?);
                        }
                    }
                    Run::Pages { deliveries, hooks, applications } => {
                        let options = pages::Options { deliveries, hooks, applications };
                        let rows = pages::run(&ground, options).await?;
                        kinds.resize(kinds.len().max(rows.len()), Vec::new());
                        kinds.iter_mut().zip(rows).for_each(|(kind, row)| kind.push(row));
                    }
                    Run::Intake { .. } | Run::All { .. } | Run::Ledger { .. } | Run::Receive { .. } => {}
                }
            }
        }
    }
    Ok(kinds.into_iter().filter_map(medians).collect())
}

/// The runs of issue 3, "Speed to reach", cheapest first.
fn all(preload: u64) -> Vec<Run> {
    let intake = |batch, preload: u64| Run::Intake {
        connections: 64,
        batch,
        client_ids: preload > 0,
        preload,
        seconds: 10,
    };
    let latency = |rate| Run::Latency { rate, connections: 32, seconds: 30 };
    vec![
        Run::Bare { connections: 64, seconds: 10 },
        intake(1, 0),
        intake(100, 0),
        Run::EndToEnd { connections: 64, backlog: 2_000, seconds: 60 },
        Run::FanOut { hooks: 10, connections: 64, backlog: 5_000, seconds: 30 },
        latency(200),
        latency(2_000),
        Run::Hooks { owners: 10_000, hooks_each: 10, rate: 2_000, connections: 64, seconds: 10 },
        Run::Memory { events: 1_000_000, rest: 60 },
        Run::Mail { letters: 10_000, addresses: 10 },
        Run::Streams { idle: 10_000, stalled: 1_000, resumes: 100 },
        Run::Pages { deliveries: 100_000, hooks: 1_000, applications: 5_000 },
        intake(1, preload),
        intake(100, preload),
    ]
}

/// The command that makes a run again, where it is not as usual.
fn command(run: &Run) -> String {
    match run {
        Run::Bare { connections, seconds } => format!("bare --connections {connections} --seconds {seconds}"),
        Run::Intake { connections, batch, client_ids, preload, seconds } => {
            let ids = if *client_ids { " --client-ids" } else { "" };
            let preload = if *preload > 0 { format!(" --preload {preload}") } else { String::new() };
            format!("intake --connections {connections} --batch {batch} --seconds {seconds}{ids}{preload}")
        }
        Run::EndToEnd { connections, backlog, seconds } => {
            format!("end-to-end --connections {connections} --backlog {backlog} --seconds {seconds}")
        }
        Run::FanOut { hooks, connections, backlog, seconds } => {
            format!(
                "fan-out --hooks {hooks} --connections {connections} --backlog {backlog} --seconds {seconds}"
            )
        }
        Run::Latency { rate, connections, seconds } => {
            format!("latency --rate {rate} --connections {connections} --seconds {seconds}")
        }
        Run::Memory { events, rest } => format!("memory --events {events} --rest {rest}"),
        Run::Hooks { owners, hooks_each, rate, .. } => {
            format!("hooks --owners {owners} --hooks-each {hooks_each} --rate {rate}")
        }
        Run::Mail { letters, addresses } => format!("mail --letters {letters} --addresses {addresses}"),
        Run::Streams { idle, stalled, resumes } => {
            format!("streams --idle {idle} --stalled {stalled} --resumes {resumes}")
        }
        Run::Pages { deliveries, hooks, applications } => {
            format!("pages --deliveries {deliveries} --hooks {hooks} --applications {applications}")
        }
        Run::All { .. } => "all".to_owned(),
        Run::Ledger { kills, .. } => format!("ledger --kills {kills}"),
        Run::Receive { .. } => "receive".to_owned(),
    }
}

fn count(common: &Common, kills: u32, seed: Option<u64>, connections: usize) -> anyhow::Result<ExitCode> {
    let seed = seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    // Before anything can go wrong: it is what repeats the run.
    eprintln!("seed {seed}");
    let usual = ledger::Options::new(common.binary.clone(), common.root.clone(), kills);
    let report = ledger::run(ledger::Options { seed, connections, ..usual })?;
    if common.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn receive(listen: std::net::SocketAddr, script: Script, seconds: u64) -> anyhow::Result<ExitCode> {
    let receiver = Receiver::start_at(listen, Watch::Count, script)?;
    println!("receiving on {}", receiver.url(0));
    let mut last = 0;
    for _ in 0..seconds {
        // A line a second, for whoever watches.
        std::thread::sleep(Duration::from_secs(1));
        let now = receiver.received();
        if now != last {
            println!("{now} received, {} in the last second", now - last);
        }
        last = now;
    }
    Ok(ExitCode::SUCCESS)
}
