//! Previews of what would be sent, and tests that send it.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::Serialize;
use sonnette_core::ids::{DestinationId, HookId, OwnerId};
use sonnette_core::permission::Action;

use super::super::access::Asker;
use super::super::asked::Place;
use super::super::body::{SMALL, shape};
use super::super::trying::Part;
use super::super::{Answer, At};
use super::id;
use crate::contract::preview::{
    Form, PreviewAsked, ShownPreview, ShownTest, TestAsked, TestNewAsked, What, language, shown, tested,
};
use crate::contract::problem::{Id, Problem};
use crate::flow::preview::{self, Preview};
use crate::flow::test::Tested;

/// `{"items":[…]}`
#[derive(Debug, Serialize)]
pub(super) struct Previews {
    items: Vec<ShownPreview>,
}

/// `{"results":[…]}`
#[derive(Debug, Serialize)]
pub(super) struct Results {
    results: Vec<ShownTest>,
}

fn results(results: Vec<Tested>) -> Json<Results> {
    Json(Results { results: results.into_iter().map(tested).collect() })
}

/// `POST /preview`
pub(super) async fn preview(State(site): At, asker: Asker, body: Body) -> Answer<Json<Previews>> {
    let mut asked: PreviewAsked = site.bodies.shape(body).await?;
    let lang = language(asked.lang.as_deref())?;
    let what = What::of(asked.kind.take(), asked.event.as_deref())?;
    let previews = match asked.hook.take() {
        Some(hook) => {
            asked.nothing_but_a_letter()?;
            let hook: HookId = field(&hook, "hook")?;
            let view = site.parts.store.hook(hook).await?.ok_or_else(|| Problem::not_found("hook"))?;
            site.allow_found(&asker.0, view.hook.owner, false, "hook").await?;
            let told = site.what_is_told(&asker.0, what, Some(&view.hook)).await?;
            site.preview_hook(&asker.0, &told, &view.hook, lang).await?
        }
        None => {
            let form = asked.form(&site.guard)?;
            let told = site.what_is_told(&asker.0, what, None).await?;
            let now = site.parts.clock.now();
            match form {
                Form::Request(destination) => {
                    let words = site.parts.words();
                    let seen = preview::request(words, told.telling(0), &destination, now);
                    seen.map(Preview::Request).into_iter().collect()
                }
                Form::Letter => {
                    let (reader, own) = site.reader(&asker.0).await?;
                    let desk = site.parts.desk(lang.or(own));
                    let hook = preview::letter_hook(desk.words.catalogue, &told.event);
                    let letter = preview::letter(desk, &told, &reader, hook.as_ref(), now);
                    vec![Preview::Letter(letter.map_err(|why| Problem::new(Id::Invalid, why))?)]
                }
            }
        }
    };
    Ok(Json(Previews { items: previews.into_iter().map(shown).collect() }))
}

/// `POST /hooks/test`
pub(super) async fn test_new(State(site): At, asker: Asker, body: Body) -> Answer<Json<Results>> {
    let asked: TestNewAsked = site.bodies.shape(body).await?;
    let owner: OwnerId = field(&asked.owner_id, "ownerId")?;
    site.allow(&asker.0, Action::ChangeHooks(owner)).await?;
    if !site.parts.store.knows(owner).await? {
        return Err(Problem::not_found("owner"));
    }
    let within = |problem: Problem| problem.within("hook");
    if asked.hook.kind.is_none() {
        return Err(Problem::invalid("hook.kind", "`kind` is needed: `webhook` or `email`"));
    }
    let meant = asked.hook.meant(&site.parts.catalogue, &site.guard).map_err(within)?;
    let hook = site.hook(HookId(site.parts.luck.id()), owner, meant, None).await.map_err(within)?;
    let told =
        site.what_is_told(&asker.0, What::of(asked.kind, asked.event.as_deref())?, Some(&hook)).await?;
    let part = Part { destination: None, to: asked.to, saved: false };
    Ok(results(site.test_hook(&asker.0, &told, &hook, None, part).await?))
}

/// `POST /hooks/{hook}/test`
pub(super) async fn test(
    State(site): At,
    asker: Asker,
    Place(hook): Place<String>,
    body: Body,
) -> Answer<Json<Results>> {
    let loaded = site.parts.store.loaded_hook(id(&hook)?).await?.ok_or_else(|| Problem::not_found("hook"))?;
    site.allow_found(&asker.0, loaded.hook.owner, true, "hook").await?;
    let held = site.bodies.read(body, SMALL).await?;
    let asked: TestAsked = match held.text()?.trim() {
        "" => TestAsked::default(),
        text => shape(text)?,
    };
    let destination: Option<DestinationId> =
        asked.destination.as_deref().map(|text| field(text, "destination")).transpose()?;
    let what = What::of(asked.kind, asked.event.as_deref())?;
    let told = site.what_is_told(&asker.0, what, Some(&loaded.hook)).await?;
    let part = Part { destination, to: asked.to, saved: true };
    Ok(results(site.test_hook(&asker.0, &told, &loaded.hook, loaded.secrets, part).await?))
}

fn field<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str, name: &str) -> Answer<T> {
    text.parse().map_err(|error: T::Err| Problem::invalid(name, error.to_string()))
}
