"""What a relay says, and what becomes of the letter."""

import tempfile
import unittest

import letters
from authority import Authority
from relay import DROP, Relay
from world import World, until


def site(test, scheme="smtp+plain", user="", password=None, more=(), **settings):
    """A relay, a server that sends by it, and an organisation whose admin is Alice. `more` are lines of the server's `[mail]`."""
    relay = Relay(**settings)
    test.addCleanup(relay.stop)
    more = list(more)
    if password:
        file = test.enterContext(tempfile.NamedTemporaryFile("w"))
        file.write(password)
        file.flush()
        more.append(f'password_file = "{file.name}"')
    world = World(f"{scheme}://{user}127.0.0.1:{relay.port}", *more)
    test.addCleanup(world.end)
    return relay, world, world.organisation(world.person("alice@example.com"))


def to(address):
    return {"type": "address", "address": address}


class Refusals(unittest.TestCase):
    def test_whatever_is_for_now_or_unknown_comes_again_with_the_same_message_id(self):
        relay, world, org = site(self)
        world.hook(org, ["CREDITS_ADDED"], to("bob@example.net"))
        relay.says("MAIL", "451 4.3.0 later", "421 4.7.0 too many", DROP)
        relay.says("RCPT", "450 4.7.1 greylisted", "452 4.2.2 full for now", DROP)
        relay.says("DATA", "451 4.3.0 later", DROP)
        relay.says(".", "452 4.3.1 no room", DROP)
        event = world.emit("CREDITS_ADDED", org)
        (delivery,) = world.deliveries(event)
        self.assertEqual(delivery["state"], "delivered")
        attempts = world.attempts(delivery["id"])
        self.assertEqual([one["status"] for one in attempts], [451, 421, None, 450, 452, None, 451, None, 452, None, 250], attempts)
        # Whole it came three times: refused, its answer lost, taken.
        self.assertEqual([one.taken for one in relay.letters], [False, False, True])
        zone = letters.records(world.doctor())
        seen = [letters.check(self, one, zone, "en") for one in relay.letters]
        self.assertEqual({one["Message-ID"] for one in seen}, {f"<{delivery['id']}@sonnette.example.org>"})
        self.assertEqual(len({one.sender for one in relay.letters}), 1)
        self.assertIsNone(world.suppression("bob@example.net"))

    def test_nobody_there_suppresses_the_address_and_tells_the_admins(self):
        for step in ("RCPT", "."):
            with self.subTest(step):
                relay, world, org = site(self)
                hook = [world.hook(org, ["CREDITS_ADDED"], to("nobody@example.net"))]
                hook.append(world.hook(org, ["CREDITS_WARNING"], to("nobody@example.net")))
                relay.says(step, "550 5.1.1 no such user")
                (delivery,) = world.deliveries(world.emit("CREDITS_ADDED", org))
                self.assertEqual((delivery["state"], delivery["reason"]), ("dead", "refused"))
                why = world.suppression("nobody@example.net")
                self.assertEqual((why["why"], why["delivery"]), ("no_such_address", delivery["id"]))
                told = until("Alice is told", lambda: relay.taken("alice@example.com"))
                letter = letters.check(self, told[0], letters.records(world.doctor()), "en", locked=True, of_hook=False)
                self.assertTrue(letter["Feedback-ID"].startswith("ADDRESS_SUPPRESSED:"))
                self.assertIn("5.1.1 no such user", next(letter.iter_parts()).get_content())
                before = len(relay.letters)
                for kind in ("CREDITS_ADDED", "CREDITS_WARNING"):
                    (next_one,) = world.deliveries(world.emit(kind, org))
                    self.assertEqual((next_one["state"], next_one["reason"]), ("cancelled", "suppressed"))
                self.assertEqual(len(relay.letters), before, "neither a letter nor another word to the admins")

    def test_a_policy_refuses_the_letter_and_not_the_address(self):
        relay, world, org = site(self)
        world.hook(org, ["CREDITS_ADDED"], to("bob@example.net"))
        refusals = [("MAIL", "550 5.7.1 not from you"), ("RCPT", "554 5.7.1 policy"), ("RCPT", "552 5.2.2 full"),
                    ("RCPT", "550 relay not permitted"), ("RCPT", "550 blocked using zen.spamhaus.org"),
                    ("DATA", "554 5.7.1 policy"), (".", "554 5.7.1 looks like spam")]
        for step, words in refusals:
            relay.says(step, words)
            (delivery,) = world.deliveries(world.emit("CREDITS_ADDED", org))
            self.assertEqual((delivery["state"], delivery["reason"]), ("dead", "refused"), words)
            (attempt,) = world.attempts(delivery["id"])
            self.assertEqual(attempt["status"], int(words[:3]))
            self.assertIn(words[4:], attempt["note"])
            self.assertIsNone(world.suppression("bob@example.net"), words)
        (delivery,) = world.deliveries(world.emit("CREDITS_ADDED", org))
        self.assertEqual(delivery["state"], "delivered")
        self.assertEqual(relay.taken("alice@example.com"), [])


class Doors(unittest.TestCase):
    def retried(self, world, org):
        """The note of a first attempt that is to be followed by another."""
        world.hook(org, ["CREDITS_ADDED"], to("bob@example.net"))
        event = world.emit("CREDITS_ADDED", org)
        retrying = lambda: [one for one in world.deliveries(event, ended=False) if one["state"] == "retrying"]
        return world.attempts(until("a first attempt", retrying)[0]["id"])[0]["note"]

    def test_a_relay_that_asks_for_a_password_gets_it(self):
        relay, world, org = site(self, user="sonnette@", password="open sesame", login=("sonnette", "open sesame"))
        world.hook(org, ["CREDITS_ADDED"], to("bob@example.net"))
        (delivery,) = world.deliveries(world.emit("CREDITS_ADDED", org))
        self.assertEqual(delivery["state"], "delivered")
        self.assertIn("AUTH", relay.heard)

    def test_a_wrong_password_is_the_operators_matter_and_letters_wait(self):
        relay, world, org = site(self, user="sonnette@", password="wrong", login=("sonnette", "open sesame"))
        self.assertIn("535", self.retried(world, org))
        self.assertNotIn("MAIL", relay.heard)
        self.assertIsNone(world.suppression("bob@example.net"))

    def test_without_encryption_where_it_is_asked_for_nothing_is_sent(self):
        relay, world, org = site(self, scheme="smtp", user="sonnette@", password="open sesame", login=("sonnette", "open sesame"))
        self.retried(world, org)
        self.assertEqual(relay.heard, [])

    def over_tls(self, scheme, authority, *more):
        """A relay that shows a certificate of this authority and takes letters from who signs in."""
        over = {"smtp": {"tls_context": authority.tls(), "require_starttls": True}, "smtps": {"ssl_context": authority.tls()}}
        login = ("sonnette", "open sesame")
        return site(self, scheme, "sonnette@", login[1], more, login=login, **over[scheme])

    def test_a_relay_an_authority_of_the_house_vouches_for_gets_password_and_letter(self):
        house = Authority(self.enterContext(tempfile.TemporaryDirectory()), "house")
        for scheme in ("smtp", "smtps"):
            with self.subTest(scheme):
                relay, world, org = self.over_tls(scheme, house, house.setting())
                world.hook(org, ["CREDITS_ADDED"], to("bob@example.net"))
                (delivery,) = world.deliveries(world.emit("CREDITS_ADDED", org))
                self.assertEqual(delivery["state"], "delivered")
                self.assertEqual(len(relay.taken("bob@example.net")), 1)
                self.assertIn("AUTH", relay.heard)
                self.assertEqual("STARTTLS" in relay.heard, scheme == "smtp")

    def test_a_relay_whose_certificate_nobody_vouches_for_gets_neither_password_nor_letter(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        house, other = Authority(folder, "house"), Authority(folder, "other")
        told = {(): "no public authority vouches for its certificate",
                (other.setting(),): "neither a public authority nor one of .*other-authority.pem"}
        for scheme in ("smtp", "smtps"):
            for more, words in told.items():
                with self.subTest(scheme, more=more):
                    relay, world, org = self.over_tls(scheme, house, *more)
                    self.assertRegex(self.retried(world, org), "invalid peer certificate")
                    (mail,) = (line for line in world.doctor() if line["what"] == "mail")
                    self.assertFalse(mail["fine"])
                    self.assertRegex(mail["saw"], words)
                    self.assertEqual(set(relay.heard), {"STARTTLS"} if scheme == "smtp" else set())
                    self.assertEqual(relay.letters, [])
