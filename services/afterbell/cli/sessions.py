"""Reading sessions from a file: one as JSON, many as JSON lines, or either from standard input."""

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from afterbell.core.errors import InvalidInput


def read_sessions(file: str | None) -> list[dict[str, Any]]:
    """The sessions in ``file`` (``-``: standard input, None: the example). Raises InvalidInput with the line."""
    return parse_sessions(_text(file), file or "the example")


def parse_sessions(text: str, source: str) -> list[dict[str, Any]]:
    """One JSON object, or one a line."""
    try:
        return [_object(json.loads(text), source)]
    except json.JSONDecodeError:
        pass
    found = [_line(line, number, source) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not found:
        raise InvalidInput(f"{source}: there is no session in it")
    return found


def _text(file: str | None) -> str:
    if file is None:
        return (files("afterbell.cli") / "examples" / "fractions-lesson.json").read_text("utf-8")
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file}: cannot be read ({error.__class__.__name__}: {error})") from None


def _line(line: str, number: int, source: str) -> dict[str, Any]:
    try:
        return _object(json.loads(line), f"{source}, line {number}")
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{source}, line {number}: not JSON ({error.msg} at character {error.colno})") from None


def _object(found: object, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InvalidInput(f"{where}: expected a session object, found {type(found).__name__}")
    return found
