"""How sparing to be with Redis commands: guarantees stay, only what is sent to be early is sent later."""

from dataclasses import dataclass
from typing import Final

THRIFTY_FROM: Final = 0.8


@dataclass(frozen=True, slots=True)
class Pace:
    """``renew_after``: the share of a lease after which it is renewed; ``tick_factor`` stretches the safety tick.

    A third leaves room for two lost renewals, two thirds for none, so that a thrifty worker that meets a slow Redis
    may lose a job to another one: it then runs twice, and PostgreSQL keeps one result.
    """

    thrifty: bool
    renew_after: float
    tick_factor: float


_USUAL: Final = Pace(thrifty=False, renew_after=1 / 3, tick_factor=1.0)
_THRIFTY: Final = Pace(thrifty=True, renew_after=2 / 3, tick_factor=4.0)


def pace_of(commands_today: int, budget: int | None) -> Pace:
    """The pace for what the whole fleet has sent today of its daily ``budget`` (None: no budget)."""
    if budget is None or commands_today < budget * THRIFTY_FROM:
        return _USUAL
    return _THRIFTY
