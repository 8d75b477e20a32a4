"""Who may sign in at Postfix: one account, told in the protocol of Dovecot's authentication server, version 1.

Postfix asks a server for that, and Dovecot is a large one to start for a single name. PLAIN and LOGIN: RFC 4616, and
draft-murchison-sasl-login.
"""

import base64
import socketserver
import threading

HELLO = "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t{:032x}\nDONE\n"


class Accounts(socketserver.ThreadingTCPServer):
    """Listens on a free port of the loopback until it is ended."""

    daemon_threads = True

    def __init__(self, user, password):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.pair = (user, password)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self):
        self.shutdown()
        self.server_close()


class Conversation(socketserver.StreamRequestHandler):
    """One process of Postfix asks."""

    def say(self, *fields):
        self.wfile.write("\t".join(fields).encode() + b"\n")

    def handle(self):
        self.wfile.write(HELLO.format(1).encode())
        asked = {}
        for line in self.rfile:
            verb, *fields = line.decode().rstrip("\n").split("\t")
            if verb == "AUTH":
                number, mechanism, *rest = fields
                asked[number] = (mechanism, [])
                given = next((one.removeprefix("resp=") for one in rest if one.startswith("resp=")), None)
            elif verb == "CONT":
                number, given = fields
            else:
                continue
            self.go_on(number, *asked[number], given)

    def go_on(self, number, mechanism, said, given):
        """With what a client says, or with what it is to be asked."""
        if given is not None:
            said += base64.b64decode(given).decode().split("\0")
        if mechanism == "PLAIN" and given is not None:
            pair = tuple(said[1:])
        elif mechanism == "LOGIN" and len(said) == 2:
            pair = tuple(said)
        else:
            prompt = "" if mechanism == "PLAIN" else ("Username:", "Password:")[len(said)]
            return self.say("CONT", number, base64.b64encode(prompt.encode()).decode())
        if pair == self.server.pair:
            return self.say("OK", number, f"user={pair[0]}")
        return self.say("FAIL", number, f"user={pair[0]}")
