//! Users, organisations, members, applications, add-ons and tokens on the wire.

use serde::{Deserialize, Serialize};
use sonnette_core::ids::{OrganisationId, OwnerId, ResourceId, UserId};
use sonnette_core::message::one_line;
use sonnette_core::model::{Fact, Hook, Member, Organisation, Resource, Role, Token, User};
use sonnette_core::{address, ids::ResourceShape};

use super::posted::parsed;
use super::problem::Problem;

const MAX_NAME: usize = 200;
const MAX_LANG: usize = 35;

/// A user as given; what is left out stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenUser {
    /// Only in a `POST` and an import.
    pub id: Option<String>,
    /// Where letters go.
    pub email: Option<String>,
    /// What to call them.
    pub name: Option<String>,
    /// A BCP 47 tag.
    pub lang: Option<String>,
    /// May do what an operator token does, except publish.
    pub operator: Option<bool>,
}

/// An organisation as given.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenOrganisation {
    /// Only in a `POST` and an import.
    pub id: Option<String>,
    /// What to call it.
    pub name: Option<String>,
    /// Its first ADMIN.
    pub founder: Option<String>,
}

/// A member as given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenMember {
    /// Only in an import.
    pub organisation: Option<String>,
    /// Only in an import.
    pub user: Option<String>,
    /// As what.
    pub role: String,
}

/// An application or add-on as given.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GivenResource {
    /// Only in an import.
    pub id: Option<String>,
    /// Only in an import.
    pub owner: Option<String>,
    /// Only in a `POST`: `application` or `addon`.
    pub kind: Option<String>,
    /// What to call it.
    pub name: Option<String>,
    /// The provider's own name of an add-on.
    pub real_id: Option<String>,
}

/// One line of an import.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Line {
    /// A user.
    User(GivenUser),
    /// An organisation.
    Organisation(GivenOrganisation),
    /// A member.
    Member(GivenMember),
    /// An application or add-on.
    Resource(GivenResource),
}

/// Where the default hooks of a new owner come from.
pub type Born<'a> = &'a mut dyn FnMut(OwnerId) -> Vec<Hook>;

fn name(given: Option<String>) -> Result<Option<String>, Problem> {
    let Some(given) = given else { return Ok(None) };
    let name = one_line(given.trim());
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Problem::invalid("name", format!("a name has 1 to {MAX_NAME} bytes")));
    }
    Ok(Some(name))
}

fn needed(given: Option<String>, field: &str) -> Result<String, Problem> {
    given.ok_or_else(|| Problem::invalid(field, format!("`{field}` is needed")))
}

fn not_here(given: Option<&String>, field: &str) -> Result<(), Problem> {
    match given {
        None => Ok(()),
        Some(_) => Err(Problem::invalid(field, format!("`{field}` is said by the path here"))),
    }
}

impl GivenUser {
    /// The fact it tells about `id`.
    ///
    /// # Errors
    /// The first rule that is broken, with the field.
    pub fn fact(self, id: UserId, born: Born<'_>) -> Result<Fact, Problem> {
        let email = self.email.map(|email| address::check(&email)).transpose();
        let lang_fits = |lang: &String| {
            !lang.is_empty()
                && lang.len() <= MAX_LANG
                && lang.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if self.lang.as_ref().is_some_and(|lang| !lang_fits(lang)) {
            return Err(Problem::invalid("lang", "`lang` is a BCP 47 tag such as `fr` or `en-GB`"));
        }
        Ok(Fact::User {
            id,
            name: name(self.name)?,
            email: email.map_err(|error| Problem::invalid("email", error.to_string()))?,
            lang: self.lang,
            operator: self.operator,
            hooks: born(id.into()),
        })
    }
}

impl GivenOrganisation {
    /// The fact it tells about `id`.
    ///
    /// # Errors
    /// The first rule that is broken, with the field.
    pub fn fact(self, id: OrganisationId, born: Born<'_>) -> Result<Fact, Problem> {
        Ok(Fact::Organisation {
            id,
            name: name(self.name)?,
            founder: self.founder.map(|id| parsed(&id, "founder")).transpose()?,
            hooks: born(id.into()),
        })
    }
}

impl GivenMember {
    /// The fact it tells.
    ///
    /// # Errors
    /// The first rule that is broken, with the field.
    pub fn fact(self, organisation: OrganisationId, user: UserId) -> Result<Fact, Problem> {
        not_here(self.organisation.as_ref(), "organisation")?;
        not_here(self.user.as_ref(), "user")?;
        Ok(Fact::Member { organisation, user, role: role(&self.role)? })
    }
}

fn role(text: &str) -> Result<Role, Problem> {
    super::hooks::role(text).map_err(|problem| Problem { field: Some("role".to_owned()), ..problem })
}

impl GivenResource {
    /// The fact it tells about `id`.
    ///
    /// # Errors
    /// The first rule that is broken, with the field.
    pub fn fact(self, id: ResourceId, owner: OwnerId) -> Result<Fact, Problem> {
        let real_id: Option<ResourceId> = self.real_id.map(|id| parsed(&id, "realId")).transpose()?;
        if id.shape() == ResourceShape::RealId {
            return Err(Problem::invalid("id", "an id is `app_` or `addon_` and a UUID"));
        }
        if real_id
            .as_ref()
            .is_some_and(|real| real.shape() != ResourceShape::RealId || id.shape() != ResourceShape::Addon)
        {
            return Err(Problem::invalid(
                "realId",
                "only an add-on has one, and it begins with its provider's name",
            ));
        }
        Ok(Fact::Resource { id, real_id, owner, name: name(self.name)? })
    }
}

impl Line {
    /// The fact it tells.
    ///
    /// # Errors
    /// The first rule that is broken, with the field.
    pub fn fact(self, born: Born<'_>) -> Result<Fact, Problem> {
        match self {
            Self::User(mut given) => {
                let id = parsed(&needed(given.id.take(), "id")?, "id")?;
                given.fact(id, born)
            }
            Self::Organisation(mut given) => {
                let id = parsed(&needed(given.id.take(), "id")?, "id")?;
                given.fact(id, born)
            }
            Self::Member(mut given) => {
                let organisation =
                    parsed(&needed(given.organisation.take(), "organisation")?, "organisation")?;
                let user = parsed(&needed(given.user.take(), "user")?, "user")?;
                given.fact(organisation, user)
            }
            Self::Resource(mut given) => {
                let id: ResourceId = parsed(&needed(given.id.take(), "id")?, "id")?;
                let owner = parsed(&needed(given.owner.take(), "owner")?, "owner")?;
                given.fact(id, owner)
            }
        }
    }
}

/// A user as shown.
#[derive(Debug, Serialize)]
pub struct ShownUser {
    id: String,
    email: String,
    name: String,
    lang: String,
    operator: bool,
}

/// Shows a user.
pub fn user(user: User) -> ShownUser {
    let User { id, name, email, lang, operator, zone: _ } = user;
    ShownUser { id: id.to_string(), email, name, lang, operator }
}

/// An organisation as shown; with the role of the one who asks, if they are a member.
#[derive(Debug, Serialize)]
pub struct ShownOrganisation {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
}

/// Shows an organisation.
pub fn organisation(organisation: Organisation, role: Option<Role>) -> ShownOrganisation {
    ShownOrganisation {
        id: organisation.id.to_string(),
        name: organisation.name,
        role: role.map(Role::as_str),
    }
}

/// A member as shown.
#[derive(Debug, Serialize)]
pub struct ShownMember {
    user: ShownUser,
    role: &'static str,
}

/// Shows a member.
pub fn member(member: Member) -> ShownMember {
    ShownMember { user: user(member.user), role: member.role.as_str() }
}

/// An application or add-on as shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownResource {
    id: String,
    owner_id: String,
    name: String,
    real_id: Option<String>,
}

/// Shows an application or add-on.
pub fn resource(resource: Resource) -> ShownResource {
    ShownResource {
        id: resource.id.to_string(),
        owner_id: resource.owner.to_string(),
        name: resource.name,
        real_id: resource.real_id.map(|id| id.to_string()),
    }
}

/// A token to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenToken {
    /// What it is for.
    pub name: String,
    /// Whose pair.
    pub user: Option<String>,
    /// An operator token instead.
    #[serde(default)]
    pub operator: bool,
}

/// A sign-in link to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenSignInLink {
    /// Of whom.
    pub email: String,
}

/// A token as listed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownToken {
    id: String,
    name: String,
    created_at: i64,
    operator: bool,
    user: Option<String>,
    token: Option<String>,
}

/// Shows a token; never its secret.
pub fn token(token: Token) -> ShownToken {
    ShownToken {
        id: token.id.to_string(),
        name: token.name,
        created_at: token.created_at,
        operator: token.user.is_none(),
        user: token.user.map(|id| id.to_string()),
        token: token.public,
    }
}
