"""What writing a report costs this machine, the model's own time left out."""

import asyncio
import gc
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil
from benchmarks.report_lessons import Lesson, hour_long
from benchmarks.servers import await_port, process
from tests.support.ports import free_port

from afterbell.adapters.models.answer import ModelAnswer
from afterbell.adapters.models.responses import ResponsesClient
from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.report.prompt import Prompt, build
from afterbell.core.report.statistics import measure
from afterbell.core.session import Session, transcript_of
from afterbell.worker.material import material_of, warm_up
from afterbell.worker.writer import USUAL_ROOM, ReportWriter, redact_session

TURNS: Final = 1_000
GATED_TURNS: Final = 400
STREAMS: Final = 50
LAG_EVERY_S: Final = 0.01
KEY: Final = "sk-bench"
STUB: Final = """
import sys, uvicorn
from afterbell.dev.stub.app import create_app
from afterbell.dev.stub.settings import StubSettings
settings = StubSettings(ttft_ms=int(sys.argv[2]), tokens_per_s=float(sys.argv[3]))
uvicorn.run(create_app(settings), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", ws="none")
"""


def extractive_ms(lessons: list[Lesson], times: int) -> float:
    """p95 of the extractive engine on 1,000 turns."""
    return _p95_ms([transcript_of(hour_long(lessons, TURNS, first=n * 7)) for n in range(4)], write_narrative, times)


def preparation_ms(lessons: list[Lesson], times: int) -> float:
    """p95 of everything before the call on 1,000 turns: turns, numbers, injection search, redaction, prompt."""

    def prepare(session: Session) -> None:
        transcript = transcript_of(session)
        build(redact_session(session, transcript).transcript, measure(session, transcript), fence="a" * 16)

    return _p95_ms([hour_long(lessons, TURNS, first=n * 7) for n in range(4)], prepare, times)


def gates_ms(lessons: list[Lesson], times: int) -> float:
    """p95 of the processor time of all gates on 400 turns: alarms, attacks, redaction, the check of a narrative."""

    def pass_gates(session: Session) -> None:
        material = material_of(session, 1, b"key")
        redact_session(session, material.transcript, material.alarms, material.hostile)
        material.checked(narratives[session.id])

    warm_up()
    sessions = [replace(hour_long(lessons, GATED_TURNS, first=n * 7), id=f"hour-{n}") for n in range(4)]
    narratives = {session.id: material_of(session, 1, b"key").basic_narrative() for session in sessions}
    return _p95_ms(sessions, pass_gates, times, time.process_time)


def overhead(lessons: list[Lesson], folder: Path, reports: int) -> tuple[float, float]:
    """Seconds of one paced report through the client, and of reading the same bytes with nothing but a socket."""
    with _stub(folder, ttft_ms=200, tokens_per_s=400) as port:
        return asyncio.run(_overhead(port, lessons[0].session, reports))


def concurrent(lessons: list[Lesson], folder: Path) -> tuple[float, float]:
    """50 streams in this process: p99 of the event loop's lag in ms, growth of the resident set in MiB."""
    with _stub(folder, ttft_ms=500, tokens_per_s=40) as port:
        return asyncio.run(_concurrent(port, lessons))


def _p95_ms(
    inputs: list[Any], work: Callable[[Any], Any], times: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    work(inputs[0])
    # As a worker process does when it starts.
    gc.collect()
    gc.freeze()
    took = []
    for nth in range(times):
        began = clock()
        work(inputs[nth % len(inputs)])
        took.append((clock() - began) * 1000)
    return _rank(took, 0.95)


def _rank(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


@contextmanager
def _stub(folder: Path, *, ttft_ms: int, tokens_per_s: float) -> Iterator[int]:
    """The port of a paced stub in a process of its own."""
    port, log = free_port(), folder / "stub.log"
    with process(sys.executable, "-c", STUB, str(port), str(ttft_ms), str(tokens_per_s), log=log):
        await_port(port, log)
        yield port


async def _overhead(port: int, session: Session, reports: int) -> tuple[float, float]:
    client = ResponsesClient(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1", model="m")
    prompt = build(redact_session(session, transcript_of(session)).transcript, measure(session), fence="a" * 16)
    ours, raw = [], []
    try:
        async with httpx2.AsyncClient(timeout=60) as socket:
            await _through_client(client, prompt)
            for _ in range(reports):
                ours.append(await _timed(_through_client(client, prompt)))
                raw.append(await _timed(_through_socket(socket, port, prompt)))
    finally:
        await client.aclose()
    return min(ours), min(raw)


async def _timed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def _through_client(client: ResponsesClient, prompt: Prompt) -> ModelAnswer:
    async def unheard(_: Any) -> None:
        """Nobody watches."""

    return await client.write(prompt, client_request_id="bench", safety_identifier=None, on_progress=unheard)


async def _through_socket(socket: httpx2.AsyncClient, port: int, prompt: Prompt) -> None:
    body = {"model": "m", "instructions": prompt.instructions, "input": prompt.transcript, "stream": True}
    url, headers = f"http://127.0.0.1:{port}/v1/responses", {"Authorization": f"Bearer {KEY}"}
    async with socket.stream("POST", url, json=body, headers=headers) as answer:
        async for _ in answer.aiter_raw():
            pass


async def _concurrent(port: int, lessons: list[Lesson]) -> tuple[float, float]:
    client = ResponsesClient(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1", model="m")
    lags: list[float] = []
    try:
        await _write_report(client, lessons[0].session)
        gc.collect()
        before = psutil.Process().memory_info().rss
        watching = asyncio.create_task(_watch(lags))
        await asyncio.gather(*(_write_report(client, lessons[n % len(lessons)].session) for n in range(STREAMS)))
        after = psutil.Process().memory_info().rss
        watching.cancel()
    finally:
        await client.aclose()
    return _rank(lags, 0.99), (after - before) / (1 << 20)


async def _write_report(client: ResponsesClient, session: Session) -> None:
    async def ask(prompt: Prompt, label: str, on_progress: Any) -> ModelAnswer:
        return await client.write(
            prompt, client_request_id=f"bench{label}", safety_identifier=None, on_progress=on_progress
        )

    async def unheard(_: Any) -> None:
        """Nobody watches."""

    await ReportWriter(ask, redact_session(session, transcript_of(session)), USUAL_ROOM).write(
        measure(session), unheard
    )


async def _watch(lags: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(LAG_EVERY_S)
        lags.append((time.perf_counter() - began - LAG_EVERY_S) * 1000)
