//! The key of a store, what `doctor` says of an installation, and output nobody reads.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use sonnette::app;
use sonnette::config::{self, Sources};
use tempfile::TempDir;

use crate::program::BINARY;

/// Starts on a data directory and stops again, or says why not.
async fn start(data: &Path) -> Result<(), String> {
    let listen = Some("127.0.0.1:0".parse().unwrap());
    let sources = Sources { data: Some(data.to_owned()), listen, dev: true, file: None };
    match app::start(config::read(&sources).unwrap()).await {
        Ok(running) => {
            running.stop().await;
            Ok(())
        }
        Err(error) => Err(format!("{error:#}")),
    }
}

/// What `doctor` says of one thing, and whether that is fine.
fn doctor(dir: &Path, what: &str) -> (bool, String) {
    let mut command = Command::new(BINARY);
    command.args(["doctor", "--json", "--config"]).arg(dir.join("it.toml")).arg("--data").arg(dir);
    let said = command.stdin(Stdio::null()).output().unwrap().stdout;
    let found: Vec<Value> = serde_json::from_slice(&said).unwrap();
    let one = found.iter().find(|one| one["what"] == what).unwrap_or_else(|| panic!("no {what}: {found:?}"));
    (one["fine"].as_bool().unwrap(), one["saw"].as_str().unwrap().to_owned())
}

fn installation(settings: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("it.toml"), settings).unwrap();
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_does_not_open_without_its_own_key_and_none_is_made_for_it() {
    let dir = installation("");
    assert!(doctor(dir.path(), "store").1.contains("the first start makes it"));
    assert!(!dir.path().join("key").exists(), "looking makes nothing");
    start(dir.path()).await.unwrap();
    let key = dir.path().join("key");
    let kept = std::fs::read(&key).unwrap();

    std::fs::remove_file(&key).unwrap();
    let why = start(dir.path()).await.unwrap_err();
    assert!(why.contains("is gone") && why.contains("put it back"), "{why}");
    assert!(!key.exists(), "no other is made");
    let (fine, saw) = doctor(dir.path(), "store");
    assert!(!fine && saw.contains("is gone"), "{saw}");

    std::fs::write(&key, sonnette_core::secret::Sealer::to_text(&[5; 32]).as_bytes()).unwrap();
    let why = start(dir.path()).await.unwrap_err();
    assert!(why.contains("made with another key"), "{why}");
    let (fine, saw) = doctor(dir.path(), "store");
    assert!(!fine && saw.contains("made with another key"), "{saw}");

    std::fs::write(&key, kept).unwrap();
    start(dir.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_sees_a_key_others_may_read_and_the_engine_beside_a_running_server() {
    let dir = installation("");
    let listen = Some("127.0.0.1:0".parse().unwrap());
    let sources = Sources { data: Some(dir.path().to_owned()), listen, dev: true, file: None };
    let running = app::start(config::read(&sources).unwrap()).await.unwrap();
    let (fine, saw) = doctor(dir.path(), "store");
    assert!(fine && saw.contains("in use") && saw.contains("engine SQLite 3."), "{saw}");
    assert!(doctor(dir.path(), "key").0);
    std::fs::set_permissions(dir.path().join("key"), PermissionsExt::from_mode(0o640)).unwrap();
    let (fine, saw) = doctor(dir.path(), "key");
    assert!(!fine && saw.contains("mode 640"), "{saw}");
    running.stop().await;
}

#[test]
fn doctor_looks_up_the_hosts_of_the_configuration_and_says_if_there_are_none() {
    let (fine, saw) = doctor(installation("").path(), "names");
    assert!(fine && saw.contains("nothing to look up"), "{saw}");
    let named = installation(
        "[server]\npublic_url = 'https://sonnette.invalid'\n[mail]\nrelay = 'smtp://localhost'\n",
    );
    let (fine, saw) = doctor(named.path(), "names");
    assert!(!fine && saw.contains("localhost has ") && saw.contains("sonnette.invalid: "), "{saw}");
}

#[test]
fn nobody_panics_into_a_closed_pipe() {
    let dir = installation("");
    for words in ["doctor", "doctor --json", "check-config", "check-config --json", "demo --once"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(BINARY);
        command.args(words.split(' ')).current_dir(dir.path()).stdin(Stdio::null()).stdout(writer);
        let ended = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), &*said), (Some(0), ""), "{words}");
    }
}
