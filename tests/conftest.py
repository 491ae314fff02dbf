"""Fixtures and settings every folder of tests may use."""

import signal

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.support.attacks",
    "tests.support.cluster",
    "tests.support.engines",
    "tests.support.groups",
    "tests.support.promises",
]

# How long an example takes is a matter of the machine; the rest is Hypothesis's own profile, where CI has another.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A shell starts what it runs in the background with SIGINT ignored, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Drawing a traceback with rich takes most of a second, in which an event loop under test stands still.
*_before, _ = structlog.get_config()["processors"]
structlog.configure(
    processors=[*_before, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """What runs a test that is `async def`."""
    return "asyncio"
