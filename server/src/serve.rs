//! `sonnette serve`: reads the configuration, starts everything, and stops well when told.

use std::convert::Infallible;
use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app;
use crate::cli::{Installation, ServeArgs};
use crate::config::{self, Config, Sources};
use crate::http::tls::Certificates;

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
    // Without TLS SIGHUP ends us, as it ends any program whose terminal goes.
    let hangup = match &config.tls {
        Some(_) => Some(signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?),
        None => None,
    };
    let (data, mail) = (config.data.clone(), config::mail_says(&config.mail));
    let running = app::start(config).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "letters: {mail}")?;
    writeln!(out, "operator token: {}", data.join(app::TOKEN_FILE).display())?;
    writeln!(out, "listening on {}", running.origin())?;
    out.flush()?;
    drop(out);
    tokio::select! {
        () = stop.wait() => {}
        never = renew(running.certificates.as_deref(), hangup) => match never {},
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Reads the certificate again at every SIGHUP.
async fn renew(certificates: Option<&Certificates>, hangup: Option<Signal>) -> Infallible {
    let (Some(certificates), Some(mut hangup)) = (certificates, hangup) else {
        return std::future::pending().await;
    };
    loop {
        hangup.recv().await;
        match certificates.reload() {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => tracing::error!(%error, "the certificate stays as it was"),
        }
    }
}

/// SIGTERM or SIGINT.
pub(crate) struct Stop {
    term: Signal,
    int: Signal,
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
    let filter =
        EnvFilter::try_new(level).with_context(|| format!("log.level: `{level}` is no log filter"))?;
    // A line that cannot be written is lost. Saying so, on the same full disk, would be a panic in whoever wrote it.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let set = if json { log.json().try_init() } else { log.try_init() };
    set.map_err(|error| anyhow::anyhow!("the log cannot be set up: {error}"))
}
