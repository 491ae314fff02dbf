"""The fields of every answer of a script, in order: the only list of them, for Python and for Lua.

A script returns ``answer('poll', {jobs = …, gate = …})``, which becomes a list in this order and fails where a field is
missing; ``read`` makes a dict of it again. So a field is named on both sides, and a name costs nothing on the wire.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from afterbell.core.queue.stats import QueueLoad, WorkerSeen

LOAD: Final = "load"
ANSWERS: Final[Mapping[str, tuple[str, ...]]] = {
    LOAD: tuple(field.name for field in fields(QueueLoad)),
    "job": ("job_id", "payload", "run", "failures"),
    "poll": (
        "jobs",
        "given_up",
        "come_back_ms",
        "gate",
        "lost",
        "unknown",
        "cancelled",
        "commands_today",
        "at_ms",
        "troubled",
    ),
    "stats": (
        "load",
        "dead",
        "idle_workers",
        "starts_in_window",
        "lanes",
        "commands_today",
        "owners",
        "drained",
        "memory_bytes",
        "memory_max_bytes",
        "evicts",
    ),
    "why": (
        "load",
        "held_ms",
        "starts_in_window",
        "opens_in_ms",
        "there",
        "idle",
        "owners",
        "drained",
        "lost_most",
        "models",
    ),
    "model": ("name", "trips", "wait_ms"),
    "workers": ("workers", "drained"),
    "worker": tuple(field.name for field in fields(WorkerSeen)),
    "permit": ("wait_ms", "any_wait_ms", "is_probe"),
    "usage": ("requests", "tokens", "in_flight"),
}


def read(name: str, answer: Sequence[Any]) -> dict[str, Any]:
    """The answer's values by field. Raises ValueError for another number of values: another version wrote it."""
    return dict(zip(ANSWERS[name], answer, strict=True))


def as_lua(names: Iterable[str]) -> str:
    """The same lists for a script, as its ``FIELDS``."""
    lists = (f"{name} = {{{', '.join(map(repr, ANSWERS[name]))}}}" for name in names)
    return f"local FIELDS = {{{', '.join(lists)}}}"
