"""Which jobs a command is about: the filter options, once for listing and for acting."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Final

import typer

from afterbell.core.errors import InvalidInput

STATE = Annotated[
    list[str] | None,
    typer.Option(help="queued, deferred, running, succeeded, failed or cancelled; repeatable."),
]
TENANT = Annotated[str | None, typer.Option(help="Only this tenant.")]
SESSION = Annotated[str | None, typer.Option(help="Only this session.")]
PARTICIPANT = Annotated[str | None, typer.Option(help="Only sessions with this participant id.")]
ERROR = Annotated[str | None, typer.Option(help="Only jobs whose error contains this text.")]
SINCE = Annotated[str | None, typer.Option(help="Only jobs requested within this time: 90s, 15m, 2h or 7d.")]
OLDER = Annotated[str | None, typer.Option("--older-than", help="Only jobs requested longer ago: 90s, 15m, 2h or 7d.")]
PARKED = Annotated[bool, typer.Option("--parked", help="Only jobs that the queue cannot take.")]
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def where_of(
    state: STATE = None,
    tenant: TENANT = None,
    session: SESSION = None,
    participant: PARTICIPANT = None,
    error: ERROR = None,
    since: SINCE = None,
    older_than: OLDER = None,
    parked: PARKED = False,
) -> dict[str, Any]:
    """The filters that were given, as the API names them. Raises InvalidInput for an invalid duration."""
    given = {
        "state": state,
        "tenant": tenant,
        "session": session,
        "participant": participant,
        "error": error,
        "newer_than_s": seconds_of(since),
        "older_than_s": seconds_of(older_than),
        "parked": parked or None,
    }
    return {name: value for name, value in given.items() if value not in (None, [])}


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes ``where``, with the filter options in its place."""
    filters = inspect.signature(where_of).parameters
    taken = list(inspect.signature(command).parameters.values())
    position = [parameter.name for parameter in taken].index("where")
    shown = [*taken[:position], *filters.values(), *taken[position + 1 :]]

    @wraps(command)
    def run(**given: Any) -> None:
        command(where=where_of(**{name: given.pop(name) for name in filters}), **given)

    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return run


def seconds_of(duration: str | None) -> float | None:
    """Seconds of a duration such as 90s, 15m, 2h or 7d (kubectl's --since). Raises InvalidInput otherwise."""
    if duration is None:
        return None
    number, unit = duration[:-1], duration[-1:]
    if not number.isascii() or not number.isdigit() or unit not in _SECONDS:
        raise InvalidInput(f"invalid duration {duration!r}: use a whole number with s, m, h or d, such as 90s or 2h")
    return float(number) * _SECONDS[unit]
