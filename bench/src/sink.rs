//! A relay that takes every letter at once and forgets it: SMTP (RFC 5321) as far as a sender needs it, on a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, anyhow};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Bytes of a line that are read; RFC 5321, section 4.5.3.1.6 has 1,000.
const LONGEST_LINE: u64 = 4_096;

#[derive(Debug, Default)]
struct Counts {
    letters: AtomicU64,
    signed: AtomicU64,
    connections: AtomicU64,
}

/// A relay that runs until it is dropped; then its port is closed and its connections are cut.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Sink {
    /// A relay on a free port of the loopback.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start() -> anyhow::Result<Self> {
        let counts = Arc::new(Counts::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("the relay")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let counting = Arc::clone(&counts);
        let thread = thread::Builder::new().name("relay".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    // A listener that cannot be taken over is one nobody connects to, which the run says.
                    () = accept(listener, counting) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, counts, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Letters taken.
    pub fn letters(&self) -> u64 {
        self.counts.letters.load(Ordering::Relaxed)
    }

    /// DKIM signatures on them.
    pub fn signatures(&self) -> u64 {
        self.counts.signed.load(Ordering::Relaxed)
    }

    /// Connections taken.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say any more.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, counts: Arc<Counts>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        counts.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(converse(stream, Arc::clone(&counts)));
    }
}

/// One connection, to its end.
async fn converse(stream: TcpStream, counts: Arc<Counts>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(32 << 10, stream);
    stream.write_all(b"220 relay.example.org ready\r\n").await?;
    let mut line = Vec::new();
    while next(&mut stream, &mut line).await? {
        let word = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let said: &[u8] = match word.as_slice() {
            b"EHLO" => b"250-relay.example.org\r\n250 8BITMIME\r\n",
            b"DATA" => b"354 go on\r\n",
            b"QUIT" => b"221 2.0.0 bye\r\n",
            b"HELO" | b"MAIL" | b"RCPT" | b"RSET" | b"NOOP" => b"250 2.0.0 fine\r\n",
            _ => b"500 5.5.2 unknown\r\n",
        };
        stream.write_all(said).await?;
        match word.as_slice() {
            b"QUIT" => break,
            b"DATA" => {
                while next(&mut stream, &mut line).await? && line != b".\r\n" {
                    if line.starts_with(b"DKIM-Signature:") {
                        counts.signed.fetch_add(1, Ordering::Relaxed);
                    }
                }
                counts.letters.fetch_add(1, Ordering::Relaxed);
                stream.write_all(b"250 2.0.0 taken\r\n").await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The next line; `false` at the end.
async fn next(stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> anyhow::Result<bool> {
    line.clear();
    let read = stream.take(LONGEST_LINE).read_until(b'\n', line).await?;
    match (read, line.last()) {
        (0, _) => Ok(false),
        (_, Some(b'\n')) => Ok(true),
        _ => Err(anyhow!(io::Error::from(io::ErrorKind::InvalidData))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn letters_and_signatures_are_counted_over_one_connection() {
        let sink = Sink::start().unwrap();
        let mut stream = BufReader::new(TcpStream::connect(sink.address()).await.unwrap());
        let letter = "DKIM-Signature: v=1;\r\n b=x\r\nSubject: DATA\r\n\r\nQUIT\r\n..\r\n.\r\n";
        let commands = ["EHLO a\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n", "DATA\r\n", letter];
        let expected = ["250", "250", "250", "354", "250"];
        let mut said = String::new();
        stream.read_line(&mut said).await.unwrap();
        for round in 1..=2 {
            for (command, code) in commands.iter().zip(expected) {
                stream.write_all(command.as_bytes()).await.unwrap();
                loop {
                    said.clear();
                    stream.read_line(&mut said).await.unwrap();
                    assert!(said.starts_with(code), "{command}: {said}");
                    if said.as_bytes()[3] == b' ' {
                        break;
                    }
                }
            }
            assert_eq!((sink.letters(), sink.signatures(), sink.connections()), (round, round, 1));
        }
    }
}
