"""Which models may be called now, as the whole fleet knows it: breakers, pauses, quotas.

While no model is in trouble and no quota is set, nothing here sends a command: each poll says which models are in
trouble, and answered calls are only counted, until one fails.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from afterbell.adapters.breaker.breaker import Breaker, BreakerVerb, Verdict
from afterbell.core.errors import QueueScriptError, StoreUnavailable
from afterbell.observability.metrics import MODEL_HELD, MODEL_TROUBLED

FLIGHT_SLACK_S: Final = 60.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProviderRules:
    """What the fleet agrees on. The breaker opens at ``failures_min`` and at least as many failures as answers within
    ``window_s``, for ``open_s``, then twice as long each time a probe fails, up to ``open_max_s``. A model that asks to
    wait is left alone for ``wait_s`` at least, then twice as long each time, up to ``wait_max_s``. 0 = no such quota.
    """

    failures_min: int = 5
    window_s: float = 60.0
    open_s: float = 30.0
    open_max_s: float = 600.0
    wait_s: float = 1.0
    wait_max_s: float = 60.0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    in_flight_max: int = 0
    attempt_s: float = 180.0

    @property
    def has_quota(self) -> bool:
        """Whether calls must be counted where all workers see it."""
        return bool(self.requests_per_minute or self.tokens_per_minute or self.in_flight_max)


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to call a model, or ``wait_s`` > 0 until it is worth asking for again."""

    model: str
    call: str
    wait_s: float = 0.0
    probe: bool = False
    counted: bool = False
    tokens: int = 0


class ProviderGate:
    """One worker's view of the chain of ``models``. ``troubled`` gives the names the last poll brought.

    Where Redis does not answer, or the script fails in it, calls go on: it only says what to spare the provider.
    """

    def __init__(
        self, breaker: Breaker, rules: ProviderRules, models: Sequence[str], troubled: Callable[[], frozenset[str]]
    ) -> None:
        self._breaker, self._rules, self._models, self._troubled = breaker, rules, tuple(models), troubled
        self._answered = dict.fromkeys(models, 0)

    async def ask(self, model: str, call: str, tokens: int) -> Permit:
        """May ``model`` be called now? ``tokens`` is what the provider will count for it up front."""
        rules = self._rules
        is_troubled = model in self._troubled()
        MODEL_TROUBLED.labels(model).set(is_troubled)
        if not rules.has_quota and not is_troubled:
            return Permit(model, call)
        quotas = (rules.requests_per_minute, rules.tokens_per_minute, rules.in_flight_max)
        try:
            verdict = await self._breaker.apply(
                "ask", model, call, tokens, *quotas, _ms(rules.attempt_s + FLIGHT_SLACK_S)
            )
        except (StoreUnavailable, QueueScriptError) as error:
            log.warning("breaker_query_failed", model=model, error=str(error))
            return Permit(model, call)
        if verdict.wait_ms:
            MODEL_HELD.labels(model).observe(verdict.wait_ms / 1000)
        return Permit(
            model=model,
            call=call,
            wait_s=verdict.wait_ms / 1000,
            probe=verdict.is_probe,
            counted=rules.has_quota and not verdict.wait_ms,
            tokens=tokens,
        )

    async def answered(self, permit: Permit, tokens_used: int) -> None:
        """The provider answered, whatever the answer is worth."""
        self._answered[permit.model] += 1
        if permit.probe:
            log.info("model_back", model=permit.model)
            await self._update("ok", permit.model)
        await self._end(permit, tokens_used)

    async def failed(self, permit: Permit, tokens_used: int) -> float:
        """The provider did not answer. Seconds until any model may be called; 0.0 where this one still may."""
        rules, answered = self._rules, self._answered[permit.model]
        self._answered[permit.model] = 0
        verdict = await self._update(
            "failed",
            permit.model,
            answered,
            _ms(rules.window_s),
            rules.failures_min,
            _ms(rules.open_s),
            _ms(rules.open_max_s),
            int(permit.probe),
            *self._others(permit.model),
        )
        await self._end(permit, tokens_used)
        if verdict.wait_ms == 0:
            return 0.0
        wait_s = verdict.wait_ms / 1000
        log.error("model_away", model=permit.model, asked_again_in_s=wait_s)
        return max(verdict.any_wait_ms / 1000, 1.0 if len(self._models) > 1 else wait_s)

    async def told_to_wait(self, permit: Permit, seconds: float) -> float:
        """The provider asked everybody to wait; so it is there. Seconds until it is worth asking again."""
        if permit.probe:
            await self._update("ok", permit.model)
        answered, self._answered[permit.model] = self._answered[permit.model], 0
        again = _ms(self._rules.wait_s), _ms(self._rules.wait_max_s)
        verdict = await self._update("wait", permit.model, _ms(seconds), answered, *again, *self._others(permit.model))
        await self._end(permit, 0)
        return max(seconds, verdict.wait_ms / 1000)

    async def misconfigured(self, permit: Permit) -> None:
        """Every call of this model fails until somebody mends its key, name or account."""
        log.error("model_misconfigured", model=permit.model)
        await self._update("broken", permit.model, _ms(self._rules.open_max_s), *self._others(permit.model))
        await self._end(permit, 0)

    async def left(self, permit: Permit, tokens_used: int) -> None:
        """The call was not made, or its answer not waited for."""
        await self._end(permit, tokens_used)

    def _others(self, model: str) -> list[str]:
        return [name for name in self._models if name != model]

    async def _end(self, permit: Permit, tokens_used: int) -> None:
        if permit.counted:
            await self._update("ended", permit.model, permit.call, permit.tokens, tokens_used)

    async def _update(self, verb: BreakerVerb, model: str, *arguments: object) -> Verdict:
        try:
            return await self._breaker.apply(verb, model, *arguments)
        except (StoreUnavailable, QueueScriptError) as error:
            log.warning("breaker_update_failed", verb=verb, model=model, error=str(error))
            return Verdict()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
