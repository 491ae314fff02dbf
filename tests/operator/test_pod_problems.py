"""Which pods do not run, and why, from what Kubernetes says about their containers."""

from typing import Any

import pytest

from afterbell_operator.explain.sentences import problems_sentence
from afterbell_operator.observe.pod_problems import OOM_REPORTED_S, PodProblem, problems_in

NOW_S = 1_800_000_000.0
KILLED_AT = "2027-01-15T07:59:30Z"  # half a minute before
IMAGE = "ghcr.io/afterbell/worker:nope"


def pod(name: str, *, ready: bool = False, **container: Any) -> dict[str, Any]:
    status = {"name": "worker", "image": IMAGE} | container
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions, "containerStatuses": [status]}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_the_image_that_cannot_be_pulled_is_named(reason: str) -> None:
    pods = [pod("worker-2", state=waiting(reason, "not found")), pod("worker-1", state=waiting(reason, "not found"))]
    problems = problems_in(pods, NOW_S)
    assert [(problem.pod, problem.reason) for problem in problems] == [("worker-1", reason), ("worker-2", reason)]
    assert problems_sentence(problems) == f"image {IMAGE} cannot be pulled: not found (worker-1, worker-2)"


@pytest.mark.parametrize(
    "states",
    [
        {"state": {"terminated": {"reason": "OOMKilled", "finishedAt": KILLED_AT}}},
        {"lastState": {"terminated": {"reason": "OOMKilled", "finishedAt": KILLED_AT}}, "state": {"running": {}}},
        {
            "lastState": {"terminated": {"reason": "OOMKilled", "finishedAt": KILLED_AT}},
            "state": waiting("CrashLoopBackOff"),
        },
    ],
)
def test_a_pod_killed_for_memory_is_named_also_when_it_is_back(states: dict[str, Any]) -> None:
    (problem,) = problems_in([pod("worker-1", ready=True, **states)], NOW_S)
    assert (problem.reason, problem.ready) == ("OOMKilled", True)
    assert problems_sentence((problem,)) == (
        "container worker was killed for using more memory than its limit (worker-1)"
    )


def test_a_kill_of_long_ago_is_no_problem_any_more() -> None:
    states = {"lastState": {"terminated": {"reason": "OOMKilled", "finishedAt": KILLED_AT}}, "state": {"running": {}}}
    assert problems_in([pod("worker-1", ready=True, **states)], NOW_S + OOM_REPORTED_S) == ()


def test_a_container_that_does_not_start_is_named_and_one_that_starts_is_not() -> None:
    pods = [
        pod("worker-1", state=waiting("CreateContainerConfigError", 'secret "model" not found')),
        pod("worker-2", state=waiting("ContainerCreating")),
        pod("worker-3", state={"running": {}}, ready=True),
        {"metadata": {"name": "worker-4"}},
    ]
    problems = problems_in(pods, NOW_S)
    assert problems_sentence(problems) == 'container worker does not start: secret "model" not found (worker-1)'


def test_a_pod_that_goes_anyway_is_no_problem() -> None:
    leaving = pod("worker-1", state=waiting("ImagePullBackOff"))
    leaving["metadata"]["deletionTimestamp"] = KILLED_AT
    assert problems_in([leaving], NOW_S) == ()


def test_many_pods_with_one_cause_are_one_clause() -> None:
    problems = tuple(
        PodProblem(pod=f"worker-{n}", kind="memory", reason="OOMKilled", container="worker") for n in range(1, 8)
    )
    assert problems_sentence(problems).endswith("(worker-1, worker-2, worker-3, worker-4, worker-5 and 2 more)")
