"""One contract for everything that runs beside the requests.

- A ``Service`` is a loop that lasts as long as its process: started once, and stopped for certain. Should it end by
  itself, that is logged with its name and traceback, and /readyz of the process says so (``failed_services``).
- ``repeat`` is how such a loop goes on: one act after another, one back-off, one way to log what went wrong.
- ``Background`` holds short work that must outlive the one who began it: bookings, deliveries, close frames.

Stopping cancels until the task has heard it: redis-py loses a cancellation that meets a connection being made, and a
loop that was cancelled once only would then go on for ever.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeVar

import structlog

from afterbell.core.backoff import Backoff
from afterbell.core.errors import StoreUnavailable

CANCEL_AGAIN_S: Final = 0.5
SOON: Final = Backoff()
Result = TypeVar("Result")

_failed: Final[set["Service"]] = set()
log = structlog.get_logger(__name__)


class Service:
    """The loop ``run`` under a ``name``. Starting what runs, or stopping what does not, changes nothing.

    ``finish``, where there is one, asks the loop to end by itself; without it the loop is cancelled.
    """

    def __init__(
        self, name: str, run: Callable[[], Coroutine[Any, Any, None]], *, finish: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self.failure: Exception | None = None
        self._run, self._finish = run, finish
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def ended(self) -> bool:
        """Whether it was started and runs no more."""
        return self._task is not None and self._task.done()

    def start(self) -> None:
        """Begin, inside the running event loop."""
        if self._task is None:
            self._stopping, self.failure = False, None
            self._task = asyncio.create_task(self._watched(), name=self.name)

    async def stop(self) -> None:
        """Return once the loop has ended. Never raises what it ended with."""
        self._stopping = True
        if self._task is not None:
            if self._finish is None:
                await cancel_until_ended([self._task])
            else:
                self._finish()
                await asyncio.wait([self._task])
        self._task = None
        _failed.discard(self)

    async def _watched(self) -> None:
        try:
            await self._run()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self._stopping or (task is not None and task.cancelling()):
                raise
            self._fail(RuntimeError(f"{self.name} awaited something that was cancelled"), error)
        except Exception as error:
            self._fail(error, error)
        else:
            if not self._stopping:
                self._fail(RuntimeError(f"{self.name} returned"), None)

    def _fail(self, failure: Exception, shown: BaseException | None) -> None:
        self.failure = failure
        _failed.add(self)
        log.error("service_ended", service=self.name, error=str(failure), exc_info=shown)


async def stop_all(services: Collection[Service]) -> None:
    """Stop all of them side by side."""
    await asyncio.gather(*(service.stop() for service in services))


def failed_services() -> list[str]:
    """Names of the services of this process that ended by themselves and were not stopped since."""
    return sorted(service.name for service in _failed)


async def cancel_until_ended(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel until each task has ended, and never raise what it ended with."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)  # each outcome counts as retrieved


async def until_first_ends(*parts: Coroutine[Any, Any, Any]) -> None:
    """Run ``parts`` side by side; when the first ends, end the others and raise what it raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_until_ended(tasks)
    for task in done:
        task.result()


async def wait_until(event: asyncio.Event, within_s: float) -> bool:
    """Whether ``event`` is set, or was within so many seconds.

    Not ``wait_for``: before Python 3.12 it loses a cancellation that comes together with the event.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
    return event.is_set()


async def repeat(
    act: Callable[[], Awaitable[float | None]],
    *,
    name: str,
    every_s: float = 0.0,
    backoff: Backoff = SOON,
    wake: asyncio.Event | None = None,
    passing: tuple[type[Exception], ...] = (StoreUnavailable,),
) -> NoReturn:
    """Call ``act`` until cancelled, through whatever it raises.

    The next call comes after the seconds that ``act`` returned, after ``every_s`` where it returned None, or when
    ``wake`` is set meanwhile; after a failure in any case not before ``backoff`` says so. ``passing`` are the errors
    that waiting helps against: the first in a row is a warning. Any other is logged each time, the first in a row with
    its traceback. An act that lasted longer than the longest wait before it failed begins a new row.
    """
    now = asyncio.get_running_loop().time
    failures = 0
    while True:
        if wake is not None:
            wake.clear()
        began = now()
        try:
            wait_s = await act()
        except Exception as error:
            failures = 1 if now() - began > backoff.longest_s else failures + 1
            _log_failure(name, error, failures, isinstance(error, passing))
            await asyncio.sleep(backoff.wait_s(failures, random.random()))  # noqa: S311  # spreads load, guards nothing
            continue
        if failures:
            log.info("service_recovered", service=name, failures=failures)
            failures = 0
        wait_s = every_s if wait_s is None else wait_s
        if wake is None:
            await asyncio.sleep(wait_s)
        else:
            await wait_until(wake, wait_s)


def _log_failure(name: str, error: Exception, failures: int, is_passing: bool) -> None:
    text = f"{type(error).__name__}: {error}"
    if not is_passing:
        shown = error if failures == 1 else None
        log.error("service_round_failed", service=name, failures=failures, error=text, exc_info=shown)
    elif failures == 1:
        log.warning("service_waits", service=name, error=text)


class Background:
    """Short work that nobody need wait for, held until it ends. What fails is logged with its traceback."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        """Begin ``work`` in a task of its own."""
        task = asyncio.create_task(work, name=self.name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def finish(self, within_s: float) -> None:
        """Return when all of it has ended, after so many seconds in any case."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)

    async def stop(self) -> None:
        """End all of it now."""
        await cancel_until_ended(list(self._tasks))

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background_failed", work=self.name, exc_info=error)
