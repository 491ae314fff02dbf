"""REDIS_URL: refused by name where it is none, and no password of it in any message."""

import pytest

from afterbell.adapters.redis.connections import check, connect, mask
from afterbell.core.errors import SettingsError, StoreUnavailable


@pytest.mark.parametrize(
    "url",
    [
        "http://u:s3cret@h",
        "s3cret",
        "",
        "redis://u:s3cret@h:port",
        "redis://:s3c/ret@h",
        "redis://:s3c?ret@h",
        "redis://:s3c#ret@h",
        "redis://:s3cret@[::1/",
        "redis://u:s3cret@h/0?surprise=1",
        "redis://u:s3cret@h/0?db=zero",
    ],
)
def test_an_address_that_is_none_is_refused_by_name_and_never_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL") as refused:
        connect(url)
    assert refused.value.field == "REDIS_URL"
    for shown in (str(refused.value), repr(refused.value), mask(url)):
        assert "s3c" not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:s3cret@127.0.0.1:1", "redis://:***@127.0.0.1:1"),
        ("redis://u:s3c@ret@127.0.0.1:1/2", "redis://u:***@127.0.0.1:1/2"),
        ("rediss://u:s3c%2Fret@127.0.0.1:1", "rediss://u:***@127.0.0.1:1"),
        ("redis://127.0.0.1:1/0?password=s3cret", "redis://127.0.0.1:1/0"),
        ("unix://u:s3cret@/nowhere/a@b?db=1", "(unreadable)"),
        ("unix:///nowhere/a@b?db=1&password=s3cret", "unix:///nowhere/a@b?db=1"),
    ],
)
async def test_an_unreachable_server_is_told_with_the_address_but_not_its_password(url: str, shown: str) -> None:
    assert mask(url) == shown
    if shown == "(unreadable)":
        return

    client = connect(url)
    try:
        with pytest.raises(StoreUnavailable) as away:
            await check(client, url)
    finally:
        await client.aclose()
    message = str(away.value)
    assert message.startswith(f"Redis does not answer: REDIS_URL {shown}: ")
    assert "s3c" not in message
    assert "\n" not in message
