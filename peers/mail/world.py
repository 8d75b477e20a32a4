"""What the tests stand on: the real server with a relay, and its API as an operator calls it."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import tomllib
import urllib.error
import urllib.parse
import urllib.request

BIN = os.environ["SONNETTE_BIN"]
#: Whatever is waited for is there within this, in seconds, or the test fails.
LIMIT = 60
#: The name the server goes by, which ends Message-IDs and begins links.
NAME = "sonnette.example.org"
#: The domain letters are from.
DOMAIN = "example.org"
ENDED = {"delivered", "dead", "held", "cancelled"}


def until(what, ask):
    """Asks until there is an answer."""
    end = time.monotonic() + LIMIT
    while not (answer := ask()):
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)
    return answer


def kinds():
    """The kinds of the catalogue, as its one list has them."""
    catalogue = pathlib.Path(__file__).parents[2] / "core/src/catalogue/builtin.toml"
    return tomllib.loads(catalogue.read_text(encoding="utf-8"))["kind"]


class World:
    """A server whose letters go to a relay, in a directory of its own. `more` are lines of its `[mail]`."""

    def __init__(self, relay, *more, dev=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sonnette-mail-"))
        self.child = None
        try:
            self._start(relay, more, dev)
        except BaseException:
            self.end()
            raise

    def _start(self, relay, more, dev):
        key = lambda *words: subprocess.run(["openssl", "genpkey", *words], check=True, stderr=subprocess.DEVNULL)
        key("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.folder / "s1.pem")
        key("-algorithm", "ED25519", "-out", self.folder / "s2.pem")
        self.config = self.folder / "sonnette.toml"
        self.config.write_text("\n".join([
            "[server]", f'public_url = "https://{NAME}"',
            "[mail]", f'relay = "{relay}"', f'from = "Sonnette <notifications@{DOMAIN}>"', f'bounces = "bounces@{DOMAIN}"',
            f'dkim = ["s1 {self.folder}/s1.pem", "s2 {self.folder}/s2.pem"]', *more,
        ]))
        self.data = self.folder / "data"
        words = [BIN, "serve", "--config", self.config, "--data", self.data, "--listen", "127.0.0.1:0"]
        with open(self.folder / "log", "w") as log:
            self.child = subprocess.Popen(words + ["--dev"] * dev, stdout=subprocess.PIPE, stderr=log, text=True)
        for line in self.child.stdout:
            if found := re.fullmatch(r"listening on (\S+)", line.strip()):
                self.url = found[1]
                break
        else:
            raise AssertionError(f"the server does not start: {(self.folder / 'log').read_text()}")
        self.token = (self.data / "operator-token").read_text().strip()

    def end(self):
        """SIGTERM, which ends it well."""
        code = 0
        if self.child:
            self.child.terminate()
            code = self.child.wait(LIMIT)
            self.child.stdout.close()
        shutil.rmtree(self.folder)
        assert code == 0, "the server ends well"

    def api(self, method, path, body=None):
        """Our own API, as the operator."""
        request = urllib.request.Request(f"{self.url}/api/v1{path}", method=method)
        request.add_header("authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("content-type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from error
        return json.loads(text) if text else None

    def doctor(self):
        """What `sonnette doctor` says."""
        words = [BIN, "--json", "doctor", "--config", self.config, "--data", self.data]
        return json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False).stdout)

    def person(self, email, lang="en", name="Alice Martin"):
        return self.api("POST", "/users", {"email": email, "name": name, "lang": lang})["id"]

    def organisation(self, *admins):
        """An organisation without the hooks it is born with."""
        org = self.api("POST", "/organisations", {"name": "Wonderland"})["id"]
        for user in admins:
            self.api("PUT", f"/organisations/{org}/members/{user}", {"role": "ADMIN"})
        self.unhook(org)
        return org

    def unhook(self, owner):
        for hook in self.api("GET", f"/owners/{owner}/hooks")["items"]:
            self.api("DELETE", f"/hooks/{hook['id']}")

    def hook(self, owner, events, *targets):
        """An e-mail hook that tries again after a second."""
        hook = {"kind": "email", "name": "Tea party", "events": events, "targets": targets, "schedule": [1] * 15}
        return self.api("POST", f"/owners/{owner}/hooks", hook)["id"]

    def emit(self, kind, owner, data=None):
        event = {"event": kind, "ownerId": owner, "data": {"ownerId": owner, **(data or {})}}
        return self.api("POST", "/events", event)["id"]

    def deliveries(self, event, ended=True):
        """What became of an event, once all of it has ended."""
        def ask():
            items = self.api("GET", f"/deliveries?event={event}&limit=200")["items"]
            fine = items and all(one["recipient"] for one in items)
            return items if fine and all(not ended or one["state"] in ENDED for one in items) else None
        return until(f"the deliveries of {event}", ask)

    def attempts(self, delivery):
        return self.api("GET", f"/deliveries/{delivery}")["attempts"]

    def suppression(self, address):
        """Why an address is not written to; `None` if it is."""
        items = self.api("GET", f"/suppressions?{urllib.parse.urlencode({'address': address})}")["items"]
        return items[0] if items else None
