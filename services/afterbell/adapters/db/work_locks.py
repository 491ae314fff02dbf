"""Who does what one process at a time does: a row with an end.

An advisory lock of PostgreSQL would need a transaction or a connection of its own for as long as the work lasts, would
pin what vacuum may remove, and does not work through a pooler. A lock that runs out while its holder goes on is
harmless: whatever is done under one may also be done twice. The table is called ``turns``.
"""

from typing import Final, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Work = Literal["sweep", "retention"]

_ACQUIRE: Final = text("""
INSERT INTO turns (work, holder, until) VALUES (:work, :holder, now() + make_interval(secs => :for_s))
ON CONFLICT (work) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE turns.holder = excluded.holder OR turns.until < now() OR turns.until > excluded.until + interval '1 hour'
RETURNING work
""")
_RELEASE: Final = text("DELETE FROM turns WHERE work = :work AND holder = :holder")


async def acquire(connection: AsyncConnection, work: Work, holder: str, *, for_s: float) -> bool:
    """Take the lock, or keep it, for so many seconds from now on. False where it is somebody else's.

    One that ends absurdly late was stamped by a clock that has been set back since.
    """
    return await connection.scalar(_ACQUIRE, {"work": work, "holder": holder, "for_s": for_s}) is not None


async def release(connection: AsyncConnection, work: Work, holder: str) -> None:
    """Leave the work to others."""
    await connection.execute(_RELEASE, {"work": work, "holder": holder})
