//! The e-mail addresses we write to: what RFC 5321 allows without quotes, comments or address literals.
//!
//! Before the `@` stands ASCII: anything else needs SMTPUTF8 (RFC 6531) of every server on the way, and what one of them
//! lacks ends every letter.

use url::Host;

/// Longest local part, in bytes. RFC 5321 §4.5.3.1.1.
const LONGEST_LOCAL: usize = 64;
/// Longest address, in bytes: a path of 256 (RFC 5321 §4.5.3.1.3) less its angle brackets.
const LONGEST: usize = 254;

/// Why a text is not an address we write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not exactly one `@`.
    #[error("an e-mail address has one `@`, with a name before and a domain after it")]
    Shape,
    /// Too long.
    #[error("an e-mail address is at most {LONGEST} bytes, {LONGEST_LOCAL} of them before the `@`")]
    TooLong,
    /// A sign in the local part that would need quoting, or that is not ASCII.
    #[error(
        "before the `@` stand letters without accents, digits, single dots between them and !#$%&'*+-/=?^_`{{|}}~"
    )]
    Local,
    /// Not a host name with a dot in it.
    #[error("after the `@` stands a domain such as `example.com`")]
    Domain,
    /// A host name the public Internet has not.
    #[error("after the `@` stands a domain that is known on the Internet, not one of a machine or a house")]
    Private,
}

/// Checks an address. Gives it back with the domain in lower case, and in ASCII if it was not (RFC 5890).
///
/// # Errors
/// The rule it breaks.
pub fn check(text: &str) -> Result<String, AddressError> {
    // Before anything that takes time.
    if text.len() > 4 * LONGEST {
        return Err(AddressError::TooLong);
    }
    let (local, domain) = text.split_once('@').ok_or(AddressError::Shape)?;
    if local.is_empty() || domain.is_empty() || domain.contains('@') {
        return Err(AddressError::Shape);
    }
    if local.len() > LONGEST_LOCAL {
        return Err(AddressError::TooLong);
    }
    if local.split('.').any(|atom| atom.is_empty() || !atom.chars().all(is_atom)) {
        return Err(AddressError::Local);
    }
    let address = format!("{local}@{}", host(domain).ok_or(AddressError::Domain)?);
    if address.len() > LONGEST { Err(AddressError::TooLong) } else { Ok(address) }
}

/// Whether two spellings mean one address to people, though only the domain's case never matters (RFC 5321, section 2.4).
pub fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Checks an address anybody may have typed: a relay would hand `root@localhost` to somebody of its own machine, and
/// `x@mail.internal` to one of its network. Gives it back as [`check`] does.
///
/// # Errors
/// The rule it breaks.
pub fn check_public(text: &str) -> Result<String, AddressError> {
    let address = check(text)?;
    let last = address.rsplit_once(['.', '@']).map(|(_, label)| label);
    let private = last.is_some_and(|label| NOT_PUBLIC.contains(&label)) || address.ends_with(".home.arpa");
    if private { Err(AddressError::Private) } else { Ok(address) }
}

/// Top-level names that are never delegated: RFC 6761, RFC 6762, RFC 7686, RFC 9476, and ICANN's of 2024. `home.arpa` is
/// RFC 8375's. Not `example` and `test`: documentation uses them, and they lead nowhere.
const NOT_PUBLIC: [&str; 6] = ["localhost", "local", "internal", "invalid", "onion", "alt"];

/// RFC 5321 `atext`.
fn is_atom(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

/// Beyond ASCII, what can be seen and does not turn the line around.
fn is_seen(c: char) -> bool {
    let unseen = matches!(
        c,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFF}'
    );
    !c.is_control() && !c.is_whitespace() && !unseen
}

/// A host name of two labels or more, or `localhost`.
fn host(text: &str) -> Option<String> {
    // `Host::parse` would decode a `%` first, and drop what IDNA ignores (UTS 46): neither is an address as given.
    if text.chars().any(|c| !(c.is_alphanumeric() || matches!(c, '-' | '.')) && (c.is_ascii() || !is_seen(c)))
    {
        return None;
    }
    let Ok(Host::Domain(name)) = Host::parse(text) else { return None };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let fits = name.split('.').all(label) && (name.contains('.') || name == "localhost");
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_taken_keeps_its_local_part_and_lowers_its_domain() {
        for (given, taken) in [
            ("Alice@Example.COM", "Alice@example.com"),
            ("o'brien+tag@a-b.example", "o'brien+tag@a-b.example"),
            ("x@bücher.example", "x@xn--bcher-kva.example"),
            ("root@localhost", "root@localhost"),
        ] {
            assert_eq!(check(given).as_deref(), Ok(taken), "{given}");
        }
    }

    #[test]
    fn what_is_refused_is_told_by_its_rule() {
        for (given, rule) in [
            ("", AddressError::Shape),
            ("alice", AddressError::Shape),
            ("@example.com", AddressError::Shape),
            ("alice@", AddressError::Shape),
            ("a@b@example.com", AddressError::Shape),
            ("a b@example.com", AddressError::Local),
            ("a\r\nBcc:x@example.com", AddressError::Local),
            ("\"a\"@example.com", AddressError::Local),
            ("<a@example.com", AddressError::Local),
            ("a,b@example.com", AddressError::Local),
            ("a..b@example.com", AddressError::Local),
            (".a@example.com", AddressError::Local),
            ("a\u{202E}@example.com", AddressError::Local),
            ("rené@example.com", AddressError::Local),
            ("用户@example.com", AddressError::Local),
            ("a@example.com>", AddressError::Domain),
            ("a@example.com\n", AddressError::Domain),
            ("a@intranet", AddressError::Domain),
            ("a@example..com", AddressError::Domain),
            ("a@example.com.", AddressError::Domain),
            ("a@-example.com", AddressError::Domain),
            ("a@[127.0.0.1]", AddressError::Domain),
            ("a@127.0.0.1", AddressError::Domain),
            ("a@0x7f.1", AddressError::Domain),
            ("a@ex%61mple.com", AddressError::Domain),
            ("a@exa\u{AD}mple.com", AddressError::Domain),
            ("a@exam_ple.com", AddressError::Domain),
        ] {
            assert_eq!(check(given), Err(rule), "{given:?}");
        }
        assert_eq!(check(&format!("{}@example.com", "a".repeat(65))), Err(AddressError::TooLong));
        assert_eq!(check(&format!("{}@{}com", "a".repeat(60), "b.".repeat(100))), Err(AddressError::TooLong));
        assert_eq!(check(&"a".repeat(1 << 20)), Err(AddressError::TooLong));
    }

    #[test]
    fn what_anybody_types_is_not_on_a_machine_or_in_a_house() {
        for given in [
            "root@localhost",
            "root@LOCALHOST",
            "root@mail.localhost",
            "a@printer.local",
            "a@mx.corp.internal",
            "a@nas.home.arpa",
            "a@example.invalid",
            "a@abcdefgh.onion",
            "a@name.alt",
        ] {
            assert!(check(given).is_ok(), "{given}");
            assert_eq!(check_public(given), Err(AddressError::Private), "{given}");
        }
        assert_eq!(check_public("a@intranet"), Err(AddressError::Domain));
        for given in ["a@example.com", "local@local.example", "a@internal.example.org", "a@bücher.example"] {
            assert_eq!(check_public(given), check(given), "{given}");
        }
    }

    proptest! {
        #[test]
        fn an_address_that_is_taken_is_taken_again_as_it_is(
            text in prop_oneof![any::<String>(), r"[a-zA-Z0-9.+é'-]{1,20}@[a-zA-ZéßÀ0-9.-]{1,20}(\.com)?"],
        ) {
            if let Ok(address) = check(&text) {
                prop_assert_eq!(check(&address), Ok(address.clone()));
                prop_assert!(address.len() <= LONGEST);
                prop_assert!(!address.contains(|c: char| c.is_control() || c.is_whitespace() || "\"<>,;:()\\[]".contains(c)));
                let (local, domain) = address.split_once('@').unwrap();
                prop_assert_eq!(text.split_once('@').unwrap().0, local);
                prop_assert_eq!(domain.to_ascii_lowercase(), domain);
                prop_assert!(domain.is_ascii());
            }
        }
    }
}
