"""A job as it waits in the queue: a taskiq message, written without taskiq, so that who only puts need not load it."""

import orjson


def report_message(task_name: str, job_id: str) -> bytes:
    """The wire form of a job: the task's name and id. What to do is in PostgreSQL, under that id."""
    message = {
        "task_id": job_id,
        "task_name": task_name,
        "labels": {},
        "labels_types": {},
        "args": [],
        "kwargs": {"job_id": job_id},
    }
    return orjson.dumps(message)
