use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sonnette_core::ids::{TokenId, UserId};
use sonnette_core::lang::Lang;
use sonnette_core::mail::House;
use sonnette_core::model::{Fact, Millis};
use sonnette_core::ports::{Clock, NewToken};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::config::{self, Sources};
use crate::console::Console;
use crate::egress::{Letterhead, Outside};
use crate::flow;
use crate::http::Terms;
use crate::stream::Hub;
use crate::world::SystemLuck;

const USER: &str = "user_11111111-1111-4111-8111-111111111111";
const URL: &str =
    "http://127.0.0.1:8780/v2/notifications/emailhooks/orga_22222222-2222-4222-8222-222222222222";
/// As clever-tools 3.14.0 posted it to `URL`.
const CAPTURED: &str = r#"OAuth oauth_consumer_key="T5nFjKeHH4AIlEveuGhB5S3xg8T19e", oauth_nonce="9kZ6sbKkLAS1Ra0qR5L4dC8Bk9rrX4Rb", oauth_signature="lFsLzICLOWO3l%2FN78vxzshxypSGFTlMwG5gX6JV7V7D0SoAtNAOuuw0JhDt5QjNOVRs4vUPiSL%2FgyMcQs%2BsFCw%3D%3D", oauth_signature_method="HMAC-SHA512", oauth_timestamp="1795423079", oauth_token="tok", oauth_version="1.0""#;
/// When.
const THEN: Millis = 1_795_423_079_000;
/// As clever-tools 4.11.0 sends it.
const PLAIN: &str = r#"OAuth oauth_consumer_key="T5nFjKeHH4AIlEveuGhB5S3xg8T19e", oauth_token="tok", oauth_signature="MgVMqTr6fWlf2M0tkC2MXOnhfqBWDT%26sec""#;

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }
}

/// A site where one person has the pair `tok` and `sec`.
struct World {
    site: Arc<Site>,
    clock: Arc<Hands>,
    pair: TokenId,
    _dir: TempDir,
}

async fn world() -> World {
    world_from(THEN).await
}

/// A process that starts then.
async fn world_from(start: Millis) -> World {
    let dir = tempfile::tempdir().unwrap();
    let config =
        config::read(&Sources { data: Some(dir.path().join("data")), ..Sources::default() }).unwrap();
    let clock = Arc::new(Hands(AtomicI64::new(start)));
    let (store, sealer) = crate::app::open_store(&config, Arc::new(SystemLuck)).unwrap();
    let user: UserId = USER.parse().unwrap();
    let fact = Fact::User {
        id: user,
        name: None,
        email: Some("alice@example.org".to_owned()),
        lang: None,
        operator: None,
        hooks: vec![],
    };
    store.learn(vec![fact], THEN).await.unwrap().unwrap();
    let pair = TokenId(1);
    let new = NewToken::Pair { user, public: "tok".to_owned(), secret: Secret::new("sec") };
    assert!(store.add_token(pair, "cli".to_owned(), new, THEN).await.unwrap());
    let digest = Sha256::digest("sop_operator").into();
    store.add_token(TokenId(2), "platform".to_owned(), NewToken::Operator(digest), THEN).await.unwrap();
    let letterhead = Letterhead::new(&config.mail).unwrap();
    let parts = flow::Parts {
        store,
        egress: Arc::new(Outside::new(config.guard.clone(), config.mail).unwrap()),
        clock: clock.clone(),
        luck: Arc::new(SystemLuck),
        catalogue: Arc::new(config.catalogue),
        formats: sonnette_core::formats::find,
        links: Arc::new(config.links),
        house: Arc::new(House { name: String::new(), domain: String::new(), bounces: None, lang: Lang::En }),
        letterhead: Arc::new(letterhead),
        sealer,
        public_url: None,
        policy_told: Arc::new(AtomicI64::new(Millis::MIN)),
    };
    let terms = Terms { consumers: config.consumers, ..Terms::default() };
    let (store, catalogue) = (Arc::clone(&parts.store), Arc::clone(&parts.catalogue));
    let streams = Hub::new(
        store,
        clock.clone(),
        catalogue,
        config.policy.clone(),
        config.heartbeat,
        CancellationToken::new(),
    );
    let console = Console::new("http://127.0.0.1:8780".parse().unwrap(), false, None);
    let site =
        Site::new(parts, config.guard, config.policy, terms, Arc::default(), Arc::new(streams), console);
    World { site: Arc::new(site), clock, pair, _dir: dir }
}

impl World {
    fn later(&self, by: Millis) {
        self.clock.0.fetch_add(by, Ordering::Relaxed);
    }

    async fn who(&self, header: &str) -> Option<Caller> {
        self.site.authorise(header, &Method::POST, &[URL.to_owned()]).await.unwrap()
    }

    /// Through the extractor, behind a nested route, as a client asks.
    async fn ask(&self, header: Option<&str>) -> (StatusCode, Value) {
        let inner = Router::new().route("/notifications/emailhooks/{owner}", any(async |_: V2Asker| "in"));
        let router = Router::new().nest("/v2", inner).with_state(Arc::clone(&self.site));
        let mut request = Request::post(URL.strip_prefix("http://127.0.0.1:8780").unwrap())
            .header("host", "127.0.0.1:8780");
        if let Some(header) = header {
            request = request.header(AUTHORIZATION, header);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, body) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))))
    }
}

fn person() -> Option<Caller> {
    Some(Caller::Person { user: USER.parse().unwrap(), operator: false })
}

#[tokio::test]
async fn a_signed_request_is_let_in_once() {
    let world = world().await;
    let tampered = CAPTURED.replace("lFsLz", "lFsLy");
    assert_eq!(world.ask(Some(&tampered)).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(
        world.ask(Some(CAPTURED)).await,
        (StatusCode::OK, json!("in")),
        "a wrong signature does not use the nonce up"
    );
    let (status, body) = world.ask(Some(CAPTURED)).await;
    assert_eq!(
        (status, &body["id"], &body["type"]),
        (StatusCode::UNAUTHORIZED, &json!(2001), &json!("error")),
        "a replay"
    );
    world.later(NEAR);
    assert_eq!(world.who(CAPTURED).await, None, "still a replay");
    world.later(1);
    assert_eq!(world.who(CAPTURED).await, None, "too late");
}

#[tokio::test]
async fn a_signed_request_is_let_in_within_five_minutes_of_our_time() {
    for (by, whom) in [(NEAR, person()), (-NEAR, person()), (NEAR + 1, None), (-NEAR - 1, None)] {
        let world = world().await;
        world.later(by);
        assert_eq!(world.who(CAPTURED).await, whom, "{by}");
    }
}

#[tokio::test]
async fn a_signed_request_is_for_its_method_and_url() {
    let world = world().await;
    let ask = async |method: Method, urls: &[&str]| {
        let urls: Vec<_> = urls.iter().map(|url| (*url).to_owned()).collect();
        world.site.authorise(CAPTURED, &method, &urls).await.unwrap()
    };
    assert_eq!(ask(Method::PUT, &[URL]).await, None);
    assert_eq!(ask(Method::POST, &[&URL.replace("http:", "https:")]).await, None);
    assert_eq!(ask(Method::POST, &[]).await, None);
    assert_eq!(ask(Method::POST, &["http://other/", URL]).await, person());
}

#[tokio::test]
async fn plaintext_is_let_in_as_long_as_the_pair_holds() {
    let world = world().await;
    for _ in 0..2 {
        assert_eq!(world.who(PLAIN).await, person());
    }
    assert_eq!(world.site.authorise(PLAIN, &Method::GET, &[]).await.unwrap(), person(), "whatever it asks");
    let timed = format!(r#"{PLAIN}, oauth_timestamp="1795423079", oauth_nonce="n""#);
    assert_eq!(
        (world.who(&timed).await, world.who(&timed).await),
        (person(), None),
        "a nonce that is sent is checked"
    );
    let late = format!(r#"{PLAIN}, oauth_timestamp="1795422000""#);
    assert_eq!(world.who(&late).await, None, "a time that is sent is checked");
    assert!(world.site.parts.store.revoke_token(world.pair).await.unwrap());
    assert_eq!(world.who(PLAIN).await, person(), "known for a moment");
    world.later(KNOWN_FOR);
    assert_eq!(world.who(PLAIN).await, None);
}

#[tokio::test]
async fn a_nonce_is_checked_without_a_time_too() {
    let world = world().await;
    let once = format!(r#"{PLAIN}, oauth_nonce="n""#);
    assert_eq!((world.who(&once).await, world.who(&once).await), (person(), None));
    world.later(NEAR);
    assert_eq!(world.who(&once).await, None);
    assert_eq!(world.who(&once.replace("\"n\"", "\"m\"")).await, person());
}

#[tokio::test]
async fn what_was_signed_before_the_server_started_is_not_let_in_a_second_time() {
    let world = world_from(THEN + 1).await;
    let (status, body) = world.ask(Some(CAPTURED)).await;
    assert_eq!((status, &body["id"]), (StatusCode::TOO_MANY_REQUESTS, &json!(20_016)), "{body}");
    assert!(body["message"].as_str().unwrap().contains("try again in a moment"), "{body}");
    let tampered = CAPTURED.replace("lFsLz", "lFsLy");
    assert_eq!(world.ask(Some(&tampered)).await.0, StatusCode::UNAUTHORIZED, "only who can sign is told");
    assert_eq!(world.who(PLAIN).await, person());
}

#[tokio::test]
async fn wrong_credentials_are_one_answer_whatever_was_wrong() {
    let world = world().await;
    let mut answers = Vec::new();
    let wrong = [
        PLAIN.replace("%26sec", "%26sed"),
        PLAIN.replace("\"tok\"", "\"tik\""),
        PLAIN.replace("T5nF", "T5nG"),
        PLAIN.replace("MgVM", "MgVN"),
        CAPTURED.replace("T5nF", "T5nG"),
        "Bearer tok.sed".to_owned(),
        "Bearer sop_other".to_owned(),
        "Basic dG9rOnNlYw==".to_owned(),
        String::new(),
    ];
    for header in &wrong {
        answers.push(world.ask(Some(header)).await);
    }
    answers.push(world.ask(None).await);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
        assert_eq!((answer.0, &answer.1["id"]), (StatusCode::UNAUTHORIZED, &json!(2001)));
    }
}

#[tokio::test]
async fn bearer_is_an_operator_token_or_a_pair() {
    let world = world().await;
    assert_eq!(world.who("Bearer sop_operator").await, Some(Caller::Operator));
    assert_eq!(world.who("bearer tok.sec").await, person());
    assert_eq!(world.ask(Some("Bearer tok.sec")).await.0, StatusCode::OK);
    assert_eq!(world.who(PLAIN).await, person());
    assert_eq!(world.who(&format!("Bearer {PLAIN}")).await, None, "one is not known as the other");
}

#[tokio::test]
async fn a_malformed_header_is_told_its_rule() {
    let world = world().await;
    let (status, body) = world.ask(Some("OAuth oauth_token=\"tok\"")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["message"].as_str().unwrap().contains("`oauth_signature` is missing"), "{body}");
}

#[tokio::test]
async fn without_consumers_no_request_may_be_signed() {
    let world = world().await;
    let Ok(mut site) = Arc::try_unwrap(world.site) else { panic!("it is shared") };
    site.terms.consumers.clear();
    assert_eq!(site.authorise(PLAIN, &Method::POST, &[]).await.unwrap(), None);
}
