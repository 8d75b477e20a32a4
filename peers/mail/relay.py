"""A relay that does what it is told: aiosmtpd with a script."""

import collections
import dataclasses
import logging
import threading
import warnings

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

#: What a script says to close the connection without a word.
DROP = "drop"


@dataclasses.dataclass
class Letter:
    """A letter that came whole, and whether it was taken."""

    sender: str
    recipients: list
    content: bytes
    taken: bool


class Relay(Controller):
    """Listens on a free port of the loopback until it is stopped. `login` is the only pair that may send, if given."""

    def __init__(self, login=None, **settings):
        self.letters = []
        self.heard = []
        self.script = collections.defaultdict(list)
        self.lock = threading.Lock()
        if login:
            user, password = (word.encode() for word in login)
            check = lambda _server, _session, _envelope, _how, pair: AuthResult(
                success=(pair.login, pair.password) == (user, password), handled=False)
            settings |= {"authenticator": check, "auth_required": True, "auth_require_tls": False}
        # aiosmtpd warns of a login without TLS, and tells of what clients break off; both are meant here.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", category=UserWarning, module="aiosmtpd")
        super().__init__(Mailbox(self), hostname="127.0.0.1", port=0, **settings)
        self.start()

    def factory(self):
        return Conversation(self.handler, **self.SMTP_kwargs)

    def _trigger_server(self):
        """Connects once, as the start waits for: to the port we got."""
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()

    def says(self, step, *answers):
        """What is answered at `MAIL`, `RCPT`, `DATA` or `.`, the next times."""
        with self.lock:
            self.script[step] += answers

    def answer(self, step):
        with self.lock:
            self.heard.append(step)
            return self.script[step].pop(0) if self.script[step] else None

    def taken(self, address):
        return [one for one in self.letters if one.taken and one.recipients == [address]]


class Conversation(SMTP):
    """One connection."""

    def __init__(self, mailbox, **settings):
        super().__init__(mailbox, **settings)
        self.relay = mailbox.relay

    async def _scripted(self, step, usual, arg):
        answer = self.relay.answer(step)
        if answer == DROP:
            self.transport.abort()
        elif answer:
            await self.push(answer)
        else:
            await usual(arg)

    async def smtp_MAIL(self, arg):
        await self._scripted("MAIL", super().smtp_MAIL, arg)

    async def smtp_RCPT(self, arg):
        await self._scripted("RCPT", super().smtp_RCPT, arg)

    async def smtp_DATA(self, arg):
        await self._scripted("DATA", super().smtp_DATA, arg)

    async def smtp_STARTTLS(self, arg):
        self.relay.heard.append("STARTTLS")
        await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg):
        self.relay.heard.append("AUTH")
        await super().smtp_AUTH(arg)


class Mailbox:
    """Where letters end."""

    def __init__(self, relay):
        self.relay = relay

    async def handle_DATA(self, server, _session, envelope):
        answer = self.relay.answer(".")
        letter = Letter(envelope.mail_from, envelope.rcpt_tos, envelope.content, taken=not answer)
        self.relay.letters.append(letter)
        if answer == DROP:
            server.transport.abort()
        return answer or "250 2.0.0 taken"
