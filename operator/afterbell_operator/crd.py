"""The CustomResourceDefinition, made from the models of ``resources`` and ``status``.

The API server takes structural OpenAPI 3.0 schemas, pydantic writes JSON Schema 2020-12. What differs is changed here:
references are put in place, titles dropped, ``anyOf[X, null]`` is an optional X, a constant is an enumeration of one.
"""

from typing import Any, Final

from pydantic import BaseModel

from afterbell_operator.explain.status import PoolStatus
from afterbell_operator.resources import GROUP, PLURAL, VERSION, PoolSpec

Schema = dict[str, Any]
_DROPPED: Final = frozenset({"title", "$defs", "additionalProperties"})
_INTEGER_FORMAT: Final = "int64"


def schema_of(part: type[BaseModel]) -> Schema:
    """The structural schema of a model."""
    written = part.model_json_schema(by_alias=True)
    return _structural(written, written.get("$defs", {}))


def _structural(node: Schema, parts: Schema) -> Schema:
    if "$ref" in node:
        beside = {key: value for key, value in node.items() if key != "$ref"}
        node = parts[node["$ref"].rpartition("/")[2]] | beside
    if "anyOf" in node:
        node = _without_null(node)
        return _structural(node, parts)
    made = {key: value for key, value in node.items() if key not in _DROPPED}
    if "const" in made:
        made["enum"] = [made.pop("const")]
    if "properties" in made:
        made["properties"] = {name: _structural(part, parts) for name, part in made["properties"].items()}
        for name in made.get("required", ()):
            made["properties"][name].pop("default", None)
    if "items" in made:
        made["items"] = _structural(made["items"], parts)
    if made.get("type") == "integer":
        made["format"] = _INTEGER_FORMAT
    optional = made.pop("x-optional", False)
    if made.get("type") == "object" and not made.get("required") and not optional:
        made.setdefault("default", {})  # so that the defaults of its parts appear in what is stored
    return made


def _without_null(node: Schema) -> Schema:
    (kept,) = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
    beside = {key: value for key, value in node.items() if key not in ("anyOf", "default")}
    return {**kept, **beside, "x-optional": True}


def crd() -> Schema:
    """The whole object, ready to be applied."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": PLURAL,
                "singular": "pool",
                "kind": "Pool",
                "listKind": "PoolList",
                "shortNames": ["abp"],
                "categories": ["all", "afterbell"],
            },
            "versions": [_version()],
        },
    }


def _version() -> Schema:
    root = {
        "type": "object",
        "description": "A Pool runs as many pods as a queue or the open sockets need, and explains each decision.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _bare(schema_of(PoolSpec)),
            "status": _bare(schema_of(PoolStatus)),
        },
    }
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "selectableFields": [{"jsonPath": ".spec.scaleTargetRef.name"}],
        "additionalPrinterColumns": _columns(),
        "schema": {"openAPIV3Schema": root},
    }


def _bare(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "default"}


def _columns() -> list[Schema]:
    columns = [
        ("Target", "string", ".spec.scaleTargetRef.name", "The Deployment that is scaled"),
        ("Min", "integer", ".spec.minReplicas", "Fewest pods"),
        ("Max", "integer", ".spec.maxReplicas", "Most pods"),
        ("Replicas", "integer", ".status.currentReplicas", "Replicas set on the target"),
        ("Wanted", "integer", ".status.desiredReplicas", "Replicas the Pool decided on"),
        ("Jobs", "string", ".status.backlog.summary", "Running + waiting + due soon"),
        ("Sockets", "integer", ".status.connections.sockets", "Open sockets of the api pods"),
        ("Why", "string", ".status.reason", "Why this number"),
        ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status", "Whether the Pool works"),
        ("Age", "date", ".metadata.creationTimestamp", "Since when"),
    ]
    wide = [("Message", "string", ".status.message", "Why this number, step by step")]
    made: list[Schema] = [
        {"name": name, "type": kind, "jsonPath": path, "description": about} for name, kind, path, about in columns
    ]
    made += [
        {"name": name, "type": kind, "jsonPath": path, "description": about, "priority": 1}
        for name, kind, path, about in wide
    ]
    return made
