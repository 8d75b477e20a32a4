use super::super::{LinkTemplate, Span};
use super::*;
use crate::frame;
use crate::ids::EventId;
use proptest::prelude::*;

const ORGA: &str = "orga_22222222-2222-4222-8222-222222222222";
const USER: &str = "user_11111111-1111-4111-8111-111111111111";
const APP: &str = "app_33333333-3333-4333-8333-333333333333";

fn event(kind: &str, resource: Option<&str>, data: Option<&str>) -> Event {
    let owner = ORGA.parse().unwrap();
    let mut frame = frame::build(kind, 1_000, owner, USER.parse().ok(), data);
    frame::stamp(&mut frame, EventId(1));
    Event {
        id: EventId(1),
        owner,
        kind: kind.to_owned(),
        resource: resource.map(|id| id.parse().unwrap()),
        frame: frame.into(),
    }
}

fn links() -> LinkTemplates {
    let template = |text| LinkTemplate::parse(text).ok();
    LinkTemplates {
        application: template("https://c.example/{owner}/{resource}"),
        deployment: template("https://c.example/{resource}/{deployment}"),
        owner: template("https://c.example/{owner}"),
        event: None,
    }
}

fn said(event: &Event, names: &Names) -> Message {
    of(&Catalogue::builtin().unwrap(), event, names, &links(), Lang::En)
}

#[test]
fn only_a_private_letter_has_a_link_of_its_data_and_that_one_alone() {
    let data = Some(r#"{"url":"https://ours.example/s/1","address":"a@b.example","until":"x"}"#);
    let private = said(&event("SIGN_IN", None, data), &Names::default());
    let own = Link { label: "Sign in".into(), url: "https://ours.example/s/1".into() };
    assert_eq!(private.links, [own]);
    let other = said(&event("CREDITS_ADDED", None, data), &Names::default());
    assert_eq!(other.links.len(), 1, "the owner's page");
    assert!(!other.links[0].url.contains("ours.example"));
}

#[test]
fn names_come_from_the_directory_then_the_data_then_the_ids() {
    let named = event("APPLICATION_STOP", Some(APP), Some(r#"{"name":"from data"}"#));
    let bare = event("APPLICATION_STOP", Some(APP), None);
    let names = Names {
        owner: Some("ACME".into()),
        resource: Some("from names".into()),
        author: Some("Alice".into()),
    };
    let title = |event: &Event, names: &Names| said(event, names).title.to_string();
    assert_eq!(title(&named, &names), "from names was stopped");
    assert_eq!(title(&named, &Names::default()), "from data was stopped");
    assert_eq!(
        title(&named, &Names { resource: Some(" \u{7}".into()), ..names.clone() }),
        "from data was stopped"
    );
    assert_eq!(title(&bare, &Names::default()), format!("{APP} was stopped"));
    assert_eq!(title(&event("APPLICATION_STOP", None, None), &names), "from names was stopped");
    assert_eq!(
        title(&event("APPLICATION_STOP", None, None), &Names::default()),
        "an application was stopped"
    );

    assert_eq!(said(&bare, &names).actor, Some(Text::theirs("Alice")));
    assert_eq!(said(&bare, &Names::default()).actor, Some(Text::theirs(USER)));
    assert_eq!(said(&bare, &Names::default()).details[0].value, Text::theirs(ORGA));
}

#[test]
fn a_message_says_when_who_and_where_it_belongs() {
    let about_app = event("DEPLOYMENT_SUCCESS", Some(APP), Some(r#"{"uuid":"deployment_1"}"#));
    let message = said(&about_app, &Names::default());
    assert_eq!((message.at, message.thread.as_str(), message.severity), (1_000, APP, Severity::Success));
    let labels: Vec<_> = message.links.iter().map(|link| link.label.as_str()).collect();
    assert_eq!(labels, ["Open the deployment", "Open the application", "Open the organisation"]);
    assert_eq!(message.links[0].url, format!("https://c.example/{APP}/deployment_1"));

    let about_owner = said(&event("CREDITS_ADDED", None, None), &Names::default());
    assert_eq!(about_owner.thread, ORGA);
    assert_eq!(about_owner.links.len(), 1);
    assert_eq!(author(&about_app), USER.parse().ok());
}

#[test]
fn what_users_wrote_is_marked_as_theirs() {
    let event = event("GIT_PUSH", Some(APP), Some(r#"{"branch":"<b>{owner}[x]","message":"a\nb"}"#));
    let message = said(&event, &Names::default());
    assert!(message.summary.spans().contains(&Span::Theirs("<b>{owner}[x]".into())), "{:?}", message.summary);
    assert!(message.summary.to_string().ends_with("a b"));
}

#[test]
fn an_event_of_a_kind_no_longer_known_still_says_its_name() {
    let message = said(&event("SOLD_OUT", Some(APP), Some(r#"{"name":"web"}"#)), &Names::default());
    assert_eq!((message.kind.as_str(), message.title.to_string().as_str()), ("SOLD_OUT", "SOLD_OUT: web"));
    assert_eq!(
        said(&event("SOLD_OUT", None, None), &Names::default()).title.to_string(),
        format!("SOLD_OUT: {ORGA}")
    );
}

#[test]
fn a_damaged_frame_says_less_but_says_it() {
    let mut damaged = event("DEPLOYMENT_FAIL", Some(APP), Some("[]"));
    assert_eq!(said(&damaged, &Names::default()).at, 1_000);
    damaged.frame = bytes::Bytes::from_static(b"{");
    let message = said(&damaged, &Names::default());
    assert_eq!(
        (message.at, message.title.to_string()),
        (damaged.id.at(), format!("Deployment of {APP} failed"))
    );
    assert_eq!(author(&damaged), None);
}

proptest! {
    #[test]
    fn no_data_breaks_a_message(
        data in prop_oneof![
            any::<String>(),
            r#"\{("(name|uuid|commit|branch|cause|state|reason|x)":("[^"\\]{0,40}"|null|-?[0-9]{1,5}|\[1,\{\}\]|\{"a":true\}),){0,6}"y":1\}"#,
        ],
        kind in 0..26_u16,
        name in proptest::option::of(any::<String>()),
    ) {
        let catalogue = Catalogue::builtin().unwrap();
        let kind = catalogue.kind_at(kind).unwrap();
        let event = event(&kind.name, Some(APP), Some(&data));
        let names = Names { owner: name.clone(), resource: name.clone(), author: name };
        let message = of_kind(kind, &event, &names, &links(), Lang::En);
        let texts = [&message.title, &message.summary].into_iter().chain(message.details.iter().map(|d| &d.value));
        for text in texts {
            prop_assert!(!text.to_string().chars().any(char::is_control));
            for span in text.spans() {
                prop_assert!(matches!(span, Span::Ours(_)) || span_len(span) <= LONGEST_FIELD);
            }
        }
        prop_assert!(!message.title.is_empty());
        prop_assert!(message.links.iter().all(|link| link.url.starts_with("https://c.example/")));
    }
}

fn span_len(span: &Span) -> usize {
    let (Span::Ours(text) | Span::Theirs(text)) = span;
    text.chars().count()
}

#[test]
fn our_own_page_is_linked_to_where_nothing_else_is() {
    let page = LinkTemplate::parse("https://ours.example/o/{owner}/events/{event}").unwrap();
    let own = LinkTemplates { event: Some(page.clone()), ..LinkTemplates::default() };
    let both = LinkTemplates { event: Some(page), ..links() };
    let happened = event("APPLICATION_STOP", Some(APP), None);
    let catalogue = Catalogue::builtin().unwrap();
    let urls = |links: &LinkTemplates| {
        let message = of(&catalogue, &happened, &Names::default(), links, Lang::En);
        message.links.into_iter().map(|link| link.url).collect::<Vec<_>>()
    };
    assert_eq!(urls(&own), [format!("https://ours.example/o/{}/events/{}", happened.owner, happened.id)]);
    assert!(urls(&both).iter().all(|url| !url.starts_with("https://ours.example")));
    let private = event("SIGN_IN", None, Some(r#"{"url":"https://ours.example/s/1"}"#));
    let message = of(&catalogue, &private, &Names::default(), &own, Lang::En);
    assert_eq!(message.links.len(), 1, "a private letter has its own link alone");
}
