"""The status of a Pool: HPA's condition names plus Ready and what was observed, the numbers, the last decisions."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from afterbell_operator.resources import DECISIONS_KEPT


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Condition(_Part):
    """One aspect of the Pool's state."""

    type: str = Field(max_length=64, description="Which aspect.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(max_length=64, description="Why, as one word for programs.")
    message: str = Field("", max_length=1024, description="Why, as a sentence with the numbers.")
    observed_generation: int | None = Field(None, description="Generation of the spec this was said about.")
    last_transition_time: datetime | None = Field(None, description="When status changed last.")


class BacklogStatus(_Part):
    """The queue as the last decision saw it."""

    running: int = Field(0, description="Jobs that run.")
    waiting: int = Field(0, description="Jobs that wait for a slot.")
    due: int = Field(0, description="Jobs that become due within 150 s: retries, deferrals.")
    queue: str = Field("", max_length=63, description="Name of the queue.")
    jobs_ever: int = Field(
        0, description="Jobs ever put into it. Should Redis know of fewer, it lost its data: no pod is taken away then."
    )
    oldest_waiting_seconds: int = Field(0, description="Age of the oldest waiting job.")
    summary: str = Field("", max_length=64, description="running+waiting+due, for the column.")


class ConnectionsStatus(_Part):
    """The api pods as the last decision saw them."""

    sockets: int = Field(0, description="Open sockets of the pods that were heard.")
    pods: int = Field(0, description="Pods that were heard within 20 s, draining ones included.")
    draining: int = Field(0, description="Pods of those that send their sockets away.")
    pod_takes: int = Field(0, description="Sockets a pod takes at the most (AFTERBELL_SOCKETS_MAX); the least of them.")


class DecisionStatus(_Part):
    """One change of replicas."""

    time: datetime = Field(description="When.")
    from_replicas: int = Field(description="Replicas before.")
    to_replicas: int = Field(description="Replicas after.")
    reason: str = Field(max_length=64, description="Why, as one word.")
    message: str = Field(max_length=512, description="Each step from the jobs or sockets to the number.")


class PoolStatus(_Part):
    """What is, and why."""

    observed_generation: int | None = Field(None, description="Generation of the spec that was acted on last.")
    current_replicas: int | None = Field(None, description="Replicas the target is asked for.")
    desired_replicas: int | None = Field(None, description="Replicas the Pool decided for.")
    ready_replicas: int | None = Field(None, description="Pods of the target that are ready.")
    backlog: BacklogStatus | None = Field(None, description="The queue as the last decision saw it.")
    connections: ConnectionsStatus | None = Field(None, description="The api pods as the last decision saw them.")
    reason: str = Field("", max_length=64, description="Why this number, as one word.")
    message: str = Field("", max_length=1024, description="Why this number, step by step.")
    last_scale_time: datetime | None = Field(None, description="When replicas were changed last.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Ready, AbleToScale, ScalingActive, ScalingLimited, BacklogObserved or ConnectionsObserved.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    decisions: list[DecisionStatus] = Field(
        default_factory=list,
        max_length=DECISIONS_KEPT,
        description="The last changes of replicas, newest first.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    history: str = Field("", max_length=4096, description="What later decisions need of earlier ones; JSON.")
