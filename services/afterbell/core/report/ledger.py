"""What a narrative is checked against: which turns it may cite, what was said of them, what its prose may rest on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from afterbell.core.narrative import Evidence, Narrative
from afterbell.core.privacy.names import NameFinder
from afterbell.core.report.conduct import unfit_parts
from afterbell.core.report.findings import Finding
from afterbell.core.report.prose_gate import ProseFacts, runs_of_words, words_of_harm
from afterbell.core.report.statistics import labels_of
from afterbell.core.report.wording import replied_to, verdict
from afterbell.core.safety.safeguarding import Alarm, kept_from_families, partly_kept
from afterbell.core.session import Transcript, Turn

# What somebody said of a cited turn of the student's: a yes, anything, nothing.
Standing = Literal["confirmed", "answered", "unanswered"]
HARM: Final = frozenset({"safeguarding", "wellbeing"})
_OUTRIGHT: Final = frozenset({"safeguarding"})
_STRAIGHT: Final = str.maketrans("‘’‚‛“”„‟′″", "''''\"\"\"\"'\"")  # noqa: RUF001  that is the point


@dataclass(slots=True)
class Ledger:
    """The check in progress: what may be cited, and what was counted so far.

    ``kept``: the turns that nobody but the staff reads; ``partly``: those of which families read the rest.
    """

    turns: dict[str, Turn]
    hostile: frozenset[str]
    kept: frozenset[str]
    partly: frozenset[str]
    labels: Mapping[str, str]
    replies: Mapping[str, Turn]
    facts: ProseFacts
    texts: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    written: int = 0

    def text_of(self, turn_id: str) -> str:
        """A turn's text as quotes are compared with it."""
        if turn_id not in self.texts:
            self.texts[turn_id] = comparable(self.turns[turn_id].text)
        return self.texts[turn_id]

    def by_students(self, evidence: Iterable[Evidence]) -> list[Turn]:
        """The students' turns that evidence cites."""
        cited = (self.turns[turn_id] for item in evidence for turn_id in item.turn_ids)
        return [turn for turn in cited if turn.speaker.role == "student"]

    def standing(self, evidence: Iterable[Evidence]) -> Standing:
        """What a tutor said of the students' turns that evidence cites, right after them."""
        replies = [reply for turn in self.by_students(evidence) if (reply := self.replies.get(turn.id)) is not None]
        if any(verdict(reply.text) for reply in replies):
            return "confirmed"
        return "answered" if replies else "unanswered"

    def find(self, where: str, code: str, detail: str = "") -> None:
        """Note something that does not hold."""
        self.findings.append(Finding(where, code, detail))


def comparable(text: str) -> str:
    """A text as quotes are compared: white space collapsed, curly quotation marks straightened."""
    return " ".join(text.translate(_STRAIGHT).split())


def ledger_of(
    narrative: Narrative,
    transcript: Transcript,
    hostile: frozenset[str],
    alarms: Sequence[Alarm],
    *,
    by_rules: bool = False,
) -> Ledger:
    """What a narrative of a transcript is checked against."""
    turns = {turn.id: turn for turn in transcript.turns if turn.text}
    # What a model calls harm is kept from families as what the lexicons call so.
    called_harm = _cited_for(narrative, HARM) & turns.keys()
    kept = kept_from_families(transcript, alarms) | called_harm
    partly = partly_kept(alarms) - kept
    labels = labels_of(transcript.turns)
    # A reply is to the turn before it that the writer of the report has seen.
    replies = replied_to([turn for turn in transcript.turns if turn.id not in hostile])
    harmful = (_cited_for(narrative, _OUTRIGHT) & turns.keys()) | {
        alarm.turn.id for alarm in alarms if alarm.is_said_outright
    }
    facts = replace(
        _facts(transcript, turns, kept, partly, harmful, labels),
        insult_was_said=bool(partly),
        harm_was_told=not by_rules and (bool(called_harm) or any(alarm.may_tell_of_harm for alarm in alarms)),
    )
    return Ledger(turns, hostile, kept, partly, labels, replies, facts)


def _facts(
    transcript: Transcript,
    turns: Mapping[str, Turn],
    kept: frozenset[str],
    partly: frozenset[str],
    harmful: frozenset[str],
    labels: Mapping[str, str],
) -> ProseFacts:
    plain = {turn_id: " ".join(turn.text.split()) for turn_id, turn in turns.items()}
    public = [text for turn_id, text in plain.items() if turn_id not in kept | partly] if kept | partly else []
    private = [turns[turn_id].text for turn_id in kept]
    private += [part for turn_id in partly for part in unfit_parts(turns[turn_id].text)]
    return ProseFacts(
        turn_ids=frozenset(turns),
        texts=(*plain.values(), *(" ".join(goal.split()) for goal in transcript.goals)),
        goals=transcript.goals,
        language=transcript.written_in,
        subject=" ".join(transcript.subject.split())[:20],
        by_tutors=tuple(plain[turn.id] for turn in turns.values() if turn.speaker.role in ("tutor", "assistant")),
        kept=runs_of_words(private, [*transcript.goals, *public]),
        kept_ids=kept,
        kept_words=words_of_harm([turns[turn_id].text for turn_id in harmful], [*transcript.goals, *public]),
        students=_names_by_student(transcript, labels),
    )


def _names_by_student(transcript: Transcript, labels: Mapping[str, str]) -> dict[str, NameFinder]:
    """By the label of each of several students a finder of all their names; a name they share is that student's own."""
    people = {turn.speaker.id: turn.speaker for turn in transcript.turns if turn.text}.values()
    names = [(labels[person.id], person.display_name) for person in people if person.role == "student"]
    if len(names) < 2:
        return {}
    return {own: NameFinder(sorted(names, key=lambda named: named[0] != own)) for own, _ in names}


def _cited_for(narrative: Narrative, kinds: frozenset[str]) -> frozenset[str]:
    """The ids of the turns that concerns of these kinds cite."""
    cited = (evidence for concern in narrative.concerns if concern.kind in kinds for evidence in concern.evidence)
    return frozenset(turn_id for evidence in cited for turn_id in evidence.turn_ids)
