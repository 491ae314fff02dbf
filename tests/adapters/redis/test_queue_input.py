"""What could break a key or a limit is refused before anything is sent."""

import asyncio

import pytest
from tests.support.queue import UNLIMITED, on

from afterbell.adapters.redis.client import connect
from afterbell.adapters.redis.keys import QueueKeys
from afterbell.adapters.redis.queue import Put, Queue
from afterbell.core.errors import InvalidInput, PayloadTooLarge, StoreUnavailable
from afterbell.core.jobs import PAYLOAD_BYTES_MAX

pytestmark = pytest.mark.engines


def test_a_payload_over_the_limit_is_refused_with_its_size(redis_url: str) -> None:
    async def body(queue: Queue) -> None:
        with pytest.raises(PayloadTooLarge, match=f"{PAYLOAD_BYTES_MAX + 1} bytes"):
            await queue.put([Put("big", b"x" * (PAYLOAD_BYTES_MAX + 1))])
        assert (await queue.look()).waiting == 0

    on(redis_url, body)


@pytest.mark.parametrize("name", ["", "{x}", "a b", "a\nb", "A", "x" * 64])
def test_a_queue_name_that_could_break_a_key_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not usable"):
        QueueKeys(name)


def test_an_unreachable_redis_is_told_without_its_password() -> None:
    async def run() -> None:
        client = connect("redis://user:hunter2@127.0.0.1:1/0")
        queue = Queue(client, QueueKeys("x"), UNLIMITED)
        with pytest.raises(StoreUnavailable) as caught:
            await queue.look()
        assert "hunter2" not in str(caught.value)
        await client.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("tenant", ["{x}", "a b", "a\nb", "über", "a:b"])
def test_any_tenant_id_makes_a_lane_of_its_own_and_never_a_broken_key(redis_url: str, tenant: str) -> None:
    async def body(queue: Queue) -> None:
        await queue.put([Put("a", b"p", tenant=tenant), Put("b", b"p", tenant="x")])
        assert (await queue.look()).lanes == 2
        assert len((await queue.take("w", 2)).grants) == 2

    on(redis_url, body)


@pytest.mark.parametrize("job_id", ["", "{a}", "a b", "a\nb", "x" * 10_000])
def test_a_job_id_that_could_break_a_key_is_refused_before_anything_is_sent(redis_url: str, job_id: str) -> None:
    async def body(queue: Queue) -> None:
        with pytest.raises(InvalidInput, match="not usable"):
            await queue.put([Put("fine", b"p"), Put(job_id, b"p")])
        with pytest.raises(InvalidInput, match="not usable"):
            await queue.act("retry", [job_id])
        assert (await queue.look()).waiting == 0

    on(redis_url, body)
