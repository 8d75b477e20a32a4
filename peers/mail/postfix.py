"""Debian's Postfix, in a directory of its own: its queue, its mailboxes, its log, and four free ports."""

import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile

from accounts import Accounts
from authority import Authority
from world import BIN, DOMAIN, until

#: Who owns mailboxes and runs the pipe: nobody.
OWNER = pwd.getpwnam("nobody")

MAIN = """
compatibility_level = 3.6
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = relay.{domain}
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access inline:{{ bruno+policy@example.com=REJECT }}, permit_mynetworks, reject
default_transport = error:nothing leaves this machine
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
alias_maps =
alias_database =
virtual_mailbox_domains = example.com
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ {mailboxes} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
# As docs/operating.md says.
recipient_delimiter = +
transport_maps = inline:{{ bounces@{domain}=sonnette: }}
sonnette_destination_recipient_limit = 1
smtpd_tls_cert_file = {authority.certificate}
smtpd_tls_key_file = {authority.key}
smtpd_tls_received_header = yes
smtpd_tls_auth_only = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{accounts}
"""

#: How it takes letters from who signs in, and from nobody else.
SIGNED_IN = """-o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject"""

MASTER = """
{strict}  inet  n - n - - smtpd
{late}    inet  n - n - - smtpd -o smtpd_reject_unlisted_recipient=no
{starttls} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt {signed_in}
{tls}     inet  n - n - - smtpd -o smtpd_tls_wrappermode=yes {signed_in}
tlsmgr    unix  - - n 1000? 1 tlsmgr
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
error     unix  - - n - - error
retry     unix  - - n - - error
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
sonnette  unix  - n n - 10 pipe
  user=nobody argv={folder}/bounce --recipient ${{original_recipient}}
"""


#: The server's port is not the usual one, so the pipe is told it.
PIPE = """#!/bin/sh
SONNETTE_URL=$(cat {folder}/pipe/url) exec {folder}/sonnette bounce --data-dir {folder}/pipe "$@"
"""


def free_ports(count):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in listeners]
    for one in listeners:
        one.close()
    return ports


class Postfix:
    """Takes letters to `mailboxes` at example.com. At `strict` it refuses others at once, at `late` it reports them afterwards.

    At `starttls` and `tls` it takes them over TLS from `login`, and its certificate is of `authority`.
    """

    #: Who may sign in, and how.
    login = ("sonnette", "open sesame")

    def __init__(self, *mailboxes):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sonnette-postfix-"))
        self.child = None
        self.accounts = Accounts(*self.login)
        try:
            self._start(mailboxes)
        except BaseException:
            self.end()
            raise

    def _start(self, mailboxes):
        self.strict, self.late, self.starttls, self.tls = free_ports(4)
        self.authority = Authority(self.folder, "house")
        for name in ("conf", "queue", "data", "mail", "pipe"):
            (self.folder / name).mkdir()
        # Others look in, and only look.
        self.folder.chmod(0o755)
        for name, owner in (("data", "postfix"), ("mail", OWNER.pw_uid), ("pipe", OWNER.pw_uid)):
            shutil.chown(self.folder / name, owner)
        shutil.copy(BIN, self.folder / "sonnette")
        bounce = self.folder / "bounce"
        bounce.write_text(PIPE.format(folder=self.folder))
        bounce.chmod(0o755)
        boxes = ", ".join(f"{{ {name}@example.com = {name}/ }}" for name in mailboxes)
        main = MAIN.format(
            domain=DOMAIN, folder=self.folder, mailboxes=boxes, uid=OWNER.pw_uid, gid=OWNER.pw_gid,
            authority=self.authority, accounts=self.accounts.port)
        ports = {name: f"127.0.0.1:{getattr(self, name)}" for name in ("strict", "late", "starttls", "tls")}
        master = MASTER.format(folder=self.folder, signed_in=SIGNED_IN, **ports)
        (self.folder / "conf/main.cf").write_text(main)
        (self.folder / "conf/master.cf").write_text(master)
        self.said = open(self.folder / "said", "w")
        words = ["postfix", "-c", self.folder / "conf", "start-fg"]
        self.child = subprocess.Popen(words, stdout=self.said, stderr=self.said)
        until("Postfix listens", self._listens)

    def _listens(self):
        assert self.child.poll() is None, f"Postfix does not start: {(self.folder / 'said').read_text()}{self.log()}"
        try:
            socket.create_connection(("127.0.0.1", self.late), 1).close()
            return True
        except OSError:
            return False

    def pipe_to(self, world):
        """Bounces go to this server, by a token of their own, as docs/operating.md says."""
        token = world.api("POST", "/tokens", {"name": "bounces", "operator": True})["token"]
        for name, text in (("operator-token", token), ("url", world.url)):
            file = self.folder / "pipe" / name
            file.write_text(text)
            file.chmod(0o600)
            os.chown(file, OWNER.pw_uid, OWNER.pw_gid)

    def letters(self, mailbox):
        """What lies in a mailbox."""
        return [file.read_bytes() for file in (self.folder / "mail" / mailbox / "new").glob("*")]

    def log(self):
        file = self.folder / "log"
        return file.read_text() if file.exists() else ""

    def end(self):
        if self.child:
            subprocess.run(["postfix", "-c", self.folder / "conf", "stop"], stdout=self.said, stderr=self.said, check=False)
            self.child.wait(60)
            self.said.close()
        self.accounts.end()
        shutil.rmtree(self.folder)
