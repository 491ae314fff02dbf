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
    """Keep with the run's results what a step took and was to take at most; more fails with ``--timed`` only.

    Seconds, where the name says nothing else. How long something takes is a matter of the machine, and a busy one must
    not make a right change look wrong.
    """

    def note(what: str, took: float, at_most: float) -> None:
        record_testsuite_property(what, f"{took:.3f} of {at_most:g}")
        if request.config.getoption("--timed"):
            assert took <= at_most, f"{what}: {took:.3f} instead of {at_most:g} at most"

    return note
