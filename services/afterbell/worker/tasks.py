"""The worker's tasks: names from core, bound to functions here and nowhere else."""

import structlog

from afterbell.adapters.redis.broker import LeaseBroker
from afterbell.core.jobs import REPORT_TASK, Done, Outcome
from afterbell.worker.pipeline import ReportPipeline


class TryEnded(Exception):
    """Carries a try's outcome to the broker, which tells the queue."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


def bind(broker: LeaseBroker, pipeline: ReportPipeline) -> None:
    """Register every task this worker runs."""

    async def write_report(job_id: str) -> None:
        delivery = broker.consumer.running(job_id)
        with structlog.contextvars.bound_contextvars(job_id=job_id):
            outcome = await pipeline.run(job_id, delivery.grant.failures if delivery else 0)
        if not isinstance(outcome, Done):
            raise TryEnded(outcome)

    broker.register_task(write_report, task_name=REPORT_TASK)
