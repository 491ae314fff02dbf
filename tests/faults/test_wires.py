"""What happens to a wire: cut, stalled, slow, reset, half-open, dribbling; to Redis and to PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.faults.conftest import Faults
from tests.faults.ledger import Allowed
from tests.faults.links import DRIBBLE, HALF_OPEN, LATENCY, MUTE, RESET, STALL, Link, Toxic

pytestmark = [pytest.mark.faults, pytest.mark.engines]
long = pytest.mark.long

TOXICS: dict[str, tuple[Toxic, ...]] = {
    "stalled": (STALL,),
    "dead both ways": (STALL, MUTE),
    "slow": (LATENCY,),
    "reset": (RESET,),
    "half open": (HALF_OPEN,),
    "dribbling": (DRIBBLE,),
}


@asynccontextmanager
async def wrong(link: Link, how: str) -> AsyncIterator[None]:
    if how == "cut":
        await link.cut()
        yield
        await link.mend()
    elif how == "half open":  # the toxic holds back the end of a connection, so there must be one
        async with link.toxic(*TOXICS[how]):
            await link.cut()
            await link.mend()
            yield
    else:
        async with link.toxic(*TOXICS[how]):
            yield


@pytest.mark.parametrize(
    ("store", "how", "seconds"),
    [
        ("redis", "cut", 3.0),
        ("redis", "stalled", 7.0),
        pytest.param("redis", "dead both ways", 12.0, marks=long),
        pytest.param("redis", "slow", 5.0, marks=long),
        pytest.param("redis", "reset", 4.0, marks=long),
        pytest.param("redis", "half open", 4.0, marks=long),
        pytest.param("redis", "dribbling", 4.0, marks=long),
        ("postgres", "cut", 3.0),
        pytest.param("postgres", "stalled", 12.0, marks=long),
        pytest.param("postgres", "dead both ways", 12.0, marks=long),
        pytest.param("postgres", "slow", 5.0, marks=long),
        pytest.param("postgres", "reset", 4.0),
        pytest.param("postgres", "half open", 4.0, marks=long),
        pytest.param("postgres", "dribbling", 4.0, marks=long),
    ],
)
async def test_reports_survive_a_wire_that_is(faults: Faults, store: str, how: str, seconds: float) -> None:
    async with faults(f"the wire to {store} {how} for {seconds:g} s", wires=(store,)) as up:
        await up.worker()
        await up.enqueue(4)
        await up.writing(2)
        async with wrong(up.wires[store], how):
            if store == "redis":
                await up.enqueue(2, name="meanwhile")
            await asyncio.sleep(seconds)
        up.broken()
        await up.settled(within_s=60)
        up.allowed = Allowed(doubled=6, because=f"the answer of {store} did not arrive")
