"""`afterbell retention run`, `afterbell student export` and `erase`, as an operator types them."""

import asyncio
import json

import pytest
from sqlalchemy import text
from tests.support.api import in_transaction, migrated
from tests.support.command import refused, run
from tests.support.record import Record, on

from afterbell.adapters.db import audit

pytestmark = pytest.mark.engines
TEXT = text("SELECT participants FROM sessions")


def test_an_operator_exports_erases_and_keeps_nothing_too_long(database_url: str) -> None:
    migrated(database_url)

    async def work(record: Record) -> str:
        await record.stored()
        return record.tenant

    given = {"DATABASE_URL": database_url}
    whose = ("--tenant", on(database_url, work), "--reason", "asked")
    people = on(database_url, lambda record: record.run(TEXT))[0]["participants"]
    student = next(one["id"] for one in people if one["role"] == "student")
    done = run("student", "export", student, *whose, **given)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["student"] == student
    refused(run("student", "erase", student, *whose[:2], "--reason", " ", **given), "--reason is empty")
    done = run("student", "erase", student, *whose, **given)
    assert "sessions deleted: 1" in done.stdout
    assert run("student", "export", student, *whose, **given).returncode == 1
    done = run("retention", "run", "--dry-run", **given, AFTERBELL_KEEP_AUDIT_DAYS="0.0000001")
    assert "audit log: 3 would be deleted" in done.stdout
    done = run("retention", "run", **given, AFTERBELL_KEEP_AUDIT_DAYS="0.0000001")
    assert "audit log: 3 deleted" in done.stdout
    (act,) = asyncio.run(in_transaction(database_url, lambda connection: audit.read(connection, None)))
    assert act.act.action == "retention.run"
    assert act.act.actor.startswith("cli:")
    refused(run("retention", "run", **given, AFTERBELL_KEEP_AUDIT_DAYS="0"), "AFTERBELL_KEEP_AUDIT_DAYS")
    refused(run("retention", "run"), "DATABASE_URL")
