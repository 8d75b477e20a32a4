//! A disk that is full, and a server that is told to stop. The disk is full for the server alone: a limit on the size of its
//! files, of which writes learn as an error (setrlimit(2), RLIMIT_FSIZE with SIGXFSZ ignored).

use std::path::Path;
use std::time::Duration;

use sonnette_bench::book::{self, Fate};
use sonnette_bench::receiver::{Receiver, Watch};
use tokio::process::Command;

use crate::program::{How, LIMIT, Server, tail};

/// KiB a file may have: the log of the store reaches it long before it is put back into the file.
const ROOM: &str = "trap '' XFSZ; ulimit -S -f 1500";
/// What has to come before the disk is taken for full.
const REFUSALS: usize = 5;
const MOST_POSTS: u64 = 20_000;

/// A server that has been filled to the brim.
struct Full {
    server: Server,
    receiver: Receiver,
    hook: String,
    fates: Vec<Fate>,
}

/// Posts until there is no room.
async fn fill(data: &Path, log: &Path) -> Full {
    // The log's file is full from the start: what cannot be said must not stop the server either.
    std::fs::write(log, vec![b'\n'; 1500 << 10]).unwrap();
    let receiver = Receiver::start(Watch::Record(tail()), "204".parse().unwrap()).unwrap();
    let server = Server::start(data, How { first: ROOM, log: Some(log), ..How::default() }).await;
    let hook = server.prepare(&receiver).await;
    let mut full = Full { server, receiver, hook, fates: Vec::new() };
    for number in 0..MOST_POSTS {
        full.post(number).await;
        if full.refused() == REFUSALS {
            break;
        }
    }
    assert_eq!(full.refused(), REFUSALS, "the disk never was full");
    assert!(full.fates.len() > 2 * REFUSALS, "some were accepted before: {:?}", full.fates);
    full
}

impl Full {
    async fn post(&mut self, number: u64) {
        let got = self.server.post(number).await;
        self.fates.push(match got.status {
            202 => Fate::Accepted(got.id().into()),
            503 => {
                let after: u64 = got.retry_after.as_ref().expect("Retry-After").parse().expect("seconds");
                assert!(after > 0, "{got:?}");
                assert_eq!(got.body["type"], "urn:sonnette:problem:unavailable");
                Fate::Refused(503)
            }
            _ => panic!("a full disk answers 202 or 503, not {got:?}"),
        });
    }

    fn refused(&self) -> usize {
        self.fates.iter().filter(|fate| matches!(fate, Fate::Refused(_))).count()
    }

    /// Waits until all is delivered, stops the server, and compares.
    async fn account(self) {
        self.server.api.settled(std::slice::from_ref(&self.hook), LIMIT).await.unwrap();
        self.server.stop().await;
        let balance = book::balance(&self.fates, &self.receiver.seen());
        assert!(balance.holds(), "{balance:?}");
        assert_eq!(balance.accepted, balance.received, "{balance:?}");
    }
}

#[tokio::test]
async fn a_full_disk_is_503_with_retry_after_and_after_a_restart_with_room_all_that_was_accepted_is_delivered()
 {
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("log"));
    let mut full = fill(&data, &log).await;
    assert_eq!(
        full.server.send("GET", &format!("/api/v1/hooks/{}", full.hook), "").await.status,
        200,
        "reading goes on"
    );
    full.server.signal("-KILL").await;
    let Full { server, .. } = full;
    assert!(!server.ended().await.success());
    full.server = Server::start(&data, How::default()).await;
    let next = full.fates.len() as u64;
    full.post(next).await;
    assert!(matches!(full.fates.last(), Some(Fate::Accepted(_))));
    full.account().await;
}

#[tokio::test]
async fn when_there_is_room_again_a_server_that_was_full_goes_on_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut full = fill(&dir.path().join("data"), &dir.path().join("log")).await;
    let pid = full.server.pid().to_string();
    let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status().await.unwrap();
    assert!(lifted.success());
    let next = full.fates.len() as u64;
    full.post(next).await;
    assert!(matches!(full.fates.last(), Some(Fate::Accepted(_))), "{:?}", full.fates.last());
    full.account().await;
}

#[tokio::test]
async fn a_full_server_that_is_told_to_stop_ends_well_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("log"));
    let full = fill(&data, &log).await;
    let Full { server, receiver, hook, fates } = full;
    server.stop().await;
    let server = Server::start(&data, How::default()).await;
    Full { server, receiver, hook, fates }.account().await;
}

#[tokio::test]
async fn a_server_told_to_stop_finishes_what_is_under_way_and_writes_it_down() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let receiver = Receiver::start(Watch::Record(tail()), "slow:1500".parse().unwrap()).unwrap();
    let server = Server::start(&data, How::default()).await;
    let hook = server.prepare(&receiver).await;
    let mut fates = Vec::new();
    for number in 0..10 {
        let got = server.post(number).await;
        assert_eq!(got.status, 202, "{got:?}");
        fates.push(Fate::Accepted(got.id().into()));
    }
    let arrived = async {
        while receiver.received() < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, arrived).await.unwrap();
    server.stop().await;
    // What was not begun is still owed; what was begun is not repeated.
    let server = Server::start(&data, How::default()).await;
    server.api.settled(&[hook], LIMIT).await.unwrap();
    server.stop().await;
    let balance = book::balance(&fates, &receiver.seen());
    assert!(balance.holds(), "{balance:?}");
    assert_eq!((balance.received, balance.duplicates), (10, 0), "{balance:?}");
}

#[tokio::test]
async fn a_second_server_on_the_same_data_ends_at_once_and_does_not_harm_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), How::default()).await;
    let second = Command::new(crate::program::BINARY)
        .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path())
        .output();
    let second = tokio::time::timeout(LIMIT, second).await.unwrap().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("in use by another process"), "{said}");
    assert_eq!(server.send("GET", "/api/v1/me", "").await.status, 200);
    server.stop().await;
}
