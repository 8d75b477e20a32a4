//! What a person wants by e-mail: on their own page and by the API, and what becomes of their letters.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Api;
use crate::browser::{Browser, Seen};
use crate::letters::{letters, path};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";

/// Two members of an organisation that writes to both about everything, and an organisation of somebody else.
struct Told {
    api: Api,
    acme: String,
    hook: String,
    web: String,
    bob: String,
    pair: String,
    foreign: String,
}

impl Told {
    async fn start() -> Self {
        let api = Api::start().await;
        let (acme, other) = (api.organisation("Acme").await, api.organisation("Other").await);
        for owner in [&acme, &other] {
            let hooks = api.op("GET", &format!("/owners/{owner}/hooks"), Value::Null).await;
            for hook in hooks.body["items"].as_array().unwrap() {
                api.op("DELETE", &format!("/hooks/{}", hook["id"].as_str().unwrap()), Value::Null).await;
            }
        }
        let (alice, _) = api.user(ALICE).await;
        let (bob, pair) = api.user(BOB).await;
        for (user, role) in [(&alice, "ADMIN"), (&bob, "DEVELOPER")] {
            api.op("PUT", &format!("/organisations/{acme}/members/{user}"), json!({"role": role})).await;
        }
        let hook = json!({"kind": "email", "name": "All of it", "targets": [{"type": "organisation"}]});
        let hook = api.op("POST", &format!("/owners/{acme}/hooks"), hook).await.id();
        let made = async |owner: &str, name: &str| {
            let resource = json!({"kind": "application", "name": name});
            api.op("POST", &format!("/owners/{owner}/resources"), resource).await.id()
        };
        let (web, foreign) = (made(&acme, "web").await, made(&other, "theirs").await);
        Self { acme, hook, web, bob, pair, foreign, api }
    }

    /// What became of an event's letters, by address.
    async fn outcomes(&self, kind: &str, data: Value) -> BTreeMap<String, String> {
        let event = json!({"event": kind, "ownerId": self.acme, "data": data});
        let event = self.api.op("POST", "/events", event).await.id();
        let read = async {
            loop {
                let list = self.api.op("GET", &format!("/deliveries?event={event}"), Value::Null).await;
                let items = list.body["items"].as_array().unwrap().clone();
                let is_over =
                    |one: &Value| matches!(one["state"].as_str().unwrap(), "delivered" | "cancelled");
                if items.len() >= 2 && items.iter().all(is_over) {
                    return items;
                }
                tokio::task::yield_now().await;
            }
        };
        let items = tokio::time::timeout(Duration::from_secs(20), read).await.expect("the letters end");
        let outcome = |one: &Value| {
            let word = if one["reason"].is_null() { &one["state"] } else { &one["reason"] };
            (one["recipient"]["address"].as_str().unwrap().to_owned(), word.as_str().unwrap().to_owned())
        };
        // What the house owes the admins finds that a hook writes to them, and has no reader.
        items.iter().filter(|one| !one["recipient"].is_null()).map(outcome).collect()
    }

    /// An event that only alice, or both, are written to about.
    async fn hears(&self, kind: &str, data: Value, bob: bool) {
        let word = if bob { "delivered" } else { "unsubscribed" };
        let expected = [(ALICE, "delivered"), (BOB, word)].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(self.outcomes(kind, data.clone()).await, expected.into(), "{kind} {data}");
    }
}

/// The boxes of a name: value and whether it is ticked.
fn boxes(page: &Seen, name: &str) -> BTreeMap<String, bool> {
    let tags = page.html.split("<input").map(|part| part.split('>').next().unwrap());
    let tags = tags.filter(|tag| tag.contains(&format!("name=\"{name}\"")));
    let value = |tag: &str| tag.split_once("value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    tags.map(|tag| (value(tag), tag.contains(" checked"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_unticks_on_their_page_is_no_longer_written_to_them_and_to_all_others_still() {
    let told = Told::start().await;
    let (api, web) = (&told.api, told.web.as_str());
    let mut bob = Browser::of(api, BOB).await;
    let page = bob.get("/account").await;
    assert!(page.says("All of it") && page.says("Acme · app_") && page.says("Always sent: "), "{page:#?}");
    let kinds = boxes(&page, "kinds");
    assert!(kinds.values().all(|ticked| *ticked) && kinds.contains_key("GIT_PUSH"), "{kinds:?}");
    assert!(!kinds.contains_key("HOOK_DISABLED") && !kinds.contains_key("SIGN_IN"), "{kinds:?}");
    assert_eq!(boxes(&page, "muted"), [(web.to_owned(), false)].into());
    let offered = page.field("offered");
    let mut fields = vec![("offered", offered.as_str()), ("muted", web)];
    fields.extend(kinds.keys().filter(|kind| *kind != "GIT_PUSH").map(|kind| ("kinds", kind.as_str())));
    let saved = bob.post("/account/mail", &fields, &page).await;
    assert_eq!((saved.status, saved.location.as_str()), (303, "/account?said=saved"), "{saved:#?}");
    let page = bob.get("/account").await;
    let unticked: Vec<_> = boxes(&page, "kinds").into_iter().filter(|(_, ticked)| !ticked).collect();
    assert_eq!(unticked, [("GIT_PUSH".to_owned(), false)]);
    assert_eq!(boxes(&page, "muted"), [(web.to_owned(), true)].into());

    told.hears("GIT_PUSH", json!({}), false).await;
    told.hears("CREDITS_ADDED", json!({}), true).await;
    told.hears("DEPLOYMENT_SUCCESS", json!({"appId": web}), false).await;
    told.hears("HOOK_DISABLED", json!({}), true).await;
    let list = format!("/o/{}/deliveries", told.acme);
    assert!(bob.get(&list).await.says("The person does not want these letters."));

    // The same state as the link of a letter edits, by a button; and the link's page leads here.
    let both = letters(api, BOB, 2).await;
    let letter = both.iter().find(|letter| letter.contains("/u/")).expect("not what cannot be refused");
    let link = Browser::new(api).get(&path(letter, "/u/")).await;
    assert!(
        link.says("Manage all your e-mails") && link.html.contains("href=\"/account#mail\""),
        "{link:#?}"
    );
    let stopped = bob.post("/account/mail/hooks", &[("stop", &told.hook)], &page).await;
    assert_eq!(stopped.location, "/account?said=stopped", "{stopped:#?}");
    let page = bob.get(&stopped.location).await;
    assert!(page.says("It does not write to you any more.") && page.html.contains("name=\"again\""));
    told.hears("CREDITS_ADDED", json!({}), false).await;
    let again = bob.post("/account/mail/hooks", &[("again", &told.hook)], &page).await;
    assert_eq!(again.location, "/account?said=again");
    told.hears("CREDITS_ADDED", json!({}), true).await;
    let alices =
        json!({"kind": "email", "name": "n", "targets": [{"type": "organisation", "roles": ["ADMIN"]}]});
    let alices = api.op("POST", &format!("/owners/{}/hooks", told.acme), alices).await.id();
    for hook in [alices.as_str(), "hook_nonsense", ""] {
        assert_eq!(bob.post("/account/mail/hooks", &[("stop", hook)], &page).await.status, 404, "{hook}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_e_mails_that_cannot_be_saved_keeps_what_was_typed_and_says_why_beside_the_field() {
    let told = Told::start().await;
    told.api.op("PUT", &format!("/users/{}", told.bob), json!({"lang": "fr"})).await;
    let mut bob = Browser::of(&told.api, BOB).await;
    let page = bob.get("/account").await;
    let many: Vec<_> = (0..501).map(|n| format!("app_00000000-0000-4000-8000-{n:012}")).collect();
    let mut too_many: Vec<_> = many.iter().map(|id| ("muted", id.as_str())).collect();
    too_many.push(("offered", "GIT_PUSH"));
    let (kinds, resources, bound) = ("ne peut être refusé", "n’est pas à vous", "Au plus 500");
    for (fields, beside, words) in [
        (vec![("offered", "GIT_PUSH NONSENSE"), ("muted", &told.web)], "kinds", kinds),
        (vec![("offered", "GIT_PUSH HOOK_DISABLED"), ("muted", &told.web)], "kinds", kinds),
        (vec![("offered", "GIT_PUSH SIGN_IN"), ("muted", &told.web)], "kinds", kinds),
        (vec![("offered", "GIT_PUSH"), ("muted", &told.web), ("muted", &told.foreign)], "muted", resources),
        (vec![("offered", "GIT_PUSH"), ("muted", &told.web), ("muted", "\"><script>")], "muted", resources),
        (vec![("offered", "GIT_PUSH"), ("muted", &told.web), ("muted", &many[0])], "muted", resources),
        (too_many, "muted", bound),
    ] {
        let seen = bob.post("/account/mail", &fields, &page).await;
        assert_eq!(seen.status, 400, "{beside} {words}");
        let error = seen.html.split(&format!("id=\"{beside}-error\">")).nth(1).unwrap_or_default();
        assert!(error.split('<').next().unwrap().contains(words), "{seen:#?}");
        assert!(!boxes(&seen, "kinds")["GIT_PUSH"], "what was unticked stays so");
        let typed = fields.iter().filter(|(name, _)| *name == "muted").count();
        assert_eq!(boxes(&seen, "muted").values().filter(|ticked| **ticked).count(), typed);
        assert!(!seen.html.contains("<script>"));
    }
    let wants = bob.get("/account").await;
    assert!(boxes(&wants, "kinds").values().all(|ticked| *ticked), "nothing was saved");
    // Without JavaScript a button searches, and what is typed stays.
    let fields =
        [("offered", "GIT_PUSH"), ("muted", &*told.web), ("find", "nothing of the name"), ("look", "1")];
    let seen = bob.post("/account/mail", &fields, &page).await;
    assert!(seen.status == 200 && !boxes(&seen, "kinds")["GIT_PUSH"], "{seen:#?}");
    assert_eq!(boxes(&seen, "muted"), [(told.web.clone(), true)].into());
    assert_eq!(seen.field("find"), "nothing of the name");
    let found = bob.post("/account/mail/resources", &[("find", "WE")], &page).await;
    assert_eq!(boxes(&found, "muted"), [(told.web.clone(), false)].into());
    assert_eq!(bob.raw("/account/mail", &[], &[("offered", "GIT_PUSH")]).await.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_api_people_say_what_they_want_by_e_mail_and_operators_for_anybody() {
    let told = Told::start().await;
    let (api, pair) = (&told.api, told.pair.as_str());
    let path = format!("/users/{}/mail", told.bob);
    let got = api.call(pair, "GET", "/account/mail", Value::Null).await;
    let hook =
        |stopped| json!({"id": told.hook, "ownerId": told.acme, "name": "All of it", "stoppedAt": stopped});
    let own = got.body["hooks"].as_array().unwrap().iter().filter(|one| one["ownerId"] != *told.acme);
    let own: Vec<_> = own.cloned().collect();
    let expected = |stopped, kinds: Value, resources: Value| {
        let hooks: Vec<_> = own.iter().cloned().chain([hook(stopped)]).collect();
        json!({"hooks": hooks, "mutedKinds": kinds, "mutedResources": resources})
    };
    assert_eq!(got.body, expected(Value::Null, json!([]), json!([])), "{}", got.text);

    let wish = json!({"mutedKinds": ["GIT_PUSH"], "mutedResources": [told.web], "stoppedHooks": [told.hook]});
    let put = api.call(pair, "PUT", "/account/mail", wish.clone()).await;
    let since = put.body["hooks"].as_array().unwrap().last().unwrap()["stoppedAt"].clone();
    assert!(since.is_i64(), "{}", put.text);
    let all = expected(since.clone(), json!(["GIT_PUSH"]), json!([told.web]));
    assert_eq!((put.status, &put.body), (200, &all));
    assert_eq!(api.call(pair, "PUT", "/account/mail", wish).await.body, all, "once more is no more");
    assert_eq!(api.op("GET", &path, Value::Null).await.body, all);
    let many: Vec<_> = (0..501).map(|n| format!("app_00000000-0000-4000-8000-{n:012}")).collect();
    for (wish, problem) in [
        (json!({"mutedKinds": ["CREDITS_ADDED", "NONSENSE"]}), (400, "unknown-kind", "mutedKinds[1]")),
        (json!({"mutedKinds": ["SIGN_IN"]}), (400, "unknown-kind", "mutedKinds[0]")),
        (json!({"mutedKinds": ["HOOK_DISABLED"]}), (400, "invalid", "mutedKinds[0]")),
        (json!({"mutedKinds": ["META_CREDITS"]}), (400, "unknown-kind", "mutedKinds[0]")),
        (json!({"mutedKinds": "GIT_PUSH"}), (400, "invalid", "mutedKinds")),
        (json!({"mutedResources": [told.web, "x"]}), (400, "invalid", "mutedResources[1]")),
        (json!({"mutedResources": [told.web, told.foreign]}), (400, "foreign-resource", "mutedResources[1]")),
        (json!({"mutedResources": many}), (400, "invalid", "mutedResources")),
        (json!({"stoppedHooks": ["hook_0"]}), (400, "invalid", "stoppedHooks[0]")),
        (
            json!({"mutedKinds": [], "stoppedHooks": [told.hook, "hook_0000000000001"]}),
            (400, "invalid", "stoppedHooks[1]"),
        ),
        (json!({"kinds": []}), (400, "invalid", "kinds")),
    ] {
        let refused = api.call(pair, "PUT", "/account/mail", wish.clone()).await;
        assert_eq!(refused.problem(), problem, "{wish}: {}", refused.text);
        assert_eq!(api.op("GET", &path, Value::Null).await.body, all, "nothing is changed by {wish}");
    }
    // What is left out stays.
    let put = api.op("PUT", &path, json!({"stoppedHooks": []})).await;
    assert_eq!(put.body, expected(Value::Null, json!(["GIT_PUSH"]), json!([told.web])), "{}", put.text);
    let put = api.call(pair, "PUT", &path, json!({"mutedKinds": []})).await;
    assert_eq!(put.body, expected(Value::Null, json!([]), json!([told.web])), "{}", put.text);

    let (alice, _) = api.user("carol@example.com").await;
    let others = format!("/users/{alice}/mail");
    for method in ["GET", "PUT"] {
        let body = if method == "PUT" { json!({}) } else { Value::Null };
        assert_eq!(api.call(pair, method, &others, body.clone()).await.status, 403);
        assert_eq!(api.op(method, "/account/mail", body.clone()).await.status, 403);
        assert_eq!(api.call("", method, "/account/mail", body.clone()).await.status, 401);
        let nobody = "/users/user_99999999-9999-4999-8999-999999999999/mail";
        assert_eq!(api.op(method, nobody, body).await.status, 404);
    }
}
