"""`afterbell retention run`, `afterbell student export` and `erase`, as an operator types them."""

import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from tests.support.command import refused, run
from tests.support.record import Record, record_in

from afterbell.adapters.db import audit

pytestmark = pytest.mark.engines
TEXT = text("SELECT participants FROM sessions")


@pytest.fixture
async def stored(database_url: str) -> AsyncIterator[Record]:
    """A tenant with one session."""
    async with record_in(database_url) as record:
        await record.stored()
        yield record


async def test_an_operator_exports_erases_and_keeps_nothing_too_long(database_url: str, stored: Record) -> None:
    given = {"DATABASE_URL": database_url}
    whose = ("--tenant", stored.tenant, "--reason", "asked")
    people = (await stored.run(TEXT))[0]["participants"]
    student = next(person["id"] for person in people if person["role"] == "student")
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
    async with stored.database.statement() as connection:
        (act,) = await audit.read(connection, None)
    assert act.act.action == "retention.run"
    assert act.act.actor.startswith("cli:")
    refused(run("retention", "run", **given, AFTERBELL_KEEP_AUDIT_DAYS="0"), "AFTERBELL_KEEP_AUDIT_DAYS")
    refused(run("retention", "run"), "DATABASE_URL")
