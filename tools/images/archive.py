"""What an archive of an image holds: its layers, what they add to the base, the packages inside."""

import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DISTRIBUTION: Final = re.compile(r"^(?:\./)?app/venv/lib/python3[^/]*/site-packages/([^/]+[.]dist-info/.+)$")
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Archive:
    """An OCI or docker archive, as an engine wrote it."""

    path: Path

    def layers(self) -> list[str]:
        """Digests of the uncompressed layers, from the base up."""
        with tarfile.open(self.path) as archive:
            config = json.loads(_member(archive, _names(archive)[0]))
        return [str(each) for each in config["rootfs"]["diff_ids"]]

    def added_bytes(self, base_layers: int) -> int:
        """Sizes of all files above the layers of the base."""
        return sum(member.size for member, _ in self._files(base_layers))

    def distributions(self, base_layers: int, folder: Path) -> None:
        """Write what each Python distribution says about itself below a folder."""
        for member, layer in self._files(base_layers):
            match = DISTRIBUTION.match(member.name)
            content = layer.extractfile(member) if match else None
            if match and content:
                path = folder / match[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())

    def _files(self, base_layers: int) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
        with tarfile.open(self.path) as archive:
            for name in _names(archive)[1 + base_layers :]:
                data = _member(archive, name)
                plain = gzip.decompress(data) if data.startswith(_GZIP) else data
                with tarfile.open(fileobj=io.BytesIO(plain)) as layer:
                    yield from ((member, layer) for member in layer if member.isreg())


def _names(archive: tarfile.TarFile) -> list[str]:
    """Members of the archive: the configuration, then each layer."""
    if "index.json" in archive.getnames():
        index = json.loads(_member(archive, "index.json"))
        manifest = json.loads(_member(archive, _blob(index["manifests"][0])))
        return [_blob(manifest["config"]), *(_blob(each) for each in manifest["layers"])]
    (manifest,) = json.loads(_member(archive, "manifest.json"))
    return [manifest["Config"], *manifest["Layers"]]


def _blob(described: dict[str, Any]) -> str:
    return f"blobs/{str(described['digest']).replace(':', '/')}"


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{archive.name!r} has no file {name}")
    return file.read()
