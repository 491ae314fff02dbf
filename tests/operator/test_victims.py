"""Which pods go: no job is ever cut off, whatever Kubernetes chooses of what it may choose."""

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.operator.conftest import pods

from afterbell_operator.decide.victims import VICTIM_COST, Occupancy, Pod, could_go, removable, steps_to, victims


@st.composite
def occupied(draw: st.DrawFn) -> tuple[tuple[Pod, ...], Occupancy]:
    fleet = draw(pods())
    jobs = {pod.name: draw(st.integers(0, 3)) for pod in fleet}
    drained = frozenset(pod.name for pod in fleet if draw(st.booleans()))
    empty = frozenset(pod.name for pod in fleet if not pod.running and draw(st.booleans()))
    return fleet, Occupancy(jobs, drained, empty)


@given(occupied(), st.integers(0, 10), st.integers(0, 10))
@settings(
    max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)  # most pods may not go, rightly
def test_a_lower_number_never_reaches_a_pod_that_has_or_may_get_a_job(fleet, wanted, asked) -> None:
    present, occupancy = [pod for pod in fleet[0] if not pod.terminating], fleet[1]
    steps = steps_to(wanted, asked, fleet[0], occupancy, settled=occupancy.drained)
    assume(steps.replicas is not None and steps.replicas < asked)
    for name in could_go(present, len(present) - steps.replicas):
        assert name in occupancy.empty or (name in occupancy.drained and occupancy.jobs[name] == 0)


@given(occupied(), st.integers(0, 10))
def test_more_than_asked_is_never_removed_and_what_is_kept_is_never_drained(fleet, wanted) -> None:
    present, occupancy = [pod for pod in fleet[0] if not pod.terminating], fleet[1]
    steps = steps_to(wanted, len(present), fleet[0], occupancy)
    assert len(steps.drain) <= max(len(present) - wanted, 0)
    assert not set(steps.drain) & set(steps.undrain)
    assert steps.replicas is None or steps.replicas >= wanted
    kept = {pod.name for pod in present} - {pod.name for pod in victims(present, occupancy, len(present) - wanted)}
    assert kept & occupancy.drained <= set(steps.undrain)


@given(occupied(), st.integers(0, 10))
def test_a_scale_up_takes_back_every_drain(fleet, more) -> None:
    present = [pod for pod in fleet[0] if not pod.terminating]
    steps = steps_to(len(present) + more + 1, len(present), fleet[0], fleet[1])
    assert steps.drain == ()
    assert set(steps.undrain) == {pod.name for pod in present} & fleet[1].drained
    assert steps.replicas == len(present) + more + 1


@given(occupied(), st.integers(1, 10))
def test_nothing_is_taken_away_while_a_rollout_is_under_way(fleet, asked) -> None:
    present = [pod for pod in fleet[0] if not pod.terminating]
    assume(len({pod.owner for pod in present}) > 1)
    steps = steps_to(0, asked, fleet[0], fleet[1], settled=fleet[1].drained)
    assert (steps.drain, steps.replicas) == ((), None)


def test_the_way_down_is_drain_then_cost_then_number() -> None:
    busy, idle = Pod("busy"), Pod("idle")
    first = steps_to(1, 2, [busy, idle], Occupancy({"busy": 2}))
    assert (first.drain, first.cheapen, first.replicas) == (("idle",), (), None)
    drained = Occupancy({"busy": 2}, frozenset({"idle"}))
    second = steps_to(1, 2, [busy, idle], drained)
    assert (second.drain, second.cheapen, second.replicas) == ((), ("idle",), None)
    cheap = Pod("idle", cost=VICTIM_COST)
    assert steps_to(1, 2, [busy, cheap], drained).replicas is None, "Kubernetes may not have seen the cost yet"
    assert steps_to(1, 2, [busy, cheap], drained, settled={"idle"}).replicas == 1


def test_a_busy_pod_is_drained_and_waited_for() -> None:
    steps = steps_to(1, 2, [Pod("a"), Pod("b")], Occupancy({"a": 2, "b": 1}, frozenset({"b"})))
    assert (steps.drain, steps.replicas, steps.waits_for) == ((), None, ("b",))


def test_pods_that_kubernetes_would_take_first_are_given_up_first() -> None:
    present = [Pod("ready", created_s=9), Pod("pending", running=False, ready=False), Pod("unready", ready=False)]
    assert [pod.name for pod in victims(present, Occupancy({"pending": 1}), 2)] == ["pending", "unready"]


def test_pods_asked_for_that_do_not_exist_yet_are_taken_back_at_once() -> None:
    assert steps_to(2, 5, [Pod("a"), Pod("b")], Occupancy({"a": 1, "b": 1})).replicas == 2


def test_the_pod_with_the_fewest_sockets_is_emptied_and_goes_once_it_is() -> None:
    present = [Pod("full"), Pod("half"), Pod("few")]
    sockets = {"full": 90, "half": 50, "few": 5}
    first = steps_to(2, 3, present, Occupancy(sockets))
    assert (first.drain, first.hold, first.replicas, first.waits_for) == (("few",), (), None, ("few",))
    waiting = steps_to(2, 3, present, Occupancy(sockets, frozenset({"few"})))
    assert (waiting.drain, waiting.hold, waiting.cheapen, waiting.replicas) == ((), ("few",), (), None)
    unready = [Pod("full"), Pod("half"), Pod("few", ready=False, cost=VICTIM_COST)]
    empty = Occupancy(sockets | {"few": 0}, frozenset({"few"}))
    assert steps_to(2, 3, unready, empty, settled={"few"}).replicas == 2


def test_a_pod_whose_process_does_not_run_yet_goes_without_being_told() -> None:
    present = [Pod("a"), Pod("b"), Pod("nowhere", assigned=False, running=False, ready=False)]
    steps = steps_to(2, 3, present, Occupancy({"a": 9, "b": 9}, empty=frozenset({"nowhere"})))
    assert (steps.drain, steps.replicas) == ((), 2)
    assert steps_to(1, 3, present, Occupancy({"a": 9, "b": 8}, empty=frozenset({"nowhere"}))).drain == ("b",)


def test_a_pod_evicted_meanwhile_leaves_the_drained_one_in_service() -> None:
    occupancy = Occupancy({}, frozenset({"b"}))
    steps = steps_to(1, 1, [Pod("a", terminating=True), Pod("b", cost=VICTIM_COST)], occupancy)
    assert (steps.undrain, steps.restore, steps.replicas) == (("b",), ("b",), None)


def test_pods_of_equal_rank_may_all_be_chosen() -> None:
    present = [Pod("a"), Pod("b"), Pod("c", cost=VICTIM_COST)]
    assert could_go(present, 1) == {"c"}
    assert could_go(present, 2) == {"a", "b", "c"}
    assert removable(present, Occupancy({}, frozenset("abc")), 3) == 3
    assert removable(present, Occupancy({"a": 1}, frozenset("abc")), 2) == 1
