"""Progress 0-100 from things that really happened. No clock moves it."""

from enum import IntEnum
from typing import Final


class Step(IntEnum):
    """The percent reached when a step has happened; between SENT and CHECKED the finished sections count."""

    QUEUED = 0
    CLAIMED = 5
    PREPARED = 10
    SENT = 15
    WRITING = 20
    WRITTEN = 85
    CHECKED = 90
    SAVING = 95
    DONE = 100


STAGES: Final[dict[Step, str]] = {
    Step.QUEUED: "queued",
    Step.CLAIMED: "claimed",
    Step.PREPARED: "prepared",
    Step.SENT: "sent to the model",
    Step.WRITING: "writing",
    Step.WRITTEN: "written",
    Step.CHECKED: "checked",
    Step.SAVING: "saving",
    Step.DONE: "done",
}


def writing_percent(sections_finished: int, sections_total: int) -> int:
    """20-85: the share of the narrative's sections that are complete."""
    if sections_total <= 0:
        return Step.WRITING
    share = min(sections_finished, sections_total) / sections_total
    return Step.WRITING + int((Step.WRITTEN - Step.WRITING) * share)
