//! Somebody in front of Chromium. They find things by what is written on them, as people do, and have a mouse or only a
//! keyboard, a wide window or a narrow one, JavaScript or none.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::world::{LIMIT, LOOK, World};

/// How somebody uses the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A mouse, a wide window, JavaScript.
    Usual,
    /// Without JavaScript.
    Plain,
    /// 360 px wide.
    Narrow,
    /// Without a mouse.
    Keys,
}

/// The widths people have.
pub const WIDE: u32 = 1280;
pub const NARROW: u32 = 360;

/// A command of Chromium's driver that is not WebDriver's.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

/// See the module.
pub struct Person<'a> {
    pub client: Client,
    world: &'a World,
    way: Way,
    // Chromium ends with the pipe its driver holds, and the driver with us.
    _driver: Child,
    _profile: TempDir,
}

impl<'a> Person<'a> {
    /// Opens a browser of their own.
    pub async fn new(world: &'a World, way: Way) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver runs: install the packages chromium and chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver says its port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let profile = tempfile::tempdir().unwrap();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(way, profile.path()))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("Chromium starts");
        let person = Self { client, world, way, _driver: driver, _profile: profile };
        person.sits_before(if way == Way::Narrow { NARROW } else { WIDE }, false).await;
        person
    }

    /// Whether pages may run scripts.
    pub fn has_script(&self) -> bool {
        self.way != Way::Plain
    }

    /// Takes a window of this width, and likes it light or dark.
    pub async fn sits_before(&self, width: u32, dark: bool) {
        let metrics = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Asks the browser itself (Chrome DevTools Protocol).
    pub async fn devtools(&self, cmd: &str, params: Value) -> Value {
        let body = json!({"cmd": cmd, "params": params});
        self.client.issue_cmd(Vendor { path: "goog/cdp/execute", body }).await.unwrap()
    }

    /// What the browser complained of since it was asked last: scripts that failed, policies that were violated.
    pub async fn complaints(&self) -> Vec<String> {
        let log =
            self.client.issue_cmd(Vendor { path: "se/log", body: json!({"type": "browser"}) }).await.unwrap();
        let entries = log.as_array().cloned().unwrap_or_default();
        // That a page came with 404 or 422 is no complaint.
        let entries = entries.iter().filter(|entry| entry["source"] != "network");
        entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub async fn goes(&self, path: &str) {
        let url =
            if path.starts_with('/') { format!("{}{path}", self.world.origin) } else { path.to_owned() };
        self.client.goto(&url).await.unwrap();
    }

    pub async fn signs_in(&self, email: &str) {
        self.goes(&self.world.link(email).await).await;
        self.presses("Sign in").await;
        self.sees("Who is written to, and about what.").await;
    }

    /// Goes from their own space to an organisation of theirs.
    pub async fn switches_to(&self, organisation: &str) {
        self.presses("Personal space and organisations: Personal space").await;
        self.presses(organisation).await;
        self.finds(&format!("Personal space and organisations: {organisation}")).await;
    }

    /// A link, a button or a disclosure, by the name it has for everybody.
    async fn finds(&self, name: &str) -> Element {
        let name_is = quoted(name);
        let path = format!(
            "//*[self::a or self::button or self::summary][not(@aria-hidden)]\
             [@aria-label={name_is} or (not(@aria-label) and normalize-space(.)={name_is})]"
        );
        self.shown(name, &path).await
    }

    pub async fn presses(&self, name: &str) {
        let element = self.finds(name).await;
        if self.way == Way::Keys {
            self.reaches(&element, name).await;
            // Apart: the page may be gone before the key is up, and nobody would answer for it.
            let enter = char::from(Key::Enter);
            for action in [KeyAction::Down { value: enter }, KeyAction::Up { value: enter }] {
                self.client.perform_actions(KeyActions::new("keys".to_owned()).then(action)).await.unwrap();
            }
        } else {
            element.click().await.unwrap();
        }
    }

    /// Ticks a box, or takes its tick off.
    pub async fn ticks(&self, label: &str) {
        let path =
            format!("//label[contains(@class,'check')][.//text()[normalize-space(.)={}]]", quoted(label));
        let element = self.shown(label, &path).await;
        if self.way == Way::Keys {
            let tick = element.find(Locator::Css("input")).await.unwrap();
            self.reaches(&tick, label).await;
            self.types(" ").await;
        } else {
            element.click().await.unwrap();
        }
    }

    /// A field by its label.
    async fn field(&self, label: &str) -> Element {
        let path = format!("//*[@id=//label[normalize-space(text()[1])={}]/@for]", quoted(label));
        self.shown(label, &path).await
    }

    /// Puts a text into a field, in the place of what is there.
    pub async fn fills(&self, label: &str, text: &str) {
        let element = self.field(label).await;
        if self.way == Way::Keys {
            self.reaches(&element, label).await;
        } else {
            element.click().await.unwrap();
        }
        self.chord(Key::Control, "a").await;
        self.types(Key::Delete).await;
        self.types(text).await;
        assert_eq!(element.prop("value").await.unwrap().as_deref(), Some(text), "{label}");
    }

    /// Chooses from a list.
    pub async fn chooses(&self, label: &str, option: &str) {
        let element = self.field(label).await;
        if self.way == Way::Keys {
            self.reaches(&element, label).await;
            self.types(option).await;
        } else {
            element.select_by_label(option).await.unwrap();
        }
        let chosen = element.find(Locator::Css("option:checked")).await.unwrap();
        assert_eq!(chosen.text().await.unwrap(), option, "{label}");
    }

    /// Without JavaScript the preview and the search have a button of their own.
    pub async fn looks_again(&self, button: &str) {
        if !self.has_script() {
            self.presses(button).await;
        }
    }

    /// Waits until the page says this.
    pub async fn sees(&self, words: &str) {
        let end = Instant::now() + LIMIT;
        loop {
            let text = self.text().await;
            if text.contains(words) {
                return;
            }
            assert!(Instant::now() < end, "{:?} does not see {words:?}: {text}", self.way);
            tokio::time::sleep(LOOK).await;
        }
    }

    pub async fn does_not_see(&self, words: &str) {
        let text = self.text().await;
        assert!(!text.contains(words), "{:?} sees {words:?}: {text}", self.way);
    }

    /// What can be read on the page.
    pub async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    async fn shown(&self, what: &str, path: &str) -> Element {
        let end = Instant::now() + LIMIT;
        loop {
            // Between two pages what was found may be gone again.
            for element in self.client.find_all(Locator::XPath(path)).await.unwrap_or_default() {
                if element.is_displayed().await.unwrap_or_default() {
                    return element;
                }
            }
            if Instant::now() >= end {
                panic!("{:?} does not find {what:?}: {}", self.way, self.text().await);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Goes on by the tabulator until the focus is there, and can be seen to be.
    async fn reaches(&self, element: &Element, name: &str) {
        for _ in 0..400 {
            let active = self.client.active_element().await.unwrap();
            if active.element_id() == element.element_id() {
                let outline = active.css_value("outline-style").await.unwrap();
                assert_ne!(outline, "none", "the focus on {name:?} is to be seen");
                return;
            }
            self.types(Key::Tab).await;
        }
        panic!("the tabulator does not lead to {name:?}");
    }

    async fn types(&self, keys: impl ToString) {
        let mut actions = KeyActions::new("keys".to_owned());
        for value in keys.to_string().chars() {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.client.perform_actions(actions).await.unwrap();
    }

    async fn chord(&self, held: Key, key: &str) {
        let (held, value) = (char::from(held), key.chars().next().unwrap());
        let actions = KeyActions::new("keys".to_owned())
            .then(KeyAction::Down { value: held })
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value })
            .then(KeyAction::Up { value: held });
        self.client.perform_actions(actions).await.unwrap();
    }

    /// Runs a script of the test's in the page, whatever the page's policy says. It returns what was found wrong, each in words.
    pub async fn finds_wrong(&self, script: &str) -> Vec<String> {
        let found = self.client.execute(script, Vec::new()).await.unwrap();
        serde_json::from_value(found).unwrap()
    }

    /// The same, where it says by a callback, its last argument, when it is done.
    pub async fn finds_wrong_later(&self, script: &str) -> Vec<String> {
        let found = self.client.execute_async(script, Vec::new()).await.unwrap();
        serde_json::from_value(found).unwrap()
    }

    pub async fn leaves(self) {
        let complaints = self.complaints().await;
        assert_eq!(complaints, Vec::<String>::new(), "{:?}", self.way);
        self.client.close().await.unwrap();
    }
}

fn capabilities(way: Way, profile: &Path) -> Capabilities {
    let mut prefs = json!({});
    if way == Way::Plain {
        prefs["profile.managed_default_content_settings.javascript"] = json!(2);
    }
    let args = [
        "--headless=new",
        // A container has no room for Chromium's own sandbox; the pages are ours.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--lang=en",
        "--no-first-run",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--remote-debugging-pipe",
        // Nothing is asked of anybody but the loopback.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    .map(str::to_owned);
    let profile = format!("--user-data-dir={}", profile.display());
    let args: Vec<_> = args.into_iter().chain([profile]).collect();
    let capabilities = json!({
        "browserName": "chrome",
        "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": args, "prefs": prefs},
        "goog:loggingPrefs": {"browser": "ALL"},
    });
    capabilities.as_object().unwrap().clone()
}

/// A text as XPath writes it.
fn quoted(text: &str) -> String {
    if text.contains('"') { format!("'{text}'") } else { format!("\"{text}\"") }
}
