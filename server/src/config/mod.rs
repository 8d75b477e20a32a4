//! Settings: what was written becomes what is meant, and every mistake is told at once with its place.
//!
//! The default file is the one list of keys: a key it does not have is refused, a key left out has its value.

mod sheet;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use sonnette_core::address;
use sonnette_core::catalogue::Catalogue;
use sonnette_core::formats;
use sonnette_core::lang::Lang;
use sonnette_core::mail::verp;
use sonnette_core::message::{LinkTemplate, LinkTemplates, one_line};
use sonnette_core::model::{DAY, Millis, Role};
use sonnette_core::permission::Policy;
use sonnette_core::secret::Secret;
use sonnette_core::stops::LetterRules;
use url::Url;

use crate::egress::authorities::Authorities;
use crate::egress::dkim;
use crate::egress::guard::Guard;
use crate::egress::mailer::{MailSettings, Relay, RelayTls};
use crate::egress::provider::ProviderSettings;
use crate::http::Consumer;
use crate::http::tls::{self, Certificates};
use sheet::Sheet;

/// The default file, with every key and what it is for.
pub const DEFAULT: &str = include_str!("default.toml");

/// Where the configuration comes from: a file, and what the command line says over it.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file.
    pub file: Option<PathBuf>,
    /// Over `store.data`.
    pub data: Option<PathBuf>,
    /// Over `server.listen`.
    pub listen: Option<SocketAddr>,
    /// For developers: loopback and private receivers are allowed, and we listen on the loopback only.
    pub dev: bool,
}

/// What is meant.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The address we are known by.
    pub public_url: Option<Url>,
    /// Proxies whose word is taken on what the client called.
    pub trusted_proxies: Vec<IpNet>,
    /// The certificate to show; without one we speak plain HTTP.
    pub tls: Option<Arc<Certificates>>,
    /// Programs whose requests may be signed.
    pub consumers: Vec<Consumer>,
    /// The data directory.
    pub data: PathBuf,
    /// Bytes of page cache.
    pub cache_bytes: usize,
    /// Hooks one owner may have.
    pub hooks_each: i64,
    /// How long events and deliveries are kept.
    pub retention: Millis,
    /// How long excerpts of replies are kept.
    pub excerpts: Millis,
    /// The key file.
    pub key_file: PathBuf,
    /// Which addresses may be dialled.
    pub guard: Guard,
    /// Attempts under way at once.
    pub in_flight: usize,
    /// How letters leave.
    pub mail: MailSettings,
    /// What is asked of letters.
    pub letters: LetterRules,
    /// Links in messages.
    pub links: LinkTemplates,
    /// The provider people may sign in at.
    pub provider: Option<ProviderSettings>,
    /// What roles may do.
    pub policy: Policy,
    /// How often the event socket says that it is there.
    pub heartbeat: Duration,
    /// Whether applications may be created on the Clever Cloud surface.
    pub applications: bool,
    /// Kinds, families, default hooks.
    pub catalogue: Catalogue,
    /// Log filter.
    pub log_level: String,
    /// One JSON object a line instead of text.
    pub log_json: bool,
    /// See [`Sources::dev`].
    pub dev: bool,
}

/// Every mistake of a configuration, one a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Mistakes(pub Vec<String>);

/// Reads the configuration.
///
/// # Errors
/// Every mistake, each with its file, line and key.
pub fn read(sources: &Sources) -> Result<Config, Mistakes> {
    let (name, text) = match &sources.file {
        None => ("configuration".to_owned(), String::new()),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => (path.display().to_string(), text),
            Err(error) => return Err(Mistakes(vec![format!("{}: {error}", path.display())])),
        },
    };
    let mut sheet = Sheet::new(&name, &text, DEFAULT)?;
    let config = meant(&mut sheet, sources);
    sheet.finish()?;
    config.ok_or_else(|| Mistakes(vec![format!("{name}: cannot be read")]))
}

/// `None` only with a mistake noted.
fn meant(sheet: &mut Sheet<'_>, sources: &Sources) -> Option<Config> {
    let listen = listen(sheet, sources);
    let public_url = sheet.text("server.public_url").and_then(|text| {
        let url = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
        sheet.expect("server.public_url", url, "an absolute http or https URL")
    });
    let trusted_proxies = networks(sheet, "server.trusted_proxies");
    let tls = tls(sheet);
    let consumers = consumers(sheet);
    let data = sources.data.clone().or_else(|| sheet.text("store.data").map(PathBuf::from));
    let data = sheet.expect("store.data", data, "a path");
    let cache_mib = sheet.number("store.cache_mib", 4, 65_536);
    let hooks_each = sheet.number("store.hooks_per_owner", 1, 10_000);
    let retention = sheet.number("store.retention_days", 7, 3_650);
    let excerpts = sheet.number("store.excerpt_days", 0, 3_650);
    let key_file = sheet.text("store.key_file").map(PathBuf::from);
    let allow_private = sheet.flag("delivery.allow_private") || sources.dev;
    let allow = networks(sheet, "delivery.allow");
    let closed: Vec<&str> = formats::closed_services().collect();
    let allow_closed = sheet.list("delivery.allow_closed");
    for name in allow_closed.iter().filter(|name| !closed.contains(&name.as_str())) {
        sheet.mistake(format!(
            "delivery.allow_closed: `{name}` is not a service that has closed: {}",
            closed.join(", ")
        ));
    }
    let in_flight = sheet.number("delivery.in_flight", 1, 65_536);
    let mail = mail(sheet, public_url.as_ref(), data.as_deref());
    let confirm = sheet.flag("mail.confirm") && !sources.dev;
    // Nobody could confirm without a page of ours to do it at, and strangers are not to be mailed unasked.
    let leave = sheet.text("mail.relay").is_some();
    if confirm && leave && sheet.text("server.public_url").is_none() {
        let form = "an absolute http or https URL, as letters leave by mail.relay: strangers confirm there that they want \
                    them (mail.confirm), and readers stop them";
        sheet.expect("server.public_url", None::<()>, form);
    }
    let confirm = public_url.as_ref().filter(|_| confirm).map(ToString::to_string);
    let lang = mail.as_ref().map(|mail| mail.lang).unwrap_or_default();
    let ceiling = sheet.number("mail.hourly_ceiling", 0, 1_000_000);
    let links = LinkTemplates {
        application: link(sheet, "links.application"),
        deployment: link(sheet, "links.deployment"),
        owner: link(sheet, "links.owner"),
        event: None,
    };
    let provider = provider(sheet, public_url.is_some() || sources.dev);
    let roles = sheet.list("access.change_hooks");
    let change_hooks = roles
        .iter()
        .filter_map(|text| {
            sheet.expect("access.change_hooks", Role::parse(text), "ADMIN, MANAGER, DEVELOPER, ACCOUNTING")
        })
        .collect();
    let heartbeat = sheet.number("streams.heartbeat_seconds", 1, 300);
    let applications = sheet.flag("clever_cloud.applications");
    let catalogue = catalogue(sheet);
    let log_level = sheet.text("log.level").unwrap_or_else(|| "info".to_owned());
    let log_json = match sheet.text("log.format").as_deref() {
        Some("json") => true,
        Some("text") | None => false,
        Some(_) => sheet.expect("log.format", None, "`text` or `json`").unwrap_or_default(),
    };
    let data = data?;
    Some(Config {
        listen: listen?,
        public_url,
        trusted_proxies,
        tls,
        consumers,
        cache_bytes: usize::try_from(cache_mib?).ok()? << 20,
        hooks_each: hooks_each?,
        retention: retention? * DAY,
        excerpts: excerpts? * DAY,
        key_file: key_file.unwrap_or_else(|| data.join("key")),
        guard: Guard { allow_private, allow, allow_closed },
        in_flight: usize::try_from(in_flight?).ok()?,
        mail: mail?,
        letters: LetterRules { confirm, ceiling: u32::try_from(ceiling?).ok()?, lang },
        links,
        provider,
        policy: Policy { change_hooks },
        heartbeat: Duration::from_secs(heartbeat?.unsigned_abs()),
        applications,
        catalogue: catalogue?,
        log_level,
        log_json,
        dev: sources.dev,
        data,
    })
}

fn listen(sheet: &mut Sheet<'_>, sources: &Sources) -> Option<SocketAddr> {
    let address = match sources.listen {
        Some(address) => Some(address),
        None => sheet.text("server.listen")?.parse::<SocketAddr>().ok(),
    };
    let address = sheet.expect("server.listen", address, "an address and a port, such as 127.0.0.1:8787")?;
    let fits = !sources.dev || address.ip().is_loopback();
    sheet.expect("server.listen", fits.then_some(address), "a loopback address with --dev")
}

/// `None` without TLS, or with a mistake noted.
fn tls(sheet: &mut Sheet<'_>) -> Option<Arc<Certificates>> {
    match (sheet.text("tls.certificate"), sheet.text("tls.key")) {
        (None, None) => None,
        (None, Some(_)) => sheet.expect("tls.certificate", None, "a file, as tls.key is set"),
        (Some(_), None) => sheet.expect("tls.key", None, "a file, as tls.certificate is set"),
        (Some(certificate), Some(key)) => match Certificates::read(certificate.into(), PathBuf::from(&key)) {
            Ok(certificates) => Some(Arc::new(certificates)),
            Err(error) => {
                let of = if error.is_about(Path::new(&key)) { "tls.key" } else { "tls.certificate" };
                sheet.expect(of, None, &format!("a certificate and its key ({error})"))
            }
        },
    }
}

fn consumers(sheet: &mut Sheet<'_>) -> Vec<Consumer> {
    let mut consumers: Vec<Consumer> = Vec::new();
    for text in sheet.list("oauth.consumers") {
        let known = |one: &Consumer| consumers.iter().any(|other| other.key == one.key);
        let one = Consumer::parse(&text).filter(|one| !known(one));
        consumers.extend(sheet.expect(
            "oauth.consumers",
            one,
            "`KEY:SECRET`, of letters, digits and -._~, each key once",
        ));
    }
    consumers
}

fn networks(sheet: &mut Sheet<'_>, key: &str) -> Vec<IpNet> {
    let texts = sheet.list(key);
    texts
        .iter()
        .filter_map(|text| {
            let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            sheet.expect(key, net, "networks such as 10.1.0.0/16")
        })
        .collect()
}

fn link(sheet: &mut Sheet<'_>, key: &str) -> Option<LinkTemplate> {
    let text = sheet.text(key)?;
    match LinkTemplate::parse(&text) {
        Ok(template) => Some(template),
        Err(error) => sheet.expect(key, None, &error.to_string()),
    }
}

fn catalogue(sheet: &mut Sheet<'_>) -> Option<Catalogue> {
    let path = sheet.text("catalogue.file");
    let file = match path {
        None => None,
        Some(path) => match std::fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(error) => {
                return sheet.expect(
                    "catalogue.file",
                    None,
                    &format!("a file that can be read ({path}: {error})"),
                );
            }
        },
    };
    match Catalogue::with(file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()))) {
        Ok(catalogue) => Some(catalogue),
        Err(error) => {
            sheet.mistake(error.to_string());
            None
        }
    }
}

fn mail(sheet: &mut Sheet<'_>, public_url: Option<&Url>, data: Option<&Path>) -> Option<MailSettings> {
    let from = sheet.text("mail.from").unwrap_or_default();
    let from = sheet.expect("mail.from", sender(&from), "`Name <address>` or an address");
    let password = password(sheet, "mail.password_file");
    let authorities = authorities(sheet, "mail.relay_ca");
    // A relay that is written wrongly must not fall back to the Maildir.
    let relay = match sheet.text("mail.relay") {
        None => None,
        Some(text) => {
            let form =
                "smtp://[user@]host[:port], smtps://… or smtp+plain://…; a user goes with a password_file";
            let relay = sheet.expect("mail.relay", relay(&text, password), form)?;
            Some(Relay { authorities: authorities.clone(), ..relay })
        }
    };
    // Who names an authority means to be encrypted.
    let encrypted = relay.as_ref().is_some_and(|relay| relay.tls != RelayTls::None);
    if authorities.is_some() && !encrypted {
        sheet.expect("mail.relay", None::<()>, "smtp://… or smtps://…, as mail.relay_ca is set");
    }
    let (from_name, from_address) = from?;
    let domain =
        public_url.and_then(Url::host_str).or(from_address.rsplit_once('@').map(|(_, domain)| domain));
    let domain = domain.unwrap_or("localhost").to_owned();
    let mut address = |key: &str| -> Option<Option<String>> {
        match sheet.text(key) {
            None => Some(None),
            Some(text) => sheet.expect(key, address::check(&text).ok(), "an address").map(Some),
        }
    };
    let (reply_to, bounces) = (address("mail.reply_to"), address("mail.bounces"));
    if bounces.iter().flatten().any(|address| !verp::fits(address)) {
        let longest = 63 - verp::LONGEST_TAG;
        let form = format!(
            "an address with at most {longest} characters before the `@`: a tag of {} goes with them",
            verp::LONGEST_TAG
        );
        sheet.expect("mail.bounces", None::<()>, &form);
    }
    let lang = sheet.text("mail.lang").unwrap_or_default();
    let lang = sheet.expect("mail.lang", Lang::parse(&lang), "en or fr");
    let signs = from_address.rsplit_once('@').map_or(domain.as_str(), |(_, domain)| domain);
    let mut keys = Vec::new();
    for entry in sheet.list("mail.dkim") {
        let key = entry.trim().split_once(char::is_whitespace);
        let key = key.map(|(selector, file)| dkim::Key::read(selector, signs, Path::new(file.trim())));
        match key {
            Some(Ok(key)) => keys.push(key),
            Some(Err(why)) => sheet.mistake(format!("mail.dkim: `{entry}` {why}")),
            None => sheet.mistake(format!("mail.dkim: `{entry}` is not `SELECTOR FILE`")),
        }
    }
    Some(MailSettings {
        relay,
        from_name,
        from_address,
        domain,
        reply_to: reply_to?,
        bounces: bounces?,
        lang: lang?,
        dkim: keys,
        maildir: data?.join("mail"),
    })
}

/// `None` where none is set, or with a mistake noted. `known` is whether we have an address it can send people back to.
fn provider(sheet: &mut Sheet<'_>, known: bool) -> Option<ProviderSettings> {
    let client_id = sheet.text("sign_in.client_id");
    let secret = password(sheet, "sign_in.client_secret_file");
    let name = sheet.text("sign_in.name");
    let fits = |scope: &String| {
        !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
    };
    let mut scopes = sheet.list("sign_in.scopes");
    let right = scopes.iter().all(fits);
    sheet.expect("sign_in.scopes", right.then_some(()), "scopes without spaces, each in quotes");
    // It is asked for in any case.
    scopes.retain(|scope| scope != "openid");
    let Some(text) = sheet.text("sign_in.issuer") else {
        if client_id.is_some() || secret.is_some() {
            sheet.expect(
                "sign_in.issuer",
                None::<()>,
                "the provider's address, as other settings of it are there",
            );
        }
        return None;
    };
    let form = "https://host[/path], or http on this machine, with no query and no user";
    let issuer = sheet.expect("sign_in.issuer", ProviderSettings::issuer(&text), form)?;
    let client_id = sheet.expect("sign_in.client_id", client_id, "what the provider knows us by");
    sheet.expect(
        "sign_in.issuer",
        known.then_some(()),
        "server.public_url set, which people are sent back to",
    );
    let name = name.map(|name| one_line(&name)).filter(|name| !name.is_empty());
    let name = name.or_else(|| issuer.url().host_str().map(str::to_owned)).unwrap_or_default();
    let short = name.chars().count() <= 60;
    sheet.expect("sign_in.name", short.then_some(()), "at most 60 characters");
    Some(ProviderSettings { issuer, client_id: client_id?, secret, scopes, name })
}

/// A secret from the file a setting names.
fn password(sheet: &mut Sheet<'_>, key: &str) -> Option<Secret> {
    let path = sheet.text(key)?;
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(Secret::new(text.trim_end_matches(['\r', '\n']))),
        Err(error) => sheet.expect(key, None, &format!("a file that can be read ({path}: {error})")),
    }
}

/// The authorities in the file a setting names; `None` where none is named, or with a mistake noted.
fn authorities(sheet: &mut Sheet<'_>, key: &str) -> Option<Authorities> {
    let path = PathBuf::from(sheet.text(key)?);
    let read = tls::certificates(&path).map_err(|error| error.to_string());
    match read.and_then(|certificates| Authorities::new(path, certificates)) {
        Ok(authorities) => Some(authorities),
        Err(why) => sheet.expect(key, None, &format!("certificates of authorities ({why})")),
    }
}

/// A name and an address.
fn sender(text: &str) -> Option<(String, String)> {
    let (name, address) = match text.trim().strip_suffix('>') {
        Some(rest) => rest.split_once('<')?,
        None => ("", text),
    };
    Some((one_line(name.trim()), address::check(address.trim()).ok()?))
}

fn relay(text: &str, password: Option<Secret>) -> Option<Relay> {
    let url = Url::parse(text).ok()?;
    let (tls, port) = match url.scheme() {
        "smtp" => (RelayTls::StartTls, 587),
        "smtps" => (RelayTls::Tls, 465),
        "smtp+plain" => (RelayTls::None, 25),
        _ => return None,
    };
    let host = url.host_str().filter(|host| !host.is_empty())?.to_owned();
    let bare = url.password().is_none() && matches!(url.path(), "" | "/") && url.query().is_none();
    let login = match (url.username(), password) {
        ("", _) => None,
        (user, Some(password)) => Some((user.to_owned(), password)),
        (_, None) => return None,
    };
    let port = url.port().unwrap_or(port);
    bare.then_some(Relay { host, port, tls, authorities: None, login })
}

/// Whether we listen with TLS, in words.
pub fn tls_says(tls: Option<&Certificates>) -> String {
    tls.map_or_else(|| "plain HTTP: no certificate is set (tls.certificate)".to_owned(), Certificates::says)
}

/// How people sign in, in words: said by `check-config` and `doctor`.
pub fn sign_in_says(provider: Option<&ProviderSettings>) -> String {
    match provider {
        Some(provider) => format!("by a link, or at {} ({})", provider.name, provider.issuer.as_str()),
        None => "by a link: no provider is set (sign_in.issuer)".to_owned(),
    }
}

/// Whether letters leave, in words: said at the start and by `doctor`.
pub fn mail_says(mail: &MailSettings) -> String {
    match &mail.relay {
        Some(relay) => format!("sent by {}:{} as {}", relay.host, relay.port, mail.from_address),
        None => format!("written to {}, not sent: no relay is set (mail.relay)", mail.maildir.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Config, Mistakes> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sonnette.toml");
        std::fs::write(&path, text).unwrap();
        read(&Sources { file: Some(path), ..Sources::default() })
    }

    #[test]
    fn the_default_file_says_what_is_meant_without_one() {
        let (written, silent) = (of(DEFAULT).unwrap(), read(&Sources::default()).unwrap());
        assert_eq!(format!("{written:?}"), format!("{silent:?}"));
        assert_eq!(written.listen.to_string(), "127.0.0.1:8787");
        assert!(written.tls.is_none() && written.trusted_proxies.is_empty());
        let [clever] = &written.consumers[..] else { panic!("{:?}", written.consumers) };
        assert_eq!(clever.key, "T5nFjKeHH4AIlEveuGhB5S3xg8T19e");
        assert!(written.mail.relay.is_none() && !written.guard.allow_private);
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_line() {
        let Mistakes(lines) =
            of("[server]\nlisten = 5\nfoo = 1\n[mial]\nrelay = ''\n[store]\nretention_days = 1\n")
                .unwrap_err();
        let told = lines.join("\n");
        for expected in
            ["sonnette.toml:2: server.listen", ":3: server.foo", ":4: mial", ":7: store.retention_days"]
        {
            assert!(told.contains(expected), "{told}");
        }
        assert_eq!(lines.len(), 4, "{told}");
    }

    #[test]
    fn a_relay_is_a_url_without_a_password() {
        let config =
            of("[server]\npublic_url = 'https://n.example'\n[mail]\nrelay = 'smtp://mail.example.org'\n")
                .unwrap();
        let relay = config.mail.relay.unwrap();
        assert_eq!(
            (relay.host.as_str(), relay.port, relay.tls),
            ("mail.example.org", 587, RelayTls::StartTls)
        );
        assert!(of("[mail]\nrelay = 'smtp://me@mail.example.org'\n").is_err(), "a user without a password");
        assert!(of("[mail]\nrelay = 'smtp://me:secret@mail.example.org'\n").is_err());
        assert!(of("[mail]\nrelay = 'mail.example.org'\n").is_err());
    }

    #[test]
    fn strangers_are_asked_before_letters_leave_or_nothing_starts() {
        let relay = "[mail]\nrelay = 'smtp://mail.example.org'\n";
        let Mistakes(lines) = of(relay).unwrap_err();
        assert!(
            lines.len() == 1
                && lines[0].contains("server.public_url: expected")
                && lines[0].contains("mail.confirm"),
            "{lines:?}"
        );
        let asked = of(&format!("[server]\npublic_url = 'https://n.example'\n{relay}")).unwrap();
        assert_eq!(asked.letters.confirm.as_deref(), Some("https://n.example/"));
        assert_eq!(of(&format!("{relay}confirm = false\n")).unwrap().letters.confirm, None);
        // Where nothing leaves, nobody is mailed; developers try things on.
        assert!(of("").is_ok());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sonnette.toml");
        std::fs::write(&file, relay).unwrap();
        assert!(read(&Sources { file: Some(file), dev: true, ..Sources::default() }).is_ok());
        // A mistake in the address is told once.
        let Mistakes(lines) = of(&format!("[server]\npublic_url = 'n.example'\n{relay}")).unwrap_err();
        assert_eq!(lines.len(), 1, "{lines:?}");
    }

    #[test]
    fn an_address_bounces_come_to_has_room_for_a_tag() {
        let bounces = |local: usize| of(&format!("[mail]\nbounces = '{}@example.org'\n", "b".repeat(local)));
        assert!(bounces(25).is_ok());
        for long in [26, 40] {
            let Mistakes(lines) = bounces(long).unwrap_err();
            assert!(
                lines.len() == 1
                    && lines[0].contains(":2: mail.bounces: expected an address with at most 25 characters"),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn strangers_are_spoken_to_in_the_language_of_letters() {
        assert_eq!(of("[mail]\nlang = 'fr'\n").unwrap().letters.lang, Lang::Fr);
    }

    #[test]
    fn an_authority_of_ones_own_vouches_for_a_relay_or_it_is_said_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name).display().to_string()
        };
        let made = rcgen::generate_simple_self_signed(["relay.example".to_owned()]).unwrap();
        let pem = made.cert.pem();
        let mail = |relay: &str, file: &str| {
            of(&format!("[mail]\nrelay = '{relay}'\nrelay_ca = '{file}'\nconfirm = false\n"))
        };
        let (one, two) = (write("one.pem", &pem), write("two.pem", &format!("{pem}\n{pem}")));
        for (url, file, count) in [("smtp://relay.example", &one, 1), ("smtps://relay.example", &two, 2)] {
            let relay = mail(url, file).unwrap().mail.relay.unwrap();
            assert_eq!(relay.authorities.unwrap().certificates().len(), count);
        }
        let key = write("key.pem", &made.signing_key.serialize_pem());
        let cut = write("cut.pem", &format!("{pem}\n{}", &pem[..pem.len() / 2]));
        let junk = write("junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        for (url, file, says) in [
            (
                "smtp://relay.example",
                "/nowhere",
                ":3: mail.relay_ca: expected certificates of authorities (/nowhere: No such",
            ),
            ("smtp://relay.example", &key, "key.pem does not hold a certificate in PEM)"),
            ("smtp://relay.example", &cut, "cut.pem does not hold a certificate in PEM)"),
            ("smtp://relay.example", &junk, "junk.pem: certificate 1 cannot be used"),
            ("smtp+plain://relay.example", &one, ":2: mail.relay: expected smtp://… or smtps://…"),
            ("", &one, ":2: mail.relay: expected smtp://… or smtps://…"),
        ] {
            let Mistakes(lines) = mail(url, file).unwrap_err();
            assert!(lines.len() == 1 && lines[0].contains(says), "{lines:?} should say {says}");
        }
    }

    #[test]
    fn a_certificate_and_its_key_are_read_at_the_start_or_it_is_said_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name).display().to_string()
        };
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let certificate = write("certificate", &made.cert.pem());
        let (key, other) =
            (write("key", &made.signing_key.serialize_pem()), write("other", &other.serialize_pem()));
        let broken = write("broken", "-----BEGIN PRIVATE KEY-----");
        let tls = |certificate: &str, key: &str| {
            of(&format!("[tls]\ncertificate = '{certificate}'\nkey = '{key}'\n"))
        };
        assert!(tls(&certificate, &key).unwrap().tls.is_some());
        let mistakes = [
            (tls(&certificate, ""), ":3: tls.key: expected a file"),
            (tls("", &key), ":2: tls.certificate: expected a file"),
            (tls(&certificate, &other), "cannot be used together"),
            (tls(&key, &key), "key does not hold a certificate in PEM"),
            (tls(&certificate, &broken), ":3: tls.key: expected a certificate and its key"),
            (
                tls(&certificate, "/nowhere"),
                ":3: tls.key: expected a certificate and its key (/nowhere: No such file",
            ),
        ];
        for (read, says) in mistakes {
            let Mistakes(lines) = read.unwrap_err();
            assert!(lines.len() == 1 && lines[0].contains(says), "{lines:?} should say {says}");
        }
    }

    #[test]
    fn a_consumer_that_is_no_pair_is_a_mistake_that_does_not_show_it() {
        assert_eq!(of("[oauth]\nconsumers = []\n").unwrap().consumers.len(), 0);
        assert_eq!(of("[oauth]\nconsumers = ['a:hunter2', 'b:hunter2']\n").unwrap().consumers.len(), 2);
        for wrong in ["['hunter2']", "['a:hunter2', 'a:other']", "['a:hunter 2']"] {
            let Mistakes(lines) = of(&format!("[oauth]\nconsumers = {wrong}\n")).unwrap_err();
            assert!(
                lines.len() == 1 && lines[0].contains(":2: oauth.consumers") && !lines[0].contains("hunter"),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_provider_is_whole_or_told_what_it_lacks_and_its_secret_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "hunter2\n").unwrap();
        let url = "[server]\npublic_url = 'https://n.example.org'\n[sign_in]\n";
        let issuer = "issuer = 'https://id.example.org'\n";
        let whole = format!("{url}{issuer}client_id = 'us'\nclient_secret_file = '{}'\n", file.display());
        let config = of(&whole).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let provider = config.provider.unwrap();
        assert_eq!(provider.secret.unwrap().expose(), "hunter2");
        assert_eq!(
            (provider.name.as_str(), &provider.scopes[..]),
            ("id.example.org", &["email".to_owned()][..])
        );
        for (text, says) in [
            (format!("{url}{issuer}"), "sign_in.client_id: expected"),
            (format!("{url}client_id = 'us'\n"), "sign_in.issuer: expected"),
            (
                format!("{url}issuer = 'http://id.example.org'\nclient_id = 'us'\n"),
                "sign_in.issuer: expected https",
            ),
            (format!("[sign_in]\n{issuer}client_id = 'us'\n"), "server.public_url"),
            (format!("{url}{issuer}client_id = 'us'\nscopes = ['a b']\n"), "sign_in.scopes: expected"),
            (
                format!("{url}{issuer}client_id = 'us'\nclient_secret_file = '/nowhere'\n"),
                "sign_in.client_secret_file",
            ),
        ] {
            let Mistakes(lines) = of(&text).unwrap_err();
            assert!(lines.len() == 1 && lines[0].contains(says), "{lines:?} should say {says}");
        }
    }

    #[test]
    fn developers_listen_on_the_loopback_only_and_may_send_there() {
        let dev = |listen: &str| {
            read(&Sources { dev: true, listen: Some(listen.parse().unwrap()), ..Sources::default() })
        };
        assert!(dev("127.0.0.1:0").unwrap().guard.allow_private);
        assert!(dev("0.0.0.0:8787").is_err());
    }
}
