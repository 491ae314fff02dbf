"""Reading sessions from a file: one as JSON, many as JSON lines, or either from standard input."""

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from afterbell.core.errors import InvalidInput
from afterbell.core.session import Session


def read_sessions(file: str | None) -> list[dict[str, Any]]:
    """The sessions in ``file`` (``-``: standard input, None: the example). Raises InvalidInput with the line."""
    return parse_sessions(_text(file), file or "the example")


def example_lesson() -> Session:
    """The example as the api stores it."""
    from afterbell.api.schemas import SessionIn  # which who only sends files does without

    (session,) = read_sessions(None)
    return SessionIn.model_validate(session).to_core(session["id"])


def parse_sessions(text: str, source: str) -> list[dict[str, Any]]:
    """One JSON object, or one per line. Only a line feed ends a line: JSON may contain every other separator."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise InvalidInput(f"{source}: contains no session")
    if len(lines) > 1 and _is_json(lines[0][1]):
        return [_object(_json(line, f"{source}, line {number}"), f"{source}, line {number}") for number, line in lines]
    return [_object(_json(text, source), source)]


def _text(file: str | None) -> str:
    if file is None:
        return (files("afterbell") / "examples" / "fractions-lesson.json").read_text("utf-8")
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file}: not valid UTF-8 at byte {error.start + 1}") from None


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _json(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, character {error.colno}" if "\n" in text else f"character {error.colno}"
        raise InvalidInput(f"{where}: invalid JSON ({error.msg} at {position})") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where}: cannot be read as JSON ({error})") from None


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where}: expected a session object, found {type(value).__name__}")
    return value
