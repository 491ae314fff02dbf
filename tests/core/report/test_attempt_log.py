"""The kept lines of a try stay few, small and harmless, whatever is logged."""

import json

import pytest

from afterbell.core.report.attempt_log import BYTES_MAX, LINES_MAX, TryLog, harmless

HOSTILE = [
    "\x00",
    "\x1b[2J\x1b]0;owned\x07",
    "\ud800",
    "\u202eevil",
    "\r\n\x85",
    "</script>",
    "\U0001d54a" * 3000,
    '"' * 9000,
    "\\" * 9000,
]


def sent(log: TryLog) -> int:
    return len(json.dumps(log.lines(), ensure_ascii=False, separators=(",", ":")).encode())


def test_short_tries_are_kept_whole_and_in_order() -> None:
    log = TryLog()
    for number in range(40):
        log.add({"event": "step", "number": number})
    assert [line["number"] for line in log.lines()] == [str(number) for number in range(40)]


@pytest.mark.parametrize("text", ["x", "x" * 1_000_000, *HOSTILE])
def test_however_much_is_logged_the_bounds_hold_and_beginning_and_end_are_kept(text: str) -> None:
    log = TryLog()
    for number in range(200):
        log.add({"event": f"step_{number}", "exception": text, **{f"field{n}": text for n in range(5)}})
    log.add({"event": "last"} | {f"field{n}": text for n in range(30)})
    lines = log.lines()
    assert len(lines) <= LINES_MAX
    assert sent(log) <= BYTES_MAX
    assert lines[0]["event"] == "step_0"
    assert lines[-1]["event"] == "last"
    assert any(line["event"] == "lines_left_out" for line in lines)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_kept_is_what_postgresql_and_a_terminal_take(text: str) -> None:
    log = TryLog()
    log.add({"event": "step", "error": text})
    (line,) = log.lines()
    assert all(char.isprintable() or char in "\n\t" for char in line["error"])
    line["error"].encode()


def test_a_stack_of_a_megabyte_is_cut_and_says_how_much() -> None:
    cut = harmless("first" + "x" * 1_000_000 + "last")
    assert len(cut) < 2_100
    assert cut.startswith("first")
    assert cut.endswith("last")
    assert "…998009 characters cut…" in cut
    assert harmless("line one\n\tline two") == "line one\n\tline two"
