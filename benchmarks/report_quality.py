"""How good the reports are: each written as a worker writes it, then counted against transcript and label."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, Final, Literal

from benchmarks.report_lessons import Lesson

from afterbell.adapters.models.answer import ModelAnswer
from afterbell.adapters.models.responses import ResponsesClient
from afterbell.core.errors import ModelError
from afterbell.core.money.tokens import expected
from afterbell.core.narrative import GoalProgress
from afterbell.core.report.prompt import Prompt
from afterbell.core.report.statistics import measure
from afterbell.core.session import transcript_of
from afterbell.core.usage import Usage
from afterbell.dev.stub.faults import Fault
from afterbell.dev.stub.replies import write_answer
from afterbell.dev.stub.request import StubRequest
from afterbell.worker.writer import Draft, ReportWriter, Room, redact_session

BAD_REFERENCES: Final = ("unknown_turn", "quote_not_found", "hostile_turn")
SECTIONS: Final = ("topics", "skills", "misconceptions", "strengths", "open_questions", "concerns")
Claim = Literal["reached", "not reached", "nothing"]
CLAIMS: Final[dict[GoalProgress, Claim]] = {
    "met": "reached",
    "partly": "reached",
    "not_yet": "not reached",
    "not_discussed": "nothing",
}
SOLVED: Final = frozenset({"yes", "revealed"})


@dataclass(frozen=True, slots=True)
class Judged:
    """One report: what it claims and costs. ``draft`` is None where the model failed, ``error`` then says how."""

    lesson: Lesson
    draft: Draft | None
    calls: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Reports by (what the teacher said, what the report claims of the goal); no rule was made with their sessions."""

    counts: Counter[tuple[str, Claim]]

    @property
    def labelled(self) -> int:
        """Reports whose teacher said something."""
        return self.counts.total()

    @property
    def right(self) -> int:
        """Claims that agree with the teacher; solved with the answer revealed counts as solved."""
        return sum(n for (said, claim), n in self.counts.items() if claim == _true(said))

    @property
    def claimed(self) -> int:
        """Reports that claim anything of the goal."""
        return sum(n for (_, claim), n in self.counts.items() if claim != "nothing")

    @property
    def denied(self) -> int:
        """Reports that say "not reached" of a session its teacher calls solved: the wrong that hurts most."""
        return sum(n for (said, claim), n in self.counts.items() if said in SOLVED and claim == "not reached")

    @property
    def usual(self) -> float:
        """What always claiming the more frequent outcome would get right, as a share."""
        solved = sum(n for (said, _), n in self.counts.items() if said in SOLVED)
        return max(solved, self.labelled - solved) / self.labelled


def _true(said: str) -> Claim:
    return "reached" if said in SOLVED else "not reached"


def outcomes_of(judged: Sequence[Judged]) -> Outcomes | None:
    """The claims beside the labels; None without labels."""
    counts = Counter(
        (judgement.lesson.solved, CLAIMS[judgement.draft.narrative.goal_progress])
        for judgement in judged
        if judgement.draft is not None and judgement.lesson.solved and not judgement.lesson.used_for_rules
    )
    return Outcomes(counts) if counts else None


class Extractive:
    """The engine without a model, as the stub runs it: same prompt, same JSON, no wire."""

    name = "extractive engine"

    async def ask(self, prompt: Prompt, label: str, on_progress: Any) -> ModelAnswer:  # noqa: ARG002
        """The stub's answer, and the tokens a model would have been billed for."""
        answer = write_answer(StubRequest("m", prompt.instructions, prompt.transcript, True, False, None, {}), Fault())
        read = expected(prompt.instructions) + expected(prompt.transcript)
        return ModelAnswer(answer.text, self.name, None, Usage(read, 0, answer.output_tokens))

    async def aclose(self) -> None:
        """Nothing to close."""


class Hosted:
    """A model behind OPENAI_BASE_URL."""

    def __init__(self, *, api_key: str, base_url: str | None, model: str) -> None:
        self.name = model
        self._client = ResponsesClient(api_key=api_key, base_url=base_url, model=model)

    async def ask(self, prompt: Prompt, label: str, on_progress: Any) -> ModelAnswer:
        """One real call."""
        return await self._client.write(
            prompt, client_request_id=f"bench{label}", safety_identifier=None, on_progress=on_progress
        )

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()


async def judge(lessons: Sequence[Lesson], engine: Extractive | Hosted, *, at_once: int = 4) -> list[Judged]:
    """Write every lesson's report, ``at_once`` at a time."""
    gate = asyncio.Semaphore(at_once)

    async def bounded(lesson: Lesson) -> Judged:
        async with gate:
            return await _judged(lesson, engine)

    try:
        return list(await asyncio.gather(*map(bounded, lessons)))
    finally:
        await engine.aclose()


async def _judged(lesson: Lesson, engine: Extractive | Hosted) -> Judged:
    calls = 0

    async def ask(prompt: Prompt, label: str, on_progress: Any) -> ModelAnswer:
        nonlocal calls
        calls += 1
        return await engine.ask(prompt, f"-{lesson.session.id}{label}", on_progress)

    async def unheard(_: Any) -> None:
        """Nobody watches."""

    writer = ReportWriter(ask, redact_session(lesson.session, transcript_of(lesson.session)), Room())
    try:
        return Judged(lesson, await writer.write(measure(lesson.session), unheard), calls)
    except ModelError as error:
        return Judged(lesson, None, calls, error.code)


@dataclass(frozen=True, slots=True)
class Summary:
    """The bench in numbers; shares are 0 to 1, tokens and dollars a report. ``outcomes`` None without labels."""

    reports: int
    failed: int
    grounded_ratio: float
    bad_references: float
    coverage: tuple[float, float, float]
    covered: float
    outcomes: Outcomes | None
    claims: float
    repaired: float
    calls: float
    input_tokens: float
    output_tokens: float
    usd: float
    sections: dict[str, float]
    dropped: dict[str, int]


def summarise(judged: Sequence[Judged], usd_a_million: tuple[float, float]) -> Summary:
    """The numbers of a run. Raises ValueError where no report was written at all."""
    drafts = [judgement.draft for judgement in judged if judgement.draft is not None]
    if not drafts:
        raise ValueError(f"no report was written: {Counter(judgement.error for judgement in judged).most_common(3)}")
    claims = sum(draft.checks.claims for draft in drafts)
    kept = sum(draft.checks.claims * draft.checks.grounded_ratio for draft in drafts)
    dropped = Counter(label for draft in drafts for label in draft.checks.dropped)
    read, wrote = (mean(getattr(d.answer.usage, kind) for d in drafts) for kind in ("input_tokens", "output_tokens"))
    return Summary(
        reports=len(drafts),
        failed=len(judged) - len(drafts),
        grounded_ratio=kept / claims if claims else 1.0,
        bad_references=sum(n for label, n in dropped.items() if label.endswith(BAD_REFERENCES)) / len(drafts),
        coverage=(*(mean(draft.checks.coverage_thirds[third] for draft in drafts) for third in range(3)),),  # type: ignore[arg-type]
        covered=mean(all(draft.checks.coverage_thirds) for draft in drafts),
        outcomes=outcomes_of(judged),
        claims=claims / len(drafts),
        repaired=mean(draft.checks.repaired for draft in drafts),
        calls=mean(judgement.calls for judgement in judged),
        input_tokens=read,
        output_tokens=wrote,
        usd=(read * usd_a_million[0] + wrote * usd_a_million[1]) / 1_000_000,
        sections={name: mean(len(getattr(draft.narrative, name)) for draft in drafts) for name in SECTIONS},
        dropped=dict(dropped),
    )
