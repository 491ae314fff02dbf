"""A record is decided again to the same answer, is small, and tells what another spec would have done."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.operator.conftest import specs
from tests.operator.pools import pool
from tests.operator.recorded import decided_again
from tests.operator.test_decide import days, walked

from afterbell.core.errors import InvalidInput
from afterbell_operator.decide.decide import decide
from afterbell_operator.decide.values import (
    Backlog,
    Connections,
    Jobs,
    KnownLoad,
    Observation,
    ScalingHistory,
    ScalingPause,
    ScalingSpec,
    Sockets,
)
from afterbell_operator.explain.records import RECORD_BYTES_MAX, history_as_json, history_from, record
from afterbell_operator.replay import replay, simulated


@given(specs(), days, st.integers(0, 60))
def test_every_record_is_decided_again_to_the_same_answer(spec, day, start) -> None:
    for observation, history in walked(spec, day, start):
        assert decided_again(record("ns/pool", observation, spec, history, decide(observation, spec, history)))


@given(specs(), days)
def test_a_history_survives_the_status(spec, day) -> None:
    for _, history in walked(spec, day):
        assert history_from(json.loads(json.dumps(history_as_json(history)))) == history


def test_a_record_of_the_usual_spec_stays_below_two_kibibytes_however_long_its_history() -> None:
    spec, history, replicas = ScalingSpec(max_replicas=60), ScalingHistory(), 0
    for step in range(300):
        observation = Observation(
            1_795_478_400.123 + step, replicas, KnownLoad(Backlog(waiting=300 - step, oldest_s=12.3))
        )
        decision = decide(observation, spec, history)
        assert len(record("a-namespace/reports", observation, spec, history, decision)) <= RECORD_BYTES_MAX
        history, replicas = decision.history, decision.replicas


def test_a_replay_tells_what_another_spec_would_have_done() -> None:
    observation = Observation(100, 0, KnownLoad(Backlog(waiting=12)))
    spec = ScalingSpec(max_replicas=20, pause=ScalingPause(2, 200, "x"), follows=Jobs(per_pod=1))
    line = record("ns/reports", observation, spec, ScalingHistory(), decide(observation, spec, ScalingHistory()))
    assert list(replay([line])) == [("1 ns/reports at 100.000: 2 (same), paused at 2 for another 100 s: x", True)]
    ((sentence, same),) = replay([line], json.dumps(pool(maxReplicas=5)))
    assert not same
    assert sentence.startswith("1 ns/reports at 100.000: 5 (recorded 2), 0 running, 12 waiting")


def test_a_replay_of_sockets_asks_another_spec_of_sockets_and_learns_nothing_from_one_of_jobs() -> None:
    observation, spec = (
        Observation(100, 2, KnownLoad(Connections(1_500, 2))),
        ScalingSpec(max_replicas=9, follows=Sockets(700)),
    )
    line = record("ns/api", observation, spec, ScalingHistory(), decide(observation, spec, ScalingHistory()))
    source = {"connections": {"socketsPerPod": 300}}
    ((sentence, _),) = replay([line], json.dumps(pool(minReplicas=1, source=source)))
    assert sentence == "1 ns/api at 100.000: 5 (recorded 3), 1500 sockets on 2 pods: 5 by demand (now 2)"
    ((sentence, _),) = replay([line], json.dumps(pool()))
    assert "2 (recorded 3), the record counts sockets, and this Pool follows jobs" in sentence
    with pytest.raises(InvalidInput, match="follows sockets"):
        simulated(json.dumps(pool(minReplicas=1, source=source)), 10, 1)


@pytest.mark.parametrize("line", ["{", "{}", '{"pool":"a"}', "[]", "null"])
def test_a_line_that_is_no_record_is_named(line: str) -> None:
    with pytest.raises(InvalidInput, match="line 1 is not a record"):
        list(replay([line]))


def test_a_manifest_that_is_no_pool_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not a Pool"):
        list(replay([], "spec: {maxReplicas: 0}"))
