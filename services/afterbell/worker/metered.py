"""The models as the pipeline sees them: each call is in the books before it is made, whatever then becomes of it.

One ``write`` of a try: choose a model of the chain, reserve, call, book. What was billed is booked before anybody reads
the answer, so failed, repaired and thrown-away calls are in the bill too.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from time import monotonic
from typing import Final, Literal

import structlog

from afterbell.adapters.breaker.provider_gate import Permit, ProviderGate
from afterbell.adapters.db import costs
from afterbell.adapters.db.costs import CallEnded, CallToOpen, OpenCall
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports.rows import Claim
from afterbell.adapters.models.answer import ModelAnswer
from afterbell.adapters.models.exchange import OnProgress
from afterbell.adapters.models.model_client import ModelClient
from afterbell.adapters.models.narrative_codec import schema_bytes
from afterbell.core import trace
from afterbell.core.errors import (
    ModelError,
    ModelInputTooLong,
    ModelMisconfigured,
    ModelRefused,
    ModelToldToWait,
    ModelUnavailable,
    SettingsError,
    StoreUnavailable,
)
from afterbell.core.money import tokens
from afterbell.core.money.budgets import EVERYBODY, Budgets, BudgetState, marks_passed
from afterbell.core.money.prices import Price, PriceList
from afterbell.core.report.prompt import Prompt
from afterbell.core.usage import Usage
from afterbell.observability import spans
from afterbell.observability.metrics import BUDGET_MARKS, BUDGET_USED, MODEL_COST, MODEL_SECONDS, MODEL_SHUTDOWN
from afterbell.service import Background

BOOK_PATIENCE_S: Final = 60.0
BOOK_AGAIN_S: Final = 1.0
CLOSE_PATIENCE_S: Final = 5.0
# A call this old has no worker any more, whatever its timeout: the setting's upper bound is below it.
LOST_AFTER: Final = timedelta(hours=1)
LOST_MAX: Final = 100
"""Lost calls that a worker closes before it begins."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Money:
    """What calls cost and what they may cost. ``unknown_price`` says what a model without a price is."""

    prices: PriceList
    budgets: Budgets
    unknown_price: Literal["warn", "block"]


class MeteredModels:
    """A chain of models, the first that can be had is asked. ``now`` is the wall clock; days are UTC."""

    def __init__(
        self,
        database: Database,
        chain: Sequence[ModelClient],
        money: Money,
        gate: ProviderGate,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._database, self._chain, self._money = database, tuple(chain), money
        self._gate, self._now = gate, now
        self._bookings = Background("booking")

    async def start(self) -> None:
        """Say what will end or has no price, and book the calls of workers that vanished.

        Raises SettingsError for a model without a price where a budget is set.
        """
        names, today = [client.model for client in self._chain], self._now().date()
        for model, end in self._money.prices.ending(names, today):
            log.warning("model_ends", model=model, shutdown=end.isoformat(), days_left=(end - today).days)
        for model in names:
            if (shutdown := self._money.prices.end_of(model)) is not None:
                # However far off: the alert has to see it come, and a worker may run for months.
                MODEL_SHUTDOWN.labels(model).set(datetime.combine(shutdown, time.min, UTC).timestamp())
            if self._money.prices.of(model, today) is None:
                self._tell_unpriced(model)
        await self._close_lost()

    def _tell_unpriced(self, model: str) -> None:
        """A call without a price costs nothing in the books, so no budget would ever bind it."""
        prices = self._money.prices.version
        if self._money.budgets.any_set:
            text = (
                f"The price list {prices} has no price for model {model}, and a budget is set that would never bind "
                "it: add the model to a price list of your own (AFTERBELL_PRICES; 0 where it costs nothing)."
            )
            raise SettingsError(text, field="AFTERBELL_PRICES")
        log.warning("price_unknown", model=model, price_version=prices)

    async def _close_lost(self) -> None:
        lost, more = 0, True
        while more and lost < LOST_MAX:
            async with self._database.transaction() as connection:
                more = await costs.close_lost(connection, self._money.budgets, older_than=LOST_AFTER)
            lost += more
        if lost:
            log.warning("calls_lost", calls=lost)

    async def aclose(self) -> None:
        """Finish booking."""
        await self._bookings.finish(CLOSE_PATIENCE_S)

    async def write(
        self,
        claimed: Claim,
        prompt: Prompt,
        *,
        client_request_id: str,
        safety_identifier: str | None,
        on_progress: OnProgress,
    ) -> ModelAnswer:
        """One answer for a try, from the first model that can be had. Raises ModelError, BudgetSpent.

        ModelToldToWait where every model is held back, or became so with this call.
        """
        call = _Call(claimed, prompt, client_request_id, safety_identifier, on_progress)
        waits_s: list[float] = []
        rejected: ModelError | None = None
        for client in self._chain:
            permit = await self._gate.ask(client.model, client_request_id, call.read_tokens + client.output_tokens_max)
            if permit.wait_s > 0:
                waits_s.append(permit.wait_s)
                continue
            try:
                return await self._guarded(client, call, permit)
            except (ModelMisconfigured, ModelInputTooLong) as error:
                log.warning("model_rejected", model=client.model, error=str(error))
                rejected = error
        if waits_s or rejected is None:
            wait_s = min(waits_s, default=1.0)
            raise ModelToldToWait(f"All models are rate-limited or unavailable; retry in {wait_s:g} s.", seconds=wait_s)
        raise rejected

    async def _guarded(self, client: ModelClient, call: "_Call", permit: Permit) -> ModelAnswer:
        """One call, and the fleet told what became of it."""
        gate = self._gate
        try:
            answer = await self._booked(client, call)
        except ModelUnavailable as error:
            wait_s = await gate.failed(permit, _spent(error.usage))
            if wait_s == 0:
                raise
            text = f"{error} Its circuit breaker is open; next call in {wait_s:g} s."
            # Its cost is booked; the try it belongs to ends without using one of the retries.
            raise ModelToldToWait(text, seconds=wait_s, request_id=error.request_id, usage=error.usage) from None
        except ModelToldToWait as error:
            error.seconds = await gate.told_to_wait(permit, error.seconds)
            raise
        except ModelMisconfigured:
            await gate.misconfigured(permit)
            raise
        except ModelError as error:
            await gate.answered(permit, _spent(error.usage))
            raise
        except BaseException:
            await gate.left(permit, permit.tokens)
            raise
        await gate.answered(permit, _spent(answer.usage))
        return answer

    async def _booked(self, client: ModelClient, call: "_Call") -> ModelAnswer:
        today = self._now().date()
        opened = await self._open(client, call, self._price(client.model, today), today)
        try:
            with MODEL_SECONDS.labels(client.model).time():
                answer = await _asked(client, call)
        except ModelError as error:
            ended = CallEnded(error.code, None, error.request_id, error.usage or Usage())
            await self._book(opened, client.model, ended)
            raise
        except BaseException:
            # Left in the middle: the provider wrote on for as long as it liked.
            usage = Usage(input_tokens=call.read_tokens, output_tokens=client.output_tokens_max, estimated=True)
            await self._book(opened, client.model, CallEnded("stopped", usage=usage))
            raise
        await self._book(opened, client.model, CallEnded("answered", answer.model, answer.request_id, answer.usage))
        return answer

    def _price(self, model: str, today: date) -> Price | None:
        price = self._money.prices.of(model, today)
        if price is None and self._money.unknown_price == "block":
            text = (
                f"The price list {self._money.prices.version} has no price for model {model}: add it to a list of your"
            )
            raise ModelRefused(f"{text} own (AFTERBELL_PRICES), or call it anyway (AFTERBELL_UNKNOWN_PRICE=warn).")
        return price

    async def _open(self, client: ModelClient, call: "_Call", price: Price | None, today: date) -> OpenCall:
        prompt, claimed = call.prompt, call.claimed
        read = tokens.bound(prompt.instructions) + tokens.bound(prompt.transcript) + schema_bytes()
        reserve = Decimal(0) if price is None else price.bound_usd(read, client.output_tokens_max)
        to_open = CallToOpen(
            claimed.tenant_id, claimed.report_id, claimed.attempt, client.model, call.client_request_id, reserve
        )
        async with self._database.transaction() as connection:
            return await costs.open_call(connection, to_open, self._money.budgets, today=today)

    async def _book(self, opened: OpenCall, model: str, ended: CallEnded) -> None:
        """In a task of its own: whoever stops the try must not stop its bill."""
        booking = self._bookings.begin(self._book_patiently(opened, self._priced(model, opened.day, ended)))
        await asyncio.shield(booking)

    def _priced(self, model: str, day: date, ended: CallEnded) -> CallEnded:
        prices, usage = self._money.prices, ended.usage or Usage()
        price = prices.of(ended.served_model or model, day) or prices.of(model, day)
        cost = None if price is None else price.cost_usd(usage)
        version = None if price is None else prices.version
        return CallEnded(ended.outcome, ended.served_model, ended.request_id, usage, cost, version)

    async def _book_patiently(self, opened: OpenCall, ended: CallEnded) -> None:
        give_up_at = monotonic() + BOOK_PATIENCE_S
        while True:
            try:
                async with self._database.transaction() as connection:
                    budget_states = await costs.close_call(connection, opened, ended, self._money.budgets)
                break
            except StoreUnavailable as error:
                if monotonic() >= give_up_at:
                    # The call stays open in the books, and is closed as lost, at all it can have cost.
                    log.error("cost_unbooked", call=str(opened.id), error=str(error))
                    return
                await asyncio.sleep(BOOK_AGAIN_S)
        _tell(budget_states, ended)


@dataclass(frozen=True, slots=True)
class _Call:
    claimed: Claim
    prompt: Prompt
    client_request_id: str
    safety_identifier: str | None
    on_progress: OnProgress

    @property
    def read_tokens(self) -> int:
        """About how many tokens the model reads."""
        return tokens.expected(self.prompt.instructions) + tokens.expected(self.prompt.transcript)


async def _asked(client: ModelClient, call: _Call) -> ModelAnswer:
    """One call, as a step of the try's trace."""
    fresh = secrets.token_bytes(trace.TRACE_BYTES + trace.SPAN_BYTES)
    parent = trace.read(call.claimed.traceparent)
    step = trace.begun(fresh) if parent is None else parent.child(fresh[trace.TRACE_BYTES :])
    facts = {"gen_ai.request.model": client.model}
    with spans.span(f"model {client.model}", "client", step, parent, **facts) as span:
        answer = await client.write(
            call.prompt,
            client_request_id=call.client_request_id,
            safety_identifier=call.safety_identifier,
            on_progress=call.on_progress,
            traceparent=step.header,
        )
        used = {"input_tokens": answer.usage.input_tokens, "output_tokens": answer.usage.output_tokens}
        span.facts |= {f"gen_ai.usage.{name}": count for name, count in used.items()}
    return answer


def _spent(usage: Usage | None) -> int:
    return 0 if usage is None else usage.input_tokens + usage.output_tokens


def _tell(budget_states: Sequence[BudgetState], ended: CallEnded) -> None:
    cost = ended.cost_usd or Decimal(0)
    MODEL_COST.labels(ended.served_model or "unknown").inc(float(cost))
    for budget in budget_states:
        if budget.limit_usd and budget.tenant_id == EVERYBODY:
            BUDGET_USED.labels(budget.period).set(float(budget.spent_usd / budget.limit_usd))
        for mark in marks_passed(budget, cost):
            BUDGET_MARKS.labels(budget.period, "all" if budget.tenant_id == EVERYBODY else "tenant", str(mark)).inc()
            say = log.warning if mark < 80 else log.error
            say(
                "budget_passed",
                percent=mark,
                budget=budget.whose,
                tenant_id=budget.tenant_id,
                spent_usd=str(budget.spent_usd),
                limit_usd=str(budget.limit_usd),
            )
