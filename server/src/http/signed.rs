//! What signed requests (OAuth 1.0a) are checked against: the programs we know, the URL the client called, and the nonces
//! seen lately.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::header::HOST;
use http::request::Parts;
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use sonnette_core::model::Millis;
use sonnette_core::oauth::Authorization;
use sonnette_core::secret::Secret;
use url::Url;

/// Nonces remembered at once: some 16 MiB. Beyond, signed requests are refused: forgetting one would let it be replayed.
const MOST: usize = 1 << 18;
/// Nonces of one token remembered at once, so that one person's requests do not shut out everybody's.
const MOST_EACH: usize = 1 << 16;

/// A program whose requests may be signed, such as the platform's command line.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// How it is named in a request.
    pub key: String,
    /// What it signs with, beside the person's secret. Programs are handed out with it, so it protects nothing by itself.
    pub secret: Secret,
}

impl Consumer {
    /// Reads `KEY:SECRET`. Both are letters, digits and `-._~`, which no client encodes in a way of its own.
    pub fn parse(text: &str) -> Option<Self> {
        let plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        let (key, secret) = text.split_once(':')?;
        let fits = [key, secret].iter().all(|half| (1..=256).contains(&half.len()) && plain(half));
        fits.then(|| Self { key: key.to_owned(), secret: Secret::new(secret) })
    }
}

/// How a request came in.
#[derive(Debug, Clone, Copy)]
pub struct Arrived {
    /// From whom: a client, or a proxy.
    pub peer: IpAddr,
    /// Whether over TLS.
    pub tls: bool,
}

/// What the configuration says about signed requests.
#[derive(Debug, Default)]
pub struct Terms {
    /// Who may sign.
    pub consumers: Vec<Consumer>,
    /// The address clients call, if it is told.
    pub public_url: Option<Url>,
    /// Whose word is taken on what the client called.
    pub trusted_proxies: Vec<IpNet>,
}

impl Terms {
    /// The URLs a client that asks for one of `targets` (path and query) called: with our public address if it is told, else as
    /// a trusted proxy says, else as the request says. None if it does not say.
    pub(crate) fn urls(&self, request: &Parts, targets: &[&str]) -> Vec<String> {
        let base = match &self.public_url {
            Some(url) => Some(url.as_str().trim_end_matches('/').to_owned()),
            None => self.called(request),
        };
        let base = base.iter();
        base.flat_map(|base| targets.iter().map(move |target| format!("{base}{target}"))).collect()
    }

    fn called(&self, request: &Parts) -> Option<String> {
        let arrived = request.extensions.get::<Arrived>();
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        // A proxy behind another adds to the list: the first is what the client called.
        let first = |name: &str| header(name).and_then(|list| list.split(',').next()).map(str::trim);
        let trusted = arrived.is_some_and(|arrived| {
            let peer = arrived.peer.to_canonical();
            self.trusted_proxies.iter().any(|network| network.contains(&peer))
        });
        let told = |name: &str| trusted.then(|| first(name)).flatten();
        let scheme = if arrived.is_some_and(|arrived| arrived.tls) { "https" } else { "http" };
        // HTTP/2 has the host in the URI.
        let host = request.uri.authority().map(|host| host.as_str()).or_else(|| header(HOST.as_str()));
        Some(format!(
            "{}://{}",
            told("x-forwarded-proto").unwrap_or(scheme),
            told("x-forwarded-host").or(host)?
        ))
    }
}

/// What came of noting a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// Never seen.
    New,
    /// Seen: a replay.
    Again,
    /// There is no room.
    Full,
    /// By its time it may have been seen by a process before this one.
    Before,
}

/// How long a nonce is remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// When the request was made, if it says so.
    at: Option<Millis>,
    until: Millis,
    /// Until when it may be remembered already.
    or: Millis,
}

impl Kept {
    /// That of a request is remembered as long as its time is near ours; without a time, for `near` to twice that.
    pub(super) fn of(at: Option<Millis>, near: Millis, now: Millis) -> Self {
        match at {
            Some(at) => Self { at: Some(at), until: at + near, or: at + near },
            None => {
                // Times that are few, so that it is known where to look.
                let or = (now.div_euclid(near) + 1) * near;
                Self { at: None, until: or + near, or }
            }
        }
    }
}

/// The nonces of requests that could still be replayed.
pub(super) struct Nonces {
    /// When we began to remember.
    since: Millis,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Until when, whose, which; digests of 8 and 16 bytes. In the order they are forgotten.
    nonces: BTreeSet<(Millis, [u8; 8], [u8; 16])>,
    each: HashMap<[u8; 8], usize>,
}

impl Nonces {
    /// None seen yet, from `since` on.
    pub(super) fn new(since: Millis) -> Self {
        Self { since, seen: Mutex::default() }
    }

    /// Remembers the nonce of a request. A nonce is one of its consumer, token and timestamp (RFC 5849 §3.3).
    pub(super) fn note(&self, of: &Authorization, nonce: &str, kept: Kept, now: Millis) -> Noted {
        if kept.at.is_some_and(|at| at < self.since) {
            return Noted::Before;
        }
        let whose = cut(Sha256::digest(&of.token));
        // No text has this byte: neighbours cannot be taken for each other.
        let which = Sha256::new()
            .chain_update(&of.consumer)
            .chain_update([0xff])
            .chain_update(&of.token)
            .chain_update([0xff]);
        let which = cut(which.chain_update(nonce).finalize());
        let seen = &mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, holder, _)) = seen.nonces.first().copied().filter(|(until, ..)| *until < now) {
            seen.nonces.pop_first();
            if let Entry::Occupied(mut count) = seen.each.entry(holder) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
        if [kept.until, kept.or].iter().any(|until| seen.nonces.contains(&(*until, whose, which))) {
            return Noted::Again;
        }
        let mine = seen.each.get(&whose).copied().unwrap_or_default();
        if seen.nonces.len() >= MOST || mine >= MOST_EACH {
            return Noted::Full;
        }
        seen.nonces.insert((kept.until, whose, which));
        seen.each.insert(whose, mine + 1);
        Noted::New
    }
}

/// The beginning of a digest.
fn cut<const N: usize>(digest: impl AsRef<[u8]>) -> [u8; N] {
    let mut out = [0; N];
    out.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&'static str, &str)], arrived: Option<Arrived>) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        if let Some(arrived) = arrived {
            request.extensions_mut().insert(arrived);
        }
        request.into_parts().0
    }

    fn from(peer: &str, tls: bool) -> Option<Arrived> {
        Some(Arrived { peer: peer.parse().unwrap(), tls })
    }

    #[test]
    fn the_url_is_what_the_client_called() {
        let open = Terms { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Terms::default() };
        let forwarded = [
            ("host", "inner:8787"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-host", "api.example.org, x"),
        ];
        let urls = |terms: &Terms, request: &Parts| terms.urls(request, &["/v2/self?a=b"]);
        let cases = [
            (request("/", &[("host", "h:8787")], None), "http://h:8787"),
            (request("/", &[("host", "h:8787")], from("192.0.2.1", true)), "https://h:8787"),
            (request("https://two/", &[], from("192.0.2.1", true)), "https://two"),
            (request("/", &forwarded, from("10.1.2.3", false)), "https://api.example.org"),
            (request("/", &forwarded, from("::ffff:10.1.2.3", false)), "https://api.example.org"),
            (request("/", &forwarded, from("192.0.2.1", false)), "http://inner:8787"),
            (request("/", &forwarded, None), "http://inner:8787"),
            (request("/", &forwarded[..2], from("10.1.2.3", false)), "https://inner:8787"),
        ];
        for (request, base) in &cases {
            assert_eq!(urls(&open, request), [format!("{base}/v2/self?a=b")], "{request:?}");
        }
        assert!(urls(&open, &request("/", &[], None)).is_empty(), "it does not say");
        let told = Terms {
            public_url: Some("https://n.example.org/sonnette/".parse().unwrap()),
            ..Terms::default()
        };
        assert_eq!(urls(&told, &cases[0].0), ["https://n.example.org/sonnette/v2/self?a=b"]);
        assert_eq!(told.urls(&cases[0].0, &["/a", "/b"]).len(), 2);
    }

    fn of(token: &str) -> Authorization {
        let header = format!("OAuth oauth_consumer_key=c, oauth_token={token}, oauth_signature=s");
        Authorization::parse(&header).unwrap()
    }

    /// Made at this time, and near for a hundred.
    fn at(at: Millis) -> Kept {
        Kept::of(Some(at), 100, 0)
    }

    #[test]
    fn a_nonce_is_taken_once_in_its_window_for_each_token_and_time() {
        let nonces = Nonces::new(0);
        assert_eq!(nonces.note(&of("t"), "n", at(0), 0), Noted::New);
        assert_eq!(nonces.note(&of("t"), "n", at(0), 100), Noted::Again);
        assert_eq!(nonces.note(&of("u"), "n", at(0), 100), Noted::New, "another token");
        assert_eq!(nonces.note(&of("t"), "m", at(0), 100), Noted::New, "another nonce");
        assert_eq!(nonces.note(&of("t"), "n", at(1), 100), Noted::New, "another time");
        assert_eq!(nonces.note(&of("v"), "n", at(300), 202), Noted::New);
        let seen = nonces.seen.lock().unwrap();
        assert_eq!((seen.nonces.len(), seen.each.len()), (1, 1), "what is past is forgotten");
    }

    #[test]
    fn a_nonce_without_a_time_is_taken_once_in_a_while_and_then_forgotten() {
        for first in [0, 1, 50, 99] {
            let nonces = Nonces::new(1_000);
            let note = |now: Millis| nonces.note(&of("t"), "n", Kept::of(None, 100, now), now);
            assert_eq!(note(first), Noted::New);
            for now in first..=first + 100 {
                assert_eq!(note(now), Noted::Again, "{first} {now}");
            }
            assert_eq!(note(first + 201), Noted::New, "memory has an end");
            assert_eq!(nonces.seen.lock().unwrap().nonces.len(), 1);
        }
    }

    #[test]
    fn what_was_made_before_our_memory_begins_is_not_taken_for_new() {
        let nonces = Nonces::new(50);
        assert_eq!(nonces.note(&of("t"), "n", at(49), 60), Noted::Before);
        assert_eq!(nonces.note(&of("t"), "n", at(50), 60), Noted::New);
    }

    #[test]
    fn when_the_memory_is_full_requests_are_refused_and_nothing_is_forgotten() {
        let nonces = Nonces::new(0);
        let busy = of("busy");
        for n in 0..MOST_EACH {
            assert_eq!(nonces.note(&busy, &n.to_string(), at(0), 0), Noted::New);
        }
        assert_eq!(nonces.note(&busy, "more", at(0), 0), Noted::Full);
        assert_eq!(nonces.note(&busy, "0", at(0), 0), Noted::Again);
        assert_eq!(nonces.note(&of("other"), "more", at(0), 0), Noted::New, "others go on");
        assert_eq!(nonces.note(&busy, "more", at(200), 101), Noted::New, "once there is room again");
    }

    #[test]
    fn a_consumer_is_two_plain_halves() {
        assert!(
            Consumer::parse("key:secret")
                .is_some_and(|one| one.key == "key" && one.secret.expose() == "secret")
        );
        for wrong in ["", "key", "key:", ":secret", "k y:secret", "key:se:cret", "key:se%63ret"] {
            assert!(Consumer::parse(wrong).is_none(), "{wrong}");
        }
    }
}
