#!/usr/bin/env python3
"""Bring the catalogues up to date with the messages in the code: ``python tools/catalogues.py``.

New messages are added empty, those that are gone are dropped; what a translator wrote stays. ``tests/core`` fails
while one is empty.
"""

from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from afterbell.core.report.grounding import HOSTILE_REASON
from afterbell.core.safety.safeguarding import REASONS
from afterbell.core.translation import DEFAULT_LANGUAGE, LANGUAGES

CODE: Final = Path(__file__).parents[1] / "services" / "afterbell"
CATALOGUES: Final = CODE / "core" / "catalogues"
_SOURCES: Final = [
    ("core/**.py", "python"),
    ("api/reports/**.py", "python"),
    ("api/reports/templates/**.html", "jinja2.ext:babel_extract"),
]
# Of a catalogue's head what tells nothing, or changes by itself.
_LEFT_OUT: Final = tuple(
    f'"{name}' for name in ("Project", "Report", "POT", "PO-", "Last", "Language-Team", "Generated")
)
_MARKS: Final = {"_": None, "say": None, "gettext": None, "gettext_noop": None, "ngettext": (1, 2)}


def messages() -> Catalog:
    """Every message of the code."""
    template = Catalog(charset="utf-8")
    for _, _, message, _, _ in extract_from_dir(CODE, method_map=_SOURCES, keywords=_MARKS):
        template.add(message)
    # What staff are told of a concern is stored with it, in English, and said in their language where it is shown.
    for reason in (*REASONS.values(), HOSTILE_REASON):
        template.add(reason)
    return template


def read(language: str) -> Catalog:
    """A language's catalogue as it is stored; an empty one where there is none."""
    path = CATALOGUES / f"{language}.po"
    return read_po(BytesIO(path.read_bytes()), locale=language) if path.exists() else Catalog(locale=language)


def written(catalogue: Catalog) -> bytes:
    """A catalogue as it is stored: in the order of its messages, without dates and places, which only make changes."""
    text = BytesIO()
    write_po(text, catalogue, width=120, no_location=True, sort_output=True, ignore_obsolete=True)
    lines = text.getvalue().decode().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_LEFT_OUT)).encode()


def updated(language: str) -> bytes:
    """A language's catalogue with the messages of today."""
    catalogue = read(language)
    catalogue.update(messages(), no_fuzzy_matching=True)
    catalogue.header_comment = "# The fixed words of a report. `python tools/catalogues.py` adds what is missing."
    catalogue.fuzzy = False
    return written(catalogue)


def main() -> None:
    """Write every catalogue."""
    CATALOGUES.mkdir(exist_ok=True)
    for language in LANGUAGES.keys() - {DEFAULT_LANGUAGE}:
        (CATALOGUES / f"{language}.po").write_bytes(updated(language))


if __name__ == "__main__":
    main()
