"""Simulated days: every job is done, none is cut off, whatever the spec; and the day can be looked at."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from afterbell.cli.main import app
from afterbell_operator.decide.values import Jobs, Rules, ScalingSpec
from afterbell_operator.explain.chart import svg
from afterbell_operator.simulate import SimulatedDay, Simulation


@pytest.mark.parametrize("jobs_per_pod", [1, 5])
@pytest.mark.parametrize("window_s", [0, 60])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_job_is_interrupted_and_all_are_done(jobs_per_pod: int, window_s: int, seed: int) -> None:
    spec = ScalingSpec(max_replicas=40, down=Rules(window_s), idle_after_s=20, follows=Jobs(per_pod=jobs_per_pod))
    course = Simulation(spec, SimulatedDay(600, length_s=3600, steady=True, seed=seed)).run()
    assert (len(course.waits_s), course.interrupted) == (600, 0)
    assert course.resizes > 2


def test_a_job_waits_little_longer_than_a_pod_takes_to_start() -> None:
    day = SimulatedDay(1000, length_s=3600, steady=True)
    assert (
        Simulation(ScalingSpec(max_replicas=40, follows=Jobs(per_pod=1)), day).run().wait_s(0.95) <= day.pod_start_s + 5
    )


def test_jobs_that_may_wait_cost_fewer_pods_and_fewer_changes() -> None:
    at_once, later = (
        [
            Simulation(
                ScalingSpec(max_replicas=60, follows=Jobs(start_within_s=start_within_s)),
                SimulatedDay(1080, length_s=3600, steady=True, seed=seed),
            ).run()
            for seed in (1, 2)
        ]
        for start_within_s in (0, 30)
    )
    assert sum(course.pod_hours for course in later) < 0.9 * sum(course.pod_hours for course in at_once)
    assert sum(course.resizes for course in later) < 0.7 * sum(course.resizes for course in at_once)


def test_the_same_seed_gives_the_same_day() -> None:
    spec, day = ScalingSpec(max_replicas=10), SimulatedDay(300, length_s=3600)
    assert svg(Simulation(spec, day).run(), "a day") == svg(Simulation(spec, day).run(), "a day")


def test_a_day_is_drawn_by_the_command(tmp_path: Path) -> None:
    out = tmp_path / "day.svg"
    done = CliRunner().invoke(app, ["operator", "simulate", str(out), "--jobs", "100"])
    assert done.exit_code == 0, done.output
    assert "100 jobs" in done.output
    assert "0 interrupted" in done.output
    assert ElementTree.fromstring(out.read_text()).tag.endswith("svg")  # noqa: S314  # our own
