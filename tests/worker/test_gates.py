"""What is decided of a session before and after anybody writes runs off the loop, on which leases are renewed."""

import asyncio
import time

from tests.core.sessions import lesson
from tests.support.promises import Promised

from afterbell.core.safety.injection import hostile_in
from afterbell.core.session import Session
from afterbell.worker.material import material_of
from afterbell.worker.writer import redact_session

TICK_S = 0.001


def long_lesson(turns: int, text: str) -> Session:
    return lesson(*(f"{'TS'[number % 2]}: {text} {number}" for number in range(turns)))


async def longest_gap_s(work: asyncio.Task[object]) -> float:
    """How long the loop stood still at most while the work was done elsewhere."""
    longest, before = 0.0, time.perf_counter()
    while not work.done():
        await asyncio.sleep(TICK_S)
        longest, before = max(longest, time.perf_counter() - before), time.perf_counter()
    return longest


def gates(session: Session) -> None:
    material = material_of(session, 1, b"key")
    hostile_in(material.transcript)
    redact_session(session, material.transcript, material.alarms)
    material.checked(material.basic_narrative())


async def test_the_gates_leave_the_loop_free_also_where_one_word_is_two_megabytes(promised: Promised) -> None:
    said = "I think the ratio is two to three because my dad and I bought six pens for the two of us, so that is 12"
    for name, session in (("400 turns", long_lesson(400, said)), ("one word", long_lesson(250, "a" * 8_000))):
        began = time.process_time()
        gap = await longest_gap_s(asyncio.create_task(asyncio.to_thread(gates, session)))
        promised(f"the gates over {name} hold the loop", gap, 0.02)
        promised(f"the gates over {name} cost", time.process_time() - began, 2.0)
        assert gap < 2
