"""A process of the product that dies, stops or has a wrong clock where a test wants it to. Nothing of this is in it.

    python -m tests.faults.process api|worker

FAULT_AT=step:SIGNAL     sends itself the signal when the step has happened, once; steps are in STEPS
FAULT_PID=pid            the signal goes to this process instead
FAULT_SESSION=id         only for this session, and each time
FAULT_CLOCK_SKEW=s       its wall clock is this many seconds ahead
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

ENVIRONMENT = os.environ  # noqa: TID251 - set by the test that starts this process


def skew_clocks(seconds: float) -> None:
    """Before anything is imported that might keep a reference."""
    import datetime as module

    real_time = time.time  # noqa: TID251 - it is what is falsified

    class Skewed(module.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return super().now(tz) + module.timedelta(seconds=seconds)

    time.time = lambda: real_time() + seconds  # noqa: TID251
    module.datetime = Skewed  # type: ignore[misc]


class Fault:
    """One signal at one step."""

    def __init__(self, text: str, session: str) -> None:
        self.step, _, name = text.partition(":")
        self._number = getattr(signal, f"SIG{name or 'KILL'}")
        self._session = session
        self._happened = False

    def reached(self, step: str, session: str | None = None) -> None:
        if step != self.step or self._happened or (self._session and session not in (None, self._session)):
            return
        self._happened = not self._session
        os.kill(int(ENVIRONMENT.get("FAULT_PID", "0")) or os.getpid(), self._number)
        if self._number == signal.SIGSTOP:
            time.sleep(0.05)  # the signal is delivered to the process, not to this very instruction


def wrap(owner: Any, name: str, after: Callable[..., None], *, before: bool = False) -> None:
    original = getattr(owner, name)

    async def wrapped(*given: Any, **named: Any) -> Any:
        if before:
            after(*given)
            return await original(*given, **named)
        result = await original(*given, **named)
        after(*given)
        return result

    setattr(owner, name, wrapped)


def worker_steps(fault: Fault) -> None:
    """granted: Redis gave the job. claimed, prepared, sent, written: PostgreSQL or the model answered. saving: inside
    the transaction that saves. committed: saved, Redis does not know. scheduling: a failed try is saved, Redis does
    not know. settled: Redis knows as well."""
    from afterbell.adapters.db.reports import rows as reports
    from afterbell.adapters.models.responses import ResponsesClient
    from afterbell.adapters.queue.redis_queue import Queue
    from afterbell.worker.pipeline import ReportPipeline

    wrap(ReportPipeline, "run", lambda *_: fault.reached("granted"), before=True)
    wrap(ReportPipeline, "_try", lambda _, claimed, *__: fault.reached("claimed", claimed.session_id), before=True)
    wrap(ReportPipeline, "_prepare", lambda _, claimed: fault.reached("prepared", claimed.session_id))
    wrap(ResponsesClient, "_open", lambda *_: fault.reached("sent"))
    wrap(ReportPipeline, "_write", lambda _, claimed, *__: fault.reached("written", claimed.session_id))
    wrap(reports, "finish", lambda _, claimed, *__: fault.reached("saving", claimed.session_id))
    wrap(ReportPipeline, "_commit", lambda _, claimed, *__: fault.reached("committed", claimed.session_id))
    wrap(ReportPipeline, "_end_try", lambda _, claimed, *__: fault.reached("scheduling", claimed.session_id))
    wrap(Queue, "poll", lambda *given: fault.reached("settled") if len(given) > 4 and given[4] else None)


def api_steps(fault: Fault) -> None:
    """requested: the report is committed, Redis does not know. put: Redis knows, PostgreSQL not that it does."""
    from afterbell.adapters.queue.redis_queue import Queue
    from afterbell.api.reports.outbox import Outbox

    offer = Outbox.offer

    def offered(self: Outbox, report: Any) -> None:
        fault.reached("requested")
        offer(self, report)

    Outbox.offer = offered  # type: ignore[method-assign]
    wrap(Queue, "enqueue", lambda *_: fault.reached("put"))


def main(role: str) -> None:
    if skew_s := float(ENVIRONMENT.get("FAULT_CLOCK_SKEW", "0")):
        skew_clocks(skew_s)
    fault = Fault(ENVIRONMENT.get("FAULT_AT", ""), ENVIRONMENT.get("FAULT_SESSION", ""))
    (worker_steps if role == "worker" else api_steps)(fault)
    from afterbell.cli.main import main as cli

    sys.argv = ["afterbell", role]
    cli()


if __name__ == "__main__":
    main(sys.argv[1])
