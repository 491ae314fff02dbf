"""manifests/ is the chart for people without Helm: the same objects, by kubectl alone."""

import subprocess

import pytest
import yaml
from tests.support.chart import helm
from tests.support.control_plane import TOOLS
from tools import manifests


def test_the_manifests_are_what_the_chart_renders() -> None:
    helm("version")  # absent: skip, or fail in CI
    paths = [*manifests.FOLDER.rglob("*.yaml"), manifests.DASHBOARDS]
    there = {path: path.read_text("utf-8") for path in paths}
    assert there == manifests.files(), "run `make manifests`"


@pytest.mark.parametrize("name", manifests.OVERLAYS)
def test_an_overlay_gives_what_its_profile_gives(name: str) -> None:
    helm("version")
    words = [str(TOOLS / "kubectl"), "kustomize", str(manifests.FOLDER / "overlays" / name)]
    made = [each for each in yaml.safe_load_all(subprocess.run(words, check=True, capture_output=True).stdout) if each]
    assert {(each["kind"], each["metadata"]["name"]): each for each in made} == manifests.rendered(name)
