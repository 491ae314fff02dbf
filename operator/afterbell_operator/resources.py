"""The Pool as Kubernetes stores it. The descriptions are what ``kubectl explain pool.spec`` prints.

``tools/crd.py`` makes the CustomResourceDefinition from these models. What one object can tell by itself is refused by
the API server (bounds, CEL rules); what needs other objects is a condition.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

from afterbell_operator import model

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
    """``1h30m`` as seconds. Raises ValueError for what is no duration."""
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


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class ScaleTargetRef(_Part):
    """The Deployment whose replicas the Pool decides, in the Pool's own namespace."""

    api_version: Literal["apps/v1"] = Field("apps/v1", description="API of the target.")
    kind: Literal["Deployment"] = Field("Deployment", description="Kind of the target.")
    name: str = Field(min_length=1, max_length=253, description="Name of the target.")


class BacklogSource(_Part):
    """Pods follow the jobs of a queue: those that run, wait, or become due within 150 s."""

    queue: str = Field(
        "reports",
        pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$",
        max_length=63,
        description="Name of the queue in Redis (AFTERBELL_QUEUE of its workers).",
    )
    jobs_per_pod: int = Field(
        5, ge=1, le=1000, description="Jobs a pod runs at once (AFTERBELL_WORKER_CONCURRENCY of its workers)."
    )
    start_within: Duration = Field(
        "0s",
        description="How long a job may wait for a slot. 0s gives each job a slot at once; more lets jobs wait for "
        "those that end in that time, and take turns on fewer pods, until the oldest has waited that long.",
    )
    job_duration: Duration = Field(
        "45s",
        description="Usual run time of one job; startWithin is counted in it.",
        json_schema_extra={
            "x-kubernetes-validations": [
                _rule("duration(self) >= duration('1s') && duration(self) <= duration('24h')", "must be 1s to 24h")
            ]
        },
    )


class ConnectionsSource(_Part):
    """Pods follow the open sockets of the api, which each pod tells (AFTERBELL_POD_NAME)."""

    queue: str = Field(
        "reports",
        pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$",
        max_length=63,
        description="Name of the queue in Redis (AFTERBELL_QUEUE of the api pods): they are heard on its channels.",
    )
    sockets_per_pod: int = Field(
        700,
        ge=1,
        le=100_000,
        description="Open sockets for each pod. Never more than 70 % of what a pod takes (AFTERBELL_SOCKETS_MAX), "
        "whatever this says: new ones come while a pod starts.",
    )


_ONE_SOURCE: Final = "exactly one of source.backlog and source.connections must be set"


class Source(_Part):
    """What the number of pods follows: exactly one of these."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [_rule("has(self.backlog) != has(self.connections)", _ONE_SOURCE)]
        }
    )
    backlog: BacklogSource | None = Field(None, description="Pods follow the jobs of a queue.")
    connections: ConnectionsSource | None = Field(None, description="Pods follow the open sockets of the api.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.backlog is None) == (self.connections is None):
            raise ValueError(_ONE_SOURCE)
        return self


class PoolCeiling(_Part):
    """Something downstream that bears no more: pods beyond it would only wait."""

    name: str = Field(min_length=1, max_length=63, description="What it is, for the explanation: openai, database.")
    jobs_per_minute: int = Field(ge=1, le=1_000_000, description="Jobs it lets start in a minute.")
    job_duration: Duration = Field("45s", description="How long one job uses it.")


class ScalingPolicy(_Part):
    """One limit on change."""

    type: Literal["Pods", "Percent"] = Field(description="What value counts.")
    value: int = Field(ge=1, le=100_000, description="Pods, or percent of the pods there were.")
    period_seconds: int = Field(ge=1, le=1800, description="In this time; seconds.")


class ScalingRules(_Part):
    """One direction, with the schema and the meaning of HorizontalPodAutoscaler."""

    stabilization_window_seconds: int | None = Field(
        None,
        ge=0,
        le=3600,
        description="Use the lowest (up) or highest (down) recommendation of so many seconds. Default: 0 up, 60 down; "
        "600 down with source.connections.",
    )
    select_policy: Literal["Max", "Min", "Disabled"] = Field(
        "Max", description="Which policy counts: that of the largest change, of the smallest, or no change at all."
    )
    policies: list[ScalingPolicy] | None = Field(
        None,
        max_length=8,
        description="Limits on change; none by default, so that a burst is met in one step. With source.connections "
        "one pod in 120 s goes by default.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


class Behavior(_Part):
    """How fast the number may change."""

    scale_up: ScalingRules = Field(default_factory=ScalingRules, description="On the way up.")
    scale_down: ScalingRules = Field(default_factory=ScalingRules, description="On the way down.")


class PoolPause(_Part):
    """A person holds the Pool; it ends by itself at until."""

    replicas: int | None = Field(None, ge=0, le=10_000, description="Number to hold; default: the present one.")
    until: datetime | None = Field(None, description="When it ends by itself; default: when it is taken back.")
    reason: str = Field("", max_length=256, description="Why, for the next one who looks.")


class PoolSpec(_Part):
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
                    "minReplicas must be 1 or more with source.connections: a socket cannot wait for a pod",
                    ".minReplicas",
                ),
                _rule(
                    "!has(self.source.connections) || !has(self.ceilings) || self.ceilings.size() == 0",
                    "ceilings count jobs: they go with source.backlog",
                    ".ceilings",
                ),
                _rule(
                    "has(self.source.backlog) == has(oldSelf.source.backlog)",
                    "a Pool keeps the kind of its source; make another Pool",
                    ".source",
                ),
                _rule(
                    "self.scaleTargetRef == oldSelf.scaleTargetRef",
                    "a Pool keeps its target; make another Pool",
                    ".scaleTargetRef",
                ),
            ]
        }
    )
    scale_target_ref: ScaleTargetRef = Field(description="What is scaled.")
    min_replicas: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Never fewer pods; 0 lets the Pool scale to zero. At least 1 with source.connections.",
    )
    max_replicas: int = Field(ge=1, le=10_000, description="Never more pods.")
    source: Source = Field(description="What the number of pods follows.")
    ceilings: list[PoolCeiling] = Field(
        default_factory=list,
        max_length=8,
        description="Pods beyond the lowest of these are not started.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    behavior: Behavior = Field(default_factory=Behavior, description="How fast the number may change.")
    idle_after: Duration = Field("5m", description="The last pod goes after this long without any job.")
    mode: Literal["Auto", "Advise", "Off"] = Field(
        "Auto", description="Auto scales; Advise computes and explains, and writes nothing to the target; Off holds."
    )
    pause: PoolPause | None = Field(None, description="Held by a person.")


def spec_of(pool: dict[str, Any]) -> tuple[model.Spec, PoolSpec]:
    """The wish as the decision takes it, and as it was written. Raises pydantic's ValidationError."""
    written = PoolSpec.model_validate(pool["spec"])
    backlog, connections = written.source.backlog or BacklogSource(), written.source.connections
    window_s, down = (60, ()) if connections is None else (600, (model.Policy("Pods", 1, 120),))
    spec = model.Spec(
        max_replicas=written.max_replicas,
        min_replicas=written.min_replicas,
        jobs_per_pod=backlog.jobs_per_pod,
        start_within_s=seconds_of(backlog.start_within),
        seconds_per_job=seconds_of(backlog.job_duration),
        idle_after_s=seconds_of(written.idle_after),
        mode=written.mode,
        up=_rules_of(written.behavior.scale_up, window_s=0),
        down=_rules_of(written.behavior.scale_down, window_s=window_s, policies=down),
        ceilings=tuple(
            model.Ceiling(one.name, one.jobs_per_minute, seconds_of(one.job_duration)) for one in written.ceilings
        ),
        pause=_pause_of(written.pause),
        sockets_per_pod=0 if connections is None else connections.sockets_per_pod,
    )
    return spec, written


def _rules_of(rules: ScalingRules, *, window_s: int, policies: tuple[model.Policy, ...] = ()) -> model.Rules:
    """``window_s`` and ``policies`` hold where nothing is said; an empty list of policies says that there is none."""
    given = rules.stabilization_window_seconds
    if rules.policies is not None:
        policies = tuple(model.Policy(one.type, one.value, one.period_seconds) for one in rules.policies)
    return model.Rules(window_s if given is None else given, rules.select_policy, policies)


def _pause_of(pause: PoolPause | None) -> model.Pause | None:
    if pause is None:
        return None
    return model.Pause(pause.replicas, pause.until.timestamp() if pause.until else None, pause.reason)
