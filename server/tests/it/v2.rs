//! The Clever Cloud surface as its clients meet it: the shapes they read, the words they print, and who may see and change
//! what. The real server in this process, over a real socket.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha512;
use sonnette::world::SystemClock;
use sonnette_core::ports::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::form_urlencoded::byte_serialize;

use crate::api::{Api, Got};

const NOBODY: &str = "user_99999999-9999-4999-8999-999999999999";
const NOWHERE: &str = "orga_99999999-9999-4999-8999-999999999999";
const NOTHING: &str = "app_99999999-9999-4999-8999-999999999999";

/// A server with an organisation: its people, an application, an add-on, and somebody else's application.
struct Cloud {
    api: Api,
    acme: String,
    admin: (String, String),
    app: String,
    addon: String,
    foreign: String,
}

impl Cloud {
    async fn start(settings: &str) -> Self {
        let api = Api::with(settings).await;
        let (acme, other) = (api.organisation("ACME").await, api.organisation("Other").await);
        let admin = api.user("alice@example.com").await;
        member(&api, &acme, &admin.0, "ADMIN").await;
        let app = resource(&api, &acme, json!({"kind": "application", "name": "web"})).await;
        let real_id = "postgresql_66666666-6666-4666-8666-666666666666";
        let addon = resource(&api, &acme, json!({"kind": "addon", "name": "db", "realId": real_id})).await;
        let foreign = resource(&api, &other, json!({"kind": "application", "name": "theirs"})).await;
        Self { api, acme, admin, app, addon, foreign }
    }

    /// As a person, or nobody.
    async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Got {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let got = self.api.send(token, method, path, &[("content-type", "application/json")], body).await;
        if !got.text.is_empty() {
            assert_eq!(got.content_type, "application/json", "clients compare it whole: {got:?}");
        }
        got
    }

    /// As the organisation's admin.
    async fn admin(&self, method: &str, path: &str, body: Value) -> Got {
        self.ask(&self.admin.1, method, path, body).await
    }

    fn hooks(&self, sort: &str) -> String {
        format!("/v2/notifications/{sort}/{}", self.acme)
    }

    async fn event(&self, kind: &str, owner: &str, data: Value) {
        let got =
            self.api.op("POST", "/events", json!({"event": kind, "ownerId": owner, "data": data})).await;
        assert_eq!(got.status, 202, "{}", got.text);
    }
}

async fn member(api: &Api, organisation: &str, user: &str, role: &str) {
    let path = format!("/organisations/{organisation}/members/{user}");
    let got = api.op("PUT", &path, json!({"role": role})).await;
    assert_eq!(got.status, 200, "{}", got.text);
}

async fn resource(api: &Api, owner: &str, what: Value) -> String {
    api.op("POST", &format!("/owners/{owner}/resources"), what).await.id()
}

/// (status, number, words).
fn error(got: &Got) -> (u16, i64, &str) {
    assert_eq!(got.body["type"], "error", "{got:?}");
    (got.status, got.body["id"].as_i64().unwrap(), got.body["message"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_have_the_platforms_shape_from_first_to_last() {
    let cloud = Cloud::start("").await;
    let (acme, app, addon) = (&cloud.acme, &cloud.app, &cloud.addon);
    let hooks = cloud.hooks("webhooks");
    assert_eq!(cloud.admin("GET", &hooks, Value::Null).await.text, "[]");

    let url = "https://example.com";
    let urls: Vec<_> =
        ["raw", "flowdock", "gitter", "slack"].map(|format| json!({"format": format, "url": url})).into();
    let given = json!({
        "name": "hook name", "urls": urls, "events": ["META_DEPLOYMENT_RESULT", "ACCOUNT_CREATION"], "scope": [app, addon],
    });
    let made = cloud.admin("POST", &hooks, given).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (id, created) = (made.id(), made.body["createdAt"].as_str().unwrap());
    assert!(created.starts_with("20") && created.ends_with("+00:00"), "{created}");
    let place = |format: &str| format!(r#"{{"url":"https://example.com","format":"{format}"}}"#);
    let places = ["raw", "flowdock", "gitter", "slack"].map(place).join(",");
    let expected = format!(
        r#"{{"id":"{id}","ownerId":"{acme}","name":"hook name","urls":[{places}],"events":["META_DEPLOYMENT_RESULT","ACCOUNT_CREATION"],"scope":["{app}","{addon}"],"createdAt":"{created}","failures":[],"state":"ENABLED"}}"#
    );
    assert_eq!(made.text, expected);
    assert_eq!(cloud.admin("GET", &hooks, Value::Null).await.text, format!("[{expected}]"));

    // Unrestricted is said by leaving out, however it was asked for.
    for all in [json!({}), json!({"events": null, "scope": null}), json!({"events": [], "scope": []})] {
        let mut given =
            json!({"name": "all", "urls": [{"format": "raw", "url": "https://example.com/x"}], "colour": 7});
        given.as_object_mut().unwrap().extend(all.as_object().unwrap().clone());
        let got = cloud.admin("PUT", &format!("{hooks}/{id}"), given).await;
        assert_eq!(got.status, 200, "{}", got.text);
        assert!(got.body.get("events").is_none() && got.body.get("scope").is_none(), "{}", got.text);
        assert_eq!((&got.body["name"], &got.body["createdAt"]), (&json!("all"), &made.body["createdAt"]));
        assert_eq!(got.body["urls"], json!([{"format": "raw", "url": "https://example.com/x"}]));
    }
    let elsewhere = format!("{}/{id}", cloud.hooks("emailhooks"));
    assert_eq!(error(&cloud.admin("DELETE", &elsewhere, Value::Null).await).0, 404, "it is no e-mail hook");
    let gone = cloud.admin("DELETE", &format!("{hooks}/{id}"), Value::Null).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    for id in [id.as_str(), "notif_1", "%2e%2e"] {
        for (method, body) in [("DELETE", Value::Null), ("PUT", json!({}))] {
            let got = cloud.admin(method, &format!("{hooks}/{id}"), body).await;
            assert_eq!(error(&got), (404, 20_010, "hook not found"));
        }
    }
    cloud.api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e_mail_targets_come_back_as_they_were_given() {
    let cloud = Cloud::start("").await;
    let hooks = cloud.hooks("emailhooks");
    let mut born = cloud.admin("GET", &hooks, Value::Null).await.body;
    // Both are of the same millisecond.
    born.as_array_mut().unwrap().sort_by_key(|hook| hook["events"].as_array().unwrap().len());
    assert_eq!(born[0]["name"], "Default deployment result e-mails");
    assert_eq!(
        (&born[0]["notified"], &born[0]["events"]),
        (&json!([{"type": "organisation"}]), &json!(["META_DEPLOYMENT_RESULT"]))
    );
    assert!(born[0].get("scope").is_none());
    assert_eq!(born[1]["notified"], json!([{"type": "organisation", "roles": ["ADMIN", "ACCOUNTING"]}]));
    for hook in born.as_array().unwrap() {
        let path = format!("{hooks}/{}", hook["id"].as_str().unwrap());
        let same = cloud.admin("PUT", &path, hook.clone()).await;
        assert_eq!(&same.body, hook, "what is read may be sent back");
        assert_eq!(cloud.admin("DELETE", &path, Value::Null).await.status, 204);
    }
    assert_eq!(cloud.admin("GET", &hooks, Value::Null).await.text, "[]");

    let (alice, _) = &cloud.admin;
    let notified = json!([
        {"type": "email", "target": "test1@example.com,test2@example.com"},
        {"type": "userid"},
        {"type": "userid", "target": alice},
        {"type": "organisation"},
        {"type": "organisation", "roles": ["DEVELOPER"]},
        {"type": "email", "target": "one@example.com"},
    ]);
    let made = cloud
        .admin(
            "POST",
            &hooks,
            json!({"name": "mail hook", "notified": notified, "events": null, "scope": null}),
        )
        .await;
    assert_eq!((made.status, &made.body["notified"]), (201, &notified), "{}", made.text);
    let id = made.id();
    let expected = format!(
        r#"{{"id":"{id}","ownerId":"{}","name":"mail hook","notified":[{{"type":"email","target":"test1@example.com,test2@example.com"}},{{"type":"userid"}},"#,
        cloud.acme
    );
    assert!(made.text.starts_with(&expected), "{}", made.text);
    let ours = cloud.api.op("GET", &format!("/hooks/{id}"), Value::Null).await;
    let address = |address: &str| json!({"type": "address", "address": address});
    assert_eq!(
        ours.body["targets"][0],
        address("test1@example.com"),
        "our own API knows single ones: {}",
        ours.text
    );
    assert_eq!(ours.body["targets"][1], address("test2@example.com"));
    assert_eq!(ours.body["targets"][2], json!({"type": "user", "user": alice}), "whoever made it");

    // Somebody else may send it back, and it still means the one who made it.
    let (bob, token) = cloud.api.user("bob@example.com").await;
    member(&cloud.api, &cloud.acme, &bob, "MANAGER").await;
    let again = cloud.ask(&token, "PUT", &format!("{hooks}/{id}"), made.body.clone()).await;
    assert_eq!(again.body, made.body);
    let ours = cloud.api.op("GET", &format!("/hooks/{id}"), Value::Null).await;
    assert_eq!(ours.body["targets"][2], json!({"type": "user", "user": alice}));

    for whole in [json!({"name": "n"}), json!({"name": "n", "notified": null})] {
        let got = cloud.admin("POST", &hooks, whole).await;
        assert_eq!(got.body["notified"], json!([{"type": "organisation"}]), "nobody said is everybody");
    }
    let nameless = cloud.admin("POST", &hooks, json!({"notified": [{"type": "organisation"}]})).await;
    assert_eq!(nameless.body["name"], "E-mail hook");
    let kept = cloud.admin("PUT", &format!("{hooks}/{id}"), json!({"notified": [{"type": "userid"}]})).await;
    assert_eq!(
        (&kept.body["name"], &kept.body["notified"]),
        (&json!("mail hook"), &json!([{"type": "userid"}]))
    );

    // A personal hook: the organisation is the user.
    let own = format!("/v2/notifications/emailhooks/{alice}");
    let made =
        cloud.admin("POST", &own, json!({"name": "mine", "notified": [{"type": "organisation"}]})).await;
    assert_eq!((made.status, &made.body["ownerId"]), (201, &json!(alice)));
    cloud.api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_never_work_is_refused_in_words_and_nothing_is_stored() {
    let cloud = Cloud::start("").await;
    let web = |change: Value| {
        let mut hook = json!({"name": "n", "urls": [{"format": "raw", "url": "http://127.0.0.1:8999/x"}]});
        hook.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        ("webhooks", hook)
    };
    let place = |format: &str, url: &str| web(json!({"urls": [{"format": format, "url": url}]}));
    let mail = |notified: Value| ("emailhooks", json!({"name": "n", "notified": notified}));
    let count = async |cloud: &Cloud| {
        let mut hooks = 0;
        for sort in ["webhooks", "emailhooks"] {
            hooks += cloud.admin("GET", &cloud.hooks(sort), Value::Null).await.body.as_array().unwrap().len();
        }
        hooks
    };
    let before = count(&cloud).await;
    for ((sort, hook), status, says) in [
        (
            place("bogus", "http://127.0.0.1:8999/"),
            400,
            "urls[0].format: a format is one of raw, slack, flowdock, gitter",
        ),
        (place("raw", "notaurl"), 400, "urls[0].url: "),
        (place("raw", "ftp://example.org/"), 400, "urls[0].url: "),
        (place("slack", "https://hooks.slack.com/services/…abcd"), 400, "urls[0].url: it is masked"),
        (
            place("zulip", "https://acme.zulipchat.com/api/v1/messages"),
            400,
            "Zulip needs the fields `email` (",
        ),
        (place("zulip", "https://acme.zulipchat.com/api/v1/messages"), 400, "), `key` ("),
        (
            place("matrix", "https://matrix.example.org"),
            400,
            "; the console, our own API and `sonnette hooks` take such",
        ),
        (web(json!({"urls": []})), 400, "urls: a webhook has 1 to"),
        (web(json!({"urls": null})), 400, "urls: a webhook has 1 to"),
        (web(json!({"urls": [{"format": "raw"}]})), 400, "urls[0].url: `url` is needed"),
        (web(json!({"urls": "http://127.0.0.1:8999/"})), 400, "urls: invalid type"),
        (web(json!({"name": "x".repeat(300)})), 400, "name: a name has 1 to 200 bytes"),
        (
            web(json!({"events": ["GIT_PUSH", "DEPLOYED"]})),
            400,
            "events[1]: `DEPLOYED` is neither a kind nor a family",
        ),
        (web(json!({"scope": [cloud.foreign]})), 403, "is not an application or add-on of this owner"),
        (web(json!({"scope": [cloud.app, NOTHING]})), 403, "is not an application or add-on of this owner"),
        (web(json!({"scope": ["nonsense"]})), 403, "nonsense is not an application or add-on of this owner"),
        (mail(json!([])), 400, "notified: 1 to 100 targets"),
        (
            mail(json!([{"type": "pigeon"}])),
            400,
            "notified[0].type: a target's type is `email`, `userid` or `organisation`",
        ),
        (mail(json!([{}])), 400, "notified[0].type: "),
        (mail(json!([{"type": "email"}])), 400, "notified[0].target: an e-mail address is needed"),
        (
            mail(json!([{"type": "email", "target": "a@b.example,nobody"}])),
            400,
            "notified[0].target: an e-mail address has one `@`",
        ),
        (mail(json!([{"type": "email", "target": "a@b.example,"}])), 400, "notified[0].target: "),
        (
            mail(json!([{"type": "email", "target": "a@b.example\r\nBcc: x@y.example"}])),
            400,
            "notified[0].target: ",
        ),
        (
            mail(json!([{"type": "organisation"}, {"type": "userid", "target": NOBODY}])),
            400,
            "notified[1].target: ",
        ),
        (mail(json!([{"type": "userid", "target": "user_me"}])), 400, "notified[0].target: "),
        (mail(json!([{"type": "organisation", "roles": ["KING"]}])), 400, "notified[0].roles: a role is"),
        (
            mail(json!([{"type": "organisation", "roles": []}])),
            400,
            "notified[0].roles: `roles` is not empty",
        ),
    ] {
        let got = cloud.admin("POST", &cloud.hooks(sort), hook.clone()).await;
        let (at, id, message) = error(&got);
        assert!(at == status && message.contains(says), "{hook} → {}", got.text);
        assert_eq!(id == 4002, status == 403, "{}", got.text);
    }
    let nested = format!("{{\"name\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    for body in ["", "[]", "null", "{\"name\":", nested.as_str()] {
        let got =
            cloud.api.send(&cloud.admin.1, "POST", &cloud.hooks("webhooks"), &[], body.to_owned()).await;
        assert_eq!(error(&got).0, 400, "{}", got.text);
    }
    let operator = &cloud.api.operator;
    let got = cloud
        .ask(
            operator,
            "POST",
            &cloud.hooks("emailhooks"),
            json!({"name": "n", "notified": [{"type": "userid"}]}),
        )
        .await;
    assert_eq!(error(&got).0, 400, "an operator token is nobody");
    assert_eq!(count(&cloud).await, before);
    let lost = cloud.admin("GET", "/v2/nothing", Value::Null).await;
    assert_eq!(error(&lost), (404, 20_010, "there is nothing at this path"));
    assert_eq!(error(&cloud.admin("PATCH", "/v2/self", Value::Null).await).0, 405);
    cloud.api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_keeps_what_this_surface_cannot_say() {
    let cloud = Cloud::start("").await;
    let urls = json!([{"url": "http://127.0.0.1:8999/a"}, {"format": "slack", "url": "http://127.0.0.1:8999/services/T0/B0/verysecretpart"}]);
    let given =
        json!({"kind": "webhook", "name": "n", "urls": urls, "schedule": [5, 60], "scope": [cloud.app]});
    let made = cloud.api.op("POST", &format!("/owners/{}/hooks", cloud.acme), given).await;
    let id = made.id();
    cloud.api.op("POST", &format!("/hooks/{id}/pause"), Value::Null).await;
    let path = format!("{}/{id}", cloud.hooks("webhooks"));

    // Its application is deleted, and stays on the hook: deletion never widens one.
    let gone =
        cloud.api.op("DELETE", &format!("/owners/{}/resources/{}", cloud.acme, cloud.app), Value::Null).await;
    assert_eq!(gone.status, 204);
    let mut shown = cloud.admin("GET", &cloud.hooks("webhooks"), Value::Null).await.body[0].clone();
    assert_eq!((&shown["state"], &shown["scope"]), (&json!("DISABLED"), &json!([cloud.app])), "{shown}");
    shown["name"] = json!("renamed");
    shown["urls"].as_array_mut().unwrap().reverse();
    let put = cloud.admin("PUT", &path, shown.clone()).await;
    assert_eq!((put.status, &put.body), (200, &shown), "{}", put.text);
    let ours = cloud.api.op("GET", &format!("/hooks/{id}"), Value::Null).await.body;
    assert_eq!(
        (&ours["schedule"], &ours["state"], &ours["name"]),
        (&json!([5, 60]), &json!("paused"), &json!("renamed"))
    );
    let ids = |hook: &Value| -> Vec<String> {
        hook["urls"].as_array().unwrap().iter().map(|url| url["id"].as_str().unwrap().to_owned()).collect()
    };
    let (mut then, now) = (ids(&made.body), ids(&ours));
    then.reverse();
    assert_eq!(now, then, "destinations are known by what they are");
    cloud.api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_kept_for_one_host_is_never_sent_to_another() {
    let cloud = Cloud::start("").await;
    let (here, there) = ("http://127.0.0.1:8999/api/v1/messages", "http://127.0.0.1:8998/api/v1/messages");
    let key = "k".repeat(32);
    let fields = |key: &str| json!({"email": "bot@example.com", "key": key, "channel": "ops"});
    let hook = |url: &str, fields: Value| json!({"kind": "webhook", "name": "n", "urls": [{"format": "zulip", "url": url, "fields": fields}]});
    let made = cloud.api.op("POST", &format!("/owners/{}/hooks", cloud.acme), hook(here, fields(&key))).await;
    let ours = format!("/hooks/{}", made.id());
    let dst = made.body["urls"][0]["id"].clone();
    let theirs = format!("{}/{}", cloud.hooks("webhooks"), made.id());
    let moved = |url: &str| json!({"name": "n", "urls": [{"format": "zulip", "url": url}]});

    let got = cloud.admin("PUT", &theirs, moved(there)).await;
    let (status, _, words) = error(&got);
    assert!(status == 400 && words.contains("urls[0].fields.key: ") && words.contains("`key`"), "{words}");
    let mut named = moved(there);
    named["urls"][0]["id"] = dst;
    for body in [hook(there, fields("…")), moved(there), named] {
        let got = cloud.api.op("PUT", &ours, body).await;
        assert_eq!(got.problem(), (400, "invalid", "urls[0].fields.key"), "{}", got.text);
    }
    let now = cloud.api.op("GET", &ours, Value::Null).await.body;
    assert_eq!(now["urls"], made.body["urls"], "nothing is stored");

    // Elsewhere on the same host it stays, and given again it goes along.
    let path = "http://127.0.0.1:8999/api/v1/messages?a=b";
    assert_eq!(cloud.admin("PUT", &theirs, moved(path)).await.body["urls"][0]["url"], path);
    let got = cloud.api.op("PUT", &ours, hook(there, fields(&"n".repeat(32)))).await;
    assert_eq!((got.status, &got.body["urls"][0]["url"]), (200, &json!(there)), "{}", got.text);
    cloud.api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_are_whole_for_those_who_may_change_them_and_masked_for_others() {
    let cloud = Cloud::start("").await;
    let (bob, token) = cloud.api.user("bob@example.com").await;
    member(&cloud.api, &cloud.acme, &bob, "DEVELOPER").await;
    let url = "http://127.0.0.1:8999/services/T0/B0/verysecretpart";
    let hooks = cloud.hooks("webhooks");
    let given = json!({"name": "n", "urls": [{"format": "slack", "url": url}, {"format": "raw", "url": "http://127.0.0.1:8999/open"}]});
    let made = cloud.admin("POST", &hooks, given).await;
    assert_eq!(made.body["urls"][0]["url"], url);
    assert_eq!(cloud.admin("GET", &hooks, Value::Null).await.body[0]["urls"][0]["url"], url);
    assert_eq!(
        cloud.ask(&cloud.api.operator, "GET", &hooks, Value::Null).await.body[0]["urls"][0]["url"],
        url
    );
    let seen = cloud.ask(&token, "GET", &hooks, Value::Null).await;
    assert!(
        !seen.text.contains("verysecret") && seen.text.contains("http://127.0.0.1:8999/services/…part"),
        "{}",
        seen.text
    );
    assert_eq!(seen.body[0]["urls"][1]["url"], "http://127.0.0.1:8999/open");
    let back = cloud.admin("PUT", &format!("{hooks}/{}", made.id()), seen.body[0].clone()).await;
    assert!(error(&back).2.contains("masked"), "{}", back.text);
    assert_eq!(cloud.admin("GET", &hooks, Value::Null).await.body[0]["urls"][0]["url"], url);
    cloud.api.running.stop().await;
}

/// Answers every request with 502 and some words.
async fn bad_gateway() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/cb", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _read = stream.read(&mut head).await.unwrap();
            let reply =
                "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 11\r\nconnection: close\r\n\r\nBad gateway";
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_the_attempts_that_really_failed() {
    let cloud = Cloud::start("").await;
    let (bad, closed) = (bad_gateway().await, {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/services/T0/B0/verysecretpart", listener.local_addr().unwrap())
    });
    let hooks = cloud.hooks("webhooks");
    let urls = json!([{"format": "raw", "url": bad}, {"format": "slack", "url": closed}]);
    cloud.admin("POST", &hooks, json!({"name": "n", "urls": urls, "events": ["GIT_PUSH"]})).await;
    cloud.event("GIT_PUSH", &cloud.acme, json!({})).await;
    let both = async {
        loop {
            let seen = cloud.admin("GET", &hooks, Value::Null).await;
            if seen.body[0]["failures"].as_array().unwrap().len() >= 2 {
                return seen;
            }
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
    let failures = seen.body[0]["failures"].as_array().unwrap();
    let of =
        |url: &str| failures.iter().find(|one| one["url"] == url).unwrap_or_else(|| panic!("{}", seen.text));
    let (replied, refused) = (of(&bad), of(&closed));
    assert_eq!((&replied["status"], &replied["partialBody"]), (&json!(502), &json!("Bad gateway")));
    assert!(
        replied.get("networkFailure").is_none() && replied["createdAt"].as_str().unwrap().ends_with("+00:00")
    );
    assert!(
        refused["networkFailure"].as_str().is_some_and(|why| !why.is_empty() && !why.contains("secret")),
        "{refused}"
    );
    assert!(refused.get("status").is_none() && refused.get("partialBody").is_none());

    let (bob, token) = cloud.api.user("bob@example.com").await;
    member(&cloud.api, &cloud.acme, &bob, "ACCOUNTING").await;
    let masked = cloud.ask(&token, "GET", &hooks, Value::Null).await;
    assert!(!masked.text.contains("verysecret") && masked.text.contains("…part"), "{}", masked.text);
    cloud.api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_to_choose_from_is_listed() {
    let cloud = Cloud::start("").await;
    let info = cloud.admin("GET", "/v2/notifications/info/events", Value::Null).await.body;
    let names: Vec<_> =
        info["events"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for name in [
        "ACCOUNT_CREATION",
        "ORGANISATION_USER_ADDITION",
        "CREDITS_ADDED",
        "META_CREDITS",
        "META_SERVICE_LIFECYCLE",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    let family =
        info["meta_events"].as_array().unwrap().iter().find(|one| one["key"] == "META_DEPLOYMENT_RESULT");
    assert_eq!(family.unwrap()["events"], json!(["DEPLOYMENT_FAIL", "DEPLOYMENT_SUCCESS"]));
    let formats = cloud.admin("GET", "/v2/notifications/info/webhookformats", Value::Null).await.body;
    assert_eq!(formats.as_array().unwrap()[..4], ["raw", "slack", "flowdock", "gitter"].map(Value::from));
    cloud.api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_one_is_and_what_one_belongs_to_is_told_in_the_platforms_shapes() {
    let cloud = Cloud::start("").await;
    let (alice, _) = &cloud.admin;
    let own = resource(&cloud.api, alice, json!({"kind": "application", "name": "mine"})).await;
    let me = cloud.admin("GET", "/v2/self", Value::Null).await.body;
    assert_eq!(
        (&me["id"], &me["email"], &me["preferredMFA"]),
        (&json!(alice), &json!("alice@example.com"), &json!("NONE"))
    );
    for text in ["name", "phone", "address", "city", "zipcode", "country", "avatar", "lang"] {
        assert!(me[text].is_string(), "{text} of {me}");
    }
    for flag in ["emailValidated", "admin", "canPay", "hasPassword"] {
        assert!(me[flag].is_boolean(), "{flag} of {me}");
    }
    assert!(me["creationDate"].is_u64() && me["oauthApps"].is_array());
    assert_eq!(cloud.admin("GET", "/v2/self/id", Value::Null).await.text, format!("\"{alice}\""));
    assert_eq!(
        cloud.admin("GET", "//v2/self/id", Value::Null).await.text,
        format!("\"{alice}\""),
        "API_HOST with a slash"
    );
    let token = cloud.admin("GET", "/v2/self/tokens/current", Value::Null).await.body;
    assert!(token["expirationDate"].as_i64().unwrap() > 4_000_000_000_000);

    let summary = cloud.admin("GET", "/v2/summary", Value::Null).await.body;
    assert_eq!(
        (&summary["user"]["id"], &summary["user"]["applications"][0]["id"]),
        (&json!(alice), &json!(own))
    );
    let acme = &summary["organisations"][0];
    assert_eq!(
        (&acme["id"], &acme["name"], &acme["role"]),
        (&json!(cloud.acme), &json!("ACME"), &json!("ADMIN"))
    );
    assert_eq!(
        (&acme["applications"][0]["id"], &acme["applications"][0]["name"]),
        (&json!(cloud.app), &json!("web"))
    );
    let addon = &acme["addons"][0];
    assert_eq!((&addon["id"], &addon["providerId"]), (&json!(cloud.addon), &json!("postgresql-addon")));
    assert_eq!(addon["realId"], "postgresql_66666666-6666-4666-8666-666666666666");
    assert!(acme["consumers"].is_array() && summary["user"]["consumers"].is_array());
    assert_eq!(summary["organisations"].as_array().unwrap().len(), 1, "theirs only");

    for (path, owner) in [
        (format!("/v2/self/applications/{own}"), alice),
        (format!("/v2/self/applications/{}", cloud.app), &cloud.acme),
        (format!("/v2/organisations/{}/applications/{}", cloud.acme, cloud.app), &cloud.acme),
        (format!("/v2/organisations/{alice}/applications/{own}"), alice),
    ] {
        let app = cloud.admin("GET", &path, Value::Null).await.body;
        assert_eq!(&app["ownerId"], owner, "{path}");
        assert!(
            app["deployment"]["url"].is_string()
                && app["deployment"]["httpUrl"].is_string()
                && app["name"].is_string()
        );
    }
    for path in [
        format!("/v2/self/applications/{}", cloud.foreign),
        format!("/v2/self/applications/{}", cloud.addon),
        format!("/v2/self/applications/{NOTHING}"),
        format!("/v2/organisations/{}/applications/{own}", cloud.acme),
    ] {
        assert_eq!(
            error(&cloud.admin("GET", &path, Value::Null).await),
            (404, 20_010, "application not found")
        );
    }
    let organisation =
        cloud.admin("GET", &format!("/v2/organisations/{}", cloud.acme), Value::Null).await.body;
    assert_eq!((&organisation["id"], &organisation["name"]), (&json!(cloud.acme), &json!("ACME")));
    let members =
        cloud.admin("GET", &format!("/v2/organisations/{}/members", cloud.acme), Value::Null).await.body;
    let shown = json!([{
        "member": {"id": alice, "email": "alice@example.com", "name": "alice@example.com", "avatar": null, "preferredMFA": "NONE"},
        "role": "ADMIN", "job": null,
    }]);
    assert_eq!(members, shown);
    assert_eq!(
        cloud.admin("GET", &format!("/v2/organisations/{alice}/members"), Value::Null).await.body,
        shown
    );
    let operator = cloud.ask(&cloud.api.operator, "GET", "/v2/self", Value::Null).await;
    assert_eq!(error(&operator).0, 403, "an operator token is nobody, but it is right");
    cloud.api.running.stop().await;
}

/// An `Authorization` that signs a GET of this URL, which has no query, with HMAC-SHA512.
pub fn signed(url: &str, pair: &str, nonce: &str) -> String {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let (token, secret) = pair.split_once('.').unwrap();
    // A little ahead, as of a second in which no server of ours has started.
    let seconds = SystemClock.now() / 1_000 + 2;
    let parameters = [
        ("oauth_consumer_key", "T5nFjKeHH4AIlEveuGhB5S3xg8T19e"),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA512"),
        ("oauth_timestamp", &seconds.to_string()),
        ("oauth_token", token),
    ];
    let pairs = parameters.map(|(name, value)| format!("{name}={}", encoded(value))).join("&");
    let base = format!("GET&{}&{}", encoded(url), encoded(&pairs));
    let key = format!("MgVMqTr6fWlf2M0tkC2MXOnhfqBWDT&{secret}");
    let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(base.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    format!("OAuth {}, oauth_signature=\"{}\"", pairs.replace('&', ", "), encoded(&signature))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_for_the_url_the_client_called_as_a_trusted_proxy_tells_it() {
    let forwarded = |host: &'static str| [("x-forwarded-proto", "https"), ("x-forwarded-host", host)];
    for (settings, trusted) in [("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n", true), ("", false)] {
        let api = Api::with(settings).await;
        let (alice, pair) = api.user("alice@example.com").await;
        let ask = async |authorization: &str, forwarded: &[(&str, &str)]| {
            let headers: Vec<_> =
                forwarded.iter().copied().chain([("authorization", authorization)]).collect();
            api.send("", "GET", "/v2/self/id", &headers, "").await
        };
        let outside = signed("https://api.example.org/v2/self/id", &pair, "n");
        assert_eq!(ask(&outside, &[]).await.status, 401, "nobody says so");
        assert_eq!(ask(&outside, &forwarded("api.example.net")).await.status, 401, "another address");
        let got = ask(&outside, &forwarded("api.example.org, inner")).await;
        assert_eq!(got.status, if trusted { 200 } else { 401 }, "{}", got.text);
        if trusted {
            assert_eq!(got.body, alice);
            assert_eq!(ask(&outside, &forwarded("api.example.org")).await.status, 401, "a replay");
        }
        let inside = signed(&format!("http://{}/v2/self/id", api.address), &pair, "m");
        assert_eq!(ask(&inside, &[]).await.status, 200, "without a proxy");
        api.running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_are_read_off_the_events_newest_first() {
    let cloud = Cloud::start("").await;
    let path = format!("/v2/organisations/{}/applications/{}/deployments", cloud.acme, cloud.app);
    assert_eq!(cloud.admin("GET", &path, Value::Null).await.text, "[]");
    let other = resource(&cloud.api, &cloud.acme, json!({"kind": "application", "name": "other"})).await;
    for n in 0..12 {
        let data = |state: &str| {
            json!({
                "id": cloud.app, "uuid": format!("deployment_{n}"), "state": state, "action": "DEPLOY", "commit": "c0ffee", "cause": "Git",
            })
        };
        cloud.event("DEPLOYMENT_ACTION_BEGIN", &cloud.acme, data("WIP")).await;
        cloud
            .event("DEPLOYMENT_ACTION_BEGIN", &cloud.acme, json!({"id": other, "uuid": "deployment_other"}))
            .await;
        if n < 11 {
            cloud
                .event("DEPLOYMENT_ACTION_END", &cloud.acme, data(if n == 10 { "FAIL" } else { "OK" }))
                .await;
        }
    }
    let all = cloud.admin("GET", &path, Value::Null).await.body;
    let rows = all.as_array().unwrap();
    let uuids = |rows: &[Value]| -> Vec<_> {
        rows.iter().map(|row| row["uuid"].as_str().unwrap().to_owned()).collect()
    };
    let expected: Vec<_> = (0..12).rev().map(|n| format!("deployment_{n}")).collect();
    assert_eq!(uuids(rows), expected, "all, where no limit is given");
    let states: Vec<_> = rows.iter().take(3).map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["WIP", "FAIL", "OK"]);
    assert_eq!(
        (&rows[0]["action"], &rows[0]["commit"], &rows[0]["cause"]),
        (&json!("DEPLOY"), &json!("c0ffee"), &json!("Git"))
    );
    assert!(rows[0]["date"].is_i64());
    for (asked, part) in [
        ("limit=2&offset=0", 0..2),
        ("limit=2&offset=3", 3..5),
        ("offset=10", 10..12),
        ("limit=10&offset=18446744073709551615", 12..12),
        ("limit=0", 0..1),
    ] {
        let got = cloud.admin("GET", &format!("{path}?{asked}"), Value::Null).await.body;
        assert_eq!(uuids(got.as_array().unwrap()), expected[part], "{asked}");
    }
    assert_eq!(error(&cloud.admin("GET", &format!("{path}?limit=x"), Value::Null).await).0, 400);
    cloud.api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_are_found_behind_thousands_of_other_events() {
    let cloud = Cloud::start("").await;
    let data = json!({"id": cloud.app, "uuid": "deployment_old", "state": "WIP"});
    cloud.event("DEPLOYMENT_ACTION_BEGIN", &cloud.acme, data).await;
    let push = json!({"event": "GIT_PUSH", "ownerId": cloud.acme, "data": {"appId": cloud.app}});
    let batch = format!("{push}\n").repeat(500);
    for _ in 0..5 {
        let kind = [("content-type", "application/x-ndjson")];
        let got = cloud.api.send(&cloud.api.operator, "POST", "/api/v1/events", &kind, batch.clone()).await;
        assert!(got.status < 300, "{}", got.text);
    }
    let path = format!("/v2/organisations/{}/applications/{}/deployments?limit=10", cloud.acme, cloud.app);
    let rows = cloud.admin("GET", &path, Value::Null).await.body;
    assert_eq!(rows[0]["uuid"], "deployment_old", "{rows}");
    cloud.api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_created_only_where_that_is_switched_on() {
    let off = Cloud::start("").await;
    let applications = format!("/v2/organisations/{}/applications", off.acme);
    let got = off.admin("POST", &applications, json!({"name": "x"})).await;
    assert!(error(&got).0 == 403 && error(&got).2.contains("clever_cloud.applications"), "{}", got.text);
    let got = off.admin("DELETE", &format!("{applications}/{}", off.app), Value::Null).await;
    assert_eq!(error(&got).0, 403);
    assert_eq!(error(&off.admin("GET", "/v2/products/instances", Value::Null).await).0, 403);
    off.api.running.stop().await;

    let on = Cloud::start("[clever_cloud]\napplications = true\n").await;
    let applications = format!("/v2/organisations/{}/applications", on.acme);
    assert_eq!(
        on.admin("GET", "/v2/products/instances", Value::Null).await.body[0]["variant"]["slug"],
        "node"
    );
    let made = on
        .admin("POST", &applications, json!({"name": "made here", "instanceType": "node", "zone": "par"}))
        .await;
    assert_eq!(
        (made.status, &made.body["name"], &made.body["ownerId"]),
        (201, &json!("made here"), &json!(on.acme))
    );
    let path = format!("{applications}/{}", made.id());
    assert_eq!(on.admin("GET", &path, Value::Null).await.body, made.body);
    let hook =
        json!({"name": "n", "urls": [{"format": "raw", "url": "https://example.com"}], "scope": [made.id()]});
    assert_eq!(on.admin("POST", &on.hooks("webhooks"), hook).await.status, 201);
    assert_eq!(on.admin("DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(error(&on.admin("DELETE", &path, Value::Null).await).0, 404);
    assert_eq!(error(&on.admin("POST", &applications, json!({"name": ""})).await).0, 400);
    on.api.running.stop().await;
}

/// Every endpoint that names an owner: what it takes, and what it answers when it may be done.
fn endpoints(
    cloud: &Cloud,
    owner: &str,
    hooks: (&str, &str),
) -> Vec<(&'static str, String, Value, bool, u16)> {
    let (webhook, email) = hooks;
    let (web, mail) =
        (format!("/v2/notifications/webhooks/{owner}"), format!("/v2/notifications/emailhooks/{owner}"));
    let given = json!({"name": "n", "urls": [{"format": "raw", "url": "http://127.0.0.1:8999/x"}]});
    let letters = json!({"name": "n", "notified": [{"type": "organisation"}]});
    let organisation = format!("/v2/organisations/{owner}");
    let app = format!("{organisation}/applications/{}", cloud.app);
    vec![
        ("GET", web.clone(), Value::Null, false, 200),
        ("GET", mail.clone(), Value::Null, false, 200),
        ("GET", organisation.clone(), Value::Null, false, 200),
        ("GET", format!("{organisation}/members"), Value::Null, false, 200),
        ("GET", app.clone(), Value::Null, false, 200),
        ("GET", format!("{app}/deployments?limit=10"), Value::Null, false, 200),
        ("POST", web.clone(), given.clone(), true, 201),
        ("PUT", format!("{web}/{webhook}"), given, true, 200),
        ("POST", mail.clone(), letters.clone(), true, 201),
        ("PUT", format!("{mail}/{email}"), letters, true, 200),
        ("POST", format!("{organisation}/applications"), json!({"name": "x"}), true, 201),
        ("DELETE", format!("{web}/{webhook}"), Value::Null, true, 204),
        ("DELETE", format!("{mail}/{email}"), Value::Null, true, 204),
        ("DELETE", app, Value::Null, true, 200),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_see_and_change_what_is_one_table() {
    for role in ["ADMIN", "MANAGER", "DEVELOPER", "ACCOUNTING", "stranger", "operator", "nobody"] {
        let cloud = Cloud::start("[clever_cloud]\napplications = true\n").await;
        let token = match role {
            "operator" => cloud.api.operator.clone(),
            "nobody" => "wrong.credentials".to_owned(),
            _ => {
                let (user, token) = cloud.api.user("bob@example.com").await;
                if role != "stranger" {
                    member(&cloud.api, &cloud.acme, &user, role).await;
                }
                token
            }
        };
        let sees = !matches!(role, "stranger" | "nobody");
        let changes = matches!(role, "ADMIN" | "MANAGER" | "operator");
        let hook = |given: Value, sort: &'static str| {
            let (cloud, path) = (&cloud, cloud.hooks(sort));
            async move { cloud.admin("POST", &path, given).await.id() }
        };
        let webhook = hook(
            json!({"name": "n", "urls": [{"format": "raw", "url": "http://127.0.0.1:8999/x"}]}),
            "webhooks",
        )
        .await;
        let email = hook(json!({"name": "n"}), "emailhooks").await;
        for (method, path, body, change, done) in endpoints(&cloud, &cloud.acme, (&webhook, &email)) {
            let got = cloud.ask(&token, method, &path, body).await;
            let may = if change { changes } else { sees };
            let expected = if role == "nobody" {
                401
            } else if may {
                done
            } else {
                403
            };
            assert_eq!(got.status, expected, "{role} {method} {path}: {}", got.text);
            if expected == 401 {
                assert_eq!(error(&got).1, 2001);
            }
        }
        // Whoever asks: an owner that is not there, or no id of one, is no other than a foreign one.
        for owner in [NOWHERE, NOBODY, "self", "orga_x"] {
            for (method, path, body, _, _) in endpoints(&cloud, owner, (&webhook, &email)) {
                let got = cloud.ask(&token, method, &path, body).await;
                let expected = if role == "nobody" { 401 } else { 403 };
                assert_eq!(error(&got).0, expected, "{role} {method} {path}: {}", got.text);
            }
        }
        // One's own space is one's own, and nobody else's but an operator's.
        let (alice, _) = &cloud.admin;
        for sort in ["webhooks", "emailhooks"] {
            let path = format!("/v2/notifications/{sort}/{alice}");
            let expected = match role {
                "operator" => 200,
                "nobody" => 401,
                _ => 403,
            };
            assert_eq!(cloud.ask(&token, "GET", &path, Value::Null).await.status, expected, "{role} {path}");
            assert_eq!(cloud.admin("GET", &path, Value::Null).await.status, 200);
        }
        // A hook is found under its own owner only.
        let made = json!({"name": "n", "urls": [{"format": "raw", "url": "http://127.0.0.1:8999/x"}]});
        let foreign = cloud.admin("POST", &cloud.hooks("webhooks"), made).await.id();
        let elsewhere = format!("/v2/notifications/webhooks/{alice}/{foreign}");
        assert_eq!(
            error(&cloud.admin("DELETE", &elsewhere, Value::Null).await),
            (404, 20_010, "hook not found")
        );
        for path in [
            "/v2/self",
            "/v2/self/id",
            "/v2/summary",
            "/v2/self/tokens/current",
            "/v2/notifications/info/events",
            "/v2/notifications/info/webhookformats",
        ] {
            for wrong in ["", "nonsense", "a.b"] {
                assert_eq!(error(&cloud.ask(wrong, "GET", path, Value::Null).await).1, 2001, "{path}");
            }
        }
        cloud.api.running.stop().await;
    }
}
