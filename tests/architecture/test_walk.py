"""The walk of one report: docs/explanation/walk.md names six files, and each hands over to the next.

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
