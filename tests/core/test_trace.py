"""W3C Trace Context, read and written."""

import pytest

from afterbell.core.trace import SPAN_BYTES, TRACE_BYTES, Trace, begun, read

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_what_is_read_is_written_again() -> None:
    parsed = read(GIVEN)
    assert parsed == Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "01")
    assert parsed.header == GIVEN


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    parsed = read(GIVEN.replace("00-", "cc-", 1) + "-what-comes-then")
    assert parsed is not None
    assert parsed.header == GIVEN


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        GIVEN + "-more",
        "ff" + GIVEN[2:],
        GIVEN.upper(),
        GIVEN[:-1],
        " " + GIVEN,
        GIVEN + "\n",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        "x" * 100_000,
    ],
)
def test_what_breaks_the_specification_is_no_trace(header: str | None) -> None:
    assert read(header) is None


def test_a_step_keeps_the_trace_and_has_an_id_of_its_own() -> None:
    first = begun(bytes(range(1, TRACE_BYTES + SPAN_BYTES + 1)))
    step = first.child(b"\xff" * SPAN_BYTES)
    assert read(step.header) == step
    assert (step.trace_id, step.span_id) == (first.trace_id, "ff" * SPAN_BYTES)
