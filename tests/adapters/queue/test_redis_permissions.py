"""The scripts need little of a server: old commands only, and a user bound to our keys."""

import re

import pytest
from redis.exceptions import NoPermissionError
from tests.architecture.repository import SERVICES
from tests.support.redis_engines import BoundRedis, documented_user

from afterbell.adapters.redis.connections import check, connect

# Command -> the version of Redis it arrived with, as its documentation says.
ARRIVED = {
    "DEL": "1.0.0",
    "EXISTS": "1.0.0",
    "HDEL": "2.0.0",
    "HEXISTS": "2.0.0",
    "HGET": "2.0.0",
    "HINCRBY": "2.0.0",
    "HKEYS": "2.0.0",
    "HMGET": "2.0.0",
    "HSET": "2.0.0",
    "INFO": "1.0.0",
    "PERSIST": "2.2.0",
    "PEXPIRE": "2.6.0",
    "PUBLISH": "2.0.0",
    "PUBSUB": "2.8.0",
    "SADD": "1.0.0",
    "SCARD": "1.0.0",
    "SPOP": "1.0.0",
    "SRANDMEMBER": "1.0.0",
    "SREM": "1.0.0",
    "TIME": "2.6.0",
    "ZADD": "1.2.0",
    "ZCARD": "1.2.0",
    "ZCOUNT": "2.0.0",
    "ZPOPMIN": "5.0.0",
    "ZRANGE": "1.2.0",
    "ZRANGEBYSCORE": "1.0.5",
    "ZREM": "1.2.0",
    "ZREMRANGEBYSCORE": "1.2.0",
    "ZSCORE": "1.2.0",
}
NEWEST = (6, 2, 0)
# Options of those commands that came after 6.2.
TOO_NEW = re.compile(
    r"'(PEXPIRE|ZADD|ZRANGE)'[^\n]*'(NX|XX|GT|LT|REV|BYSCORE|BYLEX)'|'SINTERCARD'|redis\.(setresp|acl)"
)
# Commands that are granted by a subcommand only.
PART = {"pubsub": "pubsub|numsub"}
BY_CLIENT = {"evalsha", "script|load", "subscribe", "unsubscribe", "ping", "client|tracking"}
SCRIPTS = sorted((SERVICES / "afterbell" / "adapters" / "queue" / "scripts").glob("*.lua"))


def commands_of_scripts() -> set[str]:
    return {name for path in SCRIPTS for name in re.findall(r"redis\.p?call\('([A-Z]+)'", path.read_text("utf-8"))}


def test_scripts_use_nothing_newer_than_redis_6_2() -> None:
    assert commands_of_scripts() == set(ARRIVED), "add a new command with its version, or take a gone one out"
    assert all(tuple(map(int, version.split("."))) <= NEWEST for version in ARRIVED.values())
    for path in SCRIPTS:
        source = path.read_text("utf-8")
        assert len(re.findall(r"redis\.p?call\(", source)) == len(re.findall(r"redis\.p?call\('[A-Z]+'", source)), (
            f"{path.name} hides a command"
        )
        assert not TOO_NEW.search(source), f"{path.name} uses a word that older servers do not know"


def test_the_documented_user_may_run_what_we_run_and_no_other_command() -> None:
    granted = {rule.removeprefix("+") for rule in documented_user() if rule.startswith("+")}
    assert granted == BY_CLIENT | {PART.get(name, name) for name in map(str.lower, commands_of_scripts())}


@pytest.mark.engines
@pytest.mark.parametrize(
    "command",
    [
        ("GET", "{ab:x}:a"),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "dir"),
        ("EVAL", "return 1", "0"),
        ("ZADD", "another", "1", "x"),
        ("HSET", "ab:x", "a", "b"),
        ("PUBLISH", "news", "x"),
        ("SUBSCRIBE", "news"),
    ],
)
async def test_the_documented_user_is_refused_all_else(bound_redis: BoundRedis, command: tuple[str, ...]) -> None:
    client = connect(bound_redis.url)
    with pytest.raises(NoPermissionError):
        await client.execute_command(*command)
    await client.aclose()


@pytest.mark.engines
async def test_the_readiness_check_passes_by_tls_as_the_documented_user(bound_redis: BoundRedis) -> None:
    client = connect(bound_redis.tls_url)
    await check(client, bound_redis.tls_url)
    await client.aclose()
