//! `import`: fill the directory from a file of lines.
//!
//! The file goes out in slices, so its size has no limit; each slice is stored whole or not at all, and every line says how
//! things shall be, so after a correction the same file is simply imported again.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::client::{Access, Client};
use super::failure::{Failure, Problem};
use super::table::clean;
use super::terminal::Terminal;

/// The most lines of one request.
const MAX_LINES: usize = 1_000;
/// The most bytes of one request.
const MAX_BYTES: usize = 8 << 20;
/// How often a server that is busy (429, 503) is asked again for one slice.
const MAX_WAITS: u32 = 10;
/// The longest single wait for a busy server, in seconds.
const LONGEST_WAIT: u64 = 60;

/// Import users, organisations, members, applications and add-ons from a file of JSON lines
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(flatten)]
    pub(super) access: Access,
    /// The file; - for standard input. Each line holds one `user`, `organisation`, `member` or `resource`
    file: PathBuf,
}

/// Lines of one request, and where each of them stands in the file.
#[derive(Debug, Default)]
struct Slice {
    bytes: Vec<u8>,
    numbers: Vec<u64>,
}

/// Cuts a file into slices. Holds one slice and one line.
struct Slices<R> {
    source: R,
    read: u64,
    /// A line that did not fit into the slice before.
    left_over: Option<(u64, Vec<u8>)>,
}

impl<R: BufRead> Slices<R> {
    fn new(source: R) -> Self {
        Self { source, read: 0, left_over: None }
    }

    /// The next line that is not blank, with its number in the file, from 1.
    fn line(&mut self) -> Result<Option<(u64, Vec<u8>)>, Failure> {
        loop {
            let mut line = Vec::new();
            let limit = MAX_BYTES as u64 + 1;
            let length = self
                .source
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut line)
                .map_err(|error| Failure::Failed(format!("after line {}: {error}", self.read)))?;
            if length == 0 {
                return Ok(None);
            }
            self.read += 1;
            if length > MAX_BYTES {
                return Err(Failure::Failed(format!("line {}: longer than 8 MiB", self.read)));
            }
            if !line.trim_ascii().is_empty() {
                if line.last() != Some(&b'\n') {
                    line.push(b'\n');
                }
                return Ok(Some((self.read, line)));
            }
        }
    }

    fn next(&mut self) -> Result<Option<Slice>, Failure> {
        let mut slice = Slice::default();
        while slice.numbers.len() < MAX_LINES {
            let next = match self.left_over.take() {
                Some(line) => Some(line),
                None => self.line()?,
            };
            let Some((number, line)) = next else { break };
            if !slice.bytes.is_empty() && slice.bytes.len() + line.len() > MAX_BYTES {
                self.left_over = Some((number, line));
                break;
            }
            slice.bytes.extend_from_slice(&line);
            slice.numbers.push(number);
        }
        Ok((!slice.numbers.is_empty()).then_some(slice))
    }
}

impl Slice {
    /// A problem's field counts the lines of the request; people count those of the file.
    fn in_the_file(&self, mut problem: Problem) -> Problem {
        let renumbered = problem.field.as_deref().and_then(|field| {
            let rest = field.strip_prefix("line ")?;
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, rest) = rest.split_at(digits);
            let place = number.parse::<usize>().ok()?.checked_sub(1)?;
            Some(format!("line {}{rest}", self.numbers.get(place)?))
        });
        problem.field = renumbered.or(problem.field);
        problem
    }
}

pub(super) async fn run(
    args: &ImportArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if args.file.as_os_str() == "-" {
        return send_all(Box::new(BufReader::new(io::stdin())), None, client, terminal).await;
    }
    let wrong = |error: io::Error| Failure::Usage(clean(&format!("{}: {error}", args.file.display())));
    let file = File::open(&args.file).map_err(wrong)?;
    let length = file.metadata().map_err(wrong)?.len();
    send_all(Box::new(BufReader::new(file)), Some(length), client, terminal).await
}

async fn send_all(
    source: Box<dyn BufRead>,
    length: Option<u64>,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let progress = progress(length, terminal.json);
    let mut slices = Slices::new(source);
    let (mut lines, mut last) = (0_u64, 0_u64);
    let outcome = loop {
        let slice = match slices.next() {
            Ok(Some(slice)) => slice,
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        };
        if let Err(failure) = send(&slice, client, &progress).await {
            break Err(failure);
        }
        lines += slice.numbers.len() as u64;
        last = slice.numbers.last().copied().unwrap_or(last);
        progress.inc(slice.bytes.len() as u64);
        progress.set_message(format!("{lines} lines"));
    };
    progress.finish_and_clear();
    match outcome {
        Ok(()) => terminal.result(&json!({ "imported": lines }), || format!("{lines} lines imported.")),
        Err(failure) => {
            if last > 0 {
                terminal.note(&format!(
                    "Imported up to line {last}. Importing the whole file again does no harm."
                ))?;
            } else {
                terminal.note("Nothing was imported.")?;
            }
            Err(failure)
        }
    }
}

async fn send(slice: &Slice, client: &mut Client, progress: &ProgressBar) -> Result<(), Failure> {
    let body = Bytes::from(slice.bytes.clone());
    let mut waits = 0;
    loop {
        let problem = match client.post_lines("/import", body.clone()).await {
            Ok(_) => return Ok(()),
            Err(Failure::Refused(problem)) => *problem,
            Err(failure) => return Err(failure),
        };
        if !matches!(problem.status, 429 | 503) || waits == MAX_WAITS {
            return Err(Failure::Refused(Box::new(slice.in_the_file(problem))));
        }
        waits += 1;
        progress.set_message("the server is busy");
        let seconds = problem.retry_after.unwrap_or(1).min(LONGEST_WAIT);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

/// A bar on standard error, where that is a terminal; it draws nothing elsewhere.
fn progress(length: Option<u64>, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(length, target);
    let template = match length {
        Some(_) => "{bar:40} {bytes}/{total_bytes}  {msg}  {eta} left",
        None => "{spinner} {bytes}  {msg}",
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::terminal::tests::terminal;
    use super::super::tests::{Server, parse_as};
    use super::*;

    fn cut(text: &[u8]) -> Vec<(usize, Vec<u64>)> {
        let mut slices = Slices::new(text);
        let mut cut = Vec::new();
        while let Some(slice) = slices.next().unwrap() {
            cut.push((slice.bytes.len(), slice.numbers));
        }
        cut
    }

    #[test]
    fn slices_hold_a_thousand_lines_and_blank_lines_only_count() {
        let text = format!("\n  \n{}{{}}", "{}\n".repeat(1_500));
        let cut = cut(text.as_bytes());
        assert_eq!(cut.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>(), [3_000, 1_503]);
        assert_eq!((cut[0].1[0], cut[0].1[999]), (3, 1_002));
        assert_eq!((cut[1].1[0], cut[1].1[500]), (1_003, 1_503));
        assert!(self::cut(b"").is_empty());
    }

    #[test]
    fn slices_stay_within_eight_mebibytes() {
        let line = format!("{}\n", "x".repeat(3 << 20));
        let cut = cut(line.repeat(5).as_bytes());
        assert!(cut.iter().all(|(bytes, _)| *bytes <= MAX_BYTES));
        assert_eq!(cut.iter().map(|(_, numbers)| numbers.len()).collect::<Vec<_>>(), [2, 2, 1]);
        let mut slices = Slices::new(io::Cursor::new("y".repeat(MAX_BYTES + 5)));
        assert_eq!(slices.next().unwrap_err().to_string(), "line 1: longer than 8 MiB");
    }

    #[tokio::test]
    async fn an_error_names_the_line_of_the_file_and_what_went_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("all.ndjson");
        std::fs::write(&path, format!("\n{}", "{\"user\":{}}\n".repeat(1_200))).unwrap();
        let problem = json!({"status": 400, "detail": "not an address", "field": "line 3: email"});
        let server = Server::answering([(200, Value::Null), (400, problem)]).await;
        let args: ImportArgs = parse_as(&format!("import {}", path.display()));
        let (mut terminal, _, err) = terminal(false, None);
        let failure = run(&args, &mut server.client(), &mut terminal).await.unwrap_err();
        assert_eq!(failure.to_string(), "not an address (line 1004: email)");
        assert_eq!(err.text(), "Imported up to line 1001. Importing the whole file again does no harm.\n");
        assert_eq!(server.asked().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_is_given_time() {
        let busy = (503, json!({"detail": "busy"}));
        let server = Server::answering([busy.clone(), busy, (200, Value::Null)]).await;
        let slice = Slice { bytes: b"{}\n".to_vec(), numbers: vec![1] };
        send(&slice, &mut server.client(), &ProgressBar::hidden()).await.unwrap();
        assert_eq!(server.asked().len(), 3);
    }

    #[test]
    fn a_field_that_names_no_line_of_the_request_stays_as_it_is() {
        let slice = Slice { bytes: Vec::new(), numbers: vec![7, 9] };
        let field = |text: &str| {
            let problem = Problem {
                status: 400,
                detail: "x".into(),
                field: Some(text.into()),
                retry_after: None,
                hint: None,
            };
            slice.in_the_file(problem).field.unwrap()
        };
        assert_eq!(field("line 2: user.email"), "line 9: user.email");
        assert_eq!(field("line 1"), "line 7");
        for same in ["line 0: x", "line 3: x", "line x", "body", "line 99999999999999999999"] {
            assert_eq!(field(same), same);
        }
    }
}
