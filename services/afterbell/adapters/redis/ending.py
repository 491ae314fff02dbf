"""The end of tasks that wait on Redis."""

import asyncio
from collections.abc import Collection
from typing import Final

CANCEL_AGAIN_S: Final = 0.5


async def ended(tasks: Collection["asyncio.Task[None]"]) -> None:
    """Cancel until each has heard it: a cancellation that meets a connection being made gets lost in redis-py."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)  # whatever they ended with has been heard of
