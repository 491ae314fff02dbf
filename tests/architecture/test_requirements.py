"""The pinned requirements: complete, hashed, and without a word about where they were downloaded."""

import re
from typing import Final

import pytest
from tests.architecture.repository import ROOT, distribution, project, read, requirements

PINNED: Final = re.compile(r"^([a-z0-9][a-z0-9._-]*)(\[[^\]]*\])?==\S+", re.MULTILINE)
FILES: Final = sorted(path.stem for path in (ROOT / "requirements").glob("*.txt"))
# Extras nobody can install for use yet: pinned when their code exists.
NOT_PINNED: Final = frozenset({"operator"}) - frozenset(FILES)


def pins(extra: str) -> dict[str, str]:
    """Distribution → its block: the pin and the lines that belong to it."""
    text = read(f"requirements/{extra}.txt")
    starts = [(match.start(), distribution(match.group(1))) for match in PINNED.finditer(text)]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return {name: text[start:end] for (start, name), end in zip(starts, ends, strict=True)}


def test_every_extra_has_its_pins() -> None:
    assert set(FILES) == set(project()["optional-dependencies"]) - NOT_PINNED


@pytest.mark.parametrize("extra", FILES)
def test_every_pin_has_a_hash(extra: str) -> None:
    bare = [name for name, block in pins(extra).items() if "--hash=sha256:" not in block]
    assert not bare


@pytest.mark.parametrize("extra", FILES)
def test_every_direct_dependency_is_pinned(extra: str) -> None:
    wanted = requirements() | requirements(extra)
    if extra == "dev":  # it names the extras that development needs
        wanted |= requirements("api") | requirements("worker") | requirements("embedded")
    missing = wanted - set(pins(extra))
    assert not missing, "run `make lock`"


@pytest.mark.parametrize("extra", FILES)
def test_no_address_is_written_down(extra: str) -> None:
    assert not re.search(r"://|--index-url|--find-links|--trusted-host| @ ", read(f"requirements/{extra}.txt"))
