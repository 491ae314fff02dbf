"""What every test needs has one home in tests/support, and every async test is a coroutine itself."""

import ast
from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest
from tests.architecture.repository import name_of, python_files

WAITING: Final = "tests/support/waiting.py"
PROCESSES: Final = "tests/support/processes.py"
STARTS: Final = ("Popen", "create_subprocess_exec")
HOMES: Final = {"until": WAITING, "eventually": WAITING, "wait_until": WAITING, "free_port": "tests/support/ports.py"}


@cache
def trees() -> dict[str, ast.Module]:
    """By path, the code of tests and benchmarks."""
    return {name_of(path): ast.parse(path.read_text("utf-8")) for path in python_files("tests", "benchmarks")}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """(path, function) for those at the level of a module in tests and benchmarks."""
    for path, tree in trees().items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


@pytest.mark.parametrize("name", HOMES)
def test_it_is_defined_once(name: str) -> None:
    homes = {path for path, function in functions() if function.name == name}
    assert homes <= {HOMES[name]}, f"use the one in {HOMES[name]}"


def test_processes_of_afterbell_are_started_in_one_way() -> None:
    starters = {
        path
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(STARTS) and names_afterbell(node)
    }
    assert starters <= {PROCESSES}, f"start it with Process in {PROCESSES}"


def names_afterbell(call: ast.Call) -> bool:
    """Whether the command is afterbell, or a module of the tests that runs it with faults."""
    words = {node.value for node in ast.walk(call) if isinstance(node, ast.Constant)}
    names = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
    return bool({"afterbell", "tests.faults.process"} & words or {"AFTERBELL", "PROGRAM"} & names)


def test_the_api_and_the_worker_are_opened_in_one_module_each() -> None:
    openers = {
        path
        for path, tree in trees().items()
        if path.startswith("tests/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and opens_a_process(node)
    }
    assert openers <= {"tests/support/api.py", "tests/support/platform.py"}


def opens_a_process(node: ast.ImportFrom) -> bool:
    imported = {alias.name for alias in node.names}
    return (node.module in ("afterbell.api", "afterbell.worker") and "main" in imported) or (
        node.module in ("afterbell.api.main", "afterbell.worker.main") and "running" in imported
    )


def test_an_async_test_is_a_coroutine_itself() -> None:
    nested = [
        f"{path}:{function.name}"
        for path, function in functions()
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_") and runs_a_coroutine(function)
    ]
    assert not nested, "write async def test_…"


def runs_a_coroutine(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.run" for node in ast.walk(function))
