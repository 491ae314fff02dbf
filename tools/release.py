#!/usr/bin/env python3
"""One version for package, chart and images: ``release.py prepare 0.2.0 2026-12-01``, ``release.py verify v0.2.0``.

``prepare`` writes the version wherever it stands and turns the changelog's "Unreleased" into a release. ``verify`` says
which place has another one, and exits with 1 if any does. A test runs the same comparison on every commit.
"""

import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
CHANGELOG: Final = ROOT / "CHANGELOG.md"
VERSION: Final = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?")
# Path → what stands in front of the version there, in the order of the file.
PLACES: Final[dict[str, tuple[str, ...]]] = {
    "services/afterbell/__init__.py": ('__version__ = "',),
    "services/Dockerfile": ("ARG VERSION=",),
    "charts/afterbell/Chart.yaml": (
        "\nversion: ",
        '\nappVersion: "',
        "afterbell-api:",
        "afterbell-worker:",
        "afterbell-operator:",
    ),
}


def versions() -> dict[str, str]:
    """Place → the version that stands there. Raises ValueError for a place without one."""
    by_place = {}
    for path, fronts in PLACES.items():
        text = (ROOT / path).read_text("utf-8")
        for front in fronts:
            match = re.search(re.escape(front) + f"({VERSION.pattern})", text)
            if match is None:
                raise ValueError(f"{path}: no version after {front.strip()!r}")
            by_place[f"{path} {front.strip()}"] = match[1]
    return by_place


def written(text: str, fronts: tuple[str, ...], version: str) -> str:
    """A file's text with ``version`` behind each front."""
    for front in fronts:
        text = re.sub(re.escape(front) + VERSION.pattern, (front + version).replace("\\", r"\\"), text)
    return text


def released(changelog: str, version: str, day: str) -> str:
    """The changelog with what is unreleased as ``version``. Raises ValueError if nothing is unreleased."""
    head, title, rest = changelog.partition("## Unreleased\n")
    if not title or not rest.partition("\n## ")[0].strip():
        raise ValueError("CHANGELOG.md has nothing under Unreleased: there is nothing to release")
    return f"{head}{title}\n## {version} - {day}\n{rest}"


def prepare(version: str, day: str) -> None:
    """Write ``version`` everywhere. Raises ValueError for one that is not semantic, or without changes."""
    if not VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is not a semantic version such as 0.2.0")
    text = released(CHANGELOG.read_text("utf-8"), version, day)
    for path, fronts in PLACES.items():
        file = ROOT / path
        file.write_text(written(file.read_text("utf-8"), fronts, version), "utf-8")
    CHANGELOG.write_text(text, "utf-8")


def verify(tag: str) -> list[str]:
    """What does not have the version of ``tag``, a line each."""
    wanted = tag.removeprefix("v")
    wrong = [f"{where} has {version}, not {wanted}" for where, version in versions().items() if version != wanted]
    if f"\n## {wanted} - " not in CHANGELOG.read_text("utf-8"):
        wrong.append(f"CHANGELOG.md has no section for {wanted}")
    return wrong


def main(words: list[str]) -> str | int:
    """Run one of the two; a text is the complaint."""
    try:
        match words:
            case ["prepare", version, day]:
                prepare(version, day)
                return 0
            case ["verify", tag]:
                return "\n".join(verify(tag)) or 0
    except ValueError as error:
        return str(error)
    return "usage: release.py prepare VERSION DAY | release.py verify TAG"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
