"""`afterbell model check`: one call a model, a line for each fact, and what to do where something is wrong."""

from collections.abc import Iterator

import pytest
from tests.adapters.models import deviating_servers
from tests.dev.stub.running import KEY, serving, set_faults
from tests.support.command import refused, run

from afterbell.dev.stub.app import create_app
from afterbell.dev.stub.settings import StubSettings


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    with serving(create_app(StubSettings(api_key=KEY))) as address:
        yield address


def settings(stub: str, **more: str) -> dict[str, str]:
    return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{stub}/v1"} | more


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_a_model_that_works_is_told_with_its_price(stub: str, api: str) -> None:
    done = run("model", "check", **settings(stub, AFTERBELL_LLM_API=api))
    assert done.returncode == 0, done.stderr
    for words in (
        "gpt-6-luna",
        "answers      yes",
        "schema       kept",
        "streams      yes",
        "told by the server",
        "$0/0",
    ):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("401", "check OPENAI_API_KEY"),
        ("wrong_schema", "AFTERBELL_MODEL_STRUCTURED_OUTPUT"),
        ("500", "that the server is up"),
        ("429:7", "try again later"),
    ],
)
def test_what_is_wrong_comes_with_what_to_do(stub: str, fault: str, says: str) -> None:
    set_faults(stub, fault)
    done = run("model", "check", **settings(stub))
    assert done.returncode == 1
    assert says in done.stdout


def test_a_call_refused_without_a_reason_comes_with_what_to_do_as_well() -> None:
    with deviating_servers.serving() as url:
        number = list(deviating_servers.ALL).index(("chat", "refused without a reason"))
        done = run("model", "check", **settings(f"{url}/{number}", AFTERBELL_LLM_API="chat"))
    assert (done.returncode, done.stderr) == (1, "")
    assert "look into the server's log" in done.stdout


def test_the_fallback_is_asked_too(stub: str) -> None:
    done = run("model", "check", **settings(stub, AFTERBELL_FALLBACK_MODEL="own", AFTERBELL_FALLBACK_PROFILE="vllm"))
    assert done.returncode == 0
    assert done.stdout.count("answers      yes") == 2


def test_without_a_key_or_with_a_wrong_address_nothing_is_asked(stub: str) -> None:
    refused(run("model", "check"), "OPENAI_API_KEY is not set")
    refused(run("model", "check", **settings(stub, OPENAI_BASE_URL="host:80")), "OPENAI_BASE_URL is no URL")
    refused(run("model", "check", **settings(stub, AFTERBELL_MODEL_PROFILE="gpt")), "AFTERBELL_MODEL_PROFILE")
