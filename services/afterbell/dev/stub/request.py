"""Reading a request as strictly as the real API does."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from afterbell.dev.stub.api_errors import ApiError, invalid, missing

BODY_BYTES_MAX: Final = 16 * 1024 * 1024
OUTPUT_TOKENS_MIN: Final = 16

_FORMAT_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FORMAT: Final = "text.format.schema"
_NOT_PERMITTED: Final = ("oneOf", "allOf", "not", "if", "patternProperties", "dependentRequired")


@dataclass(frozen=True, slots=True)
class StubRequest:
    """A request that the real API would take. ``echoed`` are the parameters its response repeats."""

    model: str
    instructions: str
    text: str
    stream: bool
    store: bool
    max_output_tokens: int | None
    echoed: Mapping[str, Any]


def read(body: bytes) -> StubRequest:
    """The request in a body. Raises ApiError with the real API's envelope."""
    asked = parsed(body)
    model = asked.get("model")
    if not isinstance(model, str) or not model:
        raise missing("model")
    if "input" not in asked:
        raise missing("input")
    _check_format(asked.get("text") or {})
    return StubRequest(
        model=model,
        instructions=asked.get("instructions") or "",
        text=_input_text(asked["input"]),
        stream=flag(asked, "stream", default=False),
        store=flag(asked, "store", default=True),
        max_output_tokens=output_limit(asked.get("max_output_tokens"), "max_output_tokens"),
        echoed={name: asked.get(name) for name in ("text", "prompt_cache_key", "safety_identifier", "metadata")},
    )


def schema_problems(schema: object, path: tuple[str, ...] = ()) -> Iterator[str]:
    """What strict mode does not accept in a JSON schema, as the real API words it."""
    if isinstance(schema, list):
        for position, part in enumerate(schema):
            yield from schema_problems(part, (*path, str(position)))
    if not isinstance(schema, dict):
        return
    yield from _own_problems(schema, path)
    for word in ("properties", "$defs"):
        for name, part in (schema.get(word) or {}).items():
            yield from schema_problems(part, (*path, word, name))
    for word in ("items", "anyOf"):
        if word in schema:
            yield from schema_problems(schema[word], (*path, word))


def _own_problems(schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    context = f"In context={path}, "
    for word in _NOT_PERMITTED:
        if word in schema:
            yield f"{context}'{word}' is not permitted."
    if schema.get("type") != "object":
        return
    if schema.get("additionalProperties") is not False:
        yield f"{context}'additionalProperties' is required to be supplied and to be false."
    left_out = set(schema.get("properties") or {}) - set(schema.get("required") or [])
    if left_out:
        every = "'required' is required to be supplied and to be an array including every key in properties."
        yield f"{context}{every} Missing '{min(left_out)}'."


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises ApiError."""
    if len(body) > BODY_BYTES_MAX:
        raise ApiError(413, f"The request body has more than {BODY_BYTES_MAX} bytes.")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise ApiError(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(content, dict):
        raise ApiError(400, "The JSON body of your request must be an object.")
    return content


def flag(asked: dict[str, Any], name: str, *, default: bool) -> bool:
    """A boolean parameter. Raises ApiError for anything else."""
    value = asked.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid(name, f"Invalid type for '{name}': expected a boolean.", "invalid_type")
    return value


def output_limit(value: object, name: str) -> int | None:
    """The parameter ``name``, which limits the answer. Raises ApiError."""
    if value is None:
        return None
    if not isinstance(value, int) or value < OUTPUT_TOKENS_MIN:
        text = f"Invalid '{name}': expected an integer of {OUTPUT_TOKENS_MIN} or more."
        raise invalid(name, text, "integer_below_min_value")
    return value


def _input_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return "\n".join(item_text(item) for item in value)
    raise invalid("input", "Invalid type for 'input': expected a string or an array of items.", "invalid_type")


def item_text(item: dict[str, Any]) -> str:
    """The text of a message, whether it is one string or parts."""
    content = item.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _check_format(text: object) -> None:
    wanted = text.get("format") if isinstance(text, dict) else None
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        check_schema(wanted, _FORMAT)


def check_schema(wanted: object, parameter: str) -> None:
    """Name, schema and strictness of the answer's format; ``parameter`` is the schema's path. Raises ApiError."""
    name, schema = (wanted.get("name"), wanted.get("schema")) if isinstance(wanted, dict) else (None, None)
    if not isinstance(name, str) or not _FORMAT_NAME.fullmatch(name):
        raise missing(parameter.removesuffix(".schema") + ".name")
    if not isinstance(schema, dict):
        raise missing(parameter)
    strict = isinstance(wanted, dict) and wanted.get("strict") is True
    problems = list(schema_problems(schema)) if strict else []
    if schema.get("type") != "object":
        problems.insert(0, "schema must be a JSON Schema of 'type: \"object\"'.")
    if problems:
        text = f"Invalid schema for response_format '{name}': {problems[0]}"
        raise invalid(parameter, text, "invalid_json_schema")
