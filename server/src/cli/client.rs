//! The client of our own API: one connection, limits on everything, and no word about the token.

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::io::Read;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use futures_util::FutureExt;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use sonnette_core::secret::Secret;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use url::{Host, Url};

use super::failure::{Failure, Problem};
use super::table::clean;
use super::terminal::Terminal;

/// How long one call may take, from connecting to the last byte.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// How long connecting may take of that.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The longest reply read, in bytes.
const MAX_REPLY: usize = 32 << 20;
/// The longest token file read, in bytes.
const MAX_TOKEN_FILE: u64 = 4096;
/// The file the first start writes an operator token into.
const TOKEN_FILE: &str = "operator-token";

/// Which server, and who asks it.
#[derive(Debug, Clone, Args)]
pub struct Access {
    /// The server asked
    #[arg(long, value_name = "URL", env = "SONNETTE_URL", global = true, help_heading = "Server",
          default_value = "http://127.0.0.1:8787", value_parser = parse_server)]
    pub server: Url,
    /// An operator token, or a person's pair written `token.secret`. Others on this machine can read a command line: prefer the variable
    #[arg(long, env = "SONNETTE_TOKEN", global = true, help_heading = "Server", hide_env_values = true, value_parser = take_token)]
    pub token: Option<Secret>,
    /// Where the operator token of a server on this machine is looked for if no token is given
    #[arg(
        long,
        value_name = "DIR",
        env = "SONNETTE_DATA",
        global = true,
        help_heading = "Server",
        default_value = ".sonnette-data"
    )]
    pub data_dir: PathBuf,
}

fn parse_server(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("it must begin with http:// or https:// and name a host".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must hold no user and no password; the token has its own place".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it must have no `?` and no `#`".into());
    }
    Ok(url)
}

/// Takes any text: the parser of command lines prints the values it refuses, so it is not the one to judge a secret.
fn take_token(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

fn parse_token(text: &str) -> Result<Secret, String> {
    let text = text.trim();
    // The error names no character of it: it may be a token with a typing mistake.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a token is made of visible ASCII characters".into());
    }
    Ok(Secret::new(text))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Access {
    /// A client of that server.
    ///
    /// # Errors
    /// If the token given cannot be one, or a remark cannot be written.
    pub fn client(&self, terminal: &mut Terminal) -> Result<Client, Failure> {
        // An empty variable is how a shell says "none".
        let given = self.token.as_ref().filter(|token| !token.expose().is_empty());
        let given = given.map(|token| parse_token(token.expose())).transpose();
        let mut token = given.map_err(Failure::Usage)?;
        if token.is_none() && is_loopback(&self.server) {
            token = self.token_of_this_machine(terminal)?;
        }
        if token.is_some() && self.server.scheme() == "http" && !is_loopback(&self.server) {
            terminal.note("warning: the token travels unencrypted; use https")?;
        }
        Ok(Client::new(self.server.clone(), token))
    }

    fn token_of_this_machine(&self, terminal: &mut Terminal) -> Result<Option<Secret>, Failure> {
        let path = self.data_dir.join(TOKEN_FILE);
        let mut text = String::new();
        let read = fs::File::open(&path).and_then(|file| file.take(MAX_TOKEN_FILE).read_to_string(&mut text));
        let (token, remark) = match read.map_err(|error| error.to_string()).and_then(|_| parse_token(&text)) {
            Ok(token) => (Some(token), format!("using the operator token in {}", path.display())),
            Err(why) => (None, format!("no operator token in {}: {why}", path.display())),
        };
        if terminal.verbose {
            terminal.note(&clean(&remark))?;
        }
        Ok(token)
    }
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection, and the future that moves its bytes: it is only polled during a call, so nothing runs beside us.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
}

/// Asks one server, one call after the other.
pub struct Client {
    server: Url,
    token: Option<Secret>,
    line: Option<Line>,
}

/// A 2xx.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its JSON; null if it has none.
    pub body: Value,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    method: Method,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    content_type: &'static str,
    body: Bytes,
}

impl<'a> Call<'a> {
    fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, query: &[], content_type: "application/json", body: Bytes::new() }
    }
}

impl Client {
    /// Of the server at `server`, asked with `token`. Connects when it is first asked.
    pub fn new(server: Url, token: Option<Secret>) -> Self {
        Self { server, token, line: None }
    }

    /// Asks for what is at `path` (below `/api/v1`, ids of typed kinds only: they need no escaping).
    ///
    /// # Errors
    /// As every call: unreachable, refused, or a reply that is no JSON.
    pub async fn get(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let call = Call { query, ..Call::new(Method::GET, path) };
        self.call(call).await.map(|answer| answer.body)
    }

    /// Posts `body`.
    ///
    /// # Errors
    /// As every call.
    pub async fn post(&mut self, path: &str, body: &impl serde::Serialize) -> Result<Answer, Failure> {
        let call = Call { body: written(body)?, ..Call::new(Method::POST, path) };
        self.call(call).await
    }

    /// Posts lines of JSON.
    ///
    /// # Errors
    /// As every call.
    pub async fn post_lines(&mut self, path: &str, lines: Bytes) -> Result<Answer, Failure> {
        let call =
            Call { body: lines, content_type: "application/x-ndjson", ..Call::new(Method::POST, path) };
        self.call(call).await
    }

    /// Posts a message as it came by mail.
    ///
    /// # Errors
    /// As every call.
    pub async fn post_mail(
        &mut self,
        path: &str,
        query: &[(&str, &str)],
        mail: Bytes,
    ) -> Result<Answer, Failure> {
        let content_type = "message/rfc822";
        self.call(Call { body: mail, content_type, query, ..Call::new(Method::POST, path) }).await
    }

    /// Puts `body`.
    ///
    /// # Errors
    /// As every call.
    pub async fn put(&mut self, path: &str, body: &impl serde::Serialize) -> Result<Value, Failure> {
        let call = Call { body: written(body)?, ..Call::new(Method::PUT, path) };
        self.call(call).await.map(|answer| answer.body)
    }

    /// Deletes what is at `path`.
    ///
    /// # Errors
    /// As every call.
    pub async fn delete(&mut self, path: &str, query: &[(&str, &str)]) -> Result<(), Failure> {
        self.call(Call { query, ..Call::new(Method::DELETE, path) }).await.map(|_| ())
    }

    async fn call(&mut self, call: Call<'_>) -> Result<Answer, Failure> {
        let request = self.request(call)?;
        let exchange = timeout(CALL_LIMIT, self.exchange(request)).await;
        let (status, headers, body) = match exchange {
            Ok(reply) => reply?,
            Err(_) => return Err(self.unreachable(format!("no answer within {} s", CALL_LIMIT.as_secs()))),
        };
        if !status.is_success() {
            return Err(Failure::Refused(Box::new(self.problem(status, &headers, &body))));
        }
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).map_err(|_| {
                Failure::Failed(format!("{} answers with something else than JSON", self.name()))
            })?
        };
        Ok(Answer { status: status.as_u16(), body })
    }

    fn request(&self, call: Call<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut url = self.server.clone();
        url.set_path(&format!("{}/api/v1{}", self.server.path().trim_end_matches('/'), call.path));
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut request = Request::builder()
            .method(call.method)
            .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
            .header(HOST, authority)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("sonnette/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, call.content_type);
        if let Some(token) = &self.token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| Failure::Usage("the token has characters no header can carry".into()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request
            .body(Full::new(call.body))
            .map_err(|_| Failure::Usage(format!("{} is no URL requests can be made of", self.name())))
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), Failure> {
        let mut line = match self.line.take().and_then(still_open) {
            Some(line) => line,
            None => self.connect().await?,
        };
        let sent = line.sender.send_request(request);
        let reply = async {
            let (head, body) = sent.await.map_err(|error| in_words(&error))?.into_parts();
            let body = Limited::new(body, MAX_REPLY).collect().await.map_err(|error| in_words(&*error))?;
            Ok::<_, String>((head.status, head.headers, body.to_bytes()))
        };
        let mut reply = Box::pin(reply);
        let outcome = tokio::select! {
            biased;
            outcome = &mut reply => {
                drop(reply);
                self.line = Some(line);
                outcome
            }
            _ = &mut line.driver => {
                // The connection is at its end; what came of the reply is already on its way to us.
                drop(line.driver);
                reply.await
            }
        };
        outcome.map_err(|why| self.unreachable(why))
    }

    async fn connect(&self) -> Result<Line, Failure> {
        let connecting = async {
            let host = self.server.host_str().unwrap_or_default();
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let port = self.server.port_or_known_default().unwrap_or(80);
            let tcp = TcpStream::connect((bare, port)).await.map_err(|error| in_words(&error))?;
            tcp.set_nodelay(true).map_err(|error| in_words(&error))?;
            if self.server.scheme() == "http" {
                return shake(tcp).await;
            }
            let name = ServerName::try_from(bare.to_owned()).map_err(|error| in_words(&error))?;
            let tls = TlsConnector::from(Arc::new(tls()?));
            shake(tls.connect(name, tcp).await.map_err(|error| in_words(&error))?).await
        };
        match timeout(CONNECT_LIMIT, connecting).await {
            Ok(line) => line.map_err(|why| self.unreachable(why)),
            Err(_) => Err(self.unreachable(format!("no connection within {} s", CONNECT_LIMIT.as_secs()))),
        }
    }

    fn name(&self) -> String {
        clean(self.server.as_str().trim_end_matches('/'))
    }

    fn unreachable(&self, why: String) -> Failure {
        Failure::Unreachable { server: self.name(), why: clean(&why) }
    }

    fn problem(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Problem {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Written {
            title: Option<String>,
            detail: Option<String>,
            field: Option<String>,
        }
        let written: Written = serde_json::from_slice(body).unwrap_or_default();
        let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let hint = match status.as_u16() {
            401 if self.token.is_none() => {
                Some("No token was given: set SONNETTE_TOKEN, or name the data directory with --data-dir.")
            }
            _ => None,
        };
        Problem {
            status: status.as_u16(),
            detail: written
                .detail
                .or(written.title)
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| format!("{} answers {status}", self.name())),
            field: written.field.filter(|text| !text.is_empty()),
            retry_after,
            hint,
        }
    }
}

fn written(body: &impl serde::Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| Failure::Failed(error.to_string()))
}

/// The line, unless the other side hung up since the last call.
fn still_open(mut line: Line) -> Option<Line> {
    let closed = (&mut line.driver).now_or_never().is_some();
    (!closed && line.sender.is_ready()).then_some(line)
}

async fn shake<S>(stream: S) -> Result<Line, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| in_words(&error))?;
    Ok(Line { sender, driver: Box::pin(connection) })
}

fn tls() -> Result<ClientConfig, String> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| in_words(&error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// An error with its causes: the outermost alone ("client error") tells nobody anything.
fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !words.contains(&next) {
            words = format!("{words}: {next}");
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::terminal::tests::terminal;
    use super::super::tests::Server;
    use super::*;

    fn access(server: &str, token: Option<&str>, data_dir: PathBuf) -> Access {
        Access { server: parse_server(server).unwrap(), token: token.map(Secret::new), data_dir }
    }

    /// A server that sends these bytes to the first who asks, and then hangs up.
    async fn sending(bytes: Vec<u8>) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&bytes).await;
        });
        Client::new(url.parse().unwrap(), Some(Secret::new("sop_hunter2")))
    }

    #[tokio::test]
    async fn a_refusal_says_what_and_which_field() {
        let problem = json!({"title": "Unknown kind", "detail": "`X` is not a kind", "field": "event"});
        let server = Server::answering([(400, problem), (403, json!({"title": "Not yours"}))]).await;
        let mut client = server.client();
        let failure = client.get("/x", &[]).await.unwrap_err();
        assert_eq!((failure.to_string().as_str(), failure.exit_code()), ("`X` is not a kind (event)", 1));
        let failure = client.get("/x", &[]).await.unwrap_err();
        assert_eq!((failure.to_string().as_str(), failure.exit_code()), ("Not yours", 4));
    }

    #[tokio::test]
    async fn a_connection_serves_many_calls_and_a_closed_one_is_replaced() {
        let server = Server::answering((0..4).map(|n| (200, json!(n)))).await;
        let mut client = server.client();
        for n in 0..4 {
            assert_eq!(client.get("/x", &[("a", "b&c")]).await.unwrap(), json!(n));
            if n == 2 {
                client.line.as_mut().unwrap().driver = Box::pin(async { Ok(()) });
            }
        }
        assert_eq!(server.asked()[3].0, "GET /api/v1/x?a=b%26c");
    }

    #[tokio::test]
    async fn a_path_of_the_server_url_stays_in_front() {
        let server = Server::answering([(200, json!(1))]).await;
        let mut client = server.client();
        client.server.set_path("/bell/");
        client.get("/x", &[]).await.unwrap();
        assert_eq!(server.asked()[0].0, "GET /bell/api/v1/x");
    }

    #[tokio::test]
    async fn a_server_nobody_runs_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let failure = Client::new(url.parse().unwrap(), None).get("/x", &[]).await.unwrap_err();
        assert_eq!(failure.exit_code(), 3);
        assert!(failure.to_string().starts_with(&format!("{url} cannot be reached: ")), "{failure}");
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_http_or_hangs_up_is_unreachable_and_the_token_stays_unsaid() {
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec();
        for bytes in [Vec::new(), b"220 mail.example ESMTP\r\n".to_vec(), cut] {
            let failure = sending(bytes).await.get("/x", &[]).await.unwrap_err();
            assert_eq!(failure.exit_code(), 3, "{failure}");
            assert!(!format!("{failure} {failure:?}").contains("hunter2"));
        }
    }

    #[tokio::test]
    async fn a_reply_that_closes_the_connection_is_read_to_its_end() {
        let bytes = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"a\":1}".to_vec();
        assert_eq!(sending(bytes).await.get("/x", &[]).await.unwrap(), json!({"a": 1}));
    }

    #[tokio::test]
    async fn a_reply_beyond_the_limit_is_not_read() {
        let mut bytes = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        bytes.resize(MAX_REPLY + 100, b' ');
        let failure = sending(bytes).await.get("/x", &[]).await.unwrap_err();
        assert!(failure.to_string().contains("limit"), "{failure}");
    }

    #[tokio::test]
    async fn a_reply_that_is_no_json_is_a_failure() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>".to_vec();
        let failure = sending(bytes).await.get("/x", &[]).await.unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        let bytes = b"HTTP/1.1 308 Permanent Redirect\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n".to_vec();
        let failure = sending(bytes).await.get("/x", &[]).await.unwrap_err();
        assert!(failure.to_string().ends_with("answers 308 Permanent Redirect"), "{failure}");
    }

    #[test]
    fn the_operator_token_of_this_machine_is_used_for_this_machine_only() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(TOKEN_FILE), "sop_local\n").unwrap();
        let token = |server: &str, given: Option<&str>| {
            let (mut terminal, _, err) = terminal(false, None);
            let client = access(server, given, dir.path().into()).client(&mut terminal).unwrap();
            (client.token.map(|token| token.expose().to_owned()), err.text())
        };
        for here in ["http://127.0.0.1:8787", "http://localhost", "https://[::1]:1"] {
            let (found, remark) = token(here, None);
            assert_eq!(found.as_deref(), Some("sop_local"), "{here}");
            assert!(remark.starts_with("using the operator token in ") && !remark.contains("sop_"));
        }
        for elsewhere in ["https://bell.example", "https://localhost.example", "https://192.0.2.1"] {
            assert_eq!(token(elsewhere, None).0, None, "{elsewhere}");
        }
        assert_eq!(token("http://127.0.0.1:1", Some("sop_given")), (Some("sop_given".into()), String::new()));
        assert_eq!(
            token("http://bell.example", Some("x")).1,
            "warning: the token travels unencrypted; use https\n"
        );
    }

    #[tokio::test]
    async fn who_has_no_token_is_told_where_one_comes_from() {
        let server = Server::answering([(401, json!({"detail": "no token"}))]).await;
        let mut client = server.client();
        client.token = None;
        let failure = client.get("/x", &[]).await.unwrap_err();
        assert_eq!(failure.exit_code(), 4);
        assert!(failure.to_string().starts_with("no token\nNo token was given: "), "{failure}");
    }

    #[test]
    fn a_server_is_an_http_url_without_extras_and_a_token_is_visible_ascii() {
        for wrong in ["", "example", "ftp://a", "http://u:p@a", "http://a?x", "http://a#x", "http://"] {
            assert!(parse_server(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "a b", "é", "a\nb"] {
            let error = parse_token(wrong).unwrap_err();
            assert_eq!(error, "a token is made of visible ASCII characters");
        }
    }
}
