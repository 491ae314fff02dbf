"""What could break a key or a limit is refused before anything is sent."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.queue import UNLIMITED, a_queue

from afterbell.adapters.queue.keys import QueueKeys
from afterbell.adapters.queue.redis_queue import LANE_CHARS_MAX, JobClass, NewJob, Queue, lane_of
from afterbell.adapters.redis.connections import connect
from afterbell.core.errors import InvalidInput, PayloadTooLarge, SettingsError, StoreUnavailable
from afterbell.core.queue.outcomes import PAYLOAD_BYTES_MAX
from afterbell.settings import WorkerSettings, read

pytestmark = pytest.mark.engines


async def test_a_payload_over_the_limit_is_refused_with_its_size(redis_url: str) -> None:
    async with a_queue(redis_url) as queue:
        with pytest.raises(PayloadTooLarge, match=f"{PAYLOAD_BYTES_MAX + 1} bytes"):
            await queue.enqueue([NewJob("big", b"x" * (PAYLOAD_BYTES_MAX + 1))])
        assert (await queue.stats()).waiting == 0


@pytest.mark.parametrize("name", ["", "{x}", "a b", "a\nb", "A", "x" * 64])
def test_a_queue_name_that_could_break_a_key_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not usable"):
        QueueKeys(name)


async def test_an_unreachable_redis_is_told_without_its_password() -> None:
    client = connect("redis://user:hunter2@127.0.0.1:1/0")
    queue = Queue(client, QueueKeys("x"), UNLIMITED)
    with pytest.raises(StoreUnavailable) as caught:
        await queue.stats()
    assert "hunter2" not in str(caught.value)
    await client.aclose()


@pytest.mark.parametrize("tenant", ["{x}", "a b", "a\nb", "über", "a:b"])
async def test_any_tenant_id_makes_a_lane_of_its_own_and_never_a_broken_key(redis_url: str, tenant: str) -> None:
    async with a_queue(redis_url) as queue:
        await queue.enqueue([NewJob("a", b"p", tenant=tenant), NewJob("b", b"p", tenant="x")])
        assert (await queue.stats()).lanes == 2
        assert len((await queue.poll("w", 2)).grants) == 2


ANY_TEXT = st.text(max_size=64)
QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(
    tenants=st.lists(ANY_TEXT, unique=True, min_size=2, max_size=2), job_class=st.sampled_from(("interactive", "bulk"))
)
@example(tenants=["\N{GRINNING FACE}" * 64, "\N{GRINNING FACE}" * 63 + "x"], job_class="interactive")
@example(tenants=["sha256:", "\ud800"], job_class="bulk")
def test_every_tenant_has_a_lane_of_its_own_that_any_key_can_carry(tenants: list[str], job_class: JobClass) -> None:
    first, second = (lane_of(tenant, job_class) for tenant in tenants)
    assert first != second
    for lane in (first, second):
        assert lane.isascii()
        assert lane.isprintable()
        assert not set(lane) & set("{} ")
        assert len(lane) <= LANE_CHARS_MAX + 2


def test_a_long_lane_is_no_other_tenants_name() -> None:
    long = lane_of("x" * 300, "interactive")
    assert lane_of(long.partition(":")[2], "interactive") != long


@given(tenants=st.lists(ANY_TEXT, min_size=1, max_size=4), delay_s=st.sampled_from((0, 60)))
@QUICK
async def test_a_job_of_any_tenant_is_put_started_and_ended(redis_url: str, tenants: list[str], delay_s: float) -> None:
    async with a_queue(redis_url) as queue:
        jobs = [NewJob(f"j{n}", b"p", delay_s, tenant) for n, tenant in enumerate(tenants)]
        assert await queue.enqueue(jobs) == ["enqueued"] * len(jobs)
        if delay_s:
            assert await queue.apply("promote", [job.job_id for job in jobs]) == ["ok"] * len(jobs)
        granted = (await queue.poll("w", len(jobs))).grants
        assert {grant.job_id for grant in granted} == {job.job_id for job in jobs}


@given(worker=st.text("abcXYZ019._-", min_size=1, max_size=200))
@QUICK
async def test_every_worker_name_that_settings_and_api_take_can_run_and_be_drained(redis_url: str, worker: str) -> None:
    assert read(WorkerSettings, worker_name=worker).name == worker

    async with a_queue(redis_url) as queue:
        await queue.enqueue([NewJob("a", b"p"), NewJob("b", b"p")])
        assert len((await queue.poll(worker, 1)).grants) == 1
        await queue.drain(worker)
        assert (await queue.poll(worker, 1)).gate == "drained"
        workers, drained = await queue.workers()
        assert worker in drained
        assert worker in {known.name for known in workers}


@pytest.mark.parametrize("name", ["a b", "ünit", "a\nb", "x" * 201])
def test_a_worker_name_that_the_admin_api_could_not_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="worker_name"):
        read(WorkerSettings, worker_name=name)


@pytest.mark.parametrize("job_id", ["", "{a}", "a b", "a\nb", "x" * 10_000])
async def test_a_job_id_that_could_break_a_key_is_refused_before_anything_is_sent(redis_url: str, job_id: str) -> None:
    async with a_queue(redis_url) as queue:
        with pytest.raises(InvalidInput, match="not usable"):
            await queue.enqueue([NewJob("fine", b"p"), NewJob(job_id, b"p")])
        with pytest.raises(InvalidInput, match="not usable"):
            await queue.apply("retry", [job_id])
        assert (await queue.stats()).waiting == 0
