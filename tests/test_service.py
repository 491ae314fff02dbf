"""The contract of every background loop: started once, stopped for certain, and heard of when it ends by itself."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterbell import startup
from afterbell.core.backoff import Backoff
from afterbell.core.errors import StoreUnavailable
from afterbell.observability.internal_app import create_internal_app
from afterbell.service import Background, Service, failed_services, repeat, until_first_ends


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_stopping_before_the_start_and_stopping_twice_are_fine() -> None:
    service = Service("loop", for_ever)
    await service.stop()
    service.start()
    await service.stop()
    await service.stop()
    assert failed_services() == []


async def test_starting_twice_runs_one_loop_and_a_stopped_service_can_start_again() -> None:
    starts = []

    async def loop() -> None:
        starts.append(1)
        await for_ever()

    service = Service("loop", loop)
    service.start()
    service.start()
    await asyncio.sleep(0)
    assert len(starts) == 1
    await service.stop()
    service.start()
    await asyncio.sleep(0)
    await service.stop()
    assert len(starts) == 2


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_loop_that_loses_its_cancellation_is_stopped_all_the_same(
    lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As redis-py does while it makes a connection."""
    monkeypatch.setattr("afterbell.service.CANCEL_AGAIN_S", 0.01)

    async def deaf() -> None:
        for _ in range(lost):
            try:
                await for_ever()
            except asyncio.CancelledError:
                continue
        await for_ever()

    service = Service("deaf", deaf)
    service.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await service.stop()


async def breaks() -> None:
    raise ValueError("a bug")


async def returns() -> None:
    return


async def awaits_what_was_cancelled() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@pytest.mark.parametrize("run", [breaks, returns, awaits_what_was_cancelled])
async def test_a_loop_that_ends_by_itself_is_logged_with_its_name_and_makes_the_process_unready(
    run: Callable[[], Awaitable[None]], capsys: pytest.CaptureFixture[str]
) -> None:
    async def ready() -> dict[str, object]:
        return {"ready": True}

    async def asked(client: httpx2.AsyncClient) -> tuple[int, object]:
        answer = await client.get("/readyz")
        return answer.status_code, answer.json().get("failed_services")

    service = Service("sweeper", run)
    transport = httpx2.ASGITransport(app=create_internal_app(ready))
    async with httpx2.AsyncClient(transport=transport, base_url="http://pod") as client:
        assert await asked(client) == (200, None)
        service.start()
        while not service.ended:
            await asyncio.sleep(0)
        assert await asked(client) == (503, ["sweeper"])
        await service.stop()
        assert await asked(client) == (200, None), "a service that was stopped is not missed"

    logged = capsys.readouterr().out
    assert "service_ended" in logged
    assert "sweeper" in logged
    assert ("Traceback" in logged) is (run is not returns)


async def test_a_service_with_a_finish_ends_by_itself_and_is_not_cancelled() -> None:
    asked, ends = asyncio.Event(), []

    async def polite() -> None:
        await asked.wait()
        ends.append("in order")

    service = Service("polite", polite, finish=asked.set)
    service.start()
    await asyncio.sleep(0)
    await service.stop()
    assert ends == ["in order"]
    assert failed_services() == []


async def test_a_repeated_act_goes_on_through_every_error_and_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    errors = [StoreUnavailable("Redis", "refused"), StoreUnavailable("Redis", "refused"), ValueError("a bug")]

    done = asyncio.Event()

    async def act() -> None:
        if errors:
            raise errors.pop(0)
        done.set()

    service = Service("outbox", lambda: repeat(act, name="outbox", every_s=60, backoff=Backoff(0.001, 0.001)))
    service.start()
    async with asyncio.timeout(10):
        await done.wait()
        await asyncio.sleep(0)
    await service.stop()

    logged = capsys.readouterr().out
    assert logged.count("service_waits") == 1, "an outage is told once"
    assert logged.count("service_round_failed") == 1
    assert "a bug" in logged
    assert logged.count("service_recovered") == 1


async def test_a_wake_shortens_the_wait_and_never_a_back_off() -> None:
    wake, calls = asyncio.Event(), asyncio.Queue[int]()
    fails = [False, False, True]

    async def act() -> float:
        calls.put_nowait(1)
        if fails and fails.pop(0):
            raise StoreUnavailable("Redis", "refused")
        return 3600

    service = Service("loop", lambda: repeat(act, name="loop", wake=wake, backoff=Backoff(3600, 3600)))
    service.start()
    for _ in range(3):
        await asyncio.wait_for(calls.get(), 10)
        await asyncio.sleep(0)
        wake.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert calls.empty()
    await service.stop()


async def test_of_parts_side_by_side_the_first_end_ends_all_and_is_raised() -> None:
    ended = []

    async def other() -> None:
        try:
            await for_ever()
        finally:
            ended.append("other")

    with pytest.raises(ValueError, match="a bug"):
        await until_first_ends(breaks(), other())
    assert ended == ["other"]


async def test_background_work_that_fails_is_logged_and_the_rest_can_be_awaited(
    capsys: pytest.CaptureFixture[str],
) -> None:
    background, done = Background("booking"), []

    async def slow() -> None:
        await asyncio.sleep(0)
        done.append(1)

    background.begin(breaks())
    background.begin(slow())
    await background.finish(10)
    assert done == [1]
    background.begin(for_ever())
    await background.stop()

    logged = capsys.readouterr().out
    assert "background_failed" in logged
    assert "booking" in logged


@given(
    failures=st.integers(1, 10_000),
    first_s=st.floats(0.001, 10),
    longest_s=st.floats(0.001, 1000),
    jitter=st.floats(0, 1),
    chance=st.floats(0, 1),
)
def test_a_back_off_grows_to_its_bound_and_chance_only_shortens_it(
    failures: int, first_s: float, longest_s: float, jitter: float, chance: float
) -> None:
    backoff = Backoff(first_s, longest_s, jitter)
    wait_s = backoff.wait_s(failures, chance)
    assert 0 <= wait_s <= longest_s
    assert backoff.wait_s(failures, 0) <= backoff.wait_s(failures + 1, 0)
    assert wait_s >= backoff.wait_s(failures, 0) * (1 - jitter) * 0.999


@pytest.mark.parametrize("is_up", [True, False])
def test_garbage_is_collected_again_however_a_start_ends(is_up: bool) -> None:
    def start() -> None:
        with startup.starting():
            assert not gc.isenabled()
            if not is_up:
                raise StoreUnavailable("PostgreSQL", "refused")
            startup.started()
            assert gc.isenabled()

    try:
        if is_up:
            start()
        else:
            with pytest.raises(StoreUnavailable):
                start()
        assert gc.isenabled()
    finally:
        gc.unfreeze()
