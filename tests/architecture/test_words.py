"""Words that were retired do not come back: each concept has one name, and it is the field's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.architecture.repository import ROOT, name_of, pages, python_files

# retired word → the word to use, as docs/reference/glossary.md has it.
RETIRED: Final = {
    "sign of life": "heartbeat",
    "signs of life": "heartbeats",
    "obedience": "injection victim",
    "tidings": "notification",
    "census": "queue gauges",
    "steer the queue": "control the queue",
    "taken for away": "the breaker is open",
}
CODE: Final = ("services", "operator", "tests", "benchmarks", "tools", "examples")
MORE: Final = ("services/**/*.lua", "services/**/*.js", "charts/**/*.yaml", "charts/**/*.txt", "charts/**/*.json")


def test_retired_words_do_not_come_back() -> None:
    files = {*pages(), *python_files(*CODE), *(path for pattern in MORE for path in ROOT.glob(pattern))}
    files = {path for path in files if path.name != "test_words.py" and "node_modules" not in path.parts}
    patterns = {word: re.compile(rf"\b{word}\b".replace(" ", r"\s+"), re.IGNORECASE) for word in RETIRED}
    held = [
        f"{name_of(path)}: {word!r}, say {RETIRED[word]!r}"
        for path in sorted(files)
        for word, pattern in patterns.items()
        if pattern.search(path.read_text("utf-8"))
    ]
    assert not held


# Words that do not say what a value is: a pod, a lesson and an answer are each "one", and each was "found".
VAGUE: Final = {"one", "found", "told", "seen"}


def test_a_name_says_what_the_thing_is() -> None:
    vague = [
        f"{name_of(path)}:{line}: {name!r} does not say what it is"
        for path in python_files(*CODE)
        for line, name in bound_names(path)
        if is_vague(name)
    ]
    assert not vague, "\n".join(vague)


def is_vague(name: str) -> bool:
    """Also with the underscore of a private name."""
    return name.strip("_") in VAGUE


def bound_names(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of each variable, parameter, attribute, function, class and import alias that a file makes."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield node.lineno, name
