//! The console's pages, as a browser gets them for the first time: bytes over the wire, style, script and icon with
//! them, and the time from the request to the end of the page.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use hyper::{Method, Request};

use super::{Ground, Site, received};
use crate::api::Call;
use crate::figures::{Goal, Row, Times};
use crate::line::{Answer, Line};
use crate::payload;
use crate::receiver::{Receiver, Script, Watch};

/// What a page may weigh, and how long it may take.
const MOST_KB: f64 = 60.0;
const MOST_MS: f64 = 100.0;
/// As browsers ask for pages, and as we do to read them.
const PACKED: &str = "gzip, br, zstd";
const PLAIN: &str = "identity";
/// Hooks an owner is born with.
const BORN: usize = 2;
/// How often each page is asked for, after once to warm up.
const TIMES: usize = 20;
/// How long delivering all of it may take.
const DELIVERED: Duration = Duration::from_secs(600);

/// What is in the store.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Deliveries, all of the owner that is looked at.
    pub deliveries: u64,
    /// Hooks of the owner; one is what the deliveries are for.
    pub hooks: usize,
    /// Applications of the owner.
    pub applications: u64,
}

/// One row for each page.
///
/// # Errors
/// If anything is refused, or a page is none.
pub async fn run(ground: &Ground, options: Options) -> anyhow::Result<Vec<Row>> {
    ensure!(options.hooks > BORN && options.deliveries > 0, "--hooks must be at least 3, --deliveries 1");
    let site = ground.site().await?;
    let receiver = Receiver::start(Watch::Count, Script::default())?;
    let hook = fill(&site, &receiver, options).await?;
    let mut browser = Browser::enter(&site).await?;
    let owner = payload::owner(0);
    let newest = site.api.first(&format!("/api/v1/deliveries?owner={owner}&limit=1")).await?;
    let of = |name: &str| newest[name].as_str().map(str::to_owned).context("a delivery without its ids");
    let (delivery, event) = (of("id")?, of("eventId")?);
    let at = |rest: &str| format!("/o/{owner}/{rest}");
    let pages = [
        ("E-mails", at("emails")),
        ("add an e-mail notification", at("emails/new")),
        ("Webhooks", at("webhooks")),
        ("Webhooks, searched in vain", at("webhooks?q=nowhere")),
        ("add a webhook", at("webhooks/new")),
        ("a webhook", at(&format!("webhooks/{hook}"))),
        ("its secret", at(&format!("webhooks/{hook}/secret"))),
        ("deleting it", at(&format!("webhooks/{hook}/delete"))),
        ("Deliveries", at("deliveries")),
        ("Deliveries of a hook", at(&format!("deliveries?hook={hook}"))),
        ("Deliveries in a state", at("deliveries?state=dead")),
        ("not delivered, and why", at("deliveries/undelivered")),
        ("a delivery", at(&format!("deliveries/{delivery}"))),
        ("Live", at("live")),
        ("an event", at(&format!("events/{event}"))),
        ("Events", "/events".to_owned()),
        ("a kind of event", "/events/DEPLOYMENT_SUCCESS".to_owned()),
        ("My account", "/account".to_owned()),
    ];
    let mut rows = Vec::new();
    for (what, path) in &pages {
        rows.push(browser.measure(what, path).await?);
    }
    let mut stranger = Browser::new(&site).await?;
    rows.push(stranger.measure("Sign in", "/sign-in").await?);
    Ok(rows)
}

/// Makes applications, hooks and deliveries; gives the hook they are by.
async fn fill(site: &Site, receiver: &Receiver, options: Options) -> anyhow::Result<String> {
    let owner = payload::owner(0);
    site.api.import_applications(&owner, options.applications).await?;
    let hook = |n: usize| Call::add_hook(&owner, &receiver.url(n), n == 0);
    let hooks = site.api.add_hooks((0..options.hooks - BORN).map(hook).collect()).await?;
    site.fill(options.deliveries, false).await?;
    received(receiver, options.deliveries, DELIVERED).await?;
    site.api.settled(&hooks[..1], DELIVERED).await?;
    hooks.into_iter().next().context("there is no hook")
}

/// One connection and its cookies.
struct Browser {
    line: Line,
    host: String,
    cookies: Vec<(String, String)>,
}

impl Browser {
    async fn new(site: &Site) -> anyhow::Result<Self> {
        let address = site.api.address;
        Ok(Self { line: Line::open(address).await?, host: address.to_string(), cookies: Vec::new() })
    }

    /// Signed in as somebody who may change the owner's hooks.
    async fn enter(site: &Site) -> anyhow::Result<Self> {
        let link = site.api.admin_link(&payload::owner(0)).await?;
        let path =
            link.splitn(4, '/').nth(3).map(|path| format!("/{path}")).context("a link without a path")?;
        let mut browser = Self::new(site).await?;
        let page = browser.send(Method::GET, &path, String::new(), PLAIN).await?;
        let html = String::from_utf8_lossy(&page.body).into_owned();
        let field = |name: &str| {
            let tag = html.split_once(&format!("name=\"{name}\" value=\""))?.1;
            tag.split_once('"').map(|(value, _)| value.to_owned())
        };
        let (token, link) = field("token").zip(field("link")).context("a page without its form")?;
        let form = format!("token={token}&link={link}&next=/");
        let done = browser.send(Method::POST, "/sign-in/open", form, PLAIN).await?;
        ensure!(done.status == 303, "signing in was answered with {}", done.status);
        Ok(browser)
    }

    /// Sends a form and reads the answer, compressed in one of the `encodings`.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: String,
        encodings: &'static str,
    ) -> anyhow::Result<Answer> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(ACCEPT, "text/html")
            .header(ACCEPT_ENCODING, encodings)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, cookies.join("; "))
            .body(Full::new(Bytes::from(form)))?;
        let answer = self.line.exchange(request).await?;
        for line in answer.headers.get_all(SET_COOKIE) {
            let pair = line.to_str()?.split(';').next().and_then(|pair| pair.split_once('='));
            let (name, value) = pair.ok_or_else(|| anyhow!("a cookie without a value"))?;
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(answer)
    }

    async fn get(&mut self, path: &str, encodings: &'static str) -> anyhow::Result<Answer> {
        let answer = self.send(Method::GET, path, String::new(), encodings).await?;
        ensure!(answer.status == 200, "GET {path} was answered with {}", answer.status);
        Ok(answer)
    }

    async fn measure(&mut self, what: &str, path: &str) -> anyhow::Result<Row> {
        let html = String::from_utf8_lossy(&self.get(path, PLAIN).await?.body).into_owned();
        let page = self.get(path, PACKED).await?;
        let mut bytes = weight(&page);
        let mut assets: Vec<&str> =
            html.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assets.sort_unstable();
        assets.dedup();
        ensure!(!assets.is_empty(), "{path} has neither style nor script");
        for asset in assets {
            bytes += weight(&self.get(&format!("/assets/{asset}"), PACKED).await?);
        }
        let mut took = Vec::new();
        for _ in 0..TIMES {
            let since = Instant::now();
            self.get(path, PACKED).await?;
            took.push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        let times = Times::new(took);
        Ok(Row::new(format!("page: {what}"))
            .with_goal("first load", bytes as f64 / 1_000.0, "KB", Goal::AtMost(MOST_KB))
            .with("the page itself", page.body.len() as f64 / 1_000.0, "KB")
            .with("p50", times.at(0.5), "ms")
            .with_goal("slowest", times.at(1.0), "ms", Goal::AtMost(MOST_MS)))
    }
}

/// What a reply weighs in HTTP/1.1: status line, headers, body.
fn weight(answer: &Answer) -> usize {
    let headers =
        answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    "HTTP/1.1 200 OK\r\n\r\n".len() + headers + answer.body.len()
}
