"""The number of pods: what holds for every spec, backlog and past, and the numbers HPA gives for the same."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.operator.conftest import backlogs, connections, followed_jobs, specs

from afterbell_operator.decide.decide import applied, decide, grows_in_s, pods_for, pods_for_sockets, useful_pods
from afterbell_operator.decide.values import (
    SAMPLES_MAX,
    Backlog,
    Ceiling,
    Connections,
    Jobs,
    KnownLoad,
    Load,
    Observation,
    Policy,
    Rules,
    ScalingHistory,
    ScalingPause,
    ScalingSpec,
    Sockets,
    UnknownLoad,
    UntrustedLoad,
)
from afterbell_operator.explain.sentences import sentence_of

EMPTY = ScalingHistory()
Loads = tuple[Backlog, Connections]
days = st.lists(st.tuples(st.floats(0.1, 90), st.none() | st.tuples(backlogs, connections)), min_size=1, max_size=12)


def seen_by(spec: ScalingSpec, at_s: float, replicas: int, loads: Loads | Load | None) -> Observation:
    """Of two loads the one that the Pool follows."""
    load = loads[isinstance(spec.follows, Sockets)] if isinstance(loads, tuple) else loads
    return Observation(at_s, replicas, UnknownLoad("Redis is away") if load is None else KnownLoad(load))


def walked(
    spec: ScalingSpec, day: list[tuple[float, Loads | Load | None]], replicas: int = 0
) -> list[tuple[Observation, ScalingHistory]]:
    """Every moment of a day that is decided and applied: what was seen, and the history before it."""
    moments, history, at_s = [], EMPTY, 1000.0
    for pause_s, loads in day:
        at_s += pause_s
        observation = seen_by(spec, at_s, replicas, loads)
        moments.append((observation, history))
        decision = decide(observation, spec, history)
        history, replicas = applied(decision, replicas, at_s), decision.replicas
    return moments


def tops(spec: ScalingSpec) -> list[int]:
    """Pods under each ceiling."""
    jobs = spec.follows
    return [useful_pods(ceiling, jobs) for ceiling in jobs.ceilings] if isinstance(jobs, Jobs) else []


@given(specs(), days, st.integers(0, 80))
def test_the_number_stays_within_the_bounds_and_under_every_ceiling(spec, day, start) -> None:
    for observation, history in walked(spec, day, start):
        decision = decide(observation, spec, history)
        if isinstance(observation.reading, UnknownLoad):
            continue
        if decision.replicas != observation.replicas or not (
            spec.down.select == "Disabled" or spec.up.select == "Disabled"
        ):
            assert spec.min_replicas <= decision.replicas <= spec.max_replicas
        if decision.replicas > observation.replicas:
            most = min([*tops(spec), spec.max_replicas])
            assert decision.replicas <= max(most, spec.min_replicas)


@given(specs(), days, st.integers(0, 80))
def test_what_is_unknown_never_takes_a_pod_away(spec, day, start) -> None:
    for observation, history in walked(spec, day, start):
        unknown = replace(observation, reading=UnknownLoad("Redis is gone"))
        held = decide(unknown, spec, history)
        assert held.replicas == max(observation.replicas, spec.min_replicas)
        assert "Redis is gone" in sentence_of(unknown, spec, held)


@given(specs(), days, st.integers(0, 60))
def test_a_number_that_is_not_trusted_adds_pods_and_takes_none_away(spec, day, start) -> None:
    for observation, history in walked(spec, day, start):
        if isinstance(observation.reading, KnownLoad):
            untrusted = replace(observation, reading=UntrustedLoad(observation.reading.load, "it lost its data"))
            sure, unsure = decide(observation, spec, history), decide(untrusted, spec, history)
            assert unsure.replicas == max(sure.replicas, observation.replicas)


@given(specs(), days, st.integers(0, 60), st.integers(0, 100), st.integers(0, 100), st.integers(0, 50))
def test_more_jobs_never_lead_to_fewer_pods(spec, day, start, waiting, running, due) -> None:
    for observation, history in walked(spec, day, start):
        if isinstance(observation.reading, UnknownLoad):
            continue
        load = observation.reading.load
        if isinstance(load, Connections):
            added = {"sockets": load.sockets + waiting}
        else:
            added = {"waiting": load.waiting + waiting, "running": load.running + running, "due": load.due + due}
        more = replace(observation, reading=KnownLoad(replace(load, **added)))
        assert decide(more, spec, history).replicas >= decide(observation, spec, history).replicas


@given(specs(), days, st.integers(0, 60))
def test_the_same_question_has_the_same_answer_and_a_bounded_memory(spec, day, start) -> None:
    for observation, history in walked(spec, day, start):
        decision = decide(observation, spec, history)
        assert decision == decide(observation, spec, history)
        kept = decision.history
        assert max(len(kept.highs), len(kept.lows), len(kept.changes)) <= SAMPLES_MAX


@given(specs(), st.tuples(backlogs, connections), st.integers(0, 60))
def test_under_a_constant_load_the_number_changes_direction_at_most_once(spec, loads, start) -> None:
    numbers = [observation.replicas for observation, _ in walked(spec, [(5.0, loads)] * 150, start)]
    moves = [after - before for before, after in pairwise(numbers) if after != before]
    turns = sum((move > 0) != (next_move > 0) for move, next_move in pairwise(moves))
    assert turns <= 1


@given(specs(), days)
def test_nothing_is_scaled_to_zero_while_a_job_runs_waits_or_is_due_or_a_socket_is_open(spec, day) -> None:
    for observation, history in walked(spec, day, 1):
        if isinstance(observation.reading, KnownLoad) and observation.reading.load.demand and observation.replicas:
            assert decide(observation, spec, history).replicas > 0


def test_two_hundred_jobs_at_zero_lead_to_the_final_number_in_one_step() -> None:
    observation, spec = (
        Observation(0, 0, KnownLoad(Backlog(waiting=200))),
        ScalingSpec(max_replicas=60, follows=Jobs(per_pod=5)),
    )
    decision = decide(observation, spec, EMPTY)
    assert (decision.replicas, decision.reason) == (40, "DesiredWithinRange")
    assert sentence_of(observation, spec, decision) == "0 running, 200 waiting, 0 due soon: 40 by demand (now 0)"


def test_sockets_lead_to_pods_that_hold_so_many_each() -> None:
    spec = ScalingSpec(max_replicas=9, min_replicas=1, follows=Sockets(700))
    observation = Observation(0, 2, KnownLoad(Connections(1_500, 2, cap=2_000)))
    decision = decide(observation, spec, EMPTY)
    assert (decision.replicas, decision.reason) == (3, "DesiredWithinRange")
    assert sentence_of(observation, spec, decision) == "1500 sockets on 2 pods: 3 by demand (now 2)"


def test_no_pod_is_planned_fuller_than_seven_tenths_of_what_it_takes() -> None:
    sockets = Sockets(per_pod=700)
    assert pods_for_sockets(Connections(1_500, 3, cap=500), sockets) == 5, "three full pods would refuse every new one"
    assert pods_for_sockets(Connections(1_500, 3), sockets) == 3, "nobody said what a pod takes"
    assert pods_for_sockets(Connections(1, 1, cap=1), sockets) == 1


def test_a_ready_pod_that_does_not_report_lets_the_number_grow_and_keeps_it_from_falling() -> None:
    spec, why = (
        ScalingSpec(max_replicas=9, follows=Sockets(100), down=Rules()),
        "1 of 3 ready pods of api have not reported",
    )
    few = Observation(0, 3, UntrustedLoad(Connections(50, 2), why))
    held = decide(few, spec, EMPTY)
    assert (held.replicas, held.reason) == (3, "ConnectionsUnknown")
    assert sentence_of(few, spec, held).startswith(f"{why}: 3 replicas are kept; 50 sockets on 2 pods")
    many = replace(few, reading=UntrustedLoad(Connections(500, 2), why))
    assert decide(many, spec, EMPTY).replicas == 5
    assert decide(replace(few, reading=UnknownLoad(why)), spec, EMPTY).reason == "ConnectionsUnknown"


def test_jobs_of_a_vanished_worker_wake_a_pod_at_zero() -> None:
    assert decide(Observation(0, 0, KnownLoad(Backlog(running=3))), ScalingSpec(max_replicas=5), EMPTY).replicas == 1


def test_time_to_start_is_spent_on_fewer_pods_until_the_oldest_job_has_used_it() -> None:
    jobs = Jobs(per_pod=5, start_within_s=100, seconds_per_job=45)
    assert pods_for(Backlog(waiting=60), jobs) == 4
    assert pods_for(Backlog(waiting=60, oldest_s=60), jobs) == 12
    assert pods_for(Backlog(waiting=60, running=40), jobs) == 8, "running jobs keep their slots"


def test_ending_jobs_make_room_for_those_that_may_wait() -> None:
    jobs = Jobs(per_pod=1, start_within_s=30, seconds_per_job=45)
    assert pods_for(Backlog(running=15, waiting=10), jobs) == 15, "ten of fifteen end within thirty seconds"
    assert pods_for(Backlog(running=15, waiting=12), jobs) == 17
    assert pods_for(Backlog(running=15, waiting=10, oldest_s=15), jobs) == 20, "five end within fifteen"
    assert pods_for(Backlog(running=15, waiting=10, oldest_s=30), jobs) == 25
    assert pods_for(Backlog(waiting=10), jobs) == 10, "nothing ends where nothing runs"


def test_a_job_that_has_waited_long_enough_brings_a_look_though_nothing_is_told() -> None:
    spec = ScalingSpec(max_replicas=50, follows=Jobs(per_pod=1, start_within_s=8, seconds_per_job=2))
    observation = Observation(0, 1, KnownLoad(Backlog(running=1, waiting=1, oldest_s=1.5)))
    assert decide(observation, spec, EMPTY).look_again_s == 5, "the running job no longer ends in the time left"
    assert decide(replace(observation, reading=KnownLoad(Backlog(running=1))), spec, EMPTY).look_again_s is None
    at_its_end = replace(observation, reading=KnownLoad(Backlog(running=1, waiting=1, oldest_s=8)))
    assert decide(at_its_end, spec, EMPTY).look_again_s is None


@given(followed_jobs, backlogs)
def test_until_the_look_no_more_pods_are_needed_and_then_more_are(jobs: Jobs, backlog: Backlog) -> None:
    def needed(after_s: int) -> int:
        return pods_for(replace(backlog, oldest_s=backlog.oldest_s + after_s), jobs)

    grows_s = grows_in_s(backlog, jobs)
    until_s = int(jobs.start_within_s) + 1 if grows_s is None else grows_s
    assert {needed(second) for second in range(until_s)} == {needed(0)}
    assert grows_s is None or needed(grows_s) > needed(0)


def test_a_provider_that_starts_ten_a_minute_keeps_two_pods_busy() -> None:
    spec = ScalingSpec(
        max_replicas=50, follows=Jobs(ceilings=(Ceiling("provider", 10, 45), Ceiling("database", 600, 45)))
    )
    decision = decide(Observation(0, 0, KnownLoad(Backlog(waiting=500))), spec, EMPTY)
    assert (decision.replicas, decision.reason) == (2, "CeilingReached")
    assert [limit.name for limit in decision.limits] == ["demand", "ceiling provider"]


def test_the_last_pod_goes_after_the_idle_time_without_any_job() -> None:
    spec = ScalingSpec(max_replicas=5, idle_after_s=300, down=Rules())
    busy = decide(Observation(0, 1, KnownLoad(Backlog(running=1))), spec, EMPTY)
    soon = decide(Observation(299, 1, KnownLoad(Backlog())), spec, busy.history)
    assert (soon.replicas, soon.reason, soon.look_again_s) == (1, "KeptWhileIdle", 1)
    assert decide(Observation(300, 1, KnownLoad(Backlog())), spec, soon.history).replicas == 0


def test_a_paused_queue_needs_pods_for_what_runs_alone() -> None:
    spec = ScalingSpec(max_replicas=9, down=Rules(), follows=Jobs(per_pod=1))
    assert decide(Observation(0, 0, KnownLoad(Backlog(waiting=5, running=2, paused=True))), spec, EMPTY).replicas == 2


def test_a_pause_holds_its_number_until_it_ends_by_itself() -> None:
    spec = ScalingSpec(
        max_replicas=9, pause=ScalingPause(replicas=3, until_s=100, reason="night work"), follows=Jobs(per_pod=1)
    )
    observation = Observation(40, 5, KnownLoad(Backlog(waiting=9)))
    held = decide(observation, spec, EMPTY)
    assert (held.replicas, held.reason, held.look_again_s) == (3, "Paused", 60)
    assert sentence_of(observation, spec, held) == "paused at 3 for another 60 s: night work"
    assert decide(Observation(100, 3, KnownLoad(Backlog(waiting=9))), spec, EMPTY).replicas == 9


def test_mode_off_changes_nothing_even_out_of_bounds() -> None:
    decision = decide(Observation(0, 7, UnknownLoad("Redis is away")), ScalingSpec(max_replicas=5, mode="Off"), EMPTY)
    assert (decision.replicas, decision.reason) == (7, "ScalingDisabled")


# -- the numbers of HPA ---------------------------------------------------------------------------------------

FOUR_OR_DOUBLE = Rules(0, "Max", (Policy("Pods", 4, 15), Policy("Percent", 100, 15)))


def numbers(spec: ScalingSpec, start: int, demands: list[int], every_s: float) -> list[int]:
    day = [(every_s, Backlog(running=demand)) for demand in demands]
    moments = walked(spec, [*day, (every_s, None)], start)
    return [observation.replicas for observation, _ in moments][1:]


@pytest.mark.parametrize(
    ("rules", "start", "demand", "every_s", "expected"),
    [
        # HPA's defaults: four or as many again, each 15 s.
        (FOUR_OR_DOUBLE, 1, 50, 15, [5, 10, 20, 40, 50]),
        (FOUR_OR_DOUBLE, 1, 50, 5, [5, 5, 5, 10, 10, 10, 20]),
        # KEP-853, "scale up as fast as possible": 900 % a minute.
        (Rules(0, "Max", (Policy("Percent", 900, 60),)), 1, 1000, 60, [10, 100, 1000]),
        # KEP-853, one pod in ten minutes.
        (Rules(0, "Max", (Policy("Pods", 1, 600),)), 1, 4, 300, [2, 2, 3, 3, 4]),
        # The lower of two policies.
        (Rules(0, "Min", (Policy("Pods", 4, 15), Policy("Percent", 100, 15))), 1, 50, 15, [2, 4, 8, 12, 16]),
        (Rules(0, "Disabled"), 3, 50, 15, [3, 3]),
    ],
)
def test_scale_up_policies_give_the_numbers_of_hpa(rules, start, demand, every_s, expected) -> None:
    spec = ScalingSpec(max_replicas=1000, up=rules, follows=Jobs(per_pod=1))
    assert numbers(spec, start, [demand] * len(expected), every_s) == expected


@pytest.mark.parametrize(
    ("rules", "start", "demand", "every_s", "expected"),
    [
        # The walkthrough of the Kubernetes documentation: 10 % a minute while that is more than 4 pods a minute.
        (
            Rules(0, "Max", (Policy("Pods", 4, 60), Policy("Percent", 10, 60))),
            80,
            10,
            60,
            [72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16, 12, 10],
        ),
        (Rules(0, "Min", (Policy("Pods", 5, 60), Policy("Percent", 10, 60))), 80, 10, 60, [75, 70, 65, 60, 55, 50, 45]),
        (Rules(0, "Max", (Policy("Percent", 100, 15),)), 80, 10, 15, [10]),
        (Rules(0, "Disabled"), 80, 10, 60, [80, 80]),
    ],
)
def test_scale_down_policies_give_the_numbers_of_hpa(rules, start, demand, every_s, expected) -> None:
    spec = ScalingSpec(max_replicas=1000, down=rules, follows=Jobs(per_pod=1))
    assert numbers(spec, start, [demand] * len(expected), every_s) == expected


@pytest.mark.parametrize(
    ("up_s", "down_s", "start", "demands", "expected"),
    [
        # Down: the highest of the window. 300 s at one look a minute; a sample as old as the window is out.
        (0, 300, 10, [10, 4, 3, 2, 2, 2, 2, 2], [10, 10, 10, 10, 10, 4, 3, 2]),
        # Up: the lowest of the window.
        (180, 0, 2, [2, 9, 8, 9, 9, 9], [2, 2, 2, 8, 8, 9]),
        # Both: in between nothing moves.
        (120, 120, 5, [5, 9, 1, 9, 1, 9], [5, 5, 5, 5, 5, 5]),
        (0, 0, 5, [9, 1, 9, 1], [9, 1, 9, 1]),
    ],
)
def test_stabilisation_windows_give_the_numbers_of_hpa(up_s, down_s, start, demands, expected) -> None:
    spec = ScalingSpec(max_replicas=100, up=Rules(up_s), down=Rules(down_s), follows=Jobs(per_pod=1))
    assert numbers(spec, start, demands, 60) == expected


def test_a_clock_that_was_set_back_a_day_holds_pods_no_longer_than_the_window() -> None:
    spec, day_s = ScalingSpec(max_replicas=10, idle_after_s=0, down=Rules(window_s=60), follows=Jobs(per_pod=1)), 86_400
    busy = decide(Observation(2 * day_s, 5, KnownLoad(Backlog(running=5))), spec, EMPTY)
    back = decide(Observation(day_s, 5, KnownLoad(Backlog())), spec, busy.history)
    assert back.replicas == 5, "the window holds"
    assert decide(Observation(day_s + 61, 5, KnownLoad(Backlog())), spec, back.history).replicas == 0


def test_a_clock_that_jumps_ahead_takes_no_busy_pod() -> None:
    spec = ScalingSpec(max_replicas=10, down=Rules(window_s=60), follows=Jobs(per_pod=1))
    busy = decide(Observation(1000, 5, KnownLoad(Backlog(running=5))), spec, EMPTY)
    assert decide(Observation(1000 + 86_400, 5, KnownLoad(Backlog(running=5))), spec, busy.history).replicas == 5
