#!/usr/bin/env python3
"""Learn the weights of ``core/safety/disclosures.py`` anew: ``python tools/fit_disclosures.py``.

Logistic regression over the turns of ``tests/core/safety``, without the two sets held back to measure it by. Run it
after a change in those turns or in the cues; it takes about a minute and always makes the same file.
"""

import hashlib
import math
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from afterbell.core.safety.disclosures import INTERCEPT, WEIGHTS, signs_in
from afterbell.core.safety.lexicon import folded

ROOT: Final = Path(__file__).parents[1]
TURNS: Final = ROOT / "tests" / "core" / "safety"
LEXICONS: Final = ROOT / "services" / "afterbell" / "core" / "safety" / "lexicons"
SETS: Final = {"worrying": 1.0, "indirect": 1.0, "ordinary": 1.0, "lookalikes": 0.6, "lessons": 1.0}
"""How much a turn of a set counts."""
TELLING: Final = frozenset({"worrying", "indirect"})
LESSONS_A_PATTERN: Final = 40
ROUNDS: Final = 200
WEIGHT_MIN: Final = 0.05

Example = tuple[tuple[str, ...], bool, float]


def main() -> None:
    """Write the file."""
    weights = fit(list(examples()))
    lines = [f"{weight:.2f} {sign}" for sign, weight in sorted(weights.items()) if abs(weight) >= WEIGHT_MIN]
    head = f"# Written by tools/fit_disclosures.py from turns with the digest {digest()}."
    (LEXICONS / f"{WEIGHTS}.txt").write_text("\n".join([head, *lines]) + "\n", "utf-8")


def digest() -> str:
    """SHA-256 over the turns and the cues, 16 hex digits."""
    names = [TURNS / f"{name}.txt" for name in SETS] + [LEXICONS / "cues_en.txt"]
    return hashlib.sha256(b"\0".join(name.read_bytes() for name in names)).hexdigest()[:16]


def examples() -> Iterator[Example]:
    """What is weighed of each turn, whether it tells of harm, and how much it counts."""
    for name, counts in SETS.items():
        lines = [line for line in (TURNS / f"{name}.txt").read_text("utf-8").splitlines() if line.strip()]
        for turn in filled(lines) if name == "lessons" else [line for line in lines if not line.startswith("[")]:
            yield tuple(sorted(signs_in(folded(turn)))), name in TELLING, counts


def filled(lines: Sequence[str]) -> Iterator[str]:
    """Turns made of patterns: "{NAME}" is a word of the list of that name."""
    chance = random.Random(7)  # noqa: S311 - the same turns each time
    lists: dict[str, list[str]] = {}
    for line in lines:
        if entries := re.fullmatch(r"([A-Z]+) = (.+)", line):
            lists[entries[1]] = entries[2].split("|")
        elif not line.startswith("#"):
            for _ in range(LESSONS_A_PATTERN):
                yield re.sub(r"\{([A-Z]+)\}", lambda slot: chance.choice(lists[slot[1]]), line)


def fit(turns: list[Example]) -> dict[str, float]:
    """The weights with the least logistic loss and half the sum of their squares.

    Accelerated gradient descent; a step is as long as the curvature of its weight allows at most.
    """
    bends: dict[str, float] = defaultdict(float)
    for signs, _, counts in turns:
        for sign in (INTERCEPT, *signs):
            bends[sign] += counts * (len(signs) + 1) / 4
    weights = dict.fromkeys(bends, 0.0)
    ahead = dict(weights)
    for number in range(1, ROUNDS + 1):
        slopes = _slopes(turns, ahead)
        reach = {sign: ahead[sign] - slopes[sign] / (bends[sign] + 1) for sign in ahead}
        carry = number / (number + 3)
        ahead = {sign: reach[sign] + carry * (reach[sign] - weights[sign]) for sign in reach}
        weights = reach
    return weights


def _slopes(turns: list[Example], weights: dict[str, float]) -> dict[str, float]:
    slopes = {sign: 0.0 if sign == INTERCEPT else weight for sign, weight in weights.items()}
    for signs, tells, counts in turns:
        odds = weights[INTERCEPT] + sum(map(weights.__getitem__, signs))
        slip = counts * (1 / (1 + math.exp(-odds)) - tells)
        for sign in (INTERCEPT, *signs):
            slopes[sign] += slip
    return slopes


if __name__ == "__main__":
    main()
