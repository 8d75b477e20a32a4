use super::*;
use crate::ids::ResourceShape;
use crate::lang::Lang;
use crate::matching::{self, Occurrence, Rule};
use crate::message::{self, LinkTemplate, LinkTemplates, Span};
use crate::model::{Target, Way};
use crate::ports::Names;
use crate::{facts, json};
use proptest::prelude::*;

fn builtin() -> Catalogue {
    Catalogue::builtin().unwrap()
}

fn refused(file: &str) -> String {
    Catalogue::with(Some(("ours.toml", file))).unwrap_err().to_string()
}

/// A kind that holds together, with some of its lines put in place of the usual ones.
fn kind(changes: &[(&str, &str)]) -> String {
    let mut lines = vec![
        ("name", r#""BACKUP_DONE""#),
        ("category", r#""Backups""#),
        ("description", r#""A backup was made.""#),
        ("severity", r#""success""#),
        ("concerns", r#""addon""#),
        ("title", r#""Backup of {resource} is done""#),
        ("summary", r#""It can be restored.[ Size: {data.size}.]""#),
        ("sample", r#"'{"addonId":"addon_55555555-5555-4555-8555-555555555555","size":1}'"#),
    ];
    for change in changes {
        match lines.iter_mut().find(|line| line.0 == change.0) {
            Some(line) => *line = *change,
            None => lines.push(*change),
        }
    }
    let lines: Vec<_> = lines.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("[[kind]]\n{}\n", lines.join("\n"))
}

const PLATFORM: [&str; 21] = [
    "ACCOUNT_CREATION",
    "ACCOUNT_DELETION",
    "ACCOUNT_EDITION",
    "ORGANISATION_CREATION",
    "ORGANISATION_DELETION",
    "ORGANISATION_EDITION",
    "ORGANISATION_USER_ADDITION",
    "ADDON_CREATION",
    "ADDON_DELETION",
    "APPLICATION_CREATION",
    "APPLICATION_DELETION",
    "APPLICATION_EDITION",
    "APPLICATION_REDEPLOY",
    "APPLICATION_STOP",
    "DEPLOYMENT_ACTION_BEGIN",
    "DEPLOYMENT_ACTION_END",
    "DEPLOYMENT_FAIL",
    "DEPLOYMENT_SUCCESS",
    "GIT_PUSH",
    "CLEVER_TOOLS_REQUEST",
    "CREDITS_ADDED",
];
const OURS: [&str; 6] = [
    "CREDITS_WARNING",
    "CREDITS_EXHAUSTED",
    "HOOK_FAILING",
    "HOOK_DISABLED",
    "HELD_EXPIRING",
    "ADDRESS_SUPPRESSED",
];
const PRIVATE: [&str; 3] = ["SIGN_IN", "ADDRESS_CONFIRMATION", "LETTERS_HELD_BACK"];

#[test]
fn the_kinds_are_the_platforms_twenty_one_our_six_and_three_private_ones() {
    let catalogue = builtin();
    let names: Vec<_> = catalogue.kinds().iter().map(|kind| kind.name.as_str()).collect();
    assert_eq!(names, [&PLATFORM[..], &OURS[..], &PRIVATE[..]].concat());
    for (number, name) in (0_u16..).zip(names) {
        assert_eq!(
            catalogue.find(name).map(|(number, kind)| (number, kind.name.as_str())),
            Some((number, name))
        );
        assert_eq!(catalogue.kind_at(number).map(|kind| kind.name.as_str()), Some(name));
    }
    assert_eq!(catalogue.kind_at(30), None);
}

#[test]
fn the_families_hold_what_the_contract_says_and_our_credits_warnings() {
    let catalogue = builtin();
    let opened: Vec<(&str, Vec<&str>)> = catalogue
        .families()
        .iter()
        .map(|family| {
            let kinds = family.kinds.iter().filter_map(|number| catalogue.kind_at(*number));
            (family.name.as_str(), kinds.map(|kind| kind.name.as_str()).collect())
        })
        .collect();
    let expected = [
        (
            "META_SERVICE_LIFECYCLE",
            vec!["APPLICATION_STOP", "DEPLOYMENT_ACTION_BEGIN", "DEPLOYMENT_FAIL", "DEPLOYMENT_SUCCESS"],
        ),
        ("META_DEPLOYMENT_RESULT", vec!["DEPLOYMENT_FAIL", "DEPLOYMENT_SUCCESS"]),
        (
            "META_SERVICE_MANAGEMENT",
            vec![
                "ADDON_CREATION",
                "ADDON_DELETION",
                "APPLICATION_CREATION",
                "APPLICATION_EDITION",
                "APPLICATION_DELETION",
            ],
        ),
        ("META_CREDITS", vec!["CREDITS_ADDED", "CREDITS_WARNING", "CREDITS_EXHAUSTED"]),
    ];
    assert_eq!(opened, expected);
    let label = catalogue.family("META_DEPLOYMENT_RESULT").map(|family| family.label.as_str());
    assert_eq!(label, Some("Result of deployments (success/fail)"));
}

#[test]
fn only_what_the_house_says_about_itself_tells_admins_and_that_and_what_is_private_is_locked() {
    for kind in builtin().kinds() {
        let private = PRIVATE.contains(&kind.name.as_str());
        let about_us = ["HOOK_FAILING", "HOOK_DISABLED", "HELD_EXPIRING", "ADDRESS_SUPPRESSED"]
            .contains(&kind.name.as_str());
        assert_eq!(
            (kind.tells_admins, kind.locked, kind.private),
            (about_us, about_us || private, private),
            "{}",
            kind.name
        );
    }
}

#[test]
fn every_owner_is_born_with_two_hooks() {
    let owner = "orga_22222222-2222-4222-8222-222222222222".parse().unwrap();
    let mut id = 0;
    let hooks = facts::default_hooks(&builtin(), owner, 5, &mut || {
        id += 1;
        id
    });
    let shown: Vec<_> = hooks
        .iter()
        .map(|hook| {
            let Way::Email { targets, .. } = &hook.way else { panic!("letters") };
            let [Target::Organisation { roles }] = targets.as_slice() else { panic!("the owner") };
            let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
            (hook.name.as_str(), hook.events.clone().unwrap(), roles)
        })
        .collect();
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        shown,
        [
            ("Default deployment result e-mails", list(&["META_DEPLOYMENT_RESULT"]), vec![]),
            (
                "Default credits warning e-mails",
                list(&["CREDITS_WARNING", "CREDITS_EXHAUSTED"]),
                vec!["ADMIN", "ACCOUNTING"]
            ),
        ]
    );
    let mut ids: Vec<_> = hooks.iter().flat_map(|hook| [hook.id.0, hook.destination_ids()[0].0]).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3, 4], "each hook and destination has its own");
    assert!(hooks.iter().all(|hook| hook.owner == owner && hook.scope.is_none() && hook.created_at == 5));
}

#[test]
fn every_sample_says_something_whole_to_people() {
    let names =
        Names { owner: Some("ACME".into()), resource: Some("web".into()), author: Some("Alice".into()) };
    let links = LinkTemplates {
        application: LinkTemplate::parse("https://console.example/{owner}/{resource}").ok(),
        deployment: LinkTemplate::parse("https://console.example/{resource}/{deployment}").ok(),
        owner: LinkTemplate::parse("https://console.example/{owner}").ok(),
        event: None,
    };
    let catalogue = builtin();
    for kind in catalogue.kinds() {
        let event = kind.sample_event();
        json::scan(&kind.sample).unwrap();
        for (names, named) in [(&names, true), (&Names::default(), false)] {
            let message = message::of(&catalogue, &event, names, &links, Lang::En);
            assert!(!message.title.to_string().contains(['?', '{', '}', '[', ']']), "{}", message.title);
            assert!(!message.summary.to_string().contains(['?', '{', '}', '[', ']']), "{}", message.summary);
            assert_eq!(message.details.len(), kind.details.len(), "{}: a detail is missing", kind.name);
            assert!(!message.summary.is_empty() && !message.title.is_empty());
            assert!(!message.links.is_empty() || (kind.private && kind.link.is_none()), "{}", kind.name);
            if named && kind.concerns != Concern::Owner {
                assert!(message.title.spans().contains(&Span::Theirs("web".into())), "{}", message.title);
            }
        }
        let shape = event.resource.as_ref().map(|resource| resource.shape());
        let expected = match kind.concerns {
            Concern::Owner => None,
            Concern::Application => Some(ResourceShape::Application),
            Concern::Addon => Some(ResourceShape::Addon),
        };
        assert_eq!(shape, expected, "{}", kind.name);
    }
}

#[test]
fn what_people_read_is_settled() {
    let names =
        Names { owner: Some("ACME".into()), resource: Some("web".into()), author: Some("Alice".into()) };
    let catalogue = builtin();
    let lines: Vec<_> = catalogue
        .kinds()
        .iter()
        .map(|kind| {
            let message =
                message::of(&catalogue, &kind.sample_event(), &names, &LinkTemplates::default(), Lang::En);
            format!("{} ({}): {} | {}", kind.name, kind.severity.as_str(), message.title, message.summary)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_beginning_and_the_end_of_a_deployment_read_as_one_story() {
    let catalogue = builtin();
    let names = Names { owner: None, resource: Some("shop-api".into()), author: None };
    let said = |kind: &str| {
        let event = catalogue.find(kind).unwrap().1.sample_event();
        message::of(&catalogue, &event, &names, &LinkTemplates::default(), Lang::En)
    };
    let began = said("DEPLOYMENT_ACTION_BEGIN");
    assert_eq!(began.title.to_string(), "Deployment of shop-api began");
    for (kind, end) in [
        ("DEPLOYMENT_SUCCESS", "succeeded after 2 min 12 s"),
        ("DEPLOYMENT_FAIL", "failed after 4 min 7 s"),
        ("DEPLOYMENT_ACTION_END", "ended after 2 min 12 s: OK"),
    ] {
        let ended = said(kind);
        assert_eq!(ended.title.to_string(), format!("Deployment of shop-api {end}"));
        assert_eq!(ended.thread, began.thread);
    }
}

#[test]
fn events_without_data_still_make_sentences() {
    let catalogue = builtin();
    for kind in catalogue.kinds() {
        let mut event = kind.sample_event();
        event.frame = frame::build(&kind.name, 1, event.owner, None, None).into();
        event.resource = None;
        let message = message::of(&catalogue, &event, &Names::default(), &LinkTemplates::default(), Lang::En);
        let text = format!("{} {}", message.title, message.summary);
        assert!(!text.contains('?') && !text.contains("  ") && !text.contains(" ."), "{}: {text}", kind.name);
        assert!(message.details.len() <= 1, "{:?}", message.details);
    }
}

#[test]
fn application_and_deployment_samples_name_their_application_twice_for_the_clients() {
    for kind in builtin().kinds().iter().filter(|kind| kind.concerns == Concern::Application) {
        let data: Value = serde_json::from_str(&kind.sample).unwrap();
        assert_eq!(data["id"], data["appId"], "{}", kind.name);
        assert!(data["id"].is_string());
        if kind.name.starts_with("DEPLOYMENT_") {
            for field in ["uuid", "state", "action", "commit", "cause", "branch", "name"] {
                assert!(data[field].is_string(), "{}.{field}", kind.name);
            }
        }
    }
}

#[test]
fn an_operator_adds_kinds_families_and_default_hooks() {
    let file = kind(&[("tells", "\"admins\""), ("locked", "true")])
        + "[[family]]\nname = 'META_CREDITS'\nkinds = ['BACKUP_DONE']\n"
        + "[[family]]\nname = 'META_BACKUPS'\nlabel = 'Backups'\nkinds = ['BACKUP_DONE']\n"
        + "[[default_hook]]\nname = 'Backups'\nevents = ['META_BACKUPS', 'GIT_PUSH']\nroles = ['DEVELOPER']\n";
    let catalogue = Catalogue::with(Some(("ours.toml", &file))).unwrap();
    let (number, kind) = catalogue.find("BACKUP_DONE").unwrap();
    assert!(kind.tells_admins && kind.locked);
    assert_eq!(number, 30, "after the built-in ones");
    assert!(catalogue.open(&["META_CREDITS".to_owned()]).contains(30));
    assert!(catalogue.open(&["META_BACKUPS".to_owned()]).contains(30));
    assert_eq!(catalogue.default_hooks().len(), 3);
}

#[test]
fn a_private_kind_is_found_but_never_listed_by_a_hook() {
    let file = kind(&[("private", "true")]);
    let catalogue = Catalogue::with(Some(("ours.toml", &file))).unwrap();
    assert!(catalogue.find("BACKUP_DONE").is_some() && !catalogue.knows("BACKUP_DONE"));
    assert!(!catalogue.open(&["BACKUP_DONE".to_owned()]).contains(30));
    let in_family = file + "[[family]]\nname = 'META_X'\nlabel = 'X'\nkinds = ['BACKUP_DONE']\n";
    assert_eq!(
        refused(&in_family),
        "ours.toml:14: `BACKUP_DONE` is private, and private kinds are of no family"
    );
}

#[test]
fn an_entry_that_does_not_hold_together_is_refused_with_file_line_and_reason() {
    type Case<'a> = (&'a [(&'a str, &'a str)], usize, &'a str);
    let cases: &[Case<'_>] = &[
        (&[("colour", "'red'")], 10, "unknown field `colour`"),
        (&[("name", "'GIT_PUSH'")], 2, "there is a kind `GIT_PUSH` already"),
        (&[("name", "'META_X'")], 2, "not with `META_`"),
        (&[("name", "'lower'")], 2, "capitals"),
        (&[("severity", "'bad'")], 5, "`bad` is not one of: info, success, warning, error"),
        (&[("concerns", "'x'")], 6, "`x` is not one of: owner, application, addon"),
        (&[("learns", "'x'")], 10, "`x` is not one of: account, account_edited"),
        (&[("tells", "'everybody'")], 10, "`everybody` is not one of: admins"),
        (&[("title", "'{data.colour}'")], 7, "`{data.colour}` is a field the sample does not have"),
        (&[("title", "'{user}'")], 7, "`{user}` is not a field"),
        (&[("title", "''")], 9, "the title is empty"),
        (&[("summary", "'[a'")], 8, "`[` is never closed"),
        (&[("details", "[\n{ label = 'X', value = '{data.x}' }]")], 11, "`{data.x}` is a field the sample"),
        (&[("concerns", "'owner'")], 7, "`{resource}` needs a kind that concerns"),
        (&[("sample", "'[]'")], 9, "the sample is no JSON object"),
        (&[("sample", "'{\"size\":1}'")], 9, "the sample names no resource"),
        (
            &[
                ("learns", "'addon'"),
                (
                    "sample",
                    "'{\"addonId\":\"addon_55555555-5555-4555-8555-555555555555\",\"size\":1,\"realId\":\"x\"}'",
                ),
            ],
            9,
            "`data.realId`: an add-on's real id",
        ),
        (&[("locked", "'yes'")], 10, "invalid type"),
        (&[("link", "'Open it'")], 10, "only a private kind has a link of its own"),
    ];
    for (changes, line, reason) in cases {
        let error = refused(&kind(changes));
        assert!(
            error.starts_with(&format!("ours.toml:{line}: ")) && error.contains(reason),
            "{changes:?}: {error}"
        );
    }
    let deep = format!("'{{\"size\":{}{}}}'", "[".repeat(64), "]".repeat(64));
    assert!(refused(&kind(&[("sample", &deep)])).starts_with("ours.toml:9: the sample is nested deeper"));

    for (file, expected) in [
        ("\n[[kind]]\nname = 'X'\n", "ours.toml:2: missing field"),
        ("a = [\n", "ours.toml:"),
        ("[kinds]\n", "ours.toml:1: unknown field `kinds`"),
        ("[[family]]\nname = 'BACKUPS'\nkinds = ['GIT_PUSH']\n", "ours.toml:2: a family's name begins"),
        ("[[family]]\nname = 'META_X'\nkinds = ['GIT_PUSH']\n", "ours.toml:2: a new family needs a `label`"),
        ("[[family]]\nname = 'META_X'\nlabel = 'X'\nkinds = []\n", "ours.toml:2: a family names its kinds"),
        (
            "[[family]]\nname = 'META_X'\nlabel = 'X'\nkinds = [\n'NOPE']\n",
            "ours.toml:5: there is no kind `NOPE`",
        ),
        (
            "[[family]]\nname = 'META_CREDITS'\nkinds = ['CREDITS_ADDED']\n",
            "ours.toml:3: `CREDITS_ADDED` is in",
        ),
        (
            "[[family]]\nname = 'META_CREDITS'\nlabel = 'X'\nkinds = ['GIT_PUSH']\n",
            "ours.toml:2: META_CREDITS has",
        ),
        (
            "[[default_hook]]\nname = 'X'\nevents = ['NOPE']\n",
            "ours.toml:3: `NOPE` is neither a kind nor a family",
        ),
        ("[[default_hook]]\nname = 'X'\nevents = []\n", "ours.toml:3: a default hook names its kinds"),
        ("[[default_hook]]\nname = ' '\nevents = ['GIT_PUSH']\n", "ours.toml:2: a default hook needs a name"),
        (
            "[[default_hook]]\nname = 'X'\nevents = ['GIT_PUSH']\nroles = ['BOSS']\n",
            "ours.toml:4: `BOSS` is not one of: ADMIN, MANAGER, DEVELOPER, ACCOUNTING",
        ),
        (
            "[[default_hook]]\nname = 'Default credits warning e-mails'\nevents = ['GIT_PUSH']\n",
            "ours.toml:2: a default hook needs a name of its own",
        ),
    ] {
        let error = refused(file);
        assert!(error.starts_with(expected), "{file}: {error}");
    }
}

#[test]
fn a_hook_that_lists_a_family_is_owed_its_kinds() {
    let catalogue = builtin();
    let owner = "orga_22222222-2222-4222-8222-222222222222".parse().unwrap();
    let hooks = facts::default_hooks(&catalogue, owner, 0, &mut || 1);
    let rule = Rule::of(&hooks[0], |names| catalogue.open(names));
    for (number, kind) in (0_u16..).zip(catalogue.kinds()) {
        let event = Occurrence {
            owner,
            kind: number,
            resource: &[],
            about_hook: None,
            tells_admins: false,
            private: false,
        };
        let owed = !matching::plan(&event, std::slice::from_ref(&rule)).is_empty();
        assert_eq!(
            owed,
            ["DEPLOYMENT_FAIL", "DEPLOYMENT_SUCCESS"].contains(&kind.name.as_str()),
            "{}",
            kind.name
        );
    }
}

proptest! {
    #[test]
    fn no_operator_file_panics(text in prop_oneof![
        any::<String>(),
        r#"(\[\[(kind|family|default_hook)\]\]\n|(name|title|events|kinds) = ("[A-Z_{}\[\]é]{0,4}"|\["GIT_PUSH"\])\n){0,8}"#,
    ]) {
        if let Err(error) = Catalogue::with(Some(("x", &text))) {
            prop_assert!(error.line >= 1 && error.line <= text.matches('\n').count() + 1, "{}", error);
        }
    }
}

#[test]
fn the_documentation_lists_every_kind_and_family() {
    let page = include_str!("../../../docs/catalogue.md");
    let catalogue = Catalogue::builtin().unwrap();
    for kind in catalogue.kinds() {
        let row = format!("| `{}` | {} | {} |", kind.name, kind.description, kind.severity.as_str());
        assert!(page.contains(&row), "docs/catalogue.md lacks: {row}");
    }
    for family in catalogue.families() {
        assert!(page.contains(&format!("| `{}` | {} |", family.name, family.label)), "{}", family.name);
    }
}
