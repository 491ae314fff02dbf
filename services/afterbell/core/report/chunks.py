"""Cuts a session that one model call cannot hold into parts that one can, at the turns' ends.

Neighbours share a few turns, so that a question and its answer are seen together at least once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from afterbell.core.money import tokens
from afterbell.core.report.prompt import INSTRUCTIONS
from afterbell.core.session import Transcript, Turn

OVERLAP_TURNS: Final = 5
_TOKENS_A_LINE: Final = 8
# The schema of the answer, the header of a session, the blocks of a repair.
_TOKENS_AROUND: Final = 3_000
# Tokens are estimated, and some texts have more than the estimate.
_MARGIN: Final = 0.85
_ROOM_MIN: Final = 500


def room_for_input(window_tokens: int, output_tokens: int) -> int:
    """How many tokens of turns or facts one call can take, at least a few hundred."""
    around = tokens.expected(INSTRUCTIONS) + _TOKENS_AROUND + 2 * output_tokens
    return max(_ROOM_MIN, int((window_tokens - around) * _MARGIN))


def fits(transcript: Transcript, room_tokens: int) -> bool:
    """Whether one call can hold the whole session."""
    return sum(map(_tokens, transcript.turns)) <= room_tokens


def parts_of(transcript: Transcript, room_tokens: int) -> tuple[Transcript, ...]:
    """The session in parts of at most ``room_tokens``, or of one turn that is longer by itself."""
    said = [turn for turn in transcript.turns if turn.text]
    return tuple(replace(transcript, turns=tuple(turns)) for turns in _runs(said, room_tokens))


def groups_of(texts: Sequence[str], room_tokens: int) -> list[list[str]]:
    """Neighbouring texts in groups of at most ``room_tokens``, and of at least two where there are two."""
    groups: list[list[str]] = [[]]
    room = room_tokens
    for text in texts:
        size = tokens.expected(text)
        if len(groups[-1]) >= 2 and size > room:
            groups.append([])
            room = room_tokens
        groups[-1].append(text)
        room -= size
    return groups


def _runs(said: Sequence[Turn], room_tokens: int) -> Iterator[list[Turn]]:
    run: list[Turn] = []
    used = new = 0
    for turn in said:
        size = _tokens(turn)
        if new and used + size > room_tokens:
            yield run
            run = _overlap(run, room_tokens - size)
            used, new = sum(map(_tokens, run)), 0
        run.append(turn)
        used, new = used + size, new + 1
    if new:
        yield run


def _overlap(run: Sequence[Turn], room_tokens: int) -> list[Turn]:
    """The last turns of a part that begin the next one; none where they would fill it."""
    shared: list[Turn] = []
    for turn in reversed(run[-OVERLAP_TURNS:]):
        if sum(map(_tokens, shared)) + _tokens(turn) > room_tokens // 2:
            break
        shared.insert(0, turn)
    return shared


def _tokens(turn: Turn) -> int:
    return tokens.expected(turn.text) + _TOKENS_A_LINE if turn.text else 0
