"""Starting a process that cannot run: one line that names the variable, no secret, exit code 2."""

import asyncio
import socket
import subprocess

import pytest
from sqlalchemy import text
from tests.support.api import migrated
from tests.support.command import SECRET, refused, run

from afterbell import __version__
from afterbell.adapters.db.engine import STATEMENT_TIMEOUT_S, Database

WAITING = """SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
             WHERE NOT granted AND locktype = 'advisory' AND datname = current_database()"""
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
    migrated(database_url)
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
    migrated(database_url)
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
def test_migrate_says_where_the_tables_are_and_again_changes_nothing(database_url: str) -> None:
    for _ in range(2):
        done = run("migrate", DATABASE_URL=database_url)
        assert (done.returncode, done.stdout, done.stderr) == (0, "the tables are at revision 0009\n", "")


@pytest.mark.engines
def test_migrate_waits_for_another_that_takes_longer_than_a_statement_may(database_url: str) -> None:
    async def migrate_beside_another() -> subprocess.CompletedProcess[str]:
        other = Database(database_url, pool_size=1)
        try:
            async with other.transaction() as connection:
                await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('afterbell.migrate'))"))
                done = asyncio.create_task(asyncio.to_thread(run, "migrate", DATABASE_URL=database_url))
                while not await connection.scalar(text(WAITING)):
                    await asyncio.sleep(0.1)
                await asyncio.sleep(STATEMENT_TIMEOUT_S + 2)
            return await done
        finally:
            await other.close()

    done = asyncio.run(migrate_beside_another())
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
