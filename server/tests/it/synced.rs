//! No answer leaves before what it promises is on the disk: seen in the system calls the real server makes.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};
use sonnette_bench::payload;
use sonnette_bench::receiver::{Receiver, Watch};

use crate::program::{How, LIMIT, Server, tail};

/// Connections that post at once, and what each posts.
const CONNECTIONS: usize = 4;
const SINGLES: usize = 10;
const BATCHES: usize = 4;
const IN_A_BATCH: usize = 8;

/// One system call, with the places in the trace where it began and where it had ended.
#[derive(Debug)]
struct Call {
    name: String,
    /// The descriptor's file.
    file: String,
    /// Every buffer, one after the other.
    bytes: Vec<u8>,
    result: i64,
    began: usize,
    ended: usize,
}

/// Reads a trace of `strace -f -y -xx`.
fn read(trace: &str) -> Vec<Call> {
    let mut open: HashMap<&str, (usize, String)> = HashMap::new();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            open.insert(thread, (at, begun.to_owned()));
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let (began, begun) =
                open.remove(thread).unwrap_or_else(|| panic!("line {at} ends what never began: {line}"));
            let (_, end) = resumed.split_once(" resumed>").unwrap();
            calls.extend(call(&format!("{begun}{end}"), began, at));
        } else {
            calls.extend(call(rest, at, at));
        }
    }
    calls
}

/// Reads one whole call; `None` for what is none, such as the end of a thread.
fn call(text: &str, began: usize, ended: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let result = result.split_ascii_whitespace().next()?.parse().ok()?;
    let file =
        arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(file, _)| file);
    let file = if file.starts_with("\\x") {
        String::from_utf8_lossy(&unescape(file)).into_owned()
    } else {
        file.to_owned()
    };
    // Buffers are the quoted arguments; a descriptor's file is not quoted.
    let mut bytes = Vec::new();
    for (n, part) in arguments.split('"').enumerate() {
        if n % 2 == 1 {
            bytes.extend(unescape(part));
        } else {
            assert!(!part.starts_with("..."), "a buffer was cut short: {text}");
        }
    }
    Some(Call { name: name.to_owned(), file, bytes, result, began, ended })
}

/// Bytes written as `\x` and two digits each.
fn unescape(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// What was posted, and the id it got.
type Accepted = Vec<(String, String)>;

/// Posts singles and batches on one connection.
async fn pour(server: &Server, connection: usize) -> Accepted {
    let mut accepted = Vec::new();
    let event =
        |mark: &str| json!({"event": payload::KIND, "ownerId": payload::owner(0), "data": {"message": mark}});
    for n in 0..SINGLES + BATCHES {
        let count = if n < SINGLES { 1 } else { IN_A_BATCH };
        let marks: Vec<String> = (0..count).map(|item| format!("mark-{connection}-{n}-{item}.")).collect();
        let events: Vec<Value> = marks.iter().map(|mark| event(mark)).collect();
        let body = if n < SINGLES { events[0].to_string() } else { Value::from(events).to_string() };
        let got = server.send("POST", "/api/v1/events", body).await;
        assert_eq!(got.status, 202, "{got:?}");
        let ids: Vec<String> = match got.body.get("results") {
            None => vec![got.id().to_owned()],
            Some(results) => {
                results.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
            }
        };
        assert_eq!(ids.len(), marks.len());
        accepted.extend(marks.into_iter().zip(ids));
    }
    accepted
}

/// Runs the server under the tracer; gives what it accepted and what it did.
async fn traced(dir: &Path) -> (Accepted, Vec<Call>) {
    let trace = dir.join("trace");
    let under = [
        "strace",
        "-f",
        "-y",
        "-xx",
        "-s",
        "65536",
        "-e",
        "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg",
        "-e",
        "signal=none",
        "-o",
        trace.to_str().unwrap(),
    ];
    let receiver = Receiver::start(Watch::Record(tail()), "204".parse().unwrap()).unwrap();
    let server = Server::start(&dir.join("data"), How { under: &under, ..How::default() }).await;
    let hook = server.prepare(&receiver).await;
    let pours = (0..CONNECTIONS).map(|connection| pour(&server, connection));
    let accepted: Accepted = futures_util::future::join_all(pours).await.into_iter().flatten().collect();
    server.api.settled(&[hook], LIMIT).await.unwrap();
    assert_eq!(usize::try_from(receiver.received()).unwrap(), accepted.len());
    server.stop().await;
    (accepted, read(&std::fs::read_to_string(trace).unwrap()))
}

/// Where a frame of the log that ends a transaction was written: its header gives the size of the database, which is zero
/// in the others (SQLite, "WAL file format").
fn ends_a_transaction(call: &Call) -> bool {
    call.bytes.len() == 24 && call.bytes[4..8] != [0; 4]
}

#[tokio::test]
async fn no_answer_and_no_delivery_leaves_before_the_log_that_holds_it_is_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (accepted, calls) = traced(dir.path()).await;
    assert_eq!(accepted.len(), CONNECTIONS * (SINGLES + BATCHES * IN_A_BATCH));

    let log: Vec<&Call> = calls.iter().filter(|call| call.file.ends_with("/sonnette.sqlite-wal")).collect();
    let written: Vec<&Call> = log.iter().copied().filter(|call| call.name == "pwrite64").collect();
    let synced: Vec<&Call> = log
        .iter()
        .copied()
        .filter(|call| matches!(call.name.as_str(), "fdatasync" | "fsync") && call.result == 0)
        .collect();
    let sent: Vec<&Call> = calls
        .iter()
        .filter(|call| call.file.starts_with("socket:") || call.file.starts_with("TCP:"))
        .collect();
    for (mark, id) in &accepted {
        let first = written
            .iter()
            .find(|call| contains(&call.bytes, mark))
            .unwrap_or_else(|| panic!("{mark} never was in the log"));
        // The first frame that ends a transaction is this one's: there is one writer.
        let end = written
            .iter()
            .find(|call| ends_a_transaction(call) && call.began >= wrote_header(&written, first))
            .unwrap();
        // The page that the last frame's header announces.
        let last = written.iter().find(|call| call.began > end.ended).unwrap_or(end);
        let whole = last.ended.max(first.ended);
        let safe = synced
            .iter()
            .find(|call| call.began > whole)
            .unwrap_or_else(|| panic!("{mark} never was on the disk"))
            .ended;
        let mut answers = 0;
        let mut deliveries = 0;
        for call in sent.iter().filter(|call| contains(&call.bytes, id)) {
            answers += usize::from(call.bytes.starts_with(b"HTTP/1.1 202"));
            deliveries += usize::from(call.bytes.starts_with(b"POST /"));
            assert!(
                call.began > safe,
                "{id} left at line {} of the trace, and was on the disk at line {safe}",
                call.began
            );
        }
        assert_eq!((answers, deliveries), (1, 1), "what left with {id} was not all seen");
    }
    assert!(synced.len() >= SINGLES, "{} syncs", synced.len());
}

/// Where the header of the frame that holds this page was written: just before it.
fn wrote_header(written: &[&Call], page: &Call) -> usize {
    written.iter().rev().find(|call| call.ended < page.began).map_or(0, |call| call.began)
}

#[test]
fn a_trace_is_read_whoever_is_interrupted() {
    let trace = concat!(
        "7 pwrite64(5</d/sonnette.sqlite-wal>, \"\\x61\\x62\", 2, 0 <unfinished ...>\n",
        "8 writev(9<socket:[1]>, [{iov_base=\"\\x63\", iov_len=1}, {iov_base=\"\\x64\", iov_len=1}], 2) = 2\n",
        "7 <... pwrite64 resumed>)           = 2\n",
        "7 fdatasync(5<\\x2f\\x64>) = -1 EIO (Input/output error)\n",
        "8 +++ exited with 0 +++\n",
    );
    let calls = read(trace);
    let seen: Vec<_> = calls
        .iter()
        .map(|call| (call.name.as_str(), call.bytes.as_slice(), call.result, call.began, call.ended))
        .collect();
    assert_eq!(
        seen,
        [("writev", &b"cd"[..], 2, 1, 1), ("pwrite64", b"ab", 2, 0, 2), ("fdatasync", b"", -1, 3, 3)]
    );
    assert_eq!(
        calls.iter().map(|call| call.file.as_str()).collect::<Vec<_>>(),
        ["socket:[1]", "/d/sonnette.sqlite-wal", "/d"]
    );
}
