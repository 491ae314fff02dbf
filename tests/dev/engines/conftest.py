"""Fixtures of the embedded engines' own tests."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.engine_probes import User
from tests.support.engines import require_wheels


@pytest.fixture(autouse=True)
def _wheels() -> None:
    require_wheels("valkey", "postgres")


@pytest.fixture
def user() -> Iterator[Callable[..., User]]:
    """Starts user processes and sees to it that none is left."""
    with contextlib.ExitStack() as stack:

        def start(*args: Any, **options: Any) -> User:
            started = User(*args, **options)
            stack.callback(started.kill)
            return started

        yield start
