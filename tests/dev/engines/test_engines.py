"""What ``engines()`` promises, against the real servers."""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.support.engine_probes import SERVICES, USER, User, ask_postgres, ask_valkey, gone_within, pid_of

from afterbell.dev.engines.engines import engines
from afterbell.dev.engines.folder import EngineFolder

pytestmark = pytest.mark.engines


def test_the_engines_have_the_settings_we_state(tmp_path: Path) -> None:
    with engines(tmp_path / "data") as urls:
        assert urls.redis_url is not None
        assert urls.database_url is not None
        stated = {"port": "0", "appendonly": "yes", "appendfsync": "always", "save": ""}
        stated["maxmemory-policy"] = "noeviction"
        answered = ask_valkey(urls.redis_url, "CONFIG", "GET", *stated)
        assert answered == stated or dict(zip(answered[::2], answered[1::2], strict=True)) == stated
        shown = {"fsync": "on", "listen_addresses": "", "shared_buffers": "64MB", "server_encoding": "UTF8"}
        shown |= {"max_connections": "100", "TimeZone": "UTC"}
        for name, value in shown.items():
            assert ask_postgres(urls.database_url, f"SHOW {name}") == value
        assert ask_postgres(urls.database_url, "SELECT current_database()") == "afterbell"
        assert ask_postgres(urls.database_url, "SELECT upper('é') || ('Z' < 'a')::text") == "Étrue"


def test_what_is_written_belongs_to_us_alone(tmp_path: Path) -> None:
    with engines(tmp_path / "data") as urls:
        folder = tmp_path / "data"
        private = [folder, *(folder / name for name in ("valkey", "postgres", "locks"))]
        private += [EngineFolder(folder.resolve(), name).socket_dir() for name in ("valkey", "postgres")]
        assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o700}
        assert stat.S_IMODE((private[4] / "valkey.sock").stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "postgres.log").stat().st_mode) == 0o600
        assert urls.redis_url == f"unix://{private[4]}/valkey.sock?db=0"
        assert urls.database_url == f"postgresql://postgres@/afterbell?host={private[5]}"
    assert not private[4].exists()
    assert not private[5].exists()


def test_only_the_engine_asked_for_is_started(tmp_path: Path) -> None:
    with engines(tmp_path, postgres=False) as urls:
        assert urls.database_url is None
        assert not (tmp_path / "postgres").exists()
        with engines(tmp_path, redis=False) as more:
            assert more.redis_url is None
            assert ask_postgres(more.database_url or "", "SELECT 1") == 1


def test_a_second_user_gets_the_same_engines_which_stop_when_the_last_one_leaves(
    tmp_path: Path, user: Callable[..., User]
) -> None:
    with engines(tmp_path) as urls:
        pids = [pid_of(tmp_path, "valkey"), pid_of(tmp_path, "postgres")]
        other = user(tmp_path)
        assert other.urls() == {"redis_url": urls.redis_url, "database_url": urls.database_url}
        with engines(tmp_path) as again:
            assert again == urls
    assert pids == [pid_of(tmp_path, "valkey"), pid_of(tmp_path, "postgres")]
    assert ask_valkey(urls.redis_url or "", "PING") is True
    assert ask_postgres(urls.database_url or "", "SELECT 1") == 1
    assert other.rest() == "left"
    assert gone_within(1, *pids)


def test_users_who_come_at_once_share_one_start(tmp_path: Path, user: Callable[..., User]) -> None:
    several = [user(tmp_path) for _ in range(4)]
    assert len({json.dumps(member.urls()) for member in several}) == 1
    assert (tmp_path / "postgres.log").read_text().count("database system is ready") == 1
    assert (tmp_path / "valkey.log").read_text().count("Ready to accept connections") == 1
    assert [member.rest() for member in several] == ["left"] * 4


COME_AND_GO = """
import sys
from pathlib import Path
from afterbell.dev.engines.engines import engines
from tests.support.engine_user import ping
for _ in range(8):
    with engines(Path(sys.argv[1]), postgres=False) as urls:
        assert ping(urls.redis_url) == "+PONG"
"""


def test_a_user_who_comes_while_the_engine_stops_gets_a_working_one(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": f"{SERVICES}{os.pathsep}{USER.parents[2]}", "PATH": os.defpath}
    command = [sys.executable, "-c", COME_AND_GO, str(tmp_path)]
    several = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait(60) for process in several] == [0, 0, 0]


def test_two_folders_have_two_instances(tmp_path: Path) -> None:
    with engines(tmp_path / "one") as first, engines(tmp_path / "two") as second:
        ask_valkey(first.redis_url or "", "SET", "whose", "one")
        ask_postgres(first.database_url or "", "CREATE TABLE whose AS SELECT 'one'")
        assert ask_valkey(second.redis_url or "", "GET", "whose") is None
        assert ask_postgres(second.database_url or "", "SELECT to_regclass('whose')") is None


def test_ctrl_c_does_not_reach_the_engines_before_the_user_has_shut_down(
    tmp_path: Path, user: Callable[..., User]
) -> None:
    interrupted = user(tmp_path, "valkey", process_group=0)
    interrupted.urls()
    pid = pid_of(tmp_path, "valkey")
    os.killpg(interrupted.process.pid, signal.SIGINT)
    assert interrupted.rest() == "+PONG\nleft"
    assert gone_within(1, pid)


def test_a_deep_folder_with_odd_letters_works(tmp_path: Path) -> None:
    deep = tmp_path / "a folder, with 'odd' \"letters\" & ünïcode" / ("deep" * 30)
    with engines(deep) as urls:
        assert ask_valkey(urls.redis_url or "", "PING") is True
        assert ask_postgres(urls.database_url or "", "SELECT 1") == 1


def test_users_with_different_temporary_folders_share_the_engines(tmp_path: Path, user: Callable[..., User]) -> None:
    with tempfile.TemporaryDirectory(prefix="a b'c&%") as other:
        first = user(tmp_path, env={"TMPDIR": other})
        urls = first.urls()
        with engines(tmp_path) as mine:
            assert {"redis_url": mine.redis_url, "database_url": mine.database_url} == urls
            assert ask_valkey(urls["redis_url"], "PING") is True
            assert ask_postgres(urls["database_url"], "SELECT 1") == 1
        assert first.rest() == "left"


def test_no_setting_and_no_secret_of_the_user_reaches_an_engine(tmp_path: Path, user: Callable[..., User]) -> None:
    first = user(tmp_path, env={"PGPORT": "1", "PGDATA": "/nowhere", "OPENAI_API_KEY": "sk-secret"})
    first.urls()
    for name in ("valkey", "postgres"):
        engine = psutil.Process(pid_of(tmp_path, name))
        for process in (engine, engine.parent()):
            assert set(process.environ()) <= {"PATH", "PYTHONPATH", "LC_CTYPE", "PWD"}
