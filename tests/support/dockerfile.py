"""What services/Dockerfile says, and what its installs and copies give when they are performed without an engine."""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support.control_plane import ENVIRONMENT, ROOT

DOCKERFILE: Final = ROOT / "services" / "Dockerfile"
PRODUCTION: Final = ("api", "worker", "operator")
TARGETS: Final = (*PRODUCTION, "stub")
KEPT: Final = ROOT / ".node" / "venvs"
_VARIABLE: Final = re.compile(r'([A-Z_]+)=("[^"]*"|\S*)')


@dataclass(frozen=True, slots=True)
class Image:
    """What an engine would make of a target: /app, its packages beside it, the words and variables it starts with."""

    target: str
    app: Path
    venv: Path
    entrypoint: tuple[str, ...]
    words: tuple[str, ...]
    environment: dict[str, str]

    def command(self, container: dict[str, Any]) -> list[str]:
        """The argv of a container of a pod, as a runtime makes it from the image and the manifest."""
        given = container.get("command")
        start = list(given) if given else list(self.entrypoint)
        return start + list(container.get("args", () if given else self.words))


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions of each stage by its name; what it is made from first, as ("FROM", base)."""
    lines = [each for each in DOCKERFILE.read_text("utf-8").splitlines() if not each.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    instructions_of: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in filter(None, text.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            instructions_of[name] = [("FROM", base)]
        elif name:
            instructions_of[name].append((word, rest))
    return instructions_of


def instructions(stage: str, word: str) -> list[str]:
    """All of that kind a stage has, from the bottom up."""
    inherited = stages()[stage][0][1]
    own = [rest for kind, rest in stages()[stage] if kind == word]
    return (instructions(inherited, word) if inherited in stages() else []) + own


def environment_of(target: str) -> dict[str, str]:
    """The variables of an image."""
    variables = (pair for rest in instructions(target, "ENV") for pair in _VARIABLE.findall(rest))
    return {name: value.strip('"') for name, value in variables}


def image_in(folder: Path, target: str) -> Image:
    """Perform the Dockerfile's lines for a target into a folder; the packages are kept from one run to the next."""
    app, venv = folder / target, Path()
    for source, destination in _copied(target):
        stage, _, path = source.partition(":")
        if path == "/app/venv":
            venv = venv_of(stage)
            (app / "venv").mkdir(parents=True)  # it is mounted there
        else:
            shutil.copytree(_code(folder, stage) / path.removeprefix("/app/"), app / destination.removeprefix("/app/"))
    entrypoint, words = (_words(instructions(target, word)[-1]) for word in ("ENTRYPOINT", "CMD"))
    return Image(target, app, venv, entrypoint, words, environment_of(target))


def venv_of(stage: str) -> Path:
    """The environment that a stage installs, made once for what its files say."""
    files = [DOCKERFILE, *_files_of(stage)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files) + sys.version.encode()).hexdigest()[:16]
    made = KEPT / f"{stage}-{digest}"
    with _alone(KEPT / f"{stage}.lock"):
        if not made.exists():
            _install(stage, made)
    return made


def kept_out() -> Callable[[Any, list[str]], set[str]]:
    """What .dockerignore keeps from the builder, for shutil.copytree."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    return shutil.ignore_patterns(*(line.removeprefix("**/") for line in lines if line.startswith("**/")))


def require_index() -> None:
    """Skip where no package index answers, but in CI, where the installs themselves fail."""
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "0", "--timeout", "15"]
    if ENVIRONMENT.get("CI"):
        return
    KEPT.mkdir(parents=True, exist_ok=True)
    if subprocess.run([*words, "--dest", str(KEPT / "asked"), "six"], capture_output=True).returncode:
        pytest.skip("no package index answers: the images install from one")


def _files_of(stage: str) -> list[Path]:
    sources = [word for rest in instructions(stage, "COPY") for word in rest.split()[:-1]]
    return [ROOT / each for each in sources]


def _install(stage: str, made: Path) -> None:
    """Moved to its place when it is whole: a run that is killed leaves none that is half done."""
    require_index()
    work = made.with_suffix(".part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for path in _files_of(stage):
        shutil.copy(path, work)
    environment = {**ENVIRONMENT, "PYTHONHASHSEED": "0", "PATH": f"{_programs(work)}:/usr/bin:/bin"}
    for run in instructions(stage, "RUN"):
        perform(run.replace("/app", str(work)), work, environment)
    (work / "venv").rename(made)
    shutil.rmtree(work)


def perform(run: str, folder: Path, environment: dict[str, str]) -> None:
    """A RUN line, by the shell, without the mounts that only a builder has."""
    line = re.sub(r"--mount=\S+ ", "", run)
    done = subprocess.run(["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stdout[-1000:]}{done.stderr[-2000:]}"


def _programs(work: Path) -> Path:
    """`python` and `pip`, as the base has them."""
    folder = work / "programs"
    folder.mkdir()
    for name, words in {"python": sys.executable, "pip": f"{sys.executable} -m pip --quiet"}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def _code(folder: Path, stage: str) -> Path:
    """/app of a stage that copies code from the repository, made by its COPY and RUN lines."""
    app = folder / f"stage-{stage}"
    if app.exists():
        return app
    for rest in instructions(stage, "COPY"):
        source, destination = rest.split()[-2:]
        if destination.startswith("/app/"):
            shutil.copytree(ROOT / source, app / destination.removeprefix("/app/"), ignore=kept_out())
    environment = {**ENVIRONMENT, "PYTHONHASHSEED": "0", "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    for run in instructions(stage, "RUN"):
        if "venv" not in run:
            perform(run.replace("/app", str(app)), app, environment)
    return app


def _copied(target: str) -> Iterator[tuple[str, str]]:
    """("stage:path", destination) of what an image takes from other stages."""
    for rest in instructions(target, "COPY"):
        if copy := re.match(r"--from=(\S+) (\S+) (\S+)", rest):
            yield f"{copy[1]}:{copy[2]}", copy[3]


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r'"([^"]+)"', text))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time: several workers of pytest need the same packages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
