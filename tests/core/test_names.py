"""A name is taken out where it stands as a word, and nowhere else."""

import pytest

from afterbell.core.names import name_pattern, without


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
    ],
)
def test_a_name_is_taken_out(name: str, text: str, expected: str) -> None:
    assert without(name_pattern([name]), text) == expected
