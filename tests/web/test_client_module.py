"""The client module by itself: its decisions under Node, its types, and its place in the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

from tests.architecture.repository import ROOT
from tests.web.node import MODULES, node_program, run_tests

from afterbell.api.classroom import LIVE_CLIENT

WEB: Final = MODULES.parent


def test_the_client_decides_what_to_show_rightly() -> None:
    run_tests("pure.test.js")


def test_the_javascript_has_the_types_it_says() -> None:
    node_program()
    done = subprocess.run(
        [MODULES / ".bin" / "tsc", "--project", WEB / "jsconfig.json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_wheel_contains_the_page_and_nothing_it_is_built_with(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("afterbell/web/")}
    ours = {path for folder in ("classroom", "client") for path in (WEB / folder).iterdir()}
    expected = {f"afterbell/web/{path.relative_to(WEB).as_posix()}" for path in ours}
    if LIVE_CLIENT.is_file():
        expected |= {f"afterbell/web/vendor/{path.name}" for path in LIVE_CLIENT.parent.iterdir()}
    assert packed == expected
