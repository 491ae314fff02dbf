#!/usr/bin/env python3
"""Write what follows from charts/afterbell/values.yaml: the schema, the chart's README, docs/reference/chart.md.

    python tools/chart_reference.py

Above each value stands ``# -- what it is`` and, where the default does not say enough, ``# @schema {…}``: JSON Schema.
A mapping with values of ours is closed; an empty one, and one that says so, is the user's own.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from afterbell import settings

ROOT: Final = Path(__file__).parents[1]
CHART: Final = ROOT / "charts" / "afterbell"
PAGE: Final = ROOT / "docs" / "reference" / "chart.md"
ABOUT: Final = "# -- "
SCHEMA: Final = "# @schema "
TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
# Settings that a value of their own decides; two ways to say one thing would be one too many.
DECIDED: Final = frozenset(
    {
        "APP_ENV",
        "NODE_ENV",
        "PORT",
        "AFTERBELL_HOST",
        "AFTERBELL_INTERNAL_PORT",
        "AFTERBELL_QUEUE",
        "AFTERBELL_WORKER_CONCURRENCY",
        "AFTERBELL_DRAIN_SECONDS",
        "AFTERBELL_DRAIN_WINDOW_SECONDS",
        "AFTERBELL_CLASSROOM",
        "AFTERBELL_LLM_API",
        "AFTERBELL_JWT_AUDIENCE",
        "AFTERBELL_MODEL",
        "OPENAI_BASE_URL",
        "AFTERBELL_FALLBACK_MODEL",
        "AFTERBELL_FALLBACK_BASE_URL",
        "AFTERBELL_ALLOWED_ORIGINS",
        "AFTERBELL_LOG_FORMAT",
        "AFTERBELL_DATA_DIR",
        "AFTERBELL_WORKER_NAME",
        "AFTERBELL_OPERATOR_NAME",
        "AFTERBELL_WATCH_NAMESPACE",
        "AFTERBELL_LEASE_NAMESPACE",
        "AFTERBELL_LEASE_NAME",
        "AFTERBELL_OPERATOR_TICK_SECONDS",
        "AFTERBELL_POD_NAME",
    }
)


@dataclass(slots=True)
class Value:
    """One key of values.yaml. ``children`` is None where its inside is the user's."""

    path: str
    default: Any
    about: str = ""
    schema: dict[str, Any] = field(default_factory=dict)
    children: list["Value"] | None = None


def values() -> list[Value]:
    """The tree of values.yaml with its comments."""
    text = (CHART / "values.yaml").read_text("utf-8")
    node = yaml.compose(text)
    return _children(node, yaml.safe_load(text), text.splitlines(), "")


def _children(node: Any, default: dict[str, Any], lines: list[str], path: str) -> list[Value]:
    children = []
    for key, inside in node.value:
        value = Value(f"{path}{key.value}", default[key.value])
        value.about, value.schema = _said_above(lines, key.start_mark.line)
        ours = isinstance(value.default, dict) and value.default and "additionalProperties" not in value.schema
        if ours:
            value.children = _children(inside, value.default, lines, f"{value.path}.")
        children.append(value)
    return children


def _said_above(lines: list[str], number: int) -> tuple[str, dict[str, Any]]:
    """The comment that ends in the line above: what it says, and its schema."""
    comment: list[str] = []
    while number > 0 and lines[number - 1].strip().startswith("#"):
        number -= 1
        comment.insert(0, lines[number].strip())
    starts = [index for index, line in enumerate(comment) if line.startswith(ABOUT)]
    if not starts:
        return "", {}
    about, schema = [], {}
    for line in comment[starts[-1] :]:
        if line.startswith(SCHEMA):
            schema = yaml.safe_load(line.removeprefix(SCHEMA))
        else:
            about.append(line.removeprefix(ABOUT).removeprefix("# "))
    return " ".join(about), schema


def schema() -> dict[str, Any]:
    """values.schema.json. ``global`` stays open: it belongs to every chart there is."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the afterbell chart",
        **_closed(values()),
    }


def _closed(children: list[Value]) -> dict[str, Any]:
    properties = {value.path.rpartition(".")[2]: _schema_of(value) for value in children}
    return {"type": "object", "additionalProperties": children[0].path.startswith("global."), "properties": properties}


def _schema_of(value: Value) -> dict[str, Any]:
    about = {"description": value.about} if value.about else {}
    if value.children is not None:
        return {**about, **_closed(value.children)}
    given = dict(value.schema)
    if given.pop("settings", False):
        return {**about, **_settings_schema()}
    if value.default is not None and not {"type", "enum"} & given.keys():
        given = {"type": TYPES[type(value.default)], **given}
    return {**about, **given}


def _settings_schema() -> dict[str, Any]:
    scalar = {"type": ["string", "number", "boolean"]}
    return {"type": "object", "additionalProperties": False, "properties": dict.fromkeys(free_settings(), scalar)}


def free_settings() -> list[str]:
    """Settings of the code that ``settings`` takes: no secrets, none that has a value of its own."""
    return sorted(
        {
            str(info.alias)
            for group in _groups(BaseSettings)
            for info in group.model_fields.values()
            if info.alias and SecretStr not in _types_in(info.annotation)
        }
        - DECIDED
    )


def _groups(base: type[BaseSettings]) -> Iterator[type[BaseSettings]]:
    for group in base.__subclasses__():
        if group.__module__.startswith(settings.__name__):
            yield group
        yield from _groups(group)


def _types_in(annotation: Any) -> set[Any]:
    return {annotation, *getattr(annotation, "__args__", ())}


def table() -> str:
    """All values as rows."""
    rows = ["| Value | Default | Meaning |", "| --- | --- | --- |"]
    rows += [f"| `{value.path}` | {_shown(value)} | {_cell(value)} |" for value in leaves()]
    return "\n".join(rows)


def leaves(tree: list[Value] | None = None) -> Iterator[Value]:
    """Every value that has nothing of ours below it."""
    for value in values() if tree is None else tree:
        if value.children is None:
            yield value
        else:
            yield from leaves(value.children)


def _shown(value: Value) -> str:
    return f"`{json.dumps(value.default)}`".replace("|", r"\|")


def _cell(value: Value) -> str:
    bounds = [
        f"{words} {value.schema[name]}"
        for name, words in (("minimum", "at least"), ("maximum", "at most"))
        if name in value.schema
    ]
    choice = value.schema.get("enum")
    if choice:
        bounds.append("one of " + ", ".join(f"`{option}`" for option in choice))
    return (value.about + (f" ({', '.join(bounds)})" if bounds else "")).replace("|", r"\|")


README_HEAD: Final = """\
# afterbell

Reports on tutoring sessions, live chat and progress: an api, workers that scale with the backlog, and an operator.

```
kubectl create secret generic afterbell \\
  --from-literal=DATABASE_URL=postgresql://… --from-literal=REDIS_URL=rediss://… \\
  --from-literal=AFTERBELL_JWT_SECRET="$(openssl rand -hex 32)" --from-literal=OPENAI_API_KEY=…
helm install afterbell charts/afterbell --set existingSecret=afterbell
helm test afterbell --logs
```

To try it without preparation: `helm install afterbell charts/afterbell -f charts/afterbell/values/dev.yaml`.
Helm 3.18 or 4, Kubernetes 1.30 or newer. Profiles in `values/`: `dev`, `production`, `free-tier`, `large`.
See [install, upgrade, back up](../../docs/howto/install.md).

## Values

"""
PAGE_HEAD: Final = """\
# The Helm chart

Generated from `charts/afterbell/values.yaml`, like the schema, which rejects unknown values.
[How to install](../howto/install.md).

"""


def files() -> dict[Path, str]:
    """Everything this makes."""
    return {
        CHART / "values.schema.json": json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
        CHART / "README.md": README_HEAD + table() + "\n",
        PAGE: PAGE_HEAD + table() + "\n",
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
