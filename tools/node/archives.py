"""Make the images that a test node runs and reaches no registry for: ours, the stores', and the one that holds a pod.

python -m tools.node.archives [options of tools.images.build]
"""

import sys
from pathlib import Path
from typing import Final

from tools.images import build
from tools.images.engines import Engine, Order

FOLDER: Final = build.ROOT / ".node" / "images"
PROGRAMS: Final = build.ROOT / ".node" / "bin"
# Archive → image, its file, the folder that it copies from.
OTHERS: Final = {
    "pause": ("registry.k8s.io/pause:3.10", "tools/node/pause/Dockerfile", str(PROGRAMS)),
    "postgres": ("docker.io/library/postgres:18-alpine", "tools/node/stores/Dockerfile", "tools/node/stores"),
    "valkey": ("docker.io/valkey/valkey:9-alpine", "tools/node/stores/Dockerfile", "tools/node/stores"),
}


def main() -> None:
    """All that are not there; ours always, for the code may be another."""
    asked = build.options(program="tools.node.archives")
    FOLDER.mkdir(parents=True, exist_ok=True)
    engine, order = build.engine_for(asked), build.order_for(asked)
    build.base_layers(engine, order, FOLDER)
    for name, (image, file, context) in OTHERS.items():
        archive = FOLDER / f"{name}.tar"
        if not archive.exists():
            make(engine, order, image, file, context, archive)
    for target in asked.targets:
        seconds = build.build(engine, order, target, FOLDER / f"afterbell-{target}.tar")
        build.say(f"{order.name(target):52} {seconds:5.0f} s")


def make(engine: Engine, order: Order, image: str, file: str, context: str, archive: Path) -> None:
    """One image of others, and its archive."""
    build.run(*engine.build_file(order, file, image, context))
    build.run(*engine.save(image, archive))
    build.say(f"{image:52} {archive.stat().st_size / build.MEGABYTE:5.0f} MB")


if __name__ == "__main__":
    try:
        main()
    except build.Failed as error:
        sys.exit(str(error))
