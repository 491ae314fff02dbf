"""Whatever happens to Redis, an operator that cannot see takes no pod away, and says within five seconds that it is so.

Each fault meets Pools with no, one and three replicas at once. A Redis that hangs is looked at once a second here; with
the default of two minutes its silence shows at the next look, and before that nothing is taken away without asking it.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from redis.exceptions import BusyLoadingError, RedisError
from tests.faults.conftest import TOXIPROXY
from tests.faults.links import STALL, Link, Toxic
from tests.faults.servers import ProxyServer, TcpValkey
from tests.operator.pools import install_crd
from tests.operator.running import operating
from tests.operator.trio import SIZES, Trio
from tests.support.cluster import Cluster, absent
from tests.support.engines import require_wheels
from tests.support.waiting import until as wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.engines]
SAID_WITHIN_S: Final = 5.0
HELD_S: Final = 1.5
SOON: Final = {"AFTERBELL_OPERATOR_TICK_SECONDS": "1"}


@dataclass(frozen=True, slots=True)
class Ground:
    """A cluster, a Valkey behind a wire, an operator at the other end of it, and what a fault needs besides."""

    cluster: Cluster
    namespace: str
    home: Path
    valkey: TcpValkey
    other: TcpValkey
    link: Link

    @property
    def url(self) -> str:
        return f"redis://{self.link.address}/0"

    def wire(self, verb: str, *words: Any) -> None:
        asyncio.run(getattr(self.link, verb)(*words))


@pytest.fixture(scope="module")
def ground(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    require_wheels("valkey")
    if not TOXIPROXY.exists():
        absent("no fault proxy: run `make tools` (needs Go)")
    home, namespace = tmp_path_factory.mktemp("blind"), f"blind-{uuid.uuid4().hex[:8]}"
    install_crd(cluster)
    cluster.kubectl("create", "namespace", namespace)
    with ExitStack() as stack:
        valkey, other = TcpValkey(home / "one"), TcpValkey(home / "other")
        proxy = ProxyServer(home, TOXIPROXY)
        for server in (valkey, other, proxy):
            stack.callback(server.stop)
            server.start()
        made = Ground(cluster, namespace, home, valkey, other, Link(proxy.url, "redis"))
        made.wire("lay", valkey.address)
        yield made
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def operator(ground: Ground) -> Iterator[None]:
    with operating(ground.cluster, ground.url, ground.home, ground.namespace, **SOON):
        yield


@pytest.fixture
def trio(ground: Ground, operator: None) -> Iterator[Trio]:
    made = Trio(ground.cluster, ground.namespace, ground.valkey.url)
    yield made
    made.remove()


def held(trio: Trio, reason: str, words: str = "") -> None:
    """It is said in time, of each size, and no number moves."""
    began = time.monotonic()
    trio.until_condition("BacklogObserved", "False")
    assert time.monotonic() - began < SAID_WITHIN_S
    time.sleep(HELD_S)
    for status, said, message in trio.conditions("BacklogObserved"):
        assert (status, said) == ("False", reason)
        assert words.lower() in message.lower()
    assert trio.replicas() == list(SIZES)


@contextmanager
def refused(ground: Ground, trio: Trio) -> Iterator[None]:
    ground.wire("cut")
    try:
        yield
    finally:
        ground.wire("mend")


@contextmanager
def toxic(ground: Ground, kind: Toxic) -> Iterator[None]:
    name = f"{kind.kind}-{kind.stream}"
    body = {"name": name, "type": kind.kind, "stream": kind.stream, "attributes": dict(kind.attributes)}
    ground.wire("_ask", "POST", "/redis/toxics", body)
    try:
        yield
    finally:
        ground.wire("_ask", "DELETE", f"/redis/toxics/{name}")


def hung(ground: Ground, trio: Trio) -> AbstractContextManager[None]:
    return toxic(ground, STALL)


@contextmanager
def killed(ground: Ground, trio: Trio) -> Iterator[None]:
    ground.valkey.kill()
    try:
        yield
    finally:
        ground.valkey.start()


@contextmanager
def loading(ground: Ground, trio: Trio) -> Iterator[None]:
    """Started again with so much to read that it answers LOADING until it is told to hurry."""
    pads = [f"pad:{number}" for number in range(20_000)]
    ground.valkey.ask("MSET", *(word for pad in pads for word in (pad, "x")))
    ground.valkey.ask("BGREWRITEAOF")  # into a snapshot: the delay below is per key of one
    wait_until(lambda: rewritten(ground.valkey), "the snapshot")
    ground.valkey.kill()
    ground.valkey.launch("--key-load-delay", "4000", "--loading-process-events-interval-bytes", "1024")
    wait_until(lambda: loads(ground.valkey), "it to load")
    try:
        yield
        assert loads(ground.valkey), "all the while"
    finally:
        ground.valkey.ask("CONFIG", "SET", "key-load-delay", "0")
        wait_until(ground.valkey.answers, "it to be loaded")
        ground.valkey.ask("DEL", *pads)


def loads(valkey: TcpValkey) -> bool:
    try:
        with valkey.client() as client:
            client.ping()
    except BusyLoadingError:
        return True
    except RedisError:  # not even that far
        return False
    return False


def rewritten(valkey: TcpValkey) -> bool:
    with valkey.client() as client:
        facts: Any = client.info("persistence")
    return not (facts["aof_rewrite_in_progress"] or facts["aof_rewrite_scheduled"])


@contextmanager
def not_permitted(ground: Ground, trio: Trio) -> Iterator[None]:
    ground.valkey.ask("ACL", "SETUSER", "default", "-evalsha", "-eval")
    try:
        yield
    finally:
        ground.valkey.ask("ACL", "SETUSER", "default", "+evalsha", "+eval")


@contextmanager
def wrong_type(ground: Ground, trio: Trio) -> Iterator[None]:
    keys = [f"{{ab:{name}}}:leases" for name in trio.names]
    for key in keys:
        ground.valkey.ask("DEL", key)
        ground.valkey.ask("SET", key, "no sorted set")
    try:
        yield
    finally:
        for key in keys:
            ground.valkey.ask("DEL", key)


Fault = Callable[[Ground, Trio], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (refused, "Redis"),
        (hung, "Redis"),
        (killed, "Redis"),
        (loading, "Redis"),
        (not_permitted, "permission"),
        (wrong_type, "WRONGTYPE"),
    ],
)
def test_a_redis_that_cannot_be_read_takes_no_pod_away(ground: Ground, trio: Trio, fault: Fault, words: str) -> None:
    with fault(ground, trio):
        held(trio, "BacklogUnknown", words)
    trio.until_condition("BacklogObserved", "True")


def test_a_read_only_redis_takes_no_pod_away_because_none_can_be_drained(ground: Ground, trio: Trio) -> None:
    ground.valkey.ask("REPLICAOF", "127.0.0.1", "1")
    for name, size in zip(trio.names, SIZES, strict=True):
        if size:
            trio.patch(name, {"pause": {"replicas": 0, "reason": "the test wants fewer"}})
    wait_until(
        lambda: [condition[1] for condition in trio.conditions("AbleToScale")][1:] == ["DrainUnknown"] * 2,
        "it to be said",
    )
    time.sleep(HELD_S)
    assert trio.replicas() == list(SIZES)
    ground.valkey.ask("REPLICAOF", "NO", "ONE")
    for name, size in zip(trio.names, SIZES, strict=True):
        if size:
            trio.patch(name, {"pause": None})


@contextmanager
def emptied(ground: Ground, trio: Trio) -> Iterator[None]:
    ground.valkey.ask("FLUSHALL")
    yield


@contextmanager
def books_lost(ground: Ground, trio: Trio) -> Iterator[None]:
    for name in trio.names:
        for part in ("control", "leases"):
            ground.valkey.ask("DEL", f"{{ab:{name}}}:{part}")
    yield


@contextmanager
def failed_over_to_an_empty_one(ground: Ground, trio: Trio) -> Iterator[None]:
    ground.wire("lead_to", ground.other.address)
    ground.wire("cut")
    ground.wire("mend")
    try:
        yield
    finally:
        ground.wire("lead_to", ground.valkey.address)
        ground.wire("cut")
        ground.wire("mend")


@pytest.mark.parametrize("fault", [emptied, books_lost, failed_over_to_an_empty_one])
def test_a_redis_that_lost_its_data_takes_no_pod_away(ground: Ground, trio: Trio, fault: Fault) -> None:
    with fault(ground, trio):
        held(trio, "BacklogDistrusted", "lost its data")


def test_an_operator_started_on_the_wrong_database_takes_no_pod_away(
    ground: Ground, cluster: Cluster, tmp_path: Path
) -> None:
    namespace = f"wrong-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", namespace)
    with operating(cluster, ground.valkey.url, tmp_path, namespace, **SOON):
        trio = Trio(cluster, namespace, ground.valkey.url)
    with operating(cluster, f"{ground.valkey.url.removesuffix('0')}5", tmp_path, namespace, **SOON):
        trio.until_condition("BacklogObserved", "False")
        held(trio, "BacklogDistrusted", "another server or database")
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
