//! A person's own page: how they read, what they want by e-mail (`mail`), their tokens, where they are signed in.

use std::sync::LazyLock;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use sonnette_core::ids::{SessionId, TokenId};
use sonnette_core::ports::Which;

use super::form::{Checked, Form};
use super::frame::{Frame, Section, show};
use super::mail::{MailCard, TypedMail};
use super::oops::Oops;
use super::reader::Visitor;
use super::time::Moment;
use super::told::Options;
use super::words::{Lang, Words};
use crate::http::{At, Place, Site, token_name};

/// Tokens of one person at most, made here.
const TOKENS: usize = 100;

/// Every time zone people live in, by its name in the IANA database; not those that are there for old programs only.
static ZONES: LazyLock<Vec<String>> = LazyLock::new(|| {
    const AREAS: [&str; 10] = [
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Europe",
        "Indian",
        "Pacific",
    ];
    let all = jiff::tz::db().available().map(|name| name.as_str().to_owned());
    let mut zones: Vec<_> =
        all.filter(|name| name.split_once('/').is_some_and(|(area, _)| AREAS.contains(&area))).collect();
    zones.sort_unstable();
    zones
});

/// A token as listed.
struct ShownToken {
    id: String,
    name: String,
    public: String,
    created: Moment,
}

/// A session as listed.
struct ShownSession {
    id: String,
    device: String,
    agent: String,
    since: Moment,
    seen: Moment,
    this: bool,
}

/// What is typed, and what is wrong with it.
#[derive(Default)]
struct Typed {
    mail: Option<TypedMail>,
    lang: Option<String>,
    zone: Option<String>,
    wrong_zone: bool,
    token: String,
    wrong_token: Option<&'static str>,
}

#[derive(askama::Template)]
#[template(path = "console/account.html")]
struct AccountPage {
    frame: Frame,
    name: String,
    email: String,
    langs: Options,
    zones: Options,
    wrong_zone: bool,
    mail: MailCard,
    tokens: Vec<ShownToken>,
    token: String,
    wrong_token: Option<&'static str>,
    sessions: Vec<ShownSession>,
}

/// `GET /account`
pub(super) async fn page(State(site): At, visitor: Visitor, request: Request) -> Result<Response, Oops> {
    let query = Form::parse(request.uri().query().unwrap_or_default());
    let lang = visitor.lang();
    let said = match query.get("said") {
        "saved" => Some(lang.said_saved()),
        "revoked" => Some(lang.said_revoked()),
        "ended" => Some(lang.said_ended()),
        "stopped" => Some(lang.said_mail_stopped()),
        "again" => Some(lang.said_mail_again()),
        _ => None,
    };
    shown(&site, &visitor, StatusCode::OK, said, Typed::default()).await
}

/// The page with what is typed about e-mails.
pub(super) async fn with_mail(
    site: &Site,
    visitor: &Visitor,
    status: StatusCode,
    typed: TypedMail,
) -> Result<Response, Oops> {
    shown(site, visitor, status, None, Typed { mail: Some(typed), ..Typed::default() }).await
}

async fn shown(
    site: &Site,
    visitor: &Visitor,
    status: StatusCode,
    said: Option<&str>,
    typed: Typed,
) -> Result<Response, Oops> {
    let (lang, person, reader) = (visitor.lang(), &visitor.person, &visitor.reader);
    let tokens = site.parts.store.tokens(Some(person.user.id)).await?;
    let sessions = site.parts.store.sessions(person.user.id, reader.now).await?;
    let chosen = typed.lang.unwrap_or_else(|| lang.as_str().to_owned());
    let langs = Lang::ALL.iter().map(|one| (one.as_str().to_owned(), one.own_name().to_owned())).collect();
    let page = AccountPage {
        frame: Frame::of(reader, lang.account(), None, Section::Account).with_notice(said.map(str::to_owned)),
        name: person.user.name.clone(),
        email: person.user.email.clone(),
        langs: Options::new(&chosen, [(String::new(), langs)]),
        zones: zones(&typed.zone.unwrap_or_else(|| person.user.zone.clone())),
        wrong_zone: typed.wrong_zone,
        mail: MailCard::of(site, visitor, typed.mail).await?,
        tokens: tokens
            .into_iter()
            .rev()
            .map(|token| ShownToken {
                id: token.id.to_string(),
                name: token.name,
                public: token.public.unwrap_or_default(),
                created: reader.moment(token.created_at),
            })
            .collect(),
        token: typed.token,
        wrong_token: typed.wrong_token,
        sessions: sessions
            .into_iter()
            .map(|session| ShownSession {
                id: session.id.to_string(),
                device: device(lang, &session.agent),
                since: reader.moment(session.created_at),
                seen: reader.moment(session.seen_at),
                this: session.id == person.session.id,
                agent: session.agent,
            })
            .collect(),
    };
    Ok(show(status, &page))
}

/// The menu of time zones.
fn zones(chosen: &str) -> Options {
    let mut groups: Vec<(String, Vec<(String, String)>)> =
        vec![(String::new(), vec![(String::new(), "UTC".to_owned())])];
    for zone in ZONES.iter() {
        let Some((area, city)) = zone.split_once('/') else { continue };
        if groups.last().is_none_or(|(label, _)| label != area) {
            groups.push((area.to_owned(), Vec::new()));
        }
        if let Some((_, zones)) = groups.last_mut() {
            zones.push((zone.clone(), city.replace('_', " ").replace('/', " / ")));
        }
    }
    Options::new(chosen, groups)
}

/// What somebody uses, as far as their browser says it in words of its own.
fn device(lang: Lang, agent: &str) -> String {
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name)
    };
    // Each claims to be those behind it, too.
    let browser = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => lang.browser_on(browser, system),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => lang.unknown_browser().to_owned(),
    }
}

/// `POST /account/preferences`
pub(super) async fn prefer(
    State(site): At,
    visitor: Visitor,
    Checked(form): Checked,
) -> Result<Response, Oops> {
    let (lang, zone) = (form.get("lang"), form.get("zone"));
    let lang_known = Lang::parse(lang).is_some();
    // One that is kept from elsewhere may be an old name.
    let zone_known =
        zone.is_empty() || zone == visitor.person.user.zone || ZONES.iter().any(|one| one == zone);
    if !lang_known || !zone_known {
        let typed = Typed {
            lang: Some(lang.to_owned()),
            zone: Some(zone.to_owned()),
            wrong_zone: !zone_known,
            ..Typed::default()
        };
        return shown(&site, &visitor, StatusCode::BAD_REQUEST, None, typed).await;
    }
    site.parts.store.prefer(visitor.person.user.id, lang.to_owned(), zone.to_owned()).await?;
    Ok(Redirect::to("/account?said=saved").into_response())
}

#[derive(askama::Template)]
#[template(path = "console/token.html")]
struct TokenPage {
    frame: Frame,
    /// Where clients find us.
    base: String,
    public: String,
    secret: String,
}

/// `POST /account/tokens`: makes a pair, and shows it in the answer: nothing keeps it to be shown again.
pub(super) async fn add_token(
    State(site): At,
    visitor: Visitor,
    Checked(form): Checked,
) -> Result<Response, Oops> {
    let lang = visitor.lang();
    let user = visitor.person.user.id;
    let wrong =
        |words| Typed { token: form.get("name").to_owned(), wrong_token: Some(words), ..Typed::default() };
    let Ok(name) = token_name(form.get("name")) else {
        return shown(&site, &visitor, StatusCode::BAD_REQUEST, None, wrong(lang.wrong_token_name())).await;
    };
    if site.parts.store.tokens(Some(user)).await?.len() >= TOKENS {
        return shown(&site, &visitor, StatusCode::BAD_REQUEST, None, wrong(lang.too_many_tokens())).await;
    }
    let (_, public, secret) = site.new_pair(user, name.clone()).await?.ok_or(Oops::NotFound)?;
    let page = TokenPage {
        frame: Frame::of(&visitor.reader, lang.token_made(name), None, Section::Account),
        base: site.console.base.as_str().trim_end_matches('/').to_owned(),
        public,
        secret: secret.expose().to_owned(),
    };
    Ok(show(StatusCode::CREATED, &page))
}

/// `POST /account/tokens/{token}/revoke`
pub(super) async fn revoke_token(
    State(site): At,
    visitor: Visitor,
    Place(token): Place<String>,
    _form: Checked,
) -> Result<Response, Oops> {
    let token: TokenId = token.parse().map_err(|_| Oops::NotFound)?;
    if !site.revoke(token, Some(visitor.person.user.id)).await? {
        return Err(Oops::NotFound);
    }
    Ok(Redirect::to("/account?said=revoked").into_response())
}

/// `POST /account/sessions/{session}/end`
pub(super) async fn end_session(
    State(site): At,
    visitor: Visitor,
    Place(session): Place<String>,
    _form: Checked,
) -> Result<Response, Oops> {
    let session: SessionId = session.parse().map_err(|_| Oops::NotFound)?;
    if site.parts.store.end_sessions(visitor.person.user.id, Which::One(session)).await? == 0 {
        return Err(Oops::NotFound);
    }
    Ok(Redirect::to("/account?said=ended").into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_find_their_zone_and_programs_theirs_are_left_out() {
        for zone in ["Europe/Paris", "America/Argentina/Buenos_Aires", "Pacific/Chatham"] {
            assert!(ZONES.iter().any(|one| one == zone), "{zone}");
        }
        assert!(ZONES.iter().all(|zone| !zone.starts_with("Etc/") && zone != "GB"));
    }

    #[test]
    fn a_browser_is_named_by_itself_and_not_by_those_it_claims_to_be() {
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36 Edg/130.0";
        assert_eq!(device(Lang::En, edge), "Edge on Windows");
        assert_eq!(
            device(Lang::Fr, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"),
            "Firefox sous Linux"
        );
        assert_eq!(device(Lang::En, "<script>"), "Unknown browser");
    }
}
