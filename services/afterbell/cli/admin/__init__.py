"""The admin API from a terminal. The help of its two groups is read here, so that an overview loads nothing else."""

from typing import Final

HELP: Final = {
    "queue": "Inspect and control the queue, via the admin API.",
    "jobs": "Inspect and control jobs, via the admin API.",
}
