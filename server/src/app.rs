//! Builds everything once; the only place that knows every part.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use sonnette_backends::sqlite;
use sonnette_core::ids::TokenId;
use sonnette_core::mail::House;
use sonnette_core::mail::verp::{self, Bounces};
use sonnette_core::message::{LinkTemplate, LinkTemplates};
use sonnette_core::model::Millis;
use sonnette_core::ports::{Clock, Egress, Luck, NewToken, Store};
use sonnette_core::secret::Sealer;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::{self, Config};
use crate::console::Console;
use crate::egress::maildir::Maildir;
use crate::egress::provider::Provider;
use crate::egress::{Letterhead, Outside};
use crate::flow::tidy::Keeping;
use crate::flow::{Parts, dispatch, tidy};
use crate::http::tls::{self, Certificates};
use crate::http::{self, Site, Terms, listen};
use crate::stream::Hub;
use crate::world::{SystemClock, SystemLuck};

/// The file the first operator token is written to.
pub const TOKEN_FILE: &str = "operator-token";
/// Letters erased at once.
const LETTERS: usize = 1_000;
const HOUR: Duration = Duration::from_secs(3_600);

/// A server that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it works with.
    pub parts: Parts,
    /// The certificate it shows, if it listens with TLS.
    pub certificates: Option<Arc<Certificates>>,
    stop: CancellationToken,
    doors: JoinHandle<()>,
    flow: Vec<JoinHandle<()>>,
}

/// Opens the store, making the data directory, the store and its key if there is no store yet.
///
/// # Errors
/// In words for whoever starts the server.
pub fn open_store(config: &Config, luck: Arc<dyn Luck>) -> Result<(Arc<dyn Store>, Sealer)> {
    // Only for us: what is inside is other people's.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data)
        .with_context(|| format!("cannot make the data directory {}", config.data.display()))?;
    let sealer = key(config, luck.as_ref())?;
    let settings = sqlite::Settings {
        cache_bytes: config.cache_bytes,
        letters: config.letters.clone(),
        hooks_each: config.hooks_each,
    };
    let catalogue = Arc::new(config.catalogue.clone());
    let store = sqlite::open(&config.data, settings, sealer.clone(), catalogue, luck)
        .with_context(|| format!("cannot open the store in {}", config.data.display()))?;
    Ok((store, sealer))
}

/// Reads the key, or makes it for a store that is still to be made. It is on disk before anything is sealed with it.
fn key(config: &Config, luck: &dyn Luck) -> Result<Sealer> {
    let (path, data) = (&config.key_file, &config.data);
    match std::fs::read_to_string(path) {
        Ok(text) => {
            Sealer::from_text(&text).with_context(|| format!("{} does not hold a key", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            anyhow::ensure!(
                !sqlite::is_there(data).with_context(|| format!("cannot look into {}", data.display()))?,
                "the key {} is gone, and what is sealed in the store of {} opens with no other: put it back from a copy",
                path.display(),
                data.display(),
            );
            let bytes = luck.bytes32();
            write_private(path, Sealer::to_text(&bytes).as_bytes())?;
            Ok(Sealer::new(&bytes))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read the key {}", path.display())),
    }
}

/// What is wrong with who may read the key, if anything is. A key that is not there is read by nobody.
pub fn key_is_open(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.mode() & 0o777;
    (mode & 0o077 != 0)
        .then(|| format!("the key {} may be read by others (mode {mode:o}): chmod 600 it", path.display()))
}

/// Writes a new file only we may read, and its place in the directory, to the disk.
fn write_private(path: &Path, text: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text)?;
        file.sync_all()?;
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes the first operator token, if there has never been one.
async fn first_token(config: &Config, store: &dyn Store, clock: &dyn Clock, luck: &dyn Luck) -> Result<()> {
    let path = config.data.join(TOKEN_FILE);
    if path.exists() || store.tokens(None).await?.iter().any(|token| token.user.is_none()) {
        return Ok(());
    }
    let (text, digest) = http::operator_token(luck);
    let id = TokenId(luck.id());
    store.add_token(id, "first".to_owned(), NewToken::Operator(digest), clock.now()).await?;
    write_private(&path, format!("{}\n", text.expose()).as_bytes())?;
    tracing::info!("the first operator token is in {}", path.display());
    Ok(())
}

/// Starts everything and listens.
///
/// # Errors
/// In words for whoever starts the server.
pub async fn start(config: Config) -> Result<Running> {
    let luck: Arc<dyn Luck> = Arc::new(SystemLuck);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (store, sealer) = open_store(&config, Arc::clone(&luck))?;
    if let Some(open) = key_is_open(&config.key_file) {
        tracing::warn!("{open}");
    }
    first_token(&config, store.as_ref(), clock.as_ref(), luck.as_ref()).await?;
    let mail = config::mail_says(&config.mail);
    let house = House {
        name: config.mail.from_name.clone(),
        domain: config.mail.domain.clone(),
        bounces: config
            .mail
            .bounces
            .clone()
            .map(|address| Bounces { address, key: sealer.key(verp::PURPOSE) }),
        lang: config.mail.lang,
    };
    let letterhead = Letterhead::new(&config.mail)?;
    let outside = Arc::new(Outside::new(config.guard.clone(), config.mail)?);
    let maildir = outside.mail.maildir().cloned();
    let egress: Arc<dyn Egress> = outside;
    let listener =
        listen::bind(config.listen).with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let base: Url = match &config.public_url {
        Some(url) => url.clone(),
        None => format!("{scheme}://{address}").parse().context("the address makes no URL")?,
    };
    // Where nobody said how people know us, only whoever tries things on this machine gets links to it.
    let public_url = (config.public_url.is_some() || config.dev).then(|| base.as_str().into());
    let event = public_url
        .as_ref()
        .map(|_| format!("{}/o/{{owner}}/events/{{event}}", base.as_str().trim_end_matches('/')));
    let event =
        event.map(|text| LinkTemplate::parse(&text)).transpose().context("the address makes no link")?;
    let links = LinkTemplates { event, ..config.links };
    let parts = Parts {
        store,
        egress,
        clock,
        luck,
        catalogue: Arc::new(config.catalogue),
        formats: sonnette_core::formats::find,
        links: Arc::new(links),
        house: Arc::new(house),
        letterhead: Arc::new(letterhead),
        sealer,
        public_url,
        policy_told: Arc::new(AtomicI64::new(Millis::MIN)),
    };

    let stop = CancellationToken::new();
    let hooks_changed = Arc::new(Notify::new());
    let provider = match config.provider {
        None => None,
        Some(settings) => {
            let back = format!("{}/sign-in/callback", base.as_str().trim_end_matches('/'));
            let back = back.parse().context("the address makes no URL")?;
            Some(Provider::new(settings, back, config.guard.clone())?)
        }
    };
    let terms = Terms {
        consumers: config.consumers,
        public_url: config.public_url,
        trusted_proxies: config.trusted_proxies,
    };
    let streams = Arc::new(Hub::new(
        Arc::clone(&parts.store),
        Arc::clone(&parts.clock),
        Arc::clone(&parts.catalogue),
        config.policy.clone(),
        config.heartbeat,
        stop.clone(),
    ));
    let mut site = Site::new(
        parts.clone(),
        config.guard,
        config.policy,
        terms,
        Arc::clone(&hooks_changed),
        Arc::clone(&streams),
        Console::new(base, config.dev, provider),
    );
    site.applications = config.applications;
    let router = http::router(Arc::new(site));
    let keeping = Keeping { events: config.retention, excerpts: config.excerpts };
    let flow = vec![
        tokio::spawn(dispatch::run(parts.clone(), config.in_flight, stop.clone())),
        tokio::spawn(tidy::run(parts.clone(), keeping, hooks_changed, stop.clone())),
        tokio::spawn(streams.run()),
        tokio::spawn(keep_maildir(maildir, Arc::clone(&parts.clock), config.retention, stop.clone())),
    ];
    let acceptor = config.tls.clone().map(tls::acceptor).transpose()?;
    let doors = tokio::spawn(listen::serve(listener, acceptor, router, stop.clone()));
    tracing::info!(%address, store = ?parts.store.about().await?, mail, "started");
    Ok(Running { address, parts, certificates: config.tls, stop, doors, flow })
}

/// Letters written instead of sent obey retention like everything else.
async fn keep_maildir(
    maildir: Option<Arc<Maildir>>,
    clock: Arc<dyn Clock>,
    retention: Millis,
    stop: CancellationToken,
) {
    let Some(maildir) = maildir else { return };
    while !stop.is_cancelled() {
        let keep = Arc::clone(&maildir);
        let before =
            UNIX_EPOCH + Duration::from_millis(u64::try_from(clock.now() - retention).unwrap_or_default());
        let purged = tokio::task::spawn_blocking(move || keep.purge(before, LETTERS)).await;
        let pause = match purged {
            Ok(Ok(purged)) if purged.more => Duration::from_secs(1),
            Ok(Err(error)) => {
                tracing::warn!(%error, "old letters could not be removed");
                HOUR
            }
            _ => HOUR,
        };
        drop(tokio::time::timeout(pause, stop.cancelled()).await);
    }
}

impl Running {
    /// What clients put before a path.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.certificates.is_some() { "https" } else { "http" }, self.address)
    }

    /// Stops: no new connections and attempts, those under way finish, and the store is closed.
    pub async fn stop(self) {
        self.stop.cancel();
        for part in std::iter::once(self.doors).chain(self.flow) {
            if part.await.is_err() {
                tracing::error!("a part did not end well");
            }
        }
        // The store closes with its last handle; it writes its log back, which may take a moment.
        let parts = self.parts;
        drop(tokio::task::spawn_blocking(move || drop(parts)).await);
    }
}
