//! `sonnette doctor`: what the server stands on. Every line says what was looked at, what was seen, and what to do.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use sonnette_backends::sqlite;
use sonnette_core::ports::Clock;

use crate::app;
use crate::cli::{self, DoctorArgs};
use crate::config::{self, Config};
use crate::egress::dkim::Key;
use crate::egress::mailer::Mailer;
use crate::egress::provider::Provider;
use crate::serve::{runtime, sources};
use crate::world::{SystemClock, SystemLuck};

/// Syncs tried.
const SYNCS: u32 = 50;
/// Fewer a second than this is a disk that will hold everything up.
const SLOW_DISK: u32 = 50;
/// Open files below which many receivers are a problem.
const FEW_FILES: u64 = 4_096;
/// 2026-01-01: a clock before it is not set.
const THIS_PROGRAM: i64 = 1_767_225_600_000;

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    fine: bool,
    saw: String,
}

/// Looks at everything.
///
/// # Errors
/// If there is no runtime to look with.
pub fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let mut findings = Vec::new();
    match config::read(&sources(&args.installation)) {
        Ok(config) => look(&config, &mut findings)?,
        Err(mistakes) => {
            findings.push(Finding { what: "configuration", fine: false, saw: mistakes.to_string() })
        }
    }
    findings.push(clock());
    findings.push(open_files());
    if args.json {
        cli::say(&serde_json::to_string(&findings)?)?;
    } else {
        for Finding { what, fine, saw } in &findings {
            cli::say(&format!("{} {what:<15} {saw}", if *fine { "ok  " } else { "LOOK" }))?;
        }
    }
    let fine = findings.iter().all(|finding| finding.fine);
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look(config: &Config, findings: &mut Vec<Finding>) -> Result<()> {
    let runtime = runtime()?;
    findings.push(store(config, &runtime));
    findings.extend(key(config));
    findings.push(disk(config.data.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."))));
    // Files that do not parse or match are a mistake of the configuration, and told there.
    findings.push(Finding { what: "tls", fine: true, saw: config::tls_says(config.tls.as_deref()) });
    findings.push(names(config));
    findings.push(mail(config, &runtime));
    findings.push(sign_in(config, &runtime));
    findings.extend(letters(config));
    Ok(())
}

fn store(config: &Config, runtime: &tokio::runtime::Runtime) -> Finding {
    let engine = sqlite::engine();
    // Looking makes nothing.
    match sqlite::is_there(&config.data) {
        Ok(true) => {}
        Ok(false) => {
            let saw = format!("{}: the first start makes it; engine {engine}", config.data.display());
            return Finding { what: "store", fine: true, saw };
        }
        Err(error) => {
            return Finding {
                what: "store",
                fine: false,
                saw: format!("{}: {error}", config.data.display()),
            };
        }
    }
    match app::open_store(config, Arc::new(SystemLuck)) {
        Ok((store, _)) => match runtime.block_on(store.about()) {
            Ok(about) => Finding { what: "store", fine: true, saw: list(about) },
            Err(error) => Finding { what: "store", fine: false, saw: error.to_string() },
        },
        // A server that runs has it: that is how it should be.
        Err(error) if is_in_use(&error) => Finding {
            what: "store",
            fine: true,
            saw: format!("in use by a server that runs; engine {engine}"),
        },
        Err(error) => Finding { what: "store", fine: false, saw: format!("{error:#}") },
    }
}

/// Who may read the key, if it is there; if it should be, the store says so.
fn key(config: &Config) -> Option<Finding> {
    let open = app::key_is_open(&config.key_file);
    let saw = || format!("{}: for its owner alone", config.key_file.display());
    config.key_file.exists().then(|| Finding {
        what: "key",
        fine: open.is_none(),
        saw: open.unwrap_or_else(saw),
    })
}

fn is_in_use(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<sqlite::OpenError>()
        .is_some_and(|error| matches!(error, sqlite::OpenError::InUse(_)))
}

fn list(about: impl IntoIterator<Item = (&'static str, String)>) -> String {
    about.into_iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// Whether letters leave.
fn mail(config: &Config, runtime: &tokio::runtime::Runtime) -> Finding {
    let says = config::mail_says(&config.mail);
    // Without a relay there is nobody to reach, and looking must not make the Maildir.
    let reached = if config.mail.relay.is_none() {
        Ok(())
    } else {
        match Mailer::new(config.mail.clone()) {
            Ok(mailer) => runtime.block_on(mailer.reach()),
            Err(error) => Err(error.to_string()),
        }
    };
    match reached {
        Ok(()) => Finding { what: "mail", fine: true, saw: says },
        Err(why) => Finding { what: "mail", fine: false, saw: format!("{says}; {why}") },
    }
}

/// Whether the provider is there.
fn sign_in(config: &Config, runtime: &tokio::runtime::Runtime) -> Finding {
    let says = config::sign_in_says(config.provider.as_ref());
    let Some(settings) = &config.provider else {
        return Finding { what: "sign-in", fine: true, saw: says };
    };
    // Nobody is sent back by looking.
    let back = settings.issuer.url().clone();
    let reached = match Provider::new(settings.clone(), back, config.guard.clone()) {
        Ok(provider) => runtime.block_on(provider.reach()).map_err(|trouble| trouble.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match reached {
        Ok(()) => Finding { what: "sign-in", fine: true, saw: says },
        Err(why) => Finding { what: "sign-in", fine: false, saw: format!("{says}; {why}") },
    }
}

/// What letters need besides a relay. Nothing of it is missed while none leaves.
fn letters(config: &Config) -> Vec<Finding> {
    let mail = &config.mail;
    let leaves = mail.relay.is_some();
    let set = |what, value: Option<String>, key: &str, without: &str| match value {
        Some(value) => Finding { what, fine: true, saw: value },
        None => Finding { what, fine: !leaves, saw: format!("{key} is not set: {without}") },
    };
    let mut findings = vec![
        set(
            "public address",
            config.public_url.as_ref().map(ToString::to_string),
            "server.public_url",
            "letters bring no link that stops them, and strangers' addresses are not asked",
        ),
        set(
            "bounces",
            mail.bounces.as_ref().map(|address| {
                format!(
                    "letters come back to {address}, tagged; pipe what arrives there into `sonnette bounce`"
                )
            }),
            "mail.bounces",
            "what comes back is not recognised, and addresses where nobody is are written to again and again",
        ),
    ];
    if mail.dkim.is_empty() {
        findings.push(set(
            "dkim",
            None,
            "mail.dkim",
            "letters are not signed, and many mailboxes refuse them",
        ));
    }
    let record = |key: &Key| Finding { what: "dkim", fine: true, saw: format!("publish {}", dns(key)) };
    findings.extend(mail.dkim.iter().map(record));
    findings
}

/// A key's record as a line of a zone file (RFC 1035, section 5). One string holds 255 bytes at most, and what reads the
/// record puts several together (RFC 6376, section 3.6.2.2).
fn dns(key: &Key) -> String {
    let strings = key.record.as_bytes().chunks(255).map(String::from_utf8_lossy);
    let strings: Vec<_> = strings.map(|string| format!("\"{string}\"")).collect();
    format!("{}._domainkey.{}. IN TXT {}", key.selector, key.domain, strings.join(" "))
}

/// Appends and syncs, as the store does for every group of events.
fn disk(data: &Path) -> Finding {
    let path = data.join("doctor.tmp");
    let probe = || -> std::io::Result<u32> {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
        let start = Instant::now();
        for _ in 0..SYNCS {
            file.write_all(&[0; 1024])?;
            file.sync_data()?;
        }
        let each = start.elapsed().max(Duration::from_micros(1)) / SYNCS;
        Ok(u32::try_from(Duration::from_secs(1).as_nanos() / each.as_nanos().max(1)).unwrap_or(u32::MAX))
    };
    let outcome = probe();
    // A file that stays behind is in nobody's way.
    drop(std::fs::remove_file(&path));
    match outcome {
        Ok(rate) => Finding {
            what: "disk",
            fine: rate >= SLOW_DISK,
            saw: format!("{rate} syncs a second of 1 KiB each"),
        },
        Err(error) => Finding { what: "disk", fine: false, saw: format!("{}: {error}", data.display()) },
    }
}

/// Whether the names of the configuration are resolved: those of the relay, of our own address and of the provider.
fn names(config: &Config) -> Finding {
    let relay = config.mail.relay.as_ref().map(|relay| relay.host.clone());
    let issuer = config.provider.as_ref().map(|provider| provider.issuer.url().clone());
    let urls = [config.public_url.clone(), issuer].into_iter().flatten();
    let hosts: BTreeSet<String> = urls
        .filter_map(|url| url.domain().map(str::to_owned))
        .chain(relay.filter(|host| host.parse::<IpAddr>().is_err()))
        .collect();
    if hosts.is_empty() {
        let saw = "the configuration names no host, so there is nothing to look up";
        return Finding { what: "names", fine: true, saw: saw.to_owned() };
    }
    let mut fine = true;
    let looked_up = hosts.iter().map(|host| match (host.as_str(), 0).to_socket_addrs() {
        Ok(addresses) => {
            format!("{host} has {} addresses", addresses.map(|at| at.ip()).collect::<BTreeSet<_>>().len())
        }
        Err(error) => {
            fine = false;
            format!("{host}: {error}")
        }
    });
    let saw = looked_up.collect::<Vec<_>>().join("; ");
    Finding { what: "names", fine, saw }
}

fn clock() -> Finding {
    let now = SystemClock.now();
    let shown = jiff::Timestamp::from_millisecond(now).map(|at| at.to_string()).unwrap_or_default();
    Finding {
        what: "clock",
        fine: now > THIS_PROGRAM,
        saw: format!("{shown}; receivers refuse signatures 5 minutes off"),
    }
}

fn open_files() -> Finding {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|rest| rest.split_whitespace().next()).unwrap_or("unknown");
    let fine = soft == "unlimited" || soft.parse::<u64>().is_ok_and(|limit| limit >= FEW_FILES);
    let advice = if fine { "" } else { "; raise it (LimitNOFILE=65536) for many receivers" };
    Finding { what: "open files", fine, saw: format!("at most {soft}{advice}") }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::config::Sources;

    /// What is told of letters under these settings.
    fn told(settings: &str) -> Vec<Finding> {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key.pem");
        let made = Command::new("openssl")
            .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"])
            .arg(&key)
            .output()
            .unwrap();
        assert!(made.status.success());
        let file = dir.path().join("sonnette.toml");
        std::fs::write(&file, settings.replace("KEY", &key.display().to_string())).unwrap();
        let config = config::read(&Sources { file: Some(file), ..Sources::default() }).unwrap();
        letters(&config)
    }

    fn lines(findings: &[Finding]) -> Vec<(&'static str, bool)> {
        findings.iter().map(|finding| (finding.what, finding.fine)).collect()
    }

    #[test]
    fn what_letters_lack_is_looked_at_as_soon_as_they_leave() {
        let quiet = told("");
        assert_eq!(lines(&quiet), [("public address", true), ("bounces", true), ("dkim", true)]);
        let leaving = told("[mail]\nrelay = 'smtp://relay.example'\nconfirm = false\n");
        assert_eq!(lines(&leaving), [("public address", false), ("bounces", false), ("dkim", false)]);
        for (finding, key) in leaving.iter().zip(["server.public_url", "mail.bounces", "mail.dkim"]) {
            assert!(finding.saw.starts_with(&format!("{key} is not set")), "{}", finding.saw);
        }
    }

    #[test]
    fn the_records_of_keys_are_printed_as_a_zone_takes_them() {
        let findings = told(
            "[server]\npublic_url = 'https://n.example'\n[mail]\nrelay = 'smtp://relay.example'\n\
             from = 'no-reply@paas.example'\nbounces = 'bounces@paas.example'\ndkim = ['s1 KEY', 's2 KEY']\n",
        );
        assert!(findings.iter().all(|finding| finding.fine), "{:?}", lines(&findings));
        let [.., first, second] = &findings[..] else { panic!("{:?}", lines(&findings)) };
        assert!(second.saw.contains("s2._domainkey.paas.example. IN TXT "), "{}", second.saw);
        let record = first.saw.strip_prefix("publish s1._domainkey.paas.example. IN TXT ").unwrap();
        let strings: Vec<_> = record.split('"').filter(|part| !part.trim().is_empty()).collect();
        assert!(strings.len() == 2 && strings.iter().all(|one| one.len() <= 255), "{strings:?}");
        // RFC 8301, section 3.2: 2,048 bits, which are 392 characters of base 64.
        assert_eq!(strings.concat().len(), "v=DKIM1; k=rsa; p=".len() + 392);
    }
}
