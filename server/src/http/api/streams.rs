//! An owner's events as they happen.

use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sonnette_core::ids::{OwnerId, ResourceShape};
use sonnette_core::model::Caller;
use sonnette_core::permission::Action;

use super::super::access::Asker;
use super::super::asked::Place;
use super::super::{Answer, At, Credential, Site};
use super::id;
use crate::contract::problem::{Id, Problem};
use crate::stream::feed::{Feed, Scope};
use crate::stream::filter::{Wanted, place};
use crate::stream::{line, live};

/// `GET /owners/{owner}/stream`
pub(super) async fn events(
    State(site): At,
    asker: Asker,
    Place(owner): Place<String>,
    request: Request,
) -> Answer<Response> {
    let headers = request.headers();
    let last = last_event(headers);
    let feed = open(&site, asker, &owner, request.uri().query(), headers, last).await?;
    Ok(live::events(feed))
}

/// `GET /owners/{owner}/socket`
pub(super) async fn socket(
    State(site): At,
    asker: Asker,
    Place(owner): Place<String>,
    request: Request,
) -> Answer<Response> {
    let (mut parts, _) = request.into_parts();
    let feed = open(&site, asker, &owner, parts.uri.query(), &parts.headers, None).await?;
    Ok(match line::agree(&mut parts) {
        Ok((upgrade, response)) => {
            site.streams.sockets().spawn(live::serve(feed, upgrade));
            response
        }
        Err(response) => *response,
    })
}

async fn open(
    site: &Site,
    asker: Asker,
    owner: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    last: Option<&str>,
) -> Answer<Feed> {
    let owner: OwnerId = id(owner)?;
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(Credential::of);
    let credential = shown.ok_or_else(|| Problem::new(Id::Unauthorised, "credentials are missing"))?;
    site.feed(asker.0, credential, owner, query.unwrap_or_default(), last).await
}

/// How far a browser that comes again has come: it asks what it asked the first time, and says this besides.
pub(crate) fn last_event(headers: &HeaderMap) -> Option<&str> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    last.filter(|text| !text.trim().is_empty())
}

impl Site {
    /// What of an owner's events a query asks for, from where on, for whoever showed this credential.
    ///
    /// # Errors
    /// If the caller may not read the owner, if there is none, or if the query breaks a rule.
    pub(crate) async fn wanted(&self, caller: &Caller, owner: OwnerId, query: &str) -> Answer<Wanted> {
        self.allow(caller, Action::Read(owner)).await?;
        if !self.parts.store.knows(owner).await? {
            return Err(Problem::not_found("owner"));
        }
        let mut wanted = Wanted::read(&self.parts.catalogue, query)?;
        if let Some(named) = wanted.filter.resources_mut()
            && named.iter().any(|id| id.shape() == ResourceShape::RealId)
        {
            // Events name an add-on by its own id.
            let known = self.parts.store.resources(owner).await?;
            let own =
                known.into_iter().filter(|one| one.real_id.as_ref().is_some_and(|real| named.contains(real)));
            named.extend(own.map(|one| one.id).collect::<Vec<_>>());
        }
        Ok(wanted)
    }

    /// A stream of an owner's events for whoever showed this credential; `last` is how far they had come before.
    ///
    /// # Errors
    /// Those of [`Site::wanted`], or if there is no place for one more.
    pub(crate) async fn feed(
        &self,
        caller: Caller,
        credential: Credential,
        owner: OwnerId,
        query: &str,
        last: Option<&str>,
    ) -> Answer<Feed> {
        let mut wanted = self.wanted(&caller, owner, query).await?;
        if let Some(last) = last {
            wanted.since = Some(place("Last-Event-ID", last)?);
        }
        Feed::open(&self.streams, caller, credential, Scope::Owner(owner), wanted.filter, wanted.since).await
    }
}
