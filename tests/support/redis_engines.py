"""The engines the queue is promised on: Valkey by socket and TCP, Debian's Redis 7.0 by TCP and TLS as a bound user."""

import re
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from redis import Redis
from redis.exceptions import RedisError
from tests.architecture.repository import read
from tests.faults.servers import LOOPBACK, Server
from tests.support.ports import free_port

from afterbell.dev.engines.launch import launcher

REDIS_PROGRAM, OPENSSL_PROGRAM = "redis-server", "openssl"
SECRET = "of this run only"
USER = "afterbell"
# Strict verification (Python 3.13) wants to know what a certificate is for.
CERTIFICATE = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=afterbell-test "
    "-addext subjectAltName=IP:127.0.0.1 -addext keyUsage=digitalSignature,keyCertSign"
)


def documented_user() -> list[str]:
    """The ACL rule as docs/reference/redis-acl.md states it: SETUSER, the name and its rules."""
    line = re.search(r"^ACL (SETUSER .+)$", read("docs/reference/redis-acl.md"), re.MULTILINE)
    assert line, "docs/reference/redis-acl.md has no line that begins with ACL SETUSER"
    return line[1].split()


def missing(*programs: str) -> str:
    """What this machine lacks, and how to get it; empty where nothing is."""
    lacking = [program for program in programs if shutil.which(program) is None]
    return f"no {' and no '.join(lacking)} on the PATH: apt-get install {' '.join(lacking)}" if lacking else ""


def as_admin(url: str) -> str:
    """The same server as its default user, who may do what a test needs besides: list keys, cut connections."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class BoundRedis(Server):
    """Redis from the distribution on a TCP and on a TLS port, with the documented user."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, "redis")
        self.tls_port = free_port()
        self.certificate, self._key = home / "certificate.pem", home / "key.pem"
        files = ["-keyout", str(self._key), "-out", str(self.certificate)]
        subprocess.run([OPENSSL_PROGRAM, *CERTIFICATE.split(), *files], check=True, capture_output=True)

    def command(self) -> list[str]:
        tls = {
            "port": self.tls_port,
            "cert-file": self.certificate,
            "key-file": self._key,
            "ca-cert-file": self.certificate,
            "auth-clients": "no",
        }
        options = {"bind": LOOPBACK, "port": self.port, "save": "", "appendonly": "no", "dir": self.home}
        options |= {f"tls-{name}": value for name, value in tls.items()}
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        return [*launcher(signal.SIGTERM), REDIS_PROGRAM, *words]

    def answers(self) -> bool:
        try:
            with Redis(host=LOOPBACK, port=self.port, socket_timeout=5) as client:
                rules = [f">{SECRET}" if rule.startswith(">") else rule for rule in documented_user()]
                client.execute_command("ACL", *rules)
        except (RedisError, OSError):
            return False
        return True

    @property
    def url(self) -> str:
        return f"redis://{USER}:{SECRET.replace(' ', '%20')}@{self.address}/0"

    @property
    def tls_url(self) -> str:
        login = f"{USER}:{SECRET.replace(' ', '%20')}"
        return f"rediss://{login}@{LOOPBACK}:{self.tls_port}/0?ssl_ca_certs={self.certificate}"
