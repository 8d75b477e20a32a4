//! The server under test: the real binary as a child process, started, watched, stopped or killed.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// What the server says when it is ready, before its address.
const READY: &str = "listening on http://";
/// How long it may take to say so: far more than it ever should.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long it may take to finish after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// The unit of times in `/proc/PID/stat` (`USER_HZ`, 100 on every Linux there is).
const TICKS_PER_SECOND: f64 = 100.0;

/// Which program to run, and how.
#[derive(Debug, Clone)]
pub struct Program {
    /// The binary.
    pub binary: PathBuf,
    /// A configuration file, if not the defaults.
    pub config: Option<PathBuf>,
}

/// A server that was started and may not be ready yet. Killed when dropped.
#[derive(Debug)]
pub struct Starting {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    since: Instant,
    data: PathBuf,
}

/// A server that is ready. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: u32,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process to the line that says it is ready.
    pub start_took: Duration,
    data: PathBuf,
}

/// What a process uses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Memory now, in KiB (`VmRSS`).
    pub rss: u64,
    /// Memory at most so far, in KiB (`VmHWM`).
    pub peak: u64,
    /// Processor time so far, in seconds, over all its threads.
    pub cpu: f64,
}

impl Program {
    /// Starts it on a data directory; what it says on stderr is appended to `server.log` beside that directory.
    ///
    /// # Errors
    /// If the binary cannot be run.
    pub fn start(&self, data: &Path) -> anyhow::Result<Starting> {
        let log = data.with_file_name("server.log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| log.display().to_string())?;
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0", "--dev"]);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let since = Instant::now();
        let mut child = command.spawn().with_context(|| {
            format!("cannot run {}: build it with `cargo build --release`", self.binary.display())
        })?;
        let stdout = child.stdout.take().ok_or_else(|| anyhow!("the server has no stdout"))?;
        Ok(Starting { child, lines: BufReader::new(stdout).lines(), since, data: data.to_owned() })
    }
}

impl Starting {
    /// Waits until it is ready.
    ///
    /// # Errors
    /// If it ends or says nothing for two minutes.
    pub async fn ready(mut self) -> anyhow::Result<Server> {
        let address = timeout(START_LIMIT, async {
            while let Some(line) = self.lines.next_line().await? {
                if let Some(address) = line.trim().strip_prefix(READY) {
                    return address.parse().with_context(|| format!("`{address}` is not an address"));
                }
            }
            let status = self.child.wait().await?;
            bail!("the server ended before it was ready ({status}); see {}", log_of(&self.data))
        });
        let address = address.await.map_err(|_| {
            anyhow!("the server was not ready within {} s; see {}", START_LIMIT.as_secs(), log_of(&self.data))
        })??;
        let start_took = self.since.elapsed();
        let pid = self.child.id().ok_or_else(|| anyhow!("the server ended at once"))?;
        // Whatever else it prints must not fill the pipe and stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = self.lines.next_line().await {} });
        Ok(Server { child: self.child, pid, address, start_took, data: self.data })
    }

    /// Kills it in the middle of its start.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

fn log_of(data: &Path) -> String {
    data.with_file_name("server.log").display().to_string()
}

impl Server {
    /// The operator token the first start wrote.
    ///
    /// # Errors
    /// If there is none.
    pub fn token(&self) -> anyhow::Result<String> {
        let path = self.data.join("operator-token");
        let token = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(token.trim().to_owned())
    }

    /// Kills it as a power cut would, as far as the process is concerned (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// If it had ended by itself, which it never should.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server had ended by itself ({status}); see {}", log_of(&self.data));
        }
        Ok(self.child.kill().await?)
    }

    /// Asks it to finish (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// If it does not end within a minute, or not with 0.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        // std has no signal but KILL, and the safe way to another is the program of that name.
        let sent = Command::new("kill").arg("-TERM").arg(self.pid.to_string()).status().await?;
        ensure!(sent.success(), "SIGTERM could not be sent");
        let status = timeout(STOP_LIMIT, self.child.wait())
            .await
            .map_err(|_| anyhow!("the server did not end within {} s of SIGTERM", STOP_LIMIT.as_secs()))??;
        ensure!(status.success(), "the server ended with {status} after SIGTERM; see {}", log_of(&self.data));
        Ok(())
    }

    /// What it uses.
    ///
    /// # Errors
    /// If `/proc` does not say.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        read_usage(&status, &stat).ok_or_else(|| anyhow!("/proc/{}/ is not as expected", self.pid))
    }
}

fn read_usage(status: &str, stat: &str) -> Option<Usage> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    // proc(5): fields 14 and 15 are utime and stime; the name (field 2) may hold spaces, but ends with the last `)`.
    let mut times = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks: f64 = times.next()?.parse::<f64>().ok()? + times.next()?.parse::<f64>().ok()?;
    Some(Usage { rss: field("VmRSS:")?, peak: field("VmHWM:")?, cpu: ticks / TICKS_PER_SECOND })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_whatever_the_process_is_called() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 100";
        let usage = read_usage("Name:\ta\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n", stat).unwrap();
        assert_eq!((usage.rss, usage.peak), (1024, 2048));
        assert!((usage.cpu - 3.0).abs() < 1e-9);
    }
}
