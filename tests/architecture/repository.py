"""The files of this repository, as the architecture tests read them."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
SERVICES: Final = ROOT / "services"
_FOREIGN: Final = frozenset({"node_modules", "build", "dist", "__pycache__"})


def python_files(*folders: str) -> list[Path]:
    """Every Python file below the folders, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if _is_ours(path))


def pages() -> list[Path]:
    """Every Markdown page of the project."""
    return sorted(path for path in ROOT.rglob("*.md") if _is_ours(path))


def name_of(path: Path) -> str:
    """The path from the root, for messages."""
    return path.relative_to(ROOT).as_posix()


def read(path: str) -> str:
    """A file's text by its path from the root."""
    return (ROOT / path).read_text("utf-8")


@cache
def project() -> dict[str, Any]:
    """The ``project`` table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
    return table


def requirements(extra: str | None = None) -> set[str]:
    """The distributions the project, or one of its extras, names itself, in their normal spelling."""
    listed = project()["dependencies"] if extra is None else project()["optional-dependencies"][extra]
    names = {distribution(line) for line in listed}
    return names - {"afterbell"}


def distribution(requirement: str) -> str:
    """``Foo_Bar[x]>=1`` as ``foo-bar`` (PEP 503)."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def _is_ours(path: Path) -> bool:
    inside = path.relative_to(ROOT).parts
    return not any(part in _FOREIGN or part.startswith(".") for part in inside)
