"""The worker's tasks: names from core, bound to functions here and nowhere else."""

from typing import Annotated

import structlog
from taskiq import Context, TaskiqDepends

from afterbell.adapters.queue.consumer import Delivery
from afterbell.adapters.queue.taskiq_broker import DELIVERY, LeaseBroker
from afterbell.core.queue.outcomes import REPORT_TASK, Outcome
from afterbell.worker.pipeline import ReportPipeline


def bind(broker: LeaseBroker, pipeline: ReportPipeline) -> None:
    """Register every task this worker runs."""

    async def write_report(job_id: str, context: Annotated[Context, TaskiqDepends()]) -> Outcome:
        delivery: Delivery = context.message.labels[DELIVERY]
        with structlog.contextvars.bound_contextvars(job_id=job_id):
            return await pipeline.run(job_id, delivery.grant.failures)

    broker.register_task(write_report, task_name=REPORT_TASK)
