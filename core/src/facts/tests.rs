use super::*;
use serde_json::json;

const USER: &str = "user_11111111-1111-4111-8111-111111111111";
const OTHER: &str = "user_12121212-1212-4212-8212-121212121212";
const ORGA: &str = "orga_22222222-2222-4222-8222-222222222222";
const APP: &str = "app_33333333-3333-4333-8333-333333333333";
const ADDON: &str = "addon_55555555-5555-4555-8555-555555555555";
const REAL: &str = "postgresql_66666666-6666-4666-8666-666666666666";

fn told(kind: &str, owner: &str, resource: Option<&str>, data: Value) -> Result<Vec<Fact>, FactError> {
    let catalogue = Catalogue::builtin().unwrap();
    let (_, kind) = catalogue.find(kind).unwrap();
    let resource = resource.map(|id| id.parse().unwrap());
    let mut born = |owner| default_hooks(&catalogue, owner, 0, &mut || 1);
    of(kind, owner.parse().unwrap(), USER.parse().ok(), resource.as_ref(), data.as_object(), &mut born)
}

fn born(owner: &str) -> Vec<Hook> {
    default_hooks(&Catalogue::builtin().unwrap(), owner.parse().unwrap(), 0, &mut || 1)
}

fn user(id: &str, name: Option<&str>, email: Option<&str>, lang: Option<&str>) -> Fact {
    let own = |text: Option<&str>| text.map(str::to_owned);
    Fact::User {
        id: id.parse().unwrap(),
        name: own(name),
        email: own(email),
        lang: own(lang),
        operator: None,
        hooks: born(id),
    }
}

#[test]
fn the_table_of_what_events_tell() {
    let organisation = |name: Option<&str>, founder: Option<&str>| Fact::Organisation {
        id: ORGA.parse().unwrap(),
        name: name.map(str::to_owned),
        founder: founder.map(|id| id.parse().unwrap()),
        hooks: born(ORGA),
    };
    let member = |user: &str, role| Fact::Member {
        organisation: ORGA.parse().unwrap(),
        user: user.parse().unwrap(),
        role,
    };
    let resource = |id: &str, real_id: Option<&str>, name: Option<&str>| Fact::Resource {
        id: id.parse().unwrap(),
        real_id: real_id.map(|id| id.parse().unwrap()),
        owner: ORGA.parse().unwrap(),
        name: name.map(str::to_owned),
    };
    let gone = |id: &str| Fact::ResourceGone { id: id.parse().unwrap(), owner: ORGA.parse().unwrap() };

    type Case<'a> = (&'a str, &'a str, Option<&'a str>, Value, Vec<Fact>);
    let table: Vec<Case<'_>> = vec![
        (
            "ACCOUNT_CREATION",
            USER,
            None,
            json!({"email": "Alice@Example.com", "name": "Alice", "lang": "pt-BR"}),
            vec![user(USER, Some("Alice"), Some("Alice@example.com"), Some("pt-BR"))],
        ),
        ("ACCOUNT_EDITION", USER, None, json!({"lang": "fr"}), vec![user(USER, None, None, Some("fr"))]),
        ("ACCOUNT_EDITION", ORGA, None, json!({"lang": "fr"}), vec![]),
        ("ACCOUNT_DELETION", USER, None, Value::Null, vec![Fact::UserGone(USER.parse().unwrap())]),
        ("ACCOUNT_DELETION", ORGA, None, Value::Null, vec![]),
        (
            "ORGANISATION_CREATION",
            ORGA,
            None,
            json!({"name": " AC\nME "}),
            vec![organisation(Some("AC ME"), Some(USER))],
        ),
        ("ORGANISATION_CREATION", ORGA, None, json!({"name": "  "}), vec![organisation(None, Some(USER))]),
        ("ORGANISATION_EDITION", ORGA, None, json!({"name": "ACME"}), vec![organisation(Some("ACME"), None)]),
        ("ORGANISATION_CREATION", USER, None, json!({"name": "ACME"}), vec![]),
        (
            "ORGANISATION_DELETION",
            ORGA,
            None,
            Value::Null,
            vec![Fact::OrganisationGone(ORGA.parse().unwrap())],
        ),
        (
            "ORGANISATION_USER_ADDITION",
            ORGA,
            None,
            json!({"userId": OTHER, "role": "DEVELOPER"}),
            vec![member(OTHER, Role::Developer)],
        ),
        (
            "ORGANISATION_USER_ADDITION",
            ORGA,
            None,
            json!({"id": OTHER, "role": "ADMIN", "email": "b@example.com", "name": "Bob"}),
            vec![user(OTHER, Some("Bob"), Some("b@example.com"), None), member(OTHER, Role::Admin)],
        ),
        ("ORGANISATION_USER_ADDITION", ORGA, None, json!({"userId": OTHER}), vec![]),
        ("ORGANISATION_USER_ADDITION", ORGA, None, json!({"id": "x", "role": "ADMIN"}), vec![]),
        ("ORGANISATION_USER_ADDITION", ORGA, None, Value::Null, vec![]),
        (
            "APPLICATION_CREATION",
            ORGA,
            Some(APP),
            json!({"name": "web"}),
            vec![resource(APP, None, Some("web"))],
        ),
        ("APPLICATION_EDITION", ORGA, Some(APP), Value::Null, vec![resource(APP, None, None)]),
        ("APPLICATION_CREATION", ORGA, None, json!({"name": "web"}), vec![]),
        ("APPLICATION_CREATION", ORGA, Some(ADDON), json!({"name": "web"}), vec![]),
        ("APPLICATION_DELETION", ORGA, Some(APP), Value::Null, vec![gone(APP)]),
        ("APPLICATION_DELETION", ORGA, Some(ADDON), Value::Null, vec![]),
        (
            "ADDON_CREATION",
            ORGA,
            Some(ADDON),
            json!({"name": "db", "realId": REAL}),
            vec![resource(ADDON, Some(REAL), Some("db"))],
        ),
        ("ADDON_CREATION", ORGA, Some(REAL), json!({"name": "db"}), vec![]),
        ("ADDON_DELETION", ORGA, Some(REAL), Value::Null, vec![gone(REAL)]),
        ("ADDON_DELETION", ORGA, None, Value::Null, vec![]),
        ("DEPLOYMENT_SUCCESS", ORGA, Some(APP), json!({"name": 1, "email": 2}), vec![]),
    ];
    for (kind, owner, resource, data, facts) in table {
        assert_eq!(told(kind, owner, resource, data.clone()), Ok(facts), "{kind} {data}");
    }
}

#[test]
fn a_field_that_is_there_and_wrong_is_named_with_its_rule() {
    for (kind, owner, resource, data, field, rule) in [
        ("ACCOUNT_CREATION", USER, None, json!({"email": "nobody"}), "email", "one `@`"),
        ("ACCOUNT_CREATION", USER, None, json!({"email": 5}), "email", "a text"),
        ("ACCOUNT_EDITION", USER, None, json!({"lang": "français"}), "lang", "`fr`"),
        ("ACCOUNT_EDITION", USER, None, json!({"lang": ""}), "lang", "`fr`"),
        ("ACCOUNT_EDITION", USER, None, json!({"name": []}), "name", "a text"),
        ("ORGANISATION_CREATION", ORGA, None, json!({"name": {}}), "name", "a text"),
        (
            "ORGANISATION_USER_ADDITION",
            ORGA,
            None,
            json!({"userId": ORGA, "role": "ADMIN"}),
            "userId",
            "a user id",
        ),
        (
            "ORGANISATION_USER_ADDITION",
            ORGA,
            None,
            json!({"id": "user_x", "role": "ADMIN"}),
            "id",
            "a user id",
        ),
        ("ORGANISATION_USER_ADDITION", ORGA, None, json!({"userId": OTHER, "role": "NONE"}), "role", "ADMIN"),
        ("ORGANISATION_USER_ADDITION", ORGA, None, json!({"userId": OTHER, "role": 1}), "role", "a text"),
        (
            "ORGANISATION_USER_ADDITION",
            ORGA,
            None,
            json!({"userId": OTHER, "role": "ADMIN", "email": "x"}),
            "email",
            "one `@`",
        ),
        ("ADDON_CREATION", ORGA, Some(ADDON), json!({"realId": ADDON}), "realId", "real id"),
        ("ADDON_CREATION", ORGA, Some(ADDON), json!({"realId": "a b"}), "realId", "real id"),
    ] {
        let error = told(kind, owner, resource, data.clone()).unwrap_err();
        assert_eq!(error.field, field, "{kind} {data}");
        assert!(error.rule.contains(rule), "{kind} {data}: {error}");
    }
}

#[test]
fn a_long_name_is_kept_as_far_as_people_read() {
    let facts = told("APPLICATION_CREATION", ORGA, Some(APP), json!({"name": "é".repeat(10_000)})).unwrap();
    let [Fact::Resource { name: Some(name), .. }] = facts.as_slice() else { panic!("{facts:?}") };
    assert_eq!((name.chars().count(), name.ends_with('…')), (LONGEST_NAME, true));
}

#[test]
fn only_creations_make_owners() {
    let catalogue = Catalogue::builtin().unwrap();
    let making: Vec<_> =
        catalogue.kinds().iter().filter(|kind| kind.creates_owner()).map(|kind| kind.name.as_str()).collect();
    assert_eq!(making, ["ACCOUNT_CREATION", "ORGANISATION_CREATION"]);
}
