"""skaffold.yaml names what is there: files, targets, values of the chart, Services; and its reload reloads."""

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.support.chart import CHART, helm, named, parsed, rendered
from tests.support.control_plane import ENVIRONMENT, ROOT
from tests.support.dockerfile import TARGETS
from tests.support.waiting import until

CONFIG: Final = yaml.safe_load((ROOT / "skaffold.yaml").read_text("utf-8"))
PROFILES: Final = ["dev", "production", "ci"]


def with_profile(name: str) -> dict[str, Any]:
    """The configuration as skaffold patches it; raises KeyError where a path leads nowhere."""
    config = copy.deepcopy(CONFIG)
    (profile,) = [each for each in CONFIG["profiles"] if each["name"] == name]
    for patch in profile["patches"]:
        *way, last = patch["path"].strip("/").split("/")
        node: Any = config
        for part in way:
            node = node[int(part)] if isinstance(node, list) else node[part]
        assert patch["op"] == "add" or last in node, patch
        node[last] = patch["value"]
    return config


def test_profiles_are_those_the_docs_name() -> None:
    assert [each["name"] for each in CONFIG["profiles"]] == PROFILES


def test_every_artifact_is_a_target_of_the_dockerfile_and_syncs_files_that_are_there() -> None:
    assert {each["docker"]["target"] for each in CONFIG["build"]["artifacts"]} == set(TARGETS)
    for each in CONFIG["build"]["artifacts"]:
        assert (ROOT / each["context"] / each["docker"]["dockerfile"]).is_file()
        assert each["image"] == f"afterbell-{each['docker']['target']}"
        for sync in each.get("sync", {}).get("manual", ()):
            assert list(ROOT.glob(sync["src"]))
            assert (ROOT / sync["strip"]).is_dir()
            assert sync["dest"] == "/code/afterbell"


@pytest.mark.parametrize("name", PROFILES)
def test_the_chart_takes_every_value_a_profile_sets(name: str) -> None:
    (release,) = with_profile(name)["deploy"]["helm"]["releases"]
    assert (ROOT / release["chartPath"]) == CHART
    words = ["template", release["name"], release["chartPath"], "-n", release["namespace"]]
    for path in release["valuesFiles"]:
        words += ["-f", path]
    for key, value in release["setValueTemplates"].items():
        words += ["--set", f"{key}={filled(value)}"]
    objects = parsed(helm(*words))
    (container,) = named(objects, "Deployment", "afterbell-api")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "afterbell_api:v1"
    assert ("/code" in container.get("command", [])) is (name == "dev")


def filled(template: str) -> str:
    """As skaffold fills it in after a build."""
    return re.sub(r"{{[.]IMAGE_TAG_.*}}", "v1", re.sub(r"{{[.]IMAGE_REPO_(.*)}}", r"\1", template))


def test_ports_are_forwarded_to_services_of_the_chart() -> None:
    objects = rendered("dev")
    for each in CONFIG["portForward"]:
        ports = named(objects, "Service", each["resourceName"])["spec"]["ports"]
        assert each["port"] in {port["port"] for port in ports}


def test_reload_starts_the_process_anew_when_a_file_changes(tmp_path: Path) -> None:
    package, copied, log = tmp_path / "app" / "afterbell", tmp_path / "code", tmp_path / "log"
    package.mkdir(parents=True)
    code = "import sys, time; print('{} ' + sys.argv[1], flush=True); time.sleep(60)"
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(code.format("before"))
    script = (CHART / "files" / "reload.py").read_text("utf-8")
    words = [sys.executable, "-c", script, str(package.parent), str(copied), "worker"]
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{copied}:{package.parent}"}
    with log.open("wb") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, env=environment)
    try:
        until(lambda: "before worker" in log.read_text(), "the first start")
        (copied / "afterbell" / "__main__.py").write_text(code.format("after"))
        until(lambda: "after worker" in log.read_text(), "the second start")
    finally:
        process.terminate()
        assert process.wait(15) == 0
