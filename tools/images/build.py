"""Build the images, write an archive and a list of packages (SBOM) for each, and print what they weigh.

    python -m tools.images.build [--base IMAGE|debian] [--otel] [--twice] [api worker …]

By buildah, podman or docker, whichever is there. `docs/howto/build-the-images.md` tells the rest.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tools.images.archive import Archive
from tools.images.engines import DOCKERFILE, ENGINES, STAND_IN, Engine, Order, layers_of

ROOT: Final = Path(__file__).parents[2]
TARGETS: Final = ("api", "worker", "operator", "stub")
DEBIAN: Final = "debian"
CYCLONEDX: Final = "cyclonedx-bom==7.5.0"
MEGABYTE: Final = 1_000_000


class Failed(Exception):
    """Something is missing or ended badly; the message says what to do."""


def options(arguments: Sequence[str] | None = None, *, program: str = "tools.images.build") -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description="Build Afterbell's images.")
    parser.add_argument("targets", nargs="*", default=TARGETS, help=f"of {', '.join(TARGETS)}; all without it")
    parser.add_argument("--base", help="Python's image; `debian`: one made of Debian's packages, without a registry")
    parser.add_argument("--version", default=chart_version(), help="the tag; by default that of the chart")
    parser.add_argument("--otel", action="store_true", help="with OpenTelemetry inside")
    parser.add_argument("--pip-config", type=Path, help="pip.conf for the builder: an index of your own")
    parser.add_argument("--certificates", type=Path, help="at /run/secrets/certificates, for `cert =` in pip.conf")
    parser.add_argument("--engine", choices=ENGINES, help="in the place of the first that is there")
    parser.add_argument("--storage", type=Path, help="buildah: keep images in this folder, apart from the machine's")
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "images", help="where archives and SBOMs go")
    parser.add_argument("--twice", action="store_true", help="build again without a cache and compare the layers")
    return parser.parse_args(arguments)


def chart_version() -> str:
    """The version that the chart installs."""
    text = (ROOT / "charts" / "afterbell" / "Chart.yaml").read_text("utf-8")
    match = re.search(r'^appVersion: "?([^"\s]+)', text, re.MULTILINE)
    return match[1] if match else "0"


def engine_for(asked: argparse.Namespace) -> Engine:
    """The engine to use. Raises Failed where there is none."""
    installed = [name for name in ENGINES if shutil.which(name)]
    name = asked.engine or next(iter(installed), None)
    if name is None:
        raise Failed(f"no engine to build images with: install one of {', '.join(ENGINES)}")
    if asked.storage is None or name != "buildah":
        return Engine(name)
    folder = asked.storage.resolve()
    return Engine(name, ("--root", str(folder / "storage"), "--runroot", str(folder / "run")))


def order_for(asked: argparse.Namespace) -> Order:
    """The commit decides revision and dates."""
    revision, epoch = run("git", "log", "-1", "--format=%H %ct").split()
    return Order(
        version=asked.version,
        revision=revision,
        epoch=int(epoch),
        base=STAND_IN if asked.base == DEBIAN else asked.base or default_base(),
        otel=asked.otel,
        pip_config=asked.pip_config,
        certificates=asked.certificates,
    )


def default_base() -> str:
    """The base that the Dockerfile names."""
    (base,) = re.findall(r"^ARG PYTHON=(\S+)$", (ROOT / DOCKERFILE).read_text("utf-8"), re.MULTILINE)
    return str(base)


def base_layers(engine: Engine, order: Order, folder: Path) -> int:
    """Have the base at hand; the number of its layers. Raises Failed where it cannot be had."""
    there = subprocess.run(engine.has(order.base), capture_output=True, check=False)  # noqa: S603 - words of ours
    if there.returncode:
        if order.base == STAND_IN:
            import_base(engine, folder / "base.tar")
        else:
            pull(engine, order.base)
    return layers_of(run(*engine.has(order.base)))


def import_base(engine: Engine, archive: Path) -> None:
    """A base of Debian's packages, made once."""
    if not archive.exists():
        run("sh", "tools/images/base.sh", str(archive))
    for words in engine.import_base(archive):
        run(*words)


def pull(engine: Engine, base: str) -> None:
    """Raises Failed with the way to do without."""
    try:
        run(*engine.pull(base))
    except Failed as error:
        raise Failed(f"{error}\nThe base cannot be had. Name another: BASE=IMAGE, or BASE={DEBIAN}") from None


def build(engine: Engine, order: Order, target: str, archive: Path) -> float:
    """One image and its archive; the seconds it took."""
    began = time.monotonic()
    run(*engine.build(order, target))
    archive.unlink(missing_ok=True)
    run(*engine.save(order.name(target), archive))
    return time.monotonic() - began


def write_packages(archive: Archive, above: int, tool: Path, target: Path) -> None:
    """The Python packages of an image as CycloneDX, beside its archive."""
    with tempfile.TemporaryDirectory() as work:
        venv.create(work)
        (packages,) = Path(work).glob("lib/python3*/site-packages")
        archive.distributions(above, packages)
        run(str(tool), "environment", "--output-reproducible", "--output-file", str(target), work)


def cyclonedx(folder: Path) -> Path:
    """The program that writes SBOMs, installed once."""
    program = folder / "bin" / "cyclonedx-py"
    if not program.exists():
        venv.create(folder, with_pip=True)
        run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", CYCLONEDX)
    return program


def differing(engine: Engine, order: Order, target: str, first: Archive) -> list[str]:
    """Layers that are others when everything is built again."""
    with tempfile.TemporaryDirectory(dir=first.path.parent) as work:
        again = Path(work) / first.path.name
        build(engine, replace(order, fresh=True), target, again)
        return [each for each in Archive(again).layers() if each not in first.layers()]


def main() -> None:
    """Build, tell, and end with 1 where an image is not the same the second time."""
    asked = options()
    folder: Path = asked.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    engine, order = engine_for(asked), order_for(asked)
    above = base_layers(engine, order, folder)
    tool = cyclonedx(ROOT / ".node" / "cyclonedx")
    unequal = 0
    say(f"{'image':52} {'over the base':>14} {'built in':>9}")
    for target in asked.targets:
        archive = Archive(folder / f"afterbell-{target}.tar")
        seconds = build(engine, order, target, archive.path)
        write_packages(archive, above, tool, archive.path.with_suffix(".cdx.json"))
        say(f"{order.name(target):52} {archive.added_bytes(above) / MEGABYTE:11.1f} MB {seconds:7.0f} s")
        if asked.twice:
            others = differing(engine, order, target, archive)
            say(f"  built again: {f'{len(others)} layers differ' if others else 'every layer is the same'}")
            unequal += len(others)
    say(f"archives and SBOMs (CycloneDX) are in {folder}")
    sys.exit(1 if unequal else 0)


def run(*words: str) -> str:
    """What a command in the repository says; raises Failed with the end of it where it fails."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - words of ours
    if done.returncode:
        raise Failed(f"{' '.join(words)}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def say(line: str) -> None:
    """One line for whoever waits."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(str(error))
