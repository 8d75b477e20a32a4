//! Every page, light and dark, wide and narrow: what axe-core says of it, whether it fits its window, and what it looks like,
//! written to `target/screenshots` for people to look at.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::person::{NARROW, Person, WIDE, Way};
use crate::world::{World, within};

const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../screenshots");
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/node_modules/axe-core/axe.min.js");

/// Asks axe-core, then says what it found. What is in a frame of its own is a letter, not a page. In the dark only colours differ.
const ASK: &str = r"
const done = arguments[arguments.length - 1];
const words = (one) => `${one.id}: ${one.nodes.map((node) => `${node.target} (${node.failureSummary})`).slice(0, 3).join('; ')}`;
const only = matchMedia('(prefers-color-scheme: dark)').matches ? { runOnly: ['color-contrast', 'link-in-text-block'] } : {};
axe.run(document, { resultTypes: ['violations'], iframes: false, ...only }).then(
  (found) => done(found.violations.map(words)),
  (error) => done([`axe: ${error}`]));
";

/// What is wider than its window, or than the box that holds it, and cannot be scrolled to.
const FITS: &str = r"
const { scrollWidth, clientWidth } = document.documentElement;
if (scrollWidth <= clientWidth) return [];
const over = Array.from(document.querySelectorAll('main *, header *, footer *')).filter((one) => one.getBoundingClientRect().right > clientWidth + 1);
return [`${scrollWidth} px wide in ${clientWidth}: ${over.slice(0, 3).map((one) => one.outerHTML.slice(0, 120))}`];
";

/// Who looks, with what, and what they found wrong so far.
struct Gallery<'a> {
    person: &'a Person<'a>,
    axe: String,
    wrong: Vec<String>,
}

impl<'a> Gallery<'a> {
    fn new(person: &'a Person<'a>) -> Self {
        std::fs::create_dir_all(FOLDER).unwrap();
        let axe = std::fs::read_to_string(AXE).expect("axe-core is there: npm ci in server/tests/browser");
        Self { person, axe, wrong: Vec::new() }
    }

    /// Looks at the page that is open.
    async fn here(&mut self, name: &str) {
        self.person.client.execute(&self.axe, Vec::new()).await.unwrap();
        for (width, of_width) in [(WIDE, "wide"), (NARROW, "narrow")] {
            for (dark, of_light) in [(false, "light"), (true, "dark")] {
                self.person.sits_before(width, dark).await;
                let mut wrong = self.person.finds_wrong(FITS).await;
                wrong.extend(self.person.finds_wrong_later(ASK).await);
                wrong.extend(self.person.complaints().await);
                self.wrong
                    .extend(wrong.into_iter().map(|one| format!("{name}, {of_width}, {of_light}: {one}")));
                self.shoot(&format!("{name}-{of_width}-{of_light}"), width).await;
            }
        }
        self.person.sits_before(WIDE, false).await;
    }

    async fn at(&mut self, name: &str, path: &str) {
        self.person.goes(path).await;
        self.here(name).await;
    }

    async fn shoot(&self, name: &str, width: u32) {
        let size = self.person.devtools("Page.getLayoutMetrics", json!({})).await["cssContentSize"].take();
        let height = size["height"].as_f64().unwrap().clamp(800.0, 5000.0);
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let asked = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let shot = self.person.devtools("Page.captureScreenshot", asked).await;
        let png = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(PathBuf::from(FOLDER).join(format!("{name}.png")), png).unwrap();
    }
}

/// An organisation with a past: what was delivered, what was refused, what waits and what is held.
struct Past {
    acme: String,
    empty: String,
    slack: String,
    audit: String,
    failed: String,
}

async fn past(world: &World) -> Past {
    let acme = world.organisation("Acme").await;
    let empty = world.organisation("Umbra Labs").await;
    for (name, email, role) in [
        ("Alice Martin", "alice@acme.example", "ADMIN"),
        ("Bob Keller", "bob@acme.example", "DEVELOPER"),
        ("Carol Jansen", "carol@acme.example", "ACCOUNTING"),
    ] {
        let lang = if role == "DEVELOPER" { "fr" } else { "en" };
        let user = json!({"email": email, "name": name, "lang": lang});
        let user = crate::world::id(&world.op("POST", "/users", user).await);
        world.member(&acme, &user, role).await;
        if role == "ADMIN" {
            world.member(&empty, &user, role).await;
        }
    }
    for hook in
        world.op("GET", &format!("/owners/{empty}/hooks"), Value::Null).await["items"].as_array().unwrap()
    {
        world.op("DELETE", &format!("/hooks/{}", hook["id"].as_str().unwrap()), Value::Null).await;
    }
    let mut applications = Vec::new();
    for name in ["web", "shop", "billing-api", "worker", "image-resizer"] {
        applications.push((world.application(&acme, name).await, name));
    }
    let addon = json!({"kind": "addon", "name": "postgres-main", "realId": "postgresql_5d0c7b2e-1f3a-4c8b-9d7e-2a6b4c8d0e1f"});
    world.op("POST", &format!("/owners/{acme}/resources"), addon).await;
    world.receiver.answers("/ci/sonnette", 410, "{\"error\": \"this pipeline was archived\"}");
    world.receiver.answers("/collect", 503, "<html><body><h1>503 Service Unavailable</h1></body></html>");
    let webhook = |name: &str, format: &str, door: &str, events: Value| json!({"kind": "webhook", "name": name, "events": events, "urls": [{"url": world.receiver.url(door), "format": format}]});
    let results = json!(["META_DEPLOYMENT_RESULT"]);
    let door = "/services/T02ACME/B07DEPLOYS/k3Jd81mQx0aLw92nZ";
    let slack = world.hook(&acme, webhook("Deployments to #releases", "slack", door, results.clone())).await;
    world.hook(&acme, webhook("Metrics collector", "raw", "/collect", json!(["DEPLOYMENT_FAIL"]))).await;
    world.hook(&acme, webhook("Old pipeline", "raw", "/ci/sonnette", json!(["GIT_PUSH"]))).await;
    let audit = world.hook(&acme, webhook("Audit log", "raw", "/audit", Value::Null)).await;
    let finance = json!({
        "kind": "email", "name": "Credits to finance", "events": ["META_CREDITS"],
        "targets": [{"type": "organisation", "roles": ["ACCOUNTING"]}, {"type": "address", "address": "finance@acme.example"}],
    });
    world.hook(&acme, finance).await;
    let mut failed = String::new();
    for (n, (id, name)) in applications.iter().cycle().take(13).enumerate() {
        let kind = if n % 5 == 3 { "DEPLOYMENT_FAIL" } else { "DEPLOYMENT_SUCCESS" };
        let event = world.deployed(kind, &acme, id, name).await;
        if n == 8 {
            world.op("POST", &format!("/hooks/{audit}/pause"), Value::Null).await;
            failed = event;
        }
        world.settled(&acme).await;
    }
    let (web, _) = &applications[0];
    let push = json!({
        "id": web, "appId": web, "ownerId": acme, "name": "web", "commit": "c0ffee5c6d1f0e1a2b3c4d5e6f708192a3b4c5d6",
        "branch": "main", "message": "Show the basket on every page",
    });
    world.emit("GIT_PUSH", &acme, push).await;
    let credits =
        json!({"ownerId": acme, "amount": 7.5, "currency": "EUR", "threshold": 10.0, "daysLeft": 4});
    world.emit("CREDITS_WARNING", &acme, credits).await;
    world.settled(&acme).await;
    Past { acme, empty, slack, audit, failed }
}

/// The delivery of an event in one of these states.
async fn delivery(world: &World, owner: &str, state: &str) -> String {
    let list = world.op("GET", &format!("/deliveries?owner={owner}&state={state}"), Value::Null).await;
    crate::world::id(&list["items"][0])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_and_fits_light_and_dark_wide_and_narrow() {
    within(look_at_every_page()).await;
}

async fn look_at_every_page() {
    let world = World::start().await;
    let Past { acme, empty, slack, audit, failed } = past(&world).await;
    let alice = Person::new(&world, Way::Usual).await;
    let mut look = Gallery::new(&alice);

    look.at("sign-in", "/sign-in").await;
    alice.fills("E-mail address", "alice@acme.example").await;
    alice.presses("Send me a link").await;
    alice.sees("Look into your mailbox").await;
    look.here("link-sent").await;
    let link = world.link("alice@acme.example").await;
    look.at("open-link", &link).await;
    alice.presses("Sign in").await;
    alice.sees("Who is written to, and about what.").await;
    look.here("emails-personal").await;
    alice.goes(&link).await;
    alice.presses("Sign in").await;
    alice.sees("This link was used already").await;
    look.here("link-used").await;

    let at = |page: &str| format!("/o/{acme}/{page}");
    look.at("emails", &at("emails")).await;
    alice.presses("Personal space and organisations: Acme").await;
    look.here("menu").await;
    look.at("emails-empty", &format!("/o/{empty}/emails")).await;
    look.at("email-new", &at("emails/new")).await;
    alice.fills("Other addresses", "not an address").await;
    alice.presses("Save").await;
    alice.sees("is not an e-mail address").await;
    look.here("email-wrong").await;
    alice.goes(&at("emails")).await;
    alice.presses("Edit: Credits to finance").await;
    alice.sees("finance@acme.example").await;
    look.here("email-edit").await;
    alice.goes(&at("emails")).await;
    alice.presses("Delete: Default deployment result e-mails").await;
    alice.sees("Keep it").await;
    look.here("email-delete").await;

    look.at("webhooks", &at("webhooks")).await;
    alice.presses("Test: Deployments to #releases").await;
    alice.sees("A test is listed nowhere and counts as no failure.").await;
    look.here("webhooks-tested").await;
    // As without JavaScript: on a page of its own.
    let plain =
        "document.querySelectorAll('[data-place]').forEach((one) => delete one.dataset.place); return [];";
    assert!(alice.finds_wrong(plain).await.is_empty());
    alice.presses("Test: Old pipeline").await;
    alice.sees("Test of “Old pipeline”").await;
    look.here("webhook-tested").await;
    look.at("webhooks-empty", &format!("/o/{empty}/webhooks")).await;
    look.at("webhook-new", &at("webhooks/new")).await;
    alice
        .fills("Webhook URL", "https://hooks.slack.com/services/T00000000/B00000000/wJalrXUtnFEMIK7MDENGbPxR")
        .await;
    alice.sees("Recognised: Slack").await;
    alice.ticks("Result of deployments (success/fail)").await;
    alice.presses("Where to get such a URL").await;
    look.here("webhook-new-slack").await;
    alice.fills("Webhook URL", "ftp://example.org").await;
    alice.presses("Save").await;
    alice.sees("This URL cannot be used").await;
    look.here("webhook-wrong").await;
    look.at("webhook-edit", &at(&format!("webhooks/{slack}"))).await;
    alice.presses("Test").await;
    alice.sees("A test is listed nowhere and counts as no failure.").await;
    look.here("webhook-edit-tested").await;
    look.at("webhook-resume", &at(&format!("webhooks/{audit}/resume"))).await;
    alice.goes(&at("webhooks/new")).await;
    alice.fills("Webhook URL", &world.receiver.url("/service")).await;
    alice.fills("Name", "My service").await;
    alice.presses("Save").await;
    alice.sees("Check that a request is ours").await;
    look.here("webhook-secret").await;

    look.at("deliveries", &at("deliveries")).await;
    look.at("deliveries-none", &at("deliveries?event=ADDON_CREATION&hook=nobody")).await;
    look.at("deliveries-empty", &format!("/o/{empty}/deliveries")).await;
    look.at("undelivered", &at("deliveries/undelivered")).await;
    look.at("undelivered-empty", &format!("/o/{empty}/deliveries/undelivered")).await;
    for state in ["delivered", "retrying", "dead", "held"] {
        let one = delivery(&world, &acme, state).await;
        look.at(&format!("delivery-{state}"), &at(&format!("deliveries/{one}"))).await;
    }
    alice.goes(&at("live")).await;
    alice.sees("Credits running low").await;
    look.here("live").await;
    look.at("live-empty", &format!("/o/{empty}/live")).await;
    look.at("event", &at(&format!("events/{failed}"))).await;
    look.at("events", "/events").await;
    look.at("event-kind", "/events/DEPLOYMENT_FAIL").await;
    look.at("account", "/account").await;
    alice.presses("Stop: Default credits warning e-mails · Acme").await;
    alice.sees("It does not write to you any more.").await;
    alice.presses("Deployments").await;
    alice.ticks("Deployment began").await;
    alice.ticks("worker").await;
    alice.presses("Save: E-mails").await;
    alice.sees("Saved.").await;
    look.here("account-e-mails").await;
    alice.fills("What is it for?", "laptop").await;
    alice.presses("Make a token").await;
    alice.sees("The clever command").await;
    look.here("token").await;
    look.at("account-tokens", "/account").await;
    look.at("cli-login", "/cli-oauth?cli_version=4.11.0&cli_token=AbCdEfGhIjKlMnOpQrStUvWxYz0").await;
    look.at("not-found", "/nothing/here").await;

    // Somebody who may look and not change, in French.
    alice.client.delete_all_cookies().await.unwrap();
    alice.goes(&world.link("bob@acme.example").await).await;
    alice.presses("Sign in").await;
    alice.sees("À qui l’on écrit").await;
    look.at("emails-read", &at("emails")).await;
    look.at("webhooks-read", &at("webhooks")).await;
    look.at("deliveries-fr", &at("deliveries")).await;
    look.at("event-fr", &at(&format!("events/{failed}"))).await;
    look.at("account-fr", "/account").await;
    look.at("forbidden", &at("webhooks/new")).await;

    assert!(look.wrong.is_empty(), "{}", look.wrong.join("\n"));
    alice.leaves().await;
}
