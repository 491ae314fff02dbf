"""Takes sentences out of a report's prose that its transcript does not bear out.

Prose has no citations of its own, so only what can be decided is decided. A sentence goes where it

- names a turn that does not exist (``unknown_turn``);
- puts four words or more between quotation marks that nobody said in one turn and no goal holds (``quote_not_found``);
- grades: "grade: A+", "10 out of 10", "full marks" (``grade``), since no grade comes from a model;
- says what a child is, gifted or lazy, rather than what it did (``trait``);
- compares with other children (``comparison``), or with an earlier lesson (``earlier_lesson``): nobody saw either;
- says that something is mastered, done alone or met which the claims do not bear out after the checks (``unproven``,
  see ``mastery``);
- is about harm to a child, names a turn that only the staff reads, has four words in a row of it, or, where it tells
  of harm, a word of it that nobody says elsewhere (``kept_turn``): it is retold in the third person as well, see
  ``retelling``, or only hinted at, see ``hints``;
- names another student of the lesson in a text about one (``other_student``);
- holds an e-mail address, a link, a phone number or the like (``contact``).

What is left of a text that lost sentences may be too short for its bound; then a plain sentence stands in for it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from afterbell.core.english import LESSON_WORDS, STOPWORDS
from afterbell.core.privacy.contacts import holds_contact
from afterbell.core.privacy.cues import Searched
from afterbell.core.privacy.names import NameFinder
from afterbell.core.report.gate_phrases import COMPARISONS, EARLIER_LESSONS, GRADES, TRAITS
from afterbell.core.report.hints import hints_at_harm
from afterbell.core.report.mastery import NOTHING_PROVEN, Proven, is_unproven
from afterbell.core.report.retelling import names_conduct, names_harm, retells_harm
from afterbell.core.report.wording import sentences
from afterbell.core.translation import DEFAULT_LANGUAGE, wording

CONTACT: Final = "contact"
GRADE: Final = "grade"
UNPROVEN: Final = "unproven"
COMPARISON: Final = "comparison"
EARLIER: Final = "earlier_lesson"
TRAIT: Final = "trait"
KEPT_TURN: Final = "kept_turn"
OTHER_STUDENT: Final = "other_student"
QUOTED_WORDS_MIN: Final = 4
REPEATED_WORDS_MIN: Final = 4

_TURN_ID: Final = re.compile(r"\bt\d{1,5}\b")
_QUOTED: Final = re.compile(r"[“\"„«]([^“”\"„«»]{8,})[”\"“»]")
# Single marks, where they are no apostrophes.
_QUOTED_SINGLY: Final = re.compile(r"(?<!\w)['‘](?=\w)((?:[^'‘’\n]|(?<=\w)['’](?=\w)){8,}?)['’](?!\w)")  # noqa: RUF001
# "Next, ask yourself" before a quotation mark: what follows is a proposal, and nobody's words.
_TO_SAY: Final = re.compile(
    r"(?:^|[,;:(] ?|\b(?:and|then|please|(?:you|to) (?:could|can|might|should|may want to)) )"
    r"(?:ask|say|write|try|answer|tell)(?: (?:yourself|your child|each other|him|her|them|the student|aloud"
    r"|out loud)){0,2}[,:]? ?$",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"\w+")
# Letters are grades where they stand large behind a word for one: "note A" is music, "the result is a fraction" prose.
_GRADE: Final = re.compile(
    r"\b(?i:(?:school )?grades?|marks?|rated|graded)(?i:,? (?:of|is|was|at|as|with))?:? (?i:an? )?"
    r"(?:[A-F](?:[+-](?!\w)|(?![\w+'\u2019]))|\d{1,3} ?(?:%|(?:/|out of) ?\d+)|(?i:full|top)\b)"
    r"|\b(?i:gets?|got|earn(?:s|ed)|deserves?|received|worth|awarded) an? (?:solid |clear "
    r"|strong )?[A-F](?:[+-]|(?![\w+'\u2019]))"
    r"|\b(?i:an? (?:solid|strong)) [A-F](?:[+-]|(?![\w+'\u2019]| (?:major|minor|flat|sharp|chord|string)))"
    r"|\b\d(?:[.,]\d)?(?: ?/ ?| out of )10 (?i:(?:in|on) (?:an?|the|this) (?:test|exam|quiz))"
    r"|\b(?i:scored?) \d{1,3} ?(?:/|out of|of) ?\d{1,3}(?=[.,;!]|$| (?i:on|in|correct|right|marks|questions))"
    r"|\b(?i:an? (?:strong|clear|solid|comfortable|good) pass\b|(?:would|will) (?:easily )?(?:pass|fail) (?:the|a|this)"
    r" (?:test|exam|quiz)\b)"
    r"|(?<![\d.,/])10(?: ?/ ?| out of )10\b|\b\d(?:[.,]\d)?(?: ?/ ?| out of )10 (?i:points|stars"
    r"|(?:for|in) (?:effort|participation|attention|understanding))"
    r"|\b(?i:rat(?:e[sd]?|ing)|scor(?:ed|es))\b[^.!?]{0,30}\b\d{1,3}(?:[.,]\d)?(?: ?/ ?| out of )(?:5|10|20|100)\b"
    r"|\b(?i:scored|score of) \d{1,3} ?%|\b(?i:five|5) stars\b|\b(?i:full marks|ten out of ten|top marks|genius)\b"
    r"|\b(?i:schulnote|zensur|note de|nota de|calificaci[oó]n de|оценка)\b:? ?\d",
)
_OTHERS: Final = (
    r"(?:(?:other|most|many|all) (?:\w+ )?(?:children|students|kids|pupils|learners|classmates|peers)"
    r"|(?:the |an)other (?:\w+ )?(?:child|student|kid|pupil|learner|classmate|boy|girl))"
)
_COMPARISON: Final = re.compile(
    rf"\b(?:than|among|compared (?:to|with)|ahead of|behind|beats?|outperform\w*"
    rf"|unlike)\b[^.!?]{{0,24}}?\b(?:{_OTHERS}"
    r"|(?:of )?(?:the|his|her|their|your) (?:class|classmates|peers|age group|year group)|peers|classmates)\b"
    r"|\b(?:top|best|first|head|bottom) (?:of|in) (?:the|his|her|their|your) (?:class|group|year|school)\b"
    r"|\b(?:above|below) (?:the )?(?:average|level) (?:for|of (?:his|her|their|the) (?:age|class|peers))\b"
    r"|\b(?:faster|quicker|slower|better|worse|further|stronger|smarter|more \w+ly)\b[^.!?]{0,24}?\bthan (?:his|her"
    r"|their|your|my) (?:\w+ )?(?:friend|brother|sister|sibling|cousin|partner|neighbou?r|twin)s?\b"
    r"|\b(?:few|not many|hardly any) (?:other )?(?:children|students|pupils|kids|learners)\b"
    r"|\b(?:children|students|pupils|kids|boys|girls|learners) (?:of|at) (?:his|her|their|your|this|that|the same)"
    r" age\b"
    r"|\bnot (?:everyone|everybody|all (?:children|students|pupils|kids))\b[^.!?]{0,20}"
    r"\b(?:quick\w*|fast|soon|easily)\b"
    r"|\bothers? in (?:the|his|her|their|your) (?:class|group|year)\b|\btop \d{1,2} ?(?:%|per ?cent)"
    r"|\bahead of (?:where|what) (?:we|you|one|they|i) (?:would |might )?expect"
    r"|\b(?:(?<!\w )|(?:he|she|they|you|your child|the student)(?: is| are|['\u2019]s|['\u2019]re)? )"
    r"(?:well |far |clearly )?(?:above|below) average\b|\bbest (?:\w+ ){1,3}(?:i|we)(?:['\u2019]ve| have)? ever\b"
    r"|\bfor (?:his|her|their|your child's) age\b|\b(?:above|below|ahead of|at) (?:grade|age)[- ]level\b",
    re.IGNORECASE,
)
_TRAIT: Final = re.compile(
    r"\b(?:(?<!\w )(?:is|was)|(?:your child|the student|he|she|they|you)(?:['\u2019]re| is| are| was| were))"
    r" (?:(?:clearly|really|truly|obviously|just|very|so|such|quite|extremely|incredibly|an?) ){0,3}"
    r"(?:gifted|talented|brilliant|clever|smart|bright|intelligent|genius|natural(?! number)|lazy|stupid)\b"
    r"|\b(?:gifted|talented|brilliant|born|exceptional|outstanding|extraordinary) (?:young )?(?:mathematician|student"
    r"|child|girl|boy|learner|writer|reader|musician|storyteller|thinker|artist|scientist)\b"
    r"|\bnatural (?:talent|gift)\b|\b(?:a|her|his|their|your) (?:(?:real|true|great|rare) )?(?:gift|talent) for\b"
    r"|\bsuperstar\b|\bprodigy\b"
    # Nor what it may have: nobody here is a doctor.
    r"|\b(?:has|have|had|signs of|symptoms of|looks? like|sounds? like|possible|possibly|suspected|suggests?"
    r"|indicates?) (?:\w+ ){0,2}?(?:dyslexia|dyscalculia|dyspraxia|adhd|autism|depression|an? (?:learning"
    r"|attention|anxiety) (?:disability|disorder|deficit))\b"
    r"|\b(?:is|are|be|was|seems?) (?:\w+ ){0,2}?(?:dyslexic|dyscalculic|dyspraxic|autistic)\b",
    re.IGNORECASE,
)
_THEN: Final = (
    r"(?:last|previous|earlier|past|recent|first) (?:time|lessons?|sessions?|weeks?|months?|meetings?|year|term)"
)
_EARLIER: Final = re.compile(
    r"\b(?:improv\w+|better|worse|progress\w*|more (?:\w+ )?(?:confiden\w+|fluen\w+|accurate\w*|sure|secure)"
    r"|faster|stronger|weaker"
    rf"|harder|grown|developed|advanced|caught up|fewer|still|again)\b[^.!?]{{0,60}}\b(?:{_THEN}|than before"
    rf"|than (?:usual|ever))\b"
    rf"|\b(?:since|compared (?:to|with)|unlike|as in) (?:the |our |his |her |their |your )?{_THEN}"
    r"|\b(?:has|have) (?:really |clearly |greatly )?improved (?:a lot|much|greatly|significantly|enormously)\b"
    r"|\b(?:come|came) a long way\b|\bthan (?:he|she|they|you|i) (?:used to|remember)\b"
    r"|\b(?:he|she|they|you|your child|the student) used to (?:mix|forget|think|believe|struggle|confuse|guess"
    r"|avoid|need|dislike|hate|fear|stop|give up|be(?! asked| told| given)|have (?:trouble|problems))\b"
    r"|\b(?:progress|improve\w*)\b[^.!?]{0,20}\b(?:this|over the|during the) (?:term|year|month|semester)\b"
    r"|\b(?:better|more \w+) (?:every|each|with (?:every|each)) (?:week|lesson|time|day|session|month)\b"
    r"|\bkeeps? (?:on )?(?:growing|getting (?:better|faster|stronger))\b"
    r"|\b(?:keeps|continues to|kept) (?:on )?improv\w+|\bover (?:the )?(?:last|past) (?:few )?(?:weeks|months"
    r"|lessons|sessions)\b",
    re.IGNORECASE,
)
_NEVER_SAID: Final = (
    (GRADE, _GRADE, GRADES),
    (COMPARISON, _COMPARISON, COMPARISONS),
    (EARLIER, _EARLIER, EARLIER_LESSONS),
    (TRAIT, _TRAIT, TRAITS),
)
# Another student of a lesson for several, without a name.
_UNNAMED: Final = re.compile(
    r"\b(?:(?:the|his|her|their|your) (?:other|second|first|older|younger) (?:student|child|pupil|learner|boy|girl)"
    r"|(?:his|her|their|your) (?:lesson |learning )?(?:partner|classmate|friend|neighbou?r)s?"
    r"|the (?:student|child|pupil|boy|girl) (?:next to|beside|with))\b",
    re.IGNORECASE,
)
Grams = frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ProseFacts:
    """What prose may rest on: turn ids, the texts of turns and goals, the goals, what the claims prove.

    All texts have one space for white space. ``by_tutors``: the tutors' turns, whose links may be quoted. ``kept``:
    runs of words that only the staff reads; ``kept_ids``: the turns they are of; ``kept_words``: words that stand
    nowhere but where harm is told of. ``harm_was_told``: a turn may be about harm to a child, ``insult_was_said``:
    words that do not belong in a lesson stand in one. ``for_staff``: nobody else reads the prose, so it may say what it
    is about.
    ``students``: by the label of each of several students, who finds their names, the kind of a name being its label;
    ``about``: the label of the one whom the text is about.
    ``may_hold_contact``, ``may_name_harm``: all there is of it in the text at hand is in words that it quotes, of a
    tutor there, of any turn or goal here. ``language``: what the prose is written in.
    """

    turn_ids: frozenset[str]
    texts: tuple[str, ...]
    proven: Proven = NOTHING_PROVEN
    goals: tuple[str, ...] = ()
    subject: str = ""
    by_tutors: tuple[str, ...] = ()
    kept: Grams = frozenset()
    kept_ids: frozenset[str] = frozenset()
    kept_words: frozenset[str] = frozenset()
    harm_was_told: bool = False
    insult_was_said: bool = False
    for_staff: bool = False
    students: Mapping[str, NameFinder] = field(default_factory=dict)
    about: str | None = None
    may_hold_contact: bool = False
    may_name_harm: bool = False
    language: str = DEFAULT_LANGUAGE


def sound_prose(text: str, facts: ProseFacts) -> tuple[str, tuple[str, ...]]:
    """The text without unsound sentences, and the code of each that went. An untouched text comes back as it is."""
    facts = replace(
        facts,
        may_hold_contact=not holds_contact(_without_quotes(text, facts.by_tutors)),
        may_name_harm=not names_harm(_without_quotes(text, facts.texts)),
    )
    problems = [(sentence, next(_problems(sentence, facts), None)) for sentence in sentences(text)]
    codes = tuple(problem for _, problem in problems if problem is not None)
    kept = [sentence for sentence, problem in problems if problem is None]
    return (wording(facts.language).joined(kept) if codes else text), codes


def quotes_in(text: str) -> list[str]:
    """What a text puts between quotation marks, eight characters or more."""
    return _QUOTED.findall(text)


def runs_of_words(texts: Sequence[str], elsewhere: Sequence[str]) -> Grams:
    """Four words in a row of the texts, or all of a shorter one, but for those that stand elsewhere too."""
    kept = {gram for text in texts for gram in _grams(text)}
    # A text without the longest word of any of them holds none.
    marks = {max(gram, key=len) for gram in kept}
    for text in elsewhere if kept else ():
        if not marks.isdisjoint(_WORD.findall(text.lower())):
            kept.difference_update(_grams(text))
    return frozenset(kept)


def _without_quotes(text: str, said: Sequence[str]) -> str:
    """The text without what it quotes letter for letter: a link in homework is the tutor's own."""

    def left(quoted: re.Match[str]) -> str:
        words = " ".join(quoted[1].strip().rstrip("…").split())
        return "" if any(words in passage for passage in said) else quoted[0]

    return _QUOTED.sub(left, text) if _QUOTED.search(text) else text


def words_of_harm(texts: Sequence[str], elsewhere: Sequence[str]) -> frozenset[str]:
    """The words in which texts tell of harm, but for those of any English lesson and those that stand elsewhere."""
    passages = [
        part for text in texts for part in [sentence for sentence in sentences(text) if names_harm(sentence)] or [text]
    ]
    words = {word for text in passages for word in _words_in(text) if word.isalpha() and len(word) > 1}
    words -= STOPWORDS | LESSON_WORDS
    for text in elsewhere if words else ():
        words -= _words_in(text)
    return frozenset(words)


def _problems(sentence: str, facts: ProseFacts) -> Iterator[str]:
    named = frozenset(_TURN_ID.findall(sentence))
    if not named <= facts.turn_ids:
        yield "unknown_turn"
    if any(not _was_said(quoted, facts.texts) for quoted in _attributed(sentence)):
        yield "quote_not_found"
    if not facts.kept.isdisjoint(_grams(sentence)) or (not facts.for_staff and _is_kept(sentence, named, facts)):
        yield KEPT_TURN
    for code, *patterns in _NEVER_SAID:
        if any(pattern.search(sentence) for pattern in patterns):
            yield code
    if is_unproven(sentence, facts.proven):
        yield UNPROVEN
    if _names_another(sentence, facts):
        yield OTHER_STUDENT
    if not facts.may_hold_contact and _gives_contact(sentence, facts.subject):
        yield CONTACT


def _attributed(sentence: str) -> Iterator[str]:
    """What a sentence quotes as said, rather than proposes to say."""
    for quoted in (*_QUOTED.finditer(sentence), *_QUOTED_SINGLY.finditer(sentence)):
        if not _TO_SAY.search(sentence[: quoted.start()]):
            yield quoted[1]


def _gives_contact(sentence: str, subject: str) -> bool:
    # The subject is the platform's own word, whatever it looks like; reports name its beginning.
    return holds_contact(sentence) and not (subject and subject.lower() in sentence.lower())


def _names_another(sentence: str, facts: ProseFacts) -> bool:
    """Whether a sentence about one student names another."""
    finder = facts.students.get(facts.about or "")
    if finder is None:
        return False
    return bool(_UNNAMED.search(sentence)) or any(span.kind != facts.about for span in finder.spans(Searched(sentence)))


def _is_kept(sentence: str, named: frozenset[str], facts: ProseFacts) -> bool:
    """Whether a sentence is about what families do not read: harm, a turn that is kept from them, or a word of it."""
    if not facts.may_name_harm and names_harm(sentence):
        return True
    if (facts.harm_was_told and hints_at_harm(sentence)) or (facts.insult_was_said and names_conduct(sentence)):
        return True
    if not facts.kept_ids:
        return False
    return bool(facts.kept_ids & named or facts.kept_words & _words_in(sentence)) or retells_harm(
        sentence, facts.language
    )


def _was_said(quoted: str, texts: Sequence[str]) -> bool:
    if (plain := " ".join(quoted.rstrip("…").split())) and any(plain in text for text in texts):
        return True
    words = _words_in(quoted) - {"the", "student"}  # which stand for a name that was said
    return len(words) < QUOTED_WORDS_MIN or any(words <= _words_in(text) for text in texts)


def _words_in(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    size = min(REPEATED_WORDS_MIN, len(words))
    if size > 1:
        yield from zip(*(words[start:] for start in range(size)), strict=False)
