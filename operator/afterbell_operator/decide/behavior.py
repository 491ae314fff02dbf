"""HPA's stabilisation windows and policies, number for number.

The source is kubernetes ``pkg/controller/podautoscaler/horizontal.go``: ``stabilizeRecommendationWithBehaviors`` and
``calculateScale{Up,Down}LimitWithScalingRules``. One difference: from zero, the first pod is always allowed, where
HPA's percentages of zero would stay at zero.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from operator import add

from afterbell_operator.decide.values import SAMPLES_MAX, Policy, Rules, Sample, ScalingHistory, ScalingSpec

Samples = tuple[Sample, ...]


def stabilised(spec: ScalingSpec, current: int, wanted: int, history: ScalingHistory, now_s: float) -> int:
    """``wanted`` held back by the lowest recent recommendation on the way up, the highest on the way down."""
    up = min([wanted, *_within(history.lows, now_s, spec.up.window_s)])
    down = max([wanted, *_within(history.highs, now_s, spec.down.window_s)])
    return min(max(current, up), down)


def rate_limit_up(rules: Rules, current: int, changes: Sequence[Sample], now_s: float) -> int | None:
    """The most pods the policies allow now; None: no limit."""
    if rules.select == "Disabled":
        return current
    if not rules.policies:
        return None
    choose = min if rules.select == "Min" else max
    limit = choose(_highest_of(policy, _before(policy, current, changes, now_s)) for policy in rules.policies)
    return max(limit, current, 1)


def rate_limit_down(rules: Rules, current: int, changes: Sequence[Sample], now_s: float) -> int | None:
    """The fewest pods the policies allow now; None: no limit."""
    if rules.select == "Disabled":
        return current
    if not rules.policies:
        return None
    choose = max if rules.select == "Min" else min
    limit = choose(_lowest_of(policy, _before(policy, current, changes, now_s)) for policy in rules.policies)
    return max(min(limit, current), 0)


def _highest_of(policy: Policy, before: int) -> int:
    return before + policy.value if policy.kind == "Pods" else math.ceil(before * (100 + policy.value) / 100)


def _lowest_of(policy: Policy, before: int) -> int:
    return before - policy.value if policy.kind == "Pods" else int(before * (100 - policy.value) / 100)


def _before(policy: Policy, current: int, changes: Sequence[Sample], now_s: float) -> int:
    """Pods at the start of the policy's period: without those added since, with those removed since."""
    return current - sum(_within(changes, now_s, policy.period_s))


def remember(spec: ScalingSpec, history: ScalingHistory, wanted: int, now_s: float) -> ScalingHistory:
    """The history with this recommendation, without what is outside every window."""
    sample = Sample(now_s, wanted)
    return ScalingHistory(
        highs=_recent(
            [*(high for high in history.highs if high.value > wanted), sample], now_s, spec.down.window_s, max
        ),
        lows=_recent([*(low for low in history.lows if low.value < wanted), sample], now_s, spec.up.window_s, min),
        changes=_recent(history.changes, now_s, _longest_period(spec), add),
        busy_at_s=history.busy_at_s,
    )


def _within(samples: Iterable[Sample], now_s: float, window_s: float) -> list[int]:
    return [sample.value for sample in samples if sample.at_s > now_s - window_s]


def _recent(samples: Iterable[Sample], now_s: float, window_s: float, join: Callable[[int, int], int]) -> Samples:
    """At most SAMPLES_MAX of them. The oldest two are merged at the later time, so that a bound never loosens."""
    recent = [sample for sample in samples if sample.at_s > now_s - window_s]
    while len(recent) > SAMPLES_MAX:
        first, second, *rest = recent
        recent = [Sample(second.at_s, join(first.value, second.value)), *rest]
    return tuple(recent)


def _longest_period(spec: ScalingSpec) -> int:
    return max((policy.period_s for rules in (spec.up, spec.down) for policy in rules.policies), default=0)
