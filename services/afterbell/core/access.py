"""Who may do what: roles for actions, and taking part for what is about one session."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from afterbell.core.report.report import Role

Action = Literal[
    "import_session",
    "request_report",
    "read_report",
    "read_messages",
    "send_message",
    "manage_webhook",
    "export_student",
    "erase_student",
    "read_audit_log",
]

_EVERYONE: Final = frozenset[Role]({"student", "tutor", "parent", "staff", "admin"})
_ALLOWED: Final[dict[Action, frozenset[Role]]] = {
    "import_session": frozenset({"tutor", "staff", "admin"}),
    "request_report": frozenset({"tutor", "staff", "admin"}),
    "read_report": _EVERYONE,
    "read_messages": frozenset({"student", "tutor", "staff", "admin"}),
    "send_message": frozenset({"student", "tutor", "staff", "admin"}),
    "manage_webhook": frozenset({"admin"}),
    "export_student": frozenset({"admin"}),
    "erase_student": frozenset({"admin"}),
    "read_audit_log": frozenset({"admin"}),
}
_WHOLE_TENANT: Final = frozenset[Role]({"staff", "admin"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a verified token speaks for. ``students`` are the children a parent may read about."""

    subject: str
    tenant: str
    role: Role
    students: frozenset[str] = frozenset()


def actor_of(caller: Caller) -> str:
    """How the audit log names the caller: ``role:subject``."""
    return f"{caller.role}:{caller.subject}"


def may(caller: Caller, action: Action) -> bool:
    """Whether the role is one that does this at all."""
    return caller.role in _ALLOWED[action]


def sees_whole_tenant(caller: Caller) -> bool:
    """Staff see every session of their tenant; the others only what they take part in."""
    return caller.role in _WHOLE_TENANT


def takes_part(caller: Caller, participant_ids: Iterable[str]) -> bool:
    """Whether a session with these participants is the caller's to see. A parent sees through the child."""
    if sees_whole_tenant(caller):
        return True
    return not reads_as(caller).isdisjoint(participant_ids)


def may_in(caller: Caller, action: Action, participant_ids: Collection[str]) -> bool:
    """Whether the caller may do this in the session with these participants; nobody may where there are none.

    Only participants speak for themselves: whoever sees the whole tenant reads without being one.
    """
    if not may(caller, action) or not participant_ids or not takes_part(caller, participant_ids):
        return False
    return action != "send_message" or caller.subject in participant_ids


def reads_as(caller: Caller) -> frozenset[str]:
    """The participants whose part of a session is the caller's: their own id, or a parent's children."""
    return caller.students if caller.role == "parent" else frozenset({caller.subject})
