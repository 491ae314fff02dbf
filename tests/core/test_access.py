"""Who may do what in a session, given who takes part in it."""

import pytest

from afterbell.core.access import Action, Caller, may_in

PEOPLE = frozenset({"okan", "mina"})


@pytest.mark.parametrize(
    ("caller", "action", "allowed"),
    [
        (Caller("mina", "school", "student"), "read_messages", True),
        (Caller("mina", "school", "student"), "send_message", True),
        (Caller("leo", "school", "student"), "read_messages", False),
        (Caller("leo", "school", "student"), "send_message", False),
        (Caller("boss", "school", "staff"), "read_messages", True),
        (Caller("boss", "school", "staff"), "send_message", False),
        (Caller("mother", "school", "parent", frozenset({"mina"})), "read_report", True),
        (Caller("mother", "school", "parent", frozenset({"mina"})), "read_messages", False),
        (Caller("mina", "school", "parent", frozenset({"leo"})), "read_report", False),
        (Caller("mother", "school", "parent"), "read_report", False),
    ],
)
def test_the_record_of_who_takes_part_decides(caller: Caller, action: Action, allowed: bool) -> None:
    assert may_in(caller, action, PEOPLE) is allowed


def test_nobody_may_do_anything_in_a_session_that_is_gone() -> None:
    for role in ("student", "tutor", "staff", "admin"):
        assert not may_in(Caller("mina", "school", role), "read_messages", frozenset())
