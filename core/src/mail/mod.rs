//! Letters: what an event says to one person, as mail.
//!
//! One page, written twice: as plain text that is whole by itself, and as HTML that loads nothing from anywhere. A
//! user's words are escaped, and broken where a mail program would make a link of them.

pub mod bounce;
pub mod reply;
pub mod verp;

use askama::Template;

use crate::formats::cut::{Unit, cut, cut_text};
use crate::formats::escape::unlinked;
use crate::formats::{Rendered, actor, details, utc, web_link};
use crate::ids::DeliveryId;
use crate::lang::Lang;
use crate::message::{Message, Severity, Text, one_line};
use crate::model::{Event, Hook, Recipient};
use crate::ports::Letter;
use crate::private::Private;
use crate::secret::Secret;

/// Who writes: the installation.
#[derive(Debug, Clone)]
pub struct House {
    /// What it calls itself, such as `Sonnette`.
    pub name: String,
    /// The domain its letters come from, such as `paas.example`.
    pub domain: String,
    /// Where letters that cannot be delivered come back to; `None` means to whom they are from.
    pub bounces: Option<verp::Bounces>,
    /// What is spoken to readers nobody knows.
    pub lang: Lang,
}

/// For whom a letter is written.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// Whom it is for.
    pub recipient: &'a Recipient,
    /// In which language.
    pub lang: Lang,
    /// Where they stop a hook's letters without signing in: it takes RFC 8058's one-click post, and shows a page to people.
    /// Whoever has it may use it. `None` for letters that cannot be refused.
    pub stop: Option<&'a Secret>,
}

/// The longest subject, in characters.
pub const MAX_SUBJECT: usize = 150;

// What one letter shows of each part. Together they stay below 102 KB of HTML, where Gmail cuts.
const OWNER: usize = 40;
const TITLE: usize = 300;
const SUMMARY: usize = 1000;
const LABEL: usize = 60;
const VALUE: usize = 500;
const DETAILS: usize = 20;
const LINKS: usize = 5;
const URL: usize = 1000;

/// Writes the letter a delivery owes about an event, by [`letter`]. `message` says what the event says to people.
pub fn rendered(
    house: &House,
    told: (&Event, DeliveryId),
    message: impl FnOnce() -> Message,
    reader: Reader<'_>,
    hook: Option<&Hook>,
    owner: Option<&str>,
) -> Rendered<Letter> {
    let (event, delivery) = told;
    let write = |message: Message| letter(house, &message, delivery, reader, hook, owner);
    Rendered::of(|| write(message()), Some(|| write(Message::plain(event))))
}

/// Writes the letter a delivery owes, the same on every attempt. `hook` is `None` for the house's own letters; `owner`
/// is the owner's name, `None` where the letter is about the reader alone (a sign-in, an address to confirm).
pub fn letter(
    house: &House,
    message: &Message,
    delivery: DeliveryId,
    reader: Reader<'_>,
    hook: Option<&Hook>,
    owner: Option<&str>,
) -> Letter {
    let page = Page::of(house, message, reader, hook, owner);
    // A template writes strings into a string: there is nothing in it that fails.
    let text = Plain { page: &page }.render().unwrap_or_default();
    let html = Html { page: &page }.render().unwrap_or_default();
    let mut headers = headers(house, message, reader.stop, hook);
    if let Some(bounces) = &house.bounces {
        headers.push((verp::HEADER.to_owned(), verp::tag(&bounces.key, delivery)));
    }
    Letter {
        to: reader.recipient.address.clone(),
        subject: subject(message, owner),
        text,
        html,
        message_id: delivery.to_string(),
        headers,
        return_path: house.bounces.as_ref().map(|bounces| bounces.sender(delivery)),
    }
}

/// `[owner] title`, on one line: what people filter on stays as it was written, nothing is broken in here.
fn subject(message: &Message, owner: Option<&str>) -> String {
    let owner = owner.map(|owner| one_line(owner).replace(['[', ']'], ""));
    let owner = owner.as_deref().map(str::trim).filter(|owner| !owner.is_empty());
    let prefix = owner.map(|owner| format!("[{}] ", cut(owner, OWNER, Unit::Chars)));
    let line = prefix.unwrap_or_default() + one_line(&message.title.to_string()).trim();
    cut(&line, MAX_SUBJECT, Unit::Chars).into_owned()
}

/// The headers that say this is a machine: nobody's holiday answers it (RFC 3834, section 5; Exchange), it can be filtered
/// by hook (RFC 2919), stopped with one click (RFC 8058), and lies with what else is about the same application: all of them
/// answer one letter that never was (RFC 5322, section 3.6.4).
fn headers(
    house: &House,
    message: &Message,
    stop: Option<&Secret>,
    hook: Option<&Hook>,
) -> Vec<(String, String)> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect()
    };
    let domain = plain(&house.domain);
    let list = hook.map_or_else(|| "house".to_owned(), |hook| hook.id.to_string());
    let root = format!("<{}@{domain}>", plain(&message.thread));
    let mut headers = vec![
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Auto-Response-Suppress", "All".to_owned()),
        ("List-Id", format!("<{list}.{domain}>")),
        // At most four fields, the last one always the same.
        ("Feedback-ID", format!("{}:{list}:{}:sonnette", plain(&message.kind), plain(&message.thread))),
        ("In-Reply-To", root.clone()),
        ("References", root),
    ];
    if let Some(stop) = stop {
        headers.push(("List-Unsubscribe", format!("<{}>", stop.expose())));
        headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
    }
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What both templates show: checked, cut and broken, not yet escaped.
struct Page {
    title: String,
    summary: String,
    details: Vec<(String, String)>,
    actor: String,
    when: String,
    links: Vec<(String, String)>,
    reason: String,
    /// The way to stop such letters; empty where there is none.
    stop: String,
    say: &'static Say,
    house: String,
    color: &'static str,
}

impl Page {
    fn of(
        house: &House,
        message: &Message,
        reader: Reader<'_>,
        hook: Option<&Hook>,
        owner: Option<&str>,
    ) -> Self {
        let say = reader.lang.pick(&ENGLISH, &FRENCH);
        let label = |text: &str| cut(&one_line(text), LABEL, Unit::Chars).into_owned();
        Self {
            title: words(&message.title, TITLE),
            summary: words(&message.summary, SUMMARY),
            details: details(message)
                .take(DETAILS)
                .map(|detail| (label(&detail.label), words(&detail.value, VALUE)))
                .collect(),
            actor: actor(message).map(|actor| words(actor, VALUE)).unwrap_or_default(),
            when: utc(message.at),
            links: message
                .links
                .iter()
                .filter_map(|link| Some((label(&link.label), web_link(&link.url, URL)?)))
                .take(LINKS)
                .collect(),
            reason: reason(message, reader, hook, owner),
            stop: reader.stop.map(|stop| stop.expose().to_owned()).unwrap_or_default(),
            say,
            house: one_line(&house.name),
            color: match message.severity {
                Severity::Info => "#3b74c4",
                Severity::Success => "#2a9d5c",
                Severity::Warning => "#d9931e",
                Severity::Error => "#cc3340",
            },
        }
    }
}

/// The letter's own words.
struct Say {
    lang: &'static str,
    by: &'static str,
    when: &'static str,
    colon: &'static str,
    stop: &'static str,
}

const ENGLISH: Say = Say { lang: "en", by: "By", when: "When", colon: ":", stop: "Stop these letters" };
// French has a space that does not break before a colon.
const FRENCH: Say =
    Say { lang: "fr", by: "Par", when: "Quand", colon: "\u{A0}:", stop: "Ne plus recevoir ces lettres" };

/// Why somebody gets this: the question a letter that is not wanted must answer.
fn reason(message: &Message, reader: Reader<'_>, hook: Option<&Hook>, owner: Option<&str>) -> String {
    let lang = reader.lang;
    // Whoever gets these may have no account, and never heard of us.
    match Private::parse(&message.kind) {
        Some(Private::AddressConfirmation) => {
            return lang
                .pick(
                    "You get this because somebody named this address for notifications.",
                    "Vous recevez ceci parce que quelqu’un a indiqué cette adresse pour des notifications.",
                )
                .to_owned();
        }
        Some(Private::LettersHeldBack) if reader.recipient.user.is_none() => {
            return lang
                .pick(
                    "You get this because notifications are sent to this address.",
                    "Vous recevez ceci parce que des notifications sont envoyées à cette adresse.",
                )
                .to_owned();
        }
        _ => {}
    }
    let name = |text: &str| words(&Text::theirs(text), VALUE);
    let owner = owner.map(name).filter(|owner| !owner.is_empty());
    match (lang, hook, owner) {
        (Lang::En, Some(hook), Some(owner)) => {
            format!("You get this because of the hook “{}” of {owner}.", name(&hook.name))
        }
        (Lang::En, Some(hook), None) => format!("You get this because of the hook “{}”.", name(&hook.name)),
        (Lang::En, None, Some(owner)) => format!("You get this because you are an admin of {owner}."),
        (Lang::En, None, None) => "You get this because it is about your account.".into(),
        (Lang::Fr, Some(hook), Some(owner)) => {
            format!("Vous recevez ceci à cause du hook « {} » de {owner}.", name(&hook.name))
        }
        (Lang::Fr, Some(hook), None) => {
            format!("Vous recevez ceci à cause du hook « {} ».", name(&hook.name))
        }
        (Lang::Fr, None, Some(owner)) => {
            format!("Vous recevez ceci parce que vous administrez {owner}.")
        }
        (Lang::Fr, None, None) => "Vous recevez ceci parce qu’il s’agit de votre compte.".into(),
    }
}

/// A text cut to `max` characters, in which a user's words make no link.
fn words(text: &Text, max: usize) -> String {
    cut_text(text, max, Unit::Chars).write(one_line, unlinked).trim().to_owned()
}

#[derive(Template)]
#[template(path = "letter.txt")]
struct Plain<'a> {
    page: &'a Page,
}

#[derive(Template)]
#[template(path = "letter.html")]
struct Html<'a> {
    page: &'a Page,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::formats::{hostile, samples};
    use crate::ids::{DestinationId, EventId, HookId};
    use crate::model::{HookState, Target, Way};
    use proptest::prelude::*;

    /// A letter longer than this is shown in part.
    const MAX_HTML: usize = 100_000;

    fn house() -> House {
        House { name: "Sonnette".into(), domain: "paas.example".into(), bounces: None, lang: Lang::En }
    }

    fn hook(name: &str) -> Hook {
        Hook {
            id: HookId(7),
            owner: "orga_22222222-2222-4222-8222-222222222222".parse().unwrap(),
            name: name.into(),
            events: None,
            scope: None,
            way: Way::Email {
                destination: DestinationId(8),
                targets: vec![Target::Organisation { roles: BTreeSet::new() }],
            },
            schedule: None,
            state: HookState::Enabled,
            created_at: 0,
        }
    }

    fn write(message: &Message, hook: Option<&Hook>, owner: Option<&str>) -> Letter {
        let recipient = Recipient { address: "alice@example.com".into(), user: None };
        let delivery = DeliveryId { event: EventId::first_at(message.at), n: 3 };
        letter(
            &house(),
            message,
            delivery,
            Reader { recipient: &recipient, lang: Lang::En, stop: None },
            hook,
            owner,
        )
    }

    #[test]
    fn the_samples_look_like_this() {
        let hook = hook("Default deployment result e-mails");
        for (name, message) in samples::named() {
            let letter = match name {
                "bare" => write(&message, None, Some("Wonderland")),
                _ => write(&message, Some(&hook), Some("Wonderland")),
            };
            let headers: String =
                letter.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            let head = format!(
                "To: {}\nSubject: {}\nMessage-ID: <{}@…>\n{headers}",
                letter.to, letter.subject, letter.message_id
            );
            let shown = |text: &str| text.replace('\u{200B}', "<ZWSP>");
            insta::assert_snapshot!(format!("letter_{name}"), shown(&format!("{head}\n{}", letter.text)));
            insta::assert_snapshot!(format!("letter_{name}_html"), shown(&letter.html));
        }
    }

    #[test]
    fn a_subject_is_one_line_people_can_filter_on() {
        let message = &samples::messages()[0];
        for (owner, expected) in [
            (Some("Wonderland"), "[Wonderland] Deployment of shop-api succeeded"),
            (Some("a]\r\nBcc: [x"), "[a  Bcc: x] Deployment of shop-api succeeded"),
            (Some(" "), "Deployment of shop-api succeeded"),
            (None, "Deployment of shop-api succeeded"),
        ] {
            assert_eq!(write(message, None, owner).subject, expected);
        }
    }

    #[test]
    fn a_letter_says_why_it_came() {
        let message = &samples::messages()[0];
        let hook = hook("ops http://evil.example <b>");
        for (hook, owner, expected) in [
            (Some(&hook), Some("Acme"), "because of the hook “ops http:|//|evil.|example <b>” of Acme."),
            (Some(&hook), None, "because of the hook “ops http:|//|evil.|example <b>”."),
            (None, Some("Acme"), "because you are an admin of Acme."),
            (None, None, "because it is about your account."),
        ] {
            let letter = write(message, hook, owner);
            let expected = expected.replace('|', "\u{200B}");
            assert!(letter.text.contains(&expected), "{}", letter.text);
            assert!(
                letter.html.contains(
                    &crate::formats::escape::html(&expected)
                        .replace("&lt;", "&#60;")
                        .replace("&gt;", "&#62;")
                ),
                "{}",
                letter.html
            );
        }
    }

    #[test]
    fn who_has_no_account_is_not_told_of_one() {
        let user = "user_11111111-1111-4111-8111-111111111111".parse().ok();
        for (kind, user, english, french) in [
            (
                Private::AddressConfirmation,
                None,
                "somebody named this address",
                "quelqu’un a indiqué cette adresse",
            ),
            (Private::LettersHeldBack, None, "are sent to this address", "sont envoyées à cette adresse"),
            (Private::LettersHeldBack, user, "about your account", "de votre compte"),
            (Private::SignIn, user, "about your account", "de votre compte"),
        ] {
            let message = Message { kind: kind.as_str().to_owned(), ..samples::messages().remove(0) };
            for (lang, words) in [(Lang::En, english), (Lang::Fr, french)] {
                let recipient = Recipient { address: "pager@example.com".into(), user };
                let reader = Reader { recipient: &recipient, lang, stop: None };
                let delivery = DeliveryId { event: EventId(7), n: 1 };
                let letter = letter(&house(), &message, delivery, reader, None, None);
                for part in [&letter.text, &letter.html] {
                    assert!(part.contains(words), "{part}");
                    assert_eq!(part.contains("account") || part.contains("compte"), user.is_some(), "{part}");
                }
            }
        }
    }

    #[test]
    fn a_letter_whose_message_fails_is_a_plain_one() {
        let message = samples::messages().remove(0);
        let event = samples::event(&message);
        let delivery = DeliveryId { event: event.id, n: 1 };
        let recipient = Recipient { address: "alice@example.com".into(), user: None };
        let stop = Secret::new("https://notifications.example/u/token");
        let reader = Reader { recipient: &recipient, lang: Lang::Fr, stop: Some(&stop) };
        let hook = hook("ops");
        let write = |message: &dyn Fn() -> Message| {
            rendered(&house(), (&event, delivery), message, reader, Some(&hook), Some("Wonderland"))
        };
        assert!(matches!(write(&|| message.clone()), Rendered::Whole(_)));
        let Rendered::Plain(letter) = write(&|| panic!("a template, by design")) else {
            panic!("not a plain one")
        };
        let about = event.resource.as_ref().unwrap();
        assert_eq!(letter.subject, format!("[Wonderland] DEPLOYMENT_SUCCESS: {about}"));
        assert_eq!((letter.to.as_str(), letter.message_id), ("alice@example.com", delivery.to_string()));
        // Why it came, how to stop it, and in which language, does not depend on what happened.
        for part in ["Vous recevez ceci", "https://notifications.example/u/token"] {
            assert!(letter.text.contains(part) && letter.html.contains(part), "{}", letter.text);
        }
    }

    #[test]
    fn the_same_delivery_writes_the_same_letter() {
        let hook = hook("ops");
        for message in samples::messages() {
            assert_eq!(
                write(&message, Some(&hook), Some("Acme")),
                write(&message, Some(&hook), Some("Acme"))
            );
        }
    }

    #[test]
    fn every_kind_is_told_in_both_languages() {
        use crate::catalogue::Catalogue;
        use crate::message::{LinkTemplates, of_kind};
        use crate::ports::Names;

        let catalogue = Catalogue::builtin().unwrap();
        let names = Names {
            owner: Some("Wonderland".into()),
            resource: Some("shop-api".into()),
            author: Some("Alice Martin".into()),
        };
        let recipient = Recipient { address: "alice@example.com".into(), user: None };
        let stop = Secret::new("https://notifications.example/u/token");
        let shown = |text: &str| text.replace('\u{200B}', "<ZWSP>");
        for kind in catalogue.kinds() {
            let mut letters = String::new();
            for lang in Lang::ALL {
                let message = of_kind(kind, &kind.sample_event(), &names, &LinkTemplates::default(), *lang);
                let stop = (!kind.locked).then_some(&stop);
                let reader = Reader { recipient: &recipient, lang: *lang, stop };
                let delivery = DeliveryId { event: EventId::first_at(message.at), n: 0 };
                let owner = names.owner.as_deref().filter(|_| !kind.private);
                let letter = letter(&house(), &message, delivery, reader, None, owner);
                assert!(letter.html.len() < MAX_HTML && !letter.html.contains(" src="), "{}", kind.name);
                letters += &format!("Subject: {}\n{}\n\n{}\n", letter.subject, letter.text, letter.html);
            }
            insta::assert_snapshot!(format!("letter_of_{}", kind.name), shown(&letters));
        }
    }

    #[test]
    fn nothing_hostile_gets_through_a_letter() {
        let stop = Secret::new("https://console.example/u/token");
        let recipient = Recipient { address: "alice@example.com".into(), user: None };
        let delivery = DeliveryId { event: EventId(7), n: 1 };
        let write = |words: &str| {
            let mut message = hostile::saying(words);
            message.kind = words.to_owned();
            message.thread = words.to_owned();
            let reader = Reader { recipient: &recipient, lang: Lang::En, stop: Some(&stop) };
            letter(&house(), &message, delivery, reader, Some(&hook(words)), Some(words))
        };
        let tags = |html: &str| -> Vec<String> {
            html.split('<').skip(1).map(|rest| rest.split_inclusive('>').next().unwrap().to_owned()).collect()
        };
        let names = |letter: &Letter| -> Vec<String> {
            letter.headers.iter().map(|(name, _)| name.clone()).collect()
        };
        let quiet = write("x");
        let ours: BTreeSet<String> = tags(&quiet.html).into_iter().collect();
        let links = |html: &str| html.matches("<a ").count();
        for words in samples::hostile() {
            let letter = write(&words);
            let what: String = words.chars().take(60).collect();
            assert_eq!(names(&letter), names(&quiet), "{what:?}");
            for (name, value) in &letter.headers {
                assert!(value.bytes().all(|b| (0x20..0x7F).contains(&b)), "{what:?}: {name}: {value}");
            }
            assert!(
                letter.subject.chars().count() <= MAX_SUBJECT && !letter.subject.contains('\n'),
                "{what:?}"
            );
            assert_eq!(hostile::broken(&letter.subject), None, "{what:?}: {}", letter.subject);
            // Not a tag or an attribute but those of a letter that says nothing.
            let foreign: Vec<_> = tags(&letter.html).into_iter().filter(|tag| !ours.contains(tag)).collect();
            assert_eq!(foreign, Vec::<String>::new(), "{what:?}");
            assert_eq!(links(&letter.html), links(&quiet.html), "{what:?}");
            for part in [&letter.text, &letter.html] {
                assert_eq!(hostile::broken(part), None, "{what:?}: {part}");
                assert!(!part.contains("\u{200D}…"), "{what:?}: a family is cut");
                let lower = part.to_lowercase();
                for host in ["evil.example", "evil.com", "evil。com"] {
                    assert!(!lower.contains(host), "{what:?}: {part}");
                }
                for (at, _) in part.match_indices("://") {
                    assert!(part[at..].starts_with("://console.example/"), "{what:?}: {part}");
                }
            }
        }
    }

    #[test]
    fn letters_of_one_application_lie_together_and_can_be_stopped_with_one_click() {
        let message = &samples::messages()[0];
        let sealer = crate::secret::Sealer::new(&[1; 32]);
        let bounces =
            verp::Bounces { address: "bounces@paas.example".into(), key: sealer.key(verp::PURPOSE) };
        let house = House { bounces: Some(bounces), ..house() };
        let recipient = Recipient { address: "alice@example.com".into(), user: None };
        let stop = Secret::new("https://notifications.example/u/token");
        let delivery = DeliveryId { event: EventId(7), n: 1 };
        let reader = Reader { recipient: &recipient, lang: Lang::En, stop: Some(&stop) };
        let letter = letter(&house, message, delivery, reader, Some(&hook("ops")), None);
        let header =
            |name: &str| letter.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        assert_eq!(header("References"), Some("<app_33333333-3333-4333-8333-333333333333@paas.example>"));
        assert_eq!(header("In-Reply-To"), header("References"));
        assert_eq!(header("List-Unsubscribe"), Some("<https://notifications.example/u/token>"));
        assert_eq!(header("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
        assert_eq!(header("Feedback-ID").unwrap().split(':').count(), 4);
        assert!(letter.text.contains("https://notifications.example/u/token"));
        assert!(letter.html.contains("href=\"https://notifications.example/u/token\""));
        assert_eq!(verp::read(&sealer.key(verp::PURPOSE), header(verp::HEADER).unwrap()), Some(delivery));
        let sender = letter.return_path.unwrap();
        assert_eq!(house.bounces.unwrap().read(&sender), Some(delivery));
    }

    proptest! {
        #![proptest_config(samples::cases())]

        #[test]
        fn whatever_users_write_a_letter_stays_a_letter(
            message in samples::any_message(), name: String, owner: String, domain: String,
            lang in prop::sample::select(Lang::ALL),
        ) {
            let house = House { name: name.clone(), domain, bounces: None, lang: Lang::En };
            let recipient = Recipient { address: "alice@example.com".into(), user: None };
            let delivery = DeliveryId { event: EventId(1), n: 0 };
            let reader = Reader { recipient: &recipient, lang, stop: None };
            let letter = letter(&house, &message, delivery, reader, Some(&hook(&name)), Some(&owner));
            prop_assert!(letter.subject.chars().count() <= MAX_SUBJECT);
            prop_assert!(!letter.subject.chars().any(char::is_control));
            for (name, value) in &letter.headers {
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{name}");
                prop_assert!(value.bytes().all(|b| (0x20..0x7F).contains(&b)), "{value}");
            }
            prop_assert!(letter.html.len() < MAX_HTML && letter.html.ends_with("</html>"));
            prop_assert!(!letter.html.contains("<script") && !letter.html.contains("<!channel"));
            // Nothing is a link, nor looks like one, but the links that are ours.
            for part in [&letter.text, &letter.html] {
                for (at, _) in part.match_indices("://") {
                    let before = &part[..at];
                    prop_assert!(before.ends_with("https"), "{part}");
                    prop_assert!(part[at..].starts_with("://console.example/"), "{part}");
                }
            }
            prop_assert_eq!(letter.html.matches("<a ").count(), message.links.len().min(LINKS));
        }
    }
}
