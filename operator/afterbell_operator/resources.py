"""The Pool as Kubernetes stores it. The descriptions are what ``kubectl explain pool.spec`` prints.

``tools/crd.py`` makes the CustomResourceDefinition from these models. The API
server refuses what is wrong in the object alone (bounds, CEL rules); what depends on other objects is a condition.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

from afterbell_operator.decide import values

GROUP: Final = "afterbell.dev"
VERSION: Final = "v1alpha1"
PLURAL: Final = "pools"
DECISIONS_KEPT: Final = 10


def pool_path(namespace: str, name: str) -> str:
    """Path of a Pool in the Kubernetes API."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{name}"


_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(duration: str) -> float:
    """``1h30m`` as seconds. Raises ValueError for anything that is not a duration."""
    if not re.fullmatch(f"({_DURATION.pattern})+", duration):
        raise ValueError(f"{duration!r} is not a duration such as 90s, 5m or 1h30m")
    return sum(float(number) * _UNIT_S[unit] for number, unit in _DURATION.findall(duration))


def _checked_duration(duration: str) -> str:
    seconds_of(duration)
    return duration


def _rule(rule: str, message: str, path: str | None = None) -> JsonDict:
    made: JsonDict = {"rule": rule, "message": message}
    return made if path is None else {**made, "fieldPath": path}


_DURATION_RULE: Final[JsonDict] = {
    "x-kubernetes-validations": [
        _rule("duration(self) >= duration('0s') && duration(self) <= duration('24h')", "must lie between 0s and 24h")
    ]
}
Duration = Annotated[
    str,
    Field(max_length=16, pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$", json_schema_extra=_DURATION_RULE),
    AfterValidator(_checked_duration),
]


class _SpecPart(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


def _queue(description: str) -> Any:
    return Field("reports", pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", max_length=63, description=description)


class ScaleTargetRef(_SpecPart):
    """The Deployment whose replicas the Pool sets, in the Pool's own namespace."""

    api_version: Literal["apps/v1"] = Field("apps/v1", description="API of the target.")
    kind: Literal["Deployment"] = Field("Deployment", description="Kind of the target.")
    name: str = Field(min_length=1, max_length=253, description="Name of the target.")


class BacklogSource(_SpecPart):
    """The number of pods follows the jobs of a queue: those that run, wait, or become due within 150 s."""

    queue: str = _queue("Name of the queue in Redis (AFTERBELL_QUEUE of its workers).")
    jobs_per_pod: int = Field(
        5, ge=1, le=1000, description="Jobs that a pod runs at once (AFTERBELL_WORKER_CONCURRENCY of its workers)."
    )
    start_within: Duration = Field(
        "0s",
        description="How long a job may wait for a slot. With 0s every job gets a slot at once. With more, jobs wait "
        "for the slots of jobs that end in this time, so fewer pods do, until the oldest job has waited this long.",
    )
    job_duration: Duration = Field(
        "45s",
        description="Usual run time of a job; used to work out how many jobs end within startWithin.",
        json_schema_extra={
            "x-kubernetes-validations": [
                _rule("duration(self) >= duration('1s') && duration(self) <= duration('24h')", "must be 1s to 24h")
            ]
        },
    )


class ConnectionsSource(_SpecPart):
    """The number of pods follows the open sockets of the api, which each pod reports (AFTERBELL_POD_NAME)."""

    queue: str = _queue("Name of the queue in Redis (AFTERBELL_QUEUE of the api pods): they report on its channels.")
    sockets_per_pod: int = Field(
        700,
        ge=1,
        le=100_000,
        description="Open sockets per pod. At most 70 % of a pod's capacity (AFTERBELL_SOCKETS_MAX) are counted on: "
        "new sockets arrive while a pod starts.",
    )


_ONE_SOURCE: Final = "exactly one of source.backlog and source.connections must be set"


class Source(_SpecPart):
    """What the number of pods follows: exactly one of these."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [_rule("has(self.backlog) != has(self.connections)", _ONE_SOURCE)]
        }
    )
    backlog: BacklogSource | None = Field(None, description="Follow the jobs of a queue.")
    connections: ConnectionsSource | None = Field(None, description="Follow the open sockets of the api.")

    @model_validator(mode="after")
    def _exactly_one_source(self) -> Self:
        if (self.backlog is None) == (self.connections is None):
            raise ValueError(_ONE_SOURCE)
        return self


class PoolCeiling(_SpecPart):
    """A downstream limit, such as a provider's rate, beyond which more pods would only wait."""

    name: str = Field(min_length=1, max_length=63, description="Name for the explanation, such as openai or database.")
    jobs_per_minute: int = Field(ge=1, le=1_000_000, description="Jobs that may start in a minute.")
    job_duration: Duration = Field("45s", description="How long a job uses it.")


class ScalingPolicy(_SpecPart):
    """One limit on change."""

    type: Literal["Pods", "Percent"] = Field(description="Unit of value.")
    value: int = Field(
        ge=1, le=100_000, description="Number of pods, or percent of the pods at the start of the period."
    )
    period_seconds: int = Field(ge=1, le=1800, description="Period that the limit applies to, in seconds.")


class ScalingRules(_SpecPart):
    """One direction, with the schema and meaning of a HorizontalPodAutoscaler."""

    stabilization_window_seconds: int | None = Field(
        None,
        ge=0,
        le=3600,
        description="Use the lowest (up) or highest (down) recommendation of this many seconds. Default: 0 up, 60 down "
        "(600 down with source.connections).",
    )
    select_policy: Literal["Max", "Min", "Disabled"] = Field(
        "Max",
        description="Policy that applies: that of the largest change (Max) or the smallest (Min). Disabled: no change.",
    )
    policies: list[ScalingPolicy] | None = Field(
        None,
        max_length=8,
        description="Limits on change; none by default, so that a burst is met in one step. With source.connections, "
        "by default one pod per 120 s is removed.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


class Behavior(_SpecPart):
    """How fast the number may change."""

    scale_up: ScalingRules = Field(default_factory=ScalingRules, description="When scaling up.")
    scale_down: ScalingRules = Field(default_factory=ScalingRules, description="When scaling down.")


class PoolPause(_SpecPart):
    """A person holds the number; the pause ends by itself at until."""

    replicas: int | None = Field(None, ge=0, le=10_000, description="Number to hold; default: the current one.")
    until: datetime | None = Field(None, description="When the pause ends by itself; default: only when it is removed.")
    reason: str = Field("", max_length=256, description="Reason, for the next person who looks.")


class PoolSpec(_SpecPart):
    """How many pods there should be, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                _rule(
                    "self.minReplicas <= self.maxReplicas", "minReplicas must not exceed maxReplicas", ".minReplicas"
                ),
                _rule(
                    "!has(self.pause) || !has(self.pause.replicas) || self.pause.replicas <= self.maxReplicas",
                    "pause.replicas must not exceed maxReplicas",
                    ".pause.replicas",
                ),
                _rule(
                    "!has(self.source.connections) || self.minReplicas >= 1",
                    "minReplicas must be at least 1 with source.connections: a socket cannot wait for a pod",
                    ".minReplicas",
                ),
                _rule(
                    "!has(self.source.connections) || !has(self.ceilings) || self.ceilings.size() == 0",
                    "ceilings count jobs and need source.backlog",
                    ".ceilings",
                ),
                _rule(
                    "has(self.source.backlog) == has(oldSelf.source.backlog)",
                    "the kind of source cannot be changed; create another Pool",
                    ".source",
                ),
                _rule(
                    "self.scaleTargetRef == oldSelf.scaleTargetRef",
                    "scaleTargetRef cannot be changed; create another Pool",
                    ".scaleTargetRef",
                ),
            ]
        }
    )
    scale_target_ref: ScaleTargetRef = Field(description="The Deployment to scale.")
    min_replicas: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Fewest pods; 0 lets the Pool scale to zero. At least 1 with source.connections.",
    )
    max_replicas: int = Field(ge=1, le=10_000, description="Most pods.")
    source: Source = Field(description="What the number of pods follows.")
    ceilings: list[PoolCeiling] = Field(
        default_factory=list,
        max_length=8,
        description="Downstream limits; no pods are added beyond the lowest of them.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    behavior: Behavior = Field(default_factory=Behavior, description="How fast the number may change.")
    idle_after: Duration = Field("5m", description="The last pod is removed after this long without a job.")
    mode: Literal["Auto", "Advise", "Off"] = Field(
        "Auto",
        description="Auto scales; Advise decides and explains but writes nothing to the target; Off changes nothing.",
    )
    pause: PoolPause | None = Field(None, description="Hold the number by hand.")
    operator_name: str = Field(
        "",
        max_length=253,
        description="The operator that scales this Pool, by its AFTERBELL_OPERATOR_NAME. Empty: any that watches it.",
    )


def spec_of(pool: dict[str, Any]) -> tuple[values.ScalingSpec, PoolSpec]:
    """The spec as the decision takes it, and as it was written. Raises pydantic's ValidationError."""
    wish = PoolSpec.model_validate(pool["spec"])
    window_s, down = (60, ()) if wish.source.connections is None else (600, (values.Policy("Pods", 1, 120),))
    spec = values.ScalingSpec(
        max_replicas=wish.max_replicas,
        min_replicas=wish.min_replicas,
        follows=_follows_of(wish),
        idle_after_s=seconds_of(wish.idle_after),
        mode=wish.mode,
        up=_rules_of(wish.behavior.scale_up, window_s=0),
        down=_rules_of(wish.behavior.scale_down, window_s=window_s, policies=down),
        pause=_pause_of(wish.pause),
    )
    return spec, wish


def _follows_of(wish: PoolSpec) -> values.Jobs | values.Sockets:
    if wish.source.connections is not None:
        return values.Sockets(wish.source.connections.sockets_per_pod)
    backlog = wish.source.backlog or BacklogSource()
    ceilings = tuple(
        values.Ceiling(ceiling.name, ceiling.jobs_per_minute, seconds_of(ceiling.job_duration))
        for ceiling in wish.ceilings
    )
    return values.Jobs(
        per_pod=backlog.jobs_per_pod,
        start_within_s=seconds_of(backlog.start_within),
        seconds_per_job=seconds_of(backlog.job_duration),
        ceilings=ceilings,
    )


def _rules_of(rules: ScalingRules, *, window_s: int, policies: tuple[values.Policy, ...] = ()) -> values.Rules:
    """``window_s`` and ``policies`` are the defaults; an empty list of policies means that there are none."""
    if rules.stabilization_window_seconds is not None:
        window_s = rules.stabilization_window_seconds
    if rules.policies is not None:
        policies = tuple(values.Policy(policy.type, policy.value, policy.period_seconds) for policy in rules.policies)
    return values.Rules(window_s, rules.select_policy, policies)


def _pause_of(pause: PoolPause | None) -> values.ScalingPause | None:
    if pause is None:
        return None
    return values.ScalingPause(pause.replicas, pause.until.timestamp() if pause.until else None, pause.reason)
