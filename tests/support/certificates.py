"""The certificates and keys of a test cluster, made by ``openssl`` and valid for two days."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIGURATION = """
[req]
distinguished_name = nobody
[nobody]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder, which nobody outside the test cluster trusts."""

    def __init__(self, home: Path) -> None:
        self._home = home
        home.mkdir(parents=True, exist_ok=True)
        self._configuration = home / "openssl.cnf"
        self._configuration.write_text(_CONFIGURATION)
        self.own = self._make("ca", "/CN=afterbell-test-cluster", "authority")

    def client(self, name: str, *groups: str) -> Certificate:
        """Proof of being the user ``name`` in these groups."""
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={name}"
        return self._make(
            f"client-{name.replace(':', '-')}",
            subject,
            "client",
            "-CA",
            str(self.own.certificate),
            "-CAkey",
            str(self.own.key),
        )

    def server(self, name: str, *names: str) -> Certificate:
        """For a server with these names, as ``IP:…`` and ``DNS:…``."""
        return self._make(
            f"server-{name}",
            f"/CN={name}",
            "server",
            "-CA",
            str(self.own.certificate),
            "-CAkey",
            str(self.own.key),
            "-addext",
            f"subjectAltName={','.join(names)}",
        )

    def key_pair(self, name: str) -> Certificate:
        """A private and a public key, which are no certificate."""
        private, public = self._home / f"{name}.key", self._home / f"{name}.pub"
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(private))
        _openssl("pkey", "-in", str(private), "-pubout", "-out", str(public))
        return Certificate(public, private)

    def _make(self, name: str, subject: str, extensions: str, *more: str) -> Certificate:
        made = Certificate(self._home / f"{name}.crt", self._home / f"{name}.key")
        _openssl(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-config",
            str(self._configuration),
            "-extensions",
            extensions,
            "-subj",
            subject,
            "-keyout",
            str(made.key),
            "-out",
            str(made.certificate),
            *more,
        )
        return made


def _openssl(*words: str) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"openssl {words[0]}: {done.stderr.strip()}")
