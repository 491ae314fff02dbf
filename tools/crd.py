#!/usr/bin/env python3
"""Write charts/afterbell/crds/pools.yaml from the models: ``python tools/crd.py``. A test compares the two."""

from pathlib import Path
from typing import Final

import yaml

from afterbell_operator.crd import crd

FILE: Final = Path(__file__).parents[1] / "charts" / "afterbell" / "crds" / "pools.yaml"
HEAD: Final = "# Made by tools/crd.py from operator/afterbell_operator/resources.py and status.py; do not edit.\n"


def render() -> str:
    """The file as it should be."""
    text: str = yaml.safe_dump(crd(), sort_keys=False, width=120, allow_unicode=True)
    return HEAD + text


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(render(), "utf-8")
