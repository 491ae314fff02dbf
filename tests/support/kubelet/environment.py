"""The environment of a container, as its manifest describes it. No I/O but the reader it is given."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.support.kubelet.api import Manifest

# (secrets | configmaps, name) → its text values, None where there is no such object.
Read = Callable[[str, str], Awaitable[dict[str, str] | None]]
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][\w.-]*)\)")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class Misconfigured(Exception):
    """What the manifest refers to is not there, or this kubelet does not know it."""


async def environment_of(container: Manifest, pod: Manifest, base: Mapping[str, str], read: Read) -> dict[str, str]:
    """``base``, then envFrom, then env in order; raises Misconfigured."""
    variables = dict(base)
    for source in container.get("envFrom", ()):
        variables |= await _all_of(source, read)
    for variable in container.get("env", ()):
        value = await _value_of(variable, pod, variables, read)
        if value is not None:
            variables[variable["name"]] = value
    return variables


def expanded(text: str, known: Mapping[str, str]) -> str:
    """``$(NAME)`` replaced where the name is known, ``$$`` as one ``$``."""

    def value_of(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else known.get(match[1], match[0])

    return _REFERENCE.sub(value_of, text)


def field(pod: Manifest, path: str) -> str:
    """What a fieldRef points to; raises Misconfigured where it is no field of a pod."""
    if keyed := _KEYED.fullmatch(path):
        return str(pod["metadata"].get(keyed[1], {}).get(keyed[2], ""))
    if path == "status.podIPs":
        return ",".join(each["ip"] for each in pod["status"]["podIPs"])
    part_of_pod: Any = pod
    for part in path.split("."):
        part_of_pod = part_of_pod.get(part) if isinstance(part_of_pod, dict) else None
    if path == "spec.serviceAccountName":
        return str(part_of_pod or "default")
    if not isinstance(part_of_pod, str):
        raise Misconfigured(f"fieldRef {path} is not a text of a pod")
    return part_of_pod


async def _all_of(source: Manifest, read: Read) -> dict[str, str]:
    kind, reference = ("configmaps", "configMapRef") if "configMapRef" in source else ("secrets", "secretRef")
    values = await read(kind, source[reference]["name"])
    if values is None and not source[reference].get("optional"):
        raise Misconfigured(f"{kind} {source[reference]['name']} not found")
    return {source.get("prefix", "") + key: value for key, value in (values or {}).items()}


async def _value_of(variable: Manifest, pod: Manifest, known: Mapping[str, str], read: Read) -> str | None:
    """None where an optional value is not there."""
    origin = variable.get("valueFrom")
    if origin is None:
        return expanded(variable.get("value", ""), known)
    if "fieldRef" in origin:
        return field(pod, origin["fieldRef"]["fieldPath"])
    for kind, reference in (("secrets", "secretKeyRef"), ("configmaps", "configMapKeyRef")):
        if reference in origin:
            return await _key_of(kind, origin[reference], read)
    raise Misconfigured(f"{variable['name']}: the test kubelet knows no {', '.join(origin)}")


async def _key_of(kind: str, reference: Manifest, read: Read) -> str | None:
    value = (await read(kind, reference["name"]) or {}).get(reference["key"])
    if value is None and not reference.get("optional"):
        raise Misconfigured(f"no key {reference['key']} in {kind} {reference['name']}")
    return value
