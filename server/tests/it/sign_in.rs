//! Signing in at a provider: the real server, a browser without JavaScript, and a provider that says what the test wants.
//! A real provider is driven in `clients/sign_in.test.mjs`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sonnette::egress::guard::Guard;
use sonnette::egress::provider::{Asked, Provider, ProviderSettings, Trouble};
use sonnette_core::secret::Secret;
use url::{Url, form_urlencoded};

use crate::api::Api;
use crate::browser::{Browser, Seen};

const SECRET: &str = "correct horse & battery";

/// What the provider says, and what it was asked.
struct Script {
    issuer: String,
    /// Over what is otherwise in an ID token.
    claims: Value,
    /// Over what is otherwise in its head.
    head: Value,
    /// Over what is otherwise in the document.
    document: Value,
    /// Which key signs; the document shows those named.
    signs: usize,
    shows: Vec<usize>,
    keys: Vec<EcdsaKeyPair>,
    /// In the place of tokens.
    token: Option<(u16, Value)>,
    info: Value,
    now: i64,
    /// What came for a token: the form, and `Authorization`.
    asked: Vec<(BTreeMap<String, String>, String)>,
    documents: usize,
}

type Scripted = Arc<Mutex<Script>>;

fn over(mut all: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    all
}

impl Script {
    fn jwks(&self) -> Value {
        let keys = self.shows.iter().map(|at| {
            let point = self.keys[*at].public_key().as_ref();
            let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
            json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": format!("key{at}"), "x": x, "y": y})
        });
        json!({"keys": keys.collect::<Vec<_>>()})
    }

    fn id_token(&self) -> String {
        let head =
            over(json!({"alg": "ES256", "typ": "JWT", "kid": format!("key{}", self.signs)}), &self.head);
        let claims = json!({
            "iss": self.issuer, "sub": "248289761001", "aud": "us", "iat": self.now / 1000, "exp": self.now / 1000 + 300,
            "email": "alice@example.com", "email_verified": true,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(&over(claims, &self.claims)));
        let signature = match head["alg"].as_str().unwrap() {
            "none" => Vec::new(),
            "HS256" => {
                let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
                mac.update(signed.as_bytes());
                mac.finalize().into_bytes().to_vec()
            }
            _ => {
                self.keys[self.signs].sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec()
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A provider on the loopback.
struct AtProvider {
    address: SocketAddr,
    script: Scripted,
    serves: tokio::task::JoinHandle<()>,
}

impl AtProvider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let key = || {
            let random = SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap()
        };
        let script = Arc::new(Mutex::new(Script {
            issuer: format!("http://{address}"),
            claims: json!({}),
            head: json!({}),
            document: json!({}),
            signs: 0,
            shows: vec![0],
            keys: vec![key(), key()],
            token: None,
            info: json!({}),
            now: jiff::Timestamp::now().as_millisecond(),
            asked: Vec::new(),
            documents: 0,
        }));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/jwks", get(async |State(script): State<Scripted>| Json(script.lock().unwrap().jwks())))
            .route("/token", post(token))
            .route(
                "/me",
                get(async |State(script): State<Scripted>| Json(script.lock().unwrap().info.clone())),
            )
            .with_state(Arc::clone(&script));
        let serves = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, script, serves }
    }

    fn settings(&self) -> ProviderSettings {
        ProviderSettings {
            issuer: ProviderSettings::issuer(&format!("http://{}", self.address)).unwrap(),
            client_id: "us".to_owned(),
            secret: Some(Secret::new(SECRET)),
            scopes: vec!["email".to_owned()],
            name: "Example ID".to_owned(),
        }
    }

    /// A server that knows this provider.
    async fn server(&self) -> (Api, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, SECRET).unwrap();
        let settings = format!(
            "[sign_in]\nissuer = 'http://{}'\nclient_id = 'us'\nclient_secret_file = '{}'\nname = 'Example ID'\n",
            self.address,
            secret.display()
        );
        (Api::with(&settings).await, dir)
    }

    fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }
}

impl Drop for AtProvider {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

async fn document(State(script): State<Scripted>) -> Json<Value> {
    let mut script = script.lock().unwrap();
    script.documents += 1;
    let issuer = &script.issuer;
    let document = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"), "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/me"), "jwks_uri": format!("{issuer}/jwks"), "response_types_supported": ["code"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
    });
    Json(over(document, &script.document))
}

async fn token(State(script): State<Scripted>, headers: HeaderMap, body: String) -> Response {
    let mut script = script.lock().unwrap();
    let form = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let basic = headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
    script.asked.push((form, basic));
    if let Some((status, body)) = &script.token {
        return (StatusCode::from_u16(*status).unwrap(), Json(body.clone())).into_response();
    }
    let token = script.id_token();
    Json(json!({"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": token}))
        .into_response()
}

/// Goes to the provider, and what it was sent there with.
async fn there(browser: &mut Browser<'_>, next: &str) -> BTreeMap<String, String> {
    let sent = browser.get(&format!("/sign-in/provider?next={next}")).await;
    assert_eq!(sent.status, 303, "{sent:#?}");
    Url::parse(&sent.location).unwrap().query_pairs().into_owned().collect()
}

/// Comes back with a code.
async fn back(browser: &mut Browser<'_>, state: &str) -> Seen {
    browser.get(&format!("/sign-in/callback?code=a-code&state={state}")).await
}

/// There and back, the token made for this sign-in.
async fn round(provider: &AtProvider, browser: &mut Browser<'_>) -> Seen {
    let asked = there(browser, "/events").await;
    provider.script(|script| {
        let nonce = script.claims.get("nonce").cloned();
        script.claims["nonce"] = nonce.unwrap_or_else(|| asked["nonce"].clone().into());
    });
    back(browser, &asked["state"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_signs_in_whoever_has_a_verified_address_and_leads_back_to_the_page() {
    let provider = AtProvider::start().await;
    let (api, _dir) = provider.server().await;
    api.user("Alice@example.com").await;
    let mut browser = Browser::new(&api);
    let page = browser.get("/sign-in?next=/account").await;
    assert!(page.says("Sign in with Example ID") && page.says("Send me a link"), "{page:#?}");
    assert!(page.says("href=\"/sign-in/provider?next=%2Faccount\""), "{page:#?}");
    provider.script(|script| assert_eq!(script.documents, 0, "nothing is asked before somebody signs in"));

    let asked = there(&mut browser, "/account").await;
    assert_eq!((asked["client_id"].as_str(), asked["response_type"].as_str()), ("us", "code"));
    assert_eq!((asked["scope"].as_str(), asked["code_challenge_method"].as_str()), ("openid email", "S256"));
    assert_eq!(asked["redirect_uri"], format!("http://{}/sign-in/callback", api.address));
    provider.script(|script| script.claims = json!({"nonce": asked["nonce"]}));
    let done = back(&mut browser, &asked["state"]).await;
    assert_eq!((done.status, done.location.as_str()), (303, "/account"), "{done:#?}");
    let cookies: Vec<_> =
        done.headers.get_all("set-cookie").iter().map(|one| one.to_str().unwrap()).collect();
    assert!(cookies.iter().any(|one| one.starts_with("sonnette=") && one.contains("HttpOnly; SameSite=Lax")));
    assert!(!browser.cookies.contains_key("sonnette-provider"), "{cookies:?}");
    assert!(browser.get("/account").await.says("Alice@example.com"));
    provider.script(|script| {
        let (form, basic) = &script.asked[0];
        assert_eq!(asked["code_challenge"], URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"])));
        assert_eq!((form["grant_type"].as_str(), form["code"].as_str()), ("authorization_code", "a-code"));
        assert_eq!(form["redirect_uri"], asked["redirect_uri"]);
        let ours = "us:correct+horse+%26+battery";
        assert_eq!(*basic, format!("Basic {}", STANDARD.encode(ours)), "RFC 6749, section 2.3.1");
        assert!(!form.contains_key("client_secret"));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_names_the_address_only_when_asked_who_it_is_is_asked() {
    let provider = AtProvider::start().await;
    let (api, _dir) = provider.server().await;
    api.user("alice@example.com").await;
    let info = json!({"sub": "248289761001", "email": "ALICE@example.com", "email_verified": "true"});
    provider.script(|script| {
        script.claims = json!({"email": null, "email_verified": null});
        script.info = info.clone();
    });
    let done = round(&provider, &mut Browser::new(&api)).await;
    assert_eq!((done.status, done.location.as_str()), (303, "/events"), "{done:#?}");
    for (info, status, says) in [
        (over(info.clone(), &json!({"sub": "somebody else"})), 400, "could not be confirmed"),
        (
            over(info.clone(), &json!({"email_verified": false})),
            403,
            "has not verified that ALICE@example.com is yours",
        ),
        (json!({"sub": "248289761001"}), 403, "told us no e-mail address"),
        (over(info, &json!({"email": "no address"})), 403, "told us no e-mail address"),
    ] {
        provider.script(|script| {
            script.claims = json!({"email": null, "email_verified": null});
            script.info = info;
        });
        let mut browser = Browser::new(&api);
        let refused = round(&provider, &mut browser).await;
        assert!(refused.status == status && refused.says(says), "{says}: {refused:#?}");
        assert!(!browser.cookies.contains_key("sonnette"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_for_this_sign_in_signs_nobody_in() {
    let provider = AtProvider::start().await;
    let (api, _dir) = provider.server().await;
    api.user("alice@example.com").await;
    let now = jiff::Timestamp::now().as_second();
    let (fine, none) = (json!({}), json!({}));
    let wrong = [
        ("another sign-in's nonce", json!({"nonce": "another"}), none.clone(), 0),
        ("no nonce", json!({"nonce": null}), none.clone(), 0),
        ("expired", json!({"exp": now - 1, "iat": now - 301}), none.clone(), 0),
        ("another audience", json!({"aud": "others"}), none.clone(), 0),
        ("an audience besides us", json!({"aud": ["us", "others"]}), none.clone(), 0),
        ("another issuer", json!({"iss": "http://127.0.0.1:1"}), none.clone(), 0),
        ("another key", fine.clone(), json!({"kid": "key0"}), 1),
        ("a key that is not shown", fine.clone(), none.clone(), 1),
        ("no signature", fine.clone(), json!({"alg": "none"}), 0),
        ("signed with what we both know", fine.clone(), json!({"alg": "HS256", "kid": null}), 0),
        ("another access token's", json!({"at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"}), none.clone(), 0),
    ];
    for (what, claims, head, signs) in wrong {
        provider.script(|script| (script.claims, script.head, script.signs) = (claims, head, signs));
        let mut browser = Browser::new(&api);
        let refused = round(&provider, &mut browser).await;
        assert!(refused.status == 400 && refused.says("could not be confirmed"), "{what}: {refused:#?}");
        assert!(refused.says("Sign in with Example ID") && refused.field("next") == "/events", "{what}");
        assert!(!browser.cookies.contains_key("sonnette"), "{what}");
    }
    for (what, answer) in [
        ("no ID token", (200, json!({"access_token": "a", "token_type": "Bearer"}))),
        ("a code used twice", (400, json!({"error": "invalid_grant", "error_description": "<b>gone</b>"}))),
    ] {
        provider.script(|script| (script.claims, script.token) = (json!({}), Some(answer)));
        let refused = round(&provider, &mut Browser::new(&api)).await;
        assert!(refused.status == 400 && refused.says("used already"), "{what}: {refused:#?}");
        assert!(!refused.says("gone"), "{refused:#?}");
    }
    provider
        .script(|script| (script.claims, script.head, script.signs, script.token) = (fine, none, 0, None));
    assert_eq!(round(&provider, &mut Browser::new(&api)).await.status, 303, "what is right still signs in");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_taken_once_and_only_from_the_browser_that_asked() {
    let provider = AtProvider::start().await;
    let (api, _dir) = provider.server().await;
    api.user("alice@example.com").await;
    let mut alice = Browser::new(&api);
    let asked = there(&mut alice, "/events").await;
    provider.script(|script| script.claims = json!({"nonce": asked["nonce"]}));
    let over = |seen: &Seen| seen.status == 400 && seen.says("This sign-in is over");

    let mut other = Browser::new(&api);
    assert!(over(&back(&mut other, &asked["state"]).await), "without the cookie");
    there(&mut other, "/events").await;
    assert!(over(&back(&mut other, &asked["state"]).await), "with another sign-in's cookie");
    assert!(over(&back(&mut alice, "wrong").await));
    assert!(over(&alice.get("/sign-in/callback").await));
    let begun = alice.cookies["sonnette-provider"].clone();
    let forged = format!("{}A", &begun[..begun.len() - 1]);
    let forged = if forged == begun { format!("{}B", &begun[..begun.len() - 1]) } else { forged };
    alice.cookies.insert("sonnette-provider".to_owned(), forged);
    assert!(over(&back(&mut alice, &asked["state"]).await), "a cookie that was touched");
    provider.script(|script| assert!(script.asked.is_empty(), "the provider was asked about none of them"));

    alice.cookies.insert("sonnette-provider".to_owned(), begun.clone());
    assert_eq!(back(&mut alice, &asked["state"]).await.status, 303);
    for mut again in [alice, Browser::new(&api)] {
        again.cookies.remove("sonnette");
        again.cookies.insert("sonnette-provider".to_owned(), begun.clone());
        assert!(over(&back(&mut again, &asked["state"]).await), "brought again");
        assert!(!again.cookies.contains_key("sonnette"));
    }
    provider.script(|script| assert_eq!(script.asked.len(), 1));

    for (query, says) in [
        ("error=access_denied&error_description=%3Cscript%3E", "did not sign you in"),
        ("code=", "could not be confirmed"),
        ("code=a-code&iss=http%3A%2F%2Fevil.example", "could not be confirmed"),
    ] {
        let mut browser = Browser::new(&api);
        let asked = there(&mut browser, "//evil.example").await;
        let seen = browser.get(&format!("/sign-in/callback?{query}&state={}", asked["state"])).await;
        assert!(seen.status < 500 && seen.says(says) && !seen.says("<script>"), "{query}: {seen:#?}");
        assert_eq!(seen.field("next"), "/");
    }
    provider.script(|script| assert_eq!(script.asked.len(), 1, "none of them was worth a question"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_nobody_has_is_told_who_can_add_it_and_nothing_is_made() {
    let provider = AtProvider::start().await;
    let (api, _dir) = provider.server().await;
    api.user("alice@example.com").await;
    let users = async || api.op("GET", "/users", Value::Null).await.text;
    let before = users().await;
    for (claims, says) in [
        (json!({"email": "<b>mallory@example.com"}), "told us no e-mail address"),
        (json!({"email": "mallory@example.com"}), "operator of this server can add you"),
        (json!({"email_verified": false}), "has not verified that alice@example.com is yours"),
    ] {
        provider.script(|script| script.claims = claims);
        let mut browser = Browser::new(&api);
        let refused = round(&provider, &mut browser).await;
        assert!(refused.status == 403 && refused.says(says), "{says}: {refused:#?}");
        assert!(!browser.cookies.contains_key("sonnette"));
    }
    assert_eq!(users().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_provider_is_away_the_page_says_so_and_a_link_still_signs_in() {
    let mut provider = AtProvider::start().await;
    let (api, _dir) = provider.server().await;
    api.user("alice@example.com").await;
    for (what, document) in [
        ("another issuer", json!({"issuer": "http://127.0.0.1:1"})),
        ("no URL", json!({"jwks_uri": 5})),
        ("keys elsewhere", json!({"jwks_uri": "http://127.0.0.1:1/jwks"})),
        ("a script", json!({"authorization_endpoint": "javascript:alert(1)"})),
    ] {
        let (api, _dir) = provider.server().await;
        provider.script(|script| script.document = document);
        let away = Browser::new(&api).get("/sign-in/provider?next=/events").await;
        assert!(away.status == 502 && away.says("Your provider did not answer"), "{what}: {away:#?}");
    }
    provider.script(|script| script.document = json!({}));
    let mut begun = Browser::new(&api);
    let asked = there(&mut begun, "/events").await;
    provider.script(|script| script.token = Some((500, json!({"sorry": true}))));
    let mut ill = Browser::new(&api);
    let state = there(&mut ill, "/events").await["state"].clone();
    assert_eq!(back(&mut ill, &state).await.status, 502);

    provider.serves.abort();
    assert!((&mut provider.serves).await.unwrap_err().is_cancelled());
    let away = back(&mut begun, &asked["state"]).await;
    assert!(away.status == 502 && away.says("Example ID did not answer"), "{away:#?}");
    let page = begun.get("/sign-in?next=/events").await;
    assert_eq!(page.status, 200);
    for page in [&away, &page] {
        let mut browser = Browser::new(&api);
        let token = browser.get("/sign-in").await;
        let fields = [("email", "alice@example.com"), ("next", page.field("next").leak() as &str)];
        let sent = browser.post("/sign-in", &fields, &token).await;
        assert!(sent.status == 200 && sent.says("a link is on its way"), "{sent:#?}");
    }
}

fn asked() -> Asked {
    Asked { state: "s".repeat(43), nonce: "n".repeat(43), verifier: "v".repeat(43) }
}

#[tokio::test]
async fn the_document_is_kept_for_an_hour_and_new_keys_are_looked_for_once_a_minute() {
    let at = AtProvider::start().await;
    let url: Url = "http://127.0.0.1:1/sign-in/callback".parse().unwrap();
    let provider = Provider::new(at.settings(), url, Guard::default()).unwrap();
    let documents = || at.script.lock().unwrap().documents;
    let (minute, hour) = (60_000, 3_600_000);
    provider.authorize(&asked(), 0).await.unwrap();
    provider.authorize(&asked(), hour - 1).await.unwrap();
    assert_eq!(documents(), 1);
    provider.authorize(&asked(), hour).await.unwrap();
    assert_eq!(documents(), 2);

    at.script(|script| {
        (script.signs, script.shows) = (1, vec![1]);
        script.claims = json!({"nonce": asked().nonce});
    });
    let early = provider.address("code", &asked(), hour + minute - 1).await;
    assert!(matches!(early, Err(Trouble::Refused(_))), "{early:?}");
    assert_eq!(documents(), 2);
    let found = provider.address("code", &asked(), hour + minute).await;
    assert_eq!(found, Ok("alice@example.com".to_owned()));
    assert_eq!(documents(), 3);

    let (mut others, later) = (Vec::new(), 3 * hour);
    at.script(|script| script.document = json!({"issuer": "http://127.0.0.1:1"}));
    for _ in 0..20 {
        others.push(provider.authorize(&asked(), later).await);
    }
    assert!(others.iter().all(|one| matches!(one, Err(Trouble::Away(_)))));
    assert_eq!(documents(), 4, "a failure is everybody's for five seconds");
    at.script(|script| script.document = json!({}));
    provider.authorize(&asked(), later + 5_000).await.unwrap();
}

#[tokio::test]
async fn the_issuer_may_be_on_this_machine_and_what_its_document_names_elsewhere_is_judged_as_a_webhook_is() {
    let (at, elsewhere) = (AtProvider::start().await, AtProvider::start().await);
    at.script(|script| script.document = json!({"jwks_uri": format!("http://{}/jwks", elsewhere.address)}));
    let url: Url = "http://127.0.0.1:1/sign-in/callback".parse().unwrap();
    let guarded = Provider::new(at.settings(), url.clone(), Guard::default()).unwrap();
    match guarded.authorize(&asked(), 0).await {
        Err(Trouble::Away(why)) => assert!(why.contains("delivery.allow_private"), "{why}"),
        other => panic!("{other:?}"),
    }
    let open = Guard { allow_private: true, ..Guard::default() };
    Provider::new(at.settings(), url, open).unwrap().authorize(&asked(), 0).await.unwrap();
}
