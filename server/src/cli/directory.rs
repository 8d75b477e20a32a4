//! `user`, `org`, `app` and `addon`: who and what there is.
//!
//! Platforms fill the directory through the API, by `import`, or by the events themselves; these are for people.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sonnette_core::ids::{OrganisationId, OwnerId, ResourceId, UserId};
use sonnette_core::model::Role;

use super::client::{Access, Client};
use super::failure::Failure;
use super::list::{self, Columns, Paging};
use super::table::{clean, or_none};
use super::terminal::Terminal;

/// Users: the people letters are written to
#[derive(Debug, Args)]
pub struct UserArgs {
    #[command(flatten)]
    pub(super) access: Access,
    #[command(subcommand)]
    verb: UserVerb,
}

#[derive(Debug, Subcommand)]
enum UserVerb {
    /// Add a user and print the id made for them
    Add(AddUser),
    /// List users
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Remove a user with everything of theirs
    Remove {
        /// `user_…`
        id: UserId,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct AddUser {
    /// Where their letters go
    email: String,
    /// What to call them
    #[arg(long)]
    name: Option<String>,
    /// The language of their letters, such as fr
    #[arg(long)]
    lang: Option<String>,
    /// They may do what an operator token may, but for publishing
    #[arg(long)]
    operator: bool,
    /// Make them a member of this organisation, by id or exact name; it is created if there is none of that name
    #[arg(long, value_name = "ORGANISATION", requires = "role")]
    org: Option<String>,
    /// Their role there
    #[arg(long, requires = "org", ignore_case = true, value_parser = role_names())]
    role: Option<String>,
    /// An id the platform has for them already
    #[arg(long)]
    id: Option<UserId>,
}

/// Organisations, and who is in them
#[derive(Debug, Args)]
pub struct OrgArgs {
    #[command(flatten)]
    pub(super) access: Access,
    #[command(subcommand)]
    verb: OrgVerb,
}

#[derive(Debug, Subcommand)]
enum OrgVerb {
    /// Add an organisation and print the id made for it
    Add {
        /// What to call it
        name: String,
        /// Who founds it and becomes its first ADMIN: `user_…`
        #[arg(long, value_name = "USER")]
        founder: Option<UserId>,
    },
    /// List organisations
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Remove an organisation with everything of it
    Remove {
        /// By id or exact name
        organisation: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List the members of an organisation
    Members {
        /// By id or exact name
        organisation: String,
    },
    /// Make a user a member, or change a member's role
    AddMember {
        /// By id or exact name
        organisation: String,
        /// `user_…`
        user: UserId,
        /// As what
        #[arg(long, ignore_case = true, value_parser = role_names())]
        role: String,
    },
    /// Take a member out: what is sent from then on does not reach them
    RemoveMember {
        /// By id or exact name
        organisation: String,
        /// `user_…`
        user: UserId,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Applications of an owner
#[derive(Debug, Args)]
pub struct AppArgs {
    #[command(flatten)]
    pub(super) access: Access,
    #[command(subcommand)]
    verb: AppVerb,
}

#[derive(Debug, Subcommand)]
enum AppVerb {
    /// Add an application and print the id made for it
    Add {
        /// What to call it
        name: String,
        /// Whose: `user_…` or `orga_…`
        #[arg(long)]
        owner: OwnerId,
    },
    #[command(flatten)]
    Shared(ResourceVerb),
}

/// Add-ons of an owner
#[derive(Debug, Args)]
pub struct AddonArgs {
    #[command(flatten)]
    pub(super) access: Access,
    #[command(subcommand)]
    verb: AddonVerb,
}

#[derive(Debug, Subcommand)]
enum AddonVerb {
    /// Add an add-on and print the id made for it
    Add {
        /// What to call it
        name: String,
        /// Whose: `user_…` or `orga_…`
        #[arg(long)]
        owner: OwnerId,
        /// The provider's own id of it, such as `postgresql_…`
        #[arg(long, value_name = "ID")]
        real_id: Option<ResourceId>,
    },
    #[command(flatten)]
    Shared(ResourceVerb),
}

#[derive(Debug, Subcommand)]
enum ResourceVerb {
    /// List those of an owner
    List {
        /// Whose: `user_…` or `orga_…`
        #[arg(long)]
        owner: OwnerId,
    },
    /// Remove one from the directory
    Remove {
        /// `app_…` or `addon_…`
        id: ResourceId,
        /// Whose: `user_…` or `orga_…`
        #[arg(long)]
        owner: OwnerId,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// A role by its name, in any case.
fn role_names() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::from(Role::ALL.map(Role::as_str)).map(|name| name.to_ascii_uppercase())
}

#[derive(Debug, Deserialize)]
struct User {
    id: String,
    email: String,
    name: Option<String>,
    lang: Option<String>,
    #[serde(default)]
    operator: bool,
}

#[derive(Debug, Deserialize)]
struct Organisation {
    id: String,
    name: String,
    role: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Member {
    user: User,
    role: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    id: String,
    owner_id: String,
    name: Option<String>,
    real_id: Option<String>,
}

const USERS: Columns<User> = Columns {
    header: &["ID", "EMAIL", "NAME", "LANG", "OPERATOR"],
    row: |user| {
        vec![
            user.id.clone(),
            user.email.clone(),
            or_none(user.name.as_deref()),
            or_none(user.lang.as_deref()),
            if user.operator { "yes" } else { "no" }.to_owned(),
        ]
    },
};

const ORGANISATIONS: Columns<Organisation> = Columns {
    header: &["ID", "NAME", "YOUR ROLE"],
    row: |organisation| {
        vec![organisation.id.clone(), organisation.name.clone(), or_none(organisation.role.as_deref())]
    },
};

const MEMBERS: Columns<Member> = Columns {
    header: &["USER", "EMAIL", "NAME", "ROLE"],
    row: |member| {
        let user = &member.user;
        vec![user.id.clone(), user.email.clone(), or_none(user.name.as_deref()), member.role.clone()]
    },
};

const RESOURCES: Columns<Resource> = Columns {
    header: &["ID", "NAME", "REAL ID", "OWNER"],
    row: |resource| {
        vec![
            resource.id.clone(),
            or_none(resource.name.as_deref()),
            or_none(resource.real_id.as_deref()),
            resource.owner_id.clone(),
        ]
    },
};

/// Prints the id the server made: alone on standard output, so that a script can take it.
fn print_id(value: &Value, terminal: &mut Terminal) -> Result<(), Failure> {
    terminal.result(value, || clean(value["id"].as_str().unwrap_or_default()))
}

// ------------------------------------------------------------------------------------------------------- users

pub(super) async fn user(
    args: &UserArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match &args.verb {
        UserVerb::Add(add) => add_user(add, client, terminal).await,
        UserVerb::List { paging } => list::print(client, terminal, "/users", &[], Some(paging), USERS).await,
        UserVerb::Remove { id, yes } => {
            let user: User = list::read(&client.get(&format!("/users/{id}"), &[]).await?)?;
            let what = format!(
                "Removing the user {} <{}>: their memberships end, their own hooks, applications and add-ons go with \
                 them, and no more letters reach them as a person.",
                or_none(user.name.as_deref()),
                user.email
            );
            terminal.confirm(*yes, &clean(&what))?;
            client.delete(&format!("/users/{id}"), &[]).await?;
            terminal.note("Removed.")
        }
    }
}

async fn add_user(args: &AddUser, client: &mut Client, terminal: &mut Terminal) -> Result<(), Failure> {
    // The organisation is looked up first: a wrong one must not leave a user behind.
    let known = match &args.org {
        Some(given) => Some(find_organisation(given, client).await?),
        None => None,
    };
    let mut body = Map::new();
    body.insert("email".into(), args.email.clone().into());
    for (field, value) in [("name", &args.name), ("lang", &args.lang)] {
        body.extend(value.clone().map(|value| (field.to_owned(), Value::from(value))));
    }
    if args.operator {
        body.insert("operator".into(), true.into());
    }
    body.extend(args.id.map(|id| ("id".to_owned(), Value::from(id.to_string()))));
    let value = client.post("/users", &body).await?.body;
    let user = made::<UserId>(&value)?;
    print_id(&value, terminal)?;

    if let (Some(known), Some(given), Some(role)) = (known, &args.org, &args.role) {
        let organisation = match known {
            Some(organisation) => organisation,
            None => {
                let made = made(&client.post("/organisations", &json!({ "name": given })).await?.body)?;
                terminal.note(&clean(&format!("There was no organisation `{given}`: created {made}.")))?;
                made
            }
        };
        client.put(&member(organisation, user), &json!({ "role": role })).await?;
        terminal.note(&clean(&format!("Member of {organisation} as {role}.")))?;
    }
    Ok(())
}

/// The id the server made.
fn made<T: std::str::FromStr>(value: &Value) -> Result<T, Failure> {
    let id = value["id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| Failure::Failed("the server's reply is not understood: it has no `id`".into()))
}

fn member(organisation: OrganisationId, user: UserId) -> String {
    format!("/organisations/{organisation}/members/{user}")
}

// ----------------------------------------------------------------------------------------------- organisations

/// The organisation of this id or exact name; `None` if no organisation has the name.
async fn find_organisation(given: &str, client: &mut Client) -> Result<Option<OrganisationId>, Failure> {
    if let Ok(id) = given.parse() {
        client.get(&format!("/organisations/{id}"), &[]).await?;
        return Ok(Some(id));
    }
    let mut found: Option<OrganisationId> = None;
    list::walk(client, "/organisations", |value| {
        if value["name"] != given {
            return Ok(());
        }
        let id = made(value)?;
        match found.replace(id) {
            Some(other) => Err(Failure::Usage(clean(&format!(
                "several organisations are called `{given}`, {other} and {id} among them: name it by its id"
            )))),
            None => Ok(()),
        }
    })
    .await?;
    Ok(found)
}

async fn organisation(given: &str, client: &mut Client) -> Result<OrganisationId, Failure> {
    let none = || Failure::Refused(Box::new(absent(given)));
    find_organisation(given, client).await?.ok_or_else(none)
}

/// A name nobody has is as absent as an id nobody has, and ends with the same exit code.
fn absent(given: &str) -> super::failure::Problem {
    super::failure::Problem {
        status: 404,
        detail: format!("there is no organisation `{given}`"),
        field: None,
        retry_after: None,
        hint: None,
    }
}

pub(super) async fn org(args: &OrgArgs, client: &mut Client, terminal: &mut Terminal) -> Result<(), Failure> {
    match &args.verb {
        OrgVerb::Add { name, founder } => {
            let mut body = Map::from_iter([("name".to_owned(), Value::from(name.clone()))]);
            body.extend(founder.map(|user| ("founder".to_owned(), Value::from(user.to_string()))));
            let value = client.post("/organisations", &body).await?.body;
            print_id(&value, terminal)
        }
        OrgVerb::List { paging } => {
            list::print(client, terminal, "/organisations", &[], Some(paging), ORGANISATIONS).await
        }
        OrgVerb::Remove { organisation: given, yes } => {
            let id = organisation(given, client).await?;
            let what = what_stops(id, client).await?;
            terminal.confirm(*yes, &clean(&what))?;
            client.delete(&format!("/organisations/{id}"), &[]).await?;
            terminal.note("Removed.")
        }
        OrgVerb::Members { organisation: given } => {
            let path = format!("/organisations/{}/members", organisation(given, client).await?);
            list::print(client, terminal, &path, &[], None, MEMBERS).await
        }
        OrgVerb::AddMember { organisation: given, user, role } => {
            let id = organisation(given, client).await?;
            client.put(&member(id, *user), &json!({ "role": role })).await?;
            terminal.note(&clean(&format!("{user} is a member of {id} as {role}.")))
        }
        OrgVerb::RemoveMember { organisation: given, user, yes } => {
            let id = organisation(given, client).await?;
            terminal.confirm(*yes, &format!("{user} will get no more letters of {id}."))?;
            client.delete(&member(id, *user), &[]).await?;
            terminal.note("Removed.")
        }
    }
}

/// What goes with an organisation, counted.
async fn what_stops(id: OrganisationId, client: &mut Client) -> Result<String, Failure> {
    let shown = client.get(&format!("/organisations/{id}"), &[]).await?;
    let mut counts = [0; 3];
    let paths = [
        format!("/owners/{id}/hooks"),
        format!("/organisations/{id}/members"),
        format!("/owners/{id}/resources"),
    ];
    for (count, path) in counts.iter_mut().zip(&paths) {
        *count = client.get(path, &[]).await?["items"].as_array().map_or(0, Vec::len);
    }
    let [hooks, members, resources] = counts;
    Ok(format!(
        "Removing the organisation `{}` ({id}): {hooks} hooks stop telling, {members} memberships end, {resources} \
         applications and add-ons leave the directory.",
        shown["name"].as_str().unwrap_or_default()
    ))
}

// --------------------------------------------------------------------------------------------------- resources

/// Which of the two kinds of resource a command is about: its name in the API, and how its ids begin.
#[derive(Clone, Copy)]
struct Sort {
    kind: &'static str,
    prefix: &'static str,
}

const APPLICATION: Sort = Sort { kind: "application", prefix: "app_" };
const ADDON: Sort = Sort { kind: "addon", prefix: "addon_" };

pub(super) async fn app(args: &AppArgs, client: &mut Client, terminal: &mut Terminal) -> Result<(), Failure> {
    match &args.verb {
        AppVerb::Add { name, owner } => add_resource(APPLICATION, *owner, name, None, client, terminal).await,
        AppVerb::Shared(verb) => resource(APPLICATION, verb, client, terminal).await,
    }
}

pub(super) async fn addon(
    args: &AddonArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match &args.verb {
        AddonVerb::Add { name, owner, real_id } => {
            add_resource(ADDON, *owner, name, real_id.as_ref(), client, terminal).await
        }
        AddonVerb::Shared(verb) => resource(ADDON, verb, client, terminal).await,
    }
}

async fn add_resource(
    sort: Sort,
    owner: OwnerId,
    name: &str,
    real_id: Option<&ResourceId>,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let mut body = json!({ "kind": sort.kind, "name": name });
    if let Some(real_id) = real_id {
        body["realId"] = real_id.as_str().into();
    }
    let value = client.post(&format!("/owners/{owner}/resources"), &body).await?.body;
    print_id(&value, terminal)
}

async fn resource(
    sort: Sort,
    verb: &ResourceVerb,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match verb {
        ResourceVerb::List { owner } => {
            let path = format!("/owners/{owner}/resources");
            let (mut items, _) = list::page(client.get(&path, &[]).await?)?;
            items.retain(|item| item["id"].as_str().is_some_and(|id| id.starts_with(sort.prefix)));
            list::show(terminal, &items, RESOURCES)?;
            if items.is_empty() && !terminal.json { terminal.note("None.") } else { Ok(()) }
        }
        ResourceVerb::Remove { id, owner, yes } => {
            if !id.as_str().starts_with(sort.prefix) {
                return Err(Failure::Usage(format!("`{id}` does not begin with `{}`", sort.prefix)));
            }
            let what = format!(
                "Removing {id} of {owner}: hooks whose scope names it have nothing more to tell of it; they keep its id."
            );
            terminal.confirm(*yes, &what)?;
            client.delete(&format!("/owners/{owner}/resources/{id}"), &[]).await?;
            terminal.note("Removed.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::terminal::tests::terminal;
    use super::super::tests::{Server, parse_as, refuses};
    use super::*;

    const USER: &str = "user_11111111-1111-4111-8111-111111111111";
    const ACME: &str = "orga_11111111-1111-4111-8111-111111111111";
    const OTHER: &str = "orga_22222222-2222-4222-8222-222222222222";

    fn organisations(items: &[(&str, &str)]) -> (u16, Value) {
        let items: Vec<_> = items.iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
        (200, json!({"items": items, "next": null}))
    }

    async fn add(server: &Server, words: &str) -> (Result<(), Failure>, String, String) {
        let args: UserArgs = parse_as(&format!("user add ada@example.org {words}"));
        let (mut terminal, out, err) = terminal(false, None);
        let result = user(&args, &mut server.client(), &mut terminal).await;
        (result, out.text(), err.text())
    }

    #[tokio::test]
    async fn a_user_joins_the_organisation_of_that_name_and_only_the_id_is_on_standard_output() {
        let replies = [
            organisations(&[(OTHER, "Acme Ltd"), (ACME, "Acme")]),
            (201, json!({"id": USER})),
            (200, json!({})),
        ];
        let server = Server::answering(replies).await;
        let (result, out, _) = add(&server, "--org Acme --role admin --lang fr --operator").await;
        result.unwrap();
        assert_eq!(out, format!("{USER}\n"));
        let asked = server.asked();
        let body = json!({"email": "ada@example.org", "lang": "fr", "operator": true});
        assert_eq!(asked[1], ("POST /api/v1/users".to_owned(), body));
        let line = format!("PUT /api/v1/organisations/{ACME}/members/{USER}");
        assert_eq!(asked[2], (line, json!({"role": "ADMIN"})));
    }

    #[tokio::test]
    async fn an_organisation_nobody_has_is_created_and_that_is_said() {
        let replies =
            [organisations(&[]), (201, json!({"id": USER})), (201, json!({"id": ACME})), (200, json!({}))];
        let server = Server::answering(replies).await;
        let (result, _, err) = add(&server, "--org Acme --role MANAGER").await;
        result.unwrap();
        assert!(err.starts_with(&format!("There was no organisation `Acme`: created {ACME}.\n")), "{err}");
    }

    #[tokio::test]
    async fn a_name_two_organisations_have_leaves_no_user_behind() {
        let server = Server::answering([organisations(&[(ACME, "Acme"), (OTHER, "Acme")])]).await;
        let (result, ..) = add(&server, "--org Acme --role MANAGER").await;
        assert_eq!(result.unwrap_err().exit_code(), 2);
        assert_eq!(server.asked().len(), 1);
    }

    #[test]
    fn an_organisation_needs_a_role_and_a_role_an_organisation() {
        assert!(refuses("user add a@b.c --org Acme"));
        assert!(refuses("user add a@b.c --role ADMIN"));
        assert!(refuses("user add a@b.c --org Acme --role BOSS"));
    }

    #[tokio::test]
    async fn a_name_no_organisation_has_is_not_found() {
        let server = Server::answering([organisations(&[])]).await;
        let args: OrgArgs = parse_as("org members Acme");
        let (mut terminal, ..) = terminal(false, None);
        let failure = org(&args, &mut server.client(), &mut terminal).await.unwrap_err();
        assert_eq!(
            (failure.exit_code(), failure.to_string().as_str()),
            (5, "there is no organisation `Acme`")
        );
    }

    #[tokio::test]
    async fn removing_an_organisation_counts_what_stops_and_needs_a_yes() {
        let many = |n: usize| (200, json!({"items": vec![json!({}); n]}));
        let replies =
            [(200, json!({})), (200, json!({"id": ACME, "name": "Acme"})), many(2), many(3), many(1)];
        let server = Server::answering(replies).await;
        let args: OrgArgs = parse_as(&format!("org remove {ACME}"));
        let (mut terminal, _, err) = terminal(false, Some("n\n"));
        let failure = org(&args, &mut server.client(), &mut terminal).await.unwrap_err();
        assert_eq!(failure.to_string(), "nothing was changed");
        assert!(
            err.text().contains("2 hooks stop telling, 3 memberships end, 1 applications"),
            "{}",
            err.text()
        );
    }

    #[tokio::test]
    async fn applications_are_listed_without_addons() {
        let items = json!({"items": [
            {"id": "app_1", "ownerId": ACME, "name": "shop", "realId": null},
            {"id": "addon_1", "ownerId": ACME, "name": "db", "realId": "postgresql_1"}]});
        let server = Server::answering([(200, items.clone()), (200, items)]).await;
        let (mut terminal, out, _) = terminal(false, None);
        let apps: AppArgs = parse_as(&format!("app list --owner {ACME}"));
        app(&apps, &mut server.client(), &mut terminal).await.unwrap();
        let addons: AddonArgs = parse_as(&format!("addon list --owner {ACME}"));
        addon(&addons, &mut server.client(), &mut terminal).await.unwrap();
        insta::assert_snapshot!(out.text(), @r"
        ID     NAME  REAL ID  OWNER
        app_1  shop  -        orga_11111111-1111-4111-8111-111111111111
        ID       NAME  REAL ID       OWNER
        addon_1  db    postgresql_1  orga_11111111-1111-4111-8111-111111111111
        ");
    }

    #[tokio::test]
    async fn an_application_is_not_removed_as_an_addon() {
        let server = Server::answering([]).await;
        let id = "app_22222222-2222-4222-8222-222222222222";
        let args: AddonArgs = parse_as(&format!("addon remove {id} --owner {ACME} --yes"));
        let (mut terminal, ..) = terminal(false, None);
        let failure = addon(&args, &mut server.client(), &mut terminal).await.unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(server.asked().is_empty());
    }
}
