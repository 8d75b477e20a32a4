//! What was acknowledged survives a power cut, shown and not assumed.
//!
//! A child does what a server does (events come in, attempts are recorded) under a system-call trace, and writes down
//! every acknowledgement it gets. From the trace we know at each moment which bytes had been synced. We cut the power at
//! many moments: what was synced by then is there, of the rest a random part, page by page; a file that was made or
//! removed without a sync of its directory may be there or not. The store opened from that must hold every event
//! acknowledged before the cut, with what it owes and what came of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use sonnette_backends::conformance::Dice;
use sonnette_core::frame;
use sonnette_core::ids::{DeliveryId, DestinationId, EventId, HookId, OwnerId};
use sonnette_core::model::{
    Attempt, Destination, Draft, Fact, Fields, Hook, HookState, Ingested, Millis, SECOND, State, Way,
};
use sonnette_core::ports::{Changed, DeliveryFilter, Page, Store, Verdict};
use sonnette_core::secret::Secret;

use crate::world::{CATALOGUE, open};

/// Set for the child: its directory.
const CHILD: &str = "SONNETTE_TEST_TRACED_DIR";
const NOW: Millis = 1_767_348_000_000;
const PRODUCERS: u32 = 4;
const ROUNDS: u32 = 60;
/// Power cuts.
const CUTS: usize = 40;
/// What a disk keeps or loses as one.
const PAGE: usize = 4096;

fn owner() -> OwnerId {
    "orga_22222222-2222-4222-8222-222222222222".parse().unwrap()
}

/// The frame of the `n`th event: some are small, some take pages of their own.
fn frame_of(n: u32) -> Vec<u8> {
    let data = format!(r#"{{"n":{n},"filler":"{}"}}"#, "x".repeat((n as usize * 997) % 6000));
    frame::build("GIT_PUSH", NOW, owner(), None, Some(&data))
}

#[tokio::test]
async fn every_acknowledged_event_survives_a_power_cut_with_what_it_owes() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return child(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    std::fs::create_dir(dir.path().join("store")).unwrap();
    // As the trace shows it.
    let store = std::fs::canonicalize(dir.path().join("store")).unwrap();
    let output = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "2000000", "-o"])
        .arg(&trace)
        .args(["-e", "trace=openat,write,pwrite64,fsync,fdatasync,ftruncate,unlink,unlinkat,rename"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "durability::every_acknowledged_event_survives_a_power_cut_with_what_it_owes",
            "--exact",
            "--nocapture",
        ])
        .env(CHILD, &store)
        .output()
        .expect("strace is installed (apt-get install strace)");
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "strace can trace here, and the child did its work: {said}");

    let trace = Trace::read(&std::fs::read_to_string(&trace).unwrap(), &store);
    let acknowledged = trace.acknowledgements(usize::MAX).len();
    assert!(acknowledged > 500, "only {acknowledged} acknowledgements in the trace");
    assert!(trace.checkpoints(), "the log was never put back into the file");
    assert!(trace.syncs() > 20, "only {} syncs in the trace", trace.syncs());
    let mut dice = Dice::new(1);
    let first = trace.acks.first().map(|(at, _)| *at).unwrap();
    let mut lost_something = 0;
    for cut in 0..CUTS {
        // The last cut is the end: whatever the child was told is there.
        let at = if cut + 1 == CUTS { trace.lines } else { first + dice.below(trace.lines - first) };
        let image = dir.path().join(format!("cut-{cut}"));
        std::fs::create_dir(&image).unwrap();
        lost_something +=
            usize::from(trace.cut(at, [Keep::Nothing, Keep::Some, Keep::Some][cut % 3], &mut dice, &image));
        holds_everything(&image, &trace.acknowledgements(at), cut).await;
        std::fs::remove_dir_all(&image).unwrap();
    }
    assert!(lost_something > CUTS / 4, "the cuts did lose what was not synced: {lost_something}");
}

// ------------------------------------------------------------------------------------------------------- the child

/// Writes down what it was told, one system call a line.
fn acknowledge(dir: &Path, line: &str) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("acks")).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

async fn child(dir: &Path) {
    let store = open(dir).unwrap();
    let OwnerId::Organisation(id) = owner() else { panic!("an organisation") };
    let born = Fact::Organisation { id, name: None, founder: None, hooks: Vec::new() };
    assert_eq!(store.learn(vec![born], NOW).await.unwrap(), Ok(()));
    for n in 1..=2 {
        let destination = Destination {
            id: DestinationId(n),
            format: "raw".into(),
            url: Secret::new("https://a.example"),
            fields: Fields::new(),
        };
        let hook = Hook {
            id: HookId(n),
            owner: owner(),
            name: "A hook".into(),
            events: None,
            scope: None,
            way: Way::Webhook { destinations: vec![destination] },
            schedule: None,
            state: HookState::Enabled,
            created_at: NOW,
        };
        assert_eq!(store.add_hook(hook, Some(Secret::new("whsec_x")), NOW).await.unwrap(), Changed::Done);
    }
    acknowledge(dir, "ready");
    let done = AtomicBool::new(false);
    let producers = async {
        tokio::join!(
            produce(&*store, dir, 0),
            produce(&*store, dir, 1),
            produce(&*store, dir, 2),
            produce(&*store, dir, 3)
        );
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(producers, consume(&*store, dir, &done));
}

async fn produce(store: &dyn Store, dir: &Path, producer: u32) {
    for round in 0..ROUNDS {
        let first = (round * PRODUCERS + producer) * 3;
        let numbers: Vec<u32> = (first..=first + round % 3).collect();
        let drafts = numbers.iter().map(|n| Draft {
            owner: owner(),
            kind: CATALOGUE.find("GIT_PUSH").unwrap().0,
            author: None,
            resource: None,
            real_id: None,
            about_hook: None,
            frame: frame_of(*n),
            key: Some(u128::from(*n).to_be_bytes()),
            content: Some([1; 16]),
            facts: Vec::new(),
        });
        let outcome = store.ingest(drafts.collect(), NOW + i64::from(round)).await.unwrap();
        for (n, ingested) in numbers.iter().zip(outcome) {
            let Ingested::Accepted(id) = ingested else { panic!("{ingested:?}") };
            acknowledge(dir, &format!("event {id} {n}"));
        }
    }
}

async fn consume(store: &dyn Store, dir: &Path, done: &AtomicBool) {
    loop {
        let leased = store.lease(NOW + SECOND, 16).await.unwrap().work;
        if leased.is_empty() && done.load(Ordering::Relaxed) {
            return;
        }
        for work in leased {
            let number = work.ticket.attempt;
            let again = number == 1 && work.ticket.delivery.event.0 % 3 == 0;
            let verdict = if again { Verdict::Again(NOW) } else { Verdict::End(State::Delivered) };
            let attempt = Attempt {
                number,
                at: NOW,
                took: 1,
                status: Some(200),
                note: None,
                excerpt: None,
                succeeded: !again,
            };
            store.record(work.ticket, attempt, verdict, None).await.unwrap();
            acknowledge(dir, &format!("record {} {number}", work.ticket.delivery));
        }
        tokio::task::yield_now().await;
    }
}

// ------------------------------------------------------------------------------------------------------- the trace

/// A file: its name, and how often a file of that name had been made before.
type FileId = (String, usize);

enum What {
    Write { file: FileId, offset: usize, bytes: Vec<u8> },
    Truncate { file: FileId, length: usize },
    Sync(FileId),
    Make(FileId),
    Remove(String),
    SyncDirectory,
}

/// A call, from the line it began on to the line it had returned by.
struct Call {
    begun: usize,
    ended: usize,
    what: What,
}

struct Trace {
    calls: Vec<Call>,
    acks: Vec<(usize, String)>,
    lines: usize,
}

/// Of what was not synced.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    Nothing,
    Some,
}

/// Reads `\x2f\x74…`.
fn unhex(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|byte| u8::from_str_radix(&byte[..2], 16).unwrap()).collect()
}

fn text(hex: &str) -> String {
    String::from_utf8(unhex(hex)).unwrap()
}

/// The path of a `7<\x2f…>`.
fn path_of(descriptor: &str) -> Option<String> {
    Some(text(descriptor.split_once('<')?.1.split_once('>')?.0))
}

impl Trace {
    fn read(trace: &str, dir: &Path) -> Self {
        let mut all = Self { calls: Vec::new(), acks: Vec::new(), lines: trace.lines().count() };
        let (mut unfinished, mut made) = (HashMap::new(), HashMap::new());
        for (at, line) in trace.lines().enumerate() {
            let Some((process, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
                unfinished.insert(process, (at, begun));
                continue;
            }
            let (begun, whole) = match rest.strip_prefix("<... ") {
                None => (at, rest.to_owned()),
                Some(resumed) => {
                    let (begun, first) = unfinished.remove(process).unwrap();
                    (begun, format!("{first}{}", resumed.split_once("resumed>").unwrap().1))
                }
            };
            all.call(&whole, begun, at, dir, &mut made);
        }
        all
    }

    fn call(
        &mut self,
        call: &str,
        begun: usize,
        ended: usize,
        dir: &Path,
        made: &mut HashMap<String, usize>,
    ) {
        let Some((name, rest)) = call.split_once('(') else { return };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { return };
        if result.starts_with('-') {
            return;
        }
        let arguments: Vec<&str> = arguments.trim_end().trim_end_matches(')').split(", ").collect();
        let within = |path: &str| path.strip_prefix(&format!("{}/", dir.display())).map(str::to_owned);
        let push = |calls: &mut Vec<Call>, what| calls.push(Call { begun, ended, what });
        let of = |made: &HashMap<String, usize>, name: String| {
            let times = made.get(&name).copied().unwrap_or_default();
            (name, times)
        };
        match name {
            "openat" => {
                let path = text(arguments[1].trim_matches('"'));
                if let Some(name) =
                    within(&path).filter(|name| arguments[2].contains("O_CREAT") && !made.contains_key(name))
                {
                    made.insert(name.clone(), ended);
                    push(&mut self.calls, What::Make((name, ended)));
                }
            }
            "unlink" | "unlinkat" => {
                let path = text(arguments[usize::from(name == "unlinkat")].trim_matches('"'));
                if let Some(name) = within(&path) {
                    made.remove(&name);
                    push(&mut self.calls, What::Remove(name));
                }
            }
            "fsync" | "fdatasync" => {
                let Some(path) = path_of(arguments[0]) else { return };
                if Path::new(&path) == dir {
                    push(&mut self.calls, What::SyncDirectory);
                } else if let Some(name) = within(&path) {
                    push(&mut self.calls, What::Sync(of(made, name)));
                }
            }
            "ftruncate" => {
                let Some(name) = path_of(arguments[0]).and_then(|path| within(&path)) else { return };
                let length = arguments[1].parse().unwrap();
                push(&mut self.calls, What::Truncate { file: of(made, name), length });
            }
            "pwrite64" => {
                let Some(name) = path_of(arguments[0]).and_then(|path| within(&path)) else { return };
                let mut bytes = unhex(arguments[1].trim_matches('"'));
                bytes.truncate(result.trim().parse().unwrap());
                let offset = arguments[3].parse().unwrap();
                push(&mut self.calls, What::Write { file: of(made, name), offset, bytes });
            }
            "write" => {
                let Some(name) = path_of(arguments[0]).and_then(|path| within(&path)) else { return };
                assert_eq!(name, "acks", "the store writes at offsets only");
                let line = text(arguments[1].trim_matches('"'));
                self.acks.push((begun, line.trim_end().to_owned()));
            }
            "rename" => panic!("the store renames nothing: {call}"),
            _ => {}
        }
    }

    /// Whether the main file was written between the first acknowledgement and the last.
    fn checkpoints(&self) -> bool {
        let (Some((first, _)), Some((last, _))) = (self.acks.first(), self.acks.last()) else { return false };
        self.calls.iter().any(|call| {
            let main = |file: &FileId| file.0 == "sonnette.sqlite";
            matches!(&call.what, What::Write { file, .. } if main(file))
                && (*first..*last).contains(&call.begun)
        })
    }

    fn syncs(&self) -> usize {
        self.calls.iter().filter(|call| matches!(call.what, What::Sync(_))).count()
    }

    /// What the child had been told when the power was cut.
    fn acknowledgements(&self, at: usize) -> Vec<&str> {
        self.acks.iter().filter(|(line, _)| *line < at).map(|(_, ack)| ack.as_str()).collect()
    }

    /// Writes the disk as a cut at this line may leave it. Says whether something that had been written was lost.
    fn cut(&self, at: usize, keep: Keep, dice: &mut Dice, image: &Path) -> bool {
        let begun = || self.calls.iter().filter(|call| call.begun < at);
        // For each file, what had ended before the last sync began that had returned.
        let mut synced: HashMap<&FileId, usize> = HashMap::new();
        let mut directory_synced = 0;
        for call in begun().filter(|call| call.ended < at) {
            match &call.what {
                What::Sync(file) => {
                    let until = synced.entry(file).or_default();
                    *until = call.begun.max(*until);
                }
                What::SyncDirectory => directory_synced = call.begun.max(directory_synced),
                _ => {}
            }
        }
        let mut lost = false;
        let mut kept = |dice: &mut Dice| {
            let kept = keep == Keep::Some && dice.below(2) == 0;
            lost |= !kept;
            kept
        };
        let mut contents: HashMap<&FileId, Vec<u8>> = HashMap::new();
        let mut names: BTreeMap<&str, &FileId> = BTreeMap::new();
        // A journalling file system keeps the order of changes to a directory: after the first lost one all are.
        let mut directory_kept = true;
        for call in begun() {
            match &call.what {
                What::Write { file, offset, bytes } => {
                    let safe = synced.get(file).is_some_and(|until| call.ended < *until);
                    let content = contents.entry(file).or_default();
                    let mut from = 0;
                    while from < bytes.len() {
                        let place = offset + from;
                        let until = bytes.len().min(from + PAGE - place % PAGE);
                        if safe || kept(dice) {
                            let end = offset + until;
                            if content.len() < end {
                                content.resize(end, 0);
                            }
                            content[place..end].copy_from_slice(&bytes[from..until]);
                        }
                        from = until;
                    }
                }
                What::Truncate { file, length } => {
                    let safe = synced.get(file).is_some_and(|until| call.ended < *until);
                    if safe || kept(dice) {
                        contents.entry(file).or_default().resize(*length, 0);
                    }
                }
                What::Make(_) | What::Remove(_) => {
                    directory_kept &= call.ended < directory_synced || kept(dice);
                    match &call.what {
                        What::Make(file) if directory_kept => drop(names.insert(&file.0, file)),
                        What::Remove(name) if directory_kept => drop(names.remove(name.as_str())),
                        _ => {}
                    }
                }
                What::Sync(_) | What::SyncDirectory => {}
            }
        }
        for (name, file) in names {
            // The shared index of the log is memory: a restart makes it anew.
            if !name.ends_with("-shm") && name != "acks" {
                std::fs::write(image.join(name), contents.get(file).map_or(&[][..], Vec::as_slice)).unwrap();
            }
        }
        lost
    }
}

// -------------------------------------------------------------------------------------------------- after the cut

async fn holds_everything(image: &Path, acknowledged: &[&str], cut: usize) {
    let store = open(image)
        .unwrap_or_else(|error| panic!("cut {cut}: {error}: {:?}", std::error::Error::source(&error)));
    let filter = DeliveryFilter { owner: Some(owner()), ..DeliveryFilter::default() };
    let (mut events, mut owed) = (BTreeMap::new(), BTreeMap::<EventId, BTreeSet<_>>::new());
    let mut deliveries = HashMap::new();
    loop {
        let after = events.first_key_value().map(|(id, _)| *id);
        let page = store.events(owner(), Page { after, limit: 500 }).await.unwrap();
        if page.is_empty() {
            break;
        }
        events.extend(page.into_iter().map(|event| (event.id, event.frame)));
    }
    let mut after = None;
    loop {
        let page = store.deliveries(filter.clone(), Page { after, limit: 1000 }).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for delivery in page {
            assert_eq!(delivery.state.is_live(), delivery.due.is_some(), "cut {cut}: {delivery:?}");
            owed.entry(delivery.id.event).or_default().insert(delivery.destination);
            deliveries.insert(delivery.id, delivery);
        }
    }
    let both = BTreeSet::from([DestinationId(1), DestinationId(2)]);
    for line in acknowledged {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["ready"] => assert_eq!(store.hooks(owner()).await.unwrap().len(), 2, "cut {cut}"),
            ["event", id, n] => {
                let id: EventId = id.parse().unwrap();
                let mut expected = frame_of(n.parse().unwrap());
                frame::stamp(&mut expected, id);
                let found = events.get(&id).unwrap_or_else(|| panic!("cut {cut}: {id} is lost"));
                assert!(found.as_ref() == expected, "cut {cut}: {id} is not as it was");
                assert_eq!(owed.get(&id), Some(&both), "cut {cut}: what {id} owes");
            }
            ["record", id, attempt] => {
                let id: DeliveryId = id.parse().unwrap();
                let attempts: u32 = attempt.parse().unwrap();
                let found = deliveries.get(&id).map(|delivery| delivery.attempts);
                assert!(
                    found.is_some_and(|found| found >= attempts),
                    "cut {cut}: an attempt of {id} is lost"
                );
            }
            _ => panic!("{line}"),
        }
    }
    // It goes on where it was.
    let all = store.lease(NOW + SECOND, 10_000).await.unwrap().work;
    let waiting = deliveries.values().filter(|delivery| delivery.state.is_live()).count();
    assert_eq!(all.is_empty(), waiting == 0, "cut {cut}: {waiting} wait");
}
