"""A real report takes the walk that docs/explanation/walk.md tells."""

import sys
import uuid
from pathlib import Path
from types import FrameType
from typing import Final

import pytest
from pydantic import SecretStr
from tests.architecture.test_walk import BACK, BESIDE, PACKAGE, STEPS, WATCHED

from afterbell.cli import demo
from afterbell.cli.session_files import read_sessions
from afterbell.settings import StoreSettings

# The worker's first poll of an empty queue grants nothing, and is no step of a report.
ACCEPTED: Final = ("adapters/queue/consumer.py", "Consumer._accept")


@pytest.mark.engines
async def test_a_real_report_takes_that_walk(
    redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERBELL_QUEUE", f"walk-{uuid.uuid4().hex}")
    found = StoreSettings(redis_url=SecretStr(redis_url), database_url=SecretStr(database_url))
    recorder = Recorder()
    sys.setprofile(recorder)
    try:
        code = await demo.run(found, read_sessions(None), pace="none", as_json=True)
    finally:
        sys.setprofile(None)
    assert code == 0
    assert recorder.seen == [*STEPS, *BACK]
    passed = {file for file in recorder.files if file.startswith(WATCHED)}
    assert passed - {file for file, _ in STEPS} - {*BESIDE} == set(), "tell it in docs/explanation/walk.md"


class Recorder:
    """A profiler: the first call of each step, and every file of ours that runs from the request to the reading."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.files: set[str] = set()
        self._steps = {(str(PACKAGE / file), name): (file, name) for file, name in (*STEPS, *BACK)}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        path = frame.f_code.co_filename
        if event != "call" or not path.startswith(str(PACKAGE)):
            return
        step = self._steps.get((path, frame.f_code.co_qualname))
        if step and step not in self.seen and not (step == ACCEPTED and not frame.f_locals["polled"].grants):
            self.seen.append(step)
        if self.seen and BACK[-1] not in self.seen:
            self.files.add(Path(path).relative_to(PACKAGE).as_posix())
