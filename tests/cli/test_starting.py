"""Starting a process that cannot run: one line that names the variable, no secret, exit code 2."""

import asyncio
import socket

import pytest
from sqlalchemy import text
from tests.support.command import SECRET, refused, run
from tests.support.record import record_in
from tests.support.waiting import eventually

from afterbell import __version__
from afterbell.adapters.db import revision
from afterbell.adapters.db.database import STATEMENT_TIMEOUT_S

CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
AWAY = {
    "DATABASE_URL": f"postgresql://u:{SECRET}@127.0.0.1:1/db?password={SECRET}",
    "REDIS_URL": f"redis://u:{SECRET}@127.0.0.1:1/0?password={SECRET}",
    "OPENAI_API_KEY": SECRET,
    "AFTERBELL_JWT_SECRET": SECRET,
    "PORT": "0",
    "AFTERBELL_INTERNAL_PORT": "0",
}


@pytest.mark.parametrize("command", ["api", "worker", "migrate"])
def test_a_database_that_does_not_answer_is_named(command: str) -> None:
    refused(run(command, **AWAY), "DATABASE_URL postgresql://u:***@127.0.0.1:1/db", "Connection refused")


@pytest.mark.engines
def test_a_redis_that_does_not_answer_is_named(database_url: str) -> None:
    refused(run("worker", **AWAY | {"DATABASE_URL": database_url}), "REDIS_URL redis://u:***@127.0.0.1:1/0", "111")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("DATABASE_URL", f"mysql://u:{SECRET}@h/db", "must start with postgresql://"),
        ("REDIS_URL", SECRET, "expected redis://"),
        ("DATABASE_URL", "", "is not set"),
        ("AFTERBELL_STARTS_PER_WINDOW", "ten", "integer"),
        ("AFTERBELL_HOST", "no host", "AFTERBELL_HOST"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_and_no_secret_shown(variable: str, value: str, said: str) -> None:
    refused(run("api", **AWAY | {variable: value}), variable, said)


@pytest.mark.engines
def test_a_worker_without_a_model_says_what_to_set(redis_url: str, database_url: str) -> None:
    stores = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "OPENAI_API_KEY": ""}
    refused(run("worker", **AWAY | stores), "OPENAI_API_KEY is not set")


@pytest.mark.parametrize("command", ["api", "token"])
def test_production_refuses_the_secret_of_development(command: str) -> None:
    environment = {name: value for name, value in AWAY.items() if name != "AFTERBELL_JWT_SECRET"}
    refused(run(command, APP_ENV="production", **environment), "AFTERBELL_JWT_SECRET", "development secret")


@pytest.mark.parametrize(
    ("command", "variable"),
    [("api", "PORT"), ("api", "AFTERBELL_INTERNAL_PORT"), ("worker", "AFTERBELL_INTERNAL_PORT")],
)
def test_a_port_that_is_taken_is_one_line_about_it(command: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(command, **AWAY | {variable: port})
    refused(done, f"port {port}", "Address already in use", f"set {variable} to another")


@pytest.mark.engines
def test_migrate_says_where_the_tables_are_and_again_changes_nothing(empty_database_url: str) -> None:
    for _ in range(2):
        done = run("migrate", DATABASE_URL=empty_database_url)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"the tables are at revision {revision.NEEDED}\n", "")


@pytest.mark.engines
async def test_migrate_waits_for_another_that_takes_longer_than_a_statement_may(empty_database_url: str) -> None:
    async with record_in(empty_database_url) as other:
        async with other.database.statement() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(hashtext('afterbell.migrate'))"))
            migrating = asyncio.create_task(asyncio.to_thread(run, "migrate", DATABASE_URL=empty_database_url))
            await eventually(lambda: connection.scalar(text(CONNECTED)), "the other to come")
            await asyncio.sleep(STATEMENT_TIMEOUT_S + 2)
            assert not migrating.done()
            await connection.execute(text("SELECT pg_advisory_unlock(hashtext('afterbell.migrate'))"))
        done = await migrating
    assert (done.returncode, done.stderr) == (0, "")


def test_the_version_is_told() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"afterbell {__version__}\n")


def test_help_lists_every_command_and_a_wrong_use_is_exit_code_2() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("demo", "dev", "api", "worker", "migrate", "token", "llm-stub", "session"):
        assert command in done.stdout
    assert run("surprise").returncode == 2


def test_a_token_for_a_role_that_is_none_is_refused() -> None:
    refused(run("token", "--role", "god"), "role 'god' is not one of")
