"""``afterbell model check``: ask each configured model once, and say what it can do and what to change."""

import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Final

import typer

from afterbell.adapters.models import narrative_codec, price_file
from afterbell.adapters.models.answer import ModelAnswer, ModelProgress
from afterbell.adapters.models.chat_completions import ChatClient
from afterbell.adapters.models.model_client import ModelClient
from afterbell.cli.session_files import example_lesson
from afterbell.core.errors import (
    ModelAnswerUnusable,
    ModelDeclined,
    ModelError,
    ModelInputTooLong,
    ModelMisconfigured,
    ModelToldToWait,
    ModelUnavailable,
)
from afterbell.core.money.prices import Price
from afterbell.core.report.prompt import Prompt, build
from afterbell.core.report.statistics import measure
from afterbell.core.session import transcript_of
from afterbell.core.usage import Usage
from afterbell.settings import ModelCheckSettings
from afterbell.worker.chain import chain_of

_REMEDIES: Final[tuple[tuple[type[ModelError], str], ...]] = (
    (ModelMisconfigured, "the message names what to change; if it is a parameter, try another AFTERBELL_MODEL_PROFILE"),
    (ModelInputTooLong, "the model's context is too small for one lesson: use a model with 8,000 tokens or more"),
    (ModelToldToWait, "the provider limits you at this moment: try again later"),
    (ModelUnavailable, "check OPENAI_BASE_URL and that the server is up; try AFTERBELL_LLM_API=chat"),
    (
        ModelAnswerUnusable,
        "the model did not keep to the schema: try AFTERBELL_MODEL_STRUCTURED_OUTPUT=json_object, or a larger model",
    ),
    (ModelDeclined, "the provider's filter refuses a lesson about fractions: ask the provider"),
    (ModelError, "the server refuses the call: try another AFTERBELL_MODEL_PROFILE, or look into the server's log"),
)


@dataclass(slots=True)
class _Tried:
    """What one call of the example lesson came to."""

    answer: ModelAnswer | None = None
    error: ModelError | None = None
    seconds: float = 0.0
    steps: int = 0

    @property
    def usage(self) -> Usage | None:
        """What it was billed."""
        return self.answer.usage if self.answer else self.error.usage if self.error else None


async def run(settings: ModelCheckSettings) -> int:
    """Ask each model of the chain about the example lesson. Returns 0 where all wrote a narrative, else 1."""
    chain, prices, today = chain_of(settings), price_file.load(settings.prices), datetime.now(UTC).date()
    failed = 0
    for client in chain:
        typer.echo(f"{client.model} ({'chat completions' if isinstance(client, ChatClient) else 'Responses API'})")
        tried = await _try(client)
        price = prices.of(tried.answer.model if tried.answer else client.model, today) or prices.of(client.model, today)
        for name, said in _rows(tried, price):
            typer.echo(f"  {name:<12} {said}")
        failed += tried.error is not None
        await client.aclose()
    return 1 if failed else 0


async def _try(client: ModelClient) -> _Tried:
    tried, began = _Tried(), perf_counter()

    async def on_progress(progress: ModelProgress) -> None:
        tried.steps += progress.sections_finished > 0

    try:
        tried.answer = await client.write(
            _prompt(), client_request_id=f"check-{uuid.uuid4()}", safety_identifier=None, on_progress=on_progress
        )
        narrative_codec.decode(tried.answer.text)
    except ModelError as error:
        tried.error = error
    tried.seconds = perf_counter() - began
    return tried


def _prompt() -> Prompt:
    session = example_lesson()
    return build(transcript_of(session), measure(session), fence=secrets.token_hex(8))


def _rows(tried: _Tried, price: Price | None) -> list[tuple[str, str]]:
    answer, error, usage = tried.answer, tried.error, tried.usage
    rows = [("answers", f"yes, in {tried.seconds:.1f} s" if answer else f"no: {error}")]
    if answer:
        rows += [
            ("model", answer.model),
            ("schema", f"no: {error}" if error else "kept: the answer is a narrative"),
            ("streams", "yes" if tried.steps > 1 else "no: progress stands still while the model writes"),
        ]
    if usage:
        counted = "estimated, the server does not say" if usage.estimated else "told by the server"
        rows.append(("tokens", f"{usage.input_tokens} in, {usage.output_tokens} out ({counted})"))
    rows.append(("price", _priced(price, usage)))
    if error:
        rows.append(("to do", next(advice for kind, advice in _REMEDIES if isinstance(error, kind))))
    return rows


def _priced(price: Price | None, usage: Usage | None) -> str:
    if price is None:
        return "unknown: state it in a list of your own (AFTERBELL_PRICES), or no budget binds this model"
    rates = price.rates[0]
    known = f"${rates.input}/{rates.output} per million tokens in/out"
    return known if usage is None else f"${price.cost_usd(usage):.5f} for this report ({known})"
