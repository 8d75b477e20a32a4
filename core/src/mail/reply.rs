//! What a relay's answer means for a letter, by the step it answers and its codes.
//!
//! Reply codes are RFC 5321, section 4.2; the enhanced ones (`5.1.1`) are RFC 3463 and the IANA registry, and stand at
//! the beginning of the words (RFC 2034).

use crate::ports::Posted;

/// What we said that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing about a letter yet: greeting, `EHLO`, `STARTTLS`, `AUTH`.
    Arriving,
    /// `MAIL`: from whom.
    Sender,
    /// `RCPT`: to whom.
    Recipient,
    /// `DATA`, or the letter itself.
    Letter,
}

/// What a refusal at a step means; `code` is from 400 to 599.
///
/// - 4xx: again.
/// - 5xx on arriving, and whatever asks us to sign in (RFC 4954: 530, 534, 535, 538): the operator's to put right; the
///   letter waits.
/// - A 5xx to the recipient or the letter whose enhanced code says that nobody is there ([`is_no_address`]): no such
///   address. To the recipient, without an enhanced code, also 556 (RFC 7504), and a 550, 551 or 553 whose words say so
///   (see `tells_of_nobody`).
/// - Any other 5xx: refused. In doubt the letter is lost and not the address: a relay that refuses its clients says 550
///   of every address there is.
pub fn judge(step: Step, code: u16, words: &str) -> Posted {
    let said = words.to_owned();
    let permanent = code >= 500 && step != Step::Arriving && !matches!(code, 530 | 534 | 535 | 538);
    if !permanent {
        return Posted::Again(Some(code), said);
    }
    let nobody = match (step, enhanced(words)) {
        (Step::Recipient | Step::Letter, Some(status)) => is_no_address(status),
        (Step::Recipient, None) => code == 556 || matches!(code, 550 | 551 | 553) && tells_of_nobody(words),
        _ => false,
    };
    if nobody { Posted::NoSuchAddress(code, said) } else { Posted::Refused(Some(code), said) }
}

/// Whether an enhanced code says for good that nobody is at an address: bad mailbox (X.1.1), bad host (X.1.2), bad syntax
/// (X.1.3), moved away (X.1.6), a domain without mail (X.1.10, RFC 7505). X.1.7 and X.1.8 are about the sender, X.1.0 is
/// said of anything.
pub fn is_no_address(status: &str) -> bool {
    matches!(status, "5.1.1" | "5.1.2" | "5.1.3" | "5.1.6" | "5.1.10")
}

/// Words in which mail servers say that nobody is at an address.
const NOBODY: [&str; 22] = [
    "no such user",
    "no such recipient",
    "no such mailbox",
    "no such address",
    "no such person",
    "no user by that name",
    "no mailbox",
    "user unknown",
    "unknown user",
    "unknown recipient",
    "recipient unknown",
    "unknown mailbox",
    "mailbox unknown",
    "unknown address",
    "address unknown",
    "user not found",
    "recipient not found",
    "mailbox not found",
    "mailbox unavailable",
    "does not exist",
    "doesn't exist",
    "invalid mailbox",
];
/// Words of a refusal that is about us, or about what we send.
const POLICY: [&str; 16] = [
    "relay",
    "block",
    "spam",
    "denied",
    "deny",
    "listed",
    "blacklist",
    "denylist",
    "policy",
    "reputation",
    "rbl",
    "dnsbl",
    "spf",
    "dkim",
    "dmarc",
    "sender",
];

/// Whether the words of a refusal without an enhanced code say that nobody is at the address, and nothing of a policy.
fn tells_of_nobody(words: &str) -> bool {
    let words = words.to_lowercase();
    NOBODY.iter().any(|one| words.contains(one)) && !tells_of_policy(&words)
}

/// Whether a refusal is about who we are or what we send, and so the operator's to look at: X.7.x (RFC 3463, section 3.8),
/// or words that say so where there is no code.
pub fn is_policy(words: &str) -> bool {
    match enhanced(words) {
        Some(status) => status.starts_with("5.7."),
        None => tells_of_policy(&words.to_lowercase()),
    }
}

fn tells_of_policy(words: &str) -> bool {
    POLICY.iter().any(|one| words.contains(one))
}

/// The enhanced code at the beginning of a reply's words, with or without the reply code before it.
pub fn enhanced(words: &str) -> Option<&str> {
    let first = |text: &str| text.split([' ', ':', ';', ',']).next().map(str::len).unwrap_or_default();
    let is_code = |text: &str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    let words = words.trim_start();
    let words = match words.get(..3).filter(|start| is_code(start)) {
        Some(_) => words[3..].trim_start_matches([' ', '-']),
        None => words,
    };
    let status = &words[..first(words)];
    let parts: Vec<&str> = status.split('.').collect();
    let number = |text: &&str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let fits = parts.len() == 3 && matches!(parts[0], "2" | "4" | "5") && parts[1..].iter().all(number);
    fits.then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Class {
        Again,
        Refused,
        Nobody,
    }

    fn class(step: Step, words: &str) -> Class {
        match judge(step, words[..3].parse().unwrap(), words) {
            Posted::Again(..) => Class::Again,
            Posted::Refused(..) => Class::Refused,
            Posted::NoSuchAddress(..) => Class::Nobody,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_documented_reply_has_its_class() {
        use Class::{Again, Nobody, Refused};
        use Step::{Arriving, Letter, Recipient, Sender};
        let table = [
            // RFC 5321, section 4.2.3, by the step it is said at.
            (Arriving, "421 4.3.2 closing the channel", Again),
            (Arriving, "454 4.7.0 TLS not available", Again),
            (Arriving, "502 5.5.1 command not implemented", Again),
            (Arriving, "521 no mail service here", Again),
            (Arriving, "554 5.7.1 no service for you", Again),
            (Sender, "421 4.7.0 too many connections", Again),
            (Sender, "451 4.3.0 local error", Again),
            (Sender, "452 4.3.1 not enough storage", Again),
            (Sender, "455 parameters not taken now", Again),
            (Sender, "500 5.5.2 unrecognised", Refused),
            (Sender, "501 5.5.4 bad parameter", Refused),
            (Sender, "503 5.5.1 bad sequence", Refused),
            (Sender, "504 5.5.4 parameter not implemented", Refused),
            (Sender, "550 5.7.1 sender refused", Refused),
            (Sender, "550 sender refused", Refused),
            (Sender, "552 5.3.4 too large", Refused),
            (Sender, "553 5.1.7 bad sender", Refused),
            (Sender, "553 5.1.8 sender's domain not found", Refused),
            (Sender, "555 5.5.4 parameters not recognised", Refused),
            (Sender, "550 5.1.1 about the sender", Refused),
            (Recipient, "421 4.4.2 timeout", Again),
            (Recipient, "450 4.2.1 mailbox busy", Again),
            (Recipient, "450 4.7.1 greylisted", Again),
            (Recipient, "451 4.7.1 greylisted", Again),
            (Recipient, "452 4.2.2 mailbox full for now", Again),
            (Recipient, "452 4.5.3 too many recipients", Again),
            (Recipient, "501 5.1.3 bad address syntax", Nobody),
            (Recipient, "503 5.5.1 bad sequence", Refused),
            (Recipient, "550 5.1.1 user unknown", Nobody),
            (Recipient, "550-5.1.1 The account does not exist", Nobody),
            (Recipient, "550 5.1.2 bad destination host", Nobody),
            (Recipient, "550 5.1.6 moved away", Nobody),
            (Recipient, "556 5.1.10 recipient has null MX", Nobody),
            (Recipient, "550 5.1.0 address rejected", Refused),
            (Recipient, "553 5.1.4 ambiguous", Refused),
            (Recipient, "550 no such user here", Nobody),
            (Recipient, "550 User Unknown", Nobody),
            (Recipient, "550 <bob@example.net>: Recipient unknown", Nobody),
            (Recipient, "550 Requested action not taken: mailbox unavailable", Nobody),
            (Recipient, "550-No mailbox here by that name", Nobody),
            (Recipient, "550 The email account that you tried to reach does not exist", Nobody),
            (Recipient, "551 user unknown, not local", Nobody),
            (Recipient, "553 unknown recipient", Nobody),
            (Recipient, "550 relay not permitted", Refused),
            (Recipient, "550 blocked using zen.spamhaus.org", Refused),
            (Recipient, "550 no such user, or relaying denied", Refused),
            (Recipient, "550 your domain does not exist in our policy", Refused),
            (Recipient, "550 sender unknown user verification failed", Refused),
            (Recipient, "550 listed at bl.example, see http://bl.example", Refused),
            (Recipient, "550 rejected", Refused),
            (Recipient, "550", Refused),
            (Recipient, "554 no such user", Refused),
            (Letter, "550 no such user here", Refused),
            (Recipient, "550 5.0.0 no", Refused),
            (Recipient, "556 domain takes no mail", Nobody),
            (Recipient, "551 5.1.6 user has moved", Nobody),
            (Recipient, "551 user not local", Refused),
            (Recipient, "552 5.2.2 mailbox full", Refused),
            (Recipient, "553 5.7.1 not allowed", Refused),
            (Recipient, "553 mailbox name not allowed", Refused),
            (Recipient, "550 5.2.1 mailbox disabled", Refused),
            (Recipient, "550 5.4.1 access denied", Refused),
            (Recipient, "550 5.7.1 relaying denied", Refused),
            (Recipient, "554 5.7.1 relay access denied", Refused),
            (Letter, "421 4.7.0 try later", Again),
            (Letter, "451 4.7.1 greylisted", Again),
            (Letter, "452 4.3.1 insufficient storage", Again),
            (Letter, "550 5.1.1 no such user", Nobody),
            (Letter, "550 refused", Refused),
            (Letter, "552 5.2.2 over quota", Refused),
            (Letter, "552 5.3.4 too large", Refused),
            (Letter, "550 5.7.1 spam", Refused),
            (Letter, "550 5.7.26 not authenticated", Refused),
            (Letter, "554 5.7.1 refused by policy", Refused),
            (Letter, "554 5.6.0 cannot be read", Refused),
            (Letter, "554 transaction failed", Refused),
            // RFC 4954, section 6: a matter of the operator.
            (Arriving, "535 5.7.8 wrong password", Again),
            (Sender, "530 5.7.0 sign in first", Again),
            (Sender, "534 5.7.9 too weak", Again),
            (Sender, "538 5.7.11 encrypt first", Again),
            (Recipient, "530 5.7.1 sign in first", Again),
        ];
        for (step, words, expected) in table {
            assert_eq!(class(step, words), expected, "{step:?} {words}");
        }
    }

    #[test]
    fn an_enhanced_code_stands_at_the_beginning_or_nowhere() {
        for (words, expected) in [
            ("550 5.1.1 no", Some("5.1.1")),
            ("550-5.1.1 no", Some("5.1.1")),
            ("5.1.10: null MX", Some("5.1.10")),
            ("550 no 5.1.1", None),
            ("550 5.1 no", None),
            ("550 5.1.1.1 no", None),
            ("550 3.1.1 no", None),
            ("550 5.1.x no", None),
            ("550", None),
            ("", None),
        ] {
            assert_eq!(enhanced(words), expected, "{words}");
        }
    }

    #[test]
    fn a_policy_is_told_by_its_code_or_else_by_its_words() {
        for words in
            ["550 5.7.1 no", "554 5.7.26 not signed", "550 relay not permitted", "554 Blocked by RBL"]
        {
            assert!(is_policy(words), "{words}");
        }
        for words in ["550 5.1.1 no such user", "552 5.2.2 full, by policy", "554 transaction failed", ""] {
            assert!(!is_policy(words), "{words}");
        }
    }

    proptest! {
        #[test]
        fn no_words_panic_and_a_4xx_is_never_final(code in 400_u16..600, words: String) {
            for step in [Step::Arriving, Step::Sender, Step::Recipient, Step::Letter] {
                let posted = judge(step, code, &words);
                prop_assert_eq!(code < 500, code < 500 && matches!(posted, Posted::Again(..)));
            }
        }
    }
}
