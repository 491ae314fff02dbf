"""No transaction waits for anything but PostgreSQL: its locks, and what vacuum may remove, would wait as well."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.architecture.repository import SERVICES

# What speaks to Redis, to a model, to a socket, or to a clock, by the names our code gives it.
ELSEWHERE = {
    "_breaker",
    "_bus",
    "_client",
    "_gate",
    "_models",
    "_outbox",
    "_queue",
    "_redis",
    "_scripts",
    "asyncio",
    "client",
    "gate",
    "http",
    "hub",
    "models",
    "queue",
    "redis",
    "socket",
    "webhooks",
}
FILES = sorted(path for path in (SERVICES / "afterbell").rglob("*.py") if "transaction()" in path.read_text("utf-8"))


def transactions(tree: ast.AST) -> Iterator[ast.AsyncWith]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncWith) and any(
            isinstance(item.context_expr, ast.Call)
            and isinstance(item.context_expr.func, ast.Attribute)
            and item.context_expr.func.attr == "transaction"
            for item in node.items
        ):
            yield node


def awaited_elsewhere(block: ast.AsyncWith) -> Iterator[str]:
    awaited = [node for part in block.body for node in ast.walk(part) if isinstance(node, ast.Await)]
    for call in (inner for node in awaited for inner in ast.walk(node.value) if isinstance(inner, ast.Call)):
        names = ast.unparse(call.func).split(".")
        if set(names[:-1]) & ELSEWHERE:
            yield ".".join(names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SERVICES)))
def test_no_transaction_waits_for_redis_a_model_or_a_socket(path: Path) -> None:
    waiting = [
        f"line {block.lineno}: {name}"
        for block in transactions(ast.parse(path.read_text("utf-8")))
        for name in awaited_elsewhere(block)
    ]
    assert waiting == [], "end the transaction first"


def test_the_rule_sees_what_it_forbids() -> None:
    code = """async def f():
    async with self._database.transaction() as connection:
        await (self._queue.pause() if x else y)
"""
    (block,) = transactions(ast.parse(code))
    assert list(awaited_elsewhere(block)) == ["self._queue.pause"]
