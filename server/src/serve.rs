//! `sonnette serve`: reads the configuration, starts everything, and stops well when told.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::app;
use crate::cli::{Installation, ServeArgs};
use crate::config::{self, Config, Sources};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// In words for whoever starts the server.
pub fn run(args: ServeArgs) -> Result<ExitCode> {
    let ServeArgs { installation, listen, dev } = args;
    let config = config::read(&Sources { listen, dev, ..sources(&installation) })?;
    log(&config.log_level, config.log_json)?;
    runtime()?.block_on(serve(config))
}

/// Where the configuration comes from, for commands that listen to nobody.
pub(crate) fn sources(installation: &Installation) -> Sources {
    Sources { file: installation.config.clone(), data: installation.data.clone(), ..Sources::default() }
}

async fn serve(config: Config) -> Result<ExitCode> {
    let mut stop = Stop::new()?;
    let (data, mail) = (config.data.clone(), config::mail_says(&config.mail));
    let running = app::start(config).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "letters: {mail}")?;
    writeln!(out, "operator token: {}", data.join(app::TOKEN_FILE).display())?;
    writeln!(out, "listening on http://{}", running.address)?;
    out.flush()?;
    drop(out);
    stop.wait().await;
    tracing::info!("stopping");
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// SIGTERM or SIGINT.
pub(crate) struct Stop {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Stop {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            int: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// The runtime everything runs on.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// Sets up the log, once. It goes to standard error; standard output is for answers.
pub(crate) fn log(level: &str, json: bool) -> Result<()> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(level).with_context(|| format!("log.level: `{level}` is no log filter"))?;
    // A line that cannot be written is lost. Saying so, on the same full disk, would be a panic in whoever wrote it.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let set = if json { log.json().try_init() } else { log.try_init() };
    set.map_err(|error| anyhow::anyhow!("the log cannot be set up: {error}"))
}
