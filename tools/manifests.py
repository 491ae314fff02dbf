#!/usr/bin/env python3
"""Write manifests/ from the chart, for people without Helm: ``python tools/manifests.py`` (needs .tools/helm).

The base is the chart with its defaults and a Secret `afterbell`; an overlay is what a profile changes, as patches.
What watches the platform is one component for all overlays; its dashboards are generated from the chart's own files.
Migrations run in the api pods there: nothing else would run them at the right time.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
CHART: Final = ROOT / "charts" / "afterbell"
FOLDER: Final = ROOT / "manifests"
DASHBOARDS: Final = CHART / "dashboards" / "kustomization.yaml"
HELM: Final = ROOT / ".tools" / "helm"
NAMESPACE: Final = "afterbell"
OVERLAYS: Final = ("production", "free-tier", "large")
HEAD: Final = "# Made by tools/manifests.py from charts/afterbell; do not edit: `make manifests`.\n"
COMPONENT: Final = "app.kubernetes.io/component"
OF_HELM: Final = ("helm.sh/chart", "app.kubernetes.io/managed-by")
Manifest = dict[str, Any]
Key = tuple[str, str]


def rendered(profile: str | None = None) -> dict[Key, Manifest]:
    """Objects by kind and name. Raises CalledProcessError with what helm said."""
    values = ["-f", str(CHART / "values" / f"{profile}.yaml")] if profile else []
    words = ["template", "afterbell", str(CHART), "-n", NAMESPACE, "--no-hooks", "--include-crds", *values]
    words += ["--set", "existingSecret=afterbell,migrations.run=init"]
    text = subprocess.run([str(HELM), *words], check=True, capture_output=True, text=True).stdout  # noqa: S603
    objects = [_without_helm(each) for each in yaml.safe_load_all(text) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def _without_helm(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_helm(inside) for key, inside in node.items() if key not in OF_HELM}
    return [_without_helm(each) for each in node] if isinstance(node, list) else node


def files() -> dict[Path, str]:
    """Path → text of everything that is written."""
    base = rendered()
    profiles = {name: rendered(name) for name in OVERLAYS}
    watching = _monitoring(profiles)
    made = {FOLDER / "base" / "afterbell.yaml": _dumped(*base.values())}
    made[FOLDER / "base" / "kustomization.yaml"] = _dumped(_kustomization("afterbell.yaml") | {"namespace": NAMESPACE})
    for name, objects in profiles.items():
        for path, text in _overlay(base, objects, watching).items():
            made[FOLDER / "overlays" / name / path] = text
    return made | _component(watching)


def _monitoring(profiles: dict[str, dict[Key, Manifest]]) -> dict[Key, Manifest]:
    """The objects that watch the platform. Raises ValueError if two profiles disagree on one."""
    monitoring: dict[Key, Manifest] = {}
    for objects in profiles.values():
        for key, each in objects.items():
            if (
                each["metadata"].get("labels", {}).get(COMPONENT) == "monitoring"
                and monitoring.setdefault(key, each) != each
            ):
                raise ValueError(f"{key} differs between profiles: it cannot be one component for all")
    return monitoring


def _component(watching: dict[Key, Manifest]) -> dict[Path, str]:
    drawn = {key: each for key, each in watching.items() if _is_dashboard(key)}
    kind = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
    folder = FOLDER / "components" / "monitoring"
    above = "../" * len(folder.relative_to(ROOT).parts)
    return {
        folder / "monitoring.yaml": _dumped(*(each for key, each in watching.items() if key not in drawn)),
        folder / "kustomization.yaml": _dumped(
            kind | {"resources": ["monitoring.yaml"], "components": [above + str(DASHBOARDS.parent.relative_to(ROOT))]}
        ),
        DASHBOARDS: _dumped(kind | {"configMapGenerator": [_generator(each) for each in drawn.values()]}),
    }


def _is_dashboard(key: Key) -> bool:
    return key[0] == "ConfigMap" and "-dashboard-" in key[1]


def _generator(dashboard: Manifest) -> Manifest:
    """What makes the ConfigMap from the file beside it."""
    metadata = dashboard["metadata"]
    kept = {name: metadata[name] for name in ("labels", "annotations") if metadata.get(name)}
    return {
        "name": metadata["name"],
        "files": list(dashboard["data"]),
        "options": {"disableNameSuffixHash": True, **kept},
    }


def _overlay(base: dict[Key, Manifest], wanted: dict[Key, Manifest], watching: dict[Key, Manifest]) -> dict[str, str]:
    new = [each for key, each in wanted.items() if key not in base and key not in watching]
    patches = [_patch(key, list(_changes(base[key], each))) for key, each in wanted.items() if key in base]
    whole = _kustomization("../../base", *(["more.yaml"] if new else []))
    if watching.keys() & wanted.keys():
        whole["components"] = ["../../components/monitoring"]
    whole |= {"namespace": NAMESPACE, "patches": [each for each in patches if each]}
    return {"kustomization.yaml": _dumped(whole)} | ({"more.yaml": _dumped(*new)} if new else {})


def _kustomization(*resources: str) -> Manifest:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": list(resources)}


def _patch(key: Key, changes: list[Manifest]) -> Manifest:
    target = {"kind": key[0], "name": key[1]}
    return {"target": target, "patch": yaml.safe_dump(changes, sort_keys=False)} if changes else {}


def _changes(old: Any, new: Any, path: str = "") -> Iterator[Manifest]:
    """JSON patch from one object to another; lists of equal length element by element."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(each for each in new if each not in old)]:
            below = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key not in new:
                yield {"op": "remove", "path": below}
            elif key not in old:
                yield {"op": "add", "path": below, "value": new[key]}
            else:
                yield from _changes(old[key], new[key], below)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _changes(before, after, f"{path}/{number}")
    elif old != new:
        yield {"op": "replace", "path": path, "value": new}


def _dumped(*objects: Manifest) -> str:
    return HEAD + "---\n".join(yaml.dump(each, Dumper=_Dumper, sort_keys=False, width=120) for each in objects)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
    """Texts of several lines as blocks; no anchors."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


if __name__ == "__main__":
    if not HELM.exists():
        raise SystemExit("no .tools/helm: run `make tools`, which needs Go")
    shutil.rmtree(FOLDER, ignore_errors=True)
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
