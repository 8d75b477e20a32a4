"""A certificate authority of one's own, as houses have them, and a relay's certificate by it."""

import pathlib
import ssl
import subprocess


def _openssl(*words):
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subprocess.run(["openssl", "req", "-x509", *key, *words], check=True, stderr=subprocess.DEVNULL)


class Authority:
    """Vouches for a server at 127.0.0.1, in a folder."""

    def __init__(self, folder, name):
        at = lambda file: pathlib.Path(folder) / f"{name}-{file}.pem"
        self.file, secret = at("authority"), at("authority-key")
        _openssl("-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign", "-keyout", secret, "-out", self.file)
        self.certificate, self.key = at("relay"), at("relay-key")
        _openssl(
            "-CA", self.file, "-CAkey", secret, "-subj", "/CN=127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.key, "-out", self.certificate)

    def setting(self):
        """The line of `[mail]` that names it."""
        return f'relay_ca = "{self.file}"'

    def tls(self):
        """What a server in Python shows it by."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context
