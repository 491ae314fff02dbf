"""A real report takes the walk that docs/explanation/walk.md tells, which counts every file it passes through."""

import sys
import threading
import uuid
from pathlib import Path
from types import FrameType
from typing import Final

import pytest
from pydantic import SecretStr
from tests.architecture.test_walk import BACK, BESIDE, PACKAGE, STEPS, WATCHED, rooms

from afterbell.cli import demo
from afterbell.cli.session_files import read_sessions
from afterbell.settings import StoreSettings

# The worker's first poll of an empty queue grants nothing, and is no step of a report.
ACCEPTED: Final = ("adapters/queue/consumer.py", "Consumer._accept")
# The demo, which asks for the report, and its model.
AROUND: Final = ("cli/", "dev/")


@pytest.mark.engines
async def test_a_real_report_takes_that_walk(
    redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERBELL_QUEUE", f"walk-{uuid.uuid4().hex}")
    stores = StoreSettings(redis_url=SecretStr(redis_url), database_url=SecretStr(database_url))
    recorder = Recorder()
    threading.settrace(recorder)  # what is read and gated runs in threads
    sys.settrace(recorder)
    try:
        code = await demo.run(stores, read_sessions(None), pace="none", as_json=True)
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
    assert code == 0
    assert recorder.steps == [*STEPS, *BACK]
    beside = recorder.files - {file for file, _ in STEPS} - {*BESIDE}
    uncounted = {file for file in beside if file.startswith(WATCHED) or not file.startswith((*rooms(), *AROUND))}
    assert uncounted == set(), "tell it in docs/explanation/walk.md"


class Recorder:
    """A tracer of calls: the first of each step, and every file of ours that runs from the request to the reading."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []
        self.files: set[str] = set()
        self._wanted = {(str(PACKAGE / file), name): (file, name) for file, name in (*STEPS, *BACK)}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        path = frame.f_code.co_filename
        if event != "call" or not path.startswith(str(PACKAGE)):
            return
        step = self._wanted.get((path, frame.f_code.co_qualname))
        if step and step not in self.steps and not (step == ACCEPTED and not frame.f_locals["polled"].grants):
            self.steps.append(step)
        if self.steps and BACK[-1] not in self.steps:
            self.files.add(Path(path).relative_to(PACKAGE).as_posix())
