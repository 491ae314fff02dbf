"""A real report takes the walk that docs/explanation/walk.md tells."""

import asyncio
import sys
import uuid
from types import FrameType
from typing import Any

import pytest
from pydantic import SecretStr
from tests.architecture.test_walk import PACKAGE, STEPS

from afterbell.cli import demo
from afterbell.cli.sessions import read_sessions
from afterbell.settings import StoreSettings


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
