//! Previews show what is sent, and tests send what is shown: against the bytes a receiver heard and the letters that were
//! written.

use std::path::Path;

use serde_json::{Value, json};
use sonnette_core::formats::{self, FORMATS};
use sonnette_core::ids::{DeliveryId, EventId};
use sonnette_core::model::Fields;
use sonnette_core::secret::Secret;
use tokio::process::Command;
use url::Url;

use crate::api::{Api, Got};
use crate::hearer::{Heard, Hearer};
use crate::letters::{ALICE, letters, unquoted};
use crate::program::BINARY;

/// Told on each attempt's own: its time, and what is computed from it.
const OWN: [&str; 2] = ["webhook-timestamp", "webhook-signature"];

/// An organisation, and the pair of an ADMIN and of a DEVELOPER.
struct Acme {
    api: Api,
    id: String,
    alice: String,
    bob: String,
}

impl Acme {
    async fn with(settings: &str) -> Self {
        let api = Api::with(settings).await;
        let id = api.organisation("Acmé <b>").await;
        let mut pairs = Vec::new();
        for (email, role) in [("alice@example.com", "ADMIN"), ("bob@example.com", "DEVELOPER")] {
            let (user, pair) = api.user(email).await;
            api.op("PUT", &format!("/organisations/{id}/members/{user}"), json!({"role": role})).await;
            pairs.push(pair);
        }
        let (bob, alice) = (pairs.remove(1), pairs.remove(0));
        Self { api, id, alice, bob }
    }

    async fn start() -> Self {
        Self::with("").await
    }

    async fn hook(&self, hook: Value) -> (String, Value) {
        let made = self.api.op("POST", &format!("/owners/{}/hooks", self.id), hook).await;
        assert_eq!(made.status, 201, "{made:?}");
        (made.id(), made.body)
    }

    /// A webhook told of commits that are pushed.
    async fn webhook(&self, format: &str, url: &str) -> String {
        let urls = json!([{"format": format, "url": url}]);
        let hook = json!({"kind": "webhook", "name": "Told", "urls": urls, "events": ["GIT_PUSH"]});
        self.hook(hook).await.0
    }

    async fn happens(&self, kind: &str) -> String {
        let data = json!({"name": "shöp & <b>co</b>", "branch": "main`x`", "commit": "c0ffee", "commitMessage": "it’s *new* 🎉"});
        let event = json!({"event": kind, "ownerId": self.id, "data": data});
        self.api.op("POST", "/events", event).await.id()
    }

    async fn preview(&self, asked: Value) -> Got {
        let got = self.api.call(&self.alice, "POST", "/preview", asked).await;
        assert_eq!(got.status, 200, "{got:?}");
        got
    }

    async fn test(&self, hook: &str, asked: Value) -> Got {
        self.api.call(&self.alice, "POST", &format!("/hooks/{hook}/test"), asked).await
    }

    async fn deliveries(&self) -> usize {
        let list = self.api.op("GET", &format!("/deliveries?owner={}", self.id), Value::Null).await;
        list.body["items"].as_array().unwrap_or_else(|| panic!("{list:?}")).len()
    }
}

/// A shown request as a receiver hears it.
fn shown(request: &Value) -> Heard {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let url = Url::parse(request["url"].as_str().unwrap()).unwrap();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let headers = request["headers"].as_array().unwrap();
    Heard {
        line: format!("{} {}{query}", request["method"].as_str().unwrap(), url.path()),
        headers: headers.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        body: text(&request["body"]),
    }
}

/// The same without what is each attempt's own, and with another delivery's number.
fn settled(heard: &Heard, from: &str, to: &str) -> Heard {
    let renumbered = |text: &str| text.replace(from, to);
    let headers = heard.headers.iter().map(|(name, value)| {
        let value = if OWN.contains(&name.as_str()) { String::new() } else { renumbered(value) };
        (name.clone(), value)
    });
    Heard { line: renumbered(&heard.line), headers: headers.collect(), body: renumbered(&heard.body) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_to_the_last_byte_what_the_receiver_of_a_stored_event_heard() {
    let acme = Acme::start().await;
    let mut receiver = Hearer::new().await;
    let mut tried = Vec::new();
    for format in FORMATS {
        let url = format!("{}/v1/messages/chat/{}?room=1", receiver.url, format.name);
        let fields: Fields = format
            .fields
            .iter()
            .filter(|field| field.required)
            .map(|field| (field.name.to_owned(), Secret::new("abc")))
            .collect();
        let parsed = Url::parse(&url).unwrap();
        if (format.check)(&parsed).is_err() || format.check_fields(&parsed, &fields).is_err() {
            continue; // A service at an address of its own, which no test reaches.
        }
        tried.push(format.name);
        let given: serde_json::Map<_, _> =
            fields.iter().map(|(name, value)| (name.clone(), value.expose().into())).collect();
        let urls = json!([{"format": format.name, "url": url, "fields": given}]);
        let hook = json!({"kind": "webhook", "name": "Told", "urls": urls, "events": ["DEPLOYMENT_FAIL"]});
        let (hook, _) = acme.hook(hook).await;
        let event = acme.happens("DEPLOYMENT_FAIL").await;
        let heard = receiver.next().await;
        let delivery = acme.api.op("GET", &format!("/deliveries?hook={hook}"), Value::Null).await;
        let delivery = delivery.body["items"][0]["id"].as_str().unwrap().to_owned();
        let id: EventId = event.parse().unwrap();
        let before = DeliveryId { event: id, n: 0 }.to_string();

        let by_hook = acme.preview(json!({"event": event, "hook": hook})).await;
        let by_format = json!({"event": event, "format": format.name, "url": url, "fields": given});
        let by_format = acme.preview(by_format).await;
        let secret_url = format.secret_url || fields.keys().any(|_| true);
        for got in [&by_hook, &by_format] {
            let items = got.body["items"].as_array().unwrap();
            assert_eq!(items.len(), 1);
            let mut seen = shown(&items[0]["request"]);
            if secret_url {
                let (_, path) = heard.line.split_once(' ').unwrap();
                // Where a URL names its delivery, the preview's names its own.
                let whole = format!("{}{path}", receiver.url).replace(&delivery, &before);
                assert_eq!(items[0]["request"]["url"], formats::shown(format.name, &Secret::new(whole)));
                seen.line.clone_from(&heard.line);
            }
            assert_eq!(
                settled(&seen, &before, &delivery),
                settled(&heard, &delivery, &delivery),
                "{}",
                format.name
            );
        }
        assert_eq!(acme.api.op("DELETE", &format!("/hooks/{hook}"), Value::Null).await.status, 204);
    }
    assert!(tried.starts_with(&["raw", "slack", "flowdock", "gitter"]), "{tried:?}");
}

/// A letter as it is read, without what no two have in common: its number, its time, what stands between its parts, its way to
/// stop.
fn plain(text: &str) -> String {
    let head = text.split("\n\n").next().unwrap().replace("\n ", " ").replace("\n\t", " ");
    let value = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {head}")).trim().to_owned()
    };
    let boundary = value("Content-Type:").split("boundary=").nth(1).unwrap().trim_matches('"').to_owned();
    let number = value("Message-ID:").trim_matches(['<', '>']).split('@').next().unwrap().to_owned();
    let date = value("Date:");
    let mut text = text.replace(&boundary, "BOUNDARY").replace(&number, "NUMBER").replace(&date, "DATE");
    while let Some(at) = text.find("/u/") {
        let end = text[at + 3..].find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap();
        text.replace_range(at..at + 3 + end, "/STOP");
    }
    // Header lines are folded where they are long, and they are not equally long.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letters_preview_is_the_letter_that_is_written_in_its_readers_language_but_its_link_stops_nothing()
{
    let acme = Acme::with("[server]\npublic_url = \"https://notifications.example/\"\n").await;
    let me = acme.api.call(&acme.alice, "GET", "/me", Value::Null).await.body["user"].take();
    let me = me.as_str().unwrap();
    acme.api.op("PUT", &format!("/users/{me}"), json!({"lang": "fr"})).await;
    let targets = json!([{"type": "user", "user": me}]);
    let hook = json!({"kind": "email", "name": "Échecs", "targets": targets, "events": ["GIT_PUSH"]});
    let (hook, _) = acme.hook(hook).await;
    let event = acme.happens("GIT_PUSH").await;
    let written = letters(&acme.api, ALICE, 1).await.remove(0);
    assert!(written.contains("List-Unsubscribe: <https://notifications.example/u/"), "{written}");

    let got = acme.preview(json!({"event": event, "hook": hook})).await;
    let letter = &got.body["items"][0]["letter"];
    let eml = letter["eml"].as_str().unwrap();
    assert_eq!(plain(&unquoted(eml)), plain(&written));
    assert_eq!(letter["to"], "alice@example.com");
    assert!(letter["text"].as_str().unwrap().contains("https://notifications.example/u/hidden"), "{letter}");
    assert!(letter["subject"].as_str().unwrap().contains("shöp"), "{letter}");

    let english = acme.preview(json!({"event": event, "hook": hook, "lang": "en"})).await;
    assert_ne!(english.body["items"][0]["letter"]["text"], letter["text"]);

    let tested = acme.test(&hook, json!({"event": event})).await;
    assert_eq!(
        (tested.status, &tested.body["results"][0]["outcome"]),
        (200, &json!("delivered")),
        "{tested:?}"
    );
    let result = &tested.body["results"][0];
    assert!(result["says"].as_str().unwrap().contains("not sent: no relay is set"), "{result}");
    assert!(result["times"]["total"].as_f64().unwrap() > 0.0 && result["reply"].is_null(), "{result}");
    let all = letters(&acme.api, ALICE, 2).await;
    let test = all.iter().find(|letter| letter.contains("<test_")).unwrap();
    assert_eq!(plain(test), plain(&written));
    assert_eq!(plain(&unquoted(result["letter"]["eml"].as_str().unwrap())), plain(&written));
    assert_eq!(acme.deliveries().await, 1, "a test is no delivery");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_has_a_preview_in_every_format_and_as_a_letter() {
    let acme = Acme::start().await;
    let kinds = acme.api.op("GET", "/catalogue", Value::Null).await;
    let names: Vec<_> = kinds.body["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.len() > 20, "{kinds:?}");
    for name in names {
        let letter = acme.preview(json!({"kind": name, "format": "email"})).await;
        let letter = &letter.body["items"][0]["letter"];
        assert!(letter["html"].as_str().unwrap().ends_with("</html>"), "{name}");
        assert!(letter["eml"].as_str().unwrap().contains("\r\nTo: alice@example.com\r\n"), "{letter}");
        for format in ["raw", "slack", "flowdock", "gitter"] {
            let got = acme.preview(json!({"kind": name, "format": format})).await;
            let request = &got.body["items"][0]["request"];
            let body: Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
            assert!(
                body.is_object() && request["url"].as_str().unwrap().contains("receiver.example"),
                "{got:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_goes_the_way_of_attempts_and_shows_what_was_sent_what_came_back_and_how_long_it_took() {
    let acme = Acme::start().await;
    let mut receiver = Hearer::answering(|heard| (503, format!("busy: {}", heard.line))).await;
    let (hook, made) = acme
        .hook(json!({"kind": "webhook", "name": "Told", "urls": [{"format": "raw", "url": format!("{}/in", receiver.url)}]}))
        .await;
    let tested = acme.test(&hook, json!({"kind": "GIT_PUSH"})).await;
    assert_eq!(tested.status, 200, "{tested:?}");
    let result = &tested.body["results"][0];
    let heard = receiver.next().await;
    let id = heard.header("webhook-id").to_owned();
    assert!(id.starts_with("test_dlv_"), "{id}");
    let signed = standardwebhooks::Webhook::new(made["secret"].as_str().unwrap()).unwrap();
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, heard.header(name).parse().unwrap());
    }
    signed.verify(heard.body.as_bytes(), &headers).unwrap();
    assert_eq!(shown(&result["request"]), heard, "to whoever may change a hook nothing of it is a secret");
    assert_eq!((&result["outcome"], &result["status"]), (&json!("again"), &json!(503)));
    assert_eq!(result["reply"]["body"], "busy: POST /in");
    assert!(
        result["reply"]["headers"].as_array().unwrap().contains(&json!(["x-request-id", "r1"])),
        "{result}"
    );
    let times = &result["times"];
    let (connect, total) = (times["connect"].as_f64().unwrap(), times["total"].as_f64().unwrap());
    assert!(connect > 0.0 && total >= connect && times["tls"].is_null(), "{times}");

    // One that is not saved, to two places at once.
    let urls: Vec<_> = ["/a", "/b"]
        .iter()
        .map(|path| json!({"format": "slack", "url": format!("{}{path}", receiver.url)}))
        .collect();
    let asked = json!({"ownerId": acme.id, "hook": {"kind": "webhook", "name": "x", "urls": urls}});
    let tested = acme.api.call(&acme.alice, "POST", "/hooks/test", asked).await;
    assert_eq!(tested.body["results"].as_array().map(Vec::len), Some(2), "{tested:?}");
    let mut lines = [receiver.next().await.line, receiver.next().await.line];
    lines.sort();
    assert_eq!(lines, ["POST /a", "POST /b"]);

    // Nobody is there.
    let gone = Hearer::new().await.url.replace("127.0.0.1", "127.0.0.2");
    let asked = json!({"ownerId": acme.id, "hook": {"kind": "webhook", "name": "x", "urls": [{"format": "raw", "url": gone}]}});
    let tested = acme.api.call(&acme.alice, "POST", "/hooks/test", asked).await;
    let result = &tested.body["results"][0];
    assert!(result["status"].is_null() && result["reply"].is_null(), "{result}");
    assert!(result["says"].as_str().unwrap().contains("127.0.0.2"), "{result}");

    assert_eq!(acme.deliveries().await, 0, "a test is no delivery");
    let view = acme.api.op("GET", &format!("/hooks/{hook}"), Value::Null).await.body;
    assert_eq!((&view["state"], &view["dead"]), (&json!("enabled"), &json!(0)), "nor a failure: {view}");
    let hooks = acme.api.op("GET", &format!("/owners/{}/hooks", acme.id), Value::Null).await;
    let saved =
        hooks.body["items"].as_array().unwrap().iter().filter(|hook| hook["kind"] == "webhook").count();
    assert_eq!(saved, 1, "what was tested is not saved");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_secret_is_in_no_preview_and_in_no_test_wherever_it_comes_back() {
    let acme = Acme::start().await;
    let mut receiver = Hearer::answering(|heard| (400, format!("no such path: {}", heard.line))).await;
    let secret = "T0/B0/verysecretverysecret";
    let hook = acme.webhook("slack", &format!("{}/services/{secret}", receiver.url)).await;
    let tested = acme.test(&hook, Value::Null).await;
    assert!(receiver.next().await.line.contains(secret));
    assert_eq!(tested.body["results"][0]["status"], 400, "{tested:?}");
    let previewed = acme.preview(json!({"hook": hook})).await;
    let raw = acme.webhook("raw", &format!("{}/in", receiver.url)).await;
    let signed = acme.preview(json!({"hook": raw})).await;
    for text in [&tested.text, &previewed.text] {
        assert!(!text.contains("verysecretvery"), "{text}");
        assert!(text.contains('…'), "{text}");
    }
    let seen = shown(&signed.body["items"][0]["request"]);
    assert_eq!(seen.header("webhook-signature"), "v1,…", "whoever may read a hook may not sign for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_are_for_those_who_may_change_the_hook_and_previews_for_those_who_may_read_it() {
    let acme = Acme::start().await;
    let mut receiver = Hearer::new().await;
    let hook = acme.webhook("raw", &format!("{}/in", receiver.url)).await;
    let event = acme.happens("ACCOUNT_CREATION").await;
    let (_, stranger) = acme.api.user("eve@example.com").await;
    let new = json!({"ownerId": acme.id, "hook": {"kind": "webhook", "name": "x", "urls": [{"format": "raw", "url": receiver.url}]}});
    let test = format!("/hooks/{hook}/test");
    for (who, path, asked, status) in [
        (&acme.bob, "/preview", json!({"hook": hook}), 200),
        (&acme.bob, "/preview", json!({"event": event, "format": "raw"}), 200),
        (&acme.bob, test.as_str(), Value::Null, 403),
        (&acme.bob, "/hooks/test", new.clone(), 403),
        (&stranger, "/preview", json!({"hook": hook}), 404),
        (&stranger, "/preview", json!({"event": event, "format": "raw"}), 404),
        (&stranger, "/preview", json!({"kind": "GIT_PUSH", "format": "raw"}), 200),
        (&stranger, test.as_str(), Value::Null, 404),
        (&stranger, "/hooks/test", new, 403),
        (&String::new(), "/preview", json!({"kind": "GIT_PUSH", "format": "raw"}), 401),
    ] {
        let got = acme.api.call(who, "POST", path, asked).await;
        assert_eq!(got.status, status, "{path} {got:?}");
    }
    assert!(receiver.rest().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_tests_are_ten_in_a_minute_and_the_rest_say_when_to_come_again() {
    let acme = Acme::start().await;
    let mut receiver = Hearer::answering(|_| (500, String::new())).await;
    let hook = acme.webhook("raw", &format!("{}/in", receiver.url)).await;
    let mut last = acme.test(&hook, Value::Null).await;
    for _ in 1..10 {
        assert_eq!(last.status, 200, "{last:?}");
        last = acme.test(&hook, Value::Null).await;
    }
    assert_eq!(last.status, 200, "{last:?}");
    let refused = acme.test(&hook, Value::Null).await;
    assert_eq!(refused.problem(), (429, "too-often", ""), "{refused:?}");
    assert!(refused.body["detail"].as_str().unwrap().contains("try again in"), "{refused:?}");
    assert_eq!(receiver.rest().len(), 10);
    let view = acme.api.op("GET", &format!("/hooks/{hook}"), Value::Null).await.body;
    assert_eq!(view["state"], "enabled", "{view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_public_is_not_dialled_by_a_test_either_and_is_named() {
    let acme = Acme::start().await;
    let new = |url: &str| json!({"ownerId": acme.id, "hook": {"kind": "webhook", "name": "x", "urls": [{"format": "raw", "url": url}]}});
    let got = acme.api.call(&acme.alice, "POST", "/hooks/test", new("http://169.254.169.254/latest")).await;
    assert_eq!((got.status, got.problem().2), (400, "hook.urls[0].url"), "{got:?}");
    assert!(got.body["detail"].as_str().unwrap().contains("169.254.169.254"), "{got:?}");
    // One that was saved while it was allowed.
    let mut receiver = Hearer::new().await;
    let hook = acme.webhook("raw", &format!("{}/in", receiver.url)).await;
    let api = acme.api.restart_strict().await;
    let got = api.call(&acme.alice, "POST", &format!("/hooks/{hook}/test"), Value::Null).await;
    let says = got.body["results"][0]["says"].as_str().unwrap_or_else(|| panic!("{got:?}"));
    assert!(says.contains("127.0.0.1 is this machine") || says.contains("127.0.0.1 is "), "{says}");
    assert!(receiver.rest().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_previewed_or_tested_is_refused_with_its_field() {
    let acme = Acme::start().await;
    let mut receiver = Hearer::new().await;
    let url = format!("{}/in", receiver.url);
    let hook = acme.webhook("raw", &url).await;
    let targets = json!([{"type": "organisation"}, {"type": "address", "address": "ext@example.net"}]);
    let (mails, _) = acme.hook(json!({"kind": "email", "name": "M", "targets": targets})).await;
    let event = acme.happens("GIT_PUSH").await;
    receiver.next().await;
    let other = acme.api.organisation("Other").await;
    let foreign = acme.api.op("POST", "/events", json!({"event": "GIT_PUSH", "ownerId": other})).await.id();
    let preview = "/preview";
    let (on_hook, on_mails) = (format!("/hooks/{hook}/test"), format!("/hooks/{mails}/test"));
    let new = |hook: Value| json!({"ownerId": acme.id, "hook": hook});
    let long = "x".repeat(3_000);
    for (path, asked, name, field) in [
        (preview, json!([]), "invalid", ""),
        (preview, json!({"kind": "GIT_PUSH", "format": "raw", "colour": 1}), "invalid", "colour"),
        (preview, json!({"kind": 7, "format": "raw"}), "invalid", "kind"),
        (preview, json!({"format": "raw"}), "invalid", "kind"),
        (preview, json!({"kind": "GIT_PUSH"}), "invalid", "format"),
        (preview, json!({"kind": "GIT_PUSH", "format": "fax"}), "invalid", "format"),
        (preview, json!({"kind": "NONE", "format": "raw"}), "unknown-kind", "kind"),
        (preview, json!({"kind": "GIT_PUSH", "event": event, "format": "raw"}), "invalid", "event"),
        (preview, json!({"event": "evt_x", "format": "raw"}), "invalid", "event"),
        (preview, json!({"kind": "GIT_PUSH", "format": "raw", "lang": "xx"}), "invalid", "lang"),
        (preview, json!({"kind": "GIT_PUSH", "format": "raw", "url": "ftp://x"}), "forbidden-address", "url"),
        (
            preview,
            json!({"kind": "GIT_PUSH", "format": "raw", "url": format!("http://x.example/{long}")}),
            "forbidden-address",
            "url",
        ),
        (preview, json!({"kind": "GIT_PUSH", "format": "raw", "fields": {"a": "b"}}), "invalid", "fields.a"),
        (preview, json!({"kind": "GIT_PUSH", "format": "email", "url": url}), "invalid", "url"),
        (preview, json!({"hook": hook, "format": "raw"}), "invalid", "format"),
        (preview, json!({"hook": "hook_x"}), "invalid", "hook"),
        (preview, json!({"event": foreign, "hook": hook}), "not-found", ""),
        (&on_hook, json!({"to": "alice@example.com"}), "invalid", "to"),
        (&on_hook, json!({"destination": "dst_x"}), "invalid", "destination"),
        (&on_hook, json!({"destination": "dst_0000000000001"}), "invalid", "destination"),
        (&on_hook, json!({"kind": "NONE"}), "unknown-kind", "kind"),
        (&on_mails, json!({"destination": "dst_0000000000001"}), "invalid", "destination"),
        (&on_mails, json!({"to": "nobody"}), "invalid", "to"),
        (&on_mails, json!({"to": "eve@example.com"}), "invalid", "to"),
        ("/hooks/test", json!({"hook": {"kind": "webhook", "name": "x"}}), "invalid", "ownerId"),
        ("/hooks/test", json!({"ownerId": acme.id}), "invalid", "hook"),
        ("/hooks/test", json!({"ownerId": "acme", "hook": {"name": "x"}}), "invalid", "ownerId"),
        ("/hooks/test", new(json!({"name": "x", "urls": []})), "invalid", "hook.kind"),
        ("/hooks/test", new(json!({"kind": "webhook", "name": "x", "urls": []})), "invalid", "hook.urls"),
        (
            "/hooks/test",
            new(json!({"kind": "webhook", "name": "x", "urls": [{"format": "raw", "url": "x"}]})),
            "forbidden-address",
            "hook.urls[0].url",
        ),
        (
            "/hooks/test",
            json!({"ownerId": acme.id, "to": "ext@example.net", "hook": {"kind": "email", "name": "x", "targets": targets}}),
            "invalid",
            "to",
        ),
    ] {
        let got = acme.api.call(&acme.alice, "POST", path, asked.clone()).await;
        let (is, named, about) = got.problem();
        let status = if name == "not-found" { 404 } else { 400 };
        assert_eq!((is, named, about), (status, name, field), "{path} {asked}: {got:?}");
        assert_eq!(got.content_type, "application/problem+json");
    }
    assert!(receiver.rest().is_empty());
    // Whom a hook writes to may be chosen: another member, and an address of a hook that is saved.
    for to in ["bob@example.com", "ext@example.net"] {
        let got = acme.test(&mails, json!({"to": to})).await;
        assert_eq!(got.body["results"][0]["letter"]["to"], to, "{got:?}");
    }
}

/// Runs the program, and gives its exit code, what it printed, and what it remarked.
async fn run(words: &[&str], environment: &[(&str, &str)], dir: &Path) -> (i32, String, String) {
    let mut command = Command::new(BINARY);
    command.args(words).current_dir(dir).env_clear().envs(environment.iter().copied());
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_previews_samples_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let here = async |words: &str| run(&words.split(' ').collect::<Vec<_>>(), &[], dir.path()).await;
    let (code, out, err) = here("preview DEPLOYMENT_FAIL --format slack").await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(
        out.starts_with("POST https://receiver.example/") && out.contains("\nhost: receiver.example\n"),
        "{out}"
    );
    let (_, head) = out.split_once("\n\n").unwrap();
    assert!(serde_json::from_str::<Value>(head).is_ok(), "{out}");
    for format in FORMATS {
        let (code, out, err) =
            here(&format!("preview DEPLOYMENT_FAIL --format {} --json", format.name)).await;
        assert_eq!((code, err.as_str()), (0, ""), "{}: {out}", format.name);
        let value: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["items"][0]["format"], format.name, "{out}");
    }
    let (code, out, _) = here("preview GIT_PUSH --format email --lang fr --json").await;
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &value["items"][0]["format"]), (0, &json!("email")), "{out}");
    let (code, out, err) = here("preview NONE").await;
    assert!(code == 2 && out.is_empty() && err.contains("`NONE` is not a kind"), "{code} {err}");
    let (code, _, err) = here("preview GIT_PUSH --field hunter2").await;
    assert!(code == 2 && !err.contains("hunter2"), "{code} {err}");

    let (code, out, err) = here("mail preview GIT_PUSH CREDITS_WARNING --lang fr --out letters").await;
    assert_eq!((code, err.as_str()), (0, ""));
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path().join("letters")).unwrap().flatten().map(|one| one.file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        ["CREDITS_WARNING.eml", "CREDITS_WARNING.html", "GIT_PUSH.eml", "GIT_PUSH.html"],
        "{out}"
    );
    let html = std::fs::read_to_string(dir.path().join("letters/GIT_PUSH.html")).unwrap();
    assert!(html.contains("lang=\"fr\""), "{html}");
    let (code, out, _) = here("mail preview --all --out all --json").await;
    let value: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && value["written"].as_array().unwrap().len() > 40, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_previews_what_the_server_holds_and_tests_hooks() {
    let acme = Acme::start().await;
    let mut receiver =
        Hearer::answering(|heard| (if heard.line.ends_with("/no") { 400 } else { 204 }, String::new())).await;
    let hook = acme.webhook("raw", &format!("{}/yes", receiver.url)).await;
    let event = acme.happens("GIT_PUSH").await;
    let heard = receiver.next().await;
    let dir = tempfile::tempdir().unwrap();
    let server = format!("http://{}", acme.api.address);
    let environment = [("SONNETTE_URL", server.as_str()), ("SONNETTE_TOKEN", acme.alice.as_str())];
    let ask = async |words: &str| run(&words.split(' ').collect::<Vec<_>>(), &environment, dir.path()).await;
    let (code, out, err) = ask(&format!("preview --event {event} --hook {hook}")).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with(&format!("POST {}/yes\n", receiver.url)), "{out}");
    assert_eq!(out.split_once("\n\n").unwrap().1.trim_end(), heard.body);
    let (code, out, err) = ask(&format!("mail preview --event {event} --out letters")).await;
    assert!(code == 0 && out.contains(&format!("{event}.eml")), "{out} {err}");
    let (code, out, _) = ask(&format!("hooks test {hook} --kind GIT_PUSH")).await;
    assert!(
        code == 0 && out.contains("delivered") && out.contains("status   204") && out.contains("in all"),
        "{out}"
    );
    let (code, out, err) =
        ask(&format!("hooks test --owner {} --url {}/no --json", acme.id, receiver.url)).await;
    let value: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 1 && err.contains("1 of 1 were not taken"), "{code} {err}");
    assert_eq!(value["results"][0]["status"], 400, "{out}");
}
