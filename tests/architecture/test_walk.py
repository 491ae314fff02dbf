"""The walk of one report: docs/explanation/walk.md names twelve files, and each hands over to the next.

``tests/flows/test_report_walk.py`` runs a real report along it.
"""

import ast
import importlib
import re
from pathlib import Path
from typing import Any, Final

import pytest
from tests.architecture.repository import ROOT, SERVICES, read

WALK: Final = "docs/explanation/walk.md"
LINES_MAX: Final = 100
PACKAGE: Final = SERVICES / "afterbell"
# Each file with the function the report passes through there.
STEPS: Final = (
    ("api/reports/routes.py", "request_report"),
    ("adapters/db/reports/requests.py", "ReportRequests.request"),
    ("api/reports/outbox.py", "Outbox.offer"),
    ("adapters/queue/redis_queue.py", "Queue.enqueue"),
    ("adapters/queue/consumer.py", "Consumer._accept"),
    ("adapters/queue/taskiq_broker.py", "_OutcomeMiddleware.pre_execute"),
    ("worker/tasks.py", "bind.<locals>.write_report"),
    ("worker/pipeline.py", "ReportPipeline.run"),
    ("worker/writer.py", "ReportWriter.write"),
    ("worker/metered.py", "MeteredModels.write"),
    ("adapters/models/model_client.py", "ModelClient.write"),
    ("adapters/db/reports/rows.py", "finish"),
)
BACK: Final = (
    ("adapters/queue/taskiq_broker.py", "_OutcomeMiddleware.post_execute"),
    ("adapters/queue/consumer.py", "Consumer.settle"),
    ("api/reports/routes.py", "read_report"),
)
# Where a hand-over may hide: every file of these folders that a report runs through is a step, or is named at the end.
# Of all other folders the room is named there.
WATCHED: Final = ("api/reports/", "adapters/queue/", "worker/")
BESIDE: Final = (
    "api/reports/sweeper.py",
    "api/reports/throughput.py",
    "adapters/queue/answers.py",
    "adapters/queue/keys.py",
    "adapters/queue/message.py",
    "adapters/queue/script_client.py",
    "worker/attempt.py",
    "worker/main.py",
    "worker/material.py",
    "worker/progress_writer.py",
    "worker/report_metrics.py",
)
# Who hands the report over, what it calls, and where that is defined. A store lies between enqueue and poll.
HANDOVERS: Final = (
    ("api/reports/routes.py", "requests.request", "adapters/db/reports/requests.py", "ReportRequests.request"),
    ("api/reports/routes.py", "outbox.offer", "api/reports/outbox.py", "Outbox.offer"),
    ("api/reports/outbox.py", "_queue.enqueue", "adapters/queue/redis_queue.py", "Queue.enqueue"),
    ("adapters/queue/consumer.py", "_queue.poll", "adapters/queue/redis_queue.py", "Queue.poll"),
    ("worker/tasks.py", "pipeline.run", "worker/pipeline.py", "ReportPipeline.run"),
    ("worker/pipeline.py", "writer.write", "worker/writer.py", "ReportWriter.write"),
    ("worker/pipeline.py", "_models.write", "worker/metered.py", "MeteredModels.write"),
    ("worker/metered.py", "client.write", "adapters/models/model_client.py", "ModelClient.write"),
    ("worker/pipeline.py", "reports.finish", "adapters/db/reports/rows.py", "finish"),
    ("api/reports/routes.py", "reports.newest_finished", "adapters/db/reports/rows.py", "newest_finished"),
)
ROW: Final = re.compile(r"^\|([^|]+)\|", re.MULTILINE)
IN_CODE: Final = re.compile(r"`([A-Za-z_][\w.]*)(?:\(\))?`")


def test_the_walk_names_its_files_in_order() -> None:
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


def test_what_stands_beside_the_way_is_named() -> None:
    beside = read(WALK).partition("## Beside the way")[2]
    assert [file for file in BESIDE if f"`{file.rpartition('/')[2]}`" not in beside] == []


def test_the_rooms_beside_the_way_are_there() -> None:
    assert [room for room in rooms() if not (PACKAGE / room).exists()] == []


def test_every_name_in_the_walk_is_in_one_of_its_files() -> None:
    files = {file for file, _ in (*STEPS, *BACK)} | {
        file for handover in HANDOVERS for file in (handover[0], handover[2])
    }
    code = {word for file in files for word in re.findall(r"\w+", (PACKAGE / file).read_text("utf-8"))}
    names = [name for name in IN_CODE.findall(read(WALK)) if not name.endswith(".py")]
    named = {part for name in names for part in name.split(".")}
    assert named - code == set()


def rooms() -> tuple[str, ...]:
    """The folders and files that the table at the end of the walk names: ``core/money/``, ``core/session.py``."""
    return tuple(room for row in ROW.findall(read(WALK)) for room in re.findall(r"`([\w/]+(?:/|\.py))`", row))


def calls(path: Path) -> set[str]:
    """The last two names of every call in a file: ``services.outbox.offer()`` as ``outbox.offer``."""
    tree = ast.parse(path.read_text("utf-8"))
    spelled = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {".".join(call.split(".")[-2:]) for call in spelled}


def defined(file: str, name: str) -> bool:
    value: Any = importlib.import_module(f"afterbell.{file.removesuffix('.py').replace('/', '.')}")
    for part in name.split("."):
        value = getattr(value, part)
    return callable(value) and (ROOT / "services" / "afterbell" / file).is_file()
