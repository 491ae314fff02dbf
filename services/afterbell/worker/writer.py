"""From a session to a checked narrative: what leaves the house, the calls, the one repair, and home again.

redact_session   names, contact data, and texts that speak to the report's writer
ask        one call; a session longer than the model's window in parts, then once for the whole
check      what does not hold is listed, and the model is asked once more to put it right
restore    names come back; what still does not hold is dropped and counted
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from afterbell.adapters.models.answer import ModelAnswer, ModelProgress
from afterbell.adapters.models.narrative_codec import decode, encode
from afterbell.core.errors import AfterbellError, ModelAnswerUnusable, ModelError
from afterbell.core.money import tokens
from afterbell.core.narrative import Narrative
from afterbell.core.privacy.redaction import Redacted, redact, restore
from afterbell.core.report import chunks
from afterbell.core.report.grounding import Grounded, examine
from afterbell.core.report.prompt import Prompt, build, build_repair, build_whole
from afterbell.core.report.report import Checks
from afterbell.core.report.statistics import SessionMetrics
from afterbell.core.safety.injection import Hostile, hostile_in
from afterbell.core.safety.safeguarding import Alarm, alarms_in
from afterbell.core.session import Session, Transcript
from afterbell.core.usage import Usage

FENCE_BYTES: Final = 12
PROBLEMS_MAX: Final = 20
INPUT_TOO_LONG: Final = "model_input_too_long"

OnProgress = Callable[[ModelProgress], Awaitable[None]]
Ask = Callable[[Prompt, str, OnProgress], Awaitable[ModelAnswer]]
"""One model call: the prompt, a suffix that tells the try's calls apart, and who hears of progress."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Room:
    """Tokens of the model's window, and of those what an answer may take."""

    window_tokens: int = 128_000
    output_tokens: int = 4_000


USUAL_ROOM: Final = Room()


@dataclass(frozen=True, slots=True)
class PreparedSession:
    """What a model is told of a session, and what brings its answer home."""

    original: Transcript
    transcript: Transcript
    redacted: Redacted
    hostile: Hostile
    alarms: tuple[Alarm, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked narrative. ``answer`` is the last one's, with the usage of all calls of the try together."""

    narrative: Narrative
    checks: Checks
    answer: ModelAnswer


@dataclass(frozen=True, slots=True)
class _Try:
    answer: ModelAnswer
    narrative: Narrative | None
    grounded: Grounded | None
    problems: tuple[str, ...]


def safety_identifier_of(session: Session, key: bytes) -> str | None:
    """Who the provider may know a call is about: HMAC-SHA256 of the students' ids, 64 hex digits; None without any."""
    students = sorted(person.id for person in session.participants if person.role == "student")
    if not students or not key:
        return None
    return hmac.new(key, "\0".join(students).encode(), hashlib.sha256).hexdigest()


def redact_session(
    session: Session, transcript: Transcript, alarms: Sequence[Alarm] | None = None, hostile: Hostile | None = None
) -> PreparedSession:
    """What may leave the house of a session.

    ``alarms``, ``hostile``: the turns somebody should look at and the texts to withhold, where known already.
    """
    hostile = hostile_in(transcript) if hostile is None else hostile
    outgoing, redacted = redact(transcript, session.participants, hostile.texts)
    known = alarms_in(transcript) if alarms is None else tuple(alarms)
    return PreparedSession(transcript, outgoing, redacted, hostile, known)


class ReportWriter:
    """Writes one report; made for one try."""

    def __init__(self, ask: Ask, prepared: PreparedSession, room: Room) -> None:
        self._ask, self._prepared = ask, prepared
        self._room = chunks.room_for_input(room.window_tokens, room.output_tokens)
        self._answers: list[ModelAnswer] = []

    async def write(self, metrics: SessionMetrics, on_progress: OnProgress) -> Draft:
        """The report. Raises the ModelError of a call; its ``usage`` counts what earlier calls cost as well."""
        try:
            if chunks.fits(self._prepared.transcript, self._room):
                return await self._write_at_once(metrics, on_progress)
            return await self._write_in_parts(metrics, on_progress)
        except ModelError as error:
            error.usage = _sum([*(answer.usage for answer in self._answers), error.usage or Usage()])
            raise

    async def _write_at_once(self, metrics: SessionMetrics, on_progress: OnProgress) -> Draft:
        prompt = build(self._prepared.transcript, metrics, fence=_fence())
        try:
            return await self._finish(prompt, on_progress)
        except ModelError as error:
            if error.code != INPUT_TOO_LONG or len(self._prepared.transcript.turns) < 2:
                raise
            # The window is smaller than we were told.
            log.warning("session_too_long", room_tokens=self._room)
            self._room = sum(tokens.expected(turn.text) for turn in self._prepared.transcript.turns) // 2
        return await self._write_in_parts(metrics, on_progress)

    async def _write_in_parts(self, metrics: SessionMetrics, on_progress: OnProgress) -> Draft:
        pieces = chunks.parts_of(self._prepared.transcript, self._room)
        log.info("session_in_parts", parts=len(pieces))
        facts = []
        for number, piece in enumerate(pieces, start=1):
            prompt = build(piece, metrics, fence=_fence(), part=f"{number} of {len(pieces)}")
            heard = _scaled(on_progress, number - 1, len(pieces) + 1)
            facts.append(await self._facts(prompt, f"-part{number}", piece, heard))
        while len(groups := chunks.groups_of(facts, self._room)) > 1:
            whole = [build_whole(self._prepared.transcript, group, fence=_fence()) for group in groups]
            facts = [
                await self._facts(prompt, f"-whole{len(self._answers)}", self._prepared.transcript, _unheard)
                for prompt in whole
            ]
        prompt = build_whole(self._prepared.transcript, facts, fence=_fence())
        return await self._finish(prompt, _scaled(on_progress, len(pieces), len(pieces) + 1))

    async def _facts(self, prompt: Prompt, label: str, about: Transcript, on_progress: OnProgress) -> str:
        """The grounded narrative of a part as JSON: what is invented there must not become a fact."""
        answer = await self._called(prompt, label, on_progress)
        decoded = _decoded(answer)
        return encode((await asyncio.to_thread(examine, decoded, about, (), ())).narrative)

    async def _finish(self, prompt: Prompt, on_progress: OnProgress) -> Draft:
        """Ask, check, and ask once more where something does not hold. The better of the two answers counts."""
        first = await self._checked(await self._called(prompt, "", on_progress))
        best, repaired = first, False
        if first.problems:
            second = await self._repaired(prompt, first)
            repaired = second is not None
            best = max([first, *([second] if second else [])], key=_soundness)
        if best.narrative is None or best.grounded is None:
            raise _unusable(best)
        checks = replace(best.grounded.checks, repaired=repaired)
        answer = replace(best.answer, usage=_sum([answer.usage for answer in self._answers]))
        return Draft(best.grounded.narrative, checks, answer)

    async def _repaired(self, prompt: Prompt, first: _Try) -> _Try | None:
        """The answer to the one repair call; None where it failed and the first answer will do."""
        again = build_repair(prompt, first.answer.text, first.problems)
        try:
            return await self._checked(await self._called(again, "-repair", _unheard))
        except AfterbellError as error:
            if first.narrative is None:
                raise
            log.warning("repair_failed", error=type(error).__name__)
            return None

    async def _called(self, prompt: Prompt, label: str, on_progress: OnProgress) -> ModelAnswer:
        answer = await self._ask(prompt, label, on_progress)
        self._answers.append(answer)
        return answer

    async def _checked(self, answer: ModelAnswer) -> _Try:
        try:
            narrative = restore(decode(answer.text), self._prepared.redacted)
        except ModelAnswerUnusable as error:
            return _Try(answer, None, None, (str(error),))
        prepared = self._prepared
        grounded = await asyncio.to_thread(
            examine, narrative, prepared.original, prepared.hostile.turn_ids, prepared.alarms
        )
        problems = tuple(dict.fromkeys(finding.sentence() for finding in grounded.findings))
        return _Try(answer, narrative, grounded, problems[:PROBLEMS_MAX])


def _decoded(answer: ModelAnswer) -> Narrative:
    try:
        return decode(answer.text)
    except ModelAnswerUnusable as error:
        error.request_id = answer.request_id
        raise


def _unusable(tried: _Try) -> ModelAnswerUnusable:
    return ModelAnswerUnusable(tried.problems[0], request_id=tried.answer.request_id)


def _soundness(tried: _Try) -> tuple[bool, int, int]:
    """Readable first, then by the claims kept, then by the fewest findings."""
    if tried.grounded is None:
        return False, 0, 0
    checks = tried.grounded.checks
    return True, round(checks.claims * checks.grounded_ratio), -len(tried.grounded.findings)


def _scaled(on_progress: OnProgress, done: int, calls: int) -> OnProgress:
    async def heard(progress: ModelProgress) -> None:
        finished = done * progress.sections_total + progress.sections_finished
        await on_progress(ModelProgress(finished, calls * progress.sections_total))

    return heard


async def _unheard(_: ModelProgress) -> None:
    """Nobody hears of the progress of a call that comes after the writing."""


def _sum(usages: Sequence[Usage]) -> Usage:
    """Of numbers the sum, of flags whether one is set."""
    total = {}
    for name in Usage.__dataclass_fields__:
        values = [getattr(usage, name) for usage in usages]
        total[name] = any(values) if isinstance(values[0], bool) else sum(values)
    return Usage(**total)


def _fence() -> str:
    return secrets.token_urlsafe(FENCE_BYTES)
