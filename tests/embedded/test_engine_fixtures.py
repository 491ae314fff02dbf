"""What the shared fixtures promise to every other test."""

import asyncio

import asyncpg
import pytest
from redis import Redis
from tests.support.engines import database_named

pytestmark = pytest.mark.engines


def test_the_valkey_of_the_run_answers(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.ping()


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_database(database_url: str, turn: int) -> None:
    async def fill() -> str:
        connection = await asyncpg.connect(database_url)
        try:
            await connection.execute("CREATE TABLE mine (it int)")
            return await connection.fetchval("SELECT current_database()")
        finally:
            await connection.close()

    assert asyncio.run(fill()).startswith("t_")


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("postgresql://postgres@/afterbell?host=/tmp/a/b", "postgresql://postgres@/t_1?host=/tmp/a/b"),
        ("postgresql://u:p@db:5432/x", "postgresql://u:p@db:5432/t_1"),
    ],
)
def test_another_database_of_the_same_server_is_named_by_its_url(url: str, other: str) -> None:
    assert database_named(url, "t_1") == other
