"""What one try of a report comes to: what is written, and when a basic report will do."""

from dataclasses import dataclass
from typing import Final, Literal

from afterbell.adapters.models.answer import ModelAnswer
from afterbell.core.errors import BudgetSpent, ModelDeclined, ModelError
from afterbell.core.narrative import Narrative
from afterbell.core.queue.outcomes import Dead, Outcome
from afterbell.core.report.report import Checks
from afterbell.worker import report_metrics


@dataclass(frozen=True, slots=True)
class Written:
    """A narrative and who wrote it; no ``answer`` where no model was asked, or ``instead_of`` one that failed.

    ``checks`` where it is checked already.
    """

    narrative: Narrative
    answer: ModelAnswer | None
    instead_of: ModelError | BudgetSpent | None = None
    checks: Checks | None = None

    @property
    def writer(self) -> report_metrics.Writer:
        """Who wrote it, for the metrics."""
        if self.instead_of is not None:
            return "fallback"
        return "model" if self.answer is not None else "unasked"

    @property
    def upgrade_pending(self) -> bool:
        """Whether a model would still be worth asking. One that declined this session will decline it again."""
        return self.instead_of is not None and not isinstance(self.instead_of, ModelDeclined)


@dataclass(frozen=True, slots=True)
class Fallback:
    """Whether a report that no model writes becomes a basic one, and what it does where the budget is spent."""

    model_fails: Literal["basic", "fail"] = "basic"
    budget_spent: Literal["basic", "wait"] = "basic"

    def covers(self, error: ModelError | BudgetSpent, outcome: Outcome) -> bool:
        """True where a basic report is written now. ``outcome`` is what would become of the try without one."""
        if isinstance(error, BudgetSpent):
            return self.budget_spent == "basic"
        return self.model_fails == "basic" and isinstance(outcome, Dead)


USUAL_FALLBACK: Final = Fallback()
