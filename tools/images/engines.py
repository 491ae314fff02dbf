"""The words of each engine that builds images: buildah, podman, docker. Decisions only; nothing is run here."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ENGINES: Final = ("buildah", "podman", "docker")
REPOSITORY: Final = "afterbell/afterbell-"
STAND_IN: Final = "localhost/afterbell-base:trixie"
DOCKERFILE: Final = "services/Dockerfile"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built. ``epoch`` is the time of every file and of the image, in seconds since 1970."""

    version: str
    revision: str
    epoch: int
    base: str
    registry: str = "ghcr.io"
    otel: bool = False
    pip_config: Path | None = None
    certificates: Path | None = None
    fresh: bool = False

    def name(self, target: str) -> str:
        """The image a target becomes."""
        return f"{self.registry}/{REPOSITORY}{target}:{self.version}"

    def arguments(self) -> dict[str, str]:
        """Build arguments of the Dockerfile."""
        given = {"PYTHON": self.base, "VERSION": self.version, "REVISION": self.revision}
        if self.otel:
            given["OTEL"] = "1"
        return given

    def secrets(self) -> dict[str, Path]:
        """What the builder sees and the image does not keep."""
        files = {"pip": self.pip_config, "certificates": self.certificates}
        return {name: path for name, path in files.items() if path is not None}


@dataclass(frozen=True, slots=True)
class Engine:
    """One of ENGINES; ``options`` come before its subcommand: where buildah keeps its images."""

    name: str
    options: tuple[str, ...] = field(default=())

    def build(self, order: Order, target: str) -> list[str]:
        """Build one target and name it."""
        return self.build_file(order, DOCKERFILE, order.name(target), ".", "--target", target)

    def build_file(self, order: Order, file: str, name: str, context: str, *more: str) -> list[str]:
        """Build the last stage of a file, with the folder it copies from."""
        words = [*self._program(), *self._build_words(order)]
        for key, value in order.arguments().items():
            words += ["--build-arg", f"{key}={value}"]
        for key, path in order.secrets().items():
            words += ["--secret", f"id={key},src={path}"]
        if order.fresh:
            words.append("--no-cache")
        return [*words, "--file", file, *more, "--tag", name, context]

    def save(self, name: str, archive: Path) -> list[str]:
        """Write an image to an archive that containerd and docker import."""
        if self.name == "buildah":
            destination = f"oci-archive:{archive}:{name}"
            return [*self._program(), "push", "--quiet", "--disable-compression", name, destination]
        formatted = ["--format", "oci-archive"] if self.name == "podman" else []
        return [*self._program(), "save", *formatted, "--output", str(archive), name]

    def has(self, name: str) -> list[str]:
        """Succeeds where the image is there."""
        return [*self._program(), "inspect", "--type", "image", name]

    def pull(self, name: str) -> list[str]:
        """Fetch an image from its registry."""
        return [*self._program(), "pull", "--quiet", name]

    def import_base(self, archive: Path) -> list[list[str]]:
        """Make STAND_IN of the archive of a root file system."""
        if self.name == "buildah":
            work = "afterbell-base"
            return [
                [*self._program(), "from", "--name", work, "scratch"],
                [*self._program(), "add", "--quiet", work, str(archive), "/"],
                [*self._program(), "commit", "--quiet", "--rm", "--timestamp", "0", work, STAND_IN],
            ]
        return [[*self._program(), "import", str(archive), STAND_IN]]

    def _program(self) -> list[str]:
        return [self.name, *self.options]

    def _build_words(self, order: Order) -> list[str]:
        """The dates of files are those of the order: the same packages give the same layers."""
        if self.name == "docker":
            output = "type=docker,rewrite-timestamp=true"
            return ["buildx", "build", "--output", output, "--build-arg", f"SOURCE_DATE_EPOCH={order.epoch}"]
        words = ["build", "--layers", "--timestamp", str(order.epoch)]
        # It needs no runtime and no rights of one; what is built are files alone.
        return [*words, "--isolation", "chroot"] if self.name == "buildah" else words


def layers_of(inspected: str) -> int:
    """How many layers an image has, by what the engine's `inspect` says of it."""
    details = json.loads(inspected)
    if isinstance(details, list):
        return len(details[0]["RootFS"]["Layers"])
    return len(details["OCIv1"]["rootfs"]["diff_ids"])
