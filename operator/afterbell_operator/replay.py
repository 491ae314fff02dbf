"""Replay recorded decisions, as they were or with another spec; simulate and draw a day."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import yaml
from pydantic import ValidationError

from afterbell.core.errors import InvalidInput
from afterbell_operator.decide.decide import decide
from afterbell_operator.decide.values import Jobs, Observation, ScalingSpec, UnknownLoad
from afterbell_operator.explain.chart import facts, svg
from afterbell_operator.explain.records import question_in
from afterbell_operator.explain.sentences import sentence_of
from afterbell_operator.resources import spec_of
from afterbell_operator.simulate import SimulatedDay, Simulation


def replay(lines: Sequence[str], manifest: str | None = None) -> Iterator[tuple[str, bool]]:
    """For each record, a sentence and whether the number is the recorded one. Raises InvalidInput."""
    replacement = None if manifest is None else _spec_in(manifest)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _again(number, line, replacement)


def simulated(manifest: str | None, jobs: int, seed: int) -> tuple[str, str]:
    """A day of so many jobs as an SVG, and a sentence about it. Raises InvalidInput."""
    spec = ScalingSpec(max_replicas=60) if manifest is None else _spec_in(manifest)
    if not isinstance(spec.follows, Jobs):
        raise InvalidInput("only Pools of jobs can be simulated, and this one follows sockets", field="--spec")
    course = Simulation(spec, SimulatedDay(jobs, seed=seed)).run()
    title = f"{jobs:,} jobs in a day, {spec.follows.per_pod} per pod, at most {spec.max_replicas} pods"
    return svg(course, title), facts(course)


def _again(number: int, line: str, replacement: ScalingSpec | None) -> tuple[str, bool]:
    try:
        pool, observation, recorded_spec, history, recorded = question_in(line)
        replicas = int(recorded["to"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"line {number} is not a record of the operator ({type(error).__name__}: {error})") from None
    spec = replacement or recorded_spec
    observation = _of_another_load(observation, recorded_spec, spec)
    decision = decide(observation, spec, history)
    same = decision.replicas == replicas
    verdict = "same" if same else f"recorded {replicas}"
    sentence = sentence_of(observation, spec, decision)
    return f"{number} {pool} at {observation.at_s:.3f}: {decision.replicas} ({verdict}), {sentence}", same


def _of_another_load(observation: Observation, recorded: ScalingSpec, spec: ScalingSpec) -> Observation:
    """A record of sockets says nothing about a Pool that follows jobs, and the other way round."""
    counted, followed = type(recorded.follows), type(spec.follows)
    if counted is followed:
        return observation
    because = f"the record counts {counted.__name__.lower()}, and this Pool follows {followed.__name__.lower()}"
    return replace(observation, reading=UnknownLoad(because))


def _spec_in(manifest: str) -> ScalingSpec:
    try:
        spec, _ = spec_of(yaml.safe_load(manifest))
    except (yaml.YAMLError, ValidationError, KeyError, TypeError) as error:
        raise InvalidInput(f"the manifest is not a Pool: {str(error)[:300]}", field="--spec") from None
    return spec
