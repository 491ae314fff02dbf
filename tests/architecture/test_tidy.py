"""Limits that only shrink: what is over one today is listed with its size, and leaves the list when it is mended."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from tests.architecture.repository import ROOT, SERVICES, name_of, python_files

FUNCTION_LINES_MAX: Final = 70
FILE_LINES_MAX: Final = 400
SHORT_FUNCTION_LINES: Final = 20
SHORT_SHARE_MIN: Final = 0.8
# "path:function" → lines, and path → lines. Add nothing here: split instead.
LONG_FUNCTIONS: Final[dict[str, int]] = {}
LONG_FILES: Final[dict[str, int]] = {
    "benchmarks/realtime.py": 421,
}

CODE: Final = ("services", "operator", "tests", "benchmarks", "examples", "tools")
TASK_MAKERS: Final = frozenset({"create_task", "ensure_future", "TaskGroup"})
# Where a task is made by hand, and why.
TASKS_BY_HAND: Final[dict[str, str]] = {
    "services/afterbell/service.py": "here they are made",
}
VAGUE_NAMES: Final = re.compile(r"(^|_)(utils?|helpers?|common|misc|managers?)$")
BARE_NOQA: Final = re.compile(r"#\s*noqa(?!:\s*[A-Z]+\d+)", re.IGNORECASE)
# Folders of tests that mirror no package: what they hold is said in CONTRIBUTING.md.
OWN_TEST_FOLDERS: Final = frozenset(
    {"architecture", "chart", "cluster", "faults", "flows", "images", "node", "support"}
)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def functions(*folders: str) -> Iterator[tuple[str, int]]:
    """("path:function", lines of its body without the docstring)."""
    for path in python_files(*folders):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name_of(path)}:{node.name}", body_lines(node)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def worse(too_long: dict[str, int], known: dict[str, int]) -> list[str]:
    """What is over the limit and not listed, or longer than it was when it was listed: split it."""
    return [f"{name}: {lines} lines" for name, lines in too_long.items() if lines > known.get(name, 0)]


def mended(too_long: dict[str, int], known: dict[str, int]) -> list[str]:
    """What is listed and no longer over the limit."""
    return [name for name in known if name not in too_long]


def test_no_function_is_longer_than_seventy_lines() -> None:
    too_long = {name: lines for name, lines in functions(*CODE) if lines > FUNCTION_LINES_MAX}
    assert worse(too_long, LONG_FUNCTIONS) == []
    assert mended(too_long, LONG_FUNCTIONS) == [], "take it out of LONG_FUNCTIONS"


def test_four_of_five_functions_have_at_most_twenty_lines() -> None:
    lengths = [lines for _, lines in functions("services", "operator")]
    short = sum(lines <= SHORT_FUNCTION_LINES for lines in lengths)
    assert short / len(lengths) >= SHORT_SHARE_MIN


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in python_files(*CODE)}
    too_long = {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX}
    assert worse(too_long, LONG_FILES) == []
    assert mended(too_long, LONG_FILES) == [], "take it out of LONG_FILES"


def test_the_operators_folder_is_no_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists(), "it would shadow the standard library's operator"


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = [name_of(path) for path in python_files(*CODE) if VAGUE_NAMES.search(path.stem)]
    assert not vague, "name a file after the noun it holds"


def test_every_silenced_rule_is_named() -> None:
    bare = [
        f"{name_of(path)}:{number}"
        for path in python_files(*CODE)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if BARE_NOQA.search(line)
    ]
    assert not bare, "write noqa with the rule's code, and why"


def test_the_formatter_is_never_switched_off() -> None:
    # Written in two parts, so that this file does not hold it.
    off = re.compile("fmt: " + "(skip|off)")
    held = [name_of(path) for path in python_files(*CODE, "charts") if off.search(path.read_text("utf-8"))]
    assert not held, "shorten or split the line instead"


def test_no_package_is_empty() -> None:
    packages = {path.parent for path in python_files("services", "operator") if path.name == "__init__.py"}
    empty = [name_of(folder) for folder in sorted(packages) if not _has_code(folder)]
    assert not empty, "a package without code is for show"


def test_every_folder_of_tests_mirrors_the_code() -> None:
    tested = {path.parent.relative_to(ROOT / "tests") for path in python_files("tests")} - {Path()}
    unknown = [
        folder.as_posix()
        for folder in sorted(tested)
        if folder.parts[0] not in OWN_TEST_FOLDERS
        and not (SERVICES / "afterbell" / folder).is_dir()
        and not (folder.parts[0] == "operator" and (ROOT / "operator").is_dir())
    ]
    assert not unknown, "tests/X tests services/afterbell/X"


def test_no_folder_of_tests_is_a_package() -> None:
    packages = [name_of(path) for path in python_files("tests") if path.name == "__init__.py"]
    assert not packages, "pytest imports by path; an __init__.py below tests/ clashes with packages of the same name"


def test_every_loop_of_ours_is_a_service() -> None:
    made = {
        name_of(path)
        for path in python_files("services", "operator")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute | ast.Name) and _name(node) in TASK_MAKERS
    }
    assert made - TASKS_BY_HAND.keys() == set(), "use afterbell.service: Service for a loop, Background for short work"
    assert TASKS_BY_HAND.keys() - made == set(), "take it out of TASKS_BY_HAND"


def _name(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id


def _has_code(folder: Path) -> bool:
    return any(path.name != "__init__.py" and "__pycache__" not in path.parts for path in folder.rglob("*.*"))


# A role that every room of its kind has: the folder says of what.
ROLES: Final = frozenset({"__init__.py", "main.py", "metrics.py", "routes.py", "schemas.py"})


def test_no_module_and_no_public_class_has_the_name_of_another() -> None:
    places: dict[str, list[str]] = {}
    for path in python_files("services", "operator"):
        if path.name not in ROLES:
            places.setdefault(path.name, []).append(name_of(path))
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name_of(path))
    twice = {name: files for name, files in places.items() if len(files) > 1}
    assert not twice, "one name, one thing: name each for what sets it apart"
