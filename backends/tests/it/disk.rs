//! One process at a time, and a disk that is full.

use std::path::Path;
use std::process::Command;

use sonnette_backends::sqlite::OpenError;
use sonnette_core::frame;
use sonnette_core::ids::{DestinationId, EventId, HookId, OwnerId};
use sonnette_core::model::{
    Attempt, Dead, Destination, Draft, Fact, Fields, Hook, HookState, Ingested, Millis, Recipient, State, Way,
};
use sonnette_core::ports::{Changed, Store, StoreError, Verdict};
use sonnette_core::private::{Private, PrivateLetter};
use sonnette_core::secret::Secret;

use crate::world::{CATALOGUE, open};

const NOW: Millis = 1_767_348_000_000;
/// Set for the child: its directory.
const CHILD: &str = "SONNETTE_TEST_FULL_DIR";

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    let Err(OpenError::InUse(path)) = open(dir.path()) else { panic!("opened twice") };
    assert_eq!(path, dir.path());
    first.ping().await.unwrap();
    drop(first);
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn what_a_private_letter_said_is_erased_when_it_is_sent_refused_or_expired() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    organisation(store.as_ref()).await;
    let to = Recipient { address: "a@example.org".to_owned(), user: None };
    for _ in 0..3 {
        let letter =
            PrivateLetter::new(owner(), Private::SignIn, &serde_json::Map::new(), to.clone(), NOW + 10, NOW);
        store.write_privately(letter, NOW).await.unwrap().unwrap();
    }
    let said = |dir: &Path| {
        let db = rusqlite::Connection::open(dir.join("sonnette.sqlite")).unwrap();
        let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        (
            count("SELECT count(*) FROM events WHERE length(frame) > 0"),
            count("SELECT count(*) FROM private_letters"),
        )
    };
    assert_eq!(said(dir.path()), (3, 3));
    let work = store.lease(NOW, 2).await.unwrap().work;
    for (work, state) in work.into_iter().zip([State::Delivered, State::Dead(Dead::Refused)]) {
        let attempt = Attempt {
            number: 1,
            at: NOW,
            took: 1,
            status: None,
            note: None,
            excerpt: None,
            succeeded: false,
        };
        store.record(work.ticket, attempt, Verdict::End(state), None).await.unwrap();
    }
    assert_eq!(said(dir.path()), (1, 1));
    while store.tidy(NOW + 10, 0, 0).await.unwrap().more {}
    assert_eq!(said(dir.path()), (0, 0));
}

#[tokio::test]
async fn a_store_that_was_closed_is_one_file_and_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store.ping().await.unwrap();
    store.counts().await.unwrap();
    drop(store);
    let mut names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["sonnette.lock", "sonnette.sqlite"]);
}

#[test]
fn a_store_of_a_later_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let db = rusqlite::Connection::open(dir.path().join("sonnette.sqlite")).unwrap();
    db.pragma_update(None, "user_version", 1_000).unwrap();
    drop(db);
    assert!(matches!(open(dir.path()), Err(OpenError::Later(1_000, _))));
}

#[tokio::test]
async fn a_hook_whose_secret_does_not_open_does_not_keep_the_others_from_being_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    organisation(&*store).await;
    for n in 1..=2 {
        let url = Secret::new("https://a.example");
        let destinations =
            vec![Destination { id: DestinationId(n), format: "raw".into(), url, fields: Fields::new() }];
        let hook = Hook {
            id: HookId(n),
            owner: owner(),
            name: "A hook".into(),
            events: None,
            scope: None,
            way: Way::Webhook { destinations },
            schedule: None,
            state: HookState::Enabled,
            created_at: NOW,
        };
        assert_eq!(store.add_hook(hook, Some(Secret::new("whsec_x")), NOW).await.unwrap(), Changed::Done);
    }
    store.ingest(vec![draft()], NOW).await.unwrap();
    drop(store);
    let db = rusqlite::Connection::open(dir.path().join("sonnette.sqlite")).unwrap();
    db.execute("UPDATE hooks SET secret = x'01' WHERE id = 1", []).unwrap();
    drop(db);
    let store = open(dir.path()).unwrap();
    let leased = store.lease(NOW, 10).await.unwrap();
    assert_eq!(leased.work.iter().map(|work| work.destination).collect::<Vec<_>>(), [DestinationId(2)]);
    assert!(leased.next_due.is_some_and(|due| due > NOW), "it is looked at again, and not at once");
}

/// A child runs with a bound on the size of its files (`ulimit -f`), which refuses writes as a full disk does; then the
/// bound is lifted.
#[tokio::test]
async fn a_full_disk_is_said_loses_nothing_and_is_over_when_there_is_room_again() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return fill(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 8192; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "disk::a_full_disk_is_said_loses_nothing_and_is_over_when_there_is_room_again",
            "--exact",
            "--nocapture",
        ])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("was full"), "{said}");
}

fn owner() -> OwnerId {
    "orga_22222222-2222-4222-8222-222222222222".parse().unwrap()
}

async fn organisation(store: &dyn Store) {
    let OwnerId::Organisation(id) = owner() else { panic!("an organisation") };
    let born = Fact::Organisation { id, name: None, founder: None, hooks: Vec::new() };
    assert_eq!(store.learn(vec![born], NOW).await.unwrap(), Ok(()));
}

fn draft() -> Draft {
    let data = format!(r#"{{"filler":"{}"}}"#, "x".repeat(20_000));
    Draft {
        owner: owner(),
        kind: CATALOGUE.find("GIT_PUSH").unwrap().0,
        author: None,
        resource: None,
        real_id: None,
        about_hook: None,
        frame: frame::build("GIT_PUSH", NOW, owner(), None, Some(&data)),
        key: None,
        content: None,
        facts: Vec::new(),
    }
}

async fn fill(dir: &Path) {
    let store = open(dir).unwrap();
    organisation(&*store).await;
    let mut accepted: Vec<EventId> = Vec::new();
    let error = loop {
        match store.ingest(vec![draft()], NOW).await {
            Ok(outcome) => accepted.extend(outcome.iter().map(|ingested| match ingested {
                Ingested::Accepted(id) => *id,
                other => panic!("{other:?}"),
            })),
            Err(error) => break error,
        }
        assert!(accepted.len() < 10_000, "the bound does not bind");
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(accepted.len() > 20, "only {} were accepted", accepted.len());
    for _ in 0..3 {
        assert!(matches!(store.ingest(vec![draft()], NOW).await, Err(StoreError::Unavailable(_))));
    }
    holds(&*store, &accepted).await;
    println!("was full");

    let lifted = Command::new("prlimit")
        .args(["--fsize=unlimited", "--pid"])
        .arg(std::process::id().to_string())
        .status();
    assert!(lifted.unwrap().success());
    let outcome = store.ingest(vec![draft()], NOW).await.unwrap();
    let Ingested::Accepted(id) = outcome[0] else { panic!("{outcome:?}") };
    assert!(accepted.iter().all(|before| *before < id));
    accepted.push(id);
    holds(&*store, &accepted).await;
    drop(store);
    holds(&*open(dir).unwrap(), &accepted).await;
}

async fn holds(store: &dyn Store, accepted: &[EventId]) {
    for id in accepted {
        assert!(store.event(*id).await.unwrap().is_some(), "{id} is lost");
    }
}
