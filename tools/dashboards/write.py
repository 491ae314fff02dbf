#!/usr/bin/env python3
"""Write charts/afterbell/dashboards/ from the code: ``python -m tools.dashboards.write``. A test compares the two."""

import json
from pathlib import Path
from typing import Final

from tools.dashboards.boards import BOARDS

FOLDER: Final = Path(__file__).parents[2] / "charts" / "afterbell" / "dashboards"


def files() -> dict[Path, str]:
    """Path → text of every dashboard."""
    return {FOLDER / f"{board.name}.json": json.dumps(board.as_json(), indent=1) + "\n" for board in BOARDS}


if __name__ == "__main__":
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for path, text in files().items():
        path.write_text(text, "utf-8")
