//! Where we may go: not into the house's own network, unless the operator says so.
//!
//! A URL is judged when a hook is saved, and again before every attempt; an address is judged when it is dialled, so
//! that a name whose answer has changed since does not get around it. Addresses follow the special-purpose registries
//! of IANA (RFC 6890); of IPv6 only global unicast, `2000::/3`, is open to begin with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sonnette_core::formats;
use url::{Host, Url};

/// What is allowed beyond public addresses.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// The setting `delivery.allow_private`: this machine and private networks.
    pub allow_private: bool,
    /// The setting `delivery.allow`: these networks, whatever they are.
    pub allow: Vec<IpNet>,
    /// The setting `delivery.allow_closed`: these services ([`formats::closed_services`]), though they have closed.
    pub allow_closed: Vec<String>,
}

/// Why not. Says the rule and the setting that lifts it, never more of a URL than its host and port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too long.
    #[error("must be at most {LONGEST} bytes long")]
    Long,
    /// Not an absolute HTTP URL.
    #[error("must begin with http:// or https:// and a host")]
    NotHttp,
    /// Characters that programs read differently.
    #[error("must not hold spaces, control characters or backslashes")]
    Characters,
    /// `user:password@`.
    #[error("must not hold a user name or a password")]
    Userinfo,
    /// `#…`.
    #[error("must not hold a fragment (#…)")]
    Fragment,
    /// No host name and no address.
    #[error("must have a host that is a name or an IP address: {0}")]
    Host(&'static str),
    /// A host that means something else than it says.
    #[error("must spell its host as it is meant: {0}")]
    Spelling(String),
    /// A port of another protocol.
    #[error(
        "must not use port {0}: of those below 1024 only 80 and 443 are open, and none that other protocols use"
    )]
    Port(u16),
    /// A name that means something only here.
    #[error(
        "{0} is a name of this machine or of an internal network, which only the setting delivery.allow_private or \
         delivery.allow allows"
    )]
    Name(String),
    /// An address that is not public.
    #[error(
        "{0} is {1}, which only the setting {by} allows",
        by = if *.2 { "delivery.allow_private or delivery.allow" } else { "delivery.allow" }
    )]
    Address(IpAddr, &'static str, bool),
}

/// Bytes a URL may have.
const LONGEST: usize = 2048;

/// Ports from 1024 up that speak another protocol: those browsers refuse (the Fetch standard, "port blocking"), and
/// data stores and control planes, which may do what a line of a request's body says.
const OTHER_PROTOCOLS: [u16; 33] = [
    1433, 1521, 1719, 1720, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 4222,
    5060, 5061, 5432, 6000, 6379, 6566, 6665, 6697, 9042, 9092, 9200, 9300, 10080, 10250, 11211, 27017,
];

/// Last labels of names that mean something only inside (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476, ICANN's
/// `.internal`, and what routers, directories and container platforms use).
const INSIDE: [&str; 17] = [
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "private",
    "lan",
    "home",
    "corp",
    "mail",
    "arpa",
    "alt",
    "invalid",
    "test",
    "onion",
    "consul",
    "svc",
];

/// Public names whose only use is a cloud's metadata service.
const METADATA_NAMES: [&str; 2] = ["metadata.goog", "metadata.tencentyun.com"];

/// Addresses of clouds' metadata services: they hand out credentials, so private networks being allowed does not open
/// them. The first one is in no registry.
const METADATA: [IpAddr; 7] = [
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
];

const fn v4(a: u8, b: u8, c: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), bits)
}

const fn v6(a: u16, b: u16, c: u16, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
}

/// IPv4 networks that are not public, and whether `allow_private` opens them.
const CLOSED_V4: [(Ipv4Net, &str, bool); 15] = [
    (v4(0, 0, 0, 8), "an address of this network (0.0.0.0/8)", false),
    (v4(10, 0, 0, 8), "private (10.0.0.0/8)", true),
    (v4(100, 64, 0, 10), "shared by a provider's customers (100.64.0.0/10)", true),
    (v4(127, 0, 0, 8), "this machine (127.0.0.0/8)", true),
    (v4(169, 254, 0, 16), "link-local, where clouds keep credentials (169.254.0.0/16)", false),
    (v4(172, 16, 0, 12), "private (172.16.0.0/12)", true),
    (v4(192, 0, 0, 24), "reserved for protocols (192.0.0.0/24)", false),
    (v4(192, 0, 2, 24), "for documentation (192.0.2.0/24)", false),
    (v4(192, 88, 99, 24), "a 6to4 relay (192.88.99.0/24)", false),
    (v4(192, 168, 0, 16), "private (192.168.0.0/16)", true),
    (v4(198, 18, 0, 15), "for benchmarks (198.18.0.0/15)", false),
    (v4(198, 51, 100, 24), "for documentation (198.51.100.0/24)", false),
    (v4(203, 0, 113, 24), "for documentation (203.0.113.0/24)", false),
    (v4(224, 0, 0, 4), "multicast (224.0.0.0/4)", false),
    (v4(240, 0, 0, 4), "reserved (240.0.0.0/4)", false),
];

/// IPv6 networks closed though within [`OPEN_V6`], or worth a word of their own.
const CLOSED_V6: [(Ipv6Net, &str, bool); 8] = [
    (v6(0xfc00, 0, 0, 7), "private (fc00::/7)", true),
    (v6(0xfe80, 0, 0, 10), "link-local (fe80::/10)", false),
    (v6(0xff00, 0, 0, 8), "multicast (ff00::/8)", false),
    // Teredo, benchmarks, ORCHID and others.
    (v6(0x2001, 0, 0, 23), "reserved for protocols (2001::/23)", false),
    (v6(0x2001, 0xdb8, 0, 32), "for documentation (2001:db8::/32)", false),
    (v6(0x2002, 0, 0, 16), "6to4, which hides an IPv4 address (2002::/16)", false),
    (v6(0x3fff, 0, 0, 20), "for documentation (3fff::/20)", false),
    (v6(0x5f00, 0, 0, 16), "for segment routing (5f00::/16)", false),
];

/// IPv6 global unicast (RFC 4291, section 2.4).
const OPEN_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// NAT64 (RFC 6052): stands for the IPv4 address in its last 32 bits. Machines without IPv4 reach public receivers so.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);

impl Guard {
    /// Judges a URL as a person gave it: absolute, HTTP, its host spelled as it is meant and not inside. Gives it
    /// parsed, with no dot at the end of its host.
    ///
    /// # Errors
    /// With the rule it breaks.
    pub fn check_url(&self, text: &str) -> Result<Url, Refused> {
        if text.len() > LONGEST {
            return Err(Refused::Long);
        }
        // Parsers drop or turn around these, each its own way.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(Refused::Characters);
        }
        if text.contains('#') {
            return Err(Refused::Fragment);
        }
        let (scheme, rest) = text.split_once("://").ok_or(Refused::NotHttp)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(Refused::NotHttp);
        }
        let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
        if authority.is_empty() {
            return Err(Refused::NotHttp);
        }
        if authority.contains('@') {
            return Err(Refused::Userinfo);
        }
        if authority.contains('%') {
            return Err(Refused::Host("it holds a %"));
        }
        let mut url = Url::parse(text).map_err(|error| match error {
            url::ParseError::InvalidPort => Refused::Host("its port is not a number up to 65535"),
            url::ParseError::InvalidIpv4Address => {
                Refused::Host("it ends in a number, but is no IPv4 address")
            }
            url::ParseError::InvalidIpv6Address => Refused::Host("it is no IPv6 address"),
            _ => Refused::Host("it is no name"),
        })?;
        match url.host() {
            None => return Err(Refused::NotHttp),
            Some(Host::Ipv4(address)) => {
                let meant = address.to_string();
                if without_port(authority) != meant {
                    return Err(Refused::Spelling(meant));
                }
                self.check_ip(address.into())?;
            }
            Some(Host::Ipv6(address)) => self.check_ip(address.into())?,
            Some(Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name).to_owned();
                self.check_name(without_port(authority), &name)?;
                url.set_host(Some(&name)).map_err(|_| Refused::Host("it is no name"))?;
            }
        }
        match url.port_or_known_default() {
            Some(port) if port != 80 && port != 443 && (port < 1024 || OTHER_PROTOCOLS.contains(&port)) => {
                Err(Refused::Port(port))
            }
            _ => Ok(url),
        }
    }

    /// Judges a host name: `given` as it was written, `name` as it was parsed, without a dot at its end.
    fn check_name(&self, given: &str, name: &str) -> Result<(), Refused> {
        let given = given.strip_suffix('.').unwrap_or(given).to_lowercase();
        // A name in other scripts is right if it reads back as it was given; full-width letters, invisible
        // characters and their like do not.
        let (readable, read) = idna_back(name);
        if given != name && !(read && given == readable) {
            return Err(Refused::Spelling(name.to_owned()));
        }
        if name.len() > 253 {
            return Err(Refused::Host("it is longer than 253 bytes"));
        }
        let right = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !name.split('.').all(right) {
            return Err(Refused::Host(
                "each label has 1 to 63 letters, digits and hyphens, no hyphen at its ends",
            ));
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        let inside = last.len() == name.len() || INSIDE.contains(&last) || METADATA_NAMES.contains(&name);
        // Where something inside is allowed, the address it resolves to decides.
        if inside && !self.allow_private && self.allow.is_empty() {
            return Err(Refused::Name(name.to_owned()));
        }
        Ok(())
    }

    /// Judges an address about to be dialled.
    ///
    /// # Errors
    /// If it is not public and not allowed.
    pub fn check_ip(&self, address: IpAddr) -> Result<(), Refused> {
        let address = address.to_canonical();
        if self.allow.iter().any(|net| net.contains(&address)) {
            return Ok(());
        }
        let found = match address {
            _ if METADATA.contains(&address) => Some(("a cloud's metadata service", false)),
            IpAddr::V4(v4) => CLOSED_V4
                .iter()
                .find(|(net, ..)| net.contains(&v4))
                .map(|(_, what, private)| (*what, *private)),
            IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(("this machine (::1)", true)),
            IpAddr::V6(v6) if NAT64.contains(&v6) => {
                let [.., a, b, c, d] = v6.octets();
                return self.check_ip(Ipv4Addr::new(a, b, c, d).into());
            }
            IpAddr::V6(v6) => CLOSED_V6
                .iter()
                .find(|(net, ..)| net.contains(&v6))
                .map(|(_, what, private)| (*what, *private))
                .or_else(|| (!OPEN_V6.contains(&v6)).then_some(("not a public address", false))),
        };
        match found {
            Some((_, true)) if self.allow_private => Ok(()),
            Some((what, private)) => Err(Refused::Address(address, what, private)),
            None => Ok(()),
        }
    }

    /// Judges a URL about to be dialled: nobody knows who has the name of a service that has closed.
    ///
    /// # Errors
    /// With the service that has closed.
    pub fn check_closed(&self, url: &Url) -> Result<(), &'static str> {
        match formats::closed(url) {
            Some(service) if self.allow_closed.iter().all(|open| open != service) => Err(service),
            _ => Ok(()),
        }
    }

    /// Whether only public addresses are allowed, so that names need no local resolving.
    pub(super) fn public_only(&self) -> bool {
        !self.allow_private && self.allow.is_empty()
    }
}

/// The host as written, without its port.
fn without_port(authority: &str) -> &str {
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// A name in the script it is read in, and whether there is one.
fn idna_back(name: &str) -> (String, bool) {
    let readable = url::quirks::domain_to_unicode(name);
    let read = !readable.is_empty();
    (readable, read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BAD_URLS: &str = include_str!("../../tests/corpora/ssrf-urls.txt");
    const GOOD_URLS: &str = include_str!("../../tests/corpora/allowed-urls.txt");
    const ANSWERS: &str = include_str!("../../tests/corpora/ssrf-dns.txt");

    /// The cases of a corpus: their URL, unescaped, and what they are about.
    fn cases(corpus: &str) -> impl Iterator<Item = (String, &str)> {
        corpus.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
            let (url, about) = line.split_once("\t# ").unwrap();
            let mut parts = url.split('\\');
            let mut text = parts.next().unwrap().to_owned();
            while let Some(part) = parts.next() {
                match part.chars().next() {
                    None => text.push_str(&format!("\\{}", parts.next().unwrap_or_default())),
                    Some('t') => text.push_str(&format!("\t{}", &part[1..])),
                    Some('n') => text.push_str(&format!("\n{}", &part[1..])),
                    Some('r') => text.push_str(&format!("\r{}", &part[1..])),
                    Some('u') => {
                        text.push(char::from_u32(u32::from_str_radix(&part[1..5], 16).unwrap()).unwrap());
                        text.push_str(&part[5..]);
                    }
                    Some(other) => panic!("no such escape: {other}"),
                }
            }
            (text, about)
        })
    }

    #[test]
    fn every_url_that_leads_inside_is_refused() {
        let guard = Guard::default();
        let let_through: Vec<_> = cases(BAD_URLS).filter(|(url, _)| guard.check_url(url).is_ok()).collect();
        assert!(cases(BAD_URLS).count() > 350);
        assert!(let_through.is_empty(), "{let_through:#?}");
    }

    #[test]
    fn every_url_that_leads_outside_is_taken() {
        let guard = Guard::default();
        let refused: Vec<_> =
            cases(GOOD_URLS).filter_map(|(url, _)| Some((guard.check_url(&url).err()?, url))).collect();
        assert!(cases(GOOD_URLS).count() > 50);
        assert!(refused.is_empty(), "{refused:#?}");
    }

    #[test]
    fn every_answer_that_leads_inside_is_refused() {
        let guard = Guard::default();
        let mut judged = 0;
        for line in ANSWERS.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [_, answers, verdict, ..] = fields[..] else { continue };
            let first = answers.split(" | ").next().unwrap();
            let addresses: Vec<IpAddr> =
                first.split(", ").filter_map(|record| record.split(' ').nth(1)?.parse().ok()).collect();
            if addresses.is_empty() {
                continue;
            }
            judged += 1;
            let taken = addresses.iter().all(|address| guard.check_ip(*address).is_ok());
            let expected = !verdict.starts_with("reject") && !verdict.starts_with("never ");
            // The two that change their answer are sound at first: what is dialled is what was judged.
            let expected = expected || line.starts_with("rebind");
            assert_eq!(taken, expected, "{line}");
        }
        assert!(judged >= 15, "{judged}");
    }

    #[test]
    fn a_dot_at_the_end_of_a_name_is_dropped() {
        let url = Guard::default().check_url("https://example.org./hook").unwrap();
        assert_eq!(url.as_str(), "https://example.org/hook");
    }

    #[test]
    fn private_networks_open_by_one_setting_and_metadata_services_do_not() {
        let guard = Guard { allow_private: true, ..Guard::default() };
        for open in
            ["127.0.0.1", "10.1.2.3", "192.168.0.1", "100.64.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
        {
            assert_eq!(guard.check_ip(open.parse().unwrap()), Ok(()), "{open}");
        }
        for closed in
            ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "0.0.0.0", "fe80::1", "224.0.0.1"]
        {
            assert!(guard.check_ip(closed.parse().unwrap()).is_err(), "{closed}");
        }
        for open in ["http://localhost:9000/", "http://receiver:8080/", "http://127.0.0.1:4000/"] {
            assert!(guard.check_url(open).is_ok(), "{open}");
        }
        assert!(guard.check_url("http://0177.0.0.1/").is_err(), "a false spelling helps nobody");
    }

    #[test]
    fn a_network_opens_by_the_list_and_its_neighbours_do_not() {
        let guard = Guard { allow: vec!["10.1.0.0/16".parse().unwrap()], ..Guard::default() };
        assert!(guard.check_ip("10.1.2.3".parse().unwrap()).is_ok());
        assert!(guard.check_ip("64:ff9b::10.1.2.3".parse().unwrap()).is_ok());
        assert!(guard.check_ip("10.2.2.3".parse().unwrap()).is_err());
        assert!(guard.check_ip("127.0.0.1".parse().unwrap()).is_err());
    }

    #[test]
    fn a_refusal_names_the_setting_that_lifts_it() {
        let guard = Guard::default();
        let said = |url: &str| guard.check_url(url).unwrap_err().to_string();
        insta::assert_snapshot!(
            [
                said("http://10.0.0.1/x"),
                said("http://169.254.169.254/x"),
                said("http://localhost/x"),
                said("http://0177.1/x"),
                said("http://example.org:25/x"),
                said("https://me:secret@example.org/x"),
            ]
            .join("\n"),
            @"
        10.0.0.1 is private (10.0.0.0/8), which only the setting delivery.allow_private or delivery.allow allows
        169.254.169.254 is link-local, where clouds keep credentials (169.254.0.0/16), which only the setting delivery.allow allows
        localhost is a name of this machine or of an internal network, which only the setting delivery.allow_private or delivery.allow allows
        must spell its host as it is meant: 127.0.0.1
        must not use port 25: of those below 1024 only 80 and 443 are open, and none that other protocols use
        must not hold a user name or a password
        "
        );
    }

    proptest! {
        #[test]
        fn any_text_is_judged_and_what_is_taken_reads_back(text in "(https?://)?[ -~é①。]{0,60}") {
            let guard = Guard::default();
            if let Ok(url) = guard.check_url(&text) {
                prop_assert_eq!(guard.check_url(url.as_str()), Ok(url.clone()));
                prop_assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
            }
        }

        #[test]
        fn only_global_unicast_is_open_in_ipv6(bits: u128) {
            let address = Ipv6Addr::from_bits(bits);
            if Guard::default().check_ip(address.into()).is_ok() {
                prop_assert!(OPEN_V6.contains(&address) || NAT64.contains(&address));
            }
        }
    }
}
