"""The words that build the images, for each engine, and what is read from the archives they write."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tools.images import build
from tools.images.archive import Archive
from tools.images.engines import ENGINES, Engine, Order, layers_of

ORDER = Order("1.2.3", "abc", 1_700_000_000, "example.com/python:3.13")


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_is_told_base_version_revision_target_and_dates(name: str) -> None:
    words = Engine(name).build(ORDER, "api")
    for pair in ("PYTHON=example.com/python:3.13", "VERSION=1.2.3", "REVISION=abc"):
        assert words[words.index(pair) - 1] == "--build-arg"
    assert words[-6:] == [
        "services/Dockerfile",
        "--target",
        "api",
        "--tag",
        "ghcr.io/afterbell/afterbell-api:1.2.3",
        ".",
    ]
    assert any(str(ORDER.epoch) in word for word in words)
    assert not any("secret" in word or "OTEL" in word for word in words)


def test_settings_of_pip_are_secrets_and_opentelemetry_is_an_argument() -> None:
    order = Order("1", "abc", 0, "base", otel=True, pip_config=Path("pip.conf"), certificates=Path("ca.pem"))
    words = Engine("docker").build(order, "worker")
    assert "OTEL=1" in words
    assert [word for word in words if word.startswith("id=")] == ["id=pip,src=pip.conf", "id=certificates,src=ca.pem"]


def test_buildah_keeps_its_images_where_it_is_told_to() -> None:
    asked = build.options(["--engine", "buildah", "--storage", "/somewhere", "--base", "debian"])
    engine = build.engine_for(asked)
    assert engine.build(ORDER, "api")[:5] == ["buildah", "--root", "/somewhere/storage", "--runroot", "/somewhere/run"]


def test_the_number_of_layers_is_read_from_what_any_engine_says() -> None:
    assert layers_of(json.dumps([{"RootFS": {"Layers": ["a", "b"]}}])) == 2
    assert layers_of(json.dumps({"OCIv1": {"rootfs": {"diff_ids": ["a"]}}})) == 1


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_an_archive_tells_what_is_above_its_base(tmp_path: Path, kind: str) -> None:
    metadata = "app/venv/lib/python3.13/site-packages/uvloop-1.dist-info/METADATA"
    archive = Archive(tmp_path / "image.tar")
    archive.path.write_bytes(image(kind, [layer({"base": b"1234"}), layer({metadata: b"Name: uvloop", "x": b"12"})]))
    assert archive.layers() == ["sha256:0", "sha256:1"]
    assert archive.added_bytes(1) == 14
    archive.distributions(1, tmp_path / "packages")
    assert (tmp_path / "packages" / "uvloop-1.dist-info" / "METADATA").read_bytes() == b"Name: uvloop"


def layer(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def image(kind: str, layers: list[bytes]) -> bytes:
    config: dict[str, Any] = {"rootfs": {"diff_ids": [f"sha256:{number}" for number in range(len(layers))]}}
    blobs = {f"blobs/sha256/l{number}": content for number, content in enumerate(layers)}
    described = [{"digest": f"sha256:l{number}"} for number in range(len(layers))]
    if kind == "oci":
        documents = {
            "index.json": {"manifests": [{"digest": "sha256:m"}]},
            "blobs/sha256/m": {"config": {"digest": "sha256:c"}, "layers": described},
            "blobs/sha256/c": config,
        }
    else:
        manifest: Any = [{"Config": "c.json", "Layers": list(blobs)}]
        documents = {"manifest.json": manifest, "c.json": config}
    return layer({**{name: json.dumps(each).encode() for name, each in documents.items()}, **blobs})
