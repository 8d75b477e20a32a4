//! Letters' links and what comes back of letters, as mail programs, mail servers and people use them: the real server in this
//! process, its letters read from the directory they are written to.

use std::time::Duration;

use serde_json::{Value, json};
use sonnette_core::ids::DeliveryId;
use sonnette_core::mail::verp;
use sonnette_core::secret::Sealer;
use sonnette_core::stops::{CONFIRM_WITHIN, ConfirmLink};

use crate::api::Api;
use crate::browser::Browser;

pub const ALICE: &str = "alice@example.com";

/// The text of a part, as RFC 2045, section 6.7 hides it.
pub fn unquoted(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace("=\n", "");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'=').then(|| after.get(..2)).flatten();
        let hex = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Every letter that is written to an address, as it is read, once there are so many.
pub async fn letters(api: &Api, to: &str, count: usize) -> Vec<String> {
    let to = format!("To: {to}");
    let read = async {
        loop {
            let files = std::fs::read_dir(api.mail()).into_iter().flatten().flatten();
            let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
            let texts: Vec<_> = texts.map(|text| unquoted(&text)).filter(|text| text.contains(&to)).collect();
            if texts.len() >= count {
                return texts;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("letters are written")
}

/// A path of ours that begins so, out of a letter.
pub fn path(letter: &str, start: &str) -> String {
    let at = letter.find(start).unwrap_or_else(|| panic!("no {start} in {letter}"));
    let end = |c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>');
    letter[at..].split(end).next().unwrap().to_owned()
}

/// An organisation whose admin is Alice, with the hooks it is born with.
async fn acme(api: &Api) -> String {
    let id = api.organisation("Acme").await;
    let (user, _) = api.user(ALICE).await;
    api.op("PUT", &format!("/organisations/{id}/members/{user}"), json!({"role": "ADMIN"})).await;
    id
}

/// A hook that writes to these addresses about credits.
async fn hook(api: &Api, owner: &str, addresses: &[&str]) -> String {
    let targets: Vec<_> =
        addresses.iter().map(|address| json!({"type": "address", "address": address})).collect();
    let hook = json!({"kind": "email", "name": "Money", "events": ["CREDITS_ADDED"], "targets": targets});
    api.op("POST", &format!("/owners/{owner}/hooks"), hook).await.id()
}

async fn credits(api: &Api, owner: &str) -> String {
    let event = json!({"event": "CREDITS_ADDED", "ownerId": owner, "data": {"ownerId": owner}});
    let posted = api.op("POST", "/events", event).await;
    assert_eq!(posted.status, 202, "{posted:?}");
    posted.id()
}

/// The only delivery of an event, once it has ended.
async fn ended(api: &Api, event: &str) -> Value {
    let read = async {
        loop {
            let list = api.op("GET", &format!("/deliveries?event={event}"), Value::Null).await;
            let items = list.body["items"].as_array().unwrap().clone();
            let is_over =
                |one: &Value| matches!(one["state"].as_str().unwrap(), "delivered" | "dead" | "cancelled");
            if items.len() == 1 && is_over(&items[0]) {
                return items[0].clone();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("the delivery ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_letter_to_a_deleted_account_is_in_its_persons_language() {
    let api = Api::start().await;
    let (alice, _) = api.user(ALICE).await;
    api.op("PUT", &format!("/users/{alice}"), json!({"lang": "fr"})).await;
    let targets = json!([{"type": "organisation"}]);
    let hook = json!({"kind": "email", "name": "Compte", "events": ["ACCOUNT_DELETION"], "targets": targets});
    assert_eq!(api.op("POST", &format!("/owners/{alice}/hooks"), hook).await.status, 201);
    let event =
        json!({"event": "ACCOUNT_DELETION", "ownerId": alice, "data": {"id": alice, "ownerId": alice}});
    assert_eq!(api.op("POST", "/events", event).await.status, 202);
    let letter = letters(&api, ALICE, 1).await.remove(0);
    assert!(letter.contains("<html lang=\"fr\">") && letter.contains("Vous recevez ceci"), "{letter}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_click_stops_this_hook_for_this_address_and_can_be_taken_back() {
    let api = Api::start().await;
    let owner = acme(&api).await;
    let hook = hook(&api, &owner, &["pager@example.net"]).await;
    credits(&api, &owner).await;
    let letter = letters(&api, "pager@example.net", 1).await.remove(0);
    assert!(letter.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "{letter}");
    let link = path(&letter, "/u/");

    // A scanner follows links, and nothing comes of it.
    let mut somebody = Browser::new(&api);
    for _ in 0..3 {
        let page = somebody.get(&link).await;
        assert!(page.status == 200 && page.says("pager@example.net gets “Money” of Acme"), "{page:#?}");
        assert!(!page.says("Manage all your e-mails"), "nobody here has this address");
    }
    let shown = async || api.op("GET", &format!("/hooks/{hook}"), Value::Null).await;
    assert_eq!(shown().await.body["stopped"], Value::Null);

    // A mail program posts what RFC 8058 says, from wherever it is, and knows no cookie of ours.
    let elsewhere = [("origin", "https://mail.example"), ("sec-fetch-site", "cross-site")];
    let mut program = Browser::new(&api);
    let done = program.raw(&link, &elsewhere, &[("List-Unsubscribe", "One-Click")]).await;
    assert!(done.status == 200 && done.says("gets no more of “Money”"), "{done:#?}");
    assert_eq!(shown().await.body["stopped"][0]["address"], "pager@example.net");
    let event = credits(&api, &owner).await;
    let delivery = ended(&api, &event).await;
    assert_eq!((&delivery["state"], &delivery["reason"]), (&json!("cancelled"), &json!("unsubscribed")));
    let mut alice = Browser::of(&api, ALICE).await;
    assert!(alice.get(&format!("/o/{owner}/emails")).await.says("Stopped by pager@example.net"));
    let form = alice.get(&format!("/o/{owner}/emails/{hook}")).await;
    assert!(form.says("Only they can start it again"), "whoever may change the hook may not: {form:#?}");
    let mut program = Browser::new(&api);
    let one_click =
        "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n";
    let multipart = [("content-type", "multipart/form-data; boundary=b")];
    let done = program.send("POST", &link, &multipart, one_click.to_owned()).await;
    assert!(done.status == 200 && done.location.is_empty() && done.says("gets no more of"), "{done:#?}");
    let page = somebody.get(&link).await;
    assert!(page.says("gets no more of") && page.says("Undo"), "{page:#?}");
    somebody.lang = "fr";
    assert!(somebody.get(&link).await.says("ne reçoit plus « Money » de Acme"));
    somebody.lang = "en";

    // Undone by the button of the answer.
    let undone = somebody.raw(&link, &[], &[("do", "again")]).await;
    assert!(undone.status == 200 && undone.says("again"), "{undone:#?}");
    assert_eq!(shown().await.body["stopped"], Value::Null);
    let event = credits(&api, &owner).await;
    assert_eq!(ended(&api, &event).await["state"], "delivered");

    for wrong in ["/u/x", "/u/AAAA.BBBB", "/c/x", &link.replace("/u/", "/c/")] {
        assert_eq!(somebody.get(wrong).await.status, 404, "{wrong}");
        assert_eq!(somebody.raw(wrong, &[], &[]).await.status, 404, "{wrong}");
    }
    api.op("DELETE", &format!("/hooks/{hook}"), Value::Null).await;
    assert_eq!(somebody.get(&link).await.status, 410, "a hook that is gone says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_address_is_asked_once_and_gets_what_waited_when_it_agrees() {
    let api = Api::strict("[server]\npublic_url = \"https://sonnette.example\"\n").await;
    let owner = acme(&api).await;
    let hook = hook(&api, &owner, &["pager@example.net"]).await;
    let event = credits(&api, &owner).await;
    let question = letters(&api, "pager@example.net", 1).await.remove(0);
    assert!(question.contains("Nothing is sent before you confirm"), "{question}");
    let shown = api.op("GET", &format!("/hooks/{hook}"), Value::Null).await;
    assert_eq!(shown.body["unconfirmed"], json!(["pager@example.net"]), "{shown:?}");
    let mut alice = Browser::of(&api, ALICE).await;
    assert!(alice.get(&format!("/o/{owner}/emails")).await.says("Not confirmed yet: pager@example.net"));

    let link = path(&question, "/c/");
    let form = alice.get(&format!("/o/{owner}/emails/{hook}")).await;
    assert!(form.says("Not confirmed yet") && form.says("is held, for seven days"), "{form:#?}");
    let mut stranger = Browser::new(&api);
    let page = stranger.get(&link).await;
    assert!(
        page.status == 200 && page.says("Acme wants to send notifications to pager@example.net"),
        "{page:#?}"
    );
    let waiting = api.op("GET", &format!("/deliveries?event={event}"), Value::Null).await;
    assert_ne!(waiting.body["items"][0]["state"], "delivered", "asking for the page does nothing");
    for _ in 0..2 {
        let done = stranger.raw(&link, &[], &[]).await;
        assert!(done.status == 200 && done.says("Confirmed"), "{done:#?}");
    }
    let page = stranger.get(&link).await;
    assert!(page.status == 200 && page.says("Confirmed already"), "{page:#?}");
    assert_eq!(letters(&api, "pager@example.net", 2).await.len(), 2);
    let shown = api.op("GET", &format!("/hooks/{hook}"), Value::Null).await;
    assert_eq!(shown.body["unconfirmed"], Value::Null, "{shown:?}");
}

/// A report that a letter came back, as a mail server writes it (RFC 3464).
fn report(to: &str, status: &str, diagnostic: &str) -> String {
    format!(
        "Return-Path: <>\r\nTo: <{to}>\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n--b\r\n\
         Content-Type: text/plain\r\n\r\nI am sorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; pager@example.net\r\nAction: failed\r\n\
         Status: {status}\r\nDiagnostic-Code: smtp; {diagnostic}\r\n\r\n--b--\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_believed_about_our_letters_alone_and_can_be_explained_and_lifted() {
    let api = Api::with("[mail]\nbounces = \"bounces@paas.example\"\n").await;
    let owner = acme(&api).await;
    hook(&api, &owner, &["pager@example.net"]).await;
    let event = credits(&api, &owner).await;
    let delivery = ended(&api, &event).await["id"].as_str().unwrap().to_owned();
    let key =
        Sealer::from_text(&std::fs::read_to_string(api.file("key")).unwrap()).unwrap().key(verp::PURPOSE);
    let tag = verp::tag(&key, delivery.parse::<DeliveryId>().unwrap());
    let to = verp::sender("bounces@paas.example", &tag);
    let bounce = async |report: String| {
        api.send(&api.operator, "POST", "/api/v1/bounces", &[("content-type", "message/rfc822")], report)
            .await
    };
    let explain = || api.op("GET", "/suppressions?address=PAGER@example.net", Value::Null);

    let forged =
        bounce(report("bounces+1kdz2cn800000-3-aaaaaaaaaaaaa@paas.example", "5.1.1", "550 5.1.1")).await;
    assert_eq!(forged.body, json!({"took": "unknown"}));
    let full = bounce(report(&to, "5.2.2", "552 5.2.2 mailbox full")).await;
    assert_eq!(
        full.body,
        json!({"took": "noted", "delivery": delivery}),
        "a full mailbox says nothing of the address"
    );
    assert_eq!(explain().await.body["items"], json!([]));

    let gone = bounce(report(&to, "5.1.1", "550 5.1.1 no such user")).await;
    assert_eq!(gone.body, json!({"took": "suppressed", "delivery": delivery}));
    let explained = explain().await;
    let why = &explained.body["items"][0];
    assert_eq!(
        (why["why"].as_str(), why["delivery"].as_str()),
        (Some("bounced"), Some(delivery.as_str())),
        "{why}"
    );
    let told = letters(&api, ALICE, 1).await.remove(0);
    assert!(told.contains("pager@") && told.contains("5.1.1"), "its admins are told: {told}");
    let event = credits(&api, &owner).await;
    let stopped = ended(&api, &event).await;
    assert_eq!((&stopped["state"], &stopped["reason"]), (&json!("cancelled"), &json!("suppressed")));

    let list = api.op("GET", "/suppressions?limit=1", Value::Null).await;
    assert_eq!(list.body["items"][0]["address"], "pager@example.net");
    assert_eq!(api.op("DELETE", "/suppressions?address=pager@example.net", Value::Null).await.status, 204);
    assert_eq!(api.op("DELETE", "/suppressions?address=pager@example.net", Value::Null).await.status, 404);
    let event = credits(&api, &owner).await;
    assert_eq!(ended(&api, &event).await["state"], "delivered");

    let by_hand = json!({"address": "pager@example.net", "note": "they asked"});
    assert_eq!(api.op("POST", "/suppressions", by_hand.clone()).await.status, 201);
    assert_eq!(api.op("POST", "/suppressions", by_hand).await.status, 200);
    assert_eq!(api.op("POST", "/suppressions", json!({"address": "no address"})).await.status, 400);
    // The parts alone, with the type that names their boundary beside them; and an operator who is a person is no mail server.
    assert_eq!(api.op("DELETE", "/suppressions?address=pager@example.net", Value::Null).await.status, 204);
    let parts = report(&to, "5.1.1", "550 5.1.1 no such user");
    let parts = parts.split_once("\r\n\r\n").unwrap().1.to_owned();
    let kind = [("content-type", "multipart/report; report-type=delivery-status; boundary=\"b\"")];
    let query = url::form_urlencoded::byte_serialize(to.as_bytes()).collect::<String>();
    let at = format!("/api/v1/bounces?recipient={query}");
    let taken = api.send(&api.operator, "POST", &at, &kind, parts).await;
    assert_eq!(taken.body, json!({"took": "suppressed", "delivery": delivery}));
    let large = api.send(&api.operator, "POST", &at, &kind, vec![b'x'; (1 << 20) + 1]).await;
    assert_eq!(large.status, 413, "{large:?}");
    let (boss, pair) = api.user("boss@example.com").await;
    api.op("PUT", &format!("/users/{boss}"), json!({"operator": true})).await;
    assert_eq!(api.call(&pair, "GET", "/suppressions", Value::Null).await.status, 200);
    assert_eq!(api.call(&pair, "POST", "/bounces", Value::Null).await.status, 403);

    let (_, person) = api.user("eve@example.com").await;
    for (method, path) in [("GET", "/suppressions"), ("POST", "/suppressions"), ("POST", "/bounces")] {
        let refused = api.call(&person, method, path, json!({"address": "a@example.com"})).await;
        assert_eq!(refused.status, 403, "{method} {path}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_confirm_that_is_over_says_so_before_and_after_its_button() {
    let api = Api::strict("[server]\npublic_url = \"https://sonnette.example\"\n").await;
    let owner = acme(&api).await;
    hook(&api, &owner, &["pager@example.net"]).await;
    let question = letters(&api, "pager@example.net", 1).await.remove(0);
    // One that was never asked at that moment: as one that is too old, or that another took the place of.
    let sealer = Sealer::from_text(&std::fs::read_to_string(api.file("key")).unwrap()).unwrap();
    let token = path(&question, "/c/").split_off("/c/".len());
    let mut link = ConfirmLink::read(&sealer, &token).expect("a link of ours");
    link.asked -= CONFIRM_WITHIN;
    let over = format!("/c/{}", link.token(&sealer));
    let mut stranger = Browser::new(&api);
    for seen in [stranger.get(&over).await, stranger.raw(&over, &[], &[]).await, stranger.get(&over).await] {
        assert!(seen.status == 410 && seen.says("This link no longer works"), "{seen:#?}");
    }
    assert!(stranger.get(&format!("/c/{token}")).await.says("Yes, send them"), "the other one is open still");
}
