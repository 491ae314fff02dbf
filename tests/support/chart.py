"""The chart as helm renders it: `make tools` builds helm."""

import subprocess
from collections.abc import Iterator
from typing import Any, Final

import yaml
from tests.support.cluster import absent
from tests.support.control_plane import ROOT, TOOLS

CHART: Final = ROOT / "charts" / "afterbell"
PROFILES: Final = ("dev", "production", "free-tier", "large")
CRDS: Final = TOOLS / "crds"
Manifest = dict[str, Any]


class Unrendered(Exception):
    """helm refused; the message is its complaint."""


def helm(*words: str, stdin: str = "") -> str:
    """Standard output of helm without a cluster. Raises Unrendered."""
    program = TOOLS / "helm"
    if not program.exists():
        absent("no .tools/helm: run `make tools`, which needs Go")
    done = subprocess.run([str(program), *words], input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Unrendered(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def profile(name: str) -> str:
    """Path of a profile's values."""
    return str(CHART / "values" / f"{name}.yaml")


def rendered(
    name: str = "", *settings: str, values: dict[str, Any] | None = None, words: tuple[str, ...] = ()
) -> list[Manifest]:
    """Objects of a profile ("" for the defaults), with `--set` settings and a values file as a mapping."""
    command = ["template", "afterbell", str(CHART), "-n", "lessons", *words]
    command += ["-f", profile(name)] if name else ["--set", "existingSecret=afterbell"]
    for setting in settings:
        command += ["--set", setting]
    if values is not None:
        command += ["-f", "-"]
    return parsed(helm(*command, stdin=yaml.safe_dump(values or {})))


def parsed(text: str) -> list[Manifest]:
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(objects: list[Manifest], *kinds: str) -> list[Manifest]:
    return [each for each in objects if each["kind"] in kinds]


def named(objects: list[Manifest], kind: str, name: str) -> Manifest:
    """The one object of that kind and name."""
    (wanted,) = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    return wanted


def pods(objects: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """(kind/name, spec) of everything that becomes a pod."""
    for each in objects:
        name, spec = f"{each['kind']}/{each['metadata']['name']}", each.get("spec", {})
        if each["kind"] == "Pod":
            yield name, spec
        elif each["kind"] == "CronJob":
            yield name, spec["jobTemplate"]["spec"]["template"]["spec"]
        elif "template" in spec:
            yield name, spec["template"]["spec"]


def containers(spec: Manifest) -> list[Manifest]:
    return [*spec.get("initContainers", ()), *spec["containers"]]
