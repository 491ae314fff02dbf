"""``afterbell retention run`` and ``afterbell student export|erase``: work directly on the database."""

import getpass
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import orjson
import typer

from afterbell.adapters.db import retention, students
from afterbell.adapters.db.database import STATEMENT_TIMEOUT_S, Connection, Database, Timeouts
from afterbell.adapters.db.retention import LOCK_S, Deleted, RetentionRules
from afterbell.core.errors import InvalidInput
from afterbell.settings import RetentionSettings, StoreSettings, required

T = TypeVar("T")
# Longer than a request may take: a batch that is slow at night hurts nobody, one that is cut off is done again.
BATCH_PATIENCE_S: Final = 60.0
# A run that was killed leaves a turn that runs out.
TURN_PATIENCE_S: Final = LOCK_S + 30


async def run_retention(settings: RetentionSettings, *, dry_run: bool) -> int:
    """Delete what is older than the settings allow, or count it, and print one line per kind."""
    rules = RetentionRules(
        transcript_days=settings.keep_transcript_days,
        report_days=settings.keep_report_days,
        attempt_days=settings.keep_attempt_days,
        delivery_days=settings.keep_delivery_days,
        audit_days=settings.keep_audit_days,
        call_days=settings.keep_call_days,
    )
    now = datetime.now(UTC)

    async def work(database: Database) -> dict[retention.Kind, Deleted]:
        return await retention.run(database, rules, now=now, by=_me(), dry_run=dry_run, patience_s=TURN_PATIENCE_S)

    kinds = await _on(settings, work, patience_s=BATCH_PATIENCE_S)
    for kind, deleted in kinds.items():
        done = "would be deleted" if dry_run else "deleted"
        name = kind.replace("_", " ")
        typer.echo(f"{name}: {deleted.count} {done}, older than {rules.cutoff(kind, now):%Y-%m-%d %H:%M} UTC")
        if deleted.failure:
            typer.echo(f"afterbell: {name} not finished: {deleted.failure}; the next run goes on with it", err=True)
    return int(any(deleted.failure for deleted in kinds.values()))


async def export_student(settings: StoreSettings, tenant: str, student_id: str, reason: str) -> int:
    """Print all that is kept about a student as JSON."""

    async def work(connection: Connection) -> dict[str, Any]:
        return await students.export(connection, tenant, student_id, by=_me(), reason=_given(reason))

    exported = await _on(settings, _in_transaction(work))
    typer.echo(orjson.dumps(exported, option=orjson.OPT_INDENT_2).decode())
    if not exported["sessions"]:
        typer.echo(f"afterbell: nothing is kept about student {student_id} of tenant {tenant}", err=True)
        return 1
    return 0


async def erase_student(settings: StoreSettings, tenant: str, student_id: str, reason: str) -> int:
    """Erase a student and print what was erased."""

    async def work(connection: Connection) -> students.Erased:
        return await students.erase(connection, tenant, student_id, by=_me(), reason=_given(reason))

    erased = await _on(settings, _in_transaction(work))
    for name, count in erased.counts.items():
        typer.echo(f"{name.replace('_', ' ')}: {count}")
    return 0


def _in_transaction(work: Callable[[Connection], Awaitable[T]]) -> Callable[[Database], Awaitable[T]]:
    async def run(database: Database) -> T:
        async with database.transaction() as connection:
            return await work(connection)

    return run


async def _on(
    settings: StoreSettings, work: Callable[[Database], Awaitable[T]], *, patience_s: float = STATEMENT_TIMEOUT_S
) -> T:
    database = Database(
        required(settings.database_url, "DATABASE_URL"),
        pool_size=2,
        patience_s=patience_s,
        timeouts=Timeouts.of(settings),
    )
    try:
        await database.check()
        return await work(database)
    finally:
        await database.close()


def _given(reason: str) -> str:
    if not reason.strip() or "\0" in reason:
        raise InvalidInput("--reason is empty: give the reason for the audit log", field="reason")
    return reason.strip()


def _me() -> str:
    """The user whom the audit log names. The user of a container may have no name."""
    with suppress(OSError, KeyError):
        return f"cli:{getpass.getuser()}"
    return "cli:unknown"
