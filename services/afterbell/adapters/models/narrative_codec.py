"""A narrative as JSON: the strict schema the provider enforces, and the reading of what came back.

The bounds are stated once, in ``core.narrative``. Strict mode has no bounds, so the wire schema says them in
words for the model to read, and ``decode`` enforces them.
"""

import functools
import json
import re
from dataclasses import MISSING, fields
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from afterbell.core.errors import ModelAnswerUnusable
from afterbell.core.narrative import Narrative
from afterbell.core.session import clean

PROBLEMS_MAX: Final = 12
"""More than this many problems are counted, not listed."""

# What every vendor's strict mode accepts; bounds, titles, patterns and defaults are not in it.
_STRICT_KEYWORDS: Final = frozenset(
    {
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "anyOf",
        "enum",
        "const",
        "$ref",
        "description",
    }
)

OBJECTS_TRIED_MAX: Final = 50
"""Braces in a text that is not JSON at which an object may begin; a model's thoughts can be full of them."""
# What models that reason aloud put before their answer (DeepSeek, Qwen and others).
_THOUGHTS: Final = re.compile(r"<think>.*?</think>", re.DOTALL | re.IGNORECASE)

_FIELDS: Final = frozenset(
    field.name for field in fields(Narrative) if field.default is MISSING and field.default_factory is MISSING
)
_NARRATIVE: Final = TypeAdapter(Narrative)


def wire_schema() -> dict[str, Any]:
    """The JSON schema of a narrative in the Responses API's strict subset. A new dict each time."""
    schema = _NARRATIVE.json_schema(mode="validation")
    definitions = {name: _strict(definition) for name, definition in schema.pop("$defs", {}).items()}
    return {**_strict(schema), "$defs": definitions}


@functools.cache
def schema_bytes() -> int:
    """The length of the schema as it is sent: the provider reads it too, and bills it."""
    return len(json.dumps(wire_schema()))


def decode(text: str) -> Narrative:
    """The narrative in a model's answer, its text cleaned as a turn's is, so that quotes can be compared.

    What stands around the narrative is passed over: a code fence, a preamble, thoughts, the same answer once more.
    Raises ModelAnswerUnusable with every problem as a field path and the rule it breaks, never the text.
    """
    try:
        return _NARRATIVE.validate_python(_cleaned(_parsed(text)))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=True, include_input=False)
    raise ModelAnswerUnusable(f"The answer is not a narrative: {_listed(problems)}.")


def is_whole(text: str) -> bool:
    """Whether the answer holds an object with every field of a narrative; what is in them, ``decode`` judges."""
    try:
        content = _parsed(text) if text else None
    except ModelAnswerUnusable:
        return False
    return isinstance(content, dict) and content.keys() >= _FIELDS


def encode(narrative: Narrative) -> str:
    """The JSON of a narrative, as ``decode`` reads it."""
    return _NARRATIVE.dump_json(narrative).decode()


def _strict(node: dict[str, Any]) -> dict[str, Any]:
    kept = {word: value for word, value in node.items() if word in _STRICT_KEYWORDS}
    if "properties" in kept:
        kept["properties"] = {name: _strict(part) for name, part in kept["properties"].items()}
        kept["required"] = list(kept["properties"])
        kept["additionalProperties"] = False
    if "items" in kept:
        kept["items"] = _strict(kept["items"])
    if "anyOf" in kept:
        kept["anyOf"] = [_strict(part) for part in kept["anyOf"]]
    if bounds := _bounds_in_words(node):
        kept["description"] = bounds
    return kept


def _bounds_in_words(node: dict[str, Any]) -> str:
    for low, high, unit in (
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minimum", "maximum", ""),
    ):
        if high in node:
            return f"{node.get(low, 0)} to {node[high]}{unit}."
    return ""


def _parsed(text: str) -> Any:
    fault: str
    try:
        return _unwrapped(from_json(text, allow_inf_nan=False))
    except ValueError as error:  # the parser names the position, never the text
        fault = str(error)
    if (narrative := _object_in(_THOUGHTS.sub("", text))) is not None:
        return _unwrapped(narrative)
    raise ModelAnswerUnusable(f"The answer is not JSON: {fault}.")


def _object_in(text: str) -> dict[str, Any] | None:
    """The first JSON object with most of a narrative's fields, in a text that is not JSON as a whole; None: none."""
    at = -1
    for _ in range(OBJECTS_TRIED_MAX):
        if (at := text.find("{", at + 1)) < 0:
            return None
        try:
            candidate, _ = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            continue
        if isinstance(candidate, dict) and 2 * len(_unwrapped(candidate).keys() & _FIELDS) > len(_FIELDS):
            return candidate
    return None


def _unwrapped(value: Any) -> Any:
    """Models put their object into a list of one, or under a name of its own."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict) and len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
        return inner
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {name: _cleaned(item) for name, item in value.items()}
    return value


def _listed(errors: list[ErrorDetails]) -> str:
    problems = [problem for problem in errors if not _only_follows(problem, errors)]
    shown = "; ".join(_sentence(problem) for problem in problems[:PROBLEMS_MAX])
    rest = len(problems) - PROBLEMS_MAX
    return f"{shown}; and {rest} more" if rest > 0 else shown


def _only_follows(problem: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """A list is also called too short when items in it are wrong: pydantic counts the valid ones."""
    path = problem["loc"]
    inside = (error["loc"] for error in errors if len(error["loc"]) > len(path))
    return problem["type"] == "too_short" and any(loc[: len(path)] == path for loc in inside)


def _sentence(problem: ErrorDetails) -> str:
    path = problem["loc"]
    # The name of a key that should not be there is the model's text, as a value is.
    if problem["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"{_joined(path[:-1])}: has a field that does not exist"
    return f"{_joined(path)}: {problem['msg']}"


def _joined(path: tuple[int | str, ...]) -> str:
    return (
        functools.reduce(
            lambda done, part: f"{done}[{part}]" if isinstance(part, int) else f"{done}.{part}".lstrip("."),
            path,
            "",
        )
        or "the whole answer"
    )
