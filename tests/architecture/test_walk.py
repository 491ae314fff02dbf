"""The walk of one report: the six files of docs/explanation/walk.md, in order, by reading and by running."""

import ast
import asyncio
import importlib
import re
import sys
import uuid
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from pydantic import SecretStr
from tests.architecture.repository import ROOT, SERVICES, read

from afterbell.cli import demo
from afterbell.cli.sessions import read_sessions
from afterbell.settings import StoreSettings

WALK: Final = "docs/explanation/walk.md"
LINES_MAX: Final = 60
PACKAGE: Final = SERVICES / "afterbell"
# Each file with the function the report passes through there.
STEPS: Final = (
    ("api/routes/reports.py", "request_report"),
    ("adapters/db/requests.py", "ReportRequests.request"),
    ("api/outbox.py", "Outbox.offer"),
    ("adapters/redis/queue.py", "Queue.put"),
    ("adapters/redis/consumer.py", "Consumer._accept"),
    ("worker/pipeline.py", "ReportPipeline.run"),
)
# Who hands the report over, what it calls, and where that is defined. A store lies between put and take.
HANDOVERS: Final = (
    ("api/routes/reports.py", "requests.request", "adapters/db/requests.py", "ReportRequests.request"),
    ("api/routes/reports.py", "outbox.offer", "api/outbox.py", "Outbox.offer"),
    ("api/outbox.py", "_queue.put", "adapters/redis/queue.py", "Queue.put"),
    ("adapters/redis/consumer.py", "_queue.take", "adapters/redis/queue.py", "Queue.take"),
    ("worker/tasks.py", "consumer.running", "adapters/redis/consumer.py", "Consumer.running"),
    ("worker/tasks.py", "pipeline.run", "worker/pipeline.py", "ReportPipeline.run"),
    ("worker/pipeline.py", "reports.finish", "adapters/db/reports.py", "finish"),
    ("api/routes/reports.py", "reports.newest_finished", "adapters/db/reports.py", "newest_finished"),
)
IN_CODE: Final = re.compile(r"`([A-Za-z_][\w.]*)(?:\(\))?`")


def test_the_walk_names_the_six_files_in_order() -> None:
    text = read(WALK)
    places = [text.find(f"## {number}. `services/afterbell/{file}`") for number, (file, _) in enumerate(STEPS, start=1)]
    assert -1 not in places
    assert places == sorted(places)


def test_the_walk_is_short() -> None:
    assert len(read(WALK).splitlines()) <= LINES_MAX


@pytest.mark.parametrize(("caller", "call", "file", "name"), HANDOVERS, ids=str)
def test_each_file_hands_over_to_the_next(caller: str, call: str, file: str, name: str) -> None:
    assert call in calls(PACKAGE / caller)
    assert defined(file, name)
    assert f"`{name}`" in read(WALK)


def test_every_name_in_the_walk_is_in_one_of_its_files() -> None:
    files = {file for file, _ in STEPS} | {file for handover in HANDOVERS for file in (handover[0], handover[2])}
    code = {word for file in files for word in re.findall(r"\w+", (PACKAGE / file).read_text("utf-8"))}
    named = {part for name in IN_CODE.findall(read(WALK)) for part in name.split(".")}
    assert named - code == set()


@pytest.mark.engines
def test_a_real_report_takes_that_walk(redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERBELL_QUEUE", f"walk-{uuid.uuid4().hex}")
    found = StoreSettings(redis_url=SecretStr(redis_url), database_url=SecretStr(database_url))
    seen: list[tuple[str, str]] = []
    sys.setprofile(recorder(seen))
    try:
        code = asyncio.run(demo.run(found, read_sessions(None), pace="none", as_json=True))
    finally:
        sys.setprofile(None)
    assert code == 0
    assert seen == [*STEPS, ("api/routes/reports.py", "read_report")]


def recorder(seen: list[tuple[str, str]]) -> Any:
    """A profiler that notes the first call of each step, and of reading the report back."""
    steps = {(str(PACKAGE / file), name): (file, name) for file, name in (*STEPS, (STEPS[0][0], "read_report"))}
    accepted_something = ("adapters/redis/consumer.py", "Consumer._accept")

    def note(frame: FrameType, event: str, _: object) -> None:
        step = steps.get((frame.f_code.co_filename, frame.f_code.co_qualname)) if event == "call" else None
        if step is None or step in seen:
            return
        if step == accepted_something and not frame.f_locals["taken"].grants:
            return  # the worker's first look at an empty queue
        seen.append(step)

    return note


def calls(path: Path) -> set[str]:
    """The last two names of every call in a file: ``services.outbox.offer()`` as ``outbox.offer``."""
    tree = ast.parse(path.read_text("utf-8"))
    spelled = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {".".join(one.split(".")[-2:]) for one in spelled}


def defined(file: str, name: str) -> bool:
    found: Any = importlib.import_module(f"afterbell.{file.removesuffix('.py').replace('/', '.')}")
    for part in name.split("."):
        found = getattr(found, part)
    return callable(found) and (ROOT / "services" / "afterbell" / file).is_file()
