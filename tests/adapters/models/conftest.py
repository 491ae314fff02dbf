"""A stub that the clients of both APIs are tried on, and what it heard."""

from collections.abc import Iterator

import pytest
from tests.dev.stub.running import KEY, Heard, serving

from afterbell.dev.stub.app import create_app
from afterbell.dev.stub.settings import StubSettings


@pytest.fixture(scope="module")
def heard() -> Heard:
    return Heard(create_app(StubSettings(api_key=KEY)))


@pytest.fixture(scope="module")
def url(heard: Heard) -> Iterator[str]:
    with serving(heard) as address:
        yield address
