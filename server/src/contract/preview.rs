//! Previews and tests on the wire: what is asked, and what is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sonnette_core::formats::{self, Format, Outcome};
use sonnette_core::ids::{DestinationId, EventId};
use sonnette_core::lang::Lang;
use sonnette_core::model::{Destination, Fields};
use sonnette_core::ports::Times;
use sonnette_core::secret::Secret;
use url::Url;

use super::hooks::{self, Given, GivenUrl};
use super::posted::parsed;
use super::problem::Problem;
use crate::egress::guard::Guard;
use crate::flow::preview::{self, EMAIL, Preview};
use crate::flow::test::Tested;

/// What is to be previewed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreviewAsked {
    /// The sample of this kind.
    pub kind: Option<String>,
    /// Or this stored event.
    pub event: Option<String>,
    /// As this hook tells it.
    pub hook: Option<String>,
    /// Or in this format; `email` is a letter.
    pub format: Option<String>,
    /// Where to.
    pub url: Option<String>,
    /// What the format needs besides.
    pub fields: Option<BTreeMap<String, String>>,
    /// The language of a letter.
    pub lang: Option<String>,
}

/// A test of a hook.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestAsked {
    /// The sample of this kind.
    pub kind: Option<String>,
    /// Or this stored event.
    pub event: Option<String>,
    /// Only this destination of a webhook.
    pub destination: Option<String>,
    /// Whom an e-mail hook writes to: one it would write to; the caller, if left out.
    pub to: Option<String>,
}

/// A test of a hook that is not saved yet.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestNewAsked {
    /// Whose it would be.
    pub owner_id: Option<String>,
    /// As it would be posted.
    pub hook: Option<Given>,
    /// The sample of this kind.
    pub kind: Option<String>,
    /// Or this stored event.
    pub event: Option<String>,
    /// Whom an e-mail hook writes to: one it would write to; the caller, if left out.
    pub to: Option<String>,
}

/// What is told: what the caller says of `kind` and `event`, at most one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The sample of this kind.
    Sample(String),
    /// A stored event.
    Event(EventId),
    /// Whatever suits the hook.
    Any,
}

impl What {
    /// Reads `kind` and `event`.
    ///
    /// # Errors
    /// If both are given, or `event` is no id.
    pub fn of(kind: Option<String>, event: Option<&str>) -> Result<Self, Problem> {
        match (kind, event) {
            (Some(_), Some(_)) => {
                Err(Problem::invalid("event", "give a `kind`, whose sample is told, or an `event`, not both"))
            }
            (Some(kind), None) => Ok(Self::Sample(kind)),
            (None, Some(event)) => Ok(Self::Event(parsed(event, "event")?)),
            (None, None) => Ok(Self::Any),
        }
    }
}

/// In which format something is previewed without a hook.
#[derive(Debug)]
pub enum Form {
    /// As a request.
    Request(Box<Destination>),
    /// As a letter.
    Letter,
}

impl PreviewAsked {
    /// Reads `format`, `url` and `fields`. What a format needs and is not given is made up.
    ///
    /// # Errors
    /// The first rule that is broken, with the field.
    pub fn form(&mut self, guard: &Guard) -> Result<Form, Problem> {
        let Some(name) = self.format.take() else {
            return Err(Problem::invalid(
                "format",
                format!("`format` is needed: one of `GET /formats`, or `{EMAIL}`"),
            ));
        };
        if name == EMAIL {
            self.nothing_but_a_letter()?;
            return Ok(Form::Letter);
        }
        let format = formats::find(&name).ok_or_else(|| hooks::no_such_format(&[EMAIL]))?;
        let (url, fields) = (self.url.take(), self.fields.take());
        place(format, url, fields, guard).map(|destination| Form::Request(Box::new(destination)))
    }

    /// A hook has its own places, and a letter none.
    ///
    /// # Errors
    /// If `format`, `url` or `fields` is given.
    pub fn nothing_but_a_letter(&self) -> Result<(), Problem> {
        for (name, given) in [
            ("format", self.format.is_some()),
            ("url", self.url.is_some()),
            ("fields", self.fields.is_some()),
        ] {
            if given {
                return Err(Problem::invalid(name, format!("`{name}` has no meaning here")));
            }
        }
        Ok(())
    }
}

/// Where a preview says it would post to.
fn place(
    format: &Format,
    url: Option<String>,
    fields: Option<BTreeMap<String, String>>,
    guard: &Guard,
) -> Result<Destination, Problem> {
    let wanted = hooks::one_wanted(
        GivenUrl {
            id: None,
            format: Some(format.name.to_owned()),
            url: Some(url.unwrap_or_else(|| format.example.to_owned())),
            fields,
        },
        guard,
    )?;
    let url = wanted.url.unwrap_or_else(|| Secret::new(format.example));
    if let Ok(url) = Url::parse(url.expose()) {
        (format.check)(&url).map_err(|rule| Problem::invalid("url", rule))?;
    }
    let fields: Fields = wanted.fields.unwrap_or_default();
    format
        .check_given_fields(&fields)
        .map_err(|error| Problem::invalid(format!("fields.{}", error.name), error.rule))?;
    Ok(preview::destination(format, url, fields))
}

/// Checks a language letters are written in.
///
/// # Errors
/// If they are not written in it.
pub fn language(lang: Option<&str>) -> Result<Option<Lang>, Problem> {
    let Some(lang) = lang else { return Ok(None) };
    let known: Vec<_> = Lang::ALL.iter().map(|lang| lang.as_str()).collect();
    let wrong = || Problem::invalid("lang", format!("letters are written in {}", known.join(", ")));
    Lang::parse(lang).map(Some).ok_or_else(wrong)
}

/// Names beside their values, in their order; a name may come twice.
type Pairs = Vec<(String, String)>;

/// A preview as shown: with `request` or with `letter`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownPreview {
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<ShownRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    letter: Option<ShownLetter>,
}

#[derive(Debug, Serialize)]
struct ShownRequest {
    method: String,
    url: String,
    headers: Pairs,
    body: String,
}

#[derive(Debug, Serialize)]
struct ShownLetter {
    to: String,
    subject: String,
    headers: Pairs,
    text: String,
    html: String,
    eml: String,
}

/// Shows a preview.
pub fn shown(preview: Preview) -> ShownPreview {
    match preview {
        Preview::Request(seen) => ShownPreview {
            format: seen.format,
            destination_id: Some(seen.destination)
                .filter(|id| *id != DestinationId(0))
                .map(|id| id.to_string()),
            request: Some(ShownRequest {
                method: seen.method.to_string(),
                url: seen.url,
                headers: seen.headers,
                body: seen.body,
            }),
            letter: None,
        },
        Preview::Letter(seen) => ShownPreview {
            format: EMAIL,
            destination_id: None,
            request: None,
            letter: Some(ShownLetter {
                to: seen.to,
                subject: seen.subject,
                headers: seen.headers,
                text: seen.text,
                html: seen.html,
                eml: seen.eml,
            }),
        },
    }
}

/// A test as shown: what was sent, and what came of it.
#[derive(Debug, Serialize)]
pub struct ShownTest {
    #[serde(flatten)]
    sent: ShownPreview,
    outcome: &'static str,
    status: Option<u16>,
    reply: Option<ShownReply>,
    says: Option<String>,
    times: ShownTimes,
}

#[derive(Debug, Serialize)]
struct ShownReply {
    headers: Pairs,
    body: String,
    more: bool,
}

/// In milliseconds, to the microsecond.
#[derive(Debug, Serialize)]
struct ShownTimes {
    name: Option<f64>,
    connect: Option<f64>,
    tls: Option<f64>,
    total: f64,
}

/// Shows a test.
pub fn tested(tested: Tested) -> ShownTest {
    let Tested { sent, outcome, status, reply, says, times } = tested;
    ShownTest {
        sent: shown(sent),
        outcome: match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Again { .. } => "again",
            Outcome::Refused => "refused",
            Outcome::Gone => "gone",
        },
        status,
        reply: reply.map(|reply| ShownReply { headers: reply.headers, body: reply.body, more: reply.more }),
        says,
        times: self::times(times),
    }
}

fn times(times: Times) -> ShownTimes {
    let millis = |time: std::time::Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    ShownTimes {
        name: times.name.map(millis),
        connect: times.connect.map(millis),
        tls: times.tls.map(millis),
        total: millis(times.total),
    }
}
