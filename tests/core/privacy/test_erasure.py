"""A name is taken out where it stands as a word, and nowhere else."""

import pytest

from afterbell.core.privacy.erasure import finder_of, without


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Mina", "Well done, Mina! MINA's turn. A minaret.", "Well done, [erased]! [erased]'s turn. A minaret."),
        ("Mina Al Sayed", "Mina, tell Al and Sayed: Mina Al Sayed.", "[erased], tell Al and [erased]: [erased]."),
        ("Jean-Luc", "Jean-Luc and Jean", "[erased] and [erased]"),
        ("Zoë", "zoë, ZOË, Zoëlle", "[erased], [erased], Zoëlle"),
        ("李", "李 said", "[erased] said"),
        ("A (B", "A (B is here", "[erased] is here"),
        (" ", "nothing", "nothing"),
        ("王小明", "王小明同学,你好 谢谢小明", "[erased]同学,你好 谢谢[erased]"),
        ("Li Wei", "Li was right, ask Li Wei", "[erased] was right, ask [erased]"),
        ("José Álvarez", "Jose said 12, jose! José too", "[erased] said 12, [erased]! [erased] too"),
        ("Will Hart", "I will mark it, it will do. Will said so", "I will mark it, it will do. [erased] said so"),
        ("Anna van Dijk", "the speed of a van, Anna van Dijk", "the speed of a van, [erased]"),
    ],
)
def test_a_name_is_taken_out(name: str, text: str, expected: str) -> None:
    assert without(finder_of([name]), text) == expected
