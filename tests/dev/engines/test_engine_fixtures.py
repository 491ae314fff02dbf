"""What the shared fixtures promise to every other test."""

import asyncpg
import pytest
from redis import Redis
from tests.support.engines import database_named

pytestmark = pytest.mark.engines


def test_the_valkey_of_the_run_answers(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.ping()


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_databases_of_its_own(database_url: str, empty_database_url: str, turn: int) -> None:
    for url, tables in ((database_url, 1), (empty_database_url, 0)):
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("CREATE TABLE mine (it int)")
            counted = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE tablename = 'reports'")
            assert counted == tables
        finally:
            await connection.close()


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("postgresql://postgres@/afterbell?host=/tmp/a/b", "postgresql://postgres@/t_1?host=/tmp/a/b"),
        ("postgresql://u:p@db:5432/x", "postgresql://u:p@db:5432/t_1"),
    ],
)
def test_another_database_of_the_same_server_is_named_by_its_url(url: str, other: str) -> None:
    assert database_named(url, "t_1") == other
