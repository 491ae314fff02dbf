"""Reports on their way, live: PostgreSQL tells which changed, one query reads them all, everybody who watches hears.

The worker's progress is a column it writes anyway, and a trigger tells of the change in the same transaction. So
progress costs no Redis command at all, goes on while Redis is away, and never says what was not committed.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from afterbell.adapters.db.changes import REPORTS, Changes
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports import rows as reports
from afterbell.adapters.db.reports.rows import ReportRow
from afterbell.core.access import Caller, may_in
from afterbell.core.backoff import every
from afterbell.core.queue.outcomes import job_id_of, job_state_of
from afterbell.service import Service, repeat, wait_until

Key = tuple[str, str]
# Called with the name of the event and its payload; must not block.
Sink = Callable[[str, dict[str, Any]], None]

ROUND_EVERY_S: Final = 0.2
# News that no notification announced, because a connection was lost or a pooler swallowed it, come this late.
SAFETY_ROUND_S: Final = 3.0
READ_MAX: Final = 1_000


class Watcher(Protocol):
    """Whoever watches; what they may see is judged by the record with every piece of news."""

    caller: Caller

    def __hash__(self) -> int:
        """Each is itself."""


@dataclass(slots=True)
class Watched:
    """A session's report and who watches it. ``sent`` is what they were sent last."""

    sinks: dict["Watcher", Sink] = field(default_factory=dict)
    sent: dict[str, Any] | None = None


class Slot:
    """What is still to be sent to a slow reader: of progress only the newest, whatever came meanwhile."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.progress: dict[str, Any] | None = None
        self.stir = asyncio.Event()
        self.ended = False

    def end(self) -> None:
        """Nothing more is to be sent."""
        self.ended = True
        self.stir.set()

    def __call__(self, name: str, payload: dict[str, Any]) -> None:
        """Take an event; a report that is ready is known by its progress."""
        if name == "report:progress":
            self.progress = payload
            self.stir.set()

    async def newest(self, within_s: float) -> dict[str, Any] | None:
        """Empty the slot, waiting for something to be in it; None after ``within_s`` seconds or at the end."""
        await wait_until(self.stir, within_s)
        self.stir.clear()
        progress, self.progress = self.progress, None
        return progress


def progress_of(session_id: str, row: ReportRow, sent: dict[str, Any] | None = None) -> dict[str, Any]:
    """A *progress* object. Within one attempt the percentage is never less than what was ``sent``."""
    payload: dict[str, Any] = {
        "session": session_id,
        "jobId": job_id_of(row.report_id),
        "version": row.version,
        "attempt": row.attempt,
        "status": job_state_of(row.status),
        "progress": row.progress,
        "stage": row.stage,
    }
    if row.error is not None and payload["status"] != "completed":
        payload["error"] = row.error
    if sent is not None and (sent["version"], sent["attempt"]) == (row.version, row.attempt):
        payload["progress"] = max(row.progress, sent["progress"])
    return payload


def ready_of(progress: dict[str, Any]) -> dict[str, Any]:
    """The payload of ``report:ready`` after a *progress* object that says so."""
    session_id = progress["session"]
    return {
        "session": session_id,
        "jobId": progress["jobId"],
        "version": progress["version"],
        "url": f"/api/reports/session/{session_id}",
    }


class ReportFeed:
    """Keeps everybody who watches a session's report up to date, at most five times a second."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        changes.on(REPORTS, self._changed, missed=self._missed)
        self._watched: dict[Key, Watched] = {}
        self._dirty: set[Key] = set()
        self._stir = asyncio.Event()
        self._service = Service("report_feed", self._run)
        self._over = asyncio.Event()

    def start(self) -> None:
        """Begin to tell."""
        self._service.start()

    async def stop(self) -> None:
        """End. Nobody is told anything more."""
        await self._service.stop()

    @property
    def over(self) -> bool:
        """Whether streams must end, so that their readers go to another pod."""
        return self._over.is_set()

    def end_streams(self) -> None:
        """End every stream."""
        self._over.set()
        for watched in self._watched.values():
            for sink in watched.sinks.values():
                if isinstance(sink, Slot):
                    sink.end()

    def resume_streams(self) -> None:
        """Streams may begin and last again."""
        self._over.clear()

    @staticmethod
    def may_show(row: ReportRow, caller: Caller) -> bool:
        """Whether the caller takes part, as of the moment at which the row was read."""
        return may_in(caller, "read_report", frozenset(person["id"] for person in row.participants))

    @property
    def watched(self) -> list[Key]:
        """The sessions whose reports are watched here."""
        return list(self._watched)

    def judge(self, key: Key, people: frozenset[str]) -> None:
        """End the streams of those who take part no more, now that these do."""
        watched = self._watched.get(key)
        for watcher in list(watched.sinks) if watched else ():
            if isinstance(watcher, Slot) and not may_in(watcher.caller, "read_report", people):
                watcher.end()

    @contextmanager
    def streaming(self, key: Key, caller: Caller) -> Iterator["Slot"]:
        """Watch for the block, with a slot in which only the newest progress is kept."""
        slot = Slot(caller)
        self.watch(key, slot, slot)
        try:
            yield slot
        finally:
            self.unwatch(key, slot)

    async def read(self, key: Key) -> ReportRow | None:
        """The session's newest report. Raises StoreUnavailable."""
        async with self._database.statement() as connection:
            return await reports.newest(connection, *key)

    def watch(self, key: Key, owner: Watcher, sink: Sink) -> None:
        """Tell ``sink`` of every change from now on; read the snapshot afterwards, so that none falls between."""
        self._watched.setdefault(key, Watched()).sinks[owner] = sink

    def unwatch(self, key: Key, owner: Watcher) -> None:
        """Tell this owner no more."""
        watched = self._watched.get(key)
        if watched is not None:
            watched.sinks.pop(owner, None)
            if not watched.sinks:
                del self._watched[key]

    def snapshot(self, key: Key, row: ReportRow) -> dict[str, Any]:
        """What a newcomer is told; never less than the others were told before it."""
        watched = self._watched.get(key)
        return progress_of(key[1], row, watched.sent if watched else None)

    def _changed(self, tenant_id: str, session_id: str) -> None:
        if (tenant_id, session_id) in self._watched:
            self._dirty.add((tenant_id, session_id))
            self._stir.set()

    def _missed(self) -> None:
        self._dirty |= set(self._watched)
        self._stir.set()

    async def _run(self) -> None:
        await repeat(self._next_round, name="report_feed", every_s=ROUND_EVERY_S, backoff=every(ROUND_EVERY_S))

    async def _next_round(self) -> None:
        if not await wait_until(self._stir, SAFETY_ROUND_S):
            self._dirty |= set(self._watched)
        self._stir.clear()
        await self._round()

    async def _round(self) -> None:
        dirty, self._dirty = [key for key in self._dirty if key in self._watched], set()
        for first in range(0, len(dirty), READ_MAX):
            async with self._database.statement() as connection:
                rows = await reports.newest_of(connection, dirty[first : first + READ_MAX])
            self._tell(rows.items())

    def _tell(self, rows: Iterable[tuple[Key, ReportRow]]) -> None:
        for key, row in rows:
            watched = self._watched.get(key)
            if watched is None:
                continue
            progress = progress_of(key[1], row, watched.sent)
            if progress == watched.sent:
                continue
            watched.sent = progress
            for watcher, sink in list(watched.sinks.items()):
                if not self.may_show(row, watcher.caller):
                    continue
                sink("report:progress", progress)
                if progress["status"] == "completed":
                    sink("report:ready", ready_of(progress))
