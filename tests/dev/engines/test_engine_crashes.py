"""Kill -9, stale files and removed folders: what the engines survive."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.support.engine_probes import User, ask_postgres, ask_valkey, gone_within, pid_of

from afterbell.dev.engines.engines import engine_programs, engines
from afterbell.dev.engines.folder import EngineFolder, open_lock, try_lock
from afterbell.dev.engines.launch import launcher, postgres_account
from afterbell.dev.engines.valkey import Valkey

pytestmark = pytest.mark.engines


def test_after_kill_9_of_the_user_the_engines_end_and_what_was_committed_is_there(
    tmp_path: Path, user: Callable[..., User]
) -> None:
    crashing = user(tmp_path)
    urls = crashing.urls()
    ask_valkey(urls["redis_url"], "SET", "kept", "key")
    ask_postgres(urls["database_url"], "CREATE TABLE kept AS SELECT 'row' AS it")
    pids = [pid_of(tmp_path, "valkey"), pid_of(tmp_path, "postgres")]
    crashing.kill()
    assert gone_within(5, *pids)
    with engines(tmp_path) as again:
        assert ask_valkey(again.redis_url or "", "GET", "kept") == "key"
        assert ask_postgres(again.database_url or "", "SELECT it FROM kept") == "row"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_after_kill_9_of_the_guardians_the_engines_end_and_the_next_user_starts_them(tmp_path: Path) -> None:
    with engines(tmp_path) as urls:
        ask_valkey(urls.redis_url or "", "SET", "kept", "key")
        ask_postgres(urls.database_url or "", "CREATE TABLE kept AS SELECT 'row' AS it")
        pids = [pid_of(tmp_path, "valkey"), pid_of(tmp_path, "postgres")]
        guardians = [psutil.Process(pid).ppid() for pid in pids]
        for pid in guardians:
            os.kill(pid, signal.SIGKILL)
        assert gone_within(5, *guardians)
        with engines(tmp_path) as again:
            assert ask_valkey(again.redis_url or "", "GET", "kept") == "key"
            assert ask_postgres(again.database_url or "", "SELECT it FROM kept") == "row"
            assert gone_within(1, *pids)


def test_after_kill_9_of_everything_the_next_start_has_what_was_committed(tmp_path: Path) -> None:
    with engines(tmp_path) as urls:
        ask_valkey(urls.redis_url or "", "SET", "kept", "key")
        ask_postgres(urls.database_url or "", "CREATE TABLE kept AS SELECT 'row' AS it")
        pids = [pid_of(tmp_path, "valkey"), pid_of(tmp_path, "postgres")]
        families = [process for pid in pids for process in (psutil.Process(pid).parent(), psutil.Process(pid))]
        for process in [*families, *psutil.Process(pids[1]).children()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    with engines(tmp_path) as again:
        assert ask_valkey(again.redis_url or "", "GET", "kept") == "key"
        assert ask_postgres(again.database_url or "", "SELECT it FROM kept") == "row"


def test_an_engine_that_died_is_started_again_by_the_next_user(tmp_path: Path) -> None:
    with engines(tmp_path, postgres=False) as urls:
        first = pid_of(tmp_path, "valkey")
        os.kill(first, signal.SIGKILL)
        assert gone_within(5, first)
        with engines(tmp_path, postgres=False) as again:
            assert again == urls
            assert ask_valkey(urls.redis_url or "", "PING") is True
            assert pid_of(tmp_path, "valkey") != first


def test_an_engine_without_a_guardian_is_stopped_before_the_next_one_starts(tmp_path: Path) -> None:
    """Where the kernel does not tell children (macOS), kill -9 of a guardian leaves its engine running."""
    with engines(tmp_path, postgres=False):
        pass
    folder = EngineFolder(tmp_path.resolve(), "valkey")
    lock = open_lock(folder.lock("engine"))
    assert try_lock(lock)
    folder.socket_dir().mkdir(mode=0o700)
    command = Valkey(folder, folder.socket_dir(), engine_programs("valkey")).command()
    leftover = subprocess.Popen(command, pass_fds=[lock], stdout=subprocess.DEVNULL)
    os.pwrite(lock, str(leftover.pid).encode(), 0)
    os.close(lock)
    with engines(tmp_path, postgres=False) as urls:
        assert leftover.wait(0) == 0
        assert ask_valkey(urls.redis_url or "", "PING") is True


def test_stale_pids_sockets_and_locks_heal_even_where_the_pid_is_somebody_elses_now(tmp_path: Path) -> None:
    with engines(tmp_path) as urls:
        pid_file = (tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()
    account = postgres_account(tmp_path / "postgres")
    stranger = subprocess.Popen([*launcher(signal.SIGTERM, account), "sleep", "60"])
    try:
        pid_file[0] = str(stranger.pid)
        (tmp_path / "postgres" / "postmaster.pid").write_text("\n".join(pid_file) + "\n")
        for name in ("valkey", "postgres"):
            folder = EngineFolder(tmp_path.resolve(), name)
            folder.lock("engine").write_text(str(stranger.pid))
            folder.lock("guardian").write_text(str(folder.socket_dir()))
            folder.socket_dir().mkdir(mode=0o755)
            (folder.socket_dir() / "valkey.sock").touch()
            (folder.socket_dir() / ".s.PGSQL.5432").touch()
            (folder.socket_dir() / ".s.PGSQL.5432.lock").write_text("\n".join(pid_file) + "\n")
        with engines(tmp_path) as again:
            assert again == urls
            assert ask_postgres(again.database_url or "", "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_first_start_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "postgres.new" / "base").mkdir(parents=True)
    with engines(tmp_path, redis=False) as urls:
        assert ask_postgres(urls.database_url or "", "SELECT 1") == 1


def test_engines_end_when_their_data_directory_is_removed(tmp_path: Path) -> None:
    with engines(tmp_path / "data", postgres=False):
        pid = pid_of(tmp_path / "data", "valkey")
        shutil.rmtree(tmp_path / "data")
        assert gone_within(5, pid)


def test_a_cleaned_temporary_folder_costs_a_restart_and_no_data(tmp_path: Path) -> None:
    with engines(tmp_path, postgres=False) as urls:
        ask_valkey(urls.redis_url or "", "SET", "kept", "key")
        shutil.rmtree(EngineFolder(tmp_path.resolve(), "valkey").socket_dir())
        with engines(tmp_path, postgres=False) as again:
            assert ask_valkey(again.redis_url or "", "GET", "kept") == "key"
