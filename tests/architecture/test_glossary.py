"""The glossary has each term once, and every place it points to is there."""

import re
from collections import Counter
from typing import Final

from tests.architecture.repository import ROOT, read

ROW: Final = re.compile(
    r"^\| (?!Term|---)(?P<terms>[^|]+) \| (?P<meaning>[^|]+) \| (?P<places>[^|]+) \|$", re.MULTILINE
)
PLACE: Final = re.compile(r"`(operator: )?([^`]+)`")
FOLDERS: Final = {"": ROOT / "services/afterbell", "operator: ": ROOT / "operator/afterbell_operator"}
ROWS: Final = [row.groupdict() for row in ROW.finditer(read("docs/reference/glossary.md"))]


def test_a_term_means_one_thing() -> None:
    terms = Counter(term for row in ROWS for term in row["terms"].split(", "))
    assert len(terms) > 50
    assert [term for term, count in terms.items() if count > 1] == []


def test_a_term_lives_where_the_glossary_says() -> None:
    places = [(where, path) for row in ROWS for where, path in PLACE.findall(row["places"])]
    assert len(places) >= len(ROWS)
    assert [path for where, path in places if not (FOLDERS[where] / path).exists()] == []
