"""``afterbell retention run`` and ``afterbell student export|erase``: what an operator does on the record itself."""

import getpass
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
import typer

from afterbell.adapters.db import retention, students
from afterbell.adapters.db.engine import Connection, Database
from afterbell.adapters.db.retention import RetentionRules
from afterbell.core.errors import InvalidInput
from afterbell.settings import RetentionSettings, StoreSettings, required

T = TypeVar("T")


async def run_retention(settings: RetentionSettings, *, dry_run: bool) -> int:
    """Delete what is older than the settings allow, or count it, and print one line a kind."""
    rules = RetentionRules(
        transcript_days=settings.keep_transcript_days,
        report_days=settings.keep_report_days,
        attempt_days=settings.keep_attempt_days,
        delivery_days=settings.keep_delivery_days,
        audit_days=settings.keep_audit_days,
    )
    now = datetime.now(UTC)

    async def work(database: Database) -> dict[retention.Kind, int]:
        return await retention.run(database, rules, now=now, by=_me(), dry_run=dry_run)

    for kind, count in (await _on(settings, work)).items():
        done = "would be deleted" if dry_run else "deleted"
        typer.echo(f"{kind.replace('_', ' ')}: {count} {done}, older than {rules.cutoff(kind, now):%Y-%m-%d %H:%M} UTC")
    return 0


async def export_student(settings: StoreSettings, tenant: str, student_id: str, reason: str) -> int:
    """Print all that is kept about a student as JSON."""

    async def work(connection: Connection) -> dict[str, Any]:
        return await students.export(connection, tenant, student_id, by=_me(), reason=_given(reason))

    found = await _on(settings, _in_transaction(work))
    typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    if not found["sessions"]:
        typer.echo(f"afterbell: nothing is kept about student {student_id} of tenant {tenant}", err=True)
        return 1
    return 0


async def erase_student(settings: StoreSettings, tenant: str, student_id: str, reason: str) -> int:
    """Erase a student and print what that was."""

    async def work(connection: Connection) -> students.Erased:
        return await students.erase(connection, tenant, student_id, by=_me(), reason=_given(reason))

    erased = await _on(settings, _in_transaction(work))
    for name, count in asdict(erased).items():
        typer.echo(f"{name.replace('_', ' ')}: {count}")
    return 0


def _in_transaction(work: Callable[[Connection], Awaitable[T]]) -> Callable[[Database], Awaitable[T]]:
    async def run(database: Database) -> T:
        async with database.transaction() as connection:
            return await work(connection)

    return run


async def _on(settings: StoreSettings, work: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(required(settings.database_url, "DATABASE_URL"), pool_size=2)
    try:
        await database.check()
        return await work(database)
    finally:
        await database.close()


def _given(reason: str) -> str:
    if not reason.strip() or "\0" in reason:
        raise InvalidInput("--reason is empty: say why, the audit log keeps it", field="reason")
    return reason.strip()


def _me() -> str:
    """Who the audit log names. A container's user may have no name."""
    with suppress(OSError, KeyError):
        return f"cli:{getpass.getuser()}"
    return "cli:unknown"
