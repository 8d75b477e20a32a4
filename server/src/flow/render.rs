//! What leaves: the one way a request or a letter is made of an event, for attempts, previews and tests alike. Pure.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use sonnette_core::catalogue::Catalogue;
use sonnette_core::formats::{Format, Render, Rendered, Rendering};
use sonnette_core::ids::DeliveryId;
use sonnette_core::lang::Lang;
use sonnette_core::mail::{self, House, Reader};
use sonnette_core::message::{self, LinkTemplates};
use sonnette_core::model::{Destination, Event, Hook, Millis, Recipient, SigningSecrets};
use sonnette_core::ports::{Letter, Names, Outgoing};
use sonnette_core::secret::Secret;
use sonnette_core::signing;

/// What the installation adds to an event: its words, its links, its name.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// Kinds and families.
    pub catalogue: &'a Catalogue,
    /// Links in messages.
    pub links: &'a LinkTemplates,
    /// Who our letters are from.
    pub house: &'a House,
    /// The language of letters. Chats get English: they have many readers.
    pub lang: Lang,
}

/// What is told, under which number.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    /// What happened.
    pub event: &'a Event,
    /// The delivery, the same on every attempt.
    pub delivery: DeliveryId,
    /// Names people use. Not looked at where [`wants_names`] says so.
    pub names: &'a Names,
    /// What it hangs on where it goes ([`Rendering::thread`]).
    pub thread: Option<&'a str>,
    /// As text alone ([`Rendering::plainly`]).
    pub plainly: bool,
}

/// What a request is signed with.
#[derive(Debug, Clone, Copy)]
pub struct Seal<'a> {
    /// The hook's secrets.
    pub secrets: &'a SigningSecrets,
    /// The value of `webhook-id`.
    pub id: &'a str,
    /// When it is sent.
    pub now: Millis,
}

/// Whether a format speaks to people, and so of them by name.
pub fn wants_names(format: &Format) -> bool {
    matches!(format.render, Render::Message(_))
}

/// The request for one destination, with the headers of Standard Webhooks where its format carries them.
pub fn request(
    words: Words<'_>,
    telling: Telling<'_>,
    format: &Format,
    destination: &Destination,
    seal: Seal<'_>,
) -> Rendered {
    let rendering = Rendering {
        url: &destination.url,
        fields: &destination.fields,
        event: telling.event,
        delivery: telling.delivery,
        thread: telling.thread,
        plainly: telling.plainly,
    };
    let mut rendered = format.request(&rendering, || {
        message::of(words.catalogue, telling.event, telling.names, words.links, Lang::En)
    });
    if let (true, Rendered::Whole(request) | Rendered::Plain(request)) = (format.signed, &mut rendered) {
        sign(request, seal);
    }
    rendered
}

fn sign(request: &mut Outgoing, Seal { secrets, id, now }: Seal<'_>) {
    let previous = secrets.previous.as_ref().filter(|(_, until)| *until > now).map(|(secret, _)| secret);
    let signature = signing::sign([&secrets.current].into_iter().chain(previous), id, now, &request.body);
    for (name, value) in [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", signing::timestamp(now)),
        ("webhook-signature", signature),
    ] {
        // Base 64, digits and our own ids: always a header value.
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
            request.headers.push((HeaderName::from_static(name), value));
        }
    }
}

/// The letter for one recipient, in the language of `words`. `hook` is `None` for the house's own letters.
pub fn letter(
    words: Words<'_>,
    telling: Telling<'_>,
    recipient: &Recipient,
    hook: Option<&Hook>,
    stop: Option<&Secret>,
) -> Rendered<Letter> {
    let message = || message::of(words.catalogue, telling.event, telling.names, words.links, words.lang);
    let kind = words.catalogue.find(&telling.event.kind).map(|(_, kind)| kind);
    // What is private is about the reader alone, who may be a stranger to the owner.
    let owner = telling.names.owner.as_deref().filter(|_| kind.is_none_or(|kind| !kind.private));
    let stop = stop.filter(|_| kind.is_none_or(|kind| !kind.locked));
    let reader = Reader { recipient, lang: words.lang, stop };
    mail::rendered(words.house, (telling.event, telling.delivery), message, reader, hook, owner)
}
