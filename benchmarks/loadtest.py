"""``make loadtest``: a classroom platform's worst day, as one page of results.

A hundred report requests at once, over connections that are open, as an Ingress keeps them, and each opening its own;
ten reports at the same time, 500 and 1,000 sockets in rooms of four, and a day of 3,000 reports on a compressed clock.
Every process is one of its own; the model is the stub, which writes as slowly as a provider.
"""

import asyncio
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import httpx2
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import burst, queue_day
from benchmarks.api import running_api
from benchmarks.harness import Figure, note, report
from benchmarks.loadtest_page import page
from benchmarks.realtime import System, closed, lessons, opened, ours
from benchmarks.realtime_sockets import Socket
from benchmarks.servers import BenchError, await_port, metric, migrate, pod_python, process, staff_token
from tests.support.ports import free_port
from tests.support.processes import AFTERBELL

from afterbell.dev.engines.engines import engines

AT_ONCE: Final = 100
BURSTS: Final = 5
# A report request is promised an answer in 50 ms; of a hundred at once the last waits for all of the others.
SLOWEST_MS: Final = {True: 100.0, False: 1_000.0}
REPORTS: Final = 10
SLOTS: Final = 5
SOCKETS: Final = (500, 1_000)
ROOM: Final = 4
MESSAGES_PER_S: Final = 50
REPORT_PATIENCE_S: Final = 180.0
TURNS: Final = 40
SAID: Final = (
    ("tutor", "How would you compare 1/8 and 1/6, and which one is larger?"),
    ("student", "I think 1/8 is larger, because 8 is more than 6, so it must be."),
    ("tutor", "What does the bottom number of a fraction tell us about the pieces?"),
    ("student", "It says how many pieces there are. Oh, then eighths are smaller, so 1/6 is larger!"),
)


@dataclass(slots=True)
class Results:
    """What was measured. ``done_s``: seconds after the ask at which each of the reports was ready."""

    figures: list[Figure] = field(default_factory=list)
    posts_ms: dict[str, list[float]] = field(default_factory=dict)
    done_s: list[float] = field(default_factory=list)
    acks_ms: dict[int, float] = field(default_factory=dict)
    day: queue_day.Day | None = None

    def add(self, name: str, value: float, unit: str, **more: Any) -> None:
        """One figure, of this run and of those before it."""
        known = next((figure for figure in self.figures if figure.name == name), None)
        if known is None:
            self.figures.append(Figure(name, unit, runs=[value], **more))
        else:
            known.runs.append(value)


def lesson(name: str) -> dict[str, Any]:
    """A session that a model is asked about."""
    turns = [SAID[number % len(SAID)] for number in range(TURNS)]
    return {
        "id": name,
        "subject": "mathematics",
        "goals": ["Compare fractions"],
        "participants": [{"id": who, "role": who, "display_name": who.title()} for who in ("tutor", "student")],
        "messages": [{"id": f"m{n}", "sender": who, "text": said} for n, (who, said) in enumerate(turns)],
    }


async def imported(client: httpx2.AsyncClient, count: int) -> list[str]:
    """New sessions in the record."""
    names = [f"s-{uuid.uuid4().hex}" for _ in range(count)]
    for name in names:
        (await client.put(f"/api/sessions/{name}", json=lesson(name))).raise_for_status()
    return names


def ask_at_once(port: int, internal_port: int, token: str, names: list[str], results: Results, *, opened: bool) -> None:
    """A hundred clients ask in the same moment, each for another report; then the queue has them all."""
    paths = [f"/api/reports/session/{name}" for name in names]
    answered = burst.let_go(burst.Burst(port, token, paths, opened))
    while metric(internal_port, "afterbell_outbox_waiting") > 0:
        time.sleep(0.005)
    all_there_s = time.perf_counter() - answered.began
    how = "open_connections" if opened else "new_connections"
    ordered = results.posts_ms[how] = sorted(answered.times_ms)
    results.add(f"requests_at_once_{how}_slowest", ordered[-1], "ms", target=SLOWEST_MS[opened])
    results.add(f"requests_at_once_{how}_median", ordered[len(ordered) // 2], "ms", target=50 if opened else None)
    results.add(f"requests_at_once_{how}_all_in_queue", all_there_s, "s", target=5)


async def write_at_once(client: httpx2.AsyncClient, names: list[str], results: Results) -> None:
    """Ten reports on ten slots: how long each takes from the ask, by a model that takes its time."""
    began = time.perf_counter()
    for name in names:
        (await client.post(f"/api/reports/session/{name}")).raise_for_status()

    async def ready(name: str) -> float:
        while time.perf_counter() - began < REPORT_PATIENCE_S:
            answer = (await client.get(f"/api/reports/session/{name}/status")).json()
            if answer["status"] == "completed":
                return time.perf_counter() - began
            if answer["status"] == "failed":
                break
            await asyncio.sleep(0.25)
        raise BenchError(f"the report of {name} is not ready: {answer}")

    results.done_s = sorted(await asyncio.gather(*map(ready, names)))
    results.add("reports_at_once_slowest", results.done_s[-1], "s", target=60)
    results.add("reports_at_once_fastest", results.done_s[0], "s")


async def talk(system: System, count: int, seconds: float, results: Results) -> None:
    """So many sockets in rooms of four, 50 stored messages a second, each to be heard by all of its room."""
    rooms = [name for name in await lessons(system, count // ROOM) for _ in range(ROOM)]
    heard: Counter[str] = Counter()

    def hear(_socket: Socket, body: bytes) -> None:
        heard["messages"] += b"chat:message" in body

    began = time.perf_counter()
    everybody = await opened(system, rooms, hear)
    results.add(f"sockets_{count}_all_connected", time.perf_counter() - began, "s", target=30)
    heard.clear()
    took: list[float] = []

    async def say(number: int) -> None:
        sent, index = time.perf_counter(), (number * ROOM) % count
        await everybody[index].ask("chat:send", {"session": rooms[index], "id": f"m{number}", "text": "x" * 100})
        took.append(time.perf_counter() - sent)

    saying = []
    for number in range(round(MESSAGES_PER_S * seconds)):
        saying.append(asyncio.create_task(say(number)))
        await asyncio.sleep(1 / MESSAGES_PER_S)
    await asyncio.gather(*saying)
    await asyncio.sleep(1)
    ordered = sorted(took)
    results.acks_ms[count] = ordered[round(len(ordered) * 0.99) - 1] * 1000
    results.add(f"sockets_{count}_message_to_ack_p99", results.acks_ms[count], "ms", target=250)
    share = heard["messages"] / len(took)  # the sender hears it too
    results.add(f"sockets_{count}_heard_a_message", share, "sockets", better="higher", target=ROOM)
    results.add(f"sockets_{count}_memory_a_process", system.rss() / 2e6, "MB", target=256)
    await closed(everybody)


@contextmanager
def writers(folder: Path, database_url: str, redis_url: str) -> Iterator[None]:
    """Two workers, ten slots between them, no limiter, and the stub at a provider's pace."""
    port = free_port()
    variables = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "OPENAI_API_KEY": "stub",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "AFTERBELL_WORKER_CONCURRENCY": str(SLOTS),
        "AFTERBELL_STARTS_PER_WINDOW": "0",
    }
    with process(*AFTERBELL, "llm-stub", "--port", str(port), "--pace", "real", log=folder / "stub.log"):
        await_port(port, folder / "stub.log")
        first_port, second_port = free_port(), free_port()
        with (
            process(*AFTERBELL, "worker", log=folder / "w1.log", AFTERBELL_INTERNAL_PORT=str(first_port), **variables),
            process(*AFTERBELL, "worker", log=folder / "w2.log", AFTERBELL_INTERNAL_PORT=str(second_port), **variables),
        ):
            await_port(first_port, folder / "w1.log")
            await_port(second_port, folder / "w2.log")
            yield


def reports_part(folder: Path, results: Results) -> None:
    """Ten reports at once, then a hundred requests."""
    token = staff_token()
    with engines(folder / "data") as urls:
        database_url, redis_url = urls.database_url or "", urls.redis_url or ""
        with running_api(database_url, redis_url, folder) as (port, internal_port, _):

            async def measure() -> None:
                limits = httpx2.Limits(max_connections=AT_ONCE)
                headers = {"Authorization": f"Bearer {token}"}
                async with httpx2.AsyncClient(
                    base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, limits=limits
                ) as client:
                    note(f"{REPORTS} reports at once")
                    with writers(folder, database_url, redis_url):
                        await write_at_once(client, await imported(client, REPORTS), results)
                    lessons = [await imported(client, AT_ONCE) for _ in range(2 * BURSTS)]
                for nth, names in enumerate(lessons):
                    note(f"{AT_ONCE} requests at once, {nth + 1} of {2 * BURSTS}")
                    ask_at_once(port, internal_port, token, names, results, opened=nth % 2 == 0)

            asyncio.run(measure())


def sockets_part(folder: Path, seconds: float, results: Results) -> None:
    """500 and 1,000 sockets over two api processes."""
    with engines(folder / "data", redis=False) as urls:
        migrate(urls.database_url or "")
        with ours(folder, urls.database_url or "", pod_python("api", sys.executable)) as system:
            for count in SOCKETS:
                note(f"{count} sockets")
                asyncio.run(talk(system, count, seconds, results))


def main(
    html: Annotated[Path, typer.Option(help="Where the page for people goes.")] = Path("loadtest.html"),
    seconds: Annotated[float, typer.Option(min=1, help="How long the sockets talk, each number of them.")] = 10.0,
    day: Annotated[
        int, typer.Option(min=0, help="Reports of the compressed day (it takes 5 minutes); 0: none.")
    ] = 3000,
) -> None:
    """Measure, print, and write the page."""
    results = Results()
    try:
        with tempfile.TemporaryDirectory(prefix="ab-load-") as name:
            parts = [Path(name, part) for part in ("reports", "sockets", "day")]
            for part in parts:
                part.mkdir()
            reports_part(parts[0], results)
            sockets_part(parts[1], seconds, results)
            if day:
                note(f"a day of {day} reports, compressed")
                results.day = asyncio.run(queue_day.simulate(parts[2], day))
                target = 10_000 * day / 3_000
                results.add(f"day_of_{day}_reports_redis_commands", results.day.commands, "commands", target=target)
                results.add("day_last_report_after_16h", results.day.ends_s / 3600, "h", target=8)
    except BenchError as error:
        note(f"loadtest: {error}")
        raise typer.Exit(2) from None
    html.write_text(page(results.figures, results.posts_ms, results.done_s, results.acks_ms, results.day), "utf-8")
    note(f"the page for people: {html}")
    raise typer.Exit(report("loadtest", results.figures))


if __name__ == "__main__":
    typer.run(main)
