"""Reads letters as strictly as Python's mail parser can, and verifies their signatures by dkimpy."""

import email
import email.policy
import email.utils
import html.parser
import re

import dkim
import dns.rdata

from world import DOMAIN, NAME

VERP = re.compile(rf"bounces\+([0-9a-z]{{13}})-([0-9]+)-([0-9a-z]{{13}})@{re.escape(DOMAIN)}")
MESSAGE_ID = re.compile(rf"<dlv_([0-9a-z]{{13}})_([0-9]+)@{re.escape(NAME)}>")
#: What RFC 8058 and RFC 6376, section 5.4 want signed, of what there is.
SIGNED = {
    "from", "to", "subject", "date", "message-id", "in-reply-to", "references", "mime-version", "list-id",
    "list-unsubscribe", "list-unsubscribe-post",
}


def read(content):
    """The letter; fails on whatever the parser would forgive."""
    letter = email.message_from_bytes(content, policy=email.policy.strict)
    for part in letter.walk():
        assert not part.defects, part.defects
        for name, value in part.items():
            assert not getattr(value, "defects", ()), (name, value, value.defects)
    return letter


def records(doctor):
    """The zone that what `sonnette doctor` prints makes, by name."""
    zone = {}
    for line in doctor:
        if line["what"] == "dkim" and (found := re.fullmatch(r"publish (\S+) IN TXT (.*)", line["saw"])):
            record = dns.rdata.from_text("IN", "TXT", found[2])
            zone[found[1]] = b"".join(record.strings)
    return zone


def verified(content, zone):
    """Whether each signature of a letter holds, in their order, with its domain, algorithm and signed headers."""
    seen = []
    for index in range(len(email.message_from_bytes(content).get_all("DKIM-Signature", []))):
        checking = dkim.DKIM(content)
        try:
            holds = checking.verify(idx=index, dnsfunc=lambda name, timeout=5: zone.get(name.decode()))
        except dkim.DKIMException:
            holds = False
        fields = checking.signature_fields
        seen.append((holds, fields[b"d"], fields[b"a"], fields))
    return seen


class Links(html.parser.HTMLParser):
    """What an HTML page leads to, and what it has."""

    def __init__(self, page):
        super().__init__()
        self.links, self.tags, self.attributes, self.lang = [], set(), set(), None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        self.attributes |= attrs.keys()
        if tag == "html":
            self.lang = attrs.get("lang")
        if tag == "a":
            self.links.append(attrs["href"])


def check(test, got, zone, lang, locked=False, of_hook=True):
    """All that holds of every letter, as the relay took it; gives it read."""
    content = got.content
    content.decode("ascii")
    lines = content.split(b"\r\n")
    test.assertFalse([line for line in lines if b"\r" in line or b"\n" in line or b"\0" in line or len(line) > 998])
    letter = read(content)

    for name in ("From", "To", "Date", "Message-ID", "Subject", "MIME-Version", "Auto-Submitted", "List-Id", "Feedback-ID", "References"):
        test.assertEqual(len(letter.get_all(name, [])), 1, name)
    test.assertEqual(str(letter["From"]), f"Sonnette <notifications@{DOMAIN}>")
    test.assertEqual([one.addr_spec for one in letter["To"].addresses], got.recipients)
    test.assertIsNotNone(letter["Date"].datetime.tzinfo)
    test.assertTrue(0 < len(letter["Subject"]) <= 150 and letter["Subject"].isprintable(), letter["Subject"])
    test.assertEqual(letter["Auto-Submitted"], "auto-generated")
    test.assertEqual(letter["X-Auto-Response-Suppress"], "All")
    test.assertRegex(letter["List-Id"], rf"^<(hook_[0-9a-z]+|house)\.{re.escape(NAME)}>$")
    test.assertLessEqual(len(letter["Feedback-ID"].split(":")), 4)
    test.assertRegex(letter["References"], rf"^<[A-Za-z0-9._-]+@{re.escape(NAME)}>$")
    test.assertEqual(letter["In-Reply-To"], letter["References"])

    # The envelope sender names the delivery the Message-ID is of.
    named, sender = MESSAGE_ID.fullmatch(letter["Message-ID"]), VERP.fullmatch(got.sender)
    test.assertTrue(named and sender, (letter["Message-ID"], got.sender))
    test.assertEqual(named.groups(), sender.groups()[:2])

    stop = letter["List-Unsubscribe"]
    test.assertEqual(letter["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click" if stop else None)
    if locked or not of_hook:
        test.assertIsNone(stop)
    else:
        test.assertRegex(stop, rf"^<https://{re.escape(NAME)}/u/[A-Za-z0-9._-]+>")

    test.assertEqual(letter.get_content_type(), "multipart/alternative")
    plain, page = letter.iter_parts()
    test.assertEqual((plain.get_content_type(), page.get_content_type()), ("text/plain", "text/html"))
    for part in (plain, page):
        test.assertEqual(part.get_content_charset(), "utf-8")
    text, source = plain.get_content(), page.get_content()
    test.assertLess(len(source.encode()), 100_000)
    seen = Links(source)
    test.assertEqual(seen.lang, lang)
    test.assertFalse(seen.tags & {"script", "form", "img", "iframe", "link", "object"})
    test.assertFalse(seen.attributes & {"src", "background", "onclick"})
    for link in seen.links:
        test.assertIn(link, text)
    test.assertNotRegex(text, r"&(amp|lt|gt|quot|#\d+);")
    words = {"en": "You get this because ", "fr": "Vous recevez ceci "}[lang]
    test.assertIn(words, text)

    seals = verified(content, zone)
    test.assertEqual([seal[:3] for seal in seals], [(True, DOMAIN.encode(), b"rsa-sha256"), (True, DOMAIN.encode(), b"ed25519-sha256")])
    there = {name.lower() for name in letter.keys()}
    for *_, fields in seals:
        signed = [name.strip().lower() for name in fields[b"h"].decode().split(":")]
        test.assertEqual((SIGNED & there) - set(signed), set())
        test.assertEqual(signed.count("from"), 2, "none can be added")
        test.assertNotIn(b"l", fields, "nothing can be appended")
    return letter
