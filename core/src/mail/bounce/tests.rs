use super::*;
use crate::ids::EventId;
use crate::secret::Sealer;
use proptest::prelude::*;

const DELIVERY: DeliveryId = DeliveryId { event: EventId(1_853_398_327_296_000_000), n: 3 };

fn key() -> Key {
    Sealer::new(&[7; 32]).key(verp::PURPOSE)
}

fn sender() -> String {
    verp::sender("bounces@paas.example", &verp::tag(&key(), DELIVERY))
}

/// A report as Postfix writes it (RFC 3464), with CRLF as it comes from the wire.
fn report(to: &str, action: &str, status: &str, diagnostic: &str) -> String {
    format!(
        "Return-Path: <>
Date: Fri, 2 Jan 2026 10:00:00 +0000
From: MAILER-DAEMON@mx.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {to}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary=\"1A2B.1767348000/mx.example\"

This is a MIME-encapsulated message.

--1A2B.1767348000/mx.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--1A2B.1767348000/mx.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
X-Postfix-Queue-ID: 1A2B
Arrival-Date: Fri,  2 Jan 2026 10:00:00 +0000 (UTC)

Final-Recipient: rfc822; gone@elsewhere.example
Original-Recipient: rfc822;gone@elsewhere.example
Action: {action}
Status: {status}
Remote-MTA: dns; mx.elsewhere.example
Diagnostic-Code: smtp; {diagnostic}

--1A2B.1767348000/mx.example
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

Return-Path: <someone@else.example>
From: Sonnette <no-reply@paas.example>
To: gone@elsewhere.example
Subject: Deployment failed

--1A2B.1767348000/mx.example--
"
    )
    .replace('\n', "\r\n")
}

/// A complaint as RFC 5965, appendix B.1, shows one.
fn complaint(feedback: &str, from: &str) -> String {
    format!(
        "From: <abusedesk@example.com>
Date: Thu, 8 Mar 2005 17:40:36 EDT
Subject: FW: Earn money
To: <abuse@example.net>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report;
     boundary=\"part1_13d.2e68ed54_boundary\"

--part1_13d.2e68ed54_boundary
Content-Type: text/plain; charset=\"US-ASCII\"
Content-Transfer-Encoding: 7bit

This is an email abuse report for an email message.

--part1_13d.2e68ed54_boundary
Content-Type: message/feedback-report

Feedback-Type: {feedback}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <{from}>

--part1_13d.2e68ed54_boundary
Content-Type: message/rfc822
Content-Disposition: inline

From: <somespammer@example.net>
To: <Undisclosed Recipients>
Subject: Earn money

Spam Spam Spam
--part1_13d.2e68ed54_boundary--
"
    )
}

fn said(raw: &str) -> Said {
    let report = read(raw.as_bytes(), None, &key());
    assert_eq!(report.delivery, Some(DELIVERY));
    report.said
}

#[test]
fn what_failed_for_want_of_an_address_is_told_from_what_failed_otherwise() {
    let nobody = |status: &str, diagnostic: &str| {
        Said::NoSuchAddress(format!("{status} {diagnostic}").trim().to_owned())
    };
    let failed =
        |status: &str, diagnostic: &str| Said::Failed(format!("{status} {diagnostic}").trim().to_owned());
    let table = [
        ("failed", "5.1.1", "550 5.1.1 no such user", nobody as fn(&str, &str) -> Said),
        ("Failed", "5.1.2", "550 5.1.2 no such host", nobody),
        ("failed", "5.1.10", "556 5.1.10 takes no mail", nobody),
        ("failed (it did)", "5.0.0", "550 5.1.1 no such user", nobody),
        ("failed", "5.0.0", "550 no", failed),
        ("failed", "5.2.2", "552 5.2.2 mailbox full", failed),
        ("failed", "5.7.1", "550 5.7.1 policy", failed),
        ("failed", "5.1.8", "553 5.1.8 bad sender", failed),
        ("failed", "4.4.7", "expired", failed),
        // The status is the reporter's own word; what it repeats of another does not stand over it.
        ("failed", "5.7.1", "550 5.1.1 no such user", failed),
        ("delayed", "4.1.1", "450 4.1.1 not now", |_, _| Said::Nothing),
        ("delivered", "2.0.0", "250 ok", |_, _| Said::Nothing),
        ("relayed", "2.0.0", "250 ok", |_, _| Said::Nothing),
        ("", "5.1.1", "550 5.1.1", |_, _| Said::Nothing),
    ];
    for (action, status, diagnostic, expected) in table {
        for unix in [false, true] {
            let raw = report(&sender(), action, status, diagnostic);
            let raw = if unix { raw.replace("\r\n", "\n") } else { raw };
            assert_eq!(said(&raw), expected(status, diagnostic), "{action} {status} {diagnostic}");
        }
    }
}

#[test]
fn a_complaint_is_one_if_it_says_abuse() {
    assert_eq!(said(&complaint("abuse", &sender())), Said::Complaint);
    assert_eq!(said(&complaint("Abuse", &sender().to_uppercase())), Said::Complaint);
    for other in ["not-spam", "auth-failure", "virus", "other", ""] {
        assert_eq!(said(&complaint(other, &sender())), Said::Nothing, "{other}");
    }
}

#[test]
fn a_complaint_without_the_envelope_is_known_by_the_letter_it_returns() {
    let bare = complaint("abuse", "x").replace("Original-Mail-From: <x>\n", "");
    let with =
        |tag: &str| bare.replace("Subject: Earn money\n\n", &format!("Subject: Earn money\n{tag}\n\n"));
    assert_eq!(read(bare.as_bytes(), None, &key()).delivery, None);
    let tag = verp::tag(&key(), DELIVERY);
    for raw in
        [with(&format!("X-Sonnette-Tag: {tag}")), with(&format!("x-sonnette-tag:\n {}", tag.to_uppercase()))]
    {
        assert_eq!(said(&raw), Said::Complaint);
        assert_eq!(said(&raw.replace('\n', "\r\n")), Said::Complaint);
    }
    let forged = verp::tag(&Sealer::new(&[8; 32]).key(verp::PURPOSE), DELIVERY);
    assert_eq!(read(with(&format!("X-Sonnette-Tag: {forged}")).as_bytes(), None, &key()).delivery, None);
    // Only the letter that is returned speaks of itself.
    let outside = format!("X-Sonnette-Tag: {tag}\n{bare}");
    assert_eq!(read(outside.as_bytes(), None, &key()).delivery, None);
}

#[test]
fn whom_it_came_to_is_found_where_mail_servers_say_it() {
    let plain = report("postmaster@paas.example", "failed", "5.1.1", "550 5.1.1 nobody");
    let found = |raw: &str, recipient: Option<&str>| read(raw.as_bytes(), recipient, &key()).delivery;
    assert_eq!(found(&plain, None), None);
    assert_eq!(found(&plain, Some(&sender())), Some(DELIVERY));
    assert_eq!(found(&plain, Some("somebody@paas.example")), None);
    for field in ["Delivered-To", "X-Original-To", "Envelope-To", "Original-Recipient"] {
        let value = if field == "Original-Recipient" { format!("rfc822;{}", sender()) } else { sender() };
        assert_eq!(found(&format!("{field}: {value}\r\n{plain}"), None), Some(DELIVERY), "{field}");
    }
    let folded = plain.replacen("To: postmaster@paas.example", &format!("To: Bounces\r\n <{}>", sender()), 1);
    assert_eq!(found(&folded, None), Some(DELIVERY));
    let returned = plain.replace("<someone@else.example>", &format!("<{}>", sender()));
    assert_eq!(found(&returned, None), Some(DELIVERY), "the letter that came back says who sent it");
}

#[test]
fn a_tag_we_did_not_make_names_nothing() {
    let forged = verp::tag(&Sealer::new(&[8; 32]).key(verp::PURPOSE), DELIVERY);
    let forged = verp::sender("bounces@paas.example", &forged);
    for raw in [report(&forged, "failed", "5.1.1", "550 5.1.1 nobody"), complaint("abuse", &forged)] {
        let read = read(raw.as_bytes(), Some(&forged), &key());
        assert_eq!(read.delivery, None);
        assert_ne!(read.said, Said::Nothing);
    }
}

#[test]
fn a_report_in_the_words_of_a_letter_is_none() {
    let raw = format!("To: {}\r\nSubject: x\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n", sender());
    assert_eq!(said(&raw), Said::Nothing);
}

#[test]
fn what_is_nested_without_end_is_not_read() {
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(LARGEST / 40);
    let digest: String = (0..20_000)
        .map(|n| format!("Content-Type: multipart/digest; boundary=b{n}\r\n\r\n--b{n}\r\n\r\n"))
        .collect();
    for raw in [nested, digest.chars().take(LARGEST).collect(), "x".repeat(LARGEST + 1)] {
        let report = read(raw.as_bytes(), Some(&sender()), &key());
        assert_eq!(report, Report { delivery: Some(DELIVERY), said: Said::Nothing });
    }
    // As deep as is read.
    let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(MOST_PARTS);
    assert_eq!(read(deep.as_bytes(), None, &key()).said, Said::Nothing);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 5_000 }))]

    #[test]
    fn no_bytes_make_it_panic(raw: Vec<u8>, recipient: Option<String>) {
        let _ = read(&raw, recipient.as_deref(), &key());
    }

    #[test]
    fn a_report_that_was_tampered_with_is_read_or_not_but_never_about_another_letter(
        dsn: bool, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..30),
    ) {
        let raw = if dsn { report(&sender(), "failed", "5.1.1", "550 5.1.1 no") } else { complaint("abuse", &sender()) };
        let mut raw = raw.into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(raw.len().max(1));
            match how {
                0 => raw.insert(at, byte),
                1 if at < raw.len() => raw[at] = byte,
                2 if at < raw.len() => { raw.remove(at); }
                3 => { let tail = raw.split_off(at); raw.splice(0..0, tail); }
                _ => {}
            }
        }
        let read = read(&raw, None, &key());
        prop_assert!(read.delivery.is_none_or(|delivery| delivery == DELIVERY));
        if let Said::NoSuchAddress(words) | Said::Failed(words) = read.said {
            prop_assert!(words.chars().count() <= LONGEST_WORDS && !words.chars().any(char::is_control));
        }
    }
}

/// Exchange Online: one line for code and words, Microsoft's own fields, and the whole letter that came back.
fn exchange(to: &str, status: &str, diagnostic: &str) -> String {
    format!(
        "From: <postmaster@contoso.example>
To: <{to}>
Date: Fri, 2 Jan 2026 10:00:07 +0000
Content-Type: multipart/report; report-type=delivery-status;
\tboundary=\"c9a2f1e0-7d1c-4c4e-9d8e-0a4f5e6d7c8b\"
X-MS-Exchange-Message-Is-Ndr:
Content-Language: en-GB
Message-ID: <0c8e2f6b@AM6PR01MB0001.eurprd01.prod.exchange.example>
In-Reply-To: <dlv_x@paas.example>
Subject: Undeliverable: [Acme] Deployment of web failed
Auto-Submitted: auto-replied
MIME-Version: 1.0

--c9a2f1e0-7d1c-4c4e-9d8e-0a4f5e6d7c8b
Content-Type: multipart/alternative; differences=Content-Type;
\tboundary=\"4f0b6a52-8f1a-4a44-8d0e-6f1b2a3c4d5e\"

--4f0b6a52-8f1a-4a44-8d0e-6f1b2a3c4d5e
Content-Type: text/plain; charset=\"utf-8\"
Content-Transfer-Encoding: base64

WW91ciBtZXNzYWdlIGNvdWxkbid0IGJlIGRlbGl2ZXJlZC4=

--4f0b6a52-8f1a-4a44-8d0e-6f1b2a3c4d5e
Content-Type: text/html; charset=\"utf-8\"
Content-Transfer-Encoding: base64

PHA+WW91ciBtZXNzYWdlIGNvdWxkbid0IGJlIGRlbGl2ZXJlZC48L3A+

--4f0b6a52-8f1a-4a44-8d0e-6f1b2a3c4d5e--

--c9a2f1e0-7d1c-4c4e-9d8e-0a4f5e6d7c8b
Content-Type: message/delivery-status

Reporting-MTA: dns;AM6PR01MB0001.eurprd01.prod.exchange.example
Received-From-MTA: dns;relay.paas.example
Arrival-Date: Fri, 2 Jan 2026 10:00:06 +0000

Final-Recipient: rfc822;gone@contoso.example
Action: failed
Status: {status}
Diagnostic-Code: smtp;{diagnostic}

--c9a2f1e0-7d1c-4c4e-9d8e-0a4f5e6d7c8b
Content-Type: message/rfc822

Received: from relay.paas.example (192.0.2.1) by AM6PR01MB0001 with Microsoft SMTP Server
Return-Path: {to}
From: Sonnette <no-reply@paas.example>
To: gone@contoso.example
Subject: [Acme] Deployment of web failed
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Hello.

--c9a2f1e0-7d1c-4c4e-9d8e-0a4f5e6d7c8b--
"
    )
    .replace('\n', "\r\n")
}

/// Gmail: an explanation with a picture beside it, a diagnostic over several lines, and fields of Google's own.
fn gmail(to: &str, status: &str, diagnostic: &str) -> String {
    format!(
        "Delivered-To: {to}
Return-Path: <>
From: Mail Delivery Subsystem <mailer-daemon@googlemail.example>
To: {to}
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
Date: Fri, 02 Jan 2026 02:00:08 -0800 (PST)
MIME-Version: 1.0
Content-Type: multipart/report; boundary=\"000000000000a1b2c3\"; report-type=delivery-status

--000000000000a1b2c3
Content-Type: multipart/related; boundary=\"000000000000a1b2d4\"

--000000000000a1b2d4
Content-Type: multipart/alternative; boundary=\"000000000000a1b2d5\"

--000000000000a1b2d5
Content-Type: text/plain; charset=\"UTF-8\"

** Address not found **

Your message wasn't delivered to gone@gmail.example. Action: delivered. Status: 2.0.0

--000000000000a1b2d5--
--000000000000a1b2d4
Content-Type: image/png; name=\"icon.png\"
Content-Disposition: attachment; filename=\"icon.png\"
Content-Transfer-Encoding: base64
Content-ID: <icon.png>

iVBORw0KGgo=
--000000000000a1b2d4--
--000000000000a1b2c3
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.example
Arrival-Date: Fri, 02 Jan 2026 02:00:07 -0800 (PST)
X-Original-Message-ID: <dlv_x@paas.example>

Final-Recipient: rfc822; gone@gmail.example
Action: failed
Status: {status}
Remote-MTA: dns; gmail-smtp-in.l.google.example. (192.0.2.7, the server for the domain gmail.example.)
Diagnostic-Code: smtp; {diagnostic}
Last-Attempt-Date: Fri, 02 Jan 2026 02:00:08 -0800 (PST)

--000000000000a1b2c3
Content-Type: message/rfc822

From: Sonnette <no-reply@paas.example>
To: gone@gmail.example
Subject: [Acme] Deployment of web failed

----- Message truncated -----

--000000000000a1b2c3--
"
    )
    .replace('\n', "\r\n")
}

#[test]
fn what_the_great_mail_services_send_back_is_read() {
    let exchange_nobody =
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup";
    let exchange_blocked =
        "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP";
    let gmail_nobody = "550-5.1.1 The email account that you tried to reach does not exist.\n 550-5.1.1 Please try \
                        double-checking the recipient's address.\n 550 5.1.1 https://support.example - gsmtp";
    let gmail_full =
        "452-4.2.2 The recipient's inbox is out of storage space.\n 452 4.2.2 https://support.example";
    for (raw, nobody, says) in [
        (exchange(&sender(), "5.1.10", exchange_nobody), true, "RecipientNotFound"),
        (exchange(&sender(), "5.7.708", exchange_blocked), false, "Access denied"),
        (gmail(&sender(), "5.1.1", gmail_nobody), true, "does not exist"),
        (gmail(&sender(), "4.2.2", gmail_full), false, "out of storage"),
    ] {
        match (said(&raw), nobody) {
            (Said::NoSuchAddress(words), true) | (Said::Failed(words), false) => {
                assert!(words.contains(says), "{words}");
            }
            other => panic!("{other:?} of {raw}"),
        }
    }
}

#[test]
fn the_line_a_mailbox_file_has_before_a_message_is_passed_over() {
    let raw = report(&sender(), "failed", "5.1.1", "550 5.1.1 nobody").replace("\r\n", "\n");
    let raw = format!("From MAILER-DAEMON  Fri Jan  2 10:00:00 2026\n{raw}");
    assert_eq!(said(&raw), Said::NoSuchAddress("5.1.1 550 5.1.1 nobody".into()));
    assert_eq!(read(b"From ", None, &key()), Report { delivery: None, said: Said::Nothing });
}
