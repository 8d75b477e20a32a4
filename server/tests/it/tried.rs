//! Hooks tried out in the console, saved or not.

use serde_json::{Value, json};

use crate::browser::{Acme, Browser};
use crate::hearer::Hearer;
use crate::letters::{ALICE, letters};

/// Fields of a new webhook that posts there.
fn webhook_to(url: &str) -> Vec<(&'static str, String)> {
    vec![("url.0", url.to_owned()), ("format.0", String::new()), ("name", "Kept <1>".to_owned())]
}

/// The same, tried and not saved.
fn tried(mut fields: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    fields.push(("test", "1".to_owned()));
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_tried_before_it_is_saved_and_what_was_typed_stays() {
    let acme = Acme::start().await;
    let mut receiver =
        Hearer::answering(|heard| (410, format!("<script>alert(1)</script> {}", heard.line))).await;
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let list = format!("/o/{}/webhooks", acme.id);
    let form = alice.get(&format!("{list}/new")).await;
    assert!(form.html.contains("name=\"test\" value=\"1\" data-place=\"#tested\">Test<"), "{form:#?}");
    let fields = tried(webhook_to(&format!("{}/in", receiver.url)));
    let seen = alice.fill(&list, &fields, &form).await;
    let heard = receiver.next().await;
    assert!(heard.line == "POST /in" && heard.header("webhook-id").starts_with("test_dlv_"), "{heard:?}");
    assert_eq!(seen.status, 200, "{seen:#?}");
    for words in [
        "Failed",
        "The destination is gone.",
        "410",
        "The reply",
        "What was sent",
        "Connected",
        "In all",
        "POST /in",
    ] {
        assert!(seen.says(words), "{words}: {seen:#?}");
    }
    assert!(
        seen.says(&heard.body) && seen.says(heard.header("webhook-signature")),
        "the bytes that were sent"
    );
    assert!(!seen.html.contains("<script>alert"), "{seen:#?}");
    assert_eq!(
        (seen.field("name"), seen.field("url.0")),
        ("Kept <1>".to_owned(), format!("{}/in", receiver.url))
    );

    let part = alice.fetch(&list, &fields, &form).await;
    assert_eq!(receiver.next().await.line, "POST /in");
    assert!(part.status == 200 && part.headers.contains_key("x-fragment"), "{part:#?}");
    assert!(
        part.says("The reply") && !part.html.contains("<html") && !part.html.contains("<script>"),
        "{part:#?}"
    );

    for (url, place, words) in
        [("ftp://x.example/", "url-0-error", "http:// or https://"), ("", "url-0-error", "Paste the URL")]
    {
        let seen = alice.fill(&list, &tried(webhook_to(url)), &form).await;
        assert!(seen.status == 422 && seen.html.contains(place) && seen.says(words), "{seen:#?}");
        assert_eq!(seen.field("name"), "Kept <1>");
        let part = alice.fetch(&list, &tried(webhook_to(url)), &form).await;
        assert!(
            part.status == 422 && part.says(words) && part.headers.contains_key("x-fragment"),
            "{part:#?}"
        );
    }
    let stale = [("token", "old"), ("url.0", receiver.url.as_str()), ("test", "1")];
    let stale = alice.raw(&list, &[("x-fragment", "1")], &stale).await;
    assert!(stale.says("You signed in again") && !stale.headers.contains_key("x-fragment"), "{stale:#?}");
    let mut bob = Browser::of(&acme.api, "bob@example.com").await;
    let page = bob.get(&list).await;
    assert_eq!(bob.fill(&list, &fields, &page).await.status, 403);
    assert!(receiver.rest().is_empty(), "nothing else was sent");
    assert!(acme.hooks("webhook").await.is_empty(), "nothing was saved");
    let sent = acme.api.op("GET", &format!("/deliveries?owner={}", acme.id), Value::Null).await;
    assert_eq!(sent.body["items"], json!([]), "a test is no delivery");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_webhook_is_tried_from_its_list_and_from_its_form_with_the_url_that_is_kept() {
    let acme = Acme::start().await;
    let mut receiver = Hearer::new().await;
    let url = format!("{}/services/T0/B0/verysecretverysecret", receiver.url);
    let hook = json!({"kind": "webhook", "name": "Told & <b>", "urls": [{"format": "slack", "url": url}]});
    let hook = acme.api.op("POST", &format!("/owners/{}/hooks", acme.id), hook).await.id();
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let list = format!("/o/{}/webhooks", acme.id);
    let page = alice.get(&list).await;
    let test = format!("{list}/{hook}/test");
    assert!(
        page.html.contains(&format!("action=\"{test}\""))
            && page.html.contains(&format!("id=\"tested-{hook}\"")),
        "{page:#?}"
    );
    let seen = alice.fill(&test, &[], &page).await;
    assert!(seen.status == 200 && seen.says("Test of “Told & <b>”") && seen.says("Delivered"), "{seen:#?}");
    let part = alice.fetch(&test, &[], &page).await;
    assert!(part.says("Delivered") && !part.html.contains("<html"), "{part:#?}");
    let edit = format!("{list}/{hook}");
    let form = alice.get(&edit).await;
    let fields = ["id.0", "url.0", "version"].map(|name| (name, form.field(name)));
    let fields = [&fields[..], &[("format.0", "slack".to_owned()), ("name", "Typed".to_owned())]].concat();
    let from_form = alice.fill(&edit, &tried(fields), &form).await;
    assert!(from_form.says("Delivered") && from_form.field("name") == "Typed", "{from_form:#?}");
    for _ in 0..3 {
        assert_eq!(receiver.next().await.line, "POST /services/T0/B0/verysecretverysecret");
    }
    for seen in [seen, part, from_form] {
        assert!(!seen.says("verysecretvery"), "{seen:#?}");
    }
    assert_eq!(acme.hooks("webhook").await[0]["name"], "Told & <b>");
    let stale = alice.raw(&test, &[("x-fragment", "1")], &[("token", "old")]).await;
    assert!(stale.status == 409 && !stale.headers.contains_key("x-fragment"), "{stale:#?}");
    let elsewhere = alice.fill(&format!("/o/{}/emails/{hook}/test", acme.id), &[], &page).await;
    assert_eq!(elsewhere.status, 404);
    assert!(receiver.rest().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_letters_goes_to_whoever_asks_and_to_nobody_else() {
    let acme = Acme::start().await;
    let users = acme.api.op("GET", "/users", Value::Null).await;
    let users = users.body["items"].as_array().unwrap();
    let alice =
        users.iter().find(|user| user["email"] == "alice@example.com").unwrap()["id"].as_str().unwrap();
    acme.api.op("PUT", &format!("/users/{alice}"), json!({"lang": "fr"})).await;
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let list = format!("/o/{}/emails", acme.id);
    let form = alice.get(&format!("{list}/new")).await;
    assert!(form.says("M’envoyer un test"), "{form:#?}");
    let fields = vec![
        ("everyone", "1".to_owned()),
        ("addresses", "ext@example.net".to_owned()),
        ("name", "À tous".to_owned()),
    ];
    let seen = alice.fill(&list, &tried(fields), &form).await;
    assert!(seen.status == 200 && seen.says("Livré") && seen.says("Ce qui a été envoyé"), "{seen:#?}");
    assert!(seen.says("To: alice@example.com") && seen.field("name") == "À tous", "{seen:#?}");
    let letter = letters(&acme.api, ALICE, 1).await.remove(0);
    assert!(letter.contains("To: alice@example.com") && letter.contains("<test_dlv_"), "{letter}");
    assert_eq!(std::fs::read_dir(acme.api.mail()).unwrap().count(), 1, "one letter, to one");
    // The letter shown beside the form is the one that was sent.
    let subject = letter.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
    assert!(seen.says(subject), "{subject}");
    let page = alice.get(&list).await;
    let born = page.html.split("/test\"").next().unwrap().rsplit('/').next().unwrap().to_owned();
    let part = alice.fetch(&format!("{list}/{born}/test"), &[], &page).await;
    assert!(part.says("Livré") && part.says("To: alice@example.com"), "{part:#?}");
    assert!(acme.hooks("email").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_tests_are_refused_with_when_to_come_again_and_nothing_is_lost() {
    let acme = Acme::start().await;
    let mut receiver = Hearer::new().await;
    let mut alice = Browser::of(&acme.api, "alice@example.com").await;
    let list = format!("/o/{}/webhooks", acme.id);
    let form = alice.get(&format!("{list}/new")).await;
    let fields = tried(webhook_to(&receiver.url));
    for _ in 0..10 {
        assert_eq!(alice.fetch(&list, &fields, &form).await.status, 200);
    }
    let part = alice.fetch(&list, &fields, &form).await;
    assert!(part.status == 429 && part.says("Too many tests in a minute. Try again in"), "{part:#?}");
    let seen = alice.fill(&list, &fields, &form).await;
    assert!(
        seen.status == 429 && seen.says("Too many tests") && seen.field("name") == "Kept <1>",
        "{seen:#?}"
    );
    assert_eq!(receiver.rest().len(), 10);
}
