"""The outcome of a round: the one value from which everything about it is explained."""

from dataclasses import dataclass
from typing import Literal

from afterbell_operator.act.actor import ScaleAttempt
from afterbell_operator.decide.values import Decision, Jobs, ScalingHistory
from afterbell_operator.observe.facts import Blocked, Facts


@dataclass(frozen=True, slots=True)
class Decided:
    """A number was decided from ``facts`` and ``history`` and applied; ``next_history`` is for the next decision."""

    facts: Facts
    history: ScalingHistory
    decision: Decision
    attempt: ScaleAttempt
    next_history: ScalingHistory

    @property
    def follows(self) -> Literal["Backlog", "Connections"]:
        """The word with which the names of this Pool's conditions begin."""
        return "Backlog" if isinstance(self.facts.spec.follows, Jobs) else "Connections"

    @property
    def replicas(self) -> int:
        """Replicas the target is now asked for."""
        return self.facts.target.replicas if self.attempt.written is None else self.attempt.written

    @property
    def resized(self) -> bool:
        """Whether this round changed the number."""
        return self.replicas != self.facts.target.replicas

    @property
    def again_s(self) -> float | None:
        """Seconds until another round may decide, do or read more."""
        waits = (self.decision.look_again_s, self.attempt.again_s, self.facts.read_again_s)
        return min((wait for wait in waits if wait is not None), default=None)


Outcome = Decided | Blocked
