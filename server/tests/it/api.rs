//! The API as its callers meet it: what is accepted, what is refused with which words, and who may do what. The real server
//! in this process, over a real socket.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sonnette::app::{self, Running, TOKEN_FILE};
use sonnette::config::{self, Sources};
use tempfile::TempDir;

/// The real server, with a client of its own.
pub struct Api {
    http: Client<HttpConnector, Full<Bytes>>,
    pub address: SocketAddr,
    pub operator: String,
    pub running: Running,
    _dir: TempDir,
}

/// What came back.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub content_type: String,
    pub body: Value,
    pub text: String,
}

impl Got {
    /// (status, name of the problem, field).
    pub fn problem(&self) -> (u16, &str, &str) {
        let name = self.body["type"].as_str().unwrap_or_default();
        let name = name.strip_prefix("urn:sonnette:problem:").unwrap_or(name);
        (self.status, name, self.body["field"].as_str().unwrap_or_default())
    }

    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {self:?}")).to_owned()
    }
}

impl Api {
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// With these settings.
    pub async fn with(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sonnette.toml"), settings).unwrap();
        Self::open(dir, true).await
    }

    /// With these settings, and as in earnest: without `--dev`.
    pub async fn strict(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sonnette.toml"), settings).unwrap();
        Self::open(dir, false).await
    }

    /// A file of the data directory.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self._dir.path().join(name)
    }

    /// Stops, and starts anew on the same data.
    pub async fn restart(self) -> Self {
        self.running.stop().await;
        Self::open(self._dir, true).await
    }

    /// The same, without what is allowed for developers.
    pub async fn restart_strict(self) -> Self {
        self.running.stop().await;
        Self::open(self._dir, false).await
    }

    /// Where letters are written that are not sent.
    pub fn mail(&self) -> std::path::PathBuf {
        self._dir.path().join("mail").join("new")
    }

    async fn open(dir: TempDir, dev: bool) -> Self {
        let sources = Sources {
            data: Some(dir.path().to_owned()),
            listen: Some("127.0.0.1:0".parse().unwrap()),
            dev,
            file: Some(dir.path().join("sonnette.toml")),
        };
        let running = app::start(config::read(&sources).unwrap()).await.unwrap();
        let operator = std::fs::read_to_string(dir.path().join(TOKEN_FILE)).unwrap().trim().to_owned();
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self { http, address: running.address, operator, running, _dir: dir }
    }

    pub async fn send(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Got {
        let mut request =
            http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.http.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let content_type =
            response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Got { status, content_type: content_type.unwrap_or_default(), body, text }
    }

    pub async fn call(&self, token: &str, method: &str, path: &str, body: Value) -> Got {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(token, method, &format!("/api/v1{path}"), &[("content-type", "application/json")], body)
            .await
    }

    pub async fn op(&self, method: &str, path: &str, body: Value) -> Got {
        self.call(&self.operator, method, path, body).await
    }

    async fn events(&self, content_type: &str, body: impl Into<Bytes>) -> Got {
        self.send(&self.operator, "POST", "/api/v1/events", &[("content-type", content_type)], body).await
    }

    pub async fn organisation(&self, name: &str) -> String {
        self.op("POST", "/organisations", json!({"name": name})).await.id()
    }

    pub async fn user(&self, email: &str) -> (String, String) {
        let user = self.op("POST", "/users", json!({"email": email, "name": email})).await.id();
        let pair = self.op("POST", "/tokens", json!({"name": "test", "user": user})).await.body;
        (user, format!("{}.{}", pair["token"].as_str().unwrap(), pair["secret"].as_str().unwrap()))
    }

    async fn count(&self, owner: &str) -> usize {
        let list = self.op("GET", &format!("/owners/{owner}/events?limit=200"), Value::Null).await;
        list.body["items"].as_array().unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_event_is_refused_with_its_field_and_nothing_is_stored() {
    let api = Api::start().await;
    let (acme, other) = (api.organisation("Acme").await, api.organisation("Other").await);
    let foreign = api
        .op("POST", &format!("/owners/{other}/resources"), json!({"kind": "application", "name": "x"}))
        .await
        .id();
    let nobody = "orga_99999999-9999-4999-8999-999999999999";
    let event = |change: Value| {
        let mut event = json!({"event": "GIT_PUSH", "ownerId": acme});
        event.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        event.to_string()
    };
    let deep = format!(
        "{{\"event\":\"GIT_PUSH\",\"ownerId\":\"{acme}\",\"data\":{{\"a\":{}{}}}}}",
        "[".repeat(80),
        "]".repeat(80)
    );
    let large = event(json!({"data": {"a": "x".repeat(300 << 10)}}));
    for (body, expected) in [
        (event(json!({"event": "DEPLOYED"})), (400, "unknown-kind", "event")),
        (event(json!({"event": "META_CREDITS"})), (400, "unknown-kind", "event")),
        (event(json!({"ownerId": nobody})), (400, "unknown-owner", "ownerId")),
        (event(json!({"ownerId": "acme"})), (400, "invalid", "ownerId")),
        (event(json!({"kind": "x"})), (400, "unknown-field", "kind")),
        (event(json!({"date": 1e300})), (400, "invalid", "date")),
        (event(json!({"data": [1]})), (400, "invalid", "data")),
        (event(json!({"data": "no json"})), (400, "invalid", "data")),
        (event(json!({"data": {"appId": "nonsense"}})), (400, "invalid", "data.appId")),
        (event(json!({"data": {"appId": foreign}})), (400, "foreign-resource", "data.appId")),
        (event(json!({"data": {"id": foreign}})), (400, "foreign-resource", "data.id")),
        ("{\"event\":".to_owned(), (400, "malformed", "")),
        (String::new(), (400, "malformed", "")),
        ("[]".to_owned(), (400, "malformed", "")),
        ("[{}, nonsense]".to_owned(), (400, "malformed", "")),
        (deep, (400, "malformed", "")),
        (large, (413, "too-large", "")),
    ] {
        let got = api.events("application/json", body.clone()).await;
        assert_eq!(got.problem(), expected, "{} → {}", &body[..body.len().min(200)], got.text);
    }
    let got = api.events("application/json", b"{\"event\":\"GIT_PUSH\xff\"}".to_vec()).await;
    assert_eq!(got.problem(), (400, "malformed", ""), "invalid UTF-8");
    assert_eq!(api.events("text/xml", "<a/>").await.problem(), (415, "unsupported-type", ""));
    let huge = api.events("application/x-ndjson", vec![b' '; 17 << 20]).await;
    assert_eq!(huge.problem(), (413, "too-large", ""));
    assert_eq!(api.count(&acme).await, 0);
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_recognised_by_its_pair_and_other_content_is_a_conflict() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let event =
        json!({"event": "GIT_PUSH", "ownerId": acme, "source": "git", "id": "1", "data": {"commit": "a"}});
    let first = api.events("application/json", event.to_string()).await;
    assert_eq!(first.status, 202, "{}", first.text);
    let again = api.events("application/json", event.to_string()).await;
    assert_eq!((again.status, again.id()), (200, first.id()));
    let mut other = event.clone();
    other["data"]["commit"] = "b".into();
    assert_eq!(api.events("application/json", other.to_string()).await.problem(), (409, "conflict", "id"));
    let mut elsewhere = other.clone();
    elsewhere["source"] = "another".into();
    assert_eq!(api.events("application/json", elsewhere.to_string()).await.status, 202);
    assert_eq!(api.count(&acme).await, 2);
    // An empty source is what it is when it is left out.
    let mut sourceless = event.clone();
    sourceless["source"] = "".into();
    let first = api.events("application/json", sourceless.to_string()).await;
    assert_eq!(first.status, 202, "{}", first.text);
    sourceless.as_object_mut().unwrap().remove("source");
    let again = api.events("application/json", sourceless.to_string()).await;
    assert_eq!((again.status, again.id()), (200, first.id()));
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_repeat_of_its_creation_does_not_bring_a_deleted_account_back() {
    let api = Api::start().await;
    let user = "user_11111111-1111-4111-8111-111111111111";
    let create = json!({"event": "ACCOUNT_CREATION", "ownerId": user, "id": "cr",
        "data": {"id": user, "email": "gone@x.example", "name": "Gone"}});
    let delete = json!({"event": "ACCOUNT_DELETION", "ownerId": user, "id": "de", "data": {"id": user}});
    let mut ids = Vec::new();
    for event in [&create, &delete] {
        let got = api.op("POST", "/events", event.clone()).await;
        assert_eq!(got.status, 202, "{}", got.text);
        ids.push(got.id());
    }
    let parts = &api.running.parts;
    while parts.store.tidy(parts.clock.now() + 1_000, 0, 0).await.unwrap().more {}
    assert_eq!(api.op("GET", &format!("/events/{}", ids[0]), Value::Null).await.status, 404, "it is erased");
    for (event, id) in [&create, &delete].into_iter().zip(&ids) {
        let again = api.op("POST", "/events", event.clone()).await;
        assert_eq!((again.status, &again.id()), (200, id));
    }
    assert_eq!(api.op("GET", &format!("/users/{user}"), Value::Null).await.status, 404);
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_a_batch_stand_alone_and_lines_say_their_number() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let good = json!({"event": "GIT_PUSH", "ownerId": acme}).to_string();
    let all = api.events("application/json", format!("[{good},{good}]")).await;
    assert_eq!((all.status, all.body["results"][1]["status"].as_u64()), (202, Some(202)));
    let some = api.events("application/x-ndjson", format!("{good}\n\nnonsense\n{good}\n")).await;
    assert_eq!(some.status, 207, "{}", some.text);
    let statuses: Vec<_> =
        some.body["results"].as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [202, 400, 202]);
    let problem = &some.body["results"][1]["problem"];
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("line 3: ") && !detail.contains("line 1"), "{problem}");
    assert_eq!(api.count(&acme).await, 4);
    let one_byte = [good.as_bytes(), b"{\"event\":\"\xff\"}", good.as_bytes()].join(&b'\n');
    let some = api.events("application/x-ndjson", one_byte).await;
    assert_eq!(some.status, 207, "{}", some.text);
    let detail = &some.body["results"][1]["problem"]["detail"];
    assert!(detail.as_str().unwrap().starts_with("line 2: invalid UTF-8"), "{detail}");
    assert_eq!(api.count(&acme).await, 6, "the other lines stand");
    for nothing in ["", "\n \r\n"] {
        assert_eq!(api.events("application/x-ndjson", nothing).await.problem(), (400, "malformed", ""));
    }
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudevents_come_structured_binary_and_in_batches() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let event = |id: &str| {
        json!({"specversion": "1.0", "type": "GIT_PUSH", "source": "/git", "id": id, "ownerid": acme, "time": "2026-01-02T10:00:00Z",
               "unknownextension": "ignored", "data": {"commit": "a"}})
    };
    let one = api.events("application/cloudevents+json; charset=utf-8", event("1").to_string()).await;
    assert_eq!(one.status, 202, "{}", one.text);
    let frame = api.op("GET", &format!("/events/{}", one.id()), Value::Null).await;
    assert_eq!(frame.body["date"], 1_767_348_000_000_i64);
    assert_eq!(frame.body["data"], r#"{"commit":"a"}"#);
    let headers = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "GIT_PUSH"),
        ("ce-source", "/git"),
        ("ce-id", "1"),
        ("ce-ownerid", acme.as_str()),
        ("ce-time", "2026-01-02T10:00:00Z"),
    ];
    let binary = api.send(&api.operator, "POST", "/api/v1/events", &headers, r#"{"commit":"a"}"#).await;
    assert_eq!((binary.status, binary.id()), (200, one.id()), "the same event in the other mode");
    let batch = json!([event("1"), event("2"), {"specversion": "1.0"}]).to_string();
    let batch = api.events("application/cloudevents-batch+json", batch).await;
    let statuses: Vec<_> =
        batch.body["results"].as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!((batch.status, statuses), (207, vec![200, 202, 400]));
    let mut other = event("3");
    other["datacontenttype"] = "text/plain".into();
    assert_eq!(api.events("application/cloudevents+json", other.to_string()).await.problem().0, 415);
    let mut far = event("4");
    far["time"] = "10000-01-01T00:00:00Z".into();
    let far = api.events("application/cloudevents+json", far.to_string()).await;
    assert_eq!(far.problem(), (400, "invalid", "time"));
    assert!(far.text.contains("1970 to 9999"), "{}", far.text);
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloudevents_subject_is_content_and_an_addon_has_two_names() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let (app, other) =
        ("app_33333333-3333-4333-8333-333333333333", "app_44444444-4444-4444-8444-444444444444");
    let (addon, real) =
        ("addon_55555555-5555-4555-8555-555555555555", "postgresql_66666666-6666-4666-8666-666666666666");
    let event = |id: &str, subject: &str, data: Value| {
        json!({"specversion": "1.0", "type": "GIT_PUSH", "source": "/git", "id": id, "ownerid": acme,
               "subject": subject, "data": data})
        .to_string()
    };
    let post = |body: String| api.events("application/cloudevents+json", body);
    let first = post(event("1", app, json!({}))).await;
    assert_eq!(first.status, 202, "{}", first.text);
    assert_eq!(post(event("1", app, json!({}))).await.status, 200);
    assert_eq!(post(event("1", other, json!({}))).await.problem(), (409, "conflict", "id"));
    // What `data` says already, a subject does not add to.
    assert_eq!(post(event("2", app, json!({"appId": app}))).await.status, 202);
    let mut bare: Value = serde_json::from_str(&event("2", app, json!({"appId": app}))).unwrap();
    bare.as_object_mut().unwrap().remove("subject");
    assert_eq!(post(bare.to_string()).await.status, 200);
    assert_eq!(post(event("3", other, json!({"appId": app}))).await.problem(), (400, "invalid", "subject"));

    let resource = json!({"owner": acme, "id": addon, "realId": real, "name": "database"});
    let line = [("content-type", "application/x-ndjson")];
    let import = json!({"resource": resource}).to_string();
    assert_eq!(api.send(&api.operator, "POST", "/api/v1/import", &line, import).await.status, 200);
    for (id, subject, named) in [("4", real, addon), ("5", addon, real)] {
        let got = post(event(id, subject, json!({"addonId": named}))).await;
        assert_eq!(got.status, 202, "{}", got.text);
    }
    let stranger = "redis_77777777-7777-4777-8777-777777777777";
    let got = post(event("6", stranger, json!({"addonId": addon}))).await;
    assert_eq!(got.problem(), (400, "contradiction", "data"));
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_frame_is_what_was_posted_byte_for_byte() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let data = r#"{"z":1.50,"a":"é","n":10000000000000000000000}"#;
    let body = format!(r#"{{"data":{data},"date":5,"ownerId":"{acme}","event":"GIT_PUSH"}}"#);
    let id = api.events("application/json", body).await.id();
    let got = api.op("GET", &format!("/events/{id}"), Value::Null).await;
    let quoted = serde_json::to_string(data).unwrap();
    assert_eq!(
        got.text,
        format!(r#"{{"id":"{id}","event":"GIT_PUSH","date":5,"ownerId":"{acme}","data":{quoted}}}"#)
    );
    let list = api.op("GET", &format!("/owners/{acme}/events"), Value::Null).await;
    assert!(list.text.contains(&got.text), "{}", list.text);
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_hook_is_refused_with_its_field_and_nothing_is_stored() {
    let api = Api::start().await;
    let (acme, other) = (api.organisation("Acme").await, api.organisation("Other").await);
    let foreign = api
        .op("POST", &format!("/owners/{other}/resources"), json!({"kind": "application", "name": "x"}))
        .await
        .id();
    let hooks = format!("/owners/{acme}/hooks");
    let web = |change: Value| {
        let mut hook = json!({"kind": "webhook", "name": "n", "urls": [{"url": "http://127.0.0.1:8999/x"}]});
        hook.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        hook
    };
    let mail = |targets: Value| json!({"kind": "email", "name": "n", "targets": targets});
    for (hook, expected) in [
        (json!({"kind": "webhook", "urls": [{"url": "http://127.0.0.1:8999/"}]}), (400, "invalid", "name")),
        (web(json!({"name": " "})), (400, "invalid", "name")),
        (web(json!({"kind": "carrier pigeon"})), (400, "invalid", "kind")),
        (web(json!({"kind": null})), (400, "invalid", "kind")),
        (web(json!({"colour": "red"})), (400, "invalid", "colour")),
        (web(json!({"urls": []})), (400, "invalid", "urls")),
        (web(json!({"urls": [{"url": "notaurl"}]})), (400, "forbidden-address", "urls[0].url")),
        (web(json!({"urls": [{"url": "ftp://example.org/"}]})), (400, "forbidden-address", "urls[0].url")),
        (
            web(json!({"urls": [{"url": "http://127.0.0.1:8999/", "format": "bogus"}]})),
            (400, "invalid", "urls[0].format"),
        ),
        (
            web(json!({"urls": [{"url": "https://hooks.slack.com/…abcd", "format": "slack"}]})),
            (400, "invalid", "urls[0].url"),
        ),
        (web(json!({"events": []})), (400, "invalid", "events")),
        (web(json!({"events": ["GIT_PUSH", "DEPLOYED"]})), (400, "unknown-kind", "events[1]")),
        (web(json!({"scope": []})), (400, "invalid", "scope")),
        (web(json!({"scope": ["nonsense"]})), (400, "invalid", "scope[0]")),
        (web(json!({"scope": [foreign]})), (400, "foreign-resource", "scope[0]")),
        (
            web(json!({"scope": ["app_33333333-3333-4333-8333-333333333333", foreign]})),
            (400, "foreign-resource", "scope[1]"),
        ),
        (web(json!({"schedule": [0]})), (400, "invalid", "schedule[0]")),
        (mail(json!([])), (400, "invalid", "targets")),
        (mail(json!([{"type": "address", "address": "nobody"}])), (400, "invalid", "targets[0].address")),
        (
            mail(json!([{"type": "address", "address": "rené@example.com"}])),
            (400, "invalid", "targets[0].address"),
        ),
        (
            mail(json!([{"type": "address", "address": "root@localhost"}])),
            (400, "invalid", "targets[0].address"),
        ),
        (
            mail(json!([{"type": "address", "address": "a@b.example\r\nBcc: x@y.example"}])),
            (400, "invalid", "targets[0].address"),
        ),
        (
            mail(json!([{"type": "user", "user": "user_99999999-9999-4999-8999-999999999999"}])),
            (400, "invalid", "targets[0].user"),
        ),
        (mail(json!([{"type": "organisation", "roles": ["KING"]}])), (400, "invalid", "targets[0].roles")),
        (mail(json!([{"type": "organisation", "roles": []}])), (400, "invalid", "targets[0].roles")),
    ] {
        let got = api.op("POST", &hooks, hook.clone()).await;
        assert_eq!(got.problem(), expected, "{hook} → {}", got.text);
    }
    let listed = api.op("GET", &hooks, Value::Null).await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 2, "only the two it was born with");
    let unknown =
        api.op("POST", "/owners/orga_99999999-9999-4999-8999-999999999999/hooks", web(json!({}))).await;
    assert_eq!(unknown.problem(), (404, "not-found", "owner"));
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_nobody_knows_and_a_fact_that_cannot_be_so_are_named() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    for (query, field) in [
        ("limit=99999999999999999999999", "limit"),
        ("limit=few", "limit"),
        ("limit=201", "limit"),
        ("colour=red", "colour"),
    ] {
        let got = api.op("GET", &format!("/owners/{acme}/events?{query}"), Value::Null).await;
        assert_eq!(got.problem(), (400, "invalid", field), "{}", got.text);
    }
    let addon = json!({"kind": "addon", "name": "a", "realId": "redis_77777777-7777-4777-8777-777777777777"});
    let resources = format!("/owners/{acme}/resources");
    assert_eq!(api.op("POST", &resources, addon.clone()).await.status, 201);
    let nobody = "user_99999999-9999-4999-8999-999999999999";
    for (method, path, body, field) in [
        ("POST", resources, addon, "realId"),
        ("PUT", format!("/users/{nobody}"), json!({"name": "N"}), "email"),
        ("PUT", format!("/organisations/{acme}/members/{nobody}"), json!({"role": "ADMIN"}), "user"),
    ] {
        let got = api.op(method, &path, body).await;
        assert_eq!(got.problem(), (400, "contradiction", field), "{path} → {}", got.text);
    }
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_formats_says_what_each_takes_and_can() {
    let api = Api::start().await;
    let got = api.op("GET", "/formats", Value::Null).await;
    let of = |name: &str| {
        let items = got.body["items"].as_array().unwrap();
        items.iter().find(|item| item["name"] == name).unwrap().clone()
    };
    let topic = json!({"what": "topic", "max": 60, "unit": "characters"});
    assert!(of("zulip")["limits"].as_array().unwrap().contains(&topic), "{}", got.text);
    let facts = json!({"what": "facts", "max": 25, "unit": null});
    assert!(of("discord")["limits"].as_array().unwrap().contains(&facts), "{}", got.text);
    let can = json!({"threads": "resource", "resolves": false, "updates": false, "once": true});
    assert_eq!(of("matrix")["can"], can);
    assert_eq!(of("pagerduty")["can"]["resolves"], true);
    assert_eq!(of("raw")["limits"], json!([]));
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_of_another_service_is_refused_and_one_of_a_closed_service_is_saved_with_a_warning() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let hooks = format!("/owners/{acme}/hooks");
    let hook = |format: &str, url: &str| json!({"kind": "webhook", "name": "n", "urls": [{"format": format, "url": url}]});
    for (format, url, says) in [
        ("discord", "https://hooks.slack.com/services/T/B/x", "another service"),
        ("slack", "https://discord.com/api/webhooks/1/x", "another service"),
        ("mattermost", "https://chat.googleapis.com/v1/spaces/A/messages?key=a&token=b", "another service"),
        ("slack", "https://hooks.slack.com/triggers/T/1/x", "https://hooks.slack.com/services/"),
        ("discord", "https://discord.com/channels/1/2", "https://discord.com/api/webhooks/"),
        ("teams", "https://teams.microsoft.com/l/channel/1", "When a Teams webhook request is received"),
        ("google-chat", "https://chat.google.com/room/A", "https://chat.googleapis.com/v1/spaces/"),
        ("mattermost", "https://discord.com/channels/1/2", "another service"),
        ("slack", "https://hooks.slack.com./triggers/T/1/x", "https://hooks.slack.com/services/"),
        ("flowdock", "https://relay.example.org/messages", "flow_token"),
    ] {
        let got = api.op("POST", &hooks, hook(format, url)).await;
        assert_eq!(got.problem(), (400, "invalid", "urls[0].url"), "{format} {url}: {}", got.text);
        assert!(got.body["detail"].as_str().unwrap().contains(says), "{}", got.text);
    }
    let flowdock = "https://api.flowdock.com/v1/messages/chat/0123456789abcdef";
    let saved = api.op("POST", &hooks, hook("flowdock", flowdock)).await;
    assert_eq!(saved.status, 201, "{}", saved.text);
    let warning = saved.body["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("urls[0]: Flowdock closed") && !saved.text.contains("0123456789ab"),
        "{}",
        saved.text
    );
    for format in ["raw", "cloudevents"] {
        let chat = "https://hooks.slack.com/services/T00000000/B00000000/aaaaaaaaaaaaaaaaaaaaaaaa";
        let saved = api.op("POST", &hooks, hook(format, chat)).await;
        let warning = saved.body["warnings"][0].as_str().unwrap();
        assert!(saved.status == 201 && warning.contains("choose the format `slack`"), "{}", saved.text);
    }
    let relay =
        api.op("POST", &hooks, hook("flowdock", "https://relay.example.org/v1/messages/chat/x")).await;
    assert_eq!((relay.status, &relay.body["warnings"]), (201, &Value::Null));
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_once_and_chat_urls_never_again() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let slack = "http://127.0.0.1:8999/services/T0/B0/verysecretpart";
    let hook = json!({"kind": "webhook", "name": "n", "urls": [{"url": "http://127.0.0.1:8999/raw"}, {"format": "slack", "url": slack}]});
    let made = api.op("POST", &format!("/owners/{acme}/hooks"), hook).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let secret = made.body["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    let id = made.id();
    let seen = api.op("GET", &format!("/hooks/{id}"), Value::Null).await;
    for hidden in [secret.as_str(), "verysecretpart"] {
        assert!(!seen.text.contains(hidden), "{}", seen.text);
    }
    assert_eq!(seen.body["urls"][0]["url"], "http://127.0.0.1:8999/raw");

    let rotated = api.op("POST", &format!("/hooks/{id}/rotate"), json!({"overlapHours": 1})).await;
    assert!(rotated.body["secret"].as_str().unwrap() != secret, "{}", rotated.text);
    assert!(api.op("GET", &format!("/hooks/{id}"), Value::Null).await.body["rotatingUntil"].is_number());
    assert_eq!(
        api.op("POST", &format!("/hooks/{id}/rotate"), json!({"overlapHours": 1000})).await.problem().2,
        "overlapHours"
    );

    // An edit keeps what it does not name again.
    let (first, second) = (seen.body["urls"][0]["id"].clone(), seen.body["urls"][1]["id"].clone());
    let edit = json!({"name": "m", "urls": [{"url": "http://127.0.0.1:8999/moved"}, {"id": second, "format": "slack"}]});
    let edited = api.op("PUT", &format!("/hooks/{id}"), edit).await;
    assert_eq!(
        (&edited.body["urls"][0]["id"], &edited.body["urls"][1]["id"]),
        (&first, &second),
        "{}",
        edited.text
    );
    let wrong = json!({"name": "m", "targets": [{"type": "organisation"}]});
    assert_eq!(api.op("PUT", &format!("/hooks/{id}"), wrong).await.problem().2, "targets");
    assert_eq!(api.op("DELETE", &format!("/hooks/{id}"), Value::Null).await.status, 204);
    assert_eq!(api.op("GET", &format!("/hooks/{id}"), Value::Null).await.status, 404);
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what_is_one_table() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let mut people = Vec::new();
    for role in ["ADMIN", "MANAGER", "DEVELOPER", "ACCOUNTING", ""] {
        let (user, token) =
            api.user(&format!("{}@x.example", if role.is_empty() { "stranger" } else { role })).await;
        if !role.is_empty() {
            let member =
                api.op("PUT", &format!("/organisations/{acme}/members/{user}"), json!({"role": role})).await;
            assert_eq!(member.status, 200, "{}", member.text);
        }
        people.push((role, token));
    }
    let hooks = format!("/owners/{acme}/hooks");
    let hook = json!({"kind": "webhook", "name": "n", "urls": [{"url": "http://127.0.0.1:8999/x"}]});
    let made = api.op("POST", &hooks, hook.clone()).await.id();
    let event = json!({"event": "GIT_PUSH", "ownerId": acme});
    let posted = api.op("POST", "/events", event.clone()).await.id();
    for (role, token) in &people {
        let member = !role.is_empty();
        let changes = matches!(*role, "ADMIN" | "MANAGER");
        let read = if member { 200 } else { 403 };
        let found = if member { 200 } else { 404 };
        let change = if changes { 200 } else { read.max(403) };
        let change_found = if changes {
            200
        } else if member {
            403
        } else {
            404
        };
        for (method, path, body, expected) in [
            ("GET", hooks.clone(), Value::Null, read),
            ("GET", format!("/owners/{acme}/events"), Value::Null, read),
            ("GET", format!("/owners/{acme}/resources"), Value::Null, read),
            ("GET", format!("/organisations/{acme}/members"), Value::Null, read),
            ("GET", format!("/deliveries?owner={acme}"), Value::Null, read),
            ("GET", format!("/hooks/{made}"), Value::Null, found),
            ("GET", format!("/events/{posted}"), Value::Null, found),
            ("POST", format!("/hooks/{made}/pause"), Value::Null, change_found),
            ("POST", hooks.clone(), hook.clone(), if changes { 201 } else { change }),
            ("POST", "/events".to_owned(), event.clone(), 403),
            ("POST", "/users".to_owned(), json!({"email": "a@b.example"}), 403),
            ("GET", "/users".to_owned(), Value::Null, 403),
            ("POST", format!("/owners/{acme}/resources"), json!({"kind": "application"}), 403),
            ("DELETE", format!("/organisations/{acme}"), Value::Null, 403),
            ("POST", "/tokens".to_owned(), json!({"name": "n", "operator": true}), 403),
            ("GET", "/me".to_owned(), Value::Null, 200),
        ] {
            let got = api.call(token, method, &path, body).await;
            assert_eq!(got.status, expected, "{role:?} {method} {path}: {}", got.text);
        }
    }
    for wrong in ["", "nonsense", "sop_wrong", "a.b"] {
        assert_eq!(api.call(wrong, "GET", "/me", Value::Null).await.problem().1, "unauthorised");
    }
    let (role, token) = &people[0];
    let own = api.call(token, "GET", "/tokens", Value::Null).await;
    let id = own.body["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(own.body["items"].as_array().unwrap().len(), 1, "{role} sees their own tokens only");
    assert_eq!(api.call(&people[1].1, "DELETE", &format!("/tokens/{id}"), Value::Null).await.status, 404);
    assert_eq!(api.call(token, "DELETE", &format!("/tokens/{id}"), Value::Null).await.status, 204);
    assert_eq!(api.call(token, "GET", "/me", Value::Null).await.status, 401, "revoked is revoked at once");
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_deliveries_give_each_once_and_one_can_be_resent() {
    let api = Api::start().await;
    let acme = api.organisation("Acme").await;
    let hook = json!({"kind": "webhook", "name": "n", "urls": [{"url": "http://127.0.0.1:8999/x"}]});
    let hook = api.op("POST", &format!("/owners/{acme}/hooks"), hook).await.id();
    api.op("POST", &format!("/hooks/{hook}/pause"), Value::Null).await;
    for _ in 0..7 {
        assert_eq!(
            api.op("POST", "/events", json!({"event": "GIT_PUSH", "ownerId": acme})).await.status,
            202
        );
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page =
            api.op("GET", &format!("/deliveries?hook={hook}&state=held&limit=3{after}"), Value::Null).await;
        for one in page.body["items"].as_array().unwrap() {
            assert_eq!((one["state"].as_str(), one["reason"].as_str()), (Some("held"), Some("paused")));
            seen.push(one["id"].as_str().unwrap().to_owned());
        }
        match page.body["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (7, 7));
    assert_eq!(api.op("GET", &format!("/hooks/{hook}"), Value::Null).await.body["held"], 7);
    let held = api.op("POST", &format!("/deliveries/{}/resend", seen[0]), Value::Null).await;
    assert_eq!(held.problem().1, "wrong-state", "{}", held.text);
    for bad in ["limit=0", "limit=1000", "state=lost", "after=x", "owner=x", "colour=red", "limit=x"] {
        let got = api.op("GET", &format!("/deliveries?hook={hook}&{bad}"), Value::Null).await;
        assert_eq!(got.status, 400, "{bad}: {}", got.text);
    }
    assert_eq!(api.op("GET", "/deliveries", Value::Null).await.status, 400);
    assert_eq!(api.op("GET", "/deliveries/dlv_x", Value::Null).await.status, 404);
    assert_eq!(api.op("GET", "/nothing", Value::Null).await.problem().1, "not-found");
    assert_eq!(api.op("PATCH", "/events", Value::Null).await.problem().1, "method-not-allowed");
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_whole_or_nothing_and_names_the_line() {
    let api = Api::start().await;
    let user = "user_11111111-1111-4111-8111-111111111111";
    let orga = "orga_22222222-2222-4222-8222-222222222222";
    let lines = [
        json!({"user": {"id": user, "email": "a@x.example", "lang": "fr"}}),
        json!({"organisation": {"id": orga, "name": "Acme"}}),
        json!({"member": {"organisation": orga, "user": user, "role": "ADMIN"}}),
        json!({"resource": {"id": "app_33333333-3333-4333-8333-333333333333", "owner": orga, "name": "web"}}),
    ];
    let text = |lines: &[Value]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let import = |body: Bytes| {
        api.send(&api.operator, "POST", "/api/v1/import", &[("content-type", "application/x-ndjson")], body)
    };
    let mut bad = lines.to_vec();
    bad.push(json!({"member": {"organisation": orga, "user": "user_99999999-9999-4999-8999-999999999999", "role": "ADMIN"}}));
    assert_eq!(import(text(&bad).into()).await.problem(), (400, "contradiction", "line 5: user"));
    let no_text = [text(&lines[..1]).as_bytes(), b"\xff\n", text(&lines[1..]).as_bytes()].concat();
    assert_eq!(import(no_text.into()).await.problem(), (400, "malformed", "line 2"));
    assert_eq!(
        api.op("GET", &format!("/users/{user}"), Value::Null).await.status,
        404,
        "nothing of it is stored"
    );
    bad[4] = json!({"user": {"id": user, "email": "nobody"}});
    assert_eq!(import(text(&bad).into()).await.problem(), (400, "invalid", "line 5: email"));
    for _ in 0..2 {
        assert_eq!(import(text(&lines).into()).await.body, json!({"imported": 4}), "again is the same");
    }
    let hooks = api.op("GET", &format!("/owners/{orga}/hooks"), Value::Null).await;
    assert_eq!(hooks.body["items"].as_array().unwrap().len(), 2, "born once");
    api.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_keep_the_directory_up_to_date_by_themselves() {
    let api = Api::start().await;
    let user = "user_11111111-1111-4111-8111-111111111111";
    let orga = "orga_22222222-2222-4222-8222-222222222222";
    let app = "app_33333333-3333-4333-8333-333333333333";
    for event in [
        json!({"event": "ACCOUNT_CREATION", "ownerId": user, "data": {"id": user, "email": "a@x.example", "name": "A"}}),
        json!({"event": "ORGANISATION_CREATION", "ownerId": orga, "authorId": user, "data": {"id": orga, "name": "Acme"}}),
        json!({"event": "APPLICATION_CREATION", "ownerId": orga, "data": {"id": app, "appId": app, "name": "web"}}),
    ] {
        let got = api.op("POST", "/events", event).await;
        assert_eq!(got.status, 202, "{}", got.text);
    }
    let members = api.op("GET", &format!("/organisations/{orga}/members"), Value::Null).await;
    assert_eq!(members.body["items"][0]["role"], "ADMIN");
    assert_eq!(
        api.op("GET", &format!("/owners/{orga}/resources"), Value::Null).await.body["items"][0]["name"],
        "web"
    );
    let gone = json!({"event": "APPLICATION_DELETION", "ownerId": orga, "data": {"id": app, "appId": app}});
    assert_eq!(api.op("POST", "/events", gone).await.status, 202);
    assert_eq!(
        api.op("GET", &format!("/owners/{orga}/resources"), Value::Null).await.body["items"],
        json!([])
    );
    let wrong = json!({"event": "ACCOUNT_CREATION", "ownerId": "user_44444444-4444-4444-8444-444444444444", "data": {"email": "nobody"}});
    assert_eq!(api.op("POST", "/events", wrong).await.problem(), (400, "invalid", "data.email"));
    api.running.stop().await;
}
