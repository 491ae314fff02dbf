"""The images as folders, made once for a run by the lines of services/Dockerfile."""

import pytest
from tests.support.cluster import absent
from tests.support.control_plane import ROOT
from tests.support.dockerfile import TARGETS, Image, image_in

LIVE_CLIENT = ROOT / "services" / "afterbell" / "web" / "vendor" / "socket.io.esm.min.js"


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    """Every target of the Dockerfile by its name; skips where the live client or a package index is missing."""
    if not LIVE_CLIENT.exists():
        absent("the image of the api holds the live client: run `make web` first")
    folder = tmp_path_factory.mktemp("images")
    folder.chmod(0o755)
    folder.parent.chmod(0o755)  # the user of the images enters it
    return {target: image_in(folder, target) for target in TARGETS}
