"""Every free text of a narrative through the prose gate: the types say which texts are free, no list is kept."""

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

from afterbell.core.narrative import Concern, Evidence, Narrative, Skill, StudentTexts
from afterbell.core.report.findings import REPEATED
from afterbell.core.report.mastery import proven_by
from afterbell.core.report.prose_gate import ProseFacts, quotes_in, sound_prose
from afterbell.core.report.stand_ins import stand_in
from afterbell.core.report.wording import sentences
from afterbell.core.translation import wording

Find = Callable[[str, str], None]
_TextsT = TypeVar("_TextsT", Narrative, StudentTexts)
_REPEATED_CHARS_MIN: Final = 10
_QUOTATION_MARK: Final = re.compile('[“”„«»"]')
# "**word**" and "# Title"; "2**3" is arithmetic, "__init__" a name, and a quote is as it was said.
_MARKUP: Final = re.compile(r"(?<![\w*])(\*\*)(?=[^\s*])([^*\n]+)(?<=\S)\1(?![\w*])|^#{1,4} +", re.MULTILINE)


def sound_texts(narrative: Narrative, given: ProseFacts, find: Find) -> Narrative:
    """The narrative whose every free text has passed the gate; ``find`` gets section and code of each problem."""
    narrative = _without_markup(narrative)
    proven = proven_by(narrative, given.goals)
    facts = replace(given, proven=proven)
    # Whether a claim's own text was done alone, or a goal met, is said by its level or status.
    given = replace(given, proven=replace(proven, alone=True, goal=True))
    changed: dict[str, Any] = {}
    for name in _free_texts(Narrative):
        changed[name] = _sound_text(name, name, getattr(narrative, name), facts, find)
    for part in fields(Narrative):
        value = getattr(narrative, part.name)
        if isinstance(value, tuple):
            items = (_sound_item(f"{part.name}[{n}]", item, facts, given, find) for n, item in enumerate(value))
            changed[part.name] = tuple(item for item in items if item is not None)
    sound = _spoken_to_the_student(replace(narrative, **changed), given, find)
    return replace(sound, per_student=tuple(_spoken_to_the_student(texts, given, find) for texts in sound.per_student))


def _without_markup(item: Any) -> Any:
    """A narrative, or a part of one, whose own texts hold no marks of emphasis: a page shows them as they stand."""
    if isinstance(item, tuple):
        return tuple(map(_without_markup, item))
    if isinstance(item, str):
        return _MARKUP.sub(r"\2", item)
    if not is_dataclass(item) or isinstance(item, type | Evidence):
        return item
    own = _free_texts(type(item))
    texts = {part.name: getattr(item, part.name) for part in fields(item)}
    return replace(item, **{n: _without_markup(v) for n, v in texts.items() if n in own or isinstance(v, tuple)})


def _spoken_to_the_student(texts: _TextsT, given: ProseFacts, find: Find) -> _TextsT:
    """The texts with a student's note that does not say the parent's over."""
    # What both quote is the lesson's.
    quoted = "\n".join(quotes_in(texts.student_note))
    theirs = {sentence for sentence in sentences(texts.parent_summary) if len(sentence) >= _REPEATED_CHARS_MIN}
    theirs = {sentence for sentence in theirs if not _QUOTATION_MARK.search(sentence) and sentence not in quoted}
    own = sentences(texts.student_note)
    kept = [sentence for sentence in own if sentence not in theirs]
    if len(kept) == len(own):
        return texts
    find("student_note", REPEATED)
    note = wording(given.language).joined(kept)
    return replace(texts, student_note=note or stand_in("student_note", given.language))


def _sound_item(where: str, item: Any, facts: ProseFacts, given: ProseFacts, find: Find) -> Any:
    """An item of a list with sound texts; None where its own text, the first, is not sound."""
    if isinstance(item, str):
        return item if _is_sound(where, item, given, find) else None
    if not is_dataclass(item) or isinstance(item, type | Evidence):
        return item
    if about := getattr(item, "student", None):
        facts, given = replace(facts, about=about), replace(given, about=about)
    own, *others = _free_texts(type(item))
    if isinstance(item, Concern | StudentTexts):
        others.insert(0, own)
    elif not _is_sound(where, getattr(item, own), given, find):
        return None
    section = where.partition("[")[0]
    if isinstance(item, Concern):
        facts = replace(facts, for_staff=True)
    if isinstance(item, Skill):
        alone = item.level == "independent"
        facts = replace(facts, proven=replace(facts.proven, alone=alone, named=None if alone else frozenset()))
    texts = {name: _sound_text(section, name, getattr(item, name), facts, find) for name in others}
    return replace(item, **texts) if texts else item


@cache
def _free_texts(kind: type) -> tuple[str, ...]:
    """The fields of a class that hold text of the writer's own making."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        part.name
        for part in fields(kind)
        if get_origin(hints[part.name]) is Annotated and get_args(hints[part.name])[0] is str
    )


def _sound_text(where: str, name: str, text: str, facts: ProseFacts, find: Find) -> str:
    kept, problems = sound_prose(text, facts)
    for problem in problems:
        find(where, problem)
    instead = stand_in(name, facts.language)
    return kept if not problems or len(kept) >= max(len(instead) // 2, 1) else instead


def _is_sound(where: str, text: str, given: ProseFacts, find: Find) -> bool:
    """Whether a short text, on which a claim stands, may be shown."""
    _, problems = sound_prose(text, given)
    for problem in problems:
        find(where, problem)
    return not problems
