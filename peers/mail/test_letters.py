"""Every kind's letter in both languages, as a relay takes it."""

import http.client
import json
import re
import unittest
import urllib.parse
import uuid

import letters
from relay import Relay
from world import World, kinds, until


class Letters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay()
        cls.addClassCleanup(cls.relay.stop)
        cls.world = World(f"smtp+plain://127.0.0.1:{cls.relay.port}")
        cls.addClassCleanup(cls.world.end)
        cls.zone = letters.records(cls.world.doctor())

    def letter(self, address):
        return until(f"a letter to {address}", lambda: self.relay.taken(address))[0]

    def tell(self, kind, lang):
        """Posts a kind's sample as an owner's whose only member reads this language; gives the address."""
        address = f"{kind['name'].lower().replace('_', '-')}.{lang}@example.com"
        user = self.world.person(address, lang)
        sample = json.loads(kind["sample"])
        owner = user if sample["ownerId"].startswith("user_") else self.world.organisation(user)
        self.world.unhook(owner)
        resource = lambda sort, **more: self.world.api(
            "POST", f"/owners/{owner}/resources", {"kind": sort, "name": "shop-api", **more})["id"]
        ours = {"user": user, "orga": owner}
        if kind["concerns"] != "owner":
            sort = {"application": "application", "addon": "addon"}[kind["concerns"]]
            ours |= {"app" if sort == "application" else "addon": resource(sort)}
        text = re.sub(r"\b(user|orga|app|addon)_[0-9a-f-]{36}", lambda found: ours.get(found[1], found[0]), kind["sample"])
        data = json.loads(text)
        data |= {"realId": f"postgresql_{uuid.uuid4()}"} if "realId" in data else {}
        data |= {"email": address} if "email" in data else {}
        data |= {"lang": lang} if "lang" in data else {}
        if kind.get("tells") != "admins":
            self.world.hook(owner, [kind["name"]], {"type": "organisation"})
        self.world.emit(kind["name"], owner, data)
        return address

    def test_every_kind_is_a_letter_without_a_defect_in_both_languages(self):
        told = [(kind, lang, self.tell(kind, lang)) for kind in kinds() if not kind.get("private") for lang in ("en", "fr")]
        self.assertGreaterEqual(len(told), 50)
        roots = set()
        for kind, lang, address in told:
            with self.subTest(kind=kind["name"], lang=lang):
                letter = letters.check(
                    self, self.letter(address), self.zone, lang, kind.get("locked"), kind.get("tells") != "admins")
                self.assertTrue(letter["Feedback-ID"].startswith(f"{kind['name']}:"), letter["Feedback-ID"])
                self.assertEqual(letter["References"].startswith("<app_"), kind["concerns"] == "application")
                roots.add(letter["References"])
        self.assertGreater(len(roots), 2)
        # Nothing twice: once all that is owed is told, each address got one letter.
        self.assertEqual([address for *_, address in told if len(self.relay.taken(address)) != 1], [])

    def test_letters_of_one_application_answer_the_same_letter_that_never_was(self):
        user = self.world.person("thread@example.com")
        org = self.world.organisation(user)
        self.world.hook(org, ["META_DEPLOYMENT_RESULT"], {"type": "user", "user": user})
        apps = [self.world.api("POST", f"/owners/{org}/resources", {"kind": "application", "name": name})["id"] for name in ("a", "b")]
        for app in (apps[0], apps[0], apps[1]):
            for kind in ("DEPLOYMENT_FAIL", "DEPLOYMENT_SUCCESS"):
                self.world.emit(kind, org, {"appId": app})
        got = until("six letters", lambda: (found := self.relay.taken("thread@example.com")) and len(found) == 6 and found)
        seen = [letters.check(self, one, self.zone, "en") for one in got]
        self.assertEqual(sorted(one["References"].split("@")[0].strip("<") for one in seen), sorted([apps[0]] * 4 + [apps[1]] * 2))
        self.assertEqual(len({one["Message-ID"] for one in seen}), 6)

    def test_a_changed_letter_does_not_verify(self):
        user = self.world.person("changed@example.com")
        org = self.world.organisation(user)
        self.world.hook(org, ["CREDITS_ADDED"], {"type": "user", "user": user})
        self.world.emit("CREDITS_ADDED", org)
        content = self.letter("changed@example.com").content
        self.assertEqual([seal[0] for seal in letters.verified(content, self.zone)], [True, True])
        changes = {
            "a header": content.replace(b"\r\nSubject: ", b"\r\nSubject: Re: ", 1),
            "the link that stops": content.replace(b"\r\nList-Unsubscribe: <https://", b"\r\nList-Unsubscribe: <https://evil.", 1),
            "another sender": b"From: evil@example.com\r\n" + content,
            "the body": content + b"more\r\n",
        }
        for what, changed in changes.items():
            self.assertNotEqual(changed, content, what)
            self.assertEqual([seal[0] for seal in letters.verified(changed, self.zone)], [False, False], what)

    def test_users_words_add_no_header_and_no_recipient(self):
        address = "hostile@example.com"
        user = self.world.person(address, name="Eve\r\nBcc: all@example.com")
        org = self.world.organisation(user)
        self.world.hook(org, ["DEPLOYMENT_FAIL"], {"type": "user", "user": user})
        name = "x\r\nBcc: all@example.com\r\n\r\n<script>\u202e\u0000 .\r\n.\r\nMAIL FROM:<evil@example.com>"
        app = self.world.api("POST", f"/owners/{org}/resources", {"kind": "application", "name": "shop"})["id"]
        self.world.emit("DEPLOYMENT_FAIL", org, {"appId": app, "appName": name, "commit": name, "cause": name, "message": name})
        letter = letters.check(self, self.letter(address), self.zone, "en")
        self.assertIsNone(letter["Bcc"])
        self.assertEqual(self.relay.taken("all@example.com"), [])

    def test_mail_programs_stop_a_hook_with_one_post_and_scanners_do_not(self):
        address = "enough@example.com"
        user = self.world.person(address)
        org = self.world.organisation(user)
        hook = self.world.hook(org, ["CREDITS_ADDED"], {"type": "user", "user": user})
        self.world.emit("CREDITS_ADDED", org)
        link = letters.read(self.letter(address).content)["List-Unsubscribe"].split(">")[0].strip("<")
        here, path = urllib.parse.urlsplit(self.world.url).netloc, urllib.parse.urlsplit(link).path

        def asks(method, body=None):
            line = http.client.HTTPConnection(here, timeout=30)
            line.request(method, path, body, {"content-type": "application/x-www-form-urlencoded"} if body else {})
            answer = line.getresponse()
            answer.read()
            status = answer.status
            line.close()
            return status, bool(self.world.api("GET", f"/hooks/{hook}").get("stopped"))

        self.assertEqual(asks("GET"), (200, False))
        self.assertEqual(asks("POST", "List-Unsubscribe=One-Click"), (200, True))
        event = self.world.emit("CREDITS_ADDED", org)
        (delivery,) = self.world.deliveries(event)
        self.assertEqual((delivery["state"], delivery["reason"]), ("cancelled", "unsubscribed"))

    def sign_in(self, address):
        """Asks for a link as the console's form does."""
        line = http.client.HTTPConnection(urllib.parse.urlsplit(self.world.url).netloc, timeout=30)
        line.request("GET", "/sign-in")
        page = line.getresponse()
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.read().decode()))
        cookies = "; ".join(cookie.split(";")[0] for cookie in page.headers.get_all("set-cookie", []))
        form = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", "cookie": cookies}
        line.request("POST", "/sign-in", urllib.parse.urlencode(fields | {"email": address}), form)
        answer = line.getresponse()
        answer.read()
        self.assertEqual(answer.status, 200)
        line.close()

    def test_a_sign_in_is_a_letter_that_cannot_be_stopped(self):
        for lang in ("en", "fr"):
            address = f"sign-in.{lang}@example.com"
            self.world.person(address, lang)
            self.sign_in(address)
            letters.check(self, self.letter(address), self.zone, lang, locked=True)


class Strangers(unittest.TestCase):
    def test_a_strangers_address_is_asked_in_a_letter_without_a_defect(self):
        for lang in ("en", "fr"):
            relay = Relay()
            self.addCleanup(relay.stop)
            world = World(f"smtp+plain://127.0.0.1:{relay.port}", f'lang = "{lang}"', dev=False)
            self.addCleanup(world.end)
            org = world.organisation(world.person("alice@example.com"))
            world.hook(org, ["CREDITS_ADDED"], {"type": "address", "address": "pager@example.net"})
            world.emit("CREDITS_ADDED", org)
            got = until("the question", lambda: relay.taken("pager@example.net"))[0]
            letter = letters.check(self, got, letters.records(world.doctor()), lang, locked=True)
            self.assertTrue(letter["Feedback-ID"].startswith("ADDRESS_CONFIRMATION:"))
