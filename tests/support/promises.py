"""What a step was promised to take at most: kept with each run, asserted where the machine has nothing else to do."""

from collections.abc import Callable

import pytest

Promised = Callable[[str, float, float], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--timed",
        action="store_true",
        help="fail too where something takes longer than promised: for a machine that has nothing else to do",
    )


@pytest.fixture(scope="session")
def promised(request: pytest.FixtureRequest, record_testsuite_property: Callable[[str, object], None]) -> Promised:
    """Keep with the run's results what a step took and was to take, in seconds; too long fails with ``--timed`` only.

    What takes how long is a matter of the machine: a busy one must not make a right change look wrong.
    """

    def note(what: str, took_s: float, at_most_s: float) -> None:
        record_testsuite_property(what, f"{took_s:.3f} s of {at_most_s:g} s")
        if request.config.getoption("--timed"):
            assert took_s <= at_most_s, f"{what}: {took_s:.3f} s instead of {at_most_s:g} s at most"

    return note
