"""All dashboards, in the order in which one looks."""

from typing import Final

from tools.dashboards.jobs import JOBS
from tools.dashboards.model import MODEL
from tools.dashboards.overview import OVERVIEW
from tools.dashboards.queue import QUEUE
from tools.dashboards.scaling import SCALING
from tools.dashboards.stores import REALTIME, STORES

BOARDS: Final = (OVERVIEW, QUEUE, JOBS, SCALING, REALTIME, MODEL, STORES)
