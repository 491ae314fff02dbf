"""Wait for what happens beside the test: the only places where a test asks again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
# Asked seldom enough that the asking, which may be a command of kubectl, takes no core for itself.
POLL_S = 0.05


def until(
    holds: Callable[[], T], what: str | Callable[[], str] = "", *, within_s: float = 60, poll_s: float = POLL_S
) -> T:
    """Ask again and again and return the first answer that is true.

    ``what`` is waited for, or says how far it came. Raises TimeoutError, which tells it, after ``within_s`` seconds.
    """
    deadline = time.monotonic() + within_s
    while not (answer := holds()):
        if time.monotonic() > deadline:
            raise _in_vain(holds, what, within_s)
        time.sleep(poll_s)
    return answer


async def eventually(
    holds: Callable[[], T | Awaitable[T]],
    what: str | Callable[[], str] = "",
    *,
    within_s: float = 60,
    poll_s: float = POLL_S,
) -> T:
    """The same beside a running loop; the question may be asked by a coroutine."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                given = holds()
                if answer := (await given if isinstance(given, Awaitable) else given):
                    return answer
                await asyncio.sleep(poll_s)
    except TimeoutError:
        raise _in_vain(holds, what, within_s) from None


def _in_vain(holds: Callable[[], object], what: str | Callable[[], str], within_s: float) -> TimeoutError:
    waited_for = what() if callable(what) else what or getattr(holds, "__qualname__", repr(holds))
    return TimeoutError(f"waited {within_s:g} s in vain for {waited_for[-6000:]}")
