"""The reason of a decision is the limit that decided: without it the number is another, or another limit gives it."""

from collections import Counter
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.operator.conftest import backlogs, connections, specs
from tests.operator.test_decide import days, seen_by, walked

from afterbell_operator.decide.decide import applied, decide
from afterbell_operator.decide.values import (
    Backlog,
    Ceiling,
    Decision,
    Jobs,
    KnownLoad,
    Observation,
    Rules,
    ScalingHistory,
    ScalingSpec,
)
from afterbell_operator.explain.sentences import sentence_of

EMPTY: Final = ScalingHistory()
# The reasons of limits that keep the number low, and of those that keep it high.
LOWERING: Final = frozenset({"CeilingReached", "TooManyReplicas", "ScaleUpStabilized", "ScaleUpLimit"})
RAISING: Final = frozenset({"TooFewReplicas", "ScaleDownStabilized", "KeptWhileIdle", "ScaleDownLimit"})
PASSING: Final = frozenset({"ScaleUpStabilized", "ScaleDownStabilized", "ScaleUpLimit", "ScaleDownLimit"})
LONGEST_S: Final = 400


def without(spec: ScalingSpec, decision: Decision) -> ScalingSpec:
    """The spec without the limit that the decision names."""
    match decision.reason:
        case "TooFewReplicas":
            return replace(spec, min_replicas=0)
        case "TooManyReplicas":
            return replace(spec, max_replicas=10**6)
        case "KeptWhileIdle":
            return replace(spec, idle_after_s=0)
        case "ScaleUpStabilized":
            return replace(spec, up=replace(spec.up, window_s=0))
        case "ScaleDownStabilized":
            return replace(spec, down=replace(spec.down, window_s=0))
        case "ScaleUpLimit":
            return replace(spec, up=Rules(spec.up.window_s))
        case "ScaleDownLimit":
            return replace(spec, down=Rules(spec.down.window_s))
    assert decision.reason == "CeilingReached"
    assert isinstance(spec.follows, Jobs)
    named = decision.limits[-1].name.removeprefix("ceiling ")
    kept = tuple(ceiling for ceiling in spec.follows.ceilings if ceiling.name != named)
    return replace(spec, follows=replace(spec.follows, ceilings=kept))


@given(specs(), days, st.integers(0, 80))
def test_without_the_limit_that_is_named_the_number_is_another_or_another_limit_gives_it(spec, day, start) -> None:
    for observation, history in walked(spec, day, start):
        decision = decide(observation, spec, history)
        if decision.reason not in LOWERING | RAISING:
            continue
        freed = decide(observation, without(spec, decision), history)
        assert (freed.replicas, freed.limits[-1].name) != (decision.replicas, decision.limits[-1].name)
        if decision.reason in LOWERING:
            assert freed.replicas >= decision.replicas
        else:
            assert freed.replicas <= decision.replicas


@given(specs(), days, st.integers(0, 80))
def test_the_demand_is_the_reason_exactly_where_the_number_is_the_demand(spec, day, start) -> None:
    for observation, history in walked(spec, day, start):
        decision = decide(observation, spec, history)
        if decision.wanted is not None and decision.reason == "DesiredWithinRange":
            assert decision.replicas == decision.limits[0].replicas


@given(specs(), st.tuples(backlogs, connections), st.integers(0, 60))
def test_a_window_or_a_policy_is_never_named_once_its_time_is_over(spec, loads, start) -> None:
    """A load that stays: what decides in the end is the demand, a ceiling, a bound, or a direction switched off."""
    day = [(30.0, loads)] * (4 * LONGEST_S // 30) + [(float(LONGEST_S), loads)] * 80
    observation, history = walked(spec, day, start)[-1]
    decision = decide(observation, spec, history)
    if decision.reason in PASSING:
        assert "Disabled" in (spec.up.select, spec.down.select)
        assert decision.reason in ("ScaleUpLimit", "ScaleDownLimit")


@pytest.mark.parametrize(
    ("spec", "backlog", "reason", "sentence"),
    [
        (
            ScalingSpec(max_replicas=20, min_replicas=3),
            Backlog(),
            "TooFewReplicas",
            "0 running, 0 waiting, 0 due soon: 0 by demand, raised to 3 by minReplicas (now 3)",
        ),
        (
            ScalingSpec(max_replicas=10),
            Backlog(waiting=90, running=10),
            "TooManyReplicas",
            "10 running, 90 waiting, 0 due soon: 20 by demand, lowered to 10 by maxReplicas (now 10)",
        ),
        (
            ScalingSpec(max_replicas=10, follows=Jobs(ceilings=(Ceiling("openai", 60, 45),))),
            Backlog(waiting=90),
            "CeilingReached",
            "0 running, 90 waiting, 0 due soon: 18 by demand, lowered to 9 by ceiling openai (now 9)",
        ),
    ],
)
def test_for_an_hour_the_bound_that_decides_is_named_with_what_was_wanted(spec, backlog, reason, sentence) -> None:
    history, replicas, reasons = EMPTY, spec.min_replicas, Counter[str]()
    for at_s in range(0, 3600, 15):
        observation = Observation(1e9 + at_s, replicas, KnownLoad(backlog))
        decision = decide(observation, spec, history)
        history, replicas = applied(decision, replicas, observation.at_s), decision.replicas
        reasons[decision.reason] += 1
    assert reasons == {reason: 240}
    assert sentence_of(observation, spec, decision) == sentence


def test_a_bound_brings_no_look_of_its_own() -> None:
    observation = seen_by(spec := ScalingSpec(max_replicas=20, min_replicas=3), 1000.0, 3, Backlog())
    assert decide(observation, spec, EMPTY).look_again_s is None, "nothing that passes keeps the number"
