"""Through a real relay: letters into mailboxes, refusals at once, and reports that come back later."""

import unittest

import letters
from postfix import Postfix
from world import DOMAIN, World, until


class ThroughPostfix(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.postfix = Postfix("alice", "bruno")
        cls.addClassCleanup(cls.postfix.end)

    def site(self, port, scheme="smtp+plain", user="", more=()):
        world = World(f"{scheme}://{user}127.0.0.1:{port}", *more)
        self.addCleanup(world.end)
        self.postfix.pipe_to(world)
        return world, world.organisation(world.person("alice@example.com"))

    def mailbox(self, name, kind, owner):
        """The letters of a kind about an owner that lie in a mailbox."""
        found = [letters.read(one) for one in self.postfix.letters(name)]
        return [one for one in found if one["Feedback-ID"].startswith(f"{kind}:") and owner in one["Feedback-ID"]]

    def test_a_letter_in_a_mailbox_still_verifies_and_names_where_it_comes_back_to(self):
        world, org = self.site(self.postfix.strict)
        bruno = world.person("bruno@example.com", "fr", "Bruno")
        world.api("PUT", f"/organisations/{org}/members/{bruno}", {"role": "DEVELOPER"})
        world.hook(org, ["CREDITS_ADDED"], {"type": "user", "user": bruno}, {"type": "address", "address": "alice@example.com"})
        deliveries = world.deliveries(world.emit("CREDITS_ADDED", org))
        self.assertEqual([one["state"] for one in deliveries], ["delivered"] * 2, self.postfix.log())
        for name, words in (("alice", "You get this"), ("bruno", "Vous recevez ceci")):
            ours = lambda: [one for one in self.postfix.letters(name) if org.encode() in one and b"CREDITS_ADDED" in one]
            (got,) = until(f"a letter to {name}", ours)
            seals = letters.verified(got, letters.records(world.doctor()))
            self.assertEqual([seal[0] for seal in seals], [True, True])
            letter = letters.read(got)
            self.assertTrue(letters.VERP.fullmatch(letter["Return-Path"].strip("<>")), letter["Return-Path"])
            self.assertIn(words, next(letter.iter_parts()).get_content())

    def over_tls(self, scheme, *more):
        """A server that sends by the port of this scheme, with the right password."""
        user, password = self.postfix.login
        file = self.postfix.folder / "password"
        file.write_text(password)
        port = {"smtp": self.postfix.starttls, "smtps": self.postfix.tls}[scheme]
        world, org = self.site(port, scheme, f"{user}@", [f'password_file = "{file}"', *more])
        world.hook(org, ["CREDITS_ADDED"], {"type": "address", "address": "alice@example.com"})
        return world, org

    def test_an_authority_of_the_house_vouches_for_the_relay_by_starttls_and_from_the_first_byte(self):
        for scheme in ("smtp", "smtps"):
            with self.subTest(scheme):
                world, org = self.over_tls(scheme, self.postfix.authority.setting())
                (mail,) = (line for line in world.doctor() if line["what"] == "mail")
                self.assertTrue(mail["fine"], mail["saw"])
                (delivery,) = world.deliveries(world.emit("CREDITS_ADDED", org))
                self.assertEqual(delivery["state"], "delivered", self.postfix.log())
                (letter,) = until("a letter to Alice", lambda: self.mailbox("alice", "CREDITS_ADDED", org))
                # RFC 3848: extended SMTP, over TLS, signed in.
                self.assertIn("with ESMTPSA", letter["Received"])
                self.assertRegex(letter["Received"], r"using TLSv1\.[23]")
                self.assertRegex(self.postfix.log(), r"sasl_method=\w+, sasl_username=sonnette")

    def test_without_that_authority_the_letter_waits_and_doctor_says_why(self):
        for scheme in ("smtp", "smtps"):
            with self.subTest(scheme):
                world, org = self.over_tls(scheme)
                event = world.emit("CREDITS_ADDED", org)
                retrying = lambda: [one for one in world.deliveries(event, ended=False) if one["state"] == "retrying"]
                (delivery,) = until("a first attempt", retrying)
                self.assertIn("invalid peer certificate", world.attempts(delivery["id"])[0]["note"])
                (mail,) = (line for line in world.doctor() if line["what"] == "mail")
                self.assertFalse(mail["fine"])
                self.assertIn("no public authority vouches for its certificate", mail["saw"])
                self.assertEqual(self.mailbox("alice", "CREDITS_ADDED", org), [])

    def test_postfix_says_at_once_that_nobody_is_there(self):
        world, org = self.site(self.postfix.strict)
        world.hook(org, ["CREDITS_ADDED"], {"type": "address", "address": "nobody@example.com"})
        (delivery,) = world.deliveries(world.emit("CREDITS_ADDED", org))
        self.assertEqual((delivery["state"], delivery["reason"]), ("dead", "refused"))
        self.assertIn("5.1.1", world.attempts(delivery["id"])[0]["note"])
        self.assertEqual(world.suppression("nobody@example.com")["why"], "no_such_address")
        until("Alice is told", lambda: self.mailbox("alice", "ADDRESS_SUPPRESSED", org))

    def test_postfix_refuses_by_policy_and_the_address_is_not_suppressed(self):
        world, org = self.site(self.postfix.strict)
        world.hook(org, ["CREDITS_ADDED"], {"type": "address", "address": "bruno+policy@example.com"})
        (delivery,) = world.deliveries(world.emit("CREDITS_ADDED", org))
        self.assertEqual((delivery["state"], delivery["reason"]), ("dead", "refused"))
        self.assertIn("5.7.1", world.attempts(delivery["id"])[0]["note"])
        self.assertIsNone(world.suppression("bruno+policy@example.com"))

    def test_a_report_that_comes_back_goes_through_the_pipe_and_suppresses_the_address(self):
        world, org = self.site(self.postfix.late)
        world.hook(org, ["CREDITS_ADDED"], {"type": "address", "address": "gone@example.com"})
        (delivery,) = world.deliveries(world.emit("CREDITS_ADDED", org))
        self.assertEqual(delivery["state"], "delivered", "the relay took it, and knows better later")
        why = until("the report", lambda: world.suppression("gone@example.com"))
        self.assertEqual((why["why"], why["delivery"]), ("bounced", delivery["id"]))
        self.assertIn("came back: ", world.attempts(delivery["id"])[-1]["note"])
        told = until("Alice is told", lambda: self.mailbox("alice", "ADDRESS_SUPPRESSED", org))
        text = next(told[0].iter_parts()).get_content().replace("\u200b", "")
        self.assertIn("Address: gone@example.com", text)
        (again,) = world.deliveries(world.emit("CREDITS_ADDED", org))
        self.assertEqual((again["state"], again["reason"]), ("cancelled", "suppressed"))
        self.assertRegex(self.postfix.log(), rf"to=<bounces\+[0-9a-z-]+@{DOMAIN}>.*relay=sonnette.*status=sent")
