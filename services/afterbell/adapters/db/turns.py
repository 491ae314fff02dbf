"""Whose turn it is to do what one process at a time does: a row with an end, not a lock.

An advisory lock would need a transaction or a connection of its own for as long as the work lasts, would pin what
vacuum may remove, and does not work through a pooler. A turn that runs out while its holder goes on is harmless:
whatever is done in turns may also be done twice.
"""

from typing import Final, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Work = Literal["sweep", "retention"]

_TAKE: Final = text("""
INSERT INTO turns (work, holder, until) VALUES (:work, :holder, now() + make_interval(secs => :for_s))
ON CONFLICT (work) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE turns.holder = excluded.holder OR turns.until < now() OR turns.until > excluded.until + interval '1 hour'
RETURNING work
""")
_END: Final = text("DELETE FROM turns WHERE work = :work AND holder = :holder")


async def take(connection: AsyncConnection, work: Work, holder: str, *, for_s: float) -> bool:
    """Take the turn, or keep it, for so many seconds from now on. False where it is somebody else's.

    One that ends absurdly late was stamped by a clock that has been set back since.
    """
    return await connection.scalar(_TAKE, {"work": work, "holder": holder, "for_s": for_s}) is not None


async def end(connection: AsyncConnection, work: Work, holder: str) -> None:
    """Leave the turn to others."""
    await connection.execute(_END, {"work": work, "holder": holder})
