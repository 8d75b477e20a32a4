//! The console as a browser without JavaScript meets it.

use serde_json::{Value, json};

use crate::browser::{Acme, Browser, Seen, link};
use crate::letters::{ALICE, letters};

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_in_once_by_a_button_and_following_it_uses_nothing_up() {
    let acme = Acme::start().await;
    let mut browser = Browser::new(&acme.api);
    let asked = format!("/o/{}/webhooks?q=x", acme.id);
    let sent = browser.get(&asked).await;
    assert_eq!((sent.status, sent.location.starts_with("/sign-in?next=%2Fo%2F")), (303, true), "{sent:#?}");
    assert_eq!(
        browser.get(&sent.location).await.field("next"),
        asked,
        "one comes back to the page asked for"
    );

    let link = link(&acme.api, "ALICE@example.com").await;
    let mut page = browser.get(&link).await;
    for _ in 0..3 {
        page = browser.get(&link).await;
        assert!(page.status == 200 && page.says("Press the button"), "{page:#?}");
    }
    let fields = [("link", page.field("link")), ("next", asked.clone())];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let done = browser.post("/sign-in/open", &fields, &page).await;
    assert_eq!((done.status, done.location.as_str()), (303, asked.as_str()));
    let cookie = done.headers.get_all("set-cookie").iter().next().unwrap().to_str().unwrap();
    assert!(cookie.starts_with("sonnette=") && cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    assert_eq!(browser.get(&asked).await.status, 200);

    let mut other = Browser::new(&acme.api);
    let page = other.get(&link).await;
    let late = other.post("/sign-in/open", &fields, &page).await;
    assert!(
        late.status == 410 && late.says("used already") && late.html.contains("action=\"/sign-in\""),
        "{late:#?}"
    );
    let wrong = other.post("/sign-in/open", &[("link", "nonsense"), ("next", "//evil.example")], &page).await;
    assert!(wrong.status == 410 && wrong.says("has expired"), "{wrong:#?}");
    assert_eq!(wrong.field("next"), "/", "nobody is led elsewhere");
    assert!(!other.cookies.contains_key("sonnette"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_somebody_asks_for_comes_by_letter() {
    let acme = Acme::start().await;
    let mut browser = Browser::new(&acme.api);
    let page = browser.get("/sign-in?next=/events").await;
    let fields = [("email", "Alice@example.com"), ("next", "/events")];
    assert_eq!(browser.post("/sign-in", &fields, &page).await.status, 200);
    let letter = letters(&acme.api, ALICE, 1).await.remove(0);
    assert!(letter.contains("alice@example.com"), "{letter}");
    let link =
        letter.split(&format!("http://{}", acme.api.address)).nth(1).unwrap_or_else(|| panic!("{letter}"));
    let link = link.split(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>')).next().unwrap();
    let page = browser.get(link).await;
    let (given, next) = (page.field("link"), page.field("next"));
    let done = browser.post("/sign-in/open", &[("link", &given), ("next", &next)], &page).await;
    assert_eq!((done.status, done.location.as_str()), (303, "/events"), "{link}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_logs_in_once_somebody_agrees_and_gets_its_pair_once() {
    let acme = Acme::start().await;
    let token = "AbCdEfGhIjKlMnOpQrStUvWxYz0";
    let poll = async || {
        let path = format!("/v2/self/cli_tokens?cli_token={token}");
        acme.api.send("", "GET", &path, &[], "").await
    };
    let asked = format!("/cli-oauth?cli_version=4.11.0&cli_token={token}");
    let mut browser = Browser::new(&acme.api);
    assert!(browser.get(&asked).await.location.starts_with("/sign-in?next=%2Fcli-oauth"));
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let page = alice.get(&asked).await;
    assert!(page.says("alice@example.com") && page.says("4.11.0") && page.says("…vWxYz0"), "{page:#?}");
    assert_eq!(alice.get("/cli-oauth?cli_token=short").await.status, 404);
    assert_eq!(poll().await.status, 404);
    assert_eq!(
        alice.raw("/cli-oauth", &[], &[("cli_token", token)]).await.status,
        409,
        "without the session's token"
    );
    assert_eq!(poll().await.status, 404);
    let done = alice.post("/cli-oauth", &[("cli_token", token)], &page).await;
    assert!(done.status == 200 && done.says("is logged in"), "{done:#?}");
    let pair = poll().await.body;
    assert_eq!(pair["expirationDate"], "2099-12-31T23:59:59+00:00", "version 4 reads a text only");
    let pair = format!("{}.{}", pair["token"].as_str().unwrap(), pair["secret"].as_str().unwrap());
    assert_eq!(acme.api.call(&pair, "GET", "/me", Value::Null).await.body["email"], "alice@example.com");
    assert_eq!(poll().await.status, 404, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_here_or_everywhere() {
    let acme = Acme::start().await;
    let (mut one, mut two) = (
        Browser::of(&acme.api, "alice@example.com").await,
        Browser::of(&acme.api, "alice@example.com").await,
    );
    let home = one.get("/").await.location;
    let kept = one.cookies.clone();
    let page = one.get(&home).await;
    assert_eq!(one.post("/sign-out", &[], &page).await.status, 303);
    one.cookies = kept;
    assert_eq!(one.get(&home).await.status, 303, "the cookie opens nothing any more");
    assert_eq!(two.get(&home).await.status, 200);
    let mut three = Browser::of(&acme.api, "alice@example.com").await;
    let page = three.get(&home).await;
    three.post("/sign-out", &[("everywhere", "1")], &page).await;
    assert_eq!(two.get(&home).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_an_address_is_known_is_not_said_and_links_are_not_sent_without_end() {
    let acme = Acme::start().await;
    let mut browser = Browser::new(&acme.api);
    let page = browser.get("/sign-in").await;
    let ask = async |browser: &mut Browser<'_>, email: &str| {
        let seen = browser.post("/sign-in", &[("email", email), ("next", "/")], &page).await;
        (seen.status, seen.text().replace(email, "THEM"))
    };
    let known = ask(&mut browser, "alice@example.com").await;
    assert_eq!(known, ask(&mut browser, "nobody@example.com").await);
    assert!(known.0 == 200 && known.1.contains("If THEM belongs to somebody here"));
    assert_eq!(ask(&mut browser, "no address").await.0, 400);
    let mut last = 200;
    for _ in 0..4 {
        last = ask(&mut browser, "Nobody@example.com").await.0;
    }
    assert_eq!(last, 429);
    assert_eq!(ask(&mut browser, "alice@example.com").await.0, 200, "others are not kept waiting");
    let mut unknown = acme.api.op("POST", "/sign-in-links", json!({"email": "nobody@example.com"})).await;
    assert_eq!((unknown.status, unknown.body["field"].take()), (400, json!("email")));
    let (_, pair) = acme.api.user("carol@example.com").await;
    assert_eq!(
        acme.api.call(&pair, "POST", "/sign-in-links", json!({"email": "alice@example.com"})).await.status,
        403
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_session_or_another_site_changes_nothing() {
    let acme = Acme::start().await;
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let list = format!("/o/{}/emails", acme.id);
    let page = alice.get(&list).await;
    let hook = page.html.split("/pause").next().unwrap().rsplit('/').next().unwrap().to_owned();
    let (pause, token) = (format!("{list}/{hook}/pause"), page.field("token"));
    let fields = [("token", token.as_str())];

    let missing = alice.raw(&pause, &[], &[]).await;
    assert!(missing.status == 409 && missing.says("out of date"), "{missing:#?}");
    let mut other = Browser::of(&acme.api, "alice@example.com").await;
    assert_eq!(other.raw(&pause, &[], &fields).await.status, 409, "another session's token");
    for header in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
    ] {
        let seen = alice.raw(&pause, &[header], &fields).await;
        assert!(seen.status == 403 && seen.says("another site"), "{header:?} {seen:#?}");
    }
    let states = acme.api.op("GET", &format!("/owners/{}/hooks", acme.id), Value::Null).await;
    assert!(states.body["items"].as_array().unwrap().iter().all(|hook| hook["state"] == "enabled"));

    let origin = format!("http://{}", acme.api.address);
    for header in [("sec-fetch-site", "same-origin"), ("origin", origin.as_str()), ("origin", "null")] {
        let seen = alice.raw(&pause, &[header], &fields).await;
        assert_eq!((seen.status, seen.location), (303, format!("{list}?said=paused")), "{header:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_change_hooks_is_told_who_can_and_refused() {
    let acme = Acme::start().await;
    let mut bob = Browser::of(&acme.api, "bob@example.com").await;
    let list = format!("/o/{}/emails", acme.id);
    let page = bob.get(&list).await;
    assert!(page.status == 200 && page.says("Only alice@example.com can change"), "{page:#?}");
    for never in ["/new\"", "/pause\"", "/delete\"", "/resume\""] {
        assert!(!page.html.contains(never), "{never} is offered");
    }
    let hooks = acme.api.op("GET", &format!("/owners/{}/hooks", acme.id), Value::Null).await;
    let hook = hooks.body["items"][0]["id"].as_str().unwrap().to_owned();
    for (path, get) in [("/new", true), ("", false), ("/preview", false), ("/resources", false)] {
        let path = format!("{list}{path}");
        let seen = if get { bob.get(&path).await } else { bob.post(&path, &[], &page).await };
        assert!(seen.status == 403 && seen.says("Only alice@example.com can change"), "{path} {seen:#?}");
    }
    for action in ["pause", "resume", "delete"] {
        let seen = bob.post(&format!("{list}/{hook}/{action}"), &[], &page).await;
        assert_eq!(seen.status, 403, "{action}");
    }
    let (carol, _) = acme.api.user("carol@example.com").await;
    for owner in [&acme.id, &carol, "orga_99999999-2222-4222-8222-222222222222", "nonsense"] {
        let mut stranger = Browser::of(&acme.api, "bob@example.com").await;
        let seen = stranger.get(&format!("/o/{owner}/webhooks")).await;
        assert_eq!(seen.status, if *owner == acme.id { 200 } else { 404 }, "{owner}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_added_by_its_url_alone_edited_paused_resumed_and_deleted() {
    let acme = Acme::start().await;
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let list = format!("/o/{}/webhooks", acme.id);
    assert!(alice.get(&list).await.says("No webhooks"));
    let form = alice.get(&format!("{list}/new")).await;
    let url = "https://hooks.slack.com/services/T0/B0/abcdefghijklmnopqrstuvwx";
    let fields =
        [("url.0", url), ("format.0", ""), ("id.0", ""), ("name", ""), ("events", "META_DEPLOYMENT_RESULT")];
    let seen = alice.post(&format!("{list}/preview"), &fields, &form).await;
    assert!(
        seen.says("Recognised: Slack") && seen.says("POST https://hooks.slack.com/services/…uvwx"),
        "{seen:#?}"
    );
    let added = alice.post(&list, &fields, &form).await;
    assert_eq!(added.status, 303, "{added:#?}");
    let hooks = acme.hooks("webhook").await;
    assert_eq!((&hooks[0]["name"], &hooks[0]["urls"][0]["format"]), (&json!("To Slack"), &json!("slack")));
    assert_eq!(hooks[0]["events"], json!(["META_DEPLOYMENT_RESULT"]));
    let there = alice.get(&added.location).await;
    assert_eq!(there.location, format!("{list}?said=added"), "a chat has no secret to verify with");
    let page = alice.get(&list).await;
    assert!(
        page.says("Result of deployments (success/fail)") && !page.html.contains("abcdefghij"),
        "{page:#?}"
    );

    let edit = format!("{list}/{}", hooks[0]["id"].as_str().unwrap());
    let form = alice.get(&edit).await;
    let (version, id, masked) = (form.field("version"), form.field("id.0"), form.field("url.0"));
    let app = acme.resource("shop").await;
    let fields = [
        ("version", version.as_str()),
        ("id.0", &id),
        ("url.0", &masked),
        ("format.0", "slack"),
        ("name", "Chat"),
        ("scope", &app),
    ];
    let saved = alice.post(&edit, &fields, &form).await;
    assert_eq!((saved.status, saved.location), (303, format!("{list}?said=saved")), "{}", saved.html);
    let hook = acme.hooks("webhook").await.remove(0);
    assert_eq!(
        (&hook["name"], &hook["events"], &hook["scope"]),
        (&json!("Chat"), &Value::Null, &json!([app]))
    );
    assert_eq!(
        (hook["urls"][0]["id"].as_str(), hook["urls"][0]["url"].as_str()),
        (Some(id.as_str()), Some(masked.as_str()))
    );

    let page = alice.get(&list).await;
    alice.post(&format!("{edit}/pause"), &[], &page).await;
    let event = json!({"event": "DEPLOYMENT_FAIL", "ownerId": acme.id, "data": {"appId": app}});
    assert_eq!(acme.api.op("POST", "/events", event).await.status, 202);
    let page = alice.get(&list).await;
    assert!(page.says("Paused") && page.says("held: 1"), "{page:#?}");
    let asked = alice.get(&format!("{edit}/resume")).await;
    assert!(asked.says("1 deliveries were held") && asked.html.contains("value=\"skip\""), "{asked:#?}");
    alice.post(&format!("{edit}/resume"), &[("held", "skip")], &asked).await;
    assert_eq!(acme.hooks("webhook").await[0]["state"], "enabled");

    let asked = alice.get(&format!("{edit}/delete")).await;
    assert!(asked.says("Delete “Chat”?"), "{asked:#?}");
    alice.post(&format!("{edit}/delete"), &[], &asked).await;
    assert!(acme.hooks("webhook").await.is_empty());
    assert_eq!(alice.get(&edit).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_points_a_webhook_at_another_host_asks_for_its_credentials_again() {
    let acme = Acme::start().await;
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let list = format!("/o/{}/webhooks", acme.id);
    let key = "k".repeat(32);
    let (here, there) = ("http://127.0.0.1:8999/api/v1/messages", "http://127.0.0.1:8998/api/v1/messages");
    let given = json!({"email": "bot@example.com", "key": key, "channel": "ops"});
    let hook =
        json!({"kind": "webhook", "name": "n", "urls": [{"format": "zulip", "url": here, "fields": given}]});
    let made = acme.api.op("POST", &format!("/owners/{}/hooks", acme.id), hook).await;
    let edit = format!("{list}/{}", made.id());
    let form = alice.get(&edit).await;
    let (version, id) = (form.field("version"), form.field("id.0"));
    assert_eq!(form.field("field.0.zulip.key"), "…");
    let fields = |url: &'static str, key: &'static str, button: &'static str| {
        [
            ("version", version.clone()),
            ("id.0", id.clone()),
            ("hook", made.id()),
            ("url.0", url.to_owned()),
            ("format.0", "zulip".to_owned()),
            ("field.0.zulip.email", "bot@example.com".to_owned()),
            ("field.0.zulip.key", key.to_owned()),
            ("field.0.zulip.channel", "ops".to_owned()),
            ("name", "n".to_owned()),
            (button, "1".to_owned()),
        ]
    };
    for (path, url, key, button, status, complains) in [
        (&edit, there, "…", "save", 422, true),
        (&edit, there, "…", "test", 422, true),
        (&format!("{list}/preview"), there, "…", "", 200, true),
        (&format!("{list}/preview"), here, "…", "", 200, false),
        (&edit, "http://127.0.0.1:8999/api/v1/messages?a=b", "…", "save", 303, false),
    ] {
        let all = fields(url, key, button);
        let all: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let seen = alice.post(path, &all, &form).await;
        assert_eq!((seen.status, seen.says("`key`")), (status, complains), "{path} {url} {button} {seen:#?}");
        assert!(!seen.html.contains(&"k".repeat(32)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_e_mail_hook_of_ones_own_replaces_the_default_one() {
    let acme = Acme::start().await;
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let list = format!("/o/{}/emails", acme.id);
    let page = alice.get(&list).await;
    assert!(
        page.says("Default deployment result e-mails") && page.says("the whole organisation"),
        "{page:#?}"
    );
    let hook = page.html.split("/pause").next().unwrap().rsplit('/').next().unwrap().to_owned();
    let asked = alice.get(&format!("{list}/{hook}/delete")).await;
    assert!(asked.says("no longer written to about: Result of deployments (success/fail)"), "{asked:#?}");
    alice.post(&format!("{list}/{hook}/delete"), &[], &asked).await;

    let (one, two) = (acme.resource("one").await, acme.resource("two").await);
    let form = alice.get(&format!("{list}/new")).await;
    assert!(form.html.contains(&one) && form.says("[Acme] Deployment of"), "{form:#?}");
    let fields = [
        ("everyone", "1"),
        ("name", "Mine"),
        ("addresses", "pager@example.net\nops@example.net"),
        ("events", "META_DEPLOYMENT_RESULT"),
        ("scope", &one),
        ("scope", &two),
    ];
    let added = alice.post(&list, &fields, &form).await;
    assert_eq!((added.status, added.location), (303, format!("{list}?said=added")), "{}", added.html);
    let hook = acme.hooks("email").await.remove(0);
    assert_eq!(hook["scope"], json!([one, two]));
    let address = |address: &str| json!({"type": "address", "address": address});
    assert_eq!(
        hook["targets"],
        json!([{"type": "organisation"}, address("pager@example.net"), address("ops@example.net")])
    );
    let letter = alice.get(&format!("{list}/letter?kind=DEPLOYMENT_SUCCESS&hook=Mine")).await;
    let policy = letter.headers["content-security-policy"].to_str().unwrap();
    assert!(letter.status == 200 && policy.contains("sandbox") && !policy.contains("script"), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_cannot_be_saved_keeps_what_was_typed_and_says_why_beside_the_field() {
    let acme = Acme::start().await;
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let hooks = format!("/o/{}/webhooks", acme.id);
    let emails = format!("/o/{}/emails", acme.id);
    let long = "x".repeat(201);
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [Case<'_>; 6] = [
        (
            &hooks,
            &[("url.0", "ftp://x.example/"), ("name", "Kept <1>")],
            "url-0-error",
            "must begin with http:// or https://",
        ),
        (&hooks, &[("url.0", ""), ("name", "Kept <1>")], "url-0-error", "Paste the URL"),
        (&hooks, &[("url.0", "https://x.example/"), ("name", &long)], "name-error", "1 to 200 bytes"),
        (
            &emails,
            &[("addresses", "no address"), ("name", "Kept <1>")],
            "recipients-error",
            "“no address” is not an e-mail address",
        ),
        (&emails, &[("name", "Kept <1>")], "recipients-error", "at least one recipient"),
        (
            &hooks,
            &[("url.0", "https://x.example/"), ("events", "NOT_ANY_MORE"), ("name", "Kept <1>")],
            "only",
            "does not exist any more",
        ),
    ];
    for (list, fields, place, words) in cases {
        let form = alice.get(&format!("{list}/new")).await;
        let seen = alice.post(list, fields, &form).await;
        assert!(
            seen.status == 422 && seen.html.to_lowercase().contains(place) && seen.says(words),
            "{fields:?} {seen:#?}"
        );
        for (name, value) in fields.iter().filter(|(name, _)| *name == "name" || *name == "url.0") {
            assert_eq!(seen.field(name), *value);
        }
    }
    assert!(acme.hooks("webhook").await.is_empty() && acme.hooks("email").await.is_empty());

    let (bob, _) = acme.api.user("luc@example.com").await;
    acme.api.op("PUT", &format!("/users/{bob}"), json!({"lang": "fr"})).await;
    let mut luc = Browser::of(&acme.api, "luc@example.com").await;
    let list = format!("/o/{bob}/webhooks");
    let form = luc.get(&format!("{list}/new")).await;
    assert!(
        form.html.contains("<html lang=\"fr\">")
            && form.says("N’envoyer de notification que pour ces événements")
    );
    let seen = luc.post(&list, &[("url.0", "https://x.example/#a")], &form).await;
    assert!(seen.says("elle ne doit pas contenir de fragment"), "{seen:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_whose_hook_was_changed_or_deleted_meanwhile_says_so_and_loses_nothing() {
    let acme = Acme::start().await;
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let list = format!("/o/{}/webhooks", acme.id);
    let made = json!({"kind": "webhook", "name": "Before", "urls": [{"url": "https://x.example/"}]});
    let hook = acme.api.op("POST", &format!("/owners/{}/hooks", acme.id), made).await.id();
    let edit = format!("{list}/{hook}");
    let form = alice.get(&edit).await;
    let (id, version) = (form.field("id.0"), form.field("version"));
    let fields = |version: &str| {
        [
            ("version", version),
            ("id.0", &id),
            ("url.0", "https://x.example/"),
            ("format.0", "raw"),
            ("name", "Typed"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let send = async |alice: &mut Browser<'_>, path: &str, version: &str, of: &Seen| {
        let fields = fields(version);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        alice.post(path, &fields, of).await
    };
    let other = json!({"name": "Elsewhere", "urls": [{"id": id, "url": "https://y.example/"}]});
    assert_eq!(acme.api.op("PUT", &format!("/hooks/{hook}"), other).await.status, 200);
    let seen = send(&mut alice, &edit, &version, &form).await;
    assert!(seen.says("Somebody changed this notification") && seen.field("name") == "Typed", "{seen:#?}");
    assert_eq!(acme.hooks("webhook").await[0]["name"], "Elsewhere");
    let again = send(&mut alice, &edit, &seen.field("version"), &seen).await;
    assert_eq!((again.status, &acme.hooks("webhook").await[0]["name"]), (303, &json!("Typed")));

    acme.api.op("DELETE", &format!("/hooks/{hook}"), Value::Null).await;
    let seen = send(&mut alice, &edit, &version, &form).await;
    assert!(seen.says("Somebody deleted this notification") && seen.field("name") == "Typed", "{seen:#?}");
    assert!(seen.html.contains(&format!("action=\"{list}\"")), "{seen:#?}");
    let stale =
        alice.raw(&list, &[], &[("url.0", "https://x.example/"), ("name", "Typed"), ("token", "old")]).await;
    assert!(stale.says("You signed in again") && stale.field("name") == "Typed", "{stale:#?}");
    assert!(acme.hooks("webhook").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_never_becomes_markup() {
    let acme = Acme::start().await;
    let hostile = r#""><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}"#;
    let owner = acme.api.organisation(hostile).await;
    let user =
        acme.api.op("GET", "/users", Value::Null).await.body["items"][0]["id"].as_str().unwrap().to_owned();
    acme.api.op("PUT", &format!("/users/{user}"), json!({"name": hostile})).await;
    acme.api.op("PUT", &format!("/organisations/{owner}/members/{user}"), json!({"role": "ADMIN"})).await;
    let email = acme.api.op("GET", &format!("/users/{user}"), Value::Null).await.body["email"]
        .as_str()
        .unwrap()
        .to_owned();
    let app = acme
        .api
        .op("POST", &format!("/owners/{owner}/resources"), json!({"kind": "application", "name": hostile}))
        .await
        .id();
    let data = json!({"appId": app, "name": hostile, "commit": hostile, "branch": hostile});
    let event = json!({"event": "DEPLOYMENT_SUCCESS", "ownerId": owner, "authorId": user, "data": data});
    assert_eq!(acme.api.op("POST", "/events", event).await.status, 202);
    for (kind, more) in [
        ("webhook", json!({"urls": [{"url": "https://x.example/?q=<script>"}]})),
        ("email", json!({"targets": [{"type": "user", "user": user}]})),
    ] {
        let mut hook = json!({"kind": kind, "name": hostile, "scope": [app]});
        hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = acme.api.op("POST", &format!("/owners/{owner}/hooks"), hook).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let mut browser = Browser::of(&acme.api, &email).await;
    for sort in ["webhooks", "emails"] {
        let list = format!("/o/{owner}/{sort}");
        let page = browser.get(&list).await;
        let hooks: Vec<_> = page
            .html
            .split("/pause\"")
            .filter_map(|part| part.rsplit('/').next())
            .map(str::to_owned)
            .collect();
        let hook = hooks[hooks.len().saturating_sub(2)].clone();
        let mut paths = vec![list.clone(), format!("{list}/new"), format!("{list}?q=%22%3E%3Cscript%3E")];
        paths.extend(["", "/resume", "/delete"].map(|rest| format!("{list}/{hook}{rest}")));
        paths.push("/account".to_owned());
        for path in paths {
            let seen = browser.get(&path).await;
            assert_eq!(seen.status, 200, "{path}");
            assert!(
                !seen.html.contains("<script>") && !seen.html.contains("<img src=x"),
                "{path}: {}",
                seen.html
            );
            let policy = seen.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        }
        let form = browser.get(&format!("{list}/new")).await;
        let fields =
            [("name", hostile), ("url.0", "https://x.example/"), ("addresses", hostile), ("find", hostile)];
        for path in ["/preview", "/resources", ""] {
            let seen = browser.post(&format!("{list}{path}"), &fields, &form).await;
            assert!(
                !seen.html.contains("<script>") && !seen.html.contains("<img src=x"),
                "{path}: {}",
                seen.html
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_to_whoever_made_it_and_rotated_with_a_chosen_overlap() {
    let acme = Acme::start().await;
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let list = format!("/o/{}/webhooks", acme.id);
    let form = alice.get(&format!("{list}/new")).await;
    let added = alice.post(&list, &[("url.0", "https://x.example/in"), ("name", "")], &form).await;
    let page = alice.get(&added.location).await;
    let secret = |page: &Seen| {
        let (_, rest) = page.html.split_once("id=\"secret\"")?;
        Some(rest.split('<').next().unwrap().to_owned())
    };
    let first = secret(&page).unwrap_or_else(|| panic!("{page:#?}"));
    assert_eq!(acme.hooks("webhook").await[0]["name"], "To x.example");
    let path = added.location.split('?').next().unwrap().to_owned();
    let mut other = Browser::of(&acme.api, "alice@example.com").await;
    let elsewhere = other.get(&path).await;
    assert!(elsewhere.says("not shown again") && secret(&elsewhere).is_none(), "{elsewhere:#?}");
    let rotated = alice.post(&path, &[("hours", "168")], &page).await;
    let page = alice.get(&rotated.location).await;
    assert!(page.says("still signs until"), "{page:#?}");
    assert_ne!(secret(&page), Some(first));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_applications_are_searched_and_what_is_chosen_stays() {
    let acme = Acme::start().await;
    let id = |n: usize| format!("app_00000000-0000-4000-8000-{n:012}");
    let lines = (0..5_000).map(|n| {
        json!({"resource": {"id": id(n), "owner": acme.id, "name": format!("app-{n:04}")}}).to_string()
    });
    let lines: Vec<_> = lines.collect();
    let made = acme
        .api
        .send(
            &acme.api.operator,
            "POST",
            "/api/v1/import",
            &[("content-type", "application/x-ndjson")],
            lines.join("\n"),
        )
        .await;
    assert_eq!(made.status, 200, "{made:?}");
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let list = format!("/o/{}/webhooks", acme.id);
    let form = alice.get(&format!("{list}/new")).await;
    assert!(form.html.len() < 60_000 && form.says("4,950 more"), "{}", form.html.len());
    let account = alice.get("/account").await;
    assert!(account.html.len() < 60_000 && account.says("4,950 more"), "{}", account.html.len());
    let chosen = id(4_999);
    let fields =
        [("scope", chosen.as_str()), ("find", "APP-017"), ("url.0", "https://x.example/"), ("look", "1")];
    let found = alice.post(&list, &fields, &form).await;
    let boxes = |html: &str, ticked: bool| {
        let named = html.split("<input").filter(|part| part.contains("name=\"scope\""));
        named.filter(|part| part.split('>').next().unwrap().contains("checked") == ticked).count()
    };
    assert_eq!((boxes(&found.html, true), boxes(&found.html, false)), (1, 10), "{found:#?}");
    assert!(
        found.html.contains(&format!("value=\"{chosen}\" checked")) && acme.hooks("webhook").await.is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn style_and_script_are_kept_for_ever_and_what_is_nowhere_is_said_to_each_in_their_way() {
    let acme = Acme::start().await;
    let mut browser = Browser::new(&acme.api);
    let page = browser.get("/sign-in").await;
    let assets: Vec<_> =
        page.html.split('"').filter(|part| part.starts_with("/assets/")).map(str::to_owned).collect();
    assert!(assets.len() >= 3, "{assets:?}");
    let mut bytes = page.html.len();
    for path in &assets {
        let seen = browser.get(path).await;
        assert!(
            seen.status == 200 && seen.headers["cache-control"].to_str().unwrap().contains("immutable"),
            "{path}"
        );
        bytes += seen.html.len();
    }
    assert!(bytes < 60_000, "{bytes} bytes on the first load");
    assert_eq!(browser.get("/assets/console.old.css").await.status, 404);
    let nowhere = browser.get("/nowhere").await;
    assert!(nowhere.status == 404 && nowhere.says("There is nothing here"), "{nowhere:#?}");
    let api = acme.api.op("GET", "/nowhere", Value::Null).await;
    assert_eq!((api.status, api.content_type.as_str()), (404, "application/problem+json"));
}
