//! Users, organisations, members, applications and add-ons the way Clever Cloud's clients read them.
//!
//! Our directory knows ids, names, addresses and roles. What else their shapes have is there because some client reads it
//! without looking, and says nothing.

use serde::Deserialize;
use serde_json::{Value, json};
use sonnette_core::ids::{OwnerId, ResourceShape};
use sonnette_core::model::{Caller, Member, Millis, Organisation, Resource, Role, User};
use sonnette_core::secret::Secret;

/// The last second of 2099: pairs do not end by themselves, and clients print a date.
const NEVER: Millis = 4_102_444_799_000;

/// `GET /v2/self`
pub fn user(user: &User) -> Value {
    json!({
        "id": user.id.to_string(), "email": user.email, "name": user.name, "lang": user.lang, "admin": user.operator,
        "phone": "", "address": "", "city": "", "zipcode": "", "country": "", "avatar": "", "creationDate": 0,
        "emailValidated": true, "oauthApps": [], "canPay": true, "preferredMFA": "NONE", "hasPassword": false,
        "partnerId": null, "partnerName": "", "partnerConsoleUrl": "",
    })
}

/// `GET /v2/self/tokens/current`
pub fn current_token(caller: &Caller) -> Value {
    let owner = match caller {
        Caller::Operator => None,
        Caller::Person { user, .. } => Some(user.to_string()),
    };
    json!({"ownerId": owner, "expirationDate": NEVER})
}

/// A pair as a command line that logs in takes it. Version 4 keeps the date as it comes, and then cannot read its own file if it
/// is a number.
pub fn pair(token: &str, secret: &Secret) -> Value {
    json!({"token": token, "secret": secret.expose(), "expirationDate": super::iso(NEVER)})
}

/// `GET /v2/summary`: the user and their organisations, each with what it owns.
pub fn summary(
    person: &User,
    own: Vec<Resource>,
    organisations: Vec<(Organisation, Option<Role>, Vec<Resource>)>,
) -> Value {
    let mut user = user(person);
    extend(&mut user, owned(own));
    extend(&mut user, json!({"canSEPA": true}));
    let organisations: Vec<_> = organisations
        .into_iter()
        .map(|(organisation, role, resources)| {
            let mut shown = json!({
                "id": organisation.id.to_string(), "name": organisation.name, "avatar": "",
                "role": role.map(Role::as_str), "providers": [], "vatState": "NOT_NEEDED", "canPay": true, "canSEPA": true,
                "cleverEnterprise": false, "emergencyNumber": null, "isTrusted": true,
            });
            extend(&mut shown, owned(resources));
            shown
        })
        .collect();
    json!({"user": user, "organisations": organisations})
}

fn extend(shape: &mut Value, more: Value) {
    if let (Value::Object(shape), Value::Object(more)) = (shape, more) {
        shape.extend(more);
    }
}

/// `consumers` is a list even where there is none: the command line walks it without looking.
fn owned(resources: Vec<Resource>) -> Value {
    let is_app = |one: &Resource| one.id.shape() == ResourceShape::Application;
    let (applications, addons): (Vec<_>, Vec<_>) = resources.into_iter().partition(is_app);
    let application = |app: Resource| {
        json!({
            "id": app.id.as_str(), "name": app.name, "instanceType": "", "instanceVariant": "", "variantSlug": "",
            "variantLogoUrl": "", "archived": false, "homogeneous": false, "state": "SHOULD_BE_UP", "commit": null,
            "systemTags": [], "customerTags": [],
        })
    };
    let addon = |addon: Resource| {
        let real_id = addon.real_id.unwrap_or_else(|| addon.id.clone());
        let provider = real_id.as_str().split_once('_').map_or("addon", |(provider, _)| provider);
        json!({
            "id": addon.id.as_str(), "name": addon.name, "realId": real_id.as_str(), "providerId": format!("{provider}-addon"),
            "logoUrl": "", "systemTags": [], "customerTags": [],
        })
    };
    json!({
        "applications": applications.into_iter().map(application).collect::<Vec<_>>(),
        "addons": addons.into_iter().map(addon).collect::<Vec<_>>(),
        "consumers": [],
    })
}

/// `GET /v2/organisations/{id}`, for a user's own space too.
pub fn owner(id: OwnerId, name: &str) -> Value {
    json!({
        "id": id.to_string(), "name": name, "description": "", "billingEmail": null, "address": "", "city": "", "zipcode": "",
        "country": "", "company": null, "VAT": null, "avatar": "", "vatState": "NOT_NEEDED", "customerFullName": "",
        "canPay": true, "canSEPA": true, "cleverEnterprise": false, "emergencyNumber": null,
    })
}

/// One of `GET /v2/organisations/{id}/members`
pub fn member(member: &Member) -> Value {
    let User { id, email, name, .. } = &member.user;
    json!({
        "member": {"id": id.to_string(), "email": email, "name": name, "avatar": null, "preferredMFA": "NONE"},
        "role": member.role.as_str(), "job": null,
    })
}

/// `GET …/applications/{id}`. There is no repository here: its addresses lead nowhere (RFC 6761 §6.4), and do not look like
/// GitHub's, of which clients would ask for more.
pub fn application(app: &Resource) -> Value {
    let id = app.id.as_str();
    let flavor = flavor();
    json!({
        "id": id, "name": app.name, "description": app.name, "ownerId": app.owner.to_string(), "zone": "par", "zoneId": "",
        "instance": {
            "type": "node", "version": "1", "variant": runtime()["variant"], "minInstances": 1, "maxInstances": 1,
            "maxAllowedInstances": 1, "minFlavor": flavor, "maxFlavor": flavor, "flavors": [flavor], "defaultEnv": {},
            "lifetime": "REGULAR", "instanceAndVersion": "node-1",
        },
        "deployment": {
            "shutdownable": false, "type": "GIT", "repoState": "CREATED",
            "url": format!("git+ssh://git@push.invalid/{id}.git"), "httpUrl": format!("https://push.invalid/{id}.git"),
        },
        "vhosts": [], "creationDate": 0, "last_deploy": 0, "archived": false, "stickySessions": false, "homogeneous": false,
        "favourite": false, "cancelOnPush": false, "separateBuild": false, "buildFlavor": flavor, "state": "SHOULD_BE_UP",
        "commitId": null, "appliance": null, "branch": "master", "branches": ["master"], "forceHttps": "DISABLED", "env": [],
        "webhookUrl": null, "webhookSecret": null,
    })
}

/// What the client library insists on knowing of the machine an application runs on.
fn flavor() -> Value {
    json!({
        "name": "XS", "mem": 1024, "cpus": 1, "gpus": 0, "disk": null, "price": 0, "available": true, "microservice": false,
        "machine_learning": false, "nice": 0, "price_id": "apps.XS", "memory": {"unit": "B", "value": 1_073_741_824_i64,
        "formatted": "1024 MiB"}, "cpuFactor": 1.0, "memFactor": 1.0,
    })
}

/// One of `GET /v2/products/instances`: the client library looks a runtime up before it creates an application.
pub fn runtime() -> Value {
    json!({
        "type": "node", "version": "1", "name": "Node", "description": "", "enabled": true, "comingSoon": false,
        "variant": {"id": "node", "slug": "node", "name": "Node", "deployType": "node", "logo": ""},
        "maxInstances": 1, "tags": [], "deployments": ["git"], "flavors": [flavor()], "defaultFlavor": flavor(),
        "buildFlavor": flavor(),
    })
}

/// An application to create; what else is given is for a platform that runs it.
#[derive(Debug, Deserialize)]
pub struct GivenApplication {
    /// What to call it.
    pub name: String,
}
