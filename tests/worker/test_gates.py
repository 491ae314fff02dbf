"""What is decided of a session before and after anybody writes runs off the loop, on which leases are renewed."""

import asyncio
import gc
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.core.sessions import lesson
from tests.support.promises import Promised

from afterbell.core.session import Session
from afterbell.worker.material import material_of, warm_up
from afterbell.worker.writer import redact_session

TICK_S = 0.001
SAID = "I think the ratio is two to three because my dad and I bought six pens for the two of us, so that is 12"


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
    redact_session(session, material.transcript, material.alarms, material.hostile)
    material.checked(material.basic_narrative())


async def test_the_gates_are_ready_before_a_worker_is() -> None:
    """A worker warms up off its loop before it takes a report: the first one finds lexicons and rules in place."""
    script = (
        "import time\n"
        "from tests.worker.test_gates import SAID, gates, long_lesson\n"
        "from afterbell.core.safety.lexicon import lexicon\n"
        "from afterbell.core.privacy.contacts import top_level_domains\n"
        "from afterbell.worker.material import warm_up\n"
        "warm_up()\n"
        "read = lexicon.cache_info().misses, top_level_domains.cache_info().misses\n"
        "gates(long_lesson(400, SAID))\n"
        "print(read == (lexicon.cache_info().misses, top_level_domains.cache_info().misses), *read)\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert printed.decode().split() == ["True", "3", "1"]


@pytest.fixture
def started() -> Iterator[None]:
    """As in a worker that is ready: warmed up, and what it started with is no work for the garbage collector."""
    warm_up()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("started")
async def test_the_gates_leave_the_loop_free_also_where_one_word_is_two_megabytes(promised: Promised) -> None:
    for name, session in (("400 turns", long_lesson(400, SAID)), ("one word", long_lesson(250, "a" * 8_000))):
        began = time.process_time()  # of all threads of the process
        gap = await longest_gap_s(asyncio.create_task(asyncio.to_thread(gates, session)))
        promised(f"the gates over {name} hold the loop", gap, 0.02)
        promised(f"the gates over {name} cost", time.process_time() - began, 0.06 if name == "400 turns" else 2.0)
        assert gap < 2


def test_a_basic_report_keeps_its_own_sentences_where_a_child_may_have_told_of_harm() -> None:
    session = lesson("S: My brother hit me yesterday.", "S: 2/4 is 1/2")  # nothing from the tutor
    material = material_of(session, 1, b"key")
    assert any(alarm.may_tell_of_harm for alarm in material.alarms)
    for language in ("en", "es"):
        session = replace(session, language=language)
        material = material_of(session, 1, b"key")
        written = material.basic_narrative()
        narrative, checks = material.checked(written)
        assert narrative.tutor_note == written.tutor_note
        assert narrative.parent_summary == written.parent_summary
        assert checks.dropped == ()
