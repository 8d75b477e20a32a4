//! What somebody puts into a name, a commit message or a reply in the hope that a page takes it for more than text.

use serde_json::{Value, json};

use crate::person::{NARROW, Person, Way};
use crate::world::{World, within};

/// One copy for the whole project: `core::formats::samples` says how it is written.
const STRINGS: &str = include_str!("../../../core/src/formats/hostile.txt");
/// The longest name of an application or a hook, in bytes.
const NAME: usize = 200;

/// What no page of ours holds: an element we do not write, an attribute that runs something or leads elsewhere. And a page
/// is as wide as its window, and shows what it is looked at for: `mark`.
const INTRUDERS: &str = r#"
const ours = new Set(`html head meta title link script body a p header div img span details summary ul ol li form input button nav
main footer h1 h2 h3 section label select option optgroup textarea small dl dt dd fieldset legend code pre br strong svg circle
aside iframe figure figcaption time datalist`.split(/\s+/));
const wrong = [];
for (const one of document.querySelectorAll('*')) {
  const is = one.outerHTML.slice(0, 160);
  if (!ours.has(one.localName)) wrong.push(`element: ${is}`);
  if (one.shadowRoot) wrong.push(`shadow: ${is}`);
  for (const { name, value } of one.attributes) {
    if (name.startsWith('on') || name === 'style' || name === 'srcdoc') wrong.push(`attribute ${name}: ${is}`);
    if (['href', 'src', 'action', 'formaction', 'data'].includes(name) && !/^[/#](?!\/)/.test(value)) wrong.push(`leads to ${value}: ${is}`);
  }
}
if (document.scripts.length !== 1) wrong.push(`${document.scripts.length} scripts`);
const { scrollWidth, clientWidth } = document.documentElement;
if (scrollWidth > clientWidth) wrong.push(`${scrollWidth} px wide in ${clientWidth}`);
const values = Array.from(document.querySelectorAll('input'), (one) => one.value);
if (![document.body.textContent, ...values].some((text) => text.includes(mark))) wrong.push(`it is not shown by "${document.title}": ${document.body.innerText.slice(0, 400)}`);
return wrong.slice(0, 5);
"#;

/// Several strings that go together wherever one goes.
struct Group {
    /// Found on every page that shows the group.
    mark: String,
    name: String,
    text: String,
}

fn strings() -> Vec<String> {
    let lines = STRINGS.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
    let read = |line: &str| {
        let (text, times) = match line.rsplit_once("\" x ") {
            Some((text, times)) => (format!("{text}\""), times.parse().unwrap()),
            None => (line.to_owned(), 1),
        };
        serde_json::from_str::<String>(&text).unwrap().repeat(times)
    };
    lines.map(read).collect()
}

/// All of them, as many to a group as a name holds.
fn groups() -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for one in strings() {
        match groups.last_mut() {
            Some(group) if group.text.len() + one.len() < NAME => {
                group.text = format!("{} {one}", group.text);
                group.name.clone_from(&group.text);
            }
            _ => {
                let mark = format!("No{}:", groups.len());
                let text = format!("{mark} {one}");
                let end = (0..=NAME.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap();
                groups.push(Group { mark, name: text[..end].to_owned(), text });
            }
        }
    }
    groups
}

/// Makes something with a name. Where a name may not hold control characters, it is refused with them and made without.
async fn named(world: &World, path: &str, mut body: Value) -> String {
    let (status, answer) = world.ask("POST", path, body.clone()).await;
    if status < 300 {
        return crate::world::id(&answer);
    }
    assert_eq!((status, &answer["field"]), (400, &json!("name")), "{answer}");
    let name: String = body["name"].as_str().unwrap().chars().filter(|c| !c.is_control()).collect();
    body["name"] = json!(name);
    crate::world::id(&world.op("POST", path, body).await)
}

/// Who looks, and what they found wrong so far.
struct Search<'a> {
    person: &'a Person<'a>,
    wrong: Vec<String>,
}

impl Search<'_> {
    /// Looks whether a page shows a group, and only as text.
    async fn at(&mut self, path: &str, mark: &str) {
        self.person.goes(path).await;
        self.here(mark).await;
    }

    async fn here(&mut self, mark: &str) {
        let script = format!("const mark = {};\n{INTRUDERS}", json!(mark));
        let mut wrong = self.person.finds_wrong(&script).await;
        wrong.extend(self.person.complaints().await);
        let url = self.person.client.current_url().await.unwrap();
        self.wrong.extend(wrong.into_iter().map(|one| format!("{} {mark} {one}", url.path())));
        assert!(self.wrong.len() < 25, "{}", self.wrong.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_name_a_message_or_a_reply_holds_is_shown_as_text() {
    within(put_it_everywhere()).await;
}

async fn put_it_everywhere() {
    assert!(strings().len() >= 200);
    let groups = groups();
    let world = World::start().await;
    let name = "<img src=x onerror=alert(1)>\"'</title><script>alert(1)</script>";
    let org = world.organisation(&format!("Org {name}")).await;
    let user = world.user(&format!("User {name}"), "eve@evil.example").await;
    world.member(&org, &user, "ADMIN").await;
    let mut hooks = Vec::new();
    for (n, group) in groups.iter().enumerate() {
        let resource = json!({"kind": "application", "name": group.name});
        let application = named(&world, &format!("/owners/{org}/resources"), resource).await;
        let door = format!("/{n}");
        world.receiver.answers(&door, 400, &group.text);
        let hook = json!({
            "kind": "webhook", "name": group.name, "urls": [{"url": world.receiver.url(&door)}],
            "events": ["GIT_PUSH"], "scope": [application],
        });
        hooks.push((application, named(&world, &format!("/owners/{org}/hooks"), hook).await));
    }

    let eve = Person::new(&world, Way::Usual).await;
    let mut search = Search { person: &eve, wrong: Vec::new() };
    eve.goes(&world.link("eve@evil.example").await).await;
    eve.presses("Sign in").await;
    eve.sees("Who is written to, and about what.").await;
    eve.sits_before(NARROW, false).await;

    // The live page is open while it all happens.
    eve.goes(&format!("/o/{org}/live")).await;
    let mut events = Vec::new();
    for (group, (application, _)) in groups.iter().zip(&hooks) {
        let data = json!({
            "id": application, "appId": application, "ownerId": org, "name": group.name,
            "commit": "c0ffee5c6d1f0e1a2b3c4d5e6f708192a3b4c5d6", "branch": group.text, "message": group.text,
        });
        events.push(world.emit("GIT_PUSH", &org, data).await);
    }
    let last = &groups[groups.len() - 1].mark;
    eve.sees(last).await;
    search.here(&groups[0].mark).await;
    world.settled(&org).await;

    for ((group, (_, hook)), event) in groups.iter().zip(&hooks).zip(&events) {
        let delivery = crate::world::id(&world.deliveries(event).await[0]);
        for page in [
            format!("events/{event}"),
            format!("deliveries/{delivery}"),
            format!("webhooks/{hook}"),
            format!("webhooks/{hook}/delete"),
        ] {
            search.at(&format!("/o/{org}/{page}"), &group.mark).await;
        }
    }

    // What a receiver says to a test is shown in place. No owner has more tests in a minute.
    for (group, (_, hook)) in groups.iter().zip(&hooks).take(8) {
        eve.goes(&format!("/o/{org}/webhooks/{hook}")).await;
        eve.presses("Test").await;
        eve.sees("A test is listed nowhere and counts as no failure.").await;
        search.here(&group.mark).await;
    }

    // What is typed comes back in the preview, what is searched in the list.
    eve.goes(&format!("/o/{org}/webhooks/new")).await;
    eve.fills("Webhook URL", &world.receiver.url("/new")).await;
    for one in groups.iter().filter(|one| one.name.chars().all(|c| !c.is_control())).take(8) {
        eve.fills("Find an application or add-on", &one.name).await;
        eve.sees(&one.mark).await;
        search.here(&one.mark).await;
    }
    for (list, mark) in [("webhooks", &groups[0].mark), ("deliveries", last), ("live", last)] {
        search.at(&format!("/o/{org}/{list}"), mark).await;
    }
    for (_, hook) in &hooks {
        world.op("POST", &format!("/hooks/{hook}/pause"), Value::Null).await;
    }
    for (group, (application, hook)) in groups.iter().zip(&hooks) {
        let data = json!({"id": application, "appId": application, "ownerId": org, "name": group.name, "message": group.text});
        world.emit("GIT_PUSH", &org, data).await;
        search.at(&format!("/o/{org}/webhooks/{hook}/resume"), &group.mark).await;
        search.at(&format!("/o/{org}/webhooks/{hook}/secret"), &group.mark).await;
    }
    search.at(&format!("/o/{org}/deliveries/undelivered"), last).await;
    eve.goes("/account").await;
    for one in groups.iter().filter(|one| one.name.chars().all(|c| !c.is_control())).take(8) {
        eve.fills("Find an application or add-on", &one.name).await;
        eve.sees(&one.mark).await;
        search.here(&one.mark).await;
    }
    eve.fills("What is it for?", &groups[3].name[..90]).await;
    eve.presses("Make a token").await;
    eve.sees("The clever command").await;
    search.here(&groups[3].mark).await;
    search.at("/account", &groups[3].mark).await;
    assert!(search.wrong.is_empty(), "{}", search.wrong.join("\n"));
    eve.leaves().await;
}
