"""Decide recorded moments again, as they were or with another spec; decide and draw a simulated day."""

from collections.abc import Iterator, Sequence

import yaml
from pydantic import ValidationError

from afterbell.core.errors import InvalidInput
from afterbell_operator.chart import facts, svg
from afterbell_operator.decide import decide
from afterbell_operator.model import Spec
from afterbell_operator.records import question_in
from afterbell_operator.resources import spec_of
from afterbell_operator.simulate import Day, Simulation


def replay(lines: Sequence[str], manifest: str | None = None) -> Iterator[tuple[str, bool]]:
    """For each record a sentence, and whether the number is the recorded one. Raises InvalidInput."""
    other = None if manifest is None else _spec_in(manifest)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _again(number, line, other)


def simulated(manifest: str | None, jobs: int, seed: int) -> tuple[str, str]:
    """A day of so many jobs as an SVG, and a sentence about it. Raises InvalidInput."""
    spec = Spec(max_replicas=60) if manifest is None else _spec_in(manifest)
    if spec.sockets_per_pod:
        raise InvalidInput("a day of jobs is simulated, and this Pool follows sockets", field="--spec")
    course = Simulation(spec, Day(jobs, seed=seed)).run()
    return svg(course, f"{jobs:,} jobs in a day, {spec.jobs_per_pod} a pod, at most {spec.max_replicas} pods"), facts(
        course
    )


def _again(number: int, line: str, other: Spec | None) -> tuple[str, bool]:
    try:
        pool, seen, spec, history, found = question_in(line)
        recorded = int(found["to"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"line {number} is no record of the operator ({type(error).__name__}: {error})") from None
    decision = decide(seen, other or spec, history)
    same = decision.replicas == recorded
    verdict = "same" if same else f"recorded {recorded}"
    return f"{number} {pool} at {seen.at_s:.3f}: {decision.replicas} ({verdict}), {decision.sentence}", same


def _spec_in(manifest: str) -> Spec:
    try:
        spec, _ = spec_of(yaml.safe_load(manifest))
    except (yaml.YAMLError, ValidationError, KeyError, TypeError) as error:
        raise InvalidInput(f"the manifest is no Pool: {str(error)[:300]}", field="--spec") from None
    return spec
