//! Posts a request and reads the reply, over connections of our own.
//!
//! Each connection lives inside the attempt that uses it: no task of its own, so an attempt that ends, or runs out of
//! time, takes its connection with it. No redirects, no cookies, no decompression, no proxies: nothing but the address
//! that was judged is ever dialled.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::response::Parts as Head;
use http::{Request, Uri};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use sonnette_core::ports::{Outgoing, Reply, SendError, Times, Traced};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use super::guard::Guard;
use super::idle::{Idle, IdleLimits};

/// What we call ourselves.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("Sonnette/", env!("CARGO_PKG_VERSION")));
/// Addresses of one name that are tried.
const TRIED_ADDRESSES: usize = 4;
/// Names that are looked up at a time: each holds a thread of the runtime until the system's resolver answers, however
/// long that takes.
const LOOKUPS: usize = 128;
/// URLs whose parsed form is kept.
const KEPT_TARGETS: usize = 4096;
/// Bytes and lines of a reply's head.
const LONGEST_HEAD: usize = 64 * 1024;
const MOST_HEADERS: usize = 128;
/// Bytes of a `Retry-After` worth reading.
const LONGEST_RETRY_AFTER: usize = 100;

/// Limits of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To look up the name, connect and agree on TLS.
    pub connect: Duration,
    /// In all.
    pub total: Duration,
    /// Bytes of the reply's body that are read.
    pub reply: usize,
}

impl Default for Limits {
    /// What the delivery contract promises.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(15), reply: 64 * 1024 }
    }
}

/// Looks up names.
#[async_trait]
trait Lookup: Send + Sync {
    /// All addresses of a name.
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// By the system's resolver.
struct SystemLookup(Arc<Semaphore>);

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        tokio::task::spawn_blocking(move || {
            // Held to the end of the lookup, which outlives an attempt that has given up.
            let _permit = permit;
            Ok((name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect())
        })
        .await?
    }
}

/// Posts.
pub struct Poster {
    guard: Guard,
    limits: Limits,
    targets: Mutex<HashMap<Box<str>, Arc<Target>>>,
    idle: Idle<Arc<Place>, Box<Wire>>,
    lookup: Box<dyn Lookup>,
    tls: TlsConnector,
}

impl fmt::Debug for Poster {
    // Targets are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster")
            .field("guard", &self.guard)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Where connections go.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Place {
    tls: bool,
    host: Host,
    port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A URL, judged and taken apart.
struct Target {
    place: Arc<Place>,
    /// Path and query.
    path: Uri,
    host: HeaderValue,
}

impl Poster {
    /// A poster with the limits of the delivery contract. Opens nothing.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(guard: Guard) -> io::Result<Self> {
        Self::with_limits(guard, Limits::default())
    }

    /// A poster with other limits.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn with_limits(guard: Guard, limits: Limits) -> io::Result<Self> {
        let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            guard,
            limits,
            targets: Mutex::default(),
            idle: Idle::new(IdleLimits { each: 512, all: 1024, rest: Duration::from_secs(20) }),
            lookup: Box::new(SystemLookup(Arc::new(Semaphore::new(LOOKUPS)))),
            tls: TlsConnector::from(Arc::new(tls)),
        })
    }

    /// Posts, within the limits. A connection that was kept and turns out to be closed is replaced at once by a new
    /// one, once.
    ///
    /// # Errors
    /// If nothing, or nothing whole, came back. The words name the host, never the path or query of the URL.
    pub async fn post(&self, request: &Outgoing) -> Result<Reply, SendError> {
        match timeout(self.limits.total, self.attempt(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(late(self.limits.total)),
        }
    }

    /// Posts over a new connection, which is closed afterwards, and says how long each step took.
    pub async fn trace(&self, request: &Outgoing) -> Traced {
        let began = Instant::now();
        let mut times = Times::default();
        let posted = match timeout(self.limits.total, self.once(request, &mut times)).await {
            Ok(posted) => posted,
            Err(_) => Err(late(self.limits.total)),
        };
        times.total = began.elapsed();
        let (outcome, headers) = match posted {
            Ok((head, body)) => (Ok(reply(&head, body)), head.headers),
            Err(error) => (Err(error), HeaderMap::new()),
        };
        Traced { outcome, headers, times }
    }

    async fn once(&self, request: &Outgoing, times: &mut Times) -> Result<(Head, Bytes), SendError> {
        let target = self.target(request.url.expose())?;
        let mut wire = self.connect(&target.place, times).await?;
        wire.exchange(target.request(request), self.limits.reply).await.map_err(|failure| failure.error)
    }

    async fn attempt(&self, request: &Outgoing) -> Result<Reply, SendError> {
        let target = self.target(request.url.expose())?;
        let mut renewed = false;
        while let Some(mut wire) = self.idle.take(&target.place) {
            if !wire.at_rest().await {
                continue;
            }
            match wire.exchange(target.request(request), self.limits.reply).await {
                Ok((head, body)) => return Ok(self.done(&target, wire, reply(&head, body))),
                // The others at rest may be closed just as well.
                Err(Failure { silent: true, .. }) => {
                    renewed = true;
                    break;
                }
                Err(failure) => return Err(failure.error),
            }
        }
        self.anew(&target, request).await.map(|reply| Reply { renewed, ..reply }).map_err(|error| match error
        {
            SendError::Network(why) if renewed => {
                SendError::Network(format!("{why}; a kept connection had been found closed before"))
            }
            error => error,
        })
    }

    /// Posts over a new connection.
    async fn anew(&self, target: &Target, request: &Outgoing) -> Result<Reply, SendError> {
        let mut wire = Box::new(self.connect(&target.place, &mut Times::default()).await?);
        match wire.exchange(target.request(request), self.limits.reply).await {
            Ok((head, body)) => Ok(self.done(target, wire, reply(&head, body))),
            Err(failure) => Err(failure.error),
        }
    }

    /// A new connection, within the limit for one.
    async fn connect(&self, place: &Place, times: &mut Times) -> Result<Wire, SendError> {
        match timeout(self.limits.connect, self.dial(place, times)).await {
            Ok(wire) => wire,
            Err(_) => {
                let seconds = self.limits.connect.as_secs();
                Err(SendError::Network(format!("no connection to {place} within {seconds} s")))
            }
        }
    }

    /// Keeps the connection if it can be used again.
    fn done(&self, target: &Target, wire: Box<Wire>, reply: Reply) -> Reply {
        if wire.ready() {
            self.idle.put(&target.place, wire);
        }
        reply
    }

    /// Judges a URL and takes it apart, or remembers having done so.
    fn target(&self, url: &str) -> Result<Arc<Target>, SendError> {
        let targets = || self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = targets().get(url) {
            return Ok(Arc::clone(target));
        }
        let parsed = self
            .guard
            .check_url(url)
            .map_err(|refused| SendError::Forbidden(format!("the URL may not be called: {refused}")))?;
        self.guard.check_closed(&parsed).map_err(SendError::Closed)?;
        let target = Arc::new(Target::new(&parsed).ok_or_else(|| {
            SendError::Forbidden("the URL may not be called: its path is not one HTTP allows".to_owned())
        })?);
        let mut targets = targets();
        if targets.len() >= KEPT_TARGETS {
            targets.clear();
        }
        targets.insert(url.into(), Arc::clone(&target));
        Ok(target)
    }

    /// Looks up the place, judges all its addresses, and connects to the first that answers.
    async fn dial(&self, place: &Place, times: &mut Times) -> Result<Wire, SendError> {
        let started = Instant::now();
        let addresses = self.addresses(place).await?;
        let found = started.elapsed();
        times.name = matches!(place.host, Host::Domain(_)).then_some(found);
        let mut left = addresses.len();
        let mut error = None;
        for address in addresses {
            // A share of the time each, so that one that swallows packets leaves some to the next.
            let share =
                self.limits.connect.saturating_sub(started.elapsed()) / u32::try_from(left).unwrap_or(1);
            left -= 1;
            match timeout(share, TcpStream::connect(SocketAddr::new(address, place.port))).await {
                Ok(Ok(stream)) => {
                    times.connect = Some(started.elapsed().saturating_sub(found));
                    return self.open(place, stream, times).await;
                }
                Ok(Err(failed)) => error = Some(failed),
                Err(_) => error = error.or(Some(io::ErrorKind::TimedOut.into())),
            }
        }
        let error = error.unwrap_or_else(|| io::ErrorKind::NotFound.into());
        Err(SendError::Network(format!("cannot connect to {place}: {}", in_words(&error))))
    }

    /// The addresses to dial. One that is refused refuses the name: which one a connection takes is chance.
    async fn addresses(&self, place: &Place) -> Result<Vec<IpAddr>, SendError> {
        let (name, mut addresses) = match &place.host {
            Host::Ipv4(address) => (None, vec![IpAddr::V4(*address)]),
            Host::Ipv6(address) => (None, vec![IpAddr::V6(*address)]),
            Host::Domain(name) => {
                // With its dot a name is whole: the resolver does not try it with the house's own domains behind it.
                let whole = if self.guard.public_only() { format!("{name}.") } else { name.clone() };
                let found = self.lookup.lookup(&whole).await;
                (
                    Some(name),
                    found.map_err(|_| SendError::Network(format!("the name {name} does not resolve")))?,
                )
            }
        };
        for address in &addresses {
            self.guard.check_ip(*address).map_err(|refused| {
                SendError::Forbidden(match name {
                    Some(name) => format!("{name} may not be called: {refused}"),
                    None => format!("this address may not be called: {refused}"),
                })
            })?;
        }
        if addresses.is_empty() {
            return Err(SendError::Network(format!("the name {} has no address", place.host)));
        }
        addresses.truncate(TRIED_ADDRESSES);
        Ok(addresses)
    }

    async fn open(&self, place: &Place, stream: TcpStream, times: &mut Times) -> Result<Wire, SendError> {
        let failed =
            |error: &dyn fmt::Display| SendError::Network(format!("cannot speak with {place}: {error}"));
        stream.set_nodelay(true).map_err(|error| failed(&in_words(&error)))?;
        let stream = if place.tls {
            let name = match &place.host {
                Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|error| failed(&error))?,
                Host::Ipv4(address) => IpAddr::V4(*address).into(),
                Host::Ipv6(address) => IpAddr::V6(*address).into(),
            };
            let begun = Instant::now();
            let stream = self.tls.connect(name, stream).await;
            let stream = stream.map_err(|error| {
                SendError::Network(format!("TLS with {place} failed: {}", in_words(&error)))
            })?;
            times.tls = Some(begun.elapsed());
            Stream::Tls(Box::new(stream))
        } else {
            Stream::Plain(stream)
        };
        let mut builder = http1::Builder::new();
        builder.max_buf_size(LONGEST_HEAD).max_headers(MOST_HEADERS);
        let (send, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        Ok(Wire { send, connection: Some(connection), unread: false })
    }
}

impl Target {
    /// `None` if the path is none in HTTP's eyes.
    fn new(url: &Url) -> Option<Self> {
        let host = url.host()?.to_owned();
        let named = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let path = match url.query() {
            Some(query) => Uri::try_from(format!("{}?{query}", url.path())),
            None => Uri::try_from(url.path()),
        };
        Some(Self {
            path: path.ok()?,
            host: HeaderValue::try_from(named).ok()?,
            place: Arc::new(Place { tls: url.scheme() == "https", host, port: url.port_or_known_default()? }),
        })
    }

    fn request(&self, outgoing: &Outgoing) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = self.path.clone();
        let mut headers = HeaderMap::with_capacity(outgoing.headers.len() + 3);
        headers.insert(HOST, self.host.clone());
        headers.extend(outgoing.headers.iter().cloned());
        headers.insert(USER_AGENT, AGENT);
        *request.headers_mut() = headers;
        request
    }
}

/// A connection with both its ends: the one that sends requests, and the one that moves bytes.
struct Wire {
    send: SendRequest<Full<Bytes>>,
    /// `None` when it has ended.
    connection: Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
    /// Whether bytes of a reply had come when it ended.
    unread: bool,
}

/// An exchange that failed.
struct Failure {
    error: SendError,
    /// Whether the connection ended before a single byte of a reply.
    silent: bool,
}

impl Wire {
    /// Moves bytes. Ends the connection where it has come to its end.
    fn turn(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(cx).is_ready()
        {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Taking it apart also answers whoever waits for a reply.
            self.unread = !connection.into_parts().read_buf.is_empty();
        }
    }

    /// Whether it can take a request now.
    fn ready(&self) -> bool {
        self.connection.is_some() && self.send.is_ready()
    }

    /// Looks whether the other side has closed it meanwhile.
    async fn at_rest(&mut self) -> bool {
        poll_fn(|cx| {
            self.turn(cx);
            Poll::Ready(())
        })
        .await;
        self.ready()
    }

    /// Sends a request and reads the reply, at most `most` bytes of its body.
    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<(Head, Bytes), Failure> {
        let mut answer = pin!(self.send.send_request(request));
        let answer = poll_fn(|cx| {
            self.turn(cx);
            answer.as_mut().poll(cx)
        })
        .await;
        let response = answer.map_err(|error| {
            self.end();
            let silent = !error.is_parse() && !error.is_user() && !self.unread;
            Failure { error: SendError::Network(what_broke(&error, silent).to_owned()), silent }
        })?;
        let (head, body) = response.into_parts();
        Ok((head, self.read(body, most).await?))
    }

    async fn read(&mut self, mut body: Incoming, most: usize) -> Result<Bytes, Failure> {
        let mut read = BytesMut::new();
        loop {
            let frame = poll_fn(|cx| {
                self.turn(cx);
                Pin::new(&mut body).poll_frame(cx)
            });
            let Some(frame) = frame.await else { break };
            let frame = frame.map_err(|_| Failure {
                error: SendError::Network("the reply broke off".to_owned()),
                silent: false,
            })?;
            if let Ok(data) = frame.into_data() {
                let room = most - read.len();
                read.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room {
                    // More would come: what it is does not matter, and the connection with it is dropped.
                    self.connection = None;
                    break;
                }
            }
        }
        // One more turn lets the connection see that the reply is over and it may rest.
        self.at_rest().await;
        Ok(read.freeze())
    }
}

/// What of a reply an attempt is judged by.
fn reply(head: &Head, body: Bytes) -> Reply {
    let retry_after = head
        .headers
        .get(RETRY_AFTER)
        .filter(|value| value.len() <= LONGEST_RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    Reply { status: head.status.as_u16(), retry_after, body, renewed: false }
}

/// The headers of a request in the order they are written, those that are added on the way out among them. Empty if its
/// URL is none.
pub fn heading(request: &Outgoing) -> Vec<(HeaderName, HeaderValue)> {
    let Some(target) = Url::parse(request.url.expose()).ok().and_then(|url| Target::new(&url)) else {
        return Vec::new();
    };
    let written = target.request(request);
    let headers = written.headers().iter().map(|(name, value)| (name.clone(), value.clone()));
    headers.chain([(CONTENT_LENGTH, HeaderValue::from(request.body.len()))]).collect()
}

fn what_broke(error: &hyper::Error, silent: bool) -> &'static str {
    if error.is_parse_too_large() {
        "the head of the reply is too long"
    } else if error.is_parse() {
        "the reply is not HTTP"
    } else if silent {
        "the connection was closed before a reply"
    } else {
        "the connection was closed in the middle of the reply"
    }
}

fn late(limit: Duration) -> SendError {
    SendError::Timeout(limit.as_secs())
}

/// An error of the system or of TLS without the system's number for it.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => "not reachable".to_owned(),
        _ => error.to_string(),
    }
}

/// Bytes in the clear or under TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests;
