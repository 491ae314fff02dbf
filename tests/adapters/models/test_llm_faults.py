"""The table of faults, row by row."""

from datetime import UTC, datetime

import httpx2
import openai
import pytest

from afterbell.adapters.models.failures import Refusal, of_exception, of_incomplete, of_refusal
from afterbell.core.errors import (
    ModelAnswerUnusable,
    ModelDeclined,
    ModelError,
    ModelInputTooLong,
    ModelMisconfigured,
    ModelRefused,
    ModelToldToWait,
    ModelUnavailable,
)
from afterbell.core.usage import Usage

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 529])
def test_a_failing_provider_may_work_next_time(status: int) -> None:
    assert type(of_refusal(Refusal(status), now=NOW)) is ModelUnavailable


@pytest.mark.parametrize("status", [301, 307, 400, 401, 402, 403, 404, 422])
def test_a_rejected_call_is_rejected_again(status: int) -> None:
    assert isinstance(of_refusal(Refusal(status, headers={"retry-after": "5"}), now=NOW), ModelRefused)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refusal(401), ModelMisconfigured),
        (Refusal(403), ModelMisconfigured),
        (Refusal(404, "model_not_found"), ModelMisconfigured),
        (Refusal(400, "context_length_exceeded"), ModelInputTooLong),
        (Refusal(400, "content_policy_violation"), ModelDeclined),
        (Refusal(400, "invalid_value"), ModelRefused),
        (Refusal(422), ModelRefused),
    ],
)
def test_a_rejection_says_whether_the_session_its_length_or_the_set_up_is_at_fault(
    refusal: Refusal, kind: type[ModelError]
) -> None:
    assert type(of_refusal(refusal, now=NOW)) is kind


@pytest.mark.parametrize(
    "code",
    [
        "insufficient_quota",
        "credit_balance_exhausted",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    ],
)
def test_no_money_is_never_waited_for(code: str) -> None:
    by_code = of_refusal(Refusal(429, code, headers={"retry-after": "5"}), now=NOW)
    by_type = of_refusal(Refusal(429, None, code), now=NOW)
    assert type(by_code) is type(by_type) is ModelMisconfigured
    assert code in str(by_code)


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (Refusal(429), 20.0),
        (Refusal(429, "rate_limit_exceeded", "requests", {"retry-after": "7"}), 7.0),
        (Refusal(429, "slow_down", headers={"retry-after-ms": "2500", "retry-after": "9"}), 2.5),
        (Refusal(429, headers={"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}), 30.0),
        (Refusal(429, headers={"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}), 1.0),
        (Refusal(429, headers={"retry-after": "soon"}), 20.0),
        (Refusal(429, headers={"retry-after": "-4"}), 20.0),
        (Refusal(429, headers={"retry-after": "nan"}), 20.0),
        (Refusal(429, headers={"retry-after": "inf"}), 20.0),
        (Refusal(429, headers={"retry-after": "86400"}), 900.0),
        (Refusal(429, headers={"retry-after": "0"}), 1.0),
        (Refusal(503, "server_is_overloaded"), 20.0),
        (Refusal(503, headers={"retry-after": "3"}), 3.0),
        (Refusal(None, "rate_limit_exceeded"), 20.0),
    ],
)
def test_told_to_wait_has_a_time_between_a_second_and_a_quarter_of_an_hour(refusal: Refusal, seconds: float) -> None:
    error = of_refusal(refusal, now=NOW)
    assert isinstance(error, ModelToldToWait)
    assert error.seconds == seconds


@pytest.mark.parametrize(
    ("code", "kind"),
    [(None, ModelUnavailable), ("server_error", ModelUnavailable), ("invalid_prompt", ModelDeclined)],
)
def test_an_error_within_the_stream_goes_by_its_code(code: str | None, kind: type[ModelError]) -> None:
    error = of_refusal(Refusal(code=code, request_id="req_1", usage=Usage(5)), now=NOW)
    assert type(error) is kind
    assert (error.request_id, error.usage) == ("req_1", Usage(5))


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("max_output_tokens", ModelAnswerUnusable),
        ("content_filter", ModelDeclined),
        ("steered", ModelUnavailable),
        (None, ModelUnavailable),
    ],
)
def test_an_unfinished_answer_goes_by_its_reason(reason: str | None, kind: type[ModelError]) -> None:
    error = of_incomplete(reason, request_id="req_1", usage=Usage(5))
    assert type(error) is kind
    assert (error.request_id, error.usage) == ("req_1", Usage(5))


def test_a_providers_message_is_never_repeated_because_it_may_quote_the_key_or_the_session() -> None:
    text = "Incorrect API key provided: sk-very-secret. Input was: my dad shouts"
    request = httpx2.Request("POST", "https://api.openai.com/v1/responses")
    response = httpx2.Response(401, request=request, headers={"x-request-id": "req_9"})
    body = {"message": text, "code": "invalid_api_key", "type": "my dad shouts"}
    error = of_exception(openai.AuthenticationError(text, response=response, body=body), now=NOW)
    assert type(error) is ModelMisconfigured
    assert str(error) == "The provider rejected the call (HTTP 401, invalid_api_key): check OPENAI_API_KEY."
    assert error.request_id == "req_9"


@pytest.mark.parametrize(
    "raised",
    [
        openai.APITimeoutError(httpx2.Request("POST", "https://x.invalid")),
        openai.APIConnectionError(request=httpx2.Request("POST", "https://x.invalid")),
        openai.APIError("boom", httpx2.Request("POST", "https://x.invalid"), body={"code": "server_error"}),
        openai.OpenAIError("my dad shouts"),
        httpx2.ReadError("my dad shouts"),
        ValueError("my dad shouts"),
    ],
)
def test_a_broken_call_may_work_next_time(raised: Exception) -> None:
    error = of_exception(raised, now=NOW, request_id="req_1")
    assert type(error) is ModelUnavailable
    assert error.request_id == "req_1"
    assert "dad" not in str(error)
