"""The status of a Pool: HPA's condition names plus Ready and what was observed, the numbers, the last decisions."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from afterbell_operator.resources import DECISIONS_KEPT


class _StatusPart(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Condition(_StatusPart):
    """One aspect of the Pool's state."""

    type: str = Field(max_length=64, description="Which aspect.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(max_length=64, description="Why, as one word, for programs.")
    message: str = Field("", max_length=1024, description="Why, as a sentence with the numbers.")
    observed_generation: int | None = Field(None, description="Generation of the spec that this describes.")
    last_transition_time: datetime | None = Field(None, description="When status last changed.")


class BacklogStatus(_StatusPart):
    """The queue at the time of the last decision."""

    running: int = Field(0, description="Jobs that are running.")
    waiting: int = Field(0, description="Jobs that are waiting for a slot.")
    due: int = Field(0, description="Jobs that become due within 150 s: retries, deferrals.")
    queue: str = Field("", max_length=63, description="Name of the queue.")
    jobs_ever: int = Field(
        0, description="Jobs ever enqueued. If Redis reports fewer, it has lost its data, and no pod is removed."
    )
    oldest_waiting_seconds: int = Field(0, description="Age of the oldest waiting job when the counts last changed.")
    summary: str = Field("", max_length=64, description="running+waiting+due, for the column of `kubectl get`.")


class ConnectionsStatus(_StatusPart):
    """The api pods at the time of the last decision."""

    sockets: int = Field(0, description="Open sockets of the pods that reported.")
    pods: int = Field(0, description="Pods that reported within 20 s, draining ones included.")
    draining: int = Field(0, description="Of those, the pods that are draining.")
    pod_takes: int = Field(
        0, description="Most sockets that one pod takes (AFTERBELL_SOCKETS_MAX); the lowest value of any pod."
    )


class DecisionStatus(_StatusPart):
    """One change of replicas."""

    time: datetime = Field(description="When.")
    from_replicas: int = Field(description="Replicas before.")
    to_replicas: int = Field(description="Replicas after.")
    reason: str = Field(max_length=64, description="Why, as one word.")
    message: str = Field(max_length=512, description="Each step from the load to the number.")


class PoolStatus(_StatusPart):
    """The current state, and why."""

    observed_generation: int | None = Field(None, description="Generation of the spec that was last acted on.")
    current_replicas: int | None = Field(None, description="Replicas set on the target.")
    desired_replicas: int | None = Field(None, description="Replicas the Pool decided on.")
    ready_replicas: int | None = Field(None, description="Ready pods of the target.")
    backlog: BacklogStatus | None = Field(None, description="The queue at the time of the last decision.")
    connections: ConnectionsStatus | None = Field(None, description="The api pods at the time of the last decision.")
    reason: str = Field("", max_length=64, description="Why this number, as one word.")
    message: str = Field("", max_length=1024, description="Why this number, step by step.")
    last_scale_time: datetime | None = Field(None, description="When the replicas were last changed.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Ready, BacklogObserved or ConnectionsObserved, AbleToScale, PodsRunning, ScalingActive, "
        "ScalingLimited.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    decisions: list[DecisionStatus] = Field(
        default_factory=list,
        max_length=DECISIONS_KEPT,
        description="The last changes of replicas, newest first.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    history: str = Field("", max_length=4096, description="What later decisions need to know about earlier ones; JSON.")
