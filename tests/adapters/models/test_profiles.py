"""Each kind of server is sent the parameters that it takes, and no other."""

import json
from dataclasses import replace
from typing import Any, Final

import pytest
from tests.dev.stub.running import KEY, Heard, expected, prompt

from afterbell.adapters.models import narrative_codec
from afterbell.adapters.models.chat_completions import ChatClient
from afterbell.adapters.models.profiles import PROFILES, Profile
from afterbell.adapters.models.responses import ResponsesClient
from afterbell.core.errors import SettingsError

ALWAYS: Final = {"model", "messages", "response_format", "stream"}
OURS: Final = {"store", "safety_identifier", "prompt_cache_key"}
SENT: Final = {
    "openai": ALWAYS | OURS | {"stream_options", "max_completion_tokens"},
    "azure": ALWAYS | {"store", "stream_options", "max_completion_tokens"},
    "openrouter": ALWAYS | {"stream_options", "max_tokens"},
    "mistral": ALWAYS | {"max_tokens"},
    "gemini": ALWAYS | {"stream_options", "max_tokens"},
    "vllm": ALWAYS | {"stream_options", "max_tokens"},
    "llamacpp": ALWAYS | {"stream_options", "max_tokens"},
    "ollama": ALWAYS | {"stream_options", "max_tokens"},
    "custom": ALWAYS | {"max_tokens"},
}


async def body_of(
    heard: Heard, url: str, profile: Profile, kind: type[ChatClient] | type[ResponsesClient] = ChatClient
) -> dict[str, Any]:
    """What a call with this profile sends; its answer is a narrative all the same."""
    client = kind(api_key=KEY, base_url=f"{url}/v1", model="m", attempt_timeout_s=10, profile=profile)
    answer = await client.write(prompt(), client_request_id="r", safety_identifier="a1", on_progress=unheard)
    await client.aclose()
    assert narrative_codec.decode(answer.text) == expected()
    sent: dict[str, Any] = json.loads(heard.bodies[-1])
    return sent


async def unheard(_: Any) -> None:
    """Progress that nobody waits for."""


def test_every_profile_is_tried_here() -> None:
    assert SENT.keys() == PROFILES.keys()


@pytest.mark.parametrize("name", list(PROFILES))
async def test_a_server_is_sent_what_it_takes(heard: Heard, url: str, name: Any) -> None:
    assert (await body_of(heard, url, PROFILES[name])).keys() == SENT[name]


async def test_without_a_schema_the_model_is_told_it_in_words(heard: Heard, url: str) -> None:
    sent = await body_of(heard, url, PROFILES["custom"])
    assert sent["response_format"] == {"type": "json_object"}
    assert '"misconceptions"' in sent["messages"][0]["content"]
    responses = await body_of(heard, url, PROFILES["custom"], ResponsesClient)
    assert responses["text"] == {"format": {"type": "json_object"}}
    assert '"misconceptions"' in responses["instructions"]


async def test_what_is_set_for_a_model_is_sent_as_each_api_names_it(heard: Heard, url: str) -> None:
    tuned = replace(PROFILES["openai"], temperature=0.3, reasoning_effort="low")
    chat, responses = [await body_of(heard, url, tuned, kind) for kind in (ChatClient, ResponsesClient)]
    assert (chat["temperature"], chat["reasoning_effort"]) == (0.3, "low")
    assert (responses["temperature"], responses["reasoning"]) == (0.3, {"effort": "low"})


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        ("localhost:8080/v1", "http:// or https://"),
        ("ftp://host/v1", "http:// or https://"),
        ("http:///v1", "a host"),
        ("https://r.openai.azure.com/openai/deployments/x?api-version=2024-10-21", "no query"),
        ("https://host/v1/chat/completions", "before the API's name"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_at_the_start(base_url: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        ChatClient(api_key=KEY, base_url=base_url, model="m")
    assert base_url not in str(caught.value), "it may hold a key"
