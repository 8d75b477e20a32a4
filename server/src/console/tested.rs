//! Trying a hook out: what it would send is sent now, by the way of every attempt, and what came of it is shown.

use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sonnette_core::formats::Outcome;
use sonnette_core::model::{Hook, SigningSecrets};
use sonnette_core::ports::Times;

use super::form::Checked;
use super::frame::{Frame, show};
use super::hooks::{self, Sort};
use super::oops::Oops;
use super::preview::{cut, matching, wire};
use super::reader::{Here, Visitor};
use super::words::{Lang, Words};
use crate::contract::problem::{Id, Problem};
use crate::flow::preview::Preview;
use crate::flow::test::Tested;
use crate::http::{At, Part, Place, Site};

/// Sent by the script that shows a part of a page in place, and back on such a part.
const FRAGMENT: HeaderName = HeaderName::from_static("x-fragment");

/// Whether only a part of a page is asked for.
pub(super) fn in_place(headers: &HeaderMap) -> bool {
    headers.contains_key(FRAGMENT)
}

/// One request or letter, and what came of it.
struct Came {
    title: String,
    badge: (&'static str, &'static str),
    /// What it would have meant for a delivery, if it failed.
    then: Option<&'static str>,
    status: Option<u16>,
    says: Option<String>,
    times: Vec<(&'static str, String)>,
    reply: Option<String>,
    sent: String,
}

/// What came of a test, beside a form or on a page of its own.
#[derive(Template)]
#[template(path = "console/tried.html")]
pub(super) struct Tried {
    w: Lang,
    status: StatusCode,
    /// Why nothing was sent.
    refused: Option<String>,
    came: Vec<Came>,
}

impl Tried {
    /// Sends what the hook would send for the event its preview shows. `secrets` are the hook's, if it is saved.
    ///
    /// # Errors
    /// If it cannot be tried; nothing was sent then.
    pub(super) async fn of(
        site: &Site,
        visitor: &Visitor,
        here: &Here,
        hook: &Hook,
        secrets: Option<SigningSecrets>,
    ) -> Result<Self, Oops> {
        let lang = visitor.lang();
        let scope: Vec<_> = hook.scope.iter().flatten().map(ToString::to_string).collect();
        let (told, _) = matching(site, here, hook.events.as_deref().unwrap_or_default(), &scope).await?;
        // Without `to` a letter goes to whoever asks, and to nobody else.
        match site.test_hook(&visitor.caller(), &told, hook, secrets, Part::default()).await {
            Ok(results) => Ok(Self {
                w: lang,
                status: StatusCode::OK,
                refused: None,
                came: results.into_iter().map(|one| Came::of(lang, one)).collect(),
            }),
            Err(problem) if problem.id == Id::TooOften => {
                Ok(Self::refused(lang, &problem, lang.too_many_tests(problem.again.unwrap_or(60))))
            }
            Err(problem) if problem.id == Id::Busy => {
                Ok(Self::refused(lang, &problem, lang.tests_busy().to_owned()))
            }
            Err(problem) => Err(problem.into()),
        }
    }

    /// Nothing was sent, and why.
    pub(super) fn refused(lang: Lang, problem: &Problem, words: String) -> Self {
        let status = problem.id.status();
        // What is wrong in a form is the form's to say, in the way of forms.
        let status =
            if status == StatusCode::BAD_REQUEST { StatusCode::UNPROCESSABLE_ENTITY } else { status };
        Self { w: lang, status, refused: Some(words), came: Vec::new() }
    }

    /// The status of the page it is on.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// It alone, to be shown in place.
    pub(super) fn alone(&self) -> Response {
        let mut response = show(self.status, self);
        response.headers_mut().insert(FRAGMENT, HeaderValue::from_static("1"));
        response
    }
}

impl Came {
    fn of(lang: Lang, tested: Tested) -> Self {
        let (title, sent) = match &tested.sent {
            Preview::Request(seen) => (hooks::format_title(seen.format), wire(seen)),
            Preview::Letter(seen) => (seen.to.clone(), cut(&seen.eml)),
        };
        let reply = tested.reply.map(|reply| {
            let headers: String =
                reply.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            format!("{headers}\n{}{}", reply.body, if reply.more { "…" } else { "" })
        });
        let (badge, then) = match tested.outcome {
            Outcome::Delivered => (("good", lang.state_delivered()), None),
            Outcome::Again { .. } => (("warn", lang.test_failed()), Some(lang.test_again())),
            Outcome::Refused => (("bad", lang.test_failed()), Some(lang.dead_refused())),
            Outcome::Gone => (("bad", lang.test_failed()), Some(lang.dead_gone())),
        };
        Self {
            title,
            badge,
            then,
            status: tested.status,
            says: tested.says,
            times: times(lang, tested.times),
            reply,
            sent,
        }
    }
}

fn times(lang: Lang, times: Times) -> Vec<(&'static str, String)> {
    let steps = [
        (lang.time_name(), times.name),
        (lang.time_connect(), times.connect),
        (lang.time_tls(), times.tls),
        (lang.time_total(), Some(times.total)),
    ];
    steps.into_iter().filter_map(|(step, time)| Some((step, millis(lang, time?)))).collect()
}

/// To a tenth of a millisecond where that says something.
fn millis(lang: Lang, time: Duration) -> String {
    let tenths = u64::try_from((time.as_micros() + 50) / 100).unwrap_or(u64::MAX);
    let whole = lang.count(tenths / 10);
    if tenths >= 1_000 {
        return format!("{whole}\u{a0}ms");
    }
    format!("{whole}{}{}\u{a0}ms", lang.pick('.', ','), tenths % 10)
}

#[derive(Template)]
#[template(path = "console/tested.html")]
struct TestedPage {
    frame: Frame,
    base: String,
    tried: Tried,
}

/// `POST /o/{owner}/{sort}/{hook}/test`: tries a hook as it is saved.
pub(super) async fn saved(
    State(site): At,
    Extension(sort): Extension<Sort>,
    visitor: Visitor,
    Place((owner, hook)): Place<(String, String)>,
    headers: HeaderMap,
    _form: Checked,
) -> Result<Response, Oops> {
    let here = visitor.at(&site, &owner).await?;
    here.to_change()?;
    let view = hooks::found(&site, &here, sort, &hook).await?;
    let secrets = secrets(&site, &view.hook).await?;
    let tried = Tried::of(&site, &visitor, &here, &view.hook, secrets).await?;
    if in_place(&headers) {
        return Ok(tried.alone());
    }
    let title = visitor.lang().tested_title(&view.hook.name);
    let status = tried.status();
    let frame = Frame::of(&visitor.reader, title, Some(&here), sort.section());
    Ok(show(status, &TestedPage { frame, base: here.path(sort.path()), tried }))
}

/// What the requests of a saved hook are signed with.
///
/// # Errors
/// If the store does not answer.
pub(super) async fn secrets(site: &Site, hook: &Hook) -> Result<Option<SigningSecrets>, Oops> {
    Ok(site.parts.store.loaded_hook(hook.id).await?.and_then(|loaded| loaded.secrets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_a_tenth_where_that_says_something() {
        let told = |micros: u64| millis(Lang::En, Duration::from_micros(micros));
        assert_eq!(told(0), "0.0\u{a0}ms");
        assert_eq!(told(249), "0.2\u{a0}ms");
        assert_eq!(told(99_940), "99.9\u{a0}ms");
        assert_eq!(told(1_234_567), "1,234\u{a0}ms");
        assert_eq!(millis(Lang::Fr, Duration::from_micros(1_500)), "1,5\u{a0}ms");
    }
}
