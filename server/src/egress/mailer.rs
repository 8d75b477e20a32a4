//! Writes a letter as MIME and hands it to the relay by SMTP, or to the [`Maildir`] where none is set.
//!
//! SMTP is spoken a command at a time over connections of our own: the pool of the mail library puts a connection back
//! whose transaction was given up half-way, and reads its late replies as those of the next letter.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use rustls::CertificateError;
use sonnette_core::lang::Lang;
use sonnette_core::mail::reply::{self, Step};
use sonnette_core::message;
use sonnette_core::model::Millis;
use sonnette_core::ports::{Clock, Letter, Posted};
use sonnette_core::secret::Secret;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::authorities::Authorities;
use super::dkim;
use super::idle::{Idle, IdleLimits};
use super::maildir::Maildir;
use crate::world::SystemClock;

/// Connections to the relay at a time.
const LINES: usize = 8;
/// Letters over one connection: relays close those that go on for ever.
const LETTERS_A_LINE: u32 = 50;
/// Characters kept of what a relay says.
const LONGEST_WORDS: usize = 500;

/// How letters leave.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Where to; `None` writes them to the Maildir.
    pub relay: Option<Relay>,
    /// The name of the sender.
    pub from_name: String,
    /// The address of the sender.
    pub from_address: String,
    /// What Message-IDs end in, and how we introduce ourselves to the relay.
    pub domain: String,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<String>,
    /// Where letters that cannot be delivered come back to, if not to the sender; each with a tag of its own.
    pub bounces: Option<String>,
    /// The language of those nobody knows.
    pub lang: Lang,
    /// Keys letters are signed with.
    pub dkim: Vec<dkim::Key>,
    /// The Maildir, in the data directory.
    pub maildir: PathBuf,
}

/// The server that takes our letters.
#[derive(Debug, Clone)]
pub struct Relay {
    /// Its name, which TLS verifies.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is encrypted.
    pub tls: RelayTls,
    /// Who vouches for it besides the public authorities.
    pub authorities: Option<Authorities>,
    /// As whom we sign in; `None` if it asks for nothing.
    pub login: Option<(String, Secret)>,
}

/// How the way to a relay is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayTls {
    /// Not at all.
    None,
    /// Begun in the clear, TLS before the first letter or none is sent.
    StartTls,
    /// From the first byte.
    Tls,
}

/// Limits of one transaction.
#[derive(Debug, Clone, Copy)]
pub struct MailLimits {
    /// To connect to one address of the relay, and to hear whether a kept connection still lives.
    pub connect: Duration,
    /// In all.
    pub total: Duration,
}

impl Default for MailLimits {
    /// What the delivery contract promises.
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), total: Duration::from_secs(60) }
    }
}

/// Sends letters.
pub struct Mailer {
    head: Letterhead,
    way: Way,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("head", &self.head).field("way", &self.way).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Way {
    Relay(Box<Lines>),
    Maildir(Arc<Maildir>),
}

impl Mailer {
    /// A mailer with the limits of the delivery contract. Opens no connection; makes the Maildir if there is no relay.
    ///
    /// # Errors
    /// If the sender is no address, the relay cannot be verified by TLS, or the Maildir cannot be made.
    pub fn new(settings: MailSettings) -> io::Result<Self> {
        Self::with(settings, MailLimits::default(), Arc::new(SystemClock))
    }

    /// A mailer with other limits and another clock.
    ///
    /// # Errors
    /// As [`Mailer::new`].
    pub fn with(settings: MailSettings, limits: MailLimits, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let head = Letterhead::new(&settings)?;
        let way = match settings.relay {
            Some(relay) => Way::Relay(Box::new(Lines::new(relay, &settings.domain, limits)?)),
            None => Way::Maildir(Arc::new(Maildir::open(settings.maildir)?)),
        };
        Ok(Self { head, way, clock })
    }

    /// The Maildir letters are written to, if there is no relay.
    pub fn maildir(&self) -> Option<&Arc<Maildir>> {
        match &self.way {
            Way::Relay(_) => None,
            Way::Maildir(maildir) => Some(maildir),
        }
    }

    /// Hands a letter over, within the limits. A 5xx about the letter is final; all else is worth another try, with
    /// the same Message-ID, by which a reader's mail program recognises a repeat.
    pub async fn mail(&self, letter: &Letter) -> Posted {
        let (to, bytes) = match self.head.compose(letter, self.clock.now()) {
            Ok(composed) => composed,
            Err(why) => return Posted::Refused(None, why),
        };
        match &self.way {
            Way::Relay(lines) => {
                let back = letter.return_path.as_deref().and_then(|path| address(path).ok());
                lines.send(back.as_ref().unwrap_or(&self.head.from.email), &to, &bytes).await
            }
            Way::Maildir(maildir) => {
                let (maildir, id) = (Arc::clone(maildir), letter.message_id.clone());
                let written = tokio::task::spawn_blocking(move || {
                    // Files on this system have lines of their own.
                    maildir.write(&id, &without_carriage_returns(bytes))
                });
                match written.await {
                    Ok(Ok(path)) => Posted::Written(path.display().to_string()),
                    Ok(Err(error)) => Posted::Again(None, format!("cannot write to the Maildir: {error}")),
                    Err(_) => Posted::Again(None, "writing to the Maildir was given up".to_owned()),
                }
            }
        }
    }

    /// Asks the relay whether it takes our connection; the Maildir always does.
    ///
    /// # Errors
    /// With words why not.
    pub async fn reach(&self) -> Result<(), String> {
        match &self.way {
            Way::Relay(lines) => match timeout(lines.limits.total, lines.connect()).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) if nobody_vouches(&error) => {
                    Err(format!("{}: {}", words(&error), lines.who_does_not()))
                }
                Ok(Err(error)) => Err(words(&error)),
                Err(_) => Err(lines.too_late()),
            },
            Way::Maildir(_) => Ok(()),
        }
    }
}

/// Who writes: what makes bytes of a letter, and sends nothing.
#[derive(Debug, Clone)]
pub struct Letterhead {
    from: Mailbox,
    reply_to: Option<Mailbox>,
    domain: String,
    signers: Arc<[dkim::Signer]>,
}

impl Letterhead {
    /// The letterhead of an installation.
    ///
    /// # Errors
    /// If the sender is no address.
    pub fn new(settings: &MailSettings) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let sender = address(&settings.from_address)
            .map_err(|why| invalid(format!("the sender {} {why}", settings.from_address)))?;
        let name = one_line(&settings.from_name);
        let from = Mailbox::new((!name.is_empty()).then_some(name), sender);
        let reply_to = settings.reply_to.as_deref().map(address).transpose();
        let reply_to = reply_to.map_err(|why| invalid(format!("mail.reply_to {why}")))?;
        let signers =
            settings.dkim.iter().map(dkim::Key::signer).collect::<Result<_, _>>().map_err(invalid)?;
        Ok(Self {
            from,
            reply_to: reply_to.map(|address| Mailbox::new(None, address)),
            domain: settings.domain.clone(),
            signers,
        })
    }

    /// The letter as it leaves at this moment: ASCII only, its lines ended by CRLF.
    ///
    /// # Errors
    /// In words, if it cannot be written or is for no address.
    pub fn eml(&self, letter: &Letter, now: Millis) -> Result<Vec<u8>, String> {
        self.compose(letter, now).map(|(_, bytes)| bytes)
    }

    /// The letter as bytes, ASCII only, and whom it is for.
    fn compose(&self, letter: &Letter, now: Millis) -> Result<(Address, Vec<u8>), String> {
        let to = address(&letter.to).map_err(|why| format!("the recipient's address {why}"))?;
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now.try_into().unwrap_or(0));
        let id = letter.message_id.chars().filter(|c| c.is_ascii_graphic() && !"<>@".contains(*c));
        let id: String = id.collect();
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(one_line(&letter.subject))
            .date(now)
            .message_id(Some(format!("<{id}@{}>", self.domain)));
        if let Some(reply_to) = &self.reply_to {
            message = message.reply_to(reply_to.clone());
        }
        for (name, value) in &letter.headers {
            message = message.raw_header(header(name, value)?);
        }
        let text = SinglePart::plain(lines(&letter.text));
        let message = if letter.html.is_empty() {
            message.singlepart(text)
        } else {
            let html = SinglePart::html(lines(&letter.html));
            message.multipart(MultiPart::alternative().singlepart(text).singlepart(html))
        };
        let message = message.map_err(|error| format!("the letter cannot be written: {error}"))?;
        Ok((to, dkim::Signer::seal(&self.signers, &message)))
    }
}

/// Headers every letter gets from here.
const OURS: [&str; 12] = [
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
];

/// A further header. The value goes out as it is, on one line: a folded link in angle brackets is one that mail
/// programs do not find.
fn header(name: &str, value: &str) -> Result<HeaderValue, String> {
    let wrong = || format!("the letter's header {} cannot be written", one_line(name));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    // 998 is the longest line of RFC 5322, section 2.1.1.
    if !name.bytes().all(plain)
        || OURS.contains(&name.to_ascii_lowercase().as_str())
        || name.len() + value.len() > 990
        || !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
    {
        return Err(wrong());
    }
    let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|_| wrong())?;
    Ok(HeaderValue::dangerous_new_pre_encoded(name, value.to_owned(), value.to_owned()))
}

/// Reads an address; a domain in another script becomes its ASCII form, a local part in one needs what few relays have.
fn address(text: &str) -> Result<Address, &'static str> {
    let (user, domain) = text.rsplit_once('@').ok_or("is no e-mail address")?;
    if !user.is_ascii() {
        return Err("has characters before the @ that mail cannot carry everywhere");
    }
    let ascii = if domain.is_ascii() { domain.to_owned() } else { url::quirks::domain_to_ascii(domain) };
    Address::new(user, ascii).map_err(|_| "is no e-mail address")
}

/// Text on one line, with nothing around it.
fn one_line(text: &str) -> String {
    message::one_line(text).trim().to_owned()
}

/// Text of several lines: line ends of one kind, no other controls, nothing that turns the direction of reading.
fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control() && !message::turns(*c)).collect()
}

fn without_carriage_returns(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.retain(|byte| *byte != b'\r');
    bytes
}

/// Connections to the relay.
struct Lines {
    relay: Relay,
    hello: ClientId,
    tls: Option<TlsParameters>,
    limits: MailLimits,
    open: Semaphore,
    idle: Idle<(), Box<Line>>,
}

/// A connection, and what it has done.
struct Line {
    smtp: AsyncSmtpConnection,
    letters: u32,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("relay", &self.relay).field("idle", &self.idle).finish_non_exhaustive()
    }
}

impl Lines {
    fn new(relay: Relay, domain: &str, limits: MailLimits) -> io::Result<Self> {
        let tls = match relay.tls {
            RelayTls::None => None,
            RelayTls::StartTls | RelayTls::Tls => {
                let mut tls = TlsParameters::builder(relay.host.clone());
                for one in relay.authorities.iter().flat_map(Authorities::certificates) {
                    let authority = Certificate::from_der(one.to_vec()).map_err(io::Error::other)?;
                    tls = tls.add_root_certificate(authority);
                }
                Some(tls.build().map_err(io::Error::other)?)
            }
        };
        Ok(Self {
            relay,
            hello: ClientId::Domain(domain.to_owned()),
            tls,
            limits,
            open: Semaphore::new(LINES),
            // Shorter than relays wait themselves.
            idle: Idle::new(IdleLimits { each: 4, all: 4, rest: Duration::from_secs(10) }),
        })
    }

    async fn send(&self, from: &Address, to: &Address, letter: &[u8]) -> Posted {
        match timeout(self.limits.total, self.transact(from, to, letter)).await {
            Ok(posted) => posted,
            // The connection went with the attempt: a reply to come would be taken for another letter's.
            Err(_) => Posted::Again(None, self.too_late()),
        }
    }

    /// Why its certificate is not believed, and what to do about it: for the operator.
    fn who_does_not(&self) -> String {
        match &self.relay.authorities {
            None => "no public authority vouches for its certificate; name the one that does (mail.relay_ca)"
                .to_owned(),
            Some(own) => format!(
                "neither a public authority nor one of {} (mail.relay_ca) vouches for its certificate",
                own.file().display()
            ),
        }
    }

    fn too_late(&self) -> String {
        format!("no answer from the relay within {} s", self.limits.total.as_secs())
    }

    async fn transact(&self, from: &Address, to: &Address, letter: &[u8]) -> Posted {
        let Ok(_permit) = self.open.acquire().await else {
            return Posted::Again(None, "the mailer is closed".to_owned());
        };
        let mut line = match self.kept().await {
            Some(line) => line,
            None => match self.connect().await {
                Ok(smtp) => Box::new(Line { smtp, letters: 0 }),
                Err(error) => return judged(Step::Arriving, &error),
            },
        };
        line.letters += 1;
        let outcome = line.letter(from, to, letter).await;
        let usable =
            outcome.as_ref().map_or_else(|(_, error)| code(error).is_some_and(|code| code != 421), |_| true);
        if usable && line.letters < LETTERS_A_LINE {
            self.idle.put(&(), line);
        }
        match outcome {
            Ok(said) => Posted::Accepted(said),
            Err((step, error)) => judged(step, &error),
        }
    }

    /// A connection that was kept and still answers. `RSET` (RFC 5321, section 4.1.1.5) also ends what a refused letter
    /// left begun.
    async fn kept(&self) -> Option<Box<Line>> {
        while let Some(mut line) = self.idle.take(&()) {
            if let Ok(Ok(_)) = timeout(self.limits.connect, line.smtp.command(Rset)).await {
                return Some(line);
            }
        }
        None
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let relay = (self.relay.host.as_str(), self.relay.port);
        let at_once = self.tls.clone().filter(|_| self.relay.tls == RelayTls::Tls);
        let connect = Some(self.limits.connect);
        let mut smtp =
            AsyncSmtpConnection::connect_tokio1(relay, connect, &self.hello, at_once, None).await?;
        if let (RelayTls::StartTls, Some(tls)) = (self.relay.tls, &self.tls) {
            smtp.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some((user, password)) = &self.relay.login {
            let login = Credentials::new(user.clone(), password.expose().to_owned());
            smtp.auth(&[Mechanism::Plain, Mechanism::Login], &login).await?;
        }
        Ok(smtp)
    }
}

impl Line {
    /// One transaction: one letter to one recipient, so that no reply is about half of it.
    async fn letter(
        &mut self,
        from: &Address,
        to: &Address,
        letter: &[u8],
    ) -> Result<String, (Step, SmtpError)> {
        let at = |step| move |error| (step, error);
        let from = Mail::new(Some(from.clone()), Vec::new());
        self.smtp.command(from).await.map_err(at(Step::Sender))?;
        self.smtp.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(at(Step::Recipient))?;
        self.smtp.command(Data).await.map_err(at(Step::Letter))?;
        let reply = self.smtp.command(stuffed(letter)).await.map_err(at(Step::Letter))?;
        let said: Vec<&str> = reply.message().collect();
        Ok(shortened(&format!("{} {}", u16::from(reply.code()), said.join(" "))))
    }
}

/// A letter as `DATA` wants it (RFC 5321, section 4.5.2): every line ended one way, a dot before a dot, a dot at the end.
/// In one piece: with the last dot in a packet of its own, each letter waits 40 ms for the relay's acknowledgement.
fn stuffed(letter: &[u8]) -> String {
    let text = String::from_utf8_lossy(letter);
    let mut stuffed = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        if line.starts_with('.') {
            stuffed.push('.');
        }
        stuffed.extend(line.chars().filter(|c| *c != '\r'));
        stuffed.push_str("\r\n");
    }
    stuffed.push_str(".\r\n");
    stuffed
}

/// A connection that was lost, or said what nobody understands, is unknown: again, with the same Message-ID.
fn judged(step: Step, error: &SmtpError) -> Posted {
    match code(error).filter(|code| (400..600).contains(code)) {
        Some(code) => reply::judge(step, code, &words(error)),
        None => Posted::Again(code(error), words(error)),
    }
}

fn code(error: &SmtpError) -> Option<u16> {
    error.status().map(u16::from)
}

/// What went wrong, in the relay's words if it said anything.
fn words(error: &SmtpError) -> String {
    let said = std::error::Error::source(error).map(ToString::to_string);
    shortened(&match (error.status(), said) {
        (Some(code), said) => format!("{} {}", u16::from(code), said.unwrap_or_default()),
        (None, Some(said)) if said == "incomplete response" => "the relay closed the connection".to_owned(),
        (None, Some(said)) => format!("no conversation with the relay: {said}"),
        (None, None) => "no conversation with the relay".to_owned(),
    })
}

/// Whether the relay showed a certificate of an authority we do not know.
fn nobody_vouches(error: &SmtpError) -> bool {
    let first: &(dyn std::error::Error + 'static) = error;
    let mut chain = std::iter::successors(Some(first), |error| error.source());
    // What an error of the system wraps is not its source.
    let tls = chain.find_map(|error| error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref());
    matches!(tls, Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)))
}

fn shortened(text: &str) -> String {
    one_line(text).chars().take(LONGEST_WORDS).collect()
}

#[cfg(test)]
mod tests;
