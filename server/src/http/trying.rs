//! Trying hooks out, for the API and the console alike: who may, of what, how often.

use sonnette_core::address;
use sonnette_core::formats;
use sonnette_core::ids::{DestinationId, OwnerId};
use sonnette_core::lang::Lang;
use sonnette_core::model::{Caller, Destination, Hook, Recipient, SigningSecrets, Target, User, Way};
use sonnette_core::signing;
use url::Url;

use super::pace::Wanted;
use super::{Answer, Site};
use crate::contract::preview::What;
use crate::contract::problem::{Id, Problem};
use crate::flow::preview::{self, Preview, Told};
use crate::flow::test::{self, Tested};

/// Tests of an owner's hooks in a minute.
const OWNER: usize = 10;
/// Requests of tests to one host in a minute, whoever sends them.
const HOST: usize = 60;
/// Letters of tests to one address in a minute, whoever sends them.
const ADDRESS: usize = 5;
/// Tests under way at once, counted by what they send.
pub(super) const UNDER_WAY: usize = 64;

/// Which part of a hook is tried.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Only this destination of a webhook.
    pub(crate) destination: Option<DestinationId>,
    /// Whom to write to, instead of to whoever asks.
    pub(crate) to: Option<String>,
    /// Whether the hook is saved, with what that promises about its addresses.
    pub(crate) saved: bool,
}

impl Site {
    /// What is told: the sample of a kind, or an event the caller may read; the hook's owner's, if there is a hook.
    ///
    /// # Errors
    /// If there is no such kind or event, or it is not the caller's or the hook's owner's.
    pub(crate) async fn what_is_told(
        &self,
        caller: &Caller,
        what: What,
        hook: Option<&Hook>,
    ) -> Answer<Told> {
        let catalogue = &self.parts.catalogue;
        let kind = match what {
            What::Event(id) => {
                let found = self.parts.store.event(id).await?;
                let public = |kind: &str| catalogue.find(kind).is_none_or(|(_, kind)| !kind.private);
                let event = found.filter(|event| public(&event.kind));
                let event = event.ok_or_else(|| Problem::not_found("event"))?;
                self.allow_found(caller, event.owner, false, "event").await?;
                if hook.is_some_and(|hook| hook.owner != event.owner) {
                    return Err(Problem::invalid("event", "it is not an event of the hook's owner"));
                }
                return Ok(Told::stored(&self.parts, event).await?);
            }
            What::Sample(name) => {
                let found = catalogue.find(&name).map(|(_, kind)| kind).filter(|kind| !kind.private);
                found.ok_or_else(|| {
                    let name: String = name.chars().take(60).collect();
                    Problem::of(Id::UnknownKind, "kind", format!("`{name}` is not a kind of the catalogue"))
                })?
            }
            What::Any => {
                hook.and_then(|hook| preview::kind_for(catalogue, hook.events.as_deref())).ok_or_else(
                    || Problem::invalid("kind", "a `kind`, whose sample is told, or an `event` is needed"),
                )?
            }
        };
        let owner = match hook {
            Some(hook) => self.parts.store.names(hook.owner, None, None).await?.owner,
            None => None,
        };
        Ok(Told::sample(kind, owner))
    }

    /// What a hook would send now; its letter to the caller.
    ///
    /// # Errors
    /// If there is no such letter.
    pub(crate) async fn preview_hook(
        &self,
        caller: &Caller,
        told: &Told,
        hook: &Hook,
        lang: Option<Lang>,
    ) -> Answer<Vec<Preview>> {
        let ((reader, own), now) = (self.reader(caller).await?, self.parts.clock.now());
        preview::hook(self.parts.desk(lang.or(own)), told, hook, &reader, now)
            .map_err(|why| Problem::new(Id::Invalid, why))
    }

    /// Whom a preview is written to, in which language: the person who asks, or somebody nobody is.
    ///
    /// # Errors
    /// If the store does not answer.
    pub(crate) async fn reader(&self, caller: &Caller) -> Answer<(Recipient, Option<Lang>)> {
        Ok(match self.asker(caller).await? {
            Some(user) => (as_recipient(&user), Some(Lang::of(&user.lang))),
            None => (Recipient { address: preview::READER.to_owned(), user: None }, None),
        })
    }

    async fn asker(&self, caller: &Caller) -> Answer<Option<User>> {
        let Caller::Person { user, .. } = caller else { return Ok(None) };
        Ok(self.parts.store.user(*user).await?)
    }

    /// Sends what a hook would send now, by the way of every attempt. Asked after whether the caller may change the
    /// owner's hooks. `secrets` are the hook's, if it has any.
    ///
    /// # Errors
    /// If the part is none of the hook's, or it is asked too often; nothing was sent then.
    pub(crate) async fn test_hook(
        &self,
        caller: &Caller,
        told: &Told,
        hook: &Hook,
        secrets: Option<SigningSecrets>,
        part: Part,
    ) -> Answer<Vec<Tested>> {
        match &hook.way {
            Way::Webhook { destinations } => {
                if part.to.is_some() {
                    return Err(Problem::invalid("to", "only an e-mail hook writes to somebody"));
                }
                let chosen: Vec<_> = destinations
                    .iter()
                    .filter(|one| part.destination.is_none_or(|id| one.id == id))
                    .collect();
                if chosen.is_empty() {
                    return Err(Problem::invalid("destination", "the hook has no such destination"));
                }
                let _under_way = self.begin(hook.owner, chosen.iter().filter_map(|one| host(one)))?;
                let secrets = secrets.unwrap_or_else(|| SigningSecrets {
                    current: signing::secret(&self.parts.luck.bytes32()),
                    previous: None,
                });
                let sent = chosen.into_iter().map(|one| test::post(&self.parts, told, one, &secrets));
                Ok(futures_util::future::join_all(sent).await.into_iter().flatten().collect())
            }
            Way::Email { targets, .. } => {
                if part.destination.is_some() {
                    return Err(Problem::invalid("destination", "only a webhook has destinations"));
                }
                let recipient = self.recipient(caller, hook.owner, targets, part).await?;
                let address =
                    Wanted { by: format!("address {}", recipient.address), times: 1, most: ADDRESS };
                let _under_way = self.begin(hook.owner, [address])?;
                let lang = match recipient.user {
                    Some(user) => self.parts.store.user(user).await?.map(|user| Lang::of(&user.lang)),
                    None => None,
                };
                let tested = test::mail(&self.parts, told, &recipient, lang, hook).await;
                Ok(vec![tested.map_err(|why| Problem::invalid("to", why))?])
            }
        }
    }

    /// Whether it may be sent now; while what is given back lives, it is under way.
    fn begin(
        &self,
        owner: OwnerId,
        to: impl IntoIterator<Item = Wanted>,
    ) -> Answer<tokio::sync::SemaphorePermit<'_>> {
        let mut wanted = vec![Wanted { by: format!("owner {owner}"), times: 1, most: OWNER }];
        for one in to {
            match wanted.iter_mut().find(|known| known.by == one.by) {
                Some(known) => known.times += one.times,
                None => wanted.push(one),
            }
        }
        let sent: usize = wanted.iter().skip(1).map(|one| one.times).sum();
        let under_way = self
            .trying
            .try_acquire_many(u32::try_from(sent).unwrap_or(u32::MAX))
            .map_err(|_| Problem::new(Id::Busy, "too many tests are under way; try again in a moment"))?;
        self.pace.take(&wanted, self.parts.clock.now()).map_err(|(seconds, by)| Problem {
            again: Some(seconds),
            ..Problem::new(
                Id::TooOften,
                format!("too many tests in a minute ({by}); try again in {seconds} s"),
            )
        })?;
        Ok(under_way)
    }

    /// Whom a test writes to: the caller, or one the hook writes to. An address that belongs to no member only from a
    /// saved hook: else anybody could have us write to anyone.
    async fn recipient(
        &self,
        caller: &Caller,
        owner: OwnerId,
        targets: &[Target],
        part: Part,
    ) -> Answer<Recipient> {
        let own = self.asker(caller).await?.map(|user| as_recipient(&user));
        let Some(to) = part.to else {
            return own.ok_or_else(|| {
                Problem::invalid("to", "`to` is needed: an operator token has no address of its own")
            });
        };
        let to = address::check_public(&to).map_err(|error| Problem::invalid("to", error.to_string()))?;
        if let Some(own) = own.filter(|own| own.address == to) {
            return Ok(own);
        }
        for target in targets {
            let found = match target {
                Target::Addresses(addresses) => {
                    let named = addresses.contains(&to);
                    if named && !part.saved {
                        let rule = "an address outside is written to only by a hook that is saved";
                        return Err(Problem::invalid("to", rule));
                    }
                    named.then_some(None)
                }
                Target::User(user) | Target::Maker(user) => {
                    let found = self.parts.store.user(*user).await?.filter(|user| user.email == to);
                    found.map(|user| Some(user.id))
                }
                Target::Organisation { roles } => match owner {
                    OwnerId::User(user) => {
                        let found = self.parts.store.user(user).await?.filter(|user| user.email == to);
                        found.map(|user| Some(user.id))
                    }
                    OwnerId::Organisation(organisation) => {
                        let members = self.parts.store.members(organisation).await?;
                        members
                            .into_iter()
                            .filter(|member| roles.is_empty() || roles.contains(&member.role))
                            .find(|member| member.user.email == to)
                            .map(|member| Some(member.user.id))
                    }
                },
            };
            if let Some(user) = found {
                return Ok(Recipient { address: to, user });
            }
        }
        Err(Problem::invalid("to", "the hook does not write to this address, and it is not yours"))
    }
}

fn as_recipient(user: &User) -> Recipient {
    Recipient { address: user.email.clone(), user: Some(user.id) }
}

/// What a request to a destination is counted by.
fn host(destination: &Destination) -> Option<Wanted> {
    formats::find(&destination.format)?;
    let url = Url::parse(destination.url.expose()).ok()?;
    Some(Wanted { by: format!("host {}", url.host_str()?.trim_end_matches('.')), times: 1, most: HOST })
}
