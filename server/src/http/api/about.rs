//! Who the caller is, and what there is to choose from.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use sonnette_core::formats::FORMATS;
use sonnette_core::formats::cut::Unit;
use sonnette_core::model::{Caller, Role};

use super::super::access::Asker;
use super::super::{Answer, At};

/// `GET /me`
pub(super) async fn me(State(site): At, asker: Asker) -> Answer<Json<Value>> {
    Ok(Json(match asker.0 {
        Caller::Operator => json!({"operatorToken": true}),
        Caller::Person { user, operator } => {
            let known = site.parts.store.user(user).await?;
            let (name, email) = known.map(|user| (user.name, user.email)).unwrap_or_default();
            json!({"operatorToken": false, "user": user.to_string(), "name": name, "email": email, "operator": operator})
        }
    }))
}

/// `GET /catalogue`
pub(super) async fn catalogue(State(site): At, _asker: Asker) -> Json<Value> {
    let catalogue = &site.parts.catalogue;
    let kinds = catalogue.kinds().iter().filter(|kind| !kind.private).map(|kind| {
        json!({
            "name": kind.name, "category": kind.category, "description": kind.description,
            "severity": kind.severity.as_str(), "tellsAdmins": kind.tells_admins, "locked": kind.locked,
        })
    });
    let families = catalogue.families().iter().map(|family| {
        let kinds: Vec<_> =
            family.kinds.iter().filter_map(|kind| Some(&catalogue.kind_at(*kind)?.name)).collect();
        json!({"name": family.name, "label": family.label, "kinds": kinds})
    });
    let defaults = catalogue.default_hooks().iter().map(|hook| {
        let roles: Vec<_> = hook.roles.iter().copied().map(Role::as_str).collect();
        json!({"name": hook.name, "events": hook.events, "roles": roles})
    });
    Json(json!({
        "kinds": kinds.collect::<Vec<_>>(),
        "families": families.collect::<Vec<_>>(),
        "defaultHooks": defaults.collect::<Vec<_>>(),
    }))
}

/// `GET /formats`
pub(super) async fn formats(_asker: Asker) -> Json<Value> {
    let list = FORMATS.iter().map(|format| {
        let fields = format.fields.iter().map(|field| {
            json!({
                "name": field.name, "title": field.title, "hint": field.hint,
                "secret": field.secret, "required": field.required,
            })
        });
        let limits = format.limits.iter().map(|limit| {
            json!({"what": limit.what, "max": limit.max, "unit": limit.unit.map(Unit::name)})
        });
        json!({
            "name": format.name, "title": format.title, "signed": format.signed, "secretUrl": format.secret_url,
            "fields": fields.collect::<Vec<_>>(),
            "limits": limits.collect::<Vec<_>>(),
            "can": {
                "threads": format.can.threads.as_str(), "resolves": format.can.resolves,
                "updates": format.can.updates, "once": format.can.once,
            },
        })
    });
    Json(json!({"items": list.collect::<Vec<_>>()}))
}
