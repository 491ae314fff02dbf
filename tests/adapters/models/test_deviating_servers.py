"""Servers nobody here wrote deviate; what becomes of each is one row of the reference page, and the row is true."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from tests.adapters.models.deviating_servers import ALL, serving
from tests.architecture.repository import read
from tests.dev.stub.running import KEY, expected, prompt

from afterbell.adapters.models import narrative_codec
from afterbell.adapters.models.chat_completions import ChatClient
from afterbell.adapters.models.responses import ResponsesClient
from afterbell.core.errors import ModelError, ModelToldToWait
from afterbell.core.usage import Usage

ROW: Final = re.compile(r"^\| ([^|]+) \| (chat|responses) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
BECOMES: Final = {
    "a report": None,
    "waits": "ModelToldToWait",
    "is tried again": "ModelUnavailable",
    "is asked again": "ModelAnswerUnusable",
    "in parts, or the next model": "ModelInputTooLong",
    "the next model, and an alert": "ModelMisconfigured",
    "a basic report": "ModelDeclined",
    "is not tried again": "ModelRefused",
}


def rows() -> dict[tuple[str, str], tuple[str, str]]:
    """By API and server: what becomes of the call, and what is booked."""
    cells = ROW.findall(read("docs/reference/model-servers.md"))
    return {(api, name.strip()): (becomes.strip(), billed.strip()) for name, api, becomes, billed in cells}


ROWS: Final = rows()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address


def test_the_page_has_every_server_and_no_other() -> None:
    assert ROWS.keys() == ALL.keys()


@pytest.mark.parametrize(("api", "name"), list(ALL), ids=str)
async def test_a_call_to_each_server_becomes_what_the_page_says(url: str, api: str, name: str) -> None:
    client: Any = (ChatClient if api == "chat" else ResponsesClient)(
        api_key=KEY, base_url=f"{url}/{list(ALL).index((api, name))}/v1", model="m", attempt_timeout_s=20
    )
    becomes, billed = ROWS[api, name]
    error: ModelError | None = None
    usage: Usage | None = None
    try:
        answer = await client.write(prompt(), client_request_id="r", safety_identifier=None, on_progress=unheard)
        assert narrative_codec.decode(answer.text) == expected()
        usage = answer.usage
    except ModelError as caught:
        error, usage = caught, caught.usage
    finally:
        await client.aclose()
    outcome, _, seconds = becomes.partition(": ")
    assert (error and type(error).__name__) == BECOMES[outcome], error
    if isinstance(error, ModelToldToWait):
        assert f"{error.seconds:g} s" == seconds
    assert said_of(usage) == billed


def said_of(usage: Usage | None) -> str:
    """As the page's last column says it."""
    if usage is None:
        return "nothing"
    if usage.estimated:
        return "an estimate"
    assert (usage.input_tokens, usage.output_tokens) == (1000, 500)
    return "as billed"


async def unheard(_: Any) -> None:
    """Progress that nobody waits for."""
