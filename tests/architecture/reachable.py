"""What of our code an entry point can reach, told by names: generous where two things share one, never too strict.

Roots are what runs at import (routes, commands and handlers are registered there by their decorators) and what a
framework calls: dunder methods, and methods that a class of ours has in place of a foreign base's.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.architecture.repository import ROOT, name_of, python_files

# Decorators that register nothing: what they decorate must be called by somebody.
_PASSIVE: Final = frozenset(
    {
        "abstractmethod",
        "asynccontextmanager",
        "cache",
        "cached_property",
        "classmethod",
        "contextmanager",
        "dataclass",
        "lru_cache",
        "overload",
        "property",
        "staticmethod",
    }
)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


class Code:
    """Definitions of the product by name, with what each of them names."""

    def __init__(self) -> None:
        self.defined: dict[str, list[str]] = defaultdict(list)
        self._uses: dict[str, set[str]] = defaultdict(set)
        self._roots: set[str] = set()
        trees = {path: _tree(path) for path in python_files("services", "operator")}
        self._ours = {node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        for path, tree in trees.items():
            self._read(tree.body, name_of(path), foreign=False)
        for path in python_files("tools"):
            self._roots |= names_in(_tree(path))
        self.reached = self._closure(self._roots)

    def only_named_by_tests(self) -> Iterator[str]:
        """``path:name`` of every definition that no entry point reaches."""
        for name, places in self.defined.items():
            if name not in self.reached:
                yield from (f"{place}:{name}" for place in places)

    def _read(self, body: list[ast.stmt], path: str, *, foreign: bool) -> None:
        for node in body:
            if isinstance(node, _FUNCTIONS):
                self._define(node, path)
                if foreign or node.name.startswith("__") or _registers(node):
                    self._roots.add(node.name)
            elif isinstance(node, ast.ClassDef):
                self._define_class(node, path)
            elif not isinstance(node, ast.Import | ast.ImportFrom):
                self._roots |= names_in(node)

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef, path: str) -> None:
        self.defined[node.name].append(path)
        self._uses[node.name] |= names_in(node)

    def _define_class(self, node: ast.ClassDef, path: str) -> None:
        self.defined[node.name].append(path)
        bases = {name for base in node.bases for name in names_in(base)}
        self._uses[node.name] |= bases
        for inner in node.body:
            if not isinstance(inner, (*_FUNCTIONS, ast.ClassDef)):
                self._uses[node.name] |= names_in(inner)
        inner_body: list[ast.stmt] = [member for member in node.body if isinstance(member, (*_FUNCTIONS, ast.ClassDef))]
        self._read(inner_body, path, foreign=bool(bases - self._ours - {"Protocol"}))

    def _closure(self, roots: Iterable[str]) -> set[str]:
        reached: set[str] = set()
        waiting = list(roots)
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += self._uses.get(name, ())
        return reached


def names_in(node: ast.AST) -> set[str]:
    """Every name, attribute and word that could be one (``getattr``) below ``node``; imports name nothing."""
    names = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            names.add(inner.id)
        elif isinstance(inner, ast.Attribute):
            names.add(inner.attr)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value.isidentifier():
            names.add(inner.value)
    return names


def names_of_test(path: Path, test: str) -> set[str]:
    """What a test names, and the functions of its file that it calls by name."""
    functions = {node.name: names_in(node) for node in ast.walk(_tree(path)) if isinstance(node, _FUNCTIONS)}
    named: set[str] = set()
    waiting = [test]
    while waiting:
        new = functions.pop(waiting.pop(), set())
        named |= new
        waiting += new & functions.keys()
    return named


def _registers(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(names_in(decorator) - _PASSIVE for decorator in node.decorator_list)


def _tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"))
